/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * The framework "memory": components that notice when the process loses pages.
 *
 * There are two kinds. A PUSH component hears of a release in the releasing
 * thread and calls the memory hooks by itself (patched system calls); its
 * process function is NULL and its register functions are empty. A POLLED
 * component is told by the kernel: opal_memory_changed() sees that something
 * happened, and memoryc_process() fetches the events and calls the memory hooks.
 *
 * opal_memory is never NULL. Without a component it points to one that does
 * nothing; with several, to one that stands for all of them.
 */
#ifndef OPAL_MCA_MEMORY_MEMORY_H
#define OPAL_MCA_MEMORY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/mca/base/base.h"
#include "opal/mca/mca.h"

BEGIN_C_DECLS

/* ---- The component ---------------------------------------------------------------------------- */

/** Fetch events and raise a release callback for each. Called by opal_memory_base_sync(), serialised.
 * @retval OPAL_SUCCESS  Every event up to the counter's value at the time of the call is dispatched.
 * Other codes: caching has to stop; the base invalidates everything. NULL for PUSH components.
 */
typedef int (*opal_memory_base_component_process_fn_t)(void);

/** Start to care about [base, base + len).
 * @param[in] cookie  Identifies the registration, not the range; never used twice in a process
 *     (opal_memory_base_new_cookie()).
 * @retval OPAL_SUCCESS
 * @retval OPAL_EXISTS               The cookie is in use.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  The device can watch no more.
 */
typedef int (*opal_memory_base_component_register_fn_t)(void *base, size_t len, uint64_t cookie);

/** Stop to care; the parameters are those of the registration, the cookie decides.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND
 */
typedef int (*opal_memory_base_component_deregister_fn_t)(void *base, size_t len, uint64_t cookie);

/** A component of the framework. Filled in by the component, constant; version 2.0.0, which never changes. */
typedef struct opal_memory_base_component_2_0_0_t {
    mca_base_component_t memoryc_version;
    mca_base_component_data_t memoryc_data;
    opal_memory_base_component_process_fn_t memoryc_process;       /**< NULL: nothing to fetch (PUSH). */
    opal_memory_base_component_register_fn_t memoryc_register;     /**< Required; often the empty one below. */
    opal_memory_base_component_deregister_fn_t memoryc_deregister; /**< Required, likewise. */
} opal_memory_base_component_2_0_0_t;
typedef opal_memory_base_component_2_0_0_t opal_memory_base_component_t;

/** Framework part of a component's initialiser. */
#define OPAL_MEMORY_BASE_VERSION_2_0_0 MCA_BASE_VERSION_2_0_0, "memory", 2, 0, 0

/** Empty functions for components that need no registration; both return OPAL_SUCCESS. */
OPAL_DECLSPEC int opal_memory_base_component_register_empty(void *base, size_t len, uint64_t cookie);
OPAL_DECLSPEC int opal_memory_base_component_deregister_empty(void *base, size_t len, uint64_t cookie);
#define opal_memory_base_register_empty opal_memory_base_component_register_empty
#define opal_memory_base_deregister_empty opal_memory_base_component_deregister_empty

/* ---- The module: what a component of today says of itself --------------------------------------- */

/** One watched registration. Filled by opal_memory_base_watch(); kept by the cache. Its size never changes within 2.x:
 * it is a part of registrations. */
typedef struct opal_memory_watch_t {
    uint64_t cookie;
    const volatile uint32_t *generation; /**< Never NULL after watch. */
    uint32_t expected;                   /**< The registration is good while *generation has this value. */
    uint32_t reserved;                   /**< The cache's own: the memory framework leaves it alone. */
} opal_memory_watch_t;

#define OPAL_MEMORY_MODULE_PUSH 0x1   /**< Raises callbacks by itself. */
#define OPAL_MEMORY_MODULE_POLLED 0x2 /**< Has a counter, and memoryc_process. At most one such component runs. */
#define OPAL_MEMORY_MODULE_SLOW_VALID 0x4 /**< A lookup must ask valid() of each hit. */
/** POLLED: counter and words may change some time after the releasing call has returned, and nobody can know. Where the user
 * has left the choice to the library, a PUSH component runs beside this one: the best that can. */
