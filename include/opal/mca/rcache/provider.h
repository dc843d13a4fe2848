/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * Registration providers that come with the library: how pages are pinned.
 *
 *   uring  io_uring registered buffers; needs no network card, any user may.
 *   verbs  memory regions of an RDMA device, through libibverbs.
 *   none   registers nothing; for tests, and for measuring a cache itself.
 */
#ifndef OPAL_MCA_RCACHE_PROVIDER_H
#define OPAL_MCA_RCACHE_PROVIDER_H

#include <sys/types.h>

#include "opal/mca/rcache/rcache.h"

BEGIN_C_DECLS

/** An open provider; opaque. */
typedef struct mca_rcache_provider_t mca_rcache_provider_t;

/** Registration of the provider uring. */
typedef struct mca_rcache_uring_registration_t {
    mca_rcache_base_registration_t super;
    int32_t buf_index;   /**< Slot for IORING_OP_READ_FIXED and WRITE_FIXED. */
    uint32_t generation; /**< Of the rings; a fork child has others. */
    uint32_t ring;       /**< Which of the provider's rings the slot is in; 0 in one that was adopted. */
} mca_rcache_uring_registration_t;

/* Of <infiniband/verbs.h>, which only programs that use verbs need. */
struct ibv_async_event;
struct ibv_mr;
struct ibv_pd;

/** Registration of the provider verbs. */
typedef struct mca_rcache_verbs_registration_t {
    mca_rcache_base_registration_t super;
    struct ibv_mr *mr;   /**< The provider's: not to be deregistered or changed by others. */
    uint32_t lkey, rkey; /**< Those of mr, for work requests and for the peer. */
    uint64_t generation; /**< Of the process that made it; in a fork child it is dead. */
} mca_rcache_verbs_registration_t;

/** Open a provider.
 *
 * @param[in]  name      "uring", "verbs" or "none".
 * @param[out] provider  The caller's until mca_rcache_provider_close(). Untouched on error.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_NOT_FOUND        No such provider in this build; the message lists those there are.
 * @retval OPAL_ERR_NOT_AVAILABLE    It cannot work here; the message says which setting forbids it.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory, or no descriptor.
 * Thread-safe.
 */
OPAL_DECLSPEC int mca_rcache_provider_open(const char *name, mca_rcache_provider_t **provider);

/** Close it; its caches must be destroyed before. NULL is allowed. */
OPAL_DECLSPEC void mca_rcache_provider_close(mca_rcache_provider_t *provider);

/** Resources for mca_rcache_base_module_create(); the caller may set limits and policy in them. */
OPAL_DECLSPEC void mca_rcache_provider_resources(mca_rcache_provider_t *provider,
                                                 mca_rcache_base_resources_t *resources);

/** For whoever writes a provider: nothing that was registered is good any more, because its device was lost.
 *
 * Every cache whose resources have this reg_data drops all registrations, as for a release of the whole address space: none
 * is found any more. Those in use go with their last reference; the rest with the next call of the cache, or with
 * mca_rcache_base_progress(). If the provider is HOOK_SAFE, they may be deregistered before this function returns.
 * Memory was not released, so no in-use policy applies. The caches go on, with what register_mem says from now on.
 *
 * @param[in] reg_data  As in the resources that the caches were made with; caches that were made with NULL are told together.
 * @return Number of caches that were told.
 *
 * The provider first notes the loss (with a store that register_mem reads atomically), so that register_mem fails, with
 * OPAL_ERR_UNREACH, and then calls this: no registration that was being made meanwhile stays in a cache.
 * Thread-safe, and waits for nobody. Any thread of the provider's own may call it, register_mem and deregister_mem too; not
 * from hook context, and holding no lock that deregister_mem takes. The library may be stopped.
 */
OPAL_DECLSPEC size_t mca_rcache_base_void(const void *reg_data);

/* ---- Provider uring ----------------------------------------------------------------------------
 *
 * It registers memory that is mapped writable, up to 1 GiB at once, as much as RLIMIT_MEMLOCK allows the user in all
 * (CAP_IPC_LOCK: any amount), and as many ranges as 256 rings of 16384 hold; each further ring takes a descriptor.
 * register_mem() returns
 *   OPAL_ERR_OUT_OF_RESOURCE      One of these limits: the cache evicts and tries again.
 *   OPAL_ERR_VALUE_OUT_OF_BOUNDS  More than 1 GiB. Register pieces: one transfer never crosses registrations.
 *   OPAL_ERR_BAD_PARAM            Part of the memory is not mapped.
 *   OPAL_ERR_PERM                 It is mapped, but not writable, or a mapped file that must not be pinned.
 *   OPAL_ERR_UNREACH              The program has closed the descriptor of the ring (there is one message, and caches
 *                                 drop what they have), or a fork child could make none.
 * On Linux before 6.3, pages stay pinned for up to a second after deregistration: nothing moves through them then.
 */

/** Open the provider uring on a ring of the application's.
 *
 * The application keeps the ring and does the transfers, with `buf_index` of the registrations; the provider never
 * looks at the ring's queues. mca_rcache_uring_write() and read() refuse with -EOPNOTSUPP.
 *
 * @param[in]  ring_fd   The ring; open until the provider is closed. With a buffer table
 *     (io_uring_register_buffers_sparse()), and without IORING_SETUP_SINGLE_ISSUER: releases come from every thread.
 * @param[in]  first, count  The provider's slots from now on, below 16384. They are emptied. When all are in use,
 *     registering is OPAL_ERR_OUT_OF_RESOURCE, and the cache evicts.
 * @param[in]  tags      If not 0: slot s carries the tag tags + s. When its pages are really given back, after the
 *     deregistration and the last transfer that uses them, the ring gets a completion with that user_data. They come
 *     also from releases inside munmap(): make the completion queue large enough.
 * @param[out] provider  The caller's until mca_rcache_provider_close(). Untouched on error.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_BAD_PARAM        No such ring, table or range, or a SINGLE_ISSUER ring; the message says which.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory.
 * A fork child has to adopt a ring of its own: there, registering is OPAL_ERR_UNREACH.
 * Thread-safe. Not from hook context.
 */
