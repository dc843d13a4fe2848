/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-coverage: what its files share. The program starts itself again for
 * each row and monitor: the child (coverage_child.c) starts the monitor and
 * plays the row's scene (scenes_*.c); the record, in memory that both share,
 * takes pages and events (coverage_record.c); the parent judges it
 * (coverage_judge.c) and prints (coverage_report.c). */
#ifndef TOOLS_COVERAGE_COVERAGE_H
#define TOOLS_COVERAGE_COVERAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/coverage/monitor.h"

#define COVERAGE_PROGRAM "opalmem-coverage"

/* ---- Rows (coverage_rows.c) ------------------------------------------------------------------- */

typedef enum coverage_kind_t {
    COVERAGE_RELEASE, /**< The pages go: there must be an event. */
    COVERAGE_CONTROL, /**< They stay: an event is false. */
    COVERAGE_LATENT, /**< They go when the kernel needs them: an event is right, and what follows cannot be proven. */
    COVERAGE_INFO /**< Pages change, but not those that are pinned; or not as the process sees it. Not judged. */
} coverage_kind_t;

/** One row: a scene, and one of the ranges that it tells of. The table ends with name NULL. */
typedef struct coverage_row_t {
    const char *name;
    const char *range; /**< What the expected range is, for readers. */
    coverage_kind_t kind;
    bool reference;   /**< One of the 71 that earlier measurements of UCX and Open MPI have. */
    unsigned target;  /**< Which range of the scene: coverage_expect(target, ...). */
    uint32_t support; /**< A promise that has all of these bits, and these, ... */
    uint64_t sees;    /**< ... is one of the row. */
    void (*play)(void);
} coverage_row_t;

extern const coverage_row_t coverage_rows[];

const char *coverage_kind_name(coverage_kind_t kind);

/* ---- The record of one row -------------------------------------------------------------------- */

#define COVERAGE_PAGE ((uintptr_t) 4096)
#define COVERAGE_PAGES_MAX 4096
#define COVERAGE_EVENTS_MAX 16
#define COVERAGE_TEXT_MAX 160

/** How far the child came. */
typedef enum coverage_stage_t {
    COVERAGE_STAGE_NEW,          /**< It did not get to start the monitor. */
    COVERAGE_STAGE_NO_MONITOR,   /**< The monitor cannot run here; text says why. */
    COVERAGE_STAGE_STARTED,      /**< The monitor runs. */
    COVERAGE_STAGE_NOT_POSSIBLE, /**< This machine cannot play the scene; text says why. */
    COVERAGE_STAGE_FAILED,       /**< A call of the scene did what it must not; text says which. */
    COVERAGE_STAGE_PLAYED
} coverage_stage_t;

/** What showed that pages went. */
typedef enum coverage_proof_t {
    COVERAGE_PROOF_FRAMES, /**< /proc/self/pagemap tells page frames (root). */
    COVERAGE_PROOF_CONTENT /**< It tells only whether pages are there; the rest is their content. */
} coverage_proof_t;

/* Marks of a page. */
#define COVERAGE_MARK_BEFORE 0x1  /**< An event covered it all, and it was still there. */
#define COVERAGE_MARK_AFTER 0x2   /**< It covered it all, and was late. */
#define COVERAGE_MARK_PARTLY 0x4  /**< It covered a part of it. */
#define COVERAGE_MARK_PRESENT 0x8 /**< There when the scene began. */
#define COVERAGE_MARK_GONE 0x10   /**< Gone when it ended. */

/** An event that overlaps the range. */
typedef struct coverage_event_t {
    uintptr_t start;
    size_t length;
} coverage_event_t;

/** In memory that the parent, the child, and the child's children share. */
typedef struct coverage_record_t {
    coverage_stage_t stage;
    coverage_proof_t proof;
    char text[COVERAGE_TEXT_MAX];
    coverage_claims_t claims;
    unsigned target; /**< Which of the scene's ranges is meant; set by the child's main. */
    uintptr_t start; /**< The range, rounded to pages; 0 pages: the scene has not told it. */
    size_t pages;
    atomic_bool is_listening; /**< Between coverage_begin() and coverage_end(). */
    atomic_uint event_count;  /**< All that overlap; the first are kept. */
    coverage_event_t events[COVERAGE_EVENTS_MAX];
    uint64_t states[COVERAGE_PAGES_MAX]; /**< Of each page at the beginning: coverage_page_states(). */
    _Atomic uint8_t marks[COVERAGE_PAGES_MAX];
} coverage_record_t;

