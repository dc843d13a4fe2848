/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings from files: parameter files, files of --tune, and the override file.
 *
 * Grammar of parameter and override files, by lines:
 *   NAME = VALUE        the value is the rest of the line without blanks around it; it may be empty
 *   # ...  or  // ...   comment, at the start of a line (after blanks) only
 * Files of --tune may also hold, any number on a line:
 *   --mca NAME VALUE    -mca, --gmca, -gmca: the same
 *   -x VARIABLE[=VALUE] for the environment of children only
 * where a VALUE with blanks stands between " " or ' '. Blanks are spaces and tabs; there are no other control
 * characters but in comments. A byte order mark of UTF-8, CR before a line's end, and a last line without an end are
 * accepted.
 *
 *   mca_base_file_parse.c  makes settings of a text
 *   mca_base_file_read.c   brings a file's text into memory, if the file may be used
 *   mca_base_file.c        lists of files, and those that are in use
 *   mca_base_file_vars.c   which files are in use, by the variables that name them
 *
 * A file that has been parsed never changes, and lives as long as somebody holds a reference. Lists are put to
 * use under the init lock, each with one store; they may be searched by every thread until the variables are
 * closed, which is before mca_base_file_release(). None of this in hook context. */
#ifndef FRAMEWORK_BASE_MCA_BASE_FILE_H
#define FRAMEWORK_BASE_MCA_BASE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "opal/mca/base/var.h"

typedef enum mca_base_file_kind_t {
    MCA_BASE_FILE_PARAMS,
    MCA_BASE_FILE_TUNE,
    MCA_BASE_FILE_OVERRIDE,
    MCA_BASE_FILE_KINDS
} mca_base_file_kind_t;

/** One setting. The strings live until mca_base_file_release(). */
typedef struct mca_base_file_setting_t {
    const char *name;
    const char *value;
    const char *path;
    unsigned line; /**< From 1. */
} mca_base_file_setting_t;

/* ---- Settings in use (mca_base_file.c) ----------------------------------------------------------- */

/** The setting of a name that counts (of several files the first, of several lines the last), or NULL. */
const mca_base_file_setting_t *mca_base_file_find(mca_base_file_kind_t kind, const char *name);

/** The index-th setting of that kind, those without effect included, or NULL behind the last. */
const mca_base_file_setting_t *mca_base_file_get(mca_base_file_kind_t kind, size_t index);

/** Nothing is in use any more. Under the init lock, when the variables are closed. */
void mca_base_file_release(void);

/* ---- Parsing (mca_base_file_parse.c) -------------------------------------------------------------- */

#define MCA_BASE_FILE_MAX (1024 * 1024) /**< Bytes of a file. */
#define MCA_BASE_FILE_LINE_MAX 16384    /**< Bytes of a line. */

/** Settings in the order of the text, and one for each name, sorted. */
typedef struct mca_base_file_table_t {
    mca_base_file_setting_t *all;
    size_t count, room;
    const mca_base_file_setting_t **by_name; /**< The last setting of each name. */
    size_t name_count;
} mca_base_file_table_t;

/** A file that has been parsed. Constant, but for the count. */
typedef struct mca_base_file_t {
    atomic_uint references;
    mca_base_file_table_t settings;
    mca_base_file_table_t exports; /**< Lines of -x; value NULL: without a value. */
    char *text;                    /**< The settings' strings lie in it, and behind it the path. */
} mca_base_file_t;

/** Make settings of a text.
 *
 * @param[in]  path  For messages and settings; copied.
 * @param[in]  text  Of length bytes; copied.
 * @param[out] file  One reference, the caller's. Untouched on error.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE
 * @retval OPAL_ERR_BAD_PARAM  A line cannot be understood; after a message with its number. One name with different
 *     values is no error, but draws a warning.
 */
int mca_base_file_parse(mca_base_file_kind_t kind, const char *path, const char *text, size_t length,
                        mca_base_file_t **file);

/** The last setting of a name, or NULL. */
const mca_base_file_setting_t *mca_base_file_table_find(const mca_base_file_table_t *table, const char *name);

/** Give up a reference. */
void mca_base_file_drop(mca_base_file_t *file);

/** May a variable have this name? Letters, digits, '_', '.' and '-', the last one not at the start, and not what
 * stands for something else in the environment ("SOURCE_..."). */
bool mca_base_file_is_name(const char *name, size_t length);

/* ---- Reading (mca_base_file_read.c) --------------------------------------------------------------- */

/** The whole text of a file that nobody else could have written.
 *
 * @param[out] text   The caller's, to be freed; *length bytes, without an end. Untouched on error.
 * @param[out] cause  On NOT_FOUND and NOT_AVAILABLE, why; cut to fit. No message is printed.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE
 * @retval OPAL_ERR_NOT_FOUND      There is no such file, or none that this user could know of.
 * @retval OPAL_ERR_NOT_AVAILABLE  It is not a regular file, cannot be read, is too large or not safe.
 */
int mca_base_file_read(const char *path, char **text, size_t *length, char *cause, size_t size);

/* ---- Lists of files (mca_base_file.c) ------------------------------------------------------------- */

typedef struct mca_base_file_list_t {
    size_t count;
    mca_base_file_t *files[]; /**< A reference to each. */
} mca_base_file_list_t;

/** Who has named the files of a list. */
typedef struct mca_base_file_origin_t {
    const char *option; /**< "--tune", or a variable's name. */
    const char *detail; /**< "argument 3", "environment variable OPALMEM_MCA_mca_base_param_files". */
    bool by_default;    /**< Nobody: what is not there or cannot be used is no error. */
} mca_base_file_origin_t;

/** Read and parse the files of a list.
 *
 * @param[in]  names   Separated by ':' and ','; NULL, "" and "none" name no file. A "~/" at the start is $HOME.
 * @param[out] list    The caller's. Untouched on error.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE
 * @retval OPAL_ERR_BAD_PARAM  A file that somebody has named cannot be used, or any file holds a mistake; after a message.
 */
int mca_base_file_list_load(mca_base_file_kind_t kind, const char *names, const mca_base_file_origin_t *origin,
                            mca_base_file_list_t **list);

/** Add references to the files of one list to another (NULL: an empty one), which may move.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE: *list is as before. */
int mca_base_file_list_append(mca_base_file_list_t **list, const mca_base_file_list_t *more);

/** Give up the references, and free the list; NULL is allowed. */
void mca_base_file_list_free(mca_base_file_list_t *list);

/** Put a list to use, in place of the former one of that kind; takes it over. Under the init lock. */
void mca_base_file_use(mca_base_file_kind_t kind, mca_base_file_list_t *list);

/* ---- Variables (mca_base_file_vars.c) -------------------------------------------------------------- */

/** Where the override file is: tests point it elsewhere before mca_base_open(). */
extern char *mca_base_override_param_file;

/** Register the variables that name files, and put the files to use.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM (after a message) / OPAL_ERR_OUT_OF_RESOURCE: mca_base_file_release() and
 *     mca_base_var_close() undo what was done. */
int mca_base_file_open(void);

#endif
