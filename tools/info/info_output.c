/* SPDX-License-Identifier: BSD-3-Clause */
/* How a value of the report looks. What is in it, the other files know. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "opal/opalmem.h"
#include "tools/info/info_output.h"

#define VALUE_MAX 1024
#define KEY_MAX 512
#define LABEL_WIDTH 22
#define LINE_WIDTH_MIN 40
#define LINE_WIDTH_MAX 100
#define SIZE_TEXT_MAX 32

static info_form_t form;
static json_t json;
static bool has_sections; /* An empty line is due before the next one. */

/* ---- The whole --------------------------------------------------------------------------------------- */

void info_begin(info_form_t wanted)
{
    form = wanted;
    json = (json_t){ .stream = stdout };
    if (form == INFO_FORM_JSON) {
        json_object_begin(&json, NULL, JSON_LINES);
        json_string(&json, "program", "opalmem-info");
        json_string(&json, "version", OPALMEM_VERSION);
    }
}

bool info_end(void)
{
    if (form == INFO_FORM_JSON) {
        json_object_end(&json);
    }
    /* A full disk must not pass for a complete report. */
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}

info_form_t info_form(void)
{
    return form;
}

json_t *info_json(void)
{
    return &json;
}

static void print_title(const char *title)
{
    if (form == INFO_FORM_PRETTY) {
        printf("%s%s\n", has_sections ? "\n" : "", title);
        has_sections = true;
    }
}

void info_section_begin(const char *key, const char *title)
{
    print_title(title);
    if (form == INFO_FORM_JSON) {
        json_object_begin(&json, key, JSON_LINES);
    }
}

void info_section_end(void)
{
    if (form == INFO_FORM_JSON) {
        json_object_end(&json);
    }
}

void info_array_begin(const char *key, const char *title)
{
    print_title(title);
    if (form == INFO_FORM_JSON) {
        json_array_begin(&json, key, JSON_LINES);
    }
}

void info_array_end(bool has_entries)
{
    if (form == INFO_FORM_JSON) {
        json_array_end(&json);
    } else if (form == INFO_FORM_PRETTY && !has_entries) {
        puts("  none");
    }
}

/* ---- Lines ------------------------------------------------------------------------------------------- */

/* As Open MPI's tool: quotes where a colon would look like a separator. A quote or backslash within them gets
 * a backslash, and a line stays one line. */
static void put_parsable(const char *value)
{
    if (strpbrk(value, ":\"\\\n\r") == NULL) {
        puts(value);
        return;
    }
    putchar('"');
    for (; *value != '\0'; value++) {
        if (*value == '\n' || *value == '\r') {
            fputs(*value == '\n' ? "\\n" : "\\r", stdout);
        } else {
            if (*value == '"' || *value == '\\') {
                putchar('\\');
            }
            putchar(*value);
        }
    }
    puts("\"");
}

void info_field(const char *value, const char *key_format, ...)
{
    char key[KEY_MAX];
    va_list args;
    va_start(args, key_format);
    vsnprintf(key, sizeof key, key_format, args);
    va_end(args);
    printf("%s:", key);
    put_parsable(value);
}

static void put_visible(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char) text[i];
        if (byte < 0x20 || byte == 0x7f) {
            printf("\\x%02x", byte);
        } else {
            putchar(byte);
        }
    }
}

void info_visible(const char *text)
{
    put_visible(text, strlen(text));
}

static void put_line(const char *key, const char *label, const char *value)
{
    if (form == INFO_FORM_PARSABLE) {
        info_field(value, "%s", key);
    } else {
        printf("  %-*s ", LABEL_WIDTH, label);
        info_visible(value[0] != '\0' ? value : "(none)");
        putchar('\n');
    }
}

/* "machine:numa:count" is "numa_count"; text is filled and returned. */
static const char *json_key(const char *key, char *text, size_t size)
{
    const char *colon = strchr(key, ':');
    snprintf(text, size, "%s", colon != NULL ? colon + 1 : key);
    for (char *c = text; *c != '\0'; c++) {
        *c = (char) (*c == ':' ? '_' : *c);
    }
    return text;
}

/* ---- Values ------------------------------------------------------------------------------------------ */

void info_string(const char *key, const char *label, const char *value)
{
    char name[KEY_MAX];
    if (form == INFO_FORM_JSON) {
        json_string(&json, json_key(key, name, sizeof name), value);
    } else {
        put_line(key, label, value);
    }
}

