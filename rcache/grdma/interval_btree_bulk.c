/* SPDX-License-Identifier: BSD-3-Clause */
/* Bulk removal from interval_btree.h. A child whose keys all lie in the range is
 * dropped whole, its ids are passed on leaf by leaf. What is left of the others is
 * merged while the way back up is taken. */
#include "rcache/grdma/interval_btree_node.h"

typedef struct removal_t {
    interval_btree_t *tree;
    uint64_t first, last;
    interval_btree_removed_fn_t fn;
    void *arg;
    uint32_t removed;
    uint64_t max_gone; /* The greatest last of those that have left what is looked at. */
} removal_t;

enum { LINE = 64 };

/* The next leaf's ids arrive while the callee works on those of this one. */
static void prefetch_ids(const removal_t *removal, uint32_t number)
{
    const btree_leaf_t *leaf = &btree_node(removal->tree, number)->leaf;
    __builtin_prefetch(leaf);
    for (size_t at = 0; at < sizeof(leaf->tag); at += LINE) {
        __builtin_prefetch((const char *) leaf->tag + at);
    }
}

static void pass_on(removal_t *removal, const uint32_t *ids, unsigned count)
{
    removal->removed += count;
    removal->fn(ids, count, removal->arg);
}

static void drop_leaf(removal_t *removal, uint32_t number)
{
    btree_leaf_t *leaf = &btree_node(removal->tree, number)->leaf;
    /* The leaf is at its end: the ids can be made in place. */
    for (unsigned i = 0; i < leaf->count; i++) {
        leaf->tag[i] &= INTERVAL_BTREE_ID_MAX;
    }
    pass_on(removal, leaf->tag, leaf->count);
    removal->tree->counts.leaf_drops++;
    btree_node_give(removal->tree, number);
}

static void drop(removal_t *removal, uint32_t number, unsigned level)
{
    if (level == 0) {
        drop_leaf(removal, number);
        return;
    }
    btree_inner_t *inner = &btree_node(removal->tree, number)->inner;
    for (unsigned i = 0; i < inner->count; i++) {
        if (level == 1 && i + 1 < inner->count) {
            prefetch_ids(removal, inner->child[i + 1]);
        }
        drop(removal, inner->child[i], level - 1);
    }
    removal->tree->counts.inner_drops++;
    btree_node_give(removal->tree, number);
}

static void note_gone(removal_t *removal, uint64_t last)
{
    removal->max_gone = last > removal->max_gone ? last : removal->max_gone;
}

/* The first `kept` intervals stay. Of those up to n the ones that reach the range go, others move up. */
static void compact(removal_t *removal, btree_leaf_t *leaf, unsigned kept, unsigned n)
{
    uint32_t ids[LEAF_MAX];
    unsigned gone = 0;

    for (unsigned i = kept; i < n; i++) {
        if (leaf_last(leaf, i) >= removal->first) {
            note_gone(removal, leaf_last(leaf, i));
            ids[gone++] = leaf_id(leaf, i);
        } else {
            leaf->offset[kept] = leaf->offset[i];
            leaf->length[kept] = leaf->length[i];
            leaf->tag[kept++] = leaf->tag[i];
        }
    }
    if (gone != 0) {
        btree_leaf_move(leaf, kept, n);
        pass_on(removal, ids, gone);
    }
}

/* Intervals that do not overlap each other lie side by side if they overlap the range. */
static void strip_leaf(removal_t *removal, btree_leaf_t *leaf)
{
    const unsigned n = leaf_up_to(leaf, removal->last);
    unsigned kept = n;

    while (kept > 0 && leaf_last(leaf, kept - 1) >= removal->first) {
        kept--;
    }
    /* All before begin before the range: does a long one reach it? */
    if (kept > 0 && leaf_may_reach(leaf, kept, removal->first - leaf->base)) {
        kept = 0;
    }
    compact(removal, leaf, kept, n);
}

