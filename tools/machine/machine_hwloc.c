/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine as hwloc sees it. */
#include <hwloc.h>
#include <stdio.h>
#include <unistd.h>

#include "opal/constants.h"
#include "tools/machine/machine.h"

static unsigned count(hwloc_topology_t topology, hwloc_obj_type_t type)
{
    int number = hwloc_get_nbobjs_by_type(topology, type);
    return number > 0 ? (unsigned) number : 0;
}

/* Keeps page_sizes rising and without doubles. */
static void add_page_size(machine_info_t *info, size_t size)
{
    unsigned at = 0;
    while (at < info->page_size_count && info->page_sizes[at] < size) {
        at++;
    }
    bool known = at < info->page_size_count && info->page_sizes[at] == size;
    if (known || size == 0 || info->page_size_count == MACHINE_PAGE_SIZE_MAX) {
        return;
    }
    for (unsigned i = info->page_size_count; i > at; i--) {
        info->page_sizes[i] = info->page_sizes[i - 1];
    }
    info->page_sizes[at] = size;
    info->page_size_count++;
}

static void read_node(hwloc_obj_t node, unsigned index, machine_info_t *info)
{
    const struct hwloc_numanode_attr_s *memory = &node->attr->numanode;
    if (index < MACHINE_NUMA_MAX) {
        info->numa_bytes[index] = memory->local_memory;
    }
    for (unsigned i = 0; i < memory->page_types_len; i++) {
        add_page_size(info, (size_t) memory->page_types[i].size);
    }
}

static void describe(hwloc_topology_t topology, machine_info_t *info)
{
    hwloc_obj_t root = hwloc_get_root_obj(topology);
    const char *version = hwloc_obj_get_info_by_name(root, "hwlocVersion");
    *info = (machine_info_t){
        .processors = count(topology, HWLOC_OBJ_PU),
        .cores = count(topology, HWLOC_OBJ_CORE),
        .numa_nodes = count(topology, HWLOC_OBJ_NUMANODE),
        /* Not the nodes' sum: memory plugged in at run time may be missing from theirs. */
        .memory_bytes = (uint64_t) sysconf(_SC_PHYS_PAGES) * (uint64_t) sysconf(_SC_PAGESIZE),
        .from_hwloc = true,
    };
    snprintf(info->version, sizeof info->version, "%s", version != NULL ? version : "");
    for (unsigned i = 0; i < info->numa_nodes; i++) {
        read_node(hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, i), i, info);
    }
}

int machine_read(machine_info_t *info)
{
    hwloc_topology_t topology;
    *info = (machine_info_t){ 0 };
    if (hwloc_topology_init(&topology) != 0) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    int rc = hwloc_topology_load(topology) == 0 ? OPAL_SUCCESS : OPAL_ERROR;
    if (rc == OPAL_SUCCESS) {
        describe(topology, info);
    }
    hwloc_topology_destroy(topology);
    return rc;
}
