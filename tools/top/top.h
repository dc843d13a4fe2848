/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-top: shows the figures of the registration caches of other processes.
 *
 *   top_find.c     which processes have a page of figures, and opening it
 *   top_read.c     a consistent snapshot of such pages
 *   top_figures.c  rates, quantiles, order
 *   top_batch.c, top_json.c, top_view.c  the forms of output
 *   top_screen.c   the terminal, by ncurses
 *
 * All runs on one thread. */
#ifndef TOOLS_TOP_TOP_H
#define TOOLS_TOP_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "opal/mca/rcache/stats_page.h"

enum { TOP_OK = 0, TOP_FAILED = 1, TOP_USAGE = 2 }; /* Exit statuses. */

/* ---- Snapshots ----------------------------------------------------------------------------------- */

/** One cache at one moment. */
typedef struct top_cache_t {
    uint64_t place;      /**< Which page and which place in it; with generation: which cache. */
    uint64_t generation; /**< As in the page. */
    uint64_t created_ns; /**< CLOCK_REALTIME. */
    char name[64];       /**< As the program gave it: any bytes. */
    char component[32];
    mca_rcache_base_stats_t stats;
} top_cache_t;

/** All caches of a process at one moment. */
typedef struct top_snapshot_t {
    uint64_t taken_ns; /**< CLOCK_MONOTONIC. */
    uint64_t time_ns;  /**< CLOCK_REALTIME. */
    size_t count;
    top_cache_t *caches; /**< malloc(). */
    char cause_names[MCA_RCACHE_STATS_CAUSES][24];
} top_snapshot_t;

/** A page, mapped to be read. Its process may be hostile to us, who may be root: what was checked is a copy. */
typedef struct top_page_t {
    const char *start;
    size_t size;
    mca_rcache_stats_header_t layout; /**< Copy of the header. */
    uint64_t device, inode;
    int number; /**< Descriptor in the process; -1: found among its mappings. */
} top_page_t;

#define TOP_PAGES 8 /**< In one process; every copy of the library has one. */

/** A process that is looked at. */
typedef struct top_process_t {
    pid_t pid;
    int folder; /**< Of /proc/PID: goes on meaning this process when the number is used again. */
    size_t pages;
    top_page_t page[TOP_PAGES];
} top_process_t;

/* top_find.c */

/** Find and map the pages of a process.
 * @param[out] process  To be closed with top_close(). Untouched on error.
 * @param[in]  quiet    No message: the process is one of many that are tried.
 * @return TOP_OK, or TOP_FAILED after one message that says why. */
int top_open(pid_t pid, bool quiet, top_process_t *process);
void top_close(top_process_t *process);

typedef enum top_state_t { TOP_RUNS, TOP_ENDED, TOP_WITHOUT_PAGE } top_state_t;
/** Does it still run, and use its page? Where it does not, the mapped figures are the last ones. */
top_state_t top_state(const top_process_t *process);
/** The same in words, for a message. */
const char *top_state_text(top_state_t state);

/** Name of the program, "?" if it is not known. */
void top_program_name(const top_process_t *process, char *name, size_t size);

/* top_list.c */

/** Print the processes that have pages: those of this user, for root all. @return an exit status. */
int top_list(bool json);

/* top_read.c */

/** Copy the header of a mapped file, and check that this program can read it. Needs page->start and size.
 * @return NULL, or what is wrong with it. */
const char *top_take_header(top_page_t *page);

/** @param[out] snapshot  To be freed with top_free(); untouched on failure. @return false: no memory. */
bool top_read(const top_process_t *process, top_snapshot_t *snapshot);
void top_free(top_snapshot_t *snapshot);

/* ---- Figures ------------------------------------------------------------------------------------- */

/** What happened in a second; all 0 without an earlier snapshot. */
typedef struct top_rates_t {
    bool known;
    double hits, misses, registrations, evictions, invalidations;
} top_rates_t;

