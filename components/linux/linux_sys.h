/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls of the component "linux": all go through one pointer, which a
 * test replaces to make any of them fail. They do not touch errno, take no
 * lock and are no cancellation points, and they do not run into the sites that
 * the component has replaced. All return what the kernel returns (-errno). */
#ifndef COMPONENTS_LINUX_LINUX_SYS_H
#define COMPONENTS_LINUX_LINUX_SYS_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

/* Newer architectures have openat only. -1: no such call. */
#ifdef SYS_open
#define LINUX_SYS_OPEN SYS_open
#define LINUX_SYS_CREAT SYS_creat
#else
#define LINUX_SYS_OPEN (-1)
#define LINUX_SYS_CREAT (-1)
#endif

/* Which headers older than the kernel do not name (glibc 2.31). From 424 on, numbers are those of all architectures. */
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

/** UFFDIO_MOVE (Linux 6.8), which older headers do not name. */
#define LINUX_UFFDIO_MOVE UINT32_C(0xc028aa05)
/** The other two requests by which a range changes hands. */
#define LINUX_UFFDIO_REGISTER UINT32_C(0xc020aa00)
#define LINUX_UFFDIO_UNREGISTER UINT32_C(0x8010aa01)

typedef long (*linux_sys_fn_t)(long nr, const long args[6]);

/** The call in use: linux_sys_real but in tests. Changed only while nothing is patched or one thread runs. */
extern linux_sys_fn_t linux_sys_call;

/** The kernel. */
long linux_sys_real(long nr, const long args[6]);

#define LINUX_SYS(nr, ...) linux_sys_call((nr), (const long[6]){ __VA_ARGS__ })

static inline long linux_sys_mmap(uintptr_t addr, size_t length, int prot, int flags)
{
    return LINUX_SYS(SYS_mmap, (long) addr, (long) length, prot, flags, -1, 0);
}

static inline long linux_sys_munmap(uintptr_t addr, size_t length)
{
    return LINUX_SYS(SYS_munmap, (long) addr, (long) length);
}

static inline long linux_sys_mprotect(uintptr_t addr, size_t length, int prot)
{
    return LINUX_SYS(SYS_mprotect, (long) addr, (long) length, prot);
}

/** Replace this thread's mask of 64 signals, also those that libc keeps for itself. */
static inline long linux_sys_sigmask(int how, const uint64_t *set, uint64_t *old)
{
    return LINUX_SYS(SYS_rt_sigprocmask, how, (long) set, (long) old, sizeof(*set));
}

static inline long linux_sys_nanosleep(const struct timespec *time)
{
    return LINUX_SYS(SYS_nanosleep, (long) time);
}

static inline long linux_sys_open(const char *path, int flags)
{
    return LINUX_SYS(SYS_openat, AT_FDCWD, (long) path, flags);
}

static inline long linux_sys_read(int fd, void *buffer, size_t size)
{
    return LINUX_SYS(SYS_read, fd, (long) buffer, (long) size);
}

static inline long linux_sys_close(int fd)
{
    return LINUX_SYS(SYS_close, fd);
}

static inline long linux_sys_shmctl(int id, int command, void *buffer)
{
    return LINUX_SYS(SYS_shmctl, id, command, (long) buffer);
}

#endif
