/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameter, tune and override files: their grammar, which of them are read,
 * and what happens to those that cannot be used. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base_test.h"
#include "framework/base/mca_base_file.h"
#include "framework/base/mca_base_var.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))
#define BYTES(text) (text), sizeof(text) - 1

/* ---- Texts --------------------------------------------------------------------------------------- */

static mca_base_file_t *parse_as(mca_base_file_kind_t kind, const char *text, size_t length)
{
    mca_base_file_t *file = NULL;
    log_start();
    int rc = mca_base_file_parse(kind, "/some/file", text, length, &file);
    ck_assert_msg(rc == OPAL_SUCCESS, "%s", log_last(MCA_BASE_LOG_ERROR));
    return file;
}

static void expect_setting(const mca_base_file_table_t *table, const char *name, const char *value, unsigned line)
{
    const mca_base_file_setting_t *setting = mca_base_file_table_find(table, name);
    ck_assert_msg(setting != NULL, "there is no %s", name);
    ck_assert_pstr_eq(setting->value, value);
    ck_assert_str_eq(setting->path, "/some/file");
    ck_assert_uint_eq(setting->line, line);
}

START_TEST(assignments_have_name_value_and_line)
{
    mca_base_file_t *file =
        parse_as(MCA_BASE_FILE_PARAMS, BYTES("a=1\n"
                                             "\n"
                                             "  b.c-d_E9 \t=  two words = \"x\" # no comment \t\n"
                                             "# a = 2\n"
                                             "  // a = 3\n"
                                             "empty =\n"
                                             "last = end"));
    ck_assert_uint_eq(file->settings.count, 4);
    expect_setting(&file->settings, "a", "1", 1);
    expect_setting(&file->settings, "b.c-d_E9", "two words = \"x\" # no comment", 3);
    expect_setting(&file->settings, "empty", "", 6);
    expect_setting(&file->settings, "last", "end", 7);
    ck_assert_ptr_null(mca_base_file_table_find(&file->settings, "nosuch"));
    mca_base_file_drop(file);
}
END_TEST

START_TEST(files_from_other_systems_are_understood)
{
    mca_base_file_t *file = parse_as(MCA_BASE_FILE_PARAMS, BYTES("\xEF\xBB\xBF# first\f\r\na = 1\r\n\r\nb = 2\r"));
    expect_setting(&file->settings, "a", "1", 2);
    expect_setting(&file->settings, "b", "2", 4);
    mca_base_file_drop(file);
}
END_TEST

START_TEST(files_without_settings_are_good)
{
    static const char *const texts[] = { "", "\n", "#", "\xEF\xBB\xBF", "//\n\n\r\n" };
    mca_base_file_t *file = parse_as(MCA_BASE_FILE_OVERRIDE, texts[_i], strlen(texts[_i]));
    ck_assert_uint_eq(file->settings.count, 0);
    ck_assert_ptr_null(mca_base_file_table_find(&file->settings, "a"));
    mca_base_file_drop(file);
}
END_TEST

START_TEST(tune_file_may_hold_options)
{
    mca_base_file_t *file =
        parse_as(MCA_BASE_FILE_TUNE, BYTES("--mca a 1 -mca b 'two words'  --gmca c \"\" -gmca d it's -x X=1 -x Y\n"
                                           "\t-x EMPTY= -x TWO=\"two words\" --mca e --mca\n"
                                           "f = --mca f 1\n"));
    ck_assert_uint_eq(file->settings.count, 6);
    expect_setting(&file->settings, "a", "1", 1);
    expect_setting(&file->settings, "b", "two words", 1);
    expect_setting(&file->settings, "c", "", 1);
    expect_setting(&file->settings, "d", "it's", 1);
    expect_setting(&file->settings, "e", "--mca", 2);
    expect_setting(&file->settings, "f", "--mca f 1", 3);
    ck_assert_uint_eq(file->exports.count, 4);
    expect_setting(&file->exports, "X", "1", 1);
    expect_setting(&file->exports, "Y", NULL, 1);
    expect_setting(&file->exports, "EMPTY", "", 2);
    expect_setting(&file->exports, "TWO", "two words", 2);
    mca_base_file_drop(file);
}
END_TEST

