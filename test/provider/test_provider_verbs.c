/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider verbs under a cache, by the conformance suite, on the library that only
 * counts: its device has no kernel, so it takes memory that is not there, and
 * knows no limit. What that leaves of the suite is listed here. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "provider_suite.h"
#include "test/rcache/fake_verbs.h"

static fake_verbs_t *fake;

static int open_verbs(void **state, mca_rcache_base_resources_t *resources)
{
    mca_rcache_provider_t *provider;
    int rc = mca_rcache_provider_open("verbs", &provider);
    if (rc == OPAL_SUCCESS) {
        mca_rcache_provider_resources(provider, resources);
        *state = provider;
    }
    return rc;
}

static void close_verbs(void *state)
{
    mca_rcache_provider_close(state);
}

static size_t registered(void *state)
{
    (void) state;
    return (size_t) (fake->registered - fake->deregistered) * (size_t) sysconf(_SC_PAGESIZE);
}

static void lose(void *state)
{
    const struct ibv_async_event event = { .event_type = IBV_EVENT_DEVICE_FATAL };
    mca_rcache_verbs_async_event(state, &event);
}

static const char *const scenes[] = {
    "cached_until_it_is_released",  "evicted_for_a_limit",  "registration_fails_for_want_of_room",
    "registration_fails_otherwise", "deregistration_fails", "device_is_lost",
    "thousands_of_caches",
};

static int load_fake(void)
{
    char path[4096];
    const char *top = getenv("top_builddir");
    snprintf(path, sizeof(path), "%s/test/rcache/.libs/fake_verbs.so", top != NULL ? top : ".");
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    fake = library != NULL ? dlsym(library, "fake_verbs") : NULL;
    if (fake == NULL) {
        printf("%s\n", dlerror());
        return 1;
    }
    fake->devices = 1;
    fake->fork_status = IBV_FORK_UNNEEDED;
    return setenv("OPALMEM_MCA_rcache_verbs_library", path, 1);
}

int main(void)
{
    const provider_suite_t suite = {
        .name = "verbs",
        .open = open_verbs,
        .close = close_verbs,
        .registered = registered,
        .lose = lose,
    };
    int failed = load_fake();
    for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]) && failed == 0; i++) {
        failed = provider_suite_run(&suite, scenes[i]);
    }
    return failed == 0 ? 0 : 1;
}
