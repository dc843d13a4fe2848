/* SPDX-License-Identifier: BSD-3-Clause */
/* From the record of a row to its verdict. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "opal/mca/memory/memory.h"
#include "tools/coverage/coverage.h"

static const char *const names[COVERAGE_VERDICTS] = {
    [COVERAGE_CAUGHT] = "caught",     [COVERAGE_LATE] = "late",
    [COVERAGE_PARTIAL] = "partial",   [COVERAGE_MISSED] = "missed",
    [COVERAGE_FALSE] = "false",       [COVERAGE_QUIET] = "quiet",
    [COVERAGE_UNPROVEN] = "unproven", [COVERAGE_NOT_POSSIBLE] = "not possible",
    [COVERAGE_FAILED] = "failed",
};

const char *coverage_verdict_name(coverage_verdict_t verdict)
{
    return names[verdict];
}

const char *coverage_proof_name(coverage_proof_t proof)
{
    return proof == COVERAGE_PROOF_FRAMES ? "frames" : "content";
}

/* Pages that were there at the beginning, counted by their marks. */
typedef struct tally_t {
    size_t present, gone, before, covered;
} tally_t;

static tally_t count_pages(const coverage_record_t *record)
{
    tally_t tally = { 0, 0, 0, 0 };

    for (size_t i = 0; i < record->pages; i++) {
        const uint8_t marks = atomic_load(&record->marks[i]);

        if ((marks & COVERAGE_MARK_PRESENT) == 0) {
            continue;
        }
        tally.present++;
        tally.gone += (marks & COVERAGE_MARK_GONE) != 0;
        tally.before += (marks & COVERAGE_MARK_BEFORE) != 0;
        tally.covered += (marks & (COVERAGE_MARK_BEFORE | COVERAGE_MARK_AFTER)) != 0;
    }
    return tally;
}

static coverage_verdict_t heard(const tally_t *tally, unsigned events)
{
    if (events == 0) {
        return COVERAGE_MISSED;
    }
    if (tally->covered < tally->present) {
        return COVERAGE_PARTIAL;
    }
    return tally->before == tally->present ? COVERAGE_CAUGHT : COVERAGE_LATE;
}

static coverage_verdict_t judge_pages(coverage_kind_t kind, const tally_t *tally, unsigned events)
{
    switch (kind) {
    case COVERAGE_RELEASE: return tally->gone < tally->present ? COVERAGE_UNPROVEN : heard(tally, events);
    case COVERAGE_LATENT: return heard(tally, events);
    case COVERAGE_CONTROL:
        if (tally->gone != 0) {
            return COVERAGE_UNPROVEN;
        }
        break;
    case COVERAGE_INFO: return events == 0 ? COVERAGE_QUIET : heard(tally, events);
    }
    return events != 0 ? COVERAGE_FALSE : COVERAGE_QUIET;
}

/* Per cent of the range's bytes; the first event alone, as others only repeat where one does not cover. */
static unsigned share(const coverage_record_t *record)
{
    const uintptr_t end = record->start + record->pages * COVERAGE_PAGE;
    const coverage_event_t *event = &record->events[0];
    const uintptr_t event_end =
        event->length > UINTPTR_MAX - event->start ? UINTPTR_MAX : event->start + event->length;
    const uintptr_t from = event->start > record->start ? event->start : record->start;
    const uintptr_t to = event_end < end ? event_end : end;

    return from < to ? (unsigned) ((to - from) * 100 / (end - record->start)) : 0;
}

static void judge_played(const coverage_row_t *row, const coverage_record_t *record, coverage_cell_t *cell)
{
    const tally_t tally = count_pages(record);

    cell->events = atomic_load(&record->event_count);
    cell->verdict = judge_pages(row->kind, &tally, cell->events);
    if (cell->events != 0) {
        cell->first = record->events[0];
        cell->covered = cell->verdict == COVERAGE_PARTIAL ? share(record) : 100;
    }
    if (cell->verdict == COVERAGE_UNPROVEN) {
        snprintf(cell->text, sizeof(cell->text), "%zu of %zu pages went", tally.gone, tally.present);
    }
}

static void judge_end(const coverage_record_t *record, int status, coverage_cell_t *cell)
{
    cell->verdict = COVERAGE_FAILED;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        snprintf(cell->text, sizeof(cell->text), "it did not come to an end");
    } else if (WIFSIGNALED(status)) {
        snprintf(cell->text, sizeof(cell->text), "signal %d", WTERMSIG(status));
    } else {
        snprintf(cell->text, sizeof(cell->text), "%.*s", COVERAGE_TEXT_MAX - 1,
                 record->text[0] != '\0' ? record->text : "it ended early");
    }
}

static bool is_promised(const coverage_row_t *row, const coverage_promise_t *promise)
{
    return (row->support | row->sees) != 0 && (row->support & ~promise->support) == 0
           && (row->sees & ~promise->sees) == 0;
}

/* Mechanisms that run together promise each by itself: what one sees anywhere, and another one before, is not seen
 * anywhere before. */
static void judge_claims(const coverage_row_t *row, const coverage_claims_t *claims, coverage_cell_t *cell)
{
    for (size_t i = 0; i < COVERAGE_PROMISES_MAX; i++) {
        if (is_promised(row, &claims->promise[i])) {
            cell->claimed = true;
            cell->claimed_before |= (claims->promise[i].sees & OPAL_MEMORY_SEES_BEFORE) != 0;
        }
    }
}

void coverage_judge(const coverage_row_t *row, const coverage_record_t *record, int status, coverage_cell_t *cell)
{
    *cell = (coverage_cell_t){ .proof = record->proof,
                               .start = record->start,
                               .length = record->pages * COVERAGE_PAGE };
    judge_claims(row, &record->claims, cell);
    if (record->stage == COVERAGE_STAGE_PLAYED && WIFEXITED(status)) {
        judge_played(row, record, cell);
    } else if (record->stage == COVERAGE_STAGE_NOT_POSSIBLE || record->stage == COVERAGE_STAGE_NO_MONITOR) {
        cell->verdict = COVERAGE_NOT_POSSIBLE;
        memcpy(cell->text, record->text, sizeof(cell->text));
    } else {
        judge_end(record, status, cell);
    }
}

bool coverage_is_broken(const coverage_cell_t *cell)
{
    switch (cell->verdict) {
    case COVERAGE_MISSED:
    case COVERAGE_PARTIAL:
    case COVERAGE_FAILED: return cell->claimed;
    case COVERAGE_LATE: return cell->claimed_before;
    default: return false;
    }
}
