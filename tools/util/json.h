/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes one JSON document (RFC 8259) to a stream, member by member. Whatever the
 * texts hold, the document is valid; errors of writing show in the stream.
 *
 * Every function takes the member's key, NULL within arrays and for the document itself. The
 * caller keeps objects and arrays balanced, and gives no key twice. */
#ifndef TOOLS_UTIL_JSON_H
#define TOOLS_UTIL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum json_layout_t {
    JSON_LINES,   /**< One member a line. */
    JSON_ONE_LINE /**< All members, and what is in them, on one line. */
} json_layout_t;

/** A document that is being written; begins as { .stream = ... }. */
typedef struct json_t {
    FILE *stream;
    unsigned depth;    /**< Objects and arrays that are open. */
    unsigned one_line; /**< Those of them that are written on one line. */
    bool has_members;  /**< The innermost one has some: a comma is due. */
} json_t;

void json_object_begin(json_t *json, const char *key, json_layout_t layout);
void json_object_end(json_t *json);
void json_array_begin(json_t *json, const char *key, json_layout_t layout);
void json_array_end(json_t *json);

/** @param[in] text  Bytes that are not UTF-8 become U+FFFD, one each. */
void json_string(json_t *json, const char *key, const char *text);
void json_uint(json_t *json, const char *key, uint64_t value);
void json_int(json_t *json, const char *key, int64_t value);
/** @param[in] value  Finite; written with that many decimals, in programs that keep the C locale. */
void json_decimal(json_t *json, const char *key, double value, int decimals);
void json_bool(json_t *json, const char *key, bool value);
/** @param[in] text  May be NULL. */
void json_string_or_null(json_t *json, const char *key, const char *text);
void json_null(json_t *json, const char *key);

#endif
