/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * Layout of the figures of all caches, as they lie in memory that readers
 * outside the process map (docs/statistics.md says how it is found, and what
 * may be relied on). Version 1 keeps every offset given here; what is reserved
 * is 0, and a later writer of version 1 may fill it.
 *
 * One thread writes a thread's line, any thread a cache's words; each word is
 * an atomic of 64 bits in the byte order of the machine. Places of caches and
 * lines are used again: `generation` and `owner` say whether what was read
 * belonged together.
 */
#ifndef OPAL_MCA_RCACHE_STATS_PAGE_H
#define OPAL_MCA_RCACHE_STATS_PAGE_H

#include <stdint.h>

#include "opal/mca/rcache/rcache.h"

BEGIN_C_DECLS

/** A word that is written while others read it; to be read as an atomic. */
#ifdef __cplusplus
typedef volatile uint64_t mca_rcache_stats_word_t;
#else
typedef _Atomic uint64_t mca_rcache_stats_word_t;
#endif

#define MCA_RCACHE_STATS_FILE "opalmem-stats" /**< Of memfd_create(): "/memfd:opalmem-stats (deleted)" in /proc. */
#define MCA_RCACHE_STATS_MAGIC UINT64_C(0x54415453504c504f) /**< "OPLPSTAT" in memory, little endian. */
#define MCA_RCACHE_STATS_VERSION 1

#define MCA_RCACHE_STATS_CACHES 1024       /**< Places for caches. */
#define MCA_RCACHE_STATS_LINES (64 * 1024) /**< Places for threads' lines. */

/** Figures of one cache; each word is atomic for itself. */
typedef struct mca_rcache_counters_t {
    /* Who it is. Constant while generation keeps its value. */
    mca_rcache_stats_word_t
        generation; /**< Odd: in use. Grows by one when the place is taken and when it is given back. */
    mca_rcache_stats_word_t created;       /**< Nanoseconds of CLOCK_REALTIME. */
    mca_rcache_stats_word_t cache_name[8]; /**< Text, ends with a zero byte; cut after 63 bytes. */
    mca_rcache_stats_word_t component[4];  /**< The same, 31 bytes. */
    mca_rcache_stats_word_t reserved_identity[18];

    /* The words of mca_rcache_base_stats_t, in any order of events. */
    mca_rcache_stats_word_t misses;
    mca_rcache_stats_word_t registrations;
    mca_rcache_stats_word_t deregistrations;
    mca_rcache_stats_word_t merges;
    mca_rcache_stats_word_t evictions;
    mca_rcache_stats_word_t invalidations[MCA_RCACHE_STATS_CAUSES];
    mca_rcache_stats_word_t invalidated_in_use;
    mca_rcache_stats_word_t unpinned_in_hook;
    mca_rcache_stats_word_t retries;
    mca_rcache_stats_word_t queue_overflows;
    mca_rcache_stats_word_t bypasses;
    mca_rcache_stats_word_t provider_errors;
    mca_rcache_stats_word_t count;
    mca_rcache_stats_word_t bytes;
    mca_rcache_stats_word_t peak_count;
    mca_rcache_stats_word_t peak_bytes;
    mca_rcache_stats_word_t unpin_ns[MCA_RCACHE_STATS_LATENCIES];
    mca_rcache_stats_word_t sizes[MCA_RCACHE_STATS_SIZES];
    mca_rcache_stats_word_t reserved[109];
} mca_rcache_counters_t;

/** Figures of one thread with one cache: a line that this thread alone writes, by plain loads and stores. It goes on
 * counting when another thread takes it over. */
typedef struct mca_rcache_thread_counters_t {
    mca_rcache_stats_word_t hits;      /**< Found without the cache's lock. */
    mca_rcache_stats_word_t slow_hits; /**< Found in the tree, under the lock. */
    mca_rcache_stats_word_t spare[5];  /**< 0. */
    mca_rcache_stats_word_t
        owner; /**< 0: free. Low 16 bits: index of the cache's place; the rest: its generation. */
} __attribute__((aligned(64))) mca_rcache_thread_counters_t;

/** First page. Constant, but for the two that are atomic. */
typedef struct mca_rcache_stats_header_t {
    uint64_t magic;
    uint32_t version;       /**< MCA_RCACHE_STATS_VERSION. */
    uint32_t size;          /**< Of the whole, in bytes. */
    uint32_t caches_offset; /**< From here to the first place of a cache. */
    uint32_t cache_size;    /**< From one place to the next. */
    uint32_t caches;        /**< Number of places. */
    uint32_t lines_offset;
    uint32_t line_size;
    uint32_t lines;
    uint64_t pid;                                  /**< As the process itself sees it. */
    uint64_t created;                              /**< Nanoseconds of CLOCK_REALTIME. */
    mca_rcache_stats_word_t caches_used;           /**< Places from this one on were never used. */
    mca_rcache_stats_word_t lines_used;            /**< The same. */
    char library[32];                              /**< Version of opalmem, text. */
    char cause_names[MCA_RCACHE_STATS_CAUSES][24]; /**< Of invalidations[]; empty: no such cause. */
} mca_rcache_stats_header_t;

/** The whole. Pages that were never written take no memory. */
typedef struct mca_rcache_stats_page_t {
    mca_rcache_stats_header_t header;
    unsigned char reserved[4096 - sizeof(mca_rcache_stats_header_t)];
    mca_rcache_counters_t cache[MCA_RCACHE_STATS_CACHES];
    mca_rcache_thread_counters_t line[MCA_RCACHE_STATS_LINES];
} mca_rcache_stats_page_t;

END_C_DECLS

#endif
