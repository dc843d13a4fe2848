/* SPDX-License-Identifier: BSD-3-Clause */
/* The system-call instruction of the component "linux", x86-64. */
#include "components/linux/linux_sys.h"

#include "opal/memoryhooks/memory_internal.h"

linux_sys_fn_t linux_sys_call = linux_sys_real;

OPAL_MEM_HOOKS_PATH long linux_sys_real(long nr, const long args[6])
{
    /* All loads first: a sanitizer makes calls of them, which would overwrite the registers below. */
    const long a0 = args[0], a1 = args[1], a2 = args[2], a3 = args[3], a4 = args[4], a5 = args[5];
    register long r10 __asm__("r10") = a3;
    register long r8 __asm__("r8") = a4;
    register long r9 __asm__("r9") = a5;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
