/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider of ring_provider.h. Each slot of the ring's buffer table holds
 * one registration; filling a slot pins, emptying it unpins. */
#include "ring_provider.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SLOTS 4096

/* Whose ring it is: in a page that the kernel fills with zeroes in a fork child, but not in a vfork child. */
enum { INHERITED, MAKING, OURS };

struct ring_provider_t {
    atomic_int *state; /* The page. */
    int fd;
    _Atomic uint32_t generation;
    _Atomic uint64_t used[SLOTS / 64]; /* A set bit is a slot in use. No lock: deregistration runs in hooks. */
};

static int make_ring(void)
{
    struct io_uring_params params = { .flags = 0 };
    struct io_uring_rsrc_register table = { .nr = SLOTS, .flags = IORING_RSRC_REGISTER_SPARSE };
    int fd = (int) syscall(SYS_io_uring_setup, 1, &params);
    if (fd >= 0 && syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS2, &table, sizeof(table)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* 0 or a negative errno. */
static int update_slot(const ring_provider_t *provider, uint32_t slot, void *base, size_t size)
{
    struct iovec iov = { base, size };
    struct io_uring_rsrc_update2 update = { .offset = slot, .data = (uintptr_t) &iov, .nr = 1 };
    long rc =
        syscall(SYS_io_uring_register, provider->fd, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update));
    return rc == 1 ? 0 : -errno;
}

/* At open, and again in a fork child: the inherited ring is the parent's, and is not touched. Several threads may come;
 * one makes the ring. No mutex: a child that is forked meanwhile would find it locked for ever. */
static int after_fork(void *reg_data)
{
    ring_provider_t *provider = reg_data;
    int state = INHERITED;
    if (atomic_compare_exchange_strong(provider->state, &state, MAKING)) {
        memset(provider->used, 0, sizeof(provider->used));
        provider->generation++;
        provider->fd = make_ring();
        atomic_store(provider->state, OURS);
    }
    while (atomic_load(provider->state) != OURS) {
        sched_yield();
    }
    return provider->fd >= 0 ? OPAL_SUCCESS : OPAL_ERR_NOT_AVAILABLE;
}

static int take_slot(ring_provider_t *provider)
{
    for (int i = 0; i < SLOTS; i++) {
        uint64_t bit = UINT64_C(1) << i % 64;
        if ((provider->used[i / 64] & bit) == 0 && (atomic_fetch_or(&provider->used[i / 64], bit) & bit) == 0) {
            return i;
        }
    }
    return -1;
}

static void give_slot(ring_provider_t *provider, uint32_t slot)
{
    atomic_fetch_and(&provider->used[slot / 64], ~(UINT64_C(1) << slot % 64));
}

static int register_mem(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    ring_provider_t *provider = reg_data;
    ring_registration_t *own = (ring_registration_t *) reg;
    /* A cache that was made in the child has not called after_fork. */
    int rc = after_fork(provider), slot = rc == OPAL_SUCCESS ? take_slot(provider) : -1;
    if (slot < 0) {
        return rc != OPAL_SUCCESS ? rc : OPAL_ERR_OUT_OF_RESOURCE; /* Full: the cache evicts, and tries again. */
    }
    rc = update_slot(provider, (uint32_t) slot, base, size);
    if (rc != 0) {
        give_slot(provider, (uint32_t) slot);
        return rc == -ENOMEM ? OPAL_ERR_OUT_OF_RESOURCE : rc == -EFAULT ? OPAL_ERR_BAD_PARAM : OPAL_ERROR;
    }
    own->slot = (uint32_t) slot;
    own->generation = provider->generation;
    return OPAL_SUCCESS;
}

/* May run inside munmap() and free(): a system call, one atomic operation, and errno as it was. */
static int deregister_mem(void *reg_data, mca_rcache_base_registration_t *reg)
{
    ring_provider_t *provider = reg_data;
    const ring_registration_t *own = (const ring_registration_t *) reg;
    if (atomic_load(provider->state) != OURS || own->generation != provider->generation) {
        return OPAL_SUCCESS; /* The parent's. */
    }
    int saved_errno = errno;
    int rc = update_slot(provider, own->slot, NULL, 0);
    errno = saved_errno;
    give_slot(provider, own->slot);
    return rc == 0 ? OPAL_SUCCESS : OPAL_ERROR;
}

int ring_provider_open(ring_provider_t **out, mca_rcache_base_resources_t *resources)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    ring_provider_t *provider = calloc(1, sizeof(*provider));
    void *state = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = provider == NULL || state == MAP_FAILED ? OPAL_ERR_OUT_OF_RESOURCE : OPAL_SUCCESS;
    if (rc == OPAL_SUCCESS) {
        provider->state = state;
        rc = madvise(state, page, MADV_WIPEONFORK) != 0 ? OPAL_ERR_NOT_AVAILABLE : after_fork(provider);
    }
    if (rc != OPAL_SUCCESS) {
        munmap(state, page);
        free(provider);
        return rc;
    }
    resources->cache_name = "ring";
    resources->reg_data = provider;
    resources->sizeof_reg = sizeof(ring_registration_t);
    resources->register_mem = register_mem;
    resources->deregister_mem = deregister_mem;
    resources->after_fork = after_fork;
    /* io_uring counts what is registered against RLIMIT_MEMLOCK of the user. */
    resources->flags = MCA_RCACHE_RESOURCES_HOOK_SAFE | MCA_RCACHE_RESOURCES_MEMLOCK_USER;
    *out = provider;
    return OPAL_SUCCESS;
}

void ring_provider_close(ring_provider_t *provider)
{
    close(provider->fd); /* In a child, its own copy of the descriptor. */
    munmap(provider->state, (size_t) sysconf(_SC_PAGESIZE));
    free(provider);
}
