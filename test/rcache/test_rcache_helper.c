/* SPDX-License-Identifier: BSD-3-Clause */
/* The helper thread: what a hook could only mark is unpinned although the program does not call into its cache again. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>

#include "framework/util/sanitizers.h"
#include "rcache/base/rcache_helper.h"
#include "test/children.h"
#include "test/rcache/grdma_fixture.h"

static long threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    long count = -2; /* "." and "..". */
    ck_assert_ptr_nonnull(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count;
}

static void set_up_with(const char *helper)
{
    setenv("OPALMEM_MCA_rcache_base_helper", helper, 1);
    set_up();
}

static void set_up_helper(void)
{
    set_up_with("1");
}

static void set_up_none(void)
{
    set_up_with("0");
}

static void sleep_ms(long ms)
{
    const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&time, NULL);
}

static bool are_deregistered(long count, long ms)
{
    for (; ms > 0 && atomic_load(&fake.deregistered) < count; ms--) {
        sleep_ms(1);
    }
    return atomic_load(&fake.deregistered) == count;
}

static bool is_asleep(void)
{
    for (int i = 0; i < 10000 && atomic_load(&mca_rcache_helper_state) != MCA_RCACHE_HELPER_ASLEEP; i++) {
        sleep_ms(1);
    }
    return atomic_load(&mca_rcache_helper_state) == MCA_RCACHE_HELPER_ASLEEP;
}

START_TEST(released_registration_is_unpinned_without_another_call)
{
    use(0, 1);
    ck_assert(is_asleep());
    release(0, 1);
    ck_assert(are_deregistered(1, 10000));
}
END_TEST

/* The twin: what waits, waits for the next call. */
START_TEST(without_the_helper_it_waits_for_the_next_call)
{
    use(0, 1);
    release(0, 1);
    ck_assert(!are_deregistered(1, 100));
    mca_rcache_base_progress();
    ck_assert_int_eq(atomic_load(&fake.deregistered), 1);
    ck_assert_uint_eq(atomic_load(&mca_rcache_helper_state), MCA_RCACHE_HELPER_NONE);
}
END_TEST

START_TEST(each_of_many_releases_is_attended_to)
{
    const long many = test_rounds(200);

    for (long i = 0; i < many; i++) {
        use(i, 1);
        release(i, 1);
        if (i % 3 == 0) {
            ck_assert(are_deregistered(i + 1, 10000));
        }
    }
    ck_assert(are_deregistered(many, 10000));
}
END_TEST

START_TEST(registration_in_use_is_left_to_who_gives_it_back)
{
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    release(0, 1);
    ck_assert(!are_deregistered(1, 50));
    put(reg);
    ck_assert(are_deregistered(1, 10000));
}
END_TEST

/* The system call that wakes does not fail by itself: here it says that it does, to the thread that asks for it. */
static _Thread_local bool calls_fail;
static _Thread_local int failed_calls;

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    const long result = __real_syscall(number, a, b, c, d, e, f);

    if (calls_fail && number == SYS_futex) {
        failed_calls++;
        errno = EFAULT;
    }
    return result;
}

START_TEST(waking_keeps_errno)
{
    ck_assert(is_asleep());
    calls_fail = true;
    errno = 1234;
    mca_rcache_helper_wake();
    ck_assert_int_eq(errno, 1234);
    calls_fail = false;
    ck_assert_int_eq(failed_calls, 1);
}
END_TEST

START_TEST(fork_child_gets_a_helper_of_its_own_when_it_uses_the_cache)
{
    ck_assert(
        is_asleep()); /* A starting thread may hold a lock of ASan's allocator, which stays taken in the child. */

    const pid_t pid = fork();
    if (pid == 0) {
        use(0, 1);
        const bool is_there = is_asleep();
        release(0, 1);
        child_says(is_there && are_deregistered(1, 10000));
    }
    child_must_be_good(pid);
}
END_TEST

/* The kernel lists a thread a little longer than it can be joined. */
static bool are_threads(long count)
{
    for (int i = 0; i < 10000 && threads() != count; i++) {
        sleep_ms(1);
    }
    return threads() == count;
}

START_TEST(there_is_one_for_all_caches_and_none_after_finalize)
{
    const long with_it = threads();
    mca_rcache_base_module_t *other = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_ptr_nonnull(other);
    ck_assert_int_eq(threads(), with_it);
    ck_assert_int_eq(mca_rcache_base_module_destroy(other), OPAL_SUCCESS);
    tear_down();
    ck_assert(are_threads(with_it - 1));
    ck_assert_uint_eq(atomic_load(&mca_rcache_helper_state), MCA_RCACHE_HELPER_NONE);
    set_up_helper();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rcache_helper");
    TCase *with = tcase_create("with it"), *without = tcase_create("without");
    tcase_add_checked_fixture(with, set_up_helper, tear_down);
    tcase_add_test(with, released_registration_is_unpinned_without_another_call);
    tcase_add_test(with, each_of_many_releases_is_attended_to);
    tcase_add_test(with, registration_in_use_is_left_to_who_gives_it_back);
    tcase_add_test(with, waking_keeps_errno);
    if (!IS_THREAD_SANITIZED) { /* It lets no child of a program with threads start any. */
        tcase_add_test(with, fork_child_gets_a_helper_of_its_own_when_it_uses_the_cache);
    }
    tcase_add_test(with, there_is_one_for_all_caches_and_none_after_finalize);
    tcase_add_checked_fixture(without, set_up_none, tear_down);
    tcase_add_test(without, without_the_helper_it_waits_for_the_next_call);
    suite_add_tcase(suite, with);
    suite_add_tcase(suite, without);
    return test_run(suite);
}
