/* SPDX-License-Identifier: BSD-3-Clause */
/* The JSON writer. What is in a document, its callers know. */
#include <inttypes.h>
#include <string.h>

#include "tools/util/json.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD in UTF-8. */

/* ---- Texts ----------------------------------------------------------------------------------- */

static bool continues(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Length of the UTF-8 sequence at the start of text, 0 if there is none: overlong forms, surrogates and what is
 * over U+10FFFF are none (RFC 3629). A NUL continues nothing, so nothing behind it is read. */
static size_t sequence_length(const unsigned char *text)
{
    if (text[0] < 0x80) {
        return 1;
    }
    if (text[0] >= 0xc2 && text[0] <= 0xdf) {
        return continues(text[1]) ? 2 : 0;
    }
    if (text[0] >= 0xe0 && text[0] <= 0xef) {
        bool bad = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f);
        return !bad && continues(text[1]) && continues(text[2]) ? 3 : 0;
    }
    if (text[0] >= 0xf0 && text[0] <= 0xf4) {
        bool bad = (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f);
        return !bad && continues(text[1]) && continues(text[2]) && continues(text[3]) ? 4 : 0;
    }
    return 0;
}

static void put_text(FILE *stream, const char *text)
{
    fputc('"', stream);
    while (*text != '\0') {
        size_t length = sequence_length((const unsigned char *) text);
        unsigned char first = (unsigned char) *text;
        if (length == 0) {
            fputs(REPLACEMENT, stream);
        } else if (first < 0x20 || first == 0x7f) {
            fprintf(stream, "\\u%04x", first);
        } else if (first == '"' || first == '\\') {
            fprintf(stream, "\\%c", first);
        } else {
            fwrite(text, 1, length, stream);
        }
        text += length > 0 ? length : 1;
    }
    fputc('"', stream);
}

/* ---- Layout ---------------------------------------------------------------------------------- */

static void new_line(const json_t *json)
{
    fprintf(json->stream, "\n%*s", (int) (2 * json->depth), "");
}

/* What stands before a value: comma, place, key. */
static void begin_value(json_t *json, const char *key)
{
    if (json->has_members) {
        fputc(',', json->stream);
    }
    if (json->one_line > 0) {
        fputs(json->has_members ? " " : "", json->stream);
    } else if (json->depth > 0) {
        new_line(json);
    }
    json->has_members = true;
    if (key != NULL) {
        put_text(json->stream, key);
        fputs(": ", json->stream);
    }
}

static void begin(json_t *json, const char *key, json_layout_t layout, char bracket)
{
    begin_value(json, key);
    fputc(bracket, json->stream);
    json->depth++;
    json->one_line += json->one_line > 0 || layout == JSON_ONE_LINE ? 1 : 0;
    json->has_members = false;
}

static void end(json_t *json, char bracket)
{
    bool one_line = json->one_line > 0;
    json->depth--;
    json->one_line -= one_line ? 1 : 0;
    if (json->has_members && !one_line) {
        new_line(json);
    }
    fputc(bracket, json->stream);
    if (json->depth == 0) {
        fputc('\n', json->stream);
    }
    json->has_members = true;
}

void json_object_begin(json_t *json, const char *key, json_layout_t layout)
{
    begin(json, key, layout, '{');
}

void json_object_end(json_t *json)
{
    end(json, '}');
}

void json_array_begin(json_t *json, const char *key, json_layout_t layout)
{
    begin(json, key, layout, '[');
}

void json_array_end(json_t *json)
{
    end(json, ']');
}

/* ---- Values ---------------------------------------------------------------------------------- */

void json_string(json_t *json, const char *key, const char *text)
{
    begin_value(json, key);
    put_text(json->stream, text);
}

void json_uint(json_t *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    fprintf(json->stream, "%" PRIu64, value);
}

void json_int(json_t *json, const char *key, int64_t value)
{
    begin_value(json, key);
    fprintf(json->stream, "%" PRId64, value);
}

void json_decimal(json_t *json, const char *key, double value, int decimals)
{
    begin_value(json, key);
    fprintf(json->stream, "%.*f", decimals, value);
}

void json_bool(json_t *json, const char *key, bool value)
{
    begin_value(json, key);
    fputs(value ? "true" : "false", json->stream);
}

void json_null(json_t *json, const char *key)
{
    begin_value(json, key);
    fputs("null", json->stream);
}

void json_string_or_null(json_t *json, const char *key, const char *text)
{
    if (text != NULL) {
        json_string(json, key, text);
    } else {
        json_null(json, key);
    }
}
