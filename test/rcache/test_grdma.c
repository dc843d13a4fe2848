/* SPDX-License-Identifier: BSD-3-Clause */
/* The cache on one thread: what is found, and what a release does. */
#include "test/rcache/grdma_fixture.h"

/* ---- Lookup ------------------------------------------------------------------------------------- */

START_TEST(second_use_is_a_hit)
{
    use(0, 4);
    use(0, 4);
    ck_assert_int_eq(registrations(), 1);
    ck_assert_uint_eq(stats().hits, 1);
    ck_assert_uint_eq(stats().misses, 1);
}
END_TEST

START_TEST(contained_range_is_a_hit)
{
    use(0, 16);
    use(3, 2);
    use(15, 1);
    ck_assert_int_eq(registrations(), 1);
}
END_TEST

START_TEST(containing_registration_is_found_behind_a_nearer_one)
{
    mca_rcache_base_registration_t *near = get(8, 2, MCA_RCACHE_FLAGS_PERSIST, 0);
    put(get(0, 64, MCA_RCACHE_FLAGS_PERSIST, 0));
    use(30, 4);
    ck_assert_int_eq(registrations(), 2);
    put(near);
}
END_TEST

START_TEST(partly_covered_range_is_a_miss)
{
    use(0, 4);
    use(2, 4);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

START_TEST(unaligned_range_is_rounded_to_pages)
{
    mca_rcache_base_registration_t *reg;
    ck_assert_int_eq(cache->rcache_register(cache, (char *) AT(1) + 100, PAGE, 0, 0, &reg), OPAL_SUCCESS);
    ck_assert_ptr_eq(reg->base, AT(1));
    ck_assert_ptr_eq(reg->bound, (unsigned char *) AT(3) - 1);
    put(reg);
}
END_TEST

START_TEST(bad_parameters_are_refused_and_leave_the_output_alone)
{
    mca_rcache_base_registration_t *reg = (void *) 1;
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), 0, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_register(cache, (void *) (UINTPTR_MAX - 10), 100, 0, 0, &reg),
                     OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), 1, 0x80, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), 1, 0, 0x10, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_ptr_eq(reg, (void *) 1);
    ck_assert_int_eq(atomic_load(&fake.calls), 0);
}
END_TEST

