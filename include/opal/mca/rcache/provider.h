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
    uint32_t generation; /**< Of the ring; a fork child has another one. */
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

/** Write from registered memory into a descriptor. Provider uring only.
 *
 * @param[in] reg     Registration that covers [addr, addr + length).
 * @param[in] offset  In the file; like pwrite.
 * @return Bytes moved (may be short), or a negative errno.
 * Thread-safe; waits for the transfer. A fork child gets -EPERM until the provider has been used there anew.
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
