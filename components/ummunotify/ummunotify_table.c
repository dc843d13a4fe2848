/* SPDX-License-Identifier: BSD-3-Clause */
/* Which region has which cookie: a hash table with linear probing. It is
 * mapped, not allocated, and never under its lock: whoever watches mmap and
 * munmap may call the component from there. */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "components/ummunotify/ummunotify.h"
#include "opal/constants.h"

typedef struct entry_t {
    uint64_t cookie; /* 0: free. */
    ummunotify_range_t range;
} entry_t;

typedef struct table_t {
    size_t size; /* Of the mapping, in bytes. Constant, as mask. */
    size_t mask; /* Number of entries, a power of two, less 1. */
    size_t count;
    entry_t entry[];
} table_t;

#define FIRST_CAPACITY ((size_t) 1024)

/* Protects the table. Held across nothing but looking and changing, with all signals blocked. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static table_t *table; /* NULL: empty. */

/* Else a handler might fork, and its child, whose table is a new one, go on in the middle. */
static void take(sigset_t *before)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
    pthread_mutex_lock(&lock);
}

static void give(const sigset_t *before)
{
    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

static size_t home_of(const table_t *in, uint64_t cookie)
{
    return (size_t) ((cookie * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & in->mask;
}

/* Where the cookie is, or would be. At most half of the entries are taken. */
static entry_t *place_of(table_t *in, uint64_t cookie)
{
    size_t i = home_of(in, cookie);

    while (in->entry[i].cookie != 0 && in->entry[i].cookie != cookie) {
        i = (i + 1) & in->mask;
    }
    return &in->entry[i];
}

static bool has_room_locked(void)
{
    return table != NULL && (table->count + 1) * 2 <= table->mask + 1;
}

static void put_locked(uint64_t cookie, ummunotify_range_t range)
{
    *place_of(table, cookie) = (entry_t){ cookie, range };
    table->count++;
}

/* ---- Room ---------------------------------------------------------------------------------------- */

static table_t *map_table(size_t capacity)
{
    const size_t size = sizeof(table_t) + capacity * sizeof(entry_t);
    table_t *made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (made == MAP_FAILED) {
        return NULL;
    }
    made->size = size;
    made->mask = capacity - 1;
    return made;
}

void ummunotify_table_free(void *unused)
{
    if (unused != NULL) {
        munmap(unused, ((table_t *) unused)->size);
    }
}

/* @return The one that is not needed any more. */
static table_t *replace_locked(table_t *made)
{
    table_t *old = table;

    if (old == NULL) {
        table = made;
        return NULL;
    }
    if (old->mask >= made->mask) {
        return made; /* Another thread was faster. */
    }
    table = made;
    for (size_t i = 0; i <= old->mask; i++) {
        if (old->entry[i].cookie != 0) {
            put_locked(old->entry[i].cookie, old->entry[i].range);
        }
    }
    return old;
}

static bool grow(size_t capacity)
{
    table_t *made = map_table(capacity);
    sigset_t before;

    if (made == NULL) {
        return false;
    }
    take(&before);
    table_t *unused = replace_locked(made);
    give(&before);
    ummunotify_table_free(unused);
    return true;
}

/* ---- Entries -------------------------------------------------------------------------------------- */

static bool is_there_locked(uint64_t cookie)
{
    return table != NULL && place_of(table, cookie)->cookie != 0;
}

int ummunotify_table_insert(uint64_t cookie, ummunotify_range_t range)
{
    sigset_t before;

    for (;;) {
        take(&before);
        const bool is_there = is_there_locked(cookie), has_room = has_room_locked();
        const size_t wanted = table == NULL ? FIRST_CAPACITY : (table->mask + 1) * 2;
        if (!is_there && has_room) {
            put_locked(cookie, range);
        }
        give(&before);
        if (is_there || has_room) {
            return is_there ? OPAL_EXISTS : OPAL_SUCCESS;
        }
        if (!grow(wanted)) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
    }
}

/* What follows without a gap moves up, where a search for it would end at the gap. */
static void close_gap_locked(entry_t *gap)
{
    size_t hole = (size_t) (gap - table->entry);

    for (size_t i = (hole + 1) & table->mask; table->entry[i].cookie != 0; i = (i + 1) & table->mask) {
        const size_t home = home_of(table, table->entry[i].cookie);
        if (((i - home) & table->mask) >= ((i - hole) & table->mask)) {
            table->entry[hole] = table->entry[i];
            hole = i;
        }
    }
    table->entry[hole].cookie = 0;
    table->count--;
}

bool ummunotify_table_remove(uint64_t cookie)
{
    sigset_t before;

    take(&before);
    const bool is_there = is_there_locked(cookie);
    if (is_there) {
        close_gap_locked(place_of(table, cookie));
    }
    give(&before);
    return is_there;
}

bool ummunotify_table_find(uint64_t cookie, ummunotify_range_t *range)
{
    sigset_t before;

    take(&before);
    const bool is_there = is_there_locked(cookie);
    if (is_there) {
        *range = place_of(table, cookie)->range;
    }
    give(&before);
    return is_there;
}

size_t ummunotify_table_count(void)
{
    sigset_t before;

    take(&before);
    const size_t count = table == NULL ? 0 : table->count;
    give(&before);
    return count;
}

/* ---- All of it ------------------------------------------------------------------------------------ */

void ummunotify_table_clear(void)
{
    sigset_t before;

    take(&before);
    table_t *old = table;
    table = NULL;
    give(&before);
    ummunotify_table_free(old);
}

/* The pointer is always that of a whole table. */
void *ummunotify_table_abandon(void)
{
    table_t *old = table;

    pthread_mutex_init(&lock, NULL);
    table = NULL;
    return old;
}
