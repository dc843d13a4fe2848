/* SPDX-License-Identifier: BSD-3-Clause */
/* A small random-number generator whose sequence is the same everywhere, so
 * that a seed repeats a run: a Weyl sequence with an output mix (Steele, Lea and
 * Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). */
#ifndef TOOLS_MSG_MSG_RANDOM_H
#define TOOLS_MSG_MSG_RANDOM_H

#include <stdint.h>

#define MSG_RANDOM_STEP 0x9E3779B97F4A7C15u

static inline uint64_t msg_random_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

/** The next of 2^64 values. */
static inline uint64_t msg_random(uint64_t *state)
{
    *state += MSG_RANDOM_STEP;
    return msg_random_mix(*state);
}

/** One of 0 .. limit - 1; limit is far below 2^64, so the bias does not matter. */
static inline uint64_t msg_random_below(uint64_t *state, uint64_t limit)
{
    return msg_random(state) % limit;
}

#endif
