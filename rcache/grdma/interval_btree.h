/* SPDX-License-Identifier: BSD-3-Clause */
/* A set of intervals [first, last] with an id each: the index of the cached
 * regions. A B+-tree in order of (first, id); overlaps and duplicates are
 * allowed. 12 bytes an interval in the leaves, nodes of 1 KiB; each inner node
 * knows the greatest `last` below each child:
 *
 *   key(child i) <= every (first, id) below child i < key(child i + 1)
 *   max_last(child i) == the greatest last below child i
 *
 * Unit: page numbers are meant (40 bits of length are 2^52 bytes); any u64 will do whose intervals are shorter than 2^40.
 * Not thread-safe: the owner's lock protects it, chunk_map and chunk_unmap
 * excepted. Hook context: nothing but these two, init, reserve and destroy makes a
 * system call or allocates. Recursion is as deep as the tree: at most INTERVAL_BTREE_HEIGHT_MAX. */
#ifndef RCACHE_GRDMA_INTERVAL_BTREE_H
#define RCACHE_GRDMA_INTERVAL_BTREE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    INTERVAL_BTREE_ID_MAX = 0xffffff,
    INTERVAL_BTREE_LENGTH_BITS = 40, /**< last - first has at most so many bits. */
    INTERVAL_BTREE_HEIGHT_MAX = 12,
    INTERVAL_BTREE_CHUNK_FIRST = 4, /**< Chunk k holds the nodes 2^k to 2^(k+1) - 1. */
    INTERVAL_BTREE_CHUNK_END = 26,
};

typedef struct interval_btree_entry_t {
    uint64_t first, last; /**< Inclusive. */
    uint32_t id;          /**< 1 to INTERVAL_BTREE_ID_MAX, unique in the tree. */
} interval_btree_entry_t;

/** What the tree has done, for tests and benchmarks. */
typedef struct interval_btree_counts_t {
    uint64_t leaf_splits, inner_splits, gap_splits; /**< Gap: the leaf was not full, the new key too far away. */
    uint64_t leaf_merges, inner_merges, leaf_drops,
        inner_drops; /**< Drop: a node that a bulk removal took whole. */
} interval_btree_counts_t;

typedef struct interval_btree_t {
    uint32_t root;   /**< Node number; 0: the tree is empty. */
    uint32_t height; /**< Levels; 0: the tree is empty, 1: the root is a leaf. */
    uint32_t entries;
    uint32_t free_list, free_nodes; /**< Returned nodes. */
    uint32_t fresh;                 /**< The lowest node that was never used: nothing has touched its memory. */
    uint32_t chunks_end;            /**< The chunks up to this one exist. */
    interval_btree_counts_t counts;
    /** Where node 0 would be, if chunk k began with it. */
    uintptr_t chunk[INTERVAL_BTREE_CHUNK_END];
} interval_btree_t;

typedef bool (*interval_btree_accept_fn_t)(uint32_t id, void *arg);
/** @return Go on? */
typedef bool (*interval_btree_visit_fn_t)(const interval_btree_entry_t *entry, void *arg);
/** Ids that left the tree, valid during the call: the callee can prefetch what the later ones stand for. */
typedef void (*interval_btree_removed_fn_t)(const uint32_t *ids, unsigned count, void *arg);

/** An empty tree without memory. */
void interval_btree_init(interval_btree_t *tree);

/** Unmaps the nodes. Not from hook context. */
void interval_btree_destroy(interval_btree_t *tree);

/** Forget all intervals, whatever state another thread left the tree in: for a fork's child. Hook context.
 * The memory is kept for new intervals. */
void interval_btree_reset(interval_btree_t *tree);

/** Does the tree lack nodes for n insertions in a row?
 * @param[in] n  1 to 1000.
 * @return 0: n insertions will succeed, whatever is removed between them. Else the chunk that is missing:
 *
 *   lock; while ((chunk = interval_btree_lacks(tree, 1)) != 0) {
 *       unlock; memory = interval_btree_chunk_map(chunk); if NULL: out of resource
 *       lock; added = interval_btree_chunk_add(tree, chunk, memory);
 *       if not added: unlock; interval_btree_chunk_unmap(chunk, memory); lock; }  // another thread was faster */
unsigned interval_btree_lacks(const interval_btree_t *tree, unsigned n);

/** Memory for a chunk. Needs no lock. @return NULL: no memory, or chunk >= INTERVAL_BTREE_CHUNK_END (2^26 nodes). */
void *interval_btree_chunk_map(unsigned chunk);

/** Needs no lock. */
void interval_btree_chunk_unmap(unsigned chunk, void *memory);

/** Hands memory over to the tree. @return false: the tree has this chunk already, or the one before is missing;
 * the memory stays the caller's. */
bool interval_btree_chunk_add(interval_btree_t *tree, unsigned chunk, void *memory);

/** The loop above for a tree that needs no lock. @return false: no memory. */
bool interval_btree_reserve(interval_btree_t *tree, unsigned n);

/** O(log n).
 * @return false, and nothing changed: first > last, more than 40 bits between them, an id out of range,
 * or fewer nodes than interval_btree_lacks(tree, 1) asks for. */
bool interval_btree_insert(interval_btree_t *tree, uint64_t first, uint64_t last, uint32_t id);

/** O(log n). @return false: the tree has no such interval. */
bool interval_btree_remove(interval_btree_t *tree, uint64_t first, uint64_t last, uint32_t id);

/** Any interval that contains [first, last] and that accept() takes. O(log n), and again for each refused one.
 * @param[in] accept  NULL: takes all. Must not change the tree.
 * @return Its id; 0: there is none. */
uint32_t interval_btree_containing(const interval_btree_t *tree, uint64_t first, uint64_t last,
                                   interval_btree_accept_fn_t accept, void *arg);

/** Any interval inside [first, last] that accept() takes. O(log n + number of intervals that overlap).
 * Parameters and result are those of interval_btree_containing(). */
uint32_t interval_btree_inside(const interval_btree_t *tree, uint64_t first, uint64_t last,
                               interval_btree_accept_fn_t accept, void *arg);

/** The lowest interval, by (first, id), that overlaps [first, last]. O(log n). @return Its id; 0: there is none. */
uint32_t interval_btree_overlapping(const interval_btree_t *tree, uint64_t first, uint64_t last);

/** Calls fn for the intervals that overlap [first, last], in order of (first, id), until it returns false.
 * O((1 + number of calls / 42) log n + number of calls). fn must not change the tree. */
void interval_btree_visit_overlapping(const interval_btree_t *tree, uint64_t first, uint64_t last,
                                      interval_btree_visit_fn_t fn, void *arg);

/** Takes all intervals that overlap [first, last] out of the tree, whole nodes at a time, and passes their ids
 * to fn. The cost is that of interval_btree_visit_overlapping(). fn must not use the tree.
 * @return How many there were. */
uint32_t interval_btree_remove_overlapping(interval_btree_t *tree, uint64_t first, uint64_t last,
                                           interval_btree_removed_fn_t fn, void *arg);

/** Nodes in use, 1 KiB each. */
uint32_t interval_btree_nodes(const interval_btree_t *tree);

/** Do the equations above hold, the order, the counts, the fill? For tests. O(n).
 * @return NULL, or what is wrong. */
const char *interval_btree_check(const interval_btree_t *tree);

#endif
