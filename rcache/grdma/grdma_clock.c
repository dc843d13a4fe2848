/* SPDX-License-Identifier: BSD-3-Clause */
/* The clock of grdma_clock.h: the processor's counter of cycles where that runs at one rate, else the monotonic clock.
 * Its rate is known when the process has run for a millisecond; until then each conversion measures anew. */
#include "rcache/grdma/grdma_clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>

/* Of the counter. At up to 4.7 GHz 32 bits last for 15 minutes. */
#define TICK_SHIFT 10
#define CALIBRATION_NS 1000000
/* Between two readings with nothing between them: more, and something has interrupted. */
#define MAX_READ_CYCLES 4000
#define RATE_SHIFT 20

static _Atomic bool has_counter;                /* Set after `start` has been filled in. */
static _Atomic uint64_t rate;                   /* ns << RATE_SHIFT a cycle; 0: not known yet. */
static _Atomic uint64_t start_cycles, start_ns; /* One moment. */

typedef struct moment_t {
    uint64_t cycles, ns;
} moment_t;

static bool is_steady(void)
{
    unsigned a, b, c, d = 0;

    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & 1u << 8) != 0;
}

/* @return false: it was interrupted. */
static bool read_both(moment_t *moment)
{
    const uint64_t before = __rdtsc();

    moment->ns = monotonic_ns();
    moment->cycles = __rdtsc();
    return moment->cycles - before < MAX_READ_CYCLES;
}

void grdma_clock_start(void)
{
    moment_t moment;

    if (atomic_load(&has_counter) || !is_steady()) {
        return;
    }
    for (int i = 0; i < 16; i++) {
        if (read_both(&moment)) {
            atomic_store(&start_cycles, moment.cycles);
            atomic_store(&start_ns, moment.ns);
            atomic_store(&has_counter, true);
            return;
        }
    }
}

static uint64_t measure_rate(void)
{
    moment_t now;
    const bool is_good = read_both(&now);
    const uint64_t cycles = now.cycles - atomic_load(&start_cycles), ns = now.ns - atomic_load(&start_ns);
    const uint64_t measured = cycles >= 1u << TICK_SHIFT ? (ns << RATE_SHIFT) / cycles : 1u << (RATE_SHIFT - 1);

    if (is_good && ns >= CALIBRATION_NS) {
        atomic_store_explicit(&rate, measured, memory_order_relaxed);
    }
    return measured;
}

uint32_t grdma_clock_ticks(void)
{
    return (uint32_t) (atomic_load_explicit(&has_counter, memory_order_relaxed) ? __rdtsc() >> TICK_SHIFT
                                                                                : monotonic_ns() / 1000)
           | 1;
}

uint64_t grdma_clock_ns(uint32_t ticks)
{
    if (!atomic_load_explicit(&has_counter, memory_order_relaxed)) {
        return (uint64_t) ticks * 1000;
    }
    const uint64_t known = atomic_load_explicit(&rate, memory_order_relaxed);
    return ((uint64_t) ticks << TICK_SHIFT) * (known != 0 ? known : measure_rate()) >> RATE_SHIFT;
}

#else

void grdma_clock_start(void)
{
}

uint32_t grdma_clock_ticks(void)
{
    return (uint32_t) (monotonic_ns() / 1000) | 1;
}

uint64_t grdma_clock_ns(uint32_t ticks)
{
    return (uint64_t) ticks * 1000;
}

#endif
