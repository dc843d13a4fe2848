/* SPDX-License-Identifier: BSD-3-Clause */
/* A clock for the histogram of how long regions wait for their end: 32 bits, each read costs a third of clock_gettime()'s.
 * Hook context. */
#ifndef RCACHE_GRDMA_GRDMA_CLOCK_H
#define RCACHE_GRDMA_GRDMA_CLOCK_H

#include <stdint.h>

/** Before it is read. The first call of a process measures the processor's counter against the monotonic clock from then
 * on. Thread-safe. */
void grdma_clock_start(void);

/** Now, in ticks: 0.3 to 1 us, never 0. Wraps after 15 minutes at least. */
uint32_t grdma_clock_ticks(void);

/** Nanoseconds in so many ticks. */
uint64_t grdma_clock_ns(uint32_t ticks);

#endif
