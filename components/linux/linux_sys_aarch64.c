/* SPDX-License-Identifier: BSD-3-Clause */
/* The system-call instruction of the component "linux", aarch64. */
#include "components/linux/linux_sys.h"

#include "opal/memoryhooks/memory_internal.h"

linux_sys_fn_t linux_sys_call = linux_sys_real;

OPAL_MEM_HOOKS_PATH long linux_sys_real(long nr, const long args[6])
{
    /* All loads first: a sanitizer makes calls of them, which would overwrite the registers below. */
    const long a0 = args[0], a1 = args[1], a2 = args[2], a3 = args[3], a4 = args[4], a5 = args[5];
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a0;
    register long x1 __asm__("x1") = a1;
    register long x2 __asm__("x2") = a2;
    register long x3 __asm__("x3") = a3;
    register long x4 __asm__("x4") = a4;
    register long x5 __asm__("x5") = a5;

    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
