/* SPDX-License-Identifier: BSD-3-Clause */
/* The lock of a cache: one holder at a time, and nobody sleeps for ever. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "rcache/grdma/grdma_mutex.h"
#include "test/test_main.h"

enum { THREADS = 4, ROUNDS = 200000 };

static grdma_mutex_t mutex;
static bool is_locked_really;
static unsigned long total; /* Under the lock. */
static _Atomic unsigned inside, at_once;

static void *count(void *arg)
{
    (void) arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (is_locked_really && (i % 4 != 0 || !grdma_mutex_try(&mutex))) {
            grdma_mutex_lock(&mutex);
        }
        atomic_fetch_add(&at_once, atomic_fetch_add(&inside, 1) != 0);
        __atomic_store_n(&total, __atomic_load_n(&total, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
        if (i % 64 == 0) {
            sched_yield(); /* So that others find it held, and sleep. */
        }
        atomic_fetch_sub(&inside, 1);
        if (is_locked_really) {
            grdma_mutex_unlock(&mutex);
        }
    }
    return NULL;
}

static void run(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

START_TEST(one_thread_at_a_time_has_it)
{
    is_locked_really = true;
    run();
    ck_assert_uint_eq(at_once, 0);
    ck_assert_uint_eq(total, (unsigned long) THREADS * ROUNDS);
    ck_assert_uint_eq(atomic_load(&mutex.state), 0);
}
END_TEST

START_TEST(twin_without_it_threads_meet)
{
    run();
    ck_assert_uint_gt(at_once, 0);
}
END_TEST

START_TEST(held_one_is_not_got_and_errno_is_kept)
{
    errno = 4711;
    ck_assert(grdma_mutex_try(&mutex));
    ck_assert(!grdma_mutex_try(&mutex));
    atomic_store(&mutex.state, 2); /* As if somebody waited. */
    grdma_mutex_unlock(&mutex);
    ck_assert_int_eq(errno, 4711);
    ck_assert(grdma_mutex_try(&mutex));
    grdma_mutex_init(&mutex);
    ck_assert(grdma_mutex_try(&mutex));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma_mutex");
    TCase *tcase = tcase_create("mutex");

    tcase_set_timeout(tcase, 240);
    tcase_add_test(tcase, one_thread_at_a_time_has_it);
    tcase_add_test(tcase, twin_without_it_threads_meet);
    tcase_add_test(tcase, held_one_is_not_got_and_errno_is_kept);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
