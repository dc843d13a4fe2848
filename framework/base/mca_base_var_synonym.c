/* SPDX-License-Identifier: BSD-3-Clause */
/* Second names of variables: entries of the table that point to the variable. */
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_var_table.h"

static mca_base_var_t *new_synonym(mca_base_var_t *target, const char *name, uint32_t flags)
{
    mca_base_var_t *entry = calloc(1, sizeof *entry);
    char *copy = strdup(name);
    if (entry == NULL || copy == NULL) {
        free(entry);
        free(copy);
        return NULL;
    }
    entry->full_name = copy;
    entry->target = target;
    entry->flags = flags;
    return entry;
}

/* One setting under the synonym is looked at again with all others: it may be the strongest. */
static int add_locked(mca_base_var_t *target, const char *name, uint32_t flags, mca_base_var_notes_t *notes)
{
    const mca_base_var_t *known = mca_base_var_find_locked(name);
    if (known != NULL && known->target == target) {
        return mca_base_var_resolve_if_open_locked(target, notes);
    }
    if (known != NULL) {
        mca_base_var_note(notes, MCA_BASE_LOG_ERROR, "%s cannot be a synonym of variable %s: it is %s %s", name,
                          target->full_name, known->target != NULL ? "one of" : "the variable",
                          known->target != NULL ? known->target->full_name : known->full_name);
        return OPAL_ERR_BAD_PARAM;
    }
    mca_base_var_t *entry = new_synonym(target, name, flags);
    if (entry == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    mca_base_var_append_locked(entry);
    target->resolved = false;
    return mca_base_var_resolve_if_open_locked(target, notes);
}

static const char *find_fault(const char *synonym, uint32_t flags)
{
    if (synonym == NULL) {
        return "it has no name";
    }
    const char *fault = mca_base_var_name_fault(synonym);
    if (fault == NULL && (flags & ~(uint32_t) MCA_BASE_VAR_FLAG_DEPRECATED) != 0) {
        fault = "the only flag of a synonym is DEPRECATED";
    }
    return fault;
}

int mca_base_var_register_synonym(const char *full_name, const char *synonym, uint32_t flags)
{
    const char *fault = find_fault(synonym, flags);
    if (fault != NULL) {
        mca_base_log(MCA_BASE_LOG_ERROR, "synonym %s of variable %s cannot be registered: %s",
                     synonym != NULL ? synonym : "(none)", full_name != NULL ? full_name : "(none)", fault);
        return OPAL_ERR_BAD_PARAM;
    }
    mca_base_var_notes_t notes = { 0 };
    mca_base_var_lock();
    mca_base_var_t *target = mca_base_var_find_target_locked(full_name);
    int rc = target != NULL ? add_locked(target, synonym, flags, &notes) : OPAL_ERR_NOT_FOUND;
    mca_base_var_unlock_and_tell(&notes);
    return rc;
}
