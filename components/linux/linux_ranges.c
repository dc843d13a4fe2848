/* SPDX-License-Identifier: BSD-3-Clause */
/* Which pages a system call takes away and gives, told from its arguments as
 * the kernel reads them (mm/mmap.c, mm/mremap.c, mm/madvise.c, ipc/shm.c).
 * Calls that the kernel refuses for a reason seen here have no range. Pure
 * functions: no system call, no state but linux_facts. Hook context. */
#include "components/linux/linux.h"

#include <sys/mman.h>
#include <sys/shm.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* Advice that older libc headers do not name. */
enum { ADVICE_DONTNEED_LOCKED = 24, ADVICE_SOFT_OFFLINE = 101, ADVICE_GUARD_INSTALL = 102 };

static bool is_aligned(uintptr_t address)
{
    return (address & (LINUX_PAGE - 1)) == 0;
}

/* length, rounded to pages, may have become 0 by wrapping. */
static bool is_user_range(uintptr_t start, uintptr_t length)
{
    return length != 0 && start <= linux_facts.address_end && length <= linux_facts.address_end - start;
}

static size_t add_range(opal_mem_hooks_range_t *out, size_t count, uintptr_t start, uintptr_t length)
{
    if (!is_user_range(start, length)) {
        return count;
    }
    out[count].start = start;
    out[count].length = length;
    return count + 1;
}

static size_t add_rest(opal_mem_hooks_range_t *out, uintptr_t start)
{
    return start < linux_facts.address_end ? add_range(out, 0, start, linux_facts.address_end - start) : 0;
}

/* Few taken branches: behind a system call they are badly predicted. */
OPAL_MEM_HOOKS_PATH size_t linux_ranges_munmap(const long args[6], opal_mem_hooks_range_t out[])
{
    const uintptr_t start = linux_untag(args[0]);
    const uintptr_t length = linux_round_up((uintptr_t) args[1], LINUX_PAGE);
    const uintptr_t end = start + length;

    out[0].start = start;
    out[0].length = length;
    return (size_t) is_aligned(start) & (size_t) (end > start) & (size_t) (end <= linux_facts.address_end);
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
    if (!is_aligned(start) || !is_aligned((uintptr_t) args[5])) {
        return 0;
    }
    return add_range(out, 0, start, mmap_length(args));
}

size_t linux_gain_mmap(const long args[6], long result, opal_mem_hooks_range_t *out)
{
    return add_range(out, 0, (uintptr_t) result, mmap_length(args));
}

/* mremap(from, old_length, new_length, flags, to), lengths rounded. */
typedef struct remap_t {
    uintptr_t from, old_length, new_length, to;
    unsigned long flags;
} remap_t;

static remap_t read_remap(const long args[6])
{
    return (remap_t){ .from = linux_untag(args[0]),
                      .old_length = linux_round_up((uintptr_t) args[1], LINUX_PAGE),
                      .new_length = linux_round_up((uintptr_t) args[2], LINUX_PAGE),
                      .to = (uintptr_t) args[4],
                      .flags = (unsigned long) args[3] };
}

static bool has_place(const remap_t *remap)
{
    return (remap->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0;
}

static bool overlaps_itself(const remap_t *remap)
{
    return remap->from + remap->old_length > remap->to && remap->to + remap->new_length > remap->from;
}

/* For calls with MREMAP_FIXED or MREMAP_DONTUNMAP; the kernel looks at `to` for both. */
static bool is_place_refused(const remap_t *remap)
{
    if ((remap->flags & MREMAP_MAYMOVE) == 0 || !is_aligned(remap->to)) {
        return true;
    }
    if ((remap->flags & MREMAP_DONTUNMAP) != 0 && remap->old_length != remap->new_length) {
        return true;
    }
    return !is_user_range(remap->to, remap->new_length) || overlaps_itself(remap);
}

static bool is_remap_refused(const remap_t *remap)
{
    if ((remap->flags & ~(unsigned long) (MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
        return true;
    }
    if (!is_aligned(remap->from) || remap->new_length == 0) {
        return true;
    }
    return has_place(remap) && is_place_refused(remap);
}

/* The destination goes even when the source turns out to be bad: it is unmapped first. */
static size_t ranges_with_place(const remap_t *remap, opal_mem_hooks_range_t out[])
{
    size_t count = add_range(out, 0, remap->from, remap->old_length);

    if ((remap->flags & MREMAP_FIXED) != 0) {
        count = add_range(out, count, remap->to, remap->new_length);
    }
    return count;
}

size_t linux_ranges_mremap(const long args[6], opal_mem_hooks_range_t out[])
{
    const remap_t remap = read_remap(args);

    if (is_remap_refused(&remap)) {
        return 0;
    }
    if (has_place(&remap)) {
        return ranges_with_place(&remap, out);
    }
    if (remap.old_length <= remap.new_length) {
        return 0;
    }
    return add_range(out, 0, remap.from + remap.new_length, remap.old_length - remap.new_length);
}

bool linux_mremap_may_move(const long args[6])
{
    const remap_t remap = read_remap(args);

    return (remap.flags & MREMAP_MAYMOVE) != 0 && !has_place(&remap) && remap.old_length != 0
           && remap.new_length > remap.old_length;
}

size_t linux_ranges_mremap_whole(const long args[6], opal_mem_hooks_range_t out[])
{
    const remap_t remap = read_remap(args);

    return is_remap_refused(&remap) ? 0 : add_range(out, 0, remap.from, remap.old_length);
}

size_t linux_gain_mremap(const long args[6], long result, opal_mem_hooks_range_t *out)
{
    const remap_t remap = read_remap(args);
    const uintptr_t place = (uintptr_t) result;

    if (has_place(&remap) || remap.old_length == 0 || place != remap.from) {
        return add_range(out, 0, place, remap.new_length);
    }
    if (remap.new_length <= remap.old_length) {
        return 0;
    }
    return add_range(out, 0, place + remap.old_length, remap.new_length - remap.old_length);
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
    if (((unsigned) is_aligned(start) & (unsigned) (end > start) & (unsigned) (end <= linux_facts.address_end))
        != 0) {
        out[0].start = start;
        out[0].length = length;
        return 1;
    }
    return is_aligned(start) && end > start ? add_rest(out, start) : 0;
}

/* This call rounds both of its arguments down. */
size_t linux_ranges_remap_file_pages(const long args[6], opal_mem_hooks_range_t out[])
{
    const uintptr_t start = linux_round_down((uintptr_t) args[0], LINUX_PAGE);

    if (args[2] != 0) {
        return 0;
    }
    return add_range(out, 0, start, linux_round_down((uintptr_t) args[1], LINUX_PAGE));
}

/* Below the start of the heap the kernel refuses. A break that is there already has another start: an emulator's,
 * or one that was set by prctl. */
static bool is_break_refused(uintptr_t wanted, uintptr_t present)
{
    return wanted < linux_facts.heap_start && present >= linux_facts.heap_start;
}

size_t linux_ranges_brk(uintptr_t wanted, uintptr_t present, opal_mem_hooks_range_t out[])
{
    const uintptr_t first = linux_round_up(wanted, LINUX_PAGE);
    const uintptr_t end = linux_round_up(present, LINUX_PAGE);

    if (is_break_refused(wanted, present) || wanted >= present || first >= end) {
        return 0;
    }
    return add_range(out, 0, first, end - first);
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
    return size == SIZE_MAX ? add_rest(out, start) : add_range(out, 0, start, linux_round_up(size, LINUX_PAGE));
}
