/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking --mca settings out of a command line. */
#include <stdlib.h>
#include <string.h>

#include "base_test.h"
#include "framework/base/mca_base_cmd_line.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

/* Takes the settings out of argv (which ends with NULL) and compares what is left with left. */
static const char *setting_at(size_t index)
{
    static mca_base_cmd_line_setting_t setting;
    return mca_base_cmd_line_get(index, &setting) == OPAL_SUCCESS ? setting.name : NULL;
}

static void expect_code_and_left(int code, const char *const *given, const char *const *left)
{
    char *list[32];
    char **argv = list;
    int argc = 0, left_count = 0;
    for (; given[argc] != NULL; argc++) {
        list[argc] = (char *) (uintptr_t) given[argc];
    }
    list[argc] = NULL;
    while (left[left_count] != NULL) {
        left_count++;
    }
    ck_assert_int_eq(mca_base_cmd_line_take(&argc, &argv), code);
    ck_assert_ptr_eq(argv, list);
    ck_assert_int_eq(argc, left_count);
    for (int i = 0; i < argc; i++) {
        ck_assert_str_eq(argv[i], left[i]);
    }
    ck_assert_ptr_null(argv[argc]);
}

static void expect_left(const char *const *given, const char *const *left)
{
    expect_code_and_left(OPAL_SUCCESS, given, left);
}

static void expect_setting(const char *name, const char *value, int position)
{
    const mca_base_cmd_line_setting_t *setting = mca_base_cmd_line_find(name);
    ck_assert_msg(setting != NULL, "no setting %s", name);
    ck_assert_str_eq(setting->value, value);
    ck_assert_int_eq(setting->position, position);
}

START_TEST(settings_anywhere_leave_the_rest_in_order)
{
    expect_left((const char *const[]){ "prog", "--mca", "a", "1", "x", "-mca", "b", "2", "y", NULL },
                (const char *const[]){ "prog", "x", "y", NULL });
    expect_setting("a", "1", 1);
    expect_setting("b", "2", 5);
}
END_TEST

START_TEST(settings_end_at_double_dash_which_stays)
{
    expect_left((const char *const[]){ "prog", "--mca", "a", "1", "--", "--mca", "b", "2", NULL },
                (const char *const[]){ "prog", "--", "--mca", "b", "2", NULL });
    expect_setting("a", "1", 1);
    ck_assert_ptr_null(mca_base_cmd_line_find("b"));
}
END_TEST

START_TEST(arguments_without_settings_stay)
{
    expect_left((const char *const[]){ "prog", "mca", "--mcax", "---mca", "1", NULL },
                (const char *const[]){ "prog", "mca", "--mcax", "---mca", "1", NULL });
    ck_assert_ptr_null(setting_at(0));
}
END_TEST

START_TEST(program_name_is_never_an_option)
{
    expect_left((const char *const[]){ "--mca", "a", "b", NULL },
                (const char *const[]){ "--mca", "a", "b", NULL });
}
END_TEST

START_TEST(values_may_be_empty_or_negative)
{
    expect_left((const char *const[]){ "prog", "--mca", "a", "", "--mca", "b", "-1", NULL },
                (const char *const[]){ "prog", NULL });
    expect_setting("a", "", 1);
    expect_setting("b", "-1", 4);
}
END_TEST

START_TEST(same_setting_twice_is_taken_once)
{
    expect_left((const char *const[]){ "prog", "--mca", "a", "1", "--mca", "a", "1", NULL },
                (const char *const[]){ "prog", NULL });
    ck_assert_ptr_nonnull(setting_at(0));
    ck_assert_ptr_null(setting_at(1));
}
END_TEST

