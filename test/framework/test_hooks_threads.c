/* SPDX-License-Identifier: BSD-3-Clause */
/* The dispatch contract against other threads: after unregister or finalize
 * has returned, nobody is inside a callback or enters it. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "framework/hooks/hooks_internal.h"
#include "test/test_main.h"

#define PAGE 4096

static void set_up(void)
{
    opal_mem_hooks_set_support(OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MMAP_SUPPORT);
}

static atomic_int inside, entered, alive = 1;

static void slow(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    atomic_store(&inside, 1);
    usleep(200 * 1000);
    atomic_store(&inside, 0);
}

static void *release_once(void *arg)
{
    (void) arg;
    opal_mem_hooks_release_hook((void *) PAGE, PAGE, false);
    return NULL;
}

static void wait_until(atomic_int *flag)
{
    while (!atomic_load(flag)) {
        usleep(100);
    }
}

START_TEST(unregister_waits_for_a_callback_on_another_thread)
{
    pthread_t thread;
    ck_assert_int_eq(opal_mem_hooks_register_release(slow, NULL), OPAL_SUCCESS);
    pthread_create(&thread, NULL, release_once, NULL);
    wait_until(&inside);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(slow), OPAL_SUCCESS);
    ck_assert_int_eq(atomic_load(&inside), 0);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(finalize_waits_for_a_callback_on_another_thread)
{
    pthread_t thread;
    ck_assert_int_eq(opal_mem_hooks_register_release(slow, NULL), OPAL_SUCCESS);
    pthread_create(&thread, NULL, release_once, NULL);
    wait_until(&inside);
    opal_mem_hooks_stop();
    ck_assert_int_eq(atomic_load(&inside), 0);
    pthread_join(thread, NULL);
}
END_TEST

/* Two callbacks on two threads, each removing the other's. */
static int rc_of_a, rc_of_b;
static atomic_int in_a, in_b;
static void callback_b(void *buf, size_t length, void *cbdata, bool from_alloc);

static void callback_a(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) length, (void) cbdata, (void) from_alloc;
    if (buf == (void *) PAGE) {
        atomic_store(&in_a, 1);
        wait_until(&in_b);
        rc_of_a = opal_mem_hooks_unregister_release(callback_b);
    }
}

static void callback_b(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) length, (void) cbdata, (void) from_alloc;
    if (buf == (void *) (2 * PAGE)) {
        atomic_store(&in_b, 1);
        wait_until(&in_a);
        rc_of_b = opal_mem_hooks_unregister_release(callback_a);
    }
}

static void *release_second_page(void *arg)
{
    (void) arg;
    opal_mem_hooks_release_hook((void *) (2 * PAGE), PAGE, false);
    return NULL;
}

START_TEST(callbacks_that_remove_each_other_do_not_wait_for_ever)
{
    pthread_t a, b;
    ck_assert_int_eq(opal_mem_hooks_register_release(callback_a, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(callback_b, NULL), OPAL_SUCCESS);
    pthread_create(&a, NULL, release_once, NULL);
    pthread_create(&b, NULL, release_second_page, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    ck_assert(rc_of_a == OPAL_ERR_RESOURCE_BUSY || rc_of_b == OPAL_ERR_RESOURCE_BUSY);
    ck_assert(rc_of_a == OPAL_SUCCESS || rc_of_a == OPAL_ERR_RESOURCE_BUSY);
    ck_assert(rc_of_b == OPAL_SUCCESS || rc_of_b == OPAL_ERR_RESOURCE_BUSY);
}
END_TEST

/* A callback whose data are poisoned as soon as unregister has returned. */
struct victim {
    atomic_int good;
    atomic_ulong calls;
};
static atomic_ulong violations;

static void checks_its_data(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    struct victim *victim = cbdata;
    (void) buf, (void) length, (void) from_alloc;
    atomic_fetch_add(&victim->calls, 1);
    for (int i = 0; i < 20; i++) {
        if (!atomic_load(&victim->good)) {
            atomic_fetch_add(&violations, 1);
        }
    }
}

static void *release_all_the_time(void *arg)
{
    (void) arg;
    while (atomic_load(&alive)) {
        opal_mem_hooks_release_hook((void *) PAGE, PAGE, false);
        atomic_fetch_add(&entered, 1);
    }
    return NULL;
}

/* `wait`: use the library. Otherwise the twin: poison without waiting for anybody. */
static unsigned long hammer(bool wait, int rounds)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    static struct victim victims[2];
    unsigned long calls = 0;
    atomic_store(&violations, 0);
    atomic_store(&alive, 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, release_all_the_time, NULL);
    }
    for (int i = 0; i < rounds; i++) {
        struct victim *victim = &victims[i % 2];
        atomic_store(&victim->good, 1);
        ck_assert_int_eq(opal_mem_hooks_register_release(checks_its_data, victim), OPAL_SUCCESS);
        for (int start = atomic_load(&entered); atomic_load(&entered) < start + 20;) {
            sched_yield();
        }
        if (wait) {
            ck_assert_int_eq(opal_mem_hooks_unregister_release(checks_its_data), OPAL_SUCCESS);
            atomic_store(&victim->good, 0);
        } else {
            atomic_store(&victim->good, 0);
            sched_yield();
            ck_assert_int_eq(opal_mem_hooks_unregister_release(checks_its_data), OPAL_SUCCESS);
        }
        calls += atomic_exchange(&victim->calls, 0);
    }
    atomic_store(&alive, 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_gt(calls, 0);
    return atomic_load(&violations);
}

START_TEST(no_callback_sees_its_data_after_unregister)
{
    ck_assert_uint_eq(hammer(true, 600), 0);
}
END_TEST

START_TEST(without_waiting_callbacks_do_see_poisoned_data)
{
    ck_assert_uint_gt(hammer(false, 600), 0);
}
END_TEST

/* The store-buffering pair of the protocol: a registration that inserts itself and finds no window over
 * its pages must have been seen by every release that opens one. */
static atomic_int inserted, round_number, missed;
static atomic_int callback_saw[2];

static void looks_at_index(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) length, (void) cbdata, (void) from_alloc;
    if (buf == (void *) PAGE) {
        atomic_store_explicit(&callback_saw[0], atomic_load_explicit(&inserted, memory_order_acquire),
                              memory_order_relaxed);
    }
}

