/* SPDX-License-Identifier: BSD-3-Clause */
/* Arrays that grow in place: addresses are reserved for all that may ever be, and memory comes from the front on. So where an
 * element lies never changes, and is one addition away. Addresses are no memory; where they are scarce (RLIMIT_AS, those
 * that are locked at once) a cache reserves fewer. Pages of their own, for the reason that grdma_thread.c gives. */
#ifndef RCACHE_GRDMA_GRDMA_SPAN_H
#define RCACHE_GRDMA_GRDMA_SPAN_H

#include <stdbool.h>
#include <stddef.h>

/** Where a span of at least so many bytes begins: at a multiple of a huge page's size, where that is 2 MiB. */
#define GRDMA_SPAN_ALIGNMENT ((size_t) 2 << 20)

/** Reserve addresses for `size` bytes, which nobody may touch yet. Not from hook context.
 * @return its beginning; NULL: there are not so many. To be unmapped whole. */
void *grdma_span_reserve(size_t size);

/** Have memory, zero, from byte `from` on to byte `to`, rounded to pages; what is there already stays as it is. Any number of
 * threads may do so at once. Not from hook context.
 * @param[in] huge_from  In huge pages, if it is at least so many bytes. @return false: no memory. */
bool grdma_span_open(void *span, size_t from, size_t to, size_t huge_from);

#endif
