/* SPDX-License-Identifier: BSD-3-Clause */
/* Page frames of registered memory: what /proc/self/pagemap shows to root. Recorded when the pages have just been
 * pinned, compared at each hit: a frame that is another one means that the device would use pages which the program
 * does not have any more. Only raw system calls: a record is freed in hook context. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "tools/run/preload/preload.h"
#include "tools/run/preload/preload_raw.h"

#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_FRAME ((UINT64_C(1) << 55) - 1)
/** Entries read at once. */
#define BATCH 512

struct preload_frames_t {
    size_t mapped; /* Bytes of this mapping. */
    uintptr_t first_page;
    size_t pages;
    uint64_t entries[];
};

static uintptr_t page_of(const void *address)
{
    return (uintptr_t) address / getauxval(AT_PAGESZ);
}

static int open_pagemap(void)
{
    return (int) PRELOAD_RAW(SYS_openat, AT_FDCWD, (long) "/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

/* Frames only, and 0 for what is not there or not shown. @return false: pagemap cannot be read. */
static bool read_entries(int fd, uintptr_t page, size_t count, uint64_t *entries)
{
    const long size = (long) (count * sizeof(uint64_t));

    if (PRELOAD_RAW(SYS_pread64, fd, (long) entries, size, (long) (page * sizeof(uint64_t))) != size) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        entries[i] = (entries[i] & ENTRY_PRESENT) != 0 ? entries[i] & ENTRY_FRAME : 0;
    }
    return true;
}

preload_frames_t *preload_frames_record(const void *start, size_t length)
{
    const size_t pages = page_of((const char *) start + length - 1) - page_of(start) + 1;
    const size_t size = sizeof(preload_frames_t) + pages * sizeof(uint64_t);
    const long memory =
        PRELOAD_RAW(SYS_mmap, 0, (long) size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    preload_frames_t *frames;
    int fd;

    if ((unsigned long) memory >= -4095UL) {
        return NULL;
    }
    frames = (preload_frames_t *) memory;
    frames->mapped = size;
    frames->first_page = page_of(start);
    frames->pages = pages;
    fd = open_pagemap();
    if (fd < 0 || !read_entries(fd, frames->first_page, pages, frames->entries)) {
        preload_frames_free(frames);
        frames = NULL;
    }
    if (fd >= 0) {
        PRELOAD_RAW(SYS_close, fd);
    }
    return frames;
}

void preload_frames_free(preload_frames_t *frames)
{
    if (frames != NULL) {
        PRELOAD_RAW(SYS_munmap, (long) frames, (long) frames->mapped);
    }
}

typedef enum result_t { SAME, DIFFERENT, HIDDEN } result_t;

static result_t compare_batch(int fd, const preload_frames_t *frames, uintptr_t page, size_t count)
{
    const uint64_t *const then = frames->entries + (page - frames->first_page);
    uint64_t now[BATCH] = { 0 };

    if (!read_entries(fd, page, count, now)) {
        return HIDDEN;
    }
    for (size_t i = 0; i < count; i++) {
        if (then[i] == 0) {
            return HIDDEN;
        }
        if (now[i] != then[i]) {
            preload_say(&preload_page->wrong, "process %ld, address 0x%lx: frame 0x%lx at registration, 0x%lx now",
                        PRELOAD_RAW(SYS_getpid, 0), (page + i) * getauxval(AT_PAGESZ), then[i], now[i]);
            return DIFFERENT;
        }
    }
    run_add(&preload_page->verified_pages, count);
    return SAME;
}

static result_t compare(int fd, const preload_frames_t *frames, uintptr_t page, uintptr_t end)
{
    result_t result = SAME;

    while (page < end && result == SAME) {
        const size_t count = end - page < BATCH ? end - page : BATCH;

        result = compare_batch(fd, frames, page, count);
        page += count;
    }
    return result;
}

void preload_frames_compare(const preload_frames_t *frames, const void *start, size_t length)
{
    run_counter_t *const counters[] = { &preload_page->verified_hits, &preload_page->wrong_hits,
                                        &preload_page->hidden_hits };
    result_t result = HIDDEN;
    int fd;

    if (frames != NULL && (fd = open_pagemap()) >= 0) {
        result = compare(fd, frames, page_of(start), page_of((const char *) start + length - 1) + 1);
        PRELOAD_RAW(SYS_close, fd);
    }
    run_add(counters[result], 1);
}
