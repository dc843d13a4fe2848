/* SPDX-License-Identifier: BSD-3-Clause */
/* What scenes and monitors tell goes into the record of the row: the range, its
 * pages at the beginning and at the end, and for each event which pages it
 * covered while they were still there. coverage_event() runs inside hooks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/coverage/coverage.h"
#include "tools/coverage/coverage_child.h"
#include "tools/coverage/scenes.h"

#define PAGES_AT_ONCE 64

static coverage_record_t *record;

void coverage_record_use(coverage_record_t *new_record)
{
    record = new_record;
}

/* ---- For scenes ------------------------------------------------------------------------------- */

void coverage_expect(unsigned target, const void *start, size_t length)
{
    const uintptr_t first = (uintptr_t) start & ~(COVERAGE_PAGE - 1);
    const uintptr_t end = ((uintptr_t) start + length + COVERAGE_PAGE - 1) & ~(COVERAGE_PAGE - 1);

    if (target == record->target) {
        record->start = first;
        record->pages = (end - first) / COVERAGE_PAGE;
    }
}

static void note_pages(void)
{
    size_t present = 0;

    coverage_need(record->pages != 0 && record->pages <= COVERAGE_PAGES_MAX, "the scene's range");
    record->proof = coverage_pages_open();
    coverage_page_states(record->start, record->pages, record->states);
    for (size_t i = 0; i < record->pages; i++) {
        atomic_store(&record->marks[i], record->states[i] != 0 ? COVERAGE_MARK_PRESENT : 0);
        present += record->states[i] != 0;
    }
    coverage_need(present != 0, "pages of the range are there");
}

void coverage_begin_in_child(void)
{
    note_pages();
    atomic_store(&record->is_listening, true);
}

void coverage_begin(void)
{
    if (!coverage_watch((void *) record->start, record->pages * COVERAGE_PAGE)) {
        coverage_not_possible("the monitor cannot watch such memory");
    }
    coverage_begin_in_child();
}

void coverage_stop_in_child(void)
{
    record = NULL;
}

void coverage_stop(void)
{
    coverage_poll();
    atomic_store(&record->is_listening, false);
}

void coverage_end(void)
{
    static uint64_t states[COVERAGE_PAGES_MAX];

    coverage_stop();
    coverage_page_states(record->start, record->pages, states);
    for (size_t i = 0; i < record->pages; i++) {
        if (record->states[i] != 0 && states[i] != record->states[i]) {
            atomic_fetch_or(&record->marks[i], COVERAGE_MARK_GONE);
        }
    }
    record->stage = COVERAGE_STAGE_PLAYED;
}

/* _exit: memory may be in any state, and the record is what counts. */
_Noreturn static void leave(coverage_stage_t stage)
{
    record->stage = stage;
    _exit(0);
}

void coverage_not_possible(const char *why)
{
    const int error = errno;

    atomic_store(&record->is_listening, false);
    if (error != 0) {
        snprintf(record->text, sizeof(record->text), "%s: %s", why, strerror(error));
    } else {
        snprintf(record->text, sizeof(record->text), "%s", why);
    }
    leave(COVERAGE_STAGE_NOT_POSSIBLE);
}

void coverage_fail(const char *what)
{
    const int error = errno;

    atomic_store(&record->is_listening, false);
    snprintf(record->text, sizeof(record->text), "%s: %s", what, error != 0 ? strerror(error) : "failed");
    leave(COVERAGE_STAGE_FAILED);
}

/* ---- Events ----------------------------------------------------------------------------------- */

static uintptr_t least(uintptr_t a, uintptr_t b)
{
    return a < b ? a : b;
}

static uintptr_t most(uintptr_t a, uintptr_t b)
{
    return a > b ? a : b;
}

/* [start, end) overlaps all these pages; at its ends it may cover them in part. */
static void mark_some(size_t first, size_t count, uintptr_t start, uintptr_t end)
{
    uint64_t states[PAGES_AT_ONCE];

    coverage_page_states(record->start + first * COVERAGE_PAGE, count, states);
    for (size_t i = 0; i < count; i++) {
        const uintptr_t page = record->start + (first + i) * COVERAGE_PAGE;
        uint8_t mark = states[i] == record->states[first + i] ? COVERAGE_MARK_BEFORE : COVERAGE_MARK_AFTER;

        if (start > page || end < page + COVERAGE_PAGE) {
            mark = COVERAGE_MARK_PARTLY;
        }
        atomic_fetch_or(&record->marks[first + i], mark);
    }
}

static void keep(uintptr_t start, size_t length)
{
    const unsigned index = atomic_fetch_add(&record->event_count, 1);

    if (index < COVERAGE_EVENTS_MAX) {
        record->events[index] = (coverage_event_t){ start, length };
    }
}

void coverage_event(const void *buf, size_t length)
{
    const uintptr_t start = (uintptr_t) buf;
    const uintptr_t end = length > UINTPTR_MAX - start ? UINTPTR_MAX : start + length;
    uintptr_t from, to;

    if (record == NULL || !atomic_load(&record->is_listening)) {
        return;
    }
    from = most(start, record->start);
    to = least(end, record->start + record->pages * COVERAGE_PAGE);
    if (from >= to) {
        return;
    }
    keep(start, length);
    from = (from - record->start) / COVERAGE_PAGE;
    to = (to - record->start + COVERAGE_PAGE - 1) / COVERAGE_PAGE;
    for (; from < to; from += PAGES_AT_ONCE) {
        mark_some(from, least(to - from, PAGES_AT_ONCE), start, end);
    }
}
