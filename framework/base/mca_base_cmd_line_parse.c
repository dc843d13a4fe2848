/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds --mca NAME VALUE and --tune FILE among a program's arguments. Whether a
 * name is known is not asked here: the variables do not exist yet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_open.h"

typedef enum option_kind_t { NO_OPTION, OPTION_MCA, OPTION_GMCA, OPTION_TUNE } option_kind_t;

static option_kind_t option_kind(const char *argument)
{
    static const struct {
        const char *text;
        option_kind_t kind;
    } options[] = {
        { "--mca", OPTION_MCA },  { "-mca", OPTION_MCA },    { "--gmca", OPTION_GMCA },
        { "-gmca", OPTION_GMCA }, { "--tune", OPTION_TUNE }, { "-tune", OPTION_TUNE },
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(argument, options[i].text) == 0) {
            return options[i].kind;
        }
    }
    return NO_OPTION;
}

/* Arguments that belong to the option itself. */
static int operand_count(option_kind_t kind)
{
    return kind == NO_OPTION ? 0 : kind == OPTION_TUNE ? 1 : 2;
}

static const char *expected(option_kind_t kind)
{
    return kind == OPTION_TUNE   ? "--tune FILE[,FILE]"
           : kind == OPTION_GMCA ? "--gmca NAME VALUE"
                                 : "--mca NAME VALUE";
}

/* Behind "--" the arguments are not ours. */
static int count_own_arguments(int argc, char *const *argv)
{
    int count = 1;
    while (count < argc && strcmp(argv[count], "--") != 0) {
        count++;
    }
    return count;
}

static mca_base_cmd_line_setting_t *find_in(mca_base_cmd_line_batch_t *batch, const char *name)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (strcmp(batch->settings[i].name, name) == 0) {
            return &batch->settings[i];
        }
    }
    return NULL;
}

void mca_base_cmd_line_batch_free(mca_base_cmd_line_batch_t *batch)
{
    if (batch != NULL) {
        mca_base_file_list_free(batch->tune);
        free((void *) (uintptr_t) batch->tune_files.value);
        free(batch);
    }
}

/* ---- --tune ------------------------------------------------------------------------------------- */

