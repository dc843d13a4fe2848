/* SPDX-License-Identifier: BSD-3-Clause */
/* The loader of a build without libltdl: there are only static components.
 * No directory is searched then, so these are never called with a file. */
#include <stdio.h>

#include "framework/base/mca_base_repository.h"

const bool mca_base_loader_works = false;

int mca_base_loader_open(const char *path, void **handle, char *cause, size_t size)
{
    (void) path;
    (void) handle;
    snprintf(cause, size, "this library was built without libltdl");
    return OPAL_ERR_NOT_AVAILABLE;
}

void *mca_base_loader_symbol(void *handle, const char *name)
{
    (void) handle;
    (void) name;
    return NULL;
}

void *mca_base_loader_global_symbol(const char *name)
{
    (void) name;
    return NULL;
}

void mca_base_loader_keep(void *handle)
{
    (void) handle;
}

bool mca_base_loader_close(void *handle)
{
    (void) handle;
    return false;
}

void mca_base_loader_stop(void)
{
}
