/* SPDX-License-Identifier: BSD-3-Clause */
/* Of the kernel's interface, what headers older than the kernel do not have:
 * asynchronous write protection and PAGEMAP_SCAN (Linux 6.7), PROCMAP_QUERY
 * (6.11). */
#ifndef COMPONENTS_USERFAULTFD_USERFAULTFD_ABI_H
#define COMPONENTS_USERFAULTFD_USERFAULTFD_ABI_H

#include <stdint.h>
#include <sys/ioctl.h>

#define UFFD_ABI_USER_MODE_ONLY 1
#define UFFD_ABI_FEATURE_WP_ASYNC (UINT64_C(1) << 15)

typedef struct uffd_abi_scan_t {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
} uffd_abi_scan_t;

#define UFFD_ABI_PAGEMAP_SCAN _IOWR('f', 16, uffd_abi_scan_t)
#define UFFD_ABI_SCAN_CHECK_WPASYNC (UINT64_C(1) << 1)
#define UFFD_ABI_PAGE_IS_WPALLOWED (UINT64_C(1) << 0)

typedef struct uffd_abi_vma_t {
    uint64_t size, query_flags, query_addr;
    uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
    uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
    uint64_t vma_name_addr, build_id_addr;
} uffd_abi_vma_t;

#define UFFD_ABI_PROCMAP_QUERY _IOWR('f', 17, uffd_abi_vma_t)
#define UFFD_ABI_VMA_SHARED 0x08
#define UFFD_ABI_COVERING_OR_NEXT 0x10

#endif
