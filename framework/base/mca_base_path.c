/* SPDX-License-Identifier: BSD-3-Clause */
/* Owners and modes of files, and of the directories on their way. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "framework/base/mca_base_path.h"

/* Whoever may write this library needs no file to take over the process. It may be neither root nor the user:
 * sites install as a user of their own, and inside a user namespace root's files show another owner. */
static bool owns_this_library(uid_t owner)
{
    static const char here = 0;
    Dl_info info;
    struct stat status;
    return dladdr(&here, &info) != 0 && info.dli_fname != NULL && stat(info.dli_fname, &status) == 0
           && status.st_uid == owner && (status.st_mode & S_IWOTH) == 0;
}

bool mca_base_status_is_safe(const struct stat *status, char *cause, size_t size)
{
    if ((status->st_mode & S_IWOTH) != 0) {
        snprintf(cause, size, "everybody may write to it (mode %04o)", (unsigned) status->st_mode & 07777);
        return false;
    }
    uid_t owner = status->st_uid;
    if (owner != 0 && owner != geteuid() && !owns_this_library(owner)) {
        snprintf(cause, size, "it belongs to user %lu, which is neither root nor you", (unsigned long) owner);
        return false;
    }
    return true;
}

/* The owner of such a directory is not looked at: in a container / belongs to nobody that is known inside. In
 * one with the sticky bit (/tmp) only the owner of a file can replace it. */
static bool directory_keeps_its_entries(const char *directory, char *cause, size_t size)
{
    struct stat status;
    if (stat(directory, &status) != 0) {
        snprintf(cause, size, "%s: %s", directory, strerror(errno));
        return false;
    }
    if ((status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
        snprintf(cause, size, "everybody may write to the directory %s (mode %04o)", directory,
                 (unsigned) status.st_mode & 07777);
        return false;
    }
    return true;
}

/* Shortens path, which is absolute and without links, up to the root. */
static bool parents_are_safe(char *path, char *cause, size_t size)
{
    for (char *slash = strrchr(path, '/'); slash != NULL; slash = strrchr(path, '/')) {
        *slash = '\0';
        if (!directory_keeps_its_entries(slash == path ? "/" : path, cause, size)) {
            return false;
        }
    }
    return true;
}

bool mca_base_path_is_safe(const char *path, char *cause, size_t size)
{
    struct stat status;
    char *real = realpath(path, NULL);
    if (real == NULL || stat(real, &status) != 0) {
        int error = errno;
        snprintf(cause, size, "%s", strerror(error));
        free(real);
        errno = error;
        return false;
    }
    bool safe = mca_base_status_is_safe(&status, cause, size);
    errno = 0; /* Looking for the owner may have left something. */
    safe = safe && parents_are_safe(real, cause, size);
    int error = errno;
    free(real);
    errno = error;
    return safe;
}
