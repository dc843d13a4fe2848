/* SPDX-License-Identifier: BSD-3-Clause */
/* Base of the framework "memory", inside the library. */
#ifndef FRAMEWORK_MEMORY_MEMORY_BASE_H
#define FRAMEWORK_MEMORY_MEMORY_BASE_H

#include "framework/base/base_internal.h"
#include "opal/mca/memory/memory.h"

#define OPAL_MEMORY_BASE_MAX_ACTIVE 8

/** One running component. Constant from the end of open to the begin of close. */
typedef struct opal_memory_base_active_t {
    opal_memory_base_component_t *component;
    const opal_memory_base_module_t *module; /**< Whole, a copy; NULL for a plain 2.0.0 component. */
    int plain_support;                       /**< What a plain one has set in open or query. */
} opal_memory_base_active_t;

/** The running components; index 0 to opal_memory_base_active_count - 1. */
extern opal_memory_base_active_t opal_memory_base_active[OPAL_MEMORY_BASE_MAX_ACTIVE];
extern size_t opal_memory_base_active_count;

/** Components linked into the library; ends with NULL. */
extern const mca_base_component_t *const opal_memory_base_static_components[];

/** Find, select and enable components. Under the init lock.
 * @retval OPAL_SUCCESS (also without a component) / OPAL_ERR_NOT_FOUND / OPAL_ERR_BAD_PARAM / OPAL_ERR_OUT_OF_RESOURCE
 */
int opal_memory_base_open(void);

/** Disable and release them; opal_memory points to the empty component again. */
void opal_memory_base_close(void);

/** The component that does nothing, and the one that stands for all active ones. */
extern opal_memory_base_component_t opal_memory_base_null_component;
extern opal_memory_base_component_t opal_memory_base_composite_component;

/** Point the words of opal_memory_changed() to a counter; NULL: nothing ever changes. */
void opal_memory_base_set_counter(const volatile uint64_t *counter);

/** Make opal_memory_changed() always true: a component without a counter is asked each time. */
void opal_memory_base_always_ask(void);

/** Cookies that nobody else has: the first of `count` that follow each other. Every context. */
uint64_t opal_memory_base_new_cookies(uint64_t count);

/** The word of watches whose component does not count. */
extern const volatile uint32_t opal_memory_base_constant_generation;

/** Does the kernel tell of changes of what was watched just now? Then a lookup looks at opal_memory_changed() and
 * opal_memory_watch_holds(); else neither ever says anything. */
static inline bool opal_memory_base_is_told(const opal_memory_watch_t *watch)
{
    return watch->generation != &opal_memory_base_constant_generation
           || __atomic_load_n(&opal_memory_base_state.counter, __ATOMIC_ACQUIRE) != &opal_memory_base_state.seen;
}

/** In a fork child. Hook context. */
void opal_memory_base_reset_child(void);

#endif
