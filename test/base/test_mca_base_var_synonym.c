/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables: second names, and those of rcache_base_leave_pinned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base_test.h"
#include "wrapped_files.h"
#include "framework/base/mca_base_var.h"
#include "opal/opalmem.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

static int number, other;
static mca_base_var_def_t number_def = {
    .framework = "fake",
    .name = "number",
    .help = "A number.",
    .type = MCA_BASE_VAR_TYPE_INT,
    .info_level = 1,
    .max = 100,
    .storage = &number,
};
static const mca_base_var_def_t other_def = {
    .framework = "fake", .name = "other", .type = MCA_BASE_VAR_TYPE_INT, .info_level = 1, .storage = &other
};

/* The variable with two synonyms. */
static int register_all(uint32_t flags)
{
    log_start();
    mca_base_var_open();
    int rc = mca_base_var_register(&number_def);
    if (rc == OPAL_SUCCESS) {
        rc = mca_base_var_register_synonym("fake_number", "amount", flags);
    }
    return rc == OPAL_SUCCESS ? mca_base_var_register_synonym("fake_number", "fake_sum", flags) : rc;
}

static void expect_quiet(void)
{
    ck_assert_msg(log_count(MCA_BASE_LOG_WARN) == 0, "warning: %s", log_last(MCA_BASE_LOG_WARN));
    ck_assert_msg(log_count(MCA_BASE_LOG_ERROR) == 0, "error: %s", log_last(MCA_BASE_LOG_ERROR));
}

START_TEST(setting_under_a_synonym_is_the_variables)
{
    setenv("OPALMEM_MCA_amount", "7", 1);
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_int_eq(number, 7);
    expect_quiet();
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_find_info("fake_number", &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.source_detail, "OPALMEM_MCA_amount");
    ck_assert_ptr_null(info.synonym_of);
}
END_TEST

START_TEST(synonym_is_an_entry_of_its_own)
{
    setenv("OPALMEM_MCA_fake_number", "7", 1);
    ck_assert_int_eq(register_all(MCA_BASE_VAR_FLAG_DEPRECATED), OPAL_SUCCESS);
    ck_assert_uint_eq(mca_base_var_count(), 3);
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_get_info(1, &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.full_name, "amount");
    ck_assert_str_eq(info.synonym_of, "fake_number");
    ck_assert_str_eq(info.framework, "fake");
    ck_assert_str_eq(info.help, "A number.");
    ck_assert_str_eq(info.value, "7");
    ck_assert_uint_eq(info.flags, MCA_BASE_VAR_FLAG_DEPRECATED);
    ck_assert_int_eq(mca_base_var_find_info("amount", &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.full_name, "amount");
    int value = 0;
    char *text = NULL;
    ck_assert_int_eq(mca_base_var_get_value("amount", MCA_BASE_VAR_TYPE_INT, &value), OPAL_SUCCESS);
    ck_assert_int_eq(value, 7);
    ck_assert_int_eq(mca_base_var_get_text("fake_sum", &text), OPAL_SUCCESS);
    ck_assert_str_eq(text, "7");
    free(text);
    expect_quiet();
}
END_TEST

START_TEST(stronger_place_wins_whatever_the_name)
{
    setenv("OPALMEM_MCA_fake_number", "7", 1);
    setenv("OMPI_MCA_amount", "6", 1);
    ck_assert_int_eq(take_arguments("--mca", "fake_sum", "8", NULL), OPAL_SUCCESS);
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_int_eq(number, 8);
    expect_quiet();
}
END_TEST

START_TEST(own_name_wins_in_one_place_with_a_warning)
{
    setenv("OPALMEM_MCA_amount", "6", 1);
    setenv("OPALMEM_MCA_fake_number", "7", 1);
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_int_eq(number, 7);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "fake_number and amount are one variable");
    log_expect(MCA_BASE_LOG_WARN, "\"7\" (environment variable OPALMEM_MCA_fake_number)");
    log_expect(MCA_BASE_LOG_WARN, "\"6\" (environment variable OPALMEM_MCA_amount); the first counts");
}
END_TEST

START_TEST(one_value_under_two_names_is_no_contradiction)
{
    ck_assert_int_eq(take_arguments("--mca", "fake_number", "16", "--mca", "amount", "0x10", NULL), OPAL_SUCCESS);
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_int_eq(number, 16);
    expect_quiet();
}
END_TEST

START_TEST(contradiction_in_a_file_is_a_warning)
{
    wrapped_add(MCA_BASE_FILE_PARAMS, "amount", "6", "/params", 1);
    wrapped_add(MCA_BASE_FILE_PARAMS, "fake_number", "7", "/params", 2);
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_int_eq(number, 7);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "/params:1");
    log_expect(MCA_BASE_LOG_WARN, "/params:2");
}
END_TEST

