/* SPDX-License-Identifier: BSD-3-Clause */
/* grdma as a component of the framework "rcache". */
#include "rcache/grdma/grdma.h"

#define GRDMA_PRIORITY 50

static int query(mca_base_module_t **module, int *priority)
{
    *module = NULL;
    *priority = GRDMA_PRIORITY;
    return OPAL_SUCCESS;
}

const mca_rcache_base_component_t mca_rcache_grdma_component = {
    .rcache_version = {
        MCA_RCACHE_BASE_VERSION_2_0_0,
        .mca_component_name = "grdma",
        .mca_component_major_version = OPALMEM_VERSION_MAJOR,
        .mca_component_minor_version = OPALMEM_VERSION_MINOR,
        .mca_component_release_version = OPALMEM_VERSION_RELEASE,
        .mca_query_component = query,
    },
    .rcache_init = grdma_create,
};
