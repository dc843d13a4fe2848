/* SPDX-License-Identifier: BSD-3-Clause */
/* What every Check program of the suite needs: running a suite, and skipping. */
#ifndef TEST_TEST_MAIN_H
#define TEST_TEST_MAIN_H

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/** Run a suite. @return the exit status for main(): 0, or 1 if a test failed or none ran. */
static inline int test_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int bad = srunner_ntests_failed(runner) != 0 || srunner_ntests_run(runner) == 0;
    srunner_free(runner);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}

/** What is missing here, for the log; then the program must return 77. */
static inline int test_skip(const char *what)
{
    printf("SKIP: %s\n", what);
    return 77;
}

/** How often to do what a test does many times: `usual` times, or so many per cent of it as $OPALMEM_TEST_PERCENT
 * says. An emulated machine takes minutes for what others do in a second. @return at least 1. */
static inline long test_rounds(long usual)
{
    const char *percent = getenv("OPALMEM_TEST_PERCENT");
    long rounds = percent == NULL ? usual : usual * atol(percent) / 100;
    return rounds > 0 ? rounds : 1;
}

/** Does an emulator of user programs run this one (config/check-aarch64.sh)? */
static inline bool under_emulator(void)
{
    return getenv("OPALMEM_TEST_EMULATOR") != NULL;
}

/** Under an emulator, which does not do this as Linux does: says that it is left out.
 * @return May it be tested? */
static inline bool emulator_can(const char *what)
{
    if (under_emulator()) {
        printf("LEFT OUT under %s: %s\n", getenv("OPALMEM_TEST_EMULATOR"), what);
        return false;
    }
    return true;
}

#endif