START_TEST(of_two_values_in_a_file_the_later_counts_after_a_warning)
{
    mca_base_file_t *file = parse_as(MCA_BASE_FILE_PARAMS, BYTES("a = 1\nb = 1\na = 2\nb = 1\n"));
    expect_setting(&file->settings, "a", "2", 3);
    ck_assert_uint_eq(file->settings.count, 4);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "/some/file:3: a is set again, to another value than in line 1");
    mca_base_file_drop(file);
}
END_TEST

START_TEST(file_as_large_as_may_be_is_parsed)
{
    static char text[MCA_BASE_FILE_MAX];
    for (size_t i = 0; i + 8 <= sizeof text; i += 8) {
        snprintf(text + i, 9, "n%05x=", (unsigned) (i / 8) & 0xfffff);
        text[i + 7] = '\n';
    }
    mca_base_file_t *file = parse_as(MCA_BASE_FILE_PARAMS, text, sizeof text);
    ck_assert_uint_eq(file->settings.count, sizeof text / 8);
    expect_setting(&file->settings, "n1ffff", "", sizeof text / 8);
    mca_base_file_drop(file);
}
END_TEST

typedef struct bad_text_t {
    mca_base_file_kind_t kind;
    const char *text;
    size_t length;
    const char *message;
} bad_text_t;

static const bad_text_t bad_texts[] = {
    { MCA_BASE_FILE_PARAMS, BYTES("a = 1\nnothing here\n"),
      "/some/file:2: \"nothing here\" has no \"=\": expected NAME = VALUE" },
    { MCA_BASE_FILE_PARAMS, BYTES(" = 1"),
      "/some/file:1: \"\" is not the name of a variable: expected NAME = VALUE" },
    { MCA_BASE_FILE_PARAMS, BYTES("two words = 1"), ":1: \"two words\" is not the name of a variable" },
    { MCA_BASE_FILE_PARAMS, BYTES("-a=1"), ":1: \"-a\" is not the name" },
    { MCA_BASE_FILE_PARAMS, BYTES("\xC3\xA4 = 1"), "is not the name" },
    { MCA_BASE_FILE_PARAMS, BYTES("SOURCE_a = COMMAND"), "\"SOURCE_a\" is not the name" },
    { MCA_BASE_FILE_PARAMS, BYTES("a\tb = 1"), ":1: \"a?b\" is not the name" },
    { MCA_BASE_FILE_PARAMS, BYTES("a = 1\nb = \0002\n"), ":2: \"b = ?2\" holds a NUL byte: expected text" },
    { MCA_BASE_FILE_PARAMS, BYTES("a = 1\rb = 2\r"),
      ":1: \"a = 1?b = 2\" holds a control character: expected text" },
    { MCA_BASE_FILE_TUNE, BYTES("--mca a \033[1m"), "\"--mca a ?[1m\" holds a control character" },
    { MCA_BASE_FILE_PARAMS, BYTES("--mca a 1"),
      "\"--mca a 1\" is an option, for files of --tune only: expected NAME = VALUE" },
    { MCA_BASE_FILE_OVERRIDE, BYTES("-x A=1"), "\"-x A=1\" is an option, for files of --tune only" },
    { MCA_BASE_FILE_TUNE, BYTES("--mca"), "\"--mca\" without a name: expected --mca NAME VALUE" },
    { MCA_BASE_FILE_TUNE, BYTES("--mca a \n1"), ":1: \"a\" has no value: expected --mca NAME VALUE" },
    { MCA_BASE_FILE_TUNE, BYTES("--mca --mca a 1"), "\"--mca\" is not the name of a variable" },
    { MCA_BASE_FILE_TUNE, BYTES("--mca a 'b c"), "\"'b c\" has no closing quote" },
    { MCA_BASE_FILE_TUNE, BYTES("--mca a \"b\"c"), "has no closing quote that ends the value" },
    { MCA_BASE_FILE_TUNE, BYTES("--mca a \""), "has no closing quote" },
    { MCA_BASE_FILE_TUNE, BYTES("-x A=\"b"), "\"\"b\" has no closing quote" },
    { MCA_BASE_FILE_TUNE, BYTES("-x"), "\"\" is not the name of an environment variable" },
    { MCA_BASE_FILE_TUNE, BYTES("-x 1A=2"),
      "\"1A\" is not the name of an environment variable: expected -x VARIABLE or" },
    { MCA_BASE_FILE_TUNE, BYTES("-x A-B=2"), "\"A-B\" is not the name of an environment variable" },
    { MCA_BASE_FILE_TUNE, BYTES("-x OPALMEM_MCA_SOURCE_a=COMMAND"), "is not the name of an environment variable" },
    { MCA_BASE_FILE_TUNE, BYTES("--mca a 1 b = 2"), "\"b\" cannot stand here: expected --mca NAME VALUE" },
    { MCA_BASE_FILE_TUNE, BYTES("a 1"), "\"a 1\" has no \"=\"" },
};

