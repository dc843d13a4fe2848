/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes for test_linux_paths.c: each is one way to lose memory, or a call that
 * looks like one. A scene says what will be released, then does it between
 * watch() and unwatch(). It runs with the component and without.
 *
 * Calls go to libc's own functions, found by name in its handle: sanitizers
 * put theirs before them. */
#ifndef TEST_LINUX_PATHS_H
#define TEST_LINUX_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "opal/opalmem.h"
#include "opal/memoryhooks/memory_internal.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define FILL 'x'

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/** libc's functions. */
typedef struct libc_t {
    void *(*mmap)(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
    int (*munmap)(void *addr, size_t length);
    void *(*mremap)(void *addr, size_t old_length, size_t new_length, int flags, ...);
    int (*madvise)(void *addr, size_t length, int advice);
    int (*posix_madvise)(void *addr, size_t length, int advice);
    int (*brk)(void *addr);
    void *(*sbrk)(intptr_t increment);
    void *(*shmat)(int id, const void *addr, int flags);
    int (*shmdt)(const void *addr);
    int (*remap_file_pages)(void *addr, size_t size, int prot, size_t page, int flags);
    int (*ftruncate)(int fd, off_t length);
    int (*truncate)(const char *path, off_t length);
    int (*fallocate)(int fd, int mode, off_t offset, off_t length);
    int (*open)(const char *path, int flags, ...);
    int (*openat)(int dir, const char *path, int flags, ...);
    int (*creat)(const char *path, mode_t mode);
    int (*ioctl)(int fd, unsigned long request, ...);
    ssize_t (*process_madvise)(int pidfd, const struct iovec *vector, size_t count, int advice, unsigned flags);
} libc_t;

extern libc_t libc;

/** One way; the array of a file ends with name NULL. */
typedef struct scene_t {
    const char *name;
    void (*play)(void);
    const char *site; /**< The call that releases, where the component still runs without that one; else NULL. */
} scene_t;

extern const scene_t scenes_system[], scenes_malloc[], scenes_quiet[], scenes_files[], scenes_files_quiet[];

/** The next release will be of exactly this. */
void expect(const void *start, size_t length, opal_mem_hooks_cause_t cause);

/** The releases together will cover this; there may be others. */
void expect_cover(const void *start, size_t length);

/** Record releases from now on; until unwatch(). All bytes released hold FILL, if is_filled. */
void watch(bool is_filled);
void unwatch(void);

/** This machine cannot play the scene. Returns: the scene must end. */
void cannot_play(const char *why);

/** Anonymous memory of `pages` pages, filled; never at the start of a huge page. */
char *map_filled(size_t pages);
/** The same, without content. */
char *map_pages(size_t pages);
/** A file of that size without a name, filled. @return its descriptor */
int make_file(size_t pages);

#endif