/* coverage_pages.c */

/** Get ready to read states: again in each process, as the file is that of one address space.
 * @return The best proof there is. */
coverage_proof_t coverage_pages_open(void);

/** Where does each page lead to? 0: nowhere. Without page frames, a word of the content decides.
 * Every context. */
void coverage_page_states(uintptr_t start, size_t pages, uint64_t states[]);

/* coverage_record.c */

/** Make the record of this process. */
void coverage_record_use(coverage_record_t *record);

/** What monitors call. */
coverage_event_fn_t coverage_event;

/* ---- Judgement (coverage_judge.c) ------------------------------------------------------------- */

typedef enum coverage_verdict_t {
    COVERAGE_CAUGHT,
    COVERAGE_LATE,
    COVERAGE_PARTIAL, /**< Events that do not cover all pages. */
    COVERAGE_MISSED,
    COVERAGE_FALSE, /**< A control with an event. */
    COVERAGE_QUIET,
    COVERAGE_UNPROVEN,     /**< The pages of a release did not go, or those of a control did. */
    COVERAGE_NOT_POSSIBLE, /**< Not here. */
    COVERAGE_FAILED,       /**< The process crashed or hung, or a call did what it must not. */
    COVERAGE_VERDICTS
} coverage_verdict_t;

const char *coverage_verdict_name(coverage_verdict_t verdict);
const char *coverage_proof_name(coverage_proof_t proof);

/** The cell of a row and a monitor. */
typedef struct coverage_cell_t {
    coverage_verdict_t verdict;
    coverage_proof_t proof;
    bool claimed;        /**< A mechanism of the monitor's promises the row, ... */
    bool claimed_before; /**< ... before the pages go. */
    unsigned events;     /**< That overlap the range. */
    unsigned covered;    /**< Per cent of the bytes that events told of. */
    coverage_event_t first;
    uintptr_t start; /**< The range; 0: unknown. */
    size_t length;
    char text[COVERAGE_TEXT_MAX]; /**< Why, where that is needed. */
} coverage_cell_t;

/** @param[in] status  As waitpid() gives it. */
void coverage_judge(const coverage_row_t *row, const coverage_record_t *record, int status, coverage_cell_t *cell);

/** Is a promise broken? */
bool coverage_is_broken(const coverage_cell_t *cell);

/* ---- Monitors (coverage_monitors.c) ----------------------------------------------------------- */

/** Find and load the monitor called NAME[:MODE] or FILE[:MODE].
 * @param[out] mode    Within name.
 * @param[out] reason  Why there is none.
 * @return NULL: there is none. */
const coverage_monitor_t *coverage_monitor_find(const char *name, const char **mode, char *reason, size_t size);

/** Is there one of this name? It is not loaded. */
bool coverage_monitor_exists(const char *name);

/** Is it opalmem itself, which promises something, and must start? */
bool coverage_monitor_is_own(const char *name);

/** Path of a file that comes with the program; false: it is not there. */
bool coverage_find_file(const char *name, char *path, size_t size);

extern const coverage_monitor_t coverage_monitor_opalmem, coverage_monitor_none; /* monitor_opalmem.c */

/* ---- Running (coverage_run.c, coverage_child.c) ----------------------------------------------- */

/** A column. */
typedef struct coverage_column_t {
    const char *name;
    bool is_usable;
    coverage_claims_t claims;
    char reason[COVERAGE_TEXT_MAX]; /**< Why it is not usable. */
    coverage_cell_t *cells;         /**< One a row of the selection. */
} coverage_column_t;

/** Start the monitor once and see what it claims. False after a message: a fault of the program. */
bool coverage_run_probe(coverage_column_t *column, char **settings);

/** Play a row in a new process. False after a message. */
bool coverage_run_row(const coverage_column_t *column, const coverage_row_t *row, char **settings,
                      coverage_cell_t *cell);

/** The other side: the arguments behind --child. @return The exit status. */
int coverage_child(int argc, char **argv);

#endif
