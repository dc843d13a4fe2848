/* SPDX-License-Identifier: BSD-3-Clause */
/* Text of a parameter or tune file to settings; mca_base_file.h has the grammar.
 * Strict: the first line that cannot be understood makes the whole file
 * useless, because half of a file may mean something that nobody wanted. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_file.h"
#include "framework/base/mca_base_open.h"
#include "opal/mca/base/base.h"

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
#define SOURCE_PREFIX "SOURCE_"
#define TEXT_(number) #number
#define TEXT(number) TEXT_(number)
#define SHOWN_MAX 60 /* Bytes of a line that a message shows. */

/* The rest of a line, and where the line is. The text is ours: strings are ended in place. */
typedef struct line_t {
    char *p;
    char *end;
    const char *path;
    unsigned number;
} line_t;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_control(char c)
{
    return (unsigned char) c < ' ' || c == '\x7f';
}

/* ---- Messages ---------------------------------------------------------------------------------- */

/* A piece of the line between quotes, fit to be printed. In a set-uid process the file may be one that its
 * user cannot read: nothing of it is shown. */
static void show(char shown[SHOWN_MAX + 8], const char *text, size_t length)
{
    char printable[SHOWN_MAX + 1];
    size_t count = length < SHOWN_MAX ? length : SHOWN_MAX;
    for (size_t i = 0; i < count; i++) {
        printable[i] = is_control(text[i]) ? '?' : text[i];
    }
    printable[count] = '\0';
    if (mca_base_trusts_user()) {
        snprintf(shown, SHOWN_MAX + 8, "\"%s%s\"", printable, length > count ? "..." : "");
    } else {
        snprintf(shown, SHOWN_MAX + 8, "this");
    }
}

static int complain(const line_t *line, const char *text, size_t length, const char *what)
{
    char shown[SHOWN_MAX + 8];
    show(shown, text, length);
    mca_base_log(MCA_BASE_LOG_ERROR, "%s:%u: %s %s", line->path, line->number, shown, what);
    return OPAL_ERR_BAD_PARAM;
}

/* ---- Tables ------------------------------------------------------------------------------------ */

static int add_setting(mca_base_file_table_t *table, const line_t *line, const char *name, const char *value)
{
    if (table->count == table->room) {
        size_t room = table->room * 2 + 16;
        mca_base_file_setting_t *larger = realloc(table->all, room * sizeof *larger);
        if (larger == NULL) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
        table->all = larger;
        table->room = room;
    }
    table->all[table->count++] = (mca_base_file_setting_t){ name, value, line->path, line->number };
    return OPAL_SUCCESS;
}

/* Settings of one name keep their order. */
static int compare_settings(const void *a, const void *b)
{
    const mca_base_file_setting_t *left = *(const mca_base_file_setting_t *const *) a;
    const mca_base_file_setting_t *right = *(const mca_base_file_setting_t *const *) b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : (left > right) - (left < right);
}

