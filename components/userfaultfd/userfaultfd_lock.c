/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks on a futex, by system calls alone. */
#include "components/userfaultfd/userfaultfd_lock.h"

#include <linux/futex.h>
#include <signal.h>

#include "components/userfaultfd/userfaultfd_sys.h"

void uffd_lock(uffd_lock_t *lock)
{
    int word = 0;

    if (atomic_compare_exchange_strong_explicit(&lock->word, &word, 1, memory_order_acquire,
                                                memory_order_relaxed)) {
        return;
    }
    while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0) {
        UFFD_SYS(SYS_futex, (long) &lock->word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, 0);
    }
}

void uffd_unlock(uffd_lock_t *lock)
{
    if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2) {
        UFFD_SYS(SYS_futex, (long) &lock->word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
    }
}

void uffd_lock_blocked(uffd_lock_t *lock, uint64_t *mask)
{
    const uint64_t all = UINT64_MAX;

    UFFD_SYS(SYS_rt_sigprocmask, SIG_SETMASK, (long) &all, (long) mask, sizeof(all));
    uffd_lock(lock);
}

void uffd_unlock_blocked(uffd_lock_t *lock, const uint64_t *mask)
{
    uffd_unlock(lock);
    UFFD_SYS(SYS_rt_sigprocmask, SIG_SETMASK, (long) mask, 0, sizeof(*mask));
}
