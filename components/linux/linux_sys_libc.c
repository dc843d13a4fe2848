/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls of the component "linux" where nobody has written the
 * instruction: by libc's syscall(), found once, so that no slot leads back here. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "components/linux/linux_got.h"
#include "components/linux/linux_sys.h"

typedef long (*syscall_fn_t)(long nr, ...);

linux_sys_fn_t linux_sys_call = linux_sys_real;

/* Before libc's is asked for, no slot is redirected. */
static _Atomic uintptr_t libc_syscall;

void linux_sys_prepare(void)
{
    atomic_store(&libc_syscall, linux_got_lookup("syscall"));
}

long linux_sys_real(long nr, const long args[6])
{
    const syscall_fn_t known = (syscall_fn_t) atomic_load_explicit(&libc_syscall, memory_order_relaxed);
    const syscall_fn_t function = known != NULL ? known : syscall;
    const int saved_errno = errno;
    const long result = function(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
    const long answer = result == -1 ? -(long) errno : result;

    errno = saved_errno;
    return answer;
}
