/* SPDX-License-Identifier: BSD-3-Clause */
/* A driver ummunotify in user space, behind the component's table of system
 * calls. It behaves as the real one does as far as that can be observed:
 * regions by cookie, the generation in a shared page, hints, merging, LAST,
 * EAGAIN, 128 events a read; a descriptor is a real one, which a program may
 * close or replace, and which a fork child inherits. What munmap and the like
 * do is real, too: the fake tells of it first, as the kernel does.
 *
 * A test can script it: let calls fail, or run something in the middle of one. */
#ifndef TEST_UMMUNOTIFY_UMMUNOTIFY_FAKE_H
#define TEST_UMMUNOTIFY_UMMUNOTIFY_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "components/ummunotify/ummunotify_abi.h"
#include "components/ummunotify/ummunotify_sys.h"

/** A path that the fake serves; any other is opened as it is. */
#define FAKE_DEVICE "/dev/ummunotify"

typedef enum fake_call_t {
    FAKE_OPEN,
    FAKE_CLOSE,
    FAKE_DUPLICATE,
    FAKE_IDENTIFY,
    FAKE_FEATURES,
    FAKE_REGISTER,
    FAKE_UNREGISTER,
    FAKE_READ,
    FAKE_MAP,
    FAKE_SETTLE,
    FAKE_RELEASE, /**< Between the driver's being told and the pages' going. */
    FAKE_CALLS
} fake_call_t;

/** Put it behind the table, with no script. Before the library starts. */
void fake_install(void);

/** The next `times` calls fail with this errno, before anything is done. */
void fake_fail(fake_call_t call, int error, unsigned times);

/** Run `action` in each call from now on, before it is served. NULL: no more. No lock is held meanwhile. */
void fake_during(fake_call_t call, void (*action)(void));

/** Number of calls of this process so far. */
unsigned fake_count(fake_call_t call);

/** A read gives at most so many bytes; 0: as many as the driver gives. */
void fake_limit_reads(size_t bytes);

/** The next read gives these bytes, whatever is waiting. `size` 0: an end of file. */
void fake_read_bytes(const void *bytes, size_t size);

/** Releases of these kinds, an OR of 1 << kind, are not told of. */
void fake_mute(unsigned kinds);

/** settle does not wait. */
void fake_mute_settle(bool is_muted);

/** A release that nobody makes: tell of [start, end). @return Did it hit a region? */
bool fake_notify(uint64_t start, uint64_t end);

/** Regions of this process now, and devices that it has opened and not closed. */
size_t fake_regions(void);
size_t fake_devices(void);

/** Uses of a device by a process that has not opened it, over all processes of the test. */
unsigned fake_strangers(void);

/** Threads that wait in settle now. */
unsigned fake_settling(void);

#endif
