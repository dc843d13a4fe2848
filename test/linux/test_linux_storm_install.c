/* SPDX-License-Identifier: BSD-3-Clause */
/* As test_linux_storm, with the component alone: code is replaced and put back as fast as it goes, with nothing of a start
 * of the library in between. `OPALMEM_TEST_ROUNDS=10000 test/linux/test_linux_storm_install` is the full run. */
#include "components/linux/linux.h"

#include <sys/wait.h>
#include <unistd.h>

#include "framework/hooks/hooks_internal.h"
#include "test/linux/storm.h"
#include "test/linux/valgrind.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define ROUNDS 400

static const linux_options_t options = { .search_limit = SIZE_MAX };

static int install(void)
{
    int support = 0;
    uint64_t sees = 0;
    const int result = linux_install(&options, &support, &sees);

    if (result == OPAL_SUCCESS) {
        opal_mem_hooks_set_support(support);
    }
    return result;
}

static void check_good(const storm_result_t *result, int rounds)
{
    printf("%d rounds, %lu calls, %lu releases heard, %lu of brk; wrong %lu, missed %lu, repeated %lu, spurious "
           "%lu\n",
           rounds, result->calls, result->heard, result->breaks, result->wrong, result->missed, result->repeated,
           result->spurious);
    ck_assert_uint_eq(result->wrong, 0);
    ck_assert_uint_eq(result->missed, 0);
    ck_assert_uint_eq(result->repeated, 0);
    ck_assert_uint_eq(result->spurious, 0);
    ck_assert_uint_gt(result->heard, 0);
}

START_TEST(code_replaced_and_put_back_under_load_loses_no_release)
{
    storm_result_t result;
    const int rounds = storm_rounds(ROUNDS);

    storm_start();
    for (int i = 0; i < rounds; i++) {
        storm_is_changing();
        ck_assert_int_eq(install(), OPAL_SUCCESS);
        ck_assert_int_eq(opal_mem_hooks_register_release(storm_on_release, NULL), OPAL_SUCCESS);
        storm_is_on();
        if (i % 8 == 0) {
            storm_wait();
        }
        storm_is_changing();
        ck_assert_int_eq(opal_mem_hooks_unregister_release(storm_on_release), OPAL_SUCCESS);
        ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
        storm_is_off();
    }
    storm_stop(&result);
    check_good(&result, rounds);
}
END_TEST

/* The callback stays registered: it must be heard between each install and uninstall, and never outside. */
START_TEST(callback_that_stays_is_heard_only_while_code_is_replaced)
{
    storm_result_t result;
    const int rounds = storm_rounds(ROUNDS);

    ck_assert_int_eq(install(), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(storm_on_release, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
    storm_start();
    for (int i = 0; i < rounds; i++) {
        storm_is_changing();
        ck_assert_int_eq(install(), OPAL_SUCCESS);
        storm_is_on();
        if (i % 8 == 0) {
            storm_wait();
        }
        storm_is_changing();
        ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
        storm_is_off();
        if (i % 8 == 4) {
            storm_wait();
        }
    }
    storm_stop(&result);
    check_good(&result, rounds);
}
END_TEST

START_TEST(twin_code_not_replaced_misses_are_counted)
{
    storm_result_t result;

    opal_mem_hooks_set_support(OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_int_eq(opal_mem_hooks_register_release(storm_on_release, NULL), OPAL_SUCCESS);
    storm_start();
    storm_is_on();
    storm_wait();
    storm_stop(&result);
    ck_assert_uint_gt(result.missed, 0);
    ck_assert_uint_eq(result.heard, 0);
    ck_assert_uint_eq(result.wrong, 0);
}
END_TEST

static bool can_run(void)
{
    const pid_t child = fork();
    int status = 1;

    if (child == 0) {
        _exit(install() == OPAL_SUCCESS ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_storm_install");
    TCase *tcase = tcase_create("storm");

    if (TEST_IS_THREAD_SANITIZED) {
        return test_skip(
            "a thread sanitizer takes minutes, and does not stand callbacks in threads that are ending; "
            "test_linux_threads runs there");
    }
    if (!can_run()) {
        return test_skip("code cannot be replaced here");
    }
    tcase_set_timeout(tcase, 120 + storm_rounds(ROUNDS) / 10.0);
    tcase_add_test(tcase, code_replaced_and_put_back_under_load_loses_no_release);
    tcase_add_test(tcase, callback_that_stays_is_heard_only_while_code_is_replaced);
    tcase_add_test(tcase, twin_code_not_replaced_misses_are_counted);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
