/* SPDX-License-Identifier: BSD-3-Clause */
/* The cache on one thread: limits, stuck windows, fork, creation and end. */
#include <sys/wait.h>
#include <unistd.h>

#include "test/rcache/grdma_fixture.h"

/* ---- Limits ------------------------------------------------------------------------------------- */

START_TEST(count_limit_is_exact_and_evicts_the_least_recently_used)
{
    resources.max_count = 3;
    make_again();
    use(0, 1);
    use(10, 1);
    use(20, 1);
    use(0, 1);
    use(30, 1); /* In place of 10. */
    ck_assert_int_eq(pinned(), 3);
    ck_assert_uint_eq(stats().evictions, 1);
    use(0, 1);
    use(20, 1);
    use(30, 1);
    ck_assert_uint_eq(stats().hits, 4);
    use(10, 1);
    ck_assert_uint_eq(stats().misses, 5);
    ck_assert_uint_eq(stats().peak_count, 3);
}
END_TEST

START_TEST(byte_limit_is_exact)
{
    resources.max_bytes = 8 * PAGE;
    make_again();
    use(0, 4);
    use(10, 4);
    ck_assert_int_eq(pinned(), 8);
    ck_assert_uint_eq(stats().evictions, 0);
    use(20, 1);
    ck_assert_int_eq(pinned(), 5);
    ck_assert_uint_eq(stats().peak_bytes, 8 * PAGE);
}
END_TEST