START_TEST(bad_line_makes_the_file_useless_and_is_named)
{
    const bad_text_t *bad = &bad_texts[_i];
    mca_base_file_t *file = NULL;
    log_start();
    ck_assert_int_eq(mca_base_file_parse(bad->kind, "/some/file", bad->text, bad->length, &file),
                     OPAL_ERR_BAD_PARAM);
    ck_assert_ptr_null(file);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, bad->message);
}
END_TEST

START_TEST(line_is_limited)
{
    static char text[MCA_BASE_FILE_LINE_MAX + 1];
    mca_base_file_t *file = NULL;
    memset(text, 'v', sizeof text);
    memcpy(text, "a=", 2);
    mca_base_file_drop(parse_as(MCA_BASE_FILE_PARAMS, text, sizeof text - 1));
    log_start();
    ck_assert_int_eq(mca_base_file_parse(MCA_BASE_FILE_PARAMS, "/some/file", text, sizeof text, &file),
                     OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "...\" is too long: expected lines of at most 16384 bytes");
}
END_TEST

/* ---- Files in use -------------------------------------------------------------------------------- */

static const char *folder;

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static const char *write_file(const char *name, const char *text)
{
    const char *path = path_of(name);
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
    unsetenv("OPALMEM_MCA_mca_base_param_files");
    setenv("HOME", folder, 1);
    log_start();
}

static void tear_down(void)
{
    mca_base_close();
    rmdir(path_of(".opalmem/mca-params.conf"));
    remove_folder(path_of(".opalmem"));
    remove_folder(folder);
}

static void use_param_files(const char *names)
{
    setenv("OPALMEM_MCA_mca_base_param_files", names, 1);
}

static void expect_value(mca_base_file_kind_t kind, const char *name, const char *value)
{
    const mca_base_file_setting_t *setting = mca_base_file_find(kind, name);
    ck_assert_pstr_eq(setting != NULL ? setting->value : NULL, value);
}

static void expect_open(int code)
{
    ck_assert_int_eq(mca_base_open(), code);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), code == OPAL_SUCCESS ? 0 : 1);
    if (code != OPAL_SUCCESS) {
        ck_assert_ptr_null(mca_base_file_get(MCA_BASE_FILE_PARAMS, 0));
        ck_assert_ptr_null(mca_base_file_get(MCA_BASE_FILE_TUNE, 0));
        ck_assert_ptr_null(mca_base_file_get(MCA_BASE_FILE_OVERRIDE, 0));
    }
}

static void expect_quiet(void)
{
    ck_assert_msg(log_count(MCA_BASE_LOG_WARN) == 0, "warning: %s", log_last(MCA_BASE_LOG_WARN));
}

static void write_home_file(const char *text)
{
    ck_assert_int_eq(mkdir(path_of(".opalmem"), 0755), 0);
    write_file(".opalmem/mca-params.conf", text);
}

START_TEST(file_in_home_is_read)
{
    write_home_file("fake_x = 1\n");
    expect_open(OPAL_SUCCESS);
    expect_value(MCA_BASE_FILE_PARAMS, "fake_x", "1");
    expect_quiet();
}
END_TEST

START_TEST(no_file_at_all_is_quiet)
{
    expect_open(OPAL_SUCCESS);
    expect_quiet();
}
END_TEST

START_TEST(no_home_is_quiet)
{
    write_home_file("fake_x = 1\n");
    _i == 0 ? unsetenv("HOME") : setenv("HOME", "", 1);
    expect_open(OPAL_SUCCESS);
    expect_value(MCA_BASE_FILE_PARAMS, "fake_x", NULL);
    expect_quiet();
}
END_TEST

