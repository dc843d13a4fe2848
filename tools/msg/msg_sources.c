/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of buffer sources and all of them but "stack". A source gives out
 * a buffer and takes it back; whether a buffer serves another message first is
 * decided here, once for all of them. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/msg/msg_random.h"
#include "tools/msg/msg_sources.h"

enum { REUSE, FRESH, MALLOC, MMAP, REALLOC, MADVISE, BRK, STACK };

static size_t round_to_pages(size_t size)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);

    return (size + page - 1) / page * page;
}

static bool map_region(size_t size, int sharing, msg_region_t *region)
{
    void *addr = mmap(NULL, size, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);

    if (addr == MAP_FAILED) {
        return false;
    }
    *region = (msg_region_t){ addr, size };
    return true;
}

static bool unmap_region(msg_region_t *region)
{
    msg_region_t old = *region;

    *region = (msg_region_t){ NULL, 0 };
    return old.addr == NULL || munmap(old.addr, old.size) == 0;
}

static void fill_buffer(msg_buffer_t *buffer, const msg_region_t *region)
{
    buffer->addr = region->addr;
    buffer->capacity = region->size;
}

/* ---- reuse: nine in ten messages use a buffer of a small pool again -------------------------- */

static unsigned reuse_class(size_t size)
{
    unsigned bits = 12;

    while (((size_t) 1 << bits) < size) {
        bits++;
    }
    return bits - 12;
}

static bool reuse_acquire(msg_sources_t *sources, size_t length, msg_buffer_t *buffer)
{
    unsigned class = reuse_class(length);
    size_t size = (size_t) 4096 << class;
    /* Two buffers of the largest sizes would only cost memory. */
    unsigned count = size > ((size_t) 8 << 20) ? 1 : MSG_REUSE_BUFFERS;
    msg_region_t *region = &sources->pool[class][msg_random_below(&sources->random, count)];

    if (size > round_to_pages(sources->largest)) {
        size = round_to_pages(sources->largest);
    }
    if (region->addr == NULL || msg_random_below(&sources->random, 10) == 0) {
        if (!unmap_region(region) || !map_region(round_to_pages(size), MAP_PRIVATE, region)) {
            return false;
        }
    }
    fill_buffer(buffer, region);
    return true;
}

static bool reuse_release(msg_sources_t *sources, msg_buffer_t *buffer)
{
    (void) sources;
    (void) buffer;
    return true;
}

/* ---- fresh: every message has a mapping of its own ------------------------------------------- */

static bool fresh_acquire(msg_sources_t *sources, size_t capacity, msg_buffer_t *buffer)
{
    msg_region_t region;

    (void) sources;
    if (!map_region(round_to_pages(capacity), MAP_PRIVATE, &region)) {
        return false;
    }
    fill_buffer(buffer, &region);
    return true;
}

static bool fresh_release(msg_sources_t *sources, msg_buffer_t *buffer)
{
    (void) sources;
    return munmap(buffer->addr, buffer->capacity) == 0;
}

/* ---- malloc ---------------------------------------------------------------------------------- */

static bool malloc_acquire(msg_sources_t *sources, size_t capacity, msg_buffer_t *buffer)
{
    (void) sources;
    buffer->addr = malloc(capacity);
    buffer->capacity = capacity;
    return buffer->addr != NULL;
}

static bool malloc_release(msg_sources_t *sources, msg_buffer_t *buffer)
{
    free(buffer->addr);
    /* Blocks below the mmap threshold go back to the system when the heap is trimmed. */
    if (msg_random_below(&sources->random, 16) == 0) {
        malloc_trim(0);
    }
    return true;
}

/* ---- mmap: unmapped and mapped again, or mapped over ----------------------------------------- */

