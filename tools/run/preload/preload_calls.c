/* SPDX-License-Identifier: BSD-3-Clause */
/* The entry points of libc that move data: through the cache what is large enough, all else as it was called. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <unistd.h>

#include "tools/run/preload/preload_raw.h"
#include "tools/run/preload/preload_transfer.h"

/* libc's other names of them, which no header declares. */
ssize_t __read(int fd, void *buffer, size_t count);
ssize_t __write(int fd, const void *buffer, size_t count);
ssize_t __pread64(int fd, void *buffer, size_t count, off_t offset);
ssize_t __pwrite64(int fd, const void *buffer, size_t count, off_t offset);
ssize_t __read_chk(int fd, void *buffer, size_t count, size_t size);
ssize_t __pread_chk(int fd, void *buffer, size_t count, off_t offset, size_t size);
ssize_t __pread64_chk(int fd, void *buffer, size_t count, off_t offset, size_t size);

static void count_small(run_call_t call, size_t count)
{
    if (preload_page != NULL && count < preload_threshold) {
        run_add(&preload_page->plain[call][RUN_SMALL], 1);
    }
}

/* Before the constructor: perhaps before this object is relocated. */
static ssize_t early(long nr, int fd, const void *buffer, size_t count, off_t offset)
{
    const long result = PRELOAD_RAW(nr, fd, (long) buffer, (long) count, offset);

    if (result < 0) {
        errno = (int) -result;
        return -1;
    }
    return result;
}

PRELOAD_EXPORT ssize_t read(int fd, void *buffer, size_t count)
{
    ssize_t moved;

    if (count >= preload_threshold
        && preload_transfer(
            (operation_t){ .call = RUN_READ, .moves = true, .fd = fd, .start = buffer, .count = count }, &moved)) {
        return moved;
    }
    count_small(RUN_READ, count);
    return preload_real.read != NULL ? preload_real.read(fd, buffer, count)
                                     : early(SYS_read, fd, buffer, count, 0);
}

PRELOAD_EXPORT ssize_t write(int fd, const void *buffer, size_t count)
{
    ssize_t moved;

    if (count >= preload_threshold
        && preload_transfer((operation_t){ .call = RUN_WRITE,
                                           .is_write = true,
                                           .moves = true,
                                           .fd = fd,
                                           .start = (char *) (uintptr_t) buffer,
                                           .count = count },
                            &moved)) {
        return moved;
    }
    count_small(RUN_WRITE, count);
    return preload_real.write != NULL ? preload_real.write(fd, buffer, count)
                                      : early(SYS_write, fd, buffer, count, 0);
}

PRELOAD_EXPORT ssize_t pread64(int fd, void *buffer, size_t count, off_t offset)
{
    ssize_t moved;

    if (count >= preload_threshold
        && preload_transfer(
            (operation_t){ .call = RUN_PREAD, .fd = fd, .start = buffer, .count = count, .offset = offset },
            &moved)) {
        return moved;
    }
    count_small(RUN_PREAD, count);
    return preload_real.pread64 != NULL ? preload_real.pread64(fd, buffer, count, offset)
                                        : early(SYS_pread64, fd, buffer, count, offset);
}

PRELOAD_EXPORT ssize_t pwrite64(int fd, const void *buffer, size_t count, off_t offset)
{
    ssize_t moved;

    if (count >= preload_threshold
        && preload_transfer((operation_t){ .call = RUN_PWRITE,
                                           .is_write = true,
                                           .fd = fd,
                                           .start = (char *) (uintptr_t) buffer,
                                           .count = count,
                                           .offset = offset },
                            &moved)) {
        return moved;
    }
    count_small(RUN_PWRITE, count);
    return preload_real.pwrite64 != NULL ? preload_real.pwrite64(fd, buffer, count, offset)
                                         : early(SYS_pwrite64, fd, buffer, count, offset);
}

/* ---- Other names --------------------------------------------------------------------------------- */

#define OTHER_NAME(name) __attribute__((alias(#name))) PRELOAD_EXPORT

OTHER_NAME(read) ssize_t __read(int fd, void *buffer, size_t count);
OTHER_NAME(write) ssize_t __write(int fd, const void *buffer, size_t count);
OTHER_NAME(pread64) ssize_t pread(int fd, void *buffer, size_t count, off_t offset);
OTHER_NAME(pread64) ssize_t __pread64(int fd, void *buffer, size_t count, off_t offset);
OTHER_NAME(pwrite64) ssize_t pwrite(int fd, const void *buffer, size_t count, off_t offset);
OTHER_NAME(pwrite64) ssize_t __pwrite64(int fd, const void *buffer, size_t count, off_t offset);

/* A count over the buffer's size ends the program, in libc. */

PRELOAD_EXPORT ssize_t __read_chk(int fd, void *buffer, size_t count, size_t size)
{
    return count > size ? preload_libc()->read_chk(fd, buffer, count, size) : read(fd, buffer, count);
}

PRELOAD_EXPORT ssize_t __pread64_chk(int fd, void *buffer, size_t count, off_t offset, size_t size)
{
    return count > size ? preload_libc()->pread64_chk(fd, buffer, count, offset, size)
                        : pread64(fd, buffer, count, offset);
}

OTHER_NAME(__pread64_chk) ssize_t __pread_chk(int fd, void *buffer, size_t count, off_t offset, size_t size);