START_TEST(contradiction_where_it_does_not_matter_is_quiet)
{
    wrapped_add(MCA_BASE_FILE_PARAMS, "amount", "6", "/params", 1);
    wrapped_add(MCA_BASE_FILE_PARAMS, "fake_number", "7", "/params", 2);
    setenv("OPALMEM_MCA_fake_number", "8", 1);
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_int_eq(number, 8);
    expect_quiet();
}
END_TEST

START_TEST(contradiction_on_the_command_line_is_an_error)
{
    ck_assert_int_eq(take_arguments("x", "--mca", "amount", "6", "y", "--mca", "fake_number", "7", NULL),
                     OPAL_SUCCESS);
    ck_assert_int_eq(register_all(0), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, "argument 2)");
    log_expect(MCA_BASE_LOG_ERROR, "argument 6)");
    ck_assert_uint_eq(mca_base_var_refused(), 1);
}
END_TEST

START_TEST(contradiction_on_a_parents_command_line_is_an_error)
{
    setenv("OPALMEM_MCA_amount", "6", 1);
    setenv("OPALMEM_MCA_SOURCE_amount", "COMMAND", 1);
    setenv("OPALMEM_MCA_fake_sum", "7", 1);
    setenv("OPALMEM_MCA_SOURCE_fake_sum", "COMMAND", 1);
    ck_assert_int_eq(register_all(0), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(number, 6);
    log_expect(MCA_BASE_LOG_ERROR, "command line of a parent process, OPALMEM_MCA_fake_sum");
}
END_TEST

START_TEST(bad_value_under_a_synonym_names_it_and_leaves_the_value)
{
    setenv("OPALMEM_MCA_amount", "lots", 1);
    wrapped_add(MCA_BASE_FILE_PARAMS, "fake_number", "7", "/params", 2);
    ck_assert_int_eq(register_all(0), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(number, 7);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, "variable amount cannot have the value \"lots\"");
    ck_assert_uint_eq(mca_base_var_refused(), 1);
}
END_TEST

START_TEST(deprecated_synonym_warns_once_and_names_the_new_name)
{
    setenv("OPALMEM_MCA_amount", "7", 1);
    ck_assert_int_eq(register_all(MCA_BASE_VAR_FLAG_DEPRECATED), OPAL_SUCCESS);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN,
               "the name amount (environment variable OPALMEM_MCA_amount) is deprecated; use fake_number");
}
END_TEST

START_TEST(synonym_of_another_variable_is_refused)
{
    static const struct {
        const char *synonym, *reason;
    } cases[] = {
        { "fake_other", "the variable fake_other" },
        { "amount", "one of fake_number" },
        { "a=b", "letters" },
        { "", "it has no name" },
    };
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register(&other_def), OPAL_SUCCESS);
    const char *target = _i == 0 ? "fake_number" : "fake_other";
    ck_assert_int_eq(mca_base_var_register_synonym(target, cases[_i].synonym, 0), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, cases[_i].reason);
    ck_assert_uint_eq(mca_base_var_count(), 4);
}
END_TEST

START_TEST(synonym_has_no_flag_but_deprecated)
{
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register_synonym("fake_number", "x", MCA_BASE_VAR_FLAG_SETTABLE),
                     OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "DEPRECATED");
}
END_TEST

START_TEST(same_synonym_again_is_fine)
{
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_uint_eq(mca_base_var_count(), 3);
}
END_TEST

START_TEST(synonym_of_nothing_is_not_found)
{
    log_start();
    ck_assert_int_eq(mca_base_var_register_synonym("nothing", "amount", 0), OPAL_ERR_NOT_FOUND);
    ck_assert_uint_eq(mca_base_var_count(), 0);
    expect_quiet();
}
END_TEST

START_TEST(variable_cannot_take_the_name_of_a_synonym)
{
    static const mca_base_var_def_t taken = {
        .framework = "fake", .name = "sum", .info_level = 1, .storage = &other
    };
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register(&taken), OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "the name is a synonym of fake_number");
}
END_TEST

START_TEST(synonyms_go_with_their_variable)
{
    ck_assert_int_eq(register_all(0), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register(&other_def), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_deregister("amount"), OPAL_ERR_NOT_FOUND);
    ck_assert_uint_eq(mca_base_var_count(), 4);
    ck_assert_int_eq(mca_base_var_deregister("fake_number"), OPAL_SUCCESS);
    ck_assert_uint_eq(mca_base_var_count(), 1);
    ck_assert(!mca_base_var_is_known("amount") && !mca_base_var_is_known("fake_sum"));
    ck_assert(mca_base_var_is_known("fake_other"));
}
END_TEST

