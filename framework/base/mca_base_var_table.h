/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of variables, as the files mca_base_var*.c share it.
 *
 * A variable is attached while its storage may be written. Of an attached one,
 * storage holds current.value; the default that storage held at registration is
 * kept in `initial` and put back when the variable is detached. So the same
 * static variable can be registered again after a finalize, and a DSO may be
 * unloaded once its variables are detached.
 *
 * Invariants, but for the default itself:
 *   given    what the sources say; set(NULL) goes back to it
 *   current  given, or what mca_base_var_set() has put in its place (source SET)
 *   strings of fallback, given and current lie in `texts`, which only grows */
#ifndef FRAMEWORK_BASE_MCA_BASE_VAR_TABLE_H
#define FRAMEWORK_BASE_MCA_BASE_VAR_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "framework/base/mca_base_var.h"

#define MESSAGE_MAX 1024
#define NOTES_MAX 8

/** A text that a string variable has or had. Threads may still read it: it goes with the variable. */
typedef struct mca_base_var_text_t {
    struct mca_base_var_text_t *next;
    char text[];
} mca_base_var_text_t;

/** A value, and where it came from. */
typedef struct mca_base_var_state_t {
    mca_base_var_value_t value;
    mca_base_var_source_t source;
    bool for_open_mpi;
    char detail[MCA_BASE_DETAIL_MAX];
} mca_base_var_state_t;

/** A variable, or a synonym of one. */
typedef struct mca_base_var_t {
    struct mca_base_var_t *next; /**< In order of registration. */
    char *full_name;
    struct mca_base_var_t *target; /**< Of a synonym: the variable. Then only flags and warned count below. */
    uint32_t flags;
    bool warned;                  /**< That it is deprecated. */
    bool conflict_warned;         /**< That this synonym and the name say different things. */
    bool override_warned;         /**< That the override file fixes it. */
    bool resolved;                /**< Its settings have been looked at, ... */
    bool refused;                 /**< ... and could not be used. */
    bool unset;                   /**< They do not count: mca_base_var_unset(). */
    mca_base_var_def_t def;       /**< With copies of its strings and names. storage is NULL when detached. */
    mca_base_var_value_t initial; /**< Its string is whoever's it was. */
    mca_base_var_value_t fallback;
    mca_base_var_state_t given, current;
    mca_base_var_text_t *texts;
} mca_base_var_t;

/** Messages that wait until the lock is free. */
typedef struct mca_base_var_notes_t {
    unsigned count;
    struct {
        mca_base_log_level_t level;
        char text[MESSAGE_MAX];
    } list[NOTES_MAX];
} mca_base_var_notes_t;

/* ---- The table (mca_base_var.c) ------------------------------------------------------------------- */

/** The lock of all variables. Under it nothing is logged or called back; only the locks of the command line and
 * of files are taken. A variable is linked and unlinked with one store, so that a fork child can go on. */
void mca_base_var_lock(void);
void mca_base_var_unlock(void);

/** Unlock, and log the notes. */
void mca_base_var_unlock_and_tell(const mca_base_var_notes_t *notes);

/** Remember a message. */
void mca_base_var_note(mca_base_var_notes_t *notes, mca_base_log_level_t level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

mca_base_var_t *mca_base_var_first_locked(void);

/** The entry of a name or synonym; NULL for an unknown one, and for NULL. */
mca_base_var_t *mca_base_var_find_locked(const char *full_name);

/** The variable that a name or synonym stands for, or NULL. */
mca_base_var_t *mca_base_var_find_target_locked(const char *full_name);

/** Add a complete entry at the end. Synonyms come behind their variable. */
void mca_base_var_append_locked(mca_base_var_t *var);

/** One more registration was refused for its value. */
void mca_base_var_count_refused_locked(void);

/* ---- Definitions (mca_base_var_def.c) -------------------------------------------------------------- */

/** framework_component_name; the caller's. NULL without memory. */
char *mca_base_var_make_full_name(const mca_base_var_def_t *def);

/** What is wrong with a description, or NULL. */
const char *mca_base_var_fault(const mca_base_var_def_t *def, const char *full_name);

/** What is wrong with a name, or NULL. */
const char *mca_base_var_name_fault(const char *full_name);

/** May nobody set it? */
bool mca_base_var_is_fixed(const mca_base_var_def_t *def);

/** Does a later registration describe the same variable as the first one? */
bool mca_base_var_same_def(const mca_base_var_def_t *a, const mca_base_var_def_t *b);

/** Replaces every pointer of the caller's. After false only what was copied is there, to be freed. */
bool mca_base_var_copy_def(const mca_base_var_def_t *from, mca_base_var_def_t *to);
void mca_base_var_free_def(mca_base_var_def_t *def);

/* ---- Values and storage (mca_base_var_value.c) ------------------------------------------------------ */

/** A variable without storage, or NULL. Takes over full_name. */
mca_base_var_t *mca_base_var_new(const mca_base_var_def_t *def, char *full_name);
void mca_base_var_free(mca_base_var_t *var);

/** Make storage the variable's, and its content what comes back at the end. Nothing is written yet. */
void mca_base_var_attach(mca_base_var_t *var, void *storage);
void mca_base_var_detach_storage(mca_base_var_t *var);

/** Make the content of the storage the default, and the value. @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE */
int mca_base_var_take_default(mca_base_var_t *var);

/** Back to the default. */
void mca_base_var_to_default(mca_base_var_t *var);

/** A value of a text; its string lies in var->texts. Codes of mca_base_var_parse(). */
int mca_base_var_value_of(mca_base_var_t *var, const char *text, mca_base_var_value_t *value);

/** The copy of a text that lives as long as the variable; NULL without memory. */
char *mca_base_var_keep_text(mca_base_var_t *var, const char *text);

/** Make a state the current one, and write the storage. */
void mca_base_var_apply(mca_base_var_t *var, const mca_base_var_state_t *state);

/** Read a value of the type from where somebody stores it. */
mca_base_var_value_t mca_base_var_read(mca_base_var_type_t type, const void *storage);

/** Write a value to an object of the type, with one store. */
void mca_base_var_write(mca_base_var_type_t type, const mca_base_var_value_t *value, void *storage);

/* ---- Settings (mca_base_var_resolve.c) -------------------------------------------------------------- */

/** Look at the settings of a variable, under all its names, and give it the strongest value.
 * @retval OPAL_SUCCESS / OPAL_ERR_BAD_PARAM (noted; the value stays)
 * @retval OPAL_ERR_OUT_OF_RESOURCE  The variable counts as not looked at. */
int mca_base_var_resolve_locked(mca_base_var_t *var, mca_base_var_notes_t *notes);

/** Likewise, if settings are looked for already (mca_base_var_open()), and that has not been done, or has failed. */
int mca_base_var_resolve_if_open_locked(mca_base_var_t *var, mca_base_var_notes_t *notes);

/** Variable mca_base_suppress_override_warning. */
extern const mca_base_var_def_t mca_base_suppress_override_warning_def;

/** Note once that a deprecated variable was set by this entry (its name or a synonym). */
void mca_base_var_note_deprecated_locked(mca_base_var_t *entry, const char *origin, mca_base_var_notes_t *notes);

#endif
