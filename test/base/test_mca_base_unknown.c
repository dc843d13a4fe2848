/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings that nobody asked for are reported once, with the nearest name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base_test.h"
#include "wrapped_files.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

static int storage[8];

static int register_tuning(void)
{
    return mca_base_var_register(&(mca_base_var_def_t){
        .framework = "fake", .component = "alpha", .name = "tuning", .info_level = 1, .storage = &storage[0] });
}

static const mca_base_component_t alpha =
    FAKE_COMPONENT("alpha", .mca_register_component_params = register_tuning);
static const mca_base_component_t beta = FAKE_COMPONENT("beta", .mca_register_component_params = register_tuning);
static const mca_base_component_t *const components[] = { &alpha, &beta, NULL };

/* Opens everything with what has been set, and reports. */
static void report(void)
{
    log_start();
    fake_framework.static_components = components;
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_framework_open(&fake_framework), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_report_unknown(), OPAL_SUCCESS);
}

static void expect_quiet(void)
{
    ck_assert_msg(log_count(MCA_BASE_LOG_WARN) == 0, "warning: %s", log_last(MCA_BASE_LOG_WARN));
    ck_assert_msg(log_count(MCA_BASE_LOG_ERROR) == 0, "error: %s", log_last(MCA_BASE_LOG_ERROR));
}

typedef struct slip_t {
    const char *given;
    const char *meant; /* NULL: nothing is near enough. */
} slip_t;

static const slip_t slips[] = {
    { "fkae", "fake" },
    { "fak", "fake" },
    { "Fake", "fake" },
    { "fake_base_verbos", "fake_base_verbose" },
    { "fake_base_vebrose", "fake_base_verbose" },
    { "fake_alpha_tunning", "fake_alpha_tuning" },
    { "mca_base_verbsoe", "mca_base_verbose" },
    { "nosuch_x", NULL },
    { "x", NULL },
    { "fake_alpha_something_else", NULL },
};

START_TEST(unknown_name_on_the_command_line_is_a_warning)
{
    const slip_t *slip = &slips[_i];
    ck_assert_int_eq(take_arguments("x", "--mca", slip->given, "1", NULL), OPAL_SUCCESS);
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    char expected[128];
    snprintf(expected, sizeof expected, "there is no variable %s (command line, argument 2)", slip->given);
    log_expect(MCA_BASE_LOG_WARN, expected);
    if (slip->meant != NULL) {
        snprintf(expected, sizeof expected, "did you mean %s?", slip->meant);
        log_expect(MCA_BASE_LOG_WARN, expected);
    } else {
        ck_assert_ptr_null(strstr(log_last(MCA_BASE_LOG_WARN), "did you mean"));
    }
}
END_TEST

START_TEST(unknown_name_in_the_environment_is_a_warning)
{
    setenv("OPALMEM_MCA_fake_base_vrebose", "1", 1);
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN,
               "there is no variable fake_base_vrebose (environment variable OPALMEM_MCA_fake_base_vrebose); "
               "did you mean fake_base_verbose?");
}
END_TEST

START_TEST(environment_variable_without_a_name_is_a_warning)
{
    setenv("OPALMEM_MCA_", "1", 1);
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "environment variable OPALMEM_MCA_ lacks the name of a variable");
}
END_TEST

START_TEST(known_names_are_not_reported)
{
    setenv("OPALMEM_MCA_fake_alpha_tuning", "1", 1);
    setenv("OMPI_MCA_fake_base_verbose", "0", 1);
    setenv("OPALMEM_MCA_fake", "alpha", 1);
    ck_assert_int_eq(take_arguments("--mca", "mca_base_verbose", "0", NULL), OPAL_SUCCESS);
    report();
    expect_quiet();
}
END_TEST

START_TEST(variables_of_a_component_that_was_not_tried_are_not_reported)
{
    setenv("OPALMEM_MCA_fake", "^beta", 1);
    setenv("OPALMEM_MCA_fake_beta_anything", "1", 1);
    report();
    expect_quiet();
}
END_TEST

