/* SPDX-License-Identifier: BSD-3-Clause */
/* The environment that hands settings on. The round trips run this program
 * again with it, and compare what the two processes make of their settings. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base_test.h"
#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_var.h"
#include "test/children.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

static const char *folder;
static char **result;

static const char *write_file(const char *name, const char *text)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    FILE *stream = fopen(path, "we");
    ck_assert_ptr_nonnull(stream);
    fputs(text, stream);
    fclose(stream);
    ck_assert_int_eq(chmod(path, 0644), 0);
    return path;
}

static void set_up(void)
{
    folder = make_folder();
    log_start();
}

static void tear_down(void)
{
    free(result);
    mca_base_cmd_line_release();
    remove_folder(folder);
}

/* ---- Entries -------------------------------------------------------------------------------------- */

/* Makes the environment; base ends with NULL. */
static void make(char *const *base)
{
    ck_assert_int_eq(mca_base_cmd_line_environ(base, &result), OPAL_SUCCESS);
}

static void make_from(const char *const *base)
{
    char *list[16];
    int count = 0;
    for (; base[count] != NULL; count++) {
        ck_assert_int_lt(count, 15);
        list[count] = strdup(base[count]);
    }
    list[count] = NULL;
    make(list);
    while (count > 0) {
        free(list[--count]); /* The result has copies of its own. */
    }
}

static int count_name(const char *name)
{
    int count = 0;
    for (char **entry = result; *entry != NULL; entry++) {
        count += strncmp(*entry, name, strlen(name)) == 0 && (*entry)[strlen(name)] == '=';
    }
    return count;
}

static void expect_entry(const char *name, const char *value)
{
    ck_assert_int_eq(count_name(name), value != NULL ? 1 : 0);
    for (char **entry = result; value != NULL && *entry != NULL; entry++) {
        if (strncmp(*entry, name, strlen(name)) == 0 && (*entry)[strlen(name)] == '=') {
            ck_assert_str_eq(*entry + strlen(name) + 1, value);
        }
    }
}

START_TEST(without_settings_the_environment_stays)
{
    make_from((const char *const[]){ "A=1", "OMPI_MCA_x=2", "OPALMEM_MCA_y=3", "odd", "", NULL });
    expect_entry("A", "1");
    expect_entry("OMPI_MCA_x", "2");
    expect_entry("OPALMEM_MCA_y", "3");
    ck_assert_str_eq(result[3], "odd");
    ck_assert_str_eq(result[4], "");
    ck_assert_ptr_null(result[5]);
}
END_TEST

START_TEST(null_stands_for_the_own_environment)
{
    setenv("OPALMEM_TEST_HERE", "yes", 1);
    make(NULL);
    expect_entry("OPALMEM_TEST_HERE", "yes");
}
END_TEST

START_TEST(settings_of_the_command_line_are_marked_and_whole)
{
    ck_assert_int_eq(take_arguments("--mca", "a", "x=y\nz ", "--gmca", "b", "", NULL), OPAL_SUCCESS);
    make_from((const char *const[]){ "A=1", NULL });
    expect_entry("OPALMEM_MCA_a", "x=y\nz ");
    expect_entry("OPALMEM_MCA_SOURCE_a", "COMMAND");
    expect_entry("OPALMEM_MCA_b", "");
    expect_entry("OPALMEM_MCA_SOURCE_b", "COMMAND");
    expect_entry("A", "1");
    ck_assert_ptr_null(result[5]);
}
END_TEST

START_TEST(what_the_base_has_is_replaced_and_never_doubled)
{
    ck_assert_int_eq(take_arguments("--mca", "a", "1", NULL), OPAL_SUCCESS);
    make_from((const char *const[]){ "OPALMEM_MCA_SOURCE_a=FILE:/x:1", "OPALMEM_MCA_a=2", "OPALMEM_MCA_ab=3",
                                     "OPALMEM_MCA_a=4", "OMPI_MCA_a=5", NULL });
    expect_entry("OPALMEM_MCA_a", "1");
    expect_entry("OPALMEM_MCA_SOURCE_a", "COMMAND");
    expect_entry("OPALMEM_MCA_ab", "3");
    expect_entry("OMPI_MCA_a", "5");
    ck_assert_ptr_null(result[4]);
}
END_TEST

