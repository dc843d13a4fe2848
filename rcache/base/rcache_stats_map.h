/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory for figures: where it comes from, and what becomes of it in a fork
 * child. Who gets which part of it is decided in rcache_stats.c.
 * Everything here is hook context: raw system calls, errno untouched. */
#ifndef RCACHE_BASE_RCACHE_STATS_MAP_H
#define RCACHE_BASE_RCACHE_STATS_MAP_H

#include <stdbool.h>

#include "opal/mca/rcache/stats_page.h"

/** The file behind a shared page. Programs close and reuse descriptors that are not theirs: the numbers say
 * whether it is still ours. */
typedef struct mca_rcache_stats_file_t {
    int fd; /**< -1: there is none, the memory is private. */
    uint64_t device, inode;
} mca_rcache_stats_file_t;

/** Map a page that others can read, its header filled in, its file sealed. @return NULL: it cannot be had; *file has no
 * descriptor then. */
mca_rcache_stats_page_t *mca_rcache_stats_map_shared(mca_rcache_stats_file_t *file);

/** Map one for this process alone. @return NULL: no memory. */
mca_rcache_stats_page_t *mca_rcache_stats_map_private(void);

/** Have memory for [start, start + size) now: a first write could be the one that the kernel answers by SIGBUS.
 * @return false: there is none. Where the kernel cannot tell (before Linux 5.14): true. */
bool mca_rcache_stats_populate(const void *start, size_t size);

void mca_rcache_stats_unmap(mca_rcache_stats_page_t *page);

/** Close the file, if its number is still ours. */
void mca_rcache_stats_close_file(mca_rcache_stats_file_t *file);

/** In a fork child: put memory of its own in the place of the page, with all figures 0 and the same caches and lines. *file
 * becomes the child's. @return false: nothing but zeroes is there now; no place in it may be given out. */
bool mca_rcache_stats_renew(mca_rcache_stats_page_t *page, mca_rcache_stats_file_t *file);

#endif
