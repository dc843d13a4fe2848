/* SPDX-License-Identifier: BSD-3-Clause */
/* The repository: where components come from, and whether one may be used.
 *
 *   mca_base_repository.c        static lists, files in directories, version checks
 *   mca_base_repository_vars.c   what the user says about DSOs
 *   mca_base_repository_path.c   the directories
 *   mca_base_repository_file.c   may this file be loaded at all?
 *   mca_base_repository_ltdl.c   loading, by libltdl; or
 *   mca_base_repository_none.c   the same functions for a build without it */
#ifndef FRAMEWORK_BASE_MCA_BASE_REPOSITORY_H
#define FRAMEWORK_BASE_MCA_BASE_REPOSITORY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "framework/base/base_internal.h"

/* ---- Variables (mca_base_repository_vars.c) ------------------------------------------------------- */

/** Words that stand for a directory in mca_base_component_path, and what the second one means below $HOME. */
#define MCA_BASE_SYSTEM_DEFAULT "SYSTEM_DEFAULT"
#define MCA_BASE_USER_DEFAULT "USER_DEFAULT"
#define MCA_BASE_USER_COMPONENTS ".opalmem/components"

/** Register the variables of the repository.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM (after a message) / OPAL_ERR_OUT_OF_RESOURCE */
int mca_base_repository_register(void);

/** The path for mca_base_repository_open(); "" where no DSO may be loaded. */
const char *mca_base_repository_component_path(void);

/** Has the user forbidden to load DSOs? */
bool mca_base_repository_is_disabled(void);

/** Does the user want to hear of errors in loading this component? */
bool mca_base_load_error_is_shown(const char *framework, const char *component);

/* ---- Directories (mca_base_repository_path.c) ----------------------------------------------------- */

typedef struct mca_base_directory_t {
    char *path;
    bool named; /**< By the user himself, and not by one of the words. */
    dev_t device;
    ino_t inode;
} mca_base_directory_t;

/** Look at the directories of a path, once for all frameworks; warn of those that cannot be used.
 *
 * Those that the words stand for may be missing without a warning. One that is there twice counts once.
 * @param[in] path      Separated by colons.
 * @param[in] standard  What SYSTEM_DEFAULT stands for.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE: nothing is open.
 */
int mca_base_repository_open(const char *path, const char *standard);

/** The index-th usable directory, or NULL behind the last. */
const mca_base_directory_t *mca_base_repository_directory(size_t index);

/** Every DSO must have been unloaded. */
void mca_base_repository_close(void);

/* ---- Components (mca_base_repository.c) ----------------------------------------------------------- */

/** Add an item for each component of the framework, sorted by name; DSOs are not loaded yet.
 *
 * Static ones come before DSOs, and directories in their order: of two with one name the first counts.
 * @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE
 */
int mca_base_repository_find(mca_base_framework_t *framework);

/** Load the item's DSO, if it is one, and check that the component is what its name says.
 *
 * @retval OPAL_SUCCESS            item->component may be used.
 * @retval OPAL_ERR_NOT_AVAILABLE  item->component is NULL, item->reason names the file and the cause.
 */
int mca_base_repository_load(const mca_base_framework_t *framework, mca_base_component_item_t *item);

/** Never unload the item's DSO, if it is one. */
void mca_base_repository_keep(mca_base_component_item_t *item);

/** Unload the item's DSO; its component becomes NULL, unless it is resident. */
void mca_base_repository_unload(mca_base_component_item_t *item);

/* ---- Files (mca_base_repository_file.c) ---------------------------------------------------------- */

/** Can nobody but root, this user, and the owner of this library change what is in the directory?
 *
 * @param[in,out] directory  Its device and inode are filled in.
 * @param[out] cause  On false, why not; cut to fit. *missing: there is no such directory that we could see.
 */
bool mca_base_directory_is_usable(mca_base_directory_t *directory, char *cause, size_t size, bool *missing);

/** Is this a complete shared object, which nobody else can change?
 * @param[out] cause  On false, why not; cut to fit. */
bool mca_base_file_is_usable(const char *path, char *cause, size_t size);

/* ---- Loader (mca_base_repository_ltdl.c, mca_base_repository_none.c) ------------------------------ */

/** Can this build load DSOs? */
extern const bool mca_base_loader_works;

/** Load a DSO.
 *
 * @param[out] handle  For the other functions, until mca_base_loader_close().
 * @param[out] cause   On failure, why; cut to fit.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE
 */
int mca_base_loader_open(const char *path, void **handle, char *cause, size_t size);

/** Address of a symbol, or NULL. */
void *mca_base_loader_symbol(void *handle, const char *name);

/** Address of what every DSO finds under that name before it looks into itself, or NULL. */
void *mca_base_loader_global_symbol(const char *name);

/** Keep the DSO loaded for ever. It can still be opened again, and stays the same. */
void mca_base_loader_keep(void *handle);

/** Unload. @return Has it been unloaded? (No, if it is kept.) */
bool mca_base_loader_close(void *handle);

/** Stop the loader; every handle has been closed. */
void mca_base_loader_stop(void);

#endif