#define OPAL_MEMORY_MODULE_LATE 0x8

/* What a component sees, for reports and for docs. Bits belong together: each holds for all that the others name. Those of
 * two components that run together do not: see opal_memory_base_sees_all(). */
#define OPAL_MEMORY_SEES_BEFORE 0x01  /**< Callbacks come before the pages go. */
#define OPAL_MEMORY_SEES_LIBC 0x02    /**< Calls through libc and ld.so, their own included. */
#define OPAL_MEMORY_SEES_RAW 0x04     /**< System-call instructions anywhere in the process. */
#define OPAL_MEMORY_SEES_DISCARD 0x08 /**< madvise and its like. */
#define OPAL_MEMORY_SEES_SHM 0x10     /**< System V segments. */
#define OPAL_MEMORY_SEES_FILE 0x20    /**< Truncation and holes in mapped files. */
#define OPAL_MEMORY_SEES_ALLOC 0x40   /**< Also raises alloc callbacks. */
#define OPAL_MEMORY_SEES_SYSCALL 0x80 /**< Calls by libc's syscall(2). */

/** Returned by a component's MCA query function, as its module; NULL instead: a plain 2.0.0 component, which has
 * what the component structure holds and has set its support level by itself, in open or query.
 *
 * The component fills in every member before query returns. The base reads it when the component is selected, and
 * again after enable, which may change `support` and `sees`; not later, and never behind struct_size (the rules of
 * versions are in opal/mca/mca.h; down to `sees` every module reaches). Functions are called outside hook context,
 * unless something else is said.
 */
typedef struct opal_memory_base_module_t {
    size_t struct_size; /**< sizeof of this structure, as the component was compiled. Required. */
    uint32_t flags;     /**< OR of OPAL_MEMORY_MODULE_*; exactly one of PUSH and POLLED, or neither (noop). With a
                         * flag that the library does not know it is refused, as a longer structure is. */
    int support;        /**< OR of OPAL_MEMORY_*_SUPPORT: what a self-test has seen to work here; 0 allowed. */
    uint64_t sees;      /**< OR of OPAL_MEMORY_SEES_*; 0 allowed. */
    /** POLLED: required; grows whenever something happened, written by the kernel or the component with release
     * order. NULL otherwise. */
    const volatile uint64_t *counter;
    /** Start to watch [base, base + len); fills generation and expected, cookie is set. Thread-safe.
     * NULL: memoryc_register is called, and the word is a constant. At most one component with a watch runs.
     * @retval OPAL_SUCCESS / OPAL_EXISTS / OPAL_ERR_OUT_OF_RESOURCE, as opal_memory_base_watch() says. */
    int (*watch)(void *base, size_t len, opal_memory_watch_t *watch);
    /** Stop; the parameters are those of watch. Thread-safe. NULL: memoryc_deregister is called.
     * @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND */
    int (*unwatch)(void *base, size_t len, opal_memory_watch_t *watch);
    /** Are the pages of the range still the ones that were watched? Thread-safe; may take a system call.
     * SLOW_VALID: required. NULL otherwise: nobody asks. */
    bool (*valid)(void *base, size_t len, const opal_memory_watch_t *watch);
    /** Begin to deliver; once, after selection. Sets `support` and `sees` by self-test. NULL: it delivers since open.
     * @retval OPAL_SUCCESS
     * @retval OPAL_ERR_NOT_AVAILABLE  With a reason: the next component by priority is taken. Other codes likewise. */
    int (*enable)(void);
    /** No event is delivered after it has returned. Once for each successful enable. NULL: close does it.
     * @return OPAL_SUCCESS; other codes are ignored. */
    int (*disable)(void);
} opal_memory_base_module_t;

/* ---- For users of the framework ---------------------------------------------------------------- */

/** The selected component, or the one that stands for several. Never NULL; constant between init and finalize. */
OPAL_DECLSPEC extern opal_memory_base_component_2_0_0_t *opal_memory;

