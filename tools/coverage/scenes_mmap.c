/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: mmap over pages, and mremap. */
#include <errno.h>
#include <sys/ioctl.h>

#include "tools/coverage/scenes.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* ---- mmap ------------------------------------------------------------------------------------- */

static void map_over(char *start, size_t pages, int protection, int flags, int fd)
{
    coverage_expect(0, start, pages * PAGE);
    coverage_begin();
    coverage_need(mmap(start, pages * PAGE, protection, flags | MAP_FIXED, fd, 0) == start, "mmap over");
    coverage_end();
}

void scene_mmap_fixed(void)
{
    map_over(scene_pages(4), 4, RW, ANON, -1);
}

void scene_mmap_fixed_middle(void)
{
    map_over(scene_pages(8) + 2 * PAGE, 3, RW, ANON, -1);
}

void scene_mmap_fixed_file(void)
{
    map_over(scene_pages(4), 4, RW, MAP_SHARED, scene_memory_file(4));
}

/* As libc gives back the end of a heap. */
void scene_mmap_fixed_none(void)
{
    map_over(scene_pages(4), 4, PROT_NONE, ANON | MAP_NORESERVE, -1);
}

/* Programs that are built with 64-bit offsets call it so. */
void scene_mmap64_fixed(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(mmap64(memory, 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == memory, "mmap64 over");
    coverage_end();
}

/* Where that is unknown, it is no more than a hint. */
void scene_mmap_noreplace(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(mmap(memory, 4 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) != memory, "mmap NOREPLACE");
    coverage_end();
}

void scene_mmap_hint(void)
{
    char *memory = scene_pages(4);
    void *other;

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    other = mmap(memory, 4 * PAGE, RW, ANON, -1, 0);
    coverage_need(other != MAP_FAILED && other != memory, "mmap with a hint");
    coverage_end();
}

void scene_mmap_fixed_ebadf(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(mmap(memory, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, 1000000, 0) == MAP_FAILED && errno == EBADF,
                  "mmap of no file");
    coverage_end();
}

/* ---- mremap ----------------------------------------------------------------------------------- */

void scene_mremap_shrink(void)
{
    char *memory = scene_pages(8);

    coverage_expect(0, memory + 3 * PAGE, 5 * PAGE);
    coverage_expect(1, memory, 3 * PAGE);
    coverage_begin();
    coverage_need(mremap(memory, 8 * PAGE, 3 * PAGE, 0) == memory, "mremap");
    coverage_end();
}

/* The page behind stays, so it cannot grow where it is. */
void scene_mremap_move(void)
{
    char *memory = scene_pages(5), *moved;

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    moved = mremap(memory, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
    coverage_need(moved != MAP_FAILED && moved != memory, "mremap");
    coverage_end();
}

void scene_mremap_fixed(void)
{
    char *from = scene_pages(4), *to = scene_pages(4);

    coverage_expect(0, from, 4 * PAGE);
    coverage_expect(1, to, 4 * PAGE);
    coverage_begin();
    coverage_need(mremap(from, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap");
    coverage_end();
}

void scene_mremap_dontunmap(void)
{
    char *memory = scene_pages(4), *other = scene_pages(4), *moved;

    if (mremap(other, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL) == MAP_FAILED) {
        coverage_not_possible("mremap DONTUNMAP");
    }
    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    moved = mremap(memory, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    coverage_need(moved != MAP_FAILED && moved != memory, "mremap");
    coverage_end();
}

/* Several mappings in one call, since Linux 6.17. */
void scene_mremap_multi(void)
{
    char *from = scene_pages(4), *to = scene_pages(4);

    coverage_need(mprotect(from + PAGE, PAGE, PROT_READ) == 0, "mprotect");
    coverage_expect(0, from, 4 * PAGE);
    coverage_begin();
    if (mremap(from, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to) {
        coverage_not_possible("mremap of more than one mapping");
    }
    coverage_end();
}

void scene_mremap_grow(void)
{
    char *memory = scene_pages(8);

    coverage_need(munmap(memory + 4 * PAGE, 4 * PAGE) == 0, "munmap");
    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(mremap(memory, 4 * PAGE, 6 * PAGE, 0) == memory, "mremap");
    coverage_end();
}

/* Length 0: a second mapping of the same pages. */
void scene_mremap_dup(void)
{
    char *memory = scene_map_file(scene_memory_file(4), 4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(mremap(memory, 0, 4 * PAGE, MREMAP_MAYMOVE) != MAP_FAILED, "mremap");
    coverage_end();
}

void scene_mremap_enomem(void)
{
    char *memory = scene_pages(5);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(mremap(memory, 4 * PAGE, 8 * PAGE, 0) == MAP_FAILED && errno == ENOMEM, "mremap without room");
    coverage_end();
}
