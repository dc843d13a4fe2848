/* SPDX-License-Identifier: BSD-3-Clause */
/* Insertion and removal of single intervals in interval_btree.h, and what keeps
 * the nodes filled. */
#include "rcache/grdma/interval_btree_node.h"

#include <string.h>

/* The way from the root to a leaf: at each level the node and the child that was taken. */
typedef struct path_t {
    unsigned height;
    btree_inner_t *node[INTERVAL_BTREE_HEIGHT_MAX];
    unsigned slot[INTERVAL_BTREE_HEIGHT_MAX];
} path_t;

#define MOVE(array, to, from, count) memmove(&(array)[to], &(array)[from], (count) * sizeof((array)[0]))
#define COPY(left, at, right, from, count) memcpy(&(left)[at], &(right)[from], (count) * sizeof((left)[0]))

void btree_leaf_move(btree_leaf_t *leaf, unsigned to, unsigned from)
{
    unsigned count = leaf->count - from;

    if (count != 0) {
        MOVE(leaf->offset, to, from, count);
        MOVE(leaf->length, to, from, count);
        MOVE(leaf->tag, to, from, count);
    }
    leaf->count += to - from;
}

static void inner_move(btree_inner_t *inner, unsigned to, unsigned from)
{
    unsigned count = inner->count - from;
    MOVE(inner->first, to, from, count);
    MOVE(inner->max_last, to, from, count);
    MOVE(inner->id, to, from, count);
    MOVE(inner->child, to, from, count);
    inner->count += to - from;
}

/* Does the interval at `at` overlap the next one? */
static bool leaf_meet(const btree_leaf_t *leaf, unsigned at)
{
    return leaf_last(leaf, at) >= leaf_first(leaf, at + 1);
}

/* Appends what `right` has from `from` on, which stays there; the bases must agree. */
static void leaf_append(btree_leaf_t *left, const btree_leaf_t *right, unsigned from)
{
    unsigned count = right->count - from;
    COPY(left->offset, left->count, right->offset, from, count);
    COPY(left->length, left->count, right->length, from, count);
    COPY(left->tag, left->count, right->tag, from, count);
    left->any_long |= right->any_long;
    left->any_overlap |= right->any_overlap || (left->count > 0 && count > 0 && leaf_meet(left, left->count - 1));
    left->count += count;
}

static void inner_append(btree_inner_t *left, const btree_inner_t *right, unsigned from)
{
    unsigned count = right->count - from;
    COPY(left->first, left->count, right->first, from, count);
    COPY(left->max_last, left->count, right->max_last, from, count);
    COPY(left->id, left->count, right->id, from, count);
    COPY(left->child, left->count, right->child, from, count);
    left->count += count;
}

static void leaf_set_base(btree_leaf_t *leaf, uint64_t base)
{
    uint32_t shift = (uint32_t) (leaf->base - base);
    for (unsigned i = 0; shift != 0 && i < leaf->count; i++) {
        leaf->offset[i] += shift;
    }
    leaf->base = base;
}

/* Can 32-bit offsets hold this key beside the leaf's keys? If so the base is changed where it must be. */
static bool leaf_reach(btree_leaf_t *leaf, uint64_t first)
{
    if (first >= leaf->base && first - leaf->base <= UINT32_MAX) {
        return true;
    }
    uint64_t low = leaf_first(leaf, 0), high = leaf_first(leaf, leaf->count - 1);
    low = first < low ? first : low;
    high = first > high ? first : high;
    if (high - low > UINT32_MAX) {
        return false;
    }
    leaf_set_base(leaf, low);
    return true;
}

static void leaf_start(btree_leaf_t *leaf, uint64_t base)
{
    leaf->count = 0;
    leaf->any_long = leaf->any_overlap = 0;
    leaf->latest = 0;
    leaf->base = base;
}

