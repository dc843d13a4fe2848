/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * The memory hooks as components see them: how events are raised, and the
 * table of releases in progress that makes a registration safe against the
 * time between a callback and the system call that it announces.
 *
 * A release has a window: opened before the callbacks run, closed when the
 * system call has returned. Whoever pins pages first makes the registration
 * visible to its own release callback, then asks for open windows over the
 * range, then pins. A release that read the caller's index before the
 * registration was visible has its window open at that moment, or is over.
 */
#ifndef OPAL_MEMORYHOOKS_MEMORY_INTERNAL_H
#define OPAL_MEMORYHOOKS_MEMORY_INTERNAL_H

#include "opal/memoryhooks/memory.h"

BEGIN_C_DECLS

/** Put before a function that runs at every release: the linker keeps these together. Behind a system
 * call the caches are cold: that they lie side by side saved 10 ns of 28 at a munmap. */
#define OPAL_MEM_HOOKS_PATH __attribute__((hot))

/** Put before a variable that every release reads: they lie side by side, mostly in one page, for the same reason. Where the
 * processor forgets translations at each system call, each page that is touched afterwards costs 6 ns. */
#define OPAL_MEM_HOOKS_DATA __attribute__((section("opalmem_hooks_data")))

/** What made memory go, for statistics and messages. */
typedef enum opal_mem_hooks_cause_t {
    OPAL_MEM_HOOKS_CAUSE_UNKNOWN, /**< Of a window: nothing goes, but somebody gives up watching the range. */
    OPAL_MEM_HOOKS_CAUSE_MUNMAP,
    OPAL_MEM_HOOKS_CAUSE_MMAP, /**< Mapped over. */
    OPAL_MEM_HOOKS_CAUSE_MREMAP,
    OPAL_MEM_HOOKS_CAUSE_MADVISE,
    OPAL_MEM_HOOKS_CAUSE_BRK,
    OPAL_MEM_HOOKS_CAUSE_SHMDT,
    OPAL_MEM_HOOKS_CAUSE_SHMAT,
    OPAL_MEM_HOOKS_CAUSE_REMAP_FILE_PAGES,
    OPAL_MEM_HOOKS_CAUSE_PROCESS_MADVISE,
    OPAL_MEM_HOOKS_CAUSE_TRUNCATE,  /**< Of a mapped file: truncate, ftruncate, open with O_TRUNC. */
    OPAL_MEM_HOOKS_CAUSE_FALLOCATE, /**< A hole or the like in a mapped file. */
    OPAL_MEM_HOOKS_CAUSE_UFFD_MOVE, /**< Moved elsewhere by ioctl(UFFDIO_MOVE). */
    OPAL_MEM_HOOKS_CAUSE_FREE,      /**< Back to the allocator, where blocks are told: free, realloc. */
    OPAL_MEM_HOOKS_CAUSE_KERNEL, /**< An event of the kernel that names no call; see opal_mem_hooks_change_hook(). */
    OPAL_MEM_HOOKS_CAUSE_CALLER, /**< opal_mem_hooks_release_hook() by hand. */
    OPAL_MEM_HOOKS_CAUSE_COUNT
} opal_mem_hooks_cause_t;

/** Short name of a cause, for reports ("munmap"); never NULL. Every context. */
OPAL_DECLSPEC const char *opal_mem_hooks_cause_name(opal_mem_hooks_cause_t cause);

/** The names of support bits, for reports: "free", "malloc", "chunk", "mmap", "munmap".
 *
 * @param[in]  support    OR of OPAL_MEMORY_*_SUPPORT; other bits are left out.
 * @param[in]  separator  Between two names.
 * @param[out] text       Always ends with a zero; cut to fit.
 * @param[in]  size       Bytes in text, at least 1.
 * @return Number of bits named; 0: text is empty. Not from hook context.
 */
OPAL_DECLSPEC int opal_mem_hooks_support_names(int support, const char *separator, char *text, size_t size);

/** The cause of the innermost release whose callbacks run on this thread now.
 *
 * @return UNKNOWN outside a release callback. Hook context.
 */
OPAL_DECLSPEC opal_mem_hooks_cause_t opal_mem_hooks_current_cause(void);

/** Is there any release callback? For components that can spare themselves work when nobody listens.
 *
 * The answer may be out of date at once: a caller that has gone without an event asks again after its
 * system call, and reports late if there is one now. Hook context.
 */
OPAL_DECLSPEC bool opal_mem_hooks_has_release_callbacks(void);

/** A component watches memory by this userfaultfd of its own: what the program itself registers with another one, the
 * kernel would refuse. Who sees such a call opens a window of cause UNKNOWN over its range before, and the component gives
 * the range up.
 *
 * @param[in] fd  -1: there is none any more. A fork child has its parent's number until a component sets its own.
 * Thread-safe.
 */
