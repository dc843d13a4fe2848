/* SPDX-License-Identifier: BSD-3-Clause */
/* The page filter: never a no for what is counted, seldom a yes for what is not, also
 * while another thread adds, removes and replaces the table. */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>

#include "opal/constants.h"
#include "rcache/grdma/page_filter.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define REGIONS 2000
#define KIB ((uintptr_t) 1 << 10)
#define MIB ((uintptr_t) 1 << 20)
#define GIB ((uintptr_t) 1 << 30)
#define TIB ((uintptr_t) 1 << 40)
#define FAR (64 * TIB) /* No region of these tests is here. */

typedef struct region_t {
    uintptr_t first, last;
    bool present;
} region_t;

static region_t regions[REGIONS];
static uint64_t state;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void start(page_filter_t *filter)
{
    ck_assert_int_eq(page_filter_init(filter), OPAL_SUCCESS);
    memset(regions, 0, sizeof(regions));
    state = 88172645463325252u;
}

static void grow(page_filter_t *filter)
{
    unsigned bits = page_filter_wants(filter);
    if (bits == 0) {
        return;
    }
    page_filter_table_t *table = page_filter_table_map(bits);
    ck_assert_ptr_nonnull(table);
    ck_assert(page_filter_grow_begin(filter, table));
    for (int i = 0; i < REGIONS; i++) {
        if (regions[i].present) {
            page_filter_grow_add(filter, regions[i].first, regions[i].last);
        }
    }
    page_filter_grow_end(filter);
}

static void toggle(page_filter_t *filter, region_t *region)
{
    (region->present ? page_filter_remove : page_filter_add)(filter, region->first, region->last);
    region->present = !region->present;
}

/* Any length from a page to a few TiB, at any place below 32 TiB. */
static region_t random_region(void)
{
    uintptr_t first = (next_random() % (32 * TIB)) & ~(4 * KIB - 1);
    uintptr_t length = 4 * KIB << (next_random() % 30);
    return (region_t){ .first = first, .last = first + length - 1 };
}

/* A range that touches the region: inside it, around it, or over an end. */
static bool is_found(const page_filter_t *filter, const region_t *region)
{
    uintptr_t length = region->last - region->first + 1;
    uintptr_t first = region->first + next_random() % length;
    uintptr_t last = first + next_random() % length;
    return page_filter_may_hold(filter, first, first) && page_filter_may_hold(filter, first, last)
           && page_filter_may_hold(filter, region->first, region->last)
           && page_filter_may_hold(filter, region->first & ~(MIB - 1), region->first)
           && page_filter_may_hold(filter, region->last, region->last + MIB)
           && page_filter_may_hold(filter, 0, UINTPTR_MAX);
}

static unsigned missed(const page_filter_t *filter)
{
    unsigned count = 0;
    for (int i = 0; i < REGIONS; i++) {
        count += regions[i].present && !is_found(filter, &regions[i]);
    }
    return count;
}

/* Per cent of pages far from all regions that are taken for cached. */
static unsigned wrong_yes(const page_filter_t *filter)
{
    unsigned count = 0;
    for (unsigned i = 0; i < 10000; i++) {
        uintptr_t first = FAR + next_random() % (32 * TIB);
        count += page_filter_may_hold(filter, first, first + 4 * KIB - 1);
    }
    return count / 100;
}

static void random_operations(uint64_t seed, bool growing)
{
    page_filter_t filter;
    start(&filter);
    state = seed;
    const long steps = test_rounds(40000);
    for (int step = 0; step < steps; step++) {
        region_t *region = &regions[next_random() % REGIONS];
        if (!region->present) {
            *region = random_region();
        }
        if (growing) {
            grow(&filter);
        }
        toggle(&filter, region);
        if (step % 1000 == 0) {
            ck_assert_uint_eq(missed(&filter), 0);
        }
    }
    unsigned yes = wrong_yes(&filter);
    ck_assert_msg(!growing || yes < 50, "%u %% of the answers are a needless yes", yes);
    for (int i = 0; i < REGIONS; i++) {
        if (regions[i].present) {
            toggle(&filter, &regions[i]);
        }
    }
    /* Without regions no level is looked at. */
    ck_assert(!page_filter_may_hold(&filter, 0, UINTPTR_MAX));
    page_filter_destroy(&filter);
}

START_TEST(counted_regions_are_found)
{
    random_operations(UINT64_C(0x9e3779b97f4a7c15) * (uint64_t) (_i + 1), true);
}
END_TEST

START_TEST(counted_regions_are_found_in_a_full_table)
{
    random_operations(88172645463325252u, false);
}
END_TEST

