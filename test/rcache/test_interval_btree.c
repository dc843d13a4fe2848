/* SPDX-License-Identifier: BSD-3-Clause */
/* The interval B+-tree against a plain array of the same intervals, at several scales
 * of keys, lengths and numbers; after each change its own check of all invariants. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rcache/grdma/interval_btree.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define INTERVALS_MAX 12000
/* Check reports each passed assertion to the parent process; these are too many for that. */
#define REQUIRE(condition)                          \
    do {                                            \
        if (!(condition)) {                         \
            ck_abort_msg("not so: %s", #condition); \
        }                                           \
    } while (0)

typedef struct interval_t {
    uint64_t first, last;
    bool present, marked;
} interval_t;

typedef struct scale_t {
    const char *name;
    uint32_t intervals;
    uint64_t space, span; /* Firsts are below space, lengths at most span. */
    uint64_t grain;       /* Firsts are multiples of it. */
    int steps;
    unsigned check_every;
} scale_t;

static const scale_t scales[] = {
    { "few intervals, many overlaps", 60, 100, 60, 1, 20000, 1 },
    { "duplicates everywhere", 500, 8, 3, 1, 4000, 1 },
    { "three levels", 6000, UINT64_C(1) << 24, 1000, 1, 30000, 64 },
    { "three levels, no overlap", 6000, UINT64_C(1) << 34, 1023, 1024, 30000, 64 },
    { "all reach far", 3000, UINT64_C(1) << 20, UINT64_C(1) << 20, 1, 8000, 16 },
    { "gaps beyond 32 bits", 800, UINT64_C(1) << 45, 5000, UINT64_C(1) << 28, 8000, 8 },
    { "lengths beyond 32 bits", 800, UINT64_C(1) << 45, UINT64_C(1) << 39, 1, 8000, 8 },
    { "the ends of the number line", 300, UINT64_MAX, UINT64_C(1) << 38, 1, 6000, 4 },
};

static interval_t intervals[INTERVALS_MAX + 1]; /* By id. */
static uint32_t order[INTERVALS_MAX + 1];       /* Ids by (first, id), for visits. */
static uint32_t present, visited;
static uint64_t state;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t below(uint64_t limit)
{
    return next_random() % limit;
}

static void clean(const interval_btree_t *tree)
{
    const char *wrong = interval_btree_check(tree);
    ck_assert_msg(wrong == NULL, "invariant broken: %s", wrong);
    ck_assert_uint_eq(tree->entries, present);
}

static interval_t random_interval(const scale_t *scale)
{
    uint64_t first = below(scale->space) / scale->grain * scale->grain, length = below(scale->span + 1);
    if (below(4) != 0) {
        length %= 1 + below(scale->span + 1);
    }
    return (interval_t){ .first = first, .last = length > UINT64_MAX - first ? UINT64_MAX : first + length };
}

static bool overlaps(uint32_t id, const interval_t *range)
{
    return intervals[id].present && intervals[id].first <= range->last && intervals[id].last >= range->first;
}

static bool contains(uint32_t id, const interval_t *range)
{
    return intervals[id].present && intervals[id].first <= range->first && intervals[id].last >= range->last;
}

static bool inside(uint32_t id, const interval_t *range)
{
    return intervals[id].present && intervals[id].first >= range->first && intervals[id].last <= range->last;
}

static bool accept_some(uint32_t id, void *arg)
{
    return id % *(uint32_t *) arg == 0;
}

static bool visit(const interval_btree_entry_t *entry, void *arg)
{
    const interval_t *range = arg;
    REQUIRE(overlaps(entry->id, range));
    REQUIRE(intervals[entry->id].first == entry->first && intervals[entry->id].last == entry->last);
    REQUIRE(!intervals[entry->id].marked);
    intervals[entry->id].marked = true;
    order[visited++] = entry->id;
    return true;
}

static bool in_order(uint32_t a, uint32_t b)
{
    return intervals[a].first < intervals[b].first || (intervals[a].first == intervals[b].first && a < b);
}

static void compare_visit(const interval_btree_t *tree, interval_t *range, uint32_t count)
{
    visited = 0;
    interval_btree_visit_overlapping(tree, range->first, range->last, visit, range);
    uint32_t expected = 0;
    for (uint32_t id = 1; id <= count; id++) {
        expected += overlaps(id, range);
        intervals[id].marked = false;
    }
    ck_assert_uint_eq(visited, expected);
    for (uint32_t i = 1; i < visited; i++) {
        REQUIRE(in_order(order[i - 1], order[i]));
    }
    ck_assert_uint_eq(interval_btree_overlapping(tree, range->first, range->last), visited == 0 ? 0 : order[0]);
}

static void compare(const interval_btree_t *tree, interval_t *range, uint32_t count)
{
    uint32_t every = 1 + (uint32_t) below(3);
    bool is_contained = false, has_inside = false;
    for (uint32_t id = every; id <= count; id += every) {
        is_contained |= contains(id, range);
        has_inside |= inside(id, range);
    }
    uint32_t found = interval_btree_containing(tree, range->first, range->last, accept_some, &every);
    REQUIRE((found != 0) == is_contained);
    REQUIRE(found == 0 || (contains(found, range) && found % every == 0));
    found = interval_btree_inside(tree, range->first, range->last, accept_some, &every);
    REQUIRE((found != 0) == has_inside);
    REQUIRE(found == 0 || (inside(found, range) && found % every == 0));
    compare_visit(tree, range, count);
}

static void take_out(const uint32_t *ids, unsigned count, void *arg)
{
    const interval_t *range = arg;
    for (unsigned i = 0; i < count; i++) {
        REQUIRE(ids[i] > 0 && ids[i] <= INTERVALS_MAX);
        REQUIRE(overlaps(ids[i], range));
        intervals[ids[i]].present = false;
        present--;
    }
}

static void remove_bulk(interval_btree_t *tree, interval_t *range, uint32_t count)
{
    uint32_t before = present;
    uint32_t removed = interval_btree_remove_overlapping(tree, range->first, range->last, take_out, range);
    ck_assert_uint_eq(removed, before - present);
    for (uint32_t id = 1; id <= count; id++) {
        REQUIRE(!overlaps(id, range));
    }
}

static void toggle(interval_btree_t *tree, const scale_t *scale)
{
    uint32_t id = 1 + (uint32_t) below(scale->intervals);
    interval_t *interval = &intervals[id];
    if (interval->present) {
        REQUIRE(!interval_btree_remove(tree, interval->first, interval->last ^ 1, id));
        REQUIRE(!interval_btree_remove(tree, interval->first, interval->last, id + scale->intervals));
        REQUIRE(interval_btree_remove(tree, interval->first, interval->last, id));
        REQUIRE(!interval_btree_remove(tree, interval->first, interval->last, id));
    } else {
        *interval = random_interval(scale);
        REQUIRE(interval_btree_reserve(tree, 1));
        REQUIRE(interval_btree_insert(tree, interval->first, interval->last, id));
    }
    interval->present = !interval->present;
    present += interval->present ? 1 : UINT32_MAX;
}

static void fill(interval_btree_t *tree, const scale_t *scale)
{
    for (uint32_t id = 1; id <= scale->intervals; id++) {
        if (!intervals[id].present) {
            intervals[id] = random_interval(scale);
            intervals[id].present = true;
            present++;
            REQUIRE(interval_btree_reserve(tree, 1));
            REQUIRE(interval_btree_insert(tree, intervals[id].first, intervals[id].last, id));
        }
    }
    clean(tree);
}

static void empty_one_by_one(interval_btree_t *tree, const scale_t *scale)
{
    uint32_t start = (uint32_t) below(scale->intervals);
    for (uint32_t i = 0; i < scale->intervals; i++) {
        uint32_t id = 1 + (start + i) % scale->intervals;
        if (intervals[id].present) {
            REQUIRE(interval_btree_remove(tree, intervals[id].first, intervals[id].last, id));
            intervals[id].present = false;
            present--;
            if (i % scale->check_every == 0) {
                clean(tree);
            }
        }
    }
    ck_assert_uint_eq(interval_btree_nodes(tree), 0);
}

/* Bulk removals take anything from one interval to nearly all. */
static interval_t random_range(const scale_t *scale)
{
    interval_t range = random_interval(scale);
    unsigned shift = (unsigned) below(64);
    uint64_t length = (scale->space >> shift) + 1;
    range.last = range.first > UINT64_MAX - length ? UINT64_MAX : range.first + length;
    return range;
}

static void random_steps(interval_btree_t *tree, const scale_t *scale)
{
    int steps = (int) test_rounds(TEST_SANITIZED ? scale->steps / 4 : scale->steps);
    for (int step = 0; step < steps; step++) {
        toggle(tree, scale);
        if (step % scale->check_every == 0) {
            interval_t range = below(2) ? random_interval(scale) : random_range(scale);
            compare(tree, &range, scale->intervals);
            clean(tree);
        }
        if (below(1000) == 0) {
            interval_t range = random_range(scale);
            remove_bulk(tree, &range, scale->intervals);
            clean(tree);
        } else if (below(3000) == 0) {
            fill(tree, scale);
        }
    }
}

static void add_counts(interval_btree_counts_t *sum, const interval_btree_counts_t *counts)
{
    sum->leaf_splits += counts->leaf_splits;
    sum->inner_splits += counts->inner_splits;
    sum->gap_splits += counts->gap_splits;
    sum->leaf_merges += counts->leaf_merges;
    sum->inner_merges += counts->inner_merges;
    sum->leaf_drops += counts->leaf_drops;
    sum->inner_drops += counts->inner_drops;
}

static interval_btree_counts_t run(const scale_t *scale, uint64_t seed)
{
    interval_btree_t tree;
    interval_btree_init(&tree);
    memset(intervals, 0, sizeof(intervals));
    present = 0;
    state = seed;
    for (int round = 0; round < 2; round++) {
        fill(&tree, scale);
        random_steps(&tree, scale);
        empty_one_by_one(&tree, scale);
    }
    fill(&tree, scale);
    interval_t all = { .first = 0, .last = UINT64_MAX };
    compare(&tree, &all, scale->intervals);
    remove_bulk(&tree, &all, scale->intervals);
    clean(&tree);
    ck_assert_uint_eq(present, 0);
    interval_btree_counts_t counts = tree.counts;
    interval_btree_destroy(&tree);
    return counts;
}

START_TEST(random_operations_agree_with_a_list)
{
    interval_btree_counts_t counts = { 0 };
    for (uint64_t seed = 1; seed <= 3; seed++) {
        interval_btree_counts_t more = run(&scales[_i], seed * UINT64_C(0x9e3779b97f4a7c15));
        add_counts(&counts, &more);
    }
    printf("%s: splits %lu + %lu inner + %lu at gaps, merges %lu + %lu inner, drops %lu + %lu inner\n",
           scales[_i].name, counts.leaf_splits, counts.inner_splits, counts.gap_splits, counts.leaf_merges,
           counts.inner_merges, counts.leaf_drops, counts.inner_drops);
    /* A run that never came to these places would prove nothing about them. */
    ck_assert(scales[_i].intervals < 100
              || (counts.leaf_splits + counts.gap_splits > 0 && counts.leaf_merges + counts.inner_merges > 0));
    ck_assert(scales[_i].intervals < 6000 || (counts.inner_splits > 0 && counts.inner_merges > 0));
    ck_assert(scales[_i].intervals < 6000 || (counts.leaf_drops > 0 && counts.inner_drops > 0));
    ck_assert(scales[_i].grain < UINT64_C(1) << 28 || counts.gap_splits > 0);
}
END_TEST

static void count_ids(const uint32_t *ids, unsigned count, void *arg)
{
    for (unsigned i = 0; i < count; i++) {
        *(uint64_t *) arg += ids[i];
    }
}

/* @param step  1, count - 1 or a number without common factor: rising, falling (below the first), scattered. */
static uint32_t nodes_after(uint32_t count, uint32_t step)
{
    interval_btree_t tree;
    interval_btree_init(&tree);
    present = count;
    for (uint32_t i = 0, at = 0; i < count; i++, at = (at + step) % count) {
        REQUIRE(interval_btree_reserve(&tree, 1));
        REQUIRE(interval_btree_insert(&tree, 4 * (uint64_t) at, 4 * (uint64_t) at + 3, i + 1));
    }
    clean(&tree);
    uint32_t nodes = interval_btree_nodes(&tree);
    uint64_t sum = 0;
    ck_assert_uint_eq(interval_btree_remove_overlapping(&tree, 0, UINT64_MAX, count_ids, &sum), count);
    ck_assert(sum == (uint64_t) count * (count + 1) / 2);
    ck_assert_uint_eq(interval_btree_nodes(&tree), 0);
    interval_btree_destroy(&tree);
    return nodes;
}

START_TEST(nodes_fill_whatever_the_order)
{
    const uint32_t count = 100000;
    ck_assert_uint_le(nodes_after(count, 1) * 1024, count * 13);
    ck_assert_uint_le(nodes_after(count, count - 1) * 1024, count * 13);
    ck_assert_uint_le(nodes_after(count, 61803) * 1024, count * 24);
}
END_TEST

START_TEST(bad_intervals_are_refused)
{
    interval_btree_t tree;
    interval_btree_init(&tree);
    ck_assert(!interval_btree_insert(&tree, 1, 1, 1)); /* Nothing reserved. */
    ck_assert(interval_btree_reserve(&tree, 1));
    ck_assert(!interval_btree_insert(&tree, 2, 1, 1));
    ck_assert(!interval_btree_insert(&tree, 1, 1, 0));
    ck_assert(!interval_btree_insert(&tree, 1, 1, INTERVAL_BTREE_ID_MAX + 1));
    ck_assert(!interval_btree_insert(&tree, 1, 1 + (UINT64_C(1) << INTERVAL_BTREE_LENGTH_BITS), 1));
    ck_assert(!interval_btree_remove(&tree, 1, 1, 1));
    present = 0;
    clean(&tree);
    ck_assert(interval_btree_insert(&tree, 1, UINT64_C(1) << INTERVAL_BTREE_LENGTH_BITS, INTERVAL_BTREE_ID_MAX));
    ck_assert_uint_eq(interval_btree_containing(&tree, 5, UINT64_C(1) << 40, NULL, NULL), INTERVAL_BTREE_ID_MAX);
    interval_btree_destroy(&tree);
}
END_TEST

START_TEST(reserved_insertions_need_no_more_memory)
{
    interval_btree_t tree;
    interval_btree_init(&tree);
    uint32_t id = 0;
    const long rounds = test_rounds(200);
    for (long round = 0; round < rounds; round++) {
        unsigned n = 1 + (unsigned) (round * 37) % 300;
        REQUIRE(interval_btree_reserve(&tree, n));
        unsigned chunks = tree.chunks_end;
        for (unsigned i = 0; i < n; i++) {
            /* Far apart: each needs a leaf of its own. */
            uint64_t first = (uint64_t) (id * 40503u % 65536) << 33;
            REQUIRE(interval_btree_insert(&tree, first, first + 1, ++id));
        }
        ck_assert_uint_eq(tree.chunks_end, chunks);
    }
    present = id;
    clean(&tree);
    interval_btree_destroy(&tree);
}
END_TEST

START_TEST(reset_forgets_all_and_keeps_the_memory)
{
    interval_btree_t tree;
    interval_btree_init(&tree);
    ck_assert(interval_btree_reserve(&tree, 500));
    for (uint32_t id = 1; id <= 500; id++) {
        REQUIRE(interval_btree_insert(&tree, id, id + 5, id));
    }
    unsigned chunks = tree.chunks_end;
    interval_btree_reset(&tree);
    present = 0;
    clean(&tree);
    ck_assert_uint_eq(interval_btree_overlapping(&tree, 0, UINT64_MAX), 0);
    ck_assert_uint_eq(interval_btree_lacks(&tree, 500), 0);
    for (uint32_t id = 1; id <= 500; id++) {
        REQUIRE(interval_btree_insert(&tree, id, id + 5, id));
    }
    present = 500;
    clean(&tree);
    ck_assert_uint_eq(tree.chunks_end, chunks);
    interval_btree_destroy(&tree);
}
END_TEST

START_TEST(a_chunk_that_another_thread_added_is_refused)
{
    interval_btree_t tree;
    interval_btree_init(&tree);
    unsigned chunk = interval_btree_lacks(&tree, 1);
    ck_assert_uint_ne(chunk, 0);
    void *mine = interval_btree_chunk_map(chunk), *other = interval_btree_chunk_map(chunk);
    ck_assert(mine != NULL && other != NULL);
    ck_assert(interval_btree_chunk_add(&tree, chunk, other));
    ck_assert(!interval_btree_chunk_add(&tree, chunk, mine));
    interval_btree_chunk_unmap(chunk, mine);
    ck_assert_uint_eq(interval_btree_lacks(&tree, 1), 0);
    ck_assert_ptr_null(interval_btree_chunk_map(INTERVAL_BTREE_CHUNK_END));
    interval_btree_destroy(&tree);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interval_btree");
    TCase *tcase = tcase_create("interval_btree");
    tcase_set_timeout(tcase, 240);
    tcase_add_loop_test(tcase, random_operations_agree_with_a_list, 0, (int) (sizeof(scales) / sizeof(scales[0])));
    tcase_add_test(tcase, nodes_fill_whatever_the_order);
    tcase_add_test(tcase, bad_intervals_are_refused);
    tcase_add_test(tcase, reserved_insertions_need_no_more_memory);
    tcase_add_test(tcase, reset_forgets_all_and_keeps_the_memory);
    tcase_add_test(tcase, a_chunk_that_another_thread_added_is_refused);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
