/* SPDX-License-Identifier: BSD-3-Clause */
/* What the memory cgroup of this process allows, in the hierarchy that has the memory controller: version 2, or 1. Which cgroup that
 * is says /proc/self/cgroup; where it can be seen says /proc/self/mountinfo (proc(5), cgroups(7)). In a container that may be a part
 * of the tree only. Not from hook context. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rcache/base/rcache_limits.h"

typedef struct hierarchy_t {
    const char *type;       /* Of its mounts. */
    const char *controller; /* In their options, and in the membership; "": none is named there. */
    const char *limit;      /* File in each cgroup. */
    const char
        *inherits; /* Likewise: "0" where a cgroup's limit does not bind those below; NULL: it always does. */
    unsigned long long unlimited; /* That much or more is no limit. */
} hierarchy_t;

static const hierarchy_t hierarchies[] = {
    { "cgroup2", "", "memory.max", NULL, SIZE_MAX },
    /* The kernel's greatest value, in whole pages, which may have 64 KiB. */
    { "cgroup", "memory", "memory.limit_in_bytes", "memory.use_hierarchy", INT64_MAX & ~INT64_C(0xffff) },
};

/* ---- Files ---------------------------------------------------------------------------------------- */

/* By system calls: who interposes libc's functions looks at what the program reads. */
static long open_file(const char *path)
{
    return syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

static size_t read_up_to(int fd, char *text, size_t size)
{
    size_t used = 0;
    long got;

    do {
        got = syscall(SYS_read, fd, text + used, size - used);
        used += got > 0 ? (size_t) got : 0;
    } while (used < size && (got > 0 || (got < 0 && errno == EINTR)));
    return used;
}

/* @return All of it, the caller's; NULL: it cannot be read, or there is no memory. */
static char *read_all(const char *path)
{
    const long fd = open_file(path);
    size_t size = 4096, used = 0;
    char *text = fd >= 0 ? malloc(size) : NULL;

    while (text != NULL && (used += read_up_to((int) fd, text + used, size - used)) == size) {
        char *larger = realloc(text, size * 2);
        if (larger == NULL) {
            free(text);
        }
        text = larger;
        size *= 2;
    }
    if (fd >= 0) {
        syscall(SYS_close, (int) fd);
    }
    if (text != NULL) {
        text[used] = '\0';
    }
    return text;
}

/* A small file in a cgroup. @return false: it is not there, as in a root. */
static bool read_value(const char *folder, const char *file, char *text, size_t size)
{
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof(path), "%s/%s", folder, file);
    const long fd = length < 0 || (size_t) length >= sizeof(path) ? -1 : open_file(path);

    if (fd < 0) {
        return false;
    }
    text[read_up_to((int) fd, text, size - 1)] = '\0';
    syscall(SYS_close, (int) fd);
    return text[0] != '\0';
}

/* ---- One cgroup, and those above ---------------------------------------------------------------------- */

/* 0: none. */
static size_t limit_in(const char *folder, const hierarchy_t *hierarchy)
{
    char text[32], *end;

    if (!read_value(folder, hierarchy->limit, text, sizeof(text))) {
        return 0;
    }
    const unsigned long long max = strtoull(text, &end, 10);
    return end != text && max < hierarchy->unlimited ? (max != 0 ? (size_t) max : 1) : 0; /* "max": no limit. */
}

static bool binds_those_below(const char *folder, const hierarchy_t *hierarchy)
{
    char text[8];

    return hierarchy->inherits == NULL || !read_value(folder, hierarchy->inherits, text, sizeof(text))
           || text[0] != '0';
}

