/* SPDX-License-Identifier: BSD-3-Clause */
/* What is measured: the scenes, and the rows of the table with their targets. */
#include <string.h>

#include "bench/rcache/bench.h"

#define K ((size_t) 1000)
#define M (K * K)

#define HITS MEASURE_HITS
#define THREADS (MEASURE_THREADS | MEASURE_DISTURBED)
#define RELEASES (MEASURE_UNRELATED | MEASURE_RANGE)

const scene_t scenes[] = {
    { "10", 10, PAGE, 0, HITS | THREADS | MEASURE_UNRELATED, false },
    { "100", 100, PAGE, 0, HITS, false },
    { "1000", K, PAGE, 0, HITS | THREADS | RELEASES, false },
    { "limit", K, PAGE, K + 16, HITS | MEASURE_THREADS, false },
    { "1e4", 10 * K, PAGE, 0, HITS | MEASURE_THREADS, false },
    { "1e5", 100 * K, PAGE, 0, HITS | MEASURE_MEMORY | MEASURE_THREADS | RELEASES, false },
    { "1e6", M, PAGE, 0, HITS | MEASURE_MEMORY | MEASURE_THREADS | RELEASES, true },
    { "10x64K", 10, 16 * PAGE, 0, HITS, false },
    { "1000x64K", K, 16 * PAGE, 0, HITS, false },
    { "1e5x64K", 100 * K, 16 * PAGE, 0, HITS | MEASURE_MEMORY, true },
    { "1e6x64K", M, 16 * PAGE, 0, HITS, true },
    { "64M", 1, PAGE << 14, 0, MEASURE_CONTAINING, false },
    { "4K", K, PAGE, 0, MEASURE_MISS, false },
    { "64K", K, 16 * PAGE, 0, MEASURE_MISS, false },
};
const size_t scene_count = sizeof(scenes) / sizeof(scenes[0]);

