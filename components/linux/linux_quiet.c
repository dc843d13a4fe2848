/* SPDX-License-Identifier: BSD-3-Clause */
/* A short section in which this thread runs no signal handler and no thread of
 * the process forks. Neither side holds a lock while it waits, so that the
 * other fork handlers of the process may do what they like. */
#include "components/linux/linux.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "components/linux/linux_sys.h"

/* Each side announces itself, then looks at the other's word: sequentially consistent, so that at
 * least one of the two sees the other. A fork waits, being the patient one; the section gives up. */
static _Atomic int forks;     /* Threads between their prepare and their parent handler. */
static _Atomic bool is_quiet; /* The section is running. Set by its thread. */

static uint64_t saved_signals; /* Of the section's thread, while is_quiet. */

static void wait_a_little(void)
{
    const struct timespec pause = { .tv_sec = 0, .tv_nsec = 20000 };

    linux_sys_nanosleep(&pause);
}

static void before_fork(void)
{
    atomic_fetch_add(&forks, 1);
    while (atomic_load(&is_quiet)) {
        wait_a_little();
    }
}

static void after_fork_in_parent(void)
{
    atomic_fetch_sub(&forks, 1);
}

/* The other threads that were about to fork do not exist here. */
static void after_fork_in_child(void)
{
    atomic_store(&forks, 0);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static bool keep_forks_away(void)
{
    for (int tries = 0; tries < 50; tries++) {
        atomic_store(&is_quiet, true);
        if (atomic_load(&forks) == 0) {
            return true;
        }
        atomic_store(&is_quiet, false);
        wait_a_little();
    }
    return false;
}

bool linux_quiet_begin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const uint64_t all = UINT64_MAX;

    pthread_once(&once, watch_forks);
    if (linux_failed(linux_sys_sigmask(SIG_SETMASK, &all, &saved_signals))) {
        return false;
    }
    if (!keep_forks_away()) {
        linux_sys_sigmask(SIG_SETMASK, &saved_signals, NULL);
        return false;
    }
    return true;
}

void linux_quiet_end(void)
{
    atomic_store(&is_quiet, false);
    linux_sys_sigmask(SIG_SETMASK, &saved_signals, NULL);
}
