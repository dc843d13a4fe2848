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
} mca_rcache_provider_ops_t;

/** Every provider begins with it. */
struct mca_rcache_provider_t {
    const mca_rcache_provider_ops_t *ops;
};

extern const mca_rcache_provider_ops_t mca_rcache_provider_none;
extern const mca_rcache_provider_ops_t mca_rcache_provider_uring;

#endif
