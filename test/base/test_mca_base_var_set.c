/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables: reading them by name, and changing them at run time. */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base_test.h"
#include "wrapped_files.h"
#include "framework/base/mca_base_log.h"
#include "framework/base/mca_base_var.h"
#include "opal/opalmem.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

static const mca_base_var_enum_value_t colours[] = { { "red", 7 }, { "green", 9 }, { NULL, 0 } };

static int number;
static unsigned natural;
static size_t size;
static bool flag;
static double real;
static char *text;
static int colour;

#define SETTABLE(NAME, ...)                                                                      \
    {                                                                                            \
        .framework = "fake", .name = NAME, .info_level = 1, .flags = MCA_BASE_VAR_FLAG_SETTABLE, \
        .scope = MCA_BASE_VAR_SCOPE_LOCAL, __VA_ARGS__                                           \
    }

static const mca_base_var_def_t defs[] = {
    SETTABLE("number", .type = MCA_BASE_VAR_TYPE_INT, .max = 100, .enumerator = colours, .storage = &number),
    SETTABLE("natural", .type = MCA_BASE_VAR_TYPE_UNSIGNED_INT, .min = 1, .max = 5, .storage = &natural),
    SETTABLE("size", .type = MCA_BASE_VAR_TYPE_SIZE_T, .storage = &size),
    SETTABLE("flag", .type = MCA_BASE_VAR_TYPE_BOOL, .storage = &flag),
    SETTABLE("real", .type = MCA_BASE_VAR_TYPE_DOUBLE, .min = -1, .max = 1, .storage = &real),
    SETTABLE("text", .type = MCA_BASE_VAR_TYPE_STRING, .storage = &text),
    SETTABLE("colour", .type = MCA_BASE_VAR_TYPE_ENUM, .enumerator = colours, .storage = &colour),
};

static void register_all(void)
{
    number = 1, natural = 2, size = 3, flag = false, real = 0.5, text = NULL, colour = 7;
    log_start();
    mca_base_var_open();
    for (int i = 0; i < COUNT(defs); i++) {
        ck_assert_int_eq(mca_base_var_register(&defs[i]), OPAL_SUCCESS);
    }
}

static void expect_text(const char *full_name, const char *expected)
{
    char *whole = NULL;
    ck_assert_int_eq(mca_base_var_get_text(full_name, &whole), OPAL_SUCCESS);
    ck_assert_str_eq(whole, expected);
    free(whole);
}

static void expect_quiet(void)
{
    ck_assert_msg(log_count(MCA_BASE_LOG_WARN) == 0, "warning: %s", log_last(MCA_BASE_LOG_WARN));
    ck_assert_msg(log_count(MCA_BASE_LOG_ERROR) == 0, "error: %s", log_last(MCA_BASE_LOG_ERROR));
}

/* ---- Texts ------------------------------------------------------------------------------------------ */

static const struct {
    const char *name, *set, *shown, *before;
} texts[] = {
    { "fake_number", "0x10", "16", "1" },
    { "fake_number", "100", "100", "1" },
    { "fake_natural", "5", "5", "2" },
    { "fake_size", "2K", "2048", "3" },
    { "fake_flag", "Y", "true", "false" },
    { "fake_real", "-2.5e-1", "-0.25", "0.5" },
    { "fake_text", "some text", "some text", "" },
    { "fake_text", "", "", "" },
    { "fake_colour", "GREEN", "green", "red" },
};

START_TEST(text_is_set_and_taken_back)
{
    register_all();
    expect_text(texts[_i].name, texts[_i].before);
    ck_assert_int_eq(mca_base_var_set(texts[_i].name, texts[_i].set), OPAL_SUCCESS);
    expect_text(texts[_i].name, texts[_i].shown);
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_find_info(texts[_i].name, &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.value, texts[_i].shown);
    ck_assert_int_eq(info.source, MCA_BASE_VAR_SOURCE_SET);
    ck_assert_str_eq(info.source_detail, "");
    ck_assert_int_eq(mca_base_var_set(texts[_i].name, texts[_i].shown), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set(texts[_i].name, NULL), OPAL_SUCCESS);
    expect_text(texts[_i].name, texts[_i].before);
    ck_assert_int_eq(mca_base_var_find_info(texts[_i].name, &info), OPAL_SUCCESS);
    ck_assert_int_eq(info.source, MCA_BASE_VAR_SOURCE_DEFAULT);
    expect_quiet();
}
END_TEST

