/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-run: starts a program under the preload library, waits for it, reports. */
#ifndef TOOLS_RUN_RUN_H
#define TOOLS_RUN_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "tools/run/run_page.h"

#define RUN_PROGRAM "opalmem-run"

/** Exit codes of its own; env(1), nohup(1) and timeout(1) use the same three last ones. */
enum {
    RUN_EXIT_WRONG = 124,    /**< --verify saw a hit with other page frames. */
    RUN_EXIT_FAILED = 125,   /**< opalmem-run itself: command line, library, files. */
    RUN_EXIT_CANNOT = 126,   /**< The program cannot be executed. */
    RUN_EXIT_NOT_FOUND = 127 /**< There is no such program. */
};

typedef struct run_options_t {
    bool help, version, verify, unsafe;
    uint64_t threshold;
    const char *json;
    char **settings; /**< --mca NAME VALUE ..., as words; the array is ours. */
    int setting_count;
    char **program; /**< Its arguments, ends with NULL; part of argv. */
} run_options_t;

/** @return false after a message. Always followed by run_options_free(). */
bool run_options_parse(run_options_t *options, int argc, char **argv);
void run_options_free(run_options_t *options);
void run_options_help(void);

/** Why the preload library was never seen in a program that has run; a phrase. */
const char *run_unreached_reason(const char *program);

/** Make the page. @return Its descriptor, or -1 after a message. */
int run_page_make(const run_options_t *options, run_page_t **page);

/** Do library, io_uring and --verify work here? In a child of its own. @return false after a message. */
bool run_probe(const run_options_t *options);

/** How a program ended. */
typedef struct run_end_t {
    int failed; /**< Not 0: it was not executed; an exit code, after a message. */
    int status; /**< As waitpid tells. */
} run_end_t;

/** Run it, pass signals on, stop and go on with it, until it has ended. */
run_end_t run_launch(const run_options_t *options, run_page_t *page, int page_fd);

/** What a report says besides figures. */
enum {
    RUN_NOTE_UNREACHED = 1,
    RUN_NOTE_NO_CACHED = 2,
    RUN_NOTE_NO_HIT = 4,
    RUN_NOTE_NO_INVALIDATION = 8,
    RUN_NOTE_FAILURE = 16,
    RUN_NOTE_WRONG = 32,
    RUN_NOTE_UNVERIFIED = 64
};
typedef struct run_report_t {
    const run_options_t *options;
    const run_page_t *page;
    int status;
    unsigned notes;
} run_report_t;

/** Which notes these figures deserve. */
unsigned run_report_notes(const run_options_t *options, const run_page_t *page);
/** Short name of a note, for JSON; index 0 ... ; NULL behind the last. */
const char *run_note_name(int index);
uint64_t run_invalidations(const run_page_t *page);
uint64_t run_sum(const run_counter_t *counters, int count);
const char *run_call_name(int call);
const char *run_reason_name(int reason);
const char *run_cause_name(int cause);
void run_report_print(FILE *stream, const run_report_t *report);
/** @return false after a message. */
bool run_report_json(FILE *stream, const run_report_t *report);

#endif
