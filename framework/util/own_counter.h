/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters that one thread writes and any thread reads. One store each time, which nobody sees half; no locked
 * instruction. On x86-64 one instruction in all, where a compiler makes three of an atomic load and store. */
#ifndef FRAMEWORK_UTIL_OWN_COUNTER_H
#define FRAMEWORK_UTIL_OWN_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

#include "framework/util/sanitizers.h"

/** Add one. Whatever this thread did before comes before (release); the compiler moves nothing across it, in either
 * direction. Only the thread that owns the counter. */
static inline void own_counter_up(_Atomic uint32_t *counter)
{
#if defined(__x86_64__) && !IS_THREAD_SANITIZED
    __asm__ volatile("incl %0" : "+m"(*(uint32_t *) (void *) counter) : : "memory", "cc");
#else
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/** Likewise, of a figure: in no order. */
static inline void own_counter_up_relaxed(_Atomic uint64_t *counter)
{
#if defined(__x86_64__) && !IS_THREAD_SANITIZED
    __asm__ volatile("incq %0" : "+m"(*(uint64_t *) (void *) counter) : : "cc");
#else
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
#endif
}

#endif
