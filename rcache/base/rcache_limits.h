/* SPDX-License-Identifier: BSD-3-Clause */
/* Bounds on what all caches of the process hold together. Caches ask here for room before they register, and say when a
 * registration has gone; what is to be done when there is no room is theirs to decide.
 *
 * Accounts, by what sets the bound:
 *   ALL      rcache_base_process_max_count and _max_bytes: every cache.
 *   CGROUP   half of what the memory cgroup allows: pinned pages cannot be reclaimed, and where nothing else
 *            can be, the kernel kills. Caches whose provider pins pages.
 *   USER     RLIMIT_MEMLOCK, as the kernel counts it for a user (io_uring).
 *   PROCESS  RLIMIT_MEMLOCK, as the kernel counts it for a process (RDMA).
 * Others may use up the last three, too: the provider's own refusal stays the last word. What these bounds save is having
 * pages pinned only to be refused, and they share room among caches. */
#ifndef RCACHE_BASE_RCACHE_LIMITS_H
#define RCACHE_BASE_RCACHE_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Which accounts a cache draws on: bits. 0: no bound was set, and none of these functions needs to be called. */
enum {
    MCA_RCACHE_LIMIT_ALL = 1,
    MCA_RCACHE_LIMIT_CGROUP = 2,
    MCA_RCACHE_LIMIT_USER = 4,
    MCA_RCACHE_LIMIT_PROCESS = 8,
};

/** Variables of the base; copied. Once in a round of init and finalize.
 * @param[in] max_count,max_bytes  0: no bound. @param[in] use_system  Heed RLIMIT_MEMLOCK and the cgroup? */
void mca_rcache_limits_open(size_t max_count, size_t max_bytes, bool use_system);

/** Accounts of a new cache; the limits of the system are read anew.
 * @param[in] resource_flags  MCA_RCACHE_RESOURCES_*. Thread-safe. Not from hook context. */
uint32_t mca_rcache_limits_join(uint32_t resource_flags);

/** Take room for one registration. Never more than the bounds, and never refused where there is room, whatever other
 * threads do at the same time. Takes a lock that is held for a few instructions only, and never by hooks.
 * @return false: one of the accounts has no room; nothing was taken. */
bool mca_rcache_limits_reserve(uint32_t accounts, size_t bytes);

/** Give room back. Hook context. */
void mca_rcache_limits_release(uint32_t accounts, size_t count, size_t bytes);

/** Is there room now? Thread-safe. */
bool mca_rcache_limits_fit(uint32_t accounts, size_t bytes);

/** Would there be room, if nothing else was registered? Thread-safe. */
bool mca_rcache_limits_allow(uint32_t accounts, size_t bytes);

/** In a fork child: nothing is registered. Hook context. */
void mca_rcache_limits_reset_child(void);

/* ---- rcache_limits_system.c, rcache_limits_cgroup.c ---------------------------------------------------- */

/** RLIMIT_MEMLOCK of this process. @return 0: no limit, also for who has CAP_IPC_LOCK. */
size_t mca_rcache_limits_memlock(void);

/** The least limit of memory from this process's cgroup up to the root, or as far up as is mounted: memory.max (version 2),
 * memory.limit_in_bytes (version 1).
 * @param[in] membership  "/proc/self/cgroup". @param[in] mountinfo  "/proc/self/mountinfo".
 * @return 0: no limit, or none that can be read. Not from hook context: it allocates. */
size_t mca_rcache_limits_cgroup(const char *membership, const char *mountinfo);

#endif
