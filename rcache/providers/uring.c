/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider uring: memory is pinned by putting it into a slot of the table of an
 * io_uring, and unpinned by emptying the slot: one system call each, which
 * makes it fit for hooks. Transfers go through the same ring. */
#include "rcache/providers/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "framework/util/barrier.h"
#include "framework/util/fork.h"
#include "opal/mca/base/base.h"

static uring_provider_t *of(void *provider)
{
    return provider;
}

/* ---- Slots -------------------------------------------------------------------------------------- */

static int take_slot(uring_provider_t *provider)
{
    const uint32_t words = URING_SLOTS / 64;
    uint32_t start = atomic_load_explicit(&provider->next_word, memory_order_relaxed);
    for (uint32_t i = 0; i < words; i++) {
        uint32_t word = (start + i) % words;
        uint64_t used = atomic_load_explicit(&provider->used[word], memory_order_relaxed);
        while (used != UINT64_MAX) {
            int bit = __builtin_ctzll(~used);
            used = atomic_fetch_or(&provider->used[word], UINT64_C(1) << bit);
            if ((used & UINT64_C(1) << bit) == 0) {
                atomic_store_explicit(&provider->next_word, word, memory_order_relaxed);
                return (int) (word * 64) + bit;
            }
        }
    }
    return -1;
}

static void give_slot(uring_provider_t *provider, int slot)
{
    atomic_fetch_and(&provider->used[slot / 64], ~(UINT64_C(1) << (slot % 64)));
}

/* Hook context. 0 or a negative errno. The raw call: liburing's may one day do more than that. */
static int update_slot(const uring_provider_t *provider, int slot, void *base, size_t size)
{
    struct iovec iov = { base, size };
    struct io_uring_rsrc_update2 update = {
        .offset = (uint32_t) slot,
        .data = (uint64_t) (uintptr_t) &iov,
        .nr = 1,
    };
    long rc = syscall(__NR_io_uring_register, provider->ring.ring_fd, IORING_REGISTER_BUFFERS_UPDATE, &update,
                      sizeof(update));
    return rc == 1 ? 0 : rc < 0 ? -errno : -EIO;
}

/* ---- Registering -------------------------------------------------------------------------------- */

/* A program that closes every descriptor, or puts another file in our place. */
static int descriptor_lost(uring_provider_t *provider)
{
    if (!atomic_exchange(&provider->lost, true)) {
        mca_base_log(MCA_BASE_LOG_WARN,
                     "the io_uring descriptor %d was closed or replaced by this program: nothing is "
                     "registered any more",
                     provider->ring.ring_fd);
    }
    return OPAL_ERR_UNREACH;
}

static int code_of(uring_provider_t *provider, int error)
{
    switch (error) {
    case 0: return OPAL_SUCCESS;
    case -ENOMEM:
    case -EAGAIN: return OPAL_ERR_OUT_OF_RESOURCE;
    case -EFAULT:
    case -EINVAL: return OPAL_ERR_BAD_PARAM; /* Not mapped, or read-only. */
    case -EBADF:
    case -EOPNOTSUPP:
    case -ENXIO: return descriptor_lost(provider);
    default: return OPAL_ERROR;
    }
}

/* Was the ring made by this process? */
static bool is_ours(const uring_provider_t *provider)
{
    return atomic_load_explicit(&provider->made_for, memory_order_acquire) == 2 * opal_fork_generation() + 1;
}

/* The inherited ring is the parent's: it is left alone, its descriptor closes with exec or exit. */
static int after_fork(void *reg_data)
{
    uring_provider_t *provider = of(reg_data);
    uint64_t making = 2 * opal_fork_generation(), made = making + 1;
    uint64_t state = atomic_load(&provider->made_for);
    unsigned steps = 0;
    int rc = OPAL_SUCCESS;
    while (state != made) { /* Several caches may share the ring: the first one makes it. */
        if (state != making && atomic_compare_exchange_strong(&provider->made_for, &state, making)) {
            pthread_mutex_init(&provider->submit_lock, NULL);
            atomic_fetch_add(&provider->generation,
                             1); /* Even if there will be no ring: the old one is not ours. */
            rc = uring_setup(provider);
            atomic_store(&provider->lost, rc != OPAL_SUCCESS);
            atomic_store(&provider->made_for, made);
        } else {
            wait_step(&steps);
        }
        state = atomic_load(&provider->made_for);
    }
    return rc;
}

static int register_mem(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    uring_provider_t *provider = of(reg_data);
    mca_rcache_uring_registration_t *own = (mca_rcache_uring_registration_t *) reg;
    if (size > URING_MAX_BUFFER) {
        return OPAL_ERR_VALUE_OUT_OF_BOUNDS;
    }
    if (!is_ours(provider)) {
        after_fork(provider); /* A cache that was made in the child does not call it. */
    }
    if (atomic_load_explicit(&provider->lost, memory_order_relaxed)) {
        return OPAL_ERR_UNREACH;
    }
    int slot = take_slot(provider);
    if (slot < 0) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    int rc = update_slot(provider, slot, base, size);
    if (rc != 0) {
        give_slot(provider, slot);
        return code_of(provider, rc);
    }
    own->buf_index = slot;
    own->generation = atomic_load_explicit(&provider->generation, memory_order_relaxed);
    return OPAL_SUCCESS;
}

