/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes of interval_btree.h: their layout, their pool, and the searches that
 * all its operations share. Not for others.
 *
 * A leaf keeps firsts as 32-bit offsets from its base. An interval whose first
 * lies farther away gets a leaf of its own (gap split): in a 57-bit address space
 * of 4 KiB pages there are at most 2^14 leaves that are small for that reason. */
#ifndef RCACHE_GRDMA_INTERVAL_BTREE_NODE_H
#define RCACHE_GRDMA_INTERVAL_BTREE_NODE_H

#include <assert.h>
#include <stddef.h>

#include "rcache/grdma/interval_btree.h"

enum { NODE_SHIFT = 10, LEAF_MAX = 84, INNER_MAX = 42 };

typedef struct btree_leaf_t {
    uint32_t count;
    uint8_t any_long; /**< Some interval has a length of more than 32 bits, or had one since the leaf was made. */
    uint8_t
        any_overlap; /**< Some overlaps another of the leaf, likewise. If none does, lasts are in order, too. */
    uint16_t latest; /**< Where the latest insertion put its interval; a hint. */
    uint64_t base;   /**< At most the first interval's first. */
    uint32_t offset[LEAF_MAX];
    uint32_t length[LEAF_MAX]; /**< The low bits of last - first. */
    uint32_t tag[LEAF_MAX];    /**< Id, and in the upper 8 bits those of last - first. */
} btree_leaf_t;

typedef struct btree_inner_t {
    uint32_t count, latest; /**< As a leaf's. */
    uint64_t first[INNER_MAX];
    uint64_t max_last[INNER_MAX];
    uint32_t id[INNER_MAX]; /**< The lesser half of the key. */
    uint32_t child[INNER_MAX];
} btree_inner_t;

typedef union btree_node_t {
    struct {
        uint32_t count, next_free;
    } head;
    btree_leaf_t leaf;
    btree_inner_t inner;
} btree_node_t;

static_assert(sizeof(btree_node_t) <= 1 << NODE_SHIFT, "a node fits its place");

static inline btree_node_t *btree_node(const interval_btree_t *tree, uint32_t number)
{
    unsigned chunk = 31u - (unsigned) __builtin_clz(number);
    return (btree_node_t *) (tree->chunk[chunk]
                             + ((uintptr_t) number << NODE_SHIFT)); // NOLINT(performance-no-int-to-ptr)
}

static inline uint64_t leaf_first(const btree_leaf_t *leaf, unsigned i)
{
    return leaf->base + leaf->offset[i];
}

static inline uint64_t leaf_length(const btree_leaf_t *leaf, unsigned i)
{
    return leaf->length[i] | (uint64_t) (leaf->tag[i] >> 24) << 32;
}

static inline uint64_t leaf_last(const btree_leaf_t *leaf, unsigned i)
{
    return leaf_first(leaf, i) + leaf_length(leaf, i);
}

static inline uint32_t leaf_id(const btree_leaf_t *leaf, unsigned i)
{
    return leaf->tag[i] & INTERVAL_BTREE_ID_MAX;
}

/** In a tree that no cache holds: a leaf's lines come together instead of one after the other as they are needed. */
static inline void leaf_prefetch(const interval_btree_t *tree, const btree_node_t *node)
{
    if (tree->height > 2) {
        for (size_t at = 0; at < sizeof(btree_leaf_t); at += 64) {
            __builtin_prefetch((const char *) node + at);
        }
    }
}

/** Four lanes at once, in registers of any processor. */
typedef uint32_t lanes_t __attribute__((vector_size(16), may_alias));
enum { LANES = 4 };

/** How many of the ascending values are at most x? Looking at all takes less time than the steps of a binary search,
 * each of which waits for the one before. */
static inline unsigned leaf_offsets_up_to(const btree_leaf_t *leaf, uint32_t x)
{
    const lanes_t *values = (const lanes_t *) (const void *) leaf->offset;
    lanes_t limit = { x, x, x, x }, found = { 0 };
    unsigned whole = leaf->count / LANES;

    if (leaf->count > 0 && leaf->offset[leaf->count - 1] <= x) {
        return leaf->count; /* New mappings often come behind all others. */
    }
    for (unsigned i = 0; i < whole; i++) {
        found -= (lanes_t) (values[i] <= limit);
    }
    unsigned n = found[0] + found[1] + found[2] + found[3];
    for (unsigned i = whole * LANES; i < leaf->count; i++) {
        n += leaf->offset[i] <= x;
    }
    return n;
}

static inline unsigned count_up_to(const uint64_t *values, unsigned count, uint64_t x)
{
    unsigned n[2] = { 0 }, i = 0;
    for (; i + 4 <= count; i += 4) {
        n[0] += (unsigned) (values[i] <= x) + (unsigned) (values[i + 1] <= x);
        n[1] += (unsigned) (values[i + 2] <= x) + (unsigned) (values[i + 3] <= x);
    }
    for (; i < count; i++) {
        n[0] += values[i] <= x;
    }
    return n[0] + n[1];
}

