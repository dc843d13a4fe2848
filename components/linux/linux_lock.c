/* SPDX-License-Identifier: BSD-3-Clause */
/* The lock of the component's tables and of changes of code. A hook may wait for it: its holder makes raw system calls
 * and memory accesses only, allocates nothing, and runs no signal handler that could come here again. A fork child is
 * born unlocked; what another thread of its parent was about then is a list with or without its last entry, and code
 * with the old or the new bytes. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "components/linux/linux.h"
#include "components/linux/linux_sys.h"

static _Atomic bool is_locked;

static void wait_a_little(void)
{
    const struct timespec pause = { .tv_sec = 0, .tv_nsec = 20000 };

    linux_sys_nanosleep(&pause);
}

bool linux_lock(uint64_t *saved_signals)
{
    const uint64_t all = UINT64_MAX;

    if (linux_failed(linux_sys_sigmask(SIG_SETMASK, &all, saved_signals))) {
        return false;
    }
    while (atomic_exchange_explicit(&is_locked, true, memory_order_acquire)) {
        wait_a_little();
    }
    return true;
}

void linux_unlock(const uint64_t *saved_signals)
{
    atomic_store_explicit(&is_locked, false, memory_order_release);
    linux_sys_sigmask(SIG_SETMASK, saved_signals, NULL);
}

static void unlock_in_child(void)
{
    atomic_store(&is_locked, false);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, unlock_in_child);
}

void linux_lock_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch_forks);
}
