/* SPDX-License-Identifier: BSD-3-Clause */
/* The registrations that are watched: a hash table with linear probing, where
 * removing moves the followers up, so that there are no tombstones. */
#include "components/kdreg/kdreg_cookies.h"

#include <sys/mman.h>

#include "components/kdreg/kdreg_sys.h"

#define FIRST_CAPACITY 1024

static size_t size_of(const kdreg_cookies_t *cookies)
{
    return cookies->capacity * sizeof(*cookies->places);
}

/* Cookies follow each other: a multiplication spreads them. */
static size_t home_of(const kdreg_cookies_t *cookies, uint64_t cookie)
{
    return (size_t) ((cookie * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (cookies->capacity - 1);
}

static size_t after(const kdreg_cookies_t *cookies, size_t place)
{
    return (place + 1) & (cookies->capacity - 1);
}

kdreg_watched_t *kdreg_cookies_find(const kdreg_cookies_t *cookies, uint64_t cookie)
{
    if (cookies->capacity == 0) {
        return NULL;
    }
    for (size_t i = home_of(cookies, cookie); cookies->places[i].used; i = after(cookies, i)) {
        if (cookies->places[i].cookie == cookie) {
            return &cookies->places[i];
        }
    }
    return NULL;
}

void kdreg_cookies_add(kdreg_cookies_t *cookies, const kdreg_watched_t *watched)
{
    size_t place = home_of(cookies, watched->cookie);

    while (cookies->places[place].used) {
        place = after(cookies, place);
    }
    cookies->places[place] = *watched;
    cookies->places[place].used = 1;
    cookies->count++;
}

void kdreg_cookies_free(kdreg_cookies_t *cookies)
{
    if (cookies->capacity != 0) {
        kdreg_sys->unmap(cookies->places, size_of(cookies));
    }
    *cookies = (kdreg_cookies_t){ 0 };
}

bool kdreg_cookies_reserve(kdreg_cookies_t *cookies)
{
    kdreg_cookies_t larger = { .capacity = cookies->capacity == 0 ? FIRST_CAPACITY : 2 * cookies->capacity };

    if (2 * (cookies->count + 1) <= cookies->capacity) {
        return true;
    }
    larger.places = kdreg_sys->map(NULL, size_of(&larger), PROT_READ | PROT_WRITE, 0);
    if (larger.places == MAP_FAILED) {
        return false;
    }
    for (size_t i = 0; i < cookies->capacity; i++) {
        if (cookies->places[i].used) {
            kdreg_cookies_add(&larger, &cookies->places[i]);
        }
    }
    kdreg_cookies_free(cookies);
    *cookies = larger;
    return true;
}

/* May what is at `place` move to the hole before it? Not past its home. */
static bool may_move(const kdreg_cookies_t *cookies, size_t place, size_t hole)
{
    const size_t mask = cookies->capacity - 1, home = home_of(cookies, cookies->places[place].cookie);

    return ((place - home) & mask) >= ((place - hole) & mask);
}

void kdreg_cookies_remove(kdreg_cookies_t *cookies, kdreg_watched_t *watched)
{
    size_t hole = (size_t) (watched - cookies->places);

    for (size_t i = after(cookies, hole); cookies->places[i].used; i = after(cookies, i)) {
        if (may_move(cookies, i, hole)) {
            cookies->places[hole] = cookies->places[i];
            hole = i;
        }
    }
    cookies->places[hole] = (kdreg_watched_t){ 0 };
    cookies->count--;
}

bool kdreg_cookies_check(const kdreg_cookies_t *cookies)
{
    size_t count = 0;

    for (size_t i = 0; i < cookies->capacity; i++) {
        if (cookies->places[i].used) {
            count++;
            if (kdreg_cookies_find(cookies, cookies->places[i].cookie) != &cookies->places[i]) {
                return false;
            }
        }
    }
    return count == cookies->count && 2 * count <= cookies->capacity + 1;
}