/* ---- leave_pinned ----------------------------------------------------------------------------------- */

static const char *const leave_pinned_names[] = { "rcache_base_leave_pinned", "leave_pinned", "mpi_leave_pinned",
                                                  "opal_leave_pinned" };

/* Where the library's components are DSOs, those would bring the shared library along: this test has it inside. */
static void start_without_dsos(void)
{
    setenv("OPALMEM_MCA_mca_base_component_disable_dlopen", "1", 1);
    log_start();
}

START_TEST(leave_pinned_is_found_under_open_mpis_names_too)
{
    char variable[64];
    snprintf(variable, sizeof variable, "%s%s", _i < 4 ? "OMPI_MCA_" : "OPALMEM_MCA_", leave_pinned_names[_i % 4]);
    setenv(variable, "0", 1);
    start_without_dsos();
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    expect_quiet();
    for (int i = 0; i < COUNT(leave_pinned_names); i++) {
        int value = 99;
        ck_assert_int_eq(mca_base_var_get_value(leave_pinned_names[i], MCA_BASE_VAR_TYPE_INT, &value),
                         OPAL_SUCCESS);
        ck_assert_int_eq(value, 0);
    }
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_find_info("rcache_base_leave_pinned", &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.source_detail, variable);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(leave_pinned_takes_what_open_mpi_takes)
{
    static const struct {
        const char *text;
        int value;
    } cases[] = {
        { "-1", -1 },  { "auto", -1 },    { "AUTO", -1 },   { "0", 0 },    { "1", 1 },   { "false", 0 },
        { "true", 1 }, { "f", 0 },        { "t", 1 },       { "no", 0 },   { "yes", 1 }, { "n", 0 },
        { "y", 1 },    { "disabled", 0 }, { "enabled", 1 }, { "True", 1 },
    };
    int value;
    setenv("OMPI_MCA_mpi_leave_pinned", "auto", 1);
    start_without_dsos();
    for (int i = 0; i < COUNT(cases); i++) {
        setenv("OMPI_MCA_mpi_leave_pinned", cases[i].text, 1);
        ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
        ck_assert_int_eq(mca_base_var_get_value("leave_pinned", MCA_BASE_VAR_TYPE_ENUM, &value), OPAL_SUCCESS);
        ck_assert_int_eq(value, cases[i].value);
        ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    }
    expect_quiet();
}
END_TEST

START_TEST(leave_pinned_with_a_bad_value_stops_the_start)
{
    setenv("OMPI_MCA_mpi_leave_pinned", "on", 1);
    log_start();
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, "mpi_leave_pinned cannot have the value \"on\"");
}
END_TEST

/* ---- Messages ------------------------------------------------------------------------------------------- */

START_TEST(error_is_told_after_any_number_of_warnings)
{
    log_start();
    setenv("OPALMEM_MCA_fake_number", "many", 1);
    ck_assert_int_eq(mca_base_var_register(&number_def), OPAL_SUCCESS);
    for (char name[] = "fake_a"; name[5] < 'm'; name[5]++) {
        char variable[32];
        snprintf(variable, sizeof variable, "OPALMEM_MCA_%s", name);
        setenv(variable, name, 1);
        ck_assert_int_eq(mca_base_var_register_synonym("fake_number", name, 0), OPAL_SUCCESS);
    }
    mca_base_var_open();
    ck_assert_int_eq(mca_base_var_resolve_all(), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, "cannot have the value \"many\"");
}
END_TEST

/* A value that was cut looked like another one, and a line in it like another message. */
START_TEST(long_value_is_marked_and_control_characters_are_replaced)
{
    char value[300] = "1\n2\x1b";
    memset(value + strlen(value), 'x', 250);
    setenv("OPALMEM_MCA_fake_number", value, 1);
    ck_assert_int_eq(register_all(0), OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "\"1?2?xxx");
    log_expect(MCA_BASE_LOG_ERROR, "xxx...\" (environment variable OPALMEM_MCA_fake_number)");
}
END_TEST

START_TEST(long_list_of_names_is_marked)
{
    static mca_base_var_enum_value_t names[200];
    for (int i = 0; i < 199; i++) {
        names[i] = (mca_base_var_enum_value_t){ "name", i };
    }
    mca_base_var_def_t def = number_def;
    def.type = MCA_BASE_VAR_TYPE_ENUM;
    def.enumerator = names;
    log_start();
    mca_base_var_open();
    setenv("OPALMEM_MCA_fake_number", "many", 1);
    ck_assert_int_eq(mca_base_var_register(&def), OPAL_ERR_BAD_PARAM);
    const char *message = log_last(MCA_BASE_LOG_ERROR);
    ck_assert_str_eq(message + strlen(message) - 3, "...");
}
END_TEST

