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

static void strip_leaf(removal_t *removal, btree_leaf_t *leaf)
{
    uint32_t ids[LEAF_MAX];
    unsigned n = leaf_up_to(leaf, removal->last), kept = 0, gone = 0;
    for (unsigned i = 0; i < leaf->count; i++) {
        if (i < n && leaf_last(leaf, i) >= removal->first) {
            ids[gone++] = leaf_id(leaf, i);
        } else {
            leaf->offset[kept] = leaf->offset[i];
            leaf->length[kept] = leaf->length[i];
            leaf->tag[kept++] = leaf->tag[i];
        }
    }
    leaf->count = kept;
    if (gone != 0) {
        pass_on(removal, ids, gone);
    }
}

/* Does everything below the child overlap the range, because it begins in it? */
static bool is_inside(const removal_t *removal, const btree_inner_t *inner, unsigned i)
{
    return inner->first[i] >= removal->first
           && (inner->max_last[i] <= removal->last
               || (i + 1 < inner->count && inner->first[i + 1] <= removal->last));
}

static void strip(removal_t *removal, uint32_t number, unsigned level);

/* @return Is something left of the child? */
static bool strip_child(removal_t *removal, btree_inner_t *inner, unsigned i, unsigned level)
{
    uint32_t number = inner->child[i];
    if (is_inside(removal, inner, i)) {
        if (level == 0 && i + 1 < inner->count) {
            prefetch_ids(removal, inner->child[i + 1]);
        }
        drop(removal, number, level);
        return false;
    }
    strip(removal, number, level);
    btree_node_t *child = btree_node(removal->tree, number);
    if (child->head.count == 0) {
        btree_node_give(removal->tree, number);
        return false;
    }
    inner->max_last[i] = node_max_last(child, level);
    return true;
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
    for (unsigned i = 0; i < n; i++) {
        if (inner->max_last[i] >= removal->first) {
            uint32_t before = removal->removed;
            if (!strip_child(removal, inner, i, level - 1)) {
                inner->child[i] = 0;
            }
            changed |= (uint64_t) (removal->removed != before) << i;
        }
    }
    if (changed != 0) {
        close_ranks(removal->tree, inner, changed, level - 1);
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
