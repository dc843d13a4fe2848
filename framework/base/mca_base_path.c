/* SPDX-License-Identifier: BSD-3-Clause */
/* Owners and modes of files, and of the directories on their way. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "framework/base/mca_base_path.h"

#define LINKS_MAX 40 /* As many as the kernel follows. */

/* Not what dladdr() says: of the program itself it repeats argv[0], which whoever starts it chooses. NULL: not known. */
static const char *path_of_this_library(void)
{
    static const char here = 0;
    Dl_info info;
    struct link_map *map = NULL;
    if (dladdr1(&here, &info, (void **) &map, RTLD_DL_LINKMAP) == 0 || map == NULL) {
        return NULL;
    }
    if (map->l_name[0] == '\0') {
        return "/proc/self/exe";
    }
    return map->l_name[0] == '/' ? map->l_name : NULL;
}

/* Whoever may write this library needs no file to take over the process. It may be neither root nor the user:
 * sites install as a user of their own, and inside a user namespace root's files show another owner. */
static bool owns_this_library(uid_t owner)
{
    const char *path = path_of_this_library();
    struct stat status;
    return path != NULL && stat(path, &status) == 0 && status.st_uid == owner && (status.st_mode & S_IWOTH) == 0;
}

static bool owner_is_trusted(uid_t owner)
{
    return owner == 0 || owner == geteuid() || owns_this_library(owner);
}

bool mca_base_status_is_safe(const struct stat *status, char *cause, size_t size)
{
    if ((status->st_mode & S_IWOTH) != 0) {
        snprintf(cause, size, "everybody may write to it (mode %04o)", (unsigned) status->st_mode & 07777);
        return false;
    }
    if (!owner_is_trusted(status->st_uid)) {
        snprintf(cause, size, "it belongs to user %lu, which is neither root nor you",
                 (unsigned long) status->st_uid);
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

/* ---- Symbolic links ------------------------------------------------------------------------------ */

/* The directory of a path that is not "/"; the caller's, or NULL with errno. */
static char *real_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return realpath(".", NULL);
    }
    char *parent = strndup(path, slash == path ? 1 : (size_t) (slash - path));
    char *real = parent != NULL ? realpath(parent, NULL) : NULL;
    free(parent);
    return real;
}

/* Can nobody put another link in its place? In a sticky directory its owner can. */
static bool link_stays(const char *directory, const struct stat *link, char *cause, size_t size)
{
    struct stat status;
    if (stat(directory, &status) == 0 && (status.st_mode & S_IWOTH) != 0 && !owner_is_trusted(link->st_uid)) {
        snprintf(cause, size, "a symbolic link in %s belongs to user %lu, which is neither root nor you",
                 directory, (unsigned long) link->st_uid);
        return false;
    }
    char inside[PATH_MAX + 2];
    snprintf(inside, sizeof inside, "%s/", directory);
    return parents_are_safe(inside, cause, size);
}

static bool links_are_safe(const char *path, unsigned depth, char *cause, size_t size);

/* The link, and those on the way to its target. What cannot be followed by name (in /proc) was opened by us. */
static bool link_is_safe(const char *path, const struct stat *link, unsigned depth, char *cause, size_t size)
{
    char target[PATH_MAX];
    ssize_t length = readlink(path, target, sizeof target - 1);
    char *directory = real_directory(path), *next = NULL;
    bool safe = directory != NULL && length > 0 && link_stays(directory, link, cause, size);
    if (safe) {
        target[length] = '\0';
        safe =
            asprintf(&next, "%s%s%s", target[0] == '/' ? "" : directory, target[0] == '/' ? "" : "/", target) >= 0
            && links_are_safe(next, depth + 1, cause, size);
    }
    free(next);
    free(directory);
    return safe;
}

/* Each part of a path that exists. The kernel has followed it already, so there is no circle but one made since. */
static bool links_are_safe(const char *path, unsigned depth, char *cause, size_t size)
{
    char *part = strdup(path);
    bool safe = part != NULL && depth <= LINKS_MAX;
    for (char *end = part; safe && *end != '\0';) {
        end += strspn(end, "/");
        end += strcspn(end, "/");
        char stop = *end;
        struct stat status;
        *end = '\0';
        if (lstat(part, &status) == 0 && S_ISLNK(status.st_mode)) {
            safe = link_is_safe(part, &status, depth, cause, size);
        }
        *end = stop;
    }
    free(part);
    return safe;
}

static bool all_links_are_safe(const char *path, char *cause, size_t size)
{
    snprintf(cause, size, "its symbolic links cannot be followed");
    bool safe = links_are_safe(path, 0, cause, size);
    errno = 0; /* realpath() leaves something. */
    return safe;
}

/* ---- All ----------------------------------------------------------------------------------------- */

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
    safe = safe && parents_are_safe(real, cause, size) && all_links_are_safe(path, cause, size);
    int error = errno;
    free(real);
    errno = error;
    return safe;
}
