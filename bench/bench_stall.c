/* SPDX-License-Identifier: BSD-3-Clause */
/* How long threads stand still while code under them is replaced: `bench_stall [ROUNDS [THREADS]]` starts and stops the
 * library ROUNDS times (default 1000) while THREADS threads (default 2) do nothing but the calls whose code that is, and look
 * at the clock after each. Three kinds of slices by turns, equally long: the main thread computes ("quiet"); it computes,
 * and changes the protection of a page of its own as often as a start and stop does ("mprotect"); it starts and stops the
 * library ("patching"). So as many threads want a processor in each.
 *
 * How to read it. A gap is the time from one look at the clock to the next: one call, and whatever kept the thread from
 * it. Those over 100 us are sorted by what the kernel says of the thread: "switched", another thread was given its
 * processor; "waited", it waited for something, here the lock of the address space, which every mmap or mprotect of another
 * thread holds, and holds for long when that thread loses its processor meanwhile; "neither", it ran, or the machine's host
 * ran something else, or there were interrupts. On a machine with fewer idle processors than threads, and on a virtual one,
 * there are gaps of milliseconds in all three columns. What any library does that maps memory is the difference between
 * the first two; what replacing code adds is the difference between the last two. With THREADS 1 and two idle processors
 * there is no scheduling in it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "opal/opalmem.h"

#define PAGE ((size_t) 4096)
#define SLICE_ROUNDS 25
#define MAX_THREADS 16
#define LONG_NS 100000

/* ---- Gaps -------------------------------------------------------------------------------------- */

#define STEPS 16 /* In each factor of two. */
#define BUCKETS (40 * STEPS)

enum why { SWITCHED, WAITED, NEITHER, REASONS };

/* One thread's, or the sum of all; written by its thread. */
typedef struct gaps_t {
    uint64_t calls, bucket[BUCKETS], longer[REASONS];
    uint64_t longest[REASONS];
} gaps_t;

static unsigned bucket_of(uint64_t ns)
{
    unsigned log = 63 - (unsigned) __builtin_clzll(ns | STEPS);
    unsigned index = (log - 4) * STEPS + (unsigned) (((ns | STEPS) >> (log - 4)) - STEPS);
    return index < BUCKETS ? index : BUCKETS - 1;
}

static uint64_t start_of(unsigned bucket)
{
    return (uint64_t) (STEPS + bucket % STEPS) << (bucket / STEPS);
}

static void add(gaps_t *sum, const gaps_t *more)
{
    sum->calls += more->calls;
    for (int i = 0; i < BUCKETS; i++) {
        sum->bucket[i] += more->bucket[i];
    }
    for (int i = 0; i < REASONS; i++) {
        sum->longer[i] += more->longer[i];
        sum->longest[i] = more->longest[i] > sum->longest[i] ? more->longest[i] : sum->longest[i];
    }
}

static double percentile_us(const gaps_t *gaps, double part)
{
    uint64_t seen = 0;
    unsigned bucket = 0;
    while (bucket < BUCKETS - 1 && (double) (seen += gaps->bucket[bucket]) < part * (double) gaps->calls) {
        bucket++;
    }
    return (double) start_of(bucket) / 1e3;
}

/* ---- Threads that call ------------------------------------------------------------------------- */

enum mode { QUIET, PROTECTING, PATCHING, MODES, STOP };
static _Atomic int mode;

typedef struct hammer_t {
    pthread_t thread;
    gaps_t gaps[MODES];
} hammer_t;

static hammer_t hammers[MAX_THREADS];

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static void one_call(unsigned turn, char *place)
{
    switch (turn % 4) {
    case 0: munmap(place + 1, PAGE); break; /* Refused. */
    case 1: madvise(place, PAGE, MADV_DONTNEED); break;
    case 2: mmap(place + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); break;
    default: mremap(place, PAGE, PAGE, 0); break;
    }
}

static void note(gaps_t *gaps, uint64_t gap, const struct rusage *before, const struct rusage *after)
{
    gaps->calls++;
    gaps->bucket[bucket_of(gap)]++;
    if (gap >= LONG_NS) {
        enum why why = after->ru_nvcsw != before->ru_nvcsw     ? WAITED
                       : after->ru_nivcsw != before->ru_nivcsw ? SWITCHED
                                                               : NEITHER;
        gaps->longer[why]++;
        gaps->longest[why] = gap > gaps->longest[why] ? gap : gaps->longest[why];
    }
}

