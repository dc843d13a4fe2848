/* SPDX-License-Identifier: BSD-3-Clause */
/* What the registration cache's index costs: ns an operation of the interval
 * B+-tree and of the page filter, by number of intervals and order of insertion;
 * medians over the rounds. Arguments: the numbers of intervals, 1000 and 1000000 without. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rcache/grdma/interval_btree.h"
#include "rcache/grdma/page_filter.h"

#define ROUNDS 5
#define LOOKUPS 200000u
#define PAGE_SHIFT 12

enum { INSERT, CONTAINING, MISS, MISS_LOCAL, TURNOVER, REMOVE, BULK, BULK_TOUCH, BULK_SHUFFLED, BYTES, CASES };
static const char *const names[CASES] = {
    "insert",
    "containing, random",
    "containing nothing, random",
    "containing nothing, same place",
    "remove + insert, same place",
    "remove, random",
    "bulk removal",
    "bulk removal, touching 64 B each",
    "the same, scattered ids",
    "bytes an interval",
};

static uint32_t *order, *shuffled; /* Places in order of insertion; a shuffle of 0..n-1. */
static char *regions;              /* 64 bytes for each id. */
static volatile uint64_t sink;
static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* Others may use the processor, too. */
    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

static void shuffle(uint32_t *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        values[i] = i;
    }
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t j = (uint32_t) (next_random() % (i + 1)), kept = values[i];
        values[i] = values[j];
        values[j] = kept;
    }
}

/* Intervals of one page, with a page between them. */
static uint64_t page_of(uint32_t place)
{
    return (UINT64_C(0x7f0000000000) >> PAGE_SHIFT) + 2 * (uint64_t) place;
}

static void check(bool done, const char *what)
{
    if (!done) {
        fprintf(stderr, "time_index: %s failed\n", what);
        exit(EXIT_FAILURE);
    }
}

/* @param ids  Id less 1 by place. */
static void fill(interval_btree_t *tree, uint32_t count, const uint32_t *ids)
{
    interval_btree_init(tree);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t page = page_of(order[i]);
        check(interval_btree_reserve(tree, 1), "mmap");
        check(interval_btree_insert(tree, page, page, 1 + (ids != NULL ? ids[order[i]] : order[i])), "insert");
    }
}

static void add_ids(const uint32_t *ids, unsigned count, void *arg)
{
    (void) arg;
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++) {
        sum += ids[i];
    }
    sink += sum;
}

static void touch_regions(const uint32_t *ids, unsigned count, void *arg)
{
    (void) arg;
    for (unsigned i = 0; i < count; i++) {
        __builtin_prefetch(regions + (size_t) ids[i] * 64, 1);
    }
    for (unsigned i = 0; i < count; i++) {
        *(uint32_t *) (void *) (regions + (size_t) ids[i] * 64 + 16) |= 0x80;
    }
}

static double bulk(interval_btree_t *tree, uint32_t count, interval_btree_removed_fn_t fn)
{
    double start = now_ns();
    check(interval_btree_remove_overlapping(tree, page_of(0), page_of(count), fn, NULL) == count, "bulk removal");
    double took = now_ns() - start;
    interval_btree_destroy(tree);
    return took / count;
}

/* @param random  0: the same place every time. @param beside  1: in the gaps. */
static double lookups(const interval_btree_t *tree, uint32_t count, bool random, unsigned beside)
{
    uint64_t found = 0;
    double start = now_ns();
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        uint64_t page = page_of(random ? shuffled[i % count] : count / 2) + beside;
        found += interval_btree_containing(tree, page, page, NULL, NULL) != 0;
    }
    double took = (now_ns() - start) / LOOKUPS;
    check(found == (beside ? 0 : LOOKUPS), "containing");
    return took;
}

static double turnover(interval_btree_t *tree, uint32_t count)
{
    uint64_t page = page_of(count / 2);
    double start = now_ns();
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        check(interval_btree_remove(tree, page, page, count / 2 + 1), "remove");
        check(interval_btree_insert(tree, page, page, count / 2 + 1), "insert");
    }
    return (now_ns() - start) / LOOKUPS;
}

static double remove_all(interval_btree_t *tree, uint32_t count)
{
    double start = now_ns();
    for (uint32_t i = 0; i < count; i++) {
        uint64_t page = page_of(shuffled[i]);
        check(interval_btree_remove(tree, page, page, shuffled[i] + 1), "remove");
    }
    double took = (now_ns() - start) / count;
    interval_btree_destroy(tree);
    return took;
}

