/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables, as the files of the base share them. A variable passes through
 * three of those: mca_base_var_source.c finds the text that the user gave,
 * mca_base_var_parse.c makes a value of it, mca_base_var.c keeps it. */
#ifndef FRAMEWORK_BASE_MCA_BASE_VAR_H
#define FRAMEWORK_BASE_MCA_BASE_VAR_H

#include <stdbool.h>
#include <stddef.h>

#include "opal/mca/base/base.h"

#define MCA_BASE_ENV_PREFIX "OPALMEM_MCA_"
/** Open MPI's own prefix, for people who come from there. */
#define MCA_BASE_ENV_PREFIX_OMPI "OMPI_MCA_"

/* ---- Sources (mca_base_var_source.c) ------------------------------------------------------------ */

/** Text given for a variable, and by whom. */
typedef struct mca_base_setting_t {
    const char *text; /**< Of argv or the environment: to be copied at once. */
    mca_base_var_source_t source;
    bool for_open_mpi; /**< From OMPI_MCA_*: may be meant for Open MPI. */
    char detail[192];  /**< "OMPI_MCA_memory", "argument 3". */
} mca_base_setting_t;

/** The setting of a variable from the strongest source that has one.
 * @return false: there is none, and setting is untouched. */
bool mca_base_setting_find(const mca_base_var_def_t *def, const char *full_name, mca_base_setting_t *setting);

/** Where a setting came from, in words for a message. */
const char *mca_base_setting_origin(mca_base_var_source_t source);

/* ---- Values (mca_base_var_parse.c) -------------------------------------------------------------- */

typedef union mca_base_var_value_t {
    int integer; /**< INT and ENUM. */
    size_t size;
    bool boolean;
    char *string; /**< May be NULL. */
} mca_base_var_value_t;

/** Make a value of a text, independently of the locale. Nothing but the value may stand in the text.
 *
 * @param[in]  def    Type, bounds and enumerator. An INT with an enumerator takes its names, too.
 * @param[out] value  Untouched on error. A string is allocated and the caller's.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM / OPAL_ERR_OUT_OF_RESOURCE; no message.
 */
int mca_base_var_parse(const mca_base_var_def_t *def, const char *text, mca_base_var_value_t *value);

/** What mca_base_var_parse() takes for this variable, in words; always terminated. */
void mca_base_var_expected(const mca_base_var_def_t *def, char *text, size_t size);

/** A value as text that mca_base_var_parse() would take, cut to fit. */
void mca_base_var_print(const mca_base_var_def_t *def, const mca_base_var_value_t *value, char *text, size_t size);

/* ---- Registered variables (mca_base_var.c) ------------------------------------------------------- */

/** Is this the full name of a registered variable? */
bool mca_base_var_is_known(const char *full_name);

/** Where the value of a variable came from.
 * @param[out] origin  In words, for messages: "environment variable OMPI_MCA_memory".
 * @return Did it come from OMPI_MCA_*?
 */
bool mca_base_var_origin(const char *full_name, char *origin, size_t size);

/** Give a variable its default again, as if nobody had set it. */
void mca_base_var_unset(const char *full_name);

/** How many registrations have been refused for their value since mca_base_var_close(). */
unsigned mca_base_var_refused(void);

/** The storage of a component's variables is about to go: put the defaults back, and never write there again.
 * The variables stay in the listings. */
void mca_base_var_detach(const char *framework, const char *component);

/** Forget all variables; each storage still attached gets its default back. */
void mca_base_var_close(void);

#endif
