/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables, as the files of the base share them. A variable passes through
 * these: mca_base_var_source.c finds the texts that the user gave,
 * mca_base_var_parse.c makes a value of one, mca_base_var.c keeps it. What only
 * the files of the variables share is in mca_base_var_table.h. */
#ifndef FRAMEWORK_BASE_MCA_BASE_VAR_H
#define FRAMEWORK_BASE_MCA_BASE_VAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/mca/base/base.h"

#define MCA_BASE_ENV_PREFIX "OPALMEM_MCA_"
/** Open MPI's own prefix, for people who come from there. */
#define MCA_BASE_ENV_PREFIX_OMPI "OMPI_MCA_"
/** Behind MCA_BASE_ENV_PREFIX: the entry says how strong the setting of that name is (mca_base_cmd_line_environ()). */
#define MCA_BASE_ENV_MARKER "SOURCE_"
/** Longest full name; with every prefix it fits into an info's source_detail. */
#define MCA_BASE_VAR_NAME_MAX 200

/* ---- Sources (mca_base_var_source.c) ------------------------------------------------------------ */

/** Places where a setting may stand, the strongest first. */
typedef enum mca_base_setting_rank_t {
    MCA_BASE_RANK_OVERRIDE,
    MCA_BASE_RANK_ARGUMENTS,        /**< Of this process. */
    MCA_BASE_RANK_PARENT_ARGUMENTS, /**< OPALMEM_MCA_*, marked as a parent's command line. */
    MCA_BASE_RANK_ENVIRONMENT,      /**< OPALMEM_MCA_* */
    MCA_BASE_RANK_OPEN_MPI,         /**< OMPI_MCA_* */
    MCA_BASE_RANK_TUNE,
    MCA_BASE_RANK_PARENT_TUNE, /**< OPALMEM_MCA_*, marked as from a parent's tune file. */
    MCA_BASE_RANK_PARAMS,
    MCA_BASE_RANKS
} mca_base_setting_rank_t;

#define MCA_BASE_DETAIL_MAX (sizeof(((mca_base_var_info_t *) 0)->source_detail))

/** Text given for a variable, and by whom. */
typedef struct mca_base_setting_t {
    const char *text; /**< Of argv, the environment or a file: to be copied at once. */
    mca_base_var_source_t source;
    bool for_open_mpi;                /**< From OMPI_MCA_*: may be meant for Open MPI. */
    char detail[MCA_BASE_DETAIL_MAX]; /**< As in mca_base_var_info_t. */
} mca_base_setting_t;

/** The setting of a name in one place. In a set-uid process there is none in the environment.
 * @param[in] of_library  The variable is the library's own: OMPI_MCA_* does not speak of it.
 * @return false: there is none, and setting is untouched. */
bool mca_base_setting_find(mca_base_setting_rank_t rank, const char *name, bool of_library,
                           mca_base_setting_t *setting);

/** Does the marker of a name have a text that says nothing? @return That text, or NULL. */
const char *mca_base_setting_bad_marker(const char *name);

/** Where a setting came from, in words for a message: "command line, ", to which its detail belongs. */
const char *mca_base_setting_origin(mca_base_var_source_t source, const char *detail);

/* ---- Values (mca_base_var_parse.c, mca_base_var_print.c) ------------------------------------------ */

typedef union mca_base_var_value_t {
    int integer; /**< INT and ENUM. */
    unsigned natural;
    size_t size;
    bool boolean;
    double real;
    char *string; /**< May be NULL. */
} mca_base_var_value_t;

/** Make a value of a text, independently of the locale. Nothing but the value may stand in the text.
 *
 * @param[in]  def    Type, bounds and enumerator. An INT with an enumerator takes its names, too.
 * @param[out] value  Untouched on error. A string is allocated and the caller's.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM / OPAL_ERR_OUT_OF_RESOURCE; no message.
 */
int mca_base_var_parse(const mca_base_var_def_t *def, const char *text, mca_base_var_value_t *value);

/** May the variable have this value? A string may be anything. */
bool mca_base_var_allows(const mca_base_var_def_t *def, const mca_base_var_value_t *value);

/** A decimal number with a point, in every locale. @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM / OPAL_ERR_OUT_OF_RESOURCE */
int mca_base_var_parse_double(const char *text, double *value);

/** Are two values of this type the same? */
bool mca_base_var_same_value(mca_base_var_type_t type, const mca_base_var_value_t *a,
                             const mca_base_var_value_t *b);

/** What mca_base_var_parse() takes for this variable, in words; always terminated, with "..." where it is cut. */
void mca_base_var_expected(const mca_base_var_def_t *def, char *text, size_t size);

/** A text that somebody gave, for a message: control characters replaced, and of one that is too long the start and "...". */
void mca_base_var_show(const char *text, char *shown, size_t size);

/** A value as text that mca_base_var_parse() would take, cut to fit. @return The length of the whole. */
size_t mca_base_var_print(const mca_base_var_def_t *def, const mca_base_var_value_t *value, char *text,
                          size_t size);

/* ---- Registered variables (mca_base_var.c) ------------------------------------------------------- */

/** Is this the full name, or a synonym, of a registered variable? */
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

/** Likewise for all variables, of whatever names, whose storage lies in an object that is about to be unloaded. */
void mca_base_var_detach_object(uintptr_t start, uintptr_t end);

/** From now on registrations look for settings. Until then, they keep the defaults: the files are not read. */
void mca_base_var_open(void);

/** Register the variables that concern variables, and give those that were registered before
 * mca_base_var_open() their values. Settings from everywhere must be known by now.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM (after a message for each) / OPAL_ERR_OUT_OF_RESOURCE */
int mca_base_var_resolve_all(void);

/** Forget all variables; each storage still attached gets its default back. */
void mca_base_var_close(void);

/* ---- Unknown names (mca_base_unknown.c) ---------------------------------------------------------- */

/** The known name that is nearest to this one. @param[out] nearest "" if none is near. */
void mca_base_var_nearest(const char *name, char nearest[MCA_BASE_VAR_NAME_MAX + 1]);

/** Variable mca_base_warn_unknown. */
extern bool mca_base_warn_unknown;

#endif
