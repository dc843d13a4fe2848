/* SPDX-License-Identifier: BSD-3-Clause */
/* What is computed from snapshots: rates, ratios, quantiles, order; and units. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/top/top.h"

#define FIGURE(name)                                   \
    {                                                  \
#name, offsetof(mca_rcache_base_stats_t, name) \
    }
const top_figure_t top_figures[] = {
    FIGURE(hits),
    FIGURE(misses),
    FIGURE(bypasses),
    FIGURE(registrations),
    FIGURE(deregistrations),
    FIGURE(merges),
    FIGURE(evictions),
    FIGURE(invalidated_in_use),
    FIGURE(unpinned_in_hook),
    FIGURE(retries),
    FIGURE(queue_overflows),
    FIGURE(provider_errors),
    FIGURE(count),
    FIGURE(peak_count),
    FIGURE(bytes),
    FIGURE(peak_bytes),
};
const size_t top_figure_count = sizeof top_figures / sizeof top_figures[0];
_Static_assert(sizeof(size_t) == sizeof(uint64_t), "all figures have one size");

uint64_t top_figure(const top_figure_t *figure, const mca_rcache_base_stats_t *stats)
{
    uint64_t value;
    memcpy(&value, (const char *) stats + figure->offset, sizeof value);
    return value;
}

/* ---- Derived ------------------------------------------------------------------------------------- */

const top_cache_t *top_same(const top_snapshot_t *snapshot, const top_cache_t *cache)
{
    for (size_t i = 0; snapshot != NULL && i < snapshot->count; i++) {
        if (snapshot->caches[i].place == cache->place && snapshot->caches[i].generation == cache->generation) {
            return &snapshot->caches[i];
        }
    }
    return NULL;
}

uint64_t top_invalidations(const mca_rcache_base_stats_t *stats)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < MCA_RCACHE_STATS_CAUSES; i++) {
        sum += stats->invalidations[i];
    }
    return sum;
}

static double per_second(uint64_t before, uint64_t now, double seconds)
{
    return now > before ? (double) (now - before) / seconds : 0;
}

top_rates_t top_rates(const top_snapshot_t *before, const top_snapshot_t *now, const top_cache_t *cache)
{
    const top_cache_t *old = top_same(before, cache);
    if (old == NULL || now->taken_ns <= before->taken_ns) {
        return (top_rates_t){ .known = false };
    }
    const mca_rcache_base_stats_t *a = &old->stats, *b = &cache->stats;
    double seconds = (double) (now->taken_ns - before->taken_ns) / 1e9;
    return (top_rates_t){
        .known = true,
        .hits = per_second(a->hits, b->hits, seconds),
        .misses = per_second(a->misses, b->misses, seconds),
        .registrations = per_second(a->registrations, b->registrations, seconds),
        .evictions = per_second(a->evictions, b->evictions, seconds),
        .invalidations = per_second(top_invalidations(a), top_invalidations(b), seconds),
    };
}

double top_hit_ratio(const mca_rcache_base_stats_t *stats)
{
    uint64_t lookups = stats->hits + stats->misses;
    return lookups == 0 ? 0 : (double) stats->hits / (double) lookups;
}

uint64_t top_quantile(const uint64_t *buckets, size_t count, double share)
{
    uint64_t sum = 0, seen = 0;
    for (size_t i = 0; i < count; i++) {
        sum += buckets[i];
    }
    for (size_t i = 0; i < count; i++) {
        seen += buckets[i];
        if (seen > 0 && (double) seen >= share * (double) sum) {
            return (UINT64_C(2) << i) - 1;
        }
    }
    return 0;
}

/* ---- Order --------------------------------------------------------------------------------------- */

const char *top_order_name(top_order_t order)
{
    static const char *const names[TOP_ORDERS] = { "name", "hits", "misses", "pinned" };
    return names[order];
}

typedef struct top_key_t {
    top_cache_t cache;
    double weight;
} top_key_t;

static int compare(const void *left, const void *right)
{
    const top_key_t *a = left, *b = right;
    if (a->weight != b->weight) {
        return a->weight < b->weight ? 1 : -1;
    }
    int names = strcmp(a->cache.name, b->cache.name);
    return names != 0 ? names : (a->cache.place > b->cache.place) - (a->cache.place < b->cache.place);
}

static double weight(const top_cache_t *cache, const top_rates_t *rates, top_order_t order)
{
    switch (order) {
    case TOP_BY_HITS: return rates->known ? rates->hits : (double) cache->stats.hits;
    case TOP_BY_MISSES: return rates->known ? rates->misses : (double) cache->stats.misses;
    case TOP_BY_PINNED: return (double) cache->stats.bytes;
    default: return 0;
    }
}

void top_sort(top_snapshot_t *snapshot, const top_snapshot_t *before, top_order_t order)
{
    top_key_t *keys = calloc(snapshot->count + 1, sizeof *keys);
    if (keys == NULL) {
        return; /* As they lie in the page. */
    }
    for (size_t i = 0; i < snapshot->count; i++) {
        top_rates_t rates = top_rates(before, snapshot, &snapshot->caches[i]);
        keys[i] = (top_key_t){ snapshot->caches[i], weight(&snapshot->caches[i], &rates, order) };
    }
    qsort(keys, snapshot->count, sizeof *keys, compare);
    for (size_t i = 0; i < snapshot->count; i++) {
        snapshot->caches[i] = keys[i].cache;
    }
    free(keys);
}

/* ---- Units --------------------------------------------------------------------------------------- */

static void write_scaled(double value, double step, const char *const *units, size_t count, char cell[TOP_CELL])
{
    size_t unit = 0;
    while (value >= step && unit + 1 < count) {
        value /= step;
        unit++;
    }
    snprintf(cell, TOP_CELL, value == (double) (uint64_t) value ? "%.0f%s" : "%.1f%s", value, units[unit]);
}

void top_write_bytes(uint64_t bytes, char cell[TOP_CELL])
{
    static const char *const units[] = { " B", " KiB", " MiB", " GiB", " TiB", " PiB" };
    write_scaled((double) bytes, 1024, units, 6, cell);
}

void top_write_ns(uint64_t ns, char cell[TOP_CELL])
{
    static const char *const units[] = { " ns", " us", " ms", " s" };
    write_scaled((double) ns, 1000, units, 4, cell);
}

void top_write_rate(double rate, char cell[TOP_CELL])
{
    static const char *const units[] = { "", "k", "M", "G" };
    write_scaled(rate, 1000, units, 4, cell);
}

void top_printable(const char *text, char *out, size_t size)
{
    size_t i = 0;
    for (; text[i] != '\0' && i + 1 < size; i++) {
        out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    }
    out[i] = '\0';
}
