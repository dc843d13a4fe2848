/* SPDX-License-Identifier: BSD-3-Clause */
/* The component's second mechanism: interposition of libc's functions by GOT
 * slots, where no code can be replaced. What it is worth: linux_interpose.c. */
#ifndef COMPONENTS_LINUX_LINUX_INTERPOSE_H
#define COMPONENTS_LINUX_LINUX_INTERPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/mca/memory/memory.h"

/** As linux_query(), linux_install() and linux_uninstall().
 * @param[in] disabled  LINUX_CALL_BITs of the calls to be left alone. */
int linux_interpose_query(void);
int linux_interpose_install(uint32_t disabled, int *support, uint64_t *sees);
int linux_interpose_uninstall(void);

/** memoryc_register, as linux_guard_register(): takes in what has been loaded since, and drops what is cached then. */
int linux_interpose_register(void *base, size_t length, uint64_t cookie);

/** `valid` of the module (SLOW_VALID): false once something has been loaded whose calls are not seen yet. */
bool linux_interpose_valid(void *base, size_t length, const opal_memory_watch_t *watch);

#endif
