/* SPDX-License-Identifier: BSD-3-Clause */
/* What hooks leave to the holder of the cache's lock, as callers outside hooks find it. */
#include "rcache/grdma/grdma.h"

/* What was found idle goes to the next grdma_reap(): here the lock is held. */
void grdma_mail_handle_locked(grdma_module_t *module)
{
    grdma_list_t idle = { 0 };

    grdma_returned_handle_locked(module);
    grdma_pending_handle_locked(module, &idle);
    grdma_leave(module, &idle);
}

void grdma_mail_handle(grdma_module_t *module)
{
    while (grdma_has_mail(module) && grdma_mutex_try(&module->lock)) {
        grdma_mail_handle_locked(module);
        grdma_mutex_unlock(&module->lock);
        barrier_after_rmw();
    }
}