START_TEST(relative_home_is_ignored_with_a_warning)
{
    write_home_file("fake_x = 1\n");
    ck_assert_int_eq(chdir(folder), 0);
    setenv("HOME", ".", 1);
    expect_open(OPAL_SUCCESS);
    expect_value(MCA_BASE_FILE_PARAMS, "fake_x", NULL);
    log_expect(MCA_BASE_LOG_WARN, "~/.opalmem/mca-params.conf is ignored: HOME is not an absolute path");
}
END_TEST

START_TEST(home_file_that_others_can_write_is_ignored_with_a_warning)
{
    write_home_file("fake_x = 1\n");
    ck_assert_int_eq(_i == 0 ? chmod(path_of(".opalmem/mca-params.conf"), 0666) : chmod(path_of(".opalmem"), 0777),
                     0);
    expect_open(OPAL_SUCCESS);
    expect_value(MCA_BASE_FILE_PARAMS, "fake_x", NULL);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "/.opalmem/mca-params.conf is ignored: everybody may write to ");
}
END_TEST

START_TEST(directory_in_place_of_the_home_file_is_ignored_with_a_warning)
{
    ck_assert_int_eq(mkdir(path_of(".opalmem"), 0755), 0);
    ck_assert_int_eq(mkdir(path_of(".opalmem/mca-params.conf"), 0755), 0);
    expect_open(OPAL_SUCCESS);
    log_expect(MCA_BASE_LOG_WARN, "mca-params.conf is ignored: it is a directory");
}
END_TEST

START_TEST(mistake_in_the_home_file_is_an_error)
{
    write_home_file("fake_x = 1\nfake_y\n");
    expect_open(OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "/.opalmem/mca-params.conf:2: \"fake_y\" has no \"=\"");
}
END_TEST

START_TEST(none_reads_no_file)
{
    write_home_file("mistake");
    use_param_files(_i == 0 ? "none" : "");
    expect_open(OPAL_SUCCESS);
    ck_assert_ptr_null(mca_base_file_get(MCA_BASE_FILE_PARAMS, 0));
    expect_quiet();
}
END_TEST

START_TEST(of_several_files_the_left_one_counts)
{
    char names[256];
    const char *a = write_file("a", "x = a\ny = a1\ny = a\n"), *b = write_file("b", "x = b\nz = b\n");
    snprintf(names, sizeof names, _i == 0 ? "%s:%s" : ",%s,%s::", a, b);
    use_param_files(names);
    expect_open(OPAL_SUCCESS);
    expect_value(MCA_BASE_FILE_PARAMS, "x", "a");
    expect_value(MCA_BASE_FILE_PARAMS, "y", "a");
    expect_value(MCA_BASE_FILE_PARAMS, "z", "b");
    ck_assert_str_eq(mca_base_file_get(MCA_BASE_FILE_PARAMS, 3)->value, "b");
    ck_assert_str_eq(mca_base_file_get(MCA_BASE_FILE_PARAMS, 3)->path, b);
    ck_assert_str_eq(mca_base_file_get(MCA_BASE_FILE_PARAMS, 4)->name, "z");
    ck_assert_ptr_null(mca_base_file_get(MCA_BASE_FILE_PARAMS, 5));
}
END_TEST

START_TEST(relative_and_home_names_are_files_too)
{
    write_file("a", "x = 1\n");
    ck_assert_int_eq(chdir(folder), 0);
    use_param_files(_i == 0 ? "a" : "~/a");
    expect_open(OPAL_SUCCESS);
    expect_value(MCA_BASE_FILE_PARAMS, "x", "1");
}
END_TEST

typedef struct bad_file_t {
    const char *name;
    const char *cause;
} bad_file_t;

static const bad_file_t bad_files[] = {
    { "absent", "No such file or directory" },
    { "a/b", "Not a directory" },
    { "directory", "it is a directory" },
    { "fifo", "it is not a regular file" },
    { "open", "everybody may write to it (mode 0666)" },
    { "large", "it is larger than 1048576 bytes" },
    { "loop", "Too many levels of symbolic links" },
};

static void make_bad_files(void)
{
    write_file("a", "");
    write_file("open", "");
    write_file("large", "");
    ck_assert_int_eq(mkdir(path_of("directory"), 0755), 0);
    ck_assert_int_eq(mkfifo(path_of("fifo"), 0600), 0);
    ck_assert_int_eq(chmod(path_of("open"), 0666), 0);
    ck_assert_int_eq(truncate(path_of("large"), MCA_BASE_FILE_MAX + 1), 0);
    ck_assert_int_eq(symlink("loop", path_of("loop")), 0);
}

