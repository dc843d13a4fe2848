// SPDX-License-Identifier: GPL-2.0
/*
 * kdreg2: a test driver that speaks the interface of HPE's device of that name, so
 * that opalmem's component can be tested against a kernel's own news. Written from
 * the interface alone. This file: the module, opening and closing, read and poll.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kdreg2.h"

#define VERSION_WORD 0x416

static unsigned int first_generation;
module_param(first_generation, uint, 0644);
MODULE_PARM_DESC(first_generation, "Generation that a new context starts with, so that a test sees it wrap");

/* ---- Opening and closing ---- */

static struct kdreg2_context *new_context(void)
{
	struct kdreg2_context *context = kzalloc(sizeof(*context), GFP_KERNEL_ACCOUNT);

	if (!context)
		return NULL;
	context->notifier.ops = &kdreg2_notifier_ops;
	mutex_init(&context->config_lock);
	spin_lock_init(&context->lock);
	init_waitqueue_head(&context->wait);
	region_set_init(&context->set);
	INIT_LIST_HEAD(&context->events);
	context->free = KDREG2_DATA_END;
	context->next_generation = READ_ONCE(first_generation) & KDREG2_DATA_END;
	return context;
}

static int kdreg2_open(struct inode *inode, struct file *file)
{
	struct kdreg2_context *context;
	int ret;

	if (!current->mm)
		return -EINVAL;
	context = new_context();
	if (!context)
		return -ENOMEM;
	ret = kdreg2_window_open(&context->status_window, sizeof(*context->status));
	if (ret)
		goto err_context;
	context->status = context->status_window.memory;
	context->status->version = VERSION_WORD;
	/* A signal ends it. Nothing was waited for: the open is made again, and nobody sees it. */
	ret = mmu_notifier_register(&context->notifier, current->mm);
	if (ret)
		goto err_window;
	file->private_data = context;
	return nonseekable_open(inode, file);

err_window:
	kdreg2_window_close(&context->status_window, current->mm);
err_context:
	kfree(context);
	return ret == -EINTR ? -ERESTARTNOINTR : ret;
}

static int kdreg2_release(struct inode *inode, struct file *file)
{
	struct kdreg2_context *context = file->private_data;
	struct mm_struct *mm = context->notifier.mm;

	/* The structure has to outlive the notifier, which keeps the mm from being
	 * reused: the comparison below needs it. */
	mmgrab(mm);
	/* Afterwards no callback runs, and none comes. */
	mmu_notifier_unregister(&context->notifier, mm);
	kdreg2_forget_all(context);
	kdreg2_drop_events(context);
	kdreg2_window_close(&context->states_window, mm);
	kdreg2_window_close(&context->status_window, mm);
	mmdrop(mm);
	kfree(context);
	return 0;
}

/* ---- Events ---- */

static struct kdreg2_region *take_event(struct kdreg2_context *context, int *ret)
{
	struct kdreg2_region *region;

	spin_lock(&context->lock);
	region = list_first_entry_or_null(&context->events, struct kdreg2_region, region.event);
	*ret = context->overflowed ? -ENOSPC : -EAGAIN;
	if (context->overflowed)
		region = NULL;
	if (region) {
		list_del(&region->region.event);
		context->pending--;
		kdreg2_publish(context);
	}
	spin_unlock(&context->lock);
	return region;
}

static void put_back(struct kdreg2_context *context, struct kdreg2_region *region)
{
	spin_lock(&context->lock);
	list_add(&region->region.event, &context->events);
	context->pending++;
	kdreg2_publish(context);
	spin_unlock(&context->lock);
}

static int copy_event(char __user *to, const struct region *region)
{
	struct kdreg2_event event = {
		.type = KDREG2_MAPPING_CHANGE,
		.addr = region->range.start,
		.length = region->range.last - region->range.start + 1,
		.cookie = region->cookie,
	};

	return copy_to_user(to, &event, sizeof(event)) ? -EACCES : 0;
}

static bool has_news(struct kdreg2_context *context)
{
	return READ_ONCE(context->status->pending_events) || READ_ONCE(context->overflowed);
}

/* As many events as there are, or as fit. */
static ssize_t read_events(struct kdreg2_context *context, char __user *buffer, size_t size)
{
	ssize_t done = 0;
	int ret = 0;

	while (size - done >= sizeof(struct kdreg2_event)) {
		struct kdreg2_region *region = take_event(context, &ret);

		if (!region)
			break;
		ret = copy_event(buffer + done, &region->region);
		if (ret) {
			put_back(context, region);
			break;
		}
		kfree(region);
		done += sizeof(struct kdreg2_event);
	}
	return done ? done : ret;
}

static ssize_t kdreg2_read(struct file *file, char __user *buffer, size_t size, loff_t *offset)
{
	struct kdreg2_context *context = file->private_data;
	ssize_t ret;

	if (kdreg2_foreign(context))
		return -EBADF;
	if (size < sizeof(struct kdreg2_event))
		return -EINVAL;
	size = min_t(size_t, size, MAX_RW_COUNT);
	for (;;) {
		ret = read_events(context, buffer, size);
		if (ret != -EAGAIN || file->f_flags & O_NONBLOCK)
			return ret;
		if (wait_event_interruptible(context->wait, has_news(context)))
			return -ERESTARTSYS;
	}
}

static ssize_t kdreg2_write(struct file *file, const char __user *buffer, size_t size, loff_t *offset)
{
	return -EOPNOTSUPP;
}

static __poll_t kdreg2_poll(struct file *file, poll_table *table)
{
	struct kdreg2_context *context = file->private_data;

	if (kdreg2_foreign(context))
		return EPOLLERR | EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;
	poll_wait(file, &context->wait, table);
	return has_news(context) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* ---- Module ---- */

static const struct file_operations kdreg2_fops = {
	.owner = THIS_MODULE,
	.open = kdreg2_open,
	.release = kdreg2_release,
	.read = kdreg2_read,
	.write = kdreg2_write,
	.poll = kdreg2_poll,
	.unlocked_ioctl = kdreg2_ioctl,
	.llseek = no_llseek,
};

static struct miscdevice kdreg2_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kdreg2",
	.fops = &kdreg2_fops,
	.mode = 0666,
};
module_misc_device(kdreg2_device);

MODULE_DESCRIPTION("Test driver with the interface of /dev/kdreg2");
MODULE_AUTHOR("the opalmem authors");
MODULE_LICENSE("GPL");
