/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that name the pages they take away in a structure in memory:
 * process_madvise on this process, and ioctl on a userfaultfd. The structure may
 * not be there, so that it is read as the kernel would. Hook context.
 *
 * The kernel lets no process discard the memory of another by process_madvise;
 * such a call is refused. Should it succeed although it did not look like one
 * on this process (the child of a vfork, on its parent), or although the
 * structure could not be read, then everything is released before it returns. */
#include "components/linux/linux_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>

#include "components/linux/linux_sys.h"

/* The kernel advises no more bytes than that in one call. */
#define MAX_BYTES ((size_t) INT_MAX & ~(LINUX_PAGE - 1))

/* Descriptors that stand for the calling thread and its process, Linux 6.14. */
enum { PIDFD_OF_THREAD = -10000, PIDFD_OF_PROCESS = -10001 };

/* ---- Memory that may not be there ------------------------------------------------------------ */

/* An impossible change of the signal mask: the kernel reads the 8 bytes before it objects. */
static bool is_readable(uintptr_t address)
{
    return LINUX_SYS(SYS_rt_sigprocmask, -1, (long) address, 0, sizeof(uint64_t)) != -EFAULT;
}

/* Where process_vm_readv is forbidden. Within a page of length, both ends tell for what is between them.
 * Memory that another thread unmaps at this moment is a crash instead of an error. */
static bool read_directly(uintptr_t from, void *buffer, size_t size)
{
    const volatile unsigned char *source = (const volatile unsigned char *) from;
    volatile unsigned char *target = buffer;

    if (!is_readable(from) || !is_readable(from + size - sizeof(uint64_t))) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        target[i] = source[i];
    }
    return true;
}

bool linux_read_memory(uintptr_t from, void *buffer, size_t size)
{
    const struct iovec local = { .iov_base = buffer, .iov_len = size };
    const struct iovec remote = { .iov_base = (void *) from, .iov_len = size };
    const long self = LINUX_SYS(SYS_getpid, 0);
    const long got = LINUX_SYS(SYS_process_vm_readv, self, (long) &local, 1, (long) &remote, 1, 0);

    if (!linux_failed(got) || got == -EFAULT) {
        return got == (long) size;
    }
    return read_directly(from, buffer, size);
}

/* ---- process_madvise ------------------------------------------------------------------------- */

/* What a call is known to take away before it is made. */
typedef enum finding_t {
    FINDING_NONE,    /* Nothing, or it will be refused. */
    FINDING_SPANS,   /* These. */
    FINDING_DOUBTFUL /* It should be refused; see whether it is. */
} finding_t;

static long call_with_spans(const linux_call_t *call, const long args[6], finding_t finding, linux_spans_t *spans)
{
    linux_spans_windows_t windows __attribute__((cleanup(linux_spans_close))) = { 0 };
    long result;

    if (finding != FINDING_SPANS) {
        spans->count = 0;
    }
    linux_spans_open(spans, &windows, call->cause);
    result = linux_sys_call(call->nr, args);
    if (finding == FINDING_DOUBTFUL && !linux_failed(result)) {
        linux_spans_all(spans);
        linux_spans_release(spans, call->cause);
    }
    return result;
}

static bool is_discard(long advice)
{
    opal_mem_hooks_range_t range[OPAL_MEM_HOOKS_WINDOW_RANGES];

    return linux_ranges_madvise((const long[6]){ (long) LINUX_PAGE, (long) LINUX_PAGE, advice }, range) != 0;
}

/* The name of /proc/thread-self/fdinfo/<fd>. */
static void write_fdinfo_path(char *path, unsigned fd)
{
    static const char folder[] = "/proc/thread-self/fdinfo/";
    unsigned unit = 1;

    for (const char *c = folder; *c != '\0'; c++) {
        *path++ = *c;
    }
    while (fd / unit >= 10) {
        unit *= 10;
    }
    for (; unit != 0; unit /= 10) {
        *path++ = (char) ('0' + fd / unit % 10);
    }
    *path = '\0';
}

static bool starts_with(const char *text, const char *end, const char *prefix)
{
    while (*prefix != '\0' && text < end && *text == *prefix) {
        text++;
        prefix++;
    }
    return *prefix == '\0';
}

/* The number behind "\nPid:\t". @return 0: there is none: not a process, or one that has ended (-1). */
static long find_pid(const char *text, const char *end)
{
    static const char key[] = "\nPid:\t";
    long pid = 0;

    while (text < end && !starts_with(text, end, key)) {
        text++;
    }
    for (text += sizeof(key) - 1; text < end && *text >= '0' && *text <= '9'; text++) {
        pid = pid * 10 + (*text - '0');
    }
    return pid;
}

/* The process that a descriptor stands for; 0: none, or the kernel does not tell. */
static long pid_of(int pidfd)
{
    char path[48], text[512];
    long fd, got;

    write_fdinfo_path(path, (unsigned) pidfd);
    fd = linux_sys_open(path, O_RDONLY | O_CLOEXEC);
    if (linux_failed(fd)) {
        return 0;
    }
    got = linux_sys_read((int) fd, text, sizeof(text));
    linux_sys_close((int) fd);
    return linux_failed(got) ? 0 : find_pid(text, text + got);
}

/* A descriptor of one of its threads stands for the process as well. */
static bool is_this_process(int pidfd)
{
    const long self = LINUX_SYS(SYS_getpid, 0);
    long pid;

    if (pidfd < 0) {
        return pidfd == PIDFD_OF_THREAD || pidfd == PIDFD_OF_PROCESS;
    }
    pid = pid_of(pidfd);
    return pid == self || (pid > 0 && LINUX_SYS(SYS_tgkill, self, pid, 0) == 0);
}

