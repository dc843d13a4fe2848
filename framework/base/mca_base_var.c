/* SPDX-License-Identifier: BSD-3-Clause */
/* The registered variables: their descriptions, values and storage.
 *
 * A variable is attached while its storage may be written. Of an attached one,
 * storage holds `value`, and a string there belongs to this file; the default
 * that storage held at registration is kept in `initial` and put back when the
 * variable is detached. So the same static variable can be registered again
 * after a finalize, and a DSO may be unloaded once its variables are detached. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_cmd_line.h"
#include "framework/base/mca_base_var.h"

#define MESSAGE_MAX 1024

typedef struct var_t {
    char *full_name;
    mca_base_var_def_t def;       /* With copies of its strings and names. storage is NULL when detached. */
    mca_base_var_value_t value;   /* Its string is owned. */
    mca_base_var_value_t initial; /* Its string is whoever's it was. */
    mca_base_var_source_t source;
    bool for_open_mpi;
    char detail[sizeof(((mca_base_setting_t *) 0)->detail)];
} var_t;

/* Protects everything below, and all var_t. Innermost lock: nothing is called under it that logs, calls back
 * or locks. A pointer is added to `vars` only when its var_t is complete: a fork child can go on with it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static var_t **vars;
static size_t var_count, var_room;
static unsigned refused;

void mca_base_reset_child(void)
{
    pthread_mutex_init(&lock, NULL);
    mca_base_cmd_line_reset_child();
}

/* ---- Names and copies ------------------------------------------------------------------------- */

static char *make_full_name(const mca_base_var_def_t *def)
{
    const char *parts[] = { def->framework, def->component, def->name };
    size_t size = 1;
    for (size_t i = 0; i < 3; i++) {
        size += parts[i] != NULL ? strlen(parts[i]) + 1 : 0;
    }
    char *name = malloc(size);
    if (name == NULL) {
        return NULL;
    }
    char *end = name;
    *end = '\0';
    for (size_t i = 0; i < 3; i++) {
        if (parts[i] != NULL) {
            end = stpcpy(end, end == name ? "" : "_");
            end = stpcpy(end, parts[i]);
        }
    }
    return name;
}

static var_t *find_locked(const char *full_name)
{
    for (size_t i = 0; i < var_count; i++) {
        if (strcmp(vars[i]->full_name, full_name) == 0) {
            return vars[i];
        }
    }
    return NULL;
}

/* One block: the array, then the names. It outlives the DSO that the original lies in. */
static mca_base_var_enum_value_t *copy_names(const mca_base_var_enum_value_t *names)
{
    size_t count = 1, bytes = 0;
    for (const mca_base_var_enum_value_t *n = names; n->name != NULL; n++) {
        count++;
        bytes += strlen(n->name) + 1;
    }
    mca_base_var_enum_value_t *copy = malloc(count * sizeof *copy + bytes);
    if (copy == NULL) {
        return NULL;
    }
    char *text = (char *) (copy + count);
    for (size_t i = 0; i + 1 < count; i++) {
        copy[i] = (mca_base_var_enum_value_t){ text, names[i].value };
        text = stpcpy(text, names[i].name) + 1;
    }
    copy[count - 1] = (mca_base_var_enum_value_t){ NULL, 0 };
    return copy;
}

static bool copy_text(const char **text)
{
    if (*text == NULL) {
        return true;
    }
    *text = strdup(*text);
    return *text != NULL;
}

static void free_text(const char *text)
{
    free((void *) (uintptr_t) text);
}

static void free_def(mca_base_var_def_t *def)
{
    free_text(def->framework);
    free_text(def->component);
    free_text(def->name);
    free_text(def->help);
    free((void *) (uintptr_t) def->enumerator);
}

/* Replaces every pointer of the caller's; after a failure only what was copied is there to be freed. */
static bool copy_def(const mca_base_var_def_t *from, mca_base_var_def_t *to)
{
    *to = *from;
    to->storage = NULL;
    to->enumerator = from->enumerator != NULL ? copy_names(from->enumerator) : NULL;
    bool good = copy_text(&to->framework);
    good = copy_text(&to->component) && good;
    good = copy_text(&to->name) && good;
    good = copy_text(&to->help) && good;
    return good && (from->enumerator == NULL || to->enumerator != NULL);
}

/* ---- Storage ----------------------------------------------------------------------------------- */

static mca_base_var_value_t read_storage(mca_base_var_type_t type, const void *storage)
{
    mca_base_var_value_t value = { 0 };
    switch (type) {
    case MCA_BASE_VAR_TYPE_INT:
    case MCA_BASE_VAR_TYPE_ENUM: value.integer = *(const int *) storage; break;
    case MCA_BASE_VAR_TYPE_SIZE_T: value.size = *(const size_t *) storage; break;
    case MCA_BASE_VAR_TYPE_BOOL: value.boolean = *(const bool *) storage; break;
    case MCA_BASE_VAR_TYPE_STRING: value.string = *(char *const *) storage; break;
    default: break;
    }
    return value;
}

