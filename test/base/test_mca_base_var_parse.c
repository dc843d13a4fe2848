/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables: strict parsing of values, and printing them. */
#include <float.h>
#include <limits.h>
#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base_test.h"
#include "framework/base/mca_base_var.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

static const mca_base_var_enum_value_t colours[] = { { "red", 7 }, { "green", 9 }, { NULL, 0 } };

static const mca_base_var_def_t any_int = { .type = MCA_BASE_VAR_TYPE_INT };
static const mca_base_var_def_t percent = { .type = MCA_BASE_VAR_TYPE_INT, .min = 0, .max = 100 };
static const mca_base_var_def_t any_unsigned = { .type = MCA_BASE_VAR_TYPE_UNSIGNED_INT };
static const mca_base_var_def_t few = { .type = MCA_BASE_VAR_TYPE_UNSIGNED_INT, .min = 2, .max = 4 };
static const mca_base_var_def_t large = { .type = MCA_BASE_VAR_TYPE_UNSIGNED_INT, .min = 2, .max = LONG_MAX };
static const mca_base_var_def_t some_kib = { .type = MCA_BASE_VAR_TYPE_SIZE_T, .min = 1024, .max = 4096 };
static const mca_base_var_def_t any_size = { .type = MCA_BASE_VAR_TYPE_SIZE_T };
static const mca_base_var_def_t any_bool = { .type = MCA_BASE_VAR_TYPE_BOOL };
static const mca_base_var_def_t a_colour = { .type = MCA_BASE_VAR_TYPE_ENUM, .enumerator = colours };
static const mca_base_var_def_t named_int = { .type = MCA_BASE_VAR_TYPE_INT, .enumerator = colours, .max = 5 };

typedef struct good_text_t {
    const mca_base_var_def_t *def;
    const char *text;
    unsigned long long value; /* An int's is converted. */
} good_text_t;

static const good_text_t good_texts[] = {
    { &any_int, "0", 0 },
    { &any_int, "12", 12 },
    { &any_int, "-12", (unsigned) -12 },
    { &any_int, "010", 10 }, /* Not octal. */
    { &any_int, "0x10", 16 },
    { &any_int, "0XfF", 255 },
    { &any_int, "-0x80000000", (unsigned) INT_MIN },
    { &any_int, "0x0", 0 },
    { &any_int, "2147483647", INT_MAX },
    { &any_int, "-2147483648", (unsigned) INT_MIN },
    { &percent, "0", 0 },
    { &percent, "100", 100 },
    { &named_int, "3", 3 },
    { &named_int, "green", 9 },
    { &any_unsigned, "0", 0 },
    { &any_unsigned, "4294967295", UINT_MAX },
    { &any_unsigned, "0xffffffff", UINT_MAX },
    { &any_unsigned, "007", 7 },
    { &few, "2", 2 },
    { &few, "4", 4 },
    { &large, "4294967295", UINT_MAX },
    { &some_kib, "1K", 1024 },
    { &some_kib, "4K", 4096 },
    { &any_size, "0xffffffffffffffff", SIZE_MAX },
    { &any_size, "0x10K", 16384 },
    { &any_size, "0", 0 },
    { &any_size, "18446744073709551615", SIZE_MAX },
    { &any_size, "4K", 4096 },
    { &any_size, "4k", 4096 },
    { &any_size, "3M", 3ull << 20 },
    { &any_size, "3G", 3ull << 30 },
    { &any_size, "3t", 3ull << 40 },
    { &any_size, "16777215T", 16777215ull << 40 },
    { &any_bool, "1", 1 },
    { &any_bool, "0", 0 },
    { &any_bool, "true", 1 },
    { &any_bool, "t", 1 },
    { &any_bool, "F", 0 },
    { &any_bool, "y", 1 },
    { &any_bool, "N", 0 },
    { &any_bool, "Enabled", 1 },
    { &any_bool, "FALSE", 0 },
    { &any_bool, "Yes", 1 },
    { &any_bool, "no", 0 },
    { &any_bool, "enabled", 1 },
    { &any_bool, "disabled", 0 },
    { &a_colour, "red", 7 },
    { &a_colour, "GREEN", 9 },
};

static unsigned long long as_number(const mca_base_var_def_t *def, const mca_base_var_value_t *value)
{
    switch (def->type) {
    case MCA_BASE_VAR_TYPE_SIZE_T: return value->size;
    case MCA_BASE_VAR_TYPE_UNSIGNED_INT: return value->natural;
    case MCA_BASE_VAR_TYPE_BOOL: return value->boolean;
    default: return (unsigned) value->integer;
    }
}

