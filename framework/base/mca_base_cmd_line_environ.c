/* SPDX-License-Identifier: BSD-3-Clause */
/* The environment that hands settings on to children. What is added comes from
 * three places, of which the first that has a name counts: the command line, -x
 * in tune files, settings in tune files. Beside each setting a marker tells the
 * child how strong it is. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_var.h"

#define SOURCE_PREFIX MCA_BASE_ENV_PREFIX "SOURCE_"
#define FROM_COMMAND_LINE "COMMAND"
#define FROM_FILE "FILE:"
#define LENGTH(literal) (sizeof(literal) - 1)

/* ---- Lists of texts ----------------------------------------------------------------------------- */

typedef struct texts_t {
    char **list;
    size_t count, room;
    bool failed; /* Memory ran out: the list lacks something. */
} texts_t;

static bool make_room(texts_t *texts)
{
    if (texts->count == texts->room) {
        size_t room = texts->room * 2 + 32;
        char **larger = realloc(texts->list, room * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        texts->list = larger;
        texts->room = room;
    }
    return true;
}

static void add_text(texts_t *texts, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_text(texts_t *texts, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (!make_room(texts) || vasprintf(&text, format, args) < 0) {
        texts->failed = true;
    } else {
        texts->list[texts->count++] = text;
    }
    va_end(args);
}

static void free_texts(texts_t *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        free(texts->list[i]);
    }
    free(texts->list);
}

/* ---- Entries ("NAME=value") ---------------------------------------------------------------------- */

/* Value of the variable prefix + name, or NULL. */
static const char *value_of(const char *entry, const char *prefix, const char *name, size_t length)
{
    size_t front = strlen(prefix);
    bool is_it = strncmp(entry, prefix, front) == 0 && strncmp(entry + front, name, length) == 0
                 && entry[front + length] == '=';
    return is_it ? entry + front + length + 1 : NULL;
}

static const char *find_value(char *const *entries, size_t count, const char *prefix, const char *name,
                              size_t length)
{
    const char *value = NULL;
    for (size_t i = 0; i < count && value == NULL; i++) {
        value = value_of(entries[i], prefix, name, length);
    }
    return value;
}

/* ---- What is added ------------------------------------------------------------------------------- */

typedef struct work_t {
    char *const *base;
    size_t base_count;
    texts_t added;
    texts_t warnings; /* For later: nothing is logged under the lock. */
    bool has_tune;
} work_t;

static bool is_added(const work_t *work, size_t count, const char *prefix, const char *name, size_t length)
{
    return find_value(work->added.list, count, prefix, name, length) != NULL;
}

static void add_command_line(work_t *work, const mca_base_cmd_line_batch_t *batch)
{
    for (; batch != NULL; batch = batch->next) {
        for (size_t i = 0; i < batch->count; i++) {
            const mca_base_cmd_line_setting_t *setting = &batch->settings[i];
            add_text(&work->added, MCA_BASE_ENV_PREFIX "%s=%s", setting->name, setting->value);
            add_text(&work->added, SOURCE_PREFIX "%s=" FROM_COMMAND_LINE, setting->name);
        }
        work->has_tune = work->has_tune || batch->tune != NULL;
    }
}

/* Without a value, -x hands on what the launcher's own environment has. */
static void add_export(work_t *work, const mca_base_file_setting_t *variable)
{
    size_t length = strlen(variable->name);
    const char *value = variable->value != NULL ? variable->value : getenv(variable->name);
    bool in_base = find_value(work->base, work->base_count, "", variable->name, length) != NULL;
    if (is_added(work, work->added.count, "", variable->name, length) || (variable->value == NULL && in_base)) {
        return;
    }
    if (value != NULL) {
        add_text(&work->added, "%s=%s", variable->name, value);
    } else {
        add_text(&work->warnings, "%s:%u: -x %s: there is no such environment variable to hand on", variable->path,
                 variable->line, variable->name);
    }
}

/* The environment is stronger than a tune file, unless its setting comes from a tune file as well. */
static bool base_is_stronger(const work_t *work, const char *name, size_t length)
{
    const char *value = find_value(work->base, work->base_count, MCA_BASE_ENV_PREFIX, name, length);
    const char *source = find_value(work->base, work->base_count, SOURCE_PREFIX, name, length);
    return value != NULL && (source == NULL || strncmp(source, FROM_FILE, LENGTH(FROM_FILE)) != 0);
}

static bool is_in_earlier_file(const mca_base_file_list_t *list, size_t file, const char *name)
{
    for (size_t i = 0; i < file; i++) {
        if (mca_base_file_table_find(&list->files[i]->settings, name) != NULL) {
            return true;
        }
    }
    return false;
}

/* Only the command line's and -x's entries are looked through, because tune files may hold many. */
static void add_tune_settings(work_t *work, const mca_base_file_list_t *list)
{
    size_t stronger = work->added.count;
    for (size_t i = 0; i < list->count; i++) {
        const mca_base_file_table_t *table = &list->files[i]->settings;
        for (size_t j = 0; j < table->name_count; j++) {
            const mca_base_file_setting_t *setting = table->by_name[j];
            size_t length = strlen(setting->name);
            if (!is_in_earlier_file(list, i, setting->name)
                && !is_added(work, stronger, MCA_BASE_ENV_PREFIX, setting->name, length)
                && !base_is_stronger(work, setting->name, length)) {
                add_text(&work->added, MCA_BASE_ENV_PREFIX "%s=%s", setting->name, setting->value);
                add_text(&work->added, SOURCE_PREFIX "%s=" FROM_FILE "%s:%u", setting->name, setting->path,
                         setting->line);
            }
        }
    }
}

static void add_tune(work_t *work, const mca_base_file_list_t *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const mca_base_file_table_t *table = &list->files[i]->exports;
        for (size_t j = 0; j < table->name_count; j++) {
            add_export(work, table->by_name[j]);
        }
    }
    add_tune_settings(work, list);
}

