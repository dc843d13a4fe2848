// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that the driver writes and the opener reads, without a call: the status
 * and the states. It is mapped by the driver, not by the opener. The mapping is one
 * of a nameless file of its own: a mapping of the device would keep the device open
 * after close().
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "kdreg2.h"
#include "read_only.h"

/* What the nameless file has, and frees in the end. */
struct window_memory {
	void *memory;
	unsigned long pages;
};

static vm_fault_t window_fault(struct vm_fault *vmf)
{
	const struct window_memory *of = vmf->vma->vm_file->private_data;
	struct page *page;

	if (vmf->pgoff >= of->pages)
		return VM_FAULT_SIGBUS;
	page = vmalloc_to_page(of->memory + (vmf->pgoff << PAGE_SHIFT));
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct window_vm_ops = {
	.fault = window_fault,
};

static int window_mmap(struct file *file, struct vm_area_struct *vma)
{
	const struct window_memory *of = file->private_data;

	if (vma->vm_pgoff || vma_pages(vma) > of->pages)
		return -EINVAL;
	vma->vm_ops = &window_vm_ops;
	return map_read_only(vma);
}

static struct window_memory *memory_new(unsigned long size)
{
	struct window_memory *of = kzalloc(sizeof(*of), GFP_KERNEL_ACCOUNT);

	if (!of)
		return NULL;
	of->pages = size >> PAGE_SHIFT;
	of->memory = __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	if (of->memory)
		return of;
	kfree(of);
	return NULL;
}

static void memory_free(struct window_memory *of)
{
	vfree(of->memory);
	kfree(of);
}

static int window_release(struct inode *inode, struct file *file)
{
	memory_free(file->private_data);
	return 0;
}

static const struct file_operations window_fops = {
	.owner = THIS_MODULE,
	.mmap = window_mmap,
	.release = window_release,
};

int kdreg2_window_open(struct kdreg2_window *window, unsigned long size)
{
	struct window_memory *of;
	unsigned long address;
	struct file *file;

	size = PAGE_ALIGN(size);
	of = memory_new(size);
	if (!of)
		return -ENOMEM;
	file = anon_inode_getfile("[kdreg2]", &window_fops, of, O_RDONLY);
	if (IS_ERR(file)) {
		memory_free(of);
		return PTR_ERR(file);
	}
	address = vm_mmap(file, 0, size, PROT_READ, MAP_SHARED, 0);
	if (IS_ERR_VALUE(address)) {
		fput(file);
		return address;
	}
	*window = (struct kdreg2_window) {
		.file = file, .memory = of->memory, .address = address, .size = size,
	};
	return 0;
}

/* The opener may have ended the mapping, and put another one there. */
static bool is_mapped(const struct kdreg2_window *window)
{
	struct vm_area_struct *vma;
	bool found;

	mmap_read_lock(current->mm);
	vma = find_vma(current->mm, window->address);
	found = vma && vma->vm_file == window->file && vma->vm_start == window->address &&
		vma->vm_end == window->address + window->size;
	mmap_read_unlock(current->mm);
	return found;
}

void kdreg2_window_close(struct kdreg2_window *window, struct mm_struct *owner)
{
	if (!window->file)
		return;
	/* An exiting task has no mm any more, and its mappings are gone. */
	if (current->mm && current->mm == owner && is_mapped(window))
		vm_munmap(window->address, window->size);
	fput(window->file);
	window->file = NULL;
}
