/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider none through the conformance suite. */
#include "opal/mca/rcache/provider.h"
#include "provider_suite.h"

static int open_none(void **state, mca_rcache_base_resources_t *resources)
{
    mca_rcache_provider_t *provider;
    int rc = mca_rcache_provider_open("none", &provider);
    if (rc == OPAL_SUCCESS) {
        mca_rcache_provider_resources(provider, resources);
        *state = provider;
    }
    return rc;
}

static void close_none(void *state)
{
    mca_rcache_provider_close(state);
}

int main(int argc, char **argv)
{
    const provider_suite_t suite = {
        .name = "none",
        .open = open_none,
        .close = close_none,
        .counts_nothing = true,
        .largest = (size_t) 64 << 20,
        .many = 10000,
    };
    return provider_suite_main(&suite, argc, argv);
}