static bool same_value(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void warn_of_two(const mca_base_file_setting_t *first, const mca_base_file_setting_t *second)
{
    mca_base_log(MCA_BASE_LOG_WARN, "%s:%u: %s is set again, to another value than in line %u: this one counts",
                 second->path, second->line, second->name, first->line);
}

/* Keeps the last one of each name. */
static void drop_earlier(mca_base_file_table_t *table)
{
    size_t kept = 0;
    for (size_t i = 0; i < table->count; i++) {
        const mca_base_file_setting_t *setting = table->by_name[i];
        const mca_base_file_setting_t *before = kept > 0 ? table->by_name[kept - 1] : NULL;
        if (before == NULL || strcmp(before->name, setting->name) != 0) {
            table->by_name[kept++] = setting;
            continue;
        }
        if (!same_value(before->value, setting->value)) {
            warn_of_two(before, setting);
        }
        table->by_name[kept - 1] = setting;
    }
    table->name_count = kept;
}

static int sort_table(mca_base_file_table_t *table)
{
    if (table->count == 0) {
        return OPAL_SUCCESS;
    }
    table->by_name = malloc(table->count * sizeof(mca_base_file_setting_t *));
    if (table->by_name == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    for (size_t i = 0; i < table->count; i++) {
        table->by_name[i] = &table->all[i];
    }
    qsort(table->by_name, table->count, sizeof(mca_base_file_setting_t *), compare_settings);
    drop_earlier(table);
    return OPAL_SUCCESS;
}

static int compare_name(const void *name, const void *setting)
{
    return strcmp(name, (*(const mca_base_file_setting_t *const *) setting)->name);
}

const mca_base_file_setting_t *mca_base_file_table_find(const mca_base_file_table_t *table, const char *name)
{
    if (table->name_count == 0) {
        return NULL;
    }
    const mca_base_file_setting_t *const *found =
        bsearch(name, table->by_name, table->name_count, sizeof(mca_base_file_setting_t *), compare_name);
    return found != NULL ? *found : NULL;
}

static void free_table(mca_base_file_table_t *table)
{
    free(table->all);
    free(table->by_name);
}

/* ---- NAME = VALUE ------------------------------------------------------------------------------ */

bool mca_base_file_is_name(const char *name, size_t length)
{
    size_t good = 0;
    while (good < length && name[good] != '\0' && strchr(NAME_CHARACTERS, name[good]) != NULL) {
        good++;
    }
    bool is_source = length >= strlen(SOURCE_PREFIX) && strncmp(name, SOURCE_PREFIX, strlen(SOURCE_PREFIX)) == 0;
    return length > 0 && good == length && name[0] != '-' && !is_source;
}

static void trim(char **start, char **end)
{
    while (*start < *end && is_blank(**start)) {
        (*start)++;
    }
    while (*end > *start && is_blank((*end)[-1])) {
        (*end)--;
    }
}

static int parse_assignment(mca_base_file_t *file, line_t *line)
{
    char *equals = memchr(line->p, '=', (size_t) (line->end - line->p));
    if (equals == NULL) {
        return complain(line, line->p, (size_t) (line->end - line->p), "has no \"=\": expected NAME = VALUE");
    }
    char *name = line->p, *name_end = equals;
    char *value = equals + 1, *value_end = line->end;
    trim(&name, &name_end);
    trim(&value, &value_end);
    if (!mca_base_file_is_name(name, (size_t) (name_end - name))) {
        return complain(line, name, (size_t) (name_end - name),
                        "is not the name of a variable: expected NAME = VALUE");
    }
    *name_end = '\0';
    *value_end = '\0';
    return add_setting(&file->settings, line, name, value);
}

/* ---- Options of tune files ---------------------------------------------------------------------- */

static bool is_mca(const char *word, size_t length)
{
    static const char *const options[] = { "--mca", "-mca", "--gmca", "-gmca" };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strlen(options[i]) == length && memcmp(word, options[i], length) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_export(const char *word, size_t length)
{
    return length == 2 && memcmp(word, "-x", 2) == 0;
}

static void skip_blanks(line_t *line)
{
    while (line->p < line->end && is_blank(*line->p)) {
        line->p++;
    }
}

/* The text up to the next one of two characters, ended in place; p is behind it. */
static char *take_until(line_t *line, char stop, char other)
{
    char *start = line->p;
    while (line->p < line->end && *line->p != stop && *line->p != other) {
        line->p++;
    }
    char *end = line->p;
    line->p += line->p < line->end;
    *end = '\0';
    return start;
}

/* NULL: the line is at its end. */
static char *take_word(line_t *line)
{
    skip_blanks(line);
    return line->p < line->end ? take_until(line, ' ', '\t') : NULL;
}

/* A word, or what stands between quotes. NULL: there is none, or the quotes do not match. */
static char *take_value(line_t *line)
{
    char quote = line->p < line->end ? *line->p : '\0';
    if (quote != '"' && quote != '\'') {
        return take_word(line);
    }
    char *closing = memchr(line->p + 1, quote, (size_t) (line->end - line->p - 1));
    if (closing == NULL || (closing + 1 < line->end && !is_blank(closing[1]))) {
        return NULL;
    }
    char *start = line->p + 1;
    *closing = '\0';
    line->p = closing + 1;
    return start;
}

static int complain_of_quote(const line_t *line, const char *rest)
{
    return complain(line, rest, (size_t) (line->end - rest),
                    "has no closing quote that ends the value: expected VALUE, \"VALUE\" or 'VALUE'");
}

static int parse_mca(mca_base_file_t *file, line_t *line)
{
    const char *name = take_word(line);
    if (name == NULL) {
        return complain(line, "--mca", 5, "without a name: expected --mca NAME VALUE");
    }
    if (!mca_base_file_is_name(name, strlen(name))) {
        return complain(line, name, strlen(name), "is not the name of a variable: expected --mca NAME VALUE");
    }
    skip_blanks(line);
    const char *rest = line->p;
    const char *value = take_value(line);
    if (value == NULL && rest == line->end) {
        return complain(line, name, strlen(name), "has no value: expected --mca NAME VALUE");
    }
    if (value == NULL) {
        return complain_of_quote(line, rest);
    }
    return add_setting(&file->settings, line, name, value);
}

/* As the shell has it. The names under which settings are handed on are not for everybody to write. */
static bool is_variable(const char *name)
{
    static const char source[] = "OPALMEM_MCA_" SOURCE_PREFIX;
    size_t good = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    return good > 0 && name[good] == '\0' && (name[0] < '0' || name[0] > '9')
           && strncmp(name, source, sizeof source - 1) != 0;
}

static int parse_export(mca_base_file_t *file, line_t *line)
{
    skip_blanks(line);
    char *start = line->p, *end = line->p;
    while (end < line->end && *end != '=' && !is_blank(*end)) {
        end++;
    }
    bool has_value = end < line->end && *end == '=';
    line->p = end + (end < line->end);
    *end = '\0';
    if (!is_variable(start)) {
        return complain(line, start, strlen(start),
                        "is not the name of an environment variable: expected -x VARIABLE or -x VARIABLE=VALUE");
    }
    const char *value = NULL;
    if (has_value) {
        const char *rest = line->p;
        bool is_empty = line->p == line->end || is_blank(*line->p);
        value = is_empty ? "" : take_value(line);
        if (value == NULL) {
            return complain_of_quote(line, rest);
        }
    }
    return add_setting(&file->exports, line, start, value);
}

static int parse_options(mca_base_file_t *file, line_t *line)
{
    int rc = OPAL_SUCCESS;
    const char *word;
    while (rc == OPAL_SUCCESS && (word = take_word(line)) != NULL) {
        if (is_mca(word, strlen(word))) {
            rc = parse_mca(file, line);
        } else if (is_export(word, strlen(word))) {
            rc = parse_export(file, line);
        } else {
            rc = complain(line, word, strlen(word),
                          "cannot stand here: expected --mca NAME VALUE, -x VARIABLE=VALUE or NAME = VALUE");
        }
    }
    return rc;
}

/* ---- Lines -------------------------------------------------------------------------------------- */

static bool is_comment(const line_t *line)
{
    return line->p[0] == '#' || (line->end - line->p >= 2 && line->p[0] == '/' && line->p[1] == '/');
}

static bool begins_with_option(const line_t *line)
{
    size_t length = 0;
    while (line->p + length < line->end && !is_blank(line->p[length])) {
        length++;
    }
    return is_mca(line->p, length) || is_export(line->p, length);
}

/* One in the middle of a line is a mistake: a file whose lines end with CR alone would be one long value. */
static bool holds_control(const line_t *line)
{
    const char *p = line->p;
    while (p < line->end && (!is_control(*p) || *p == '\t')) {
        p++;
    }
    return p < line->end;
}

static int parse_line(mca_base_file_kind_t kind, mca_base_file_t *file, line_t *line)
{
    size_t length = (size_t) (line->end - line->p);
    if (length > MCA_BASE_FILE_LINE_MAX) {
        return complain(line, line->p, length,
                        "is too long: expected lines of at most " TEXT(MCA_BASE_FILE_LINE_MAX) " bytes");
    }
    if (memchr(line->p, '\0', length) != NULL) {
        return complain(line, line->p, length, "holds a NUL byte: expected text");
    }
    trim(&line->p, &line->end);
    if (line->p == line->end || is_comment(line)) {
        return OPAL_SUCCESS;
    }
    if (holds_control(line)) {
        return complain(line, line->p, (size_t) (line->end - line->p), "holds a control character: expected text");
    }
    if (line->p[0] == '-' && kind == MCA_BASE_FILE_TUNE) {
        return parse_options(file, line);
    }
    if (begins_with_option(line)) {
        return complain(line, line->p, (size_t) (line->end - line->p),
                        "is an option, for files of --tune only: expected NAME = VALUE");
    }
    return parse_assignment(file, line);
}

static int parse_text(mca_base_file_kind_t kind, mca_base_file_t *file, size_t length, const char *path)
{
    char *p = file->text, *end = file->text + length;
    if (length >= strlen(BYTE_ORDER_MARK) && memcmp(p, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0) {
        p += strlen(BYTE_ORDER_MARK);
    }
    int rc = OPAL_SUCCESS;
    for (unsigned number = 1; rc == OPAL_SUCCESS && p < end; number++) {
        char *newline = memchr(p, '\n', (size_t) (end - p));
        line_t line = { .p = p, .end = newline != NULL ? newline : end, .path = path, .number = number };
        p = newline != NULL ? newline + 1 : end;
        line.end -= line.end > line.p && line.end[-1] == '\r';
        rc = parse_line(kind, file, &line);
    }
    if (rc == OPAL_SUCCESS) {
        rc = sort_table(&file->settings);
    }
    return rc == OPAL_SUCCESS ? sort_table(&file->exports) : rc;
}

int mca_base_file_parse(mca_base_file_kind_t kind, const char *path, const char *text, size_t length,
                        mca_base_file_t **file)
{
    mca_base_file_t *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    atomic_init(&made->references, 1);
    size_t path_size = strlen(path) + 1;
    made->text = malloc(length + 1 + path_size);
    if (made->text == NULL) {
        mca_base_file_drop(made);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    memcpy(made->text, text, length);
    made->text[length] = '\0';
    char *own_path = memcpy(made->text + length + 1, path, path_size);
    int rc = parse_text(kind, made, length, own_path);
    if (rc != OPAL_SUCCESS) {
        mca_base_file_drop(made);
        return rc;
    }
    *file = made;
    return OPAL_SUCCESS;
}

void mca_base_file_drop(mca_base_file_t *file)
{
    if (atomic_fetch_sub(&file->references, 1) == 1) {
        free_table(&file->settings);
        free_table(&file->exports);
        free(file->text);
        free(file);
    }
}