/* Hook context. */
static int deregister_mem(void *reg_data, mca_rcache_base_registration_t *reg)
{
    uring_provider_t *provider = of(reg_data);
    const mca_rcache_uring_registration_t *own = (const mca_rcache_uring_registration_t *) reg;
    if (!is_ours(provider)
        || own->generation != atomic_load_explicit(&provider->generation, memory_order_relaxed)) {
        return OPAL_SUCCESS; /* Of the parent's ring. */
    }
    int saved_errno = errno;
    int rc = update_slot(provider, own->buf_index, NULL, 0);
    errno = saved_errno;
    give_slot(provider, own->buf_index);
    return rc == 0 ? OPAL_SUCCESS : OPAL_ERROR;
}

static void resources(mca_rcache_provider_t *provider, mca_rcache_base_resources_t *resources)
{
    (void) provider;
    resources->sizeof_reg = sizeof(mca_rcache_uring_registration_t);
    resources->register_mem = register_mem;
    resources->deregister_mem = deregister_mem;
    resources->after_fork = after_fork;
    resources->flags = MCA_RCACHE_RESOURCES_HOOK_SAFE;
}

/* ---- Transfers ---------------------------------------------------------------------------------- */

/* The kernel did not take the entry: take it back, or the next transfer would submit it too. */
static void withdraw_entry(uring_provider_t *provider, int error)
{
    struct io_uring_sq *queue = &provider->ring.sq;
    unsigned head = io_uring_smp_load_acquire(queue->khead);
    queue->sqe_head = queue->sqe_tail = head;
    io_uring_smp_store_release(queue->ktail, head);
    if (error == -EBADF || error == -EOPNOTSUPP || error == -ENXIO) {
        descriptor_lost(provider);
    }
}

/* The kernel submits before it waits: an interrupted call has submitted. */
static int submit_and_wait(uring_provider_t *provider)
{
    struct io_uring_cqe *cqe;
    int rc = io_uring_submit_and_wait(&provider->ring, 1);
    if (rc < 0 && rc != -EINTR) {
        withdraw_entry(provider, rc);
        return rc;
    }
    do {
        rc = io_uring_wait_cqe(&provider->ring, &cqe);
    } while (rc == -EINTR);
    if (rc == 0) {
        rc = cqe->res;
        io_uring_cqe_seen(&provider->ring, cqe);
    }
    return rc;
}

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

static ssize_t transfer(mca_rcache_provider_t *base_provider, prepare_fn_t prepare, int fd,
                        const mca_rcache_uring_registration_t *reg, void *addr, size_t length, uint64_t offset)
{
    uring_provider_t *provider = of(base_provider);
    if (base_provider->ops != &mca_rcache_provider_uring) {
        return -EINVAL;
    }
    if (!is_ours(provider)
        || reg->generation != atomic_load_explicit(&provider->generation, memory_order_relaxed)) {
        return -EPERM;
    }
    if (atomic_load_explicit(&provider->lost, memory_order_relaxed)) {
        return -EBADF;
    }
    pthread_mutex_lock(&provider->submit_lock);
    /* One transfer at a time: the queue is empty, unless an earlier wait failed. */
    struct io_uring_sqe *sqe = io_uring_get_sqe(&provider->ring);
    int rc = -EBUSY;
    if (sqe != NULL) {
        prepare(sqe, fd, addr, (unsigned) (length < URING_MAX_BUFFER ? length : URING_MAX_BUFFER), offset,
                reg->buf_index);
        rc = submit_and_wait(provider);
    }
    pthread_mutex_unlock(&provider->submit_lock);
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

/* ---- Life --------------------------------------------------------------------------------------- */

static int open_uring(mca_rcache_provider_t **out)
{
    uring_provider_t *provider = calloc(1, sizeof(*provider));
    if (provider == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    provider->super.ops = &mca_rcache_provider_uring;
    pthread_mutex_init(&provider->submit_lock, NULL);
    atomic_init(&provider->made_for, 2 * opal_fork_generation() + 1);
    int rc = uring_setup(provider);
    if (rc != OPAL_SUCCESS) {
        free(provider);
        return rc;
    }
    *out = &provider->super;
    return OPAL_SUCCESS;
}

static void close_uring(mca_rcache_provider_t *base_provider)
{
    uring_provider_t *provider = of(base_provider);
    if (!atomic_load(&provider->lost)) {
        io_uring_queue_exit(&provider->ring);
    }
    pthread_mutex_destroy(&provider->submit_lock);
    free(provider);
}

const mca_rcache_provider_ops_t mca_rcache_provider_uring = {
    .name = "uring",
    .open = open_uring,
    .close = close_uring,
    .resources = resources,
};
