/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers that come and go in the ways in which programs do it: malloc and
 * free, mmap and munmap, realloc, mremap, mmap over old memory, madvise. */
#ifndef TEST_VM_RDMA_BUFFERS_H
#define TEST_VM_RDMA_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum rdma_way_t {
    RDMA_WAY_FREE_MALLOC,
    RDMA_WAY_UNMAP_MAP,
    RDMA_WAY_REALLOC,
    RDMA_WAY_MAP_OVER,
    RDMA_WAY_MREMAP,
    RDMA_WAY_DISCARD, /**< MADV_DONTNEED; the address stays. */
    RDMA_WAYS
} rdma_way_t;

typedef struct rdma_buffer_t {
    unsigned char *addr;
    size_t size;
    bool mapped; /**< By mmap; else from malloc. */
} rdma_buffer_t;

/** Next number of a sequence. */
uint64_t rdma_random(uint64_t *state);

/** Blocks over 32 KiB are mapped one by one, and the heap shrinks soon. Once, at the start. */
void rdma_buffers_start(void);

/** Give the memory back, and get `size` bytes (at least 1) in its place, by a way that `state` decides.
 * An empty one (addr NULL) is filled. Exits after a message if there is no memory. */
void rdma_buffer_remake(rdma_buffer_t *buffer, size_t size, uint64_t *state);

/** Let the kernel take the pages, where the buffer is a mapping. */
void rdma_buffer_discard(rdma_buffer_t *buffer);

void rdma_buffer_release(rdma_buffer_t *buffer);

/** How often each way was gone. */
extern uint64_t rdma_ways_gone[RDMA_WAYS];
extern const char *const rdma_way_names[RDMA_WAYS];

#endif
