/* SPDX-License-Identifier: BSD-3-Clause */
/* Stands between the component and the kernel in unit tests: a handler for a
 * system call's number takes its place, the others go through. */
#ifndef TEST_LINUX_FAKE_SYS_H
#define TEST_LINUX_FAKE_SYS_H

#include <stddef.h>

#include "components/linux/linux_sys.h"

#define FAKE_SYS_MAX 512

typedef long (*fake_sys_fn_t)(const long args[6]);

static fake_sys_fn_t fake_sys[FAKE_SYS_MAX];

static long fake_sys_call(long nr, const long args[6])
{
    const fake_sys_fn_t handler = nr < FAKE_SYS_MAX ? fake_sys[nr] : NULL;

    return handler != NULL ? handler(args) : linux_sys_real(nr, args);
}

/* Calls made through `handler` from now on; NULL: the kernel again. */
static inline void fake_sys_set(long nr, fake_sys_fn_t handler)
{
    fake_sys[nr] = handler;
    linux_sys_call = fake_sys_call;
}

#endif
