/* SPDX-License-Identifier: BSD-3-Clause */
/* How the report looks. Every value has three forms: a line for people, a
 * colon-separated line for programs, and a member of a JSON document. */
#ifndef TOOLS_INFO_INFO_OUTPUT_H
#define TOOLS_INFO_INFO_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/util/json.h"

typedef enum info_form_t { INFO_FORM_PRETTY, INFO_FORM_PARSABLE, INFO_FORM_JSON } info_form_t;

/** Begin the report, in this form. */
void info_begin(info_form_t form);
/** End it. @return False if it could not be written, errno says why. */
bool info_end(void);
info_form_t info_form(void);
/** The document, in the form JSON. */
json_t *info_json(void);

/** The values that follow belong together.
 * @param[in] key    Member of the JSON document that has them.
 * @param[in] title  For people. */
void info_section_begin(const char *key, const char *title);
void info_section_end(void);

/** Entries follow, each written by the caller in its own way; in JSON, of an array.
 * @param[in] has_entries  False: people are told so. */
void info_array_begin(const char *key, const char *title);
void info_array_end(bool has_entries);

/* One value. key: fields of the parsable line, separated by colons. All but the first, joined by '_', are
 * the key in JSON. label: for people. */

void info_string(const char *key, const char *label, const char *value);
/** Formatted, and cut to 1023 bytes: for texts of known length. */
void info_text(const char *key, const char *label, const char *format, ...) __attribute__((format(printf, 3, 4)));
void info_number(const char *key, const char *label, uint64_t number);
void info_bytes(const char *key, const char *label, uint64_t bytes);
void info_yes_no(const char *key, const char *label, bool answer);
/** A list; none is a list too. */
void info_bytes_list(const char *key, const char *label, const size_t *bytes, unsigned count);
/** A list of words.
 * @param[in] words  Separated by blanks or commas.
 * @param[in] none   What an empty list is called; in JSON it is []. */
void info_words(const char *key, const char *label, const char *words, const char *none);
/** A value that cannot be given; in JSON null.
 * @param[in] text  What stands in its place. */
void info_null(const char *key, const char *label, const char *text);

/** One line for programs: a value with a colon in it is put into quotes. */
void info_field(const char *value, const char *key_format, ...) __attribute__((format(printf, 2, 3)));

/** A text for people in which control characters show as \\xNN. */
void info_visible(const char *text);

/** A paragraph for people, indented and filled. */
void info_paragraph(unsigned indent, const char *text);

#endif
