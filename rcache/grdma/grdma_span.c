/* SPDX-License-Identifier: BSD-3-Clause */
#include "rcache/grdma/grdma_span.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rcache/base/rcache_raw.h"

static uintptr_t round_up(uintptr_t value, size_t to)
{
    return (value + to - 1) & ~(uintptr_t) (to - 1);
}

/* Nobody can have used these addresses, so nobody is told: a release callback inside of the first registration of a thread
 * would be one that the caller, with a lock of the callback's held, does not expect. Who follows what is mapped keeps the
 * edges in his books until something else is mapped there. */
static void trim(uintptr_t from, uintptr_t to)
{
    if (from != to) {
        rcache_raw(SYS_munmap, (long) from, (long) (to - from), 0, 0, 0, 0);
    }
}

void *grdma_span_reserve(size_t size)
{
    const size_t alignment = size >= GRDMA_SPAN_ALIGNMENT ? GRDMA_SPAN_ALIGNMENT : (size_t) sysconf(_SC_PAGESIZE);
    const size_t page = (size_t) sysconf(_SC_PAGESIZE), length = round_up(size, page);
    const size_t wanted = length + alignment - page; /* A mapping begins at a page. */
    void *memory = mmap(NULL, wanted, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        return NULL;
    }
    const uintptr_t begin = (uintptr_t) memory, span = round_up(begin, alignment);
    trim(begin, span);
    trim(span + length, begin + wanted);
    return (void *) span;
}

bool grdma_span_open(void *span, size_t from, size_t to, size_t huge_from)
{
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    const uintptr_t first = (uintptr_t) span + (from & ~(page - 1)), end = (uintptr_t) span + round_up(to, page);

    if (mprotect((void *) first, end - first, PROT_READ | PROT_WRITE) != 0) {
        return false;
    }
#ifdef MADV_HUGEPAGE
    if (end - first >= huge_from) {
        madvise((void *) first, end - first, MADV_HUGEPAGE);
    }
#endif
    return true;
}