static void leaf_put(btree_leaf_t *leaf, unsigned at, const interval_btree_entry_t *entry)
{
    uint64_t length = entry->last - entry->first;
    btree_leaf_move(leaf, at + 1, at);
    leaf->offset[at] = (uint32_t) (entry->first - leaf->base);
    leaf->length[at] = (uint32_t) length;
    leaf->tag[at] = entry->id | (uint32_t) (length >> 32) << 24;
    leaf->any_long |= length > UINT32_MAX;
    leaf->any_overlap |= (at > 0 && leaf_meet(leaf, at - 1)) || (at + 1 < leaf->count && leaf_meet(leaf, at));
    leaf->latest = (uint16_t) at;
}

/* Where to split a node for an insertion at `at`: in the middle, but at a run's end, where the one before went to
 * `latest`, right there. Then rising and falling runs leave full nodes behind, wherever they are. */
static unsigned split_point(unsigned at, unsigned count, unsigned latest)
{
    return at == 0 || at == count || at == latest || at == latest + 1 ? at : count / 2;
}

/* @return The new right neighbour; 0: the leaf was not split. */
static uint32_t leaf_insert(interval_btree_t *tree, btree_leaf_t *leaf, const interval_btree_entry_t *entry)
{
    unsigned at = leaf_position(leaf, entry->first, entry->id);
    bool near = leaf_reach(leaf, entry->first);
    if (near && leaf->count < LEAF_MAX) {
        leaf_put(leaf, at, entry);
        return 0;
    }
    tree->counts.leaf_splits += near;
    tree->counts.gap_splits += !near;
    uint32_t number = btree_node_take(tree);
    btree_leaf_t *right = &btree_node(tree, number)->leaf;
    /* What does not fit beside the leaf's keys is before or after all of them. */
    unsigned count = leaf->count, middle = near ? split_point(at, count, leaf->latest) : at;
    leaf_start(right, leaf->base);
    leaf_append(right, leaf, middle);
    leaf->count = middle;
    bool is_left = at < middle || (at == middle && at < count);
    btree_leaf_t *target = is_left ? leaf : right;
    if (target->count == 0) {
        leaf_start(target, entry->first);
    }
    leaf_put(target, is_left ? at : at - middle, entry);
    return number;
}

static void inner_put(const interval_btree_t *tree, btree_inner_t *inner, unsigned at, uint32_t child,
                      unsigned child_level)
{
    const btree_node_t *node = btree_node(tree, child);
    inner_move(inner, at + 1, at);
    inner->first[at] = child_level == 0 ? leaf_first(&node->leaf, 0) : node->inner.first[0];
    inner->id[at] = child_level == 0 ? leaf_id(&node->leaf, 0) : node->inner.id[0];
    inner->max_last[at] = node_max_last(node, child_level);
    inner->child[at] = child;
    inner->latest = at;
}

/* The child at `at` was split off the one before it, and either can be small: they were tried on each other, not yet on
 * their other neighbours. */
static void mend_after_split(interval_btree_t *tree, btree_inner_t *inner, unsigned at, unsigned child_level)
{
    (void) btree_join_children(tree, inner, at, child_level);
    (void) (at >= 2 && btree_join_children(tree, inner, at - 2, child_level));
}

/* From the child at `slot` was split off the new right neighbour `child`. @return As leaf_insert(). */
static uint32_t inner_insert(interval_btree_t *tree, btree_inner_t *inner, unsigned slot, uint32_t child,
                             unsigned child_level)
{
    unsigned at = slot + 1, count = inner->count;
    inner->max_last[slot] = node_max_last(btree_node(tree, inner->child[slot]), child_level);
    if (count < INNER_MAX) {
        inner_put(tree, inner, at, child, child_level);
        mend_after_split(tree, inner, at, child_level);
        return 0;
    }
    tree->counts.inner_splits++;
    uint32_t number = btree_node_take(tree);
    btree_inner_t *right = &btree_node(tree, number)->inner;
    unsigned middle = split_point(at, count, inner->latest);
    inner_append(right, inner, middle);
    inner->count = middle;
    if (at == count) {
        inner_put(tree, right, 0, child, child_level);
        mend_after_split(tree, inner, at, child_level);
    } else {
        btree_inner_t *target = at <= middle ? inner : right;
        unsigned place = at <= middle ? at : at - middle;
        inner_put(tree, target, place, child, child_level);
        mend_after_split(tree, target, place, child_level);
    }
    return number;
}

