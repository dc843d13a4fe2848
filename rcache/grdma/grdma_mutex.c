/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's part of grdma_mutex.h: sleeping and waking. Raw system calls, which leave errno alone and run no hook. */
#include "rcache/grdma/grdma_mutex.h"

#include <linux/futex.h>
#include <stddef.h>

#include "rcache/base/rcache_raw.h"

static void futex(grdma_mutex_t *mutex, long operation, long value)
{
    rcache_raw(SYS_futex, (long) (uintptr_t) &mutex->state, operation | FUTEX_PRIVATE_FLAG, value, 0, 0, 0);
}

/* Returns from the kernel that mean nothing (a signal, a word that has changed already) lead to another look. */
void grdma_mutex_wait(grdma_mutex_t *mutex)
{
    while (atomic_exchange(&mutex->state, 2) != 0) {
        futex(mutex, FUTEX_WAIT, 2);
    }
}

void grdma_mutex_wake(grdma_mutex_t *mutex)
{
    futex(mutex, FUTEX_WAKE, 1);
}
