/* SPDX-License-Identifier: BSD-3-Clause */
/* Implements rcache_helper.h. */
#include "rcache/base/rcache_helper.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "opal/mca/base/base.h"
#include "rcache/base/rcache_base.h"
#include "rcache/base/rcache_base_list.h"

_Atomic uint32_t mca_rcache_helper_state;

/* Protects the thread's life. Never taken by hooks. */
static pthread_mutex_t life_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t thread; /* Under life_lock, like the next. */
static bool is_there, has_complained;

static void wait_while_asleep(void)
{
    syscall(SYS_futex, &mca_rcache_helper_state, FUTEX_WAIT_PRIVATE, MCA_RCACHE_HELPER_ASLEEP, NULL, NULL, 0);
}

static void wake(void)
{
    syscall(SYS_futex, &mca_rcache_helper_state, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static bool change(uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong(&mca_rcache_helper_state, &from, to);
}

/* Who changes ASLEEP wakes. The helper falls asleep only from AWAKE, which a caller that comes meanwhile changes. */
void mca_rcache_helper_call(void)
{
    const int saved_errno = errno;

    if (change(MCA_RCACHE_HELPER_ASLEEP, MCA_RCACHE_HELPER_WANTED)) {
        wake();
    } else {
        change(MCA_RCACHE_HELPER_AWAKE, MCA_RCACHE_HELPER_WANTED);
    }
    errno = saved_errno;
}

static void pause_for_more(void)
{
    const struct timespec time = { .tv_nsec = MCA_RCACHE_HELPER_PAUSE_US * 1000L };

    nanosleep(&time, NULL);
}

static void *help(void *arg)
{
    uint32_t state;

    pthread_setname_np(pthread_self(), "opalmem-helper");
    while ((state = atomic_load(&mca_rcache_helper_state)) != MCA_RCACHE_HELPER_STOPPING) {
        if (state == MCA_RCACHE_HELPER_ASLEEP) {
            wait_while_asleep();
        } else if (state == MCA_RCACHE_HELPER_AWAKE) {
            change(MCA_RCACHE_HELPER_AWAKE, MCA_RCACHE_HELPER_ASLEEP);
        } else {
            pause_for_more();
            if (change(MCA_RCACHE_HELPER_WANTED, MCA_RCACHE_HELPER_AWAKE)) {
                mca_rcache_base_progress();
            }
        }
    }
    return arg;
}

/* The program's signals are not its business. */
static int create_locked(void)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&thread, NULL, help, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

static void start_while_open(void *arg)
{
    int *error = arg;

    pthread_mutex_lock(&life_lock);
    if (mca_rcache_base_settings.helper && !is_there && !has_complained) {
        atomic_store(&mca_rcache_helper_state, MCA_RCACHE_HELPER_WANTED); /* There may be work already. */
        *error = create_locked();
        is_there = *error == 0;
        has_complained = !is_there;
        if (!is_there) {
            atomic_store(&mca_rcache_helper_state, MCA_RCACHE_HELPER_NONE);
        }
    }
    pthread_mutex_unlock(&life_lock);
}

/* Nothing is started once the list is closed, and only then it is stopped. */
void mca_rcache_helper_start(void)
{
    int error = 0;

    mca_rcache_list_while_open(start_while_open, &error);
    if (error != 0) {
        mca_base_log(
            MCA_BASE_LOG_WARN,
            "rcache_base_helper is true, but no thread can be started (%s): registrations of released memory "
            "stay pinned until the next call into their cache",
            strerror(error));
    }
}

void mca_rcache_helper_stop(void)
{
    pthread_mutex_lock(&life_lock);
    if (is_there) {
        atomic_store(&mca_rcache_helper_state, MCA_RCACHE_HELPER_STOPPING);
        wake();
        pthread_join(thread, NULL);
        atomic_store(&mca_rcache_helper_state, MCA_RCACHE_HELPER_NONE);
        is_there = false;
    }
    has_complained = false;
    pthread_mutex_unlock(&life_lock);
}

void mca_rcache_helper_reset_child(void)
{
    pthread_mutex_init(&life_lock, NULL);
    is_there = has_complained = false;
    atomic_store(&mca_rcache_helper_state, MCA_RCACHE_HELPER_NONE);
}
