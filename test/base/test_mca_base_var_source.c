/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables: where settings come from, which one counts, and which are
 * mistakes. The linker puts the settings below in the place of those that
 * mca_base_file.c reads (-Wl,--wrap). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base_test.h"
#include "wrapped_files.h"
#include "framework/base/mca_base_var.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

static const mca_base_var_enum_value_t colours[] = { { "red", 7 }, { "green", 9 }, { NULL, 0 } };
static int number;
static mca_base_var_def_t number_def = {
    .framework = "fake",
    .name = "number",
    .help = "Use fake_amount.",
    .type = MCA_BASE_VAR_TYPE_INT,
    .info_level = 1,
    .max = 100,
    .storage = &number,
};

static int register_number(void)
{
    log_start();
    mca_base_var_open();
    return mca_base_var_register(&number_def);
}

static void expect_source(mca_base_var_source_t source, const char *detail)
{
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_find_info("fake_number", &info), OPAL_SUCCESS);
    ck_assert_int_eq(info.source, source);
    ck_assert_str_eq(info.source_detail, detail);
}

/* One message of the level, with this in it. */
static void expect_one(mca_base_log_level_t level, const char *text)
{
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR) + log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(level, text);
}

static void expect_quiet(void)
{
    ck_assert_msg(log_count(MCA_BASE_LOG_WARN) == 0, "warning: %s", log_last(MCA_BASE_LOG_WARN));
    ck_assert_msg(log_count(MCA_BASE_LOG_ERROR) == 0, "error: %s", log_last(MCA_BASE_LOG_ERROR));
}

/* ---- Places, the strongest first ------------------------------------------------------------------- */

static void set_override(void)
{
    wrapped_add(MCA_BASE_FILE_OVERRIDE, "fake_number", "1", "/etc/override.conf", 4);
    setenv("OPALMEM_MCA_mca_base_suppress_override_warning", "1", 1);
}

static void set_arguments(void)
{
    ck_assert_int_eq(take_arguments("x", "--mca", "fake_number", "2", NULL), OPAL_SUCCESS);
}

/* The three that our own prefix stands for cannot be there at once. */
static void set_own_environment(const char *value, const char *marker)
{
    if (getenv("OPALMEM_MCA_fake_number") != NULL) {
        return;
    }
    setenv("OPALMEM_MCA_fake_number", value, 1);
    if (marker != NULL) {
        setenv("OPALMEM_MCA_SOURCE_fake_number", marker, 1);
    }
}

static void set_parent_arguments(void)
{
    set_own_environment("3", "COMMAND");
}

static void set_environment(void)
{
    set_own_environment("4", NULL);
}

static void set_open_mpi(void)
{
    setenv("OMPI_MCA_fake_number", "5", 1);
}

static void set_tune(void)
{
    wrapped_add(MCA_BASE_FILE_TUNE, "fake_number", "6", "/tmp/tune", 17);
}

static void set_parent_tune(void)
{
    set_own_environment("7", "FILE:/elsewhere/tune:3");
}

static void set_params(void)
{
    wrapped_add(MCA_BASE_FILE_PARAMS, "fake_number", "8", "/etc/params.conf", 2);
}

static const struct {
    void (*set)(void);
    mca_base_var_source_t source;
    const char *detail;
} places[] = {
    { set_override, MCA_BASE_VAR_SOURCE_OVERRIDE, "/etc/override.conf:4" },
    { set_arguments, MCA_BASE_VAR_SOURCE_COMMAND_LINE, "argument 2" },
    { set_parent_arguments, MCA_BASE_VAR_SOURCE_COMMAND_LINE, "OPALMEM_MCA_fake_number" },
    { set_environment, MCA_BASE_VAR_SOURCE_ENV, "OPALMEM_MCA_fake_number" },
    { set_open_mpi, MCA_BASE_VAR_SOURCE_ENV, "OMPI_MCA_fake_number" },
    { set_tune, MCA_BASE_VAR_SOURCE_TUNE, "/tmp/tune:17" },
    { set_parent_tune, MCA_BASE_VAR_SOURCE_TUNE, "/elsewhere/tune:3" },
    { set_params, MCA_BASE_VAR_SOURCE_FILE, "/etc/params.conf:2" },
};

START_TEST(place_wins_over_all_weaker_ones)
{
    for (int i = _i; i < COUNT(places); i++) {
        places[i].set();
    }
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, _i + 1);
    expect_source(places[_i].source, places[_i].detail);
    expect_quiet();
}
END_TEST

START_TEST(place_alone_is_enough)
{
    places[_i].set();
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, _i + 1);
    expect_source(places[_i].source, places[_i].detail);
}
END_TEST

