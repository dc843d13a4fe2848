/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables of hints: their memory. */
#include "rcache/grdma/grdma_hint.h"

#include <sys/mman.h>

static size_t pages(size_t bytes)
{
    return (bytes + 4095) & ~(size_t) 4095;
}

grdma_hints_t *grdma_hints_make(size_t slots, grdma_hints_t *older)
{
    uint32_t buckets = 2;
    unsigned log = 1;

    while ((size_t) buckets * GRDMA_HINT_BUCKET < slots && log < GRDMA_HINT_ID_BITS) {
        buckets *= 2;
        log++;
    }
    const size_t mapped = pages(sizeof(grdma_hints_t) + (size_t) buckets * GRDMA_HINT_BUCKET * sizeof(uint32_t));
    grdma_hints_t *hints = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (hints == MAP_FAILED) {
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    if (mapped >= (size_t) 2 << 20) {
        madvise(hints, mapped, MADV_HUGEPAGE); /* Each lookup goes to another page of it. */
    }
#endif
    hints->shift = 64 - log;
    hints->buckets = buckets;
    hints->older = older;
    hints->mapped = mapped;
    return hints;
}

void grdma_hints_free(grdma_hints_t *hints)
{
    while (hints != NULL) {
        grdma_hints_t *older = hints->older;

        munmap(hints, hints->mapped);
        hints = older;
    }
}

void grdma_hints_empty(grdma_hints_t *hints)
{
    for (size_t i = 0; i < (size_t) hints->buckets * GRDMA_HINT_BUCKET; i++) {
        atomic_store_explicit(&hints->slot[i], 0, memory_order_relaxed);
    }
}
