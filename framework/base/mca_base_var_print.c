/* SPDX-License-Identifier: BSD-3-Clause */
/* Value to text that mca_base_var_parse.c takes, and what it takes, in words. */
#include <inttypes.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_var_values.h"

/* ---- Texts that are shown ------------------------------------------------------------------------- */

#define CUT "..."

/* Does the byte stand inside a character of UTF-8? */
static bool is_continued(char c)
{
    return ((unsigned char) c & 0xc0) == 0x80;
}

void mca_base_var_show(const char *text, char *shown, size_t size)
{
    size_t length = strlen(text), kept = length;
    if (length >= size) {
        kept = size - sizeof CUT;
        while (kept > 0 && is_continued(text[kept])) {
            kept--;
        }
    }
    for (size_t i = 0; i < kept; i++) {
        shown[i] = (unsigned char) text[i] < ' ' || text[i] == '\x7f' ? '?' : text[i];
    }
    snprintf(shown + kept, size - kept, "%s", kept < length ? CUT : "");
}

/* ---- What is expected ------------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size, const char *format, ...)
{
    size_t length = strlen(text);
    va_list args;
    va_start(args, format);
    int added = vsnprintf(text + length, size - length, format, args);
    va_end(args);
    if (added > 0 && (size_t) added >= size - length) {
        memcpy(text + size - sizeof CUT, CUT, sizeof CUT);
    }
}

/* "a, b, c" */
static void append_names(const mca_base_var_enum_value_t *names, char *text, size_t size)
{
    for (const char *separator = ""; names != NULL && names->name != NULL; names++, separator = ", ") {
        append(text, size, "%s%s", separator, names->name);
    }
}

static void expected_int(const mca_base_var_def_t *def, char *text, size_t size)
{
    long min, max;
    mca_base_var_int_bounds(def, &min, &max);
    append(text, size, "a whole number from %ld to %ld", min, max);
    if (def->enumerator != NULL && def->enumerator[0].name != NULL) {
        append(text, size, ", or one of ");
        append_names(def->enumerator, text, size);
    }
}

static void expected_natural(const mca_base_var_def_t *def, char *text, size_t size)
{
    uint64_t min, max;
    mca_base_var_natural_bounds(def, &min, &max);
    bool is_size = def->type == MCA_BASE_VAR_TYPE_SIZE_T;
    append(text, size, "a %snumber from %" PRIu64 " to %" PRIu64 "%s", is_size ? "" : "whole ", min, max,
           is_size ? ", which K, M, G or T may follow" : "");
}

static void expected_double(const mca_base_var_def_t *def, char *text, size_t size)
{
    append(text, size, "a decimal number such as 0.5");
    if (def->min < def->max) {
        append(text, size, ", from %ld to %ld", def->min, def->max);
    }
}

void mca_base_var_expected(const mca_base_var_def_t *def, char *text, size_t size)
{
    text[0] = '\0';
    switch (def->type) {
    case MCA_BASE_VAR_TYPE_INT: expected_int(def, text, size); break;
    case MCA_BASE_VAR_TYPE_UNSIGNED_INT:
    case MCA_BASE_VAR_TYPE_SIZE_T: expected_natural(def, text, size); break;
    case MCA_BASE_VAR_TYPE_DOUBLE: expected_double(def, text, size); break;
    case MCA_BASE_VAR_TYPE_BOOL:
        append(text, size, "one of ");
        append_names(mca_base_var_boolean_names, text, size);
        break;
    case MCA_BASE_VAR_TYPE_ENUM:
        append(text, size, "one of ");
        append_names(def->enumerator, text, size);
        break;
    case MCA_BASE_VAR_TYPE_STRING: append(text, size, "any text"); break;
    default: break;
    }
}

/* ---- Values ---------------------------------------------------------------------------------------- */

static const char *name_of(const mca_base_var_enum_value_t *names, int value)
{
    while (names != NULL && names->name != NULL && names->value != value) {
        names++;
    }
    return names != NULL ? names->name : NULL;
}

