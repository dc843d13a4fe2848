/* SPDX-License-Identifier: BSD-3-Clause */
/* The variables that name files, and the order in which files come into use:
 * each may only be named by what is stronger than itself. */
#include <stdio.h>
#include <string.h>

#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_file.h"
#include "framework/base/mca_base_open.h"
#include "framework/base/mca_base_var.h"

#define PARAM_FILES "mca_base_param_files"
#define OVERRIDE_PARAM_FILE "mca_base_override_param_file"

char *mca_base_override_param_file = (char *) OPALMEM_SYSCONFDIR "/opalmem-mca-params-override.conf";

/* Under the init lock. */
static char *param_files = (char *) "~/.opalmem/mca-params.conf:" OPALMEM_SYSCONFDIR "/opalmem-mca-params.conf";
static char *tune_files;

/* ---- Registration ------------------------------------------------------------------------------- */

static int register_override(void)
{
    return mca_base_var_register(&(mca_base_var_def_t){
        .name = OVERRIDE_PARAM_FILE,
        .help = "File of settings that nobody can change. It is what it was when the library was built.",
        .type = MCA_BASE_VAR_TYPE_STRING,
        .info_level = 2,
        .storage = &mca_base_override_param_file,
        .scope = MCA_BASE_VAR_SCOPE_CONSTANT,
        .flags = MCA_BASE_VAR_FLAG_DEFAULT_ONLY,
    });
}

/* A set-uid process reads no file that its user has named: it could be one that the user cannot read. */
static int register_list(const mca_base_var_def_t *def)
{
    int rc = mca_base_var_register(def);
    char origin[512];
    mca_base_var_origin(def->name, origin, sizeof origin);
    if (rc == OPAL_SUCCESS && !mca_base_trusts_user() && strcmp(origin, "default") != 0) {
        mca_base_log(MCA_BASE_LOG_WARN, "%s is ignored in a set-uid process", def->name);
        mca_base_var_unset(def->name);
    }
    return rc;
}

static int register_tune_files(void)
{
    return register_list(&(mca_base_var_def_t){
        .name = MCA_BASE_TUNE_FILES,
        .help = "Files of settings that are weaker than the environment, separated by colons or commas; of two "
                "with one setting the first counts. --tune FILE adds to it. Ignored in set-uid processes.",
        .type = MCA_BASE_VAR_TYPE_STRING,
        .info_level = 2,
        .storage = &tune_files,
    });
}

static int register_param_files(void)
{
    return register_list(&(mca_base_var_def_t){
        .name = PARAM_FILES,
        .help = "Files of settings that are weaker than all others, separated by colons or commas; of two with "
                "one setting the first counts. \"none\" reads no file. Ignored in set-uid processes.",
        .type = MCA_BASE_VAR_TYPE_STRING,
        .info_level = 2,
        .storage = &param_files,
    });
}

/* ---- Loading ------------------------------------------------------------------------------------ */

/* A variable that was resolved before the file was read. */
static int refuse_setting(mca_base_file_kind_t kind, const char *name, const char *expected)
{
    const mca_base_file_setting_t *setting = mca_base_file_find(kind, name);
    if (setting == NULL) {
        return OPAL_SUCCESS;
    }
    mca_base_log(MCA_BASE_LOG_ERROR, "%s:%u: %s has no effect here: expected it %s", setting->path, setting->line,
                 name, expected);
    return OPAL_ERR_BAD_PARAM;
}

static int load(mca_base_file_kind_t kind, const char *variable, const char *names)
{
    char detail[512];
    mca_base_var_origin(variable, detail, sizeof detail);
    mca_base_file_origin_t origin = { variable, detail, strcmp(detail, "default") == 0 };
    mca_base_file_list_t *list = NULL;
    int rc = mca_base_file_list_load(kind, names, &origin, &list);
    if (rc == OPAL_SUCCESS) {
        mca_base_file_use(kind, list);
    }
    return rc;
}

/* Before its variable is known, which it may not set. */
static int open_override(void)
{
    int rc = load(MCA_BASE_FILE_OVERRIDE, OVERRIDE_PARAM_FILE, mca_base_override_param_file);
    return rc == OPAL_SUCCESS ? register_override() : rc;
}

/* Those of --tune were read when it was taken: they may be gone, and relative names may mean others now. */
static int use_taken_files(void)
{
    mca_base_file_list_t *list = NULL;
    int rc = mca_base_cmd_line_tune_files(&list);
    if (rc == OPAL_SUCCESS) {
        mca_base_file_use(MCA_BASE_FILE_TUNE, list);
    }
    return rc;
}

static int open_tune(void)
{
    int rc = register_tune_files();
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    const mca_base_cmd_line_setting_t *taken = mca_base_cmd_line_find(MCA_BASE_TUNE_FILES);
    bool is_taken = taken != NULL && tune_files != NULL && strcmp(taken->value, tune_files) == 0;
    rc = is_taken ? use_taken_files() : load(MCA_BASE_FILE_TUNE, MCA_BASE_TUNE_FILES, tune_files);
    return rc == OPAL_SUCCESS ? refuse_setting(MCA_BASE_FILE_TUNE, MCA_BASE_TUNE_FILES,
                                               "on the command line (--tune) or in the environment")
                              : rc;
}

static int open_params(void)
{
    static const char elsewhere[] = "on the command line or in the environment";
    int rc = register_param_files();
    if (rc == OPAL_SUCCESS) {
        rc = load(MCA_BASE_FILE_PARAMS, PARAM_FILES, param_files);
    }
    if (rc == OPAL_SUCCESS) {
        rc = refuse_setting(MCA_BASE_FILE_PARAMS, PARAM_FILES, elsewhere);
    }
    return rc == OPAL_SUCCESS ? refuse_setting(MCA_BASE_FILE_PARAMS, MCA_BASE_TUNE_FILES, elsewhere) : rc;
}

int mca_base_file_open(void)
{
    int rc = open_override();
    if (rc == OPAL_SUCCESS) {
        rc = open_tune();
    }
    return rc == OPAL_SUCCESS ? open_params() : rc;
}
