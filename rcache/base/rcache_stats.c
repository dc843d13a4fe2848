/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures of caches: who has which place, and their sums.
 *
 * Places are in up to 64 pages of one layout; the first one may be shared with
 * readers outside, those that follow when it is full are private. A cache's id is its
 * place counted through all pages; a line is in its cache's page or in a later one, so that
 * all lines of the first page belong to caches that its readers see.
 *
 * A place is free while its generation is even, a line while its owner is 0.
 * Both are found by looking at all that were ever used: nothing is linked that a fork could tear. */
#include "rcache/base/rcache_stats.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "rcache/base/rcache_stats_map.h"

#define PAGES 64
#define ID_BITS 16

typedef struct stats_area_t {
    _Atomic(mca_rcache_stats_page_t *) page; /**< NULL: not made yet. Goes only while no cache is left. */
    bool lost;           /**< In a fork child: nobody knows who has which place; none is given out. */
    uint64_t cache_hint; /**< No place below it is free. */
    uint64_t line_hint;  /**< The same for lines. */
} stats_area_t;

/* Protects the areas and who has what; nothing is called under it but the kernel. No hook takes it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static stats_area_t areas[PAGES];
static mca_rcache_stats_file_t file = { .fd = -1 };
static bool may_share = true;
static size_t caches; /* That have a place. */

/* ---- Pages --------------------------------------------------------------------------------------- */

static mca_rcache_stats_page_t *page_of(stats_area_t *area)
{
    return atomic_load_explicit(&area->page, memory_order_acquire);
}

static mca_rcache_stats_page_t *make_page(stats_area_t *area)
{
    mca_rcache_stats_page_t *page = area == &areas[0] && may_share ? mca_rcache_stats_map_shared(&file) : NULL;
    if (page == NULL) {
        page = mca_rcache_stats_map_private();
    }
    area->cache_hint = area->line_hint = 0;
    area->lost = false;
    atomic_store_explicit(&area->page, page, memory_order_release);
    return page;
}

static mca_rcache_stats_page_t *page_to_give_locked(stats_area_t *area)
{
    mca_rcache_stats_page_t *page = page_of(area);
    if (page == NULL) {
        page = make_page(area);
    }
    return area->lost ? NULL : page;
}

static void raise_used(mca_rcache_stats_word_t *used, uint64_t index)
{
    if (atomic_load_explicit(used, memory_order_relaxed) <= index) {
        atomic_store_explicit(used, index + 1, memory_order_release);
    }
}

/* The area of a cache; NULL: it is in none. */
static stats_area_t *area_of(const mca_rcache_counters_t *counters)
{
    for (size_t i = 0; i < PAGES; i++) {
        mca_rcache_stats_page_t *page = page_of(&areas[i]);
        if (page != NULL && counters >= page->cache && counters < page->cache + MCA_RCACHE_STATS_CACHES) {
            return &areas[i];
        }
    }
    return NULL;
}

static uint64_t owner_word(stats_area_t *area, const mca_rcache_counters_t *counters, uint64_t generation)
{
    uint64_t id =
        (uint64_t) (area - areas) * MCA_RCACHE_STATS_CACHES + (uint64_t) (counters - page_of(area)->cache);
    return generation << ID_BITS | id;
}

/* ---- Caches -------------------------------------------------------------------------------------- */

/* Release: who reads a new word sees, after it, that the place has changed hands. */
static void zero(mca_rcache_stats_word_t *words, size_t bytes)
{
    for (size_t i = 0; i < bytes / sizeof(*words); i++) {
        atomic_store_explicit(&words[i], 0, memory_order_release);
    }
}

static void set_text(mca_rcache_stats_word_t *words, size_t bytes, const char *text)
{
    for (size_t i = 0; i < bytes / sizeof(*words); i++) {
        char part[sizeof(*words)] = "";
        size_t room = i + 1 < bytes / sizeof(*words) ? sizeof(part) : sizeof(part) - 1;
        size_t length = strnlen(text, room);
        uint64_t word;
        memcpy(part, text, length);
        memcpy(&word, part, sizeof(word));
        atomic_store_explicit(&words[i], word, memory_order_release);
        text += length;
    }
}

static void name_place(mca_rcache_counters_t *counters, const char *cache_name, const char *component)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    atomic_store_explicit(&counters->created, (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec,
                          memory_order_release);
    set_text(counters->cache_name, sizeof(counters->cache_name), cache_name);
    set_text(counters->component, sizeof(counters->component), component);
    zero(&counters->misses, sizeof(*counters) - offsetof(mca_rcache_counters_t, misses));
}

