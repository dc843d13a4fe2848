/* SPDX-License-Identifier: BSD-3-Clause */
/* Between memory_hooks.c (callback lists) and release_windows.c (who is
 * inside). The life of an event:
 *
 *   window_open   takes a slot (one compare-and-swap: a full barrier),
 *                 publishes the ranges, runs the callbacks    phase PRE
 *   system call                                               phase OPEN
 *   window_close  frees the slot                              phase FREE
 *
 * Two parties look at the slots. A registration looks for OPEN and PRE slots
 * over its range (store-buffering with the index it inserted itself into
 * before). An unregister looks for PRE slots, after it has marked the callback
 * dead: a dispatcher whose slot it does not see reads the mark.
 *
 * Why the hook pays for its barrier, and not the other side (membarrier): measured before a system call, the
 * compare-and-swap takes 1 ns of the 15 ns that a release with one callback costs; membarrier takes 14 to 30 us with
 * another thread running, and a registration of one page 0.3 us.
 */
#ifndef FRAMEWORK_HOOKS_HOOKS_INTERNAL_H
#define FRAMEWORK_HOOKS_HOOKS_INTERNAL_H

#include <stdatomic.h>

#include "opal/memoryhooks/memory_internal.h"

/* ---- A list of callbacks, as a dispatch reads it; only memory_hooks.c changes it. ---------------- */

#define OPAL_MEM_HOOKS_INITIAL_CAPACITY 16

struct opal_mem_hooks_entry {
    _Atomic(opal_mem_hooks_callback_fn_t *) func; /* NULL: dead. Set once before count covers the entry. */
    void *cbdata;
};

struct opal_mem_hooks_array {
    struct opal_mem_hooks_array *older; /* Replaced, perhaps still read; under list_lock. */
    uint32_t capacity;
    _Atomic uint32_t count; /* Release store by the appender, acquire load by dispatchers. */
    struct opal_mem_hooks_entry *items;
};

struct opal_mem_hooks_list {
    _Atomic(struct opal_mem_hooks_array *) array; /* Release store under list_lock, acquire load by dispatchers. */
    struct opal_mem_hooks_array initial;
    struct opal_mem_hooks_entry initial_items[OPAL_MEM_HOOKS_INITIAL_CAPACITY];
    _Atomic uint32_t live;      /* Entries that are not dead; written under list_lock. */
    int needed_support;         /* One of these bits must be there to register. */
} __attribute__((aligned(64))); /* All that a dispatch to one callback reads is in one line of the cache. */

extern struct opal_mem_hooks_list opal_mem_hooks_release_list;

static inline struct opal_mem_hooks_array *opal_mem_hooks_current(struct opal_mem_hooks_list *list)
{
    return atomic_load_explicit(&list->array, memory_order_acquire);
}

/** Run the callbacks of a list for each range. The caller is inside a slot. Hook context.
 *
 * Inline, because what runs between two system calls finds its code evicted from the caches: fewer lines of it are faster.
 * @param[in] errno_place  This thread's errno, which is kept. (Asking libc for the place at each release takes 2 ns.)
 */
static inline __attribute__((always_inline)) void opal_mem_hooks_dispatch(struct opal_mem_hooks_list *list,
                                                                          const opal_mem_hooks_range_t *ranges,
                                                                          size_t range_count, bool from_alloc,
                                                                          int *errno_place)
{
    struct opal_mem_hooks_array *array = opal_mem_hooks_current(list);
    uint32_t count = atomic_load_explicit(&array->count, memory_order_acquire);
    if (count == 0) {
        return;
    }
    struct opal_mem_hooks_entry *const end = array->items + count;
    int saved_errno = *errno_place;
    for (size_t k = 0; k < range_count; k++) {
        for (struct opal_mem_hooks_entry *entry = array->items; entry != end; entry++) {
            opal_mem_hooks_callback_fn_t *func = atomic_load_explicit(&entry->func, memory_order_acquire);
            if (func != NULL) {
                func((void *) ranges[k].start, ranges[k].length, entry->cbdata, from_alloc);
            }
        }
    }
    *errno_place = saved_errno;
}

/** In a window's cause, beside it: opal_mem_hooks_current_is_certain() says no. */
#define OPAL_MEM_HOOKS_UNCERTAIN 0x100u

/* ---- Who is inside ------------------------------------------------------------------------------ */

/** Wait until every dispatch that is running now, but for those of this thread, has ended.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_RESOURCE_BUSY  This thread is inside a callback, and so is another that waits likewise.
 */
int opal_mem_hooks_wait_dispatch(void);

/** Enter and leave a dispatch that releases nothing (alloc callbacks). Hook context. */
void opal_mem_hooks_enter(opal_mem_hooks_window_t *window);
void opal_mem_hooks_leave(opal_mem_hooks_window_t *window);

/** Is the code of any registered callback in [start, end)? Thread-safe. Not from hook context. */
bool opal_mem_hooks_has_callback_in(uintptr_t start, uintptr_t end);

/** Remove all callbacks, wait for those running. Under the init lock. */
void opal_mem_hooks_stop(void);

/** In a fork child: only this thread is left. Hook context. */
void opal_mem_hooks_reset_child(void);
void opal_mem_hooks_windows_reset_child(void);

/** The slots' number, for tests of the overflow. */
#define OPAL_MEM_HOOKS_SLOTS 128

#endif
