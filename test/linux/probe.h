/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens the variants of got_probe.c, which are modules of the build tree. */
#ifndef TEST_LINUX_PROBE_H
#define TEST_LINUX_PROBE_H

#include <check.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

typedef struct probe_t {
    void *handle;
    pid_t (*call)(void);
    void *(*malloc)(size_t size);
    void (*free)(void *block);
    int (*munmap)(void *addr, size_t length);
    pid_t (*(*table)(void) )(void);
} probe_t;

static inline void probe_path(const char *name, char *path, size_t size)
{
    const char *top = getenv("top_builddir");

    snprintf(path, size, "%s/test/linux/.libs/got_probe_%s.so", top != NULL ? top : ".", name);
}

static inline void probe_find(probe_t *probe)
{
    *(void **) &probe->call = dlsym(probe->handle, "probe_call");
    *(void **) &probe->malloc = dlsym(probe->handle, "probe_malloc");
    *(void **) &probe->free = dlsym(probe->handle, "probe_free");
    *(void **) &probe->munmap = dlsym(probe->handle, "probe_munmap");
    *(void **) &probe->table = dlsym(probe->handle, "probe_table");
}

/* The variant that has this name: "lazy", "now", "own". */
static inline probe_t probe_open(const char *name, int flags)
{
    probe_t probe;
    char path[4096];

    probe_path(name, path, sizeof(path));
    probe.handle = dlopen(path, flags);
    ck_assert_msg(probe.handle != NULL, "%s", dlerror());
    probe_find(&probe);
    return probe;
}

#endif