START_TEST(good_text_is_parsed)
{
    const good_text_t *good = &good_texts[_i];
    mca_base_var_value_t value;
    memset(&value, 0x55, sizeof value);
    ck_assert_int_eq(mca_base_var_parse(good->def, good->text, &value), OPAL_SUCCESS);
    ck_assert_uint_eq(as_number(good->def, &value), good->value);
}
END_TEST

START_TEST(what_is_printed_is_parsed_to_the_same)
{
    const good_text_t *good = &good_texts[_i];
    mca_base_var_value_t value, again;
    char printed[64];
    ck_assert_int_eq(mca_base_var_parse(good->def, good->text, &value), OPAL_SUCCESS);
    mca_base_var_print(good->def, &value, printed, sizeof printed);
    ck_assert(mca_base_var_allows(good->def, &value));
    ck_assert_int_eq(mca_base_var_parse(good->def, printed, &again), OPAL_SUCCESS);
    ck_assert_uint_eq(as_number(good->def, &again), good->value);
}
END_TEST

typedef struct bad_text_t {
    const mca_base_var_def_t *def;
    const char *text;
} bad_text_t;

static const bad_text_t bad_texts[] = {
    { &any_int, "" },
    { &any_int, "-" },
    { &any_int, "+5" },
    { &any_int, "--5" },
    { &any_int, "12abc" },
    { &any_int, "abc" },
    { &any_int, " 12" },
    { &any_int, "12 " },
    { &any_int, "1 2" },
    { &any_int, "1.0" },
    { &any_int, "1e3" },
    { &any_int, "1K" },
    { &any_int, "0x" },
    { &any_int, "0x-1" },
    { &any_int, "x10" },
    { &any_int, "0x1g" },
    { &any_int, "0x80000000" },
    { &any_int, "1,5" },
    { &any_int, "\t1" },
    { &any_int, "1\n" },
    { &any_int, "2147483648" },
    { &any_int, "-2147483649" },
    { &any_int, "18446744073709551617" },
    { &percent, "-1" },
    { &percent, "101" },
    { &named_int, "blue" },
    { &any_size, "" },
    { &any_size, "-1" },
    { &any_size, "+1" },
    { &any_size, "K" },
    { &any_size, "12abc" },
    { &any_size, "12KB" },
    { &any_size, "12 K" },
    { &any_size, "1P" },
    { &any_size, "18446744073709551616" },
    { &any_size, "16777216T" },
    { &any_bool, "" },
    { &any_bool, "2" },
    { &any_bool, "01" },
    { &any_bool, "on" },
    { &any_bool, "tru" },
    { &any_bool, "true " },
    { &a_colour, "" },
    { &a_colour, "blue" },
    { &a_colour, "re" },
    { &a_colour, "redd" },
    { &a_colour, "7" },
};

START_TEST(bad_text_is_refused_and_leaves_the_value)
{
    const bad_text_t *bad = &bad_texts[_i];
    mca_base_var_value_t value, before;
    memset(&value, 0x55, sizeof value);
    before = value;
    ck_assert_int_eq(mca_base_var_parse(bad->def, bad->text, &value), OPAL_ERR_BAD_PARAM);
    ck_assert_mem_eq(&value, &before, sizeof value);
}
END_TEST

/* ---- Decimal numbers -------------------------------------------------------------------------------- */

static const mca_base_var_def_t any_double = { .type = MCA_BASE_VAR_TYPE_DOUBLE };
static const mca_base_var_def_t fraction = { .type = MCA_BASE_VAR_TYPE_DOUBLE, .min = -1, .max = 1 };

static const struct {
    const mca_base_var_def_t *def;
    const char *text;
    double value;
    const char *printed;
} good_doubles[] = {
    { &any_double, "0", 0, "0" },
    { &any_double, "-0", -0.0, "-0" },
    { &any_double, "0.000", 0, "0" },
    { &any_double, "0e999", 0, "0" },
    { &any_double, "1", 1, "1" },
    { &any_double, "-1.5", -1.5, "-1.5" },
    { &any_double, "0.1", 0.1, "0.1" },
    { &any_double, ".5", 0.5, "0.5" },
    { &any_double, "5.", 5, "5" },
    { &any_double, "1e3", 1000, "1000" },
    { &any_double, "1E+3", 1000, "1000" },
    { &any_double, "25e-2", 0.25, "0.25" },
    { &any_double, "123456789", 123456789, "123456789" },
    { &any_double, "0.3333333333333333", 1.0 / 3, "0.3333333333333333" },
    { &any_double, "100000", 1e5, "100000" },
    { &any_double, "1234567890123456", 1234567890123456, "1234567890123456" },
    { &any_double, "1e15", 1e15, "1000000000000000" },
    { &any_double, "1e16", 1e16, "1e+16" },
    { &any_double, "0.00001", 1e-5, "0.00001" },
    { &any_double, "0.000001", 1e-6, "1e-06" },
    { &any_double, "1e22", 1e22, "1e+22" },
    { &any_double, "1.7976931348623157e308", DBL_MAX, "1.7976931348623157e+308" },
    { &any_double, "4.9406564584124654e-324", 4.9406564584124654e-324, "5e-324" },
    { &any_double, "0.30000000000000004", 0.1 + 0.2, "0.30000000000000004" },
    { &fraction, "1", 1, "1" },
    { &fraction, "-1.0", -1, "-1" },
};

