/* SPDX-License-Identifier: BSD-3-Clause */
/* Code of a test's own, with sites in it that nobody else runs; and looks at
 * the list of mappings. */
#ifndef TEST_LINUX_OWN_CODE_H
#define TEST_LINUX_OWN_CODE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "test/sanitized.h"
#include "components/linux/linux.h"
#include "test/linux/own_bytes.h"
#include "test/test_main.h"

typedef long (*own_function_t)(long, long, long);

static inline own_function_t own_function(const uint8_t *address)
{
    own_function_t function;

    memcpy(&function, &address, sizeof(function));
    return function;
}

/* What is free above the pages: the kernel puts new mappings right below others. */
#define OWN_ROOM ((size_t) 4 << 20)

/** Writable pages, filled with int3, with room for stubs above. */
static inline uint8_t *own_pages(size_t count)
{
    const size_t length = count * LINUX_PAGE;
    uint8_t *pages =
        mmap(NULL, length + OWN_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    ck_assert_ptr_ne(pages, MAP_FAILED);
    ck_assert_int_eq(munmap(pages + length, OWN_ROOM), 0);
    memset(pages, 0xcc, length);
    return pages;
}

static inline void own_seal(uint8_t *pages, size_t count)
{
    ck_assert_int_eq(mprotect(pages, count * LINUX_PAGE, PROT_READ | PROT_EXEC), 0);
}

static inline void own_open(uint8_t *pages, size_t count)
{
    ck_assert_int_eq(mprotect(pages, count * LINUX_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
}

/** Mappings of this process, by the kernel's list. */
static inline int own_count_mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int lines = 0;

    ck_assert_ptr_nonnull(maps);
    for (int c = fgetc(maps); c != EOF; c = fgetc(maps)) {
        lines += c == '\n';
    }
    fclose(maps);
    return TEST_SANITIZED ? 0 : lines; /* A sanitizer's runtime maps memory as it likes. */
}

/** The protection of an address ("r-xp"), or "" where nothing is mapped. */
static inline const char *own_protection(const void *address)
{
    static char protection[8];
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long start, end;
    char line[512], text[8];

    ck_assert_ptr_nonnull(maps);
    protection[0] = '\0';
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%lx-%lx %7s", &start, &end, text) == 3 && (unsigned long) address >= start
            && (unsigned long) address < end) {
            memcpy(protection, text, sizeof(protection));
        }
    }
    fclose(maps);
    return protection;
}

static inline bool own_is_mapped(const void *address)
{
    return own_protection(address)[0] != '\0';
}

#endif