START_TEST(texts_reach_the_storage)
{
    register_all();
    for (int i = 1; i < COUNT(texts); i++) {
        ck_assert_int_eq(mca_base_var_set(texts[i].name, texts[i].set), OPAL_SUCCESS);
    }
    ck_assert(mca_base_var_load(number) == 100 && mca_base_var_load(natural) == 5
              && mca_base_var_load(size) == 2048);
    ck_assert(mca_base_var_load(flag) && mca_base_var_load(colour) == 9);
    ck_assert_double_eq(mca_base_var_load(real), -0.25);
    ck_assert_str_eq(mca_base_var_load(text), "");
}
END_TEST

START_TEST(null_goes_back_to_what_was_given)
{
    setenv("OMPI_MCA_fake_size", "12", 1);
    setenv("OMPI_MCA_fake_text", "given", 1);
    register_all();
    ck_assert_int_eq(mca_base_var_set("fake_size", "13"), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set("fake_text", "set"), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set("fake_size", NULL), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set("fake_text", NULL), OPAL_SUCCESS);
    ck_assert_uint_eq(size, 12);
    ck_assert_str_eq(text, "given");
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_find_info("fake_size", &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.source_detail, "OMPI_MCA_fake_size");
}
END_TEST

static const struct {
    const char *name, *set, *expected;
} bad_texts[] = {
    { "fake_number", "101", "a whole number from 0 to 100, or one of red, green" },
    { "fake_natural", "0", "a whole number from 1 to 5" },
    { "fake_natural", "6", "a whole number from 1 to 5" },
    { "fake_size", "12abc", "K, M, G or T" },
    { "fake_flag", "on", "enabled" },
    { "fake_real", "1.5", "a decimal number such as 0.5, from -1 to 1" },
    { "fake_colour", "blue", "one of red, green" },
};

START_TEST(bad_text_is_refused_and_the_old_value_stays)
{
    register_all();
    char *before = NULL;
    ck_assert_int_eq(mca_base_var_get_text(bad_texts[_i].name, &before), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set(bad_texts[_i].name, bad_texts[_i].set), OPAL_ERR_BAD_PARAM);
    expect_text(bad_texts[_i].name, before);
    free(before);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, bad_texts[_i].name);
    log_expect(MCA_BASE_LOG_ERROR, bad_texts[_i].set);
    log_expect(MCA_BASE_LOG_ERROR, bad_texts[_i].expected);
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_find_info(bad_texts[_i].name, &info), OPAL_SUCCESS);
    ck_assert_int_eq(info.source, MCA_BASE_VAR_SOURCE_DEFAULT);
    ck_assert_uint_eq(mca_base_var_refused(), 0);
}
END_TEST

START_TEST(number_outside_its_bounds_is_shown_by_its_name)
{
    static const mca_base_var_enum_value_t names[] = { { "inside", 5 }, { "outside", 500 }, { NULL, 0 } };
    static int bounded = 5;
    const mca_base_var_def_t def =
        SETTABLE("bounded", .type = MCA_BASE_VAR_TYPE_INT, .max = 10, .enumerator = names, .storage = &bounded);
    mca_base_var_open();
    ck_assert_int_eq(mca_base_var_register(&def), OPAL_SUCCESS);
    expect_text("fake_bounded", "5");
    ck_assert_int_eq(mca_base_var_set("fake_bounded", "OUTSIDE"), OPAL_SUCCESS);
    ck_assert_int_eq(bounded, 500);
    expect_text("fake_bounded", "outside");
}
END_TEST

START_TEST(long_text_is_whole_in_get_text_and_cut_in_listings)
{
    char given[2001];
    memset(given, 'v', 2000);
    given[2000] = '\0';
    register_all();
    ck_assert_int_eq(mca_base_var_set("fake_text", given), OPAL_SUCCESS);
    expect_text("fake_text", given);
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_find_info("fake_text", &info), OPAL_SUCCESS);
    ck_assert_uint_eq(strlen(info.value), sizeof info.value - 1);
}
END_TEST

/* ---- Values ------------------------------------------------------------------------------------------ */

