/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds monitors: the two that are built in, those that come with the program
 * (coverage_NAME.so beside it or in the folder where they are installed), and
 * files of the user. */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/coverage/coverage.h"

#define NAME_MAX_LENGTH 200

/* Seen from the program. In the build tree libtool keeps program and shared objects in .libs, or the program above
 * it; an installation may have been moved. */
static const char *const beside[] = { "", ".libs/", "../lib/opalmem/coverage/", NULL };

static bool exists(const char *path)
{
    return access(path, R_OK) == 0;
}

/* The folder of the program, with its slash. */
static bool program_folder(char *folder, size_t size)
{
    const ssize_t length = readlink("/proc/self/exe", folder, size - 1);

    if (length <= 0) {
        return false;
    }
    folder[length] = '\0';
    strrchr(folder, '/')[1] = '\0';
    return true;
}

bool coverage_find_file(const char *name, char *path, size_t size)
{
    char folder[PATH_MAX];

    for (int i = 0; program_folder(folder, sizeof(folder)) && beside[i] != NULL; i++) {
        if ((size_t) snprintf(path, size, "%s%s%s", folder, beside[i], name) < size && exists(path)) {
            return true;
        }
    }
    return (size_t) snprintf(path, size, "%s/coverage/%s", OPALMEM_COMPONENTDIR, name) < size && exists(path);
}

/* Splits NAME:MODE; a colon before a slash is a part of the path. */
static bool split(const char *text, char *name, size_t size, const char **mode)
{
    const char *colon = strrchr(text, ':');
    size_t length = strlen(text);

    *mode = "";
    if (colon != NULL && strchr(colon, '/') == NULL) {
        *mode = colon + 1;
        length = (size_t) (colon - text);
    }
    if (length == 0 || length >= size) {
        return false;
    }
    memcpy(name, text, length);
    name[length] = '\0';
    return true;
}

static const coverage_monitor_t *built_in(const char *name)
{
    static const coverage_monitor_t *const monitors[] = { &coverage_monitor_opalmem, &coverage_monitor_none };

    for (size_t i = 0; i < sizeof(monitors) / sizeof(monitors[0]); i++) {
        if (strcmp(monitors[i]->name, name) == 0) {
            return monitors[i];
        }
    }
    return NULL;
}

static const coverage_monitor_t *load(const char *path, char *reason, size_t size)
{
    const coverage_monitor_t *monitor;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL) {
        snprintf(reason, size, "%s", dlerror());
        return NULL;
    }
    monitor = dlsym(handle, "coverage_monitor");
    if (monitor == NULL) {
        snprintf(reason, size, "%s has no coverage_monitor", path);
    } else if (monitor->version != COVERAGE_MONITOR_VERSION) {
        snprintf(reason, size, "%s is for version %u of the interface, not %d", path, monitor->version,
                 COVERAGE_MONITOR_VERSION);
    } else {
        return monitor;
    }
    dlclose(handle);
    return NULL;
}

/* A path without a slash means a file here, not one that ld.so would find. */
static bool file_of(const char *name, char *path, size_t size)
{
    char file[NAME_MAX_LENGTH + 20];

    if (strchr(name, '/') != NULL) {
        return (size_t) snprintf(path, size, "%s", name) < size;
    }
    if (strstr(name, ".so") != NULL) {
        return (size_t) snprintf(path, size, "./%s", name) < size;
    }
    snprintf(file, sizeof(file), "coverage_%s.so", name);
    return coverage_find_file(file, path, size);
}

const coverage_monitor_t *coverage_monitor_find(const char *text, const char **mode, char *reason, size_t size)
{
    char name[NAME_MAX_LENGTH], path[PATH_MAX];
    const coverage_monitor_t *monitor;

    if (!split(text, name, sizeof(name), mode)) {
        snprintf(reason, size, "no name of a monitor");
        return NULL;
    }
    monitor = built_in(name);
    if (monitor != NULL) {
        return monitor;
    }
    if (!file_of(name, path, sizeof(path))) {
        snprintf(reason, size, "there is no monitor of this name");
        return NULL;
    }
    return load(path, reason, size);
}

bool coverage_monitor_exists(const char *text)
{
    char name[NAME_MAX_LENGTH], path[PATH_MAX];
    const char *mode;

    return split(text, name, sizeof(name), &mode)
           && (built_in(name) != NULL || (file_of(name, path, sizeof(path)) && exists(path)));
}

bool coverage_monitor_is_own(const char *name)
{
    return strcmp(name, coverage_monitor_opalmem.name) == 0;
}
