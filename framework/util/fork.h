/* SPDX-License-Identifier: BSD-3-Clause */
/* Notices that this process is a fork child, by pthread_atfork and, for forks
 * that go around libc, by a page that the kernel wipes in the child. A vfork or
 * CLONE_VM child shares the memory and is not a fork child here. */
#ifndef FRAMEWORK_UTIL_FORK_H
#define FRAMEWORK_UTIL_FORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "opal/constants.h"

/** Install the handlers, if that is not done. Thread-safe, waits for nobody. @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE */
int opal_fork_start(void);

/** Points to a word that is not OPAL_FORK_ALIVE exactly in a child that has not noticed yet. Set by start. */
extern _Atomic(atomic_int *) opal_fork_word;
#define OPAL_FORK_ALIVE 1
/** What it points to where the kernel cannot wipe memory. */
extern atomic_int opal_fork_no_page;

/** Number of forks between the process that started the library and this one; use opal_fork_generation(). */
extern _Atomic uint64_t opal_fork_count;

/** Become a child: forget what other threads of the parent held (locks, windows, caches). Hook context. */
void opal_fork_notice(void);

/** Is this process not a fork child that has not noticed yet? Hook context. */
static inline bool opal_fork_is_known(void)
{
    const atomic_int *word = atomic_load_explicit(&opal_fork_word, memory_order_acquire);
    return __builtin_expect(atomic_load_explicit(word, memory_order_acquire) == OPAL_FORK_ALIVE, 1);
}

/** Does the kernel tell a child what it is, by wiping memory? If not, only libc's forks are noticed, and these at once. */
static inline bool opal_fork_is_told_by_kernel(void)
{
    return atomic_load_explicit(&opal_fork_word, memory_order_acquire) != &opal_fork_no_page;
}

/** Before anything is used that a fork child must not share with its parent. Hook context. */
static inline void opal_fork_check(void)
{
    if (!opal_fork_is_known()) {
        opal_fork_notice();
    }
}

/** Before a lock is taken that may be used before opalmem_init(): a child that is forked meanwhile makes it anew.
 * Without memory for the handler the next one to come tries again. Not from hook context. */
static inline void opal_fork_prepare(void)
{
    if (opal_fork_start() == OPAL_SUCCESS) {
        opal_fork_check();
    }
}

/** Changes in each fork child. Hook context. */
static inline uint64_t opal_fork_generation(void)
{
    opal_fork_check();
    return atomic_load_explicit(&opal_fork_count, memory_order_relaxed);
}

#endif
