/* SPDX-License-Identifier: BSD-3-Clause */
/* The cache's lock, as callers outside hooks take it. */
#include "rcache/grdma/grdma.h"

#include "framework/util/barrier.h"

void grdma_lock(grdma_module_t *module, grdma_ending_t *ending)
{
    ending->list = NULL;
    pthread_mutex_lock(&module->lock);
    grdma_pending_handle_locked(module, ending);
}

void grdma_unlock(grdma_module_t *module, grdma_ending_t *ending)
{
    pthread_mutex_unlock(&module->lock);
    grdma_end(module, ending->list);
    /* A hook that posted while we held the lock tried it again after posting: either that attempt came after
     * our unlock and succeeded, or we see what it posted here. (glibc unlocks by an atomic exchange.) */
    barrier_after_rmw();
    while (grdma_pending_any(&module->pending) && pthread_mutex_trylock(&module->lock) == 0) {
        ending->list = NULL;
        grdma_pending_handle_locked(module, ending);
        pthread_mutex_unlock(&module->lock);
        grdma_end(module, ending->list);
        barrier_after_rmw();
    }
    ending->list = NULL;
}
