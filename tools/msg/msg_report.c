/* SPDX-License-Identifier: BSD-3-Clause */
/* The table: a row a figure, a column a run. Each row is an entry of a table of
 * functions that write one cell. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "opal/opalmem.h"
#include "tools/msg/msg_report.h"
#include "tools/msg/msg_sources.h"

#define CELL 48
#define LABEL_WIDTH 38
#define CELL_WIDTH 18

typedef const msg_column_t column_t;

/* ---- Units ----------------------------------------------------------------------------------- */

static void write_bytes(double bytes, char *cell)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    size_t unit = 0;

    while (bytes >= 1024 && unit < 5) {
        bytes /= 1024;
        unit++;
    }
    snprintf(cell, CELL, unit == 0 || bytes == (double) (uint64_t) bytes ? "%.0f %s" : "%.1f %s", bytes,
             units[unit]);
}

static void write_ns(double ns, char *cell)
{
    if (ns < 1000) {
        snprintf(cell, CELL, "%.0f ns", ns);
    } else if (ns < 1e6) {
        snprintf(cell, CELL, "%.2f us", ns / 1e3);
    } else if (ns < 1e9) {
        snprintf(cell, CELL, "%.2f ms", ns / 1e6);
    } else {
        snprintf(cell, CELL, "%.2f s", ns / 1e9);
    }
}

static void write_count(uint64_t count, char *cell)
{
    snprintf(cell, CELL, "%" PRIu64, count);
}

static double per_message(uint64_t sum, column_t *column)
{
    return column->total.messages == 0 ? 0 : (double) sum / (double) column->total.messages;
}

double msg_hit_rate(const mca_rcache_base_stats_t *stats)
{
    uint64_t lookups = stats->hits + stats->misses;

    return lookups == 0 ? 0 : (double) stats->hits / (double) lookups;
}

/* ---- Cells ----------------------------------------------------------------------------------- */

static void cell_components(column_t *c, char *cell)
{
    snprintf(cell, CELL, "%.40s", c->total.components);
}

static void cell_support(column_t *c, char *cell)
{
    snprintf(cell, CELL, "0x%x", (unsigned) c->total.support);
}

static void cell_caching(column_t *c, char *cell)
{
    bool kept = c->total.caching != 0 && c->mode != MSG_MODE_NONE;

    snprintf(cell, CELL, "%s", kept ? "yes" : "no");
}

static void cell_messages(column_t *c, char *cell)
{
    write_count(c->total.messages, cell);
}

static void cell_bytes(column_t *c, char *cell)
{
    write_bytes((double) c->total.bytes, cell);
}

static void cell_wrong_bytes(column_t *c, char *cell)
{
    write_count(c->total.wrong_bytes, cell);
}

static void cell_wrong_messages(column_t *c, char *cell)
{
    write_count(c->total.wrong_messages, cell);
}

static void cell_failed(column_t *c, char *cell)
{
    write_count(c->total.failed_transfers, cell);
}

static void cell_hits(column_t *c, char *cell)
{
    write_count(c->total.stats.hits, cell);
}

static void cell_hit_rate(column_t *c, char *cell)
{
    snprintf(cell, CELL, "%.1f %%", 100 * msg_hit_rate(&c->total.stats));
}

static void cell_registrations(column_t *c, char *cell)
{
    write_count(c->total.stats.registrations, cell);
}

static void cell_evictions(column_t *c, char *cell)
{
    write_count(c->total.stats.evictions, cell);
}

static void cell_in_hook(column_t *c, char *cell)
{
    write_count(c->total.stats.unpinned_in_hook, cell);
}

static void cell_pinned(column_t *c, char *cell)
{
    write_bytes((double) c->total.stats.bytes, cell);
}

static void cell_peak(column_t *c, char *cell)
{
    write_bytes((double) c->total.stats.peak_bytes, cell);
}

static void cell_process_pinned(column_t *c, char *cell)
{
    write_bytes((double) c->total.process_pinned, cell);
}

static void cell_time(column_t *c, char *cell)
{
    write_ns(per_message(c->total.transfer_ns, c), cell);
}

static void cell_median(column_t *c, char *cell)
{
    write_ns((double) c->median_ns, cell);
}

static void cell_source_time(column_t *c, char *cell)
{
    write_ns(per_message(c->total.source_ns, c), cell);
}

static void cell_register_time(column_t *c, char *cell)
{
    double samples = (double) c->total.register_samples;

    write_ns(samples == 0 ? 0 : 2 * (double) c->total.register_ns / samples, cell);
}

