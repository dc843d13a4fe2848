/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that the tests of both drivers run beside each other until they are told to
 * stop: one that releases pages, and what starts and ends them.
 */
#ifndef TEST_KERNEL_DEVICE_THREADS_H
#define TEST_KERNEL_DEVICE_THREADS_H

#include "test/kernel/device_test.h"

#define SHARED_PAGES 4 /* Of those that discarder() releases. */

static atomic_bool stop;

static inline void start_threads(pthread_t *threads, int count, void *(*run)(void *), void *argument)
{
    atomic_store(&stop, false);
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run, argument), 0);
    }
}

/** Have them stop; each returns NULL, or what has failed. */
static inline void join_threads(pthread_t *threads, int count)
{
    atomic_store(&stop, true);
    for (int i = 0; i < count; i++) {
        void *failed = NULL;
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
}

static inline void *discarder(void *at)
{
    while (!atomic_load(&stop)) {
        memset(at, 1, SHARED_PAGES * PAGE);
        madvise(at, SHARED_PAGES * PAGE, MADV_DONTNEED);
    }
    return NULL;
}

#endif
