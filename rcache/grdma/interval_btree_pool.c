/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of interval_btree.h: the pool of nodes. Chunks double and stay until the
 * tree is destroyed. Nodes that were never used are not touched, so that
 * the kernel gives memory only to as many as were in use at once. */
#include "rcache/grdma/interval_btree_node.h"

#include <string.h>
#include <sys/mman.h>

void interval_btree_init(interval_btree_t *tree)
{
    memset(tree, 0, sizeof(*tree));
    tree->fresh = 1u << INTERVAL_BTREE_CHUNK_FIRST;
    tree->chunks_end = INTERVAL_BTREE_CHUNK_FIRST;
}

static size_t chunk_size(unsigned chunk)
{
    return (size_t) 1 << (chunk + NODE_SHIFT);
}

void *interval_btree_chunk_map(unsigned chunk)
{
    if (chunk < INTERVAL_BTREE_CHUNK_FIRST || chunk >= INTERVAL_BTREE_CHUNK_END) {
        return NULL;
    }
    void *memory = mmap(NULL, chunk_size(chunk), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void interval_btree_chunk_unmap(unsigned chunk, void *memory)
{
    (void) munmap(memory, chunk_size(chunk));
}

bool interval_btree_chunk_add(interval_btree_t *tree, unsigned chunk, void *memory)
{
    if (chunk != tree->chunks_end || chunk >= INTERVAL_BTREE_CHUNK_END) {
        return false;
    }
    /* The number of the chunk's first node is the chunk's size in nodes. */
    tree->chunk[chunk] = (uintptr_t) memory - chunk_size(chunk);
    /* In this order also for a fork in the middle: interval_btree_reset() trusts the count. */
    __atomic_store_n(&tree->chunks_end, chunk + 1, __ATOMIC_RELEASE);
    return true;
}

void interval_btree_destroy(interval_btree_t *tree)
{
    for (unsigned chunk = INTERVAL_BTREE_CHUNK_FIRST; chunk < tree->chunks_end; chunk++) {
        interval_btree_chunk_unmap(chunk, btree_node(tree, 1u << chunk));
    }
    interval_btree_init(tree);
}

void interval_btree_reset(interval_btree_t *tree)
{
    tree->root = tree->height = tree->entries = 0;
    tree->free_list = tree->free_nodes = 0;
    tree->fresh = 1u << INTERVAL_BTREE_CHUNK_FIRST;
}

uint32_t btree_free_nodes(const interval_btree_t *tree)
{
    return tree->free_nodes + (1u << tree->chunks_end) - tree->fresh;
}

uint32_t interval_btree_nodes(const interval_btree_t *tree)
{
    return tree->fresh - (1u << INTERVAL_BTREE_CHUNK_FIRST) - tree->free_nodes;
}

/* An insertion splits at most one node a level and makes a root. The n insertions can make new levels; their nodes
 * are far fewer than n, but for the first one. */
unsigned interval_btree_lacks(const interval_btree_t *tree, unsigned n)
{
    return btree_free_nodes(tree) >= n * (tree->height + 2) ? 0 : tree->chunks_end;
}

bool interval_btree_reserve(interval_btree_t *tree, unsigned n)
{
    unsigned chunk;
    while ((chunk = interval_btree_lacks(tree, n)) != 0) {
        void *memory = interval_btree_chunk_map(chunk);
        if (memory == NULL) {
            return false;
        }
        (void) interval_btree_chunk_add(tree, chunk, memory);
    }
    return true;
}

uint32_t btree_node_take(interval_btree_t *tree)
{
    uint32_t number = tree->free_list;
    if (number == 0) {
        number = tree->fresh++;
    } else {
        tree->free_list = btree_node(tree, number)->head.next_free;
        tree->free_nodes--;
    }
    btree_node(tree, number)->head.count = 0;
    return number;
}

void btree_node_give(interval_btree_t *tree, uint32_t number)
{
    btree_node(tree, number)->head.next_free = tree->free_list;
    tree->free_list = number;
    tree->free_nodes++;
}
