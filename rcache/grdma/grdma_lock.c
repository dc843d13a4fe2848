/* SPDX-License-Identifier: BSD-3-Clause */
/* The cache's lock, as callers outside hooks take it. */
#include "framework/util/barrier.h"
#include "rcache/grdma/grdma.h"

/* What was found idle meanwhile goes to the next grdma_reap(): here the lock is held, or nobody wants to wait. */
void grdma_lock(grdma_module_t *module)
{
    grdma_list_t idle = { 0 };

    pthread_mutex_lock(&module->lock);
    grdma_pending_handle_locked(module, &idle);
    grdma_leave(module, &idle);
}

void grdma_unlock(grdma_module_t *module)
{
    pthread_mutex_unlock(&module->lock);
    /* A hook that posted while we held the lock tried it again after posting: either that attempt came after
     * our unlock and succeeded, or we see what it posted here. (glibc unlocks by an atomic exchange.) */
    barrier_after_rmw();
    while (grdma_pending_any(&module->pending) && pthread_mutex_trylock(&module->lock) == 0) {
        grdma_list_t idle = { 0 };

        grdma_pending_handle_locked(module, &idle);
        pthread_mutex_unlock(&module->lock);
        grdma_leave(module, &idle);
        barrier_after_rmw();
    }
}
