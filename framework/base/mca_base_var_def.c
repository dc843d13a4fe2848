/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptions of variables: their names, whether they make sense, and copies
 * that outlive the DSO in which the original lies. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_var_table.h"

#define KNOWN_FLAGS                                                                           \
    (MCA_BASE_VAR_FLAG_INTERNAL | MCA_BASE_VAR_FLAG_DEFAULT_ONLY | MCA_BASE_VAR_FLAG_SETTABLE \
     | MCA_BASE_VAR_FLAG_DEPRECATED | MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY)

/* ---- Names ------------------------------------------------------------------------------------- */

char *mca_base_var_make_full_name(const mca_base_var_def_t *def)
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

/* Letters that a parameter file and the name of an environment variable can hold. */
const char *mca_base_var_name_fault(const char *full_name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t length = strlen(full_name);
    if (length == 0) {
        return "it has no name";
    }
    if (length > MCA_BASE_VAR_NAME_MAX) {
        return "its name is too long";
    }
    if (strspn(full_name, letters) != length || full_name[0] == '-') {
        return "its name may have letters, digits, '_', '.' and '-' only, and not begin with '-'";
    }
    if (strncmp(full_name, MCA_BASE_ENV_MARKER, strlen(MCA_BASE_ENV_MARKER)) == 0) {
        return "names that begin with SOURCE_ are taken";
    }
    return NULL;
}

/* ---- Sense ------------------------------------------------------------------------------------- */

static const char *type_fault(const mca_base_var_def_t *def)
{
    if ((unsigned) def->type > MCA_BASE_VAR_TYPE_ENUM) {
        return "its type is none";
    }
    if (def->type == MCA_BASE_VAR_TYPE_ENUM && (def->enumerator == NULL || def->enumerator[0].name == NULL)) {
        return "its enumeration has no names";
    }
    if (def->min > def->max) {
        return "its min is above its max";
    }
    bool natural = def->type == MCA_BASE_VAR_TYPE_UNSIGNED_INT || def->type == MCA_BASE_VAR_TYPE_SIZE_T;
    if (natural && def->min < 0) {
        return "its type has no negative values, but its min is one";
    }
    return NULL;
}

bool mca_base_var_is_fixed(const mca_base_var_def_t *def)
{
    return (def->flags & MCA_BASE_VAR_FLAG_DEFAULT_ONLY) != 0 || def->scope == MCA_BASE_VAR_SCOPE_CONSTANT;
}

static const char *scope_fault(const mca_base_var_def_t *def)
{
    bool settable = (def->flags & MCA_BASE_VAR_FLAG_SETTABLE) != 0;
    bool fixed = mca_base_var_is_fixed(def);
    if ((unsigned) def->scope > MCA_BASE_VAR_SCOPE_ALL_EQ || (def->flags & ~(uint32_t) KNOWN_FLAGS) != 0) {
        return "its scope or flags are none that exist";
    }
    if (settable && (fixed || def->scope == MCA_BASE_VAR_SCOPE_READONLY)) {
        return "it is SETTABLE, but its scope is READONLY or CONSTANT, or it is DEFAULT_ONLY";
    }
    if (fixed && (def->flags & MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY) != 0) {
        return "nobody may set it, but it is ENVIRONMENT_ONLY";
    }
    if (settable && (def->flags & MCA_BASE_VAR_FLAG_ENVIRONMENT_ONLY) != 0) {
        return "it is ENVIRONMENT_ONLY and SETTABLE";
    }
    return NULL;
}

const char *mca_base_var_fault(const mca_base_var_def_t *def, const char *full_name)
{
    if (def->storage == NULL) {
        return "it has no storage";
    }
    if (def->framework == NULL && def->name == NULL) {
        return "it has no name";
    }
    if (def->info_level < 1 || def->info_level > 9) {
        return "its info_level is not in 1 to 9";
    }
    const char *fault = mca_base_var_name_fault(full_name);
    if (fault == NULL) {
        fault = type_fault(def);
    }
    return fault != NULL ? fault : scope_fault(def);
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_names(const mca_base_var_enum_value_t *a, const mca_base_var_enum_value_t *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    while (a->name != NULL && b->name != NULL && a->value == b->value && strcmp(a->name, b->name) == 0) {
        a++;
        b++;
    }
    return a->name == NULL && b->name == NULL;
}

/* memory + linux_x + y and memory + linux + x_y have one full name and are two variables. */
bool mca_base_var_same_def(const mca_base_var_def_t *a, const mca_base_var_def_t *b)
{
    return a->type == b->type && same_text(a->framework, b->framework) && same_text(a->component, b->component)
           && same_text(a->name, b->name) && a->scope == b->scope && a->flags == b->flags && a->min == b->min
           && a->max == b->max && same_names(a->enumerator, b->enumerator);
}

/* ---- Copies ------------------------------------------------------------------------------------ */

/* One block: the array, then the names. */
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

void mca_base_var_free_def(mca_base_var_def_t *def)
{
    free_text(def->framework);
    free_text(def->component);
    free_text(def->name);
    free_text(def->help);
    free((void *) (uintptr_t) def->enumerator);
}

bool mca_base_var_copy_def(const mca_base_var_def_t *from, mca_base_var_def_t *to)
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
