/* SPDX-License-Identifier: BSD-3-Clause */
/* Ends of a cache's life that meet: destruction and the last reference, a fork
 * and a registration half done, a limit and two threads, a policy and a doubt.
 *
 * The library's free() is replaced: what it frees is painted and kept until the
 * end of the test, so that a late write and a second free are always seen. */
#include <malloc.h>
#include <pthread.h>
#include <sched.h>

#include "framework/memory/memory_base.h"
#include "rcache/grdma/grdma.h"
#include "test/children.h"
#include "test/rcache/grdma_fixture.h"

/* ---- What was freed -------------------------------------------------------------------------------- */

#define MAX_KEPT 8192
#define PAINT 0xdd

static atomic_bool keeping;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static void *kept[MAX_KEPT]; /* Under kept_lock, as the next two. */
static size_t kept_count;
static int freed_twice;

void __real_free(void *block);
void __wrap_free(void *block);

static bool is_kept_locked(const void *block)
{
    for (size_t i = 0; i < kept_count; i++) {
        if (kept[i] == block) {
            return true;
        }
    }
    return false;
}

void __wrap_free(void *block)
{
    if (block == NULL || !atomic_load(&keeping)) {
        __real_free(block);
        return;
    }
    pthread_mutex_lock(&kept_lock);
    if (is_kept_locked(block)) {
        freed_twice++;
    } else if (kept_count < MAX_KEPT) {
        memset(block, PAINT, malloc_usable_size(block));
        kept[kept_count++] = block;
    }
    pthread_mutex_unlock(&kept_lock);
}

static bool is_painted(const unsigned char *block)
{
    size_t size = malloc_usable_size((void *) (uintptr_t) block);
    for (size_t i = 0; i < size; i++) {
        if (block[i] != PAINT) {
            return false;
        }
    }
    return true;
}

static void keep_what_is_freed(void)
{
    kept_count = 0;
    freed_twice = 0;
    atomic_store(&keeping, true);
}

/* How often something that was freed was freed again, or written to. Frees it now. */
static int faults(void)
{
    atomic_store(&keeping, false);
    int count = freed_twice;
    for (size_t i = 0; i < kept_count; i++) {
        count += !is_painted(kept[i]);
        __real_free(kept[i]);
    }
    return count;
}

START_TEST(write_to_freed_memory_and_second_free_are_faults)
{
    keep_what_is_freed();
    unsigned char *block = malloc(64), *again = malloc(64);
    volatile unsigned char *late = block;
    void *volatile second = again; /* The compiler would warn, and rightly. */
    __wrap_free(block);
    __wrap_free(again);
    late[10] = 0;
    __wrap_free(second);
    ck_assert_int_eq(faults(), 2);
}
END_TEST

/* ---- Destruction against the last reference -------------------------------------------------------- */

static mca_rcache_base_registration_t *held;
static atomic_int ending, given_back;

/* The first deregistration, by the destroying thread, lasts until the other thread is through. */
static void waits_for_the_giver(fake_provider_t *provider)
{
    (void) provider;
    if (atomic_exchange(&ending, 1) == 0) {
        while (!atomic_load(&given_back)) {
            usleep(10);
        }
    }
}

static void *give_back(void *arg)
{
    (void) arg;
    while (!atomic_load(&ending)) {
        usleep(10);
    }
    cache->rcache_deregister(cache, held);
    atomic_store(&given_back, 1);
    return NULL;
}

START_TEST(last_reference_given_back_during_destruction_ends_its_registration_once)
{
    pthread_t thread;
    held = get(0, 1, 0, 0);
    use(2, 1);
    fake.at_end = waits_for_the_giver;
    keep_what_is_freed();
    ck_assert_int_eq(pthread_create(&thread, NULL, give_back, NULL), 0);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_ERR_RESOURCE_BUSY);
    pthread_join(thread, NULL);
    ck_assert_int_eq(faults(), 0);
    ck_assert_int_eq(pinned(), 0);
    fake.at_end = NULL;
    make_cache();
}
END_TEST

/* ---- A fork child and its parent's registrations ---------------------------------------------------- */

#define INHERITED 1000

