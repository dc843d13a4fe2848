/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads pages while their process writes them. A cache is taken with all its
 * threads' lines or not at all: its generation must be the same before and after.
 * Every load acquires, so that what was read before the second look at the
 * generation belongs to the first. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/top/top.h"

#define ID_BITS 16
#define NOT_READ SIZE_MAX

/* ---- Is it ours? --------------------------------------------------------------------------------- */

static bool lies_within(uint64_t offset, uint64_t stride, uint64_t count, uint64_t size)
{
    return offset % 8 == 0 && stride % 8 == 0 && offset <= size && count <= (size - offset) / stride;
}

static bool is_sound(const mca_rcache_stats_header_t *layout, size_t size)
{
    return layout->size <= size && layout->cache_size >= sizeof(mca_rcache_counters_t)
           && layout->line_size >= sizeof(mca_rcache_thread_counters_t)
           && lies_within(layout->caches_offset, layout->cache_size, layout->caches, layout->size)
           && lies_within(layout->lines_offset, layout->line_size, layout->lines, layout->size);
}

const char *top_take_header(top_page_t *page)
{
    static char text[96];
    const mca_rcache_stats_header_t *header = (const void *) page->start;
    if (__atomic_load_n(&header->magic, __ATOMIC_ACQUIRE) != MCA_RCACHE_STATS_MAGIC) {
        return "the file does not begin as such files do";
    }
    memcpy(&page->layout, page->start, sizeof page->layout);
    if (page->layout.version != MCA_RCACHE_STATS_VERSION) {
        snprintf(text, sizeof text, "they have version %u of the layout, and this program knows version %d",
                 (unsigned) page->layout.version, MCA_RCACHE_STATS_VERSION);
        return text;
    }
    for (size_t i = 0; i < MCA_RCACHE_STATS_CAUSES; i++) {
        page->layout.cause_names[i][sizeof page->layout.cause_names[i] - 1] = '\0';
    }
    return is_sound(&page->layout, page->size) ? NULL : "the file contradicts itself";
}

/* ---- One cache ----------------------------------------------------------------------------------- */

static uint64_t get(const mca_rcache_stats_word_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

static void get_all(const mca_rcache_stats_word_t *words, uint64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = get(&words[i]);
    }
}

static void get_text(const mca_rcache_stats_word_t *words, char *text, size_t size)
{
    for (size_t i = 0; i < size / sizeof(*words); i++) {
        uint64_t word = get(&words[i]);
        memcpy(text + i * sizeof(word), &word, sizeof(word));
    }
    text[size - 1] = '\0';
}

static void get_figures(const mca_rcache_counters_t *counters, mca_rcache_base_stats_t *stats)
{
    *stats = (mca_rcache_base_stats_t){
        .misses = get(&counters->misses),
        .registrations = get(&counters->registrations),
        .deregistrations = get(&counters->deregistrations),
        .evictions = get(&counters->evictions),
        .invalidated_in_use = get(&counters->invalidated_in_use),
        .unpinned_in_hook = get(&counters->unpinned_in_hook),
        .retries = get(&counters->retries),
        .queue_overflows = get(&counters->queue_overflows),
        .count = get(&counters->count),
        .peak_count = get(&counters->peak_count),
        .bytes = get(&counters->bytes),
        .peak_bytes = get(&counters->peak_bytes),
        .merges = get(&counters->merges),
        .bypasses = get(&counters->bypasses),
        .provider_errors = get(&counters->provider_errors),
    };
    get_all(counters->invalidations, stats->invalidations, MCA_RCACHE_STATS_CAUSES);
    get_all(counters->unpin_ns, stats->unpin_ns, MCA_RCACHE_STATS_LATENCIES);
    get_all(counters->sizes, stats->sizes, MCA_RCACHE_STATS_SIZES);
}

static const mca_rcache_counters_t *place(const top_page_t *page, uint64_t index)
{
    return (const void *) (page->start + page->layout.caches_offset + index * page->layout.cache_size);
}

