/* SPDX-License-Identifier: BSD-3-Clause */
/* The monitors that are built in: opalmem itself, by its public interface, with
 * whatever components the settings select; and none, which hears nothing. */
#include <stdio.h>

#include "opal/memoryhooks/memory_internal.h"
#include "opal/opalmem.h"
#include "tools/coverage/coverage.h"

static coverage_event_fn_t *deliver;
static opal_memory_watch_t watched;

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata, (void) from_alloc;
    deliver(buf, length);
}

static void claim_promises(coverage_claims_t *claims)
{
    opal_memory_base_promise_t promises[COVERAGE_PROMISES_MAX];
    const size_t count = opal_memory_base_promises(promises, COVERAGE_PROMISES_MAX);

    for (size_t i = 0; i < count && i < COVERAGE_PROMISES_MAX; i++) {
        claims->promise[i] =
            (coverage_promise_t){ .support = (uint32_t) promises[i].support, .sees = promises[i].sees };
    }
}

static void claim(coverage_claims_t *claims)
{
    const int support = opal_mem_hooks_support_level();

    claim_promises(claims);
    snprintf(claims->version, sizeof(claims->version), "%s", OPALMEM_VERSION);
    if (opal_mem_hooks_support_names(support, ",", claims->claimed, sizeof(claims->claimed)) == 0) {
        snprintf(claims->claimed, sizeof(claims->claimed), "nothing");
    }
}

/* What was watched last; length 0: nothing, or only in pieces. */
static void *watched_range;
static size_t watched_length;

static int watch_piece(void *range, size_t length)
{
    watched.cookie = opal_memory_base_new_cookie();
    return opal_memory_base_watch(range, length, &watched);
}

/* A range with a hole can be watched, as it can be registered, page by page. */
static int watch_pages(char *range, size_t length)
{
    int result = OPAL_ERR_OUT_OF_RESOURCE;

    for (size_t at = 0; at < length; at += COVERAGE_PAGE) {
        result = watch_piece(range + at, COVERAGE_PAGE) == OPAL_SUCCESS ? OPAL_SUCCESS : result;
    }
    return result;
}

static int watch(void *range, size_t length)
{
    const int rc = watch_piece(range, length);

    watched_range = range;
    watched_length = rc == OPAL_SUCCESS ? length : 0;
    return rc == OPAL_SUCCESS ? rc : watch_pages(range, length);
}

/* What a component makes with its first watch (a thread, perhaps) is not to be made between the scene's steps. */
static void warm_up(void)
{
    static char page[COVERAGE_PAGE] __attribute__((aligned(COVERAGE_PAGE)));

    if (watch_piece(page, sizeof(page)) == OPAL_SUCCESS) {
        opal_memory_base_unwatch(page, sizeof(page), &watched);
    }
}

/* A component that notices nothing takes no callback; that is no fault here: all rows will show it. */
static int start(const char *mode, coverage_event_fn_t *event, int argc, char **argv, coverage_claims_t *claims,
                 char *reason, size_t reason_size)
{
    int rc = opalmem_init(&argc, &argv);

    (void) mode;
    if (rc != OPAL_SUCCESS) {
        snprintf(reason, reason_size, "the library does not start: %s", opal_strerror(rc));
        return rc;
    }
    deliver = event;
    claim(claims);
    rc = opal_mem_hooks_register_release(on_release, NULL);
    if (rc != OPAL_SUCCESS && opal_mem_hooks_support_level() != 0) {
        snprintf(reason, reason_size, "no callback: %s", opal_strerror(rc));
        opalmem_finalize();
        return rc;
    }
    warm_up();
    return 0;
}

/* As a lookup in a cache does it: then each registration that was found is asked for. */
static void poll_events(void)
{
    if (opal_memory_changed()) {
        opal_memory_base_sync();
    }
    if (watched_length != 0
        && (!opal_memory_watch_holds(&watched)
            || !opal_memory_base_valid(watched_range, watched_length, &watched))) {
        deliver(watched_range, watched_length);
    }
}

static void stop(void)
{
    opal_mem_hooks_unregister_release(on_release);
    opalmem_finalize();
}

const coverage_monitor_t coverage_monitor_opalmem = {
    COVERAGE_MONITOR_VERSION, "opalmem", start, watch, poll_events, stop,
};

static int start_nothing(const char *mode, coverage_event_fn_t *event, int argc, char **argv,
                         coverage_claims_t *claims, char *reason, size_t reason_size)
{
    (void) mode, (void) event, (void) argc, (void) argv, (void) claims, (void) reason, (void) reason_size;
    return 0;
}

const coverage_monitor_t coverage_monitor_none = {
    COVERAGE_MONITOR_VERSION, "none", start_nothing, NULL, NULL, NULL,
};
