/* SPDX-License-Identifier: BSD-3-Clause */
/* Hits without the lock: hints, references of several threads, and what the clock spares. */
#include <pthread.h>

#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_self.h"
#include "test/rcache/grdma_fixture.h"

static const grdma_module_t *inside(void)
{
    return (const grdma_module_t *) (const void *) cache;
}

static uint64_t slow_hits(void)
{
    return atomic_load(&grdma_block_of(inside())->counters->slow_hits);
}

/* ---- Hints ---------------------------------------------------------------------------------------- */

#define MANY 5000

START_TEST(tables_grow_with_the_cache_and_lose_nothing)
{
    const grdma_hints_t *first = atomic_load(&inside()->hints);
    for (long i = 0; i < MANY; i++) {
        use(2 * i, 1);
    }
    ck_assert_ptr_ne(atomic_load(&inside()->hints), first);
    for (long i = 0; i < MANY; i++) {
        use(2 * ((i * 1237) % MANY), 1);
    }
    ck_assert_int_eq(registrations(), MANY);
    ck_assert_uint_eq(stats().hits, MANY);
    ck_assert_uint_lt(slow_hits(), MANY / 20);
}
END_TEST

/* At 451 pages, three of four had no room in their buckets with a hash that only multiplies. */
static const long distances[] = { 1, 17, 101, 16, 33, 64, 72, 451, 513, 4096, 65536 };
#define DISTANCES ((int) (sizeof(distances) / sizeof(distances[0])))
#define NEAR 7 /* Rows that lie in what the fixture maps, if it has to. */

START_TEST(rows_at_any_distance_are_found_by_hints)
{
    const long row = 1000, distance = distances[_i],
               beginning = fake_memory_must_be_mapped() || _i % 2 == 0 ? 0 : 0x2a1234567;

    for (long i = 0; i < 2 * row; i++) {
        use(beginning + i % row * distance, 1);
    }
    ck_assert_int_eq(registrations(), row);
    ck_assert_uint_eq(stats().hits, (uint64_t) row);
    ck_assert_uint_lt(slow_hits(), (uint64_t) row / 50);
}
END_TEST

static int distances_here(void)
{
    const int few = 2 + (int) test_rounds(DISTANCES - 2);

    return fake_memory_must_be_mapped() && few > NEAR ? NEAR : few;
}

/* Pages whose hints belong into one bucket, as long as the table does not grow. */
static long next_of_bucket(long page)
{
    const grdma_hints_t *hints = atomic_load(&inside()->hints);

    do {
        page++;
    } while (grdma_hint_hash((uintptr_t) AT(page), 0) >> hints->shift
             != grdma_hint_hash((uintptr_t) AT(0), 0) >> hints->shift);
    return page;
}

static void use_of_one_bucket(int pages)
{
    for (int round = 0; round < 2; round++) {
        for (long i = 0, page = 0; i < pages; i++, page = next_of_bucket(page)) {
            use(page, 1);
        }
    }
    ck_assert_int_eq(registrations(), pages);
    ck_assert_uint_eq(stats().hits, (uint64_t) pages);
}

START_TEST(what_a_bucket_has_no_room_for_is_in_the_other_half_of_the_line)
{
    use_of_one_bucket(2 * GRDMA_HINT_BUCKET);
    ck_assert_uint_eq(slow_hits(), 0);
}
END_TEST

/* The twin of the one before. */
START_TEST(what_a_line_has_no_room_for_takes_the_lock)
{
    use_of_one_bucket(2 * GRDMA_HINT_BUCKET + 1);
    ck_assert_uint_gt(slow_hits(), 0);
}
END_TEST

/* Pages inside of a registration whose hints belong into one bucket, which is not that of its beginning. */
static long next_inside(long page)
{
    const grdma_hints_t *hints = atomic_load(&inside()->hints);
    const uint64_t bucket = grdma_hint_hash((uintptr_t) AT(1), 0) >> hints->shift;

    ck_assert_uint_ne(bucket >> 1, grdma_hint_hash((uintptr_t) AT(0), 0) >> hints->shift >> 1);
    do {
        page++;
    } while (grdma_hint_hash((uintptr_t) AT(page), 0) >> hints->shift != bucket);
    return page;
}