/* The other side of missed(): it must see a filter that lost something. */
START_TEST(a_region_removed_once_too_often_is_missed)
{
    page_filter_t filter;
    start(&filter);
    for (int i = 0; i < 10; i++) {
        regions[i].first = (uintptr_t) i * GIB;
        regions[i].last = regions[i].first + 4 * KIB - 1;
        toggle(&filter, &regions[i]);
    }
    ck_assert_uint_eq(missed(&filter), 0);
    page_filter_remove(&filter, regions[3].first, regions[3].last);
    ck_assert_uint_ne(missed(&filter), 0);
    page_filter_destroy(&filter);
}
END_TEST

START_TEST(a_filter_with_many_small_regions_says_no_elsewhere)
{
    page_filter_t filter;
    start(&filter);
    /* Strides that put all into few blocks, or all into the same place of their blocks, must not matter. */
    static const uintptr_t strides[] = { 8 * KIB, 64 * KIB, 4 * MIB, GIB };
    for (int i = 0; i < REGIONS; i++) {
        regions[i].first = (uintptr_t) i * strides[_i];
        regions[i].last = regions[i].first + 4 * KIB - 1;
        grow(&filter);
        toggle(&filter, &regions[i]);
    }
    ck_assert_uint_eq(missed(&filter), 0);
    ck_assert_uint_lt(wrong_yes(&filter), 20);
    page_filter_destroy(&filter);
}
END_TEST

START_TEST(a_level_without_regions_is_not_looked_at)
{
    page_filter_t filter;
    start(&filter);
    ck_assert(!page_filter_may_hold(&filter, 0, UINTPTR_MAX));
    page_filter_add(&filter, 0, 100 * MIB); /* Granules of 16 MiB. */
    ck_assert(page_filter_may_hold(&filter, 50 * MIB, 50 * MIB));
    ck_assert(!page_filter_may_hold(&filter, FAR, FAR + 500 * MIB));
    ck_assert(page_filter_may_hold(&filter, FAR, FAR + 2 * GIB)); /* More than 64 granules. */
    page_filter_add(&filter, 0, 4 * KIB);
    ck_assert(page_filter_may_hold(&filter, FAR, FAR + 500 * MIB));
    page_filter_remove(&filter, 0, 4 * KIB);
    ck_assert(!page_filter_may_hold(&filter, FAR, FAR + 500 * MIB));
    page_filter_destroy(&filter);
}
END_TEST

START_TEST(a_region_too_large_for_all_levels_makes_every_answer_yes)
{
    page_filter_t filter;
    start(&filter);
    page_filter_add(&filter, 0, 40 * TIB);
    ck_assert(page_filter_may_hold(&filter, 30 * TIB, 30 * TIB));
    ck_assert(page_filter_may_hold(&filter, FAR, FAR));
    page_filter_remove(&filter, 0, 40 * TIB);
    ck_assert(!page_filter_may_hold(&filter, 30 * TIB, 30 * TIB));
    page_filter_add(&filter, UINTPTR_MAX - 4 * KIB, UINTPTR_MAX);
    ck_assert(page_filter_may_hold(&filter, UINTPTR_MAX, UINTPTR_MAX));
    ck_assert(page_filter_may_hold(&filter, UINTPTR_MAX - MIB, UINTPTR_MAX));
    page_filter_destroy(&filter);
}
END_TEST

START_TEST(a_saturated_counter_stays_and_growth_mends_it)
{
    page_filter_t filter;
    start(&filter);
    for (int i = 0; i < 300; i++) {
        page_filter_add(&filter, 0, 4 * KIB - 1);
    }
    for (int i = 0; i < 300; i++) {
        ck_assert(page_filter_may_hold(&filter, 0, 0));
        page_filter_remove(&filter, 0, 4 * KIB - 1);
    }
    page_filter_add(&filter, GIB, GIB); /* The level is looked at again. */
    ck_assert(page_filter_may_hold(&filter, 0, 0));
    regions[0] = (region_t){ .first = GIB, .last = GIB, .present = true };
    page_filter_table_t *table = page_filter_table_map(PAGE_FILTER_BITS_MIN + 2);
    ck_assert_ptr_nonnull(table);
    ck_assert(page_filter_grow_begin(&filter, table));
    page_filter_grow_add(&filter, GIB, GIB);
    page_filter_grow_end(&filter);
    ck_assert(!page_filter_may_hold(&filter, 0, 0));
    ck_assert(page_filter_may_hold(&filter, GIB, GIB));
    page_filter_destroy(&filter);
}
END_TEST

