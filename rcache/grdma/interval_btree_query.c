/* SPDX-License-Identifier: BSD-3-Clause */
/* The questions that interval_btree.h answers without changing anything. All
 * enter a child only if it has something for them: max_last says so for each
 * child that the limit of firsts does not cut through. */
#include "rcache/grdma/interval_btree_node.h"

typedef struct query_t {
    const interval_btree_t *tree;
    uint64_t first, last;
    interval_btree_accept_fn_t accept;
    interval_btree_visit_fn_t visit;
    void *arg;
    uint32_t id; /* The answer. */
} query_t;

static bool containing_in_leaf(query_t *query, const btree_leaf_t *leaf)
{
    unsigned n = leaf_up_to(leaf, query->first);
    if (n == 0 || (leaf_last(leaf, n - 1) < query->last && !leaf_may_reach(leaf, n, query->last - leaf->base))) {
        return false;
    }
    for (unsigned i = n; i-- > 0;) {
        if (leaf_last(leaf, i) >= query->last
            && (query->accept == NULL || query->accept(leaf_id(leaf, i), query->arg))) {
            query->id = leaf_id(leaf, i);
            return true;
        }
    }
    return false;
}

static bool containing_below(query_t *query, uint32_t number, unsigned level)
{
    const btree_node_t *node = btree_node(query->tree, number);
    if (level == 0) {
        leaf_prefetch(query->tree, node);
        return containing_in_leaf(query, &node->leaf);
    }
    for (unsigned i = inner_up_to(&node->inner, query->first); i-- > 0;) {
        if (node->inner.max_last[i] >= query->last && containing_below(query, node->inner.child[i], level - 1)) {
            return true;
        }
    }
    return false;
}

uint32_t interval_btree_containing(const interval_btree_t *tree, uint64_t first, uint64_t last,
                                   interval_btree_accept_fn_t accept, void *arg)
{
    query_t query = { .tree = tree, .first = first, .last = last, .accept = accept, .arg = arg };
    if (tree->height != 0) {
        (void) containing_below(&query, tree->root, tree->height - 1);
    }
    return query.id;
}

static bool visit_leaf(query_t *query, const btree_leaf_t *leaf)
{
    unsigned n = leaf_up_to(leaf, query->last);
    for (unsigned i = 0; i < n; i++) {
        interval_btree_entry_t entry = { leaf_first(leaf, i), leaf_last(leaf, i), leaf_id(leaf, i) };
        if (entry.last >= query->first && !query->visit(&entry, query->arg)) {
            return false;
        }
    }
    return true;
}

static bool visit_below(query_t *query, uint32_t number, unsigned level)
{
    const btree_node_t *node = btree_node(query->tree, number);
    if (level == 0) {
        return visit_leaf(query, &node->leaf);
    }
    unsigned n = inner_up_to(&node->inner, query->last);
    for (unsigned i = 0; i < n; i++) {
        if (node->inner.max_last[i] >= query->first && !visit_below(query, node->inner.child[i], level - 1)) {
            return false;
        }
    }
    return true;
}

void interval_btree_visit_overlapping(const interval_btree_t *tree, uint64_t first, uint64_t last,
                                      interval_btree_visit_fn_t fn, void *arg)
{
    query_t query = { .tree = tree, .first = first, .last = last, .visit = fn, .arg = arg };
    if (tree->height != 0) {
        (void) visit_below(&query, tree->root, tree->height - 1);
    }
}

static bool take_first(const interval_btree_entry_t *entry, void *arg)
{
    *(uint32_t *) arg = entry->id;
    return false;
}

uint32_t interval_btree_overlapping(const interval_btree_t *tree, uint64_t first, uint64_t last)
{
    uint32_t id = 0;
    interval_btree_visit_overlapping(tree, first, last, take_first, &id);
    return id;
}

static bool take_inside(const interval_btree_entry_t *entry, void *arg)
{
    query_t *query = arg;
    if (entry->first >= query->first && entry->last <= query->last
        && (query->accept == NULL || query->accept(entry->id, query->arg))) {
        query->id = entry->id;
    }
    return query->id == 0;
}

uint32_t interval_btree_inside(const interval_btree_t *tree, uint64_t first, uint64_t last,
                               interval_btree_accept_fn_t accept, void *arg)
{
    query_t query = { .first = first, .last = last, .accept = accept, .arg = arg };
    interval_btree_visit_overlapping(tree, first, last, take_inside, &query);
    return query.id;
}
