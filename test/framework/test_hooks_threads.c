/* SPDX-License-Identifier: BSD-3-Clause */
/* The dispatch contract against other threads: after unregister or finalize
 * has returned, nobody is inside a callback or enters it. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "framework/hooks/hooks_internal.h"
#include "test/test_main.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))

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
    /* The twin goes on until it is seen. */
    for (int i = 0; i < rounds || (!wait && atomic_load(&violations) == 0 && i < 100 * rounds); i++) {
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

/* Whoever waits for the other is not to use up its time where the processors are not theirs alone. */
static void step_aside(unsigned *spins)
{
    if (++*spins % 4096 == 0) {
        sched_yield();
    }
}

static void *release_each_round(void *arg)
{
    const opal_mem_hooks_range_t range = { PAGE, PAGE };
    int last = 0;
    (void) arg;
    for (unsigned spins = 0; atomic_load(&alive);) {
        int now = atomic_load(&round_number);
        if (now == last) {
            step_aside(&spins);
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
    int rounds = 0;
    for (int i = 1; i <= 20000 || (met == 0 && i <= 1000000); i++) {
        rounds = i;
        atomic_store(&inserted, 0);
        atomic_store(&callback_saw[0], 0);
        atomic_store(&round_number, i);
        for (volatile int spin = i % 64; spin > 0; spin--) {
        }
        atomic_store_explicit(&inserted, 1, memory_order_relaxed);
        bool window = opal_mem_hooks_window_overlaps(PAGE, PAGE);
        bool gone = atomic_load(&callback_saw[1]) == i;
        met += window;
        for (unsigned spins = 0;
             atomic_load(&callback_saw[1]) != i || opal_mem_hooks_window_overlaps(PAGE, PAGE);) {
            step_aside(&spins);
        }
        if (!window && !gone && !atomic_load(&callback_saw[0])) {
            atomic_fetch_add(&missed, 1);
        }
    }
    atomic_store(&alive, 0);
    pthread_join(thread, NULL);
    printf("%d of %d rounds met an open window\n", met, rounds);
    ck_assert_int_gt(met, 0);
    ck_assert_int_eq(atomic_load(&missed), 0);
}
END_TEST

/* ---- Lists that grow meanwhile -------------------------------------------------------------------- */

/* Room for this many callbacks is there without an allocation, and in each array allocated while one or two
 * callbacks are registered. */
#define CAPACITY 16

static atomic_int allocations, hold_allocation;
static _Thread_local bool may_be_held;
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    while (may_be_held && atomic_load(&hold_allocation)) {
        usleep(100);
    }
    return __real_calloc(count, size);
}

static void does_nothing(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
}

/* Take entries that are dead at once. */
static void waste_entries(int count)
{
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(opal_mem_hooks_register_release(does_nothing, NULL), OPAL_SUCCESS);
        ck_assert_int_eq(opal_mem_hooks_unregister_release(does_nothing), OPAL_SUCCESS);
    }
}

static int rc_of_register;

static void *register_one_more(void *arg)
{
    (void) arg;
    wait_until(&inside);
    may_be_held = true;
    rc_of_register = opal_mem_hooks_register_release(does_nothing, NULL);
    return NULL;
}

static atomic_int last_calls;

static void comes_last(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    atomic_fetch_add(&last_calls, 1);
}

static int rc_of_last;

/* The array that this dispatch reads is replaced when the other thread's callback is there. */
static void removes_the_last_after_the_array(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    atomic_store(&inside, 1);
    while (opal_mem_hooks_unregister_release(does_nothing) == OPAL_ERR_NOT_FOUND) {
        usleep(100);
    }
    rc_of_last = opal_mem_hooks_unregister_release(comes_last);
}

START_TEST(callback_removed_after_its_array_was_replaced_is_not_entered)
{
    pthread_t thread;
    ck_assert_int_eq(opal_mem_hooks_register_release(removes_the_last_after_the_array, NULL), OPAL_SUCCESS);
    waste_entries(CAPACITY - 2);
    ck_assert_int_eq(opal_mem_hooks_register_release(comes_last, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(atomic_load(&allocations), 0);
    pthread_create(&thread, NULL, register_one_more, NULL);
    release_once(NULL);
    pthread_join(thread, NULL);
    ck_assert_int_eq(rc_of_register, OPAL_SUCCESS);
    ck_assert_int_eq(atomic_load(&allocations), 1);
    ck_assert_int_eq(rc_of_last, OPAL_SUCCESS);
    ck_assert_int_eq(atomic_load(&last_calls), 0);
}
END_TEST

static atomic_int leave;

static void stays_inside(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    atomic_store(&inside, 1);
    wait_until(&leave);
}

static void *stop_hooks(void *arg)
{
    (void) arg;
    opal_mem_hooks_stop();
    return NULL;
}

/* A registration that has found no room allocates, while finalize waits for a callback. */
START_TEST(registration_during_finalize_is_refused_and_frees_nothing_twice)
{
    pthread_t releasing, registering, stopping;
    ck_assert_int_eq(opal_mem_hooks_register_release(stays_inside, NULL), OPAL_SUCCESS);
    waste_entries(CAPACITY - 1 + CAPACITY - 1);
    ck_assert_int_eq(atomic_load(&allocations), 1);
    atomic_store(&hold_allocation, 1);
    pthread_create(&releasing, NULL, release_once, NULL);
    pthread_create(&registering, NULL, register_one_more, NULL);
    while (atomic_load(&allocations) < 2) {
        usleep(100);
    }
    pthread_create(&stopping, NULL, stop_hooks, NULL);
    while (opal_mem_hooks_support_level() != 0) {
        usleep(100);
    }
    usleep(10 * 1000); /* It comes to where it waits. */
    atomic_store(&hold_allocation, 0);
    usleep(10 * 1000);
    atomic_store(&leave, 1);
    pthread_join(releasing, NULL);
    pthread_join(registering, NULL);
    pthread_join(stopping, NULL);
    ck_assert_int_eq(rc_of_register, OPAL_ERR_NOT_SUPPORTED);
    set_up();
    ck_assert_int_eq(opal_mem_hooks_register_release(does_nothing, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(does_nothing), OPAL_SUCCESS);
}
END_TEST

/* ---- A signal between the claim of a slot and its publication -------------------------------------- */

static opal_mem_hooks_range_t *unreadable;
static atomic_int own_calls;
static int rc_of_own;

static void removes_itself(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    atomic_fetch_add(&own_calls, 1);
    rc_of_own = opal_mem_hooks_unregister_release(removes_itself);
}

static void releases_in_handler(int signal_number)
{
    (void) signal_number;
    mprotect(unreadable, PAGE, PROT_READ | PROT_WRITE);
    *unreadable = (opal_mem_hooks_range_t){ 16 * PAGE, PAGE };
    opal_mem_hooks_release_hook((void *) (32 * PAGE), PAGE, true);
}

/* The ranges cannot be read: the signal comes when the slot is claimed and they are copied into it. */
START_TEST(unregister_in_a_signal_handler_does_not_wait_for_its_own_threads_claim)
{
    opal_mem_hooks_window_t window;
    unreadable = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(unreadable, MAP_FAILED);
    ck_assert_int_eq(opal_mem_hooks_register_release(removes_itself, NULL), OPAL_SUCCESS);
    signal(SIGSEGV, releases_in_handler);
    opal_mem_hooks_window_open(&window, unreadable, 1, OPAL_MEM_HOOKS_CAUSE_MUNMAP, true);
    ck_assert(opal_mem_hooks_window_overlaps(16 * PAGE, PAGE));
    opal_mem_hooks_window_close(&window);
    signal(SIGSEGV, SIG_DFL);
    ck_assert_int_eq(atomic_load(&own_calls), 1);
    ck_assert_int_eq(rc_of_own, OPAL_SUCCESS);
    munmap(unreadable, PAGE);
}
END_TEST

static void end_thread(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    pthread_exit(NULL);
}

static void *allocate_once(void *arg)
{
    (void) arg;
    opal_mem_hooks_alloc_hook((void *) PAGE, PAGE, false);
    return NULL;
}

static void run_thread(void *(*function)(void *) )
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, function, NULL), 0);
    pthread_join(thread, NULL);
}

/* Also where every slot is taken. An unregister would wait for ever. */
START_TEST(callback_left_by_the_end_of_its_thread_counts_as_returned)
{
    static opal_mem_hooks_window_t taken[OPAL_MEM_HOOKS_SLOTS];
    const opal_mem_hooks_range_t elsewhere = { .start = 100 * PAGE, .length = PAGE };
    const size_t count = _i == 0 ? 0 : OPAL_MEM_HOOKS_SLOTS;
    for (size_t i = 0; i < count; i++) {
        opal_mem_hooks_window_open(&taken[i], &elsewhere, 1, OPAL_MEM_HOOKS_CAUSE_MUNMAP, true);
    }
    ck_assert_int_eq(opal_mem_hooks_register_release(end_thread, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(end_thread, NULL), OPAL_SUCCESS);
    run_thread(release_once);
    run_thread(allocate_once);
    ck_assert(!opal_mem_hooks_window_overlaps(PAGE, PAGE));
    ck_assert_int_eq(opal_mem_hooks_unregister_release(end_thread), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_unregister_alloc(end_thread), OPAL_SUCCESS);
    for (size_t i = count; i-- > 0;) {
        opal_mem_hooks_window_close(&taken[i]);
    }
}
END_TEST

int main(void)
{
    if (getenv("OPALMEM_TEST_VALGRIND") != NULL) {
        return test_skip("threads that run at the same time: valgrind lets them take turns, and these spin");
    }
    Suite *suite = suite_create("hooks_threads");
    TCase *tests = tcase_create("dispatch");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, unregister_waits_for_a_callback_on_another_thread);
    tcase_add_test(tests, finalize_waits_for_a_callback_on_another_thread);
    tcase_add_test(tests, callbacks_that_remove_each_other_do_not_wait_for_ever);
    tcase_add_test(tests, no_callback_sees_its_data_after_unregister);
    tcase_add_test(tests, without_waiting_callbacks_do_see_poisoned_data);
    tcase_add_test(tests, release_and_registration_never_miss_each_other);
    suite_add_tcase(suite, tests);
    tests = tcase_create("changes meanwhile");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, callback_removed_after_its_array_was_replaced_is_not_entered);
    tcase_add_test(tests, registration_during_finalize_is_refused_and_frees_nothing_twice);
    tcase_add_test(tests, unregister_in_a_signal_handler_does_not_wait_for_its_own_threads_claim);
    tcase_add_loop_test(tests, callback_left_by_the_end_of_its_thread_counts_as_returned, 0, 2);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
