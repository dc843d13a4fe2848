/* SPDX-License-Identifier: BSD-3-Clause */
/* The component's locks: one word each, in memory that a fork child finds
 * wiped, so that no child ever finds one taken. A lock that a reader of events
 * needs is taken with all signals blocked: a handler that released watched
 * memory would wait for the reader, and the reader for the lock. */
#ifndef COMPONENTS_USERFAULTFD_USERFAULTFD_LOCK_H
#define COMPONENTS_USERFAULTFD_USERFAULTFD_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct uffd_lock_t {
    atomic_int word; /* 0: free. 1: taken. 2: taken, and somebody may sleep. */
} uffd_lock_t;

/** Waits. Not for signal handlers. */
void uffd_lock(uffd_lock_t *lock);
void uffd_unlock(uffd_lock_t *lock);

/** Likewise, with every signal blocked meanwhile; *mask is what was blocked before. */
void uffd_lock_blocked(uffd_lock_t *lock, uint64_t *mask);
void uffd_unlock_blocked(uffd_lock_t *lock, const uint64_t *mask);

#endif
