/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * Hits without a call.
 *
 * mca_rcache_base_register() and mca_rcache_base_deregister() do what rcache_register and rcache_deregister of a cache do, with the same
 * arguments and results, and both ways may be mixed at will. What the thread has at hand they do in the caller's code; for
 * all else, and for caches of components that do not take part, they call the cache.
 *
 * The rest of this file belongs to the components. It is compiled into their users, so none of it changes within 2.x.
 * The protocol, and why no barrier is needed here, is in docs/rcache-protocol.md.
 */
#ifndef OPAL_MCA_RCACHE_RCACHE_HIT_H
#define OPAL_MCA_RCACHE_RCACHE_HIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/constants.h"
#include "opal/mca/rcache/rcache.h"

BEGIN_C_DECLS

/** Left to themselves, compilers call such functions where a loop makes them seem large. */
#define MCA_RCACHE_INLINE static inline __attribute__((always_inline))

#define MCA_RCACHE_LIKELY(condition) __builtin_expect((condition), 1)

/** References of one thread to one region: taken, and given back. Both only grow, and wrap. Their thread alone writes. */
typedef struct mca_rcache_count_t {
    uint32_t gets, puts;
} mca_rcache_count_t;

/** Where a thread's last lookup of such an address ended, and which bytes were registered there then: a lookup whose last byte
 * is one of these goes there. As with any hint, the registration itself says whether it is what is wanted. The size is stored
 * last and read last; 0, which the kernel makes of it in a fork child, means none. */
typedef struct mca_rcache_front_t {
    uintptr_t base;
    size_t size;
    mca_rcache_base_registration_t *reg;
    mca_rcache_count_t *count; /**< That of the registration. */
} mca_rcache_front_t;

#define MCA_RCACHE_FRONTS 128 /**< 4 KiB: an eighth of what a processor's first cache holds. */
#define MCA_RCACHE_MAX_ID ((UINT32_C(1) << 24) - 1)
#define MCA_RCACHE_COUNTS_AT 4096        /**< Bytes from a block to the counts, by cache_id. */
#define MCA_RCACHE_FLAGS_HIDDEN 0x010081 /**< No lookup finds it with one of these. */
#define MCA_RCACHE_FLAGS_ASK 0x080000    /**< A component wants to be asked. */
#define MCA_RCACHE_FLAGS_TOLD 0x200000   /**< The kernel tells of it. */
#define MCA_RCACHE_FLAGS_NOT_AT_ONCE (MCA_RCACHE_FLAGS_HIDDEN | MCA_RCACHE_FLAGS_ASK | MCA_RCACHE_FLAGS_TOLD)
#define MCA_RCACHE_FLAGS_LACKS 24 /**< From this bit on: MCA_RCACHE_ACCESS_* that it does not grant. Constant. */

/** What one thread has of one cache: the beginning of the component's own structure. Fronts lie before it, counts of all
 * registrations that there are behind it. */
struct mca_rcache_block_t {
    uint64_t *hits; /**< Of the figures; never NULL. Their thread alone writes. */
};

/** A thread's short way to its block. */
typedef struct mca_rcache_recent_t {
    uint64_t serial; /**< Of the cache, which is its gate's value while nothing needs attention; 0: none. */
    mca_rcache_block_t *block;
} mca_rcache_recent_t;

/* module->recent is the distance of that way from the thread pointer, which x86-64 adds for nothing. A sanitizer does not know of
 * addresses that are relative to a segment. */
#if defined(__x86_64__) && !defined(__ILP32__)
#define MCA_RCACHE_HAS_HITS 1
#if defined(__SEG_FS) && (defined(__clang__) || (!defined(__cplusplus) && !defined(__STRICT_ANSI__))) \
    && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MCA_RCACHE_OF_THREAD __seg_fs
#endif
#elif (defined(__aarch64__) && !defined(__ILP32__)) || defined(MCA_RCACHE_THREAD_POINTER)
#define MCA_RCACHE_HAS_HITS 1
#else
#define MCA_RCACHE_HAS_HITS 0
#endif

#if MCA_RCACHE_HAS_HITS

/* Read each time: a fiber of the caller's may go on in another thread behind any call, and compilers would keep it. */
static inline uintptr_t mca_rcache_thread_pointer(void)
{
#ifdef MCA_RCACHE_THREAD_POINTER /* Where the component alone has one. */
    return MCA_RCACHE_THREAD_POINTER();
#else
    uintptr_t pointer;

#ifdef __x86_64__
    __asm__ volatile("movq %%fs:0, %0" : "=r"(pointer));
#else
    __asm__ volatile("mrs %0, tpidr_el0" : "=r"(pointer));
#endif
    return pointer;
#endif
}

