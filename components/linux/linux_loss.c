/* SPDX-License-Identifier: BSD-3-Clause */
/* A call that takes away a part of a file, with the events of all its mappings
 * in this process. What the part is, the callers in linux_files.c know. Hook
 * context.
 *
 * Which mappings are of the file. The list shows device and inode number of
 * the inode that is mapped, stat what its file system wants to show. On a file
 * system with a block device of its own the two are the same. The others
 * (device major 0) may show another device to stat: btrfs one for each
 * subvolume; overlayfs its own, where the list of kernels before 6.8 has that
 * of the file beneath, and another layer's number in the high bits of the
 * inode. There, equal low halves of the inode numbers are taken for the same file:
 * one event too many now and then, but none too few. Not seen is a file of
 * overlayfs that was copied up and is mapped, on those old kernels: both its
 * numbers differ.
 *
 * What may happen between the look and the call. Another thread may map the
 * file, or make the path name another one. Opening without O_TRUNC first would
 * not be the same: the kernel truncates after all its checks, and leases and
 * watchers would see two opens. So there is a second look after a call that
 * succeeded, at the descriptor for open, at the path for truncate. What was
 * not announced is released then, before the call returns. Only what looked
 * empty or absent, and is the same or new, is not looked for once more: another
 * thread would have had to fill, map and register it within that moment. */
#include "components/linux/linux_files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "components/linux/linux_sys.h"

/* ---- The file -------------------------------------------------------------------------------- */

long linux_stat_descriptor(int fd, struct stat *info)
{
    return LINUX_SYS(SYS_fstat, fd, (long) info);
}

long linux_stat_path(int dir, const char *path, int flags, struct stat *info)
{
    return LINUX_SYS(SYS_newfstatat, dir, (long) path, (long) info, flags);
}

bool linux_is_refusal(long error)
{
    switch (-error) {
    case EBADF:
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case ELOOP:
    case ENAMETOOLONG:
    case EFAULT:
    case EMFILE:
    case ENFILE:
    case EXDEV:
    case EINVAL:
    case EAGAIN: return true;
    default: return false;
    }
}

/* The kernel's packing of st_dev; libc's macros would be calls. */
static uint64_t unpack_device(uint64_t packed)
{
    const uint64_t major_number = (packed >> 8 & 0xfff) | (packed >> 32 & 0xfffff000);
    const uint64_t minor_number = (packed & 0xff) | (packed >> 12 & 0xffffff00);

    return major_number << 32 | minor_number;
}

static bool is_same_file(const linux_loss_t *loss, const struct stat *info)
{
    return loss->is_known && loss->inode == info->st_ino && loss->device == unpack_device(info->st_dev);
}

void linux_loss_set_file(linux_loss_t *loss, const struct stat *info)
{
    loss->is_known = true;
    loss->device = unpack_device(info->st_dev);
    loss->inode = info->st_ino;
}

static bool is_at_stake(const linux_loss_t *loss)
{
    return loss->is_all || loss->from < loss->to;
}

/* ---- Its mappings ---------------------------------------------------------------------------- */

typedef struct collector_t {
    const linux_loss_t *loss;
    linux_spans_t *spans;
} collector_t;

static bool is_mapping_of(const linux_loss_t *loss, const linux_mapping_t *mapping)
{
    if (mapping->inode == 0) {
        return false;
    }
    if (loss->device >> 32 != 0) {
        return mapping->inode == loss->inode && mapping->device == loss->device;
    }
    return (uint32_t) mapping->inode == (uint32_t) loss->inode;
}

/* Private pages of a mapping count, too: truncation takes them, and a hole does where they are not copies yet. */
static void visit_mapping(const linux_mapping_t *mapping, void *arg)
{
    const collector_t *collector = arg;
    const linux_loss_t *loss = collector->loss;
    const uint64_t end = mapping->offset + (mapping->end - mapping->start);
    const uint64_t from = loss->from > mapping->offset ? loss->from : mapping->offset;
    const uint64_t to = loss->to < end ? loss->to : end;

    if (from < to && is_mapping_of(loss, mapping)) {
        linux_spans_add(collector->spans, mapping->start + (from - mapping->offset), to - from);
    }
}

