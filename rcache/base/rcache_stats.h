/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures of caches: what a cache counts in, and how it gets and reads it.
 *
 * The words lie in memory that other processes can map read-only
 * (opal/mca/rcache/stats_page.h), or in private memory of the same layout where that is
 * not to be had, or is full. A cache has one mca_rcache_counters_t; each thread
 * has a line of its own for each cache, so that a hit writes nothing that
 * another thread writes.
 *
 * Fork: mca_rcache_stats_reset_child() lets every pointer stay good, with all
 * figures 0 and nothing shared with the parent. A vfork or CLONE_VM child
 * counts with its parent. */
#ifndef RCACHE_BASE_RCACHE_STATS_H
#define RCACHE_BASE_RCACHE_STATS_H

#include <stdatomic.h>
#include <time.h>

#include "opal/mca/rcache/stats_page.h"

/** Take a place for a cache, all figures 0.
 *
 * @param[in] cache_name  Copied, cut after 63 bytes.
 * @param[in] component   Copied, cut after 31 bytes.
 * @return The cache's until mca_rcache_stats_free_cache(). NULL: no memory at all; nothing else can fail.
 * Thread-safe. Not from hook context, but it allocates by system calls alone and runs no hook.
 */
mca_rcache_counters_t *mca_rcache_stats_new_cache(const char *cache_name, const char *component);

/** Another cache begins in this place: all figures 0, also those of its lines, which stay. Nobody but the caller counts in it.
 * Thread-safe, waits for nobody who waits. Not from hook context, but it allocates nothing and runs no hook. */
void mca_rcache_stats_begin_anew(mca_rcache_counters_t *counters, const char *cache_name, const char *component);

/** Take a line for one thread and this cache, all figures 0.
 *
 * @return Good until mca_rcache_stats_free_cache(), whatever becomes of the thread: another one may go on counting in
 *     it. NULL: no memory.
 * Thread-safe. Not from hook context; as mca_rcache_stats_new_cache().
 */
mca_rcache_thread_counters_t *mca_rcache_stats_new_thread(mca_rcache_counters_t *counters);

/** Give the cache's place and all of its lines back. NULL is allowed. No thread may count in them any more.
 * Thread-safe. Not from hook context. */
void mca_rcache_stats_free_cache(mca_rcache_counters_t *counters);

/** Fill in all figures, those of the threads summed up. Each is read for itself while others count.
 * Thread-safe; waits for nobody. */
void mca_rcache_stats_read(const mca_rcache_counters_t *counters, mca_rcache_base_stats_t *stats);

/** The library starts. page: may the figures be seen from outside? Decides for the first cache that comes. */
void mca_rcache_stats_open(bool page);

/** The library ends: unmap and close, unless a cache is left. */
void mca_rcache_stats_close(void);

/** In a fork child: the figures become 0, in a page of this process alone, which is made at once, if there is a cache;
 * private memory if it cannot be made. Hook context: raw system calls. */
void mca_rcache_stats_reset_child(void);

/** Add to a word of a cache. Hook context, any thread. */
static inline void mca_rcache_stats_add(mca_rcache_stats_word_t *word, uint64_t number)
{
    atomic_fetch_add_explicit(word, number, memory_order_relaxed);
}

/** Add one to a word of the calling thread's line: no locked instruction. */
static inline void mca_rcache_stats_bump(mca_rcache_stats_word_t *word)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + 1, memory_order_relaxed);
}

/** Raise a word to at least `value`. Hook context, any thread. */
static inline void mca_rcache_stats_raise(mca_rcache_stats_word_t *word, uint64_t value)
{
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    while (
        old < value
        && !atomic_compare_exchange_weak_explicit(word, &old, value, memory_order_relaxed, memory_order_relaxed)) {
    }
}

/** The clock for unpin_ns. Hook context: no system call, errno untouched. */
static inline uint64_t mca_rcache_stats_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

/** Bucket of a value in a histogram of `buckets`: that of 2^k .. 2^(k+1)-1, with 0 in the first, and all that is too
 * great in the last. */
static inline unsigned mca_rcache_stats_bucket(uint64_t value, unsigned buckets)
{
    unsigned bucket = value == 0 ? 0 : 63 - (unsigned) __builtin_clzll(value);
    return bucket < buckets ? bucket : buckets - 1;
}

/** A registration of so many bytes is there from now on (or is being made: limits count it). */
static inline void mca_rcache_stats_grow(mca_rcache_counters_t *counters, size_t bytes)
{
    uint64_t count = atomic_fetch_add_explicit(&counters->count, 1, memory_order_relaxed) + 1;
    uint64_t sum = atomic_fetch_add_explicit(&counters->bytes, bytes, memory_order_relaxed) + bytes;
    mca_rcache_stats_raise(&counters->peak_count, count);
    mca_rcache_stats_raise(&counters->peak_bytes, sum);
}

/** It is gone. Hook context. */
static inline void mca_rcache_stats_shrink(mca_rcache_counters_t *counters, size_t bytes)
{
    atomic_fetch_sub_explicit(&counters->count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&counters->bytes, bytes, memory_order_relaxed);
}

/** register_mem has succeeded for so many bytes. */
static inline void mca_rcache_stats_registered(mca_rcache_counters_t *counters, size_t bytes)
{
    mca_rcache_stats_add(&counters->registrations, 1);
    mca_rcache_stats_add(&counters->sizes[mca_rcache_stats_bucket(bytes, MCA_RCACHE_STATS_SIZES)], 1);
}

/** A released registration was unpinned, so long after the release was seen. Hook context. */
static inline void mca_rcache_stats_unpinned(mca_rcache_counters_t *counters, uint64_t ns)
{
    mca_rcache_stats_add(&counters->unpin_ns[mca_rcache_stats_bucket(ns, MCA_RCACHE_STATS_LATENCIES)], 1);
}

#endif
