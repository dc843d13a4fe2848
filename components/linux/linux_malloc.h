/* SPDX-License-Identifier: BSD-3-Clause */
/* Malloc-level events of the component "linux": each block that the allocator
 * hands out and takes back. Opt-in (memory_linux_malloc_events), and half of
 * what interposition as a mechanism consists of (linux_interpose.h). */
#ifndef COMPONENTS_LINUX_LINUX_MALLOC_H
#define COMPONENTS_LINUX_LINUX_MALLOC_H

#include <stdbool.h>
#include <stddef.h>

/** Take malloc and its kin over, and test that.
 * @param[out] reason  On error: why.
 * @retval OPAL_SUCCESS            Each is noticed. Events are raised from linux_malloc_go_live(true) on.
 * @retval OPAL_ERR_NOT_AVAILABLE  Nothing is taken over.
 * Under the init lock. */
int linux_malloc_install(char *reason, size_t size);

/** Back as it was. Wrappers that somebody else keeps a pointer to just pass from now on. Under the init lock. */
void linux_malloc_uninstall(void);

/** Raise events? Calls under way finish as they began. */
void linux_malloc_go_live(bool live);

/** For a component that runs and sees what `support` says: switch the events on, and adapt *support; a warning, and
 * *support as it is, where that is not possible. Under the init lock. */
void linux_malloc_enable(int *support);
void linux_malloc_disable(void);

/** For objects that were loaded since the last time. Not from hook context. */
void linux_malloc_follow(void);

/** Is there a sanitizer in the process? Then raise an event for each block that it takes back; should it not tell of them,
 * *support loses that, and a warning says so. Under the init lock. */
void linux_sanitizer_enable(int *support);
void linux_sanitizer_disable(void);

#endif