static void write_storage(mca_base_var_type_t type, const mca_base_var_value_t *value, void *storage)
{
    switch (type) {
    case MCA_BASE_VAR_TYPE_INT:
    case MCA_BASE_VAR_TYPE_ENUM: *(int *) storage = value->integer; break;
    case MCA_BASE_VAR_TYPE_SIZE_T: *(size_t *) storage = value->size; break;
    case MCA_BASE_VAR_TYPE_BOOL: *(bool *) storage = value->boolean; break;
    case MCA_BASE_VAR_TYPE_STRING: *(char **) storage = value->string; break;
    default: break;
    }
}

static void detach(var_t *var)
{
    if (var->def.storage != NULL) {
        write_storage(var->def.type, &var->initial, var->def.storage);
        var->def.storage = NULL;
        var->initial = (mca_base_var_value_t){ 0 };
    }
}

static void attach(var_t *var, void *storage)
{
    if (var->def.storage == storage) {
        return; /* It holds the value, not the default. */
    }
    detach(var);
    var->initial = read_storage(var->def.type, storage);
    var->def.storage = storage;
}

/* Takes over value's string. */
static void set_value(var_t *var, mca_base_var_value_t value)
{
    char *old = var->def.type == MCA_BASE_VAR_TYPE_STRING ? var->value.string : NULL;
    var->value = value;
    if (var->def.storage != NULL) {
        write_storage(var->def.type, &var->value, var->def.storage);
    }
    free(old);
}

static int set_default(var_t *var)
{
    mca_base_var_value_t value = var->initial;
    if (var->def.type == MCA_BASE_VAR_TYPE_STRING && value.string != NULL) {
        value.string = strdup(value.string);
        if (value.string == NULL) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
    }
    set_value(var, value);
    var->source = MCA_BASE_VAR_SOURCE_DEFAULT;
    var->for_open_mpi = false;
    var->detail[0] = '\0';
    return OPAL_SUCCESS;
}

static void free_var(var_t *var)
{
    detach(var);
    if (var->def.type == MCA_BASE_VAR_TYPE_STRING) {
        free(var->value.string);
    }
    free(var->full_name);
    free_def(&var->def);
    free(var);
}

/* ---- Registration ------------------------------------------------------------------------------ */

static bool is_complete(const mca_base_var_def_t *def)
{
    return def->storage != NULL && (def->framework != NULL || def->name != NULL)
           && (unsigned) def->type <= MCA_BASE_VAR_TYPE_ENUM
           && (def->type != MCA_BASE_VAR_TYPE_ENUM || def->enumerator != NULL);
}

static int append_locked(var_t *var)
{
    if (var_count == var_room) {
        size_t room = var_room + 32;
        var_t **larger = malloc(room * sizeof(var_t *));
        if (larger == NULL) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
        if (vars != NULL) {
            memcpy(larger, vars, var_count * sizeof(var_t *));
        }
        var_t **old = vars;
        vars = larger;
        var_room = room;
        free(old);
    }
    vars[var_count] = var;
    var_count++;
    return OPAL_SUCCESS;
}