START_TEST(named_file_that_cannot_be_used_is_an_error)
{
    char expected[256];
    make_bad_files();
    use_param_files(path_of(bad_files[_i].name));
    expect_open(OPAL_ERR_BAD_PARAM);
    snprintf(expected, sizeof expected,
             "the file \"%s\" cannot be used (mca_base_param_files, environment variable "
             "OPALMEM_MCA_mca_base_param_files): %s",
             path_of(bad_files[_i].name), bad_files[_i].cause);
    log_expect(MCA_BASE_LOG_ERROR, expected);
    rmdir(path_of("directory"));
}
END_TEST

START_TEST(unreadable_file_is_an_error)
{
    const char *path = write_file("a", "x = 1\n");
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(folder, 54321, (gid_t) -1), 0);
        ck_assert_int_eq(chown(path, 54321, (gid_t) -1), 0);
        ck_assert_int_eq(seteuid(54321), 0);
    }
    ck_assert_int_eq(chmod(path, 0), 0);
    use_param_files(path);
    expect_open(OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "Permission denied");
    if (getuid() == 0) {
        ck_assert_int_eq(seteuid(0), 0);
    }
}
END_TEST

START_TEST(file_of_proc_is_read_to_its_end)
{
    use_param_files("/proc/self/environ");
    expect_open(OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "/proc/self/environ:1: ");
}
END_TEST

/* ---- Tune and override files --------------------------------------------------------------------- */

START_TEST(tune_files_of_the_environment_are_read)
{
    setenv("OPALMEM_MCA_mca_base_tune_files", write_file("a", "--mca x 1 -x Y=2\n"), 1);
    expect_open(OPAL_SUCCESS);
    expect_value(MCA_BASE_FILE_TUNE, "x", "1");
    expect_value(MCA_BASE_FILE_TUNE, "Y", NULL);
    expect_value(MCA_BASE_FILE_PARAMS, "x", NULL);
}
END_TEST

START_TEST(tune_files_of_the_command_line_replace_those_of_the_environment)
{
    setenv("OPALMEM_MCA_mca_base_tune_files", write_file("a", "x = 1\ny = 1\n"), 1);
    ck_assert_int_eq(take_arguments("--tune", write_file("b", "x = 2\n"), NULL), OPAL_SUCCESS);
    expect_open(OPAL_SUCCESS);
    expect_value(MCA_BASE_FILE_TUNE, "x", "2");
    expect_value(MCA_BASE_FILE_TUNE, "y", NULL);
}
END_TEST

