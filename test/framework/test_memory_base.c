/* SPDX-License-Identifier: BSD-3-Clause */
/* opal_memory_changed() and what delivers, watching, and the composite, with
 * components made up here. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "framework/hooks/hooks_internal.h"
#include "framework/memory/memory_base.h"
#include "opal/opalmem.h"
#include "test/test_main.h"

static volatile uint64_t counter;
static int processed, process_rc;
static uint64_t bump_inside; /* What the fake's process adds to the counter while it works. */
static atomic_int hold_process, in_process;

static int fake_process(void)
{
    atomic_store(&in_process, 1);
    while (atomic_load(&hold_process)) {
        usleep(100);
    }
    processed++;
    counter += bump_inside;
    return process_rc;
}

struct registered {
    uint64_t cookies[8];
    size_t count;
    int fail_with;
};
static struct registered polled, pushed;

static int add(struct registered *set, uint64_t cookie)
{
    if (set->fail_with != OPAL_SUCCESS) {
        return set->fail_with;
    }
    set->cookies[set->count++] = cookie;
    return OPAL_SUCCESS;
}

static int take(struct registered *set, uint64_t cookie)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->cookies[i] == cookie) {
            set->cookies[i] = set->cookies[--set->count];
            return OPAL_SUCCESS;
        }
    }
    return OPAL_ERR_NOT_FOUND;
}

static int polled_register(void *base, size_t len, uint64_t cookie)
{
    (void) base, (void) len;
    return add(&polled, cookie);
}

static int polled_deregister(void *base, size_t len, uint64_t cookie)
{
    (void) base, (void) len;
    return take(&polled, cookie);
}

static int pushed_register(void *base, size_t len, uint64_t cookie)
{
    (void) base, (void) len;
    return add(&pushed, cookie);
}

static int pushed_deregister(void *base, size_t len, uint64_t cookie)
{
    (void) base, (void) len;
    return take(&pushed, cookie);
}

static volatile uint32_t generation = 7;

static int polled_watch(void *base, size_t len, opal_memory_watch_t *watch)
{
    watch->generation = &generation;
    watch->expected = generation;
    return polled_register(base, len, watch->cookie);
}

static bool is_valid = true;

static bool polled_valid(void *base, size_t len, const opal_memory_watch_t *watch)
{
    (void) base, (void) len, (void) watch;
    return is_valid;
}

static opal_memory_base_component_t polled_component = {
    .memoryc_process = fake_process,
    .memoryc_register = polled_register,
    .memoryc_deregister = polled_deregister,
};
static opal_memory_base_component_t pushed_component = {
    .memoryc_register = pushed_register,
    .memoryc_deregister = pushed_deregister,
};
static opal_memory_base_module_t polled_module = {
    .struct_size = sizeof(polled_module),
    .flags = OPAL_MEMORY_MODULE_POLLED | OPAL_MEMORY_MODULE_SLOW_VALID,
    .counter = &counter,
    .watch = polled_watch,
    .valid = polled_valid,
    .support = OPAL_MEMORY_FREE_SUPPORT,
    .sees = OPAL_MEMORY_SEES_RAW,
};
static opal_memory_base_module_t pushed_module = {
    .struct_size = sizeof(pushed_module),
    .flags = OPAL_MEMORY_MODULE_PUSH,
    .sees = OPAL_MEMORY_SEES_BEFORE,
};

static void use_both(void)
{
    opal_memory_base_active[0] = (opal_memory_base_active_t){ &pushed_component, &pushed_module, 0 };
    opal_memory_base_active[1] = (opal_memory_base_active_t){ &polled_component, &polled_module, 0 };
    opal_memory_base_active_count = 2;
    opal_memory = &opal_memory_base_composite_component;
    opal_memory_base_set_counter(&counter);
}

/* ---- Changed ------------------------------------------------------------------------------------ */

START_TEST(without_a_component_nothing_ever_changes)
{
    ck_assert_ptr_nonnull(opal_memory);
    ck_assert(!opal_memory_changed());
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_int_eq(opal_memory->memoryc_register(NULL, 1, 1), OPAL_SUCCESS);
    ck_assert_int_eq(opal_memory->memoryc_deregister(NULL, 1, 1), OPAL_SUCCESS);
}
END_TEST

START_TEST(unchanged_counter_calls_nothing)
{
    counter = 41;
    use_both();
    ck_assert(!opal_memory_changed());
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_int_eq(processed, 0);
}
END_TEST

