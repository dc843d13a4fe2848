/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A mapping that its process reads, and can neither make writable later, nor
 * extend. In mmap of both test drivers.
 */
#ifndef TEST_KERNEL_READ_ONLY_H
#define TEST_KERNEL_READ_ONLY_H

#include <linux/mm.h>
#include <linux/version.h>

static inline int map_read_only(struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_WRITE)
		return -EINVAL;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE);
#else
	vma->vm_flags = (vma->vm_flags | VM_DONTEXPAND | VM_DONTDUMP) & ~VM_MAYWRITE;
#endif
	return 0;
}

#endif
