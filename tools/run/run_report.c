/* SPDX-License-Identifier: BSD-3-Clause */
/* The report as text, and what the figures mean in words. */
#define _GNU_SOURCE 1
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

#include "opal/memoryhooks/memory_internal.h"
#include "tools/run/run.h"

static const char *const call_names[RUN_CALLS] = { "read", "pread", "write", "pwrite" };

static const char *const reason_names[RUN_REASONS] = {
    [RUN_SMALL] = "below the threshold",
    [RUN_ARGUMENT] = "arguments that the kernel refuses",
    [RUN_NOT_REGULAR] = "no regular file",
    [RUN_END] = "less than the threshold left in the file",
    [RUN_INHERITED] = "descriptor not opened in view",
    [RUN_SHARED] = "descriptor perhaps shared with another process",
    [RUN_APPEND] = "position found by O_APPEND",
    [RUN_MOVED] = "position moved by another thread",
    [RUN_FILE_LIMIT] = "RLIMIT_FSIZE is set",
    [RUN_EARLY] = "while the library started",
    [RUN_NESTED] = "inside the cache or a release",
    [RUN_IN_HANDLER] = "in a signal handler",
    [RUN_IN_VFORK] = "in a child that shares memory",
    [RUN_FORBIDDEN] = "seccomp, protection keys or a shared table of descriptors",
    [RUN_NO_LIBRARY] = "no cache in this process",
    [RUN_MEMORY] = "memory that cannot be registered",
    [RUN_LIMIT] = "limit of pinned memory",
    [RUN_TRANSFER] = "io_uring moved nothing",
};

static const char *const note_names[] = { "unreached", "no cached operation", "no hit",     "no invalidation",
                                          "failure",   "wrong frames",        "unverified", NULL };

const char *run_call_name(int call)
{
    return call_names[call];
}

const char *run_reason_name(int reason)
{
    return reason_names[reason];
}

const char *run_note_name(int index)
{
    return note_names[index];
}

const char *run_cause_name(int cause)
{
    return cause == RUN_CAUSE_RIGHTS ? "mprotect" : opal_mem_hooks_cause_name((opal_mem_hooks_cause_t) cause);
}

uint64_t run_sum(const run_counter_t *counters, int count)
{
    uint64_t sum = 0;

    for (int i = 0; i < count; i++) {
        sum += run_get(&counters[i]);
    }
    return sum;
}

/* What was unpinned outside of a release was evicted, or released while it was in use. */
static uint64_t unpinned_after(const run_page_t *page)
{
    const uint64_t later = run_get(&page->unpinned_later), evictions = run_get(&page->evictions);

    return later > evictions ? later - evictions : 0;
}

uint64_t run_invalidations(const run_page_t *page)
{
    return run_sum(page->unpinned_in_release, RUN_CAUSES) + unpinned_after(page);
}

unsigned run_report_notes(const run_options_t *options, const run_page_t *page)
{
    unsigned notes = 0;

    notes |= run_get(&page->main_seen) == 0 ? RUN_NOTE_UNREACHED : 0;
    notes |= run_sum(page->cached, RUN_CALLS) == 0 ? RUN_NOTE_NO_CACHED : 0;
    notes |= run_get(&page->hits) == 0 ? RUN_NOTE_NO_HIT : 0;
    notes |= run_invalidations(page) == 0 ? RUN_NOTE_NO_INVALIDATION : 0;
    notes |= atomic_load(&page->failure.taken) == 2 ? RUN_NOTE_FAILURE : 0;
    notes |= run_get(&page->wrong_hits) != 0 ? RUN_NOTE_WRONG : 0;
    if (options->verify
        && (run_get(&page->hidden_hits) != 0 || run_get(&page->verified_hits) + run_get(&page->wrong_hits) == 0)) {
        notes |= RUN_NOTE_UNVERIFIED;
    }
    return notes;
}

/* ---- Text ------------------------------------------------------------------------------------------ */

static void print_end(FILE *stream, const run_report_t *report)
{
    fprintf(stream, RUN_PROGRAM ": %s: ", report->options->program[0]);
    if (WIFSIGNALED(report->status)) {
        fprintf(stream, "ended by signal %d (%s)\n", WTERMSIG(report->status),
                strsignal(WTERMSIG(report->status)));
    } else {
        fprintf(stream, "exit status %d\n", WEXITSTATUS(report->status));
    }
}

static void print_plain(FILE *stream, const run_page_t *page, int call)
{
    for (int reason = 0; reason < RUN_REASONS; reason++) {
        const uint64_t count = run_get(&page->plain[call][reason]);

        if (count != 0) {
            fprintf(stream, "  %-12s %12" PRIu64 "  %s\n", "", count, run_reason_name(reason));
        }
    }
}

