// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls of the kdreg2 test driver: arguments are copied and checked here,
 * before the lock is taken. Codes are those of the device, which are not always those that one
 * would choose.
 */
#include <linux/compiler.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "kdreg2.h"

/* ---- CONFIG_DATA ---- */

static bool is_busy(struct kdreg2_context *context)
{
	return context->active || context->pending;
}

/* Of another size, if nobody has come meanwhile; then old has what there was. */
static int exchange(struct kdreg2_context *context, const struct kdreg2_window *new, u32 count,
		    struct kdreg2_window *old)
{
	int ret = -EBUSY;

	spin_lock(&context->lock);
	if (!is_busy(context)) {
		*old = context->states_window;
		context->states_window = *new;
		context->states = new->memory;
		context->max_regions = count;
		context->free = 0;
		kdreg2_publish(context);
		ret = 0;
	}
	spin_unlock(&context->lock);
	return ret;
}

static int resize(struct kdreg2_context *context, u32 count)
{
	struct kdreg2_window new, old;
	bool busy;
	int ret;

	spin_lock(&context->lock);
	busy = is_busy(context);
	spin_unlock(&context->lock);
	if (busy)
		return -EBUSY;
	ret = kdreg2_window_open(&new, (unsigned long)count * sizeof(u32));
	if (ret)
		return ret;
	kdreg2_states_init(new.memory, count);
	ret = exchange(context, &new, count, &old);
	kdreg2_window_close(ret ? &new : &old, context->notifier.mm);
	return ret;
}

static long config_data(struct kdreg2_context *context, void __user *arg)
{
	struct kdreg2_config config;
	int ret = 0;

	if (copy_from_user(&config, arg, sizeof(config)))
		return -EFAULT;
	if (config.max_regions >= KDREG2_DATA_END)
		return -ENOSPC;
	if (mutex_lock_interruptible(&context->config_lock))
		return -ERESTARTSYS;
	if (config.max_regions != context->max_regions)
		ret = config.max_regions ? resize(context, config.max_regions) : -EINVAL;
	mutex_unlock(&context->config_lock);
	if (ret)
		return ret;
	config.status = context->status_window.address;
	return copy_to_user(arg, &config, sizeof(config)) ? -EFAULT : 0;
}

/* ---- MONITOR, UNMONITOR ---- */

static struct kdreg2_region *new_region(const struct kdreg2_monitor *monitor)
{
	struct kdreg2_region *region;

	if (!monitor->length || monitor->cookie == U64_MAX || monitor->addr + (monitor->length - 1) < monitor->addr)
		return ERR_PTR(-EINVAL);
	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return ERR_PTR(-ENOMEM);
	region->region.range.start = monitor->addr;
	region->region.range.last = monitor->addr + (monitor->length - 1);
	region->region.cookie = monitor->cookie;
	return region;
}

/* The region of a cookie, if it is of that life of its location. Lock held. */
static struct kdreg2_region *find_exactly(struct kdreg2_context *context, u64 cookie,
					  const struct kdreg2_params *params, int *ret)
{
	struct region *found = region_find(&context->set, cookie);
	struct kdreg2_region *region = found ? container_of(found, struct kdreg2_region, region) : NULL;

	*ret = 0;
	if (region && (region->location != params->location || region->generation != params->generation)) {
		*ret = -EBADSLT;
		return NULL;
	}
	return region;
}

/* An unknown cookie is no error: its region may just have ended. */
static int forget(struct kdreg2_context *context, u64 cookie, const struct kdreg2_params *params)
{
	struct kdreg2_region *region;
	int ret = -EINVAL;

	spin_lock(&context->lock);
	if (params->location < context->max_regions) {
		region = find_exactly(context, cookie, params, &ret);
		if (region) {
			kdreg2_forget(context, region);
			kdreg2_publish(context);
		}
	}
	spin_unlock(&context->lock);
	return ret;
}

static long monitor_region(struct kdreg2_context *context, void __user *arg)
{
	struct kdreg2_monitor monitor;
	struct kdreg2_region *region;
	int ret;

	if (copy_from_user(&monitor, arg, sizeof(monitor)))
		return -EFAULT;
	region = new_region(&monitor);
	if (IS_ERR(region))
		return PTR_ERR(region);
	spin_lock(&context->lock);
	ret = kdreg2_insert(context, region);
	if (!ret || ret == -EEXIST)
		monitor.params = (struct kdreg2_params) {
			.location = region->location, .generation = region->generation,
		};
	if (!ret)
		kdreg2_publish(context);
	spin_unlock(&context->lock);
	/* From here on the region is the context's; another thread may have ended it. */
	if (ret)
		kfree(region);
	if (ret && ret != -EEXIST)
		return ret;
	if (!copy_to_user(arg, &monitor, sizeof(monitor)))
		return 0;
	/* Nobody knows the new region: it must not stay. */
	if (!ret)
		forget(context, monitor.cookie, &monitor.params);
	return -EFAULT;
}

static long unmonitor_region(struct kdreg2_context *context, void __user *arg)
{
	struct kdreg2_unmonitor unmonitor;

	if (copy_from_user(&unmonitor, arg, sizeof(unmonitor)))
		return -EFAULT;
	return forget(context, unmonitor.cookie, &unmonitor.params);
}

/* ---- The others ---- */

static long unmonitor_all(struct kdreg2_context *context)
{
	spin_lock(&context->lock);
	kdreg2_forget_all(context);
	kdreg2_publish(context);
	spin_unlock(&context->lock);
	return 0;
}

static long flush(struct kdreg2_context *context)
{
	spin_lock(&context->lock);
	kdreg2_drop_events(context);
	kdreg2_publish(context);
	spin_unlock(&context->lock);
	return 0;
}

static long dump_stats(struct kdreg2_context *context)
{
	u32 max_regions, active, pending;
	u64 total;

	spin_lock(&context->lock);
	max_regions = context->max_regions;
	active = context->active;
	pending = context->pending;
	total = context->total;
	spin_unlock(&context->lock);
	pr_info_ratelimited("kdreg2: task %d: %u of %u regions, %u events unread of %llu\n", current->pid, active,
			    max_regions, pending, total);
	return 0;
}

long kdreg2_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	struct kdreg2_context *context = file->private_data;
	void __user *user = (void __user *)arg;

	if (kdreg2_foreign(context))
		return -EBADF;
	switch (command) {
	case KDREG2_CONFIG_DATA:
		return arg ? config_data(context, user) : -EINVAL;
	case KDREG2_MONITOR:
		return arg ? monitor_region(context, user) : -EINVAL;
	case KDREG2_UNMONITOR:
		return arg ? unmonitor_region(context, user) : -EINVAL;
	case KDREG2_UNMONITOR_ALL:
		return unmonitor_all(context);
	case KDREG2_FLUSH:
		return flush(context);
	case KDREG2_DUMP_STATS:
		return dump_stats(context);
	default:
		return -ENOTTY;
	}
}