static void grow_root(interval_btree_t *tree, uint32_t right)
{
    uint32_t number = btree_node_take(tree);
    btree_inner_t *root = &btree_node(tree, number)->inner;
    inner_put(tree, root, 0, tree->root, tree->height - 1);
    inner_put(tree, root, 1, right, tree->height - 1);
    tree->root = number;
    tree->height++;
}

/* Down to the leaf where the entry belongs; keys and max_last on the way take it in. */
static btree_leaf_t *descend_to_insert(interval_btree_t *tree, const interval_btree_entry_t *entry, path_t *path)
{
    btree_node_t *node = btree_node(tree, tree->root);
    path->height = tree->height;
    for (unsigned level = path->height - 1; level > 0; level--) {
        btree_inner_t *inner = &node->inner;
        unsigned slot = inner_slot(inner, entry->first, entry->id);
        if (slot == 0
            && (entry->first < inner->first[0] || (entry->first == inner->first[0] && entry->id < inner->id[0]))) {
            inner->first[0] = entry->first;
            inner->id[0] = entry->id;
        }
        if (entry->last > inner->max_last[slot]) {
            inner->max_last[slot] = entry->last;
        }
        path->node[level] = inner;
        path->slot[level] = slot;
        node = btree_node(tree, inner->child[slot]);
    }
    leaf_prefetch(tree, node);
    return &node->leaf;
}

static void plant_root(interval_btree_t *tree, uint64_t base)
{
    tree->root = btree_node_take(tree);
    tree->height = 1;
    leaf_start(&btree_node(tree, tree->root)->leaf, base);
}

bool interval_btree_insert(interval_btree_t *tree, uint64_t first, uint64_t last, uint32_t id)
{
    if (last < first || (last - first) >> INTERVAL_BTREE_LENGTH_BITS != 0 || id == 0 || id > INTERVAL_BTREE_ID_MAX
        || interval_btree_lacks(tree, 1) != 0 || tree->height == INTERVAL_BTREE_HEIGHT_MAX) {
        return false;
    }
    interval_btree_entry_t entry = { first, last, id };
    path_t path;
    if (tree->height == 0) {
        plant_root(tree, first);
    }
    uint32_t right = leaf_insert(tree, descend_to_insert(tree, &entry, &path), &entry);
    for (unsigned level = 1; right != 0 && level < path.height; level++) {
        right = inner_insert(tree, path.node[level], path.slot[level], right, level - 1);
    }
    if (right != 0) {
        grow_root(tree, right);
    }
    tree->entries++;
    return true;
}

bool btree_can_merge(const btree_node_t *left, const btree_node_t *right, unsigned level)
{
    unsigned limit = (level == 0 ? LEAF_MAX : INNER_MAX) / 2, count = left->head.count;
    if (count > limit || right->head.count > limit - count) {
        return false;
    }
    return level > 0 || leaf_first(&right->leaf, right->head.count - 1) - leaf_first(&left->leaf, 0) <= UINT32_MAX;
}

void btree_merge(interval_btree_t *tree, btree_node_t *left, uint32_t right, unsigned level)
{
    btree_node_t *other = btree_node(tree, right);
    if (level == 0) {
        tree->counts.leaf_merges++;
        leaf_set_base(&left->leaf, leaf_first(&left->leaf, 0));
        leaf_set_base(&other->leaf, left->leaf.base);
        leaf_append(&left->leaf, &other->leaf, 0);
    } else {
        unsigned seam = left->inner.count - 1;
        tree->counts.inner_merges++;
        inner_append(&left->inner, &other->inner, 0);
        (void) btree_join_children(tree, &left->inner, seam, level - 1);
    }
    btree_node_give(tree, right);
}

