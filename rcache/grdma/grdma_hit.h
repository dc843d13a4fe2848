/* SPDX-License-Identifier: BSD-3-Clause */
/* rcache_hit.h, for the component itself. Where users call for all hits, what stands for the thread pointer is nobody else's
 * business. */
#ifndef RCACHE_GRDMA_GRDMA_HIT_H
#define RCACHE_GRDMA_GRDMA_HIT_H

#include <stdint.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
uintptr_t grdma_thread_pointer(void);
#define MCA_RCACHE_THREAD_POINTER grdma_thread_pointer
#endif
#include "opal/mca/rcache/rcache_hit.h"

#endif
