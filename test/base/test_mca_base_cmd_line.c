/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking --mca settings out of a command line. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base_test.h"
#include "framework/base/mca_base_cmd_line.h"
#include "test/children.h"

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

START_TEST(global_settings_are_settings)
{
    mca_base_cmd_line_setting_t setting;
    expect_left((const char *const[]){ "prog", "--gmca", "a", "1", "-gmca", "b", "2", "--mca", "c", "3", "--mca",
                                       "b", "2", "--gmca", "c", "3", NULL },
                (const char *const[]){ "prog", NULL });
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(mca_base_cmd_line_get(i, &setting), OPAL_SUCCESS);
        ck_assert_str_eq(setting.name, ((const char *const[]){ "a", "b", "c" })[i]);
        ck_assert(setting.is_global);
    }
    ck_assert_int_eq(mca_base_cmd_line_get(3, &setting), OPAL_ERR_NOT_FOUND);
    mca_base_cmd_line_release();
    ck_assert_int_eq(take_arguments("--mca", "a", "1", NULL), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_cmd_line_get(0, &setting), OPAL_SUCCESS);
    ck_assert(!setting.is_global);
}
END_TEST

static const char *make_tune_file(const char *name, const char *text)
{
    static char paths[2][64];
    static unsigned next;
    char *path = paths[next++];
    snprintf(path, sizeof paths[0], "%s/%s", make_folder(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t) strlen(text));
    close(fd);
    return path;
}

START_TEST(tune_files_add_up_and_are_no_settings)
{
    char both[160];
    const char *a = make_tune_file("a", "x = a\n"), *b = make_tune_file("b", "x = b\ny = b\n");
    expect_left((const char *const[]){ "prog", "x", "--tune", a, "y", "-tune", b, NULL },
                (const char *const[]){ "prog", "x", "y", NULL });
    snprintf(both, sizeof both, "%s,%s", a, b);
    expect_setting("mca_base_tune_files", both, 2);
    ck_assert_ptr_null(setting_at(0));
    expect_left((const char *const[]){ "prog", "--mca", "mca_base_tune_files", b, NULL },
                (const char *const[]){ "prog", NULL });
    snprintf(both, sizeof both, "%s,%s,%s", a, b, b);
    expect_setting("mca_base_tune_files", both, 1);
    mca_base_file_list_t *list = NULL;
    ck_assert_int_eq(mca_base_cmd_line_tune_files(&list), OPAL_SUCCESS);
    ck_assert_uint_eq(list->count, 3);
    mca_base_file_list_free(list);
    unlink(a);
    unlink(b);
}
END_TEST

START_TEST(later_calls_add_and_earlier_settings_stay)
{
    ck_assert_int_eq(take_arguments("--mca", "a", "1", NULL), OPAL_SUCCESS);
    ck_assert_int_eq(take_arguments("x", "--mca", "a", "1", "--mca", "b", "2", NULL), OPAL_SUCCESS);
    expect_setting("a", "1", 1);
    expect_setting("b", "2", 5);
    ck_assert_ptr_null(setting_at(2));
    log_start();
    ck_assert_int_eq(take_arguments("--mca", "c", "3", "--mca", "a", "2", NULL), OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR,
               "variable a is set twice, to \"1\" (argument 1 of an earlier call) and to \"2\" (argument 4)");
    ck_assert_ptr_null(mca_base_cmd_line_find("c"));
    expect_setting("a", "1", 1);
    mca_base_cmd_line_release();
    ck_assert_ptr_null(setting_at(0));
}
END_TEST

START_TEST(failed_open_keeps_what_was_taken)
{
    ck_assert_int_eq(take_arguments("--mca", "mca_base_verbose", "much", NULL), OPAL_SUCCESS);
    log_start();
    ck_assert_int_eq(mca_base_open(), OPAL_ERR_BAD_PARAM);
    expect_setting("mca_base_verbose", "much", 1);
    mca_base_cmd_line_release();
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
}
END_TEST