bool btree_join_children(interval_btree_t *tree, btree_inner_t *inner, unsigned slot, unsigned child_level)
{
    if (slot + 1 >= inner->count) {
        return false;
    }
    btree_node_t *left = btree_node(tree, inner->child[slot]);
    if (!btree_can_merge(left, btree_node(tree, inner->child[slot + 1]), child_level)) {
        return false;
    }
    btree_merge(tree, left, inner->child[slot + 1], child_level);
    if (inner->max_last[slot + 1] > inner->max_last[slot]) {
        inner->max_last[slot] = inner->max_last[slot + 1];
    }
    inner_move(inner, slot + 1, slot + 2);
    return true;
}

void btree_lower_root(interval_btree_t *tree)
{
    while (tree->height > 0) {
        btree_node_t *root = btree_node(tree, tree->root);
        bool is_leaf = tree->height == 1;
        if (root->head.count > (is_leaf ? 0 : 1)) {
            return;
        }
        uint32_t below = is_leaf || root->head.count == 0 ? 0 : root->inner.child[0];
        btree_node_give(tree, tree->root);
        tree->root = below;
        tree->height = below == 0 ? 0 : tree->height - 1;
    }
}

/* Both sides: the child may have lost two children of its own, one that ran empty and one that was merged. */
void btree_mend(interval_btree_t *tree, btree_inner_t *inner, unsigned slot, unsigned child_level)
{
    if (btree_node(tree, inner->child[slot])->head.count < (child_level == 0 ? LEAF_MAX : INNER_MAX) / 2) {
        slot -= slot > 0 && btree_join_children(tree, inner, slot - 1, child_level);
        (void) btree_join_children(tree, inner, slot, child_level);
    }
}

/* An interval that ended at `last` left the child at `slot`. */
static void mend_after_removal(interval_btree_t *tree, btree_inner_t *inner, unsigned slot, uint64_t last,
                               unsigned child_level)
{
    btree_node_t *child = btree_node(tree, inner->child[slot]);
    if (child->head.count == 0) {
        btree_node_give(tree, inner->child[slot]);
        inner_move(inner, slot, slot + 1);
        (void) (slot > 0 && btree_join_children(tree, inner, slot - 1, child_level));
        return;
    }
    if (inner->max_last[slot] == last) {
        inner->max_last[slot] = node_max_last(child, child_level);
    }
    btree_mend(tree, inner, slot, child_level);
}

bool interval_btree_remove(interval_btree_t *tree, uint64_t first, uint64_t last, uint32_t id)
{
    if (tree->height == 0) {
        return false;
    }
    path_t path = { .height = tree->height };
    btree_node_t *node = btree_node(tree, tree->root);
    for (unsigned level = path.height - 1; level > 0; level--) {
        path.node[level] = &node->inner;
        path.slot[level] = inner_slot(&node->inner, first, id);
        node = btree_node(tree, node->inner.child[path.slot[level]]);
    }
    leaf_prefetch(tree, node);
    btree_leaf_t *leaf = &node->leaf;
    unsigned at = leaf_position(leaf, first, id);
    if (at == leaf->count || leaf_first(leaf, at) != first || leaf_id(leaf, at) != id
        || leaf_last(leaf, at) != last) {
        return false;
    }
    btree_leaf_move(leaf, at, at + 1);
    for (unsigned level = 1; level < path.height; level++) {
        mend_after_removal(tree, path.node[level], path.slot[level], last, level - 1);
    }
    tree->entries--;
    btree_lower_root(tree);
    return true;
}
