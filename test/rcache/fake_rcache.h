/* SPDX-License-Identifier: BSD-3-Clause */
/* What the caches of the test's own rcache component have seen; a test hands
 * one to each cache as user_data. */
#ifndef TEST_RCACHE_FAKE_RCACHE_H
#define TEST_RCACHE_FAKE_RCACHE_H

#include "opal/mca/rcache/rcache.h"

typedef struct fake_rcache_t {
    int init_with;     /* Code of rcache_init; set by the test. */
    int finalize_with; /* Code of rcache_finalize; set by the test. */
    long created, finalized, invalidated, stopped, reset, progressed, deregistered;
    bool caching;
    char cache_name[32];
    mca_rcache_base_resources_t resources;
    void *last; /* The last module made, on the heap: a test that loses it on purpose frees it. */
    void *addr; /* Of the last invalidation. */
    size_t size;
} fake_rcache_t;

/* The component, where it is linked into the test. */
extern const mca_rcache_base_component_t mca_rcache_fake_component;

#endif
