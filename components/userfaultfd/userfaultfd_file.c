/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors, and what they stand for. */
#include "components/userfaultfd/userfaultfd_file.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "components/userfaultfd/userfaultfd_sys.h"

static int moved_high(int fd)
{
    struct rlimit limit;

    if (fd < 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return fd;
    }
    const long top = limit.rlim_cur < 65536 ? (long) limit.rlim_cur : 65536;
    const long high = top < 64 ? -1 : UFFD_SYS(SYS_fcntl, fd, F_DUPFD_CLOEXEC, top - top / 16);
    if (high < 0) {
        return fd;
    }
    uffd_sys_close(fd);
    return (int) high;
}

/* @return 0 or a negative errno. A file of the program's may lie on a server: nobody is asked. */
static long look_at(int fd, struct statx *status)
{
    return UFFD_SYS(SYS_statx, fd, (long) "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, (long) status);
}

uffd_file_t uffd_file_own(int fd)
{
    uffd_file_t file = { .fd = moved_high(fd) };
    struct statx status;

    if (file.fd >= 0 && look_at(file.fd, &status) == 0) {
        file.device_major = status.stx_dev_major;
        file.device_minor = status.stx_dev_minor;
        file.inode = status.stx_ino;
    }
    return file;
}

bool uffd_file_is_ours(const uffd_file_t *file)
{
    struct statx status;

    if (file->fd == 0 && file->inode == 0) {
        return false; /* Wiped: this is a fork child, and 0 is the program's input. */
    }
    const long rc = look_at(file->fd, &status);
    if (file->inode == 0) {
        return rc != -EBADF;
    }
    return rc == 0 ? status.stx_ino == file->inode && status.stx_dev_major == file->device_major
                         && status.stx_dev_minor == file->device_minor
                   : rc == -ENOSYS || rc == -EPERM;
}

void uffd_file_close(uffd_file_t *file)
{
    if (file->fd >= 0 && uffd_file_is_ours(file)) {
        uffd_sys_close(file->fd);
    }
    file->fd = -1;
}
