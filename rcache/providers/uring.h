/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider uring: rings and their tables of registered buffers.
 *
 * A provider has one or more tables. The kernel limits each to 16384 slots, and
 * holds a lock of the ring while it changes a slot or copies for a transfer: so
 * there is another ring for each thread that registers, up to one a processor,
 * and further ones when all slots are taken. A registration says which ring it
 * is in. A provider on a ring of the application's has that one only.
 *
 * Which functions may run in hook context is said at each. */
#ifndef RCACHE_PROVIDERS_URING_H
#define RCACHE_PROVIDERS_URING_H

#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>

#include "rcache/providers/provider.h"

/** The kernel's limit for a table (IORING_MAX_REG_BUFFERS). */
#define URING_SLOTS 16384
/** Of a thread's first table: making one of URING_SLOTS takes ten times as long. */
#define URING_FIRST_SLOTS 1024
/** The kernel's limit for one buffer. */
#define URING_MAX_BUFFER ((size_t) 1 << 30)
/** Four million registrations; each ring takes a descriptor. */
#define URING_TABLES 256
/** Rings among which threads are spread at most. */
#define URING_SPREAD 8
/** Slots emptied by one system call at most. */
#define URING_BATCH 64

typedef struct uring_table_t {
    int fd;         /**< Of the ring. Constant while the table is in use, as are the next three. */
    uint32_t first; /**< Slot of the kernel's table where ours begin. */
    uint32_t slots;
    uint64_t tags; /**< Slot s is filled with tag tags + s; 0: without. */

    /* Slots: any thread, also in hook context. */
    _Atomic uint32_t free;                   /**< How many are; a hint. */
    _Atomic uint32_t next_word;              /**< Where the search for a free one begins; a hint. */
    _Atomic uint64_t used[URING_SLOTS / 64]; /**< A set bit is a slot in use, or none. Taken by fetch_or. */

    /* Transfers; unused in an adopted ring. */
    pthread_mutex_t lock; /**< Never held while a transfer is waited for. Rules all below. */
    struct io_uring ring;
    dev_t device;      /**< Of the ring's file, as is the next; the number may be another one's later. Constant. */
    ino_t inode;       /**< 0: not known. */
    bool leader;       /**< A thread waits in the kernel: it alone takes completions. */
    bool broken;       /**< Completions may point to requests that are gone: none is taken any more. */
    uint32_t sleepers; /**< Threads that wait for the leader. */
    _Atomic uint32_t changes; /**< They wait for this to change; written under the lock. */
} uring_table_t;

typedef struct uring_provider_t {
    mca_rcache_provider_t super;
    bool adopted;    /**< Constant: the one ring is the application's. */
    uint32_t spread; /**< Threads are spread among so many tables. Written under grow_lock, see below. */
    _Atomic uint32_t generation; /**< Grows with each fork; a registration of an older one is dead. */
    /** Fork generation of the process that makes (2 * n) or has made (2 * n + 1) the ring. No lock: a child that
     * is forked meanwhile would inherit it held. */
    _Atomic uint64_t made_for;
    atomic_bool lost;          /**< A descriptor was closed by somebody: said once. */
    pthread_mutex_t grow_lock; /**< Held while a table is made. Not in hook context. */
    _Atomic uint32_t count; /**< Tables in use. Grows under grow_lock, with release after the table is complete. */
    uring_table_t *tables[URING_TABLES]; /**< Constant below count. Above, what a fork child can use again. */
    uring_table_t first_table;           /**< So that a fork child need not allocate. */
} uring_provider_t;

static inline uring_table_t *uring_table(const uring_provider_t *provider, uint32_t number)
{
    return provider->tables[number];
}

/* ---- uring_setup.c ------------------------------------------------------------------------------ */

/** Make a ring and its sparse table of `slots`.
 * @param[out] what  The step that failed.
 * @return 0 or a negative errno. */
int uring_make_ring(struct io_uring *ring, uint32_t slots, const char **what);

/** Say why io_uring cannot be used, from what the system shows. @return OPAL_ERR_NOT_AVAILABLE / OUT_OF_RESOURCE */
int uring_explain(const char *what, int error);

/* ---- uring_table.c ------------------------------------------------------------------------------ */

/** Describe a table whose ring is there: all slots free, no transfer. */
void uring_table_init(uring_table_t *table, int fd, uint32_t first, uint32_t slots);

/** The first table of a process, at open and after fork. @retval OPAL_SUCCESS / as uring_explain(), after a message */
int uring_first_table(uring_provider_t *provider);

/** Take a slot, near to those that this thread took before.
 * @param[out] number, slot  Of the table; and in the kernel's table.
 * @return false: all are taken, and no further table could be made. Not from hook context. */
bool uring_take_slot(uring_provider_t *provider, uint32_t *number, uint32_t *slot);

/** Hook context. */
void uring_give_slot(uring_table_t *table, uint32_t slot);

/** Fill or empty neighbouring slots. Hook context.
 * @return How many were done, or a negative errno. */
int uring_update(const uring_table_t *table, uint32_t slot, const struct iovec *iov, const uint64_t *tags,
                 uint32_t n);

/** Empty n slots (any number) and give them back. Hook context. @retval OPAL_SUCCESS / OPAL_ERROR */
int uring_empty_slots(uring_table_t *table, uint32_t slot, uint32_t n);

/** Unmap and close all rings that are ours. */
void uring_close_tables(uring_provider_t *provider);

/* ---- uring.c ------------------------------------------------------------------------------------ */

/** A provider without a table yet. NULL: no memory. */
uring_provider_t *uring_new_provider(void);

/** Was the ring made by this process? Hook context. */
bool uring_is_ours(const uring_provider_t *provider);

/** A program that closes every descriptor, or puts another file in our place. @return OPAL_ERR_UNREACH */
int uring_descriptor_lost(uring_provider_t *provider, const uring_table_t *table);

#endif
