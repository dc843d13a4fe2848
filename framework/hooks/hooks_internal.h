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
 */
#ifndef FRAMEWORK_HOOKS_HOOKS_INTERNAL_H
#define FRAMEWORK_HOOKS_HOOKS_INTERNAL_H

#include "opal/memoryhooks/memory_internal.h"

/** Run the release callbacks for one range. The caller is inside a slot. Hook context. */
void opal_mem_hooks_dispatch_release(const opal_mem_hooks_range_t *range, bool from_alloc);

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
