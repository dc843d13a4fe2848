/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: each is one way to lose memory, or a call that looks like one. A scene
 * makes its pages, tells the range, and does it between coverage_begin() and
 * coverage_end(). It calls libc as any program does. */
#ifndef TOOLS_COVERAGE_SCENES_H
#define TOOLS_COVERAGE_SCENES_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "tools/coverage/coverage.h"

#define PAGE ((size_t) COVERAGE_PAGE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

/** The range that the row asks for, if target is its number; other ranges are passed over. */
void coverage_expect(unsigned target, const void *start, size_t length);

/** Note the pages, tell the monitor of them, and listen. */
void coverage_begin(void);

/** Stop to listen; on the thread, or in the process, that saw the end. */
void coverage_stop(void);

/** The same, and see which pages are gone. */
void coverage_end(void);

/** coverage_begin() in a fork child, whose pages are its own. */
void coverage_begin_in_child(void);

/** This process is another one, and what it hears is of no interest. */
void coverage_stop_in_child(void);

/** This machine cannot play the scene: the process ends. errno is told, if there is one. */
_Noreturn void coverage_not_possible(const char *why);

/** A call did what it must not: likewise. */
_Noreturn void coverage_fail(const char *what);

/** A call that must succeed. */
static inline void coverage_need(bool good, const char *what)
{
    if (!good) {
        coverage_fail(what);
    }
    errno = 0; /* What comes next shall not be explained by an old one. */
}

/** Anonymous pages with content, never at the start of a huge page; a hole on each side. */
char *scene_pages(size_t pages);

/** An open file of that many pages with content: in memory (memfd), or on a disk, if there is a writable folder
 * with a file system of its own kind. -1: there is none. */
int scene_memory_file(size_t pages);
int scene_disk_file(size_t pages, char *path, size_t size);

/** Pages of a file, mapped shared and touched. */
char *scene_map_file(int fd, size_t pages);

void scene_fill(char *start, size_t length);

/** A symbol of the file coverage_helper.so, which is loaded in one way or another. */
void *scene_helper_symbol(void *handle, const char *name);
void *scene_helper_load(int flags);

/** A flag for scene_helper_load(), beside those of dlopen(): by dlmopen(), with a second libc. */
#define SCENE_OWN_NAMESPACE 0x40000000

/** The scenes, as rows name them. */
#define SCENE(name) void scene_##name(void)
SCENE(munmap);
SCENE(munmap_middle);
SCENE(munmap_span);
SCENE(munmap_unaligned);
SCENE(munmap_file);
SCENE(munmap_thread);
SCENE(munmap_stress);
SCENE(munmap_signal);
SCENE(munmap_early_pointer);
SCENE(munmap_einval);
SCENE(munmap_other);
SCENE(mseal_munmap);
SCENE(mmap_fixed);
SCENE(mmap_fixed_middle);
SCENE(mmap_fixed_file);
SCENE(mmap_fixed_none);
SCENE(mmap64_fixed);
SCENE(mmap_noreplace);
SCENE(mmap_hint);
SCENE(mmap_fixed_ebadf);
SCENE(mremap_shrink);
SCENE(mremap_move);
SCENE(mremap_fixed);
SCENE(mremap_dontunmap);
SCENE(mremap_multi);
SCENE(mremap_grow);
SCENE(mremap_dup);
SCENE(mremap_enomem);
SCENE(madv_dontneed);
SCENE(madv_dontneed_unaligned);
SCENE(madv_free);
SCENE(madv_remove);
SCENE(madv_remove_alias);
SCENE(madv_dontneed_locked);
SCENE(madv_guard_install);
SCENE(process_madvise);
SCENE(process_madvise_self);
SCENE(madv_collapse);
SCENE(madv_pageout);
SCENE(posix_madvise);
SCENE(madv_cold);
SCENE(madv_willneed);
SCENE(mprotect_none);
SCENE(mlock_cycle);
SCENE(shmdt);
SCENE(shm_munmap);
SCENE(shmat_remap);
SCENE(sbrk_negative);
SCENE(brk_lower);
SCENE(syscall_munmap);
SCENE(syscall_madvise);
SCENE(raw_munmap);
SCENE(raw_madvise);
SCENE(raw_munmap_adjacent);
SCENE(raw_madvise_adjacent);
SCENE(uring_madvise);
SCENE(uring_ftruncate);
SCENE(uffd_move);
SCENE(dlopen_munmap);
SCENE(dlopen_deepbind);
SCENE(dlmopen_munmap);
SCENE(dlclose);
SCENE(stack_munmap);
SCENE(stack_dontneed);
SCENE(stack_cache);
SCENE(free_big);
SCENE(free_purge);
SCENE(free_heap_top);
SCENE(malloc_trim);
SCENE(realloc_shrink);
SCENE(realloc_move);
SCENE(arena_free);
SCENE(ftruncate);
SCENE(ftruncate_private);
SCENE(truncate);
SCENE(open_trunc);
SCENE(creat);
SCENE(spawn_trunc);
SCENE(punch_hole);
SCENE(fallocate_zero);
SCENE(fallocate_collapse);
SCENE(posix_fallocate);
SCENE(fadvise_dontneed);
SCENE(direct_write);
SCENE(file_elsewhere);
SCENE(remap_file_pages);
SCENE(fork_child_munmap);
SCENE(vfork_child_munmap);
SCENE(fork_parent_cow);
#undef SCENE

#endif