/* A hook that got the old table before a growth, and asks it afterwards. */
START_TEST(an_old_table_keeps_what_it_knew)
{
    page_filter_t filter;
    start(&filter);
    page_filter_add(&filter, GIB, GIB);
    page_filter_table_t *old = atomic_load(&filter.table),
                        *table = page_filter_table_map(PAGE_FILTER_BITS_MIN + 2);
    ck_assert(page_filter_grow_begin(&filter, table));
    page_filter_grow_add(&filter, GIB, GIB);
    page_filter_grow_end(&filter);
    page_filter_add(&filter, 2 * GIB, 2 * GIB);
    page_filter_t reader;
    atomic_init(&reader.table, old);
    atomic_init(&reader.levels, atomic_load(&filter.levels));
    ck_assert(page_filter_may_hold(&reader, GIB, GIB));
    ck_assert(!page_filter_may_hold(&reader, 2 * GIB, 2 * GIB)); /* Its maker sees the window. */
    page_filter_table_t *late = page_filter_table_map(PAGE_FILTER_BITS_MIN + 2);
    ck_assert(!page_filter_grow_begin(&filter, late));
    page_filter_table_unmap(late);
    page_filter_destroy(&filter);
}
END_TEST

/* A growth in two steps. What comes and goes between them is counted in both tables, or comes in with its step. */
START_TEST(regions_that_change_during_a_growth_are_counted_once)
{
    page_filter_t filter;
    start(&filter);
    for (uintptr_t i = 1; i <= 4; i++) {
        page_filter_add(&filter, i * GIB, i * GIB);
    }
    page_filter_table_t *old = atomic_load(&filter.table),
                        *table = page_filter_table_map(PAGE_FILTER_BITS_MIN + 2);
    ck_assert(page_filter_grow_begin(&filter, table));
    ck_assert_uint_eq(page_filter_wants(&filter), 0);
    page_filter_table_t *second = page_filter_table_map(PAGE_FILTER_BITS_MIN + 4);
    ck_assert(!page_filter_grow_begin(&filter, second));
    page_filter_table_unmap(second);
    page_filter_grow_add(&filter, GIB, GIB);
    page_filter_grow_add(&filter, 2 * GIB, 2 * GIB);
    page_filter_remove(&filter, 2 * GIB, 2 * GIB); /* Its step is over, */
    page_filter_grow_remove(&filter, 2 * GIB, 2 * GIB);
    page_filter_remove(&filter, 3 * GIB, 3 * GIB); /* of this one it is not. */
    page_filter_add(&filter, 5 * GIB, 5 * GIB);
    page_filter_grow_add(&filter, 5 * GIB, 5 * GIB);
    ck_assert_ptr_eq(atomic_load(&filter.table), old);
    ck_assert(page_filter_may_hold(&filter, 5 * GIB, 5 * GIB));
    page_filter_grow_add(&filter, 4 * GIB, 4 * GIB);
    page_filter_grow_end(&filter);
    for (uintptr_t i = 1; i <= 5; i++) {
        ck_assert_int_eq(page_filter_may_hold(&filter, i * GIB, i * GIB), i != 2 && i != 3);
    }
    page_filter_remove(&filter, GIB, GIB);
    page_filter_remove(&filter, 4 * GIB, 4 * GIB);
    page_filter_remove(&filter, 5 * GIB, 5 * GIB);
    ck_assert(!page_filter_may_hold(&filter, 0, UINTPTR_MAX));
    page_filter_destroy(&filter);
}
END_TEST

START_TEST(a_reset_during_a_growth_forgets_it)
{
    page_filter_t filter;
    start(&filter);
    page_filter_add(&filter, GIB, GIB);
    ck_assert(page_filter_grow_begin(&filter, page_filter_table_map(PAGE_FILTER_BITS_MIN + 2)));
    page_filter_grow_add(&filter, GIB, GIB);
    const size_t size = page_filter_size(&filter);
    page_filter_reset(&filter);
    ck_assert(!page_filter_may_hold(&filter, GIB, GIB));
    ck_assert_uint_eq(page_filter_size(&filter), size); /* Kept for destroy. */
    ck_assert(page_filter_grow_begin(&filter, page_filter_table_map(PAGE_FILTER_BITS_MIN + 2)));
    page_filter_grow_end(&filter);
    page_filter_destroy(&filter);
}
END_TEST

START_TEST(reset_forgets_all)
{
    page_filter_t filter;
    start(&filter);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < REGIONS; i++) {
            regions[i] = (region_t){ .first = (uintptr_t) i * MIB, .last = (uintptr_t) i * MIB };
            grow(&filter);
            toggle(&filter, &regions[i]);
        }
        ck_assert_uint_eq(missed(&filter), 0);
        size_t size = page_filter_size(&filter);
        page_filter_reset(&filter);
        memset(regions, 0, sizeof(regions));
        ck_assert(!page_filter_may_hold(&filter, 0, UINTPTR_MAX));
        page_filter_add(&filter, FAR, FAR);
        ck_assert(!page_filter_may_hold(&filter, 0, 32 * KIB));
        page_filter_remove(&filter, FAR, FAR);
        ck_assert_uint_eq(page_filter_size(&filter), size); /* Kept for destroy. */
    }
    page_filter_destroy(&filter);
}
END_TEST