static void *register_own(void *arg)
{
    bool *good = arg;
    for (int i = 0; i < INHERITED; i++) {
        mca_rcache_base_registration_t *reg;
        *good = cache->rcache_register(cache, AT(2 * i), PAGE, 0, 0, &reg) == OPAL_SUCCESS
                && cache->rcache_deregister(cache, reg) == OPAL_SUCCESS && *good;
    }
    return NULL;
}

static bool give_back_while_others_are_made(mca_rcache_base_registration_t **regs)
{
    pthread_t thread;
    bool good = true, own_good = true;
    keep_what_is_freed();
    good = pthread_create(&thread, NULL, register_own, &own_good) == 0;
    for (int i = 0; i < INHERITED; i++) {
        good = cache->rcache_deregister(cache, regs[i]) == OPAL_SUCCESS && good;
    }
    pthread_join(thread, NULL);
    good = stats().count == INHERITED && stats().hits == 0 && good;
    return faults() == 0 && good && own_good;
}

START_TEST(inherited_registrations_are_left_alone)
{
    static mca_rcache_base_registration_t *regs[INHERITED];
    for (int i = 0; i < INHERITED; i++) {
        regs[i] = get(2 * i, 1, 0, 0);
    }
    for (long i = test_rounds(20); i > 0; i--) {
        pid_t pid = fork();
        if (pid == 0) {
            child_must_end_within(10);
            child_says(give_back_while_others_are_made(regs));
        }
        child_must_be_good(pid);
    }
    for (int i = 0; i < INHERITED; i++) {
        put(regs[i]);
    }
}
END_TEST

static pid_t forked = -1;

static void forks_while_it_pins(fake_provider_t *provider, void *base, size_t size)
{
    (void) base, (void) size;
    provider->during = NULL;
    forked = fork();
}

static void forks_while_it_unpins(fake_provider_t *provider)
{
    provider->at_end = NULL;
    forked = fork();
}

/* In the child: the cache counts nothing, and works. */
static bool is_empty_and_works(void)
{
    mca_rcache_base_registration_t *reg = NULL;
    bool good = stats().count == 0 && stats().bytes == 0;
    good = cache->rcache_register(cache, AT(0), 2 * PAGE, 0, 0, &reg) == OPAL_SUCCESS && good;
    good = stats().count == 1 && stats().bytes == 2 * PAGE && good;
    good = cache->rcache_deregister(cache, reg) == OPAL_SUCCESS && good;
    good = mca_rcache_base_module_destroy(cache) == OPAL_SUCCESS && good;
    return opalmem_finalize() == OPAL_SUCCESS && good;
}

START_TEST(fork_inside_register_mem_leaves_the_registration_to_the_parent)
{
    mca_rcache_base_registration_t *reg = (void *) 1;
    fake.during = forks_while_it_pins;
    int rc = cache->rcache_register(cache, AT(0), PAGE, 0, 0, &reg);
    if (forked == 0) {
        child_must_end_within(5);
        child_says(rc == OPAL_ERR_NOT_AVAILABLE && reg == (void *) 1 && is_empty_and_works());
    }
    child_must_be_good(forked);
    ck_assert_int_eq(rc, OPAL_SUCCESS);
    ck_assert_uint_eq(stats().count, 1);
    put(reg);
}
END_TEST

START_TEST(fork_inside_deregister_mem_leaves_the_child_with_sound_figures)
{
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    release(0, 1);
    fake.at_end = forks_while_it_unpins;
    int rc = cache->rcache_deregister(cache, reg);
    if (forked == 0) {
        child_must_end_within(5);
        child_says(rc == OPAL_SUCCESS && is_empty_and_works());
    }
    child_must_be_good(forked);
    ck_assert_int_eq(rc, OPAL_SUCCESS);
    ck_assert_uint_eq(stats().count, 0);
}
END_TEST

/* ---- Limits ----------------------------------------------------------------------------------------- */

