/* SPDX-License-Identifier: BSD-3-Clause */
/* The component's second mechanism: interposition of libc's functions by GOT
 * slots, where no code can be replaced. What it is worth: linux_interpose.c. */
#ifndef COMPONENTS_LINUX_LINUX_INTERPOSE_H
#define COMPONENTS_LINUX_LINUX_INTERPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "components/linux/linux.h"

/** As linux_query(), linux_install() and linux_uninstall().
 * Of the options, left_alone counts, whichever code it names. */
int linux_interpose_query(void);
int linux_interpose_install(const linux_options_t *options, int *support, uint64_t *sees);
int linux_interpose_uninstall(void);

/** memoryc_register, as linux_guard_register(): takes in what has been loaded since, and drops what is cached then. */
int linux_interpose_register(void *base, size_t length, uint64_t cookie);

/** `valid` of the module (SLOW_VALID): false once something has been loaded whose calls are not seen yet. */
bool linux_interpose_valid(void *base, size_t length, const opal_memory_watch_t *watch);

#endif
