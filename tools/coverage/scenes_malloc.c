/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: what the allocator gives back, behind the program. Sizes are chosen for
 * libc's; another one that keeps the memory makes the row unproven. */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tools/coverage/scenes.h"

#define BIG ((size_t) 4 << 20)    /* Mapped by itself. */
#define BLOCK ((size_t) 64 << 10) /* From a heap. */
#define BLOCKS 64

#define FIXED_NOREPLACE 0x100000 /* Older headers do not have it. */

static char *allocate(size_t size)
{
    char *block = malloc(size);

    coverage_need(block != NULL, "malloc");
    scene_fill(block, size);
    return block;
}

/* The whole pages within. */
static void expect_pages_of(const char *start, const char *end)
{
    const uintptr_t first = ((uintptr_t) start + PAGE - 1) & ~(PAGE - 1);
    const uintptr_t behind = (uintptr_t) end & ~(PAGE - 1);

    coverage_expect(0, (const char *) first, behind - first);
}

void scene_free_big(void)
{
    char *block = allocate(BIG);

    expect_pages_of(block, block + BIG);
    coverage_begin();
    free(block);
    coverage_end();
}

/* ---- Have the allocator give back what it keeps --------------------------------------------------- */

typedef int mallctl_fn_t(const char *name, void *old, size_t *old_size, void *value, size_t size);
typedef void collect_fn_t(_Bool force);
typedef void release_fn_t(void);

#define JEMALLOC_ALL_ARENAS "4096" /* MALLCTL_ARENAS_ALL */

static void purge(void)
{
    mallctl_fn_t *mallctl = (mallctl_fn_t *) dlsym(RTLD_DEFAULT, "mallctl");
    collect_fn_t *collect = (collect_fn_t *) dlsym(RTLD_DEFAULT, "mi_collect");
    release_fn_t *release = (release_fn_t *) dlsym(RTLD_DEFAULT, "MallocExtension_ReleaseFreeMemory");

    if (mallctl != NULL) {
        mallctl("arena." JEMALLOC_ALL_ARENAS ".purge", NULL, NULL, NULL, 0);
    } else if (collect != NULL) {
        collect(1);
    } else if (release != NULL) {
        release();
    } else {
        malloc_trim(0);
    }
}

/* A big block, and then all that the allocator is asked to give back. */
void scene_free_purge(void)
{
    char *block = allocate(BIG), *behind = allocate(BLOCK);

    expect_pages_of(block + BLOCK, block + BIG - BLOCK);
    coverage_begin();
    free(block);
    purge();
    coverage_end();
    free(behind);
}

/* ---- Heaps ---------------------------------------------------------------------------------------- */

static void allocate_blocks(char *blocks[BLOCKS])
{
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = allocate(BLOCK);
    }
}

static void free_down_to(char *blocks[BLOCKS], int first)
{
    for (int i = BLOCKS; i-- > first;) {
        free(blocks[i]);
    }
}

/* The upper half, whose lower end libc may keep for the next malloc. */
static void free_upper_half(char *blocks[BLOCKS])
{
    expect_pages_of(blocks[BLOCKS * 3 / 4], blocks[BLOCKS - 1]);
    coverage_begin();
    free_down_to(blocks, BLOCKS / 2);
}

static bool are_in_order(char *blocks[BLOCKS])
{
    for (int i = 1; i < BLOCKS; i++) {
        if (blocks[i] < blocks[i - 1]) {
            return false;
        }
    }
    return true;
}

static void require_order(char *blocks[BLOCKS])
{
    errno = 0;
    if (!are_in_order(blocks)) {
        coverage_not_possible("the allocator does not give block after block");
    }
}

void scene_free_heap_top(void)
{
    char *blocks[BLOCKS];

    allocate_blocks(blocks);
    require_order(blocks);
    free_upper_half(blocks);
    coverage_end();
}

/* Inner pages of a heap: what lies above them is in use. */
void scene_malloc_trim(void)
{
    char *blocks[BLOCKS];

    allocate_blocks(blocks);
    require_order(blocks);
    /* libc keeps the head of the free piece, which may reach into a second page. */
    expect_pages_of(blocks[8] + 2 * PAGE, blocks[15] + BLOCK - 2 * PAGE);
    coverage_begin();
    for (int i = 8; i < 16; i++) {
        free(blocks[i]);
    }
    malloc_trim(0);
    coverage_end();
}

/* The heap of a thread is another one than that of the program. */
static void *use_arena(void *arg)
{
    char *blocks[BLOCKS];

    allocate_blocks(blocks);
    require_order(blocks);
    free_upper_half(blocks);
    coverage_end();
    return arg;
}

void scene_arena_free(void)
{
    pthread_t thread;

    coverage_need(pthread_create(&thread, NULL, use_arena, NULL) == 0, "pthread_create");
    coverage_need(pthread_join(thread, NULL) == 0, "pthread_join");
}

/* ---- realloc -------------------------------------------------------------------------------------- */

void scene_realloc_shrink(void)
{
    char *block = allocate(BIG), *shrunk;

    expect_pages_of(block + BIG / 2 + BLOCK, block + BIG);
    coverage_begin();
    shrunk = realloc(block, BIG / 2);
    coverage_need(shrunk != NULL, "realloc");
    coverage_end();
    free(shrunk);
}

/* Something must be behind it; if that fails, something is. */
void scene_realloc_move(void)
{
    char *block = allocate(BIG), *moved;
    const uintptr_t behind = ((uintptr_t) block + malloc_usable_size(block) + PAGE - 1) & ~(PAGE - 1);

    (void) mmap((void *) behind, PAGE, PROT_NONE, ANON | FIXED_NOREPLACE, -1, 0);
    expect_pages_of(block, block + BIG);
    coverage_begin();
    moved = realloc(block, 8 * BIG);
    coverage_need(moved != NULL, "realloc");
    coverage_end();
    free(moved);
}
