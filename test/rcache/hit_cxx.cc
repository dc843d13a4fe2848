/* SPDX-License-Identifier: BSD-3-Clause */
/* The way of users that are compiled as C++. */
#include "opal/opalmem.h"

extern "C" int cxx_register(mca_rcache_base_module_t *rcache, void *addr, size_t size, uint32_t flags,
                            int32_t access_flags, mca_rcache_base_registration_t **reg);
extern "C" int cxx_deregister(mca_rcache_base_module_t *rcache, mca_rcache_base_registration_t *reg);

int cxx_register(mca_rcache_base_module_t *rcache, void *addr, size_t size, uint32_t flags, int32_t access_flags,
                 mca_rcache_base_registration_t **reg)
{
    return mca_rcache_base_register(rcache, addr, size, flags, access_flags, reg);
}

int cxx_deregister(mca_rcache_base_module_t *rcache, mca_rcache_base_registration_t *reg)
{
    return mca_rcache_base_deregister(rcache, reg);
}
