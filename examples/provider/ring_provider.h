/* SPDX-License-Identifier: BSD-3-Clause */
/* A registration provider to start from: pins memory by registering it with an
 * io_uring of its own. */
#ifndef RING_PROVIDER_H
#define RING_PROVIDER_H

#include <opal/opalmem.h>

typedef struct ring_provider_t ring_provider_t;

/* What a cache keeps for each registration: its own part, then ours. */
typedef struct ring_registration_t {
    mca_rcache_base_registration_t super;
    uint32_t slot;       /* For IORING_OP_READ_FIXED and WRITE_FIXED. */
    uint32_t generation; /* Of the ring; a fork child makes another one. */
} ring_registration_t;

/* Open it, and fill in resources for mca_rcache_base_module_create(). Untouched arguments and a code on failure. */
int ring_provider_open(ring_provider_t **provider, mca_rcache_base_resources_t *resources);

/* Close it; its caches have been destroyed. */
void ring_provider_close(ring_provider_t *provider);

#endif
