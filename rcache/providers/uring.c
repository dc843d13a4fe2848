/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider uring: memory is pinned by putting it into a slot of the table of an
 * io_uring, and unpinned by emptying the slot: one system call each, which
 * makes it fit for hooks. Slots are uring_table.c's, transfers uring_transfer.c's. */
#include "rcache/providers/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "framework/util/barrier.h"
#include "framework/util/fork.h"
#include "opal/mca/base/base.h"

static uring_provider_t *of(void *provider)
{
    return provider;
}

/* ---- What the kernel refuses -------------------------------------------------------------------- */

int uring_descriptor_lost(uring_provider_t *provider, const uring_table_t *table)
{
    if (!atomic_exchange(&provider->lost, true)) {
        mca_rcache_base_void(provider);
        mca_base_log(MCA_BASE_LOG_WARN,
                     "the io_uring descriptor %d was closed or replaced by this program%s: nothing is "
                     "registered any more",
                     table->fd, provider->adopted ? ", or its buffer table was" : "");
    }
    return OPAL_ERR_UNREACH;
}

static bool is_mapped(const char *base, size_t size)
{
    unsigned char pages[4096]; /* One for each page of at least 4 KiB. */
    const size_t step = sizeof(pages) * 4096;
    for (size_t done = 0; done < size; done += step) {
        if (mincore((void *) (uintptr_t) (base + done), size - done < step ? size - done : step, pages) != 0) {
            return false;
        }
    }
    return true;
}

/* The kernel has one error for both; who caches another program's buffers has to tell them apart. */
static int memory_refused(void *base, size_t size)
{
    if (!is_mapped(base, size)) {
        return OPAL_ERR_BAD_PARAM;
    }
    mca_base_log(MCA_BASE_LOG_INFO,
                 "memory at %p, %zu bytes, cannot be registered with io_uring: it is not writable, or belongs to "
                 "a file that does not allow it",
                 base, size);
    return OPAL_ERR_PERM;
}

/* Older kernels refuse mapped files with the error that they have for descriptors that are no ring: emptying the
 * slot, which is empty, tells which of the two it was. */
static int code_of(uring_provider_t *provider, uring_table_t *table, uint32_t slot, const struct iovec *iov,
                   int error)
{
    static const struct iovec nothing;
    if (error == -ENOMEM || error == -EAGAIN || error == -EINTR) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    if (uring_update(table, slot, &nothing, NULL, 1) != 1) {
        return uring_descriptor_lost(provider, table);
    }
    return error == -EFAULT || error == -EOPNOTSUPP ? memory_refused(iov->iov_base, iov->iov_len) : OPAL_ERROR;
}

/* ---- Fork --------------------------------------------------------------------------------------- */

bool uring_is_ours(const uring_provider_t *provider)
{
    return atomic_load_explicit(&provider->made_for, memory_order_acquire) == 2 * opal_fork_generation() + 1;
}

static int no_ring_to_adopt(void)
{
    mca_base_log(MCA_BASE_LOG_WARN, "a fork child does not use the io_uring that its parent gave to the provider "
                                    "uring: it has to adopt one of its own");
    return OPAL_ERR_NOT_AVAILABLE;
}

/* One thread is in here. The inherited rings are the parent's: they are left alone, their descriptors close with exec
 * or exit. Even if there will be no ring, registrations of the old one are not ours. */
static int begin_child(uring_provider_t *provider)
{
    pthread_mutex_init(&provider->grow_lock, NULL);
    atomic_store(&provider->count, 0);
    atomic_fetch_add(&provider->generation, 1);
    int rc = provider->adopted ? no_ring_to_adopt() : uring_first_table(provider);
    atomic_store(&provider->lost, rc != OPAL_SUCCESS);
    return rc;
}

static int after_fork(void *reg_data)
{
    uring_provider_t *provider = of(reg_data);
    uint64_t making = 2 * opal_fork_generation(), made = making + 1;
    uint64_t state = atomic_load(&provider->made_for);
    unsigned steps = 0;
    int rc = OPAL_SUCCESS;
    while (state != made) { /* Several caches may share the ring: the first one makes it. */
        if (state != making && atomic_compare_exchange_strong(&provider->made_for, &state, making)) {
            rc = begin_child(provider);
            atomic_store(&provider->made_for, made);
        } else {
            wait_step(&steps);
        }
        state = atomic_load(&provider->made_for);
    }
    return rc;
}

/* ---- Registering -------------------------------------------------------------------------------- */

static mca_rcache_uring_registration_t *own_part(mca_rcache_base_registration_t *reg)
{
    return (mca_rcache_uring_registration_t *) reg;
}

static int fill_slot(uring_provider_t *provider, uint32_t number, uint32_t slot, void *base, size_t size)
{
    uring_table_t *table = uring_table(provider, number);
    struct iovec iov = { base, size };
    uint64_t tag = table->tags + slot;
    int rc = uring_update(table, slot, &iov, table->tags != 0 ? &tag : NULL, 1);
    if (rc == 1) {
        return OPAL_SUCCESS;
    }
    rc = code_of(provider, table, slot, &iov, rc);
    uring_give_slot(table, slot);
    return rc;
}

/* @retval OPAL_SUCCESS / OPAL_ERR_UNREACH / OPAL_ERR_VALUE_OUT_OF_BOUNDS */
static int can_register(uring_provider_t *provider, size_t size)
{
    if (size > URING_MAX_BUFFER) {
        mca_base_log(MCA_BASE_LOG_INFO, "%zu bytes are more than the %zu that io_uring registers at once", size,
                     URING_MAX_BUFFER);
        return OPAL_ERR_VALUE_OUT_OF_BOUNDS;
    }
    if (!uring_is_ours(provider)) {
        after_fork(provider); /* A cache that was made in the child does not call it. */
    }
    return atomic_load_explicit(&provider->lost, memory_order_relaxed) ? OPAL_ERR_UNREACH : OPAL_SUCCESS;
}

