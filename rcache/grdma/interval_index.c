/* SPDX-License-Identifier: BSD-3-Clause */
/* The newest intervals of interval_index.h. */
#include "rcache/grdma/interval_index.h"

#include <stddef.h>

void interval_index_init(interval_index_t *index)
{
    index->newest_count = 0;
    interval_btree_init(&index->tree);
}

void interval_index_destroy(interval_index_t *index)
{
    index->newest_count = 0;
    interval_btree_destroy(&index->tree);
}

void interval_index_reset(interval_index_t *index)
{
    index->newest_count = 0;
    interval_btree_reset(&index->tree);
}

/* None is lost to a fork in the middle: the child forgets all. */
static void move_into_tree(interval_index_t *index)
{
    for (uint32_t i = 0; i < index->newest_count; i++) {
        const interval_btree_entry_t *entry = &index->newest[i];
        (void) interval_btree_insert(&index->tree, entry->first, entry->last, entry->id);
    }
    index->newest_count = 0;
}

bool interval_index_insert(interval_index_t *index, uint64_t first, uint64_t last, uint32_t id)
{
    if (last < first || (last - first) >> INTERVAL_BTREE_LENGTH_BITS != 0 || id == 0 || id > INTERVAL_BTREE_ID_MAX
        || interval_index_lacks(index) != 0) {
        return false;
    }
    if (index->newest_count == INTERVAL_INDEX_NEWEST) {
        move_into_tree(index);
    }
    index->newest[index->newest_count++] = (interval_btree_entry_t){ first, last, id };
    return true;
}

bool interval_index_remove(interval_index_t *index, uint64_t first, uint64_t last, uint32_t id)
{
    for (uint32_t i = index->newest_count; i-- > 0;) {
        interval_btree_entry_t *entry = &index->newest[i];

        if (entry->id == id && entry->first == first && entry->last == last) {
            *entry = index->newest[--index->newest_count];
            return true;
        }
    }
    return interval_btree_remove(&index->tree, first, last, id);
}

static bool is_accepted(const interval_btree_entry_t *entry, interval_btree_accept_fn_t accept, void *arg)
{
    return accept == NULL || accept(entry->id, arg);
}

uint32_t interval_index_containing(const interval_index_t *index, uint64_t first, uint64_t last,
                                   interval_btree_accept_fn_t accept, void *arg)
{
    for (uint32_t i = index->newest_count; i-- > 0;) {
        const interval_btree_entry_t *entry = &index->newest[i];

        if (entry->first <= first && entry->last >= last && is_accepted(entry, accept, arg)) {
            return entry->id;
        }
    }
    return interval_btree_containing(&index->tree, first, last, accept, arg);
}

uint32_t interval_index_inside(const interval_index_t *index, uint64_t first, uint64_t last,
                               interval_btree_accept_fn_t accept, void *arg)
{
    for (uint32_t i = index->newest_count; i-- > 0;) {
        const interval_btree_entry_t *entry = &index->newest[i];

        if (entry->first >= first && entry->last <= last && is_accepted(entry, accept, arg)) {
            return entry->id;
        }
    }
    return interval_btree_inside(&index->tree, first, last, accept, arg);
}

static bool meets(const interval_btree_entry_t *entry, uint64_t first, uint64_t last)
{
    return entry->first <= last && entry->last >= first;
}

bool interval_index_is_overlapped(const interval_index_t *index, uint64_t first, uint64_t last)
{
    for (uint32_t i = 0; i < index->newest_count; i++) {
        if (meets(&index->newest[i], first, last)) {
            return true;
        }
    }
    return interval_btree_overlapping(&index->tree, first, last) != 0;
}

void interval_index_visit_overlapping(const interval_index_t *index, uint64_t first, uint64_t last,
                                      interval_btree_visit_fn_t fn, void *arg)
{
    for (uint32_t i = 0; i < index->newest_count; i++) {
        if (meets(&index->newest[i], first, last) && !fn(&index->newest[i], arg)) {
            return;
        }
    }
    interval_btree_visit_overlapping(&index->tree, first, last, fn, arg);
}

uint32_t interval_index_remove_newest(interval_index_t *index, uint64_t first, uint64_t last,
                                      interval_btree_removed_fn_t fn, void *arg)
{
    uint32_t ids[INTERVAL_INDEX_NEWEST], removed = 0;

    for (uint32_t i = index->newest_count; i-- > 0;) {
        if (meets(&index->newest[i], first, last)) {
            ids[removed++] = index->newest[i].id;
            index->newest[i] = index->newest[--index->newest_count];
        }
    }
    if (removed != 0) {
        fn(ids, removed, arg);
    }
    return removed;
}