static bool mmap_acquire(msg_sources_t *sources, size_t capacity, msg_buffer_t *buffer)
{
    msg_region_t old = sources->window;
    void *addr;

    if (old.addr == NULL || old.size < capacity) {
        return unmap_region(&sources->window) && fresh_acquire(sources, capacity, buffer);
    }
    sources->window.addr = NULL;
    addr = mmap(old.addr, old.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    fill_buffer(buffer, &old);
    return addr == old.addr;
}

static bool mmap_release(msg_sources_t *sources, msg_buffer_t *buffer)
{
    if (msg_random_below(&sources->random, 2) == 0) {
        return fresh_release(sources, buffer);
    }
    sources->window = (msg_region_t){ buffer->addr, buffer->capacity };
    return true;
}

/* ---- realloc: grows, shrinks and moves ------------------------------------------------------- */

static bool move_region(msg_sources_t *sources, size_t size)
{
    msg_region_t *region = &sources->moving;
    void *addr;

    if (sources->allow_realloc) {
        addr = realloc(region->addr, size);
    } else if (region->addr == NULL) {
        return map_region(round_to_pages(size), MAP_PRIVATE, region);
    } else {
        size = round_to_pages(size);
        addr = mremap(region->addr, region->size, size, MREMAP_MAYMOVE);
        addr = addr == MAP_FAILED ? NULL : addr;
    }
    if (addr == NULL) {
        return false;
    }
    *region = (msg_region_t){ addr, size };
    return true;
}

static bool free_region(msg_sources_t *sources)
{
    if (!sources->allow_realloc) {
        return unmap_region(&sources->moving);
    }
    free(sources->moving.addr);
    sources->moving = (msg_region_t){ NULL, 0 };
    return true;
}

static bool realloc_acquire(msg_sources_t *sources, size_t capacity, msg_buffer_t *buffer)
{
    if (!move_region(sources, capacity)) {
        return false;
    }
    fill_buffer(buffer, &sources->moving);
    return true;
}

static bool realloc_release(msg_sources_t *sources, msg_buffer_t *buffer)
{
    uint64_t choice = msg_random_below(&sources->random, 8);

    if (choice == 0) {
        return free_region(sources);
    }
    return choice > 4 || move_region(sources, buffer->capacity / 2 + 1);
}

/* ---- madvise: the mapping stays, its pages go ------------------------------------------------ */

static const struct {
    int sharing;
    int advice;
} advice_kinds[MSG_ADVICE_KINDS] = {
    { MAP_PRIVATE, MADV_DONTNEED },
    { MAP_PRIVATE, MADV_FREE },
    { MAP_SHARED, MADV_REMOVE },
};

static bool madvise_acquire(msg_sources_t *sources, size_t capacity, msg_buffer_t *buffer)
{
    size_t kind = (size_t) msg_random_below(&sources->random, MSG_ADVICE_KINDS);
    msg_region_t *region = &sources->advised[kind];

    if (region->size < capacity) {
        if (!unmap_region(region) || !map_region(round_to_pages(capacity), advice_kinds[kind].sharing, region)) {
            return false;
        }
    }
    fill_buffer(buffer, region);
    buffer->owner = region;
    return true;
}

static bool madvise_release(msg_sources_t *sources, msg_buffer_t *buffer)
{
    size_t kind = (size_t) ((msg_region_t *) buffer->owner - sources->advised);

    return madvise(buffer->addr, buffer->capacity, advice_kinds[kind].advice) == 0;
}

/* ---- brk: only this thread and its malloc move the break ------------------------------------- */

static msg_region_t *find_stuck(msg_sources_t *sources, size_t minimum)
{
    for (size_t i = 0; i < MSG_BRK_STUCK; i++) {
        msg_region_t *region = &sources->stuck[i];

        if (minimum == 0 ? region->addr == NULL : region->addr != NULL && region->size >= minimum) {
            return region;
        }
    }
    return NULL;
}

/* Ranges that nobody has memory above any more go back now. */
static bool brk_return_stuck(msg_sources_t *sources)
{
    for (size_t i = 0; i < MSG_BRK_STUCK; i++) {
        msg_region_t *region = &sources->stuck[i];

        if (region->addr != NULL && sbrk(0) == (void *) (region->addr + region->size)) {
            if (sbrk(-(intptr_t) region->size) == (void *) -1) {
                return false;
            }
            *region = (msg_region_t){ NULL, 0 };
        }
    }
    return true;
}

/* Move the break up so that capacity whole pages lie below it. */
static bool brk_extend(size_t capacity, msg_buffer_t *buffer)
{
    uintptr_t now = (uintptr_t) sbrk(0);
    size_t pad = round_to_pages(now) - now;
    uintptr_t got;

    capacity = round_to_pages(capacity);
    got = (uintptr_t) sbrk((intptr_t) (pad + capacity));
    if (got == (uintptr_t) -1) {
        return false;
    }
    /* Nothing can have come between: the break is moved by this thread alone. */
    buffer->addr = (unsigned char *) (got + pad);
    buffer->capacity = capacity;
    return true;
}

static bool brk_acquire(msg_sources_t *sources, size_t capacity, msg_buffer_t *buffer)
{
    msg_region_t *stuck = find_stuck(sources, capacity);

    if (stuck != NULL && msg_random_below(&sources->random, 4) == 0) {
        fill_buffer(buffer, stuck);
        buffer->owner = stuck;
        return true;
    }
    /* Another one might get stuck too, and there must be a place to remember it. */
    if (find_stuck(sources, 0) != NULL && brk_extend(capacity, buffer)) {
        return true;
    }
    buffer->kind = FRESH;
    return fresh_acquire(sources, capacity, buffer);
}

static bool brk_release(msg_sources_t *sources, msg_buffer_t *buffer)
{
    if (buffer->owner == NULL && sbrk(0) == (void *) (buffer->addr + buffer->capacity)) {
        return sbrk(-(intptr_t) buffer->capacity) != (void *) -1 && brk_return_stuck(sources);
    }
    if (buffer->owner == NULL) {
        *find_stuck(sources, 0) = (msg_region_t){ buffer->addr, buffer->capacity };
    }
    return madvise(buffer->addr, buffer->capacity, MADV_DONTNEED) == 0;
}

/* ---- the table ------------------------------------------------------------------------------- */

typedef struct msg_source_t {
    const char *name;
    const char *help;
    bool keeps;      /**< A buffer may serve several messages. */
    unsigned weight; /**< In mixed. "stack" starts a thread for each buffer. */
    bool (*acquire)(msg_sources_t *sources, size_t capacity, msg_buffer_t *buffer);
    bool (*release)(msg_sources_t *sources, msg_buffer_t *buffer);
} msg_source_t;

static const msg_source_t table[MSG_SOURCE_KINDS] = {
    [REUSE] = { "reuse", "nine in ten messages use a buffer again, one gets a fresh one", false, 6, reuse_acquire,
                reuse_release },
    [FRESH] = { "fresh", "mmap and munmap for each message", false, 3, fresh_acquire, fresh_release },
    [MALLOC] = { "malloc", "malloc and free", true, 4, malloc_acquire, malloc_release },
    [MMAP] = { "mmap", "munmap, or mapped over with MAP_FIXED", true, 4, mmap_acquire, mmap_release },
    [REALLOC] = { "realloc", "one buffer that grows, shrinks and moves", true, 3, realloc_acquire,
                  realloc_release },
    [MADVISE] = { "madvise", "pages dropped by MADV_DONTNEED, MADV_FREE, MADV_REMOVE", true, 4, madvise_acquire,
                  madvise_release },
    [BRK] = { "brk", "the program break up and down", true, 3, brk_acquire, brk_release },
    [STACK] = { "stack", "on the stacks of short-lived threads", true, 1, msg_source_stack_acquire,
                msg_source_stack_release },
};

unsigned msg_source_find(const char *name)
{
    unsigned pattern = 0;

    while (pattern <= MSG_SOURCE_MIXED && strcmp(name, msg_source_name(pattern)) != 0) {
        pattern++;
    }
    return pattern;
}

const char *msg_source_name(unsigned pattern)
{
    return pattern == MSG_SOURCE_MIXED ? "mixed" : table[pattern].name;
}

const char *msg_source_help(unsigned pattern)
{
    return pattern == MSG_SOURCE_MIXED ? "a random choice of all of these" : table[pattern].help;
}

void msg_sources_init(msg_sources_t *sources, unsigned pattern, size_t largest, uint64_t seed, bool allow_realloc)
{
    *sources =
        (msg_sources_t){ .pattern = pattern, .largest = largest, .allow_realloc = allow_realloc, .random = seed };
    for (unsigned kind = 0; kind < MSG_SOURCE_KINDS; kind++) {
        sources->weight_sum += table[kind].weight;
    }
    /* By itself glibc raises its mmap threshold up to 32 MiB at the first free, and then keeps what it has. */
    mallopt(M_MMAP_THRESHOLD, 64 << 10);
    mallopt(M_TRIM_THRESHOLD, 64 << 10);
    mallopt(M_TOP_PAD, 16 << 10);
}

static unsigned choose_kind(msg_sources_t *sources)
{
    uint64_t ticket;
    unsigned kind = 0;

    if (sources->pattern != MSG_SOURCE_MIXED) {
        return sources->pattern;
    }
    ticket = msg_random_below(&sources->random, sources->weight_sum);
    while (ticket >= table[kind].weight) {
        ticket -= table[kind++].weight;
    }
    return kind;
}

/* A buffer that may serve further messages is made a little larger than the first one needs. */
static size_t choose_capacity(msg_sources_t *sources, unsigned kind, size_t length)
{
    size_t capacity = length;

    if (table[kind].keeps) {
        capacity += (size_t) msg_random_below(&sources->random, length / 4 + 1);
    }
    return capacity < sources->largest ? capacity : sources->largest;
}

static bool release_kept(msg_sources_t *sources, unsigned kind)
{
    msg_buffer_t old = sources->kept[kind];

    sources->kept[kind].addr = NULL;
    return old.addr == NULL || table[old.kind].release(sources, &old);
}

bool msg_sources_acquire(msg_sources_t *sources, size_t length, msg_buffer_t *buffer)
{
    unsigned kind = choose_kind(sources);
    msg_buffer_t *kept = &sources->kept[kind];

    if (kept->addr != NULL && kept->capacity >= length) {
        *buffer = *kept;
        kept->addr = NULL;
        return true;
    }
    *buffer = (msg_buffer_t){ .kind = kind };
    return release_kept(sources, kind)
           && table[kind].acquire(sources, choose_capacity(sources, kind, length), buffer);
}

bool msg_sources_release(msg_sources_t *sources, msg_buffer_t *buffer)
{
    const msg_source_t *source = &table[buffer->kind];

    if (source->keeps && msg_random_below(&sources->random, 2) == 0) {
        sources->kept[buffer->kind] = *buffer;
        return true;
    }
    return source->release(sources, buffer);
}

bool msg_sources_close(msg_sources_t *sources)
{
    bool done = true;

    for (unsigned kind = 0; kind < MSG_SOURCE_KINDS; kind++) {
        done &= release_kept(sources, kind);
    }
    for (size_t i = 0; i < MSG_REUSE_CLASSES * MSG_REUSE_BUFFERS; i++) {
        done &= unmap_region(&sources->pool[i / MSG_REUSE_BUFFERS][i % MSG_REUSE_BUFFERS]);
    }
    for (size_t i = 0; i < MSG_ADVICE_KINDS; i++) {
        done &= unmap_region(&sources->advised[i]);
    }
    done &= unmap_region(&sources->window);
    return free_region(sources) && done;
}
