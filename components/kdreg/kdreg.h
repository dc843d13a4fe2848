/* SPDX-License-Identifier: BSD-3-Clause */
/* The component "kdreg" inside: the one device of the process, who is watched,
 * and the protocol between threads, driver and caches.
 *
 * **A release.** Before munmap() and the like return, the driver, for each region
 * that is hit, queues an event, increments total_events, and takes the region's
 * word out of use; the region is gone. A lookup compares total_events with what
 * was delivered, and the word with what it was at MONITOR: two loads, no call.
 * When the counter differs, process() fetches the events, and raises a release
 * for each whose cookie is still watched. Whatever is not delivered yet, or was
 * lost, is seen at the word; so neither overflow nor a word that has come to its
 * old value again (31 bits) makes a stale hit: the one still has the counter or
 * the word against it, the other the counter.
 *
 * **Locks.** `lock` protects everything in kdreg_state_t but what is said to be
 * constant. It is held across calls of the device and of memory management, never
 * across callbacks or log messages: those are collected, and come after it. (Where linux runs beside, a call of memory
 * management raises its release there; hooks may.) No hook takes it. Its rank is below the
 * framework's process_lock, which process() is called under. All signals are
 * blocked meanwhile: a handler may fork. Lookups take no
 * lock: what they read (status page, words) stays mapped until stop.
 *
 * **Pages.** The status page is at `place`, the same from start to stop, also in a
 * fork child, also when the device is lost. When the tables grow, words of the
 * former tables stay where they are, out of use: regions that a cache has not yet
 * unwatched go on pointing there.
 *
 * **Standing down.** When the device has gone (descriptor closed, replaced;
 * errors), a page whose counter nobody has seen is put over `place`: from then on
 * opal_memory_changed() is true, process() fails, and nothing is cached. Everything is released once, too: the page may be refused.
 *
 * **Fork.** A child has the parent's pages and descriptors, none of any use. When fork() returns, or, if libc did not fork,
 * at the first call here, it closes the descriptors, makes the state anew, and puts zeros over the words and a page of
 * its own over `place`: it is away. Its first process() releases everything. When it watches something, process() opens
 * the device, once the base has seen our counter: the device's own starts from 0, and could come to what was `seen` of
 * the parent's. Where the driver put the parent's pages, the child keeps placeholders: the driver may unmap by address. */
#ifndef COMPONENTS_KDREG_KDREG_H
#define COMPONENTS_KDREG_KDREG_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "components/kdreg/kdreg_cookies.h"
#include "components/kdreg/kdreg_device.h"
#include "components/kdreg/kdreg_guard.h"
#include "opal/mca/memory/memory.h"

typedef struct kdreg_options_t {
    const char *device;
    size_t max_regions; /**< Of the first tables. */
    size_t limit;       /**< They grow to this, by doubling. */
} kdreg_options_t;

/* Tables at least double: more do not fit into 31 bits. Those of the 32nd child of a child are left until the process ends. */
#define KDREG_MAX_FORMER 32

typedef struct kdreg_state_t {
    pthread_mutex_t lock;
    sigset_t signals;        /**< That the holder had blocked before. */
    kdreg_options_t options; /**< Constant from start to stop. */
    kdreg_device_t device;
    kdreg_guards_t guards;
    kdreg_cookies_t cookies;
    void *place; /**< Of the status page; constant from start to stop. */
    void *spare; /**< The page to stand down with; NULL: it is at `place`. */
    bool is_down;
    const char *down_reason; /**< Not yet logged. */
    int down_error;
    bool is_away;   /**< A fork child without a device: our page is at `place`, nothing is watched. */
    bool has_left;  /**< What the parent watched has not been released yet. */
    bool is_wanted; /**< Away: there is something to watch. */
    uint64_t away;  /**< Away, the counter is not below this; no device's is as large. */
    struct {
        const volatile uint32_t *states;
        size_t size;
    } former[KDREG_MAX_FORMER];
    size_t former_count;
} kdreg_state_t;

extern kdreg_state_t kdreg_state;

/* ---- kdreg_life.c -------------------------------------------------------------------------------- */

/** Open, configure and test the device.
 * @param[out] module  counter, support and sees; untouched on error.
 * @retval OPAL_SUCCESS / OPAL_ERR_NOT_AVAILABLE, with a reason set */
int kdreg_start(const kdreg_options_t *options, opal_memory_base_module_t *module);

/** Close it; nobody watches or looks up any more. */
void kdreg_stop(void);

/** Open the device, make its tables and test it. @return NULL, or what has failed; *error: 0 or why, a negative errno. */
const char *kdreg_open_device(int *support, uint64_t *sees, int *error);

/** Close what is open of it, if it is still ours. */
void kdreg_close_device(void);

/** The words of the tables that the device had before stay, until stop. */
void kdreg_keep_former(void);

/** Take the lock, and see that the device is there, and this process's.
 * @return false: it is not, and the lock is not held. */
bool kdreg_enter(void);

/** Let the lock go, and say what is to be said. */
void kdreg_leave(void);

/** The device is lost: nothing is cached from now on. Under the lock. */
void kdreg_stand_down(const char *reason, int error);

/** Watch those guards that are not watched, and see that they are there; else stand down. Under the lock. */
void kdreg_guard_again(void);

/** Give the tables a new size; when that fails, the old one again, or stand down. Regions are gone, words of former tables stay.
 * Under the lock. @return 0, or a negative errno: the size is the old one. */
int kdreg_resize(size_t max_regions);

/* ---- kdreg_fork.c -------------------------------------------------------------------------------- */

/** Begin to notice children, when there is a `place`. @return 0 / -ENOMEM */
int kdreg_fork_start(void);
void kdreg_fork_stop(void);

/** Is this a child that has not noticed? Then the caller makes it one, or waits for the thread that does. */
void kdreg_fork_check(void);

/** Away, under the lock: there is something to watch. Has process() called. */
void kdreg_fork_want(void);

/** Away, under the lock, by process(): one step on the way to a device. @return Is everything to be released? */
bool kdreg_fork_process(void);

/* ---- kdreg_watch.c, kdreg_process.c -------------------------------------------------------------- */

/* As the framework says. */
int kdreg_watch(void *base, size_t len, opal_memory_watch_t *watch);
int kdreg_unwatch(void *base, size_t len, opal_memory_watch_t *watch);
int kdreg_register(void *base, size_t len, uint64_t cookie);
int kdreg_deregister(void *base, size_t len, uint64_t cookie);
int kdreg_process(void);

/* ---- kdreg_selftest.c ---------------------------------------------------------------------------- */

/** See what the device tells. Before anything is watched.
 * @return NULL, or why it cannot be used. */
const char *kdreg_selftest(const kdreg_device_t *device, int *support, uint64_t *sees);

#endif
