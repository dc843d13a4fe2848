/* SPDX-License-Identifier: BSD-3-Clause */
/* Plain lines for logs: each holds the time, the process, the cache, then NAME=VALUE pairs
 * that need no unit and no neighbour to be understood. */
#include <inttypes.h>
#include <time.h>

#include "tools/top/top.h"

static void print_time(FILE *stream, uint64_t time_ns)
{
    char text[32] = "";
    time_t seconds = (time_t) (time_ns / 1000000000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) != NULL) {
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    }
    fprintf(stream, "%s.%03uZ", text, (unsigned) (time_ns / 1000000 % 1000));
}

/* In quotes, so that a blank in it does not end it. */
static void print_name(FILE *stream, const char *key, const char *name)
{
    char text[64];
    top_printable(name, text, sizeof text);
    fprintf(stream, " %s=\"", key);
    for (const char *c = text; *c != '\0'; c++) {
        fprintf(stream, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    }
    fputc('"', stream);
}

static void print_rate(FILE *stream, const char *key, const top_rates_t *rates, double rate)
{
    if (rates->known) {
        fprintf(stream, " %s=%.1f", key, rate);
    } else {
        fprintf(stream, " %s=-", key); /* There is nothing yet to compare with. */
    }
}

static void print_rates(FILE *stream, const top_rates_t *rates)
{
    print_rate(stream, "hits/s", rates, rates->hits);
    print_rate(stream, "misses/s", rates, rates->misses);
    print_rate(stream, "registrations/s", rates, rates->registrations);
    print_rate(stream, "invalidations/s", rates, rates->invalidations);
    print_rate(stream, "evictions/s", rates, rates->evictions);
}

static void print_causes(FILE *stream, const top_snapshot_t *now, const mca_rcache_base_stats_t *stats)
{
    fprintf(stream, " invalidations=%" PRIu64, top_invalidations(stats));
    for (size_t i = 0; i < MCA_RCACHE_STATS_CAUSES; i++) {
        if (stats->invalidations[i] != 0) {
            char name[24];
            top_printable(now->cause_names[i], name, sizeof name);
            fprintf(stream, " invalidations.%s=%" PRIu64, name, stats->invalidations[i]);
        }
    }
}

static void print_histograms(FILE *stream, const mca_rcache_base_stats_t *stats)
{
    fprintf(stream, " unpin_ns.median=%" PRIu64 " unpin_ns.p99=%" PRIu64,
            top_quantile(stats->unpin_ns, MCA_RCACHE_STATS_LATENCIES, 0.5),
            top_quantile(stats->unpin_ns, MCA_RCACHE_STATS_LATENCIES, 0.99));
    for (size_t i = 0; i < MCA_RCACHE_STATS_SIZES; i++) {
        if (stats->sizes[i] != 0) {
            fprintf(stream, " sizes.%" PRIu64 "=%" PRIu64, UINT64_C(1) << i, stats->sizes[i]);
        }
    }
}

void top_batch_print(FILE *stream, pid_t pid, const top_snapshot_t *before, const top_snapshot_t *now)
{
    for (size_t i = 0; i < now->count; i++) {
        const top_cache_t *cache = &now->caches[i];
        top_rates_t rates = top_rates(before, now, cache);
        print_time(stream, now->time_ns);
        fprintf(stream, " pid=%d", (int) pid);
        print_name(stream, "cache", cache->name);
        print_name(stream, "component", cache->component);
        for (size_t k = 0; k < top_figure_count; k++) {
            fprintf(stream, " %s=%" PRIu64, top_figures[k].name, top_figure(&top_figures[k], &cache->stats));
        }
        fprintf(stream, " hit_ratio=%.6f", top_hit_ratio(&cache->stats));
        print_causes(stream, now, &cache->stats);
        print_histograms(stream, &cache->stats);
        print_rates(stream, &rates);
        fputc('\n', stream);
    }
    fflush(stream);
}
