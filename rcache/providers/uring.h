/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider uring: a ring and its table of registered buffers. */
#ifndef RCACHE_PROVIDERS_URING_H
#define RCACHE_PROVIDERS_URING_H

#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>

#include "rcache/providers/provider.h"

/** The kernel's limit (IORING_MAX_REG_BUFFERS). */
#define URING_SLOTS 16384
/** The kernel's limit for one buffer. */
#define URING_MAX_BUFFER ((size_t) 1 << 30)

typedef struct uring_provider_t {
    mca_rcache_provider_t super;
    struct io_uring ring; /**< Queues: under submit_lock. ring_fd: constant between open and after_fork. */
    pthread_mutex_t submit_lock;
    _Atomic uint32_t generation; /**< Grows with each new ring; a registration of an older one is dead. */
    /** A set bit is a slot in use. Taken by fetch_or, given back by fetch_and: also in hook context. */
    _Atomic uint64_t used[URING_SLOTS / 64];
    _Atomic uint32_t next_word; /**< Where the search for a free slot begins; a hint. */
    /** Fork generation of the process that makes (2 * n) or has made (2 * n + 1) the ring. No lock: a child that
     * is forked meanwhile would inherit it held. */
    _Atomic uint64_t made_for;
    atomic_bool lost; /**< The descriptor was closed by somebody: said once. */
} uring_provider_t;

/** Make the ring and its sparse table. @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE after a message */
int uring_setup(uring_provider_t *provider);

/** Say why io_uring cannot be used, from what the system shows. @return OPAL_ERR_NOT_AVAILABLE */
int uring_explain(const char *what, int error);

#endif
