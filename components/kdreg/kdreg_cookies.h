/* SPDX-License-Identifier: BSD-3-Clause */
/* The registrations that are watched, by cookie. The driver forgets a region
 * with its event, accepts a cookie twice, and takes an unknown one for no
 * mistake: who is watched is therefore known here. Not thread-safe. */
#ifndef COMPONENTS_KDREG_KDREG_COOKIES_H
#define COMPONENTS_KDREG_KDREG_COOKIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One registration between watch and unwatch. */
typedef struct kdreg_watched_t {
    uint64_t cookie;
    uint64_t location;
    uint32_t generation;
    uint8_t used;      /**< The place in the table is taken. */
    uint8_t is_active; /**< For all that we know, the driver has the region; cleared by its event. */
} kdreg_watched_t;

/** Open addressing, at most half full: places[hash ..] up to the first free place. */
typedef struct kdreg_cookies_t {
    kdreg_watched_t *places;
    size_t capacity; /**< A power of 2; 0: no memory yet. */
    size_t count;
} kdreg_cookies_t;

/** @return The entry; NULL: not watched. Valid until the next add or remove. */
kdreg_watched_t *kdreg_cookies_find(const kdreg_cookies_t *cookies, uint64_t cookie);

/** Make sure that one more can be added without memory. @return false: there is none. */
bool kdreg_cookies_reserve(kdreg_cookies_t *cookies);

/** Add one that is not there yet; kdreg_cookies_reserve() has succeeded. */
void kdreg_cookies_add(kdreg_cookies_t *cookies, const kdreg_watched_t *watched);

/** Remove what find has returned. */
void kdreg_cookies_remove(kdreg_cookies_t *cookies, kdreg_watched_t *watched);

/** Give all memory back. */
void kdreg_cookies_free(kdreg_cookies_t *cookies);

/** Do all invariants hold? For tests. */
bool kdreg_cookies_check(const kdreg_cookies_t *cookies);

#endif
