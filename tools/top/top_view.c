/* SPDX-License-Identifier: BSD-3-Clause */
/* What the terminal shows, as lines of text: a table with a row a cache, and the
 * details of the selected one. Where the terminal is narrow, columns are left out
 * from the right, and lines are cut. */
#include <string.h>

#include "tools/top/top.h"

#define NAME_WIDTH 20
#define BAR_WIDTH 24

/* ---- Lines --------------------------------------------------------------------------------------- */

static void append(char line[TOP_LINE], const char *text)
{
    size_t used = strlen(line);
    snprintf(line + used, TOP_LINE - used, "%s", text);
}

static void cut(char line[TOP_LINE], int width)
{
    if (width < 0) {
        width = 0;
    }
    if ((size_t) width < strlen(line)) {
        line[width] = '\0';
    }
}

/* ---- Columns ------------------------------------------------------------------------------------- */

/* What a cell is made from. */
typedef struct row_t {
    const top_cache_t *cache;
    top_rates_t rates;
} row_t;

static void rate_cell(const row_t *row, double rate, char cell[TOP_CELL])
{
    if (row->rates.known) {
        top_write_rate(rate, cell);
    } else {
        snprintf(cell, TOP_CELL, "-");
    }
}

static void hits_cell(const row_t *row, char cell[TOP_CELL])
{
    rate_cell(row, row->rates.hits, cell);
}

static void misses_cell(const row_t *row, char cell[TOP_CELL])
{
    rate_cell(row, row->rates.misses, cell);
}

static void ratio_cell(const row_t *row, char cell[TOP_CELL])
{
    const mca_rcache_base_stats_t *stats = &row->cache->stats;
    if (stats->hits + stats->misses == 0) {
        snprintf(cell, TOP_CELL, "-");
    } else {
        snprintf(cell, TOP_CELL, "%.1f%%", 100 * top_hit_ratio(stats));
    }
}

static void pinned_cell(const row_t *row, char cell[TOP_CELL])
{
    top_write_bytes(row->cache->stats.bytes, cell);
}

static void peak_cell(const row_t *row, char cell[TOP_CELL])
{
    top_write_bytes(row->cache->stats.peak_bytes, cell);
}

static void count_cell(const row_t *row, char cell[TOP_CELL])
{
    top_write_rate((double) row->cache->stats.count, cell);
}

static void registrations_cell(const row_t *row, char cell[TOP_CELL])
{
    rate_cell(row, row->rates.registrations, cell);
}

static void invalidations_cell(const row_t *row, char cell[TOP_CELL])
{
    rate_cell(row, row->rates.invalidations, cell);
}

static void evictions_cell(const row_t *row, char cell[TOP_CELL])
{
    rate_cell(row, row->rates.evictions, cell);
}

static void unpin_cell(const row_t *row, double share, char cell[TOP_CELL])
{
    uint64_t ns = top_quantile(row->cache->stats.unpin_ns, MCA_RCACHE_STATS_LATENCIES, share);
    if (ns == 0) {
        snprintf(cell, TOP_CELL, "-");
    } else {
        top_write_ns(ns, cell);
    }
}

static void median_cell(const row_t *row, char cell[TOP_CELL])
{
    unpin_cell(row, 0.5, cell);
}

static void p99_cell(const row_t *row, char cell[TOP_CELL])
{
    unpin_cell(row, 0.99, cell);
}

/* The most wanted first: those at the end go where there is no room. */
static const struct {
    const char *title;
    int width;
    void (*write)(const row_t *row, char cell[TOP_CELL]);
} columns[] = {
    { "HITS/s", 8, hits_cell },       { "MISSES/s", 9, misses_cell },
    { "HIT%", 7, ratio_cell },        { "PINNED", 11, pinned_cell },
    { "PEAK", 11, peak_cell },        { "INVAL/s", 8, invalidations_cell },
    { "EVICT/s", 8, evictions_cell }, { "REG/s", 8, registrations_cell },
    { "COUNT", 8, count_cell },       { "UNPIN<", 9, median_cell },
    { "99%<", 9, p99_cell },
};

/* The table's line: titles, where there is no row. */
static void write_columns(const row_t *row, int width, char line[TOP_LINE])
{
    int used = NAME_WIDTH;
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        char cell[TOP_CELL], padded[2 * TOP_CELL];
        used += columns[i].width + 1;
        if (used > width) {
            break;
        }
        if (row != NULL) {
            columns[i].write(row, cell);
        } else {
            snprintf(cell, sizeof cell, "%s", columns[i].title);
        }
        snprintf(padded, sizeof padded, " %*s", columns[i].width, cell);
        append(line, padded);
    }
    cut(line, width);
}

/* ---- Parts of the screen ------------------------------------------------------------------------- */

