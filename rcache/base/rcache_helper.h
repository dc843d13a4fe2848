/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that unpins what hooks could only mark, where the program itself does not call into its caches for long.
 * Opt-in (rcache_base_helper): it costs a membarrier a batch. One for all caches of the process. */
#ifndef RCACHE_BASE_RCACHE_HELPER_H
#define RCACHE_BASE_RCACHE_HELPER_H

#include <stdatomic.h>
#include <stdint.h>

/** How long it lets work pile up after it was woken, microseconds: the first registration waits this much longer, and there
 * are at most so many membarriers a second. */
#define MCA_RCACHE_HELPER_PAUSE_US 300

/** NONE -> ASLEEP <-> WANTED <-> AWAKE; any -> STOPPING -> NONE. */
enum {
    MCA_RCACHE_HELPER_NONE,
    MCA_RCACHE_HELPER_ASLEEP,
    MCA_RCACHE_HELPER_AWAKE,
    MCA_RCACHE_HELPER_WANTED,
    MCA_RCACHE_HELPER_STOPPING,
};
extern _Atomic uint32_t mca_rcache_helper_state;

/** Start it, unless it is there or nobody asked for it. A thread that cannot be started is told of once; everything else works
 * without. Thread-safe. Not from hook context. */
void mca_rcache_helper_start(void);

/** End it, and wait until it has ended. Not from hook context. */
void mca_rcache_helper_stop(void);

/** In a fork child, where it is not. The next start starts another. Hook context. */
void mca_rcache_helper_reset_child(void);

/** Part of mca_rcache_helper_wake(). */
void mca_rcache_helper_call(void);

/** Something waits for a safe moment. Every context: one system call at most, no lock, errno is kept. */
static inline void mca_rcache_helper_wake(void)
{
    if (__builtin_expect(
            atomic_load_explicit(&mca_rcache_helper_state, memory_order_acquire) != MCA_RCACHE_HELPER_NONE, 0)) {
        mca_rcache_helper_call();
    }
}

#endif
