/* SPDX-License-Identifier: BSD-3-Clause */
/* /dev/kdreg2 in user space: the system-call table, and files. What a file does
 * is in kdreg_fake_context.c. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "components/kdreg/kdreg_sys.h"
#include "test/kdreg/kdreg_fake.h"
#include "test/kdreg/kdreg_fake_context.h"

fake_script_t fake_script;
_Atomic long fake_calls[FAKE_CALLS];

void fake_reset_counts(void)
{
    memset(&fake_calls, 0, sizeof(fake_calls));
}

/* @return What the script says of this call; 0: nothing. */
static int scripted(fake_call_t call)
{
    const long number = atomic_fetch_add(&fake_calls[call], 1) + 1;

    if (fake_script.call[call].before != NULL) {
        fake_script.call[call].before();
    }
    const long at = fake_script.call[call].at, times = fake_script.call[call].times;
    return at != 0 && number >= at && number < at + (times != 0 ? times : 1) ? fake_script.call[call].error : 0;
}

static int as_kernel(int result)
{
    return result == -1 ? -errno : result;
}

/* ---- Files --------------------------------------------------------------------------------------- */

static int table_open(const char *path, int flags)
{
    (void) path;
    const int error = scripted(FAKE_OPEN);

    return error != 0 ? error : fake_context_open(flags);
}

int fake_close(int fd)
{
    fake_lock();
    fake_context_t *context = fake_context_of(fd);
    const int rc = close(fd);

    if (context != NULL) {
        fake_context_put_locked(context);
    }
    fake_unlock();
    return rc;
}

static int table_close(int fd)
{
    return as_kernel(fake_close(fd));
}

static int table_dup_above(int fd, int lowest)
{
    fake_lock();
    fake_context_t *context = fake_context_of(fd);
    const int rc = as_kernel(fcntl(fd, F_DUPFD_CLOEXEC, lowest));

    if (context != NULL && rc >= 0) {
        context->references++;
    }
    fake_unlock();
    return rc;
}

static int table_fstat(int fd, struct stat *status)
{
    if (fstat(fd, status) != 0) {
        return -errno;
    }
    fake_lock();
    if (fake_context_of(fd) != NULL) {
        status->st_mode = S_IFCHR | 0666;
        status->st_rdev = makedev(240, 7);
    }
    fake_unlock();
    return 0;
}

/* ---- Calls of the device ------------------------------------------------------------------------- */

/* A usable context, with the lock held; NULL: *error, and without it. */
static fake_context_t *enter(int fd, int *error)
{
    fake_lock();
    fake_context_t *context = fake_context_of(fd);

    if (context != NULL && context->process == getpid()) {
        return context;
    }
    fake_unlock();
    *error = context == NULL                ? fcntl(fd, F_GETFD) == -1 ? -EBADF : -ENOTTY
             : fake_script.child_error != 0 ? fake_script.child_error
                                            : -EIO;
    return NULL;
}

static int dispatch_locked(fake_context_t *context, unsigned request, void *arg, int error)
{
    switch (request) {
    case KDREG_CONFIG_DATA: return fake_context_configure_locked(context, arg, error);
    case KDREG_MONITOR: return error != 0 ? error : fake_context_monitor_locked(context, arg);
    case KDREG_UNMONITOR: return error != 0 ? error : fake_context_unmonitor_locked(context, arg);
    case KDREG_FLUSH: return error != 0 ? error : fake_context_flush_locked(context);
    default: return -ENOTTY;
    }
}

static fake_call_t call_of(unsigned request)
{
    return request == KDREG_CONFIG_DATA ? FAKE_CONFIG
           : request == KDREG_MONITOR   ? FAKE_MONITOR
           : request == KDREG_UNMONITOR ? FAKE_UNMONITOR
                                        : FAKE_FLUSH;
}

static int table_ioctl(int fd, unsigned request, void *arg)
{
    int error = scripted(call_of(request)), no_context;
    fake_context_t *context = enter(fd, &no_context);

    if (context == NULL) {
        return no_context;
    }
    error = dispatch_locked(context, request, arg, error);
    fake_unlock();
    return error;
}

static ssize_t table_read(int fd, void *buffer, size_t size)
{
    const int error = scripted(FAKE_READ);
    int no_context;
    fake_context_t *context = enter(fd, &no_context);

    if (context == NULL) {
        return no_context;
    }
    const ssize_t rc = error != 0 ? error : fake_context_read_locked(context, buffer, size);
    fake_unlock();
    if (rc > 0 && fake_script.read_at_most != 0 && (size_t) rc > fake_script.read_at_most) {
        return (ssize_t) fake_script.read_at_most;
    }
    return rc;
}

static int table_poll(struct pollfd *fds, unsigned count, int timeout_ms)
{
    const int error = scripted(FAKE_POLL);
    int no_context = 0;

    (void) count, (void) timeout_ms;
    if (error != 0) {
        return error;
    }
    fake_context_t *context = enter(fds->fd, &no_context);
    if (context == NULL) {
        fds->revents = no_context == -EBADF || no_context == -ENOTTY ? POLLNVAL : POLLERR | POLLIN | POLLOUT;
        return 1;
    }
    fds->revents = context->pending > 0 ? POLLIN : 0;
    fake_unlock();
    return fds->revents != 0;
}

/* ---- Memory -------------------------------------------------------------------------------------- */

static void *table_map(void *addr, size_t size, int protection, int flags)
{
    if (scripted(FAKE_MAP) != 0) {
        return MAP_FAILED;
    }
    if (fake_script.hole_is_taken && (flags & MAP_FIXED_NOREPLACE) != 0) {
        errno = EEXIST;
        return MAP_FAILED;
    }
    return mmap(addr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static int table_move(void *from, size_t size, void *to)
{
    const int error = scripted(FAKE_MOVE);

    if (error != 0) {
        return error;
    }
    if (mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED) {
        return -errno;
    }
    fake_notify(from, size);
    return 0;
}

static int table_unmap(void *addr, size_t size)
{
    const int rc = as_kernel(munmap(addr, size));

    fake_notify(addr, size);
    return rc;
}

static int table_advise(void *addr, size_t size, int advice)
{
    const int rc = as_kernel(madvise(addr, size, advice));

    fake_notify(addr, size);
    return rc;
}

/* Only the self-test truncates: the file's one page is wherever it is mapped. */
static int table_truncate(int fd, off_t length)
{
    const int rc = as_kernel(ftruncate(fd, length));

    fake_notify(NULL, SIZE_MAX);
    return rc;
}

static const kdreg_sys_t table = {
    .open = table_open,
    .close = table_close,
    .dup_above = table_dup_above,
    .ioctl = table_ioctl,
    .read = table_read,
    .poll = table_poll,
    .fstat = table_fstat,
    .map = table_map,
    .move = table_move,
    .unmap = table_unmap,
    .advise = table_advise,
    .truncate = table_truncate,
};

void fake_install(void)
{
    static bool has_handlers;

    if (!has_handlers) {
        pthread_atfork(fake_lock, fake_unlock, fake_unlock);
        has_handlers = true;
    }
    kdreg_sys = &table;
}