#ifdef MCA_RCACHE_OF_THREAD
/* An extension of the compiler's, which -Wpedantic would tell of at each use. */
__extension__ typedef const mca_rcache_recent_t MCA_RCACHE_OF_THREAD mca_rcache_own_recent_t;

static inline mca_rcache_own_recent_t *mca_rcache_recent_of(const mca_rcache_base_module_t *rcache)
{
    return (mca_rcache_own_recent_t *) rcache->recent;
}
#else
typedef const mca_rcache_recent_t mca_rcache_own_recent_t;

static inline mca_rcache_own_recent_t *mca_rcache_recent_of(const mca_rcache_base_module_t *rcache)
{
    return (mca_rcache_own_recent_t *) (mca_rcache_thread_pointer() + rcache->recent);
}
#endif

/** One place for each page of 4 KiB, and for those MCA_RCACHE_FRONTS pages on. */
static inline mca_rcache_front_t *mca_rcache_front_of(mca_rcache_block_t *block, uintptr_t address)
{
    return (mca_rcache_front_t *) (void *) block - MCA_RCACHE_FRONTS + (address >> 12) % MCA_RCACHE_FRONTS;
}

/** Any id that there has been: a thread has a block only while that has counts of all. */
static inline mca_rcache_count_t *mca_rcache_count_of(mca_rcache_block_t *block, uint32_t cache_id)
{
    uintptr_t id = cache_id;

    /* Where gcc knows how large it is, it adds what is constant before, by one more instruction. */
    __asm__("" : "+r"(id));
    return (mca_rcache_count_t *) (void *) ((char *) block + MCA_RCACHE_COUNTS_AT
                                            + id * sizeof(mca_rcache_count_t));
}

/* Counters that their thread alone writes: one store each time, which nobody sees half; no locked instruction. On x86-64 one
 * instruction in all, where a compiler makes three of an atomic load and store; and flags are tested in memory. ThreadSanitizer
 * follows builtins alone. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MCA_RCACHE_BY_BUILTIN 1
#endif
#endif
#if !defined(MCA_RCACHE_BY_BUILTIN) \
    && (defined(__SANITIZE_THREAD__) || !defined(__x86_64__) || !defined(__GCC_ASM_FLAG_OUTPUTS__))
#define MCA_RCACHE_BY_BUILTIN 1
#endif

/** Whatever this thread did before comes before (release); the compiler moves nothing across it, in either direction. What is
 * read after it may be read before as far as the processor goes: whoever adds the counts up makes it wait. */
MCA_RCACHE_INLINE void mca_rcache_count_up(uint32_t *counter)
{
#ifdef MCA_RCACHE_BY_BUILTIN
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#else
    __asm__ volatile("incl %0" : "+m"(*counter) : : "memory", "cc");
#endif
}

