/* SPDX-License-Identifier: BSD-3-Clause */
/* A provider has lost its device: every cache that registers with it drops what it has. The caches do it as for a
 * release of the whole address space, so this file only finds them. */
#include "framework/hooks/hooks_internal.h"
#include "framework/util/fork.h"
#include "opal/mca/rcache/provider.h"
#include "rcache/base/rcache_base_list.h"

static void drop_everything(mca_rcache_base_module_t *module, void *arg)
{
    module->rcache_invalidate_range(module, NULL, SIZE_MAX);
    ++*(size_t *) arg;
}

/* A registration that is being made is in the index and the page filter before the provider is asked; the provider has
 * noted the loss before it came here. Entering the dispatch is the full barrier between the two: either that registration
 * fails in the provider, or it is found here and made again, which fails. */
size_t mca_rcache_base_void(const void *reg_data)
{
    opal_mem_hooks_window_t window;
    size_t told = 0;
    opal_fork_check();
    opal_mem_hooks_enter(&window); /* Also keeps a cache that is destroyed meanwhile from being freed under us. */
    mca_rcache_list_visit_of(reg_data, drop_everything, &told);
    opal_mem_hooks_leave(&window);
    return told;
}
