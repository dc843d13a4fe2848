/* SPDX-License-Identifier: BSD-3-Clause */
/** @file
 * What opalmem-coverage asks of a monitor: a library that notices when memory goes. A monitor from elsewhere is a
 * shared object that defines one constant,
 *
 *     const coverage_monitor_t coverage_monitor = { COVERAGE_MONITOR_VERSION, "name", init, ... };
 *
 * and needs no other header and no library of this project. Each row runs in a process of its own: start, watch,
 * the release, poll, stop; in this order, once each, on the main thread.
 */
#ifndef TOOLS_COVERAGE_MONITOR_H
#define TOOLS_COVERAGE_MONITOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Grows when the structure below changes; a monitor of another version is refused. */
#define COVERAGE_MONITOR_VERSION 2

/** To be called by the monitor when it learns that [start, start + length) goes, or has gone.
 *
 * @param[in] start   As the monitor would tell its own users, not rounded for our sake.
 * @param[in] length  Bytes. start NULL and length SIZE_MAX: everything.
 * From any thread, in any context, also inside munmap, malloc or a signal handler; keeps errno.
 */
typedef void coverage_event_fn_t(const void *start, size_t length);

#define COVERAGE_PROMISES_MAX 8

/** What one mechanism promises by itself: rows all of whose bits it has must be caught. */
typedef struct coverage_promise_t {
    uint32_t support; /**< OR of OPAL_MEMORY_*_SUPPORT. */
    uint64_t
        sees; /**< OR of OPAL_MEMORY_SEES_*; with OPAL_MEMORY_SEES_BEFORE those rows must be caught before the release. */
} coverage_promise_t;

/** What a monitor says of itself after start. */
typedef struct coverage_claims_t {
    char version[64];  /**< Of the library behind it; "" if there is none. */
    char claimed[128]; /**< Level of support in its own words; "" if it has none. */
    coverage_promise_t
        promise[COVERAGE_PROMISES_MAX]; /**< One for each mechanism that runs; all 0: nothing is promised. */
} coverage_claims_t;

/** A monitor. Constant. */
typedef struct coverage_monitor_t {
    unsigned version; /**< COVERAGE_MONITOR_VERSION. */
    const char *name;
    /** Begin to deliver.
     * @param[in]  mode    What the user wrote behind the colon of --monitor NAME:MODE; "" without one.
     * @param[in]  event   Where events go.
     * @param[in]  argc,argv  Settings (`--mca NAME VALUE`), for those who understand them; NULL-terminated.
     * @param[out] claims  All zero before the call.
     * @param[out] reason  Why it cannot run here, in a few words; cut to fit.
     * @return 0; another value: it cannot run here, and nothing was started.
     */
    int (*start)(const char *mode, coverage_event_fn_t *event, int argc, char **argv, coverage_claims_t *claims,
                 char *reason, size_t reason_size);
    /** The range that is about to be released, as a cache would pin it. 0: good. NULL: it needs no ranges. */
    int (*watch)(void *start, size_t length);
    /** The release is over: deliver what waits. NULL: it delivers by itself. */
    void (*poll)(void);
    /** NULL: nothing to stop. */
    void (*stop)(void);
} coverage_monitor_t;

#ifdef __cplusplus
}
#endif

#endif