START_TEST(marker_without_its_setting_goes)
{
    make_from((const char *const[]){ "OPALMEM_MCA_SOURCE_a=COMMAND", "OPALMEM_MCA_SOURCE_b=COMMAND",
                                     "OPALMEM_MCA_b=1", NULL });
    expect_entry("OPALMEM_MCA_SOURCE_a", NULL);
    expect_entry("OPALMEM_MCA_SOURCE_b", "COMMAND");
    expect_entry("OPALMEM_MCA_b", "1");
}
END_TEST

START_TEST(settings_of_tune_files_are_marked_with_their_place)
{
    char place[160];
    const char *path = write_file("a", "x = 1\n\nx = 2\n--mca y 'a b'\n");
    ck_assert_int_eq(take_arguments("--tune", path, NULL), OPAL_SUCCESS);
    make_from((const char *const[]){ "OPALMEM_MCA_mca_base_tune_files=/other", NULL });
    expect_entry("OPALMEM_MCA_x", "2");
    snprintf(place, sizeof place, "FILE:%s:3", path);
    expect_entry("OPALMEM_MCA_SOURCE_x", place);
    expect_entry("OPALMEM_MCA_y", "a b");
    snprintf(place, sizeof place, "FILE:%s:4", path);
    expect_entry("OPALMEM_MCA_SOURCE_y", place);
    expect_entry("OPALMEM_MCA_mca_base_tune_files", NULL);
}
END_TEST

START_TEST(tune_files_of_the_environment_stay_its_own)
{
    make_from((const char *const[]){ "OPALMEM_MCA_mca_base_tune_files=/other", NULL });
    expect_entry("OPALMEM_MCA_mca_base_tune_files", "/other");
}
END_TEST

START_TEST(environment_is_stronger_than_tune_files)
{
    ck_assert_int_eq(take_arguments("--tune", write_file("a", "x = 1\ny = 1\nz = 1\n"), NULL), OPAL_SUCCESS);
    make_from((const char *const[]){ "OPALMEM_MCA_x=2", "OPALMEM_MCA_y=2", "OPALMEM_MCA_SOURCE_y=COMMAND",
                                     "OPALMEM_MCA_z=2", "OPALMEM_MCA_SOURCE_z=FILE:/old:1", NULL });
    expect_entry("OPALMEM_MCA_x", "2");
    expect_entry("OPALMEM_MCA_SOURCE_x", NULL);
    expect_entry("OPALMEM_MCA_y", "2");
    expect_entry("OPALMEM_MCA_SOURCE_y", "COMMAND");
    expect_entry("OPALMEM_MCA_z", "1"); /* A parent's tune file is weaker than an own one. */
    ck_assert_int_eq(count_name("OPALMEM_MCA_SOURCE_z"), 1);
}
END_TEST

START_TEST(command_line_is_stronger_than_tune_files_of_which_the_left_counts)
{
    const char *a = write_file("a", "x = a\ny = a\n-x V=a -x W=a\n"),
               *b = write_file("b", "x = b\ny = b\nz = b\n-x V=b\n");
    ck_assert_int_eq(take_arguments("--tune", a, "--mca", "x", "1", "-tune", b, NULL), OPAL_SUCCESS);
    make_from((const char *const[]){ "V=base", "A=1", NULL });
    expect_entry("OPALMEM_MCA_x", "1");
    expect_entry("OPALMEM_MCA_SOURCE_x", "COMMAND");
    expect_entry("OPALMEM_MCA_y", "a");
    expect_entry("OPALMEM_MCA_z", "b");
    expect_entry("V", "a");
    expect_entry("W", "a");
    expect_entry("A", "1");
}
END_TEST