const row_t rows[] = {
    { "hit, random over 10 regions of 4 KiB", "hit.10", NULL, OVER_PEER, 0.20 },
    { "  the same, called through the table", "hit_table.10", "hit.10", OVER_PEER, 0 },
    { "hit, random over 10^2", "hit.100", NULL, OVER_PEER, 0 },
    { "hit, random over 10^3", "hit.1000", NULL, OVER_PEER, 0 },
    { "  the same, called through the table", "hit_table.1000", "hit.1000", OVER_PEER, 0 },
    { "hit, random over 10^4", "hit.1e4", NULL, OVER_PEER, 0 },
    { "hit, random over 10^5", "hit.1e5", NULL, OVER_PEER, 0 },
    { "hit, random over 10^6", "hit.1e6", NULL, OVER_PEER, 0.30 },
    { "  the same, called through the table", "hit_table.1e6", "hit.1e6", OVER_PEER, 0 },
    { "hit, random over 10 regions of 64 KiB", "hit.10x64K", NULL, OVER_PEER, 0 },
    { "hit, random over 10^3 of 64 KiB", "hit.1000x64K", NULL, OVER_PEER, 0 },
    { "hit, random over 10^5 of 64 KiB", "hit.1e5x64K", NULL, OVER_PEER, 0 },
    { "hit, random over 10^6 of 64 KiB", "hit.1e6x64K", NULL, OVER_PEER, 0 },
    { "hit, the same of 10 regions of 4 KiB", "same.10", NULL, OVER_PEER, 0 },
    { "hit, the same of 10^6", "same.1e6", NULL, OVER_PEER, 0 },
    { "hit, 4 KiB anywhere in one region of 64 MiB", "containing.64M", NULL, OVER_PEER, 0 },
    { "hit, random over 10^3, limits set, over that without", "hit.limit", "hit.1000", OVER_OWN, 1.2 },
    { "two threads, same region: a thread", "two_same.10", NULL, OVER_PEER, 0.02 },
    { "  total of two threads, in those of one", "gain_same.10", NULL, AT_LEAST, 1.8 },
    { "two threads, random over 10: a thread", "two_random.10", NULL, OVER_PEER, 0 },
    { "  total of two threads, in those of one", "gain_random.10", NULL, AT_LEAST, 1.8 },
    { "two threads, random over 10^3: a thread", "two_random.1000", NULL, OVER_PEER, 0 },
    { "  total of two threads, in those of one", "gain_random.1000", NULL, AT_LEAST, 1.8 },
    { "two threads, random over 10^3, limits set: a thread", "two_random.limit", NULL, OVER_PEER, 0 },
    { "two threads, random over 10^4: a thread", "two_random.1e4", NULL, OVER_PEER, 0 },
    { "two threads, random over 10^5: a thread", "two_random.1e5", NULL, OVER_PEER, 0 },
    { "two threads, random over 10^6: a thread", "two_random.1e6", NULL, OVER_PEER, 0 },
    { "hit while another thread releases, over undisturbed", "disturbed.10", "quiet.10", OVER_OWN, 1.3 },
    { "  the same, releases without hooks", "disturbed_bare.10", "quiet.10", OVER_OWN, 0 },
    { "the same, random over 10^3", "disturbed.1000", "quiet.1000", OVER_OWN, 1.3 },
    { "  the same, releases without hooks", "disturbed_bare.1000", "quiet.1000", OVER_OWN, 0 },
    { "miss + invalidate + destroy, 4 KiB", "miss.4K", NULL, OVER_PEER, 0.8 },
    { "  the same, invalidated when idle (UCX: as above)", "miss_idle.4K", "miss.4K", OVER_PEER, 0.8 },
    { "miss + invalidate + destroy, 64 KiB, page-aligned", "miss.64K", NULL, OVER_PEER, 0.35 },
    { "  the same, invalidated when idle (UCX: as above)", "miss_idle.64K", "miss.64K", OVER_PEER, 0.35 },
    { "release of unrelated memory, extra, 10 cached", "unrelated.10", NULL, AT_MOST, 25 },
    { "  10^3 cached", "unrelated.1000", NULL, AT_MOST, 25 },
    { "  10^5 cached", "unrelated.1e5", NULL, AT_MOST, 25 },
    { "  10^6 cached", "unrelated.1e6", NULL, AT_MOST, 25 },
    { "  10 cached, another thread hits", "unrelated_two.10", NULL, AT_MOST, 25 },
    { "  10^3 cached, another thread hits", "unrelated_two.1000", NULL, AT_MOST, 25 },
    { "  10^5 cached, another thread hits", "unrelated_two.1e5", NULL, AT_MOST, 25 },
    { "  10^6 cached, another thread hits", "unrelated_two.1e6", NULL, AT_MOST, 25 },
    { "  next to a cached region, 10 cached", "near.10", NULL, AT_MOST, 0 },
    { "  next to a cached region, 10^6 cached", "near.1e6", NULL, AT_MOST, 0 },
    { "one release over 10^3 regions, extra, per region", "range.1000", NULL, OVER_PEER, 0.6 },
    { "  with what the next miss does", "range_all.1000", NULL, OVER_PEER, 0 },
    { "one release over 10^5 regions", "range.1e5", NULL, OVER_PEER, 0.6 },
    { "  with what the next miss does", "range_all.1e5", NULL, OVER_PEER, 0 },
    { "one release over 10^6 regions", "range.1e6", NULL, OVER_PEER, 0.6 },
    { "  with what the next miss does", "range_all.1e6", NULL, OVER_PEER, 0 },
    { "one release over 10^3 regions, another thread hits", "range_two.1000", NULL, OVER_PEER, 0.6 },
    { "  with what the next miss does", "range_two_all.1000", NULL, OVER_PEER, 0 },
    { "one release over 10^5 regions, another thread hits", "range_two.1e5", NULL, OVER_PEER, 0.6 },
    { "  with what the next miss does", "range_two_all.1e5", NULL, OVER_PEER, 0 },
    { "one release over 10^6 regions, another thread hits", "range_two.1e6", NULL, OVER_PEER, 0.6 },
    { "  with what the next miss does", "range_two_all.1e6", NULL, OVER_PEER, 0 },
    { "bytes a region of 4 KiB, 10^5 cached", "memory.1e5", NULL, AT_MOST, 96 },
    { "bytes a region of 4 KiB, 10^6 cached", "memory.1e6", NULL, AT_MOST, 96 },
    { "bytes a region of 64 KiB, 10^5 cached", "memory.1e5x64K", NULL, AT_MOST, 96 },
    { "  more for each further thread that uses it", "memory_thread.1e6", NULL, AT_MOST, 0 },
};
const size_t row_count = sizeof(rows) / sizeof(rows[0]);

const scene_t *scene_find(const char *name)
{
    for (size_t i = 0; i < scene_count; i++) {
        if (strcmp(scenes[i].name, name) == 0) {
            return &scenes[i];
        }
    }
    return NULL;
}
