/* SPDX-License-Identifier: BSD-3-Clause */
/* Questions about variables: by name, and for listings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_var_table.h"

size_t mca_base_var_count(void)
{
    size_t count = 0;
    mca_base_var_lock();
    for (const mca_base_var_t *var = mca_base_var_first_locked(); var != NULL; var = var->next) {
        count++;
    }
    mca_base_var_unlock();
    return count;
}

static void fill_info(const mca_base_var_t *entry, mca_base_var_info_t *info)
{
    const mca_base_var_t *var = entry->target != NULL ? entry->target : entry;
    const mca_base_var_def_t *def = &var->def;
    *info = (mca_base_var_info_t){
        .full_name = entry->full_name,
        .framework = def->framework != NULL ? def->framework : "",
        .component = def->component != NULL ? def->component : "base",
        .help = def->help != NULL ? def->help : "",
        .type = def->type,
        .info_level = def->info_level,
        .enumerator = def->enumerator,
        .source = var->current.source,
        .scope = def->scope,
        .flags = def->flags | entry->flags,
        .min = def->min,
        .max = def->max,
        .synonym_of = entry->target != NULL ? var->full_name : NULL,
    };
    memcpy(info->source_detail, var->current.detail, sizeof info->source_detail);
    mca_base_var_print(def, &var->current.value, info->value, sizeof info->value);
}

int mca_base_var_get_info(size_t index, mca_base_var_info_t *info)
{
    int rc = OPAL_ERR_NOT_FOUND;
    mca_base_var_lock();
    const mca_base_var_t *entry = mca_base_var_first_locked();
    for (; entry != NULL && index > 0; entry = entry->next) {
        index--;
    }
    if (entry != NULL) {
        fill_info(entry, info);
        rc = OPAL_SUCCESS;
    }
    mca_base_var_unlock();
    return rc;
}

int mca_base_var_find_info(const char *full_name, mca_base_var_info_t *info)
{
    int rc = OPAL_ERR_NOT_FOUND;
    mca_base_var_lock();
    const mca_base_var_t *entry = mca_base_var_find_locked(full_name);
    if (entry != NULL) {
        fill_info(entry, info);
        rc = OPAL_SUCCESS;
    }
    mca_base_var_unlock();
    return rc;
}

int mca_base_var_get_value(const char *full_name, mca_base_var_type_t type, void *value)
{
    int rc = OPAL_ERR_NOT_FOUND;
    mca_base_var_lock();
    const mca_base_var_t *var = mca_base_var_find_target_locked(full_name);
    if (var != NULL) {
        bool as_int = type == MCA_BASE_VAR_TYPE_INT && var->def.type == MCA_BASE_VAR_TYPE_ENUM;
        rc = type == var->def.type || as_int ? OPAL_SUCCESS : OPAL_ERR_BAD_PARAM;
    }
    if (rc == OPAL_SUCCESS) {
        mca_base_var_write(type, &var->current.value, value);
    }
    mca_base_var_unlock();
    return rc;
}

static int make_text(const mca_base_var_t *var, char **text)
{
    const mca_base_var_value_t *value = &var->current.value;
    size_t size = mca_base_var_print(&var->def, value, NULL, 0) + 1;
    char *made = malloc(size);
    if (made == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    mca_base_var_print(&var->def, value, made, size);
    *text = made;
    return OPAL_SUCCESS;
}

int mca_base_var_get_text(const char *full_name, char **text)
{
    mca_base_var_lock();
    const mca_base_var_t *var = mca_base_var_find_target_locked(full_name);
    int rc = var != NULL ? make_text(var, text) : OPAL_ERR_NOT_FOUND;
    mca_base_var_unlock();
    return rc;
}

bool mca_base_var_is_known(const char *full_name)
{
    mca_base_var_lock();
    bool known = mca_base_var_find_locked(full_name) != NULL;
    mca_base_var_unlock();
    return known;
}

bool mca_base_var_origin(const char *full_name, char *origin, size_t size)
{
    bool for_open_mpi = false;
    mca_base_var_lock();
    const mca_base_var_t *var = mca_base_var_find_target_locked(full_name);
    snprintf(origin, size, "default");
    if (var != NULL) {
        const mca_base_var_state_t *state = &var->current;
        snprintf(origin, size, "%s%s", mca_base_setting_origin(state->source, state->detail), state->detail);
        for_open_mpi = state->for_open_mpi;
    }
    mca_base_var_unlock();
    return for_open_mpi;
}