START_TEST(changed_counter_is_processed_once)
{
    use_both();
    counter += 3;
    ck_assert(opal_memory_changed());
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_int_eq(processed, 1);
    ck_assert(!opal_memory_changed());
}
END_TEST

START_TEST(event_during_processing_is_not_taken_for_seen)
{
    use_both();
    counter++;
    bump_inside = 1;
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert(opal_memory_changed());
}
END_TEST

static int everything;

static void expects_everything(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata, (void) from_alloc;
    everything += buf == NULL && length >= SIZE_MAX - 1;
}

START_TEST(failure_to_process_invalidates_everything_and_stays)
{
    use_both();
    opal_mem_hooks_set_support(OPAL_MEMORY_FREE_SUPPORT);
    ck_assert_int_eq(opal_mem_hooks_register_release(expects_everything, NULL), OPAL_SUCCESS);
    counter++;
    process_rc = OPAL_ERR_UNREACH;
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_UNREACH);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_UNREACH);
    ck_assert_int_eq(everything, 2);
    ck_assert(opal_memory_changed());
}
END_TEST

static void *sync_in_thread(void *arg)
{
    (void) arg;
    return (void *) (intptr_t) opal_memory_base_sync();
}

START_TEST(second_thread_does_not_wait_for_ever)
{
    pthread_t thread;
    void *rc;
    use_both();
    counter++;
    atomic_store(&hold_process, 1);
    pthread_create(&thread, NULL, sync_in_thread, NULL);
    while (!atomic_load(&in_process)) {
        usleep(100);
    }
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_WOULD_BLOCK);
    atomic_store(&hold_process, 0);
    pthread_join(thread, &rc);
    ck_assert_int_eq((int) (intptr_t) rc, OPAL_SUCCESS);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_int_eq(processed, 1);
}
END_TEST

/* ---- A component without a module: of the interface 2.0.0 ---------------------------------------- */

static int plain_query(mca_base_module_t **module, int *priority)
{
    *module = NULL;
    *priority = 100;
    return OPAL_SUCCESS;
}

static const opal_memory_base_component_t plain_component = {
    .memoryc_version = { OPAL_MEMORY_BASE_VERSION_2_0_0, .mca_component_name = "plain",
                         .mca_query_component = plain_query },
    .memoryc_process = fake_process,
    .memoryc_register = opal_memory_base_register_empty,
    .memoryc_deregister = opal_memory_base_deregister_empty,
};

/* In place of the library's own list: this program has only this component. */
const mca_base_component_t *const opal_memory_base_static_components[] = { &plain_component.memoryc_version,
                                                                           NULL };

START_TEST(component_without_a_counter_is_asked_at_each_lookup)
{
    setenv("OPALMEM_MCA_memory", "plain", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_eq(opal_memory->memoryc_version.mca_component_name, "plain");
    for (int lookups = 1; lookups <= 5; lookups++) {
        ck_assert(opal_memory_changed());
        ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
        ck_assert_int_eq(processed, lookups);
    }
    process_rc = OPAL_ERR_UNREACH;
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_UNREACH);
    process_rc = OPAL_SUCCESS;
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert(opal_memory_changed());
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert(!opal_memory_changed());
}
END_TEST

/* ---- Watching ----------------------------------------------------------------------------------- */

START_TEST(watch_reaches_all_components_and_takes_the_generation)
{
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
    use_both();
    ck_assert_int_eq(opal_memory_base_watch(NULL, 4096, &watch), OPAL_SUCCESS);
    ck_assert_uint_eq(pushed.count, 1);
    ck_assert_uint_eq(polled.count, 1);
    ck_assert(opal_memory_watch_holds(&watch));
    generation++;
    ck_assert(!opal_memory_watch_holds(&watch));
    ck_assert_int_eq(opal_memory_base_unwatch(NULL, 4096, &watch), OPAL_SUCCESS);
    ck_assert_uint_eq(pushed.count + polled.count, 0);
    ck_assert_int_eq(opal_memory_base_unwatch(NULL, 4096, &watch), OPAL_ERR_NOT_FOUND);
}
END_TEST

