/* SPDX-License-Identifier: BSD-3-Clause */
/* The settings that mca_base_cmd_line_take() has kept, for the variables, for
 * the search of unknown names, and for init.
 *
 *   mca_base_cmd_line.c          takes, keeps and finds settings
 *   mca_base_cmd_line_parse.c    grammar of arguments
 *   mca_base_cmd_line_environ.c  hands settings on to children */
#ifndef FRAMEWORK_BASE_MCA_BASE_CMD_LINE_H
#define FRAMEWORK_BASE_MCA_BASE_CMD_LINE_H

#include <stdbool.h>
#include <stddef.h>

#include "framework/base/mca_base_file.h"
#include "opal/mca/base/cmd_line.h"

/** The variable that --tune sets. */
#define MCA_BASE_TUNE_FILES "mca_base_tune_files"

/* ---- Kept settings (mca_base_cmd_line.c) ----------------------------------------------------------- */

/** What one call has taken; constant once it is kept. */
typedef struct mca_base_cmd_line_batch_t {
    struct mca_base_cmd_line_batch_t *next; /**< Of a later call. */
    mca_base_file_list_t *tune;             /**< Files of --tune; NULL without any. */
    mca_base_cmd_line_setting_t tune_files; /**< All files named up to here; its value is ours; NULL: none yet. */
    size_t count;
    mca_base_cmd_line_setting_t settings[]; /**< Without those of --tune. */
} mca_base_cmd_line_batch_t;

/** As mca_base_cmd_line_take(), for init, which may have to undo it.
 * @param[out] batch  What was kept, or NULL. */
int mca_base_cmd_line_take_batch(int *argc, char ***argv, mca_base_cmd_line_batch_t **batch);

/** Forget what one call has kept; NULL is allowed. */
void mca_base_cmd_line_drop(mca_base_cmd_line_batch_t *batch);

/** From here on the library runs with what is kept: it neither grows nor goes until mca_base_cmd_line_stop().
 * Under the init lock. */
void mca_base_cmd_line_start(void);

/** The library does not run any more.
 * @param[in] keep_settings  For the next start: this one has failed. */
void mca_base_cmd_line_stop(bool keep_settings);

/** The setting of a name, or NULL. Valid until the library stops; before it runs, until the next change. */
const mca_base_cmd_line_setting_t *mca_base_cmd_line_find(const char *name);

/** The files of --tune, in their order.
 * @param[out] list  The caller's. Untouched on error. @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE */
int mca_base_cmd_line_tune_files(mca_base_file_list_t **list);

/** Hold what is kept as it is, to read it; not across calls that log. */
const mca_base_cmd_line_batch_t *mca_base_cmd_line_lock(void);
void mca_base_cmd_line_unlock(void);

/** In a fork child: nobody takes settings. Hook context. */
void mca_base_cmd_line_reset_child(void);

/* ---- Grammar (mca_base_cmd_line_parse.c) ----------------------------------------------------------- */

/** Make a batch of the arguments, and read the files of --tune.
 *
 * @param[out] batch  The caller's; NULL without any setting. Untouched on error.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM (after a message) / OPAL_ERR_OUT_OF_RESOURCE
 */
int mca_base_cmd_line_parse(int argc, char *const *argv, mca_base_cmd_line_batch_t **batch);

/** Take the settings out of arguments that have been parsed. */
void mca_base_cmd_line_remove(int *argc, char **argv);

/** Free a batch that is not kept; NULL is allowed. */
void mca_base_cmd_line_batch_free(mca_base_cmd_line_batch_t *batch);

#endif