START_TEST(bad_value_names_the_place)
{
    static const char *const origins[] = {
        "(override file /etc/override.conf:4)",
        "(command line, argument 2)",
        "(command line of a parent process, OPALMEM_MCA_fake_number)",
        "(environment variable OPALMEM_MCA_fake_number)",
        "(environment variable OMPI_MCA_fake_number)",
        "(tune file /tmp/tune:17)",
        "(tune file /elsewhere/tune:3)",
        "(parameter file /etc/params.conf:2)",
    };
    number_def.min = 50;
    number = 55;
    places[_i].set();
    ck_assert_int_eq(register_number(), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(number, 55);
    ck_assert_uint_eq(mca_base_var_refused(), 1);
    expect_one(MCA_BASE_LOG_ERROR, origins[_i]);
    log_expect(MCA_BASE_LOG_ERROR, "a whole number from 50 to 100");
}
END_TEST

START_TEST(long_path_keeps_its_end_and_the_line)
{
    char path[1000];
    memset(path, 'p', sizeof path);
    strcpy(path + 900, "/the-end");
    wrapped_add(MCA_BASE_FILE_PARAMS, "fake_number", "8", path, 12345);
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_find_info("fake_number", &info), OPAL_SUCCESS);
    ck_assert_uint_eq(strlen(info.source_detail), sizeof info.source_detail - 1);
    ck_assert_str_eq(info.source_detail + strlen(info.source_detail) - 14, "/the-end:12345");
    ck_assert_int_eq(strncmp(info.source_detail, "...p", 4), 0);
}
END_TEST

/* ---- Markers of a parent --------------------------------------------------------------------------- */

START_TEST(marker_without_a_setting_sets_nothing)
{
    setenv("OPALMEM_MCA_SOURCE_fake_number", "COMMAND", 1);
    number = 42;
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 42);
    expect_source(MCA_BASE_VAR_SOURCE_DEFAULT, "");
}
END_TEST

START_TEST(marker_that_says_nothing_leaves_the_rank_of_the_environment)
{
    static const char *const markers[] = { "", "command", "FILE:", "FILE", "COMMAND " };
    setenv("OPALMEM_MCA_SOURCE_fake_number", markers[_i], 1);
    setenv("OPALMEM_MCA_fake_number", "4", 1);
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    expect_source(MCA_BASE_VAR_SOURCE_ENV, "OPALMEM_MCA_fake_number");
    ck_assert_ptr_nonnull(mca_base_setting_bad_marker("fake_number"));
}
END_TEST

START_TEST(marker_does_not_concern_open_mpi)
{
    setenv("OPALMEM_MCA_SOURCE_fake_number", "COMMAND", 1);
    set_open_mpi();
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    expect_source(MCA_BASE_VAR_SOURCE_ENV, "OMPI_MCA_fake_number");
}
END_TEST

/* ---- What nobody may set, and what may be set in one place ------------------------------------------ */

START_TEST(fixed_variable_keeps_its_default)
{
    number = 42;
    number_def.flags = MCA_BASE_VAR_FLAG_DEFAULT_ONLY;
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 42);
    expect_quiet();
}
END_TEST

START_TEST(setting_of_a_default_only_variable_is_an_error)
{
    number = 42;
    number_def.flags = MCA_BASE_VAR_FLAG_DEFAULT_ONLY;
    places[_i].set();
    ck_assert_int_eq(register_number(), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(number, 42);
    ck_assert_uint_eq(mca_base_var_refused(), 1);
    expect_one(MCA_BASE_LOG_ERROR, "nothing can set it");
    log_expect(MCA_BASE_LOG_ERROR, "fake_number");
}
END_TEST

START_TEST(setting_of_a_constant_is_an_error)
{
    number_def.scope = MCA_BASE_VAR_SCOPE_CONSTANT;
    places[_i].set();
    ck_assert_int_eq(register_number(), OPAL_ERR_BAD_PARAM);
    expect_one(MCA_BASE_LOG_ERROR, "nothing can set it");
}
END_TEST

START_TEST(variable_is_looked_at_again_when_all_files_are_read)
{
    number_def.flags = _i == 0 ? MCA_BASE_VAR_FLAG_DEFAULT_ONLY : 0;
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    set_params();
    ck_assert_int_eq(mca_base_var_resolve_all(), _i == 0 ? OPAL_ERR_BAD_PARAM : OPAL_SUCCESS);
    ck_assert_int_eq(number, _i == 0 ? 0 : 8);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), _i == 0);
}
END_TEST