START_TEST(name_from_two_sources_is_reported_once)
{
    setenv("OPALMEM_MCA_fake_base_vrebose", "1", 1);
    setenv("OMPI_MCA_fake_base_vrebose", "1", 1);
    ck_assert_int_eq(take_arguments("--mca", "fake_base_vrebose", "1", NULL), OPAL_SUCCESS);
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "command line");
}
END_TEST

START_TEST(each_unknown_name_is_reported)
{
    setenv("OPALMEM_MCA_one", "1", 1);
    setenv("OPALMEM_MCA_two", "1", 1);
    ck_assert_int_eq(take_arguments("--mca", "three", "1", "--mca", "four", "1", NULL), OPAL_SUCCESS);
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 4);
}
END_TEST

START_TEST(very_long_name_is_reported)
{
    char name[1000] = "OPALMEM_MCA_";
    memset(name + strlen(name), 'n', 900);
    setenv(name, "1", 1);
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
}
END_TEST

/* ---- Files --------------------------------------------------------------------------------------- */

START_TEST(unknown_name_in_a_file_is_a_warning)
{
    static const struct {
        mca_base_file_kind_t kind;
        const char *expected;
    } cases[] = {
        { MCA_BASE_FILE_PARAMS, "(parameter file /the/file:12); did you mean fake_base_verbose?" },
        { MCA_BASE_FILE_TUNE, "(tune file /the/file:12); did you mean fake_base_verbose?" },
        { MCA_BASE_FILE_OVERRIDE, "(override file /the/file:12); did you mean fake_base_verbose?" },
    };
    wrapped_add(cases[_i].kind, "fake_base_verbose", "0", "/the/file", 11);
    wrapped_add(cases[_i].kind, "fake_base_vrebose", "1", "/the/file", 12);
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, cases[_i].expected);
}
END_TEST

START_TEST(unknown_name_in_several_places_is_reported_once)
{
    wrapped_add(MCA_BASE_FILE_PARAMS, "nosuch", "0", "/params", 1);
    wrapped_add(MCA_BASE_FILE_PARAMS, "nosuch", "0", "/other", 9);
    wrapped_add(MCA_BASE_FILE_TUNE, "nosuch", "0", "/tune", 2);
    if (_i >= 1) {
        setenv("OPALMEM_MCA_nosuch", "1", 1);
    }
    if (_i >= 2) {
        ck_assert_int_eq(take_arguments("--mca", "nosuch", "1", NULL), OPAL_SUCCESS);
    }
    if (_i >= 3) {
        wrapped_add(MCA_BASE_FILE_OVERRIDE, "nosuch", "0", "/override", 3);
    }
    static const char *const places[] = { "/tune:2", "environment", "command line", "/override:3" };
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, places[_i]);
}
END_TEST

/* OMPI_MCA_nosuch is no framework of ours, and does not hide the file's mistake. */
START_TEST(open_mpis_own_name_hides_no_mistake_in_a_file)
{
    setenv("OMPI_MCA_nosuch", "1", 1);
    wrapped_add(MCA_BASE_FILE_PARAMS, "nosuch", "0", "/params", 1);
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "/params:1");
}
END_TEST

/* ---- Synonyms, parents, and silence ---------------------------------------------------------------- */

static void report_with_synonym(void)
{
    log_start();
    fake_framework.static_components = components;
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_framework_open(&fake_framework), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register_synonym("fake_alpha_tuning", "old_tuning", 0), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_report_unknown(), OPAL_SUCCESS);
}

START_TEST(synonym_is_a_known_name)
{
    setenv("OPALMEM_MCA_old_tuning", "1", 1);
    report_with_synonym();
    expect_quiet();
}
END_TEST

START_TEST(synonym_may_be_what_was_meant)
{
    setenv("OPALMEM_MCA_old_tunign", "1", 1);
    report_with_synonym();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "did you mean old_tuning?");
}
END_TEST

