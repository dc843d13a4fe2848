/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of the component "linux" that take pages away by way of something else
 * than an address: of a file that is mapped (linux_files.c, linux_loss.c), or
 * named in a structure in memory (linux_process.c); and the list of ranges that
 * both collect (linux_spans.c). All of it is hook context. */
#ifndef COMPONENTS_LINUX_LINUX_FILES_H
#define COMPONENTS_LINUX_LINUX_FILES_H

#include <sys/stat.h>

#include "components/linux/linux.h"

/* ---- Many ranges ----------------------------------------------------------------------------- */

#define LINUX_SPANS 8
#define LINUX_SPANS_WINDOWS (LINUX_SPANS / OPAL_MEM_HOOKS_WINDOW_RANGES)

/** Ranges by rising address that neither overlap nor touch. Starts with count 0, not with an initializer,
 * of which a compiler may make a call of memset. */
typedef struct linux_spans_t {
    size_t count;                                   /**< At most LINUX_SPANS. */
    opal_mem_hooks_range_t ranges[LINUX_SPANS + 1]; /**< One more for linux_spans_add() itself. */
} linux_spans_t;

/** Windows over spans; of the caller, on its stack. */
typedef struct linux_spans_windows_t {
    size_t count;
    opal_mem_hooks_window_t windows[LINUX_SPANS_WINDOWS];
} linux_spans_windows_t;

/** Add [start, start + length), which does not wrap. Nothing is lost: when there is no room, the two
 * ranges with the least between them become one. */
void linux_spans_add(linux_spans_t *spans, uintptr_t start, size_t length);

/** Make it the whole address space. */
void linux_spans_all(linux_spans_t *spans);

bool linux_spans_equal(const linux_spans_t *a, const linux_spans_t *b);

/** Open windows over all of them, nested; release callbacks run. Should one be left by unwinding, the windows
 * before it are the caller's to close, by the attribute cleanup(linux_spans_close) of *windows. */
void linux_spans_open(const linux_spans_t *spans, linux_spans_windows_t *windows, opal_mem_hooks_cause_t cause);
/** Same thread. */
void linux_spans_close(linux_spans_windows_t *windows);

/** Release them all now: for what is found out when it is gone already. */
void linux_spans_release(const linux_spans_t *spans, opal_mem_hooks_cause_t cause);

/** Make the call of which nobody needs to hear, since there is no release callback. One that came
 * meanwhile, perhaps with pages that the call took, hears that everything has gone. */
long linux_call_unheard(const linux_call_t *call, const long args[6]);

/* ---- What goes of a file --------------------------------------------------------------------- */

/** What a call takes away: [from, to) of one file. Starts as { 0 }: nothing. */
typedef struct linux_loss_t {
    bool is_all;     /**< It cannot be known: take it for everything. */
    bool is_absent;  /**< There is no such file. */
    bool is_known;   /**< The next two were found out. */
    uint64_t device; /**< As in linux_mapping_t. */
    uint64_t inode;
    uint64_t from, to; /**< Multiples of LINUX_PAGE, or the end UINT64_MAX; nothing if to <= from. */
} linux_loss_t;

/** How to find the file again after the call. */
typedef struct linux_again_t {
    enum {
        LINUX_AGAIN_SAME,   /**< It is the same: the call has a descriptor. */
        LINUX_AGAIN_RESULT, /**< By the descriptor that the call returns. */
        LINUX_AGAIN_PATH    /**< By the path. */
    } by;
    int dir;          /**< For the path. */
    const char *path; /**< Also for the question whether writing is allowed; NULL: it is not asked. */
    int flags;        /**< 0 or AT_SYMLINK_NOFOLLOW. */
    bool may_be_new;  /**< The call creates a file that is absent. */
} linux_again_t;

long linux_stat_descriptor(int fd, struct stat *info);
long linux_stat_path(int dir, const char *path, int flags, struct stat *info);

/** Is it an error of a look with which the call itself will end? The rest come from sandboxes and the like. */
bool linux_is_refusal(long error);

void linux_loss_set_file(linux_loss_t *loss, const struct stat *info);

/** Make the call, with the events that loss stands for; look again after it. */
long linux_loss_call(const linux_call_t *call, const long args[6], const linux_loss_t *loss,
                     const linux_again_t *again);

/* ---- Run functions of linux_calls ------------------------------------------------------------ */

long linux_run_truncate(const linux_call_t *call, const long args[6]);
long linux_run_ftruncate(const linux_call_t *call, const long args[6]);
long linux_run_fallocate(const linux_call_t *call, const long args[6]);
long linux_run_open(const linux_call_t *call, const long args[6]);
long linux_run_creat(const linux_call_t *call, const long args[6]);
long linux_run_openat(const linux_call_t *call, const long args[6]);
long linux_run_openat2(const linux_call_t *call, const long args[6]);
/** madvise with MADV_REMOVE. */
long linux_run_remove(const linux_call_t *call, const long args[6]);
long linux_run_process_madvise(const linux_call_t *call, const long args[6]);
/** Of all ioctls UFFDIO_MOVE has events, and UFFDIO_REGISTER and UFFDIO_UNREGISTER if a component watches by userfaultfd; the
 * others are just made. */
long linux_run_ioctl(const linux_call_t *call, const long args[6]);

/** Copy the caller's own memory, which may not be there.
 * @param[in] size  A multiple of 8, at most a page.
 * @return false: some of it cannot be read; the kernel, too, will find a fault, or nearly always. */
bool linux_read_memory(uintptr_t from, void *buffer, size_t size);

#endif