START_TEST(hints_to_places_inside_do_not_drive_each_other_out_for_good)
{
    const long length = 511, turns = 100; /* No block of 2 MiB is inside. */
    long page = 1;

    use(0, length);
    for (int i = 0; i < 2 * GRDMA_HINT_BUCKET; i++, page = next_inside(page)) {
        use(page, 1);
    }
    const long a = page, b = next_inside(a);
    ck_assert_int_lt(b, length);
    const uint64_t before = slow_hits();
    for (long i = 0; i < turns; i++) {
        use(a, 1);
        use(b, 1);
    }
    ck_assert_int_eq(registrations(), 1);
    ck_assert_uint_gt(slow_hits(), before);
    ck_assert_uint_lt(slow_hits() - before, (uint64_t) turns / 2);
}
END_TEST

/* Ids are used again at once: so the hints of what is over soon lead to what is in use elsewhere. */
START_TEST(hints_of_what_is_in_use_find_room_among_those_of_the_past)
{
    const long kept = 48, past = 1000 + test_rounds(19000), rounds = 20;

    resources.max_count = 64;
    make_again();
    for (long i = 0; i < past; i++) {
        use(3 * i, 1);
    }
    const uint64_t before = slow_hits();
    for (long i = 0; i < rounds * kept; i++) {
        use(3 * (past - 1 - i % kept), 1);
    }
    ck_assert_uint_eq(stats().hits, (uint64_t) (rounds * kept));
    ck_assert_uint_lt(slow_hits() - before, (uint64_t) kept / 8);
}
END_TEST

/* The provider is none that hooks may call. */
START_TEST(lookup_after_a_large_release_ends_a_part_of_it)
{
    for (long i = 0; i < MANY; i++) {
        use(2 * i, 1);
    }
    use(2 * MANY, 1);
    release(0, 2 * MANY);
    ck_assert_int_eq(pinned(), MANY + 1);
    use(2 * MANY, 1);
    ck_assert_int_eq(pinned(), MANY + 1 - GRDMA_REAP_AT_ONCE);
    use(2 * MANY, 1);
    ck_assert_int_eq(pinned(), MANY + 1 - 2 * GRDMA_REAP_AT_ONCE);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 1);
    ck_assert_uint_eq(stats().count, 1);
}
END_TEST

static void *refer_to_all(void *arg)
{
    (void) arg;
    for (long i = 0; i < MANY; i++) {
        use(2 * i, 1);
    }
    return NULL;
}

/* The same where idleness takes settling, because another thread uses the cache; and a cache that ends with the rest. */
START_TEST(what_is_left_of_a_large_release_ends_with_the_cache)
{
    pthread_t other;

    use(2 * MANY, 1);
    ck_assert_int_eq(pthread_create(&other, NULL, refer_to_all, NULL), 0);
    while (pinned() != MANY + 1) {
        sched_yield();
    }
    release(0, 2 * MANY);
    use(2 * MANY, 1);
    ck_assert_int_gt(pinned(), 1);
    pthread_join(other, NULL);
}
END_TEST

START_TEST(place_inside_a_registration_takes_the_lock_once)
{
    use(0, 64);
    use(17, 1);
    ck_assert_uint_eq(slow_hits(), 1);
    use(17, 2);
    use(17, 1);
    ck_assert_uint_eq(slow_hits(), 1);
    ck_assert_int_eq(registrations(), 1);
}
END_TEST

/* AT(0) is at the start of a block of 2 MiB. */
START_TEST(one_hint_serves_two_mebibytes_of_a_long_registration)
{
    const long block = (long) (((size_t) 2 << 20) / PAGE);
    use(0, 4 * block);
    use(block + 1, 1);
    const uint64_t before = slow_hits();
    for (long page = block; page < 2 * block; page++) {
        use(page, 1);
    }
    ck_assert_uint_eq(slow_hits(), before);
    ck_assert_int_eq(registrations(), 1);
}
END_TEST

START_TEST(hint_to_a_region_that_ended_leads_nowhere)
{
    use(0, 4);
    release(0, 4);
    mca_rcache_base_progress();
    use(8, 1); /* With the same id. */
    use(0, 4);
    ck_assert_int_eq(registrations(), 3);
    ck_assert_uint_eq(stats().hits, 0);
}
END_TEST

