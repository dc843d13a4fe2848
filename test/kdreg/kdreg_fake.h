/* SPDX-License-Identifier: BSD-3-Clause */
/* /dev/kdreg2 in user space: the observable behaviour of the driver, behind the
 * component's table of system calls, with a script of errors and orders. What
 * the kernel's notifier would see, tests tell it by the functions of kdreg_test.h. */
#ifndef TEST_KDREG_KDREG_FAKE_H
#define TEST_KDREG_KDREG_FAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum fake_call_t {
    FAKE_OPEN,
    FAKE_CONFIG,
    FAKE_MONITOR,
    FAKE_UNMONITOR,
    FAKE_FLUSH,
    FAKE_READ,
    FAKE_POLL,
    FAKE_MOVE,
    FAKE_MAP,
    FAKE_CALLS
} fake_call_t;

/** What tests say. Zero: the driver as it is. Set while no other thread uses the device. */
typedef struct fake_script_t {
    struct {
        long at;    /**< This call fails, and those that follow, counted from now, the first is 1; 0: none. */
        long times; /**< So many. */
        int error;  /**< A negative errno. */
        void (*before)(void); /**< Called before each one. */
    } call[FAKE_CALLS];
    _Atomic bool deaf;      /**< The twin: the driver notices nothing. */
    _Atomic bool defers;    /**< Another has the driver's lock whenever something changes: fake_run_deferred(). */
    size_t read_at_most;    /**< Bytes that a read yields; 0: as many as asked for. */
    int child_error;        /**< What a fork child gets; 0: -EIO. */
    bool location_is_wrong; /**< MONITOR answers with the number of the words. */
    bool generation_is_wrong; /**< ... with a word that is not in use. */
    bool does_not_count;      /**< Events come without the counter. */
    bool loses_silently;      /**< The twin: what finds no room changes no word either. */
    size_t queue_size;        /**< Events that find room; 0: as many as the tables have regions. */
    bool is_endless;          /**< For each event that is read, another one comes. */
    bool hole_is_taken;       /**< Somebody else gets the addresses that a page has been moved from. */
    uint32_t event_type;      /**< Of events, instead of 1. */
    void (*noticed)(uintptr_t first,
                    uintptr_t last); /**< Called by the notifier, under its lock, before words change. */
} fake_script_t;

extern fake_script_t fake_script;

/** Calls since the last fake_reset_counts(). */
extern _Atomic long fake_calls[FAKE_CALLS];

void fake_reset_counts(void);

/** Put the fake behind the component. */
void fake_install(void);

/** The kernel's notifier: pages of this process have changed. */
void fake_notify(void *start, size_t length);

/** fork() has write-protected the private pages of this process. */
void fake_notify_fork(void);

/** The kernel changes the status pages where the driver has put them. */
void fake_notify_guards(void);

/** These pages are not inherited by children. */
void fake_dont_fork(void *start, size_t length);

/** What was deferred comes now. */
void fake_run_deferred(void);

/** The next generation that the largest context hands out, of 31 bits. */
void fake_set_generation(uint32_t generation);

/** The program closes a descriptor, by whatever means. @return as close(). */
int fake_close(int fd);

/** Open files of the device in this process, regions of all, and events that wait. */
int fake_open_files(void);
size_t fake_regions(void);
size_t fake_pending(void);

#endif
