/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that make a file lose pages, which may be mapped: truncate, ftruncate,
 * open with O_TRUNC, fallocate. Which part of the file goes is told here, by
 * the kernel's rules (mm/truncate.c, mm/shmem.c, fs/open.c, fs/ext4, fs/xfs,
 * fs/hugetlbfs); linux_loss.c finds the addresses and makes the call. Nothing
 * is asked for when nobody listens, and little when the file's size says that
 * nothing can go. Hook context. */
#include "components/linux/linux_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/vfs.h>

#include "components/linux/linux_sys.h"

#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES 0x80
#endif

/* ---- What they share ------------------------------------------------------------------------- */

static void note_error(linux_loss_t *loss, long error)
{
    loss->is_absent = error == -ENOENT;
    loss->is_all = !linux_is_refusal(error);
}

/* Everything from `length` on, where there is such. The last page of the file stays, if part of it does. */
static void lose_behind(linux_loss_t *loss, const struct stat *info, uint64_t length)
{
    linux_loss_set_file(loss, info);
    loss->from = linux_round_up(length, LINUX_PAGE);
    loss->to = S_ISREG(info->st_mode) && (uint64_t) info->st_size > loss->from ? UINT64_MAX : 0;
}

static bool is_writable(int fd)
{
    const long flags = LINUX_SYS(SYS_fcntl, fd, F_GETFL);

    return !linux_failed(flags) && ((flags & O_ACCMODE) == O_WRONLY || (flags & O_ACCMODE) == O_RDWR);
}

static bool has_seal(int fd, long seals)
{
    const long present = LINUX_SYS(SYS_fcntl, fd, F_GET_SEALS);

    return !linux_failed(present) && (present & seals) != 0;
}

static void set_nothing(linux_loss_t *loss)
{
    loss->to = 0;
}

/* ---- truncate and ftruncate ------------------------------------------------------------------ */

static long call_on_descriptor(const linux_call_t *call, const long args[6], const linux_loss_t *loss)
{
    return linux_loss_call(call, args, loss, &(linux_again_t){ .by = LINUX_AGAIN_SAME });
}

/* hugetlbfs wants whole huge pages; there they are the block size. */
static bool is_size_refused(int fd, const struct stat *info, uint64_t length)
{
    struct statfs fs;

    return length % (uint64_t) info->st_blksize != 0 && !linux_failed(LINUX_SYS(SYS_fstatfs, fd, (long) &fs))
           && fs.f_type == HUGETLBFS_MAGIC;
}

static void find_ftruncate(int fd, long length, linux_loss_t *loss)
{
    struct stat info;
    long error;

    if (length < 0 || !is_writable(fd)) {
        return;
    }
    error = linux_stat_descriptor(fd, &info);
    if (linux_failed(error)) {
        note_error(loss, error);
        return;
    }
    lose_behind(loss, &info, (uint64_t) length);
    if (loss->from < loss->to && (has_seal(fd, F_SEAL_SHRINK) || is_size_refused(fd, &info, (uint64_t) length))) {
        set_nothing(loss);
    }
}

long linux_run_ftruncate(const linux_call_t *call, const long args[6])
{
    linux_loss_t loss = { .is_all = false };

    if (!opal_mem_hooks_has_release_callbacks()) {
        return linux_call_unheard(call, args);
    }
    find_ftruncate((int) args[0], args[1], &loss);
    return call_on_descriptor(call, args, &loss);
}

/* What the path names loses everything from `length` on. */
static void find_by_path(const linux_again_t *again, uint64_t length, linux_loss_t *loss)
{
    struct stat info;
    const long error = linux_stat_path(again->dir, again->path, again->flags, &info);

    loss->from = linux_round_up(length, LINUX_PAGE);
    if (linux_failed(error)) {
        note_error(loss, error);
        return;
    }
    lose_behind(loss, &info, length);
}

