/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider uring: transfers from and to registered memory, through the ring
 * that has the registration.
 *
 * A ring's lock is not held while a transfer is waited for: another thread may
 * have to do the transfer that this one waits for (the two ends of a pipe). Of
 * the waiting threads one, the leader, waits in the kernel; it alone takes
 * completions then, or it would wait for one that another has taken. When it
 * comes back it takes them for all, wakes the others, and they choose anew. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rcache/providers/uring.h"

/* On the stack of its thread, which stays until it is done or the table broken. Under the table's lock. */
typedef struct request_t {
    bool done;
    int result;
} request_t;

/* ---- Completions; all under the lock ------------------------------------------------------------ */

static void take_completions(uring_table_t *table)
{
    struct io_uring_cqe *cqe;
    while (!table->broken && io_uring_peek_cqe(&table->ring, &cqe) == 0 && cqe != NULL) {
        request_t *request = io_uring_cqe_get_data(cqe);
        request->result = cqe->res;
        request->done = true;
        io_uring_cqe_seen(&table->ring, cqe);
    }
}

static void sleep_until_change(uring_table_t *table)
{
    uint32_t seen = atomic_load(&table->changes);
    table->sleepers++;
    pthread_mutex_unlock(&table->lock);
    syscall(SYS_futex, &table->changes, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    pthread_mutex_lock(&table->lock);
    table->sleepers--;
}

static void wake_sleepers(uring_table_t *table)
{
    atomic_fetch_add(&table->changes, 1);
    if (table->sleepers > 0) {
        syscall(SYS_futex, &table->changes, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}

/* @return 0 or a negative errno, after which the ring is of no use. */
static int lead(uring_provider_t *provider, uring_table_t *table)
{
    table->leader = true;
    pthread_mutex_unlock(&table->lock);
    long rc = syscall(__NR_io_uring_enter, table->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    int error = rc < 0 && errno != EINTR ? -errno : 0;
    pthread_mutex_lock(&table->lock);
    table->leader = false;
    if (error != 0) {
        table->broken = true;
        uring_descriptor_lost(provider, table);
    }
    take_completions(table);
    wake_sleepers(table);
    return error;
}

/* @return The result of the transfer, or a negative errno. */
static int wait_for(uring_provider_t *provider, uring_table_t *table, const request_t *request)
{
    int rc = 0;
    if (!table->leader) {
        take_completions(table);
    }
    while (!request->done && rc == 0) {
        if (table->broken) {
            rc = -EBADF;
        } else if (table->leader) {
            sleep_until_change(table);
        } else {
            rc = lead(provider, table);
        }
    }
    return request->done ? request->result : rc;
}

/* ---- Submission --------------------------------------------------------------------------------- */

typedef void (*prepare_fn_t)(struct io_uring_sqe *sqe, int fd, void *buf, unsigned length, uint64_t offset,
                             int index);

static void prepare_write(struct io_uring_sqe *sqe, int fd, void *buf, unsigned length, uint64_t offset, int index)
{
    io_uring_prep_write_fixed(sqe, fd, buf, length, offset, index);
}

static void prepare_read(struct io_uring_sqe *sqe, int fd, void *buf, unsigned length, uint64_t offset, int index)
{
    io_uring_prep_read_fixed(sqe, fd, buf, length, offset, index);
}

/* The kernel did not take the entry: take it back, or the next transfer would submit it too. */
static int withdraw_entry(uring_provider_t *provider, uring_table_t *table, int error)
{
    struct io_uring_sq *queue = &table->ring.sq;
    unsigned head = io_uring_smp_load_acquire(queue->khead);
    queue->sqe_head = queue->sqe_tail = head;
    io_uring_smp_store_release(queue->ktail, head);
    if (error == -EBADF || error == -EOPNOTSUPP || error == -ENXIO) {
        uring_descriptor_lost(provider, table);
    }
    return error;
}

/* Under the lock; the queue is empty, since each entry is submitted at once. 0 or a negative errno. */
static int submit(uring_provider_t *provider, uring_table_t *table)
{
    int rc = io_uring_submit(&table->ring);
    return rc == 1 ? 0 : withdraw_entry(provider, table, rc < 0 ? rc : -EAGAIN);
}

/* 0 or a negative errno. */
static int can_transfer(const mca_rcache_provider_t *base, const uring_provider_t *provider,
                        const mca_rcache_uring_registration_t *reg)
{
    if (base->ops != &mca_rcache_provider_uring) {
        return -EINVAL;
    }
    if (provider->adopted) {
        return -EOPNOTSUPP;
    }
    if (!uring_is_ours(provider)
        || reg->generation != atomic_load_explicit(&provider->generation, memory_order_relaxed)) {
        return -EPERM;
    }
    return atomic_load_explicit(&provider->lost, memory_order_relaxed) ? -EBADF : 0;
}

static ssize_t transfer(mca_rcache_provider_t *base, prepare_fn_t prepare, int fd,
                        const mca_rcache_uring_registration_t *reg, void *addr, size_t length, uint64_t offset)
{
    uring_provider_t *provider = (uring_provider_t *) base;
    request_t request = { false, 0 };
    int rc = can_transfer(base, provider, reg);
    if (rc != 0) {
        return rc;
    }
    uring_table_t *table = uring_table(provider, reg->ring);
    pthread_mutex_lock(&table->lock);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&table->ring);
    rc = -EBUSY;
    if (sqe != NULL) {
        prepare(sqe, fd, addr, (unsigned) (length < URING_MAX_BUFFER ? length : URING_MAX_BUFFER), offset,
                reg->buf_index);
        io_uring_sqe_set_data(sqe, &request);
        rc = submit(provider, table);
    }
    if (rc == 0) {
        rc = wait_for(provider, table, &request);
    }
    pthread_mutex_unlock(&table->lock);
    return rc;
}

ssize_t mca_rcache_uring_write(mca_rcache_provider_t *provider, int fd, const mca_rcache_uring_registration_t *reg,
                               const void *addr, size_t length, uint64_t offset)
{
    return transfer(provider, prepare_write, fd, reg, (void *) (uintptr_t) addr, length, offset);
}

ssize_t mca_rcache_uring_read(mca_rcache_provider_t *provider, int fd, const mca_rcache_uring_registration_t *reg,
                              void *addr, size_t length, uint64_t offset)
{
    return transfer(provider, prepare_read, fd, reg, addr, length, offset);
}