/* ---- Threads ------------------------------------------------------------------------------------ */

enum { THREADS = 4, ROUNDS = 500 };

static void *take_and_read(void *arg)
{
    bool *good = arg;
    *good = true;
    for (int i = 0; i < ROUNDS; i++) {
        char *list[] = { (char *) "prog", (char *) "--mca", (char *) "a", (char *) "1", NULL };
        char **argv = list, **environment;
        int argc = 4;
        mca_base_cmd_line_setting_t setting;
        *good = mca_base_cmd_line_take(&argc, &argv) == OPAL_SUCCESS && argc == 1 && *good;
        if (mca_base_cmd_line_get(0, &setting) == OPAL_SUCCESS) {
            *good = strcmp(setting.value, "1") == 0 && *good;
        }
        *good = mca_base_cmd_line_environ(NULL, &environment) == OPAL_SUCCESS && *good;
        free(environment);
        if (i % 8 == 0) {
            mca_base_cmd_line_release();
        }
    }
    return NULL;
}

START_TEST(threads_may_take_read_and_release_at_once)
{
    pthread_t threads[THREADS];
    bool good[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_read, &good[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert(good[i]);
    }
}
END_TEST

/* The parent's thread that holds the lock is not in the child. Without the reset the child would wait for ever. */
START_TEST(fork_child_can_take_while_the_parent_holds_the_lock)
{
    ck_assert_int_eq(take_arguments("--mca", "a", "1", NULL), OPAL_SUCCESS);
    mca_base_cmd_line_lock();
    pid_t child = fork();
    if (child == 0) {
        child_must_end_within(20); /* Nobody has called opalmem_init(): the lock itself is prepared for forks. */
        child_says(take_arguments("--mca", "b", "2", NULL) == OPAL_SUCCESS && mca_base_cmd_line_find("a") != NULL);
    }
    mca_base_cmd_line_unlock();
    child_must_be_good(child);
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
    { { "prog", "--mca", "a=b", "1", NULL }, "\"a=b\" at argument 2 is not the name of a variable" },
    { { "prog", "--mca", "SOURCE_a", "1", NULL }, "\"SOURCE_a\" at argument 2 is not the name of a variable" },
    { { "prog", "--gmca", "a", NULL }, "\"--gmca a\" at argument 1: expected --gmca NAME VALUE" },
    { { "prog", "--gmca", "a", "1", "-mca", "a", "2", NULL },
      "variable a is set twice, to \"1\" (argument 1) and to \"2\" (argument 4)" },
    { { "prog", "x", "--tune", NULL }, "\"--tune\" at argument 2: expected --tune FILE[,FILE]" },
    { { "prog", "--tune", "--", "x", NULL }, "\"--tune\" at argument 1: expected --tune FILE[,FILE]" },
    { { "prog", "--tune", "--mca", "a", "1", NULL }, "\"--tune\" at argument 1" },
    { { "prog", "-tune", "", NULL }, "\"\" at argument 1 is not a file: expected --tune FILE[,FILE]" },
    { { "prog", "--mca", "b", "1", "--tune", "/nonexistent/file", NULL },
      "the file \"/nonexistent/file\" cannot be used (--tune, argument 4): No such file or directory" },
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
    tcase_add_test(tests, global_settings_are_settings);
    tcase_add_test(tests, tune_files_add_up_and_are_no_settings);
    tcase_add_test(tests, later_calls_add_and_earlier_settings_stay);
    tcase_add_test(tests, failed_open_keeps_what_was_taken);
    tcase_add_test(tests, threads_may_take_read_and_release_at_once);
    tcase_add_test(tests, fork_child_can_take_while_the_parent_holds_the_lock);
    tcase_add_test(tests, absent_arguments_are_no_error);
    tcase_add_loop_test(tests, bad_line_changes_nothing_and_says_why, 0, COUNT(bad_lines));
    tcase_add_test(tests, settings_while_open_are_taken_out_and_dropped);
}

int main(void)
{
    return run_tests("mca_base_cmd_line", add);
}
