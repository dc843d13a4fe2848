// SPDX-License-Identifier: GPL-2.0
/*
 * ummunotify: a test driver that speaks the interface which was proposed under that
 * name, so that opalmem's component can be tested against a kernel's own news. Written
 * from the interface alone. This file: the module and the calls of an open file.
 */
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "read_only.h"
#include "ummunotify.h"

static bool foreign(const struct ummunotify_context *context)
{
	return current->mm != context->notifier.mm;
}

/* ---- Opening and closing ---- */

static struct ummunotify_context *new_context(void)
{
	struct ummunotify_context *context = kzalloc(sizeof(*context), GFP_KERNEL_ACCOUNT);

	if (!context)
		return NULL;
	context->page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!context->page) {
		kfree(context);
		return NULL;
	}
	context->counter = page_address(context->page);
	context->notifier.ops = &ummunotify_notifier_ops;
	spin_lock_init(&context->lock);
	init_waitqueue_head(&context->wait);
	region_set_init(&context->set);
	INIT_LIST_HEAD(&context->events);
	return context;
}

static void free_context(struct ummunotify_context *context)
{
	/* Not freed at once if a fork child still maps it. */
	put_page(context->page);
	kfree(context);
}

static int ummunotify_open(struct inode *inode, struct file *file)
{
	struct ummunotify_context *context;
	int ret;

	if (file->f_mode & FMODE_WRITE || !current->mm)
		return -EINVAL;
	context = new_context();
	if (!context)
		return -ENOMEM;
	ret = mmu_notifier_register(&context->notifier, current->mm);
	if (ret) {
		free_context(context);
		/* A signal came. Nothing was waited for: the open is made again, and nobody sees it. */
		return ret == -EINTR ? -ERESTARTNOINTR : ret;
	}
	file->private_data = context;
	return nonseekable_open(inode, file);
}

static int ummunotify_release(struct inode *inode, struct file *file)
{
	struct ummunotify_context *context = file->private_data;

	/* Afterwards no callback runs, and none comes. */
	mmu_notifier_unregister(&context->notifier, context->notifier.mm);
	ummunotify_forget_all(context);
	free_context(context);
	return 0;
}

/* ---- Calls ---- */

static ssize_t read_some(struct ummunotify_context *context, char __user *buffer, int count)
{
	struct ummunotify_event *events = kmalloc_array(count, sizeof(*events), GFP_KERNEL_ACCOUNT);
	ssize_t ret;
	int taken;

	if (!events)
		return -ENOMEM;
	taken = ummunotify_take(context, events, count);
	ret = taken ? taken * (ssize_t)sizeof(*events) : -EAGAIN;
	if (taken && copy_to_user(buffer, events, ret)) {
		ummunotify_put_back(context, events, taken);
		ret = -EFAULT;
	}
	kfree(events);
	return ret;
}

static ssize_t ummunotify_read(struct file *file, char __user *buffer, size_t size, loff_t *offset)
{
	struct ummunotify_context *context = file->private_data;
	size_t count = min_t(size_t, size / sizeof(struct ummunotify_event), UMMUNOTIFY_EVENTS_A_READ);
	ssize_t ret;

	if (foreign(context))
		return -EBADF;
	if (!count)
		return -EINVAL;
	for (;;) {
		ret = read_some(context, buffer, count);
		if (ret != -EAGAIN || file->f_flags & O_NONBLOCK)
			return ret;
		if (wait_event_interruptible(context->wait, ummunotify_has_news(context)))
			return -ERESTARTSYS;
	}
}

static __poll_t ummunotify_poll(struct file *file, poll_table *table)
{
	struct ummunotify_context *context = file->private_data;

	if (foreign(context))
		return EPOLLERR;
	poll_wait(file, &context->wait, table);
	return ummunotify_has_news(context) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int ummunotify_fasync(int fd, struct file *file, int on)
{
	struct ummunotify_context *context = file->private_data;

	return fasync_helper(fd, file, on, &context->fasync);
}

static int ummunotify_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct ummunotify_context *context = file->private_data;
	int ret;

	if (foreign(context))
		return -EBADF;
	if (vma->vm_pgoff || vma_pages(vma) != 1)
		return -EINVAL;
	ret = map_read_only(vma);
	return ret ? ret : vm_insert_page(vma, vma->vm_start, context->page);
}

static long exchange_features(void __user *arg)
{
	u32 features;

	if (copy_from_user(&features, arg, sizeof(features)))
		return -EFAULT;
	features = 0; /* None has been defined. */
	return copy_to_user(arg, &features, sizeof(features)) ? -EFAULT : 0;
}

static long ummunotify_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	struct ummunotify_context *context = file->private_data;
	void __user *user = (void __user *)arg;
	struct ummunotify_register_ioctl region;
	u64 cookie;

	if (foreign(context))
		return -EBADF;
	switch (command) {
	case UMMUNOTIFY_EXCHANGE_FEATURES:
		return exchange_features(user);
	case UMMUNOTIFY_REGISTER:
		if (copy_from_user(&region, user, sizeof(region)))
			return -EFAULT;
		return ummunotify_register(context, &region);
	case UMMUNOTIFY_UNREGISTER:
		if (copy_from_user(&cookie, user, sizeof(cookie)))
			return -EFAULT;
		return ummunotify_unregister(context, cookie);
	default:
		return -ENOTTY;
	}
}

/* ---- Module ---- */

static const struct file_operations ummunotify_fops = {
	.owner = THIS_MODULE,
	.open = ummunotify_open,
	.release = ummunotify_release,
	.read = ummunotify_read,
	.poll = ummunotify_poll,
	.fasync = ummunotify_fasync,
	.mmap = ummunotify_mmap,
	.unlocked_ioctl = ummunotify_ioctl,
	.llseek = no_llseek,
};

static struct miscdevice ummunotify_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ummunotify",
	.fops = &ummunotify_fops,
	.mode = 0444,
};
module_misc_device(ummunotify_device);

MODULE_DESCRIPTION("Test driver with the interface of /dev/ummunotify");
MODULE_AUTHOR("the opalmem authors");
MODULE_LICENSE("GPL");
