/* SPDX-License-Identifier: BSD-3-Clause */
/* A monitor from elsewhere, whose mode says how it fails. It knows of a release
 * only when it is asked in the end: what it tells is late. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/coverage/monitor.h"

#ifndef FAKE_VERSION
#define FAKE_VERSION COVERAGE_MONITOR_VERSION
#endif

static coverage_event_fn_t *deliver;
static const char *how;
static char *watched;
static size_t watched_length;

static int is(const char *mode)
{
    return strcmp(how, mode) == 0;
}

/* Promises all but to come before the release. "early" promises that, too. "sum" has two mechanisms, of which one promises to
 * come before, but no row of this file's tests. */
static int start(const char *mode, coverage_event_fn_t *event, int argc, char **argv, coverage_claims_t *claims,
                 char *reason, size_t reason_size)
{
    (void) argv;
    how = mode;
    deliver = event;
    if (is("refuse") || argc < 1) {
        snprintf(reason, reason_size, "it does not want to");
        return -1;
    }
    if (is("crash-at-start")) {
        abort();
    }
    snprintf(claims->version, sizeof(claims->version), "%s", "1.2.3");
    claims->promise[0].support = is("unclaimed") ? 0 : UINT32_MAX;
    claims->promise[0].sees = is("early") ? UINT64_MAX : UINT64_MAX & ~UINT64_C(1);
    if (is("sum")) {
        claims->promise[1] = (coverage_promise_t){ .support = UINT32_MAX, .sees = 1 };
    } else if (is("halves")) {
        claims->promise[0] = (coverage_promise_t){ .support = UINT32_MAX };
        claims->promise[1] = (coverage_promise_t){ .sees = UINT64_MAX };
    } else if (is("early-sum")) {
        claims->promise[COVERAGE_PROMISES_MAX - 1] = (coverage_promise_t){ UINT32_MAX, UINT64_MAX };
    }
    return 0;
}

static int watch(void *start_of, size_t length)
{
    watched = start_of;
    watched_length = length;
    return is("cannot-watch") ? -1 : 0;
}

static void poll_events(void)
{
    if (is("crash")) {
        abort();
    }
    if (is("half")) {
        deliver(watched, watched_length / 2);
    } else if (is("ragged")) {
        deliver(watched, watched_length - 1);
    } else if (is("everything")) {
        deliver(NULL, SIZE_MAX);
    } else if (is("beside")) {
        deliver(watched + watched_length, watched_length);
        deliver(watched - 1, 1);
    } else if (is("pieces")) {
        deliver(watched, watched_length / 2);
        deliver(watched + watched_length / 2, watched_length - watched_length / 2);
    } else if (is("whole") || is("early") || is("sum") || is("early-sum")) {
        deliver(watched, watched_length);
    }
}

extern const coverage_monitor_t coverage_monitor;
const coverage_monitor_t coverage_monitor = {
    FAKE_VERSION, "fake", start, watch, poll_events, NULL,
};