static void *hammer(void *arg)
{
    hammer_t *self = arg;
    char *place = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    uint64_t last = now_ns();
    int now_mode, last_mode = QUIET;
    for (unsigned turn = 0; (now_mode = atomic_load(&mode)) != STOP; turn++) {
        one_call(turn, place);
        getrusage(RUSAGE_THREAD, &after);
        uint64_t now = now_ns();
        if (now_mode == last_mode) {
            note(&self->gaps[now_mode], now - last, &before, &after);
        }
        last_mode = now_mode;
        last = now;
        before = after;
    }
    return place == MAP_FAILED ? arg : NULL;
}

/* ---- Slices ------------------------------------------------------------------------------------ */

static void start_and_stop(void)
{
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS || opal_mem_hooks_support_level() == 0
        || opalmem_finalize() != OPAL_SUCCESS) {
        fprintf(stderr, "bench_stall: the library cannot start here, or notices nothing\n");
        exit(1);
    }
}

static uint64_t patch(int rounds)
{
    uint64_t start = now_ns();
    atomic_store(&mode, PATCHING);
    for (int i = 0; i < rounds; i++) {
        start_and_stop();
    }
    return now_ns() - start;
}

static void compute(uint64_t ns)
{
    for (uint64_t start = now_ns(); now_ns() - start < ns;) {
    }
}

static void stay_quiet(uint64_t ns)
{
    atomic_store(&mode, QUIET);
    compute(ns);
}

/* Calls of mmap, munmap, mremap and mprotect in a start and stop, by strace: about 30. */
static void protect(uint64_t ns, int rounds)
{
    static volatile char *page;
    if (page == NULL) {
        page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    atomic_store(&mode, PROTECTING);
    for (uint64_t start = now_ns(); now_ns() - start < ns; compute(ns / (uint64_t) rounds / 2)) {
        for (int i = 0; i < 30; i++) {
            mprotect((void *) page, PAGE, i % 2 == 0 ? PROT_READ : PROT_READ | PROT_WRITE);
            if (i % 2 != 0) {
                *page = 1; /* Else no processor would have anything to forget: none would be interrupted. */
            }
        }
    }
}

/* ---- Report ------------------------------------------------------------------------------------ */

static void print(const gaps_t sum[MODES])
{
    static const double parts[] = { 0.5, 0.99, 0.999, 0.9999, 0.99999 };
    static const char *const reasons[REASONS] = { "switched", "waited", "neither" };
    printf("%-28s %12s %12s %12s\n", "", "quiet", "mprotect", "patching");
    printf("%-28s", "calls");
    for (int k = 0; k < MODES; k++) {
        printf(" %12lu", sum[k].calls);
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        printf("\n%8g %% of gaps below, us %2s", parts[i] * 100, "");
        for (int k = 0; k < MODES; k++) {
            printf(" %12.1f", percentile_us(&sum[k], parts[i]));
        }
    }
    for (int i = 0; i < REASONS; i++) {
        printf("\nover 100 us, %-15s", reasons[i]);
        for (int k = 0; k < MODES; k++) {
            printf(" %12lu", sum[k].longer[i]);
        }
        printf("\n%12s longest, us %3s", "", "");
        for (int k = 0; k < MODES; k++) {
            printf(" %12.1f", (double) sum[k].longest[i] / 1e3);
        }
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    static gaps_t sum[MODES];
    int rounds = argc > 1 ? atoi(argv[1]) : 1000;
    int threads = argc > 2 ? atoi(argv[2]) : 2;
    if (rounds < 1 || threads < 1 || threads > MAX_THREADS) {
        fprintf(stderr, "usage: bench_stall [ROUNDS [THREADS]], at most %d threads\n", MAX_THREADS);
        return 1;
    }
    start_and_stop();
    for (int i = 0; i < threads; i++) {
        pthread_create(&hammers[i].thread, NULL, hammer, &hammers[i]);
    }
    uint64_t patching_ns = 0;
    for (int done = 0; done < rounds; done += SLICE_ROUNDS) {
        int slice = rounds - done < SLICE_ROUNDS ? rounds - done : SLICE_ROUNDS;
        uint64_t ns = patch(slice);
        stay_quiet(ns);
        protect(ns, slice);
        patching_ns += ns;
    }
    atomic_store(&mode, STOP);
    for (int i = 0; i < threads; i++) {
        pthread_join(hammers[i].thread, NULL);
        for (int k = 0; k < MODES; k++) {
            add(&sum[k], &hammers[i].gaps[k]);
        }
    }
    printf("%d starts and stops of the library (%.2f ms each), %d threads that call\n", rounds,
           (double) patching_ns / 1e6 / rounds, threads);
    print(sum);
    return 0;
}