/* One entry: as for madvise. @return what is left of the bytes that the kernel advises. */
static size_t add_entry(const struct iovec *entry, long advice, size_t left, linux_spans_t *spans)
{
    const size_t length = entry->iov_len < left ? entry->iov_len : left;
    opal_mem_hooks_range_t ranges[OPAL_MEM_HOOKS_WINDOW_RANGES];
    const long args[6] = { (long) entry->iov_base, (long) length, advice };
    const size_t count = linux_ranges_madvise(args, ranges);

    for (size_t i = 0; i < count; i++) {
        linux_spans_add(spans, ranges[i].start, ranges[i].length);
    }
    return left - length;
}

/* @return false: the vector cannot be read to its end. */
static bool add_vector(uintptr_t vector, size_t count, long advice, linux_spans_t *spans)
{
    struct iovec entries[16];
    size_t left = MAX_BYTES;

    while (count > 0) {
        const size_t piece = count < 16 ? count : 16;

        if (!linux_read_memory(vector, entries, piece * sizeof(entries[0]))) {
            return false;
        }
        for (size_t i = 0; i < piece; i++) {
            left = add_entry(&entries[i], advice, left, spans);
        }
        vector += piece * sizeof(entries[0]);
        count -= piece;
    }
    return true;
}

static finding_t find_advised(const long args[6], linux_spans_t *spans)
{
    const size_t count = (size_t) args[2];

    if (count == 0 || count > UIO_MAXIOV || (int) args[4] != 0) {
        return FINDING_NONE;
    }
    if (!is_this_process((int) args[0])) {
        return FINDING_DOUBTFUL;
    }
    return add_vector((uintptr_t) args[1], count, args[3], spans) ? FINDING_SPANS : FINDING_DOUBTFUL;
}

long linux_run_process_madvise(const linux_call_t *call, const long args[6])
{
    linux_spans_t spans;

    if (!is_discard(args[3])) {
        return linux_sys_call(call->nr, args);
    }
    if (!opal_mem_hooks_has_release_callbacks()) {
        return linux_call_unheard(call, args);
    }
    spans.count = 0;
    return call_with_spans(call, args, find_advised(args, &spans), &spans);
}

/* ---- ioctl on a userfaultfd --------------------------------------------------------------------- */

/* As the kernel reads it; what it writes back follows. */
typedef struct uffd_move_t {
    uint64_t to, from, length, mode;
} uffd_move_t;

static bool is_movable(uint64_t start, uint64_t length)
{
    return (start | length) % LINUX_PAGE == 0 && length != 0 && start <= linux_facts.address_end
           && length <= linux_facts.address_end - start;
}

static finding_t find_moved(const long args[6], linux_spans_t *spans)
{
    uffd_move_t move;

    if (linux_file_is_bad((int) args[0])) {
        return FINDING_NONE;
    }
    if (!linux_read_memory((uintptr_t) args[2], &move, sizeof(move))) {
        return FINDING_DOUBTFUL;
    }
    if (!is_movable(move.from, move.length) || !is_movable(move.to, move.length)) {
        return FINDING_NONE;
    }
    linux_spans_add(spans, move.from, move.length);
    return FINDING_SPANS;
}

static long move(const linux_call_t *call, const long args[6])
{
    linux_spans_t spans = { .count = 0 };

    if (!opal_mem_hooks_has_release_callbacks()) {
        return linux_call_unheard(call, args);
    }
    return call_with_spans(call, args, find_moved(args, &spans), &spans);
}

/* Nothing goes; but the kernel refuses what a component watches by a userfaultfd of its own. So that gives it up before.
 * What it does with its own descriptor is its own affair. It may begin to watch at any time: then it is either seen here, or it
 * sees the first window, and waits. */
static long change_hands_of(const linux_call_t *call, const long args[6], opal_mem_hooks_range_t range)
{
    opal_mem_hooks_window_t held __attribute__((cleanup(opal_mem_hooks_window_close)));
    linux_spans_windows_t told __attribute__((cleanup(linux_spans_close))) = { 0 };
    linux_spans_t spans = { .count = 0 };

    opal_mem_hooks_window_hold(&held, &range, 1);
    const int watcher = opal_mem_hooks_userfaultfd();
    if (watcher >= 0 && watcher != (int) args[0]) {
        linux_spans_add(&spans, range.start, range.length);
        linux_spans_open(&spans, &told, OPAL_MEM_HOOKS_CAUSE_UNKNOWN);
    }
    return linux_sys_call(call->nr, args);
}

static long change_hands(const linux_call_t *call, const long args[6])
{
    uint64_t range[2]; /* Both structures begin with it. */

    if (linux_file_is_bad((int) args[0]) || !linux_read_memory((uintptr_t) args[2], range, sizeof(range))
        || !is_movable(range[0], range[1])) {
        return linux_sys_call(call->nr, args);
    }
    return change_hands_of(call, args, (opal_mem_hooks_range_t){ range[0], range[1] });
}

long linux_run_ioctl(const linux_call_t *call, const long args[6])
{
    switch ((uint32_t) args[1]) {
    case LINUX_UFFDIO_MOVE: return move(call, args);
    case LINUX_UFFDIO_REGISTER:
    case LINUX_UFFDIO_UNREGISTER: return change_hands(call, args);
    default: return linux_sys_call(call->nr, args);
    }
}