/** The two words of opal_memory_changed(). Without a POLLED component, counter points to seen. */
typedef struct opal_memory_base_changed_t {
    const volatile uint64_t *counter;
    uint64_t seen;
} opal_memory_base_changed_t;
OPAL_DECLSPEC extern opal_memory_base_changed_t opal_memory_base_state;

/** Has anything happened that memoryc_process() has not yet delivered?
 *
 * Two words are compared; nothing is called. Every context.
 */
static inline bool opal_memory_changed(void)
{
    return __atomic_load_n(&opal_memory_base_state.seen, __ATOMIC_ACQUIRE)
           != __atomic_load_n(opal_memory_base_state.counter, __ATOMIC_ACQUIRE);
}

/** Deliver what has happened, if anything has.
 *
 * @retval OPAL_SUCCESS          Every event that was observable before the call has been dispatched.
 * @retval OPAL_ERR_WOULD_BLOCK  Another thread is at it and did not finish soon: treat the lookup as a miss
 *     that must not be cached.
 * Other codes come from the component: everything has been invalidated.
 * Thread-safe. Not from hook context.
 */
OPAL_DECLSPEC int opal_memory_base_sync(void);

/** A cookie that no registration of this process has had. @return 1 to 2^63 - 1. Thread-safe. */
OPAL_DECLSPEC uint64_t opal_memory_base_new_cookie(void);

/** Start watching a registration with every active component.
 *
 * @param[in,out] watch  cookie is set by the caller; the rest is filled in.
 * @retval OPAL_SUCCESS              watch->generation is not NULL.
 * @retval OPAL_EXISTS               The cookie is in use.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  The component can watch no more: do not cache.
 * Thread-safe. Not from hook context.
 */
OPAL_DECLSPEC int opal_memory_base_watch(void *base, size_t len, opal_memory_watch_t *watch);

/** Stop watching; same parameters. @retval OPAL_SUCCESS / OPAL_ERR_NOT_FOUND */
OPAL_DECLSPEC int opal_memory_base_unwatch(void *base, size_t len, opal_memory_watch_t *watch);

/** Ask the components that need it (SLOW_VALID). True at once where none does. Not from hook context. */
OPAL_DECLSPEC bool opal_memory_base_valid(void *base, size_t len, const opal_memory_watch_t *watch);

/** Does the watched word still have its value? Nothing is called. Every context. */
static inline bool opal_memory_watch_holds(const opal_memory_watch_t *watch)
{
    return __atomic_load_n(watch->generation, __ATOMIC_ACQUIRE) == watch->expected;
}

/** OR of OPAL_MEMORY_SEES_* of the active components: what at least one of them sees.
 *
 * Of several components that says nothing about two bits together: one may see instructions anywhere, and another one
 * discards, but only those of libc. For that there is opal_memory_base_sees_all().
 */
OPAL_DECLSPEC uint64_t opal_memory_base_sees(void);

/** Does one of the active components see all of this by itself?
 *
 * So of raw madvise, before the pages go: OPAL_MEMORY_SEES_RAW | OPAL_MEMORY_SEES_DISCARD | OPAL_MEMORY_SEES_BEFORE.
 * @param[in] bits  OR of OPAL_MEMORY_SEES_*; 0: true if there is a component.
 * Thread-safe between init and finalize.
 */
OPAL_DECLSPEC bool opal_memory_base_sees_all(uint64_t bits);

/** What one active component promises by itself. */
typedef struct opal_memory_base_promise_t {
    int support;   /**< OR of OPAL_MEMORY_*_SUPPORT. */
    uint64_t sees; /**< OR of OPAL_MEMORY_SEES_*. */
} opal_memory_base_promise_t;

/** What the active components promise, each by itself. A kind of release is noticed if one promise has all the bits that
 * it takes, and before the pages go, if that promise has OPAL_MEMORY_SEES_BEFORE.
 *
 * @param[out] promises  By priority; as many as there are, and room for.
 * @return How many there are. Thread-safe between init and finalize.
 */
OPAL_DECLSPEC size_t opal_memory_base_promises(opal_memory_base_promise_t *promises, size_t room);

END_C_DECLS

#endif
