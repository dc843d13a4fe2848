/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tester knows of pages: when they were released, and which frames
 * they have. The history is a table by page number; pages that share an entry
 * may push each other out, which hides a fault and never invents one. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/stress/stress.h"

size_t stress_page;

/* ---- History ------------------------------------------------------------------------------------ */

#define ENTRIES ((size_t) 1 << 18) /* 1 GiB of pages side by side. */

struct release {
    uintptr_t page;
    uint64_t begun, ended;
};

static struct entry {
    atomic_flag busy; /* Held for a few instructions, by the tester alone. */
    uint32_t going_on;
    uint64_t last_begun, last_silent;
    struct release last, before;
} history[ENTRIES];

/* From 2 on, so that 0 and 1 are before everything. */
static _Atomic uint64_t clock_now = 2;

uint64_t stress_now(void)
{
    return atomic_load_explicit(&clock_now, memory_order_acquire);
}

static struct entry *lock_entry(uintptr_t page)
{
    struct entry *entry = &history[page / stress_page % ENTRIES];
    while (atomic_flag_test_and_set_explicit(&entry->busy, memory_order_acquire)) {
    }
    return entry;
}

static void unlock_entry(struct entry *entry)
{
    atomic_flag_clear_explicit(&entry->busy, memory_order_release);
}

static uintptr_t end_of(uintptr_t start, size_t length)
{
    return (start + length + stress_page - 1) & ~(stress_page - 1);
}

uint64_t stress_release_begin(uintptr_t start, size_t length)
{
    uintptr_t end = end_of(start, length);
    uint64_t begun = atomic_fetch_add(&clock_now, 1);
    for (uintptr_t page = start & ~(stress_page - 1); page < end; page += stress_page) {
        struct entry *entry = lock_entry(page);
        entry->going_on++;
        entry->last_begun = begun > entry->last_begun ? begun : entry->last_begun;
        unlock_entry(entry);
    }
    return begun;
}

void stress_release_end(uint64_t begun, uintptr_t start, size_t length, bool gone)
{
    uintptr_t end = end_of(start, length);
    uint64_t ended = atomic_fetch_add(&clock_now, 1);
    for (uintptr_t page = start & ~(stress_page - 1); page < end; page += stress_page) {
        struct entry *entry = lock_entry(page);
        entry->going_on--;
        /* Also for those who ask from now on: whoever asked before the end must not find the page quiet. */
        entry->last_begun = ended > entry->last_begun ? ended : entry->last_begun;
        if (gone) {
            entry->before = entry->last;
            entry->last = (struct release){ page, begun, ended };
        }
        unlock_entry(entry);
    }
}

static bool is_between(const struct release *release, uintptr_t page, uint64_t since, uint64_t before)
{
    return release->page == page && release->begun >= since && release->ended < before;
}

bool stress_was_released(uintptr_t page, uint64_t since, uint64_t before)
{
    struct entry *entry = lock_entry(page);
    bool released =
        is_between(&entry->last, page, since, before) || is_between(&entry->before, page, since, before);
    unlock_entry(entry);
    return released;
}

void stress_last_release(uintptr_t page, uint64_t *begun, uint64_t *ended)
{
    struct entry *entry = lock_entry(page);
    *begun = entry->last.page == page ? entry->last.begun : 0;
    *ended = entry->last.page == page ? entry->last.ended : 0;
    unlock_entry(entry);
}

void stress_release_silent(uint64_t begun, uintptr_t start, size_t length)
{
    uintptr_t end = end_of(start, length);
    for (uintptr_t page = start & ~(stress_page - 1); page < end; page += stress_page) {
        struct entry *entry = lock_entry(page);
        entry->last_silent = begun > entry->last_silent ? begun : entry->last_silent;
        unlock_entry(entry);
    }
}

bool stress_was_silent(uintptr_t page, uint64_t since)
{
    struct entry *entry = lock_entry(page);
    bool silent = entry->last_silent >= since;
    unlock_entry(entry);
    return silent;
}

bool stress_is_quiet(uintptr_t page, uint64_t since)
{
    if (stress_in_child) {
        return true; /* One thread, and an entry may have been busy at the fork. */
    }
    struct entry *entry = lock_entry(page);
    bool quiet = entry->going_on == 0 && entry->last_begun < since;
    unlock_entry(entry);
    return quiet;
}

bool stress_sees(uint64_t bits)
{
    return stress_options.expect_errors || opal_memory_base_sees_all(bits);
}

/* ---- Frames ------------------------------------------------------------------------------------- */

/* Documentation/admin-guide/mm/pagemap.rst */
#define PRESENT (UINT64_C(1) << 63)
#define FRAME ((UINT64_C(1) << 55) - 1)
#define AT_ONCE 64

static int pagemap = -1;
static bool known;

bool stress_frames(uintptr_t start, size_t pages, uint32_t frames[])
{
    bool good = true;
    uint64_t entries[AT_ONCE];
    for (size_t done = 0; done < pages; done += AT_ONCE) {
        size_t count = pages - done < AT_ONCE ? pages - done : AT_ONCE;
        off_t offset = (off_t) ((start / stress_page + done) * sizeof(entries[0]));
        if (pread(pagemap, entries, count * sizeof(entries[0]), offset)
            != (ssize_t) (count * sizeof(entries[0]))) {
            memset(entries, 0, sizeof(entries));
            good = false;
        }
        for (size_t i = 0; i < count; i++) {
            frames[done + i] = (entries[i] & PRESENT) != 0 ? (uint32_t) (entries[i] & FRAME) : 0;
        }
    }
    return good;
}

bool stress_frames_open(void)
{
    volatile char here = 1;
    uint32_t frame = 0;
    if (pagemap >= 0) {
        close(pagemap);
    }
    pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    stress_frames((uintptr_t) &here, 1, &frame);
    known = frame != 0;
    return known;
}

bool stress_frames_known(void)
{
    return known;
}

/* ---- Upheavals ---------------------------------------------------------------------------------- */

static _Atomic uint64_t forks, forking, moves;

static uint64_t count_moves(void)
{
    static const char *const names[] = { "\npgmigrate_success ", "\npswpin ", "\nthp_collapse_alloc " };
    char text[16384];
    uint64_t count = 0;
    int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0) {
        close(fd);
    }
    text[got < 0 ? 0 : got] = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *found = strstr(text, names[i]);
        count += found == NULL ? 0 : strtoull(found + strlen(names[i]), NULL, 10);
    }
    return count;
}

uint64_t stress_upheavals(bool exactly)
{
    if (exactly) {
        atomic_store(&moves, count_moves());
    }
    uint64_t sum = atomic_load(&moves) + atomic_load(&forks);
    return atomic_load(&forking) == 0 ? sum : sum + atomic_fetch_add(&forks, 1);
}

void stress_fork_begins(void)
{
    atomic_fetch_add(&forking, 1);
    atomic_fetch_add(&forks, 1);
}

void stress_fork_ends(void)
{
    atomic_fetch_add(&forks, 1);
    atomic_fetch_sub(&forking, 1);
}