/* ---- What stays ---------------------------------------------------------------------------------- */

/* The files' settings are handed on, not their names: a child may not find them where it runs, and those of the
 * environment were replaced by --tune. */
static bool names_replaced_files(const work_t *work, const char *entry)
{
    return work->has_tune
           && value_of(entry, MCA_BASE_ENV_PREFIX, MCA_BASE_TUNE_FILES, LENGTH(MCA_BASE_TUNE_FILES)) != NULL;
}

/* A marker belongs to the setting beside it: without that one, or with another, it would be wrong. */
static bool stays(const work_t *work, const char *entry)
{
    size_t length = strcspn(entry, "=");
    if (is_added(work, work->added.count, "", entry, length) || names_replaced_files(work, entry)) {
        return false;
    }
    if (strncmp(entry, SOURCE_PREFIX, LENGTH(SOURCE_PREFIX)) != 0) {
        return true;
    }
    const char *name = entry + LENGTH(SOURCE_PREFIX);
    length -= LENGTH(SOURCE_PREFIX);
    bool is_tune_files = length == LENGTH(MCA_BASE_TUNE_FILES) && strncmp(name, MCA_BASE_TUNE_FILES, length) == 0;
    return find_value(work->base, work->base_count, MCA_BASE_ENV_PREFIX, name, length) != NULL
           && !is_added(work, work->added.count, MCA_BASE_ENV_PREFIX, name, length)
           && !(work->has_tune && is_tune_files);
}

/* ---- The result ---------------------------------------------------------------------------------- */

/* One block: the pointers, then the texts. */
static char **pack(char *const *entries, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += strlen(entries[i]) + 1;
    }
    char **block = malloc((count + 1) * sizeof *block + bytes);
    if (block == NULL) {
        return NULL;
    }
    char *text = (char *) (block + count + 1);
    for (size_t i = 0; i < count; i++) {
        block[i] = text;
        text = stpcpy(text, entries[i]) + 1;
    }
    block[count] = NULL;
    return block;
}

static char **merge(const work_t *work)
{
    char **all = malloc((work->base_count + work->added.count + 1) * sizeof *all);
    if (all == NULL) {
        return NULL;
    }
    size_t count = 0;
    for (size_t i = 0; i < work->base_count; i++) {
        if (stays(work, work->base[i])) {
            all[count++] = work->base[i];
        }
    }
    for (size_t i = 0; i < work->added.count; i++) {
        all[count++] = work->added.list[i];
    }
    char **block = pack(all, count);
    free(all);
    return block;
}

static void collect(work_t *work)
{
    mca_base_file_list_t *tune = NULL;
    add_command_line(work, mca_base_cmd_line_lock());
    mca_base_cmd_line_unlock();
    if (mca_base_cmd_line_tune_files(&tune) != OPAL_SUCCESS) {
        work->added.failed = true;
    }
    if (tune != NULL) {
        add_tune(work, tune);
        mca_base_file_list_free(tune);
    }
}

int mca_base_cmd_line_environ(char *const *environment, char ***result)
{
    static char *const none[] = { NULL };
    work_t work = { .base = environment != NULL ? environment : environ != NULL ? environ : none };
    while (work.base[work.base_count] != NULL) {
        work.base_count++;
    }
    collect(&work);
    char **block = work.added.failed || work.warnings.failed ? NULL : merge(&work);
    if (block != NULL) {
        *result = block;
        for (size_t i = 0; i < work.warnings.count; i++) {
            mca_base_log(MCA_BASE_LOG_WARN, "%s", work.warnings.list[i]);
        }
    }
    free_texts(&work.added);
    free_texts(&work.warnings);
    return block != NULL ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
}