START_TEST(values_are_set_and_read)
{
    register_all();
    int new_number = 9, got_number = 0;
    unsigned new_natural = 4, got_natural = 0;
    size_t new_size = SIZE_MAX, got_size = 0;
    bool new_flag = true, got_flag = false;
    double new_real = 0.1, got_real = 0;
    const char *new_text = "by value", *got_text = NULL;
    ck_assert_int_eq(mca_base_var_set_value("fake_number", MCA_BASE_VAR_TYPE_INT, &new_number), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set_value("fake_natural", MCA_BASE_VAR_TYPE_UNSIGNED_INT, &new_natural),
                     OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set_value("fake_size", MCA_BASE_VAR_TYPE_SIZE_T, &new_size), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set_value("fake_flag", MCA_BASE_VAR_TYPE_BOOL, &new_flag), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set_value("fake_real", MCA_BASE_VAR_TYPE_DOUBLE, &new_real), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set_value("fake_text", MCA_BASE_VAR_TYPE_STRING, &new_text), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_get_value("fake_number", MCA_BASE_VAR_TYPE_INT, &got_number), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_get_value("fake_natural", MCA_BASE_VAR_TYPE_UNSIGNED_INT, &got_natural),
                     OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_get_value("fake_size", MCA_BASE_VAR_TYPE_SIZE_T, &got_size), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_get_value("fake_flag", MCA_BASE_VAR_TYPE_BOOL, &got_flag), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_get_value("fake_real", MCA_BASE_VAR_TYPE_DOUBLE, &got_real), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_get_value("fake_text", MCA_BASE_VAR_TYPE_STRING, (void *) &got_text),
                     OPAL_SUCCESS);
    ck_assert(got_number == 9 && got_natural == 4 && got_size == SIZE_MAX && got_flag);
    ck_assert_double_eq(got_real, 0.1);
    ck_assert_str_eq(got_text, "by value");
    ck_assert_ptr_ne(got_text, new_text);
    expect_quiet();
}
END_TEST

START_TEST(enumeration_is_set_and_read_as_int_too)
{
    register_all();
    int value = 9;
    ck_assert_int_eq(mca_base_var_set_value("fake_colour", MCA_BASE_VAR_TYPE_INT, &value), OPAL_SUCCESS);
    expect_text("fake_colour", "green");
    value = 0;
    ck_assert_int_eq(mca_base_var_get_value("fake_colour", MCA_BASE_VAR_TYPE_ENUM, &value), OPAL_SUCCESS);
    ck_assert_int_eq(value, 9);
    ck_assert_int_eq(mca_base_var_get_value("fake_number", MCA_BASE_VAR_TYPE_ENUM, &value), OPAL_ERR_BAD_PARAM);
}
END_TEST

START_TEST(string_may_be_set_to_null)
{
    const char *nothing = NULL, *got = "x";
    register_all();
    ck_assert_int_eq(mca_base_var_set("fake_text", "something"), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set_value("fake_text", MCA_BASE_VAR_TYPE_STRING, &nothing), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_get_value("fake_text", MCA_BASE_VAR_TYPE_STRING, (void *) &got), OPAL_SUCCESS);
    ck_assert_ptr_null(got);
    ck_assert_ptr_null(text);
}
END_TEST

START_TEST(bad_value_is_refused_and_the_old_one_stays)
{
    register_all();
    int bad_int = 101, bad_colour = 8;
    unsigned bad_natural = 6;
    double bad_reals[] = { 1.1, -1.1, NAN, INFINITY };
    ck_assert_int_eq(mca_base_var_set_value("fake_number", MCA_BASE_VAR_TYPE_INT, &bad_int), OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "\"101\" (mca_base_var_set()); expected a whole number from 0 to 100");
    ck_assert_int_eq(mca_base_var_set_value("fake_natural", MCA_BASE_VAR_TYPE_UNSIGNED_INT, &bad_natural),
                     OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(mca_base_var_set_value("fake_colour", MCA_BASE_VAR_TYPE_ENUM, &bad_colour),
                     OPAL_ERR_BAD_PARAM);
    for (int i = 0; i < COUNT(bad_reals); i++) {
        ck_assert_int_eq(mca_base_var_set_value("fake_real", MCA_BASE_VAR_TYPE_DOUBLE, &bad_reals[i]),
                         OPAL_ERR_BAD_PARAM);
    }
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 7);
    ck_assert(number == 1 && natural == 2 && colour == 7);
    ck_assert_double_eq(real, 0.5);
}
END_TEST

