/* SPDX-License-Identifier: BSD-3-Clause */
/* The invariants of interval_btree.h, each looked at: for tests. */
#include "rcache/grdma/interval_btree_node.h"

#include <stdlib.h>

typedef struct key_t {
    uint64_t first;
    uint32_t id;
} tree_key_t;

typedef struct walk_t {
    const interval_btree_t *tree;
    uint32_t nodes, entries;
    tree_key_t previous; /* Keys must rise. */
    const char *wrong;
} walk_t;

static bool before(tree_key_t a, tree_key_t b)
{
    return a.first < b.first || (a.first == b.first && a.id < b.id);
}

static void expect(walk_t *walk, bool holds, const char *what)
{
    if (!holds && walk->wrong == NULL) {
        walk->wrong = what;
    }
}

static void check_leaf(walk_t *walk, const btree_leaf_t *leaf)
{
    expect(walk, leaf->count > 0 && leaf->count <= LEAF_MAX, "count of a leaf");
    for (unsigned i = 0; i < leaf->count && walk->wrong == NULL; i++) {
        tree_key_t key = { leaf_first(leaf, i), leaf_id(leaf, i) };
        expect(walk, key.id != 0, "an id is 0");
        expect(walk, before(walk->previous, key), "order of intervals");
        expect(walk, leaf_last(leaf, i) >= key.first, "an interval wraps");
        expect(walk, leaf_length(leaf, i) <= UINT32_MAX || leaf->any_long, "any_long of a leaf");
        expect(walk, i == 0 || leaf->any_overlap || leaf_last(leaf, i - 1) < key.first, "any_overlap of a leaf");
        walk->previous = key;
    }
    walk->entries += leaf->count;
}

static void check_node(walk_t *walk, uint32_t number, unsigned level);

/* Neighbours that would fit into half a node must have been merged. */
static void check_fill(walk_t *walk, const btree_inner_t *inner, unsigned i, unsigned child_level)
{
    if (i + 1 < inner->count) {
        expect(walk,
               !btree_can_merge(btree_node(walk->tree, inner->child[i]),
                                btree_node(walk->tree, inner->child[i + 1]), child_level),
               "neighbours that could be one node");
    }
}

static void check_inner(walk_t *walk, const btree_inner_t *inner, unsigned level)
{
    expect(walk, inner->count > 0 && inner->count <= INNER_MAX, "count of an inner node");
    for (unsigned i = 0; i < inner->count && walk->wrong == NULL; i++) {
        tree_key_t key = { inner->first[i], inner->id[i] };
        expect(walk, before(walk->previous, key), "a child's key is not above what is before it");
        /* The key itself may be below the child. */
        walk->previous = key.id > 0 ? (tree_key_t){ key.first, key.id - 1 } : key;
        check_node(walk, inner->child[i], level - 1);
        if (walk->wrong == NULL) {
            expect(walk, inner->max_last[i] == node_max_last(btree_node(walk->tree, inner->child[i]), level - 1),
                   "max_last");
            check_fill(walk, inner, i, level - 1);
        }
    }
}

static void check_node(walk_t *walk, uint32_t number, unsigned level)
{
    walk->nodes++;
    if (number < 1u << INTERVAL_BTREE_CHUNK_FIRST || number >= walk->tree->fresh) {
        expect(walk, false, "a node's number");
    } else if (level == 0) {
        check_leaf(walk, &btree_node(walk->tree, number)->leaf);
    } else {
        check_inner(walk, &btree_node(walk->tree, number)->inner, level);
    }
}

static void check_pool(walk_t *walk)
{
    const interval_btree_t *tree = walk->tree;
    uint32_t free_nodes = 0;
    for (uint32_t number = tree->free_list; number != 0 && free_nodes <= tree->free_nodes;
         number = btree_node(tree, number)->head.next_free) {
        free_nodes++;
    }
    expect(walk, free_nodes == tree->free_nodes, "length of the list of free nodes");
    expect(walk, walk->nodes == interval_btree_nodes(tree), "nodes in use: some are lost");
    expect(walk, tree->fresh <= 1u << tree->chunks_end, "nodes beyond the last chunk");
}

const char *interval_btree_check(const interval_btree_t *tree)
{
    walk_t walk = { .tree = tree };
    if ((tree->root == 0) != (tree->height == 0)) {
        return "root and height";
    }
    if (tree->height > 0) {
        check_node(&walk, tree->root, tree->height - 1);
    }
    expect(&walk, tree->height < 2 || btree_node(tree, tree->root)->head.count > 1, "a root with one child");
    expect(&walk, walk.entries == tree->entries, "number of intervals");
    if (walk.wrong == NULL) {
        check_pool(&walk);
    }
    return walk.wrong;
}
