/* SPDX-License-Identifier: BSD-3-Clause */
/* Hints: which region a lookup of an address ended at. A table of slots, each a tag and an id, in buckets of one half of a
 * line of the processor's cache. Whoever follows a hint checks the region itself, so a hint may be wrong or missing: slots
 * are read (acquire: the region's memory is there) and stored (release) one by one, by anybody, at any time. The table never gives its memory back while its cache lives:
 * a reader may still look at one that has been replaced. The kernel wipes the slots in a fork child, which so follows no hint
 * before it knows what it is (where it cannot, every fork is noticed at once: framework/util/fork.h). */
#ifndef RCACHE_GRDMA_GRDMA_HINT_H
#define RCACHE_GRDMA_GRDMA_HINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "framework/util/sanitizers.h"

#if defined(__SSE2__) && !IS_THREAD_SANITIZED
#include <emmintrin.h>
#endif

#define GRDMA_HINT_ID_BITS 24
#define GRDMA_HINT_ID_MASK ((UINT32_C(1) << GRDMA_HINT_ID_BITS) - 1)
#define GRDMA_HINT_BUCKET 8

/** Constant. */
typedef struct grdma_hints_t {
    _Atomic uint32_t *slot;      /**< tag << 24 | id; 0: empty. In pages of its own. */
    uint32_t shift;              /**< Of a hash, to its bucket. */
    uint32_t buckets;            /**< A power of two. */
    struct grdma_hints_t *older; /**< Replaced by this one; emptied, but mapped. */
} grdma_hints_t;

/* A block of addresses: of level 0 a page of 4 KiB, of level 1 2 MiB, of level 2 1 GiB, that lies within one region. */
#define GRDMA_HINT_LEVELS 3

static inline unsigned grdma_hint_bits(unsigned level)
{
    return 12 + 9 * level;
}

/** What the hash of the block over an address at a level is. */
static inline uint64_t grdma_hint_hash(uintptr_t address, unsigned level)
{
    return ((address >> grdma_hint_bits(level)) + ((uint64_t) level << 60)) * UINT64_C(0x9e3779b97f4a7c15);
}

/** What stands in a slot above the id, by the address that was hashed. Never 0, as in an empty one. Those that lie in rows and
 * share a bucket differ by few distances; with any bits of the hash itself, many of them had the same tag. */
static inline uint32_t grdma_hint_tag(uintptr_t address, unsigned level, uint64_t hash)
{
    return ((uint32_t) ((hash * (address >> grdma_hint_bits(level))) >> 40) & 0xfe) | 1;
}

static inline uint32_t grdma_hint_slot(uint32_t tag, uint32_t id)
{
    return tag << GRDMA_HINT_ID_BITS | id;
}

/** The slots that a hint with this hash may be in: one bucket. */
static inline _Atomic uint32_t *grdma_hint_bucket(grdma_hints_t *hints, uint64_t hash)
{
    return &hints->slot[(hash >> hints->shift) * GRDMA_HINT_BUCKET];
}

/** Slots of a bucket, a pair of bits each. */
typedef unsigned grdma_hint_matches_t;

/** Those that have this tag; 0: are empty. Which of the slots a hint is in cannot be predicted, so all are looked at. */
static inline grdma_hint_matches_t grdma_hint_matches(_Atomic uint32_t *bucket, uint32_t tag)
{
#if defined(__SSE2__) && !IS_THREAD_SANITIZED
    const __m128i *slots = (const __m128i *) (void *) bucket;
    const __m128i tags = _mm_packs_epi32(_mm_srli_epi32(_mm_load_si128(slots), GRDMA_HINT_ID_BITS),
                                         _mm_srli_epi32(_mm_load_si128(slots + 1), GRDMA_HINT_ID_BITS));
    const __m128i sought = _mm_set1_epi32((int) (tag * 0x10001));

    return (unsigned) _mm_movemask_epi8(_mm_cmpeq_epi16(tags, sought));
#else
    grdma_hint_matches_t matches = 0;

    for (unsigned i = 0; i < GRDMA_HINT_BUCKET; i++) {
        const uint32_t slot = atomic_load_explicit(&bucket[i], memory_order_relaxed);
        matches |= (slot >> GRDMA_HINT_ID_BITS == tag ? 3u : 0) << 2 * i;
    }
    return matches;
#endif
}

/** The first one of these, of which there are some. */
static inline _Atomic uint32_t *grdma_hint_first(_Atomic uint32_t *bucket, grdma_hint_matches_t matches)
{
    return (_Atomic uint32_t *) (void *) ((char *) bucket + (size_t) (unsigned) __builtin_ctz(matches) * 2);
}

/** The others. */
static inline grdma_hint_matches_t grdma_hint_others(grdma_hint_matches_t matches)
{
    matches &= matches - 1;
    return matches & (matches - 1);
}

/** Make a table of at least `slots` slots, with a head that is the caller's; NULL: no memory. Not from hook context. */
grdma_hints_t *grdma_hints_make(grdma_hints_t *head, size_t slots, grdma_hints_t *older);
/** Unmap it and those before it. */
void grdma_hints_free(grdma_hints_t *hints);
/** Readers find nothing in it from now on. Hook context. */
void grdma_hints_empty(grdma_hints_t *hints);
/** The same, and its slots' memory is given back. Not from hook context. */
void grdma_hints_give_back(grdma_hints_t *hints);
/** Unmap one that nobody has seen. */
void grdma_hints_discard(grdma_hints_t *hints);

#endif
