/* SPDX-License-Identifier: BSD-3-Clause */
/* The index of the cached regions: an interval_btree, and in front of it the newest intervals, unsorted. What is registered
 * for a short time only never comes into the tree, and most of what a miss costs there is saved. When the front is full, all of it moves
 * into the tree at once.
 *
 * Units, threads and hook context are those of interval_btree.h. */
#ifndef RCACHE_GRDMA_INTERVAL_INDEX_H
#define RCACHE_GRDMA_INTERVAL_INDEX_H

#include "rcache/grdma/interval_btree.h"

#define INTERVAL_INDEX_NEWEST 8

typedef struct interval_index_t {
    uint32_t newest_count;
    interval_btree_entry_t newest[INTERVAL_INDEX_NEWEST];
    interval_btree_t tree;
} interval_index_t;

/** As interval_btree_init(), _destroy() and _reset(). */
void interval_index_init(interval_index_t *index);
void interval_index_destroy(interval_index_t *index);
void interval_index_reset(interval_index_t *index);

/** As interval_btree_lacks() for one insertion: 0, or the chunk that the tree is missing. */
static inline unsigned interval_index_lacks(const interval_index_t *index)
{
    return index->newest_count < INTERVAL_INDEX_NEWEST ? 0
                                                       : interval_btree_lacks(&index->tree, INTERVAL_INDEX_NEWEST);
}

/** As interval_btree_insert(). The caller has seen that the index lacks nothing, and held the lock since.
 * @return false, and nothing changed: not an interval, an id out of range, or it does lack something. */
bool interval_index_insert(interval_index_t *index, uint64_t first, uint64_t last, uint32_t id);
/** As interval_btree_remove(). */
bool interval_index_remove(interval_index_t *index, uint64_t first, uint64_t last, uint32_t id);

/** As interval_btree_containing() and _inside(). */
uint32_t interval_index_containing(const interval_index_t *index, uint64_t first, uint64_t last,
                                   interval_btree_accept_fn_t accept, void *arg);
uint32_t interval_index_inside(const interval_index_t *index, uint64_t first, uint64_t last,
                               interval_btree_accept_fn_t accept, void *arg);
/** Does any interval overlap [first, last]? */
bool interval_index_is_overlapped(const interval_index_t *index, uint64_t first, uint64_t last);
/** As interval_btree_visit_overlapping(), but in any order. */
void interval_index_visit_overlapping(const interval_index_t *index, uint64_t first, uint64_t last,
                                      interval_btree_visit_fn_t fn, void *arg);

/** As interval_btree_remove_overlapping(), of the newest ones only: then whoever knows that there were no others need not
 * ask the tree. @return How many there were. */
uint32_t interval_index_remove_newest(interval_index_t *index, uint64_t first, uint64_t last,
                                      interval_btree_removed_fn_t fn, void *arg);
/** Of the others. */
static inline uint32_t interval_index_remove_older(interval_index_t *index, uint64_t first, uint64_t last,
                                                   interval_btree_removed_fn_t fn, void *arg)
{
    return interval_btree_remove_overlapping(&index->tree, first, last, fn, arg);
}

#endif
