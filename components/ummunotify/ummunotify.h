/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory component "ummunotify": the kernel's driver of that name tells of every change of the regions that were
 * registered with it. The counter of the module is the word that the driver counts in, mapped: it grows by one whenever a
 * change hits a region of ours. The protocol, and who owns what:
 *
 *   what                 written by                                    read by
 *   counter page         the driver; AWAY: whoever processes           every lookup
 *   state, fd            enable and disable (init lock); process:      anybody (acquire)
 *                        AWAY -> READY, or GONE; whoever finds it
 *                        lost: READY -> LOST; the first of a child:
 *                        -> AWAY
 *   identity of the file whoever sets READY, before                    after READY
 *   table of cookies     holder of its lock                            likewise
 *   events being read    the thread in process alone; on its stack     likewise
 *
 * The base calls process by one thread at a time. Register and deregister come from any thread at any time, also from
 * callbacks inside process. So no lock is held across a callback, a system call or an allocation; the only one, of the table
 * of cookies, is held for a look or a change of the table.
 *
 * Registering. The cookie is in the table before the driver knows it, so that each event finds its range; it leaves the table
 * before the driver forgets it: an event whose cookie is not there is of nobody. A cookie that is in use, or unknown, never
 * reaches the driver. The driver counts when a release begins, not when the pages are gone: one that had begun before the
 * region was known goes unnoticed and may not be over. So register does not return before every such release is
 * (ummunotify_sys_t.settle), and its caller pins after that.
 *
 * Processing. The base takes a sample of the counter, calls process, and stores the sample as seen. Every change up to the
 * sample is in the driver's list by then, or of a region that was unregistered since: so when the list is found empty (LAST,
 * EAGAIN) all of them are told, and the sample is right, however far the counter is from it. Nothing is compared with the
 * counter here: after an unregistered region took its event with it, the counter stays ahead for good. A region stays
 * registered after its event, and may be told of again; who has lost it unregisters it.
 *
 * Fork. The child's descriptor and counter are the parent's: reading would take its events away. A child forgets the
 * descriptor (it is never touched, nor closed: the number may be another file's by now), empties the table, and maps a page of
 * its own over the counter: AWAY. It does so when fork() returns, or, if libc did not fork, in the first call of the component.
 * Its first call of process releases everything: what was watched is not any more. A new device is opened when the child
 * registers something, and only while `seen` of the base cannot be mistaken for a value of the new counter, which starts from 0:
 * see ummunotify_device_return().
 *
 * Loss. A program may close our descriptor, or put another file in its place. Before each use the file is compared with the
 * one that was opened. The counter goes on as long as its page is mapped: so the next change makes process fail, the base
 * drops everything, and nothing is kept from then on: LOST. */
#ifndef COMPONENTS_UMMUNOTIFY_UMMUNOTIFY_H
#define COMPONENTS_UMMUNOTIFY_UMMUNOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "components/ummunotify/ummunotify_abi.h"
#include "components/ummunotify/ummunotify_sys.h"

typedef enum ummunotify_state_t {
    UMMUNOTIFY_CLOSED,
    UMMUNOTIFY_READY,
    UMMUNOTIFY_AWAY, /**< A fork child without a device of its own; nothing is registered. */
    UMMUNOTIFY_GONE, /**< Likewise, and it gets none. */
    UMMUNOTIFY_LOST, /**< The descriptor is not ours any more, or the driver fails. */
} ummunotify_state_t;

/* ---- The device (ummunotify_device.c) ----------------------------------------------------------- */

/** Can the device be opened, and is it one? Nothing stays open. Not thread-safe, as the next three.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE, with a reason for the component. */
int ummunotify_device_probe(const char *path);

/** Make the page of the counter, if it is not there: it stays where it is as long as the process. NULL: no memory. */
const volatile uint64_t *ummunotify_device_counter(void);

/** Open the device and map its counter. @param[in] path  Outlives the device: fork children open it again.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE, with a reason. */
int ummunotify_device_open(const char *path);

/** Close it, unless it is not ours; in any state. */
void ummunotify_device_close(void);

/** What can be done with it. Notices that this is a fork child. Thread-safe, as all that follow. */
ummunotify_state_t ummunotify_device_state(void);

/** The requests, and read(2), of a device that is READY; interrupted ones are made again.
 * @return What the kernel returns; -ENODEV: not READY, or not any more. */
int ummunotify_device_register(uint64_t start, uint64_t end, uint64_t cookie);
int ummunotify_device_unregister(uint64_t cookie);
ssize_t ummunotify_device_read(struct ummunotify_event *events, size_t count);

/** Wait for releases that had begun before the call. @return 0 or -errno. */
int ummunotify_device_settle(void);

/** It is of no use any more: READY -> LOST. Says why, once. */
void ummunotify_device_lose(const char *why);

/** In process: has this become a child since the last call? Then nothing is watched that was. */
bool ummunotify_device_has_left(void);

/** In process, AWAY: one step on the way to a device of the child's own. */
void ummunotify_device_return(void);

/** In register, AWAY: ask for a device, and help that it comes. @return Is it READY now? */
bool ummunotify_device_want(void);

/* ---- Fork children (ummunotify_fork.c) ---------------------------------------------------------- */

/** Begin to notice them. @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE */
int ummunotify_fork_start(void);

/** Is this a child that has not noticed? Then the caller makes it one, or waits for the thread that does. */
void ummunotify_fork_check(void);

/** Called once in each child, before anything else of the component: of the device. */
void ummunotify_device_become_child(void);

/* ---- Table of cookies (ummunotify_table.c) ------------------------------------------------------ */

typedef struct ummunotify_range_t {
    uint64_t start, end;
} ummunotify_range_t;

/** @param[in] cookie  Not 0. @retval OPAL_SUCCESS / OPAL_EXISTS / OPAL_ERR_OUT_OF_RESOURCE */
int ummunotify_table_insert(uint64_t cookie, ummunotify_range_t range);
/** @return Was it there? */
bool ummunotify_table_remove(uint64_t cookie);
/** @return Is it there? Else *range is left alone. */
bool ummunotify_table_find(uint64_t cookie, ummunotify_range_t *range);
size_t ummunotify_table_count(void);
/** Forget all of it, and give its memory back. */
void ummunotify_table_clear(void);
/** In a fork child, where the lock may be another thread's: forget it. @return What ummunotify_table_free() takes. */
void *ummunotify_table_abandon(void);
void ummunotify_table_free(void *table);

/* ---- What the framework calls ------------------------------------------------------------------- */

/** memoryc_register, memoryc_deregister (ummunotify_register.c). */
int ummunotify_register(void *base, size_t len, uint64_t cookie);
int ummunotify_deregister(void *base, size_t len, uint64_t cookie);

/** memoryc_process (ummunotify_process.c). */
int ummunotify_process(void);

/* ---- Self-test (ummunotify_selftest.c) ---------------------------------------------------------- */

/** What the device tells of; it is READY, and nothing is registered.
 * @param[out] support  OR of OPAL_MEMORY_*_SUPPORT.
 * @param[out] sees     OR of OPAL_MEMORY_SEES_*.
 */
void ummunotify_selftest(int *support, uint64_t *sees);

#endif