/* A number, unless only its name may be written. */
static int print_int(const mca_base_var_def_t *def, int value, char *text, size_t size)
{
    long min, max;
    mca_base_var_int_bounds(def, &min, &max);
    const char *name = value < min || value > max ? name_of(def->enumerator, value) : NULL;
    return name != NULL ? snprintf(text, size, "%s", name) : snprintf(text, size, "%d", value);
}

static int print_enum(const mca_base_var_def_t *def, int value, char *text, size_t size)
{
    const char *name = name_of(def->enumerator, value);
    return name != NULL ? snprintf(text, size, "%s", name) : snprintf(text, size, "%d", value);
}

static bool reads_back_as(const char *text, double value)
{
    double again;
    return mca_base_var_parse_double(text, &again) == OPAL_SUCCESS && !(again < value) && !(again > value);
}

/* The fewest digits that read back as the same number: 0.1, not 0.10000000000000001. Numbers of usual size
 * are written without an exponent. In the C locale. */
static void print_digits(double value, char *text, size_t size)
{
    enum { ALWAYS_ENOUGH = 17, PLAIN_FROM = -5, PLAIN_TO = 15 };
    int digits = 0;
    do {
        snprintf(text, size, "%.*e", digits, value);
        digits++;
    } while (digits < ALWAYS_ENOUGH && !reads_back_as(text, value));
    const char *exponent = strchr(text, 'e');
    int power = exponent != NULL ? (int) strtol(exponent + 1, NULL, 10) : 0;
    if (power >= PLAIN_FROM && power <= PLAIN_TO) {
        int decimals = digits - 1 - power;
        snprintf(text, size, "%.*f", decimals > 0 ? decimals : 0, value);
    }
}

static int print_double(double value, char *text, size_t size)
{
    char digits[64];
    locale_t locale = newlocale(LC_ALL_MASK, "C", (locale_t) 0);
    locale_t old = uselocale(locale); /* Without memory for a locale, this one's is better than none. */
    print_digits(value, digits, sizeof digits);
    uselocale(old);
    if (locale != (locale_t) 0) {
        freelocale(locale);
    }
    return snprintf(text, size, "%s", digits);
}

size_t mca_base_var_print(const mca_base_var_def_t *def, const mca_base_var_value_t *value, char *text,
                          size_t size)
{
    int length = 0;
    switch (def->type) {
    case MCA_BASE_VAR_TYPE_INT: length = print_int(def, value->integer, text, size); break;
    case MCA_BASE_VAR_TYPE_UNSIGNED_INT: length = snprintf(text, size, "%u", value->natural); break;
    case MCA_BASE_VAR_TYPE_SIZE_T: length = snprintf(text, size, "%zu", value->size); break;
    case MCA_BASE_VAR_TYPE_BOOL: length = snprintf(text, size, "%s", value->boolean ? "true" : "false"); break;
    case MCA_BASE_VAR_TYPE_DOUBLE: length = print_double(value->real, text, size); break;
    case MCA_BASE_VAR_TYPE_ENUM: length = print_enum(def, value->integer, text, size); break;
    case MCA_BASE_VAR_TYPE_STRING:
        length = snprintf(text, size, "%s", value->string != NULL ? value->string : "");
        break;
    default: break;
    }
    return length > 0 ? (size_t) length : 0;
}

bool mca_base_var_same_value(mca_base_var_type_t type, const mca_base_var_value_t *a,
                             const mca_base_var_value_t *b)
{
    switch (type) {
    case MCA_BASE_VAR_TYPE_INT:
    case MCA_BASE_VAR_TYPE_ENUM: return a->integer == b->integer;
    case MCA_BASE_VAR_TYPE_UNSIGNED_INT: return a->natural == b->natural;
    case MCA_BASE_VAR_TYPE_SIZE_T: return a->size == b->size;
    case MCA_BASE_VAR_TYPE_BOOL: return a->boolean == b->boolean;
    case MCA_BASE_VAR_TYPE_DOUBLE: return !(a->real < b->real) && !(a->real > b->real);
    default:
        return a->string == b->string
               || (a->string != NULL && b->string != NULL && strcmp(a->string, b->string) == 0);
    }
}
