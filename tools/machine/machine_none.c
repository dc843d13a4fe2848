/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine as seen without hwloc: sysconf and /sys. Cores and NUMA nodes
 * stay unknown. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "opal/constants.h"
#include "tools/machine/machine.h"

static uint64_t positive(long value)
{
    return value > 0 ? (uint64_t) value : 0;
}

static int compare_sizes(const void *a, const void *b)
{
    size_t left = *(const size_t *) a, right = *(const size_t *) b;
    return (left > right) - (left < right);
}

/* Each size has a folder hugepages-<kB>kB; without huge pages in the kernel there is none. */
static void add_huge_pages(machine_info_t *info)
{
    DIR *folder = opendir("/sys/kernel/mm/hugepages");
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        size_t kilobytes;
        if (sscanf(entry->d_name, "hugepages-%zukB", &kilobytes) == 1
            && info->page_size_count < MACHINE_PAGE_SIZE_MAX) {
            info->page_sizes[info->page_size_count++] = kilobytes * 1024;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    qsort(info->page_sizes, info->page_size_count, sizeof info->page_sizes[0], compare_sizes);
}

int machine_read(machine_info_t *info)
{
    size_t page_size = (size_t) positive(sysconf(_SC_PAGESIZE));
    *info = (machine_info_t){
        .processors = (unsigned) positive(sysconf(_SC_NPROCESSORS_ONLN)),
        .memory_bytes = positive(sysconf(_SC_PHYS_PAGES)) * page_size,
        .page_sizes = { page_size },
        .page_size_count = 1,
    };
    add_huge_pages(info);
    return OPAL_SUCCESS;
}
