/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of variables: registering and forgetting them. Their values are in
 * mca_base_var_value.c, where settings come from in mca_base_var_resolve.c,
 * questions and changes in mca_base_var_info.c and mca_base_var_set.c. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_var_table.h"
#include "framework/util/fork.h"

/* Protects everything below, and all entries of the table. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static mca_base_var_t *first;
static unsigned refused;
static bool is_open;

void mca_base_reset_child(void)
{
    pthread_mutex_init(&lock, NULL);
    mca_base_cmd_line_reset_child();
}

void mca_base_var_lock(void)
{
    opal_fork_prepare();
    pthread_mutex_lock(&lock);
}

void mca_base_var_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/* Of too many warnings the last ones are lost, but never an error: it says why a call fails. */
void mca_base_var_note(mca_base_var_notes_t *notes, mca_base_log_level_t level, const char *format, ...)
{
    static const char cut[] = "...";
    if (notes->count == NOTES_MAX && level != MCA_BASE_LOG_ERROR) {
        return;
    }
    notes->count -= notes->count == NOTES_MAX;
    char *text = notes->list[notes->count].text;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, MESSAGE_MAX, format, args);
    va_end(args);
    if (length >= MESSAGE_MAX) {
        memcpy(text + MESSAGE_MAX - sizeof cut, cut, sizeof cut);
    }
    notes->list[notes->count++].level = level;
}

void mca_base_var_unlock_and_tell(const mca_base_var_notes_t *notes)
{
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < notes->count; i++) {
        mca_base_log(notes->list[i].level, "%s", notes->list[i].text);
    }
}

/* ---- Entries ------------------------------------------------------------------------------------ */

mca_base_var_t *mca_base_var_first_locked(void)
{
    return first;
}

mca_base_var_t *mca_base_var_find_locked(const char *full_name)
{
    mca_base_var_t *var = full_name != NULL ? first : NULL;
    while (var != NULL && strcmp(var->full_name, full_name) != 0) {
        var = var->next;
    }
    return var;
}

mca_base_var_t *mca_base_var_find_target_locked(const char *full_name)
{
    mca_base_var_t *var = mca_base_var_find_locked(full_name);
    return var != NULL && var->target != NULL ? var->target : var;
}

void mca_base_var_append_locked(mca_base_var_t *var)
{
    mca_base_var_t **link = &first;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = var;
}

void mca_base_var_count_refused_locked(void)
{
    refused++;
}

/* ---- Registration ------------------------------------------------------------------------------ */