static void *release_each_round(void *arg)
{
    const opal_mem_hooks_range_t range = { PAGE, PAGE };
    int last = 0;
    (void) arg;
    while (atomic_load(&alive)) {
        int now = atomic_load(&round_number);
        if (now == last) {
            continue;
        }
        opal_mem_hooks_window_t window;
        opal_mem_hooks_window_open(&window, &range, 1, OPAL_MEM_HOOKS_CAUSE_MUNMAP, true);
        for (volatile int spin = now % 512; spin > 0; spin--) { /* The system call takes a while. */
        }
        atomic_store(&callback_saw[1], now); /* "The pages go." */
        opal_mem_hooks_window_close(&window);
        last = now;
    }
    return NULL;
}

START_TEST(release_and_registration_never_miss_each_other)
{
    pthread_t thread;
    int met = 0;
    ck_assert_int_eq(opal_mem_hooks_register_release(looks_at_index, NULL), OPAL_SUCCESS);
    pthread_create(&thread, NULL, release_each_round, NULL);
    for (int i = 1; i <= 60000; i++) {
        atomic_store(&inserted, 0);
        atomic_store(&callback_saw[0], 0);
        atomic_store(&round_number, i);
        for (volatile int spin = i % 64; spin > 0; spin--) {
        }
        atomic_store_explicit(&inserted, 1, memory_order_relaxed);
        bool window = opal_mem_hooks_window_overlaps(PAGE, PAGE);
        bool gone = atomic_load(&callback_saw[1]) == i;
        met += window;
        while (atomic_load(&callback_saw[1]) != i || opal_mem_hooks_window_overlaps(PAGE, PAGE)) {
        }
        if (!window && !gone && !atomic_load(&callback_saw[0])) {
            atomic_fetch_add(&missed, 1);
        }
    }
    atomic_store(&alive, 0);
    pthread_join(thread, NULL);
    printf("%d of 60000 rounds met an open window\n", met);
    ck_assert_int_gt(met, 0);
    ck_assert_int_eq(atomic_load(&missed), 0);
}
END_TEST

int main(void)
{
    if (getenv("OPALMEM_TEST_VALGRIND") != NULL) {
        return test_skip("threads that run at the same time: valgrind lets them take turns, and these spin");
    }
    Suite *suite = suite_create("hooks_threads");
    TCase *tests = tcase_create("dispatch");
    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, unregister_waits_for_a_callback_on_another_thread);
    tcase_add_test(tests, finalize_waits_for_a_callback_on_another_thread);
    tcase_add_test(tests, callbacks_that_remove_each_other_do_not_wait_for_ever);
    tcase_add_test(tests, no_callback_sees_its_data_after_unregister);
    tcase_add_test(tests, without_waiting_callbacks_do_see_poisoned_data);
    tcase_add_test(tests, release_and_registration_never_miss_each_other);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