static size_t least(size_t a, size_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Up to the folder that has only root_length bytes. */
static size_t least_up(char *folder, size_t root_length, const hierarchy_t *hierarchy)
{
    size_t max = limit_in(folder, hierarchy);

    for (char *slash; (slash = strrchr(folder, '/')) != NULL && slash >= folder + root_length;) {
        *slash = '\0';
        if (!binds_those_below(folder, hierarchy)) {
            break;
        }
        max = least(max, limit_in(folder, hierarchy));
    }
    return max;
}

/* ---- Where it is ------------------------------------------------------------------------------------- */

/* Is the word one of a list with commas? */
static bool has_word(const char *list, const char *word)
{
    const size_t length = strlen(word);

    for (; list != NULL; list = strchr(list, ',') != NULL ? strchr(list, ',') + 1 : NULL) {
        if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Lines are NUMBER:CONTROLLERS:PATH; of version 2 no controller is named. */
static const char *path_in(char *text, const hierarchy_t *hierarchy)
{
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL;) {
        char *path = line;
        strsep(&path, ":");
        const char *controllers = strsep(&path, ":");

        if (path != NULL && path[0] == '/'
            && (hierarchy->controller[0] == '\0' ? controllers[0] == '\0'
                                                 : has_word(controllers, hierarchy->controller))) {
            return path;
        }
    }
    return NULL;
}

/* The kernel writes blanks and backslashes as \ooo. */
static void unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7'
            && from[3] >= '0' && from[3] <= '7') {
            *to = (char) ((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

typedef struct mount_t {
    char *root;  /* The cgroup that can be seen there. */
    char *point; /* Where. */
} mount_t;

/* ID PARENT DEVICE ROOT POINT OPTIONS [TAGS...] - TYPE SOURCE SUPER-OPTIONS. @return false: it is no mount of these. */
static bool parse_mount(char *line, const hierarchy_t *hierarchy, mount_t *mount)
{
    char *tail = strstr(line, " - ");

    if (tail == NULL) {
        return false;
    }
    *tail = '\0';
    tail += 3;
    const char *type = strsep(&tail, " ");
    strsep(&tail, " ");
    if (tail == NULL || strcmp(type, hierarchy->type) != 0
        || (hierarchy->controller[0] != '\0' && !has_word(tail, hierarchy->controller))) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        strsep(&line, " ");
    }
    mount->root = strsep(&line, " ");
    mount->point = strsep(&line, " ");
    if (mount->point == NULL) {
        return false;
    }
    unescape(mount->root);
    unescape(mount->point);
    return true;
}

/* The path below the mount's root; NULL: it cannot be seen there. */
static const char *below(const char *path, const char *root)
{
    const size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);

    return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0') ? path + length
                                                                                             : NULL;
}

static size_t limit_at(const mount_t *mount, const char *path, const hierarchy_t *hierarchy)
{
    char folder[PATH_MAX];
    const char *rest = below(path, mount->root);
    const int length =
        rest == NULL ? -1
                     : snprintf(folder, sizeof(folder), "%s%s", mount->point, strcmp(rest, "/") == 0 ? "" : rest);

    return length < 0 || (size_t) length >= sizeof(folder) ? 0 : least_up(folder, strlen(mount->point), hierarchy);
}

/* Several mounts may show the same, or parts of it. */
static size_t limit_of(const char *path, char *mounts, const hierarchy_t *hierarchy)
{
    size_t max = 0;
    mount_t mount;

    for (char *rest = mounts, *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (parse_mount(line, hierarchy, &mount)) {
            max = least(max, limit_at(&mount, path, hierarchy));
        }
    }
    return max;
}

size_t mca_rcache_limits_cgroup(const char *membership, const char *mountinfo)
{
    size_t max = 0;

    for (size_t i = 0; i < sizeof(hierarchies) / sizeof(hierarchies[0]); i++) {
        char *memberships = read_all(membership), *mounts = read_all(mountinfo); /* Each look takes them apart. */
        const char *path = memberships != NULL ? path_in(memberships, &hierarchies[i]) : NULL;

        if (path != NULL && mounts != NULL) {
            max = least(max, limit_of(path, mounts, &hierarchies[i]));
        }
        free(memberships);
        free(mounts);
    }
    return max;
}