/** How many intervals of the leaf begin at x or before? */
static inline unsigned leaf_up_to(const btree_leaf_t *leaf, uint64_t x)
{
    if (x < leaf->base) {
        return 0;
    }
    return x - leaf->base > UINT32_MAX ? leaf->count : leaf_offsets_up_to(leaf, (uint32_t) (x - leaf->base));
}

/** How many children have keys of which the first is at most x? The others have nothing that begins at x or before. */
static inline unsigned inner_up_to(const btree_inner_t *inner, uint64_t x)
{
    return count_up_to(inner->first, inner->count, x);
}

/** The child under which (first, id) is, or belongs. */
static inline unsigned inner_slot(const btree_inner_t *inner, uint64_t first, uint32_t id)
{
    unsigned n = inner_up_to(inner, first);
    while (n > 0 && inner->first[n - 1] == first && inner->id[n - 1] > id) {
        n--;
    }
    return n == 0 ? 0 : n - 1;
}

/** How many intervals of the leaf are before (first, id)? */
static inline unsigned leaf_position(const btree_leaf_t *leaf, uint64_t first, uint32_t id)
{
    unsigned n = leaf_up_to(leaf, first);
    while (n > 0 && leaf_first(leaf, n - 1) == first && leaf_id(leaf, n - 1) >= id) {
        n--;
    }
    return n;
}

/** Does one of the first n intervals, which begin at base + x or before, reach base + x? No is certain. */
static inline bool leaf_may_reach(const btree_leaf_t *leaf, unsigned n, uint64_t x)
{
    const uint32_t low = (uint32_t) x;
    const unsigned whole = n / LANES;

    if (!leaf->any_overlap) {
        return n > 0 && leaf->offset[n - 1] + leaf_length(leaf, n - 1) >= x;
    }
    if (leaf->any_long || x > UINT32_MAX) {
        return true;
    }
    lanes_t end = { low, low, low, low }, found = { 0 };
    const lanes_t *offset = (const lanes_t *) (const void *) leaf->offset;
    const lanes_t *length = (const lanes_t *) (const void *) leaf->length;
    for (unsigned i = 0; i < whole; i++) {
        found |= (lanes_t) (length[i] >= end - offset[i]);
    }
    bool any = (found[0] | found[1] | found[2] | found[3]) != 0;
    for (unsigned i = whole * LANES; i < n; i++) {
        any |= leaf->length[i] >= low - leaf->offset[i];
    }
    return any;
}

/** The greatest last. It is that of the last interval, unless one of the others reaches farther. */
static inline uint64_t leaf_max_last(const btree_leaf_t *leaf)
{
    uint64_t max = leaf->count == 0 ? 0 : leaf->offset[leaf->count - 1] + leaf_length(leaf, leaf->count - 1);

    if (leaf->count > 1 && leaf_may_reach(leaf, leaf->count - 1, max + 1)) {
        for (unsigned i = 0; i < leaf->count; i++) {
            const uint64_t end = leaf->offset[i] + leaf_length(leaf, i);
            max = end > max ? end : max;
        }
    }
    return leaf->base + max;
}

static inline uint64_t inner_max_last(const btree_inner_t *inner)
{
    uint64_t max = 0;
    for (unsigned i = 0; i < inner->count; i++) {
        max = inner->max_last[i] > max ? inner->max_last[i] : max;
    }
    return max;
}

/** Level 0 are the leaves. */
static inline uint64_t node_max_last(const btree_node_t *node, unsigned level)
{
    return level == 0 ? leaf_max_last(&node->leaf) : inner_max_last(&node->inner);
}

/** Nodes that can be taken. */
uint32_t btree_free_nodes(const interval_btree_t *tree);

/** There must be one. Its contents are undefined but for the count, which is 0. */
uint32_t btree_node_take(interval_btree_t *tree);

void btree_node_give(interval_btree_t *tree, uint32_t number);

/** Can these neighbours become one node? They are merged when they fill half of one: that leaves room for as many
 * insertions as there were removals, before it is split again. */
bool btree_can_merge(const btree_node_t *left, const btree_node_t *right, unsigned level);

/** Appends the contents of `right` to `left`, gives `right` back, and merges what became neighbours below. */
void btree_merge(interval_btree_t *tree, btree_node_t *left, uint32_t right, unsigned level);

/** Merges the children `slot` and `slot + 1` if there are two and they fit. @return Done? */
bool btree_join_children(interval_btree_t *tree, btree_inner_t *inner, unsigned slot, unsigned child_level);

/** Moves everything from `from` on to `to`, and what `to` was before that is gone or free. */
void btree_leaf_move(btree_leaf_t *leaf, unsigned to, unsigned from);

/** The child at `slot` has lost intervals, but not all: is it small enough to go together with one beside it? */
void btree_mend(interval_btree_t *tree, btree_inner_t *inner, unsigned slot, unsigned child_level);

/** Takes superfluous roots away. */
void btree_lower_root(interval_btree_t *tree);

#endif
