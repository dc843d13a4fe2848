/* SPDX-License-Identifier: BSD-3-Clause */
/* One variable's values: its storage, its strings, its default. All under the
 * lock of the table, but for the threads that read the storage: they use
 * mca_base_var_load(), so each write here is one store with release. */
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_var_table.h"

/* ---- Storage ----------------------------------------------------------------------------------- */

mca_base_var_value_t mca_base_var_read(mca_base_var_type_t type, const void *storage)
{
    mca_base_var_value_t value = { 0 };
    switch (type) {
    case MCA_BASE_VAR_TYPE_INT:
    case MCA_BASE_VAR_TYPE_ENUM: value.integer = mca_base_var_load(*(const int *) storage); break;
    case MCA_BASE_VAR_TYPE_UNSIGNED_INT: value.natural = mca_base_var_load(*(const unsigned *) storage); break;
    case MCA_BASE_VAR_TYPE_SIZE_T: value.size = mca_base_var_load(*(const size_t *) storage); break;
    case MCA_BASE_VAR_TYPE_BOOL: value.boolean = mca_base_var_load(*(const bool *) storage); break;
    case MCA_BASE_VAR_TYPE_DOUBLE: value.real = mca_base_var_load(*(const double *) storage); break;
    case MCA_BASE_VAR_TYPE_STRING: value.string = mca_base_var_load(*(char *const *) storage); break;
    default: break;
    }
    return value;
}

void mca_base_var_write(mca_base_var_type_t type, const mca_base_var_value_t *value, void *storage)
{
    mca_base_var_value_t from = *value; /* clang 14's __atomic_store() wants a source that is not const. */
    switch (type) {
    case MCA_BASE_VAR_TYPE_INT:
    case MCA_BASE_VAR_TYPE_ENUM: __atomic_store((int *) storage, &from.integer, __ATOMIC_RELEASE); break;
    case MCA_BASE_VAR_TYPE_UNSIGNED_INT:
        __atomic_store((unsigned *) storage, &from.natural, __ATOMIC_RELEASE);
        break;
    case MCA_BASE_VAR_TYPE_SIZE_T: __atomic_store((size_t *) storage, &from.size, __ATOMIC_RELEASE); break;
    case MCA_BASE_VAR_TYPE_BOOL: __atomic_store((bool *) storage, &from.boolean, __ATOMIC_RELEASE); break;
    case MCA_BASE_VAR_TYPE_DOUBLE: __atomic_store((double *) storage, &from.real, __ATOMIC_RELEASE); break;
    case MCA_BASE_VAR_TYPE_STRING: __atomic_store((char **) storage, &from.string, __ATOMIC_RELEASE); break;
    default: break;
    }
}

void mca_base_var_detach_storage(mca_base_var_t *var)
{
    if (var->def.storage != NULL) {
        mca_base_var_write(var->def.type, &var->initial, var->def.storage);
        var->def.storage = NULL;
        var->initial = (mca_base_var_value_t){ 0 };
    }
}

void mca_base_var_attach(mca_base_var_t *var, void *storage)
{
    if (var->def.storage == storage) {
        return; /* It holds the value, not the default. */
    }
    mca_base_var_detach_storage(var);
    var->initial = mca_base_var_read(var->def.type, storage);
    var->def.storage = storage;
}

void mca_base_var_apply(mca_base_var_t *var, const mca_base_var_state_t *state)
{
    if (state != &var->current) {
        var->current = *state;
    }
    if (var->def.storage != NULL) {
        mca_base_var_write(var->def.type, &var->current.value, var->def.storage);
    }
}

/* ---- Strings ----------------------------------------------------------------------------------- */

char *mca_base_var_keep_text(mca_base_var_t *var, const char *text)
{
    for (mca_base_var_text_t *known = var->texts; known != NULL; known = known->next) {
        if (strcmp(known->text, text) == 0) {
            return known->text;
        }
    }
    size_t size = strlen(text) + 1;
    mca_base_var_text_t *kept = malloc(sizeof *kept + size);
    if (kept == NULL) {
        return NULL;
    }
    memcpy(kept->text, text, size);
    kept->next = var->texts;
    var->texts = kept;
    return kept->text;
}

static void free_texts(mca_base_var_text_t *texts)
{
    while (texts != NULL) {
        mca_base_var_text_t *next = texts->next;
        free(texts);
        texts = next;
    }
}

int mca_base_var_value_of(mca_base_var_t *var, const char *text, mca_base_var_value_t *value)
{
    if (var->def.type != MCA_BASE_VAR_TYPE_STRING) {
        return mca_base_var_parse(&var->def, text, value);
    }
    char *kept = mca_base_var_keep_text(var, text);
    if (kept == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    value->string = kept;
    return OPAL_SUCCESS;
}

/* ---- Default ------------------------------------------------------------------------------------ */

void mca_base_var_to_default(mca_base_var_t *var)
{
    var->given = (mca_base_var_state_t){ .value = var->fallback, .source = MCA_BASE_VAR_SOURCE_DEFAULT };
    mca_base_var_apply(var, &var->given);
}

int mca_base_var_take_default(mca_base_var_t *var)
{
    mca_base_var_value_t value = var->initial;
    if (var->def.type == MCA_BASE_VAR_TYPE_STRING && value.string != NULL) {
        value.string = mca_base_var_keep_text(var, value.string);
        if (value.string == NULL) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
    }
    var->fallback = value;
    mca_base_var_to_default(var);
    return OPAL_SUCCESS;
}

/* ---- Life --------------------------------------------------------------------------------------- */

mca_base_var_t *mca_base_var_new(const mca_base_var_def_t *def, char *full_name)
{
    mca_base_var_t *var = calloc(1, sizeof *var);
    if (var == NULL) {
        free(full_name);
        return NULL;
    }
    var->full_name = full_name;
    var->flags = def->flags;
    if (!mca_base_var_copy_def(def, &var->def)) {
        mca_base_var_free(var);
        return NULL;
    }
    return var;
}

void mca_base_var_free(mca_base_var_t *var)
{
    mca_base_var_detach_storage(var);
    free_texts(var->texts);
    free(var->full_name);
    mca_base_var_free_def(&var->def);
    free(var);
}
