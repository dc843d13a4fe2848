/* SPDX-License-Identifier: BSD-3-Clause */
/* RLIMIT_MEMLOCK, as far as a process can know whether it binds it: see rcache_limits.h. Its job is not the cgroup
 * (rcache_limits_cgroup.c). Not from hook context. */
#include <linux/capability.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rcache/base/rcache_limits.h"

/* In a user namespace the kernel may know better; then its refusal counts. */
static bool may_lock_everything(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

    return syscall(SYS_capget, &header, data) == 0
           && (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

size_t mca_rcache_limits_memlock(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > SIZE_MAX
        || may_lock_everything()) {
        return 0;
    }
    return limit.rlim_cur != 0 ? (size_t) limit.rlim_cur : 1; /* 1: nothing at all. */
}