OPAL_DECLSPEC int mca_rcache_uring_adopt(int ring_fd, uint32_t first, uint32_t count, uint64_t tags,
                                         mca_rcache_provider_t **provider);

/** Write from registered memory into a descriptor.
 *
 * @param[in] reg     Registration that covers [addr, addr + length).
 * @param[in] offset  In the file; like pwrite.
 * @return Bytes moved (may be short), or a negative errno.
 * Thread-safe; waits for the transfer, and lets other threads transfer meanwhile. A fork child gets -EPERM until the
 * provider has been used there anew.
 */
OPAL_DECLSPEC ssize_t mca_rcache_uring_write(mca_rcache_provider_t *provider, int fd,
                                             const mca_rcache_uring_registration_t *reg, const void *addr,
                                             size_t length, uint64_t offset);

/** Read into registered memory; as mca_rcache_uring_write(). */
OPAL_DECLSPEC ssize_t mca_rcache_uring_read(mca_rcache_provider_t *provider, int fd,
                                            const mca_rcache_uring_registration_t *reg, void *addr, size_t length,
                                            uint64_t offset);

/* ---- verbs (docs/verbs.md) -----------------------------------------------------------------------
 *
 * mca_rcache_provider_open("verbs", ...) opens a device of its own: variables rcache_verbs_*. Functions below refuse a
 * provider of another kind. None is for hook context. */

/** Open a provider that registers in a protection domain of the program.
 *
 * @param[in]  pd        Made with the libibverbs that is loaded in this process; stays the caller's, and valid until
 *     the provider is closed. Not inherited from before a fork.
 * @param[out] provider  The caller's until mca_rcache_provider_close(). Untouched on error.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_BAD_PARAM        pd is NULL.
 * @retval OPAL_ERR_NOT_AVAILABLE    libibverbs cannot be loaded; after a message.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory.
 * In a fork child the provider registers nothing (OPAL_ERR_UNREACH): the domain is the parent's.
 * Thread-safe.
 */
OPAL_DECLSPEC int mca_rcache_verbs_open_pd(struct ibv_pd *pd, mca_rcache_provider_t **provider);

/** The protection domain in which memory is registered; pd->context is the device.
 *
 * Queue pairs that use the registrations are to be made in it, and be gone before the provider is closed: a domain in
 * use stays open, after a warning. In a fork child it is a new one, made now if need be.
 * @return The provider's (or the one given to mca_rcache_verbs_open_pd()). NULL: the device was lost, or the
 *     provider is of another kind.
 * Thread-safe. */
OPAL_DECLSPEC struct ibv_pd *mca_rcache_verbs_pd(mca_rcache_provider_t *provider);

/** Tell of an event that the program has read with ibv_get_async_event() from the domain's context.
 *
 * After IBV_EVENT_DEVICE_FATAL caches drop what they have, and nothing is registered any more (OPAL_ERR_UNREACH); others are
 * passed over. Without it the loss is noticed by the next registration that fails, and until then cached ones are found. The provider never reads events: those of the program's queue
 * pairs are among them.
 * @param[in] event  Not acknowledged here.
 * Thread-safe. */
OPAL_DECLSPEC void mca_rcache_verbs_async_event(mca_rcache_provider_t *provider,
                                                const struct ibv_async_event *event);

/** Register memory of another device (dmabuf); it is not cached, as no address of this process leads to it.
 *
 * @param[in]  fd      Descriptor of the dmabuf; may be closed afterwards.
 * @param[in]  offset  First byte in it.
 * @param[in]  length  Bytes; not 0.
 * @param[in]  iova    Address that work requests use for the first byte; its offset in a page must be that of `offset`.
 * @param[in]  access_flags  OR of MCA_RCACHE_ACCESS_*.
 * @param[out] reg     Keys; the caller's, and registered until mca_rcache_verbs_deregister_dmabuf(). Untouched on error.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_BAD_PARAM        No such descriptor, or a bad range or right.
 * @retval OPAL_ERR_NOT_SUPPORTED    libibverbs (before rdma-core 34), the kernel or the device has no dmabuf.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  A limit of the device or of lockable memory.
 * @retval OPAL_ERR_PERM             The descriptor does not allow it.
 * @retval OPAL_ERR_UNREACH          The device was lost.
 * Thread-safe. */
OPAL_DECLSPEC int mca_rcache_verbs_register_dmabuf(mca_rcache_provider_t *provider, int fd, uint64_t offset,
                                                   size_t length, uint64_t iova, int32_t access_flags,
                                                   mca_rcache_verbs_registration_t *reg);

/** Undo. In a fork child: nothing.
 * @retval OPAL_SUCCESS              Also if the device was lost.
 * @retval OPAL_ERR_RESOURCE_BUSY    A memory window is bound to it; it stays registered.
 * Other errors are those of registering. Thread-safe. */
OPAL_DECLSPEC int mca_rcache_verbs_deregister_dmabuf(mca_rcache_provider_t *provider,
                                                     mca_rcache_verbs_registration_t *reg);

END_C_DECLS

#endif
