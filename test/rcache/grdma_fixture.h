/* SPDX-License-Identifier: BSD-3-Clause */
/* One cache on the counting provider, for tests on one thread. Nothing is
 * pinned: addresses are numbers. */
#ifndef TEST_RCACHE_GRDMA_FIXTURE_H
#define TEST_RCACHE_GRDMA_FIXTURE_H

#include <string.h>
#include <unistd.h>

#include "test/rcache/fake_provider.h"
#include "test/test_main.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define AT(page) ((void *) (uintptr_t) (FAKE_MEMORY + (page) * (long) PAGE))

static fake_provider_t fake;
static mca_rcache_base_module_t *cache;
static mca_rcache_base_resources_t resources;

static inline void make_cache(void)
{
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_ptr_nonnull(cache);
}

static inline void set_up(void)
{
    memset(&fake, 0, sizeof(fake));
    resources = fake_resources(&fake);
    resources.in_use_policy = MCA_RCACHE_IN_USE_IGNORE;
    fake_library_start();
    make_cache();
}

static inline void tear_down(void)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    ck_assert_int_eq(atomic_load(&fake.registered), atomic_load(&fake.deregistered));
    ck_assert_int_eq(atomic_load(&fake.bytes), 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

static inline mca_rcache_base_registration_t *get(long page, long pages, uint32_t flags, int32_t access)
{
    mca_rcache_base_registration_t *reg = NULL;
    ck_assert_int_eq(mca_rcache_base_register(cache, AT(page), (size_t) pages * PAGE, flags, access, &reg),
                     OPAL_SUCCESS);
    ck_assert(reg->base <= (unsigned char *) AT(page));
    ck_assert(reg->bound + 1 >= (unsigned char *) AT(page + pages));
    return reg;
}

static inline void put(mca_rcache_base_registration_t *reg)
{
    ck_assert_int_eq(mca_rcache_base_deregister(cache, reg), OPAL_SUCCESS);
}

static inline void use(long page, long pages)
{
    put(get(page, pages, 0, 0));
}

static inline mca_rcache_base_stats_t stats(void)
{
    mca_rcache_base_stats_t result;
    cache->rcache_stats(cache, &result);
    return result;
}

static inline void release(long page, long pages)
{
    opal_mem_hooks_release_cause(AT(page), (size_t) pages * PAGE, true, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
}

static inline long registrations(void)
{
    return atomic_load(&fake.registered);
}

static inline long pinned(void)
{
    return atomic_load(&fake.bytes) / PAGE;
}

static inline void make_again(void)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    memset(&fake, 0, sizeof(fake));
    make_cache();
}

#endif