START_TEST(environment_only_variable_refuses_other_places)
{
    number_def.flags = MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY;
    places[_i].set();
    bool good = places[_i].source == MCA_BASE_VAR_SOURCE_ENV;
    ck_assert_int_eq(register_number(), good ? OPAL_SUCCESS : OPAL_ERR_BAD_PARAM);
    if (good) {
        expect_quiet();
        ck_assert_int_eq(number, _i + 1);
    } else {
        expect_one(MCA_BASE_LOG_ERROR, "it can be set in the environment only");
        ck_assert_int_eq(number, 0);
    }
}
END_TEST

START_TEST(environment_only_variable_refuses_a_weaker_place_as_well)
{
    number_def.flags = MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY;
    set_environment();
    set_params();
    ck_assert_int_eq(register_number(), OPAL_ERR_BAD_PARAM);
    expect_one(MCA_BASE_LOG_ERROR, "/etc/params.conf:2");
}
END_TEST

/* ---- Deprecated ------------------------------------------------------------------------------------- */

START_TEST(deprecated_variable_warns_when_it_is_set)
{
    number_def.flags = MCA_BASE_VAR_FLAG_DEPRECATED;
    set_params();
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 8);
    expect_one(MCA_BASE_LOG_WARN,
               "fake_number (parameter file /etc/params.conf:2) is deprecated: Use fake_amount.");
}
END_TEST

START_TEST(deprecated_variable_warns_once)
{
    number_def.flags = MCA_BASE_VAR_FLAG_DEPRECATED | MCA_BASE_VAR_FLAG_SETTABLE;
    number_def.scope = MCA_BASE_VAR_SCOPE_LOCAL;
    set_params();
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set("fake_number", "9"), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register(&number_def), OPAL_SUCCESS);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
}
END_TEST

START_TEST(deprecated_variable_that_nobody_sets_is_quiet)
{
    number_def.flags = MCA_BASE_VAR_FLAG_DEPRECATED;
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    expect_quiet();
}
END_TEST

/* ---- Override file ---------------------------------------------------------------------------------- */

static void override_with(const char *value)
{
    wrapped_add(MCA_BASE_FILE_OVERRIDE, "fake_number", value, "/etc/override.conf", 4);
}

START_TEST(override_of_another_value_warns_once_and_names_both)
{
    override_with("1");
    set_arguments();
    set_params();
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register_synonym("fake_number", "fake_amount", 0), OPAL_SUCCESS);
    expect_one(MCA_BASE_LOG_WARN, "fake_number is fixed to \"1\" (override file /etc/override.conf:4)");
    log_expect(MCA_BASE_LOG_WARN, "\"2\" (command line, argument 2) has no effect");
}
END_TEST

START_TEST(override_of_the_same_value_is_quiet)
{
    override_with("0x2");
    set_arguments();
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    expect_quiet();
}
END_TEST

START_TEST(override_warning_can_be_suppressed_from_every_place)
{
    override_with("1");
    set_arguments();
    setenv("OPALMEM_MCA_mca_base_suppress_override_warning", "0", 1);
    if (_i == 0) {
        setenv("OPALMEM_MCA_mca_base_suppress_override_warning", "y", 1);
    } else if (_i == 1) {
        wrapped_add(MCA_BASE_FILE_OVERRIDE, "mca_base_suppress_override_warning", "1", "/etc/override.conf", 1);
    }
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), _i == 2);
}
END_TEST

START_TEST(suppressing_the_warning_is_a_variable_of_its_own)
{
    setenv("OPALMEM_MCA_mca_base_suppress_override_warning", "perhaps", 1);
    log_start();
    ck_assert_int_eq(mca_base_open(), OPAL_ERR_BAD_PARAM);
    expect_one(MCA_BASE_LOG_ERROR, "mca_base_suppress_override_warning");
}
END_TEST

/* ---- Registered before the library starts ----------------------------------------------------------- */

START_TEST(early_variable_keeps_its_default_until_the_start)
{
    number = 42;
    set_params();
    log_start();
    ck_assert_int_eq(mca_base_var_register(&number_def), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register_synonym("fake_number", "fake_amount", 0), OPAL_SUCCESS);
    ck_assert_int_eq(number, 42);
    expect_source(MCA_BASE_VAR_SOURCE_DEFAULT, "");
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 8);
    expect_source(MCA_BASE_VAR_SOURCE_FILE, "/etc/params.conf:2");
    mca_base_close();
    ck_assert_int_eq(number, 42);
    ck_assert_uint_eq(mca_base_var_count(), 0);
}
END_TEST

