/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls of the component "linux" where nobody has written the
 * instruction: by libc's syscall(), found once, so that no slot leads back here. */
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "components/linux/linux_got.h"
#include "components/linux/linux_sys.h"

typedef long (*syscall_fn_t)(long nr, ...);

linux_sys_fn_t linux_sys_call = linux_sys_real;

/* Looked up by the first call, that of linux_facts_read(): no slot is redirected then. */
static _Atomic uintptr_t libc_syscall;

static syscall_fn_t find_syscall(void)
{
    uintptr_t function = atomic_load_explicit(&libc_syscall, memory_order_relaxed);

    if (function == 0) {
        function = linux_got_lookup("syscall");
        atomic_store_explicit(&libc_syscall, function, memory_order_relaxed);
    }
    return function != 0 ? (syscall_fn_t) function : syscall;
}

long linux_sys_real(long nr, const long args[6])
{
    const syscall_fn_t function = find_syscall();
    const int saved_errno = errno;
    const long result = function(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
    const long answer = result == -1 ? -(long) errno : result;

    errno = saved_errno;
    return answer;
}
