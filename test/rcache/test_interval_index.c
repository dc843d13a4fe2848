/* SPDX-License-Identifier: BSD-3-Clause */
/* The newest intervals in front of the tree, against a plain array of the same intervals: whatever is in the front and whatever
 * in the tree, the answers are those of one set. */
#include <stdint.h>
#include <string.h>

#include "rcache/grdma/interval_index.h"
#include "test/test_main.h"

enum { IDS = 40, SPACE = 200, STEPS = 200000 };

typedef struct interval_t {
    uint64_t first, last;
    bool present;
} interval_t;

static interval_t intervals[IDS + 1]; /* By id. */
static interval_index_t set;
static uint64_t state = 88172645463325252;
static bool seen[IDS + 1];

static uint64_t below(uint64_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % limit;
}

static void require(bool is_so, const char *what)
{
    if (!is_so) {
        ck_abort_msg("not so: %s", what);
    }
}

static bool make_room(void)
{
    unsigned chunk;

    while ((chunk = interval_index_lacks(&set)) != 0) {
        void *memory = interval_btree_chunk_map(chunk);

        if (memory == NULL || !interval_btree_chunk_add(&set.tree, chunk, memory)) {
            return false;
        }
    }
    return true;
}

static void change(void)
{
    const uint32_t id = 1 + (uint32_t) below(IDS);
    interval_t *interval = &intervals[id];

    if (interval->present) {
        require(!interval_index_remove(&set, interval->first, interval->last + 1, id), "another one is not there");
        require(interval_index_remove(&set, interval->first, interval->last, id), "it is removed");
    } else {
        interval->first = below(SPACE);
        interval->last = interval->first + below(1 + below(30));
        require(make_room(), "there is memory");
        require(interval_index_insert(&set, interval->first, interval->last, id), "it is inserted");
    }
    interval->present = !interval->present;
}

static bool overlaps(const interval_t *interval, uint64_t first, uint64_t last)
{
    return interval->present && interval->first <= last && interval->last >= first;
}

static bool note(const interval_btree_entry_t *entry, void *arg)
{
    (void) arg;
    require(!seen[entry->id], "each is visited once");
    require(intervals[entry->id].first == entry->first && intervals[entry->id].last == entry->last,
            "with its ends");
    seen[entry->id] = true;
    return true;
}

static void note_removed(const uint32_t *ids, unsigned count, void *arg)
{
    (void) arg;
    for (unsigned i = 0; i < count; i++) {
        require(!seen[ids[i]] && intervals[ids[i]].present, "each is removed once");
        seen[ids[i]] = true;
        intervals[ids[i]].present = false;
    }
}

static bool is_even(uint32_t id, void *arg)
{
    (void) arg;
    return id % 2 == 0;
}

static void ask(uint64_t first, uint64_t last)
{
    bool any = false, any_containing = false, any_inside = false;
    const uint32_t containing = interval_index_containing(&set, first, last, is_even, NULL);
    const uint32_t inside = interval_index_inside(&set, first, last, is_even, NULL);

    memset(seen, 0, sizeof(seen));
    interval_index_visit_overlapping(&set, first, last, note, NULL);
    for (uint32_t id = 1; id <= IDS; id++) {
        const interval_t *interval = &intervals[id];
        const bool meets = overlaps(interval, first, last);

        any |= meets;
        any_containing |= meets && id % 2 == 0 && interval->first <= first && interval->last >= last;
        any_inside |= meets && id % 2 == 0 && interval->first >= first && interval->last <= last;
        require(seen[id] == meets, "those that overlap are visited");
    }
    require(interval_index_is_overlapped(&set, first, last) == any, "something overlaps");
    require((containing != 0) == any_containing, "something contains it");
    require(
        containing == 0
            || (containing % 2 == 0 && intervals[containing].first <= first && intervals[containing].last >= last),
        "and it does");
    require((inside != 0) == any_inside, "something is inside");
    require(inside == 0 || (inside % 2 == 0 && intervals[inside].first >= first && intervals[inside].last <= last),
            "and it is");
}

/* @return How many the newest ones were. */
static uint32_t remove_range(uint64_t first, uint64_t last)
{
    uint32_t expected = 0, newest;

    for (uint32_t id = 1; id <= IDS; id++) {
        expected += overlaps(&intervals[id], first, last);
    }
    memset(seen, 0, sizeof(seen));
    newest = interval_index_remove_newest(&set, first, last, note_removed, NULL);
    require(newest + interval_index_remove_older(&set, first, last, note_removed, NULL) == expected,
            "all are removed");
    return newest;
}

START_TEST(answers_are_those_of_one_set)
{
    uint64_t from_newest = 0, in_tree = 0;

    const long steps = test_rounds(STEPS);

    interval_index_init(&set);
    for (long i = 0; i < steps; i++) {
        const uint64_t first = below(SPACE), last = first + below(25);

        change();
        in_tree += set.tree.entries;
        ask(first, last);
        if (below(40) == 0) {
            from_newest += remove_range(first, last);
        }
        ck_assert_ptr_null(i % 64 == 0 ? interval_btree_check(&set.tree) : NULL);
    }
    ck_assert_uint_gt(from_newest, 0);
    ck_assert_uint_gt(in_tree, 0);
    interval_index_destroy(&set);
}
END_TEST

START_TEST(short_lived_intervals_do_not_reach_the_tree)
{
    interval_index_init(&set);
    ck_assert(make_room());
    for (uint32_t id = 1; id <= 100; id++) {
        ck_assert(interval_index_insert(&set, id, id + 1, id));
        ck_assert(interval_index_remove(&set, id, id + 1, id));
    }
    ck_assert_uint_eq(interval_btree_nodes(&set.tree), 0);
    interval_index_destroy(&set);
}
END_TEST

START_TEST(what_is_no_interval_or_has_no_room_is_refused)
{
    interval_index_init(&set);
    ck_assert(!interval_index_insert(&set, 2, 1, 1));
    ck_assert(!interval_index_insert(&set, 1, 2, 0));
    ck_assert(!interval_index_insert(&set, 0, UINT64_C(1) << INTERVAL_BTREE_LENGTH_BITS, 1));
    for (uint32_t id = 1; id <= INTERVAL_INDEX_NEWEST; id++) {
        ck_assert_uint_eq(interval_index_lacks(&set), 0);
        ck_assert(interval_index_insert(&set, id, id, id));
    }
    ck_assert_uint_ne(interval_index_lacks(&set), 0);
    ck_assert(!interval_index_insert(&set, 100, 100, 100));
    ck_assert_uint_eq(set.newest_count, INTERVAL_INDEX_NEWEST);
    ck_assert(make_room());
    ck_assert(interval_index_insert(&set, 100, 100, 100));
    ck_assert_uint_eq(set.tree.entries, INTERVAL_INDEX_NEWEST);
    interval_index_reset(&set);
    ck_assert(!interval_index_is_overlapped(&set, 0, UINT64_MAX));
    interval_index_destroy(&set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interval_index");
    TCase *tcase = tcase_create("index");

    tcase_set_timeout(tcase, 240);
    tcase_add_test(tcase, answers_are_those_of_one_set);
    tcase_add_test(tcase, short_lived_intervals_do_not_reach_the_tree);
    tcase_add_test(tcase, what_is_no_interval_or_has_no_room_is_refused);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
