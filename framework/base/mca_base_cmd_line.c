/* SPDX-License-Identifier: BSD-3-Clause */
/* Takes `--mca NAME VALUE` out of a program's arguments and keeps the settings
 * until the base is closed. Whether a name is known is not asked here: the
 * variables do not exist yet. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_open.h"

typedef struct settings_t {
    mca_base_cmd_line_setting_t *list;
    size_t count;
} settings_t;

/* Under the init lock. */
static settings_t taken;

static void free_settings(settings_t *settings)
{
    free(settings->list);
    *settings = (settings_t){ 0 };
}

static bool is_option(const char *argument)
{
    return strcmp(argument, "--mca") == 0 || strcmp(argument, "-mca") == 0;
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

static const mca_base_cmd_line_setting_t *find_in(const settings_t *settings, const char *name)
{
    for (size_t i = 0; i < settings->count; i++) {
        if (strcmp(settings->list[i].name, name) == 0) {
            return &settings->list[i];
        }
    }
    return NULL;
}

static bool check_name(const char *name, int position)
{
    bool good = name[0] != '\0' && name[0] != '-';
    if (!good) {
        mca_base_log(MCA_BASE_LOG_ERROR,
                     "\"%s\" at argument %d is not the name of a variable: expected --mca NAME VALUE", name,
                     position);
    }
    return good;
}

/* own is the number of arguments in front of "--". An option, or "--", in the place of the value means that
 * the value was forgotten; without this, it would be swallowed. */
static int parse_one(int own, char *const *argv, int position, settings_t *settings)
{
    const char *name = position + 1 < own ? argv[position + 1] : NULL;
    const char *value = position + 2 < own ? argv[position + 2] : NULL;
    if (name == NULL || value == NULL || is_option(value)) {
        mca_base_log(MCA_BASE_LOG_ERROR, "\"%s%s%s\" at argument %d: expected --mca NAME VALUE", argv[position],
                     name != NULL ? " " : "", name != NULL ? name : "", position);
        return OPAL_ERR_BAD_PARAM;
    }
    if (!check_name(name, position + 1)) {
        return OPAL_ERR_BAD_PARAM;
    }
    const mca_base_cmd_line_setting_t *earlier = find_in(settings, name);
    if (earlier == NULL) {
        settings->list[settings->count++] =
            (mca_base_cmd_line_setting_t){ .name = name, .value = value, .position = position };
    } else if (strcmp(earlier->value, value) != 0) {
        mca_base_log(MCA_BASE_LOG_ERROR,
                     "\"--mca %s\" is given twice, with \"%s\" (argument %d) and with \"%s\" (argument %d)", name,
                     earlier->value, earlier->position, value, position);
        return OPAL_ERR_BAD_PARAM;
    }
    return OPAL_SUCCESS;
}

static int parse(int argc, char *const *argv, settings_t *settings)
{
    int own = count_own_arguments(argc, argv);
    for (int i = 1; i < own; i++) {
        if (is_option(argv[i])) {
            int rc = parse_one(own, argv, i, settings);
            if (rc != OPAL_SUCCESS) {
                return rc;
            }
            i += 2;
        }
    }
    return OPAL_SUCCESS;
}

static void remove_settings(int *argc, char **argv)
{
    int own = count_own_arguments(*argc, argv);
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        if (i < own && is_option(argv[i])) {
            i += 2;
        } else {
            argv[kept++] = argv[i];
        }
    }
    argv[kept] = NULL;
    *argc = kept;
}

int mca_base_cmd_line_take(int *argc, char ***argv)
{
    if (argc == NULL || argv == NULL || *argv == NULL || *argc < 1) {
        return OPAL_SUCCESS;
    }
    /* Room for every setting that argv can hold: parsing does not run out of memory half-way. */
    settings_t found = { .list = calloc((size_t) *argc, sizeof *found.list) };
    if (found.list == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    int rc = parse(*argc, *argv, &found);
    if (rc != OPAL_SUCCESS || found.count == 0) {
        free_settings(&found);
        return rc;
    }
    remove_settings(argc, *argv);
    if (mca_base_is_open()) {
        free_settings(&found);
    } else {
        free_settings(&taken);
        taken = found;
    }
    return OPAL_SUCCESS;
}

void mca_base_cmd_line_release(void)
{
    free_settings(&taken);
}

const mca_base_cmd_line_setting_t *mca_base_cmd_line_find(const char *name)
{
    return find_in(&taken, name);
}

int mca_base_cmd_line_get(size_t index, mca_base_cmd_line_setting_t *setting)
{
    if (index >= taken.count) {
        return OPAL_ERR_NOT_FOUND;
    }
    *setting = taken.list[index];
    return OPAL_SUCCESS;
}