START_TEST(tune_file_is_read_when_it_is_taken)
{
    const char *path = write_file("a", "x = 1\n");
    ck_assert_int_eq(take_arguments("--tune", path, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(unlink(path), 0);
    expect_open(OPAL_SUCCESS);
    expect_value(MCA_BASE_FILE_TUNE, "x", "1");
}
END_TEST

START_TEST(override_file_is_read_from_where_it_is)
{
    mca_base_override_param_file = strdup(write_file("a", "x = 1\n"));
    expect_open(OPAL_SUCCESS);
    expect_value(MCA_BASE_FILE_OVERRIDE, "x", "1");
    mca_base_close();
    ck_assert_ptr_null(mca_base_file_get(MCA_BASE_FILE_OVERRIDE, 0));
    free(mca_base_override_param_file);
}
END_TEST

typedef struct late_t {
    const char *variable; /* Names the file. */
    const char *setting;  /* In it. */
} late_t;

static const late_t late[] = {
    { "mca_base_param_files", "mca_base_param_files" },
    { "mca_base_param_files", "mca_base_tune_files" },
    { "mca_base_tune_files", "mca_base_tune_files" },
};

START_TEST(file_cannot_name_files_that_were_read_before)
{
    char name[128], text[128];
    snprintf(name, sizeof name, "OPALMEM_MCA_%s", late[_i].variable);
    snprintf(text, sizeof text, "%s = /x\n", late[_i].setting);
    setenv(name, write_file("a", text), 1);
    expect_open(OPAL_ERR_BAD_PARAM);
    snprintf(text, sizeof text, "%s:1: %s has no effect here: expected it on the command line", path_of("a"),
             late[_i].setting);
    log_expect(MCA_BASE_LOG_ERROR, text);
}
END_TEST

/* ---- Variables that come while files are read ----------------------------------------------------- */

static int early;

/* As a thread would that does not wait for opalmem_init(): the file is parsed, but not in use yet. */
static void register_early(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) message;
    *(int *) arg = mca_base_var_register(&(mca_base_var_def_t){
        .framework = "fake", .name = "early", .type = MCA_BASE_VAR_TYPE_INT, .info_level = 1, .storage = &early });
}

START_TEST(variable_that_is_registered_while_files_are_read_gets_its_value)
{
    int rc = OPAL_ERROR;
    use_param_files(write_file("a", "fake_early = 7\nx = 1\nx = 2\n"));
    mca_base_set_log(register_early, &rc);
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(rc, OPAL_SUCCESS);
    ck_assert_int_eq(early, 7);
}
END_TEST

/* ---- Without memory ------------------------------------------------------------------------------- */

static void open_and_close(void)
{
    static int argc;
    static char *list[4];
    char **argv = list;
    list[0] = list[1] = (char *) "--tune";
    list[2] = (char *) (uintptr_t) path_of("b");
    argc = 3;
    if (mca_base_cmd_line_take(&argc, &argv) == OPAL_SUCCESS && mca_base_open() == OPAL_SUCCESS) {
        char **environment;
        if (mca_base_cmd_line_environ(NULL, &environment) == OPAL_SUCCESS) {
            free(environment);
        }
    }
    mca_base_close();
}

START_TEST(no_allocation_that_fails_leaves_anything_behind)
{
    use_param_files(write_file("a", "x = 1\ny = 2\nx = 1\n"));
    write_file("b", "x = 1\n--mca z 1 -x A=1 -x B\n");
    fail_each_allocation(open_and_close, 200);
    expect_no_growth(open_and_close);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, assignments_have_name_value_and_line);
    tcase_add_test(tests, files_from_other_systems_are_understood);
    tcase_add_loop_test(tests, files_without_settings_are_good, 0, 5);
    tcase_add_test(tests, tune_file_may_hold_options);
    tcase_add_test(tests, of_two_values_in_a_file_the_later_counts_after_a_warning);
    tcase_add_test(tests, file_as_large_as_may_be_is_parsed);
    tcase_add_loop_test(tests, bad_line_makes_the_file_useless_and_is_named, 0, COUNT(bad_texts));
    tcase_add_test(tests, line_is_limited);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, file_in_home_is_read);
    tcase_add_test(tests, no_file_at_all_is_quiet);
    tcase_add_loop_test(tests, no_home_is_quiet, 0, 2);
    tcase_add_test(tests, relative_home_is_ignored_with_a_warning);
    tcase_add_loop_test(tests, home_file_that_others_can_write_is_ignored_with_a_warning, 0, 2);
    tcase_add_test(tests, directory_in_place_of_the_home_file_is_ignored_with_a_warning);
    tcase_add_test(tests, mistake_in_the_home_file_is_an_error);
    tcase_add_loop_test(tests, none_reads_no_file, 0, 2);
    tcase_add_loop_test(tests, of_several_files_the_left_one_counts, 0, 2);
    tcase_add_loop_test(tests, relative_and_home_names_are_files_too, 0, 2);
    tcase_add_loop_test(tests, named_file_that_cannot_be_used_is_an_error, 0, COUNT(bad_files));
    tcase_add_test(tests, unreadable_file_is_an_error);
    tcase_add_test(tests, file_of_proc_is_read_to_its_end);
    tcase_add_test(tests, tune_files_of_the_environment_are_read);
    tcase_add_test(tests, tune_files_of_the_command_line_replace_those_of_the_environment);
    tcase_add_test(tests, tune_file_is_read_when_it_is_taken);
    tcase_add_test(tests, override_file_is_read_from_where_it_is);
    tcase_add_loop_test(tests, file_cannot_name_files_that_were_read_before, 0, COUNT(late));
    tcase_add_test(tests, variable_that_is_registered_while_files_are_read_gets_its_value);
    tcase_add_test(tests, no_allocation_that_fails_leaves_anything_behind);
}

int main(void)
{
    return run_tests("mca_base_file", add);
}
