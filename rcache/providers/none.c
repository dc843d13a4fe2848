/* SPDX-License-Identifier: BSD-3-Clause */
/* Provider none: registers nothing and always succeeds. */
#include "rcache/providers/provider.h"

static mca_rcache_provider_t the_provider = { &mca_rcache_provider_none };

static int open_none(mca_rcache_provider_t **provider)
{
    *provider = &the_provider;
    return OPAL_SUCCESS;
}

static void close_none(mca_rcache_provider_t *provider)
{
    (void) provider;
}

static int register_mem(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    (void) reg_data, (void) base, (void) size, (void) reg;
    return OPAL_SUCCESS;
}

static int deregister_mem(void *reg_data, mca_rcache_base_registration_t *reg)
{
    (void) reg_data, (void) reg;
    return OPAL_SUCCESS;
}

static void resources(mca_rcache_provider_t *provider, mca_rcache_base_resources_t *resources)
{
    (void) provider;
    resources->sizeof_reg = sizeof(mca_rcache_base_registration_t);
    resources->register_mem = register_mem;
    resources->deregister_mem = deregister_mem;
    resources->flags = MCA_RCACHE_RESOURCES_HOOK_SAFE;
}

const mca_rcache_provider_ops_t mca_rcache_provider_none = {
    .name = "none",
    .open = open_none,
    .close = close_none,
    .resources = resources,
};
