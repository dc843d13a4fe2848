/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls of the component "ummunotify": all go through one table, which
 * a test replaces by something that behaves as the driver does. Every function
 * returns what the kernel returns: -errno for an error. None is called from
 * hook context. */
#ifndef COMPONENTS_UMMUNOTIFY_UMMUNOTIFY_SYS_H
#define COMPONENTS_UMMUNOTIFY_UMMUNOTIFY_SYS_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/** Ways to lose pages, which the self-test tries. */
typedef enum ummunotify_kind_t {
    UMMUNOTIFY_UNMAP,
    UMMUNOTIFY_MAP_OVER, /**< mmap with MAP_FIXED. */
    UMMUNOTIFY_DISCARD,  /**< madvise with MADV_DONTNEED. */
    UMMUNOTIFY_MOVE,     /**< mremap to another place. */
    UMMUNOTIFY_TRUNCATE, /**< ftruncate of the file that is mapped there. */
    UMMUNOTIFY_KINDS
} ummunotify_kind_t;

typedef struct ummunotify_release_t {
    ummunotify_kind_t kind;
    void *start; /**< Pages that go. */
    size_t length;
    void *target; /**< MOVE: mapped memory, which goes as well. */
    int fd;       /**< TRUNCATE: becomes empty; `start` is where its first page is mapped. */
} ummunotify_release_t;

typedef struct ummunotify_sys_t {
    int (*open)(const char *path); /**< For reading, not blocking, closed by exec. */
    int (*close)(int fd);
    int (*duplicate)(int fd, int lowest); /**< Closed by exec, too; the number is `lowest` or above. */
    int (*identify)(int fd, struct stat *file);
    int (*ioctl)(int fd, unsigned long request, void *argument);
    ssize_t (*read)(int fd, void *buffer, size_t size);
    /** Put a page at `at`, over what is there: the device's first one, read-only, or of fd -1 an empty one. */
    int (*map)(int fd, void *at, size_t size);
    /** Return when all calls that were changing this address space have returned. */
    int (*settle)(void *page, size_t size);
    int (*release)(const ummunotify_release_t *release);
} ummunotify_sys_t;

/** The table in use: ummunotify_sys_real but in tests. Changed only before the library starts. */
extern const ummunotify_sys_t *ummunotify_sys;

/** The kernel. */
extern const ummunotify_sys_t ummunotify_sys_real;

#endif
