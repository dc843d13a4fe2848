/* SPDX-License-Identifier: BSD-3-Clause */
/* The measures themselves, compiled once for each side, so that every side is called as its users call it: this
 * library through its inline functions, the peers through a pointer or the linkage table.
 *
 * Whoever includes this has defined:
 *   side_reg_t                        a registration
 *   int side_get(address, size, &reg) 0, or an error
 *   void side_put(reg)
 *   void side_drop(reg, address, size)  invalidate while the reference is held, and give it back
 *   side_drops_idle, void side_drop_idle(address, size)  whether one can invalidate without reference, and how
 *   void side_open(limit)             make the one cache; fail() if that fails
 *   void side_settle(void)            let it finish what only waits for the next call
 *   side_counts_t side_counts(void)
 * and, with SIDE_HAS_TABLE, side_get_by_table() and side_put_by_table(), another way to get and put.
 *
 * A measure of hits that has registered anything, and one of releases that has not dropped what it released, gives a
 * message instead of a figure, and fails the run.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/rcache/bench.h"

#define SPARES ((size_t) 1024)
#define REPEATS_MAX ((size_t) 61)
#define WARM_UP ((size_t) 1 << 17)

static const scene_t *scene;
static char *arena, *spares, *hole, *near_hole; /* The near one lies behind the last region. */
static size_t next_spare;
static size_t filled_bytes; /* What the regions take up, the cache's index with them. */

static void get_and_put(char *address, size_t size)
{
    side_reg_t *reg;
    if (side_get(address, size, &reg) != 0) {
        fail("%s: a lookup of %zu bytes has failed", scene->name, size);
    }
    side_put(reg);
}

static size_t repeats(size_t full)
{
    return is_quick ? (full + 2) / 3 : full;
}

static char *spare(void)
{
    return spares + next_spare++ % SPARES * (scene->size > PAGE ? scene->size : PAGE);
}

/* Every region once, in order of address. */
static void visit_all(void)
{
    for (size_t i = 0; i < scene->regions; i++) {
        get_and_put(arena + i * scene->size, scene->size);
    }
}

static void fill(void)
{
    side_counts_t before = side_counts();
    visit_all();
    if (side_counts().registrations - before.registrations != scene->regions) {
        fail("%s: of %zu regions, %lu were registered", scene->name, scene->regions,
             side_counts().registrations - before.registrations);
    }
}

/* ---- Hits -------------------------------------------------------------------------------------- */

/* The loop that is measured. Its own cost, less than a nanosecond, is in every side's figure. */
KEPT_WHOLE static bool hit_loop(char *base, const uint32_t *place, const uint32_t *end, size_t size)
{
    for (; place < end; place++) {
        side_reg_t *reg;
        if (side_get(base + *place * STREAM_UNIT, size, &reg) != 0) {
            return false;
        }
        side_put(reg);
    }
    return true;
}

#ifdef SIDE_HAS_TABLE
KEPT_WHOLE static bool hit_loop_by_table(char *base, const uint32_t *place, const uint32_t *end, size_t size)
{
    for (; place < end; place++) {
        side_reg_t *reg;
        if (side_get_by_table(base + *place * STREAM_UNIT, size, &reg) != 0) {
            return false;
        }
        side_put_by_table(reg);
    }
    return true;
}
#endif

typedef bool (*loop_t)(char *base, const uint32_t *place, const uint32_t *end, size_t size);

/* Lookups `from` to `from + count - 1` of those that the stream has, which begins anew when it is over. */
static void hit_by(loop_t loop, char *base, stream_t stream, size_t from, size_t count, size_t size)
{
    while (count > 0) {
        size_t begin = from & stream.mask, left = stream.mask + 1 - begin, now = count < left ? count : left;
        if (!loop(base, stream.places + begin, stream.places + begin + now, size)) {
            fail("%s: a lookup has failed", scene->name);
        }
        from += now;
        count -= now;
    }
}

static void hit(char *base, stream_t stream, size_t from, size_t count, size_t size)
{
    hit_by(hit_loop, base, stream, from, count, size);
}

static bool were_hits(side_counts_t before, size_t hits)
{
    side_counts_t now = side_counts();
    if (now.registrations == before.registrations && (!now.has_hits || now.hits - before.hits == hits)) {
        return true;
    }
    complain("%s: of %zu lookups that should hit, %lu hit, and %lu registered", scene->name, hits,
             now.has_hits ? now.hits - before.hits : 0, now.registrations - before.registrations);
    return false;
}

