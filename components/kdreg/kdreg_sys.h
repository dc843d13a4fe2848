/* SPDX-License-Identifier: BSD-3-Clause */
/* The system calls of the component, in a table that a test may replace by one
 * that plays the device. Each returns what the kernel returns: a result, or a
 * negative errno. None is called in hook context. */
#ifndef COMPONENTS_KDREG_KDREG_SYS_H
#define COMPONENTS_KDREG_KDREG_SYS_H

#include <poll.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

typedef struct kdreg_sys_t {
    int (*open)(const char *path, int flags);
    int (*close)(int fd);
    int (*dup_above)(int fd, int lowest); /**< A second descriptor, close-on-exec, not below `lowest`. */
    int (*ioctl)(int fd, unsigned request, void *arg);
    ssize_t (*read)(int fd, void *buffer, size_t size);
    int (*poll)(struct pollfd *fds, unsigned count, int timeout_ms);
    int (*fstat)(int fd, struct stat *status);
    /** Anonymous memory. @return MAP_FAILED on error. */
    void *(*map)(void *addr, size_t size, int protection, int flags);
    /** Move a mapping to where another one is, in one step. */
    int (*move)(void *from, size_t size, void *to);
    int (*unmap)(void *addr, size_t size);
    int (*advise)(void *addr, size_t size, int advice);
    int (*truncate)(int fd, off_t length); /**< ftruncate */
} kdreg_sys_t;

/** The kernel's own. */
extern const kdreg_sys_t kdreg_sys_real;

/** The table in use. Tests set it before opalmem_init(). */
extern const kdreg_sys_t *kdreg_sys;

#endif