/* Takes over full_name. */
static var_t *new_var_locked(const mca_base_var_def_t *def, char *full_name)
{
    var_t *var = calloc(1, sizeof *var);
    if (var == NULL) {
        free(full_name);
        return NULL;
    }
    var->full_name = full_name;
    if (!copy_def(def, &var->def) || append_locked(var) != OPAL_SUCCESS) {
        free_var(var);
        return NULL;
    }
    return var;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* memory + linux_x + y and memory + linux + x_y have one full name and are two variables. */
static bool is_same_variable(const mca_base_var_def_t *a, const mca_base_var_def_t *b)
{
    return a->type == b->type && same_text(a->framework, b->framework) && same_text(a->component, b->component)
           && same_text(a->name, b->name);
}

static void describe_bad_value(const var_t *var, const mca_base_setting_t *setting, char *message)
{
    char expected[MESSAGE_MAX / 2];
    mca_base_var_expected(&var->def, expected, sizeof expected);
    snprintf(message, MESSAGE_MAX, "variable %s cannot have the value \"%.200s\" (%s%s); expected %s",
             var->full_name, setting->text, mca_base_setting_origin(setting->source), setting->detail, expected);
}

static int resolve_locked(var_t *var, char *message)
{
    mca_base_setting_t setting;
    int rc = set_default(var);
    if (rc != OPAL_SUCCESS || !mca_base_setting_find(&var->def, var->full_name, &setting)) {
        return rc;
    }
    mca_base_var_value_t value;
    rc = mca_base_var_parse(&var->def, setting.text, &value);
    if (rc == OPAL_ERR_BAD_PARAM) {
        describe_bad_value(var, &setting, message);
        refused++;
    }
    if (rc == OPAL_SUCCESS) {
        set_value(var, value);
        var->source = setting.source;
        var->for_open_mpi = setting.for_open_mpi;
        memcpy(var->detail, setting.detail, sizeof var->detail);
    }
    return rc;
}

/* Takes over full_name. */
static int register_locked(const mca_base_var_def_t *def, char *full_name, char *message)
{
    var_t *var = find_locked(full_name);
    if (var == NULL) {
        var = new_var_locked(def, full_name);
    } else {
        bool same = is_same_variable(def, &var->def);
        free(full_name);
        if (!same) {
            snprintf(message, MESSAGE_MAX, "two different variables are registered as %s", var->full_name);
            return OPAL_ERR_BAD_PARAM;
        }
    }
    if (var == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    attach(var, def->storage);
    return resolve_locked(var, message);
}

int mca_base_var_register(const mca_base_var_def_t *def)
{
    if (!is_complete(def)) {
        mca_base_log(MCA_BASE_LOG_ERROR, "a variable of %s%s%s is registered without name, storage or type",
                     def->framework != NULL ? def->framework : "the library", def->component != NULL ? " " : "",
                     def->component != NULL ? def->component : "");
        return OPAL_ERR_BAD_PARAM;
    }
    char *full_name = make_full_name(def);
    if (full_name == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    char message[MESSAGE_MAX] = "";
    pthread_mutex_lock(&lock);
    int rc = register_locked(def, full_name, message);
    pthread_mutex_unlock(&lock);
    if (message[0] != '\0') {
        mca_base_log(MCA_BASE_LOG_ERROR, "%s", message);
    }
    return rc;
}

/* ---- Questions --------------------------------------------------------------------------------- */

size_t mca_base_var_count(void)
{
    pthread_mutex_lock(&lock);
    size_t count = var_count;
    pthread_mutex_unlock(&lock);
    return count;
}

static void fill_info(const var_t *var, mca_base_var_info_t *info)
{
    const mca_base_var_def_t *def = &var->def;
    *info = (mca_base_var_info_t){
        .full_name = var->full_name,
        .framework = def->framework != NULL ? def->framework : "",
        .component = def->component != NULL ? def->component : "base",
        .help = def->help != NULL ? def->help : "",
        .type = def->type,
        .info_level = def->info_level,
        .enumerator = def->enumerator,
        .source = var->source,
    };
    memcpy(info->source_detail, var->detail, sizeof var->detail);
    mca_base_var_print(def, &var->value, info->value, sizeof info->value);
}

int mca_base_var_get_info(size_t index, mca_base_var_info_t *info)
{
    int rc = OPAL_ERR_NOT_FOUND;
    pthread_mutex_lock(&lock);
    if (index < var_count) {
        fill_info(vars[index], info);
        rc = OPAL_SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

bool mca_base_var_is_known(const char *full_name)
{
    pthread_mutex_lock(&lock);
    bool known = find_locked(full_name) != NULL;
    pthread_mutex_unlock(&lock);
    return known;
}

bool mca_base_var_origin(const char *full_name, char *origin, size_t size)
{
    bool for_open_mpi = false;
    pthread_mutex_lock(&lock);
    const var_t *var = find_locked(full_name);
    snprintf(origin, size, "default");
    if (var != NULL) {
        snprintf(origin, size, "%s%s", mca_base_setting_origin(var->source), var->detail);
        for_open_mpi = var->for_open_mpi;
    }
    pthread_mutex_unlock(&lock);
    return for_open_mpi;
}

unsigned mca_base_var_refused(void)
{
    pthread_mutex_lock(&lock);
    unsigned count = refused;
    pthread_mutex_unlock(&lock);
    return count;
}

/* ---- Changes after registration ---------------------------------------------------------------- */

void mca_base_var_unset(const char *full_name)
{
    pthread_mutex_lock(&lock);
    var_t *var = find_locked(full_name);
    if (var != NULL) {
        set_default(var); /* Without memory the value stays: harmless. */
    }
    pthread_mutex_unlock(&lock);
}

void mca_base_var_detach(const char *framework, const char *component)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < var_count; i++) {
        if (same_text(vars[i]->def.framework, framework) && same_text(vars[i]->def.component, component)) {
            detach(vars[i]);
        }
    }
    pthread_mutex_unlock(&lock);
}

void mca_base_var_close(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < var_count; i++) {
        free_var(vars[i]);
    }
    free(vars);
    vars = NULL;
    var_count = var_room = 0;
    refused = 0;
    pthread_mutex_unlock(&lock);
}