START_TEST(limit_without_anything_idle_is_out_of_resource)
{
    mca_rcache_base_registration_t *reg = (void *) 1;
    resources.max_count = 1;
    resources.max_bytes = 8 * PAGE;
    make_again();
    mca_rcache_base_registration_t *held = get(0, 1, 0, 0);
    ck_assert_int_eq(cache->rcache_register(cache, AT(10), PAGE, 0, 0, &reg), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(cache->rcache_register(cache, AT(10), PAGE, MCA_RCACHE_FLAGS_CACHE_BYPASS, 0, &reg),
                     OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_ptr_eq(reg, (void *) 1);
    put(held);
    ck_assert_int_eq(cache->rcache_register(cache, AT(10), 9 * PAGE, 0, 0, &reg), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(pinned(), 1);
    use(10, 1);
}
END_TEST

START_TEST(limit_of_the_provider_evicts_too)
{
    fake.capacity = 2;
    use(0, 1);
    use(10, 1);
    use(20, 1);
    ck_assert_int_eq(pinned(), 2);
    ck_assert_uint_eq(stats().evictions, 1);
}
END_TEST

START_TEST(evict_takes_idle_ones_only)
{
    mca_rcache_base_registration_t *held = get(0, 1, 0, 0);
    use(10, 1);
    put(get(20, 1, MCA_RCACHE_FLAGS_PERSIST, 0));
    ck_assert(cache->rcache_evict(cache));
    ck_assert(!cache->rcache_evict(cache));
    ck_assert_int_eq(pinned(), 2);
    put(held);
}
END_TEST

START_TEST(persistent_registration_stays_until_it_is_released)
{
    put(get(0, 1, MCA_RCACHE_FLAGS_PERSIST, 0));
    ck_assert_int_eq(pinned(), 1);
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

/* ---- Windows ------------------------------------------------------------------------------------ */

/* Registered while a release may be between its callbacks and its system call. @return Would the next one find it? */
static bool is_kept_for_the_next_one(void)
{
    mca_rcache_base_registration_t *reg = get(0, 4, 0, 0), *found = NULL;
    const int rc = cache->rcache_find(cache, AT(0), PAGE, &found);
    ck_assert(rc == OPAL_SUCCESS || rc == OPAL_ERR_NOT_FOUND);
    if (rc == OPAL_SUCCESS) {
        put(found);
    }
    put(reg);
    return rc == OPAL_SUCCESS;
}

/* A release of another thread between its callbacks and its system call is shown by test_grdma_threads;
 * here the window is one that nobody ever closes. */
START_TEST(stuck_window_makes_a_registration_that_is_used_once)
{
    opal_mem_hooks_window_t window;
    const opal_mem_hooks_range_t range = { (uintptr_t) AT(0), PAGE };
    opal_mem_hooks_window_open(&window, &range, 1, OPAL_MEM_HOOKS_CAUSE_MUNMAP, true);
    ck_assert(!is_kept_for_the_next_one());
    ck_assert_int_eq(pinned(), 0);
    use(2, 1); /* Not in the window. */
    ck_assert_int_eq(pinned(), 1);
    opal_mem_hooks_window_close(&window);
}
END_TEST

/* The twin: without the window the same registration is kept, although the release's system call is still to come. */
START_TEST(without_the_window_it_is_kept_and_stale)
{
    opal_mem_hooks_release_cause(AT(0), PAGE, true, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
    ck_assert(is_kept_for_the_next_one());
    ck_assert_int_eq(pinned(), 4);
}
END_TEST

/* ---- Life --------------------------------------------------------------------------------------- */

START_TEST(cache_with_references_out_unpins_with_the_last_one)
{
    mca_rcache_base_module_t *first = cache;
    mca_rcache_base_registration_t *reg = get(0, 4, 0, 0);
    use(10, 1);
    ck_assert_int_eq(mca_rcache_base_module_destroy(first), OPAL_ERR_RESOURCE_BUSY);
    ck_assert_int_eq(pinned(), 4);
    ck_assert_int_eq(first->rcache_deregister(first, reg), OPAL_SUCCESS);
    ck_assert_int_eq(pinned(), 0);
    ck_assert_int_eq(mca_rcache_base_module_destroy(first), OPAL_ERR_BAD_PARAM);
    make_cache();
}
END_TEST

START_TEST(finalize_with_a_cache_left_says_so_and_stops_caching)
{
    use(0, 1);
    ck_assert_int_eq(opalmem_finalize(), OPAL_ERR_RESOURCE_BUSY);
    ck_assert_int_eq(pinned(), 0);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    fake_library_start();
    make_cache();
}
END_TEST

START_TEST(thousand_caches_come_and_go)
{
    static mca_rcache_base_module_t *caches[1000];
    const long count = 2 * test_rounds(500);
    for (long i = 0; i < count; i++) {
        mca_rcache_base_registration_t *reg;
        caches[i] = mca_rcache_base_module_create("grdma", NULL, &resources);
        ck_assert_ptr_nonnull(caches[i]);
        ck_assert_int_eq(caches[i]->rcache_register(caches[i], AT(i % 2), PAGE, 0, 0, &reg), OPAL_SUCCESS);
        ck_assert_int_eq(caches[i]->rcache_deregister(caches[i], reg), OPAL_SUCCESS);
    }
    ck_assert_int_eq(pinned(), count);
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), count / 2);
    for (long i = 0; i < count; i++) {
        ck_assert_int_eq(mca_rcache_base_module_destroy(caches[i]), OPAL_SUCCESS);
    }
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(fork_child_begins_empty_and_leaves_the_parents_alone)
{
    use(0, 4);
    mca_rcache_base_registration_t *held = get(10, 1, 0, 0);
    pid_t pid = fork();
    if (pid == 0) {
        long before = atomic_load(&fake.deregistered), calls = atomic_load(&fake.calls);
        mca_rcache_base_registration_t *reg;
        bool good = cache->rcache_find(cache, AT(0), PAGE, &reg) == OPAL_ERR_NOT_FOUND;
        good = cache->rcache_deregister(cache, held) == OPAL_SUCCESS && good;
        release(10, 1);
        mca_rcache_base_progress();
        good = atomic_load(&fake.deregistered) == before && fake.after_fork_calls == 1 && good;
        good = cache->rcache_register(cache, AT(0), PAGE, 0, 0, &reg) == OPAL_SUCCESS && good;
        good =
            atomic_load(&fake.calls) == calls + 1 && cache->rcache_deregister(cache, reg) == OPAL_SUCCESS && good;
        good = mca_rcache_base_module_destroy(cache) == OPAL_SUCCESS && good;
        _exit(good && atomic_load(&fake.deregistered) == before + 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    put(held);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

/* ---- Creation ----------------------------------------------------------------------------------- */

static char message[512];

static void keep_message(mca_base_log_level_t level, const char *text, void *arg)
{
    (void) level, (void) arg;
    strncpy(message, text, sizeof(message) - 1);
}

static void create_fails(const char *name, mca_rcache_base_resources_t *what, const char *expected)
{
    mca_base_set_log(keep_message, NULL);
    ck_assert_ptr_null(mca_rcache_base_module_create(name, NULL, what));
    ck_assert_msg(strstr(message, expected) != NULL, "\"%s\" lacks \"%s\"", message, expected);
}

START_TEST(bad_creation_is_explained)
{
    mca_rcache_base_resources_t bad = resources;
    create_fails("nosuch", &resources, "nosuch");
    create_fails(NULL, NULL, "register_mem");
    bad.sizeof_reg = 1;
    create_fails(NULL, &bad, "sizeof_reg is smaller");
    bad.sizeof_reg = MCA_RCACHE_MAX_SIZEOF_REG + 1;
    create_fails(NULL, &bad, "sizeof_reg is larger than 65536");
    opal_mem_hooks_set_support(0);
    setenv("OPALMEM_MCA_rcache_base_leave_pinned", "1", 1);
    tear_down();
    fake_library_start();
    opal_mem_hooks_set_support(0);
    create_fails(NULL, &resources, "leave_pinned");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    create_fails(NULL, &resources, "opalmem_init");
    unsetenv("OPALMEM_MCA_rcache_base_leave_pinned");
    fake_library_start();
    make_cache();
}
END_TEST

START_TEST(without_hooks_nothing_is_kept)
{
    opal_mem_hooks_set_support(0);
    make_again();
    ck_assert(!mca_rcache_base_is_caching(cache));
    use(0, 4);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(in_use_policy_abort_aborts)
{
    resources.in_use_policy = MCA_RCACHE_IN_USE_ABORT;
    make_again();
    get(0, 1, 0, 0);
    release(0, 1);
}
END_TEST

START_TEST(in_use_policy_warn_warns_once_a_place)
{
    resources.in_use_policy = MCA_RCACHE_IN_USE_WARN;
    make_again();
    mca_base_set_log(keep_message, NULL);
    for (volatile int i = 0; i < 2; i++) { /* Not unrolled: one place. */
        mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
        release(0, 1);
        ck_assert_str_eq(message, "");
        put(reg);
        ck_assert_int_eq(strstr(message, "fake") != NULL, i == 0);
        message[0] = '\0';
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma_life");
    TCase *tests = tcase_create("limits and life");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, count_limit_is_exact_and_evicts_the_least_recently_used);
    tcase_add_test(tests, byte_limit_is_exact);
    tcase_add_test(tests, limit_without_anything_idle_is_out_of_resource);
    tcase_add_test(tests, limit_of_the_provider_evicts_too);
    tcase_add_test(tests, evict_takes_idle_ones_only);
    tcase_add_test(tests, persistent_registration_stays_until_it_is_released);
    tcase_add_test(tests, stuck_window_makes_a_registration_that_is_used_once);
    tcase_add_test(tests, without_the_window_it_is_kept_and_stale);
    tcase_add_test(tests, cache_with_references_out_unpins_with_the_last_one);
    tcase_add_test(tests, finalize_with_a_cache_left_says_so_and_stops_caching);
    tcase_add_test(tests, thousand_caches_come_and_go);
    tcase_add_test(tests, fork_child_begins_empty_and_leaves_the_parents_alone);
    tcase_add_test(tests, bad_creation_is_explained);
    tcase_add_test(tests, without_hooks_nothing_is_kept);
    tcase_add_test_raise_signal(tests, in_use_policy_abort_aborts, 6);
    tcase_add_test(tests, in_use_policy_warn_warns_once_a_place);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
