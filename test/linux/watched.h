/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages that a test gives back, one after the other: each counts how often a
 * release callback has named it. The counts lie in shared memory, so that
 * fork children report as well. All of it may be used in signal handlers and
 * hook context, but for watched_start().
 *
 * A scene is played with the component, and must see every page that it has
 * given back; its twin plays it with "noop", and must see that none was told. */
#ifndef TEST_LINUX_WATCHED_H
#define TEST_LINUX_WATCHED_H

#include <stdbool.h>
#include <stddef.h>

#include "opal/opalmem.h"
#include "test/sanitized.h"

#define PAGE ((size_t) 4096)

/* A sanitizer puts functions of its own before libc's, and its library into every object. That of threads does not
 * stand code in threads that are ending, or that it has not seen begin. */
#ifdef TEST_THREAD_SANITIZED
#define WATCHED_THREAD_SANITIZED 1
#endif
#if defined(TEST_ADDRESS_SANITIZED) || defined(TEST_THREAD_SANITIZED)
#define WATCHED_SANITIZED 1
#endif

/** Start the library with this component, and watch.
 * @return false: it does not run here (after a message). With "noop" nothing will be told. */
bool watched_start(const char *component);

/** Does the component linux run here? Finds out in a child. */
bool watched_can_run(void);

/** The next page, mapped and filled. It is to be given back. NULL: all have been given. */
char *watched_page(void);

/** The next pages, side by side. */
char *watched_pages(size_t count);

/** How often has the release of this page been told? */
int watched_count(const void *page);

/** Has the release of every page that was handed out been told? */
bool watched_all(void);

/** Releases of other memory that were told. */
int watched_others(void);

/** Releases that named no range but everything. */
int watched_everything(void);

/** If set, runs in the callback of each release of watched pages. */
extern void (*_Atomic watched_inside)(void *page);

/** The release callback, for registering it again. */
void watched_on_release(void *buf, size_t length, void *cbdata, bool from_alloc);

#endif
