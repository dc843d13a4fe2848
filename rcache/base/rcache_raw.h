/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls by an instruction of our own: no hook hears of them, errno
 * stays as it is, nothing of libc is touched. For memory that no user knows,
 * and for hook context. */
#ifndef RCACHE_BASE_RCACHE_RAW_H
#define RCACHE_BASE_RCACHE_RAW_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/** @return What the kernel returned: a negative errno on failure. Hook context. */
static inline long rcache_raw(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = a3;
    register long r8 __asm__("r8") = a4;
    register long r9 __asm__("r9") = a5;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a0;
    register long x1 __asm__("x1") = a1;
    register long x2 __asm__("x2") = a2;
    register long x3 __asm__("x3") = a3;
    register long x4 __asm__("x4") = a4;
    register long x5 __asm__("x5") = a5;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
    return x0;
#else
    const int saved = errno;
    long result = syscall(nr, a0, a1, a2, a3, a4, a5);
    result = result == -1 ? -errno : result;
    errno = saved;
    return result;
#endif
}

#endif