static void print_calls(FILE *stream, const run_page_t *page)
{
    for (int call = 0; call < RUN_CALLS; call++) {
        const uint64_t cached = run_get(&page->cached[call]), plain = run_sum(page->plain[call], RUN_REASONS);

        if (cached + plain != 0) {
            fprintf(stream, "  %-12s %12" PRIu64 "  cached, %" PRIu64 " bytes\n", run_call_name(call), cached,
                    run_get(&page->bytes[call]));
            print_plain(stream, page, call);
        }
    }
    if (run_get(&page->completed) != 0) {
        fprintf(stream, "  %-12s %12" PRIu64 "  of the cached, by a plain call\n", "completed",
                run_get(&page->completed));
    }
}

static void print_causes(FILE *stream, const run_page_t *page)
{
    const char *separator = ": ";

    for (int cause = 0; cause < RUN_CAUSES; cause++) {
        const uint64_t count = run_get(&page->unpinned_in_release[cause]);

        if (count != 0) {
            fprintf(stream, "%s%s %" PRIu64, separator, run_cause_name(cause), count);
            separator = ", ";
        }
    }
    if (unpinned_after(page) != 0) {
        fprintf(stream, "%sunpinned afterwards %" PRIu64, separator, unpinned_after(page));
    }
    fputc('\n', stream);
}

static void print_cache(FILE *stream, const run_page_t *page)
{
    fprintf(stream, "  %-12s %12" PRIu64 "\n", "hits", run_get(&page->hits));
    fprintf(stream, "  %-12s %12" PRIu64 "\n", "misses", run_get(&page->misses));
    fprintf(stream, "  %-12s %12" PRIu64 "  %" PRIu64 " bytes\n", "pinned", run_get(&page->pins),
            run_get(&page->pinned_bytes));
    fprintf(stream, "  %-12s %12" PRIu64, "invalidated", run_invalidations(page));
    print_causes(stream, page);
    fprintf(stream, "  %-12s %12" PRIu64 "\n", "evicted", run_get(&page->evictions));
}

static void print_verified(FILE *stream, const run_page_t *page)
{
    fprintf(stream, "  %-12s %12" PRIu64 "  hits, %" PRIu64 " pages with the frames of their registration\n",
            "verified", run_get(&page->verified_hits), run_get(&page->verified_pages));
    fprintf(stream, "  %-12s %12" PRIu64 "  hits\n", "wrong", run_get(&page->wrong_hits));
}

static void print_notes(FILE *stream, const run_report_t *report)
{
    const run_page_t *page = report->page;
    const unsigned notes = report->notes;

    if (notes & RUN_NOTE_UNREACHED) {
        fprintf(stream, "NOTE: the program was never reached by the preload library: %s\n",
                run_unreached_reason(report->options->program[0]));
    }
    if (notes & RUN_NOTE_FAILURE) {
        fprintf(stream, "NOTE: the library said: %.*s\n", RUN_TEXT_MAX - 1, page->failure.text);
    }
    if (notes & RUN_NOTE_NO_CACHED) {
        fputs("NOTE: no operation was cached: this run shows nothing\n", stream);
    }
    if (notes & RUN_NOTE_NO_HIT) {
        fputs("NOTE: no lookup was a hit\n", stream);
    }
    if (notes & RUN_NOTE_NO_INVALIDATION) {
        fputs("NOTE: no registration was invalidated: no cached memory was released\n", stream);
    }
    if ((notes & RUN_NOTE_UNVERIFIED) && run_get(&page->hidden_hits) == 0) {
        fputs("NOTE: --verify had no hit to look at\n", stream);
    } else if (notes & RUN_NOTE_UNVERIFIED) {
        fprintf(stream, "NOTE: %" PRIu64 " hits could not be verified: their processes see no page frames\n",
                run_get(&page->hidden_hits));
    }
    if (notes & RUN_NOTE_WRONG) {
        fprintf(stream, "ERROR: stale registrations were used: %.*s\n", RUN_TEXT_MAX - 1, page->wrong.text);
    }
}

void run_report_print(FILE *stream, const run_report_t *report)
{
    const run_page_t *page = report->page;

    print_end(stream, report);
    fprintf(stream,
            "  %-12s %12" PRIu64 "  with the preload library, %" PRIu64 " forked, %" PRIu64 " with a cache\n",
            "programs", run_get(&page->images), run_get(&page->forks), run_get(&page->started));
    print_calls(stream, page);
    print_cache(stream, page);
    if (report->options->verify) {
        print_verified(stream, page);
    }
    if (report->options->unsafe) {
        fputs("  unsafe       nobody noticed releases\n", stream);
    }
    print_notes(stream, report);
}
