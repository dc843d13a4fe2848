/* SPDX-License-Identifier: BSD-3-Clause */
/* What shmdt takes away. The kernel's rule (ipc/shm.c): from the address on,
 * the first mapping of a System V segment that lies as far behind the address
 * as it lies within its segment names the segment; it and all further mappings
 * of that segment with that property go. Some of them may have been unmapped
 * before, and something else be there. Hook context. */
#include "components/linux/linux.h"

typedef struct attached_t {
    uintptr_t addr;
    uint64_t device, inode;
    size_t count;
    opal_mem_hooks_range_t *ranges;
} attached_t;

/* The last range takes what exceeds the table, with what lies between. */
static void add_part(attached_t *attached, const linux_mapping_t *mapping)
{
    opal_mem_hooks_range_t *last = &attached->ranges[attached->count == 0 ? 0 : attached->count - 1];
    const bool is_adjacent = attached->count != 0 && last->start + last->length == mapping->start;

    if (is_adjacent || attached->count == OPAL_MEM_HOOKS_WINDOW_RANGES) {
        last->length = mapping->end - last->start;
        return;
    }
    attached->ranges[attached->count].start = mapping->start;
    attached->ranges[attached->count].length = mapping->end - mapping->start;
    attached->count++;
}

static void visit_mapping(const linux_mapping_t *mapping, void *arg)
{
    attached_t *attached = arg;

    if (!mapping->is_sysv || mapping->start < attached->addr
        || mapping->start - attached->addr != mapping->offset) {
        return;
    }
    if (attached->count == 0) {
        attached->device = mapping->device;
        attached->inode = mapping->inode;
    }
    if (mapping->inode == attached->inode && mapping->device == attached->device) {
        add_part(attached, mapping);
    }
}

size_t linux_shm_attached(uintptr_t addr, opal_mem_hooks_range_t out[OPAL_MEM_HOOKS_WINDOW_RANGES])
{
    attached_t attached = { .addr = addr, .ranges = out };

    if (addr % LINUX_PAGE != 0 || addr >= linux_facts.address_end) {
        return 0;
    }
    if (!linux_maps_each(visit_mapping, &attached)) {
        out[0].start = addr;
        out[0].length = linux_facts.address_end - addr;
        return 1;
    }
    return attached.count;
}
