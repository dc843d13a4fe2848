/* SPDX-License-Identifier: BSD-3-Clause */
/* A provider that pins nothing and counts everything; what it does at each
 * call is the test's to say. */
#ifndef TEST_RCACHE_FAKE_PROVIDER_H
#define TEST_RCACHE_FAKE_PROVIDER_H

#include <stdatomic.h>

#include "opal/opalmem.h"

typedef struct fake_provider_t {
    _Atomic long registered, deregistered; /* Calls that succeeded. */
    _Atomic long bytes;                    /* Registered now. */
    _Atomic long calls;                    /* Of register_mem. */
    long fail_at;                          /* This call of register_mem fails (from 1); 0: none. */
    int fail_with;
    long capacity; /* Registrations at most, then OUT_OF_RESOURCE; 0: no limit. */
    /* Called inside register_mem, after the pages would have been pinned. */
    void (*during)(struct fake_provider_t *fake, void *base, size_t size);
    /* Called inside deregister_mem. */
    void (*at_end)(struct fake_provider_t *fake);
    long after_fork_calls;
    void *arg;
} fake_provider_t;

typedef struct fake_registration_t {
    mca_rcache_base_registration_t super;
    long serial; /* Number of the call that made it. */
    char canary[8];
} fake_registration_t;

/** Resources that use `fake`; flags and limits are the caller's to add. */
mca_rcache_base_resources_t fake_resources(fake_provider_t *fake);

/** Let the next opalmem_init() take a memory component of the test's own, which does nothing; or the one that
 * $OPALMEM_TEST_MEMORY names: then it watches what the test registers, beside the releases that the test raises. */
void fake_memory_select(void);

/** Where tests that register no memory of their own begin: nothing else is there. */
#define FAKE_MEMORY 0x10000000

/** Does that component watch only what is mapped (userfaultfd)? Then selecting it maps what the tests' fixture registers. */
bool fake_memory_must_be_mapped(void);

/** Start the library with a memory component that does nothing, but so that caches keep registrations
 * and hear of releases that the test raises with opal_mem_hooks_release_hook(). */
void fake_library_start(void);

#endif