long linux_run_truncate(const linux_call_t *call, const long args[6])
{
    const linux_again_t again = { .by = LINUX_AGAIN_PATH, .dir = AT_FDCWD, .path = (const char *) args[0] };
    linux_loss_t loss = { .is_all = false };

    if (args[1] < 0) {
        return linux_sys_call(call->nr, args);
    }
    if (!opal_mem_hooks_has_release_callbacks()) {
        return linux_call_unheard(call, args);
    }
    find_by_path(&again, (uint64_t) args[1], &loss);
    return linux_loss_call(call, args, &loss, &again);
}

/* ---- open ------------------------------------------------------------------------------------ */

/* O_TRUNC counts whether or not the file is opened for writing. O_DIRECTORY is part of O_TMPFILE. */
static bool is_truncating(uint64_t flags)
{
    const bool is_new = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);

    return (flags & O_TRUNC) != 0 && (flags & (O_PATH | O_DIRECTORY)) == 0 && !is_new;
}

static long run_open_at(const linux_call_t *call, const long args[6], int dir, const char *path, uint64_t flags)
{
    const linux_again_t again = { .by = LINUX_AGAIN_RESULT,
                                  .dir = dir,
                                  .path = path,
                                  .flags = (flags & O_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0,
                                  .may_be_new = (flags & O_CREAT) != 0 };
    linux_loss_t loss = { .is_all = false };

    if (!is_truncating(flags)) {
        return linux_sys_call(call->nr, args);
    }
    if (!opal_mem_hooks_has_release_callbacks()) {
        return linux_call_unheard(call, args);
    }
    find_by_path(&again, 0, &loss);
    return linux_loss_call(call, args, &loss, &again);
}

long linux_run_open(const linux_call_t *call, const long args[6])
{
    return run_open_at(call, args, AT_FDCWD, (const char *) args[0], (unsigned) args[1]);
}

long linux_run_creat(const linux_call_t *call, const long args[6])
{
    return run_open_at(call, args, AT_FDCWD, (const char *) args[0], O_CREAT | O_WRONLY | O_TRUNC);
}

long linux_run_openat(const linux_call_t *call, const long args[6])
{
    return run_open_at(call, args, (int) args[0], (const char *) args[1], (unsigned) args[2]);
}

/* openat2 may resolve the path in a way of its own: let it do so for the look, too. */
static void find_openat2(const long args[6], const struct open_how *how, linux_loss_t *loss)
{
    const struct open_how look = { .flags = O_PATH | O_CLOEXEC | (how->flags & O_NOFOLLOW),
                                   .resolve = how->resolve };
    const long fd = LINUX_SYS(SYS_openat2, args[0], args[1], (long) &look, sizeof(look));
    struct stat info;

    if (linux_failed(fd)) {
        note_error(loss, fd);
        return;
    }
    if (linux_failed(linux_stat_descriptor((int) fd, &info))) {
        loss->is_all = true;
    } else {
        lose_behind(loss, &info, 0);
    }
    linux_sys_close((int) fd);
}

static long run_openat2_truncating(const linux_call_t *call, const long args[6], const struct open_how *how)
{
    const linux_again_t again = { .by = LINUX_AGAIN_RESULT, .may_be_new = (how->flags & O_CREAT) != 0 };
    linux_loss_t loss = { .is_all = false };

    find_openat2(args, how, &loss);
    return linux_loss_call(call, args, &loss, &again);
}

long linux_run_openat2(const linux_call_t *call, const long args[6])
{
    struct open_how how = { .flags = O_TRUNC };

    if (!opal_mem_hooks_has_release_callbacks()) {
        return linux_call_unheard(call, args);
    }
    /* Not readable, or too short: the kernel will say so. */
    if ((size_t) args[3] < sizeof(how) || !linux_read_memory((uintptr_t) args[2], &how, sizeof(how))) {
        return linux_sys_call(call->nr, args);
    }
    if (!is_truncating(how.flags)) {
        return linux_sys_call(call->nr, args);
    }
    return run_openat2_truncating(call, args, &how);
}

/* ---- fallocate ------------------------------------------------------------------------------- */

#define RANGE_MODES (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_WRITE_ZEROES)
#define SHIFT_MODES (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)
#define HARMLESS_MODES FALLOC_FL_UNSHARE_RANGE
#define KNOWN_MODES (RANGE_MODES | SHIFT_MODES | HARMLESS_MODES)

/* What a file system does to its page cache. */
typedef struct habit_t {
    bool punches_only; /* Refuses all other modes. */
    bool is_inward;    /* Takes whole units inside the range; the others may take all that it touches. */
    uint64_t unit;
} habit_t;

/* The rest, xfs among them, writes back and drops the units that the range only touches, and gets
 * them from the disk anew. On xfs a file's block size is its unit of allocation. */
static habit_t habit_of(int fd, const struct stat *info)
{
    const uint64_t block = (uint64_t) info->st_blksize;
    const habit_t other = { .unit = block > LINUX_PAGE ? block : LINUX_PAGE };
    struct statfs fs;

    if (linux_failed(LINUX_SYS(SYS_fstatfs, fd, (long) &fs))) {
        return other;
    }
    switch (fs.f_type) {
    case TMPFS_MAGIC: return (habit_t){ .punches_only = true, .is_inward = true, .unit = LINUX_PAGE };
    case HUGETLBFS_MAGIC:
        return (habit_t){ .punches_only = true, .is_inward = true, .unit = (uint64_t) fs.f_bsize };
    case EXT4_SUPER_MAGIC: return (habit_t){ .is_inward = true, .unit = LINUX_PAGE };
    default: return other;
    }
}

/* Does the kernel refuse this mode, or will no page go? */
static bool is_mode_harmless(int mode)
{
    const int kind = mode & ~FALLOC_FL_KEEP_SIZE;
    const bool keeps = (mode & FALLOC_FL_KEEP_SIZE) != 0;

    switch (kind) {
    case 0:
    case FALLOC_FL_UNSHARE_RANGE: return true;
    case FALLOC_FL_PUNCH_HOLE: return !keeps;
    case FALLOC_FL_ZERO_RANGE: return false;
    case FALLOC_FL_COLLAPSE_RANGE:
    case FALLOC_FL_INSERT_RANGE:
    case FALLOC_FL_WRITE_ZEROES: return keeps;
    default: return (kind & ~KNOWN_MODES) == 0; /* More than one at a time is refused; new ones may do anything. */
    }
}

static uint64_t down_to(uint64_t value, uint64_t unit)
{
    return value - value % unit;
}

static uint64_t up_to(uint64_t value, uint64_t unit)
{
    return down_to(value + unit - 1, unit);
}

static void lose_range(linux_loss_t *loss, const habit_t *habit, uint64_t start, uint64_t end)
{
    if (habit->is_inward) {
        loss->from = up_to(start, habit->unit);
        loss->to = down_to(end, habit->unit);
    } else {
        loss->from = linux_round_down(down_to(start, habit->unit), LINUX_PAGE);
        loss->to = linux_round_up(up_to(end, habit->unit), LINUX_PAGE);
    }
}

/* All behind moves. Others begin a unit earlier (xfs does, so that extents can be joined there). */
static void lose_shifted(linux_loss_t *loss, const habit_t *habit, uint64_t start)
{
    uint64_t from = down_to(start, habit->unit);

    if (!habit->is_inward) {
        from -= from < habit->unit ? from : habit->unit;
    }
    loss->from = linux_round_down(from, LINUX_PAGE);
    loss->to = UINT64_MAX;
}

static bool is_beyond_end(int mode, uint64_t start, uint64_t end, uint64_t size)
{
    return start >= size || ((mode & FALLOC_FL_COLLAPSE_RANGE) != 0 && end >= size);
}

/* What is refused, or finds nothing there. */
static bool is_idle(int mode, int fd, const habit_t *habit, const struct stat *info, const long args[6])
{
    const uint64_t start = (uint64_t) args[2], end = start + (uint64_t) args[3];
    const bool is_punch = (mode & FALLOC_FL_PUNCH_HOLE) != 0;

    if (is_beyond_end(mode, start, end, (uint64_t) info->st_size) || (habit->punches_only && !is_punch)) {
        return true;
    }
    return is_punch && has_seal(fd, F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}

static void lose_by_mode(linux_loss_t *loss, int fd, const struct stat *info, const long args[6])
{
    const int mode = (int) args[1];
    const uint64_t start = (uint64_t) args[2], end = start + (uint64_t) args[3];
    const habit_t habit = habit_of(fd, info);

    linux_loss_set_file(loss, info);
    if ((mode & ~(KNOWN_MODES | FALLOC_FL_KEEP_SIZE)) != 0) {
        loss->to = UINT64_MAX;
    } else if (is_idle(mode, fd, &habit, info, args)) {
        set_nothing(loss);
    } else if ((mode & SHIFT_MODES) != 0) {
        lose_shifted(loss, &habit, start);
    } else {
        lose_range(loss, &habit, start, end);
    }
}

/* Of a block device, everything: its pages may be mapped through another node with other numbers. */
static void find_fallocate(const long args[6], linux_loss_t *loss)
{
    const int fd = (int) args[0];
    struct stat info;
    long error;

    if (args[2] < 0 || args[3] <= 0 || args[2] > INT64_MAX - args[3] || !is_writable(fd)) {
        return;
    }
    error = linux_stat_descriptor(fd, &info);
    if (linux_failed(error)) {
        note_error(loss, error);
    } else if (S_ISREG(info.st_mode)) {
        lose_by_mode(loss, fd, &info, args);
    } else {
        loss->is_all = S_ISBLK(info.st_mode);
    }
}

long linux_run_fallocate(const linux_call_t *call, const long args[6])
{
    linux_loss_t loss = { .is_all = false };

    if (is_mode_harmless((int) args[1])) {
        return linux_sys_call(call->nr, args);
    }
    if (!opal_mem_hooks_has_release_callbacks()) {
        return linux_call_unheard(call, args);
    }
    find_fallocate(args, &loss);
    return call_on_descriptor(call, args, &loss);
}

/* ---- madvise(MADV_REMOVE) ------------------------------------------------------------------------ */

/* The call makes a hole in the file behind a mapping, which all other mappings of that part lose, too. */
typedef struct removal_t {
    uintptr_t start, end;
    linux_loss_t loss;
} removal_t;

static bool is_file_of_loss(const linux_loss_t *loss, const linux_mapping_t *mapping)
{
    return loss->inode == mapping->inode && loss->device == mapping->device;
}

/* Several mappings of one file make one part of it, with what lies between. */
static void note_part(linux_loss_t *loss, const linux_mapping_t *mapping, uint64_t from, uint64_t to)
{
    if (!loss->is_known) {
        loss->is_known = true;
        loss->device = mapping->device;
        loss->inode = mapping->inode;
        loss->from = from;
        loss->to = to;
    } else if (is_file_of_loss(loss, mapping)) {
        loss->from = from < loss->from ? from : loss->from;
        loss->to = to > loss->to ? to : loss->to;
    } else {
        loss->is_all = true;
    }
}

static void visit_removed(const linux_mapping_t *mapping, void *arg)
{
    removal_t *removal = arg;
    const uintptr_t start = removal->start > mapping->start ? removal->start : mapping->start;
    const uintptr_t end = removal->end < mapping->end ? removal->end : mapping->end;

    if (start < end && mapping->inode != 0) {
        note_part(&removal->loss, mapping, mapping->offset + (start - mapping->start),
                  mapping->offset + (end - mapping->start));
    }
}

long linux_run_remove(const linux_call_t *call, const long args[6])
{
    static const linux_again_t same = { .by = LINUX_AGAIN_SAME };
    opal_mem_hooks_range_t ranges[OPAL_MEM_HOOKS_WINDOW_RANGES];
    removal_t removal = { 0 };

    if (linux_ranges_madvise(args, ranges) == 0) {
        return linux_sys_call(call->nr, args);
    }
    if (!opal_mem_hooks_has_release_callbacks()) {
        return linux_call_unheard(call, args);
    }
    removal.start = ranges[0].start;
    removal.end = ranges[0].start + ranges[0].length;
    removal.loss.is_all = !linux_maps_each(visit_removed, &removal) || removal.loss.is_all;
    return linux_loss_call(call, args, &removal.loss, &same);
}