/** Figures that are one number: name and place in mca_rcache_base_stats_t. */
typedef struct top_figure_t {
    const char *name;
    size_t offset;
} top_figure_t;
extern const top_figure_t top_figures[];
extern const size_t top_figure_count;
uint64_t top_figure(const top_figure_t *figure, const mca_rcache_base_stats_t *stats);

/** The same cache in another snapshot; NULL: it was not there. */
const top_cache_t *top_same(const top_snapshot_t *snapshot, const top_cache_t *cache);
top_rates_t top_rates(const top_snapshot_t *before, const top_snapshot_t *now, const top_cache_t *cache);
uint64_t top_invalidations(const mca_rcache_base_stats_t *stats);
/** Hits of all lookups, 0 to 1; 0 without a lookup. */
double top_hit_ratio(const mca_rcache_base_stats_t *stats);
/** Upper end of the bucket that a share of the values (0 to 1) does not exceed; 0 without values. */
uint64_t top_quantile(const uint64_t *buckets, size_t count, double share);

typedef enum top_order_t { TOP_BY_NAME, TOP_BY_HITS, TOP_BY_MISSES, TOP_BY_PINNED, TOP_ORDERS } top_order_t;
const char *top_order_name(top_order_t order);
/** By what happened since `before`, or altogether where there is none. */
void top_sort(top_snapshot_t *snapshot, const top_snapshot_t *before, top_order_t order);

#define TOP_CELL 24
/** "12.3 MiB", "1.5 us", "12.3k": at most 9 columns. */
void top_write_bytes(uint64_t bytes, char cell[TOP_CELL]);
void top_write_ns(uint64_t ns, char cell[TOP_CELL]);
void top_write_rate(double rate, char cell[TOP_CELL]);

/** Text that a terminal can show: what is not printable ASCII becomes '?'. */
void top_printable(const char *text, char *out, size_t size);

/* ---- Output -------------------------------------------------------------------------------------- */

/** One line a cache. before may be NULL. */
void top_batch_print(FILE *stream, pid_t pid, const top_snapshot_t *before, const top_snapshot_t *now);

/** One document on one line. */
void top_json_print(FILE *stream, pid_t pid, const top_snapshot_t *before, const top_snapshot_t *now);

/** What the terminal shows. */
typedef struct top_view_t {
    pid_t pid;
    const char *program;
    const top_snapshot_t *before; /**< NULL: no rates yet. */
    const top_snapshot_t *now;    /**< Sorted. */
    size_t selected;              /**< Whose details are shown. */
    size_t first;                 /**< Of the rows that are shown; kept by top_view_line() users. */
    top_order_t order;
    bool paused;
} top_view_t;

#define TOP_VIEW_HEAD 3 /**< Lines above the table's rows: two for the process, one for the columns. */
#define TOP_LINE 512

/** Lines above the rows, numbered from 0. Cut to width columns. */
void top_view_head(const top_view_t *view, int number, int width, char line[TOP_LINE]);
/** The row of a cache: as many columns of it as fit. */
void top_view_row(const top_view_t *view, const top_cache_t *cache, int width, char line[TOP_LINE]);
/** A line of the details of the selected cache. @return false: there are no more. */
bool top_view_detail(const top_view_t *view, int number, int width, char line[TOP_LINE]);

/* ---- The program --------------------------------------------------------------------------------- */

typedef enum top_form_t { TOP_SCREEN, TOP_BATCH, TOP_JSON } top_form_t;

typedef struct top_options_t {
    pid_t pid; /**< 0: list processes. */
    top_form_t form;
    double delay;   /**< Seconds. */
    uint64_t count; /**< Samples; 0: until the process ends. */
    bool help, version;
} top_options_t;

/** @return TOP_OK, or TOP_USAGE after one message. */
int top_options_parse(top_options_t *options, int argc, char **argv);
void top_options_help(void);

/** top_screen.c, top_screen_none.c: show until a key, or the end of the process. @param[out] last  What was shown last, to be
 * freed. @return an exit status, after a message if not TOP_OK. */
int top_screen_run(const top_process_t *process, const top_options_t *options, top_snapshot_t *last);

#endif