/* Does everything below the child overlap the range, because it begins in it? */
static bool is_inside(const removal_t *removal, const btree_inner_t *inner, unsigned i)
{
    return inner->first[i] >= removal->first
           && (inner->max_last[i] <= removal->last
               || (i + 1 < inner->count && inner->first[i + 1] <= removal->last));
}

static void strip(removal_t *removal, uint32_t number, unsigned level);

/* What is left of a child. @return Anything? */
static bool strip_partly(removal_t *removal, btree_inner_t *inner, unsigned i, unsigned level)
{
    const uint32_t number = inner->child[i];
    const uint64_t others_gone = removal->max_gone;

    removal->max_gone = 0;
    strip(removal, number, level);
    const btree_node_t *child = btree_node(removal->tree, number);
    const bool is_left = child->head.count != 0;
    if (!is_left) {
        btree_node_give(removal->tree, number);
    } else if (removal->max_gone == inner->max_last[i]) {
        inner->max_last[i] = node_max_last(child, level);
    }
    note_gone(removal, others_gone);
    return is_left;
}

/* @return Is something left of the child? */
static bool strip_child(removal_t *removal, btree_inner_t *inner, unsigned i, unsigned level)
{
    if (!is_inside(removal, inner, i)) {
        return strip_partly(removal, inner, i, level);
    }
    if (level == 0 && i + 1 < inner->count) {
        prefetch_ids(removal, inner->child[i + 1]);
    }
    note_gone(removal, inner->max_last[i]);
    drop(removal, inner->child[i], level);
    return false;
}

/* Children that are 0 go; those whose bit is set in `changed`, or that have a new neighbour, are merged if they can be. */
static void close_ranks(interval_btree_t *tree, btree_inner_t *inner, uint64_t changed, unsigned child_level)
{
    unsigned count = inner->count;
    bool look = false; /* At the pair of the last child that was kept and the next one. */
    inner->count = 0;
    for (unsigned i = 0; i < count; i++) {
        bool is_changed = (changed >> i & 1) != 0;
        look |= is_changed;
        if (inner->child[i] == 0) {
            continue;
        }
        unsigned at = inner->count++;
        inner->first[at] = inner->first[i];
        inner->max_last[at] = inner->max_last[i];
        inner->id[at] = inner->id[i];
        inner->child[at] = inner->child[i];
        look = (look && at > 0 && btree_join_children(tree, inner, at - 1, child_level)) || is_changed;
    }
}

static void strip_inner(removal_t *removal, btree_inner_t *inner, unsigned level)
{
    uint64_t changed = 0;
    unsigned n = inner_up_to(inner, removal->last);
    bool is_any_empty = false;

    for (unsigned i = 0; i < n; i++) {
        if (inner->max_last[i] >= removal->first) {
            uint32_t before = removal->removed;
            if (!strip_child(removal, inner, i, level - 1)) {
                inner->child[i] = 0;
                is_any_empty = true;
            }
            changed |= (uint64_t) (removal->removed != before) << i;
        }
    }
    if (is_any_empty || (changed & (changed - 1)) != 0) {
        close_ranks(removal->tree, inner, changed, level - 1);
    } else if (changed != 0) {
        btree_mend(removal->tree, inner, (unsigned) __builtin_ctzll(changed), level - 1);
    }
}

/* Takes out what overlaps. The node may be left empty, and is the caller's then. */
static void strip(removal_t *removal, uint32_t number, unsigned level)
{
    btree_node_t *node = btree_node(removal->tree, number);
    if (level == 0) {
        strip_leaf(removal, &node->leaf);
    } else {
        strip_inner(removal, &node->inner, level);
    }
}

uint32_t interval_btree_remove_overlapping(interval_btree_t *tree, uint64_t first, uint64_t last,
                                           interval_btree_removed_fn_t fn, void *arg)
{
    removal_t removal = { .tree = tree, .first = first, .last = last, .fn = fn, .arg = arg };
    if (tree->height != 0) {
        strip(&removal, tree->root, tree->height - 1);
        tree->entries -= removal.removed;
        btree_lower_root(tree);
    }
    return removal.removed;
}
