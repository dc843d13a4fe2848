/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds the components of a framework, in the program and in directories of
 * DSOs, and checks that each is what its name says before anything of it is
 * called. How a DSO is loaded is not known here. */
#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "framework/base/mca_base_component.h"
#include "framework/base/mca_base_repository.h"
#include "framework/base/mca_base_static.h"

#define MCA_MAJOR 2
#define MCA_MINOR 0
#define DSO_SUFFIX ".so"
#define CAUSE_MAX 150
#define PATH_SHOWN 100 /* With the cause, less than MCA_BASE_REASON_MAX. */

/* ---- Finding ------------------------------------------------------------------------------------ */

static mca_base_component_item_t *add_item(mca_base_framework_t *framework, const char *name, size_t length)
{
    mca_base_component_item_t *item = calloc(1, sizeof *item);
    if (item == NULL) {
        return NULL;
    }
    memcpy(item->name, name, length);
    mca_base_component_item_t **link = &framework->items;
    while (*link != NULL && strcmp((*link)->name, item->name) < 0) {
        link = &(*link)->next;
    }
    item->next = *link;
    *link = item;
    return item;
}

static int add_static(mca_base_framework_t *framework, const mca_base_component_t *component)
{
    const char *name = component->mca_component_name;
    size_t length = strnlen(name, MCA_BASE_MAX_COMPONENT_NAME_LEN);
    if (mca_base_framework_find(framework, name, length) != NULL) {
        mca_base_verbose(framework, 10,
                         "component %s that the program adds is not used: there is one of that name", name);
        return OPAL_SUCCESS;
    }
    mca_base_component_item_t *item = add_item(framework, name, length);
    if (item == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    item->component = component;
    return OPAL_SUCCESS;
}

static int find_static(mca_base_framework_t *framework)
{
    const mca_base_component_t *const *list = framework->static_components;
    int rc = OPAL_SUCCESS;
    for (; list != NULL && *list != NULL && rc == OPAL_SUCCESS; list++) {
        rc = add_static(framework, *list);
    }
    const mca_base_component_t *added;
    for (size_t i = 0; rc == OPAL_SUCCESS && (added = mca_base_static_get(framework->name, i)) != NULL; i++) {
        rc = add_static(framework, added);
    }
    return rc;
}

/* The component that a file mca_<framework>_<component>.so holds; NULL for any other file. A framework's name
 * has no '_', so memory_x can only be the component x of memory. */
static const char *component_of_file(const char *file, const char *framework, size_t *length)
{
    static const char prefix[] = "mca_";
    size_t framework_length = strlen(framework);
    size_t file_length = strlen(file);
    size_t front = sizeof prefix - 1 + framework_length + 1;
    size_t back = sizeof DSO_SUFFIX - 1;
    if (file_length <= front + back || strncmp(file, prefix, sizeof prefix - 1) != 0
        || strncmp(file + sizeof prefix - 1, framework, framework_length) != 0 || file[front - 1] != '_'
        || strcmp(file + file_length - back, DSO_SUFFIX) != 0) {
        return NULL;
    }
    *length = file_length - front - back;
    bool valid = *length <= MCA_BASE_MAX_COMPONENT_NAME_LEN && strcspn(file + front, ",+^ \t\n\r\v\f") >= *length;
    return valid ? file + front : NULL;
}

/* Somebody put it there to be used: if he named the directory himself, he hears of it without asking. */
static void report_duplicate(const mca_base_framework_t *framework, const mca_base_directory_t *directory,
                             const char *file, const mca_base_component_item_t *earlier)
{
    const char *first = earlier->path != NULL ? earlier->path : "the one that is linked in";
    if (directory->named) {
        mca_base_log(
            MCA_BASE_LOG_WARN,
            "%s/%s (mca_base_component_path) is not used: of component %s of framework %s, %s comes first",
            directory->path, file, earlier->name, framework->name, first);
    } else {
        mca_base_verbose(framework, 10, "%s/%s is not used: of component %s, %s comes first", directory->path,
                         file, earlier->name, first);
    }
}

static int add_file(mca_base_framework_t *framework, const mca_base_directory_t *directory, const char *file)
{
    size_t length;
    const char *name = component_of_file(file, framework->name, &length);
    if (name == NULL) {
        return OPAL_SUCCESS;
    }
    const mca_base_component_item_t *earlier = mca_base_framework_find(framework, name, length);
    if (earlier != NULL) {
        report_duplicate(framework, directory, file, earlier);
        return OPAL_SUCCESS;
    }
    mca_base_component_item_t *item = add_item(framework, name, length);
    if (item == NULL || asprintf(&item->path, "%s/%s", directory->path, file) < 0) {
        if (item != NULL) {
            item->path = NULL;
        }
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    return OPAL_SUCCESS;
}

static int find_in_directory(mca_base_framework_t *framework, const mca_base_directory_t *directory)
{
    DIR *stream = opendir(directory->path);
    if (stream == NULL) {
        mca_base_log(MCA_BASE_LOG_WARN, "no components are loaded from %s: %s", directory->path, strerror(errno));
        return OPAL_SUCCESS;
    }
    int rc = OPAL_SUCCESS;
    const struct dirent *entry;
    while (rc == OPAL_SUCCESS && (entry = readdir(stream)) != NULL) {
        rc = add_file(framework, directory, entry->d_name);
    }
    closedir(stream);
    return rc;
}

int mca_base_repository_find(mca_base_framework_t *framework)
{
    int rc = find_static(framework);
    const mca_base_directory_t *directory;
    for (size_t i = 0; rc == OPAL_SUCCESS && (directory = mca_base_repository_directory(i)) != NULL; i++) {
        rc = find_in_directory(framework, directory);
    }
    return rc;
}

/* ---- Checking ----------------------------------------------------------------------------------- */

/* Of a long path the end is shown: the cause has to fit as well. */
static void set_reason(mca_base_component_item_t *item, const char *cause)
{
    if (item->path == NULL) {
        snprintf(item->reason, sizeof item->reason, "%s", cause);
        return;
    }
    size_t length = strlen(item->path);
    bool cut = length > PATH_SHOWN;
    snprintf(item->reason, sizeof item->reason, "%s%s: %s", cut ? "..." : "",
             item->path + (cut ? length - PATH_SHOWN : 0), cause);
}

/* Names in a component fill their array, or end with a 0. */
static bool same_name(const char *array, size_t size, const char *name)
{
    size_t length = strnlen(array, size);
    return length < size && strcmp(array, name) == 0;
}

static bool check_component(const mca_base_framework_t *framework, const char *name,
                            const mca_base_component_t *component, char *cause, size_t size)
{
    if (component->mca_major_version != MCA_MAJOR || component->mca_minor_version != MCA_MINOR) {
        snprintf(cause, size, "made for version %d.%d of the MCA, not %d.%d", component->mca_major_version,
                 component->mca_minor_version, MCA_MAJOR, MCA_MINOR);
    } else if (!same_name(component->mca_type_name, sizeof component->mca_type_name, framework->name)) {
        snprintf(cause, size, "made for framework \"%.31s\", not %s", component->mca_type_name, framework->name);
    } else if (component->mca_type_major_version != framework->version[0]
               || component->mca_type_minor_version != framework->version[1]) {
        snprintf(cause, size, "made for version %d.%d of framework %s, not %d.%d",
                 component->mca_type_major_version, component->mca_type_minor_version, framework->name,
                 framework->version[0], framework->version[1]);
    } else if (!same_name(component->mca_component_name, sizeof component->mca_component_name, name)) {
        snprintf(cause, size, "the component in it is called \"%.63s\"", component->mca_component_name);
    } else {
        return true;
    }
    return false;
}

/* The structure as the DSO defines it may be smaller than the one that will be read. Where the symbol table
 * says nothing, the versions have to do. */
static bool check_size(const mca_base_framework_t *framework, const void *component, char *cause, size_t size)
{
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    size_t needed = framework->component_size > sizeof(mca_base_component_t) ? framework->component_size
                                                                             : sizeof(mca_base_component_t);
    if (dladdr1(component, &info, (void **) (uintptr_t) &symbol, RTLD_DL_SYMENT) == 0 || symbol == NULL
        || symbol->st_size >= needed) {
        return true;
    }
    snprintf(cause, size, "its component structure has %lu bytes, not %zu", (unsigned long) symbol->st_size,
             needed);
    return false;
}

static const mca_base_component_t *find_component(const mca_base_framework_t *framework,
                                                  const mca_base_component_item_t *item, void *handle, char *cause,
                                                  size_t size)
{
    char symbol[sizeof item->name + MCA_BASE_MAX_TYPE_NAME_LEN + 32];
    snprintf(symbol, sizeof symbol, "mca_%s_%s_component", framework->name, item->name);
    const mca_base_component_t *component = mca_base_loader_symbol(handle, symbol);
    if (component == NULL) {
        snprintf(cause, size, "it has no symbol %s", symbol);
        return NULL;
    }
    bool good = check_size(framework, component, cause, size)
                && check_component(framework, item->name, component, cause, size);
    return good ? component : NULL;
}

/* A program that has this library linked in statically may load a DSO that brings the shared one: then the component
 * would speak to hooks and variables that nobody else uses. Unless the program exports its own: what the program and
 * the libraries of its start export, comes before what a DSO brings along. */
static bool check_library(void *handle, char *cause, size_t size)
{
    static const char here = 0;
    Dl_info ours, theirs;
    const char *name = OPALMEM_SYMBOL_PREFIX "mca_base_log";
    const void *function = mca_base_loader_global_symbol(name);
    if (function == NULL) {
        function = mca_base_loader_symbol(handle, name);
    }
    if (function == NULL || dladdr(function, &theirs) == 0 || dladdr(&here, &ours) == 0
        || theirs.dli_fbase == ours.dli_fbase) {
        return true;
    }
    size_t length = theirs.dli_fname != NULL ? strlen(theirs.dli_fname) : 0;
    bool cut = length > PATH_SHOWN;
    snprintf(cause, size, "it is linked with another copy of libopalmem (%s%s)", cut ? "..." : "",
             length > 0 ? theirs.dli_fname + (cut ? length - PATH_SHOWN : 0) : "unknown");
    return false;
}

static int load_dso(const mca_base_framework_t *framework, mca_base_component_item_t *item, char *cause,
                    size_t size)
{
    void *handle;
    if (!mca_base_file_is_usable(item->path, cause, size)
        || mca_base_loader_open(item->path, &handle, cause, size) != OPAL_SUCCESS) {
        return OPAL_ERR_NOT_AVAILABLE;
    }
    const mca_base_component_t *component = NULL;
    if (check_library(handle, cause, size)) {
        component = find_component(framework, item, handle, cause, size);
    }
    if (component == NULL) {
        mca_base_loader_close(handle);
        return OPAL_ERR_NOT_AVAILABLE;
    }
    if ((component->flags & MCA_BASE_COMPONENT_FLAG_RESIDENT) != 0) {
        mca_base_loader_keep(handle);
    }
    item->component = component;
    item->dl = handle;
    return OPAL_SUCCESS;
}

static int check_static(const mca_base_framework_t *framework, mca_base_component_item_t *item, char *cause,
                        size_t size)
{
    if (check_component(framework, item->name, item->component, cause, size)) {
        return OPAL_SUCCESS;
    }
    item->component = NULL;
    return OPAL_ERR_NOT_AVAILABLE;
}

int mca_base_repository_load(const mca_base_framework_t *framework, mca_base_component_item_t *item)
{
    char cause[CAUSE_MAX] = "";
    int rc = item->path != NULL ? load_dso(framework, item, cause, sizeof cause)
                                : check_static(framework, item, cause, sizeof cause);
    if (rc != OPAL_SUCCESS) {
        item->failed = true;
        set_reason(item, cause);
        return rc;
    }
    item->version[0] = item->component->mca_component_major_version;
    item->version[1] = item->component->mca_component_minor_version;
    item->version[2] = item->component->mca_component_release_version;
    return OPAL_SUCCESS;
}

void mca_base_repository_keep(mca_base_component_item_t *item)
{
    if (item->dl != NULL) {
        mca_base_loader_keep(item->dl);
    }
}

void mca_base_repository_unload(mca_base_component_item_t *item)
{
    if (mca_base_loader_close(item->dl)) {
        item->component = NULL;
    }
    item->dl = NULL;
}
