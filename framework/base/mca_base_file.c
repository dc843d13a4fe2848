/* SPDX-License-Identifier: BSD-3-Clause */
/* Lists of files, and the lists that are in use: one of each kind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_file.h"
#include "framework/base/mca_base_open.h"
#include "opal/mca/base/base.h"

#define SEPARATORS ":,"
#define NO_FILES "none"
#define CAUSE_MAX 512

/* Written under the init lock, with release; read with acquire. A list never changes while it is here. */
static _Atomic(mca_base_file_list_t *) in_use[MCA_BASE_FILE_KINDS];

/* ---- Lists -------------------------------------------------------------------------------------- */

static size_t list_size(size_t count)
{
    return sizeof(mca_base_file_list_t) + count * sizeof(mca_base_file_t *);
}

void mca_base_file_list_free(mca_base_file_list_t *list)
{
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        mca_base_file_drop(list->files[i]);
    }
    free(list);
}

int mca_base_file_list_append(mca_base_file_list_t **list, const mca_base_file_list_t *more)
{
    size_t count = *list != NULL ? (*list)->count : 0;
    mca_base_file_list_t *larger = realloc(*list, list_size(count + more->count));
    if (larger == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    for (size_t i = 0; i < more->count; i++) {
        atomic_fetch_add(&more->files[i]->references, 1);
        larger->files[count + i] = more->files[i];
    }
    larger->count = count + more->count;
    *list = larger;
    return OPAL_SUCCESS;
}

/* ---- Loading ------------------------------------------------------------------------------------ */

static bool is_of_home(const char *name, size_t length)
{
    return length >= 2 && name[0] == '~' && name[1] == '/';
}

/* *home is NULL where nobody has set it. A relative one would make the files depend on where the program was
 * started. @return NULL, or why there is none. */
static const char *find_home(const char **home)
{
    *home = getenv("HOME");
    if (*home == NULL || (*home)[0] == '\0') {
        *home = NULL;
        return "HOME is not set";
    }
    return (*home)[0] == '/' ? NULL : "HOME is not an absolute path";
}

static char *make_path(const char *home, const char *name, size_t length)
{
    size_t size = strlen(home) + length + 1;
    char *path = malloc(size);
    if (path != NULL) {
        snprintf(path, size, "%s%.*s", home, (int) length, name);
    }
    return path;
}

/* A file cannot be used: an error if somebody has named it, else not worth more than a warning. */
static int refuse(const mca_base_file_origin_t *origin, const char *name, int length, const char *cause)
{
    if (origin->by_default) {
        mca_base_log(MCA_BASE_LOG_WARN, "%.*s is ignored: %s", length, name, cause);
        return OPAL_SUCCESS;
    }
    mca_base_log(MCA_BASE_LOG_ERROR, "the file \"%.*s\" cannot be used (%s, %s): %s", length, name, origin->option,
                 origin->detail, cause);
    return OPAL_ERR_BAD_PARAM;
}

static int load_path(mca_base_file_kind_t kind, const char *path, const mca_base_file_origin_t *origin,
                     mca_base_file_list_t *list)
{
    char cause[CAUSE_MAX];
    char *text = NULL;
    size_t length = 0;
    int rc = mca_base_file_read(path, &text, &length, cause, sizeof cause);
    if (rc == OPAL_ERR_NOT_FOUND && origin->by_default) {
        return OPAL_SUCCESS;
    }
    if (rc == OPAL_ERR_NOT_FOUND || rc == OPAL_ERR_NOT_AVAILABLE) {
        return refuse(origin, path, (int) strlen(path), cause);
    }
    if (rc == OPAL_SUCCESS) {
        rc = mca_base_file_parse(kind, path, text, length, &list->files[list->count]);
        list->count += rc == OPAL_SUCCESS;
        free(text);
    }
    return rc;
}

static int load_name(mca_base_file_kind_t kind, const char *name, size_t length,
                     const mca_base_file_origin_t *origin, mca_base_file_list_t *list)
{
    const char *home = "";
    if (is_of_home(name, length)) {
        const char *cause = mca_base_trusts_user() ? find_home(&home) : NULL;
        if (!mca_base_trusts_user() || (home == NULL && origin->by_default)) {
            return OPAL_SUCCESS;
        }
        if (cause != NULL) {
            return refuse(origin, name, (int) length, cause);
        }
        name++;
        length--;
    }
    char *path = make_path(home, name, length);
    if (path == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    int rc = load_path(kind, path, origin, list);
    free(path);
    return rc;
}

static size_t count_names(const char *names)
{
    size_t count = 0;
    for (const char *p = names; *p != '\0'; p += *p != '\0') {
        size_t length = strcspn(p, SEPARATORS);
        count += length > 0;
        p += length;
    }
    return count;
}

int mca_base_file_list_load(mca_base_file_kind_t kind, const char *names, const mca_base_file_origin_t *origin,
                            mca_base_file_list_t **list)
{
    const char *p = names == NULL || strcmp(names, NO_FILES) == 0 ? "" : names;
    mca_base_file_list_t *made = calloc(1, list_size(count_names(p)));
    if (made == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    int rc = OPAL_SUCCESS;
    while (rc == OPAL_SUCCESS && *p != '\0') {
        size_t length = strcspn(p, SEPARATORS);
        if (length > 0) {
            rc = load_name(kind, p, length, origin, made);
        }
        p += length + (p[length] != '\0');
    }
    if (rc != OPAL_SUCCESS) {
        mca_base_file_list_free(made);
        return rc;
    }
    *list = made;
    return OPAL_SUCCESS;
}

/* ---- Lists in use -------------------------------------------------------------------------------- */

void mca_base_file_use(mca_base_file_kind_t kind, mca_base_file_list_t *list)
{
    mca_base_file_list_t *old = atomic_exchange_explicit(&in_use[kind], list, memory_order_acq_rel);
    mca_base_file_list_free(old);
}

void mca_base_file_release(void)
{
    for (int kind = 0; kind < MCA_BASE_FILE_KINDS; kind++) {
        mca_base_file_use((mca_base_file_kind_t) kind, NULL);
    }
}

const mca_base_file_setting_t *mca_base_file_find(mca_base_file_kind_t kind, const char *name)
{
    const mca_base_file_list_t *list = atomic_load_explicit(&in_use[kind], memory_order_acquire);
    const mca_base_file_setting_t *found = NULL;
    for (size_t i = 0; list != NULL && i < list->count && found == NULL; i++) {
        found = mca_base_file_table_find(&list->files[i]->settings, name);
    }
    return found;
}

const mca_base_file_setting_t *mca_base_file_get(mca_base_file_kind_t kind, size_t index)
{
    const mca_base_file_list_t *list = atomic_load_explicit(&in_use[kind], memory_order_acquire);
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        const mca_base_file_table_t *table = &list->files[i]->settings;
        if (index < table->count) {
            return &table->all[index];
        }
        index -= table->count;
    }
    return NULL;
}