START_TEST(failed_watch_leaves_nothing_behind)
{
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
    use_both();
    polled.fail_with = OPAL_ERR_OUT_OF_RESOURCE;
    ck_assert_int_eq(opal_memory_base_watch(NULL, 4096, &watch), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(opal_memory->memoryc_register(NULL, 4096, 99), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_uint_eq(pushed.count + polled.count, 0);
}
END_TEST

START_TEST(watch_without_components_always_holds)
{
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
    ck_assert_int_eq(opal_memory_base_watch(NULL, 4096, &watch), OPAL_SUCCESS);
    ck_assert(opal_memory_watch_holds(&watch));
    ck_assert(opal_memory_base_valid(NULL, 4096, &watch));
}
END_TEST

START_TEST(slow_validity_is_asked_of_those_that_need_it)
{
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
    use_both();
    ck_assert_int_eq(opal_memory_base_watch(NULL, 4096, &watch), OPAL_SUCCESS);
    ck_assert(opal_memory_base_valid(NULL, 4096, &watch));
    is_valid = false;
    ck_assert(!opal_memory_base_valid(NULL, 4096, &watch));
    ck_assert_uint_eq(opal_memory_base_sees(), OPAL_MEMORY_SEES_RAW | OPAL_MEMORY_SEES_BEFORE);
}
END_TEST

/* One sees instructions anywhere, the other one before: neither sees both. */
START_TEST(components_promise_each_by_itself)
{
    opal_memory_base_promise_t promises[3] = { { 0, 0 } };
    use_both();
    ck_assert(opal_memory_base_sees_all(OPAL_MEMORY_SEES_RAW));
    ck_assert(opal_memory_base_sees_all(OPAL_MEMORY_SEES_BEFORE));
    ck_assert(!opal_memory_base_sees_all(OPAL_MEMORY_SEES_RAW | OPAL_MEMORY_SEES_BEFORE));
    ck_assert(!opal_memory_base_sees_all(OPAL_MEMORY_SEES_FILE));
    ck_assert_uint_eq(opal_memory_base_promises(promises, 3), 2);
    ck_assert_uint_eq(promises[0].sees, OPAL_MEMORY_SEES_BEFORE);
    ck_assert_uint_eq(promises[1].sees, OPAL_MEMORY_SEES_RAW);
    ck_assert_int_eq(promises[1].support, OPAL_MEMORY_FREE_SUPPORT);
    promises[1].sees = 0;
    ck_assert_uint_eq(opal_memory_base_promises(promises, 1), 2);
    ck_assert_uint_eq(promises[1].sees, 0); /* There was room for one. */
}
END_TEST

START_TEST(a_component_without_a_module_promises_what_it_has_set)
{
    opal_memory_base_promise_t promise = { 0, 1 };
    ck_assert(!opal_memory_base_sees_all(0)); /* There is none. */
    use_both();
    opal_memory_base_active[0] =
        (opal_memory_base_active_t){ &pushed_component, NULL, OPAL_MEMORY_MUNMAP_SUPPORT };
    ck_assert_uint_eq(opal_memory_base_promises(&promise, 1), 2);
    ck_assert_int_eq(promise.support, OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_uint_eq(promise.sees, 0);
}
END_TEST

START_TEST(cookies_are_never_used_twice)
{
    uint64_t last = 0;
    for (int i = 0; i < 100000; i++) {
        uint64_t cookie = opal_memory_base_new_cookie();
        ck_assert_uint_gt(cookie, last);
        ck_assert_uint_eq(cookie >> 63, 0);
        last = cookie;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory_base");
    TCase *tests = tcase_create("changed and watch");
    tcase_add_test(tests, without_a_component_nothing_ever_changes);
    tcase_add_test(tests, unchanged_counter_calls_nothing);
    tcase_add_test(tests, changed_counter_is_processed_once);
    tcase_add_test(tests, event_during_processing_is_not_taken_for_seen);
    tcase_add_test(tests, failure_to_process_invalidates_everything_and_stays);
    tcase_add_test(tests, second_thread_does_not_wait_for_ever);
    tcase_add_test(tests, component_without_a_counter_is_asked_at_each_lookup);
    tcase_add_test(tests, watch_reaches_all_components_and_takes_the_generation);
    tcase_add_test(tests, failed_watch_leaves_nothing_behind);
    tcase_add_test(tests, watch_without_components_always_holds);
    tcase_add_test(tests, slow_validity_is_asked_of_those_that_need_it);
    tcase_add_test(tests, components_promise_each_by_itself);
    tcase_add_test(tests, a_component_without_a_module_promises_what_it_has_set);
    tcase_add_test(tests, cookies_are_never_used_twice);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