void top_view_head(const top_view_t *view, int number, int width, char line[TOP_LINE])
{
    mca_rcache_base_stats_t sum = { .hits = 0 };
    for (size_t i = 0; i < view->now->count; i++) {
        sum.bytes += view->now->caches[i].stats.bytes;
        sum.count += view->now->caches[i].stats.count;
    }
    char pinned[TOP_CELL];
    top_write_bytes(sum.bytes, pinned);
    if (number == 0) {
        snprintf(line, TOP_LINE, "%d %s: %zu cache%s, %zu registrations, %s pinned%s", (int) view->pid,
                 view->program, view->now->count, view->now->count == 1 ? "" : "s", sum.count, pinned,
                 view->paused ? ", PAUSED" : "");
    } else if (number == 1) {
        snprintf(line, TOP_LINE, "q quit  p pause  s sort (by %s)  up/down select", top_order_name(view->order));
    } else {
        snprintf(line, TOP_LINE, "%-*s", NAME_WIDTH, "CACHE");
        write_columns(NULL, width, line);
    }
    cut(line, width);
}

void top_view_row(const top_view_t *view, const top_cache_t *cache, int width, char line[TOP_LINE])
{
    char name[NAME_WIDTH + 1];
    row_t row = { cache, top_rates(view->before, view->now, cache) };
    top_printable(cache->name, name, sizeof name);
    snprintf(line, TOP_LINE, "%-*s", NAME_WIDTH, name);
    write_columns(&row, width, line);
}

static void write_totals(const top_cache_t *cache, char line[TOP_LINE])
{
    const mca_rcache_base_stats_t *s = &cache->stats;
    char name[64], component[32];
    top_printable(cache->name, name, sizeof name);
    top_printable(cache->component, component, sizeof component);
    snprintf(line, TOP_LINE,
             "%s (%s): %lu hits, %lu misses (%lu bypassed), %lu registered, %lu deregistered, %lu evicted", name,
             component, (unsigned long) s->hits, (unsigned long) s->misses, (unsigned long) s->bypasses,
             (unsigned long) s->registrations, (unsigned long) s->deregistrations, (unsigned long) s->evictions);
}

static void write_rare(const mca_rcache_base_stats_t *s, char line[TOP_LINE])
{
    snprintf(line, TOP_LINE,
             "  %lu merged, %lu retried, %lu in use when released, %lu unpinned in the hook, %lu overflows, %lu "
             "provider errors",
             (unsigned long) s->merges, (unsigned long) s->retries, (unsigned long) s->invalidated_in_use,
             (unsigned long) s->unpinned_in_hook, (unsigned long) s->queue_overflows,
             (unsigned long) s->provider_errors);
}

static void write_causes(const top_view_t *view, const mca_rcache_base_stats_t *s, char line[TOP_LINE])
{
    snprintf(line, TOP_LINE, "  invalidated: %lu", (unsigned long) top_invalidations(s));
    for (size_t i = 0; i < MCA_RCACHE_STATS_CAUSES; i++) {
        char name[24], part[64];
        if (s->invalidations[i] != 0) {
            top_printable(view->now->cause_names[i], name, sizeof name);
            snprintf(part, sizeof part, ", %s %lu", name, (unsigned long) s->invalidations[i]);
            append(line, part);
        }
    }
}

/* The n-th size that occurs, with a bar. */
static bool write_size(const mca_rcache_base_stats_t *s, int n, char line[TOP_LINE])
{
    uint64_t most = 1;
    for (size_t i = 0; i < MCA_RCACHE_STATS_SIZES; i++) {
        most = s->sizes[i] > most ? s->sizes[i] : most;
    }
    for (size_t i = 0; i < MCA_RCACHE_STATS_SIZES; i++) {
        if (s->sizes[i] != 0 && n-- == 0) {
            static const char bar[] = "########################";
            char size[TOP_CELL];
            int length = (int) ((double) s->sizes[i] / (double) most * BAR_WIDTH);
            top_write_bytes(UINT64_C(1) << i, size);
            snprintf(line, TOP_LINE, "  from %9s %-*.*s %lu", size, BAR_WIDTH, length, bar,
                     (unsigned long) s->sizes[i]);
            return true;
        }
    }
    return false;
}

bool top_view_detail(const top_view_t *view, int number, int width, char line[TOP_LINE])
{
    bool there = view->selected < view->now->count;
    const top_cache_t *cache = there ? &view->now->caches[view->selected] : NULL;
    if (!there || number < 0) {
        return false;
    }
    switch (number) {
    case 0: write_totals(cache, line); break;
    case 1: write_rare(&cache->stats, line); break;
    case 2: write_causes(view, &cache->stats, line); break;
    case 3: snprintf(line, TOP_LINE, "  sizes of the registrations made:"); break;
    default: there = write_size(&cache->stats, number - 4, line);
    }
    cut(line, width);
    return there;
}
