/* SPDX-License-Identifier: BSD-3-Clause */
/* Questions to the kernel. */
#include "components/userfaultfd/userfaultfd_kernel.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>

#include "components/userfaultfd/userfaultfd_abi.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "opal/constants.h"

static int refuse(uffd_fault_t *fault, const char *what, long result)
{
    fault->what = what;
    fault->error = (int) -result;
    return OPAL_ERR_NOT_AVAILABLE;
}

static int open_events(uffd_kernel_t *kernel, uint64_t features, uffd_fault_t *fault)
{
    struct uffdio_api api = { .api = UFFD_API, .features = features | UFFD_ABI_FEATURE_WP_ASYNC };
    long rc = UFFD_SYS(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_ABI_USER_MODE_ONLY);

    if (rc < 0) {
        return refuse(fault, "userfaultfd", rc);
    }
    kernel->events = uffd_file_own((int) rc);
    rc = uffd_sys_ioctl(kernel->events.fd, UFFDIO_API, &api);
    return rc < 0 ? refuse(fault, "UFFDIO_API", rc) : OPAL_SUCCESS;
}

static int open_proc(uffd_file_t *file, const char *path, uffd_fault_t *fault)
{
    const long rc = uffd_sys_open(path);

    if (rc < 0) {
        return refuse(fault, path, rc);
    }
    *file = uffd_file_own((int) rc);
    return OPAL_SUCCESS;
}

int uffd_kernel_open(uffd_kernel_t *kernel, uint64_t features, uffd_fault_t *fault)
{
    *kernel = (uffd_kernel_t) UFFD_NO_KERNEL;
    int rc = open_events(kernel, features, fault);
    if (rc == OPAL_SUCCESS) {
        rc = open_proc(&kernel->pagemap, "/proc/self/pagemap", fault);
    }
    if (rc == OPAL_SUCCESS) {
        rc = open_proc(&kernel->maps, "/proc/self/maps", fault);
    }
    if (rc != OPAL_SUCCESS) {
        uffd_kernel_close(kernel);
    }
    return rc;
}

void uffd_kernel_close(uffd_kernel_t *kernel)
{
    uffd_file_close(&kernel->events);
    uffd_file_close(&kernel->pagemap);
    uffd_file_close(&kernel->maps);
}

int uffd_kernel_register(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end)
{
    struct uffdio_register registration = { .range = { start, end - start }, .mode = UFFDIO_REGISTER_MODE_WP };

    return (int) uffd_sys_ioctl(kernel->events.fd, UFFDIO_REGISTER, &registration);
}

int uffd_kernel_unregister(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end)
{
    const struct uffdio_range range = { start, end - start };

    return (int) uffd_sys_ioctl(kernel->events.fd, UFFDIO_UNREGISTER, &range);
}

/* mmap_changing is looked at before the argument. An address that is none is refused before any lock is taken; a NULL argument
 * would do as well, but for the page fault that it costs (0.7 us). */
uffd_busy_t uffd_kernel_busy(const uffd_kernel_t *kernel)
{
    static const struct uffdio_writeprotect nothing = { .range = { .start = 1, .len = 0 } };

    switch (uffd_sys_ioctl(kernel->events.fd, UFFDIO_WRITEPROTECT, &nothing)) {
    case -EINVAL: return UFFD_CALM;
    case -EAGAIN: return UFFD_BUSY;
    default: return UFFD_LOST;
    }
}

/* Asks for pages whose mapping is not registered: the walk skips the others as a whole, and ends with EPERM at such a one. */
bool uffd_kernel_tagged(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end)
{
    uffd_abi_scan_t scan = {
        .size = sizeof(scan),
        .flags = UFFD_ABI_SCAN_CHECK_WPASYNC,
        .start = start,
        .end = end,
        .max_pages = 1,
        .category_inverted = UFFD_ABI_PAGE_IS_WPALLOWED,
        .category_mask = UFFD_ABI_PAGE_IS_WPALLOWED,
    };

    return uffd_sys_ioctl(kernel->pagemap.fd, UFFD_ABI_PAGEMAP_SCAN, &scan) == 0;
}

bool uffd_kernel_protects_others;

/* Before Linux 6.17 what another userfaultfd has registered is unregistered, too. To register once more does nothing to what is
 * ours, and is refused for what is not. */
void uffd_kernel_give_up(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end)
{
    if (uffd_kernel_protects_others || uffd_kernel_register(kernel, start, end) == 0) {
        uffd_kernel_unregister(kernel, start, end);
    }
}

void uffd_kernel_give_back(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end)
{
    if (uffd_kernel_tagged(kernel, start, end)) {
        uffd_kernel_give_up(kernel, start, end);
    }
}

/* MS_ASYNC does nothing since 2.6.19 but to look whether all is mapped. */
bool uffd_kernel_has_hole(uintptr_t start, uintptr_t end)
{
    return UFFD_SYS(SYS_msync, (long) start, (long) (end - start), MS_ASYNC) == -ENOMEM;
}

bool uffd_kernel_vma(const uffd_kernel_t *kernel, uintptr_t addr, uffd_vma_t *vma)
{
    char name[256] = "";
    uffd_abi_vma_t query = { .size = sizeof(query),
                             .query_flags = UFFD_ABI_COVERING_OR_NEXT,
                             .query_addr = addr,
                             .vma_name_addr = (uintptr_t) name,
                             .vma_name_size = sizeof(name) };
    const long rc = uffd_sys_ioctl(kernel->maps.fd, UFFD_ABI_PROCMAP_QUERY, &query);

    if (rc == -ENOTTY || rc == -ENAMETOOLONG) {
        return uffd_maps_find(addr, vma);
    }
    *vma = (uffd_vma_t){ .start = query.vma_start,
                         .end = query.vma_end,
                         .is_shared = (query.vma_flags & UFFD_ABI_VMA_SHARED) != 0,
                         .is_file = uffd_maps_is_file(name) };
    vma->memory =
        uffd_maps_memory(vma, query.vma_offset, (uint64_t) query.dev_major << 32 | query.dev_minor, query.inode);
    return rc == 0;
}
