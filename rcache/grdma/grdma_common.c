/* SPDX-License-Identifier: BSD-3-Clause */
/* The block of counts that all threads share which get no memory for one of their own: giving a reference back never fails.
 *
 * Its counts change under the cache's lock alone. Whoever marks a region holds that lock, too: so either he sees the count,
 * or whoever has counted sees the mark, without a barrier of all threads. It has room for a region before there is one, and
 * sums do not go over it before it is used. */
#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_self.h"

bool grdma_common_init(grdma_module_t *module)
{
    module->common = grdma_block_map(module);
    if (module->common == NULL) {
        return false;
    }
    atomic_init(&module->common->owner, &grdma_nobody); /* So no thread adopts it. */
    return true;
}

void grdma_common_put(grdma_module_t *module, uint32_t id)
{
    grdma_block_t *block = module->common;

    grdma_lock(module);
    if (!block->is_listed) {
        block->is_listed = true;
        block->next = atomic_load(&module->blocks);
        atomic_store(&module->blocks, block);
    }
    grdma_put(grdma_count_of(block, id));
    grdma_unlock(module);
}

void grdma_common_free(grdma_module_t *module)
{
    if (module->common != NULL) {
        grdma_block_unmap(module, module->common);
    }
}