START_TEST(range_of_all_memory_is_a_bad_parameter)
{
    mca_rcache_base_registration_t *reg = (void *) 1;
    ck_assert_int_eq(cache->rcache_register(cache, NULL, SIZE_MAX, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_register(cache, (void *) 1, SIZE_MAX, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_register(cache, NULL, SIZE_MAX - 100, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_find(cache, NULL, SIZE_MAX, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_ptr_eq(reg, (void *) 1);
    ck_assert_int_eq(atomic_load(&fake.calls), 0);
}
END_TEST

static atomic_int pinning, second_began;

static void waits_for_the_second(fake_provider_t *provider, void *base, size_t size)
{
    (void) base, (void) size;
    provider->during = NULL;
    atomic_store(&pinning, 1);
    while (!atomic_load(&second_began)) {
        usleep(10);
    }
    usleep(2000); /* Time enough for the second to come to the limit. */
}

static void *register_second(void *arg)
{
    while (!atomic_load(&pinning)) {
        usleep(10);
    }
    atomic_store(&second_began, 1);
    return (void *) (intptr_t) cache->rcache_register(cache, AT(0), PAGE, 0, 0, arg);
}

START_TEST(two_threads_at_a_limit_of_one_share_the_registration_of_a_page)
{
    pthread_t thread;
    mca_rcache_base_registration_t *second = NULL;
    void *rc;
    resources.max_count = 1;
    make_again();
    fake.during = waits_for_the_second;
    ck_assert_int_eq(pthread_create(&thread, NULL, register_second, &second), 0);
    mca_rcache_base_registration_t *first = get(0, 1, 0, 0);
    pthread_join(thread, &rc);
    ck_assert_int_eq((int) (intptr_t) rc, OPAL_SUCCESS);
    ck_assert_ptr_eq(first, second);
    put(first);
    put(second);
    ck_assert_int_eq(registrations(), 1);
}
END_TEST

/* ---- Policy ----------------------------------------------------------------------------------------- */

static bool pages_are_the_same = true;

static bool is_valid(void *base, size_t length, const opal_memory_watch_t *watch)
{
    (void) base, (void) length, (void) watch;
    return pages_are_the_same;
}

/* The running component says of itself that each hit must be asked about. Until use_no_doubt(). */
static const opal_memory_base_module_t doubting = {
    .struct_size = sizeof(doubting),
    .flags = OPAL_MEMORY_MODULE_SLOW_VALID,
    .valid = is_valid,
};
static const opal_memory_base_module_t *without_doubt;

static void use_doubt(void)
{
    ck_assert_uint_eq(opal_memory_base_active_count, 1);
    without_doubt = opal_memory_base_active[0].module;
    opal_memory_base_active[0].module = &doubting;
    resources.in_use_policy = MCA_RCACHE_IN_USE_ABORT;
    make_again();
}

static void use_no_doubt(void)
{
    opal_memory_base_active[0].module = without_doubt;
}

START_TEST(idle_registration_whose_pages_changed_is_made_anew_under_policy_abort)
{
    use_doubt();
    use(0, 1);
    pages_are_the_same = false;
    use(0, 1);
    use_no_doubt();
    ck_assert_int_eq(registrations(), 2);
    ck_assert_uint_eq(stats().invalidated_in_use, 0);
    ck_assert_uint_eq(stats().invalidations[OPAL_MEM_HOOKS_CAUSE_KERNEL], 1);
}
END_TEST

/* A component also says so that could not find out in time. The twin is a release: see below. */
START_TEST(registration_in_use_of_which_a_component_is_not_sure_is_made_anew_under_policy_abort)
{
    use_doubt();
    mca_rcache_base_registration_t *first = get(0, 1, 0, 0);
    pages_are_the_same = false;
    mca_rcache_base_registration_t *second = get(0, 1, 0, 0);
    use_no_doubt();
    ck_assert_ptr_ne(first, second);
    ck_assert_int_eq(registrations(), 2);
    ck_assert_uint_eq(stats().invalidated_in_use, 0);
    put(second);
    put(first);
}
END_TEST

/* A hook that does not get the lock posts the range; whoever has it judges. */
static void post_in_use(bool is_certain)
{
    resources.in_use_policy = MCA_RCACHE_IN_USE_ABORT;
    make_again();
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    grdma_lock(grdma_of(cache));
    if (is_certain) {
        release(0, 1);
    } else {
        opal_mem_hooks_change_hook(AT(0), PAGE, true);
    }
    grdma_unlock(grdma_of(cache));
    put(reg);
}

START_TEST(posted_change_that_may_be_no_release_is_not_judged)
{
    post_in_use(false);
    ck_assert_uint_eq(stats().invalidations[OPAL_MEM_HOOKS_CAUSE_KERNEL], 1);
    ck_assert_uint_eq(stats().invalidated_in_use, 0);
}
END_TEST

START_TEST(posted_release_of_memory_in_use_aborts_under_policy_abort)
{
    post_in_use(true);
}
END_TEST

START_TEST(finalize_with_a_reference_out_does_not_abort_under_policy_abort)
{
    resources.in_use_policy = MCA_RCACHE_IN_USE_ABORT;
    make_again();
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_ERR_RESOURCE_BUSY);
    put(reg);
    ck_assert_int_eq(pinned(), 0);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    fake_library_start();
    make_cache();
}
END_TEST

/* ---- A cache that cannot hear ------------------------------------------------------------------------ */

static int calloc_budget = -1; /* Calls of calloc that still succeed; -1: all. */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    if (calloc_budget == 0) {
        return NULL;
    }
    calloc_budget -= calloc_budget > 0;
    return __real_calloc(count, size);
}

static void does_nothing(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
}

/* After this the next callback needs memory. */
static void fill_the_list_of_callbacks(void)
{
    int rc = OPAL_SUCCESS;
    calloc_budget = 0;
    for (int i = 0; i < 1000 && rc == OPAL_SUCCESS; i++) {
        rc = opal_mem_hooks_register_release(does_nothing, NULL);
        if (rc == OPAL_SUCCESS) {
            ck_assert_int_eq(opal_mem_hooks_unregister_release(does_nothing), OPAL_SUCCESS);
        }
    }
    calloc_budget = -1;
    ck_assert_int_eq(rc, OPAL_ERR_OUT_OF_RESOURCE);
}

static char message[512];

static void keep_message(mca_base_log_level_t level, const char *text, void *arg)
{
    (void) level, (void) arg;
    strncpy(message, text, sizeof(message) - 1);
}

START_TEST(cache_whose_callback_cannot_be_registered_is_not_made)
{
    tear_down(); /* The fixture's cache has registered it already. */
    fake_library_start();
    mca_base_set_log(keep_message, NULL);
    fill_the_list_of_callbacks();
    calloc_budget = 0; /* The cache itself needs none. */
    mca_rcache_base_module_t *deaf = mca_rcache_base_module_create(NULL, NULL, &resources);
    calloc_budget = -1;
    ck_assert_ptr_null(deaf);
    ck_assert_str_ne(message, "");
    make_cache(); /* With memory it goes on. */
    ck_assert(mca_rcache_base_is_caching(cache));
    use(0, 1);
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma_races");
    TCase *tests = tcase_create("races");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, write_to_freed_memory_and_second_free_are_faults);
    tcase_add_test(tests, last_reference_given_back_during_destruction_ends_its_registration_once);
    tcase_add_test(tests, inherited_registrations_are_left_alone);
    if (!under_valgrind()) {
        tcase_add_test(tests, fork_inside_register_mem_leaves_the_registration_to_the_parent);
    }
    tcase_add_test(tests, fork_inside_deregister_mem_leaves_the_child_with_sound_figures);
    tcase_add_test(tests, range_of_all_memory_is_a_bad_parameter);
    tcase_add_test(tests, two_threads_at_a_limit_of_one_share_the_registration_of_a_page);
    tcase_add_test(tests, idle_registration_whose_pages_changed_is_made_anew_under_policy_abort);
    tcase_add_test(tests, registration_in_use_of_which_a_component_is_not_sure_is_made_anew_under_policy_abort);
    tcase_add_test(tests, posted_change_that_may_be_no_release_is_not_judged);
    tcase_add_test_raise_signal(tests, posted_release_of_memory_in_use_aborts_under_policy_abort, SIGABRT);
    tcase_add_test(tests, finalize_with_a_reference_out_does_not_abort_under_policy_abort);
    tcase_add_test(tests, cache_whose_callback_cannot_be_registered_is_not_made);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