START_TEST(value_of_another_type_is_refused)
{
    register_all();
    size_t large = 1;
    unsigned untouched = 99;
    ck_assert_int_eq(mca_base_var_set_value("fake_natural", MCA_BASE_VAR_TYPE_SIZE_T, &large), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(mca_base_var_set_value("fake_size", MCA_BASE_VAR_TYPE_SIZE_T, NULL), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 2);
    log_start();
    ck_assert_int_eq(mca_base_var_get_value("fake_size", MCA_BASE_VAR_TYPE_UNSIGNED_INT, &untouched),
                     OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(untouched, 99);
    expect_quiet();
}
END_TEST

/* ---- What cannot be changed ---------------------------------------------------------------------------- */

START_TEST(unknown_name_is_not_found_and_the_nearest_is_named)
{
    int untouched = 99;
    char *whole = NULL;
    mca_base_var_info_t info;
    register_all();
    ck_assert_int_eq(mca_base_var_get_value("fake_nubmer", MCA_BASE_VAR_TYPE_INT, &untouched), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(mca_base_var_get_text("fake_nubmer", &whole), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(mca_base_var_find_info("fake_nubmer", &info), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(mca_base_var_get_text(NULL, &whole), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(mca_base_var_deregister("fake_nubmer"), OPAL_ERR_NOT_FOUND);
    ck_assert(untouched == 99 && whole == NULL);
    expect_quiet();
    ck_assert_int_eq(mca_base_var_set("fake_nubmer", "1"), OPAL_ERR_NOT_FOUND);
    log_expect(MCA_BASE_LOG_ERROR,
               "there is no variable fake_nubmer (mca_base_var_set()); did you mean fake_number?");
    ck_assert_int_eq(mca_base_var_set_value("nonsense", MCA_BASE_VAR_TYPE_INT, &untouched), OPAL_ERR_NOT_FOUND);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 2);
    ck_assert_ptr_null(strstr(log_last(MCA_BASE_LOG_ERROR), "did you mean"));
}
END_TEST

START_TEST(variable_that_is_not_settable_is_refused)
{
    static int fixed = 5;
    const mca_base_var_def_t def = {
        .framework = "fake", .name = "fixed", .info_level = 1, .storage = &fixed, .scope = MCA_BASE_VAR_SCOPE_LOCAL
    };
    int value = 6;
    register_all();
    ck_assert_int_eq(mca_base_var_register(&def), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set("fake_fixed", "6"), OPAL_ERR_PERM);
    ck_assert_int_eq(mca_base_var_set("fake_fixed", NULL), OPAL_ERR_PERM);
    ck_assert_int_eq(mca_base_var_set_value("fake_fixed", MCA_BASE_VAR_TYPE_INT, &value), OPAL_ERR_PERM);
    ck_assert_int_eq(fixed, 5);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 3);
    log_expect(MCA_BASE_LOG_ERROR, "fake_fixed cannot be changed at run time");
}
END_TEST

START_TEST(what_the_override_file_fixes_cannot_be_changed)
{
    wrapped_add(MCA_BASE_FILE_OVERRIDE, "fake_size", "5", "/etc/override.conf", 8);
    register_all();
    ck_assert_int_eq(mca_base_var_set("fake_size", "6"), OPAL_ERR_PERM);
    ck_assert_uint_eq(size, 5);
    log_expect(MCA_BASE_LOG_ERROR, "the override file fixes it (/etc/override.conf:8)");
}
END_TEST

START_TEST(variable_of_an_unloaded_component_cannot_be_changed)
{
    register_all();
    mca_base_var_detach("fake", NULL);
    ck_assert_int_eq(mca_base_var_set("fake_size", "6"), OPAL_ERR_PERM);
    ck_assert_uint_eq(size, 3);
    log_expect(MCA_BASE_LOG_ERROR, "fake_size cannot be changed: its component is not loaded");
}
END_TEST

START_TEST(synonym_sets_the_variable_and_warns_once_if_deprecated)
{
    register_all();
    ck_assert_int_eq(mca_base_var_register_synonym("fake_size", "old_size", MCA_BASE_VAR_FLAG_DEPRECATED),
                     OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set("old_size", "77"), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set("old_size", "78"), OPAL_SUCCESS);
    ck_assert_uint_eq(size, 78);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "the name old_size (mca_base_var_set()) is deprecated; use fake_size");
}
END_TEST

START_TEST(set_value_survives_another_registration)
{
    static size_t moved = 1000;
    mca_base_var_def_t def = defs[2];
    register_all();
    ck_assert_int_eq(mca_base_var_set("fake_size", "77"), OPAL_SUCCESS);
    def.storage = &moved;
    ck_assert_int_eq(mca_base_var_register(&def), OPAL_SUCCESS);
    ck_assert_uint_eq(moved, 77);
    ck_assert_uint_eq(size, 3);
    setenv("OPALMEM_MCA_set_later", "5", 1);
    ck_assert_int_eq(mca_base_var_register_synonym("fake_size", "set_later", 0), OPAL_SUCCESS);
    ck_assert_uint_eq(moved, 77);
    ck_assert_int_eq(mca_base_var_set("fake_size", NULL), OPAL_SUCCESS);
    ck_assert_uint_eq(moved, 5);
}
END_TEST

/* ---- Leaving -------------------------------------------------------------------------------------------- */

START_TEST(deregistered_variable_leaves_its_default_behind)
{
    register_all();
    ck_assert_int_eq(mca_base_var_set("fake_text", "set"), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set("fake_real", "0.75"), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_deregister("fake_text"), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_deregister("fake_real"), OPAL_SUCCESS);
    ck_assert_ptr_null(text);
    ck_assert_double_eq(real, 0.5);
    ck_assert(!mca_base_var_is_known("fake_text"));
    ck_assert_uint_eq(mca_base_var_count(), COUNT(defs) - 2);
    ck_assert_int_eq(mca_base_var_deregister("fake_text"), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(mca_base_var_register(&defs[5]), OPAL_SUCCESS);
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_get_info(COUNT(defs) - 2, &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.full_name, "fake_text");
}
END_TEST

START_TEST(finalize_puts_the_defaults_back)
{
    register_all();
    ck_assert_int_eq(mca_base_var_set("fake_natural", "4"), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_set("fake_real", "0.75"), OPAL_SUCCESS);
    mca_base_var_close();
    ck_assert_uint_eq(natural, 2);
    ck_assert_double_eq(real, 0.5);
}
END_TEST

START_TEST(old_string_stays_while_it_may_be_read)
{
    register_all();
    ck_assert_int_eq(mca_base_var_set("fake_text", "first"), OPAL_SUCCESS);
    const char *first = mca_base_var_load(text);
    for (int i = 0; i < 100; i++) {
        char other[32];
        snprintf(other, sizeof other, "text %d", i);
        ck_assert_int_eq(mca_base_var_set("fake_text", other), OPAL_SUCCESS);
    }
    ck_assert_str_eq(first, "first");
    ck_assert_int_eq(mca_base_var_set("fake_text", "first"), OPAL_SUCCESS);
    ck_assert_ptr_eq(mca_base_var_load(text), first);
}
END_TEST

static void set_two_strings(void)
{
    static const char *const values[] = { "a first string that takes some room", "and a second one" };
    for (int i = 0; i < 100; i++) {
        mca_base_var_set("fake_text", values[i % 2]);
        mca_base_var_set_value("fake_text", MCA_BASE_VAR_TYPE_STRING, &values[i % 2]);
        mca_base_var_set("fake_text", NULL);
    }
}

START_TEST(setting_two_strings_for_ever_takes_no_memory)
{
    register_all();
    expect_no_growth(set_two_strings);
}
END_TEST

static void set_new_string(void)
{
    static int count;
    char value[32];
    snprintf(value, sizeof value, "string %d", count++);
    mca_base_var_set("fake_text", value);
}

START_TEST(meter_sees_that_each_new_string_is_kept)
{
    register_all();
    ck_assert_int_eq(measure_growth(set_new_string).blocks, 100);
}
END_TEST

static void come_and_go(void)
{
    mca_base_var_open();
    if (mca_base_var_register(&defs[5]) == OPAL_SUCCESS
        && mca_base_var_register_synonym("fake_text", "old_text", 0) == OPAL_SUCCESS
        && mca_base_var_set("old_text", "a value") == OPAL_SUCCESS) {
        char *whole = NULL;
        mca_base_var_get_text("fake_text", &whole);
        free(whole);
    }
    mca_base_var_deregister("fake_text");
}

START_TEST(failing_allocations_leave_nothing_behind)
{
    log_start();
    text = NULL;
    setenv("OPALMEM_MCA_fake_text", "given", 1);
    fail_each_allocation(come_and_go, 100);
    ck_assert_uint_eq(mca_base_var_count(), 0);
    ck_assert_ptr_null(text);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 0);
}
END_TEST

START_TEST(variables_come_and_go_without_growth)
{
    log_start();
    expect_no_growth(come_and_go);
}
END_TEST

/* ---- Verbosity -------------------------------------------------------------------------------------------- */

START_TEST(verbosity_of_the_library_changes_at_run_time)
{
    log_start();
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    mca_base_log(MCA_BASE_LOG_INFO, "not wanted");
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_INFO), 0);
    ck_assert_int_eq(mca_base_var_set("mca_base_verbose", "info"), OPAL_SUCCESS);
    mca_base_log(MCA_BASE_LOG_INFO, "wanted");
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_INFO), 1);
    ck_assert_int_eq(mca_base_var_set("mca_base_verbose", NULL), OPAL_SUCCESS);
    mca_base_log(MCA_BASE_LOG_INFO, "not wanted");
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_INFO), 1);
    ck_assert_int_eq(mca_base_var_set("mca_base_verbose", "100"), OPAL_SUCCESS);
    mca_base_close();
    ck_assert_int_eq(mca_base_log_verbosity, 0);
}
END_TEST