START_TEST(what_a_parent_hands_on_is_reported_with_its_place)
{
    static const struct {
        const char *marker, *expected;
    } cases[] = {
        { "COMMAND", "(command line of a parent process, OPALMEM_MCA_nosuch)" },
        { "FILE:/tune:3", "(tune file /tune:3)" },
    };
    setenv("OPALMEM_MCA_nosuch", "1", 1);
    setenv("OPALMEM_MCA_SOURCE_nosuch", cases[_i].marker, 1);
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, cases[_i].expected);
}
END_TEST

START_TEST(markers_are_no_names)
{
    setenv("OPALMEM_MCA_SOURCE_fake_base_verbose", "COMMAND", 1);
    setenv("OPALMEM_MCA_SOURCE_nosuch", "FILE:/x:1", 1);
    report();
    expect_quiet();
}
END_TEST

START_TEST(marker_that_says_nothing_is_a_warning)
{
    setenv("OPALMEM_MCA_fake_base_verbose", "0", 1);
    setenv("OPALMEM_MCA_SOURCE_fake_base_verbose", "FLIE:/x:1", 1);
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "OPALMEM_MCA_SOURCE_fake_base_verbose has the value \"FLIE:/x:1\"");
}
END_TEST

START_TEST(warnings_can_be_turned_off)
{
    setenv("OPALMEM_MCA_nosuch", "1", 1);
    wrapped_add(MCA_BASE_FILE_PARAMS, "nosuch_either", "0", "/params", 1);
    ck_assert_int_eq(take_arguments("--mca", "btl", "self", "--mca", "mca_base_warn_unknown", "0", NULL),
                     OPAL_SUCCESS);
    report();
    expect_quiet();
}
END_TEST

/* ---- OMPI_MCA_* ---------------------------------------------------------------------------------- */

START_TEST(open_mpi_names_of_other_frameworks_are_its_own)
{
    setenv("OMPI_MCA_btl", "self", 1);
    setenv("OMPI_MCA_fakes", "1", 1);
    setenv("OMPI_MCA_mca_base_verbsoe", "1", 1);
    report();
    expect_quiet();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_INFO), 0);
}
END_TEST

START_TEST(open_mpi_names_unlike_ours_are_no_warning)
{
    setenv("OMPI_MCA_fake_patcher_priority", "90", 1);
    setenv("OMPI_MCA_fake_linux_disable", "1", 1);
    report();
    expect_quiet();
}
END_TEST

START_TEST(open_mpi_name_with_a_slip_is_a_warning)
{
    setenv("OMPI_MCA_fake_alpha_tunign", "1", 1);
    report();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "did you mean fake_alpha_tuning?");
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, unknown_name_on_the_command_line_is_a_warning, 0, COUNT(slips));
    tcase_add_test(tests, unknown_name_in_the_environment_is_a_warning);
    tcase_add_test(tests, environment_variable_without_a_name_is_a_warning);
    tcase_add_test(tests, known_names_are_not_reported);
    tcase_add_test(tests, variables_of_a_component_that_was_not_tried_are_not_reported);
    tcase_add_test(tests, name_from_two_sources_is_reported_once);
    tcase_add_test(tests, each_unknown_name_is_reported);
    tcase_add_test(tests, very_long_name_is_reported);
    tcase_add_loop_test(tests, unknown_name_in_a_file_is_a_warning, 0, 3);
    tcase_add_loop_test(tests, unknown_name_in_several_places_is_reported_once, 0, 4);
    tcase_add_test(tests, open_mpis_own_name_hides_no_mistake_in_a_file);
    tcase_add_test(tests, synonym_is_a_known_name);
    tcase_add_test(tests, synonym_may_be_what_was_meant);
    tcase_add_loop_test(tests, what_a_parent_hands_on_is_reported_with_its_place, 0, 2);
    tcase_add_test(tests, markers_are_no_names);
    tcase_add_test(tests, marker_that_says_nothing_is_a_warning);
    tcase_add_test(tests, warnings_can_be_turned_off);
    tcase_add_test(tests, open_mpi_names_of_other_frameworks_are_its_own);
    tcase_add_test(tests, open_mpi_names_unlike_ours_are_no_warning);
    tcase_add_test(tests, open_mpi_name_with_a_slip_is_a_warning);
}

int main(void)
{
    return run_tests("mca_base_unknown", add);
}