/* Takes over full_name. */
static int add_locked(const mca_base_var_def_t *def, char *full_name, mca_base_var_t **added)
{
    mca_base_var_t *var = mca_base_var_new(def, full_name);
    if (var == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    mca_base_var_attach(var, def->storage);
    int rc = mca_base_var_take_default(var);
    if (rc != OPAL_SUCCESS) {
        mca_base_var_free(var);
        return rc;
    }
    mca_base_var_append_locked(var);
    *added = var;
    return OPAL_SUCCESS;
}

/* A variable that is known gets another storage, for instance since its DSO was loaded again. */
static int move_locked(mca_base_var_t *var, const mca_base_var_def_t *def, mca_base_var_notes_t *notes)
{
    if (var->target != NULL) {
        mca_base_var_note(notes, MCA_BASE_LOG_ERROR,
                          "variable %s cannot be registered: the name is a synonym of %s", var->full_name,
                          var->target->full_name);
        return OPAL_ERR_BAD_PARAM;
    }
    if (!mca_base_var_same_def(def, &var->def)) {
        mca_base_var_note(notes, MCA_BASE_LOG_ERROR, "two different variables are registered as %s",
                          var->full_name);
        return OPAL_ERR_BAD_PARAM;
    }
    mca_base_var_attach(var, def->storage);
    mca_base_var_apply(var, &var->current);
    return OPAL_SUCCESS;
}

int mca_base_var_resolve_if_open_locked(mca_base_var_t *var, mca_base_var_notes_t *notes)
{
    return is_open && (!var->resolved || var->refused) ? mca_base_var_resolve_locked(var, notes) : OPAL_SUCCESS;
}

/* Takes over full_name. */
static int register_locked(const mca_base_var_def_t *def, char *full_name, mca_base_var_notes_t *notes)
{
    mca_base_var_t *var = mca_base_var_find_locked(full_name);
    int rc;
    if (var == NULL) {
        rc = add_locked(def, full_name, &var);
    } else {
        rc = move_locked(var, def, notes);
        free(full_name);
    }
    return rc == OPAL_SUCCESS ? mca_base_var_resolve_if_open_locked(var, notes) : rc;
}

int mca_base_var_register(const mca_base_var_def_t *def)
{
    char *full_name = mca_base_var_make_full_name(def);
    if (full_name == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    const char *fault = mca_base_var_fault(def, full_name);
    if (fault != NULL) {
        mca_base_log(MCA_BASE_LOG_ERROR, "variable %s cannot be registered: %s", full_name, fault);
        free(full_name);
        return OPAL_ERR_BAD_PARAM;
    }
    mca_base_var_notes_t notes = { 0 };
    mca_base_var_lock();
    int rc = register_locked(def, full_name, &notes);
    mca_base_var_unlock_and_tell(&notes);
    return rc;
}

static void forget_locked(mca_base_var_t **link)
{
    mca_base_var_t *var = *link;
    *link = var->next;
    mca_base_var_free(var);
}

/* Synonyms come behind their variable, and go first. */
static void forget_with_synonyms_locked(const mca_base_var_t *var)
{
    mca_base_var_t **own = &first;
    while (*own != var) {
        own = &(*own)->next;
    }
    for (mca_base_var_t **link = &(*own)->next; *link != NULL;) {
        if ((*link)->target == var) {
            forget_locked(link);
        } else {
            link = &(*link)->next;
        }
    }
    forget_locked(own);
}

int mca_base_var_deregister(const char *full_name)
{
    mca_base_var_lock();
    const mca_base_var_t *var = mca_base_var_find_locked(full_name);
    bool found = var != NULL && var->target == NULL;
    if (found) {
        forget_with_synonyms_locked(var);
    }
    mca_base_var_unlock();
    return found ? OPAL_SUCCESS : OPAL_ERR_NOT_FOUND;
}

/* ---- Open and close ----------------------------------------------------------------------------- */

void mca_base_var_open(void)
{
    mca_base_var_lock();
    is_open = true;
    mca_base_var_unlock();
}

/* @return false: there is none left. */
static bool resolve_one(int *rc)
{
    mca_base_var_notes_t notes = { 0 };
    mca_base_var_lock();
    mca_base_var_t *var = first;
    while (var != NULL && (var->resolved || var->target != NULL)) {
        var = var->next;
    }
    if (var != NULL) {
        *rc = mca_base_var_resolve_locked(var, &notes);
    }
    mca_base_var_unlock_and_tell(&notes);
    return var != NULL;
}

static int register_own(void)
{
    int rc = mca_base_var_register(&(mca_base_var_def_t){
        .name = "mca_base_warn_unknown",
        .help =
            "Warn of settings whose name no variable has. Turned off by runtimes that share their command line "
            "with this library.",
        .type = MCA_BASE_VAR_TYPE_BOOL,
        .info_level = 6,
        .storage = &mca_base_warn_unknown,
    });
    return rc != OPAL_SUCCESS ? rc : mca_base_var_register(&mca_base_suppress_override_warning_def);
}

/* Some were registered before all files had been read, the base's own and those of threads that do not wait for
 * init: settings in the files count for them like for any other. */
static void look_again(void)
{
    mca_base_var_lock();
    for (mca_base_var_t *var = first; var != NULL; var = var->next) {
        var->resolved = var->resolved && var->refused;
    }
    mca_base_var_unlock();
}

int mca_base_var_resolve_all(void)
{
    int rc = register_own(), next = OPAL_SUCCESS;
    look_again();
    while (next != OPAL_ERR_OUT_OF_RESOURCE && resolve_one(&next)) {
        rc = rc != OPAL_SUCCESS ? rc : next;
    }
    return rc;
}

void mca_base_var_close(void)
{
    mca_base_var_lock();
    while (first != NULL) {
        forget_locked(&first);
    }
    refused = 0;
    is_open = false;
    mca_base_var_unlock();
}

/* ---- Changes after registration ---------------------------------------------------------------- */

void mca_base_var_unset(const char *full_name)
{
    mca_base_var_lock();
    mca_base_var_t *var = mca_base_var_find_target_locked(full_name);
    if (var != NULL) {
        var->unset = true;
        mca_base_var_to_default(var);
    }
    mca_base_var_unlock();
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

void mca_base_var_detach(const char *framework, const char *component)
{
    mca_base_var_lock();
    for (mca_base_var_t *var = first; var != NULL; var = var->next) {
        if (same_text(var->def.framework, framework) && same_text(var->def.component, component)) {
            mca_base_var_detach_storage(var);
        }
    }
    mca_base_var_unlock();
}

void mca_base_var_detach_object(uintptr_t start, uintptr_t end)
{
    mca_base_var_lock();
    for (mca_base_var_t *var = first; var != NULL; var = var->next) {
        uintptr_t storage = (uintptr_t) var->def.storage;
        if (storage >= start && storage < end) {
            mca_base_var_detach_storage(var);
        }
    }
    mca_base_var_unlock();
}

unsigned mca_base_var_refused(void)
{
    mca_base_var_lock();
    unsigned count = refused;
    mca_base_var_unlock();
    return count;
}
