/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls without libc: they work before the loader has relocated anything, are no cancellation points, and leave
 * errno alone. All return what the kernel returns (-errno). */
#ifndef TOOLS_RUN_PRELOAD_PRELOAD_RAW_H
#define TOOLS_RUN_PRELOAD_PRELOAD_RAW_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long preload_raw(long nr, const long args[6])
{
    register long r10 __asm__("r10") = args[3];
    register long r8 __asm__("r8") = args[4];
    register long r9 __asm__("r9") = args[5];
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(nr), "D"(args[0]), "S"(args[1]), "d"(args[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#else /* aarch64: local.mk builds this for no third one. */
static inline long preload_raw(long nr, const long args[6])
{
    register long x8 __asm__("x8");
    register long x0 __asm__("x0");
    register long x1 __asm__("x1");
    register long x2 __asm__("x2");
    register long x3 __asm__("x3");
    register long x4 __asm__("x4");
    register long x5 __asm__("x5");

    x8 = nr;
    x0 = args[0];
    x1 = args[1];
    x2 = args[2];
    x3 = args[3];
    x4 = args[4];
    x5 = args[5];
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#endif

#define PRELOAD_RAW(nr, ...) preload_raw((nr), (const long[6]){ __VA_ARGS__ })

#define PRELOAD_SIG_SETMASK 2

/** Block all signals, also those that libc keeps for itself (cancellation). @return The old mask. */
static inline uint64_t preload_block_signals(void)
{
    const uint64_t all = UINT64_MAX;
    uint64_t old = 0;

    PRELOAD_RAW(SYS_rt_sigprocmask, PRELOAD_SIG_SETMASK, (long) &all, (long) &old, sizeof(old));
    return old;
}

static inline void preload_restore_signals(uint64_t mask)
{
    PRELOAD_RAW(SYS_rt_sigprocmask, PRELOAD_SIG_SETMASK, (long) &mask, 0, sizeof(mask));
}

#endif
