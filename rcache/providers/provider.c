/* SPDX-License-Identifier: BSD-3-Clause */
/* Providers by name. */
#include "rcache/providers/provider.h"

#include <stdio.h>
#include <string.h>

#include "opal/mca/base/base.h"

static const mca_rcache_provider_ops_t *const providers[] = {
#ifdef OPALMEM_HAVE_LIBURING
    &mca_rcache_provider_uring,
#endif
#ifdef OPALMEM_HAVE_IBVERBS
    &mca_rcache_provider_verbs,
#endif
    &mca_rcache_provider_none,
};
#define PROVIDERS (sizeof(providers) / sizeof(providers[0]))

#if defined(OPALMEM_HAVE_LIBURING) && defined(OPALMEM_HAVE_IBVERBS)
#define LEFT_OUT ""
#elif defined(OPALMEM_HAVE_LIBURING)
#define LEFT_OUT " (built without libibverbs)"
#elif defined(OPALMEM_HAVE_IBVERBS)
#define LEFT_OUT " (built without liburing)"
#else
#define LEFT_OUT " (built without liburing and libibverbs)"
#endif

static int no_such_provider(const char *name)
{
    char known[64] = "";
    for (size_t i = 0; i < PROVIDERS; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof(known) - used, "%s%s", i == 0 ? "" : ", ", providers[i]->name);
    }
    mca_base_log(MCA_BASE_LOG_ERROR, "there is no registration provider \"%s\" in this build; there are: %s%s",
                 name, known, LEFT_OUT);
    return OPAL_ERR_NOT_FOUND;
}

int mca_rcache_provider_open(const char *name, mca_rcache_provider_t **provider)
{
    for (size_t i = 0; i < PROVIDERS; i++) {
        if (strcmp(providers[i]->name, name) == 0) {
            return providers[i]->open(provider);
        }
    }
    return no_such_provider(name);
}

int mca_rcache_provider_register_variables(void)
{
    int rc = OPAL_SUCCESS;
    for (size_t i = 0; i < PROVIDERS && rc == OPAL_SUCCESS; i++) {
        if (providers[i]->register_variables != NULL) {
            rc = providers[i]->register_variables();
        }
    }
    return rc;
}

void mca_rcache_provider_close(mca_rcache_provider_t *provider)
{
    if (provider != NULL) {
        provider->ops->close(provider);
    }
}

void mca_rcache_provider_resources(mca_rcache_provider_t *provider, mca_rcache_base_resources_t *resources)
{
    memset(resources, 0, sizeof(*resources));
    resources->cache_name = provider->ops->name;
    resources->reg_data = provider;
    provider->ops->resources(provider, resources);
}
