/* SPDX-License-Identifier: BSD-3-Clause */
/* Loading with libltdl.
 *
 * libltdl opens with RTLD_LAZY and cannot be told otherwise; what it can be
 * told is RTLD_LOCAL (lt_dladvise_local), so that two components may use one
 * name. The DSOs of this project are linked with -z now: of those the loader
 * resolves every symbol at once, and a missing one is an error here and not
 * a crash later. libltdl is not thread-safe; the init lock is around all of it. */
#include <dlfcn.h>
#include <ltdl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_repository.h"

const bool mca_base_loader_works = true;

/* A DSO that is loaded. */
typedef struct loaded_t {
    lt_dlhandle handle;
    bool kept;
    char *path;
    struct loaded_t *next; /* Of the kept ones. */
} loaded_t;

/* All under the init lock. The kept ones are remembered across finalize and init: opened a second time,
 * libltdl would make a new handle for each, and leak the old one in lt_dlexit(). */
static loaded_t *kept_ones;
static bool started;

static bool start_loader(char *cause, size_t size)
{
    if (!started && lt_dlinit() != 0) {
        snprintf(cause, size, "libltdl does not start: %s", lt_dlerror());
        return false;
    }
    started = true;
    return true;
}

/* With kept DSOs, the loader stays as well: they need it. */
void mca_base_loader_stop(void)
{
    if (started && kept_ones == NULL) {
        lt_dlexit();
        started = false;
    }
}

static lt_dlhandle open_local(const char *path)
{
    lt_dladvise advise;
    if (lt_dladvise_init(&advise) != 0) {
        return NULL;
    }
    lt_dlhandle handle = NULL;
    if (lt_dladvise_local(&advise) == 0) {
        handle = lt_dlopenadvise(path, advise);
    }
    lt_dladvise_destroy(&advise);
    return handle;
}

/* libltdl tries several loaders and reports what the last one said, "file not found" as a rule. Asking
 * dlopen() once more gives the real cause. If it works all at once, the trouble is libltdl's own. */
static void explain(const char *path, char *cause, size_t size)
{
    const char *libltdl_says = lt_dlerror();
    void *again = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (again != NULL) {
        dlclose(again);
        snprintf(cause, size, "libltdl cannot load it: %s",
                 libltdl_says != NULL ? libltdl_says : "no reason given");
        return;
    }
    const char *loader_says = dlerror();
    size_t length = strlen(path);
    /* "PATH: cause": the caller names the file itself. */
    if (loader_says != NULL && strncmp(loader_says, path, length) == 0 && loader_says[length] == ':') {
        loader_says += length + 1 + strspn(loader_says + length + 1, " ");
    }
    snprintf(cause, size, "%s", loader_says != NULL ? loader_says : "it cannot be loaded");
}

static loaded_t *find_kept(const char *path)
{
    loaded_t *loaded = kept_ones;
    while (loaded != NULL && strcmp(loaded->path, path) != 0) {
        loaded = loaded->next;
    }
    return loaded;
}

static void free_loaded(loaded_t *loaded)
{
    if (loaded != NULL) {
        free(loaded->path);
        free(loaded);
    }
}

static loaded_t *new_loaded(const char *path)
{
    loaded_t *loaded = calloc(1, sizeof *loaded);
    if (loaded != NULL) {
        loaded->path = strdup(path);
    }
    if (loaded == NULL || loaded->path == NULL) {
        free_loaded(loaded);
        return NULL;
    }
    return loaded;
}

int mca_base_loader_open(const char *path, void **handle, char *cause, size_t size)
{
    loaded_t *loaded = find_kept(path);
    if (loaded != NULL) {
        *handle = loaded;
        return OPAL_SUCCESS;
    }
    if (!start_loader(cause, size)) {
        return OPAL_ERR_NOT_AVAILABLE;
    }
    loaded = new_loaded(path);
    if (loaded == NULL) {
        snprintf(cause, size, "no memory");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    loaded->handle = open_local(path);
    if (loaded->handle == NULL) {
        explain(path, cause, size);
        free_loaded(loaded);
        return OPAL_ERR_NOT_AVAILABLE;
    }
    *handle = loaded;
    return OPAL_SUCCESS;
}

void *mca_base_loader_symbol(void *handle, const char *name)
{
    const loaded_t *loaded = handle;
    return lt_dlsym(loaded->handle, name);
}

/* Not RTLD_DEFAULT: that looks also into what this library alone can see. */
void *mca_base_loader_global_symbol(const char *name)
{
    void *program = dlopen(NULL, RTLD_LAZY);
    if (program == NULL) {
        return NULL;
    }
    void *address = dlsym(program, name);
    dlclose(program);
    return address;
}

void mca_base_loader_keep(void *handle)
{
    loaded_t *loaded = handle;
    if (loaded->kept) {
        return;
    }
    lt_dlmakeresident(loaded->handle);
    loaded->kept = true;
    loaded->next = kept_ones;
    kept_ones = loaded;
}

bool mca_base_loader_close(void *handle)
{
    loaded_t *loaded = handle;
    if (loaded->kept) {
        return false;
    }
    if (lt_dlclose(loaded->handle) != 0) {
        mca_base_log(MCA_BASE_LOG_INFO, "%s cannot be unloaded: %s", loaded->path, lt_dlerror());
    }
    free_loaded(loaded);
    return true;
}
