/* SPDX-License-Identifier: BSD-3-Clause */
/* A snapshot as one JSON document on one line. */
#include "tools/top/top.h"
#include "tools/util/json.h"

static void put_rate(json_t *json, const char *key, const top_rates_t *rates, double rate)
{
    if (rates->known) {
        json_decimal(json, key, rate, 1);
    } else {
        json_null(json, key);
    }
}

static void put_rates(json_t *json, const top_rates_t *rates)
{
    json_object_begin(json, "per_second", JSON_ONE_LINE);
    put_rate(json, "hits", rates, rates->hits);
    put_rate(json, "misses", rates, rates->misses);
    put_rate(json, "registrations", rates, rates->registrations);
    put_rate(json, "invalidations", rates, rates->invalidations);
    put_rate(json, "evictions", rates, rates->evictions);
    json_object_end(json);
}

static void put_causes(json_t *json, const top_snapshot_t *now, const mca_rcache_base_stats_t *stats)
{
    json_object_begin(json, "invalidations", JSON_ONE_LINE);
    for (size_t i = 0; i < MCA_RCACHE_STATS_CAUSES; i++) {
        if (now->cause_names[i][0] != '\0') {
            json_uint(json, now->cause_names[i], stats->invalidations[i]);
        }
    }
    json_object_end(json);
}

static void put_buckets(json_t *json, const char *key, const uint64_t *buckets, size_t count)
{
    json_array_begin(json, key, JSON_ONE_LINE);
    for (size_t i = 0; i < count; i++) {
        json_uint(json, NULL, buckets[i]);
    }
    json_array_end(json);
}

static void put_cache(json_t *json, const top_snapshot_t *before, const top_snapshot_t *now,
                      const top_cache_t *cache)
{
    top_rates_t rates = top_rates(before, now, cache);
    json_object_begin(json, NULL, JSON_ONE_LINE);
    json_string(json, "name", cache->name);
    json_string(json, "component", cache->component);
    json_decimal(json, "created", (double) cache->created_ns / 1e9, 3);
    for (size_t i = 0; i < top_figure_count; i++) {
        json_uint(json, top_figures[i].name, top_figure(&top_figures[i], &cache->stats));
    }
    json_decimal(json, "hit_ratio", top_hit_ratio(&cache->stats), 6);
    put_causes(json, now, &cache->stats);
    json_uint(json, "unpin_ns_median", top_quantile(cache->stats.unpin_ns, MCA_RCACHE_STATS_LATENCIES, 0.5));
    json_uint(json, "unpin_ns_p99", top_quantile(cache->stats.unpin_ns, MCA_RCACHE_STATS_LATENCIES, 0.99));
    put_buckets(json, "unpin_ns", cache->stats.unpin_ns, MCA_RCACHE_STATS_LATENCIES);
    put_buckets(json, "sizes", cache->stats.sizes, MCA_RCACHE_STATS_SIZES);
    put_rates(json, &rates);
    json_object_end(json);
}

void top_json_print(FILE *stream, pid_t pid, const top_snapshot_t *before, const top_snapshot_t *now)
{
    json_t json = { .stream = stream };
    json_object_begin(&json, NULL, JSON_ONE_LINE);
    json_decimal(&json, "time", (double) now->time_ns / 1e9, 3);
    json_int(&json, "pid", pid);
    json_array_begin(&json, "caches", JSON_ONE_LINE);
    for (size_t i = 0; i < now->count; i++) {
        put_cache(&json, before, now, &now->caches[i]);
    }
    json_array_end(&json);
    json_object_end(&json);
    fflush(stream);
}