static const mca_rcache_stats_header_t *live_header(const top_page_t *page)
{
    return (const void *) page->start;
}

/* @return false: the place is free, or changed hands meanwhile. */
static bool read_cache(const top_page_t *page, uint64_t index, top_cache_t *cache)
{
    const mca_rcache_counters_t *counters = place(page, index);
    cache->generation = get(&counters->generation);
    if ((cache->generation & 1) == 0) {
        return false;
    }
    cache->created_ns = get(&counters->created);
    get_text(counters->cache_name, cache->name, sizeof cache->name);
    get_text(counters->component, cache->component, sizeof cache->component);
    get_figures(counters, &cache->stats);
    return get(&counters->generation) == cache->generation;
}

/* ---- One page ------------------------------------------------------------------------------------ */

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

/* index_of[place]: where in the snapshot its cache is. */
static void add_lines(const top_page_t *page, const size_t *index_of, top_cache_t *caches)
{
    uint64_t used = at_most(get(&live_header(page)->lines_used), page->layout.lines);
    for (uint64_t i = 0; i < used; i++) {
        const mca_rcache_thread_counters_t *line =
            (const void *) (page->start + page->layout.lines_offset + i * page->layout.line_size);
        uint64_t owner = get(&line->owner), id = owner & ((1U << ID_BITS) - 1);
        if (id >= page->layout.caches || index_of[id] == NOT_READ
            || caches[index_of[id]].generation != owner >> ID_BITS) {
            continue;
        }
        uint64_t hits = get(&line->hits) + get(&line->slow_hits);
        if (get(&line->owner) == owner) {
            caches[index_of[id]].stats.hits += hits;
        }
    }
}

/* Those that have gone while the lines were read lack some of them. */
static size_t drop_gone(const top_page_t *page, top_cache_t *caches, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t index = caches[i].place & ((1U << ID_BITS) - 1);
        if (get(&place(page, index)->generation) == caches[i].generation) {
            caches[kept++] = caches[i];
        }
    }
    return kept;
}

/* used: places to look at; index_of: room for all. */
static size_t read_page(const top_page_t *page, uint64_t page_number, uint64_t used, size_t *index_of,
                        top_cache_t *caches)
{
    size_t count = 0;
    for (uint64_t i = 0; i < page->layout.caches; i++) {
        index_of[i] = NOT_READ;
    }
    for (uint64_t i = 0; i < used; i++) {
        if (read_cache(page, i, &caches[count])) {
            caches[count].place = page_number << ID_BITS | i;
            index_of[i] = count++;
        }
    }
    add_lines(page, index_of, caches);
    return drop_gone(page, caches, count);
}

/* ---- The snapshot -------------------------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

bool top_read(const top_process_t *process, top_snapshot_t *snapshot)
{
    size_t all = 0, most = 0;
    uint64_t used[TOP_PAGES]; /* Read once: more may be used a moment later. */
    for (size_t i = 0; i < process->pages; i++) {
        const top_page_t *page = &process->page[i];
        used[i] = at_most(get(&live_header(page)->caches_used), page->layout.caches);
        all += used[i];
        most = page->layout.caches > most ? page->layout.caches : most;
    }
    top_cache_t *caches = calloc(all + 1, sizeof *caches);
    size_t *index_of = calloc(most + 1, sizeof *index_of);
    if (caches == NULL || index_of == NULL) {
        free(caches);
        free(index_of);
        return false;
    }
    top_snapshot_t result = { .taken_ns = clock_ns(CLOCK_MONOTONIC), .time_ns = clock_ns(CLOCK_REALTIME) };
    for (size_t i = 0; i < process->pages; i++) {
        result.count += read_page(&process->page[i], i, used[i], index_of, caches + result.count);
        memcpy(result.cause_names, process->page[i].layout.cause_names, sizeof result.cause_names);
    }
    free(index_of);
    result.caches = caches;
    *snapshot = result;
    return true;
}

void top_free(top_snapshot_t *snapshot)
{
    free(snapshot->caches);
    snapshot->caches = NULL;
    snapshot->count = 0;
}
