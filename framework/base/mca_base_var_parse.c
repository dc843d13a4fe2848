/* SPDX-License-Identifier: BSD-3-Clause */
/* Text to value. Strict, because a setting that is silently taken for another
 * one is worse than none: "12abc" is not 12. Only ASCII is compared and no
 * function that depends on the locale is called but under the C locale. */
#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_var_values.h"

/* ---- Names --------------------------------------------------------------------------------------- */

const mca_base_var_enum_value_t mca_base_var_boolean_names[] = {
    { "0", 0 },   { "1", 1 }, { "false", 0 }, { "true", 1 },     { "f", 0 },       { "t", 1 },  { "no", 0 },
    { "yes", 1 }, { "n", 0 }, { "y", 1 },     { "disabled", 0 }, { "enabled", 1 }, { NULL, 0 },
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char) (c - 'A' + 'a') : c;
}

static bool equal_ignoring_case(const char *a, const char *b)
{
    while (*a != '\0' && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

static bool find_name(const mca_base_var_enum_value_t *names, const char *text, int *value)
{
    for (; names != NULL && names->name != NULL; names++) {
        if (equal_ignoring_case(names->name, text)) {
            *value = names->value;
            return true;
        }
    }
    return false;
}

static bool has_value(const mca_base_var_enum_value_t *names, int value)
{
    for (; names != NULL && names->name != NULL; names++) {
        if (names->value == value) {
            return true;
        }
    }
    return false;
}

/* ---- Whole numbers ------------------------------------------------------------------------------- */

/* Value of a digit, or 16. */
static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned) (c - '0');
    }
    c = lower(c);
    return c >= 'a' && c <= 'f' ? (unsigned) (c - 'a') + 10 : 16;
}

/* Digits at the start of a text, hexadecimal behind 0x; end is behind the last. At least one, no sign. */
static bool parse_digits(const char *text, uint64_t *number, const char **end)
{
    bool hexadecimal = text[0] == '0' && lower(text[1]) == 'x';
    unsigned base = hexadecimal ? 16 : 10;
    uint64_t sum = 0;
    const char *start = hexadecimal ? text + 2 : text, *p = start;
    for (; digit_value(*p) < base; p++) {
        if (__builtin_mul_overflow(sum, base, &sum) || __builtin_add_overflow(sum, digit_value(*p), &sum)) {
            return false;
        }
    }
    *number = sum;
    *end = p;
    return p != start;
}

static bool is_bounded(const mca_base_var_def_t *def)
{
    return def->min < def->max;
}

void mca_base_var_int_bounds(const mca_base_var_def_t *def, long *min, long *max)
{
    *min = is_bounded(def) && def->min > INT_MIN ? def->min : INT_MIN;
    *max = is_bounded(def) && def->max < INT_MAX ? def->max : INT_MAX;
}

void mca_base_var_natural_bounds(const mca_base_var_def_t *def, uint64_t *min, uint64_t *max)
{
    uint64_t limit = def->type == MCA_BASE_VAR_TYPE_UNSIGNED_INT ? UINT_MAX : SIZE_MAX;
    *min = is_bounded(def) ? (uint64_t) def->min : 0;
    *max = is_bounded(def) && (uint64_t) def->max < limit ? (uint64_t) def->max : limit;
}

static bool int_is_allowed(const mca_base_var_def_t *def, long number)
{
    long min, max;
    mca_base_var_int_bounds(def, &min, &max);
    return number >= min && number <= max;
}

/* For unsigned and size_t. */
static bool natural_is_allowed(const mca_base_var_def_t *def, uint64_t number)
{
    uint64_t min, max;
    mca_base_var_natural_bounds(def, &min, &max);
    return number >= min && number <= max;
}

static bool double_is_allowed(const mca_base_var_def_t *def, double number)
{
    return isfinite(number) && (!is_bounded(def) || (number >= (double) def->min && number <= (double) def->max));
}

static bool parse_int(const mca_base_var_def_t *def, const char *text, int *value)
{
    if (find_name(def->enumerator, text, value)) {
        return true;
    }
    bool negative = text[0] == '-';
    uint64_t digits;
    const char *end;
    if (!parse_digits(text + negative, &digits, &end) || *end != '\0' || digits > (uint64_t) INT_MAX + 1) {
        return false;
    }
    long number = negative ? -(long) digits : (long) digits;
    if (!int_is_allowed(def, number)) {
        return false;
    }
    *value = (int) number;
    return true;
}

static bool parse_unsigned(const mca_base_var_def_t *def, const char *text, unsigned *value)
{
    uint64_t number;
    const char *end;
    if (!parse_digits(text, &number, &end) || *end != '\0' || !natural_is_allowed(def, number)) {
        return false;
    }
    *value = (unsigned) number;
    return true;
}

