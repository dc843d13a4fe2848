/* SPDX-License-Identifier: BSD-3-Clause */
/* The measures themselves, compiled once for each side, so that every side is called as its users call it: this
 * library through its module table, the peers through a pointer or the linkage table.
 *
 * Whoever includes this has defined:
 *   side_reg_t                        a registration
 *   int side_get(address, size, &reg) 0, or an error
 *   void side_put(reg)
 *   void side_drop(reg, address, size)  invalidate while the reference is held, and give it back
 *   bool side_drop_idle(address, size)  invalidate without reference; false: the interface has no such function
 *   void side_open(limit)             make the one cache; fail() if that fails
 *   void side_settle(void)            let it finish what only waits for the next call
 *   side_counts_t side_counts(void)
 *
 * A measure of hits that has registered anything, and one of releases that has not dropped what it released, fails.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/rcache/bench.h"

#define SPARES ((size_t) 1024)
#define REPEATS_MAX ((size_t) 61)

static const scene_t *scene;
static char *arena, *spares, *hole;
static size_t next_spare;

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

/* ---- Hits -------------------------------------------------------------------------------------- */

/* The loop that is measured. Its own cost, about a nanosecond, is in every side's figure. */
KEPT_WHOLE static size_t hit_loop(stream_t stream, size_t from, size_t count, size_t size)
{
    size_t errors = 0;
    for (size_t i = from; i < from + count; i++) {
        side_reg_t *reg;
        if (side_get(arena + stream.places[i & stream.mask] * STREAM_UNIT, size, &reg) != 0) {
            errors++;
            continue;
        }
        side_put(reg);
    }
    return errors;
}

/* No clock in between: for callgrind, too. */
static void hit(stream_t stream, size_t from, size_t count, size_t size)
{
    if (hit_loop(stream, from, count, size) != 0) {
        fail("%s: lookups have failed", scene->name);
    }
}

static void check_hits(side_counts_t before, size_t hits)
{
    side_counts_t now = side_counts();
    if (now.registrations != before.registrations || (now.has_hits && now.hits - before.hits != hits)) {
        fail("%s: of %zu lookups that should hit, %lu hit, and %lu registered", scene->name, hits,
             now.has_hits ? now.hits - before.hits : 0, now.registrations - before.registrations);
    }
}

static double measure_hits(stream_t stream, size_t size)
{
    double results[REPEATS_MAX];
    size_t batch = scene->regions > 10000 ? 100000 : 40000, count = repeats(9), done = stream.mask + 1;
    side_counts_t before = side_counts();
    hit(stream, 0, done, size); /* Caches, and what the cache learns of a first lookup. */
    for (size_t i = 0; i < count; i++, done += batch) {
        double start = now_ns();
        hit(stream, done, batch, size);
        results[i] = (now_ns() - start) / (double) batch;
    }
    check_hits(before, done);
    return median(results, count);
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
    emit("hit", scene, measure_hits(random_regions(), scene->size));
    emit("same", scene, measure_hits(same_region(), scene->size));
}

static void run_containing(void)
{
    size_t length = PAGE;
    stream_t inside = make_stream((scene->size - length) / STREAM_UNIT, STREAM_UNIT, STREAM_UNIT);
    emit("containing", scene, measure_hits(inside, length));
}

/* ---- A scene ----------------------------------------------------------------------------------- */

static char *spare(void)
{
    return spares + next_spare++ % SPARES * (scene->size > PAGE ? scene->size : PAGE);
}

/* Every region once, in order of address. */
static void fill(void)
{
    side_counts_t before = side_counts();
    for (size_t i = 0; i < scene->regions; i++) {
        get_and_put(arena + i * scene->size, scene->size);
    }
    if (side_counts().registrations - before.registrations != scene->regions) {
        fail("%s: of %zu regions, %lu were registered", scene->name, scene->regions,
             side_counts().registrations - before.registrations);
    }
}

/* Regions over the limit push others out: eviction was armed all the time. */
static void check_eviction(void)
{
    side_counts_t before = side_counts();
    for (size_t i = 0; i < 4 * (scene->limit - scene->regions); i++) {
        get_and_put(spare(), PAGE);
    }
    if (side_counts().deregistrations == before.deregistrations) {
        fail("%s: nothing is evicted at the limit of %zu", scene->name, scene->limit);
    }
}

/* The releases really are noticed in this process. */
static void check_hooks(void)
{
    char *place = spare();
    side_counts_t before = side_counts();
    get_and_put(place, PAGE);
    madvise(place, PAGE, MADV_DONTNEED);
    side_settle();
    get_and_put(place, PAGE);
    if (side_counts().registrations - before.registrations != 2) {
        fail("%s: a release by madvise() was not noticed", scene->name);
    }
}

static void prepare(const scene_t *which)
{
    scene = which;
    arena = make_arena(scene->regions, scene->size);
    spares = make_arena(SPARES, scene->size);
    hole = make_hole();
    side_open(scene->limit);
    fill();
}

static void run_scene(const scene_t *which)
{
    static const struct {
        unsigned measure;
        void (*run)(void);
    } measures[] = { { MEASURE_HITS, run_hits }, { MEASURE_CONTAINING, run_containing } };
    prepare(which);
    for (size_t i = 0; i < sizeof(measures) / sizeof(measures[0]); i++) {
        if ((scene->measures & measures[i].measure) != 0) {
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
    hit(stream, 0, stream.mask + 1, PAGE);
    hit(stream, 0, hits, PAGE);
    check_hits(before, stream.mask + 1 + hits);
}
