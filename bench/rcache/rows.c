/* SPDX-License-Identifier: BSD-3-Clause */
/* What is measured: the scenes, and the rows of the table with their targets. */
#include <string.h>

#include "bench/rcache/bench.h"

#define K ((size_t) 1000)
#define M (K * K)

const scene_t scenes[] = {
    { "10", 10, PAGE, 0, MEASURE_HITS, false },
    { "100", 100, PAGE, 0, MEASURE_HITS, false },
    { "1000", K, PAGE, 0, MEASURE_HITS, false },
    { "limit", K, PAGE, K + 16, MEASURE_HITS, false },
    { "1e4", 10 * K, PAGE, 0, MEASURE_HITS, false },
    { "1e5", 100 * K, PAGE, 0, MEASURE_HITS, false },
    { "1e6", M, PAGE, 0, MEASURE_HITS, true },
    { "10x64K", 10, 16 * PAGE, 0, MEASURE_HITS, false },
    { "1000x64K", K, 16 * PAGE, 0, MEASURE_HITS, false },
    { "1e5x64K", 100 * K, 16 * PAGE, 0, MEASURE_HITS, false },
    { "1e6x64K", M, 16 * PAGE, 0, MEASURE_HITS, true },
    { "64M", 1, PAGE << 14, 0, MEASURE_CONTAINING, false },
};
const size_t scene_count = sizeof(scenes) / sizeof(scenes[0]);

const row_t rows[] = {
    { "hit, random over 10 regions of 4 KiB", "hit.10", NULL, OVER_PEER, 0.20 },
    { "hit, random over 10^2", "hit.100", NULL, OVER_PEER, 0 },
    { "hit, random over 10^3", "hit.1000", NULL, OVER_PEER, 0 },
    { "hit, random over 10^4", "hit.1e4", NULL, OVER_PEER, 0 },
    { "hit, random over 10^5", "hit.1e5", NULL, OVER_PEER, 0 },
    { "hit, random over 10^6", "hit.1e6", NULL, OVER_PEER, 0.30 },
    { "hit, random over 10 regions of 64 KiB", "hit.10x64K", NULL, OVER_PEER, 0 },
    { "hit, random over 10^3", "hit.1000x64K", NULL, OVER_PEER, 0 },
    { "hit, random over 10^5", "hit.1e5x64K", NULL, OVER_PEER, 0 },
    { "hit, random over 10^6", "hit.1e6x64K", NULL, OVER_PEER, 0 },
    { "hit, the same of 10 regions of 4 KiB", "same.10", NULL, OVER_PEER, 0 },
    { "hit, the same of 10^6", "same.1e6", NULL, OVER_PEER, 0 },
    { "hit, 4 KiB anywhere in one region of 64 MiB", "containing.64M", NULL, OVER_PEER, 0 },
    { "hit with limits, over that without", "hit.limit", "hit.1000", OVER_OWN, 1.2 },
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