START_TEST(cut_does_not_split_a_character)
{
    char shown[8];
    mca_base_var_show("1234567", shown, sizeof shown);
    ck_assert_str_eq(shown, "1234567");
    mca_base_var_show("12345678", shown, sizeof shown);
    ck_assert_str_eq(shown, "1234...");
    mca_base_var_show("123\xc3\xa4\xc3\xa4", shown, sizeof shown);
    ck_assert_str_eq(shown, "123\xc3\xa4\xc3\xa4");
    mca_base_var_show("123\xc3\xa4\xc3\xa4x", shown, sizeof shown);
    ck_assert_str_eq(shown, "123...");
}
END_TEST

/* ---- Without memory ----------------------------------------------------------------------------------- */

static bool lost;

/* A call that had no memory is made again. */
static void register_until_there_is_memory(void)
{
    static char *text;
    const mca_base_var_def_t def = {
        .framework = "fake", .name = "text", .type = MCA_BASE_VAR_TYPE_STRING, .info_level = 1, .storage = &text
    };
    mca_base_var_open();
    int rc = mca_base_var_register(&def);
    rc = rc == OPAL_ERR_OUT_OF_RESOURCE ? mca_base_var_register(&def) : rc;
    lost = lost || rc != OPAL_SUCCESS || text == NULL || strcmp(text, "of the variable") != 0;
    mca_base_var_close();
}

static void name_until_there_is_memory(void)
{
    static char *text;
    mca_base_var_open();
    int rc = mca_base_var_register(&(mca_base_var_def_t){ .framework = "fake",
                                                          .name = "plain",
                                                          .type = MCA_BASE_VAR_TYPE_STRING,
                                                          .info_level = 1,
                                                          .storage = &text });
    if (rc == OPAL_SUCCESS) {
        rc = mca_base_var_register_synonym("fake_plain", "fake_synonym", 0);
        rc = rc == OPAL_ERR_OUT_OF_RESOURCE ? mca_base_var_register_synonym("fake_plain", "fake_synonym", 0) : rc;
        lost = lost || rc != OPAL_SUCCESS || text == NULL || strcmp(text, "of the synonym") != 0;
    }
    mca_base_var_close();
}

START_TEST(setting_is_not_lost_when_memory_was_short)
{
    setenv("OPALMEM_MCA_fake_text", "of the variable", 1);
    setenv("OPALMEM_MCA_fake_synonym", "of the synonym", 1);
    fail_each_allocation(_i == 0 ? register_until_there_is_memory : name_until_there_is_memory, 50);
    ck_assert(!lost);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, setting_under_a_synonym_is_the_variables);
    tcase_add_test(tests, synonym_is_an_entry_of_its_own);
    tcase_add_test(tests, stronger_place_wins_whatever_the_name);
    tcase_add_test(tests, own_name_wins_in_one_place_with_a_warning);
    tcase_add_test(tests, one_value_under_two_names_is_no_contradiction);
    tcase_add_test(tests, contradiction_in_a_file_is_a_warning);
    tcase_add_test(tests, contradiction_where_it_does_not_matter_is_quiet);
    tcase_add_test(tests, contradiction_on_the_command_line_is_an_error);
    tcase_add_test(tests, contradiction_on_a_parents_command_line_is_an_error);
    tcase_add_test(tests, bad_value_under_a_synonym_names_it_and_leaves_the_value);
    tcase_add_test(tests, deprecated_synonym_warns_once_and_names_the_new_name);
    tcase_add_loop_test(tests, synonym_of_another_variable_is_refused, 0, 4);
    tcase_add_test(tests, synonym_has_no_flag_but_deprecated);
    tcase_add_test(tests, same_synonym_again_is_fine);
    tcase_add_test(tests, synonym_of_nothing_is_not_found);
    tcase_add_test(tests, variable_cannot_take_the_name_of_a_synonym);
    tcase_add_test(tests, synonyms_go_with_their_variable);
    tcase_add_loop_test(tests, leave_pinned_is_found_under_open_mpis_names_too, 0, 8);
    tcase_add_test(tests, leave_pinned_takes_what_open_mpi_takes);
    tcase_add_test(tests, leave_pinned_with_a_bad_value_stops_the_start);
    tcase_add_loop_test(tests, setting_is_not_lost_when_memory_was_short, 0, 2);
    tcase_add_test(tests, error_is_told_after_any_number_of_warnings);
    tcase_add_test(tests, long_value_is_marked_and_control_characters_are_replaced);
    tcase_add_test(tests, long_list_of_names_is_marked);
    tcase_add_test(tests, cut_does_not_split_a_character);
}

int main(void)
{
    return run_tests("mca_base_var_synonym", add);
}