START_TEST(exported_variable_without_value_comes_from_the_launcher)
{
    setenv("OPALMEM_TEST_HERE", "own", 1);
    unsetenv("OPALMEM_TEST_ABSENT");
    const char *path = write_file("a", "-x OPALMEM_TEST_HERE\n-x OPALMEM_TEST_ABSENT\n-x OPALMEM_TEST_BASE\n");
    ck_assert_int_eq(take_arguments("--tune", path, NULL), OPAL_SUCCESS);
    make_from((const char *const[]){ "OPALMEM_TEST_BASE=base", NULL });
    expect_entry("OPALMEM_TEST_HERE", "own");
    expect_entry("OPALMEM_TEST_BASE", "base");
    expect_entry("OPALMEM_TEST_ABSENT", NULL);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "a:2: -x OPALMEM_TEST_ABSENT: there is no such environment variable to hand on");
}
END_TEST

START_TEST(exported_setting_is_the_environment_of_the_child)
{
    ck_assert_int_eq(take_arguments("--tune", write_file("a", "-x OPALMEM_MCA_x=1\nx = 2\n"), NULL), OPAL_SUCCESS);
    make_from((const char *const[]){ "OPALMEM_MCA_x=3", "OPALMEM_MCA_SOURCE_x=COMMAND", NULL });
    expect_entry("OPALMEM_MCA_x", "1");
    expect_entry("OPALMEM_MCA_SOURCE_x", NULL);
}
END_TEST