static void cell_elapsed(column_t *c, char *cell)
{
    write_ns((double) c->total.elapsed_ns, cell);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

typedef struct row_t {
    const char *label;
    void (*write)(column_t *column, char *cell);
} row_t;

static const row_t rows_before_causes[] = {
    { "memory component", cell_components },
    { "support level", cell_support },
    { "keeps registrations", cell_caching },
    { "messages", cell_messages },
    { "bytes", cell_bytes },
    { "wrong messages", cell_wrong_messages },
    { "wrong bytes", cell_wrong_bytes },
    { "transfers refused by the device", cell_failed },
    { "hits", cell_hits },
    { "hit rate", cell_hit_rate },
    { "registrations", cell_registrations },
    { "evictions", cell_evictions },
};

static const row_t rows_after_causes[] = {
    { "unpinned in the hook", cell_in_hook },
    { "pinned at the end, by the caches", cell_pinned },
    { "pinned at most, by the caches", cell_peak },
    { "pinned at the end, by the kernel", cell_process_pinned },
    { "transfer time a message, mean", cell_time },
    { "transfer time a message, median", cell_median },
    { "getting and releasing buffers", cell_source_time },
    { "registering a message would cost", cell_register_time },
    { "elapsed", cell_elapsed },
};

static void print_rows(const msg_report_t *report, FILE *stream, const row_t *rows, size_t count)
{
    for (size_t row = 0; row < count; row++) {
        fprintf(stream, "%-*s", LABEL_WIDTH, rows[row].label);
        for (size_t i = 0; i < report->column_count; i++) {
            char cell[CELL] = "";

            rows[row].write(&report->columns[i], cell);
            fprintf(stream, "%*s", CELL_WIDTH, cell);
        }
        fputc('\n', stream);
    }
}

static void print_causes(const msg_report_t *report, FILE *stream)
{
    for (int cause = 0; cause < OPAL_MEM_HOOKS_CAUSE_COUNT; cause++) {
        uint64_t sum = 0;

        for (size_t i = 0; i < report->column_count; i++) {
            sum += report->columns[i].total.stats.invalidations[cause];
        }
        if (sum == 0) {
            continue;
        }
        fprintf(stream, "invalidated by %-*s", LABEL_WIDTH - 15,
                opal_mem_hooks_cause_name((opal_mem_hooks_cause_t) cause));
        for (size_t i = 0; i < report->column_count; i++) {
            fprintf(stream, "%*" PRIu64, CELL_WIDTH, report->columns[i].total.stats.invalidations[cause]);
        }
        fputc('\n', stream);
    }
}

/* ---- Head ------------------------------------------------------------------------------------ */

static void print_options(const msg_report_t *report, FILE *stream)
{
    const msg_options_t *options = report->options;
    char low[CELL], high[CELL];

    write_bytes((double) options->size_min, low);
    write_bytes((double) options->size_max, high);
    fprintf(stream, "opalmem-msg %s: %u peers, pattern %s, messages of %s", OPALMEM_VERSION, options->peers,
            msg_source_name(options->pattern), low);
    if (options->size_min != options->size_max) {
        fprintf(stream, " to %s", high);
    }
    fprintf(stream, ", seed %" PRIu64, options->seed);
    if (options->file_count > 0) {
        fprintf(stream, ", %u file%s", options->file_count, options->file_count == 1 ? "" : "s");
    }
    fputc('\n', stream);
}

static void print_machine(const msg_report_t *report, FILE *stream)
{
    const machine_info_t *machine = report->machine;
    char cell[CELL];

    write_bytes((double) machine->memory_bytes, cell);
    fprintf(stream, "machine: %u processor%s, %u NUMA node%s, %s, pages of", machine->processors,
            machine->processors == 1 ? "" : "s", machine->numa_nodes, machine->numa_nodes == 1 ? "" : "s", cell);
    for (unsigned i = 0; i < machine->page_size_count; i++) {
        write_bytes((double) machine->page_sizes[i], cell);
        fprintf(stream, "%s %s", i > 0 ? "," : "", cell);
    }
    fputc('\n', stream);
    write_bytes((double) report->plan->max_bytes, cell);
    fprintf(stream, "limits: each peer pins at most %s", cell);
    write_bytes((double) report->plan->lockable, cell);
    fprintf(stream, ", lockable memory %s\n", report->plan->lockable == UINT64_MAX ? "unlimited" : cell);
    if (machine->processors < report->options->peers) {
        fprintf(stream, "note: more peers than processors; times include waiting for a processor\n");
    }
}

static void print_support(const msg_report_t *report, FILE *stream)
{
    char text[64];

    for (size_t i = 0; i < report->column_count; i++) {
        if (opal_mem_hooks_support_names(report->columns[i].total.support, " ", text, sizeof(text)) == 0) {
            snprintf(text, sizeof(text), "nothing");
        }
        fprintf(stream, "%s: releases noticed through %s\n", msg_mode_name(report->columns[i].mode), text);
    }
}

void msg_report_print(const msg_report_t *report, FILE *stream)
{
    print_options(report, stream);
    print_machine(report, stream);
    print_support(report, stream);
    fprintf(stream, "\n%-*s", LABEL_WIDTH, "");
    for (size_t i = 0; i < report->column_count; i++) {
        fprintf(stream, "%*s", CELL_WIDTH, msg_mode_name(report->columns[i].mode));
    }
    fputc('\n', stream);
    print_rows(report, stream, rows_before_causes, sizeof(rows_before_causes) / sizeof(rows_before_causes[0]));
    print_causes(report, stream);
    print_rows(report, stream, rows_after_causes, sizeof(rows_after_causes) / sizeof(rows_after_causes[0]));
}
