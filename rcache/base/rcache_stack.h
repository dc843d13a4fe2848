/* SPDX-License-Identifier: BSD-3-Clause */
/* Call stacks, each kept once: a stack is a small number. Taking one that was taken before costs a comparison of the return
 * addresses that lie in memory, and no unwinding. Kept as long as the process; the table is bounded. */
#ifndef RCACHE_BASE_RCACHE_STACK_H
#define RCACHE_BASE_RCACHE_STACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MCA_RCACHE_STACK_FRAMES 32 /**< Deeper ones lose their outer frames. */

typedef struct mca_rcache_frame_t {
    uintptr_t ip;   /**< Return address. */
    uintptr_t slot; /**< Where it lies in memory; 0: not known. */
} mca_rcache_frame_t;

/** Constant, but for is_told. */
typedef struct mca_rcache_stack_t {
    mca_rcache_frame_t frame[MCA_RCACHE_STACK_FRAMES]; /**< The innermost first. */
    uint32_t depth;
    uint32_t comparable; /**< Frames before the first whose slot is not known. */
    atomic_bool is_told; /**< Somebody has taken care of a release there. */
} mca_rcache_stack_t;

/** Get ready: loads the unwinder. From then on the other functions load, bind and allocate nothing.
 * Before any of them. Thread-safe. Not from hook context. */
void mca_rcache_stack_prepare(void);

/** The caller's stack. @return Its number; 0: it cannot be had, or the table is full. Not from hook context. */
uint32_t mca_rcache_stack_here(void);

/** The same in hook context. 0 also where unwinding might wait for a lock of the loader (glibc before 2.35). */
uint32_t mca_rcache_stack_in_hook(void);

/** Was any stack not kept, since the table is full? */
bool mca_rcache_stack_is_full(void);

/** The stack with this number, which is not 0. Every context. */
mca_rcache_stack_t *mca_rcache_stack_at(uint32_t number);

/** Write a stack to a descriptor: addresses, with the object and the offset where they can be had. Async-signal-safe. */
void mca_rcache_stack_write(int fd, const mca_rcache_stack_t *stack);

#endif
