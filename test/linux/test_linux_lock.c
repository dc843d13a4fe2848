/* SPDX-License-Identifier: BSD-3-Clause */
/* The lock of the component's tables: one thread at a time, no signal handler
 * in it, and children of a fork begin without it. */
#include "components/linux/linux.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/children.h"
#include "test/linux/fake_sys.h"

/* ---- One at a time --------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS 5000

static bool is_twin; /* Without the lock. */

static void enter(uint64_t *saved)
{
    ck_assert(is_twin || linux_lock(saved));
}

static void leave(const uint64_t *saved)
{
    if (!is_twin) {
        linux_unlock(saved);
    }
}

static atomic_int inside, together;

static void *go_in_and_out(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t saved;

        enter(&saved);
        if (atomic_fetch_add(&inside, 1) != 0) {
            atomic_fetch_add(&together, 1);
        }
        sched_yield();
        atomic_fetch_sub(&inside, 1);
        leave(&saved);
    }
    return arg;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, go_in_and_out, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

START_TEST(one_thread_is_in_it_at_a_time)
{
    run_threads();
    ck_assert_int_eq(atomic_load(&together), 0);
}
END_TEST

START_TEST(twin_without_the_lock_threads_meet)
{
    is_twin = true;
    run_threads();
    ck_assert_int_ne(atomic_load(&together), 0);
}
END_TEST

static atomic_bool has_entered;

static void *enter_once(void *arg)
{
    uint64_t saved;

    enter(&saved);
    atomic_store(&has_entered, true);
    leave(&saved);
    return arg;
}

START_TEST(second_thread_waits_for_the_first)
{
    pthread_t thread;
    uint64_t saved;

    ck_assert(linux_lock(&saved));
    pthread_create(&thread, NULL, enter_once, NULL);
    usleep(50000);
    ck_assert(!atomic_load(&has_entered));
    linux_unlock(&saved);
    pthread_join(thread, NULL);
    ck_assert(atomic_load(&has_entered));
}
END_TEST

/* ---- Signals --------------------------------------------------------------------------------- */

static volatile sig_atomic_t handled;

static void on_signal(int signal_number)
{
    handled = signal_number;
}

static uint64_t blocked_now(void)
{
    uint64_t set = 0;

    ck_assert(!linux_failed(linux_sys_sigmask(SIG_BLOCK, NULL, &set)));
    return set;
}

#define SIGNAL_BIT(number) (UINT64_C(1) << ((number) -1))

START_TEST(no_handler_runs_while_it_is_held)
{
    uint64_t saved;

    signal(SIGUSR1, on_signal);
    ck_assert(linux_lock(&saved));
    raise(SIGUSR1);
    ck_assert_int_eq(handled, 0);
    linux_unlock(&saved);
    for (int i = 0; i < 100000 && handled == 0; i++) {
        usleep(100); /* A thread sanitizer runs handlers when the thread makes a call that it knows. */
    }
    ck_assert_int_eq(handled, SIGUSR1);
}
END_TEST

START_TEST(twin_without_the_lock_the_handler_runs_at_once)
{
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    ck_assert_int_eq(handled, SIGUSR1);
}
END_TEST

/* Libc's own signals (32 and 33) as well: setuid() in another thread must wait, too. */
START_TEST(all_signals_are_blocked_and_then_as_before)
{
    const uint64_t last = emulator_can("blocking of the last two signals") ? 0 : SIGNAL_BIT(63) | SIGNAL_BIT(64);
    const uint64_t never = SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP) | last;
    const uint64_t own = SIGNAL_BIT(SIGUSR2);
    uint64_t saved;

    ck_assert(!linux_failed(linux_sys_sigmask(SIG_SETMASK, &own, NULL)));
    ck_assert(linux_lock(&saved));
    ck_assert_uint_eq(blocked_now() | never, UINT64_MAX);
    linux_unlock(&saved);
    ck_assert_uint_eq(blocked_now(), own);
}
END_TEST

static long refuse(const long args[6])
{
    (void) args;
    return -EPERM;
}

START_TEST(without_blocked_signals_it_is_not_taken)
{
    uint64_t saved;

    fake_sys_set(SYS_rt_sigprocmask, refuse);
    ck_assert(!linux_lock(&saved));
    fake_sys_set(SYS_rt_sigprocmask, NULL);
    ck_assert(linux_lock(&saved)); /* Would wait for ever. */
    linux_unlock(&saved);
}
END_TEST

/* ---- Forks ----------------------------------------------------------------------------------- */

static atomic_bool is_held, may_leave;

static void *hold_it(void *arg)
{
    uint64_t saved;

    ck_assert(linux_lock(&saved));
    atomic_store(&is_held, true);
    while (!atomic_load(&may_leave)) {
        usleep(100);
    }
    linux_unlock(&saved);
    return arg;
}

static pthread_t start_holder(void)
{
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, hold_it, NULL), 0);
    while (!atomic_load(&is_held)) {
        usleep(100);
    }
    return thread;
}

static void stop_holder(pthread_t thread)
{
    atomic_store(&may_leave, true);
    pthread_join(thread, NULL);
}

/* In a child, whose signals are blocked while it waits: the parent must end it. */
static void child_takes_it(void)
{
    uint64_t saved;

    child_says(linux_lock(&saved));
}

START_TEST(child_of_a_fork_begins_unlocked)
{
    pthread_t thread;
    pid_t child;

    linux_lock_prepare();
    linux_lock_prepare();
    thread = start_holder();
    child = fork();
    if (child == 0) {
        child_takes_it();
    }
    child_must_be_good(child);
    stop_holder(thread);
}
END_TEST

START_TEST(twin_child_of_a_fork_that_nobody_hears_of_waits)
{
    pthread_t thread;
    pid_t child;
    int status;

    linux_lock_prepare();
    thread = start_holder();
    child = raw_fork();
    if (child == 0) {
        child_takes_it();
    }
    usleep(300000);
    ck_assert_int_eq(waitpid(child, &status, WNOHANG), 0);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    stop_holder(thread);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_lock");
    TCase *tcase = tcase_create("lock");

    tcase_add_test(tcase, one_thread_is_in_it_at_a_time);
    tcase_add_test(tcase, twin_without_the_lock_threads_meet);
    tcase_add_test(tcase, second_thread_waits_for_the_first);
    tcase_add_test(tcase, no_handler_runs_while_it_is_held);
    tcase_add_test(tcase, twin_without_the_lock_the_handler_runs_at_once);
    tcase_add_test(tcase, all_signals_are_blocked_and_then_as_before);
    tcase_add_test(tcase, without_blocked_signals_it_is_not_taken);
    tcase_add_test(tcase, child_of_a_fork_begins_unlocked);
    tcase_add_test(tcase, twin_child_of_a_fork_that_nobody_hears_of_waits);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
