/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls of the component: all go through one pointer, which a test
 * replaces to make any of them fail. They return what the kernel returns
 * (-errno) and leave errno alone. */
#ifndef COMPONENTS_USERFAULTFD_USERFAULTFD_SYS_H
#define COMPONENTS_USERFAULTFD_USERFAULTFD_SYS_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

typedef long (*uffd_sys_fn_t)(long nr, const long args[6]);

/** The call in use: uffd_sys_real but in tests. Changed only while one thread runs. */
extern uffd_sys_fn_t uffd_sys_call;

/** The kernel. */
long uffd_sys_real(long nr, const long args[6]);

#define UFFD_SYS(nr, ...) uffd_sys_call((nr), (const long[6]){ __VA_ARGS__ })

static inline long uffd_sys_ioctl(int fd, unsigned long request, const void *argument)
{
    return UFFD_SYS(SYS_ioctl, fd, (long) request, (long) argument);
}

static inline long uffd_sys_open(const char *path)
{
    return UFFD_SYS(SYS_openat, AT_FDCWD, (long) path, O_RDONLY | O_CLOEXEC);
}

static inline long uffd_sys_read(int fd, void *buffer, size_t size)
{
    return UFFD_SYS(SYS_read, fd, (long) buffer, (long) size);
}

static inline void uffd_sys_close(int fd)
{
    UFFD_SYS(SYS_close, fd);
}

#endif
