/* SPDX-License-Identifier: BSD-3-Clause */
/* What it costs that the kernel tells: opal_memory_changed(), and hits of a cache by number of regions, where hooks alone tell,
 * where the device kdreg2 does, and where both do. One process for each setting and round, the settings by turns; medians, ns.
 * On the fake of the driver: a hit reads the driver's words, and does not call it. Argument: the rounds, 15 without. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "opal/mca/rcache/provider.h"
#include "opal/mca/rcache/rcache.h"
#include "opal/mca/rcache/rcache_hit.h"
#include "test/kdreg/kdreg_test.h"

#define SIZE ((size_t) 4096)

enum { MOST_ROUNDS = 201, REGIONS_MAX = 1000, LOOKUPS = 1 << 20 };

typedef struct figures_t {
    double changed, ten, thousand;
} figures_t;

static double cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

static double time_changed(void)
{
    const double begin = cpu_ns();

    for (int i = 0; i < LOOKUPS; i++) {
        if (opal_memory_changed()) {
            abort(); /* Nothing has been released. */
        }
    }
    return (cpu_ns() - begin) / LOOKUPS;
}

static void use(mca_rcache_base_module_t *cache, char *start)
{
    mca_rcache_base_registration_t *reg;

    if (mca_rcache_base_register(cache, start, SIZE, 0, MCA_RCACHE_ACCESS_ANY, &reg) != OPAL_SUCCESS
        || mca_rcache_base_deregister(cache, reg) != OPAL_SUCCESS) {
        abort();
    }
}

static mca_rcache_base_stats_t stats_of(mca_rcache_base_module_t *cache)
{
    mca_rcache_base_stats_t stats;

    cache->rcache_stats(cache, &stats);
    return stats;
}

static double time_hits(mca_rcache_base_module_t *cache, char *memory, unsigned regions)
{
    static unsigned place[LOOKUPS];

    srand(1);
    for (int i = 0; i < LOOKUPS; i++) {
        place[i] = (unsigned) rand() % regions;
        if (i < 1 << 16) {
            use(cache, memory + place[i] * SIZE);
        }
    }
    const mca_rcache_base_stats_t before = stats_of(cache);
    const double begin = cpu_ns();
    for (int i = 0; i < LOOKUPS; i++) {
        use(cache, memory + place[i] * SIZE);
    }
    const double result = (cpu_ns() - begin) / LOOKUPS;
    const mca_rcache_base_stats_t after = stats_of(cache);
    if (after.hits - before.hits != LOOKUPS || after.registrations != before.registrations) {
        abort();
    }
    return result;
}

/* In a child. */
static figures_t measure(const char *memory_component)
{
    mca_rcache_provider_t *provider;
    mca_rcache_base_resources_t resources;
    char *memory = mmap(NULL, REGIONS_MAX * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    kdreg_test_select(2 * (size_t) REGIONS_MAX, 0);
    setenv("OPALMEM_MCA_memory", memory_component, 1);
    if (memory == MAP_FAILED || opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        exit(1);
    }
    if (mca_rcache_provider_open("none", &provider) != OPAL_SUCCESS) {
        exit(1);
    }
    mca_rcache_provider_resources(provider, &resources);
    mca_rcache_base_module_t *cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    if (cache == NULL) {
        exit(1);
    }
    for (size_t i = 0; i < REGIONS_MAX; i++) {
        use(cache, memory + i * SIZE);
    }
    return (figures_t){ time_changed(), time_hits(cache, memory, 10), time_hits(cache, memory, REGIONS_MAX) };
}

static figures_t measure_in_child(const char *memory_component)
{
    figures_t figures;
    int ends[2], status;

    if (pipe(ends) != 0) {
        abort();
    }
    const pid_t child = fork();
    if (child == 0) {
        figures = measure(memory_component);
        _exit(write(ends[1], &figures, sizeof(figures)) == sizeof(figures) ? 0 : 1);
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], &figures, sizeof(figures)) != sizeof(figures)
        || waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "time_told: nothing can be measured with %s\n", memory_component);
        exit(1);
    }
    close(ends[0]);
    return figures;
}

static int by_value(const void *a, const void *b)
{
    return (*(const double *) a > *(const double *) b) - (*(const double *) a < *(const double *) b);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), by_value);
    return values[count / 2];
}

int main(int argc, char *argv[])
{
    static const char *const settings[] = { "linux", "kdreg", "linux+kdreg" };
    static double changed[3][MOST_ROUNDS], ten[3][MOST_ROUNDS], thousand[3][MOST_ROUNDS];
    const int wanted = argc > 1 ? atoi(argv[1]) : 15, rounds = wanted < 1             ? 1
                                                               : wanted > MOST_ROUNDS ? MOST_ROUNDS
                                                                                      : wanted;

    if (kdreg_test_prepare() != 0 || !kdreg_test_can_have_linux()) {
        return 77;
    }
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < 3; i++) {
            const int setting = (round + i) % 3;
            const figures_t figures = measure_in_child(settings[setting]);
            changed[setting][round] = figures.changed;
            ten[setting][round] = figures.ten;
            thousand[setting][round] = figures.thousand;
        }
    }
    printf("%-12s %22s %18s %18s\n", "", "opal_memory_changed()", "hit, of 10", "hit, of 1000");
    for (int i = 0; i < 3; i++) {
        printf("%-12s %19.2f ns %15.2f ns %15.2f ns\n", settings[i], median(changed[i], (size_t) rounds),
               median(ten[i], (size_t) rounds), median(thousand[i], (size_t) rounds));
    }
    return 0;
}
