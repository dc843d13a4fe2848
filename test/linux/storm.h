/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that do nothing but the calls whose code is replaced, and keep count of what their release callback has told
 * them. A test replaces the code meanwhile, over and over, and says when releases must be heard and when none can be. */
#ifndef TEST_LINUX_STORM_H
#define TEST_LINUX_STORM_H

#include <stdbool.h>
#include <stddef.h>

#include "opal/memoryhooks/memory.h"

#define STORM_THREADS 2

/** What can go wrong, as numbers of times. */
typedef struct storm_result_t {
    unsigned long calls;
    unsigned long heard;    /**< Releases that had to be heard, and were. */
    unsigned long wrong;    /**< Results of calls, or contents of memory. */
    unsigned long missed;   /**< Not heard, though a callback was registered all the time. */
    unsigned long repeated; /**< Heard more than once. */
    unsigned long spurious; /**< Heard, though nothing was installed all the time. */
    unsigned long breaks;   /**< Callbacks that malloc's calls of brk have caused. */
} storm_result_t;

/** The callback to register while code is replaced. */
void storm_on_release(void *buf, size_t length, void *cbdata, bool from_alloc);

void storm_start(void);
/** @return false: a thread has ended by itself. */
void storm_stop(storm_result_t *result);

/** From now on every release is heard / some may be / none can be. */
void storm_is_on(void);
void storm_is_changing(void);
void storm_is_off(void);

/** Wait until each thread has come round once more. */
void storm_wait(void);

/** Environment OPALMEM_TEST_ROUNDS, or this number. */
int storm_rounds(int rounds);

#endif
