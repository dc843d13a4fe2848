/* SPDX-License-Identifier: BSD-3-Clause */
/* Notices that the program has closed the device's descriptor, before a lookup
 * trusts words that do not change any more.
 *
 * Programs close all descriptors that they do not know, one after the other,
 * upwards or downwards. So two more files of the device are open, one descriptor below that of
 * the device proper and one above. When one of them is closed, the driver unmaps its
 * status page, and that page is watched by the device proper: its counter moves.
 * Under the lock of kdreg.h. */
#ifndef COMPONENTS_KDREG_KDREG_GUARD_H
#define COMPONENTS_KDREG_KDREG_GUARD_H

#include "components/kdreg/kdreg_device.h"

#define KDREG_GUARDS 2

typedef struct kdreg_guards_t {
    kdreg_device_t device[KDREG_GUARDS]; /**< fd -1: there is none. */
    void *page[KDREG_GUARDS];            /**< Status page, where the driver has put it. */
    uint64_t cookie[KDREG_GUARDS];       /**< 0: it is not watched. */
    kdreg_params_t params[KDREG_GUARDS];
} kdreg_guards_t;

/** Open the device proper between its guards. Guards that cannot be opened are left out.
 * @return 0, or why the device proper cannot be opened: a negative errno. */
int kdreg_guards_open(kdreg_guards_t *guards, kdreg_device_t *device, const char *path);

/** Watch those of their pages that are not watched. @return false: none is. */
bool kdreg_guards_watch(kdreg_guards_t *guards, const kdreg_device_t *device);

/** Watch none: before the tables get another size. */
void kdreg_guards_unwatch(kdreg_guards_t *guards, const kdreg_device_t *device);

/** Is an event about a guard? Then its page is not watched any more. */
bool kdreg_guards_take_event(kdreg_guards_t *guards, uint64_t cookie);

/** Are all that were opened still there? */
bool kdreg_guards_are_ours(const kdreg_guards_t *guards);

void kdreg_guards_close(kdreg_guards_t *guards);

#endif