static void measure(uint32_t count, double results[CASES])
{
    interval_btree_t tree;
    double start = now_ns();
    fill(&tree, count, NULL);
    results[INSERT] = (now_ns() - start) / count;
    results[BYTES] = interval_btree_nodes(&tree) * 1024.0 / count;
    results[CONTAINING] = lookups(&tree, count, true, 0);
    results[MISS] = lookups(&tree, count, true, 1);
    results[MISS_LOCAL] = lookups(&tree, count, false, 1);
    results[TURNOVER] = turnover(&tree, count);
    results[REMOVE] = remove_all(&tree, count);
    fill(&tree, count, NULL);
    results[BULK] = bulk(&tree, count, add_ids);
    fill(&tree, count, NULL);
    results[BULK_TOUCH] = bulk(&tree, count, touch_regions);
    fill(&tree, count, shuffled);
    results[BULK_SHUFFLED] = bulk(&tree, count, touch_regions);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(values[0]), by_value);
    return values[ROUNDS / 2];
}

static void bench_tree(uint32_t count, bool random)
{
    static double results[ROUNDS][CASES];
    for (uint32_t i = 0; i < count; i++) {
        order[i] = random ? shuffled[count - 1 - i] : i;
    }
    for (int round = 0; round < ROUNDS; round++) {
        measure(count, results[round]);
    }
    printf("tree, %u intervals inserted in %s order:\n", count, random ? "random" : "rising");
    for (int i = 0; i < CASES; i++) {
        double values[ROUNDS];
        for (int round = 0; round < ROUNDS; round++) {
            values[round] = results[round][i];
        }
        printf("  %-36s %7.1f%s\n", names[i], median(values), i == BYTES ? "" : " ns");
    }
}

static void grow(page_filter_t *filter, uint32_t added, uint64_t stride)
{
    unsigned bits = page_filter_wants(filter);
    if (bits != 0) {
        page_filter_table_t *table = page_filter_table_map(bits);
        check(table != NULL && page_filter_grow_begin(filter, table), "growth");
        for (uint32_t i = 0; i < added; i++) {
            page_filter_grow_add(filter, UINT64_C(0x7f0000000000) - i * stride,
                                 UINT64_C(0x7f0000000fff) - i * stride);
        }
        page_filter_grow_end(filter);
    }
}

/* Releases of unrelated memory, spread over as much address space as the regions. */
static double ask(const page_filter_t *filter, uint64_t length, double *yes)
{
    uint64_t found = 0;
    double start = now_ns();
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        uint64_t first = UINT64_C(0x100000000000) + (uint64_t) i * 0x12345 % LOOKUPS * UINT64_C(0x100000);
        found += page_filter_may_hold(filter, first, first + length - 1);
    }
    double took = (now_ns() - start) / LOOKUPS;
    *yes = (double) found * 100 / LOOKUPS;
    return took;
}

static void bench_filter(uint32_t count, uint64_t stride)
{
    page_filter_t filter;
    check(page_filter_init(&filter) == 0, "mmap");
    double start = now_ns();
    for (uint32_t i = 0; i < count; i++) {
        grow(&filter, i, stride);
        page_filter_add(&filter, UINT64_C(0x7f0000000000) - i * stride, UINT64_C(0x7f0000000fff) - i * stride);
    }
    double yes, add = (now_ns() - start) / count;
    printf("filter, %u regions of 4 KiB each %lu KiB: add with growth %.1f ns, %.1f bytes a region\n", count,
           stride >> 10, add, (double) page_filter_size(&filter) / count);
    for (uint64_t length = 4096; length <= 1 << 20; length <<= 4) {
        double took = ask(&filter, length, &yes);
        printf("  unrelated release of %4lu KiB          %7.1f ns, %.1f %% yes\n", length >> 10, took, yes);
    }
    page_filter_destroy(&filter);
}

static void bench(uint32_t count)
{
    check(count > 0 && count <= INTERVAL_BTREE_ID_MAX, "number of intervals (1 to 16777215):");
    order = malloc(count * sizeof(order[0]));
    shuffled = malloc(count * sizeof(shuffled[0]));
    regions = malloc(((size_t) count + 1) * 64);
    check(order != NULL && shuffled != NULL && regions != NULL, "malloc");
    memset(regions, 0, ((size_t) count + 1) * 64);
    shuffle(shuffled, count);
    bench_tree(count, false);
    bench_tree(count, true);
    bench_filter(count, UINT64_C(8) << 10);
    bench_filter(count, UINT64_C(4) << 20);
    free(order);
    free(shuffled);
    free(regions);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bench((uint32_t) strtoul(argv[i], NULL, 0));
    }
    if (argc == 1) {
        bench(1000);
        bench(1000000);
    }
    return EXIT_SUCCESS;
}
