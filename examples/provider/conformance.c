/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider of ring_provider.h through the conformance suite. Arguments: the name of one scene. */
#include "provider_suite.h"
#include "ring_provider.h"

static int open_ring(void **state, mca_rcache_base_resources_t *resources)
{
    ring_provider_t *provider;
    int rc = ring_provider_open(&provider, resources);
    if (rc == OPAL_SUCCESS) {
        *state = provider;
    }
    return rc;
}

static void close_ring(void *state)
{
    ring_provider_close(state);
}

int main(int argc, char **argv)
{
    const provider_suite_t suite = {
        .name = "ring",
        .open = open_ring,
        .close = close_ring,
        .many = 4096,
    };
    return provider_suite_main(&suite, argc, argv);
}
