/* SPDX-License-Identifier: BSD-3-Clause */
/* An rcache component that registers nothing, built into the test and, with
 * and without faults, as DSOs. FAKE is its name; the others say what is
 * different:
 *
 *   FAKE_END    the module structure ends before this member
 *   FAKE_LONG   the module structure has a member more
 *   FAKE_EMPTY  a required function is missing
 *   FAKE_HOOK   leaves a release callback behind
 *   FAKE_ABSENT cannot run, and says why */
#include "test/rcache/fake_rcache.h"

#include <stdlib.h>
#include <string.h>

#ifndef FAKE
#define FAKE fake
#endif
#ifndef FAKE_PRIORITY
#define FAKE_PRIORITY 10
#endif
#define COMPONENT_OF(name) mca_rcache_##name##_component
#define COMPONENT(name) COMPONENT_OF(name)
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

typedef struct module_t {
    mca_rcache_base_module_t super;
    uint64_t more; /* Of FAKE_LONG. */
    fake_rcache_t *seen;
} module_t;

static int register_nothing(mca_rcache_base_module_t *rcache, void *addr, size_t size, uint32_t flags,
                            int32_t access_flags, mca_rcache_base_registration_t **reg)
{
    (void) rcache, (void) addr, (void) size, (void) flags, (void) access_flags, (void) reg;
    return OPAL_ERR_NOT_SUPPORTED;
}

static int deregister_nothing(mca_rcache_base_module_t *rcache, mca_rcache_base_registration_t *reg)
{
    (void) reg;
    ((module_t *) rcache)->seen->deregistered++;
    return OPAL_SUCCESS;
}

static int find_nothing(mca_rcache_base_module_t *rcache, void *addr, size_t size,
                        mca_rcache_base_registration_t **reg)
{
    (void) rcache, (void) addr, (void) size;
    *reg = NULL;
    return OPAL_ERR_NOT_FOUND;
}

static int invalidate(mca_rcache_base_module_t *rcache, void *addr, size_t size)
{
    fake_rcache_t *seen = ((module_t *) rcache)->seen;
    seen->invalidated++;
    seen->addr = addr;
    seen->size = size;
    return OPAL_SUCCESS;
}

/* Stays usable by those who still call it, if it is told to: as a cache with references out would. */
static int finalize(mca_rcache_base_module_t *rcache)
{
    fake_rcache_t *seen = ((module_t *) rcache)->seen;
    int rc = seen->finalize_with;
    seen->finalized++;
    if (rc == OPAL_SUCCESS) {
        free(rcache);
    }
    return rc;
}

static void progress(mca_rcache_base_module_t *rcache)
{
    ((module_t *) rcache)->seen->progressed++;
}

static void stop(mca_rcache_base_module_t *rcache)
{
    ((module_t *) rcache)->seen->stopped++;
}

static void reset_child(mca_rcache_base_module_t *rcache)
{
    ((module_t *) rcache)->seen->reset++;
}

static const mca_rcache_base_module_t whole = {
    .component_name = TEXT(FAKE),
    .rcache_register = register_nothing,
    .rcache_deregister = deregister_nothing,
    .rcache_find = find_nothing,
    .rcache_invalidate_range = invalidate,
    .rcache_finalize = finalize,
    .rcache_progress = progress,
    .rcache_stop = stop,
    .rcache_reset_child = reset_child,
};

#if defined(FAKE_END)
static const size_t struct_size = offsetof(mca_rcache_base_module_t, FAKE_END);
#elif defined(FAKE_LONG)
static const size_t struct_size = sizeof(mca_rcache_base_module_t) + sizeof(uint64_t);
#else
static const size_t struct_size = sizeof(mca_rcache_base_module_t);
#endif

#ifdef FAKE_HOOK
static void released(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
}
#endif

static int init(const mca_rcache_base_resources_t *resources, void *user_data, bool caching,
                mca_rcache_base_module_t **out_module)
{
    fake_rcache_t *seen = user_data;
    if (seen == NULL || seen->init_with != OPAL_SUCCESS) {
        return seen == NULL ? OPAL_ERR_NOT_AVAILABLE : seen->init_with;
    }
    module_t *module = calloc(1, sizeof(*module));
    if (module == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    memcpy(&module->super, &whole, struct_size < sizeof(whole) ? struct_size : sizeof(whole));
#ifdef FAKE_END
    module->super.rcache_progress = NULL;
    /* Behind its end, the structure holds whatever the component keeps there. */
    memset((char *) &module->super + struct_size, 0x5a, sizeof(whole) - struct_size);
#endif
#ifdef FAKE_EMPTY
    module->super.rcache_finalize = NULL;
#endif
    module->super.struct_size = struct_size;
    module->seen = seen;
    seen->created++;
    seen->last = module;
    seen->caching = caching;
    seen->resources = *resources;
    strncpy(seen->cache_name, resources->cache_name, sizeof(seen->cache_name) - 1);
#ifdef FAKE_HOOK
    opal_mem_hooks_register_release(released, NULL);
#endif
    *out_module = &module->super;
    return OPAL_SUCCESS;
}

static int query(mca_base_module_t **module, int *priority)
{
    *module = NULL;
    *priority = FAKE_PRIORITY;
#ifdef FAKE_ABSENT
    mca_base_component_set_reason("there is no device /dev/fake");
    return OPAL_ERR_NOT_AVAILABLE;
#else
    return OPAL_SUCCESS;
#endif
}

OPAL_DECLSPEC extern const mca_rcache_base_component_t COMPONENT(FAKE);
const mca_rcache_base_component_t COMPONENT(FAKE) = {
    .rcache_version = {
        MCA_RCACHE_BASE_VERSION_2_0_0,
        .mca_component_name = TEXT(FAKE),
        .mca_component_major_version = 1,
        .mca_query_component = query,
    },
    .rcache_init = init,
};
