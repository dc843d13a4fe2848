/* SPDX-License-Identifier: BSD-3-Clause */
/* The benchmark of registration caches: what its parts share.
 *
 * A scene is a cache with so many regions and a set of measures taken on it. Each scene of each side (this library, a
 * peer) runs in a process of its own, by turns, because the hooks of a peer cannot be taken out again. Such a process
 * prints a line "figure value" for each measure; bench_rcache.c collects them and makes rows of them (rows.c).
 * Times are in ns.
 */
#ifndef BENCH_RCACHE_BENCH_H
#define BENCH_RCACHE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE ((size_t) 4096)

#ifdef __clang__
#define KEPT_WHOLE __attribute__((noinline))
#else
#define KEPT_WHOLE __attribute__((noinline, noclone))
#endif

enum {
    MEASURE_HITS = 0x01,       /* One thread, random and same region. */
    MEASURE_CONTAINING = 0x02, /* Lookups inside regions, at random offsets. */
    MEASURE_THREADS = 0x04,    /* Two threads against one. */
    MEASURE_DISTURBED = 0x08,  /* Another thread releases unrelated memory. */
    MEASURE_UNRELATED = 0x10,  /* What that release costs. */
    MEASURE_RANGE = 0x20,      /* One release over all regions. */
    MEASURE_MISS = 0x40,       /* Register, drop, destroy. */
    MEASURE_MEMORY = 0x80      /* Bytes a region. */
};

typedef struct scene_t {
    const char *name; /* Figures are "measure.name". */
    size_t regions, size;
    size_t limit; /* Regions at most; 0: no limit. */
    unsigned measures;
    bool is_heavy; /* Only in some of the rounds, and with fewer measures in a quick run. */
} scene_t;

extern const scene_t scenes[];
extern const size_t scene_count;
const scene_t *scene_find(const char *name);

/* How a row is judged. */
typedef enum judge_t {
    OVER_PEER, /* This library's figure over UCX's, at most. */
    OVER_OWN,  /* This library's figure over another one of its own, at most. */
    AT_MOST,   /* This library's figure itself. */
    AT_LEAST
} judge_t;

typedef struct row_t {
    const char *text, *figure;
    const char *base; /* OVER_OWN: the other figure. OVER_PEER: the peer's, if it is not the same one. */
    judge_t judge;
    double target; /* 0: for information. */
} row_t;

extern const row_t rows[];
extern const size_t row_count;

/* ---- One side, in its process ------------------------------------------------------------------ */

typedef struct side_t {
    const char *name;
    const char *(*start)(void); /* NULL, or why this side cannot be measured here. */
    void (*run)(const scene_t *scene);
    void (*callgrind)(size_t regions, size_t hits);
} side_t;

/* "NAME probe", "NAME run SCENE [quick]", "NAME callgrind REGIONS HITS". */
int side_main(int argc, char **argv, const side_t *const *sides);

extern const side_t side_opalmem, side_ucx, side_libfabric;

/* ---- Tools of the measures (tools.c) ----------------------------------------------------------- */

extern bool is_quick;

double now_ns(void); /* Of the wall: where threads wait for each other. */
double cpu_ns(void); /* Of this thread alone: what else the machine runs does not count. */
double median(double *values, size_t count);
void emit(const char *measure, const scene_t *scene, double value);

/* A measure that has not measured what it says: a message, and the process ends with 1 after the others. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Nothing more can be measured. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A system call by an instruction of this program, which nobody replaces. */
long bare(long nr, long a, long b, long c, long d, long e, long f);
long bare_munmap(void *address, size_t length);
long bare_discard(void *address, size_t length);

/* Address space that is never touched. Not aligned to more than a page, where size is more than one. */
char *make_arena(size_t count, size_t size);
char *make_hole(void); /* A page's place, with nothing there, away from arenas made later. */

size_t resident_bytes(void);
bool pin_to_cpu(unsigned which); /* False: there is no such one. */

/* Places to look up, in units of 64 bytes from the arena's begin; the length is a power of two. */
#define STREAM_UNIT ((size_t) 64)
typedef struct stream_t {
    uint32_t *places;
    size_t mask;
} stream_t;
stream_t make_stream(size_t count, size_t stride, size_t step);

#endif
