/* SPDX-License-Identifier: BSD-3-Clause */
/* The instruction of rcache_raw.h. */
#include "rcache/base/rcache_raw.h"

#include <errno.h>
#include <unistd.h>

/* The component "linux" replaces instructions whose number stands right before them, wherever they are. So no caller's
 * number may come in here, neither by inlining nor by a copy of the function made for it. */
#if defined(__has_attribute) && __has_attribute(noipa)
#define RCACHE_RAW_APART __attribute__((noipa))
#else
#define RCACHE_RAW_APART __attribute__((noinline))
#endif

RCACHE_RAW_APART long mca_rcache_raw(long nr, const long args[6])
{
    /* All loads first: a sanitizer makes calls of them, which would overwrite the registers below. */
    const long a0 = args[0], a1 = args[1], a2 = args[2], a3 = args[3], a4 = args[4], a5 = args[5];
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
