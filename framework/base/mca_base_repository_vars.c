/* SPDX-License-Identifier: BSD-3-Clause */
/* The variables that say where DSOs come from, whether any is loaded, and which
 * errors are told. */
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_load_errors.h"
#include "framework/base/mca_base_open.h"
#include "framework/base/mca_base_repository.h"
#include "framework/base/mca_base_var.h"

#define PATH_NAME "mca_base_component_path"
#ifdef OPALMEM_EMBEDDED
/* The components in the user's folder belong to an installed copy. */
#define PATH_DEFAULT MCA_BASE_SYSTEM_DEFAULT
#else
#define PATH_DEFAULT MCA_BASE_SYSTEM_DEFAULT ":" MCA_BASE_USER_DEFAULT
#endif
#define SHOW_NAME "mca_base_component_show_load_errors"

/* All under the init lock. */
static char *component_path = (char *) PATH_DEFAULT;
static bool disable_dlopen;
static char *show_load_errors = (char *) "none";

static const mca_base_var_def_t variables[] = {
    { .name = PATH_NAME,
      .help =
          "Directories that are searched for component DSOs, separated by colons; SYSTEM_DEFAULT and USER_DEFAULT "
          "(~/" MCA_BASE_USER_COMPONENTS
          ") stand for those. Empty: none. In set-uid processes only SYSTEM_DEFAULT and what the system's "
          "files say counts.",
      .type = MCA_BASE_VAR_TYPE_STRING,
      .info_level = 9,
      .storage = &component_path },
    { .name = "mca_base_component_disable_dlopen",
      .help = "Load no component DSOs: only components that are linked in are used.",
      .type = MCA_BASE_VAR_TYPE_BOOL,
      .info_level = 9,
      .storage = &disable_dlopen },
    { .name = SHOW_NAME,
      .help = "Components whose load errors are told: all, none, a list of FRAMEWORK and FRAMEWORK/COMPONENT "
              "separated by commas, or ^ and such a list for all others.",
      .type = MCA_BASE_VAR_TYPE_STRING,
      .info_level = 9,
      .storage = &show_load_errors },
};

/* What the system's files say is the administrator's word; whatever else is set, is the user's. */
static void check_user(void)
{
    mca_base_var_info_t info;
    if (mca_base_trusts_user() || mca_base_var_find_info(PATH_NAME, &info) != OPAL_SUCCESS
        || info.source == MCA_BASE_VAR_SOURCE_DEFAULT || info.source == MCA_BASE_VAR_SOURCE_FILE
        || info.source == MCA_BASE_VAR_SOURCE_OVERRIDE) {
        return;
    }
    mca_base_log(MCA_BASE_LOG_WARN, PATH_NAME " is ignored in a set-uid process");
    mca_base_var_unset(PATH_NAME);
}

static void check_loader(void)
{
    if (!mca_base_loader_works && component_path != NULL && component_path[0] != '\0'
        && strcmp(component_path, PATH_DEFAULT) != 0) {
        mca_base_log(MCA_BASE_LOG_WARN, PATH_NAME " has no effect: this library was built without libltdl");
    }
}

static int check_show(void)
{
    const char *problem;
    char origin[256];
    if (mca_base_load_errors_parse(show_load_errors, &problem) == OPAL_SUCCESS) {
        return OPAL_SUCCESS;
    }
    mca_base_var_origin(SHOW_NAME, origin, sizeof origin);
    mca_base_log(MCA_BASE_LOG_ERROR,
                 "variable " SHOW_NAME
                 " cannot have the value \"%s\" (%s): %s; expected all, none, or a list like "
                 "\"memory/linux,rcache\" or \"^memory\"",
                 show_load_errors, origin, problem);
    return OPAL_ERR_BAD_PARAM;
}

int mca_base_repository_register(void)
{
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        int rc = mca_base_var_register(&variables[i]);
        if (rc != OPAL_SUCCESS) {
            return rc;
        }
    }
    check_user();
    check_loader();
    return check_show();
}

const char *mca_base_repository_component_path(void)
{
    return disable_dlopen ? "" : component_path;
}

bool mca_base_repository_is_disabled(void)
{
    return disable_dlopen;
}

bool mca_base_load_error_is_shown(const char *framework, const char *component)
{
    return mca_base_load_errors_shown(show_load_errors, framework, component);
}
