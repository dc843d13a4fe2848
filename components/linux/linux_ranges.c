/* SPDX-License-Identifier: BSD-3-Clause */
/* Which pages a system call takes away and gives, told from its arguments as
 * the kernel reads them (mm/mmap.c, mm/madvise.c, ipc/shm.c; mremap is in linux_mremap.c).
 * Calls that the kernel refuses for a reason seen here have no range. Pure
 * functions: no system call, no state but linux_facts. Hook context. */
#include "components/linux/linux_ranges.h"

#include <sys/mman.h>
#include <sys/shm.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Advice that older libc headers do not name. */
enum { ADVICE_DONTNEED_LOCKED = 24, ADVICE_SOFT_OFFLINE = 101, ADVICE_GUARD_INSTALL = 102 };

static size_t add_rest(opal_mem_hooks_range_t *out, uintptr_t start)
{
    return start < linux_facts.address_end ? linux_add_range(out, 0, start, linux_facts.address_end - start) : 0;
}

/* Few taken branches: behind a system call they are badly predicted. */
OPAL_MEM_HOOKS_PATH size_t linux_ranges_munmap(const long args[6], opal_mem_hooks_range_t out[])
{
    const uintptr_t start = linux_untag(args[0]);
    const uintptr_t length = linux_round_up((uintptr_t) args[1], LINUX_PAGE);
    const uintptr_t end = start + length;

    out[0].start = start;
    out[0].length = length;
    return (size_t) linux_is_aligned(start) & (size_t) (end > start) & (size_t) (end <= linux_facts.address_end);
}

size_t linux_mmap_page(unsigned long flags)
{
    const unsigned size_log = (unsigned) (flags >> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;

    if ((flags & MAP_HUGETLB) == 0) {
        return LINUX_PAGE;
    }
    return size_log == 0 ? linux_facts.huge_page : (size_t) 1 << size_log;
}

static uintptr_t mmap_length(const long args[6])
{
    return linux_round_up((uintptr_t) args[1], linux_mmap_page((unsigned long) args[3]));
}

OPAL_MEM_HOOKS_PATH size_t linux_ranges_mmap(const long args[6], opal_mem_hooks_range_t out[])
{
    const uintptr_t start = (uintptr_t) args[0];

    if ((args[3] & MAP_FIXED) == 0 || (args[3] & MAP_FIXED_NOREPLACE) != 0) {
        return 0;
    }
    if (!linux_is_aligned(start) || !linux_is_aligned((uintptr_t) args[5])) {
        return 0;
    }
    return linux_add_range(out, 0, start, mmap_length(args));
}

OPAL_MEM_HOOKS_PATH size_t linux_gain_mmap(const long args[6], long result, opal_mem_hooks_range_t *out)
{
    return linux_add_range(out, 0, (uintptr_t) result, mmap_length(args));
}

static bool is_discard(int advice)
{
    switch (advice) {
    case MADV_DONTNEED:
    case MADV_FREE:
    case MADV_REMOVE:
    case ADVICE_DONTNEED_LOCKED:
    case MADV_HWPOISON:
    case ADVICE_SOFT_OFFLINE:
    case ADVICE_GUARD_INSTALL: return true;
    default: return false;
    }
}

/* Unlike munmap, madvise works on what it finds up to the end of the address space, and then complains. */
OPAL_MEM_HOOKS_PATH size_t linux_ranges_madvise(const long args[6], opal_mem_hooks_range_t out[])
{
    const uintptr_t start = linux_untag(args[0]);
    const uintptr_t length = linux_round_up((uintptr_t) args[1], LINUX_PAGE);
    const uintptr_t end = start + length;

    if (!is_discard((int) args[2])) {
        return 0;
    }
    if (((unsigned) linux_is_aligned(start) & (unsigned) (end > start)
         & (unsigned) (end <= linux_facts.address_end))
        != 0) {
        out[0].start = start;
        out[0].length = length;
        return 1;
    }
    return linux_is_aligned(start) && end > start ? add_rest(out, start) : 0;
}

/* This call rounds both of its arguments down. */
size_t linux_ranges_remap_file_pages(const long args[6], opal_mem_hooks_range_t out[])
{
    const uintptr_t start = linux_round_down((uintptr_t) args[0], LINUX_PAGE);

    if (args[2] != 0) {
        return 0;
    }
    return linux_add_range(out, 0, start, linux_round_down((uintptr_t) args[1], LINUX_PAGE));
}

/* Below the start of the heap the kernel refuses. A break that is there already has another start: an emulator's,
 * or one that was set by prctl. */
static bool is_break_refused(uintptr_t wanted, uintptr_t present)
{
    return wanted < linux_facts.heap_start && present >= linux_facts.heap_start;
}

OPAL_MEM_HOOKS_PATH size_t linux_ranges_brk(uintptr_t wanted, uintptr_t present, opal_mem_hooks_range_t out[])
{
    const uintptr_t first = linux_round_up(wanted, LINUX_PAGE);
    const uintptr_t end = linux_round_up(present, LINUX_PAGE);

    if (is_break_refused(wanted, present) || wanted >= present || first >= end) {
        return 0;
    }
    return linux_add_range(out, 0, first, end - first);
}

size_t linux_ranges_shmat(const long args[6], size_t size, opal_mem_hooks_range_t out[])
{
    const uintptr_t asked = (uintptr_t) args[1];
    const uintptr_t start = linux_round_down(asked, LINUX_PAGE);

    if ((args[2] & SHM_REMAP) == 0 || start == 0) {
        return 0;
    }
    if (start != asked && (args[2] & SHM_RND) == 0) {
        return 0;
    }
    return size == SIZE_MAX ? add_rest(out, start)
                            : linux_add_range(out, 0, start, linux_round_up(size, LINUX_PAGE));
}
