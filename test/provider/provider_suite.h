/* SPDX-License-Identifier: BSD-3-Clause */
/* A conformance suite for registration providers: what a registration cache
 * relies on, put to the test. It needs the installed headers of opalmem, glibc,
 * threads, and -std=gnu11 -D_GNU_SOURCE. It is linked into a program of its own,
 * because it stands in for malloc() and pthread_mutex_lock() there
 * (provider_suite_trap.c). docs/writing-a-provider.md says how it is used. */
#ifndef PROVIDER_SUITE_H
#define PROVIDER_SUITE_H

#include <stdbool.h>
#include <stddef.h>

#include "opal/opalmem.h"

/** A provider, as its author describes it to the suite. Constant; what is NULL or 0 has a default. */
typedef struct provider_suite_t {
    const char *name;
    /** Open it, and fill in the resources (zero before, limits left at 0). Called in a fresh process for each scene,
     * and many times in some. Untouched arguments and a negative code on failure. Required. */
    int (*open)(void **state, mca_rcache_base_resources_t *resources);
    /** Close it; nothing is registered any more. Required. */
    void (*close)(void *state);
    /** Bytes that the device, or the kernel, has registered for this process. NULL: what the kernel shows as pinned and
     * locked (VmPin + VmLck in /proc/self/status). A range that is registered twice counts twice. */
    size_t (*registered)(void *state);
    /** Can the device use all of the registration? The memory is mapped, and may be written. NULL: not asked. */
    bool (*works)(void *state, mca_rcache_base_registration_t *reg);
    /** Take its device away, and let the provider notice: it has to call mca_rcache_base_void(). NULL: it cannot be done. */
    void (*lose)(void *state);
    bool counts_nothing; /**< `registered` stays 0 whatever is registered: leaks cannot be seen. */
    size_t largest;      /**< A registration of that many bytes must be possible; 0: 1 MiB. */
    size_t many;         /**< So many pages must be registered at once; 0: 1000. */
    unsigned settle_ms;  /**< Pages may stay pinned so long after a deregistration; 0: 3000. */
    unsigned hang_s;     /**< A deregistration in a hook that waits so long is said to hang; 0: 15. */
} provider_suite_t;

/** Run the scenes, each in a process of its own, and print one line for each in the Test Anything Protocol.
 *
 * @param[in] only  Name of the only scene to run; NULL: all.
 * @return How many failed. -1: there is no such scene.
 */
int provider_suite_run(const provider_suite_t *suite, const char *only);

/** Number of scenes, and their names. */
size_t provider_suite_scenes(void);
const char *provider_suite_scene(size_t number);

/** For main(): runs the scene that the first argument names, or all.
 * @return 0, 1, or 77 where the provider cannot be opened here. */
int provider_suite_main(const provider_suite_t *suite, int argc, char **argv);

#endif