static void collect(const linux_loss_t *loss, linux_spans_t *spans)
{
    collector_t collector = { .loss = loss, .spans = spans };

    spans->count = 0;
    if (loss->is_all || !linux_maps_each(visit_mapping, &collector)) {
        linux_spans_all(spans);
    }
}

/* ---- The call with its events ---------------------------------------------------------------- */

/* libc turns asynchronous cancellation on around open, creat and fallocate: a pthread_cancel that arrives
 * while windows are open or a callback runs would leave them for ever. Its signal waits. */
#define CANCEL_SIGNAL 32

static uint64_t hold_cancellation(void)
{
    const uint64_t signals = UINT64_C(1) << (CANCEL_SIGNAL - 1);
    uint64_t old = 0;

    linux_sys_sigmask(SIG_BLOCK, &signals, &old);
    return old;
}

/* Also when a callback is left by unwinding. */
#define RESTORES_SIGNALS __attribute__((unused, cleanup(restore_signals)))

static void restore_signals(const uint64_t *old)
{
    linux_sys_sigmask(SIG_SETMASK, old, NULL);
}

/* Another file than the one that was looked at? Then nothing was announced of it: it is the loss now. */
static bool note_other_file(linux_loss_t *loss, const struct stat *info)
{
    if (is_same_file(loss, info) || !S_ISREG(info->st_mode)) {
        return is_at_stake(loss);
    }
    linux_loss_set_file(loss, info);
    loss->to = UINT64_MAX;
    return true;
}

/* The loss, as it looks after the call. @return Is there anything to look for? */
static bool see_again(linux_loss_t *loss, const linux_again_t *again, long result)
{
    struct stat info;
    long error;

    if (again->by == LINUX_AGAIN_SAME || loss->is_all) {
        return is_at_stake(loss) && !loss->is_all;
    }
    if (loss->is_absent && again->may_be_new) {
        return false;
    }
    error = again->by == LINUX_AGAIN_RESULT ? linux_stat_descriptor((int) result, &info)
                                            : linux_stat_path(again->dir, again->path, again->flags, &info);
    return linux_failed(error) ? is_at_stake(loss) : note_other_file(loss, &info);
}

static void look_again(const linux_call_t *call, const linux_loss_t *loss, const linux_again_t *again, long result,
                       const linux_spans_t *announced)
{
    linux_loss_t now = *loss;
    linux_spans_t spans;

    if (see_again(&now, again, result)) {
        RESTORES_SIGNALS const uint64_t signals = hold_cancellation();

        collect(&now, &spans);
        if (!linux_spans_equal(&spans, announced)) {
            linux_spans_release(&spans, call->cause);
        }
    }
}

/* The mappings are there; will the kernel let this process write to the path? */
static bool is_write_refused(const linux_again_t *again)
{
    long error;

    if (again->path == NULL) {
        return false;
    }
    error = LINUX_SYS(SYS_faccessat2, again->dir, (long) again->path, W_OK, AT_EACCESS | again->flags);
    return error == -EACCES || error == -EROFS || error == -EPERM;
}

static long call_at_stake(const linux_call_t *call, const long args[6], const linux_loss_t *loss,
                          const linux_again_t *again)
{
    RESTORES_SIGNALS const uint64_t signals = hold_cancellation();
    linux_spans_windows_t windows __attribute__((cleanup(linux_spans_close))) = { 0 };
    linux_spans_t spans;
    long result;

    collect(loss, &spans);
    if (spans.count != 0 && is_write_refused(again)) {
        spans.count = 0;
    }
    linux_spans_open(&spans, &windows, call->cause);
    result = linux_sys_call(call->nr, args);
    if (!linux_failed(result)) {
        look_again(call, loss, again, result, &spans);
    }
    return result;
}

/* Where nothing seems to go, no signal is held: opening something else than a file may wait for long. */
long linux_loss_call(const linux_call_t *call, const long args[6], const linux_loss_t *loss,
                     const linux_again_t *again)
{
    static const linux_spans_t none;
    long result;

    if (is_at_stake(loss)) {
        return call_at_stake(call, args, loss, again);
    }
    result = linux_sys_call(call->nr, args);
    if (!linux_failed(result)) {
        look_again(call, loss, again, result, &none);
    }
    return result;
}
