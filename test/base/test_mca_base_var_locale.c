/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables in a process whose locale writes decimal commas. Such a locale is
 * made in a folder of the test's, since a machine may have none installed. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base_test.h"
#include "framework/base/mca_base_var.h"
#include "test/test_main.h"

#define LOCALE "de_DE.UTF-8"

static double real = 0.5;
static const mca_base_var_def_t real_def = {
    .framework = "fake",
    .name = "real",
    .type = MCA_BASE_VAR_TYPE_DOUBLE,
    .info_level = 1,
    .scope = MCA_BASE_VAR_SCOPE_LOCAL,
    .flags = MCA_BASE_VAR_FLAG_SETTABLE,
    .storage = &real,
};

static void register_real(void)
{
    log_start();
    mca_base_var_open();
    ck_assert_int_eq(mca_base_var_register(&real_def), OPAL_SUCCESS);
}

static void expect_value(const char *expected)
{
    char *whole = NULL;
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_get_text("fake_real", &whole), OPAL_SUCCESS);
    ck_assert_str_eq(whole, expected);
    free(whole);
    ck_assert_int_eq(mca_base_var_find_info("fake_real", &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.value, expected);
}

/* Without this the others would prove nothing. */
START_TEST(twin_the_locale_writes_and_reads_commas)
{
    char text[16];
    snprintf(text, sizeof text, "%g", 0.25);
    ck_assert_str_eq(text, "0,25");
    ck_assert_double_eq(strtod("0.25", NULL), 0);
}
END_TEST

START_TEST(number_is_read_and_printed_with_a_point)
{
    setenv("OPALMEM_MCA_fake_real", "0.25", 1);
    register_real();
    ck_assert_double_eq(real, 0.25);
    expect_value("0.25");
    ck_assert_int_eq(mca_base_var_set("fake_real", "-1.5e3"), OPAL_SUCCESS);
    expect_value("-1500");
    ck_assert_int_eq(mca_base_var_set("fake_real", "0.1"), OPAL_SUCCESS);
    expect_value("0.1");
}
END_TEST

START_TEST(number_with_a_comma_is_refused)
{
    register_real();
    ck_assert_int_eq(mca_base_var_set("fake_real", "0,25"), OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "a decimal number such as 0.5");
    ck_assert_double_eq(real, 0.5);
}
END_TEST

START_TEST(callers_locale_is_left_as_it_was)
{
    register_real();
    ck_assert_int_eq(mca_base_var_set("fake_real", "0.125"), OPAL_SUCCESS);
    expect_value("0.125");
    char text[16];
    snprintf(text, sizeof text, "%g", 0.25);
    ck_assert_str_eq(text, "0,25");
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, twin_the_locale_writes_and_reads_commas);
    tcase_add_test(tests, number_is_read_and_printed_with_a_point);
    tcase_add_test(tests, number_with_a_comma_is_refused);
    tcase_add_test(tests, callers_locale_is_left_as_it_was);
}

static int run(const char *const *argv)
{
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[0], (char **) (uintptr_t) argv);
        _exit(127);
    }
    int status;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* localedef warns of much, and then exits with 1 although the locale is made. */
static bool make_locale(const char *folder)
{
    char path[64];
    snprintf(path, sizeof path, "%s/" LOCALE, folder);
    run((const char *[]){ "localedef", "--quiet", "--no-archive", "-i", "de_DE", "-f", "UTF-8", path, NULL });
    setenv("LOCPATH", folder, 1);
    return setlocale(LC_ALL, LOCALE) != NULL;
}

int main(void)
{
    static char folder[] = "/tmp/opalmem-test-XXXXXX";
    if (mkdtemp(folder) == NULL) {
        return test_skip("there is no room in /tmp");
    }
    int rc = make_locale(folder) ? run_tests("mca_base_var_locale", add)
                                 : test_skip("localedef cannot make the locale de_DE (Debian package: locales)");
    run((const char *[]){ "rm", "-rf", folder, NULL });
    return rc;
}