/* Shift that a suffix stands for, or -1. */
static int suffix_shift(const char *suffix)
{
    static const char letters[] = "kmgt";
    if (suffix[0] == '\0') {
        return 0;
    }
    const char *found = strchr(letters, lower(suffix[0]));
    return found != NULL && suffix[1] == '\0' ? 10 * (int) (found - letters + 1) : -1;
}

static bool parse_size(const mca_base_var_def_t *def, const char *text, size_t *value)
{
    uint64_t number;
    const char *end;
    if (!parse_digits(text, &number, &end)) {
        return false;
    }
    int shift = suffix_shift(end);
    if (shift < 0 || number > SIZE_MAX >> shift || !natural_is_allowed(def, number << shift)) {
        return false;
    }
    *value = (size_t) number << shift;
    return true;
}

static bool parse_bool(const char *text, bool *value)
{
    int number;
    if (!find_name(mca_base_var_boolean_names, text, &number)) {
        return false;
    }
    *value = number != 0;
    return true;
}

/* ---- Decimal numbers ----------------------------------------------------------------------------- */

static const char *skip_digits(const char *text)
{
    while (*text >= '0' && *text <= '9') {
        text++;
    }
    return text;
}

/* [-]digits[.digits][e[+-]digits], with a digit beside the point. What strtod() takes is more: blanks, a plus,
 * nan, infinity and hexadecimal numbers. */
static bool is_decimal(const char *text)
{
    const char *start = text + (text[0] == '-');
    const char *point = skip_digits(start);
    const char *end = *point == '.' ? skip_digits(point + 1) : point;
    if (end - start <= (*point == '.')) {
        return false;
    }
    if (lower(*end) == 'e') {
        const char *exponent = end + 1 + (end[1] == '-' || end[1] == '+');
        end = skip_digits(exponent);
        return end != exponent && *end == '\0';
    }
    return *end == '\0';
}

/* "1e-999" must not become 0. */
static bool says_zero(const char *text)
{
    size_t mantissa = strcspn(text, "eE");
    return strcspn(text, "123456789") >= mantissa;
}

int mca_base_var_parse_double(const char *text, double *value)
{
    if (!is_decimal(text)) {
        return OPAL_ERR_BAD_PARAM;
    }
    locale_t locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
    if (locale == (locale_t) 0) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    double number = strtod_l(text, NULL, locale);
    freelocale(locale);
    if (!isfinite(number) || (fpclassify(number) == FP_ZERO && !says_zero(text))) {
        return OPAL_ERR_BAD_PARAM;
    }
    *value = number;
    return OPAL_SUCCESS;
}

static int parse_double(const mca_base_var_def_t *def, const char *text, double *value)
{
    double number;
    int rc = mca_base_var_parse_double(text, &number);
    if (rc == OPAL_SUCCESS && !double_is_allowed(def, number)) {
        rc = OPAL_ERR_BAD_PARAM;
    }
    if (rc == OPAL_SUCCESS) {
        *value = number;
    }
    return rc;
}

/* ---- All ----------------------------------------------------------------------------------------- */

static int parse_string(const char *text, char **value)
{
    char *copy = strdup(text);
    if (copy == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    *value = copy;
    return OPAL_SUCCESS;
}

int mca_base_var_parse(const mca_base_var_def_t *def, const char *text, mca_base_var_value_t *value)
{
    bool good = false;
    switch (def->type) {
    case MCA_BASE_VAR_TYPE_INT: good = parse_int(def, text, &value->integer); break;
    case MCA_BASE_VAR_TYPE_UNSIGNED_INT: good = parse_unsigned(def, text, &value->natural); break;
    case MCA_BASE_VAR_TYPE_SIZE_T: good = parse_size(def, text, &value->size); break;
    case MCA_BASE_VAR_TYPE_BOOL: good = parse_bool(text, &value->boolean); break;
    case MCA_BASE_VAR_TYPE_ENUM: good = find_name(def->enumerator, text, &value->integer); break;
    case MCA_BASE_VAR_TYPE_DOUBLE: return parse_double(def, text, &value->real);
    case MCA_BASE_VAR_TYPE_STRING: return parse_string(text, &value->string);
    default: break;
    }
    return good ? OPAL_SUCCESS : OPAL_ERR_BAD_PARAM;
}

bool mca_base_var_allows(const mca_base_var_def_t *def, const mca_base_var_value_t *value)
{
    switch (def->type) {
    case MCA_BASE_VAR_TYPE_INT:
        return has_value(def->enumerator, value->integer) || int_is_allowed(def, value->integer);
    case MCA_BASE_VAR_TYPE_UNSIGNED_INT: return natural_is_allowed(def, value->natural);
    case MCA_BASE_VAR_TYPE_SIZE_T: return natural_is_allowed(def, value->size);
    case MCA_BASE_VAR_TYPE_DOUBLE: return double_is_allowed(def, value->real);
    case MCA_BASE_VAR_TYPE_ENUM: return has_value(def->enumerator, value->integer);
    default: return true;
    }
}
