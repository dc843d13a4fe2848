/* SPDX-License-Identifier: BSD-3-Clause */
/* What a registration provider is, inside the library. */
#ifndef RCACHE_PROVIDERS_PROVIDER_H
#define RCACHE_PROVIDERS_PROVIDER_H

#include "opal/mca/rcache/provider.h"

/** A kind of provider; constant. */
typedef struct mca_rcache_provider_ops_t {
    const char *name;
    /** @retval as mca_rcache_provider_open() */
    int (*open)(mca_rcache_provider_t **provider);
    void (*close)(mca_rcache_provider_t *provider);
    void (*resources)(mca_rcache_provider_t *provider, mca_rcache_base_resources_t *resources);
    /** Make its variables known, with their defaults; NULL: it has none. @return as mca_base_var_register() */
    int (*register_variables)(void);
} mca_rcache_provider_ops_t;

/** Every provider begins with it. */
struct mca_rcache_provider_t {
    const mca_rcache_provider_ops_t *ops;
};

extern const mca_rcache_provider_ops_t mca_rcache_provider_none;
extern const mca_rcache_provider_ops_t mca_rcache_provider_uring;
extern const mca_rcache_provider_ops_t mca_rcache_provider_verbs;

/** Those of all providers; when the framework is opened. */
int mca_rcache_provider_register_variables(void);

#endif
