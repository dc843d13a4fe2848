/* SPDX-License-Identifier: BSD-3-Clause */
/* What linux_ranges.c and linux_mremap.c share. Hook context. */
#ifndef COMPONENTS_LINUX_LINUX_RANGES_H
#define COMPONENTS_LINUX_LINUX_RANGES_H

#include "components/linux/linux.h"

static inline bool linux_is_aligned(uintptr_t address)
{
    return (address & (LINUX_PAGE - 1)) == 0;
}

/** length, rounded to pages, may have become 0 by wrapping. */
static inline bool linux_is_user_range(uintptr_t start, uintptr_t length)
{
    return length != 0 && start <= linux_facts.address_end && length <= linux_facts.address_end - start;
}

/** Append a range, unless no mapping can be there. @return the new count. */
static inline size_t linux_add_range(opal_mem_hooks_range_t *out, size_t count, uintptr_t start, uintptr_t length)
{
    if (!linux_is_user_range(start, length)) {
        return count;
    }
    out[count].start = start;
    out[count].length = length;
    return count + 1;
}

#endif
