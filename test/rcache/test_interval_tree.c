/* SPDX-License-Identifier: BSD-3-Clause */
/* The interval tree against a list of the same intervals. */
#include <stdint.h>
#include <string.h>

#include "rcache/grdma/interval_tree.h"
#include "test/test_main.h"

#define NODES 400

static interval_node_t nodes[NODES];
static bool present[NODES];
static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static bool accept_all(const interval_node_t *node, void *arg)
{
    (void) node, (void) arg;
    return true;
}

static bool accept_even(const interval_node_t *node, void *arg)
{
    (void) arg;
    return (node - nodes) % 2 == 0;
}

static bool overlaps(const interval_node_t *node, uintptr_t first, uintptr_t last)
{
    return node->first <= last && node->last >= first;
}

static void compare(const interval_tree_t *tree, uintptr_t first, uintptr_t last)
{
    bool containing = false, containing_even = false, overlapping = false, inside = false;
    uintptr_t lowest = UINTPTR_MAX;
    for (int i = 0; i < NODES; i++) {
        const interval_node_t *node = &nodes[i];
        if (!present[i]) {
            continue;
        }
        bool contains = node->first <= first && node->last >= last;
        containing |= contains;
        containing_even |= contains && i % 2 == 0;
        inside |= node->first >= first && node->last <= last;
        if (overlaps(node, first, last)) {
            overlapping = true;
            lowest = node->first < lowest ? node->first : lowest;
        }
    }
    const interval_node_t *found = interval_tree_containing(tree, first, last, accept_all, NULL);
    ck_assert_int_eq(found != NULL, containing);
    ck_assert(found == NULL || (found->first <= first && found->last >= last));
    found = interval_tree_containing(tree, first, last, accept_even, NULL);
    ck_assert_int_eq(found != NULL, containing_even);
    ck_assert(found == NULL || (found - nodes) % 2 == 0);
    found = interval_tree_overlapping(tree, first, last);
    ck_assert_int_eq(found != NULL, overlapping);
    ck_assert(found == NULL || (overlaps(found, first, last) && found->first == lowest));
    found = interval_tree_inside(tree, first, last, accept_all, NULL);
    ck_assert_int_eq(found != NULL, inside);
    ck_assert(found == NULL || (found->first >= first && found->last <= last));
}

/* `span`: how far intervals reach; small spans make few overlaps, large ones many, 1 makes duplicates. */
static void random_operations(uintptr_t space, uintptr_t span)
{
    interval_tree_t tree = { NULL };
    memset(present, 0, sizeof(present));
    for (int step = 0; step < 20000; step++) {
        int i = (int) (next_random() % NODES);
        if (present[i]) {
            interval_tree_remove(&tree, &nodes[i]);
        } else {
            nodes[i].first = next_random() % space;
            nodes[i].last = nodes[i].first + next_random() % span;
            interval_tree_insert(&tree, &nodes[i]);
        }
        present[i] = !present[i];
        ck_assert(interval_tree_check(&tree));
        uintptr_t first = next_random() % (space + 10);
        compare(&tree, first, first + next_random() % span);
    }
}

START_TEST(agrees_with_a_list_over_few_overlaps)
{
    random_operations(100000, 50);
}
END_TEST

START_TEST(agrees_with_a_list_over_many_overlaps)
{
    random_operations(500, 300);
}
END_TEST

START_TEST(agrees_with_a_list_over_duplicates)
{
    random_operations(8, 1);
}
END_TEST

START_TEST(containing_interval_is_found_behind_one_that_begins_later)
{
    interval_tree_t tree = { NULL };
    nodes[0].first = 0x10000, nodes[0].last = 0x1ffff;
    nodes[1].first = 0, nodes[1].last = 0xfffff;
    interval_tree_insert(&tree, &nodes[0]);
    interval_tree_insert(&tree, &nodes[1]);
    ck_assert_ptr_eq(interval_tree_containing(&tree, 0x30000, 0x3ffff, accept_all, NULL), &nodes[1]);
}
END_TEST

START_TEST(neighbours_of_a_range_are_not_in_it)
{
    interval_tree_t tree = { NULL };
    nodes[0].first = 0x1000, nodes[0].last = 0x1fff;
    nodes[1].first = 0x3000, nodes[1].last = 0x3fff;
    interval_tree_insert(&tree, &nodes[0]);
    interval_tree_insert(&tree, &nodes[1]);
    ck_assert_ptr_null(interval_tree_overlapping(&tree, 0x2000, 0x2fff));
    ck_assert_ptr_eq(interval_tree_overlapping(&tree, 0, UINTPTR_MAX), &nodes[0]);
}
END_TEST

START_TEST(empty_tree_finds_nothing)
{
    interval_tree_t tree = { NULL };
    ck_assert_ptr_null(interval_tree_overlapping(&tree, 0, UINTPTR_MAX));
    ck_assert_ptr_null(interval_tree_containing(&tree, 0, 0, accept_all, NULL));
    ck_assert_ptr_null(interval_tree_inside(&tree, 0, UINTPTR_MAX, accept_all, NULL));
    ck_assert(interval_tree_check(&tree));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interval_tree");
    TCase *tests = tcase_create("searches");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, agrees_with_a_list_over_few_overlaps);
    tcase_add_test(tests, agrees_with_a_list_over_many_overlaps);
    tcase_add_test(tests, agrees_with_a_list_over_duplicates);
    tcase_add_test(tests, containing_interval_is_found_behind_one_that_begins_later);
    tcase_add_test(tests, neighbours_of_a_range_are_not_in_it);
    tcase_add_test(tests, empty_tree_finds_nothing);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
