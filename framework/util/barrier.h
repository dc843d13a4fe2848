/* SPDX-License-Identifier: BSD-3-Clause */
/* The two barriers that C11 has no cheap name for. Both are written without
 * atomic_thread_fence() on x86, where a locked instruction is a full barrier
 * already and which ThreadSanitizer does not model. */
#ifndef FRAMEWORK_UTIL_BARRIER_H
#define FRAMEWORK_UTIL_BARRIER_H

#include <sched.h>
#include <stdatomic.h>

#if defined(__x86_64__)

/** Order a read-modify-write just done before every later load (store-buffering pattern). */
static inline void barrier_after_rmw(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

/** Order every earlier store before every later load. */
static inline void barrier_full(void)
{
    atomic_int word = 0;
    atomic_exchange(&word, 1);
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void cpu_relax(void)
{
    __builtin_ia32_pause();
}

#else

static inline void barrier_after_rmw(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void barrier_full(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void cpu_relax(void)
{
    atomic_signal_fence(memory_order_seq_cst);
}

#endif

/** One step of a wait: spins at first, then lets others run. */
static inline void wait_step(unsigned *steps)
{
    if (++*steps < 64) {
        cpu_relax();
    } else {
        sched_yield();
    }
}

#endif
