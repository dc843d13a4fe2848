/* SPDX-License-Identifier: BSD-3-Clause */
/* The lock of a cache. It is taken several times by each miss, mostly by one thread alone, and is tried in hooks: so
 * it is one word, and one locked instruction each way, inline. Who has to wait sleeps in the kernel (futex).
 *
 *   0 free, 1 held, 2 held and perhaps waited for
 *
 * A waiter makes it 2 before it sleeps, and has it as 2 when it gets it, since there may be others; who lets go of a 2 wakes
 * one of them. Not recursive; a fork child makes it anew. */
#ifndef RCACHE_GRDMA_GRDMA_MUTEX_H
#define RCACHE_GRDMA_GRDMA_MUTEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct grdma_mutex_t {
    _Atomic uint32_t state;
} grdma_mutex_t;

/** Also of one that a fork's parent held. Every context. */
static inline void grdma_mutex_init(grdma_mutex_t *mutex)
{
    atomic_store_explicit(&mutex->state, 0, memory_order_relaxed);
}

/* Of the following only. */
void grdma_mutex_wait(grdma_mutex_t *mutex);
void grdma_mutex_wake(grdma_mutex_t *mutex);

/** Waits for nobody. @return Got it? Every context. */
static inline bool grdma_mutex_try(grdma_mutex_t *mutex)
{
    uint32_t state = 0;

    return atomic_compare_exchange_strong(&mutex->state, &state, 1);
}

/** Not from hook context. */
static inline void grdma_mutex_lock(grdma_mutex_t *mutex)
{
    if (__builtin_expect(!grdma_mutex_try(mutex), 0)) {
        grdma_mutex_wait(mutex);
    }
}

/** Every context. */
static inline void grdma_mutex_unlock(grdma_mutex_t *mutex)
{
    if (__builtin_expect(atomic_exchange(&mutex->state, 0) != 1, 0)) {
        grdma_mutex_wake(mutex);
    }
}

#endif
