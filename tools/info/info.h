/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-info: the parts of the report. How their lines look is in
 * info_output.h, what the user asked for in info_options.h. */
#ifndef TOOLS_INFO_INFO_H
#define TOOLS_INFO_INFO_H

#include <stdbool.h>
#include <stddef.h>

#include "opal/mca/base/base.h"
#include "tools/info/info_options.h"
#include "tools/info/info_output.h"

/* ---- Without the library ------------------------------------------------------------------------------ */

void info_print_build(void);  /* info_build.c */
void info_print_config(void); /* info_config.c */

/* info_paths.c */
#define INFO_PATH_NAMES_1 "prefix, exec_prefix, bindir, libdir, includedir, datadir, mandir"
#define INFO_PATH_NAMES_2 "sysconfdir, componentdir, param_files, override_file"
#define INFO_PATH_NAMES INFO_PATH_NAMES_1 ", " INFO_PATH_NAMES_2
bool info_path_is_known(const char *name);
void info_print_paths(const info_options_t *options);

/* ---- With the library ----------------------------------------------------------------------------------- */

/** Start the library with the settings among the arguments. @return False after a message. info_start.c */
bool info_start(int argc, char **argv);

/** After info_start() has failed: start it without any settings but the path of components. The environment
 * loses them. @return False: it does not start in this way either; without a message. */
bool info_start_without_settings(int argc, char **argv);

void info_print_machine(void); /* info_machine.c */

/** May this process use io_uring?
 * @param[out] reason  Why not, cut to fit; "" if it may.
 * info_uring.c, or info_uring_none.c in a build without liburing. */
bool info_uring_is_allowed(char *reason, size_t size);

/** List the RDMA devices. info_rdma.c, or info_rdma_none.c in a build without libibverbs. */
void info_print_rdma(void);

/* ---- Components and variables ----------------------------------------------------------------------------- */

void info_print_components(const info_options_t *options); /* info_components.c */

/** @return False after a message: no memory. info_variables.c */
bool info_print_variables(const info_options_t *options);

/* info_names.c: names as reports and --param have them. */

/** Framework of a variable; those of the library itself belong to "mca", as with Open MPI. */
const char *info_framework_of(const mca_base_var_info_t *info);

/** "int", "unsigned_int" and so on. */
const char *info_type_name(mca_base_var_type_t type);

/** Is this framework's component one that --param asks for? Without --param, everything is. */
bool info_is_asked_for(const info_options_t *options, const char *framework, const char *component);

/** Do all that --param names exist? @return False after a message with those that do. */
bool info_params_are_known(const info_options_t *options);

#endif
