/* SPDX-License-Identifier: BSD-3-Clause */
/* The report as one JSON document. Sizes are in bytes. */
#include <sys/wait.h>

#include "opal/opalmem.h"
#include "tools/run/run.h"
#include "tools/util/json.h"

static void put_program(json_t *json, const run_report_t *report)
{
    json_array_begin(json, "arguments", JSON_ONE_LINE);
    for (char **word = report->options->program; *word != NULL; word++) {
        json_string(json, NULL, *word);
    }
    json_array_end(json);
    if (WIFSIGNALED(report->status)) {
        json_int(json, "signal", WTERMSIG(report->status));
    } else {
        json_int(json, "exit_status", WEXITSTATUS(report->status));
    }
    json_uint(json, "threshold", report->options->threshold);
    json_bool(json, "unsafe", report->options->unsafe);
}

static void put_call(json_t *json, const run_page_t *page, int call)
{
    json_object_begin(json, run_call_name(call), JSON_LINES);
    json_uint(json, "cached", run_get(&page->cached[call]));
    json_uint(json, "bytes", run_get(&page->bytes[call]));
    json_object_begin(json, "plain", JSON_LINES);
    for (int reason = 0; reason < RUN_REASONS; reason++) {
        if (run_get(&page->plain[call][reason]) != 0) {
            json_uint(json, run_reason_name(reason), run_get(&page->plain[call][reason]));
        }
    }
    json_object_end(json);
    json_object_end(json);
}

static void put_calls(json_t *json, const run_page_t *page)
{
    json_object_begin(json, "calls", JSON_LINES);
    for (int call = 0; call < RUN_CALLS; call++) {
        put_call(json, page, call);
    }
    json_object_end(json);
    json_uint(json, "cached", run_sum(page->cached, RUN_CALLS));
    json_uint(json, "completed_plainly", run_get(&page->completed));
}

static void put_cache(json_t *json, const run_page_t *page)
{
    json_uint(json, "hits", run_get(&page->hits));
    json_uint(json, "misses", run_get(&page->misses));
    json_uint(json, "registrations", run_get(&page->pins));
    json_uint(json, "registered_bytes", run_get(&page->pinned_bytes));
    json_uint(json, "deregistrations", run_get(&page->unpins));
    json_uint(json, "evictions", run_get(&page->evictions));
    json_uint(json, "invalidations", run_invalidations(page));
    json_object_begin(json, "unpinned_in_release", JSON_ONE_LINE);
    for (int cause = 0; cause < RUN_CAUSES; cause++) {
        if (run_get(&page->unpinned_in_release[cause]) != 0) {
            json_uint(json, run_cause_name(cause), run_get(&page->unpinned_in_release[cause]));
        }
    }
    json_object_end(json);
}

static void put_verified(json_t *json, const run_page_t *page)
{
    json_object_begin(json, "verify", JSON_LINES);
    json_uint(json, "hits", run_get(&page->verified_hits));
    json_uint(json, "pages", run_get(&page->verified_pages));
    json_uint(json, "not_verified", run_get(&page->hidden_hits));
    json_uint(json, "wrong", run_get(&page->wrong_hits));
    json_string_or_null(json, "first_wrong", run_get(&page->wrong_hits) != 0 ? page->wrong.text : NULL);
    json_object_end(json);
}

static void put_notes(json_t *json, const run_report_t *report)
{
    json_array_begin(json, "notes", JSON_ONE_LINE);
    for (int i = 0; run_note_name(i) != NULL; i++) {
        if ((report->notes & (1U << i)) != 0) {
            json_string(json, NULL, run_note_name(i));
        }
    }
    json_array_end(json);
    json_string_or_null(
        json, "unreached",
        (report->notes & RUN_NOTE_UNREACHED) != 0 ? run_unreached_reason(report->options->program[0]) : NULL);
    json_string_or_null(json, "failure",
                        (report->notes & RUN_NOTE_FAILURE) != 0 ? report->page->failure.text : NULL);
}

bool run_report_json(FILE *stream, const run_report_t *report)
{
    const run_page_t *page = report->page;
    json_t json = { .stream = stream };
    bool is_good;

    json_object_begin(&json, NULL, JSON_LINES);
    json_string(&json, "program", RUN_PROGRAM);
    json_string(&json, "version", OPALMEM_VERSION);
    put_program(&json, report);
    json_uint(&json, "programs", run_get(&page->images));
    json_uint(&json, "forks", run_get(&page->forks));
    json_uint(&json, "caches", run_get(&page->started));
    put_calls(&json, page);
    put_cache(&json, page);
    if (report->options->verify) {
        put_verified(&json, page);
    }
    put_notes(&json, report);
    json_object_end(&json);
    is_good = ferror(stream) == 0;
    if (fclose(stream) != 0 || !is_good) {
        perror(RUN_PROGRAM ": the JSON report cannot be written");
        return false;
    }
    return true;
}