START_TEST(settings_in_use_are_handed_on_too)
{
    ck_assert_int_eq(take_arguments("--mca", "fake_x", "1", "--tune", write_file("a", "fake_y = 2\n"), NULL),
                     OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    make_from((const char *const[]){ NULL });
    expect_entry("OPALMEM_MCA_fake_x", "1");
    expect_entry("OPALMEM_MCA_fake_y", "2");
    mca_base_close();
}
END_TEST

START_TEST(many_settings_of_a_tune_file_are_handed_on)
{
    enum { MANY = 20000 };
    static char text[MANY * 16];
    char *end = text;
    for (int i = 0; i < MANY; i++) {
        end += sprintf(end, "v%d=%d\n", i, i);
    }
    ck_assert_int_eq(take_arguments("--tune", write_file("a", text), NULL), OPAL_SUCCESS);
    make(NULL);
    expect_entry("OPALMEM_MCA_v19999", "19999");
}
END_TEST

/* ---- Round trips ---------------------------------------------------------------------------------- */

static int values[4];
static const char *const names[] = { "argument", "tune", "both", "rest" };

/* "name=value(source)" of each variable; the details of sources differ between parent and child. Without
 * assertions, for the child. */
static bool describe_all(char text[256])
{
    size_t used = 0;
    bool good = mca_base_open() == OPAL_SUCCESS;
    for (int i = 0; good && i < COUNT(names); i++) {
        good = mca_base_var_register(&(mca_base_var_def_t){ .framework = "fake",
                                                            .component = "base",
                                                            .name = names[i],
                                                            .info_level = 1,
                                                            .storage = &values[i] })
               == OPAL_SUCCESS;
    }
    mca_base_var_info_t info;
    for (size_t i = 0; mca_base_var_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (strncmp(info.full_name, "fake_base_", 10) == 0) {
            used += (size_t) snprintf(text + used, 256 - used, "%s=%s(%d) ", info.full_name, info.value,
                                      (int) info.source);
        }
    }
    return good;
}

static int be_child(void)
{
    char text[256];
    if (!describe_all(text)) {
        return 1;
    }
    printf("%s", text);
    return fflush(stdout) != 0;
}

static void run_child(char **environment, char text[256])
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execle("/proc/self/exe", "child", "--child", (char *) NULL, environment);
        _exit(127);
    }
    close(ends[1]);
    size_t used = 0;
    ssize_t got;
    while (used < 255 && (got = read(ends[0], text + used, 255 - used)) > 0) {
        used += (size_t) got;
    }
    text[used] = '\0';
    close(ends[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

static void expect_round_trip(const char *expected)
{
    char own[256], childs[256];
    make(NULL);
    ck_assert(describe_all(own));
    run_child(result, childs);
    ck_assert_str_eq(childs, own);
    ck_assert_str_eq(own, expected);
    mca_base_close();
}

static void take_all(void)
{
    const char *path = write_file("a", "fake_base_tune = 2\n--mca fake_base_both 9\n");
    ck_assert_int_eq(
        take_arguments("--mca", "fake_base_argument", "1", "--tune", path, "--mca", "fake_base_both", "3", NULL),
        OPAL_SUCCESS);
}

START_TEST(child_has_the_values_and_ranks_of_its_parent)
{
    take_all();
    expect_round_trip("fake_base_argument=1(4) fake_base_tune=2(2) fake_base_both=3(4) fake_base_rest=0(0) ");
}
END_TEST

START_TEST(open_mpi_environment_has_its_rank_in_the_child)
{
    take_all();
    setenv("OMPI_MCA_fake_base_argument", "7", 1);
    setenv("OMPI_MCA_fake_base_tune", "7", 1);
    setenv("OMPI_MCA_fake_base_rest", "7", 1);
    expect_round_trip("fake_base_argument=1(4) fake_base_tune=7(3) fake_base_both=3(4) fake_base_rest=7(3) ");
}
END_TEST

START_TEST(own_environment_has_its_rank_in_the_child)
{
    take_all();
    setenv("OPALMEM_MCA_fake_base_argument", "8", 1);
    setenv("OPALMEM_MCA_fake_base_tune", "8", 1);
    setenv("OPALMEM_MCA_mca_base_tune_files", write_file("b", "fake_base_rest = 8\n"), 1);
    expect_round_trip("fake_base_argument=1(4) fake_base_tune=8(3) fake_base_both=3(4) fake_base_rest=0(0) ");
}
END_TEST

START_TEST(grandchild_has_them_as_well)
{
    setenv("OPALMEM_MCA_fake_base_argument", "1", 1);
    setenv("OPALMEM_MCA_SOURCE_fake_base_argument", "COMMAND", 1);
    setenv("OPALMEM_MCA_fake_base_tune", "2", 1);
    setenv("OPALMEM_MCA_SOURCE_fake_base_tune", "FILE:/gone:1", 1);
    setenv("OMPI_MCA_fake_base_tune", "7", 1);
    ck_assert_int_eq(
        take_arguments("--tune", write_file("a", "fake_base_argument = 5\nfake_base_rest = 5\n"), NULL),
        OPAL_SUCCESS);
    expect_round_trip("fake_base_argument=1(4) fake_base_tune=7(3) fake_base_both=0(0) fake_base_rest=5(2) ");
}
END_TEST

/* The twin: a child that is not given the environment has nothing of it. */
START_TEST(child_without_the_environment_has_the_defaults)
{
    char childs[256];
    take_all();
    run_child(environ, childs);
    ck_assert_str_eq(childs,
                     "fake_base_argument=0(0) fake_base_tune=0(0) fake_base_both=0(0) fake_base_rest=0(0) ");
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, without_settings_the_environment_stays);
    tcase_add_test(tests, null_stands_for_the_own_environment);
    tcase_add_test(tests, settings_of_the_command_line_are_marked_and_whole);
    tcase_add_test(tests, what_the_base_has_is_replaced_and_never_doubled);
    tcase_add_test(tests, marker_without_its_setting_goes);
    tcase_add_test(tests, settings_of_tune_files_are_marked_with_their_place);
    tcase_add_test(tests, tune_files_of_the_environment_stay_its_own);
    tcase_add_test(tests, environment_is_stronger_than_tune_files);
    tcase_add_test(tests, command_line_is_stronger_than_tune_files_of_which_the_left_counts);
    tcase_add_test(tests, exported_variable_without_value_comes_from_the_launcher);
    tcase_add_test(tests, exported_setting_is_the_environment_of_the_child);
    tcase_add_test(tests, settings_in_use_are_handed_on_too);
    tcase_add_test(tests, many_settings_of_a_tune_file_are_handed_on);
    if (!under_valgrind()) { /* Its /proc/self/exe is valgrind. */
        tcase_add_test(tests, child_has_the_values_and_ranks_of_its_parent);
        tcase_add_test(tests, open_mpi_environment_has_its_rank_in_the_child);
        tcase_add_test(tests, own_environment_has_its_rank_in_the_child);
        tcase_add_test(tests, grandchild_has_them_as_well);
        tcase_add_test(tests, child_without_the_environment_has_the_defaults);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--child") == 0) {
        _exit(be_child());
    }
    return run_tests("mca_base_cmd_line_environ", add);
}