OPAL_DECLSPEC void opal_mem_hooks_set_userfaultfd(int fd);

/** @return The descriptor, or -1. Hook context. */
OPAL_DECLSPEC int opal_mem_hooks_userfaultfd(void);

/** Say what this process notices; replaces the earlier value. For the base of the memory framework.
 *
 * @param[in] support  OR of OPAL_MEMORY_*_SUPPORT.
 */
OPAL_DECLSPEC void opal_mem_hooks_set_support(int support);

/** [start, start + length): whole pages, or start 0 and length SIZE_MAX for everything. */
typedef struct opal_mem_hooks_range_t {
    uintptr_t start;
    size_t length;
} opal_mem_hooks_range_t;

#define OPAL_MEM_HOOKS_WINDOW_RANGES 2

/** One release in progress, on the stack of the releasing thread. Fields belong to the hooks. */
typedef struct opal_mem_hooks_window_t {
    struct opal_mem_hooks_window_t *outer; /**< The release this one is nested in, of the same thread. */
    uint32_t slot;
    uint32_t cause; /**< And whether it is certain. */
} opal_mem_hooks_window_t;

/** Open a window over ranges and run the release callbacks for each of them.
 *
 * @param[out] window      Kept by the caller until opal_mem_hooks_window_close().
 * @param[in]  ranges      count ranges; copied.
 * @param[in]  count       1 to OPAL_MEM_HOOKS_WINDOW_RANGES.
 * @param[in]  cause       What the caller is about to do.
 * @param[in]  from_alloc  As for callbacks.
 * Hook context. Never fails and never waits: with every slot taken, the whole address space counts
 * as being released until the window is closed.
 */
OPAL_DECLSPEC void opal_mem_hooks_window_open(opal_mem_hooks_window_t *window,
                                              const opal_mem_hooks_range_t *ranges, size_t count,
                                              opal_mem_hooks_cause_t cause, bool from_alloc);

/** Open a window over ranges of which nothing goes, and tell nobody: only who asks for windows sees it
 * (opal_mem_hooks_window_overlaps()). Otherwise as above, from all threads' view at once when it returns. */
OPAL_DECLSPEC void opal_mem_hooks_window_hold(opal_mem_hooks_window_t *window,
                                              const opal_mem_hooks_range_t *ranges, size_t count);

/** The system call has returned: close the window. Same thread as open. Hook context. */
OPAL_DECLSPEC void opal_mem_hooks_window_close(opal_mem_hooks_window_t *window);

/** Is any part of [start, start + length) in an open window?
 *
 * Full barrier before the look: what the caller stored before is seen by the
 * callbacks of every window that opens from now on.
 * @return True also while the range of a window just opening is not known yet.
 * Thread-safe, not from hook context.
 */
OPAL_DECLSPEC bool opal_mem_hooks_window_overlaps(uintptr_t start, size_t length);

/** Run the release callbacks for a range now, as a window that closes at once.
 *
 * For components whose news come after the fact, and for callers that unmap behind libc's back.
 * @param[in] buf,length  Rounded outwards to pages here; length 0 does nothing.
 * Hook context.
 */
OPAL_DECLSPEC void opal_mem_hooks_release_hook(void *buf, size_t length, bool from_alloc);

/** The same, with a cause of the caller's choice. */
OPAL_DECLSPEC void opal_mem_hooks_release_cause(void *buf, size_t length, bool from_alloc,
                                                opal_mem_hooks_cause_t cause);

/** Likewise, of pages that have changed in whatever way: the teller does not know whether they went. A fork has
 * write-protected them, or their rights have changed, or the kernel has moved them.
 *
 * Whoever keeps registrations drops them, as after a release; but nobody has given back what is in use. The cause is KERNEL.
 * Hook context.
 */
OPAL_DECLSPEC void opal_mem_hooks_change_hook(void *buf, size_t length, bool from_alloc);

/** In a release callback: is it known that the pages go? False for opal_mem_hooks_change_hook(), and where the cause is
 * UNKNOWN: then they stay, and only a watch ends.
 *
 * @return Of the innermost release whose callbacks run on this thread now; true outside of any. Hook context.
 */
OPAL_DECLSPEC bool opal_mem_hooks_current_is_certain(void);

/** Is there an alloc callback? One that is being registered just now may be overlooked: nobody relies on an alloc event.
 * Hook context. */
OPAL_DECLSPEC bool opal_mem_hooks_wants_alloc(void);

/** Run the alloc callbacks for memory that the process has got. Hook context. */
OPAL_DECLSPEC void opal_mem_hooks_alloc_hook(void *buf, size_t length, bool from_alloc);

END_C_DECLS

#endif
