/* SPDX-License-Identifier: BSD-3-Clause */
/* Sizes and contents of generated messages. The contents are made and compared
 * with ordinary loads and stores: only these see the application's pages, and
 * thereby show a device that used others. */
#include <stdint.h>
#include <string.h>

#include "tools/msg/msg_payload.h"
#include "tools/msg/msg_random.h"

#define WORD sizeof(uint64_t)
#define BLOCK_WORDS 32

uint64_t msg_payload_key(uint64_t seed, uint32_t sender, uint64_t message)
{
    uint64_t stream = msg_random_mix(seed + MSG_RANDOM_STEP) + sender;

    return msg_random_mix(msg_random_mix(stream) + message * MSG_RANDOM_STEP);
}

/* A logarithm with 32 binary places, linear within an octave, and its inverse:
 * exact at each integer and monotone, which is all that drawing sizes needs. */
static uint64_t coarse_log(uint64_t value)
{
    unsigned octave = 63u - (unsigned) __builtin_clzll(value);

    return ((uint64_t) octave << 32) | ((value - ((uint64_t) 1 << octave)) << (32u - octave));
}

static uint64_t coarse_exp(uint64_t logarithm)
{
    unsigned octave = (unsigned) (logarithm >> 32);

    return ((uint64_t) 1 << octave) + (((logarithm & UINT32_MAX) << octave) >> 32);
}

size_t msg_payload_size(const msg_options_t *options, uint32_t sender, uint64_t message)
{
    uint64_t low, high;
    uint64_t state;

    if (options->size_min == options->size_max) {
        return options->size_min;
    }
    low = coarse_log(options->size_min);
    high = coarse_log(options->size_max + 1) - 1; /* The inverse rounds down: all that becomes size_max. */
    state = ~msg_payload_key(options->seed, sender, message);
    return (size_t) coarse_exp(low + msg_random_below(&state, high - low + 1));
}

/* One multiplication a word: generating must not outweigh the transfer. The shift carries the well-mixed
 * upper bits into the lower bytes, which the multiplication alone leaves regular. */
static inline uint64_t payload_word(uint64_t key, size_t index)
{
    uint64_t word = (key + index) * MSG_RANDOM_STEP;

    return word ^ (word >> 29);
}

static uint64_t fill_word(uint64_t key, unsigned char *buffer, size_t index, size_t length)
{
    uint64_t word = payload_word(key, index);

    memcpy(buffer + index * WORD, &word, length);
    return word;
}

void msg_payload_fill(uint64_t key, unsigned char *buffer, size_t length)
{
    size_t words = length / WORD;

    for (size_t i = 0; i < words; i++) {
        fill_word(key, buffer, i, WORD);
    }
    fill_word(key, buffer, words, length % WORD);
}

uint64_t msg_payload_differing(const unsigned char *a, const unsigned char *b, size_t length)
{
    uint64_t count = 0;

    if (memcmp(a, b, length) == 0) {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        count += a[i] != b[i];
    }
    return count;
}

static bool block_is_right(uint64_t key, const unsigned char *buffer, size_t first)
{
    uint64_t difference = 0;

    for (size_t i = first; i < first + BLOCK_WORDS; i++) {
        uint64_t word;

        memcpy(&word, buffer + i * WORD, WORD);
        difference |= word ^ payload_word(key, i);
    }
    return difference == 0;
}

/* Words [first, first + BLOCK_WORDS), as far as they lie below length, byte by byte. */
static uint64_t block_wrong(uint64_t key, const unsigned char *buffer, size_t first, size_t length)
{
    uint64_t wrong = 0;

    for (size_t i = first; i < first + BLOCK_WORDS && i * WORD < length; i++) {
        uint64_t word = payload_word(key, i);
        size_t rest = length - i * WORD;

        wrong +=
            msg_payload_differing(buffer + i * WORD, (const unsigned char *) &word, rest < WORD ? rest : WORD);
    }
    return wrong;
}

uint64_t msg_payload_wrong(uint64_t key, const unsigned char *buffer, size_t length)
{
    uint64_t wrong = 0;

    for (size_t first = 0; first * WORD < length; first += BLOCK_WORDS) {
        bool whole = length - first * WORD >= BLOCK_WORDS * WORD;

        if (!whole || !block_is_right(key, buffer, first)) {
            wrong += block_wrong(key, buffer, first, length);
        }
    }
    return wrong;
}
