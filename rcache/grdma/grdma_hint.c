/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables of hints: their memory. */
#include "rcache/grdma/grdma_hint.h"

#include <sys/mman.h>

#include "framework/util/fork.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static size_t slot_bytes(const grdma_hints_t *hints)
{
    return (size_t) hints->buckets * GRDMA_HINT_BUCKET * sizeof(hints->slot[0]);
}

/* @return false: not where it would be needed. */
static bool let_forks_wipe(void *memory, size_t size)
{
    return madvise(memory, size, MADV_WIPEONFORK) == 0 || !opal_fork_is_told_by_kernel();
}

static void *map_slots(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return NULL;
    }
    if (!let_forks_wipe(memory, size)) {
        munmap(memory, size);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    if (size >= (size_t) 2 << 20) {
        madvise(memory, size, MADV_HUGEPAGE); /* Each lookup goes to another page of it. */
    }
#endif
    return memory;
}

bool grdma_hints_make(grdma_hints_t *head, size_t slots)
{
    uint32_t buckets = 2;
    unsigned log = 1;

    while ((size_t) buckets * GRDMA_HINT_BUCKET < slots && log < GRDMA_HINT_ID_BITS) {
        buckets *= 2;
        log++;
    }
    head->shift = 64 - log;
    head->buckets = buckets;
    head->slot = map_slots(slot_bytes(head));
    return head->slot != NULL;
}

void grdma_hints_discard(grdma_hints_t *hints)
{
    munmap((void *) hints->slot, slot_bytes(hints));
}

void grdma_hints_free(grdma_hints_t *hints)
{
    while (hints != NULL) {
        grdma_hints_t *older = hints->older;

        grdma_hints_discard(hints);
        hints = older;
    }
}

void grdma_hints_empty(grdma_hints_t *hints)
{
    for (size_t i = 0; i < (size_t) hints->buckets * GRDMA_HINT_BUCKET; i++) {
        if (atomic_load_explicit(&hints->slot[i], memory_order_relaxed) != 0) {
            atomic_store_explicit(&hints->slot[i], 0, memory_order_relaxed);
        }
    }
}

void grdma_hints_give_back(grdma_hints_t *hints)
{
    grdma_hints_empty(hints);
    madvise((void *) hints->slot, slot_bytes(hints), MADV_DONTNEED);
}
