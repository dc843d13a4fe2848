/* SPDX-License-Identifier: BSD-3-Clause */
/* Text to value and back. Strict, because a setting that is silently taken for
 * another one is worse than none: "12abc" is not 12. Only ASCII is compared and
 * no function that depends on the locale is called. */
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_var.h"

static const mca_base_var_enum_value_t boolean_names[] = {
    { "0", 0 },   { "1", 1 },        { "false", 0 },   { "true", 1 }, { "no", 0 },
    { "yes", 1 }, { "disabled", 0 }, { "enabled", 1 }, { NULL, 0 },
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

/* Decimal digits at the start of a text; end is behind the last. At least one, no sign. */
static bool parse_digits(const char *text, uint64_t *number, const char **end)
{
    uint64_t sum = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(sum, 10u, &sum) || __builtin_add_overflow(sum, (uint64_t) (*p - '0'), &sum)) {
            return false;
        }
    }
    *number = sum;
    *end = p;
    return p != text;
}

static void int_bounds(const mca_base_var_def_t *def, long *min, long *max)
{
    bool given = def->min < def->max;
    *min = given && def->min > INT_MIN ? def->min : INT_MIN;
    *max = given && def->max < INT_MAX ? def->max : INT_MAX;
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
    long min, max;
    int_bounds(def, &min, &max);
    if (number < min || number > max) {
        return false;
    }
    *value = (int) number;
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

static bool parse_size(const char *text, size_t *value)
{
    uint64_t number;
    const char *end;
    if (!parse_digits(text, &number, &end)) {
        return false;
    }
    int shift = suffix_shift(end);
    if (shift < 0 || number > SIZE_MAX >> shift) {
        return false;
    }
    *value = (size_t) number << shift;
    return true;
}

static bool parse_bool(const char *text, bool *value)
{
    int number;
    if (!find_name(boolean_names, text, &number)) {
        return false;
    }
    *value = number != 0;
    return true;
}

int mca_base_var_parse(const mca_base_var_def_t *def, const char *text, mca_base_var_value_t *value)
{
    bool good = false;
    switch (def->type) {
    case MCA_BASE_VAR_TYPE_INT: good = parse_int(def, text, &value->integer); break;
    case MCA_BASE_VAR_TYPE_SIZE_T: good = parse_size(text, &value->size); break;
    case MCA_BASE_VAR_TYPE_BOOL: good = parse_bool(text, &value->boolean); break;
    case MCA_BASE_VAR_TYPE_ENUM: good = find_name(def->enumerator, text, &value->integer); break;
    case MCA_BASE_VAR_TYPE_STRING: {
        char *copy = strdup(text);
        if (copy == NULL) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
        value->string = copy;
        return OPAL_SUCCESS;
    }
    default: break;
    }
    return good ? OPAL_SUCCESS : OPAL_ERR_BAD_PARAM;
}

/* Appends "a, b, c" to what is in text. */
static void append_names(const mca_base_var_enum_value_t *names, char *text, size_t size)
{
    size_t length = strlen(text);
    for (const char *separator = ""; names != NULL && names->name != NULL && length < size;
         names++, separator = ", ") {
        int added = snprintf(text + length, size - length, "%s%s", separator, names->name);
        length += added > 0 ? (size_t) added : 0;
    }
}

void mca_base_var_expected(const mca_base_var_def_t *def, char *text, size_t size)
{
    long min, max;
    switch (def->type) {
    case MCA_BASE_VAR_TYPE_INT:
        int_bounds(def, &min, &max);
        snprintf(text, size, "a whole number from %ld to %ld", min, max);
        break;
    case MCA_BASE_VAR_TYPE_SIZE_T:
        snprintf(text, size, "a number from 0 to %zu, which K, M, G or T may follow", SIZE_MAX);
        break;
    case MCA_BASE_VAR_TYPE_BOOL:
        snprintf(text, size, "one of ");
        append_names(boolean_names, text, size);
        break;
    case MCA_BASE_VAR_TYPE_ENUM:
        snprintf(text, size, "one of ");
        append_names(def->enumerator, text, size);
        break;
    case MCA_BASE_VAR_TYPE_STRING: snprintf(text, size, "any text"); break;
    default: break;
    }
}

static void print_enum(const mca_base_var_def_t *def, int value, char *text, size_t size)
{
    const mca_base_var_enum_value_t *names = def->enumerator;
    while (names != NULL && names->name != NULL && names->value != value) {
        names++;
    }
    if (names != NULL && names->name != NULL) {
        snprintf(text, size, "%s", names->name);
    } else {
        snprintf(text, size, "%d", value);
    }
}

void mca_base_var_print(const mca_base_var_def_t *def, const mca_base_var_value_t *value, char *text, size_t size)
{
    switch (def->type) {
    case MCA_BASE_VAR_TYPE_INT: snprintf(text, size, "%d", value->integer); break;
    case MCA_BASE_VAR_TYPE_SIZE_T: snprintf(text, size, "%zu", value->size); break;
    case MCA_BASE_VAR_TYPE_BOOL: snprintf(text, size, "%s", value->boolean ? "true" : "false"); break;
    case MCA_BASE_VAR_TYPE_ENUM: print_enum(def, value->integer, text, size); break;
    case MCA_BASE_VAR_TYPE_STRING: snprintf(text, size, "%s", value->string != NULL ? value->string : ""); break;
    default: break;
    }
}
