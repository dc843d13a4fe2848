/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider of fake_provider.h. */
#include "test/rcache/fake_provider.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/test_main.h"

static int register_mem(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    fake_provider_t *fake = reg_data;
    fake_registration_t *own = (fake_registration_t *) reg;
    own->serial = atomic_fetch_add(&fake->calls, 1) + 1;
    if (own->serial == fake->fail_at) {
        return fake->fail_with;
    }
    if (fake->capacity != 0
        && atomic_load(&fake->registered) - atomic_load(&fake->deregistered) >= fake->capacity) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    ck_assert_uint_eq((uintptr_t) base % (uintptr_t) sysconf(_SC_PAGESIZE), 0);
    ck_assert_uint_eq(size % (uintptr_t) sysconf(_SC_PAGESIZE), 0);
    ck_assert_ptr_eq(reg->base, base);
    ck_assert_ptr_eq(reg->bound, (unsigned char *) base + size - 1);
    memcpy(own->canary, "canary!", 8);
    atomic_fetch_add(&fake->registered, 1);
    atomic_fetch_add(&fake->bytes, (long) size);
    if (fake->during != NULL) {
        fake->during(fake, base, size);
    }
    return OPAL_SUCCESS;
}

static int deregister_mem(void *reg_data, mca_rcache_base_registration_t *reg)
{
    fake_provider_t *fake = reg_data;
    fake_registration_t *own = (fake_registration_t *) reg;
    ck_assert_str_eq(own->canary, "canary!"); /* Neither foreign nor ended twice. */
    own->canary[0] = 'x';
    atomic_fetch_add(&fake->deregistered, 1);
    atomic_fetch_sub(&fake->bytes, reg->bound - reg->base + 1);
    if (fake->at_end != NULL) {
        fake->at_end(fake);
    }
    return OPAL_SUCCESS;
}

static int after_fork(void *reg_data)
{
    ((fake_provider_t *) reg_data)->after_fork_calls++;
    return OPAL_SUCCESS;
}

mca_rcache_base_resources_t fake_resources(fake_provider_t *fake)
{
    return (mca_rcache_base_resources_t){
        .cache_name = "fake",
        .reg_data = fake,
        .sizeof_reg = sizeof(fake_registration_t),
        .register_mem = register_mem,
        .deregister_mem = deregister_mem,
        .after_fork = after_fork,
    };
}

/* Not the library's noop: as a DSO, that would bring the shared library into tests that have the static one in them. */
static int query(mca_base_module_t **module, int *priority)
{
    *module = NULL;
    *priority = 0;
    return OPAL_SUCCESS;
}

static const opal_memory_base_component_t nothing = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "nothing",
        .mca_query_component = query,
    },
    .memoryc_register = opal_memory_base_component_register_empty,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};

bool fake_memory_must_be_mapped(void)
{
    const char *real = getenv("OPALMEM_TEST_MEMORY");

    return real != NULL && strstr(real, "userfaultfd") != NULL;
}

static void map_what_tests_register(void)
{
    void *place = (void *) (uintptr_t) FAKE_MEMORY;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    const void *mapped = mmap(place, (size_t) 512 << 20, PROT_READ | PROT_WRITE, flags, -1, 0);

    ck_assert(mapped == place
              || (mapped == MAP_FAILED && errno == EEXIST)); /* A test may start the library anew. */
}

void fake_memory_select(void)
{
    const char *real = getenv("OPALMEM_TEST_MEMORY");
    if (real != NULL) {
        if (fake_memory_must_be_mapped()) {
            map_what_tests_register();
        }
        setenv("OPALMEM_MCA_memory", real, 1);
        return;
    }
    ck_assert_int_eq(mca_base_component_add_static("memory", &nothing.memoryc_version), OPAL_SUCCESS);
    setenv("OPALMEM_MCA_memory", "nothing", 1);
}

void fake_library_start(void)
{
    fake_memory_select();
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    opal_mem_hooks_set_support(OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT);
}
