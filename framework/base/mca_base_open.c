/* SPDX-License-Identifier: BSD-3-Clause */
/* Start and stop of the MCA base, and the variables of the base itself. */
#include <sys/auxv.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_component.h"
#include "framework/base/mca_base_file.h"
#include "framework/base/mca_base_log.h"
#include "framework/base/mca_base_open.h"
#include "framework/base/mca_base_repository.h"
#include "framework/base/mca_base_var.h"

/* All under the init lock. */
static bool is_open;

/* Open MPI's names for verbosity; its users write them into OMPI_MCA_<framework>_base_verbose. */
const mca_base_var_enum_value_t mca_base_verbosity_names[] = {
    { "none", 0 },  { "-1", 0 },     { "error", 0 },  { "component", 10 }, { "warn", 20 },
    { "info", 40 }, { "trace", 60 }, { "debug", 80 }, { "max", 100 },      { NULL, 0 },
};

bool mca_base_is_open(void)
{
    return is_open;
}

bool mca_base_trusts_user(void)
{
    return getauxval(AT_SECURE) == 0;
}

static int register_verbose(void)
{
    return mca_base_var_register(&(mca_base_var_def_t){
        .name = "mca_base_verbose",
        .help = "How much the library tells on its own account: 10 what it chooses and why, 40 details for "
                "developers.",
        .type = MCA_BASE_VAR_TYPE_INT,
        .info_level = 8,
        .enumerator = mca_base_verbosity_names,
        .min = 0,
        .max = 100,
        .storage = &mca_base_log_verbosity,
        .scope = MCA_BASE_VAR_SCOPE_LOCAL,
        .flags = MCA_BASE_VAR_FLAG_SETTABLE,
    });
}

/* The variables first: as long as they are open, other threads may look for settings. */
static void close_settings(bool keep_command_line)
{
    mca_base_var_close();
    mca_base_file_release();
    mca_base_cmd_line_stop(keep_command_line);
}

int mca_base_open(void)
{
    if (is_open) {
        return OPAL_SUCCESS;
    }
    mca_base_cmd_line_start();
    mca_base_var_open();
    int rc = mca_base_file_open();
    if (rc == OPAL_SUCCESS) {
        rc = mca_base_var_resolve_all();
    }
    if (rc == OPAL_SUCCESS) {
        rc = register_verbose();
    }
    if (rc == OPAL_SUCCESS) {
        rc = mca_base_repository_register();
    }
    if (rc == OPAL_SUCCESS) {
        rc = mca_base_repository_open(mca_base_repository_component_path(), OPALMEM_COMPONENTDIR);
    }
    if (rc != OPAL_SUCCESS) {
        close_settings(true);
        return rc;
    }
    is_open = true;
    return OPAL_SUCCESS;
}

static void close_all(bool keep_command_line)
{
    mca_base_components_close();
    mca_base_repository_close();
    close_settings(keep_command_line);
    is_open = false;
}

void mca_base_close(void)
{
    close_all(false);
}

void mca_base_abandon(void)
{
    close_all(true);
}
