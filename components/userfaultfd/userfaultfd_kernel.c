/* SPDX-License-Identifier: BSD-3-Clause */
/* Questions to the kernel. */
#include "components/userfaultfd/userfaultfd_kernel.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "components/userfaultfd/userfaultfd_abi.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "opal/constants.h"

/* Programs close or reuse low numbers without asking. */
int uffd_kernel_moved_high(int fd)
{
    struct rlimit limit;

    if (fd < 0 || getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return fd;
    }
    const long top = limit.rlim_cur < 65536 ? (long) limit.rlim_cur : 65536;
    const long high = top < 64 ? -1 : UFFD_SYS(SYS_fcntl, fd, F_DUPFD_CLOEXEC, top - top / 16);
    if (high < 0) {
        return fd;
    }
    uffd_sys_close(fd);
    return (int) high;
}

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
    kernel->events = (int) rc;
    rc = uffd_sys_ioctl(kernel->events, UFFDIO_API, &api);
    if (rc < 0) {
        return refuse(fault, "UFFDIO_API", rc);
    }
    kernel->events = uffd_kernel_moved_high(kernel->events);
    return OPAL_SUCCESS;
}

static int open_proc(int *fd, const char *path, uffd_fault_t *fault)
{
    const long rc = uffd_sys_open(path);

    if (rc < 0) {
        return refuse(fault, path, rc);
    }
    *fd = uffd_kernel_moved_high((int) rc);
    return OPAL_SUCCESS;
}

int uffd_kernel_open(uffd_kernel_t *kernel, uint64_t features, uffd_fault_t *fault)
{
    *kernel = (uffd_kernel_t){ -1, -1, -1 };
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

static void close_one(int *fd)
{
    if (*fd >= 0) {
        uffd_sys_close(*fd);
        *fd = -1;
    }
}

void uffd_kernel_close(uffd_kernel_t *kernel)
{
    close_one(&kernel->events);
    close_one(&kernel->pagemap);
    close_one(&kernel->maps);
}

int uffd_kernel_register(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end)
{
    struct uffdio_register registration = { .range = { start, end - start }, .mode = UFFDIO_REGISTER_MODE_WP };

    return (int) uffd_sys_ioctl(kernel->events, UFFDIO_REGISTER, &registration);
}

int uffd_kernel_unregister(const uffd_kernel_t *kernel, uintptr_t start, uintptr_t end)
{
    const struct uffdio_range range = { start, end - start };

    return (int) uffd_sys_ioctl(kernel->events, UFFDIO_UNREGISTER, &range);
}

/* mmap_changing is looked at before the argument. An address that is none is refused before any lock is taken; a NULL argument
 * would do as well, but for the page fault that it costs (0.7 us). */
uffd_busy_t uffd_kernel_busy(const uffd_kernel_t *kernel)
{
    static const struct uffdio_writeprotect nothing = { .range = { .start = 1, .len = 0 } };

    switch (uffd_sys_ioctl(kernel->events, UFFDIO_WRITEPROTECT, &nothing)) {
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

    return uffd_sys_ioctl(kernel->pagemap, UFFD_ABI_PAGEMAP_SCAN, &scan) == 0;
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
    const long rc = uffd_sys_ioctl(kernel->maps, UFFD_ABI_PROCMAP_QUERY, &query);

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