/* One thread registers, the other releases, as page_filter.h says: both announce themselves first, then look. */
static struct {
    page_filter_t filter;
    _Atomic(unsigned) window;   /* The releases that began and ended; odd: one is open. */
    _Atomic(unsigned) turn;     /* The region of this number is being made. */
    _Atomic(unsigned) ready;    /* The release of this number is about to begin. */
    _Atomic(unsigned) answered; /* The release of this number is over. */
    bool seen_by_maker, seen_by_release;
    unsigned lost, both;
    bool is_order_wrong;
    unsigned rounds;
} race;

static uintptr_t place_of(unsigned round)
{
    return (uintptr_t) (round % REGIONS) * 4 * MIB;
}

static void wait_for(_Atomic(unsigned) *value, unsigned expected)
{
    while (atomic_load_explicit(value, memory_order_acquire) != expected) {
        sched_yield();
    }
}

static void *release_all(void *arg)
{
    (void) arg;
    for (unsigned round = 1; round <= race.rounds; round++) {
        wait_for(&race.turn, round);
        atomic_store_explicit(&race.ready, round, memory_order_release);
        for (volatile unsigned spin = round % 16; spin > 0; spin--) {
        }
        atomic_fetch_add(&race.window, 1); /* Full barrier; the maker's own on the same word orders the two. */
        race.seen_by_release = page_filter_may_hold(&race.filter, place_of(round), place_of(round));
        atomic_store_explicit(&race.answered, round, memory_order_release);
    }
    return NULL;
}

static void make(unsigned round)
{
    region_t *region = &regions[round % REGIONS];
    *region = (region_t){ .first = place_of(round), .last = place_of(round) };
    unsigned before = round - 1;
    if (race.is_order_wrong) {
        /* The whole release fits between the look and the addition. */
        race.seen_by_maker = atomic_fetch_add(&race.window, 0) != before;
        atomic_store_explicit(&race.turn, round, memory_order_release);
        wait_for(&race.answered, round);
        toggle(&race.filter, region);
    } else {
        atomic_store_explicit(&race.turn, round, memory_order_release);
        wait_for(&race.ready, round);
        grow(&race.filter);
        toggle(&race.filter, region);
        race.seen_by_maker = atomic_fetch_add(&race.window, 0) != before;
    }
    wait_for(&race.answered, round);
    race.lost += !race.seen_by_maker && !race.seen_by_release;
    race.both += race.seen_by_maker && race.seen_by_release;
}

/* Regions stay until the table has been replaced a few times, then go again. */
static void run_race(bool is_order_wrong, unsigned rounds)
{
    rounds = (unsigned) test_rounds(rounds);
    start(&race.filter);
    race.is_order_wrong = is_order_wrong;
    race.rounds = rounds;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, release_all, NULL), 0);
    for (unsigned round = 1; round <= rounds; round++) {
        if (regions[round % REGIONS].present) {
            toggle(&race.filter, &regions[round % REGIONS]);
        }
        make(round);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    printf("%u rounds: both saw each other in %u, neither in %u\n", rounds, race.both, race.lost);
    page_filter_destroy(&race.filter);
}

START_TEST(a_release_or_the_maker_sees_the_other)
{
    run_race(false, TEST_SANITIZED ? 2500 : 10000);
    ck_assert_uint_eq(race.lost, 0);
}
END_TEST

START_TEST(looking_before_adding_loses_regions)
{
    run_race(true, 2500);
    ck_assert_uint_gt(race.lost, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("page_filter");
    TCase *tcase = tcase_create("page_filter");
    tcase_set_timeout(tcase, 240);
    tcase_add_loop_test(tcase, counted_regions_are_found, 0, 3);
    tcase_add_test(tcase, counted_regions_are_found_in_a_full_table);
    tcase_add_test(tcase, a_region_removed_once_too_often_is_missed);
    tcase_add_loop_test(tcase, a_filter_with_many_small_regions_says_no_elsewhere, 0, 4);
    tcase_add_test(tcase, a_level_without_regions_is_not_looked_at);
    tcase_add_test(tcase, a_region_too_large_for_all_levels_makes_every_answer_yes);
    tcase_add_test(tcase, a_saturated_counter_stays_and_growth_mends_it);
    tcase_add_test(tcase, an_old_table_keeps_what_it_knew);
    tcase_add_test(tcase, regions_that_change_during_a_growth_are_counted_once);
    tcase_add_test(tcase, a_reset_during_a_growth_forgets_it);
    tcase_add_test(tcase, reset_forgets_all);
    tcase_add_test(tcase, a_release_or_the_maker_sees_the_other);
    tcase_add_test(tcase, looking_before_adding_loses_regions);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