static bool is_free(mca_rcache_counters_t *counters)
{
    return (atomic_load_explicit(&counters->generation, memory_order_relaxed) & 1) == 0;
}

/* A free place with memory under it. */
static mca_rcache_counters_t *free_place_locked(stats_area_t *area, mca_rcache_stats_page_t *page)
{
    for (uint64_t i = area->cache_hint; i < MCA_RCACHE_STATS_CACHES; i++) {
        if (is_free(&page->cache[i])) {
            area->cache_hint = i;
            return mca_rcache_stats_populate(&page->cache[i], sizeof(page->cache[i])) ? &page->cache[i] : NULL;
        }
    }
    area->cache_hint = MCA_RCACHE_STATS_CACHES;
    return NULL;
}

static mca_rcache_counters_t *take_place_locked(stats_area_t *area, const char *cache_name, const char *component)
{
    mca_rcache_stats_page_t *page = page_to_give_locked(area);
    mca_rcache_counters_t *counters = page == NULL ? NULL : free_place_locked(area, page);
    if (counters != NULL) {
        name_place(counters, cache_name, component);
        atomic_fetch_add(&counters->generation, 1);
        raise_used(&page->header.caches_used, area->cache_hint++);
        caches++;
    }
    return counters;
}

mca_rcache_counters_t *mca_rcache_stats_new_cache(const char *cache_name, const char *component)
{
    mca_rcache_counters_t *counters = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < PAGES && counters == NULL; i++) {
        counters = take_place_locked(&areas[i], cache_name, component);
    }
    pthread_mutex_unlock(&lock);
    return counters;
}

static void free_lines_locked(stats_area_t *area, uint64_t owner)
{
    mca_rcache_stats_page_t *page = page_of(area);
    uint64_t used = page == NULL ? 0 : atomic_load(&page->header.lines_used);
    for (uint64_t i = used; i-- > 0;) {
        if (atomic_load_explicit(&page->line[i].owner, memory_order_relaxed) == owner) {
            atomic_store_explicit(&page->line[i].owner, 0, memory_order_release);
            area->line_hint = i < area->line_hint ? i : area->line_hint;
        }
    }
}

static void free_place_of_locked(stats_area_t *area, mca_rcache_counters_t *counters)
{
    uint64_t index = (uint64_t) (counters - page_of(area)->cache);
    /* First of all, and in order: who sees a line go sees that the cache has gone. */
    uint64_t generation = atomic_fetch_add(&counters->generation, 1);
    for (stats_area_t *later = area; later < areas + PAGES; later++) {
        free_lines_locked(later, owner_word(area, counters, generation));
    }
    area->cache_hint = index < area->cache_hint ? index : area->cache_hint;
    caches--;
}

void mca_rcache_stats_free_cache(mca_rcache_counters_t *counters)
{
    pthread_mutex_lock(&lock);
    stats_area_t *area = counters == NULL ? NULL : area_of(counters);
    if (area != NULL && !area->lost) {
        free_place_of_locked(area, counters);
    }
    pthread_mutex_unlock(&lock);
}

static void hand_lines_on_locked(stats_area_t *area, uint64_t from, uint64_t to)
{
    mca_rcache_stats_page_t *page = page_of(area);
    uint64_t used = page == NULL ? 0 : atomic_load(&page->header.lines_used);
    for (uint64_t i = 0; i < used; i++) {
        if (atomic_load_explicit(&page->line[i].owner, memory_order_relaxed) == from) {
            zero(&page->line[i].hits, offsetof(mca_rcache_thread_counters_t, owner));
            atomic_store_explicit(&page->line[i].owner, to, memory_order_release);
        }
    }
}

/* The place is free for a moment, and then another cache's, so that no reader takes the figures of both for one's. */
void mca_rcache_stats_begin_anew(mca_rcache_counters_t *counters, const char *cache_name, const char *component)
{
    pthread_mutex_lock(&lock);
    stats_area_t *area = area_of(counters);
    const bool is_known = area != NULL && !area->lost;
    uint64_t generation = atomic_fetch_add(&counters->generation, is_known);
    for (stats_area_t *later = area; is_known && later < areas + PAGES; later++) {
        hand_lines_on_locked(later, owner_word(area, counters, generation),
                             owner_word(area, counters, generation + 2));
    }
    name_place(counters, cache_name, component);
    atomic_fetch_add(&counters->generation, is_known);
    pthread_mutex_unlock(&lock);
}