/* "a" and "b,c" to "a,b,c". */
static int add_file_names(mca_base_cmd_line_setting_t *tune_files, const char *names, int position)
{
    const char *old = tune_files->value;
    size_t size = strlen(names) + 2 + (old != NULL ? strlen(old) : 0);
    char *value = malloc(size);
    if (value == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    snprintf(value, size, "%s%s%s", old != NULL ? old : "", old != NULL ? "," : "", names);
    if (old == NULL) {
        *tune_files = (mca_base_cmd_line_setting_t){ .name = MCA_BASE_TUNE_FILES, .position = position };
    }
    tune_files->value = value;
    free((void *) (uintptr_t) old);
    return OPAL_SUCCESS;
}

static int load_files(mca_base_cmd_line_batch_t *batch, const char *names, int position)
{
    char detail[32];
    snprintf(detail, sizeof detail, "argument %d", position);
    mca_base_file_origin_t origin = { "--tune", detail, false };
    mca_base_file_list_t *list;
    int rc = mca_base_file_list_load(MCA_BASE_FILE_TUNE, names, &origin, &list);
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    rc = mca_base_file_list_append(&batch->tune, list);
    mca_base_file_list_free(list);
    return rc == OPAL_SUCCESS ? add_file_names(&batch->tune_files, names, position) : rc;
}

static int add_tune(mca_base_cmd_line_batch_t *batch, const char *names, int position)
{
    if (names[0] == '\0') {
        mca_base_log(MCA_BASE_LOG_ERROR, "\"\" at argument %d is not a file: expected %s", position,
                     expected(OPTION_TUNE));
        return OPAL_ERR_BAD_PARAM;
    }
    if (!mca_base_trusts_user()) {
        mca_base_log(MCA_BASE_LOG_WARN, "--tune (argument %d) is ignored in a set-uid process", position);
        return OPAL_SUCCESS;
    }
    return load_files(batch, names, position);
}

/* ---- --mca -------------------------------------------------------------------------------------- */

static int add_setting(mca_base_cmd_line_batch_t *batch, mca_base_cmd_line_setting_t setting)
{
    if (!mca_base_file_is_name(setting.name, strlen(setting.name))) {
        mca_base_log(MCA_BASE_LOG_ERROR, "\"%s\" at argument %d is not the name of a variable: expected %s",
                     setting.name, setting.position + 1, expected(setting.is_global ? OPTION_GMCA : OPTION_MCA));
        return OPAL_ERR_BAD_PARAM;
    }
    if (strcmp(setting.name, MCA_BASE_TUNE_FILES) == 0) {
        return add_tune(batch, setting.value, setting.position);
    }
    mca_base_cmd_line_setting_t *earlier = find_in(batch, setting.name);
    if (earlier == NULL) {
        batch->settings[batch->count++] = setting;
        return OPAL_SUCCESS;
    }
    if (strcmp(earlier->value, setting.value) != 0) {
        mca_base_log(MCA_BASE_LOG_ERROR,
                     "variable %s is set twice, to \"%s\" (argument %d) and to \"%s\" (argument %d)", setting.name,
                     earlier->value, earlier->position, setting.value, setting.position);
        return OPAL_ERR_BAD_PARAM;
    }
    earlier->is_global = earlier->is_global || setting.is_global;
    return OPAL_SUCCESS;
}

/* ---- All ---------------------------------------------------------------------------------------- */

/* An option, or "--", in the place of the last operand means that it was forgotten; without this, it would be
 * swallowed. own is the number of arguments in front of "--". */
static bool is_complete(int own, char *const *argv, int position, option_kind_t kind)
{
    int last = position + operand_count(kind);
    return last < own && option_kind(argv[last]) == NO_OPTION;
}

static int parse_option(int own, char *const *argv, int position, mca_base_cmd_line_batch_t *batch)
{
    option_kind_t kind = option_kind(argv[position]);
    if (!is_complete(own, argv, position, kind)) {
        bool has_name = kind != OPTION_TUNE && position + 1 < own;
        mca_base_log(MCA_BASE_LOG_ERROR, "\"%s%s%s\" at argument %d: expected %s", argv[position],
                     has_name ? " " : "", has_name ? argv[position + 1] : "", position, expected(kind));
        return OPAL_ERR_BAD_PARAM;
    }
    if (kind == OPTION_TUNE) {
        return add_tune(batch, argv[position + 1], position);
    }
    return add_setting(batch, (mca_base_cmd_line_setting_t){ .name = argv[position + 1],
                                                             .value = argv[position + 2],
                                                             .position = position,
                                                             .is_global = kind == OPTION_GMCA });
}

static int count_options(int own, char *const *argv)
{
    int count = 0;
    for (int i = 1; i < own; i++) {
        option_kind_t kind = option_kind(argv[i]);
        count += kind != NO_OPTION;
        i += operand_count(kind);
    }
    return count;
}

int mca_base_cmd_line_parse(int argc, char *const *argv, mca_base_cmd_line_batch_t **batch)
{
    int own = count_own_arguments(argc, argv);
    int options = count_options(own, argv);
    if (options == 0) {
        *batch = NULL;
        return OPAL_SUCCESS;
    }
    mca_base_cmd_line_batch_t *made = calloc(1, sizeof *made + (size_t) options * sizeof made->settings[0]);
    int rc = made != NULL ? OPAL_SUCCESS : OPAL_ERR_OUT_OF_RESOURCE;
    for (int i = 1; rc == OPAL_SUCCESS && i < own; i++) {
        option_kind_t kind = option_kind(argv[i]);
        if (kind != NO_OPTION) {
            rc = parse_option(own, argv, i, made);
            i += operand_count(kind);
        }
    }
    if (rc != OPAL_SUCCESS) {
        mca_base_cmd_line_batch_free(made);
        return rc;
    }
    *batch = made;
    return OPAL_SUCCESS;
}

void mca_base_cmd_line_remove(int *argc, char **argv)
{
    int own = count_own_arguments(*argc, argv);
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        option_kind_t kind = i < own ? option_kind(argv[i]) : NO_OPTION;
        if (kind != NO_OPTION) {
            i += operand_count(kind);
        } else {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    *argc = kept;
}