START_TEST(early_variable_gets_the_value_of_its_synonym)
{
    setenv("OPALMEM_MCA_fake_amount", "9", 1);
    ck_assert_int_eq(mca_base_var_register(&number_def), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register_synonym("fake_number", "fake_amount", 0), OPAL_SUCCESS);
    ck_assert_int_eq(number, 0);
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 9);
}
END_TEST

START_TEST(every_bad_value_of_early_variables_is_reported)
{
    static int colour = 7;
    const mca_base_var_def_t colour_def = { .framework = "fake",
                                            .name = "colour",
                                            .type = MCA_BASE_VAR_TYPE_ENUM,
                                            .info_level = 1,
                                            .enumerator = colours,
                                            .storage = &colour };
    setenv("OPALMEM_MCA_fake_number", "x", 1);
    setenv("OPALMEM_MCA_fake_colour", "blue", 1);
    log_start();
    ck_assert_int_eq(mca_base_var_register(&number_def), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register(&colour_def), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_open(), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 2);
    log_expect(MCA_BASE_LOG_ERROR, "fake_colour");
    ck_assert_uint_eq(mca_base_var_count(), 0);
}
END_TEST

START_TEST(early_set_is_stronger_than_what_is_given)
{
    number_def.flags = MCA_BASE_VAR_FLAG_SETTABLE;
    number_def.scope = MCA_BASE_VAR_SCOPE_LOCAL;
    set_arguments();
    ck_assert_int_eq(mca_base_var_register(&number_def), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set("fake_number", "77"), OPAL_SUCCESS);
    if (_i == 1) {
        override_with("1");
    }
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(number, _i == 1 ? 1 : 77);
    if (_i == 0) {
        ck_assert_int_eq(mca_base_var_set("fake_number", NULL), OPAL_SUCCESS);
        ck_assert_int_eq(number, 2);
    }
}
END_TEST

START_TEST(refused_variable_is_refused_again_until_its_setting_is_good)
{
    setenv("OPALMEM_MCA_fake_number", "x", 1);
    ck_assert_int_eq(register_number(), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(register_number(), OPAL_ERR_BAD_PARAM);
    setenv("OPALMEM_MCA_fake_number", "4", 1);
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 4);
    ck_assert_uint_eq(mca_base_var_count(), 1);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, place_wins_over_all_weaker_ones, 0, COUNT(places));
    tcase_add_loop_test(tests, place_alone_is_enough, 0, COUNT(places));
    tcase_add_loop_test(tests, bad_value_names_the_place, 0, COUNT(places));
    tcase_add_test(tests, long_path_keeps_its_end_and_the_line);
    tcase_add_test(tests, marker_without_a_setting_sets_nothing);
    tcase_add_loop_test(tests, marker_that_says_nothing_leaves_the_rank_of_the_environment, 0, 5);
    tcase_add_test(tests, marker_does_not_concern_open_mpi);
    tcase_add_test(tests, fixed_variable_keeps_its_default);
    tcase_add_loop_test(tests, setting_of_a_default_only_variable_is_an_error, 0, COUNT(places));
    tcase_add_loop_test(tests, setting_of_a_constant_is_an_error, 0, COUNT(places));
    tcase_add_loop_test(tests, variable_is_looked_at_again_when_all_files_are_read, 0, 2);
    tcase_add_loop_test(tests, environment_only_variable_refuses_other_places, 0, COUNT(places));
    tcase_add_test(tests, environment_only_variable_refuses_a_weaker_place_as_well);
    tcase_add_test(tests, deprecated_variable_warns_when_it_is_set);
    tcase_add_test(tests, deprecated_variable_warns_once);
    tcase_add_test(tests, deprecated_variable_that_nobody_sets_is_quiet);
    tcase_add_test(tests, override_of_another_value_warns_once_and_names_both);
    tcase_add_test(tests, override_of_the_same_value_is_quiet);
    tcase_add_loop_test(tests, override_warning_can_be_suppressed_from_every_place, 0, 3);
    tcase_add_test(tests, suppressing_the_warning_is_a_variable_of_its_own);
    tcase_add_test(tests, early_variable_keeps_its_default_until_the_start);
    tcase_add_test(tests, early_variable_gets_the_value_of_its_synonym);
    tcase_add_test(tests, every_bad_value_of_early_variables_is_reported);
    tcase_add_loop_test(tests, early_set_is_stronger_than_what_is_given, 0, 2);
    tcase_add_test(tests, refused_variable_is_refused_again_until_its_setting_is_good);
}

int main(void)
{
    return run_tests("mca_base_var_source", add);
}