/* ---- Threads ------------------------------------------------------------------------------------- */

static mca_rcache_thread_counters_t *take_line_locked(stats_area_t *area, uint64_t owner)
{
    mca_rcache_stats_page_t *page = page_to_give_locked(area);
    uint64_t i = area->line_hint;
    while (page != NULL && i < MCA_RCACHE_STATS_LINES
           && atomic_load_explicit(&page->line[i].owner, memory_order_relaxed) != 0) {
        i++;
    }
    area->line_hint = i;
    if (page == NULL || i == MCA_RCACHE_STATS_LINES
        || !mca_rcache_stats_populate(&page->line[i], sizeof(page->line[i]))) {
        return NULL;
    }
    zero(&page->line[i].hits, offsetof(mca_rcache_thread_counters_t, owner));
    atomic_store_explicit(&page->line[i].owner, owner, memory_order_release);
    raise_used(&page->header.lines_used, area->line_hint++);
    return &page->line[i];
}

mca_rcache_thread_counters_t *mca_rcache_stats_new_thread(mca_rcache_counters_t *counters)
{
    mca_rcache_thread_counters_t *line = NULL;
    pthread_mutex_lock(&lock);
    stats_area_t *area = area_of(counters);
    for (stats_area_t *from = area; area != NULL && from < areas + PAGES && line == NULL; from++) {
        line = take_line_locked(from, owner_word(area, counters, atomic_load(&counters->generation)));
    }
    pthread_mutex_unlock(&lock);
    return line;
}

/* ---- Reading ------------------------------------------------------------------------------------- */

static uint64_t get(const mca_rcache_stats_word_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void get_all(const mca_rcache_stats_word_t *words, uint64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = get(&words[i]);
    }
}

static uint64_t hits_in(stats_area_t *area, uint64_t owner)
{
    mca_rcache_stats_page_t *page = page_of(area);
    uint64_t used = page == NULL ? 0 : atomic_load(&page->header.lines_used), sum = 0;
    for (uint64_t i = 0; i < used; i++) {
        const mca_rcache_thread_counters_t *line = &page->line[i];
        if (atomic_load_explicit(&line->owner, memory_order_acquire) == owner) {
            sum += get(&line->hits) + get(&line->slow_hits);
        }
    }
    return sum;
}

static uint64_t all_hits(const mca_rcache_counters_t *counters)
{
    stats_area_t *area = area_of(counters);
    uint64_t sum = 0;
    for (stats_area_t *later = area; area != NULL && later < areas + PAGES; later++) {
        sum += hits_in(later, owner_word(area, counters, get(&counters->generation)));
    }
    return sum;
}

void mca_rcache_stats_read(const mca_rcache_counters_t *counters, mca_rcache_base_stats_t *stats)
{
    *stats = (mca_rcache_base_stats_t){
        .hits = all_hits(counters),
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

/* ---- Start, end, fork ---------------------------------------------------------------------------- */

void mca_rcache_stats_open(bool page)
{
    pthread_mutex_lock(&lock);
    may_share = page;
    pthread_mutex_unlock(&lock);
}

/* Nobody counts anywhere. */
static void drop_pages(void)
{
    for (size_t i = 0; i < PAGES; i++) {
        mca_rcache_stats_page_t *page = atomic_exchange(&areas[i].page, NULL);
        if (page != NULL) {
            mca_rcache_stats_unmap(page);
        }
    }
    mca_rcache_stats_close_file(&file);
}

void mca_rcache_stats_close(void)
{
    pthread_mutex_lock(&lock);
    if (caches == 0) {
        drop_pages();
    }
    pthread_mutex_unlock(&lock);
}

void mca_rcache_stats_reset_child(void)
{
    pthread_mutex_init(&lock, NULL);
    if (caches == 0) { /* Those that this thread can know are counted: the next one that is made brings a page. */
        drop_pages();
        return;
    }
    for (size_t i = 0; i < PAGES; i++) {
        mca_rcache_stats_page_t *page = page_of(&areas[i]);
        mca_rcache_stats_file_t none = { .fd = -1 };
        if (page != NULL && !mca_rcache_stats_renew(page, i == 0 ? &file : &none)) {
            areas[i].lost = true;
        }
    }
}