/* Enough to touch every page of an index, and to have the caches learn. */
static size_t warm_up_for(stream_t stream)
{
    return stream.mask < WARM_UP ? stream.mask + 1 : WARM_UP;
}

static void measure_hits_by(loop_t loop, const char *name, stream_t stream, size_t size)
{
    double results[REPEATS_MAX];
    size_t batch = 40000, count = repeats(9), done = warm_up_for(stream);
    side_counts_t before = side_counts();
    hit_by(loop, arena, stream, 0, done, size); /* Caches, and what the cache learns of a first lookup. */
    for (size_t i = 0; i < count; i++, done += batch) {
        double start = cpu_ns();
        hit_by(loop, arena, stream, done, batch, size);
        results[i] = (cpu_ns() - start) / (double) batch;
    }
    if (were_hits(before, done)) {
        emit(name, scene, median(results, count));
    }
}

static void measure_hits(const char *name, stream_t stream, size_t size)
{
    measure_hits_by(hit_loop, name, stream, size);
}

static stream_t random_regions(void)
{
    return make_stream(scene->regions, scene->size, STREAM_UNIT);
}

static stream_t same_region(void)
{
    return make_stream(1, scene->size, STREAM_UNIT);
}

static void run_hits(void)
{
    measure_hits("hit", random_regions(), scene->size);
    measure_hits("same", same_region(), scene->size);
#ifdef SIDE_HAS_TABLE
    measure_hits_by(hit_loop_by_table, "hit_table", random_regions(), scene->size);
#endif
}

static void run_containing(void)
{
    size_t length = PAGE;
    stream_t inside = make_stream((scene->size - length) / STREAM_UNIT, STREAM_UNIT, STREAM_UNIT);
    measure_hits("containing", inside, length);
}

#include "bench/rcache/cases_release.h"
#include "bench/rcache/cases_threads.h"

/* ---- A scene ----------------------------------------------------------------------------------- */

/* Regions over the limit push others out: eviction was armed all the time. */
static void check_eviction(void)
{
    side_counts_t before = side_counts();
    for (size_t i = 0; i < 4 * (scene->limit - scene->regions); i++) {
        get_and_put(spare(), PAGE);
    }
    if (side_counts().deregistrations == before.deregistrations) {
        complain("%s: nothing is evicted at the limit of %zu", scene->name, scene->limit);
    }
}

/* The releases really are noticed in this process. */
static void check_hooks(void)
{
    char *place = spare();
    get_and_put(place, PAGE);
    side_counts_t before = side_counts();
    madvise(place, PAGE, MADV_DONTNEED);
    side_settle();
    get_and_put(place, PAGE);
    if (side_counts().registrations == before.registrations) {
        complain("%s: a release by madvise() was not noticed", scene->name);
    }
}

static void prepare(const scene_t *which)
{
    scene = which;
    arena = make_arena(scene->regions, scene->size);
    near_hole = arena + scene->regions * scene->size;
    bare_munmap(near_hole, PAGE);
    spares = make_arena(SPARES, scene->size);
    hole = make_hole();
    side_open(scene->limit);
    get_and_put(spare(), PAGE);
    size_t before = resident_bytes();
    fill();
    filled_bytes = resident_bytes() - before;
}

static void run_scene(const scene_t *which)
{
    static const struct {
        unsigned measure;
        void (*run)(void);
    } measures[] = { { MEASURE_HITS, run_hits },           { MEASURE_CONTAINING, run_containing },
                     { MEASURE_MEMORY, run_memory },       { MEASURE_THREADS, run_threads },
                     { MEASURE_DISTURBED, run_disturbed }, { MEASURE_UNRELATED, run_unrelated },
                     { MEASURE_MISS, run_miss },           { MEASURE_RANGE, run_range } };
    prepare(which);
    unsigned wanted = scene->measures & (is_quick && scene->is_heavy ? ~(unsigned) MEASURE_THREADS : ~0U);
    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
        if ((wanted & measures[i].measure) != 0) {
            measures[i].run();
        }
    }
    if (scene->limit != 0) {
        check_eviction();
    }
    check_hooks();
}

/* hit_loop() alone is counted: --toggle-collect. The first pass is taken off by a run with 0 hits. */
static void run_callgrind(size_t regions, size_t hits)
{
    static scene_t counted = { .name = "callgrind", .size = PAGE };
    counted.regions = regions;
    prepare(&counted);
    side_counts_t before = side_counts();
    stream_t stream = random_regions();
    hit(arena, stream, 0, warm_up_for(stream), PAGE);
    hit(arena, stream, 0, hits, PAGE);
    were_hits(before, warm_up_for(stream) + hits);
}
