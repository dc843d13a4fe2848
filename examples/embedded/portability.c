/* SPDX-License-Identifier: BSD-3-Clause */
/* The portability layer of a runtime, with opalmem inside. */
#include "myruntime.h"

#include <opal/mca/rcache/provider.h>
#include <opal/opalmem.h>
#include <stdatomic.h>

static mca_rcache_provider_t *provider;
static mca_rcache_base_module_t *cache;
static atomic_ulong releases;

static void released(void *buffer, size_t length, void *arg, bool from_alloc)
{
    (void) buffer, (void) length, (void) arg, (void) from_alloc;
    atomic_fetch_add(&releases, 1); /* No malloc, no stdio, no waiting. */
}

/* A real runtime describes its own device in the resources, in place of the provider "none". */
static int make_cache(void)
{
    mca_rcache_base_resources_t resources = { 0 };
    int rc = mca_rcache_provider_open("none", &provider);

    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    mca_rcache_provider_resources(provider, &resources);
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    if (cache == NULL) {
        mca_rcache_provider_close(provider);
        return OPAL_ERROR;
    }
    return OPAL_SUCCESS;
}

int myruntime_init(int *argc, char ***argv)
{
    int rc = opalmem_init(argc, argv);

    if (rc != OPAL_SUCCESS) {
        return rc;
    }
    rc = make_cache();
    if (rc == OPAL_SUCCESS) {
        rc = opal_mem_hooks_register_release(released, NULL);
        if (rc == OPAL_ERR_NOT_SUPPORTED) {
            rc = OPAL_SUCCESS; /* Nothing is noticed on this machine, and the cache keeps nothing. */
        }
        if (rc == OPAL_SUCCESS) {
            return rc;
        }
        mca_rcache_base_module_destroy(cache);
        mca_rcache_provider_close(provider);
    }
    opalmem_finalize();
    return rc;
}

int myruntime_finalize(void)
{
    int rc = mca_rcache_base_module_destroy(cache);
    int finalized;

    mca_rcache_provider_close(provider);
    opal_mem_hooks_unregister_release(released);
    finalized = opalmem_finalize();
    return rc != OPAL_SUCCESS ? rc : finalized;
}

int myruntime_send(void *buffer, size_t size)
{
    mca_rcache_base_registration_t *reg;
    int rc = mca_rcache_base_register(cache, buffer, size, 0, MCA_RCACHE_ACCESS_REMOTE_READ, &reg);

    /* Here the device would read from the memory. */
    return rc == OPAL_SUCCESS ? mca_rcache_base_deregister(cache, reg) : rc;
}

bool myruntime_holds(void *buffer, size_t size)
{
    mca_rcache_base_registration_t *reg = NULL;

    if (cache->rcache_find(cache, buffer, size, &reg) != OPAL_SUCCESS || reg == NULL) {
        return false;
    }
    mca_rcache_base_deregister(cache, reg);
    return true;
}

unsigned long myruntime_releases(void)
{
    return atomic_load(&releases);
}

bool myruntime_caches(void)
{
    return mca_rcache_base_is_caching(cache);
}
