/* SPDX-License-Identifier: BSD-3-Clause */
/* See side.h. */
#include "side.h"

#include <opal/mca/rcache/provider.h>
#include <opal/opalmem.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static mca_rcache_provider_t *provider;
static mca_rcache_base_module_t *cache;
static atomic_ulong releases;
static int value;

static void released(void *buffer, size_t length, void *arg, bool from_alloc)
{
    (void) buffer, (void) length, (void) arg, (void) from_alloc;
    atomic_fetch_add(&releases, 1);
}

static int make_cache(void)
{
    mca_rcache_base_resources_t resources = { 0 };
    int rc = mca_rcache_provider_open("none", &provider);

    if (rc == OPAL_SUCCESS) {
        mca_rcache_provider_resources(provider, &resources);
        cache = mca_rcache_base_module_create(NULL, NULL, &resources);
        rc = cache != NULL ? OPAL_SUCCESS : OPAL_ERROR;
    }
    return rc;
}

static int side_init(int *argc, char ***argv)
{
    const mca_base_var_def_t def = {
        .framework = "side",
        .component = OPALMEM_SYMBOL_PREFIX,
        .name = "value",
        .help = "Of one copy only.",
        .type = MCA_BASE_VAR_TYPE_INT,
        .info_level = 9,
        .storage = &value,
    };
    int rc;

    value = 1;
    rc = mca_base_var_register(&def);
    rc = rc == OPAL_SUCCESS ? opalmem_init(argc, argv) : rc;
    if (rc == OPAL_SUCCESS) {
        rc = make_cache();
    }
    if (rc == OPAL_SUCCESS) {
        rc = opal_mem_hooks_register_release(released, NULL);
        rc = rc == OPAL_ERR_NOT_SUPPORTED ? OPAL_SUCCESS : rc;
    }
    return rc;
}

static int side_finalize(void)
{
    int rc = mca_rcache_base_module_destroy(cache);

    mca_rcache_provider_close(provider);
    opal_mem_hooks_unregister_release(released);
    rc = rc == OPAL_SUCCESS ? opalmem_finalize() : rc;
    return rc;
}

static const char *side_component(void)
{
    return opal_memory->memoryc_version.mca_component_name;
}

static const char *side_reason_of_linux(void)
{
    mca_base_component_info_t info;

    for (size_t i = 0; i < mca_base_component_count(); i++) {
        if (mca_base_component_get_info(i, &info) == OPAL_SUCCESS && strcmp(info.name, "linux") == 0) {
            return info.reason;
        }
    }
    return "no such component";
}

static bool side_caches(void)
{
    return mca_rcache_base_is_caching(cache);
}

static int side_pin(void *buffer, size_t size)
{
    mca_rcache_base_registration_t *reg;
    int rc = cache->rcache_register(cache, buffer, size, 0, MCA_RCACHE_ACCESS_ANY, &reg);

    return rc == OPAL_SUCCESS ? cache->rcache_deregister(cache, reg) : rc;
}

static bool side_holds(void *buffer, size_t size)
{
    mca_rcache_base_registration_t *reg = NULL;

    if (cache->rcache_find(cache, buffer, size, &reg) != OPAL_SUCCESS || reg == NULL) {
        return false;
    }
    cache->rcache_deregister(cache, reg);
    return true;
}

static unsigned long side_releases(void)
{
    return atomic_load(&releases);
}

static bool side_knows_variable(const char *name)
{
    mca_base_var_info_t info;

    for (size_t i = 0; i < mca_base_var_count(); i++) {
        if (mca_base_var_get_info(i, &info) == OPAL_SUCCESS && strcmp(info.full_name, name) == 0) {
            return true;
        }
    }
    return false;
}

static int side_own_value(void)
{
    return value;
}

static char *log_text;
static size_t log_size;

static void take_message(mca_base_log_level_t level, const char *message, void *arg)
{
    size_t used = strlen(log_text);

    (void) level, (void) arg;
    snprintf(log_text + used, log_size - used, "%s\n", message);
}

static void side_log_to(char *text, size_t size)
{
    log_text = text;
    log_size = size;
    mca_base_set_log(take_message, NULL);
}

const side_t SIDE = {
    .prefix = OPALMEM_SYMBOL_PREFIX,
    .init = side_init,
    .finalize = side_finalize,
    .component = side_component,
    .reason_of_linux = side_reason_of_linux,
    .caches = side_caches,
    .pin = side_pin,
    .holds = side_holds,
    .releases = side_releases,
    .knows_variable = side_knows_variable,
    .own_value = side_own_value,
    .log_to = side_log_to,
};
