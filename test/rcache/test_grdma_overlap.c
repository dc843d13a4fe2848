/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges that overlap: what a new registration does with those that are there, by policy. */
#include <stdlib.h>

#include "test/rcache/grdma_fixture.h"

static void begin(void)
{
    setenv("OPALMEM_MCA_rcache_base_overlap", "merge", 1);
    set_up();
}

static void begin_coexisting(void)
{
    setenv("OPALMEM_MCA_rcache_base_overlap", "coexist", 1);
    set_up();
}

static long length_of(const mca_rcache_base_registration_t *reg)
{
    return (reg->bound + 1 - reg->base) / (long) PAGE;
}

START_TEST(idle_one_is_replaced_by_the_union)
{
    use(0, 4);
    put(get(2, 4, 0, 0));
    ck_assert_int_eq(registrations(), 2);
    ck_assert_int_eq(pinned(), 6);
    ck_assert_uint_eq(stats().merges, 1);
    use(0, 6);
    use(1, 3);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

START_TEST(several_are_replaced_at_once)
{
    use(0, 2);
    use(3, 2);
    use(6, 2);
    use(1, 6);
    ck_assert_int_eq(pinned(), 8);
    ck_assert_uint_eq(stats().count, 1);
    ck_assert_uint_eq(stats().merges, 3);
}
END_TEST

START_TEST(neighbour_without_a_common_page_stays)
{
    use(0, 2);
    use(2, 2);
    ck_assert_uint_eq(stats().count, 2);
    ck_assert_uint_eq(stats().merges, 0);
}
END_TEST

START_TEST(one_that_overlaps_the_union_alone_stays)
{
    use(0, 4);
    mca_rcache_base_registration_t *reg = get(2, 4, 0, 0); /* 0 to 5, in use. */
    ck_assert_int_eq(length_of(reg), 6);
    use(5, 3); /* 5 to 7. */
    put(reg);
    use(7, 2); /* 5 to 8; 0 to 5 overlaps that, but not what was asked for. */
    ck_assert_uint_eq(stats().count, 2);
    ck_assert_int_eq(pinned(), 6 + 4);
}
END_TEST

START_TEST(one_in_use_stays)
{
    mca_rcache_base_registration_t *reg = get(0, 4, 0, 0);
    use(2, 4);
    ck_assert_int_eq(pinned(), 8);
    put(reg);
    ck_assert_uint_eq(stats().count, 2);
}
END_TEST

START_TEST(persistent_one_stays)
{
    put(get(0, 4, MCA_RCACHE_FLAGS_PERSIST, 0));
    use(2, 4);
    ck_assert_int_eq(pinned(), 8);
}
END_TEST

START_TEST(union_grants_the_rights_of_all)
{
    put(get(0, 4, 0, MCA_RCACHE_ACCESS_REMOTE_READ));
    mca_rcache_base_registration_t *reg = get(2, 4, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    ck_assert_int_eq(reg->access_flags, MCA_RCACHE_ACCESS_REMOTE_READ | MCA_RCACHE_ACCESS_LOCAL_WRITE);
    put(reg);
}
END_TEST

START_TEST(where_the_union_is_refused_the_exact_range_is_registered)
{
    use(0, 4);
    fake.fail_at = 2;
    fake.fail_with = OPAL_ERR_PERM;
    mca_rcache_base_registration_t *reg = get(2, 4, 0, 0);
    ck_assert_int_eq(length_of(reg), 4);
    put(reg);
    ck_assert_int_eq(pinned(), 8);
    ck_assert_uint_eq(stats().count, 2);
}
END_TEST

START_TEST(where_the_union_is_more_than_the_limit_the_exact_range_is_registered)
{
    resources.max_bytes = 5 * PAGE;
    make_again();
    use(0, 4);
    mca_rcache_base_registration_t *reg = get(2, 4, 0, 0);
    ck_assert_int_eq(length_of(reg), 4);
    put(reg);
    ck_assert_int_eq(pinned(), 4); /* The first one gave way. */
    resources.max_bytes = 0;
}
END_TEST

static long most; /* Pages that the provider registers, at most. */

static int register_up_to_most(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    fake_provider_t *provider = reg_data;

    return atomic_load(&provider->bytes) + (long) size > most * (long) PAGE
               ? OPAL_ERR_OUT_OF_RESOURCE
               : fake_resources(provider).register_mem(reg_data, base, size, reg);
}

/* The limit is the cache's, or the provider's. Three pages are registered; the union of those from 0 to 1 with those from 1 to 2 takes
 * three more, what is asked for two. */
static void use_one_and_another(bool is_limit_of_provider, long limit)
{
    if (is_limit_of_provider) {
        most = limit;
        resources.register_mem = register_up_to_most;
    } else {
        resources.max_bytes = (size_t) limit * PAGE;
    }
    make_again();
    use(20, 1);
    use(0, 2);
    use(1, 2);
}

START_TEST(where_only_the_exact_range_fits_nothing_is_evicted_for_the_union)
{
    use_one_and_another(_i == 1, 5);
    ck_assert_int_eq(pinned(), 5);
    ck_assert_uint_eq(stats().count, 3);
    ck_assert_uint_eq(stats().evictions, 0);
    ck_assert_uint_eq(stats().merges, 0);
}
END_TEST

START_TEST(where_the_union_fits_it_is_made)
{
    use_one_and_another(_i == 1, 6);
    ck_assert_int_eq(pinned(), 4);
    ck_assert_uint_eq(stats().merges, 1);
}
END_TEST

START_TEST(where_the_exact_range_does_not_fit_either_others_are_evicted)
{
    use_one_and_another(_i == 1, 4);
    ck_assert_int_le(pinned(), 4);
    ck_assert_uint_ge(stats().evictions, 1);
    use(1, 2);
    ck_assert_uint_eq(stats().hits, 1);
}
END_TEST

START_TEST(union_is_dropped_with_any_of_its_pages)
{
    use(0, 4);
    use(2, 4);
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(under_coexist_both_stay)
{
    use(0, 4);
    use(2, 4);
    ck_assert_int_eq(pinned(), 8);
    ck_assert_uint_eq(stats().merges, 0);
    use(0, 4);
    use(2, 4);
    ck_assert_int_eq(registrations(), 2);
    use(0, 6); /* Covers both. */
    ck_assert_int_eq(pinned(), 6);
    ck_assert_uint_eq(stats().merges, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma_overlap");
    TCase *merging = tcase_create("merge"), *coexisting = tcase_create("coexist");
    tcase_add_checked_fixture(merging, begin, tear_down);
    tcase_add_checked_fixture(coexisting, begin_coexisting, tear_down);
    tcase_add_test(merging, idle_one_is_replaced_by_the_union);
    tcase_add_test(merging, several_are_replaced_at_once);
    tcase_add_test(merging, neighbour_without_a_common_page_stays);
    tcase_add_test(merging, one_that_overlaps_the_union_alone_stays);
    tcase_add_test(merging, one_in_use_stays);
    tcase_add_test(merging, persistent_one_stays);
    tcase_add_test(merging, union_grants_the_rights_of_all);
    tcase_add_test(merging, where_the_union_is_refused_the_exact_range_is_registered);
    tcase_add_test(merging, where_the_union_is_more_than_the_limit_the_exact_range_is_registered);
    tcase_add_loop_test(merging, where_only_the_exact_range_fits_nothing_is_evicted_for_the_union, 0, 2);
    tcase_add_loop_test(merging, where_the_union_fits_it_is_made, 0, 2);
    tcase_add_loop_test(merging, where_the_exact_range_does_not_fit_either_others_are_evicted, 0, 2);
    tcase_add_test(merging, union_is_dropped_with_any_of_its_pages);
    tcase_add_test(coexisting, under_coexist_both_stay);
    suite_add_tcase(suite, merging);
    suite_add_tcase(suite, coexisting);
    return test_run(suite);
}