/** Of a figure: in no order. */
MCA_RCACHE_INLINE void mca_rcache_figure_up(uint64_t *figure)
{
#ifdef MCA_RCACHE_BY_BUILTIN
    __atomic_store_n(figure, __atomic_load_n(figure, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
#else
    __asm__ volatile("incq %0" : "+m"(*figure) : : "cc");
#endif
}

static inline uint32_t mca_rcache_flags_of(const mca_rcache_base_registration_t *reg)
{
    return __atomic_load_n(&reg->flags, __ATOMIC_ACQUIRE);
}

/** Has it none of these flags? (Acquire.) */
MCA_RCACHE_INLINE bool mca_rcache_has_none_of(const mca_rcache_base_registration_t *reg, uint32_t flags)
{
#ifdef MCA_RCACHE_BY_BUILTIN
    return (mca_rcache_flags_of(reg) & flags) == 0;
#else
    bool has_none;

    __asm__ volatile("testl %2, %1" : "=@ccz"(has_none) : "m"(reg->flags), "ri"(flags) : "memory");
    return has_none;
#endif
}

/** Registrations are whole pages: so the bytes need not be rounded. No bytes, or more than there are, are covered by nothing. */
MCA_RCACHE_INLINE bool mca_rcache_covers(const mca_rcache_base_registration_t *reg, uintptr_t start,
                                         uintptr_t last)
{
    return MCA_RCACHE_LIKELY((uintptr_t) reg->base <= start) && MCA_RCACHE_LIKELY(start <= last)
           && MCA_RCACHE_LIKELY((uintptr_t) reg->bound >= last);
}

/** Are there such accesses? What follows takes these alone. */
MCA_RCACHE_INLINE bool mca_rcache_is_access(int32_t access_flags)
{
    return MCA_RCACHE_LIKELY((access_flags & ~MCA_RCACHE_ACCESS_ANY) == 0);
}

/** The flags of a registration that does not grant this access. That they are flags, saves a tenth of what a processor must keep
 * waiting while a registration comes from memory. */
MCA_RCACHE_INLINE uint32_t mca_rcache_flags_lacking(int32_t access_flags)
{
    return (uint32_t) access_flags << MCA_RCACHE_FLAGS_LACKS;
}

/** No registration with one of these is a hit at once for who wants such access. */
MCA_RCACHE_INLINE uint32_t mca_rcache_flags_against(int32_t access_flags)
{
    return MCA_RCACHE_FLAGS_NOT_AT_ONCE | mca_rcache_flags_lacking(access_flags);
}

/** The kernel tells of it, and has told of nothing that is not handled. What was handled meanwhile has marked its registrations:
 * so the flags are read once more. */
MCA_RCACHE_INLINE bool mca_rcache_is_told_well(const mca_rcache_base_registration_t *reg, uintptr_t start,
                                               uintptr_t last, int32_t access_flags)
{
    return (mca_rcache_flags_of(reg) & mca_rcache_flags_against(access_flags)) == MCA_RCACHE_FLAGS_TOLD
           && mca_rcache_covers(reg, start, last) && !opal_memory_changed() && opal_memory_watch_holds(&reg->watch)
           && (mca_rcache_flags_of(reg) & MCA_RCACHE_FLAGS_HIDDEN) == 0;
}

/** What a look has come to. */
typedef enum mca_rcache_look_t {
    MCA_RCACHE_LOOK_HIT,       /**< found->reg has one more reference. */
    MCA_RCACHE_LOOK_ATTENTION, /**< The cache wants to be called first. */
    MCA_RCACHE_LOOK_UNKNOWN,   /**< The thread remembers nothing that has the last byte. */
    MCA_RCACHE_LOOK_REFUSED    /**< A reference was counted to found->reg, which may not be what is wanted. */
} mca_rcache_look_t;

struct mca_rcache_found_t {
    mca_rcache_block_t *block; /**< But with ATTENTION. */
    mca_rcache_base_registration_t *reg;
    mca_rcache_count_t *count;
};

/** The gate is read before any registration is looked at: a release that was posted but is not handled yet has not marked its
 * registrations. A reference is counted first, and then it is seen whether the registration is what is wanted. */
MCA_RCACHE_INLINE mca_rcache_look_t mca_rcache_look(const mca_rcache_base_module_t *rcache, uintptr_t start,
                                                    uintptr_t last, int32_t access_flags,
                                                    mca_rcache_found_t *found)
{
    mca_rcache_own_recent_t *recent = mca_rcache_recent_of(rcache);

    if (!MCA_RCACHE_LIKELY(__atomic_load_n(&rcache->gate, __ATOMIC_ACQUIRE) == recent->serial)) {
        return MCA_RCACHE_LOOK_ATTENTION;
    }
    found->block = recent->block;
    const mca_rcache_front_t *front = mca_rcache_front_of(found->block, start);
    found->reg = front->reg;
    found->count = front->count;
    const uintptr_t offset = last - front->base;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* A signal handler may fork here, and the child find all wiped. */
    /* One comparison: what is there instead lies above as often as below, which no processor can predict. */
    if (!MCA_RCACHE_LIKELY(offset < front->size)) {
        return MCA_RCACHE_LOOK_UNKNOWN;
    }
    mca_rcache_count_up(&found->count->gets);
    if ((MCA_RCACHE_LIKELY(mca_rcache_has_none_of(found->reg, mca_rcache_flags_against(access_flags)))
         && mca_rcache_covers(found->reg, start, last))
        || mca_rcache_is_told_well(found->reg, start, last, access_flags)) {
        mca_rcache_figure_up(found->block->hits);
        return MCA_RCACHE_LOOK_HIT;
    }
    return MCA_RCACHE_LOOK_REFUSED;
}

/** By where it lies: a processor that waits for the registration to come from memory knows already where it is counted, which
 * makes a sixth of what a hit of one of very many takes. */
MCA_RCACHE_INLINE uint32_t mca_rcache_id_of(const mca_rcache_base_module_t *rcache,
                                            const mca_rcache_base_registration_t *reg)
{
    return (uint32_t) (((uintptr_t) reg - (uintptr_t) rcache->registrations) >> rcache->id_shift);
}

/** What giving back has come to. */
typedef enum mca_rcache_return_t {
    MCA_RCACHE_RETURN_DONE,
    MCA_RCACHE_RETURN_CARE, /**< It is given back, and the registration was over. */
    MCA_RCACHE_RETURN_CALL  /**< Not done: the thread has no block at hand, or it was registered for one use. */
} mca_rcache_return_t;

MCA_RCACHE_INLINE mca_rcache_return_t mca_rcache_return(const mca_rcache_base_module_t *rcache,
                                                        mca_rcache_base_registration_t *reg, uint32_t id)
{
    mca_rcache_own_recent_t *recent = mca_rcache_recent_of(rcache);

    if (!MCA_RCACHE_LIKELY(recent->serial == rcache->serial)
        || !MCA_RCACHE_LIKELY(reg->cache_id <= MCA_RCACHE_MAX_ID)) {
        return MCA_RCACHE_RETURN_CALL;
    }
    mca_rcache_count_up(&mca_rcache_count_of(recent->block, id)->puts);
    return MCA_RCACHE_LIKELY(mca_rcache_has_none_of(reg, MCA_RCACHE_FLAGS_INVALID)) ? MCA_RCACHE_RETURN_DONE
                                                                                    : MCA_RCACHE_RETURN_CARE;
}

/** What a cache has answered, as rcache_register says it. */
MCA_RCACHE_INLINE int mca_rcache_take_answer(mca_rcache_answer_t answer, mca_rcache_base_registration_t **reg)
{
    if (MCA_RCACHE_LIKELY((answer & 1) == 0)) {
        *reg = (mca_rcache_base_registration_t *) answer;
        return OPAL_SUCCESS;
    }
    return (int) ((answer - 1) / 2);
}

#endif

/** As rcache->rcache_register(), whose arguments and results it has; see there. */
MCA_RCACHE_INLINE int mca_rcache_base_register(mca_rcache_base_module_t *rcache, void *addr, size_t size,
                                               uint32_t flags, int32_t access_flags,
                                               mca_rcache_base_registration_t **reg)
{
#if MCA_RCACHE_HAS_HITS
    if (MCA_RCACHE_LIKELY(flags == 0) && mca_rcache_is_access(access_flags)) {
        mca_rcache_found_t found;
        const uintptr_t start = (uintptr_t) addr;
        uintptr_t last = start + size - 1;
        __asm__("" : "+r"(last)); /* Else compilers keep the carry, and lose a register to it. */
        const mca_rcache_look_t look = mca_rcache_look(rcache, start, last, access_flags, &found);

        if (MCA_RCACHE_LIKELY(look == MCA_RCACHE_LOOK_HIT)) {
            *reg = found.reg;
            return OPAL_SUCCESS;
        }
        if (look == MCA_RCACHE_LOOK_UNKNOWN) {
            return mca_rcache_take_answer(rcache->rcache_unknown(found.block, start, last, rcache, access_flags),
                                          reg);
        }
        if (look == MCA_RCACHE_LOOK_REFUSED) {
            const mca_rcache_found_t refused = found; /* So that the other need not be in memory. */

            return mca_rcache_take_answer(rcache->rcache_refused(&refused, start, last, rcache, access_flags),
                                          reg);
        }
    }
#endif
    return rcache->rcache_register(rcache, addr, size, flags, access_flags, reg);
}

/** As rcache->rcache_deregister(); see there. */
MCA_RCACHE_INLINE int mca_rcache_base_deregister(mca_rcache_base_module_t *rcache,
                                                 mca_rcache_base_registration_t *reg)
{
#if MCA_RCACHE_HAS_HITS
    const uint32_t id = mca_rcache_id_of(rcache, reg);
    const mca_rcache_return_t result = mca_rcache_return(rcache, reg, id);

    if (MCA_RCACHE_LIKELY(result == MCA_RCACHE_RETURN_DONE)) {
        return OPAL_SUCCESS;
    }
    if (result == MCA_RCACHE_RETURN_CARE) {
        return rcache->rcache_returned(rcache, id);
    }
#endif
    return rcache->rcache_deregister(rcache, reg);
}

END_C_DECLS

#endif