START_TEST(verbosity_of_a_framework_changes_at_run_time)
{
    log_start();
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_framework_open(&fake_framework), OPAL_SUCCESS);
    mca_base_verbose(&fake_framework, 10, "not wanted");
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_INFO), 0);
    ck_assert_int_eq(mca_base_var_set("fake_base_verbose", "10"), OPAL_SUCCESS);
    mca_base_verbose(&fake_framework, 10, "wanted");
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_INFO), 1);
}
END_TEST

START_TEST(all_verbosities_are_settable)
{
    static const char *const names[] = { "mca_base_verbose", "memory_base_verbose" };
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    for (int i = 0; i < COUNT(names); i++) {
        mca_base_var_info_t info;
        ck_assert_int_eq(mca_base_var_find_info(names[i], &info), OPAL_SUCCESS);
        ck_assert_uint_eq(info.flags, MCA_BASE_VAR_FLAG_SETTABLE);
        ck_assert_int_eq(info.scope, MCA_BASE_VAR_SCOPE_LOCAL);
        ck_assert_int_eq(info.max, 100);
    }
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, text_is_set_and_taken_back, 0, COUNT(texts));
    tcase_add_test(tests, texts_reach_the_storage);
    tcase_add_test(tests, null_goes_back_to_what_was_given);
    tcase_add_loop_test(tests, bad_text_is_refused_and_the_old_value_stays, 0, COUNT(bad_texts));
    tcase_add_test(tests, number_outside_its_bounds_is_shown_by_its_name);
    tcase_add_test(tests, long_text_is_whole_in_get_text_and_cut_in_listings);
    tcase_add_test(tests, values_are_set_and_read);
    tcase_add_test(tests, enumeration_is_set_and_read_as_int_too);
    tcase_add_test(tests, string_may_be_set_to_null);
    tcase_add_test(tests, bad_value_is_refused_and_the_old_one_stays);
    tcase_add_test(tests, value_of_another_type_is_refused);
    tcase_add_test(tests, unknown_name_is_not_found_and_the_nearest_is_named);
    tcase_add_test(tests, variable_that_is_not_settable_is_refused);
    tcase_add_test(tests, what_the_override_file_fixes_cannot_be_changed);
    tcase_add_test(tests, variable_of_an_unloaded_component_cannot_be_changed);
    tcase_add_test(tests, synonym_sets_the_variable_and_warns_once_if_deprecated);
    tcase_add_test(tests, set_value_survives_another_registration);
    tcase_add_test(tests, deregistered_variable_leaves_its_default_behind);
    tcase_add_test(tests, finalize_puts_the_defaults_back);
    tcase_add_test(tests, old_string_stays_while_it_may_be_read);
    tcase_add_test(tests, setting_two_strings_for_ever_takes_no_memory);
    if (heap_is_counted()) {
        tcase_add_test(tests, meter_sees_that_each_new_string_is_kept);
    }
    tcase_add_test(tests, failing_allocations_leave_nothing_behind);
    tcase_add_test(tests, variables_come_and_go_without_growth);
    tcase_add_test(tests, verbosity_of_the_library_changes_at_run_time);
    tcase_add_test(tests, verbosity_of_a_framework_changes_at_run_time);
    tcase_add_test(tests, all_verbosities_are_settable);
}

int main(void)
{
    return run_tests("mca_base_var_set", add);
}
