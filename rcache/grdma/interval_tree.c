/* SPDX-License-Identifier: BSD-3-Clause */
/* The treap of interval_tree.h. */
#include "rcache/grdma/interval_tree.h"

#include <stddef.h>

static bool before(const interval_node_t *a, const interval_node_t *b)
{
    if (a->first != b->first) {
        return a->first < b->first;
    }
    if (a->last != b->last) {
        return a->last < b->last;
    }
    return (uintptr_t) a < (uintptr_t) b;
}

static void update(interval_node_t *node)
{
    uintptr_t max = node->last;
    if (node->left != NULL && node->left->max_last > max) {
        max = node->left->max_last;
    }
    if (node->right != NULL && node->right->max_last > max) {
        max = node->right->max_last;
    }
    node->max_last = max;
}

/* Addresses of nodes are regular; the finaliser of a hash makes them look random. */
static uint32_t priority_of(const interval_node_t *node)
{
    uint64_t x = (uint64_t) (uintptr_t) node;
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    return (uint32_t) x;
}

/* Split into the nodes before `pivot` and the others. */
static void split(interval_node_t *node, const interval_node_t *pivot, interval_node_t **low,
                  interval_node_t **high)
{
    if (node == NULL) {
        *low = *high = NULL;
    } else if (before(node, pivot)) {
        *low = node;
        split(node->right, pivot, &node->right, high);
        update(node);
    } else {
        *high = node;
        split(node->left, pivot, low, &node->left);
        update(node);
    }
}

/* Join two treaps; every node of low is before every node of high. */
static interval_node_t *join(interval_node_t *low, interval_node_t *high)
{
    if (low == NULL || high == NULL) {
        return low == NULL ? high : low;
    }
    if (low->priority >= high->priority) {
        low->right = join(low->right, high);
        update(low);
        return low;
    }
    high->left = join(low, high->left);
    update(high);
    return high;
}

static void insert_below(interval_node_t **link, interval_node_t *node)
{
    interval_node_t *here = *link;
    if (here == NULL || here->priority < node->priority) {
        split(here, node, &node->left, &node->right);
        *link = node;
    } else {
        insert_below(before(node, here) ? &here->left : &here->right, node);
    }
    update(*link);
}

void interval_tree_insert(interval_tree_t *tree, interval_node_t *node)
{
    node->left = node->right = NULL;
    node->priority = priority_of(node);
    insert_below(&tree->root, node);
}

static void remove_below(interval_node_t **link, interval_node_t *node)
{
    interval_node_t *here = *link;
    if (here == node) {
        *link = join(node->left, node->right);
        return;
    }
    remove_below(before(node, here) ? &here->left : &here->right, node);
    update(here);
}

void interval_tree_remove(interval_tree_t *tree, interval_node_t *node)
{
    remove_below(&tree->root, node);
}

static interval_node_t *containing(interval_node_t *node, uintptr_t first, uintptr_t last,
                                   interval_accept_fn_t accept, void *arg)
{
    while (node != NULL && node->max_last >= last) {
        interval_node_t *found = containing(node->left, first, last, accept, arg);
        if (found != NULL) {
            return found;
        }
        if (node->first > first) {
            return NULL;
        }
        if (node->last >= last && accept(node, arg)) {
            return node;
        }
        node = node->right;
    }
    return NULL;
}

interval_node_t *interval_tree_containing(const interval_tree_t *tree, uintptr_t first, uintptr_t last,
                                          interval_accept_fn_t accept, void *arg)
{
    return containing(tree->root, first, last, accept, arg);
}

interval_node_t *interval_tree_overlapping(const interval_tree_t *tree, uintptr_t first, uintptr_t last)
{
    interval_node_t *node = tree->root;
    while (node != NULL && node->max_last >= first) {
        if (node->left != NULL && node->left->max_last >= first) {
            /* If it does not overlap there, it begins behind `last` there, and so does all to the right. */
            node = node->left;
        } else if (node->first <= last && node->last >= first) {
            return node;
        } else if (node->first > last) {
            return NULL;
        } else {
            node = node->right;
        }
    }
    return NULL;
}

static interval_node_t *inside(interval_node_t *node, uintptr_t first, uintptr_t last, interval_accept_fn_t accept,
                               void *arg)
{
    while (node != NULL) {
        if (node->first < first) {
            node = node->right;
            continue;
        }
        interval_node_t *found = inside(node->left, first, last, accept, arg);
        if (found != NULL || node->first > last) {
            return found;
        }
        if (node->last <= last && accept(node, arg)) {
            return node;
        }
        node = node->right;
    }
    return NULL;
}

interval_node_t *interval_tree_inside(const interval_tree_t *tree, uintptr_t first, uintptr_t last,
                                      interval_accept_fn_t accept, void *arg)
{
    return inside(tree->root, first, last, accept, arg);
}

static bool check_below(const interval_node_t *node)
{
    if (node == NULL) {
        return true;
    }
    interval_node_t copy = *node;
    update(&copy);
    return copy.max_last == node->max_last && check_below(node->left) && check_below(node->right)
           && (node->left == NULL || (before(node->left, node) && node->left->priority <= node->priority))
           && (node->right == NULL || (before(node, node->right) && node->right->priority <= node->priority));
}

bool interval_tree_check(const interval_tree_t *tree)
{
    return check_below(tree->root);
}
