/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * MCA settings on command lines, for runtimes and launchers.
 *
 * opalmem_init() takes the settings out of a program's arguments by itself. A
 * launcher does it with mca_base_cmd_line_take(), without starting the library, and
 * hands them on to its children with mca_base_cmd_line_environ():
 *
 *   --mca NAME VALUE     -mca, --gmca, -gmca: the same
 *   --tune FILE[,FILE]   -tune: settings from files, weaker than the environment
 *
 * Behind a "--" the arguments are the program's own.
 */
#ifndef OPAL_MCA_BASE_CMD_LINE_H
#define OPAL_MCA_BASE_CMD_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "opal/constants.h"

BEGIN_C_DECLS

/** One setting. The strings are those of argv. */
typedef struct mca_base_cmd_line_setting_t {
    const char *name;
    const char *value;
    int position; /**< Of the option in argv, when it was taken: 1 is the first argument. */
    bool
        is_global; /**< By --gmca: for every part of a job, where --mca is for one. No difference within a process. */
} mca_base_cmd_line_setting_t;

/** Take all settings out of the arguments and keep them for the next opalmem_init().
 *
 * Parses before it changes anything: after an error argc and argv are as they were, and nothing is kept that
 * was not kept before. Further calls add to what is kept. Files of --tune are read here; of several, all count, the
 * first one most. --tune FILE is the same as --mca mca_base_tune_files FILE. A set-uid process ignores it, after a warning.
 * @param[in,out] argc, argv  May be NULL. The rest keeps its order, argv stays NULL-terminated; its strings stay the
 *     caller's and must live until the last finalize, or mca_base_cmd_line_release().
 * @retval OPAL_SUCCESS              Also when there was none.
 * @retval OPAL_ERR_BAD_PARAM        A value is missing, a name is none, one name is given twice with different values (also in
 *     different calls), or a tune file cannot be read or parsed; after a message with the argument's position or the file's line.
 * @retval OPAL_ERR_RESOURCE_BUSY    The library runs: settings are taken out and dropped, after a warning.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory.
 * Thread-safe. Not from hook context.
 */
OPAL_DECLSPEC int mca_base_cmd_line_take(int *argc, char ***argv);

/** Forget what was taken and not yet used. While the library runs, it uses it all. Thread-safe. */
OPAL_DECLSPEC void mca_base_cmd_line_release(void);

/** The index-th setting that is kept, or that the running library uses, in the order of argv; tune files not included.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND. Thread-safe. */
OPAL_DECLSPEC int mca_base_cmd_line_get(size_t index, mca_base_cmd_line_setting_t *setting);

/** An environment that gives children the settings that are kept, as mpirun does.
 *
 * OPALMEM_MCA_<name> for each setting, with OPALMEM_MCA_SOURCE_<name> that tells its rank: what came from the command line
 * is as strong in the child, what came from a tune file as weak. An entry that is there already is replaced, but not by a
 * setting of a tune file: there the environment is stronger. Variables of "-x" lines in tune files are included; one
 * without a value comes from environ, and draws a warning if it is not there.
 * @param[in]  environment  What to add to, ends with NULL; NULL: environ.
 * @param[out] result       One block, the caller's: free(*result). Ends with NULL. Untouched on error.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE. Thread-safe, as far as nobody changes the environment. Not from hook context.
 */
OPAL_DECLSPEC int mca_base_cmd_line_environ(char *const *environment, char ***result);

END_C_DECLS

#endif
