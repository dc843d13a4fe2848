/* SPDX-License-Identifier: BSD-3-Clause */
/* The component that does nothing, the one that stands for several, and the
 * watch functions that caches use with whatever is active. */
#include "framework/memory/memory_base.h"

int opal_memory_base_component_register_empty(void *base, size_t len, uint64_t cookie)
{
    (void) base, (void) len, (void) cookie;
    return OPAL_SUCCESS;
}

int opal_memory_base_component_deregister_empty(void *base, size_t len, uint64_t cookie)
{
    (void) base, (void) len, (void) cookie;
    return OPAL_SUCCESS;
}

opal_memory_base_component_t opal_memory_base_null_component = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "null",
    },
    .memoryc_register = opal_memory_base_component_register_empty,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};

/* ---- Composite ---------------------------------------------------------------------------------- */

static int composite_process(void)
{
    for (size_t i = 0; i < opal_memory_base_active_count; i++) {
        opal_memory_base_component_process_fn_t process = opal_memory_base_active[i].component->memoryc_process;
        int rc = process == NULL ? OPAL_SUCCESS : process();
        if (rc != OPAL_SUCCESS) {
            return rc;
        }
    }
    return OPAL_SUCCESS;
}

static void deregister_first(size_t count, void *base, size_t len, uint64_t cookie)
{
    while (count-- > 0) {
        opal_memory_base_active[count].component->memoryc_deregister(base, len, cookie);
    }
}

static int composite_register(void *base, size_t len, uint64_t cookie)
{
    for (size_t i = 0; i < opal_memory_base_active_count; i++) {
        int rc = opal_memory_base_active[i].component->memoryc_register(base, len, cookie);
        if (rc != OPAL_SUCCESS) {
            deregister_first(i, base, len, cookie);
            return rc;
        }
    }
    return OPAL_SUCCESS;
}

static int composite_deregister(void *base, size_t len, uint64_t cookie)
{
    int result = OPAL_SUCCESS;
    for (size_t i = 0; i < opal_memory_base_active_count; i++) {
        int rc = opal_memory_base_active[i].component->memoryc_deregister(base, len, cookie);
        result = result == OPAL_SUCCESS ? rc : result;
    }
    return result;
}

opal_memory_base_component_t opal_memory_base_composite_component = {
    .memoryc_version = {
        OPAL_MEMORY_BASE_VERSION_2_0_0,
        .mca_component_name = "composite",
    },
    .memoryc_process = composite_process,
    .memoryc_register = composite_register,
    .memoryc_deregister = composite_deregister,
};

/* ---- Watching ----------------------------------------------------------------------------------- */

const volatile uint32_t opal_memory_base_constant_generation;

static int watch_one(const opal_memory_base_active_t *active, void *base, size_t len, opal_memory_watch_t *watch)
{
    if (active->module != NULL && active->module->watch != NULL) {
        return active->module->watch(base, len, watch);
    }
    return active->component->memoryc_register(base, len, watch->cookie);
}

static int unwatch_one(const opal_memory_base_active_t *active, void *base, size_t len, opal_memory_watch_t *watch)
{
    if (active->module != NULL && active->module->unwatch != NULL) {
        return active->module->unwatch(base, len, watch);
    }
    return active->component->memoryc_deregister(base, len, watch->cookie);
}

int opal_memory_base_watch(void *base, size_t len, opal_memory_watch_t *watch)
{
    watch->generation = &opal_memory_base_constant_generation;
    watch->expected = 0;
    for (size_t i = 0; i < opal_memory_base_active_count; i++) {
        int rc = watch_one(&opal_memory_base_active[i], base, len, watch);
        if (rc != OPAL_SUCCESS) {
            while (i-- > 0) {
                unwatch_one(&opal_memory_base_active[i], base, len, watch);
            }
            return rc;
        }
    }
    return OPAL_SUCCESS;
}

int opal_memory_base_unwatch(void *base, size_t len, opal_memory_watch_t *watch)
{
    int result = OPAL_SUCCESS;
    for (size_t i = 0; i < opal_memory_base_active_count; i++) {
        int rc = unwatch_one(&opal_memory_base_active[i], base, len, watch);
        result = result == OPAL_SUCCESS ? rc : result;
    }
    return result;
}

bool opal_memory_base_valid(void *base, size_t len, const opal_memory_watch_t *watch)
{
    for (size_t i = 0; i < opal_memory_base_active_count; i++) {
        const opal_memory_base_module_t *module = opal_memory_base_active[i].module;
        if (module != NULL && (module->flags & OPAL_MEMORY_MODULE_SLOW_VALID) != 0
            && !module->valid(base, len, watch)) {
            return false;
        }
    }
    return true;
}

/* ---- What is promised --------------------------------------------------------------------------- */

static opal_memory_base_promise_t promise_of(const opal_memory_base_active_t *active)
{
    opal_memory_base_promise_t promise = { .support = active->plain_support };

    if (active->module != NULL) {
        promise.support = active->module->support;
        promise.sees = active->module->sees;
    }
    return promise;
}

uint64_t opal_memory_base_sees(void)
{
    uint64_t sees = 0;
    for (size_t i = 0; i < opal_memory_base_active_count; i++) {
        sees |= promise_of(&opal_memory_base_active[i]).sees;
    }
    return sees;
}

bool opal_memory_base_sees_all(uint64_t bits)
{
    for (size_t i = 0; i < opal_memory_base_active_count; i++) {
        if ((bits & ~promise_of(&opal_memory_base_active[i]).sees) == 0) {
            return true;
        }
    }
    return false;
}

size_t opal_memory_base_promises(opal_memory_base_promise_t *promises, size_t room)
{
    for (size_t i = 0; i < opal_memory_base_active_count && i < room; i++) {
        promises[i] = promise_of(&opal_memory_base_active[i]);
    }
    return opal_memory_base_active_count;
}
