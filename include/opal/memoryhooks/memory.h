/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * Memory hooks: callbacks when the process gets memory or is about to lose it.
 *
 * Whoever keeps registrations (pinned pages) of application memory registers a
 * release callback here and drops the registrations that overlap the range.
 *
 * Hook context. Callbacks run inside munmap, madvise, brk, malloc or free of
 * whoever calls those, possibly in a signal handler or a vfork child. A
 * callback allocates nothing, frees nothing, uses no stdio, and takes no lock
 * that anybody holds across an allocation. errno is preserved around it. Unwinding may leave it (a C++ exception,
 * pthread_exit, cancellation): the release then does not take place. longjmp may not.
 *
 * libc declares munmap, free and their like as functions that never call back (`leaf`): a variable
 * that a callback changes in the file that makes such a call must be volatile or atomic there.
 */
#ifndef OPAL_MEMORYHOOKS_MEMORY_H
#define OPAL_MEMORYHOOKS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/constants.h"

BEGIN_C_DECLS

/* Bits of opal_mem_hooks_support_level(). */
#define OPAL_MEMORY_FREE_SUPPORT 0x0001   /**< Release by the allocator (free, trim) is noticed. */
#define OPAL_MEMORY_MALLOC_SUPPORT 0x0002 /**< Every malloc, calloc ... raises an alloc callback. */
#define OPAL_MEMORY_CHUNK_SUPPORT 0x0004  /**< Release callbacks come only when memory goes back to the system. */
#define OPAL_MEMORY_MMAP_SUPPORT 0x0008   /**< mmap and its like raise alloc callbacks. */
#define OPAL_MEMORY_MUNMAP_SUPPORT 0x0010 /**< Release by system calls (munmap, mremap, madvise ...) is noticed. */

/** Start the hooks: the same as opalmem_init(NULL, NULL), and counted with it.
 *
 * @retval OPAL_SUCCESS              Running, if only with support level 0.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory; nothing was started.
 * @retval OPAL_ERR_NOT_FOUND        A component asked for by name cannot run.
 * @retval OPAL_ERR_BAD_PARAM        A variable has a value that cannot be used.
 * Thread-safe. Not from a callback.
 */
OPAL_DECLSPEC int opal_mem_hooks_init(void);

/** Drop one init. The last one unregisters every callback.
 *
 * When the last finalize has returned, no thread is inside a callback or will
 * enter one.
 *
 * @retval OPAL_SUCCESS  Also when init was never called.
 * Thread-safe. May block until callbacks on other threads have returned. Not from a callback.
 */
OPAL_DECLSPEC int opal_mem_hooks_finalize(void);

/** What the running components notice, each bit proven by a self-test.
 *
 * @return OR of OPAL_MEMORY_*_SUPPORT; 0 before init and when nothing is noticed.
 * Safe in every context.
 */
OPAL_DECLSPEC int opal_mem_hooks_support_level(void);

/** A callback.
 *
 * @param[in] buf         First byte; of a release from the system, page aligned.
 * @param[in] length      Bytes, whole pages likewise; never 0.
 *                        buf NULL and length SIZE_MAX: everything may have changed.
 * @param[in] cbdata      As given at registration.
 * @param[in] from_alloc  True when the caller may hold an allocator's lock (the usual case).
 */
typedef void(opal_mem_hooks_callback_fn_t)(void *buf, size_t length, void *cbdata, bool from_alloc);

/** Have func called after the process has got memory.
 *
 * @param[in] func    Identifies the registration: a second one with other cbdata is refused.
 * @param[in] cbdata  Passed to func; the caller's, until unregister has returned.
 * @retval OPAL_SUCCESS              Registered. Callbacks run in the order of registration.
 * @retval OPAL_EXISTS               func is registered already; its cbdata is unchanged.
 * @retval OPAL_ERR_NOT_SUPPORTED    Before init, or no component reports allocations.
 * @retval OPAL_ERR_BAD_PARAM        func is NULL.
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory; nothing changed.
 * Thread-safe. Not from hook context: it may allocate.
 */
OPAL_DECLSPEC int opal_mem_hooks_register_alloc(opal_mem_hooks_callback_fn_t *func, void *cbdata);

/** Have func called before the process loses memory (where the component can: see its `sees`).
 *
 * The release may still fail in the kernel: the callback then has been called for nothing.
 * Parameters, codes and context are those of opal_mem_hooks_register_alloc().
 */
OPAL_DECLSPEC int opal_mem_hooks_register_release(opal_mem_hooks_callback_fn_t *func, void *cbdata);

/** Remove an alloc callback.
 *
 * @param[in] func  As registered.
 * @retval OPAL_SUCCESS            No other thread is inside func or will enter it.
 * @retval OPAL_ERR_NOT_FOUND      func is not registered.
 * @retval OPAL_ERR_RESOURCE_BUSY  Called from inside a callback while a callback on another thread
 *     was itself waiting for this one: func will not be entered again, but that thread is still
 *     inside it. Its data must live until this callback has returned.
 * Thread-safe. Waits for callbacks on other threads. Allowed inside a callback, for itself or another.
 */
OPAL_DECLSPEC int opal_mem_hooks_unregister_alloc(opal_mem_hooks_callback_fn_t *func);

/** Remove a release callback; as opal_mem_hooks_unregister_alloc(). */
OPAL_DECLSPEC int opal_mem_hooks_unregister_release(opal_mem_hooks_callback_fn_t *func);

END_C_DECLS

#endif
