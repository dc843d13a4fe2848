/* SPDX-License-Identifier: BSD-3-Clause */
/* The section in which no thread forks: a fork waits for its end, and it does
 * not begin while a fork is under way. */
#include "components/linux/linux.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/linux/fake_sys.h"
#include "test/test_main.h"

static atomic_bool has_forked;
static atomic_bool hold_fork, is_held;

static void *fork_once(void *arg)
{
    const pid_t child = fork();
    int status = 0;

    (void) arg;
    if (child == 0) {
        /* A section can begin in the child, whatever went on in the parent. */
        _exit(linux_quiet_begin() ? 0 : 1);
    }
    atomic_store(&has_forked, true);
    waitpid(child, &status, 0);
    return (void *) (intptr_t) status;
}

/* Prepare handlers run last registered first: this one runs after the section's own. */
static void hold_before_fork(void)
{
    while (atomic_load(&hold_fork)) {
        atomic_store(&is_held, true);
        usleep(100);
    }
}

START_TEST(fork_waits_for_the_end)
{
    pthread_t thread;
    void *status;

    ck_assert(linux_quiet_begin());
    pthread_create(&thread, NULL, fork_once, NULL);
    usleep(50000);
    ck_assert(!atomic_load(&has_forked));
    linux_quiet_end();
    pthread_join(thread, &status);
    ck_assert_ptr_null(status);
}
END_TEST

START_TEST(twin_without_a_section_the_fork_does_not_wait)
{
    pthread_t thread;

    pthread_create(&thread, NULL, fork_once, NULL);
    pthread_join(thread, NULL);
    ck_assert(atomic_load(&has_forked));
}
END_TEST

START_TEST(section_does_not_begin_during_a_fork)
{
    pthread_t thread;
    void *status;

    pthread_atfork(hold_before_fork, NULL, NULL);
    ck_assert(linux_quiet_begin());
    linux_quiet_end();
    atomic_store(&hold_fork, true);
    pthread_create(&thread, NULL, fork_once, NULL);
    while (!atomic_load(&is_held)) {
        usleep(100);
    }
    ck_assert(!linux_quiet_begin());
    atomic_store(&hold_fork, false);
    pthread_join(thread, &status);
    ck_assert_ptr_null(status);
    ck_assert(linux_quiet_begin());
}
END_TEST

static long refuse(const long args[6])
{
    (void) args;
    return -EPERM;
}

START_TEST(section_does_not_begin_when_signals_cannot_be_blocked)
{
    fake_sys_set(SYS_rt_sigprocmask, refuse);
    ck_assert(!linux_quiet_begin());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_quiet");
    TCase *tcase = tcase_create("quiet");

    tcase_add_test(tcase, fork_waits_for_the_end);
    tcase_add_test(tcase, twin_without_a_section_the_fork_does_not_wait);
    tcase_add_test(tcase, section_does_not_begin_during_a_fork);
    tcase_add_test(tcase, section_does_not_begin_when_signals_cannot_be_blocked);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
