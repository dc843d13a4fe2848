/* SPDX-License-Identifier: BSD-3-Clause */
/* The directories that component DSOs are looked for in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_open.h"
#include "framework/base/mca_base_repository.h"

#define CAUSE_MAX 256

/* The usable ones in their order. Under the init lock. */
static mca_base_directory_t *directories;
static size_t directory_count;

static bool is_listed(const mca_base_directory_t *directory)
{
    for (size_t i = 0; i < directory_count; i++) {
        if (directories[i].device == directory->device && directories[i].inode == directory->inode) {
            return true;
        }
    }
    return false;
}

/* Takes over the path. */
static void add_directory(mca_base_directory_t directory)
{
    char cause[CAUSE_MAX];
    bool missing;
    bool usable = mca_base_directory_is_usable(&directory, cause, sizeof cause, &missing);
    if (usable && !is_listed(&directory)) {
        directories[directory_count++] = directory;
        return;
    }
    if (!usable && (directory.named || !missing)) {
        mca_base_log(MCA_BASE_LOG_WARN, "no components are loaded from %s (mca_base_component_path): %s",
                     directory.path, cause);
    }
    free(directory.path);
}

/* ---- Parts of the path -------------------------------------------------------------------------- */

static bool is_token(const char *start, size_t length, const char *token)
{
    return strlen(token) == length && memcmp(start, token, length) == 0;
}

/* USER_DEFAULT. Without a home there is none, which is no error; *path is NULL then. */
static int make_user_path(char **path)
{
    const char *home = mca_base_trusts_user() ? getenv("HOME") : NULL;
    *path = NULL;
    if (home == NULL || home[0] != '/') {
        return OPAL_SUCCESS;
    }
    if (asprintf(path, "%s/" MCA_BASE_USER_COMPONENTS, home) < 0) {
        *path = NULL;
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    return OPAL_SUCCESS;
}

static int add_part(const char *start, size_t length, const char *standard)
{
    mca_base_directory_t directory = { .named = false };
    if (is_token(start, length, MCA_BASE_USER_DEFAULT)) {
        int rc = make_user_path(&directory.path);
        if (rc != OPAL_SUCCESS || directory.path == NULL) {
            return rc;
        }
    } else if (is_token(start, length, MCA_BASE_SYSTEM_DEFAULT)) {
        if (standard[0] == '\0') {
            return OPAL_SUCCESS; /* An embedded copy without --with-component-dir has none. */
        }
        directory.path = strdup(standard);
    } else {
        directory.named = !is_token(start, length, standard);
        directory.path = strndup(start, length);
    }
    if (directory.path == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    add_directory(directory);
    return OPAL_SUCCESS;
}

static size_t count_colons(const char *path)
{
    size_t count = 0;
    for (; *path != '\0'; path++) {
        count += *path == ':';
    }
    return count;
}

int mca_base_repository_open(const char *path, const char *standard)
{
    if (path == NULL || path[0] == '\0' || !mca_base_loader_works) {
        return OPAL_SUCCESS;
    }
    int rc = OPAL_SUCCESS;
    directory_count = 0;
    directories = calloc(count_colons(path) + 1, sizeof *directories);
    if (directories == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    while (rc == OPAL_SUCCESS && *path != '\0') {
        size_t length = strcspn(path, ":");
        /* An empty part is not the current directory: that one may be anybody's. */
        if (length > 0) {
            rc = add_part(path, length, standard);
        }
        path += length + (path[length] == ':');
    }
    if (rc != OPAL_SUCCESS) {
        mca_base_repository_close();
    }
    return rc;
}

const mca_base_directory_t *mca_base_repository_directory(size_t index)
{
    return index < directory_count ? &directories[index] : NULL;
}

void mca_base_repository_close(void)
{
    for (size_t i = 0; i < directory_count; i++) {
        free(directories[i].path);
    }
    free(directories);
    directories = NULL;
    directory_count = 0;
    mca_base_loader_stop();
}
