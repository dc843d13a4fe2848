/* SPDX-License-Identifier: BSD-3-Clause */
/* Releases that hooks cannot handle at once, more of them than there is room for; and what the cache's figures say of what seldom
 * happens. */
#include <time.h>

#include "rcache/grdma/grdma.h"
#include "test/rcache/grdma_fixture.h"

#define FAR 1000 /* A page that no test releases. */

/* As many releases, of every other page, while somebody has the lock. */
static void release_under_the_lock(long count)
{
    for (long i = 0; i < count; i++) {
        use(2 * i, 1);
    }
    use(FAR, 1);
    grdma_lock(grdma_of(cache));
    for (long i = 0; i < count; i++) {
        release(2 * i, 1);
    }
    grdma_unlock(grdma_of(cache));
}

static bool is_hit(long page)
{
    const long before = registrations();

    use(page, 1);
    return registrations() == before;
}

START_TEST(releases_while_the_lock_is_held_are_handled_one_by_one)
{
    release_under_the_lock(GRDMA_PENDING_CELLS);
    for (long i = 0; i < GRDMA_PENDING_CELLS; i++) {
        ck_assert(!is_hit(2 * i));
    }
    ck_assert(is_hit(FAR));
    ck_assert_uint_eq(stats().queue_overflows, 0);
    ck_assert_uint_eq(stats().invalidations[OPAL_MEM_HOOKS_CAUSE_MUNMAP], GRDMA_PENDING_CELLS);
}
END_TEST

START_TEST(more_of_them_than_there_is_room_for_end_everything)
{
    release_under_the_lock(GRDMA_PENDING_CELLS + 3);
    for (long i = 0; i < GRDMA_PENDING_CELLS + 3; i++) {
        ck_assert(!is_hit(2 * i));
    }
    ck_assert(!is_hit(FAR));
    ck_assert_uint_eq(stats().queue_overflows, 1);
    ck_assert(is_hit(FAR)); /* And then all goes on as before. */
    release(FAR, 1);
    ck_assert(!is_hit(FAR));
    ck_assert_uint_eq(stats().queue_overflows, 1);
}
END_TEST

START_TEST(what_is_registered_for_one_use_is_counted)
{
    put(get(0, 1, MCA_RCACHE_FLAGS_CACHE_BYPASS, 0));
    use(0, 1);
    use(0, 1);
    ck_assert_uint_eq(stats().bypasses, 1);
    ck_assert_uint_eq(stats().misses, 2);
    ck_assert_uint_eq(stats().hits, 1);
}
END_TEST

/* ---- Errors of the provider ------------------------------------------------------------------------ */

static int (*real_deregister)(void *reg_data, mca_rcache_base_registration_t *reg);

static int deregister_and_fail(void *reg_data, mca_rcache_base_registration_t *reg)
{
    const int rc = real_deregister(reg_data, reg);

    return rc == OPAL_SUCCESS ? OPAL_ERROR : rc;
}

START_TEST(registering_that_fails_is_an_error_of_the_provider)
{
    mca_rcache_base_registration_t *reg;

    fake.fail_at = 2;
    fake.fail_with = OPAL_ERR_NOT_SUPPORTED;
    use(0, 1);
    ck_assert_uint_eq(stats().provider_errors, 0);
    ck_assert_int_eq(mca_rcache_base_register(cache, AT(1), PAGE, 0, 0, &reg), OPAL_ERR_NOT_SUPPORTED);
    ck_assert_uint_eq(stats().provider_errors, 1);
    use(1, 1);
    ck_assert_uint_eq(stats().provider_errors, 1);
}
END_TEST

/* 0: with the next call; else inside the release. */
START_TEST(deregistering_that_fails_is_an_error_of_the_provider)
{
    real_deregister = resources.deregister_mem;
    resources.deregister_mem = deregister_and_fail;
    resources.flags |= _i != 0 ? MCA_RCACHE_RESOURCES_HOOK_SAFE : 0;
    make_again();
    use(0, 1);
    release(0, 1);
    use(FAR, 1);
    ck_assert_int_eq(atomic_load(&fake.deregistered), 1);
    ck_assert_uint_eq(stats().provider_errors, 1);
}
END_TEST

/* ---- From release to deregistration ------------------------------------------------------------------ */

static uint64_t noted(void)
{
    const mca_rcache_base_stats_t now = stats();
    uint64_t sum = 0;

    for (int i = 0; i < MCA_RCACHE_STATS_LATENCIES; i++) {
        sum += now.unpin_ns[i];
    }
    return sum;
}

START_TEST(what_ends_inside_the_release_takes_no_time)
{
    resources.flags |= MCA_RCACHE_RESOURCES_HOOK_SAFE;
    make_again();
    use(0, 1);
    use(1, 1);
    release(0, 2);
    ck_assert_int_eq(pinned(), 0);
    ck_assert_uint_eq(stats().unpin_ns[0], 2);
    ck_assert_uint_eq(stats().unpinned_in_hook, 2);
    ck_assert_uint_eq(noted(), 2);
}
END_TEST

static void sleep_ms(long ms)
{
    const struct timespec time = { 0, ms * 1000000 };

    nanosleep(&time, NULL);
}

START_TEST(what_is_in_use_takes_as_long_as_it_is_used)
{
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);

    release(0, 1);
    ck_assert_uint_eq(noted(), 0);
    sleep_ms(20);
    put(reg);
    ck_assert_int_eq(pinned(), 0);
    ck_assert_uint_eq(noted(), 1);
    /* 2^24 ns are 17 ms; the clock may be a coarse one. */
    for (int i = 0; i <= 22; i++) {
        ck_assert_uint_eq(stats().unpin_ns[i], 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma: figures");
    TCase *tests = tcase_create("figures");

    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, releases_while_the_lock_is_held_are_handled_one_by_one);
    tcase_add_test(tests, more_of_them_than_there_is_room_for_end_everything);
    tcase_add_test(tests, what_is_registered_for_one_use_is_counted);
    tcase_add_test(tests, registering_that_fails_is_an_error_of_the_provider);
    tcase_add_loop_test(tests, deregistering_that_fails_is_an_error_of_the_provider, 0, 2);
    tcase_add_test(tests, what_ends_inside_the_release_takes_no_time);
    tcase_add_test(tests, what_is_in_use_takes_as_long_as_it_is_used);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
