// SPDX-License-Identifier: GPL-2.0
/*
 * Regions of the ummunotify test driver, and what happens to them. A region that
 * is hit is put into the list of events and stays in the set; hit again before it has been read, it
 * reports all of itself. The structure of the region is the event: the notifier
 * has nothing to allocate, never sleeps, and so need not ask whether it may.
 *
 * The list changes before the counter does, and both before the notifier returns:
 * who has seen munmap() return sees them.
 */
#include <linux/kernel.h>
#include <linux/poll.h>
#include <linux/slab.h>

#include "ummunotify.h"

static struct ummunotify_region *of_region(struct region *region)
{
	return container_of(region, struct ummunotify_region, region);
}

/* ---- Notifier ---- */

static void hit(struct ummunotify_context *context, struct region *region, unsigned long start, unsigned long last)
{
	struct ummunotify_region *changed = of_region(region);

	if (!list_empty(&region->event)) {
		changed->exact = false;
		return;
	}
	changed->exact = true;
	changed->hint_start = max(start, region->range.start);
	changed->hint_last = min(last, region->range.last);
	list_add_tail(&region->event, &context->events);
}

/* One step for a call, however many regions it has hit. */
static void count_up(struct ummunotify_context *context)
{
	smp_store_release(context->counter, *context->counter + 1);
}

static void tell(struct ummunotify_context *context)
{
	wake_up_interruptible_poll(&context->wait, EPOLLIN | EPOLLRDNORM);
	kill_fasync(&context->fasync, SIGIO, POLL_IN);
}

static int range_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct ummunotify_context *context = container_of(notifier, struct ummunotify_context, notifier);
	unsigned long start = range->start, last = notified_last(range);
	struct region *region, *first;

	spin_lock(&context->lock);
	context->set.under_way++;
	first = region_first(&context->set, start, last);
	for (region = first; region; region = region_next(region, start, last))
		hit(context, region, start, last);
	if (first)
		count_up(context);
	spin_unlock(&context->lock);
	if (first)
		tell(context);
	return 0;
}

static void range_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct ummunotify_context *context = container_of(notifier, struct ummunotify_context, notifier);
	unsigned long start = range->start, last = notified_last(range);
	struct region *region;
	bool any = false;

	spin_lock(&context->lock);
	list_for_each_entry(region, &context->set.young, young) {
		if (region_overlaps(region, start, last)) {
			hit(context, region, start, last);
			any = true;
		}
	}
	region_set_over(&context->set);
	if (any)
		count_up(context);
	spin_unlock(&context->lock);
	if (any)
		tell(context);
}

const struct mmu_notifier_ops ummunotify_notifier_ops = {
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
};

/* ---- Regions ---- */

long ummunotify_register(struct ummunotify_context *context, const struct ummunotify_register_ioctl *arg)
{
	struct ummunotify_region *new;
	bool known;

	if (arg->start >= arg->end || arg->flags || arg->reserved)
		return -EINVAL;
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	new->region.range.start = arg->start;
	new->region.range.last = arg->end - 1;
	new->region.cookie = arg->user_cookie;
	INIT_LIST_HEAD(&new->region.event);
	spin_lock(&context->lock);
	known = region_find(&context->set, arg->user_cookie);
	if (!known)
		region_add(&context->set, &new->region);
	spin_unlock(&context->lock);
	if (known)
		kfree(new);
	return known ? -EINVAL : 0;
}

/* An event of it that nobody has read goes with it; the counter stays as it is. */
static void forget(struct ummunotify_context *context, struct region *region)
{
	region_remove(&context->set, region);
	list_del(&region->event);
	kfree(of_region(region));
}

long ummunotify_unregister(struct ummunotify_context *context, u64 cookie)
{
	struct region *region;

	spin_lock(&context->lock);
	region = region_find(&context->set, cookie);
	if (region)
		forget(context, region);
	spin_unlock(&context->lock);
	return region ? 0 : -EINVAL;
}

void ummunotify_forget_all(struct ummunotify_context *context)
{
	struct region *region;

	while ((region = region_first(&context->set, 0, ULONG_MAX)))
		forget(context, region);
}

/* ---- Events ---- */

static void fill(struct ummunotify_event *event, const struct ummunotify_region *region)
{
	const struct interval_tree_node *range = &region->region.range;

	*event = (struct ummunotify_event) {
		.type = UMMUNOTIFY_EVENT_INVAL,
		.flags = region->exact ? UMMUNOTIFY_FLAG_HINT : 0,
		.hint_start = region->exact ? region->hint_start : range->start,
		.hint_end = (region->exact ? region->hint_last : range->last) + 1,
		.user_cookie_counter = region->region.cookie,
	};
}

int ummunotify_take(struct ummunotify_context *context, struct ummunotify_event *events, int count)
{
	struct region *region;
	int taken = 0;

	spin_lock(&context->lock);
	while (taken < count && (region = list_first_entry_or_null(&context->events, struct region, event))) {
		list_del_init(&region->event);
		fill(&events[taken++], of_region(region));
	}
	if (list_empty(&context->events) && (taken || context->owes_last)) {
		context->owes_last = taken == count;
		if (!context->owes_last)
			events[taken++] = (struct ummunotify_event) {
				.type = UMMUNOTIFY_EVENT_LAST, .user_cookie_counter = *context->counter,
			};
	}
	spin_unlock(&context->lock);
	return taken;
}

void ummunotify_put_back(struct ummunotify_context *context, const struct ummunotify_event *events, int count)
{
	struct region *region;
	int i;

	spin_lock(&context->lock);
	for (i = 0; i < count; i++) {
		if (events[i].type == UMMUNOTIFY_EVENT_LAST) {
			context->owes_last = true;
			continue;
		}
		/* Its owner may have unregistered it meanwhile. */
		region = region_find(&context->set, events[i].user_cookie_counter);
		if (!region)
			continue;
		of_region(region)->exact = false;
		if (list_empty(&region->event))
			list_add_tail(&region->event, &context->events);
	}
	spin_unlock(&context->lock);
}
