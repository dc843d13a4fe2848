/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables that change while the library runs. */
#include <stddef.h>

#include "framework/base/mca_base_var_table.h"

#define BY_PROGRAM "mca_base_var_set()"

/* A new value, in the form in which the caller has it. */
typedef struct change_t {
    bool by_value;
    const char *text;  /* NULL: what it was after registration. */
    const void *value; /* An object of the type. */
    mca_base_var_type_t type;
} change_t;

static int check_settable_locked(const mca_base_var_t *var, const char *name, mca_base_var_notes_t *notes)
{
    if ((var->flags & MCA_BASE_VAR_FLAG_SETTABLE) == 0) {
        mca_base_var_note(notes, MCA_BASE_LOG_ERROR, "variable %s cannot be changed at run time", name);
        return OPAL_ERR_PERM;
    }
    if (var->given.source == MCA_BASE_VAR_SOURCE_OVERRIDE) {
        mca_base_var_note(notes, MCA_BASE_LOG_ERROR,
                          "variable %s cannot be changed: the override file fixes it (%s)", name,
                          var->given.detail);
        return OPAL_ERR_PERM;
    }
    if (var->def.storage == NULL) {
        mca_base_var_note(notes, MCA_BASE_LOG_ERROR, "variable %s cannot be changed: its component is not loaded",
                          name);
        return OPAL_ERR_PERM;
    }
    return OPAL_SUCCESS;
}

static int refuse_text(const mca_base_var_t *var, const char *name, const char *text, mca_base_var_notes_t *notes)
{
    char expected[MESSAGE_MAX / 2], shown[204];
    mca_base_var_expected(&var->def, expected, sizeof expected);
    mca_base_var_show(text, shown, sizeof shown);
    mca_base_var_note(notes, MCA_BASE_LOG_ERROR,
                      "variable %s cannot have the value \"%s\" (" BY_PROGRAM "); expected %s", name, shown,
                      expected);
    return OPAL_ERR_BAD_PARAM;
}

static int read_text_locked(mca_base_var_t *var, const char *name, const char *text, mca_base_var_value_t *value,
                            mca_base_var_notes_t *notes)
{
    int rc = mca_base_var_value_of(var, text, value);
    return rc == OPAL_ERR_BAD_PARAM ? refuse_text(var, name, text, notes) : rc;
}

static bool type_fits(mca_base_var_type_t wanted, mca_base_var_type_t type)
{
    return wanted == type || (wanted == MCA_BASE_VAR_TYPE_INT && type == MCA_BASE_VAR_TYPE_ENUM);
}

static int read_value_locked(mca_base_var_t *var, const char *name, const change_t *change,
                             mca_base_var_value_t *value, mca_base_var_notes_t *notes)
{
    if (change->value == NULL || !type_fits(change->type, var->def.type)) {
        mca_base_var_note(notes, MCA_BASE_LOG_ERROR, "variable %s cannot be changed: the value is of another type",
                          name);
        return OPAL_ERR_BAD_PARAM;
    }
    mca_base_var_value_t given = mca_base_var_read(change->type, change->value);
    if (!mca_base_var_allows(&var->def, &given)) {
        char text[64];
        mca_base_var_print(&var->def, &given, text, sizeof text);
        return refuse_text(var, name, text, notes);
    }
    if (var->def.type == MCA_BASE_VAR_TYPE_STRING && given.string != NULL) {
        given.string = mca_base_var_keep_text(var, given.string);
        if (given.string == NULL) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
    }
    *value = given;
    return OPAL_SUCCESS;
}

/* entry is the variable, or the synonym that was used. */
static int change_locked(mca_base_var_t *entry, const change_t *change, mca_base_var_notes_t *notes)
{
    mca_base_var_t *var = entry->target != NULL ? entry->target : entry;
    int rc = check_settable_locked(var, entry->full_name, notes);
    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    if (!change->by_value && change->text == NULL) {
        mca_base_var_apply(var, &var->given);
        return OPAL_SUCCESS;
    }
    mca_base_var_state_t state = { .source = MCA_BASE_VAR_SOURCE_SET };
    rc = change->by_value ? read_value_locked(var, entry->full_name, change, &state.value, notes)
                          : read_text_locked(var, entry->full_name, change->text, &state.value, notes);
    if (rc == OPAL_SUCCESS) {
        mca_base_var_apply(var, &state);
        mca_base_var_note_deprecated_locked(entry, BY_PROGRAM, notes);
        mca_base_var_note_deprecated_locked(var, BY_PROGRAM, notes);
    }
    return rc;
}

static int tell_unknown(const char *full_name)
{
    char nearest[MCA_BASE_VAR_NAME_MAX + 1];
    mca_base_var_nearest(full_name, nearest);
    if (nearest[0] != '\0') {
        mca_base_log(MCA_BASE_LOG_ERROR, "there is no variable %s (" BY_PROGRAM "); did you mean %s?", full_name,
                     nearest);
    } else {
        mca_base_log(MCA_BASE_LOG_ERROR, "there is no variable %s (" BY_PROGRAM ")", full_name);
    }
    return OPAL_ERR_NOT_FOUND;
}

static int change(const char *full_name, const change_t *what)
{
    mca_base_var_notes_t notes = { 0 };
    mca_base_var_lock();
    mca_base_var_t *entry = mca_base_var_find_locked(full_name);
    int rc = entry != NULL ? change_locked(entry, what, &notes) : OPAL_ERR_NOT_FOUND;
    mca_base_var_unlock_and_tell(&notes);
    return rc == OPAL_ERR_NOT_FOUND ? tell_unknown(full_name != NULL ? full_name : "") : rc;
}

int mca_base_var_set(const char *full_name, const char *text)
{
    return change(full_name, &(change_t){ .text = text });
}

int mca_base_var_set_value(const char *full_name, mca_base_var_type_t type, const void *value)
{
    return change(full_name, &(change_t){ .by_value = true, .value = value, .type = type });
}