START_TEST(absent_arguments_are_no_error)
{
    int argc = 0;
    char *none[] = { NULL };
    char **argv = none;
    ck_assert_int_eq(mca_base_cmd_line_take(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_cmd_line_take(&argc, &argv), OPAL_SUCCESS);
    argv = NULL;
    ck_assert_int_eq(mca_base_cmd_line_take(&argc, &argv), OPAL_SUCCESS);
}
END_TEST

/* ---- Errors ------------------------------------------------------------------------------------- */

typedef struct bad_line_t {
    const char *argv[10];
    const char *message; /* A part of it. */
} bad_line_t;

static const bad_line_t bad_lines[] = {
    { { "prog", "x", "y", "--mca", "memory", NULL }, "\"--mca memory\" at argument 3: expected --mca NAME VALUE" },
    { { "prog", "-mca", NULL }, "\"-mca\" at argument 1: expected --mca NAME VALUE" },
    { { "prog", "--mca", "memory", "--", "x", NULL }, "\"--mca memory\" at argument 1" },
    { { "prog", "--mca", "--", "a", "b", NULL }, "\"--mca\" at argument 1" },
    { { "prog", "--mca", "memory", "--mca", "a", "b", NULL }, "\"--mca memory\" at argument 1" },
    { { "prog", "--mca", "", "1", NULL }, "\"\" at argument 2 is not the name of a variable" },
    { { "prog", "--mca", "-a", "1", NULL }, "\"-a\" at argument 2 is not the name of a variable" },
    { { "prog", "--mca", "a", "1", "x", "--mca", "a", "2", NULL },
      "variable a is set twice, to \"1\" (argument 1) and to \"2\" (argument 5)" },
};

START_TEST(bad_line_changes_nothing_and_says_why)
{
    const bad_line_t *bad = &bad_lines[_i];
    char *list[10];
    char **argv = list;
    int argc = 0;
    for (; bad->argv[argc] != NULL; argc++) {
        list[argc] = (char *) (uintptr_t) bad->argv[argc];
    }
    list[argc] = NULL;
    int before = argc;
    log_start();
    ck_assert_int_eq(mca_base_cmd_line_take(&argc, &argv), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, bad->message);
    ck_assert_int_eq(argc, before);
    for (int i = 0; i <= argc; i++) {
        ck_assert_ptr_eq(argv[i], bad->argv[i]);
    }
    ck_assert_ptr_null(setting_at(0));
}
END_TEST

START_TEST(settings_while_open_are_taken_out_and_dropped)
{
    ck_assert_int_eq(take_arguments("--mca", "mca_base_verbose", "0", NULL), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    log_start();
    expect_code_and_left(OPAL_ERR_RESOURCE_BUSY, (const char *const[]){ "prog", "--mca", "late", "1", "x", NULL },
                         (const char *const[]){ "prog", "x", NULL });
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    expect_left((const char *const[]){ "prog", "x", NULL }, (const char *const[]){ "prog", "x", NULL });
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    ck_assert_ptr_null(mca_base_cmd_line_find("late"));
    ck_assert_ptr_nonnull(mca_base_cmd_line_find("mca_base_verbose"));
    mca_base_cmd_line_release();
    ck_assert_ptr_nonnull(mca_base_cmd_line_find("mca_base_verbose"));
    mca_base_close();
    ck_assert_ptr_null(setting_at(0));
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, settings_anywhere_leave_the_rest_in_order);
    tcase_add_test(tests, settings_end_at_double_dash_which_stays);
    tcase_add_test(tests, arguments_without_settings_stay);
    tcase_add_test(tests, program_name_is_never_an_option);
    tcase_add_test(tests, values_may_be_empty_or_negative);
    tcase_add_test(tests, same_setting_twice_is_taken_once);
    tcase_add_test(tests, absent_arguments_are_no_error);
    tcase_add_loop_test(tests, bad_line_changes_nothing_and_says_why, 0, COUNT(bad_lines));
    tcase_add_test(tests, settings_while_open_are_taken_out_and_dropped);
}

int main(void)
{
    return run_tests("mca_base_cmd_line", add);
}
