/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls by an instruction of our own: no hook hears of them, errno
 * stays as it is, nothing of libc is touched. For memory that no user knows,
 * and for hook context. */
#ifndef RCACHE_BASE_RCACHE_RAW_H
#define RCACHE_BASE_RCACHE_RAW_H

#include <sys/syscall.h>

/** @return What the kernel returned: a negative errno on failure. Hook context. */
long mca_rcache_raw(long nr, const long args[6]);

static inline long rcache_raw(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
    return mca_rcache_raw(nr, (const long[6]){ a0, a1, a2, a3, a4, a5 });
}

#endif
