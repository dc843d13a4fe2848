/* SPDX-License-Identifier: BSD-3-Clause */
/* The block of counts that all threads share which get no memory for one of their own: giving a reference back never fails.
 *
 * Its counts change under the cache's lock alone. Whoever marks a region holds that lock, too: so either he sees the count,
 * or whoever has counted sees the mark, without a barrier of all threads. It has room for a region before there is one, and
 * sums do not go over it before it is used. */
#include <sys/mman.h>

#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_self.h"

/* Of a cache, from the first call of grdma_common_fit() on. */
typedef struct common_t {
    grdma_block_t block;
    bool is_used; /* It is among the cache's blocks. Under the lock. */
} common_t;

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory != MAP_FAILED ? memory : NULL;
}

static size_t counts_size(unsigned chunk)
{
    return (size_t) grdma_chunk_length(chunk) * sizeof(grdma_count_t);
}

static uintptr_t bias(unsigned chunk)
{
    return (uintptr_t) grdma_chunk_start(chunk) * sizeof(grdma_count_t);
}

static bool make_block(grdma_module_t *module)
{
    common_t *common = map(sizeof(*common));
    grdma_block_t *expected = NULL;

    if (common == NULL) {
        return false;
    }
    common->block.module = module;
    atomic_init(&common->block.owner, &grdma_nobody); /* So no thread adopts it. */
    if (!atomic_compare_exchange_strong(&module->common, &expected, &common->block)) {
        munmap(common, sizeof(*common)); /* Another thread was faster. */
    }
    return true;
}

/* Pages that are never written, in most programs. */
static bool make_counts(grdma_block_t *block, unsigned chunk)
{
    void *counts = map(counts_size(chunk));
    uintptr_t expected = 0;

    if (counts == NULL) {
        return false;
    }
    if (!atomic_compare_exchange_strong(grdma_counts_slot(block, chunk), &expected,
                                        (uintptr_t) counts - bias(chunk))) {
        munmap(counts, counts_size(chunk));
    }
    return true;
}

bool grdma_common_fit(grdma_module_t *module, unsigned chunk)
{
    if (atomic_load(&module->common) == NULL && !make_block(module)) {
        return false;
    }
    grdma_block_t *block = atomic_load(&module->common);
    return atomic_load(grdma_counts_slot(block, chunk)) != 0 || make_counts(block, chunk);
}

static common_t *of(grdma_block_t *block)
{
    return (common_t *) block;
}

void grdma_common_put(grdma_module_t *module, uint32_t id)
{
    grdma_block_t *block = atomic_load(&module->common);

    grdma_lock(module);
    if (!of(block)->is_used) {
        of(block)->is_used = true;
        block->next = atomic_load(&module->blocks);
        atomic_store(&module->blocks, block);
    }
    grdma_put(grdma_count_of(block, id));
    grdma_unlock(module);
}

void grdma_common_free(grdma_module_t *module)
{
    grdma_block_t *block = atomic_load(&module->common);

    for (unsigned chunk = GRDMA_FIRST_CHUNK; block != NULL && chunk < GRDMA_CHUNKS; chunk++) {
        const uintptr_t counts = atomic_load(grdma_counts_slot(block, chunk));

        if (counts != 0) {
            munmap((void *) (counts + bias(chunk)), counts_size(chunk));
        }
    }
    if (block != NULL) {
        munmap(of(block), sizeof(common_t));
    }
}