START_TEST(bypass_is_neither_found_nor_kept)
{
    use(0, 4);
    put(get(0, 4, MCA_RCACHE_FLAGS_CACHE_BYPASS, 0));
    ck_assert_int_eq(registrations(), 2);
    ck_assert_int_eq(pinned(), 4);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

START_TEST(find_gives_what_is_there_and_registers_nothing)
{
    mca_rcache_base_registration_t *reg = (void *) 1;
    ck_assert_int_eq(cache->rcache_find(cache, AT(0), PAGE, &reg), OPAL_ERR_NOT_FOUND);
    ck_assert_ptr_null(reg);
    use(0, 4);
    ck_assert_int_eq(cache->rcache_find(cache, AT(1), PAGE, &reg), OPAL_SUCCESS);
    ck_assert_ptr_eq(reg->base, AT(0));
    put(reg);
    ck_assert_int_eq(cache->rcache_find(cache, AT(3), 2 * PAGE, &reg), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(registrations(), 1);
}
END_TEST

START_TEST(weaker_registration_is_replaced_by_the_union)
{
    put(get(0, 8, 0, MCA_RCACHE_ACCESS_REMOTE_READ));
    mca_rcache_base_registration_t *reg = get(2, 2, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    ck_assert_int_eq(reg->access_flags, MCA_RCACHE_ACCESS_REMOTE_READ | MCA_RCACHE_ACCESS_LOCAL_WRITE);
    put(reg);
    put(get(0, 8, 0, MCA_RCACHE_ACCESS_REMOTE_READ));
    ck_assert_int_eq(registrations(), 2);
    ck_assert_int_eq(pinned(), 8);
}
END_TEST

START_TEST(refused_union_falls_back_to_what_was_asked)
{
    put(get(0, 8, 0, MCA_RCACHE_ACCESS_REMOTE_READ));
    fake.fail_at = 2;
    fake.fail_with = OPAL_ERR_BAD_PARAM;
    mca_rcache_base_registration_t *reg = get(2, 2, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    ck_assert_int_eq(reg->access_flags, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    ck_assert_ptr_eq(reg->base, AT(2));
    put(reg);
}
END_TEST

START_TEST(covered_idle_registrations_are_given_up)
{
    use(0, 4);
    use(8, 4);
    use(0, 16);
    ck_assert_int_eq(pinned(), 16);
}
END_TEST

/* ---- Release ------------------------------------------------------------------------------------ */

START_TEST(released_registration_is_not_found_again)
{
    use(0, 4);
    release(1, 1);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
    ck_assert_uint_eq(stats().invalidations[OPAL_MEM_HOOKS_CAUSE_MUNMAP], 1);
}
END_TEST

/* Head, tail, middle, superset; and neighbours, which stay. */
START_TEST(every_overlap_counts_and_no_neighbour)
{
    static const struct {
        long page, pages;
        int hits;
    } cases[] = {
        { 4, 4, 0 }, { 4, 1, 0 }, { 7, 1, 0 }, { 5, 2, 0 }, { 0, 16, 0 }, { 3, 2, 0 },
        { 7, 5, 0 }, { 0, 4, 1 }, { 8, 4, 1 }, { 3, 1, 1 }, { 8, 1, 1 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        use(4, 4);
        uint64_t hits = stats().hits;
        release(cases[i].page, cases[i].pages);
        use(4, 4);
        ck_assert_int_eq((int) (stats().hits - hits), cases[i].hits);
        release(0, 100);
    }
}
END_TEST

START_TEST(release_in_the_same_page_counts_although_the_bytes_differ)
{
    mca_rcache_base_registration_t *reg;
    ck_assert_int_eq(cache->rcache_register(cache, (char *) AT(0) + 3000, 100, 0, 0, &reg), OPAL_SUCCESS);
    put(reg);
    opal_mem_hooks_release_hook(AT(0), 10, true);
    ck_assert_int_eq(cache->rcache_find(cache, (char *) AT(0) + 3000, 100, &reg), OPAL_ERR_NOT_FOUND);
}
END_TEST

START_TEST(idle_registration_is_unpinned_at_the_next_call)
{
    use(0, 4);
    release(0, 1);
    ck_assert_int_eq(pinned(), 4);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(idle_registration_is_unpinned_inside_a_safe_hook)
{
    resources.flags = MCA_RCACHE_RESOURCES_HOOK_SAFE;
    make_again();
    use(0, 4);
    use(8, 4);
    release(0, 1);
    ck_assert_int_eq(pinned(), 4);
    ck_assert_uint_eq(stats().unpinned_in_hook, 1);
    ck_assert_uint_eq(stats().bytes, 4 * PAGE);
}
END_TEST

START_TEST(registration_in_use_stays_until_it_is_given_back)
{
    mca_rcache_base_registration_t *reg = get(0, 4, 0, 0);
    mca_rcache_base_registration_t *again = get(1, 1, 0, 0);
    ck_assert_ptr_eq(reg, again);
    release(0, 4);
    ck_assert((reg->flags & MCA_RCACHE_FLAGS_INVALID) != 0);
    ck_assert_uint_eq(stats().invalidated_in_use, 1);
    mca_rcache_base_registration_t *fresh = get(0, 4, 0, 0);
    ck_assert_ptr_ne(fresh, reg);
    ck_assert_int_eq(pinned(), 8);
    put(again);
    ck_assert_int_eq(pinned(), 8);
    put(reg);
    ck_assert_int_eq(pinned(), 4);
    put(fresh);
}
END_TEST

START_TEST(everything_is_dropped_when_everything_may_have_changed)
{
    use(0, 4);
    use(1000, 4);
    opal_mem_hooks_release_hook(NULL, SIZE_MAX, true);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(invalidate_range_by_hand_drops)
{
    use(0, 4);
    ck_assert_int_eq(cache->rcache_invalidate_range(cache, (char *) AT(3) + 5, 1), OPAL_SUCCESS);
    ck_assert_int_eq(cache->rcache_invalidate_range(cache, AT(0), 0), OPAL_SUCCESS);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

static void release_first_time(fake_provider_t *provider, void *base, size_t size)
{
    if (atomic_load(&provider->registered) == 1) {
        opal_mem_hooks_release_hook(base, size, true);
    }
}

START_TEST(memory_released_while_it_is_being_registered_is_registered_again)
{
    fake.during = release_first_time;
    mca_rcache_base_registration_t *reg = get(0, 4, 0, 0);
    ck_assert_int_eq(((fake_registration_t *) reg)->serial, 2);
    ck_assert_int_eq(reg->flags & MCA_RCACHE_FLAGS_INVALID, 0);
    ck_assert_uint_eq(stats().retries, 1);
    put(reg);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

static void release_every_time(fake_provider_t *provider, void *base, size_t size)
{
    (void) provider;
    opal_mem_hooks_release_hook(base, size, true);
}

START_TEST(memory_released_again_and_again_is_given_up)
{
    mca_rcache_base_registration_t *reg = (void *) 1;
    fake.during = release_every_time;
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), PAGE, 0, 0, &reg), OPAL_ERR_RESOURCE_BUSY);
    ck_assert_ptr_eq(reg, (void *) 1);
    ck_assert_int_eq(pinned(), 0);
    ck_assert_uint_eq(stats().count, 0);
}
END_TEST

/* A provider whose deregistration frees memory, as malloc-using ones do. */
static void releases_more(fake_provider_t *provider)
{
    (void) provider;
    release(100, 1);
}

START_TEST(provider_that_releases_memory_while_deregistering_is_no_problem)
{
    fake.at_end = releases_more;
    use(0, 4);
    use(100, 2);
    release(0, 4);
    mca_rcache_base_progress();
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma");
    TCase *tests = tcase_create("lookup and release");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, second_use_is_a_hit);
    tcase_add_test(tests, contained_range_is_a_hit);
    tcase_add_test(tests, containing_registration_is_found_behind_a_nearer_one);
    tcase_add_test(tests, partly_covered_range_is_a_miss);
    tcase_add_test(tests, unaligned_range_is_rounded_to_pages);
    tcase_add_test(tests, bad_parameters_are_refused_and_leave_the_output_alone);
    tcase_add_test(tests, bypass_is_neither_found_nor_kept);
    tcase_add_test(tests, find_gives_what_is_there_and_registers_nothing);
    tcase_add_test(tests, weaker_registration_is_replaced_by_the_union);
    tcase_add_test(tests, refused_union_falls_back_to_what_was_asked);
    tcase_add_test(tests, covered_idle_registrations_are_given_up);
    tcase_add_test(tests, released_registration_is_not_found_again);
    tcase_add_test(tests, every_overlap_counts_and_no_neighbour);
    tcase_add_test(tests, release_in_the_same_page_counts_although_the_bytes_differ);
    tcase_add_test(tests, idle_registration_is_unpinned_at_the_next_call);
    tcase_add_test(tests, idle_registration_is_unpinned_inside_a_safe_hook);
    tcase_add_test(tests, registration_in_use_stays_until_it_is_given_back);
    tcase_add_test(tests, everything_is_dropped_when_everything_may_have_changed);
    tcase_add_test(tests, invalidate_range_by_hand_drops);
    tcase_add_test(tests, memory_released_while_it_is_being_registered_is_registered_again);
    tcase_add_test(tests, memory_released_again_and_again_is_given_up);
    tcase_add_test(tests, provider_that_releases_memory_while_deregistering_is_no_problem);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
