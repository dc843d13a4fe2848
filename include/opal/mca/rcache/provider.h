/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * Registration providers that come with the library: how pages are pinned.
 *
 *   uring  io_uring registered buffers; needs no network card, any user may.
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

/** Open a provider.
 *
 * @param[in]  name      "uring" or "none".
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

/* ---- Provider uring ----------------------------------------------------------------------------
 *
 * It registers memory that is mapped writable, up to 1 GiB at once, as much as RLIMIT_MEMLOCK allows the user in all
 * (CAP_IPC_LOCK: any amount), and as many ranges as 256 rings of 16384 hold; each further ring takes a descriptor.
 * register_mem() returns
 *   OPAL_ERR_OUT_OF_RESOURCE      One of these limits: the cache evicts and tries again.
 *   OPAL_ERR_VALUE_OUT_OF_BOUNDS  More than 1 GiB. Register pieces: one transfer never crosses registrations.
 *   OPAL_ERR_BAD_PARAM            Part of the memory is not mapped.
 *   OPAL_ERR_PERM                 It is mapped, but not writable, or a mapped file that must not be pinned.
 *   OPAL_ERR_UNREACH              The program has closed the descriptor of the ring (there is one message), or a fork
 *                                 child could make none.
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

END_C_DECLS

#endif