static int register_mem(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    uring_provider_t *provider = of(reg_data);
    uint32_t number, slot;
    int rc = can_register(provider, size);
    if (rc == OPAL_SUCCESS && !uring_take_slot(provider, &number, &slot)) {
        rc = OPAL_ERR_OUT_OF_RESOURCE;
    }
    if (rc == OPAL_SUCCESS) {
        rc = fill_slot(provider, number, slot, base, size);
    }
    if (rc == OPAL_SUCCESS) {
        own_part(reg)->buf_index = (int32_t) slot;
        own_part(reg)->ring = number;
        own_part(reg)->generation = atomic_load_explicit(&provider->generation, memory_order_relaxed);
    }
    return rc;
}

/* Hook context. Once a descriptor was lost, all of them may lead to what is not ours: nothing is changed there any more. The
 * pages go with the mappings, when the provider is closed. */
static bool can_deregister(const uring_provider_t *provider)
{
    return uring_is_ours(provider) && !atomic_load_explicit(&provider->lost, memory_order_relaxed);
}

/* Hook context. Otherwise it is of the parent's ring. */
static bool is_live(const uring_provider_t *provider, const mca_rcache_uring_registration_t *own)
{
    return own->generation == atomic_load_explicit(&provider->generation, memory_order_relaxed);
}

/* Hook context. */
static int deregister_mem(void *reg_data, mca_rcache_base_registration_t *reg)
{
    uring_provider_t *provider = of(reg_data);
    const mca_rcache_uring_registration_t *own = own_part(reg);
    if (!can_deregister(provider) || !is_live(provider, own)) {
        return OPAL_SUCCESS;
    }
    int saved_errno = errno;
    int rc = uring_empty_slots(uring_table(provider, own->ring), (uint32_t) own->buf_index, 1);
    errno = saved_errno;
    return rc;
}

/* ---- Many at once ------------------------------------------------------------------------------- */

/* A slot with its table, so that neighbours differ by one. */
static uint32_t key_of(const mca_rcache_uring_registration_t *own)
{
    return own->ring * URING_SLOTS + (uint32_t) own->buf_index;
}

/* By insertion: a cache ends regions in the order of addresses, and slots were mostly taken in that order, too. */
static void insert_key(uint32_t *keys, uint32_t n, uint32_t key)
{
    while (n > 0 && keys[n - 1] > key) {
        keys[n] = keys[n - 1];
        n--;
    }
    keys[n] = key;
}

/* Sorted keys: one call for each run of neighbours. */
static int empty_runs(const uring_provider_t *provider, const uint32_t *keys, uint32_t n)
{
    int result = OPAL_SUCCESS;
    for (uint32_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1; end < n && keys[end] == keys[end - 1] + 1 && keys[end] % URING_SLOTS != 0; end++) {
        }
        uring_table_t *table = uring_table(provider, keys[begin] / URING_SLOTS);
        int rc = uring_empty_slots(table, keys[begin] % URING_SLOTS, end - begin);
        result = result == OPAL_SUCCESS ? rc : result;
    }
    return result;
}

/* Hook context. */
static int deregister_many(void *reg_data, mca_rcache_base_registration_t **regs, size_t n)
{
    uring_provider_t *provider = of(reg_data);
    uint32_t keys[URING_BATCH], count = 0;
    int saved_errno = errno, result = OPAL_SUCCESS;
    if (!can_deregister(provider)) {
        return OPAL_SUCCESS;
    }
    for (size_t i = 0; i < n; i++) {
        if (is_live(provider, own_part(regs[i]))) {
            insert_key(keys, count++, key_of(own_part(regs[i])));
        }
        if (count == URING_BATCH || i + 1 == n) {
            int rc = empty_runs(provider, keys, count);
            result = result == OPAL_SUCCESS ? rc : result;
            count = 0;
        }
    }
    errno = saved_errno;
    return result;
}

/* ---- Life --------------------------------------------------------------------------------------- */

static void resources(mca_rcache_provider_t *provider, mca_rcache_base_resources_t *resources)
{
    (void) provider;
    resources->sizeof_reg = sizeof(mca_rcache_uring_registration_t);
    resources->register_mem = register_mem;
    resources->deregister_mem = deregister_mem;
    resources->deregister_many = deregister_many;
    resources->after_fork = after_fork;
    resources->flags = MCA_RCACHE_RESOURCES_HOOK_SAFE | MCA_RCACHE_RESOURCES_MEMLOCK_USER;
}

uring_provider_t *uring_new_provider(void)
{
    uring_provider_t *provider = calloc(1, sizeof(*provider));
    if (provider != NULL) {
        opal_fork_prepare(); /* It may be forked from before opalmem_init(). */
        provider->super.ops = &mca_rcache_provider_uring;
        pthread_mutex_init(&provider->grow_lock, NULL);
        atomic_init(&provider->made_for, 2 * opal_fork_generation() + 1);
    }
    return provider;
}

static int open_uring(mca_rcache_provider_t **out)
{
    uring_provider_t *provider = uring_new_provider();
    if (provider == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    int rc = uring_first_table(provider);
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
    uring_close_tables(provider);
    pthread_mutex_destroy(&provider->grow_lock);
    free(provider);
}

const mca_rcache_provider_ops_t mca_rcache_provider_uring = {
    .name = "uring",
    .open = open_uring,
    .close = close_uring,
    .resources = resources,
};
