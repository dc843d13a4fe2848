/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of rows: docs/release-paths.md says more about each. A row is promised
 * by a mechanism that has all of its bits; a row without bits is promised by none. */
#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory.h"
#include "tools/coverage/coverage.h"
#include "tools/coverage/scenes.h"

#define MUNMAP OPAL_MEMORY_MUNMAP_SUPPORT
#define FREE OPAL_MEMORY_FREE_SUPPORT
#define LIBC OPAL_MEMORY_SEES_LIBC
#define DISCARD (LIBC | OPAL_MEMORY_SEES_DISCARD)
#define SHM (LIBC | OPAL_MEMORY_SEES_SHM)
#define RAW OPAL_MEMORY_SEES_RAW
#define RAW_DISCARD (RAW | OPAL_MEMORY_SEES_DISCARD)
#define ON_FILE OPAL_MEMORY_SEES_FILE

/* R: of the reference set. X: beyond it. */
#define R true
#define X false

/* clang-format off: a table */
const coverage_row_t coverage_rows[] = {
    { "munmap", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_munmap },
    { "munmap-middle", "middle", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_munmap_middle },
    { "munmap-span", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_munmap_span },
    { "munmap-unaligned-len", "both pages", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_munmap_unaligned },
    { "munmap-file", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_munmap_file },
    { "munmap-thread", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_munmap_thread },
    { "munmap-stress", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_munmap_stress },
    { "munmap-signal", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_munmap_signal },
    { "munmap-early-pointer", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_munmap_early_pointer },
    { "munmap-einval", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_munmap_einval },
    { "munmap-other", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_munmap_other },
    { "mseal-munmap", "all", COVERAGE_CONTROL, X, 0, 0, 0, scene_mseal_munmap },
    { "mmap-fixed", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_mmap_fixed },
    { "mmap-fixed-middle", "middle", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_mmap_fixed_middle },
    { "mmap-fixed-file", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_mmap_fixed_file },
    { "mmap-fixed-none", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_mmap_fixed_none },
    { "mmap64-fixed", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_mmap64_fixed },
    { "mmap-noreplace", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_mmap_noreplace },
    { "mmap-hint", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_mmap_hint },
    { "mmap-fixed-ebadf", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_mmap_fixed_ebadf },
    { "mremap-shrink", "tail", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_mremap_shrink },
    { "mremap-shrink", "kept part", COVERAGE_CONTROL, R, 1, 0, 0, scene_mremap_shrink },
    { "mremap-move", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_mremap_move },
    { "mremap-fixed", "source", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_mremap_fixed },
    { "mremap-fixed", "destination", COVERAGE_RELEASE, R, 1, MUNMAP, LIBC, scene_mremap_fixed },
    { "mremap-dontunmap", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_mremap_dontunmap },
    { "mremap-multi", "all", COVERAGE_RELEASE, X, 0, MUNMAP, LIBC, scene_mremap_multi },
    { "mremap-grow", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_mremap_grow },
    { "mremap-dup", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_mremap_dup },
    { "mremap-enomem", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_mremap_enomem },
    { "madv-dontneed", "all", COVERAGE_RELEASE, R, 0, MUNMAP, DISCARD, scene_madv_dontneed },
    { "madv-dontneed-unaligned", "both pages", COVERAGE_RELEASE, R, 0, MUNMAP, DISCARD,
      scene_madv_dontneed_unaligned },
    { "madv-free", "all", COVERAGE_LATENT, R, 0, MUNMAP, DISCARD, scene_madv_free },
    { "madv-remove", "all", COVERAGE_RELEASE, R, 0, MUNMAP, DISCARD, scene_madv_remove },
    { "madv-remove-alias", "other mapping", COVERAGE_RELEASE, X, 0, MUNMAP, ON_FILE, scene_madv_remove_alias },
    { "madv-dontneed-locked", "all", COVERAGE_RELEASE, R, 0, MUNMAP, DISCARD, scene_madv_dontneed_locked },
    { "madv-guard-install", "all", COVERAGE_RELEASE, R, 0, MUNMAP, DISCARD, scene_madv_guard_install },
    { "process-madvise", "all", COVERAGE_RELEASE, R, 0, MUNMAP, DISCARD, scene_process_madvise },
    { "process-madvise-self", "all", COVERAGE_RELEASE, X, 0, MUNMAP, DISCARD, scene_process_madvise_self },
    { "madv-collapse", "all", COVERAGE_INFO, R, 0, 0, 0, scene_madv_collapse },
    { "madv-pageout", "all", COVERAGE_INFO, R, 0, 0, 0, scene_madv_pageout },
    { "posix-madvise", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_posix_madvise },
    { "madv-cold", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_madv_cold },
    { "madv-willneed", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_madv_willneed },
    { "shmdt", "all", COVERAGE_RELEASE, R, 0, MUNMAP, SHM, scene_shmdt },
    { "shm-munmap", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_shm_munmap },
    { "shmat-remap", "all", COVERAGE_RELEASE, R, 0, MUNMAP, SHM, scene_shmat_remap },
    { "sbrk-negative", "all", COVERAGE_RELEASE, R, 0, FREE, LIBC, scene_sbrk_negative },
    { "brk-lower", "all", COVERAGE_RELEASE, R, 0, FREE, LIBC, scene_brk_lower },
    { "syscall-munmap", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_syscall_munmap },
    { "syscall-madvise", "all", COVERAGE_RELEASE, R, 0, MUNMAP, DISCARD, scene_syscall_madvise },
    { "raw-munmap", "all", COVERAGE_RELEASE, R, 0, MUNMAP, RAW, scene_raw_munmap },
    { "raw-madvise", "all", COVERAGE_RELEASE, R, 0, MUNMAP, RAW_DISCARD, scene_raw_madvise },
    { "raw-munmap-adjacent", "all", COVERAGE_RELEASE, X, 0, MUNMAP, RAW, scene_raw_munmap_adjacent },
    { "raw-madvise-adjacent", "all", COVERAGE_RELEASE, X, 0, MUNMAP, RAW_DISCARD, scene_raw_madvise_adjacent },
    { "uring-madvise", "all", COVERAGE_RELEASE, R, 0, MUNMAP, RAW_DISCARD, scene_uring_madvise },
    { "uring-ftruncate", "all", COVERAGE_RELEASE, X, 0, MUNMAP, RAW | ON_FILE, scene_uring_ftruncate },
    { "uffd-move", "all", COVERAGE_RELEASE, R, 0, MUNMAP, RAW_DISCARD, scene_uffd_move },
    { "dlopen-munmap", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_dlopen_munmap },
    { "dlopen-deepbind", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_dlopen_deepbind },
    { "dlmopen-munmap", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_dlmopen_munmap },
    { "dlclose", "library data", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_dlclose },
    { "stack-munmap", "stack pages", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_stack_munmap },
    { "stack-dontneed", "stack pages", COVERAGE_RELEASE, R, 0, MUNMAP, DISCARD, scene_stack_dontneed },
    { "stack-cache", "thread data", COVERAGE_RELEASE, X, 0, MUNMAP, LIBC, scene_stack_cache },
    { "free-big", "payload", COVERAGE_RELEASE, R, 0, FREE, LIBC, scene_free_big },
    { "free-purge", "payload", COVERAGE_RELEASE, R, 0, FREE, LIBC, scene_free_purge },
    { "free-heap-top", "upper part", COVERAGE_RELEASE, R, 0, FREE, LIBC, scene_free_heap_top },
    { "malloc-trim", "inner pages", COVERAGE_RELEASE, R, 0, FREE, LIBC, scene_malloc_trim },
    { "realloc-shrink", "cut-off tail", COVERAGE_RELEASE, R, 0, FREE, LIBC, scene_realloc_shrink },
    { "realloc-move", "payload", COVERAGE_RELEASE, R, 0, FREE, LIBC, scene_realloc_move },
    { "arena-free", "arena pages", COVERAGE_RELEASE, R, 0, FREE, LIBC, scene_arena_free },
    { "ftruncate", "all", COVERAGE_RELEASE, R, 0, MUNMAP, ON_FILE, scene_ftruncate },
    { "ftruncate-private", "all", COVERAGE_RELEASE, X, 0, MUNMAP, ON_FILE, scene_ftruncate_private },
    { "truncate", "all", COVERAGE_RELEASE, X, 0, MUNMAP, ON_FILE, scene_truncate },
    { "open-trunc", "all", COVERAGE_RELEASE, X, 0, MUNMAP, ON_FILE, scene_open_trunc },
    { "creat", "all", COVERAGE_RELEASE, X, 0, MUNMAP, ON_FILE, scene_creat },
    { "spawn-trunc", "all", COVERAGE_RELEASE, X, 0, MUNMAP, ON_FILE, scene_spawn_trunc },
    { "punch-hole", "all", COVERAGE_RELEASE, R, 0, MUNMAP, ON_FILE, scene_punch_hole },
    { "fallocate-zero", "all", COVERAGE_RELEASE, X, 0, MUNMAP, ON_FILE, scene_fallocate_zero },
    { "fallocate-collapse", "from the hole on", COVERAGE_RELEASE, X, 0, MUNMAP, ON_FILE,
      scene_fallocate_collapse },
    { "direct-write", "all", COVERAGE_RELEASE, X, 0, 0, 0, scene_direct_write },
    { "file-elsewhere", "all", COVERAGE_RELEASE, X, 0, 0, 0, scene_file_elsewhere },
    { "posix-fallocate", "all", COVERAGE_CONTROL, X, 0, 0, 0, scene_posix_fallocate },
    { "fadvise-dontneed", "all", COVERAGE_CONTROL, X, 0, 0, 0, scene_fadvise_dontneed },
    { "remap-file-pages", "first half", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_remap_file_pages },
    { "fork-child-munmap", "all", COVERAGE_RELEASE, R, 0, MUNMAP, LIBC, scene_fork_child_munmap },
    { "vfork-child-munmap", "all", COVERAGE_RELEASE, X, 0, MUNMAP, LIBC, scene_vfork_child_munmap },
    { "fork-parent-cow", "all", COVERAGE_INFO, R, 0, 0, 0, scene_fork_parent_cow },
    { "mprotect-none", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_mprotect_none },
    { "mlock-cycle", "all", COVERAGE_CONTROL, R, 0, 0, 0, scene_mlock_cycle },
    { NULL, NULL, COVERAGE_INFO, X, 0, 0, 0, NULL },
};
/* clang-format on */

const char *coverage_kind_name(coverage_kind_t kind)
{
    switch (kind) {
    case COVERAGE_RELEASE: return "release";
    case COVERAGE_CONTROL: return "control";
    case COVERAGE_LATENT: return "latent";
    case COVERAGE_INFO: break;
    }
    return "info";
}
