/* SPDX-License-Identifier: BSD-3-Clause */
/* The library is started and stopped many times while two threads do nothing but the calls whose code is replaced: nothing
 * crashes or hangs, every result is right, and while a callback is registered every release is heard exactly once.
 * `OPALMEM_TEST_ROUNDS=10000 test/linux/test_linux_storm` is the full run; make check does fewer. */
#include "opal/opalmem.h"

#include <sys/wait.h>
#include <unistd.h>

#include "test/linux/storm.h"
#include "test/linux/valgrind.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define ROUNDS 150

static void print(const storm_result_t *result, int rounds)
{
    printf("%d rounds, %lu calls, %lu releases heard, %lu of brk; wrong %lu, missed %lu, repeated %lu, spurious "
           "%lu\n",
           rounds, result->calls, result->heard, result->breaks, result->wrong, result->missed, result->repeated,
           result->spurious);
}

static void check_good(const storm_result_t *result)
{
    ck_assert_uint_eq(result->wrong, 0);
    ck_assert_uint_eq(result->missed, 0);
    ck_assert_uint_eq(result->repeated, 0);
    ck_assert_uint_eq(result->spurious, 0);
    ck_assert_uint_gt(result->heard, 0);
    if (!TEST_SANITIZED) { /* Its allocator does not use brk. */
        ck_assert_uint_gt(result->breaks, 0);
    }
}

START_TEST(starts_and_stops_under_load_lose_no_release)
{
    storm_result_t result;
    const int rounds = storm_rounds(ROUNDS);

    storm_start();
    for (int i = 0; i < rounds; i++) {
        storm_is_changing();
        ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
        ck_assert_int_eq(opal_mem_hooks_register_release(storm_on_release, NULL), OPAL_SUCCESS);
        storm_is_on();
        storm_wait();
        storm_is_changing();
        ck_assert_int_eq(opal_mem_hooks_unregister_release(storm_on_release), OPAL_SUCCESS);
        ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
        storm_is_off();
        if (i % 8 == 0) {
            storm_wait();
        }
    }
    storm_stop(&result);
    print(&result, rounds);
    check_good(&result);
}
END_TEST

/* The callback comes and goes, the code stays replaced. */
START_TEST(callbacks_that_come_and_go_under_load_lose_no_release)
{
    storm_result_t result;
    const int rounds = storm_rounds(ROUNDS);

    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    storm_start();
    for (int i = 0; i < rounds; i++) {
        storm_is_changing();
        ck_assert_int_eq(opal_mem_hooks_register_release(storm_on_release, NULL), OPAL_SUCCESS);
        storm_is_on();
        storm_wait();
        storm_is_changing();
        ck_assert_int_eq(opal_mem_hooks_unregister_release(storm_on_release), OPAL_SUCCESS);
        storm_is_off();
    }
    storm_stop(&result);
    print(&result, rounds);
    check_good(&result);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(twin_without_the_component_misses_are_counted)
{
    storm_result_t result;

    setenv("OPALMEM_MCA_memory", "noop", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    storm_start();
    storm_is_on();
    storm_wait();
    storm_stop(&result);
    ck_assert_uint_gt(result.missed, 0);
    ck_assert_uint_eq(result.heard, 0);
    ck_assert_uint_eq(result.wrong, 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

/* Nor is a callback overlooked that is there when none should be. */
START_TEST(twin_with_a_callback_all_the_time_spurious_releases_are_counted)
{
    storm_result_t result;

    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(storm_on_release, NULL), OPAL_SUCCESS);
    storm_start();
    storm_stop(&result);
    ck_assert_uint_gt(result.spurious, 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

static bool can_run(void)
{
    const pid_t child = fork();
    int status = 1;

    if (child == 0) {
        _exit(opalmem_init(NULL, NULL) == OPAL_SUCCESS && opal_mem_hooks_support_level() != 0 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_storm");
    TCase *tcase = tcase_create("storm");

    if (TEST_IS_THREAD_SANITIZED) {
        return test_skip(
            "a thread sanitizer takes minutes, and does not stand callbacks in threads that are ending; "
            "test_linux_threads runs there");
    }
    setenv("OPALMEM_MCA_memory", "linux", 1);
    if (!can_run()) {
        return test_skip("the component linux cannot run here; see the message above");
    }
    tcase_set_timeout(tcase, 120 + storm_rounds(ROUNDS) / 10.0);
    tcase_add_test(tcase, starts_and_stops_under_load_lose_no_release);
    tcase_add_test(tcase, callbacks_that_come_and_go_under_load_lose_no_release);
    tcase_add_test(tcase, twin_without_the_component_misses_are_counted);
    tcase_add_test(tcase, twin_with_a_callback_all_the_time_spurious_releases_are_counted);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
