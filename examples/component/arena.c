/* SPDX-License-Identifier: BSD-3-Clause */
/* The arena: part of the program, not of the component. */
#include "arena.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK_COUNT 64

static _Atomic(char *) blocks; /* The mapping, from the first take on. */
static atomic_bool taken[BLOCK_COUNT];
static _Atomic(arena_around_fn_t *) around_release;

static char *map_blocks(void)
{
    char *mine =
        mmap(NULL, BLOCK_COUNT * ARENA_BLOCK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *first = NULL;
    if (mine == MAP_FAILED) {
        return NULL;
    }
    if (!atomic_compare_exchange_strong(&blocks, &first, mine)) {
        munmap(mine, BLOCK_COUNT * ARENA_BLOCK_SIZE); /* Another thread was faster. */
        return first;
    }
    return mine;
}

static void *take(void)
{
    char *start = atomic_load(&blocks);
    if (start == NULL) {
        start = map_blocks();
    }
    for (size_t i = 0; start != NULL && i < BLOCK_COUNT; i++) {
        if (!atomic_exchange(&taken[i], true)) {
            return start + i * ARENA_BLOCK_SIZE;
        }
    }
    return NULL;
}

/* syscall(2), not madvise(3): what replaces calls in libc does not notice it. */
static int release_pages(void *start, size_t length)
{
    return (int) syscall(SYS_madvise, start, length, MADV_DONTNEED);
}

static void give(void *block)
{
    arena_around_fn_t *around = atomic_load(&around_release);
    int rc =
        around != NULL ? around(block, ARENA_BLOCK_SIZE, release_pages) : release_pages(block, ARENA_BLOCK_SIZE);
    if (rc == 0) { /* Else it is lost: it would not be zero. */
        atomic_store(&taken[(size_t) ((char *) block - atomic_load(&blocks)) / ARENA_BLOCK_SIZE], false);
    }
}

static arena_around_fn_t *watch(arena_around_fn_t *around)
{
    return atomic_exchange(&around_release, around);
}

const arena_interface_t arena_interface = {
    .version = ARENA_INTERFACE_VERSION,
    .take = take,
    .give = give,
    .watch = watch,
};
