/* SPDX-License-Identifier: BSD-3-Clause */
/* mremap: which pages it takes away and gives (mm/mremap.c), and how it is made. In one file, so that a call that only
 * changes a length runs little code: behind a system call each line of it comes from a slow cache. Hook context. */
#include <errno.h>
#include <sys/mman.h>

#include "components/linux/linux_ranges.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* mremap(from, old_length, new_length, flags, to), lengths rounded. */
typedef struct remap_t {
    uintptr_t from, old_length, new_length, to;
    unsigned long flags;
} remap_t;

/* page: the unit of the mapping's lengths. */
static inline remap_t read_remap(const long args[6], uintptr_t page)
{
    return (remap_t){ .from = linux_untag(args[0]),
                      .old_length = linux_round_up((uintptr_t) args[1], page),
                      .new_length = linux_round_up((uintptr_t) args[2], page),
                      .to = (uintptr_t) args[4],
                      .flags = (unsigned long) args[3] };
}

/* ---- What goes ----------------------------------------------------------------------------------- */

static inline bool has_place(const remap_t *remap)
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
    if ((remap->flags & MREMAP_MAYMOVE) == 0 || !linux_is_aligned(remap->to)) {
        return true;
    }
    if ((remap->flags & MREMAP_DONTUNMAP) != 0 && remap->old_length != remap->new_length) {
        return true;
    }
    return !linux_is_user_range(remap->to, remap->new_length) || overlaps_itself(remap);
}

/* Calls without a place. */
static inline bool is_resize_refused(const remap_t *remap)
{
    return (remap->flags & ~(unsigned long) MREMAP_MAYMOVE) != 0 || !linux_is_aligned(remap->from)
           || remap->new_length == 0;
}

static bool is_move_refused(const remap_t *remap)
{
    remap_t resize = *remap;

    resize.flags &= ~(unsigned long) (MREMAP_FIXED | MREMAP_DONTUNMAP);
    return is_resize_refused(&resize) || is_place_refused(remap);
}

/* The destination goes even when the source turns out to be bad: it is unmapped first. */
static __attribute__((noinline)) size_t ranges_of_move(const remap_t *remap, opal_mem_hooks_range_t out[])
{
    size_t count;

    if (is_move_refused(remap)) {
        return 0;
    }
    count = linux_add_range(out, 0, remap->from, remap->old_length);
    if ((remap->flags & MREMAP_FIXED) != 0) {
        count = linux_add_range(out, count, remap->to, remap->new_length);
    }
    return count;
}

static inline size_t ranges_of(const remap_t *remap, opal_mem_hooks_range_t out[])
{
    if (has_place(remap)) {
        return ranges_of_move(remap, out);
    }
    if (is_resize_refused(remap) || remap->old_length <= remap->new_length) {
        return 0;
    }
    return linux_add_range(out, 0, remap->from + remap->new_length, remap->old_length - remap->new_length);
}

static inline bool may_move(const remap_t *remap)
{
    return (remap->flags & MREMAP_MAYMOVE) != 0 && !has_place(remap) && remap->old_length != 0
           && remap->new_length > remap->old_length;
}

size_t linux_ranges_mremap(const long args[6], opal_mem_hooks_range_t out[])
{
    const remap_t remap = read_remap(args, LINUX_PAGE);

    return ranges_of(&remap, out);
}

bool linux_mremap_may_move(const long args[6])
{
    const remap_t remap = read_remap(args, LINUX_PAGE);

    return may_move(&remap);
}

size_t linux_ranges_mremap_whole(const long args[6], opal_mem_hooks_range_t out[])
{
    const remap_t remap = read_remap(args, LINUX_PAGE);

    return is_resize_refused(&remap) ? 0 : linux_add_range(out, 0, remap.from, remap.old_length);
}

size_t linux_gain_mremap(const long args[6], long result, opal_mem_hooks_range_t *out)
{
    const remap_t remap = read_remap(args, LINUX_PAGE);
    const uintptr_t place = (uintptr_t) result;

    if (has_place(&remap) || remap.old_length == 0 || place != remap.from) {
        return linux_add_range(out, 0, place, remap.new_length);
    }
    if (remap.new_length <= remap.old_length) {
        return 0;
    }
    return linux_add_range(out, 0, place + remap.old_length, remap.new_length - remap.old_length);
}

/* ---- The call ------------------------------------------------------------------------------------ */

/* Growth that may move. Nothing goes if it succeeds in place, so that is tried by itself; frame->kept are the flags as
 * they were. */
static linux_plan_t before_growth(linux_frame_t *frame)
{
    frame->kept = frame->args[3];
    frame->args[3] &= ~(long) MREMAP_MAYMOVE;
    frame->count = 0;
    return LINUX_PLAN_MAKE_THEN;
}

OPAL_MEM_HOOKS_PATH linux_plan_t linux_before_mremap(const linux_call_t *call, linux_frame_t *frame)
{
    const long *args = frame->args;
    remap_t remap = read_remap(args, LINUX_PAGE);

    frame->kept = 0;
    frame->lengths[0] = args[1];
    frame->lengths[1] = args[2];
    if (may_move(&remap)) {
        return before_growth(frame);
    }
    if (linux_may_be_huge(remap.from)) {
        remap = read_remap(args, linux_mapping_page(remap.from, (size_t) args[1], (size_t) args[2]));
        frame->lengths[0] = (long) remap.old_length;
        frame->lengths[1] = (long) remap.new_length;
    }
    frame->count = ranges_of(&remap, frame->ranges);
    return linux_open_window(call, frame);
}

/* After growth in place has failed, ENOMEM means that there is no room (or too little memory; the second try will tell).
 * The other errors here are the kernel's objections to the old range, to the flags and to locked memory, all raised
 * before it looks for room: the call as it was asked for would end the same way. */
static bool is_final(long result)
{
    return !linux_failed(result) || result == -EFAULT || result == -EINVAL || result == -EAGAIN
           || result == -EPERM;
}

static linux_plan_t finish(linux_frame_t *frame)
{
    const long *args = frame->args;
    const long seen[6] = { args[0], frame->lengths[0], frame->lengths[1], args[3], args[4], 0 };

    return linux_finish(frame, seen);
}

static __attribute__((noinline)) linux_plan_t after_growth(linux_frame_t *frame)
{
    frame->args[3] = frame->kept;
    frame->kept = 0;
    if (is_final(frame->result)) {
        return finish(frame);
    }
    frame->count = linux_ranges_mremap_whole(frame->args, frame->ranges);
    linux_open_window(frame->call, frame);
    return LINUX_PLAN_MAKE_THEN;
}

OPAL_MEM_HOOKS_PATH linux_plan_t linux_after_mremap(linux_frame_t *frame)
{
    return frame->kept != 0 ? after_growth(frame) : finish(frame);
}
