/* SPDX-License-Identifier: BSD-3-Clause */
/* See rdma_buffers.h. */
#include "test/vm/rdma_buffers.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

uint64_t rdma_ways_gone[RDMA_WAYS];
const char *const rdma_way_names[RDMA_WAYS] = { "malloc", "mmap", "realloc", "mmap over", "mremap", "madvise" };

uint64_t rdma_random(uint64_t *state)
{
    /* Xorshift with a multiplication: enough to mix choices. The state is never 0. */
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717) >> 16;
}

void rdma_buffers_start(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 10);
    mallopt(M_TRIM_THRESHOLD, 64 << 10);
}

static void *must(void *memory)
{
    if (memory == NULL || memory == MAP_FAILED) {
        perror("rdma: no memory for a buffer");
        exit(1);
    }
    return memory;
}

static size_t whole_pages(size_t size)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

static void *map(void *where, size_t size)
{
    return must(mmap(where, whole_pages(size), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | (where != NULL ? MAP_FIXED : 0), -1, 0));
}

static void make(rdma_buffer_t *buffer, size_t size, bool mapped)
{
    buffer->addr = mapped ? map(NULL, size) : must(malloc(size));
    buffer->size = size;
    buffer->mapped = mapped;
    rdma_ways_gone[mapped ? RDMA_WAY_UNMAP_MAP : RDMA_WAY_FREE_MALLOC]++;
}

void rdma_buffer_release(rdma_buffer_t *buffer)
{
    if (buffer->addr != NULL && buffer->mapped) {
        munmap(buffer->addr, whole_pages(buffer->size));
    } else {
        free(buffer->addr);
    }
    buffer->addr = NULL;
}

/* The new pages lie where the old ones lay, as far as these reached. */
static void map_over(rdma_buffer_t *buffer, size_t size)
{
    size_t old = whole_pages(buffer->size), new = whole_pages(size);
    if (new > old) {
        rdma_buffer_release(buffer);
        make(buffer, size, true);
        return;
    }
    map(buffer->addr, size);
    if (new < old) {
        munmap(buffer->addr + new, old - new);
    }
    buffer->size = size;
    rdma_ways_gone[RDMA_WAY_MAP_OVER]++;
}

static void move_or_resize(rdma_buffer_t *buffer, size_t size)
{
    buffer->addr = must(mremap(buffer->addr, whole_pages(buffer->size), whole_pages(size), MREMAP_MAYMOVE));
    buffer->size = size;
    rdma_ways_gone[RDMA_WAY_MREMAP]++;
}

static void reallocate(rdma_buffer_t *buffer, size_t size)
{
    buffer->addr = must(realloc(buffer->addr, size));
    buffer->size = size;
    rdma_ways_gone[RDMA_WAY_REALLOC]++;
}

void rdma_buffer_remake(rdma_buffer_t *buffer, size_t size, uint64_t *state)
{
    uint64_t choice = rdma_random(state) % 8;
    if (buffer->addr == NULL || choice < 5) {
        rdma_buffer_release(buffer);
        make(buffer, size, choice % 2 == 0);
    } else if (!buffer->mapped) {
        reallocate(buffer, size);
    } else if (choice < 7) {
        map_over(buffer, size);
    } else {
        move_or_resize(buffer, size);
    }
}

void rdma_buffer_discard(rdma_buffer_t *buffer)
{
    if (buffer->mapped) {
        madvise(buffer->addr, whole_pages(buffer->size), MADV_DONTNEED);
        rdma_ways_gone[RDMA_WAY_DISCARD]++;
    }
}
