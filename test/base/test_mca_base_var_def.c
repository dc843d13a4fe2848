/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables: which descriptions are refused, and what of them is listed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base_test.h"
#include "framework/base/mca_base_var.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

static const mca_base_var_enum_value_t colours[] = { { "red", 7 }, { "green", 9 }, { NULL, 0 } };
static int number;

/* A good definition, and what is wrong with the ones that differ from it. */
#define DEF(FRAMEWORK, NAME, LEVEL, STORAGE)                                          \
    {                                                                                 \
        .framework = FRAMEWORK, .name = NAME, .info_level = LEVEL, .storage = STORAGE \
    }
#define FAKE(...)                                                                          \
    {                                                                                      \
        .framework = "fake", .name = "x", .info_level = 1, .storage = &number, __VA_ARGS__ \
    }
#define SETTABLE MCA_BASE_VAR_FLAG_SETTABLE
#define LOCAL MCA_BASE_VAR_SCOPE_LOCAL

static const mca_base_var_enum_value_t nobody[] = { { NULL, 0 } };

static const struct {
    mca_base_var_def_t def;
    const char *fault;
} bad_defs[] = {
    { DEF("fake", "x", 1, NULL), "no storage" },
    { DEF(NULL, NULL, 1, &number), "no name" },
    { DEF("", NULL, 1, &number), "no name" },
    { DEF("fake", "a=b", 1, &number), "letters" },
    { DEF("fake", "a b", 1, &number), "letters" },
    { DEF("-fake", "x", 1, &number), "not begin with '-'" },
    { DEF("SOURCE", "x", 1, &number), "SOURCE_" },
    { DEF("fake", "x", 0, &number), "info_level" },
    { DEF("fake", "x", 10, &number), "info_level" },
    { DEF("fake", "x", -1, &number), "info_level" },
    { FAKE(.type = (mca_base_var_type_t) 77), "type" },
    { FAKE(.type = MCA_BASE_VAR_TYPE_ENUM), "no names" },
    { FAKE(.type = MCA_BASE_VAR_TYPE_ENUM, .enumerator = nobody), "no names" },
    { FAKE(.min = 5, .max = 4), "min" },
    { FAKE(.type = MCA_BASE_VAR_TYPE_UNSIGNED_INT, .min = -1, .max = 4), "negative" },
    { FAKE(.type = MCA_BASE_VAR_TYPE_SIZE_T, .min = -1, .max = 4), "negative" },
    { FAKE(.flags = SETTABLE), "SETTABLE" },
    { FAKE(.flags = SETTABLE, .scope = MCA_BASE_VAR_SCOPE_CONSTANT), "SETTABLE" },
    { FAKE(.flags = SETTABLE | MCA_BASE_VAR_FLAG_DEFAULT_ONLY, .scope = LOCAL), "DEFAULT_ONLY" },
    { FAKE(.flags = SETTABLE | MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY, .scope = LOCAL), "ENVIRONMENT_ONLY" },
    { FAKE(.flags = MCA_BASE_VAR_FLAG_DEFAULT_ONLY | MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY), "ENVIRONMENT_ONLY" },
    { FAKE(.scope = MCA_BASE_VAR_SCOPE_CONSTANT, .flags = MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY),
      "ENVIRONMENT_ONLY" },
    { FAKE(.flags = 0x1000), "flags" },
    { FAKE(.scope = (mca_base_var_scope_t) 9), "scope" },
};

START_TEST(definition_that_contradicts_itself_is_refused)
{
    log_start();
    ck_assert_int_eq(mca_base_var_register(&bad_defs[_i].def), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, bad_defs[_i].fault);
    ck_assert_uint_eq(mca_base_var_count(), 0);
    ck_assert_uint_eq(mca_base_var_refused(), 0);
}
END_TEST

START_TEST(too_long_name_is_refused)
{
    static char name[MCA_BASE_VAR_NAME_MAX + 2];
    const mca_base_var_def_t def = { .name = name, .info_level = 1, .storage = &number };
    memset(name, 'n', MCA_BASE_VAR_NAME_MAX + 1);
    log_start();
    ck_assert_int_eq(mca_base_var_register(&def), OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "too long");
    name[MCA_BASE_VAR_NAME_MAX] = '\0';
    char variable[sizeof name + 32];
    snprintf(variable, sizeof variable, "OPALMEM_MCA_%s", name);
    setenv(variable, "6", 1);
    mca_base_var_open();
    ck_assert_int_eq(mca_base_var_register(&def), OPAL_SUCCESS);
    ck_assert_int_eq(number, 6);
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_find_info(name, &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.source_detail, variable);
}
END_TEST

static const mca_base_var_def_t good_defs[] = {
    DEF("fake", "x", 1, &number),
    DEF("fake", "x", 9, &number),
    FAKE(.min = 5, .max = 5),
    FAKE(.min = -5, .max = -4),
    FAKE(.flags = SETTABLE, .scope = LOCAL),
    FAKE(.flags = SETTABLE, .scope = MCA_BASE_VAR_SCOPE_ALL_EQ),
    FAKE(.flags = MCA_BASE_VAR_FLAG_INTERNAL | MCA_BASE_VAR_FLAG_DEPRECATED),
    FAKE(.flags = MCA_BASE_VAR_FLAG_DEFAULT_ONLY),
    FAKE(.flags = MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY),
    FAKE(.scope = MCA_BASE_VAR_SCOPE_CONSTANT),
};

START_TEST(definition_is_listed_as_it_was_given)
{
    const mca_base_var_def_t *def = &good_defs[_i];
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_register(def), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_get_info(0, &info), OPAL_SUCCESS);
    ck_assert_uint_eq(info.flags, def->flags);
    ck_assert_int_eq(info.scope, def->scope);
    ck_assert(info.min == def->min && info.max == def->max && info.info_level == def->info_level);
    ck_assert_str_eq(info.help, "");
    ck_assert_ptr_null(info.synonym_of);
}
END_TEST

START_TEST(later_definition_must_be_the_same)
{
    static const mca_base_var_enum_value_t other_colours[] = { { "red", 7 }, { "blue", 9 }, { NULL, 0 } };
    static const mca_base_var_def_t later[] = {
        FAKE(.type = MCA_BASE_VAR_TYPE_ENUM, .enumerator = colours),
        FAKE(.enumerator = other_colours),
        FAKE(.max = 0),
        FAKE(.enumerator = colours, .max = 1),
        FAKE(.enumerator = colours, .scope = LOCAL),
        FAKE(.enumerator = colours, .flags = MCA_BASE_VAR_FLAG_INTERNAL),
        DEF("fake_x", NULL, 1, &number),
    };
    const mca_base_var_def_t first = FAKE(.enumerator = colours);
    log_start();
    ck_assert_int_eq(mca_base_var_register(&first), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register(&first), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register(&later[_i]), OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "two different variables are registered as fake_x");
    ck_assert_uint_eq(mca_base_var_count(), 1);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, definition_that_contradicts_itself_is_refused, 0, COUNT(bad_defs));
    tcase_add_test(tests, too_long_name_is_refused);
    tcase_add_loop_test(tests, definition_is_listed_as_it_was_given, 0, COUNT(good_defs));
    tcase_add_loop_test(tests, later_definition_must_be_the_same, 0, 7);
}

int main(void)
{
    return run_tests("mca_base_var_def", add);
}
