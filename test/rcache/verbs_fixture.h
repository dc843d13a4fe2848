/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider verbs on the fake library, with a cache. Releases are raised by
 * hand; nothing is pinned: addresses are numbers. */
#ifndef TEST_RCACHE_VERBS_FIXTURE_H
#define TEST_RCACHE_VERBS_FIXTURE_H

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"
#include "test/children.h"
#include "test/rcache/fake_verbs.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define AT(page) ((void *) (uintptr_t) (0x10000000 + (page) * (long) PAGE))

static fake_verbs_t *fake;
static mca_rcache_provider_t *provider;
static mca_rcache_base_module_t *cache;
static char messages[4096]; /* All that were logged. */

static void keep_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    strncat(messages, message, sizeof(messages) - strlen(messages) - 1);
    strncat(messages, "\n", sizeof(messages) - strlen(messages) - 1);
}

static inline bool said(const char *words)
{
    return strstr(messages, words) != NULL;
}

static inline int times_said(const char *words)
{
    int times = 0;
    for (const char *at = messages; (at = strstr(at, words)) != NULL; at += strlen(words)) {
        times++;
    }
    return times;
}

static void *library;

/* What a test has made the provider leave behind goes: leaks are looked for. */
static inline void free_region(struct ibv_mr *mr)
{
    int (*deregister)(struct ibv_mr *) = dlsym(library, "ibv_dereg_mr");
    fake->dereg_error = 0;
    ck_assert_int_eq(deregister(mr), 0);
}

static inline void free_domain(struct ibv_pd *pd)
{
    struct ibv_context *context = pd->context;
    int (*dealloc)(struct ibv_pd *) = dlsym(library, "ibv_dealloc_pd");
    int (*close_device)(struct ibv_context *) = dlsym(library, "ibv_close_device");
    fake->pd_free_error = 0;
    ck_assert_int_eq(dealloc(pd), 0);
    ck_assert_int_eq(close_device(context), 0);
}

/* The fake is loaded where the provider will look, and its devices are fake0 (no link), fake1 (active), fake2. */
static inline void use_library(const char *name)
{
    char path[4096];
    const char *top = getenv("top_builddir");
    snprintf(path, sizeof(path), "%s/test/rcache/.libs/%s.so", top != NULL ? top : ".", name);
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(library != NULL, "%s", dlerror());
    fake = dlsym(library, "fake_verbs");
    ck_assert_ptr_nonnull(fake);
    memset(fake, 0, sizeof(*fake));
    fake->devices = FAKE_DEVICES;
    fake->active = 1;
    fake->fork_status = IBV_FORK_UNNEEDED;
    setenv("OPALMEM_MCA_rcache_verbs_library", path, 1);
}

static inline void start_library(void)
{
    mca_base_set_log(keep_message, NULL);
    setenv("OPALMEM_MCA_memory", "noop", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    opal_mem_hooks_set_support(OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT);
}

static inline void set_up(void)
{
    use_library("fake_verbs");
}

/* Everything was given back, and nothing of the parent's was touched. */
static inline void nothing_left(void)
{
    ck_assert_int_eq(fake->opened, fake->closed);
    ck_assert_int_eq(fake->pds, fake->pds_freed);
    ck_assert_int_eq(fake->registered, fake->deregistered);
    ck_assert_int_eq(fake->of_another_process, 0);
}

static inline mca_rcache_base_module_t *new_cache(void)
{
    mca_rcache_base_resources_t resources;
    mca_rcache_provider_resources(provider, &resources);
    return mca_rcache_base_module_create(NULL, NULL, &resources);
}

/* Settings are in the environment by now. */
static inline void start(void)
{
    start_library();
    ck_assert_int_eq(mca_rcache_provider_open("verbs", &provider), OPAL_SUCCESS);
    cache = new_cache();
    ck_assert_ptr_nonnull(cache);
}

static inline void stop(void)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    mca_rcache_provider_close(provider);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    nothing_left();
}

static inline int try_get(long page, int32_t access, mca_rcache_verbs_registration_t **reg)
{
    return cache->rcache_register(cache, AT(page), PAGE, 0, access, (mca_rcache_base_registration_t **) reg);
}

static inline mca_rcache_verbs_registration_t *get(long page, int32_t access)
{
    mca_rcache_verbs_registration_t *reg = NULL;
    ck_assert_int_eq(try_get(page, access, &reg), OPAL_SUCCESS);
    return reg;
}

static inline void put(mca_rcache_verbs_registration_t *reg)
{
    ck_assert_int_eq(cache->rcache_deregister(cache, &reg->super), OPAL_SUCCESS);
}

static inline mca_rcache_base_stats_t stats(void)
{
    mca_rcache_base_stats_t result;
    cache->rcache_stats(cache, &result);
    return result;
}

#endif
