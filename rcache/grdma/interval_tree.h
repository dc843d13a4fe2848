/* SPDX-License-Identifier: BSD-3-Clause */
/* A set of intervals [first, last], duplicates allowed, embedded in their
 * owners: no operation allocates. A treap ordered by (first, last, address);
 * each node knows the greatest `last` below it:
 *
 *   max_last == max(last, left->max_last, right->max_last)
 *   priority >= left->priority, right->priority
 *
 * Recursion depth is that of the treap: about 2 log2(n) on average.
 * Not thread-safe. Hook context. */
#ifndef RCACHE_GRDMA_INTERVAL_TREE_H
#define RCACHE_GRDMA_INTERVAL_TREE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct interval_node_t {
    uintptr_t first, last; /**< Inclusive; set by the owner, constant while in a tree. */
    uintptr_t max_last;
    struct interval_node_t *left, *right;
    uint32_t priority;
} interval_node_t;

typedef struct interval_tree_t {
    interval_node_t *root;
} interval_tree_t;

typedef bool (*interval_accept_fn_t)(const interval_node_t *node, void *arg);

void interval_tree_insert(interval_tree_t *tree, interval_node_t *node);

/** The node must be in the tree. */
void interval_tree_remove(interval_tree_t *tree, interval_node_t *node);

/** A node that contains [first, last] and that accept() takes; NULL: there is none. */
interval_node_t *interval_tree_containing(const interval_tree_t *tree, uintptr_t first, uintptr_t last,
                                          interval_accept_fn_t accept, void *arg);

/** The lowest node that overlaps [first, last]; NULL: there is none. */
interval_node_t *interval_tree_overlapping(const interval_tree_t *tree, uintptr_t first, uintptr_t last);

/** Any node that lies inside [first, last] and that accept() takes; NULL: there is none. */
interval_node_t *interval_tree_inside(const interval_tree_t *tree, uintptr_t first, uintptr_t last,
                                      interval_accept_fn_t accept, void *arg);

/** Do the equations above hold, and the order? For tests. */
bool interval_tree_check(const interval_tree_t *tree);

#endif
