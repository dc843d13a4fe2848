/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tools know about the machine they run on: processors, memory, page
 * sizes. One of two files implements it: machine_hwloc.c (with hwloc) or
 * machine_none.c (sysconf and /sys). The library itself does not use this. */
#ifndef TOOLS_MACHINE_MACHINE_H
#define TOOLS_MACHINE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_NUMA_MAX 64
#define MACHINE_PAGE_SIZE_MAX 8

/** A machine, as far as this process may see it. Unknown numbers are 0. */
typedef struct machine_info_t {
    unsigned processors; /**< Hardware threads, without those that the cgroup forbids; bound or not. */
    unsigned cores;
    unsigned numa_nodes; /**< May exceed MACHINE_NUMA_MAX: the rest has no entry in numa_bytes. */
    uint64_t numa_bytes[MACHINE_NUMA_MAX];
    size_t page_sizes[MACHINE_PAGE_SIZE_MAX]; /**< Rising; the first is that of plain memory. */
    unsigned page_size_count;
    uint64_t memory_bytes;
    bool from_hwloc;
    char version[32]; /**< Of hwloc as it runs; "" without it. */
} machine_info_t;

/** Describe this machine.
 *
 * @param[out] info  Filled on success, zeroed on error.
 * @retval OPAL_SUCCESS
 * @retval OPAL_ERR_OUT_OF_RESOURCE  No memory.
 * @retval OPAL_ERROR                hwloc cannot read the topology; errno says why.
 * Prints nothing. Not from hook context.
 */
int machine_read(machine_info_t *info);

#endif
