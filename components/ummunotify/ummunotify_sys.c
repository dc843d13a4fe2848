/* SPDX-License-Identifier: BSD-3-Clause */
/* The system calls of the component, as they are. */
#include "components/ummunotify/ummunotify_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int result_of(long result)
{
    return result < 0 ? -errno : (int) result;
}

static int real_open(const char *path)
{
    return result_of(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
}

static int real_close(int fd)
{
    return result_of(close(fd));
}

static int real_duplicate(int fd, int lowest)
{
    return result_of(fcntl(fd, F_DUPFD_CLOEXEC, lowest));
}

static int real_identify(int fd, struct stat *file)
{
    return result_of(fstat(fd, file));
}

static int real_ioctl(int fd, unsigned long request, void *argument)
{
    return result_of(ioctl(fd, request, argument));
}

static ssize_t real_read(int fd, void *buffer, size_t size)
{
    const ssize_t result = read(fd, buffer, size);

    return result < 0 ? -errno : result;
}

static int map_at(int fd, void *at, size_t size, int protection, int flags)
{
    return mmap(at, size, protection, flags | MAP_FIXED, fd, 0) == MAP_FAILED ? -errno : 0;
}

static int real_map(int fd, void *at, size_t size)
{
    return fd >= 0 ? map_at(fd, at, size, PROT_READ, MAP_SHARED)
                   : map_at(-1, at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
}

/* Whoever changes protections waits for the lock of the address space, which unmapping, discarding and the like hold until
 * the pages are gone; and that also if nothing is to be changed. */
static int real_settle(void *page, size_t size)
{
    return result_of(mprotect(page, size, PROT_NONE));
}

static int move(const ummunotify_release_t *release)
{
    return mremap(release->start, release->length, release->length, MREMAP_MAYMOVE | MREMAP_FIXED, release->target)
                   == MAP_FAILED
               ? -errno
               : 0;
}

static int real_release(const ummunotify_release_t *release)
{
    switch (release->kind) {
    case UMMUNOTIFY_UNMAP: return result_of(munmap(release->start, release->length));
    case UMMUNOTIFY_MAP_OVER: return real_map(-1, release->start, release->length);
    case UMMUNOTIFY_DISCARD: return result_of(madvise(release->start, release->length, MADV_DONTNEED));
    case UMMUNOTIFY_MOVE: return move(release);
    case UMMUNOTIFY_TRUNCATE: return result_of(ftruncate(release->fd, 0));
    default: return -EINVAL;
    }
}

const ummunotify_sys_t ummunotify_sys_real = {
    .open = real_open,
    .close = real_close,
    .duplicate = real_duplicate,
    .identify = real_identify,
    .ioctl = real_ioctl,
    .read = real_read,
    .map = real_map,
    .settle = real_settle,
    .release = real_release,
};

const ummunotify_sys_t *ummunotify_sys = &ummunotify_sys_real;
