/* SPDX-License-Identifier: BSD-3-Clause */
/* Hints: which region a lookup of an address ended at. A table of slots, each a tag and an id, in buckets of one half of a
 * line of the processor's cache; what has no room in its bucket is in the other half. Whoever follows a hint checks the region
 * itself, so a hint may be wrong or missing: slots are read (acquire: the region's memory is there) and stored (release) one by
 * one, by anybody, at any time. The table never gives its memory back while its cache lives: a reader may still look at one that
 * has been replaced. The kernel wipes the slots in a fork child, which so follows no hint before it knows what it is (where it
 * cannot, every fork is noticed at once: framework/util/fork.h). */
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

/** Constant, and in a line of its own. All that a lookup needs to come from an address to a region. */
typedef struct grdma_hints_t {
    _Atomic uint32_t *slot;      /**< tag << 24 | id; 0: empty. In pages of its own. */
    uint32_t shift;              /**< Of a hash, to its bucket. */
    uint32_t buckets;            /**< A power of two. */
    char *regions;               /**< Of the cache. By id, the next two. */
    size_t stride;               /**< From region to region, bytes. */
    struct grdma_hints_t *older; /**< Replaced by this one; emptied, but mapped. */
} __attribute__((aligned(64))) grdma_hints_t;

/* A block of addresses: of level 0 a page of 4 KiB, of level 1 2 MiB, of level 2 1 GiB, that lies within one region. */
#define GRDMA_HINT_LEVELS 3

static inline unsigned grdma_hint_bits(unsigned level)
{
    return 12 + 9 * level;
}

/** What the hash of the block over an address at a level is: its highest bits say the bucket. The number of the block is
 * squared first. With the multiplication alone, blocks that lie in a row at some distances (one of ten, below 600 pages) shared
 * so few buckets that up to three quarters of them had no room. (What begins at multiples of 256 MiB and more has few tags.) */
static inline uint64_t grdma_hint_hash(uintptr_t address, unsigned level)
{
    const uint64_t block = address >> grdma_hint_bits(level);

    return block * block * (UINT64_C(0xd6e8feb86659fd93) + 2 * level);
}

/** Bits of a hash that say no bucket; the highest 8 of these are the tag. */
static inline uint32_t grdma_hint_tag_bits(uint64_t hash)
{
    return (uint32_t) (hash >> 8);
}

/** What a slot holds; its tag is never 0, as in an empty one. */
static inline uint32_t grdma_hint_slot(uint64_t hash, uint32_t id)
{
    const uint32_t tag = grdma_hint_tag_bits(hash) >> GRDMA_HINT_ID_BITS;

    return (tag != 0 ? tag : 1) << GRDMA_HINT_ID_BITS | id;
}

/** The slots that a hint with this hash should be in: one bucket. */
static inline _Atomic uint32_t *grdma_hint_bucket(const grdma_hints_t *hints, uint64_t hash)
{
    return &hints->slot[(hash >> hints->shift) * GRDMA_HINT_BUCKET];
}

/** Where it is if that was full when it was learned, also or alone: the other half of the line. */
static inline _Atomic uint32_t *grdma_hint_other_bucket(_Atomic uint32_t *bucket)
{
    return (_Atomic uint32_t *) (void *) ((uintptr_t) (void *) bucket ^ GRDMA_HINT_BUCKET * sizeof(*bucket));
}

/** Slots of a bucket: slot k is bit 2 k + 1. */
typedef unsigned grdma_hint_matches_t;

/** Those that have the tag of this hash. Which of the slots a hint is in cannot be predicted, so all are looked at. */
static inline grdma_hint_matches_t grdma_hint_matches(_Atomic uint32_t *bucket, uint64_t hash)
{
#if defined(__SSE2__) && !IS_THREAD_SANITIZED
    const __m128i *slots = (const __m128i *) (void *) bucket;
    const __m128i any = _mm_shuffle_epi32(_mm_cvtsi32_si128((int) grdma_hint_tag_bits(hash)), 0);
    const __m128i tags = _mm_max_epu8(any, _mm_set1_epi8(1));

    /* Bytes that are equal; to 16 bits with saturation, which keeps what the highest byte says. */
    return (unsigned) _mm_movemask_epi8(
               _mm_packs_epi32(_mm_cmpeq_epi8(slots[0], tags), _mm_cmpeq_epi8(slots[1], tags)))
           & 0xaaaa;
#else
    const uint32_t tag = grdma_hint_slot(hash, 0) >> GRDMA_HINT_ID_BITS;
    grdma_hint_matches_t matches = 0;

    for (unsigned i = 0; i < GRDMA_HINT_BUCKET; i++) {
        const uint32_t slot = atomic_load_explicit(&bucket[i], memory_order_relaxed);
        matches |= (slot >> GRDMA_HINT_ID_BITS == tag ? 2u : 0) << 2 * i;
    }
    return matches;
#endif
}

/** The first one of these, of which there are some. */
static inline _Atomic uint32_t *grdma_hint_first(_Atomic uint32_t *bucket, grdma_hint_matches_t matches)
{
    uintptr_t bit;

#ifdef __x86_64__
    /* The upper half is 0 afterwards, which compilers do not know of. */
    __asm__("rep bsfl %1, %k0" : "=r"(bit) : "r"(matches) : "cc");
#else
    bit = (unsigned) __builtin_ctz(matches);
#endif
    return (_Atomic uint32_t *) (void *) ((char *) bucket + bit * 2 - 2);
}

/** The others. */
static inline grdma_hint_matches_t grdma_hint_others(grdma_hint_matches_t matches)
{
    return matches & (matches - 1);
}

/** Make a table of at least `slots` slots. The head, in which regions, stride and older are set, is the caller's.
 * @return false: no memory. Not from hook context. */
bool grdma_hints_make(grdma_hints_t *head, size_t slots);
/** Unmap it and those before it. */
void grdma_hints_free(grdma_hints_t *hints);
/** Readers find nothing in it from now on. Hook context. */
void grdma_hints_empty(grdma_hints_t *hints);
/** The same, and its slots' memory is given back. Not from hook context. */
void grdma_hints_give_back(grdma_hints_t *hints);
/** Unmap one that nobody has seen. */
void grdma_hints_discard(grdma_hints_t *hints);

#endif
