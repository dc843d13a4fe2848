/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits that the system sets on pinned memory, as far as a process can read them. Not from hook context. */
#include <fcntl.h>
#include <linux/capability.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* ---- The cgroup ----------------------------------------------------------------------------------- */

/* By system calls: who interposes libc's functions looks at what the program reads. @return false: it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
    const long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0) {
        return false;
    }
    const long got = syscall(SYS_read, (int) fd, text, size - 1);
    syscall(SYS_close, (int) fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* 0: none. */
static size_t max_in(const char *folder)
{
    char path[PATH_MAX], text[32];
    const int length = snprintf(path, sizeof(path), "%s/memory.max", folder);

    if (length < 0 || (size_t) length >= sizeof(path) || !read_text(path, text, sizeof(text))) {
        return 0; /* The root has none. */
    }
    char *end;
    const unsigned long long max = strtoull(text, &end, 10);
    return end != text && max < SIZE_MAX ? (max != 0 ? (size_t) max : 1) : 0; /* "max": no limit. */
}

static size_t least(size_t a, size_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The line "0::PATH" of /proc/self/cgroup. */
static char *v2_path(char *text)
{
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (strncmp(line, "0::/", 4) == 0) {
            return line + 3;
        }
    }
    return NULL;
}

size_t mca_rcache_limits_cgroup(const char *membership, const char *root)
{
    char text[PATH_MAX], folder[PATH_MAX];
    char *path = read_text(membership, text, sizeof(text)) ? v2_path(text) : NULL;
    size_t max = 0;

    if (path == NULL || strlen(root) + strlen(path) >= sizeof(folder)) {
        return 0;
    }
    const size_t root_length = strlen(root);
    memcpy(folder, root, root_length);
    memcpy(folder + root_length, path, strlen(path) + 1);
    for (size_t length = strlen(folder); length >= root_length; length--) {
        if (length == root_length || folder[length] == '/' || folder[length] == '\0') {
            folder[length] = '\0';
            max = least(max, max_in(folder));
        }
    }
    return max;
}
