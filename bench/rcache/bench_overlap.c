/* SPDX-License-Identifier: BSD-3-Clause */
/* What becomes of ranges that overlap: the two values of rcache_base_overlap, on the patterns in which programs use their
 * buffers. For each: nanoseconds a use, registrations, and how much was pinned, over all and in the end.
 *
 *   bench_overlap [PROVIDER]     uring unless told otherwise; the machine's RLIMIT_MEMLOCK applies. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"

#define KIB ((size_t) 1024)
#define ARENA (4096 * KIB)
#define ROUNDS 7

static char *arena;
static mca_rcache_base_module_t *cache;
static size_t uses;

static void fail(const char *what)
{
    fprintf(stderr, "bench_overlap: %s\n", what);
    exit(1);
}

static void use(size_t offset, size_t size)
{
    mca_rcache_base_registration_t *reg;
    if (cache->rcache_register(cache, arena + offset, size, 0, MCA_RCACHE_ACCESS_ANY, &reg) != OPAL_SUCCESS) {
        fail("a registration has failed");
    }
    cache->rcache_deregister(cache, reg);
    uses++;
}

/* ---- Patterns -------------------------------------------------------------------------------------------- */

/* A window of 64 KiB that moves on by a quarter of itself, twice over all of it. */
static void slide(void)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t at = 0; at + 64 * KIB <= ARENA; at += 16 * KIB) {
            use(at, 64 * KIB);
        }
    }
}

/* A buffer that grows at its end, and is used as a whole each time: realloc(), a log. */
static void grow(void)
{
    for (size_t size = 64 * KIB; size <= ARENA; size += 64 * KIB) {
        use(0, size);
    }
}

/* Two parts of one buffer, with a border that lies in both, in turn: double buffering, halos. */
static void alternate(void)
{
    for (int i = 0; i < 1000; i++) {
        use((size_t) (i % 2) * 448 * KIB, 576 * KIB);
    }
}

/* Pieces of 64 KiB at random in 1 MiB: a heap, an array of records. */
static void at_random(void)
{
    uint32_t random = 1;
    for (int i = 0; i < 4000; i++) {
        random = random * 1664525 + 1013904223;
        use((random >> 8) % 241 * 4 * KIB, 64 * KIB);
    }
}

/* Messages of 60 KiB, one behind the other, that share pages at their ends; again and again: a packed array. */
static void pack(void)
{
    for (int pass = 0; pass < 20; pass++) {
        for (size_t at = 0; at + 62 * KIB <= 1024 * KIB; at += 62 * KIB) {
            use(at, 62 * KIB);
        }
    }
}

typedef struct pattern_t {
    const char *name;
    void (*run)(void);
} pattern_t;

static const pattern_t patterns[] = {
    { "sliding window", slide },    { "growing buffer", grow }, { "alternating halves", alternate },
    { "random pieces", at_random }, { "packed array", pack },
};

/* ---- Measuring --------------------------------------------------------------------------------------------- */

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double pinned_in_all(const mca_rcache_base_stats_t *stats)
{
    double sum = 0;
    for (int i = 0; i < MCA_RCACHE_STATS_SIZES; i++) {
        sum += (double) stats->sizes[i] * 1.5 * (double) ((uint64_t) 1 << i); /* The middle of the bucket. */
    }
    return sum / (double) (KIB * KIB);
}

static void measure(const pattern_t *pattern, mca_rcache_provider_t *provider, const char *policy)
{
    double times[ROUNDS];
    mca_rcache_base_stats_t stats;

    for (int round = 0; round < ROUNDS; round++) {
        mca_rcache_base_resources_t resources;
        mca_rcache_provider_resources(provider, &resources);
        resources.in_use_policy = MCA_RCACHE_IN_USE_IGNORE;
        cache = mca_rcache_base_module_create(NULL, NULL, &resources);
        if (cache == NULL) {
            fail("no cache");
        }
        uses = 0;
        const double begin = now_ns();
        pattern->run();
        times[round] = (now_ns() - begin) / (double) uses;
        cache->rcache_stats(cache, &stats);
        mca_rcache_base_module_destroy(cache);
    }
    qsort(times, ROUNDS, sizeof(times[0]), compare);
    printf("%-20s %-8s %9.0f ns/use %6llu registrations %7.1f MiB pinned about in all %6.1f in the end\n",
           pattern->name, policy, times[ROUNDS / 2], (unsigned long long) stats.registrations,
           pinned_in_all(&stats), (double) stats.bytes / (double) (KIB * KIB));
}

static void measure_all(const char *provider_name, const char *policy)
{
    mca_rcache_provider_t *provider;
    setenv("OPALMEM_MCA_rcache_base_overlap", policy, 1);
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        fail("the library does not start");
    }
    if (mca_rcache_provider_open(provider_name, &provider) != OPAL_SUCCESS) {
        printf("without the provider %s; with none instead:\n", provider_name);
        mca_rcache_provider_open("none", &provider);
    }
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        measure(&patterns[i], provider, policy);
    }
    mca_rcache_provider_close(provider);
    opalmem_finalize();
}

int main(int argc, char **argv)
{
    arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) {
        fail("no memory");
    }
    memset(arena, 1, ARENA);
    const char *provider = argc > 1 ? argv[1] : "uring";
    printf("provider %s\n", provider);
    measure_all(provider, "coexist");
    measure_all(provider, "merge");
    return 0;
}
