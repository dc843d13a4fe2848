/* SPDX-License-Identifier: BSD-3-Clause */
/* The system calls of the component, by the kernel. */
#include "components/kdreg/kdreg_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

const kdreg_sys_t *kdreg_sys = &kdreg_sys_real;

static int answer(int result)
{
    return result == -1 ? -errno : result;
}

static int sys_open(const char *path, int flags)
{
    return answer(open(path, flags));
}

static int sys_close(int fd)
{
    return answer(close(fd));
}

static int sys_dup_above(int fd, int lowest)
{
    return answer(fcntl(fd, F_DUPFD_CLOEXEC, lowest));
}

static int sys_ioctl(int fd, unsigned request, void *arg)
{
    return answer(ioctl(fd, request, arg));
}

static ssize_t sys_read(int fd, void *buffer, size_t size)
{
    const ssize_t result = read(fd, buffer, size);

    return result == -1 ? -errno : result;
}

static int sys_poll(struct pollfd *fds, unsigned count, int timeout_ms)
{
    return answer(poll(fds, count, timeout_ms));
}

static int sys_fstat(int fd, struct stat *status)
{
    return answer(fstat(fd, status));
}

static void *sys_map(void *addr, size_t size, int protection, int flags)
{
    return mmap(addr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static int sys_move(void *from, size_t size, void *to)
{
    return mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED ? -errno : 0;
}

static int sys_unmap(void *addr, size_t size)
{
    return answer(munmap(addr, size));
}

static int sys_advise(void *addr, size_t size, int advice)
{
    return answer(madvise(addr, size, advice));
}

static int sys_truncate(int fd, off_t length)
{
    return answer(ftruncate(fd, length));
}

const kdreg_sys_t kdreg_sys_real = {
    .open = sys_open,
    .close = sys_close,
    .dup_above = sys_dup_above,
    .ioctl = sys_ioctl,
    .read = sys_read,
    .poll = sys_poll,
    .fstat = sys_fstat,
    .map = sys_map,
    .move = sys_move,
    .unmap = sys_unmap,
    .advise = sys_advise,
    .truncate = sys_truncate,
};
