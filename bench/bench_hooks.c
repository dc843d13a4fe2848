/* SPDX-License-Identifier: BSD-3-Clause */
/* What the hooks cost: the same calls in one process with the library off and
 * on by turns; medians over the rounds, and the ratio. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"

#define ROUNDS 41
#define CALLS 2000
#define PAGE ((size_t) sysconf(_SC_PAGESIZE))

typedef double (*measure_fn_t)(void);

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

static char *pages[CALLS];

/* munmap alone: the mappings are made before the clock starts. */
static double small_munmap(void)
{
    for (int i = 0; i < CALLS; i++) {
        /* A hole between two mappings keeps the kernel from merging them. */
        char *two = mmap(NULL, (size_t) 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(two + PAGE, PAGE);
        pages[i] = two;
    }
    double start = now_ns();
    for (int i = 0; i < CALLS; i++) {
        munmap(pages[i], PAGE);
    }
    return (now_ns() - start) / CALLS;
}

static double empty_munmap(void)
{
    char *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page, PAGE);
    double start = now_ns();
    for (int i = 0; i < CALLS; i++) {
        munmap(page, PAGE);
    }
    return (now_ns() - start) / CALLS;
}

static double discard(void)
{
    static char *page;
    if (page == NULL) {
        page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    double start = now_ns();
    for (int i = 0; i < CALLS; i++) {
        madvise(page, PAGE, MADV_DONTNEED);
    }
    return (now_ns() - start) / CALLS;
}

static double map_unmap_pair(void)
{
    double start = now_ns();
    for (int i = 0; i < CALLS; i++) {
        munmap(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
    }
    return (now_ns() - start) / CALLS;
}

static double small_malloc(void)
{
    double start = now_ns();
    for (int i = 0; i < CALLS * 50; i++) {
        void *volatile block = malloc(64);
        free(block);
    }
    return (now_ns() - start) / (CALLS * 50);
}

static double large_malloc(void)
{
    double start = now_ns();
    for (int i = 0; i < CALLS; i++) {
        void *volatile block = malloc(64 << 20);
        free(block);
    }
    return (now_ns() - start) / CALLS;
}

static double init_and_finalize(void)
{
    double start = now_ns();
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        exit(1);
    }
    opalmem_finalize();
    return now_ns() - start;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(values[0]), compare);
    return values[ROUNDS / 2];
}

/* How the library runs in the "on" rounds. */
enum mode { HOOKS, HOOKS_AND_CACHE };

static void measure(const char *name, measure_fn_t function, enum mode mode)
{
    static double off[ROUNDS], on[ROUNDS], difference[ROUNDS];
    mca_rcache_provider_t *provider = NULL;
    mca_rcache_base_module_t *cache = NULL;
    mca_rcache_base_resources_t resources;
    for (int i = 0; i < ROUNDS; i++) {
        off[i] = function();
        if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
            exit(1);
        }
        if (mode == HOOKS_AND_CACHE) {
            mca_rcache_provider_open("none", &provider);
            mca_rcache_provider_resources(provider, &resources);
            cache = mca_rcache_base_module_create(NULL, NULL, &resources);
        }
        on[i] = function();
        if (cache != NULL) {
            mca_rcache_base_module_destroy(cache);
            cache = NULL;
        }
        opalmem_finalize();
        difference[i] = on[i] - off[i];
    }
    double a = median(off), b = median(on);
    printf("%-28s %-14s off %9.1f ns  on %9.1f ns  difference %+7.1f ns  ratio %.3f\n", name,
           mode == HOOKS ? "hooks" : "hooks + cache", a, b, median(difference), b / a);
}

int main(void)
{
    static double init[ROUNDS];
    static const struct {
        const char *name;
        measure_fn_t function;
    } all[] = {
        { "munmap of one page", small_munmap },      { "munmap of nothing", empty_munmap },
        { "madvise DONTNEED, empty page", discard }, { "mmap + munmap of one page", map_unmap_pair },
        { "malloc + free of 64 B", small_malloc },   { "malloc + free of 64 MiB", large_malloc },
    };
    for (int i = 0; i < ROUNDS; i++) {
        init[i] = init_and_finalize();
    }
    double first = init[0];
    printf("init + finalize: first %.0f us, median of the others %.0f us\n", first / 1000, median(init) / 1000);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        measure(all[i].name, all[i].function, HOOKS);
        measure(all[i].name, all[i].function, HOOKS_AND_CACHE);
    }
    return 0;
}