START_TEST(good_double_is_parsed_and_printed_as_short_as_can_be)
{
    const mca_base_var_def_t *def = good_doubles[_i].def;
    mca_base_var_value_t value, again;
    char printed[64];
    ck_assert_int_eq(mca_base_var_parse(def, good_doubles[_i].text, &value), OPAL_SUCCESS);
    ck_assert_mem_eq(&value.real, &good_doubles[_i].value, sizeof(double));
    ck_assert_uint_eq(mca_base_var_print(def, &value, printed, sizeof printed), strlen(good_doubles[_i].printed));
    ck_assert_str_eq(printed, good_doubles[_i].printed);
    ck_assert_int_eq(mca_base_var_parse(def, printed, &again), OPAL_SUCCESS);
    ck_assert_mem_eq(&again.real, &value.real, sizeof(double));
}
END_TEST

static const bad_text_t bad_doubles[] = {
    { &any_double, "" },       { &any_double, "." },        { &any_double, "-" },    { &any_double, "-." },
    { &any_double, "+1" },     { &any_double, " 1" },       { &any_double, "1 " },   { &any_double, "1,5" },
    { &any_double, "1.5.2" },  { &any_double, "nan" },      { &any_double, "NAN" },  { &any_double, "inf" },
    { &any_double, "-inf" },   { &any_double, "infinity" }, { &any_double, "0x10" }, { &any_double, "0x1p3" },
    { &any_double, "1e" },     { &any_double, "1e+" },      { &any_double, "e5" },   { &any_double, ".e5" },
    { &any_double, "1e5x" },   { &any_double, "1d5" },      { &any_double, "1K" },   { &any_double, "1e999" },
    { &any_double, "-1e999" }, { &any_double, "1e-999" },   { &any_double, "0.5f" }, { &fraction, "1.0000001" },
    { &fraction, "-1.1" },
};

START_TEST(bad_double_is_refused)
{
    mca_base_var_value_t value = { .real = 42 };
    ck_assert_int_eq(mca_base_var_parse(bad_doubles[_i].def, bad_doubles[_i].text, &value), OPAL_ERR_BAD_PARAM);
    ck_assert_double_eq(value.real, 42);
}
END_TEST

/* Every bit pattern that is a finite number survives; a few thousand of them, always the same. */
START_TEST(every_double_survives_being_printed)
{
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < 5000; i++) {
        mca_base_var_value_t value, again;
        char printed[64];
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        memcpy(&value.real, &state, sizeof state);
        if (!mca_base_var_allows(&any_double, &value)) {
            continue; /* Not finite. */
        }
        mca_base_var_print(&any_double, &value, printed, sizeof printed);
        ck_assert_int_eq(mca_base_var_parse(&any_double, printed, &again), OPAL_SUCCESS);
        ck_assert_mem_eq(&again.real, &value.real, sizeof(double));
    }
}
END_TEST

START_TEST(parsing_does_not_depend_on_the_locale)
{
    /* Where Turkish is installed, I and i are different letters; elsewhere this is the test above. */
    setlocale(LC_ALL, "tr_TR.UTF-8");
    mca_base_var_value_t value;
    ck_assert_int_eq(mca_base_var_parse(&any_bool, "DISABLED", &value), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_parse(&any_int, "1.000", &value), OPAL_ERR_BAD_PARAM);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, good_text_is_parsed, 0, COUNT(good_texts));
    tcase_add_loop_test(tests, what_is_printed_is_parsed_to_the_same, 0, COUNT(good_texts));
    tcase_add_loop_test(tests, bad_text_is_refused_and_leaves_the_value, 0, COUNT(bad_texts));
    tcase_add_loop_test(tests, good_double_is_parsed_and_printed_as_short_as_can_be, 0, COUNT(good_doubles));
    tcase_add_loop_test(tests, bad_double_is_refused, 0, COUNT(bad_doubles));
    tcase_add_test(tests, every_double_survives_being_printed);
    tcase_add_test(tests, parsing_does_not_depend_on_the_locale);
}

int main(void)
{
    return run_tests("mca_base_var_parse", add);
}
