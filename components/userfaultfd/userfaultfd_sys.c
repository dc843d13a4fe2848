/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel, behind the pointer. */
#include "components/userfaultfd/userfaultfd_sys.h"

#include <errno.h>
#include <unistd.h>

long uffd_sys_real(long nr, const long args[6])
{
    const int saved = errno;
    long result = syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);

    if (result == -1) {
        result = -errno;
        errno = saved;
    }
    return result;
}

uffd_sys_fn_t uffd_sys_call = uffd_sys_real;