void info_text(const char *key, const char *label, const char *format, ...)
{
    char value[VALUE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    info_string(key, label, value);
}

void info_number(const char *key, const char *label, uint64_t number)
{
    char name[KEY_MAX];
    if (form == INFO_FORM_JSON) {
        json_uint(&json, json_key(key, name, sizeof name), number);
    } else {
        info_text(key, label, "%" PRIu64, number);
    }
}

/* In words for people ("4 KiB"), else a number; text is filled and returned. */
static const char *size_text(uint64_t bytes, char *text)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    unsigned unit = 0;
    double number = (double) bytes;
    if (form != INFO_FORM_PRETTY) {
        snprintf(text, SIZE_TEXT_MAX, "%" PRIu64, bytes);
        return text;
    }
    while (number >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        number /= 1024;
        unit++;
    }
    snprintf(text, SIZE_TEXT_MAX, "%.4g %s", number, units[unit]);
    return text;
}

void info_bytes(const char *key, const char *label, uint64_t bytes)
{
    char text[SIZE_TEXT_MAX];
    if (form == INFO_FORM_JSON) {
        info_number(key, label, bytes);
    } else {
        info_string(key, label, size_text(bytes, text));
    }
}

void info_yes_no(const char *key, const char *label, bool answer)
{
    char name[KEY_MAX];
    if (form == INFO_FORM_JSON) {
        json_bool(&json, json_key(key, name, sizeof name), answer);
    } else {
        info_string(key, label, answer ? "yes" : "no");
    }
}

void info_bytes_list(const char *key, const char *label, const size_t *bytes, unsigned count)
{
    char list[512] = "", name[KEY_MAX], text[SIZE_TEXT_MAX];
    size_t length = 0;
    if (form == INFO_FORM_JSON) {
        json_array_begin(&json, json_key(key, name, sizeof name), JSON_ONE_LINE);
        for (unsigned i = 0; i < count; i++) {
            json_uint(&json, NULL, bytes[i]);
        }
        json_array_end(&json);
        return;
    }
    for (unsigned i = 0; i < count && length < sizeof list; i++) {
        int added =
            snprintf(list + length, sizeof list - length, "%s%s", i > 0 ? "," : "", size_text(bytes[i], text));
        length += added > 0 ? (size_t) added : 0;
    }
    put_line(key, label, list);
}

void info_words(const char *key, const char *label, const char *words, const char *none)
{
    static const char separators[] = " ,";
    char name[KEY_MAX], word[KEY_MAX];
    words += strspn(words, separators);
    if (form != INFO_FORM_JSON) {
        put_line(key, label, words[0] != '\0' ? words : none);
        return;
    }
    json_array_begin(&json, json_key(key, name, sizeof name), JSON_ONE_LINE);
    while (words[0] != '\0') {
        size_t length = strcspn(words, separators);
        snprintf(word, sizeof word, "%.*s", (int) length, words);
        json_string(&json, NULL, word);
        words += length + strspn(words + length, separators);
    }
    json_array_end(&json);
}

void info_null(const char *key, const char *label, const char *text)
{
    char name[KEY_MAX];
    if (form == INFO_FORM_JSON) {
        json_null(&json, json_key(key, name, sizeof name));
    } else {
        put_line(key, label, text);
    }
}

/* ---- Paragraphs -------------------------------------------------------------------------------------- */

/* $COLUMNS, else the terminal's, within limits; a file gets the widest. */
static size_t line_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    long width = columns != NULL ? strtol(columns, NULL, 10) : 0;
    if (width <= 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        width = size.ws_col;
    }
    if (width <= 0 || width > LINE_WIDTH_MAX) {
        return LINE_WIDTH_MAX;
    }
    return width < LINE_WIDTH_MIN ? LINE_WIDTH_MIN : (size_t) width;
}

void info_paragraph(unsigned indent, const char *text)
{
    size_t column = 0;
    size_t width = line_width();
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        if (column > 0 && column + 1 + length > width) {
            putchar('\n');
            column = 0;
        }
        column += (size_t) (column == 0 ? printf("%*s", (int) indent, "") : printf(" "));
        put_visible(text, length);
        column += length;
        text += length;
        text += strspn(text, " ");
    }
    if (column > 0) {
        putchar('\n');
    }
}