START_TEST(code_of_the_provider_is_never_taken_for_one_of_the_caches_own)
{
    mca_rcache_base_registration_t *reg;
    fake.fail_at = 1;
    fake.fail_with = OPAL_ERR_TEMP_OUT_OF_RESOURCE;
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), PAGE, 0, 0, &reg), OPAL_ERR_TEMP_OUT_OF_RESOURCE);
    ck_assert_int_eq(registrations(), 0);
}
END_TEST

/* ---- Threads -------------------------------------------------------------------------------------- */

static void on_a_thread(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, run, arg), 0);
    pthread_join(thread, NULL);
}

static void *give_back(void *arg)
{
    put(arg);
    return NULL;
}

static void *take_one(void *arg)
{
    *(mca_rcache_base_registration_t **) arg = get(0, 4, 0, 0);
    return NULL;
}

START_TEST(reference_given_back_by_another_thread_is_the_last)
{
    mca_rcache_base_registration_t *reg = get(0, 4, 0, 0);
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 4);
    on_a_thread(give_back, reg);
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(reference_of_a_thread_that_ended_still_counts)
{
    mca_rcache_base_registration_t *reg;
    use(0, 4);
    on_a_thread(take_one, &reg);
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 4);
    put(reg);
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

static void *use_one(void *arg)
{
    (void) arg;
    use(0, 4);
    return NULL;
}

START_TEST(threads_that_come_and_go_share_one_block)
{
    size_t blocks = 0;
    use(0, 4);
    for (int i = 0; i < 200; i++) {
        on_a_thread(use_one, NULL);
    }
    for (const grdma_block_t *block = atomic_load(&inside()->blocks); block != NULL; block = block->next) {
        blocks++;
    }
    ck_assert_uint_eq(blocks, 2);
    ck_assert_uint_eq(atomic_load(&inside()->owners), 1);
    ck_assert_uint_eq(stats().hits, 200);
}
END_TEST

/* ---- The clock ------------------------------------------------------------------------------------ */

START_TEST(clock_spares_what_was_used_since_it_came_by)
{
    resources.max_count = 8;
    make_again();
    for (long i = 0; i < 8; i++) {
        use(2 * i, 1);
    }
    for (long i = 8; i < 40; i++) {
        use(0, 1); /* Hot. */
        use(2 * i, 1);
    }
    ck_assert_uint_eq(stats().hits, 32);
    ck_assert_uint_eq(stats().evictions, 32);
    ck_assert_uint_eq(stats().peak_count, 8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma_hits");
    TCase *tests = tcase_create("hits");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, tables_grow_with_the_cache_and_lose_nothing);
    tcase_add_loop_test(tests, rows_at_any_distance_are_found_by_hints, 0, distances_here());
    tcase_add_test(tests, hints_to_places_inside_do_not_drive_each_other_out_for_good);
    tcase_add_test(tests, hints_of_what_is_in_use_find_room_among_those_of_the_past);
    tcase_add_test(tests, what_a_bucket_has_no_room_for_is_in_the_other_half_of_the_line);
    tcase_add_test(tests, what_a_line_has_no_room_for_takes_the_lock);
    tcase_add_test(tests, lookup_after_a_large_release_ends_a_part_of_it);
    tcase_add_test(tests, what_is_left_of_a_large_release_ends_with_the_cache);
    tcase_add_test(tests, place_inside_a_registration_takes_the_lock_once);
    tcase_add_test(tests, one_hint_serves_two_mebibytes_of_a_long_registration);
    tcase_add_test(tests, hint_to_a_region_that_ended_leads_nowhere);
    tcase_add_test(tests, code_of_the_provider_is_never_taken_for_one_of_the_caches_own);
    tcase_add_test(tests, reference_given_back_by_another_thread_is_the_last);
    tcase_add_test(tests, reference_of_a_thread_that_ended_still_counts);
    tcase_add_test(tests, threads_that_come_and_go_share_one_block);
    tcase_add_test(tests, clock_spares_what_was_used_since_it_came_by);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
