// SPDX-License-Identifier: GPL-2.0
/*
 * Regions of the kdreg2 test driver: their words in the states, their end by the
 * notifier, their events. One change of the mapping ends a region: it leaves the set, its word
 * changes, and its structure becomes the event, so that the notifier has nothing
 * to allocate.
 *
 * Words change before the counters do, all before the notifier returns: who has seen
 * munmap() return sees them.
 */
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "kdreg2.h"

/* Regions that are ended without letting go of the lock. */
#define BATCH 64

/* ---- Words and counters ---- */

void kdreg2_states_init(u32 *states, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		states[i] = (i + 1 < count ? i + 1 : KDREG2_DATA_END) << 1;
}

static u32 new_generation(struct kdreg2_context *context)
{
	u32 generation = context->next_generation;

	context->next_generation = (generation + 1) & KDREG2_DATA_END;
	return generation << 1 | KDREG2_IN_USE;
}

static void free_location(struct kdreg2_context *context, u32 location)
{
	WRITE_ONCE(context->states[location], context->free << 1);
	context->free = location;
}

void kdreg2_publish(struct kdreg2_context *context)
{
	struct kdreg2_status *status = context->status;

	WRITE_ONCE(status->max_regions, context->max_regions);
	WRITE_ONCE(status->states, context->states_window.address);
	WRITE_ONCE(status->active_regions, context->active);
	WRITE_ONCE(status->pending_events, context->pending);
	/* After the words: who sees the count sees what was counted. */
	smp_store_release(&status->total_events, context->total);
}

/* ---- Regions ---- */

/* On success, or if an equal one is there (-EEXIST), the location and generation are filled in. */
int kdreg2_insert(struct kdreg2_context *context, struct kdreg2_region *region)
{
	struct region *same = region_find(&context->set, region->region.cookie);

	if (same) {
		struct kdreg2_region *other = container_of(same, struct kdreg2_region, region);

		if (same->range.start != region->region.range.start || same->range.last != region->region.range.last)
			return -EBUSY;
		region->location = other->location;
		region->generation = other->generation;
		return -EEXIST;
	}
	if (context->free == KDREG2_DATA_END)
		return -ENOSPC;
	region->location = context->free;
	region->generation = new_generation(context);
	context->free = context->states[region->location] >> 1;
	WRITE_ONCE(context->states[region->location], region->generation);
	region_add(&context->set, &region->region);
	context->active++;
	return 0;
}

/* It leaves the set and loses its word; the structure is the caller's. */
static void take_out(struct kdreg2_context *context, struct kdreg2_region *region)
{
	region_remove(&context->set, &region->region);
	free_location(context, region->location);
	context->active--;
}

void kdreg2_forget(struct kdreg2_context *context, struct kdreg2_region *region)
{
	take_out(context, region);
	kfree(region);
}

void kdreg2_forget_all(struct kdreg2_context *context)
{
	struct region *region;

	while ((region = region_first(&context->set, 0, ULONG_MAX)))
		kdreg2_forget(context, container_of(region, struct kdreg2_region, region));
}

void kdreg2_drop_events(struct kdreg2_context *context)
{
	struct kdreg2_region *region, *next;

	list_for_each_entry_safe(region, next, &context->events, region.event)
		kfree(region);
	INIT_LIST_HEAD(&context->events);
	context->pending = 0;
	context->overflowed = false;
}

/* ---- Notifier ---- */

static void end_region(struct kdreg2_context *context, struct region *region)
{
	struct kdreg2_region *ended = container_of(region, struct kdreg2_region, region);

	take_out(context, ended);
	if (context->pending < context->max_regions) {
		list_add_tail(&region->event, &context->events);
		context->pending++;
		context->total++;	/* not of those that are lost: their words alone tell */
		return;
	}
	context->overflowed = true;
	kfree(ended);
}

/* Ends some of the regions in the range. Were there as many as one batch may have? */
static bool end_some(struct kdreg2_context *context, unsigned long start, unsigned long last)
{
	struct region *region;
	int ended = 0;

	while (ended < BATCH && (region = region_first(&context->set, start, last))) {
		end_region(context, region);
		ended++;
	}
	if (ended)
		kdreg2_publish(context);
	return ended == BATCH;
}

static void wake(struct kdreg2_context *context)
{
	if (READ_ONCE(context->status->pending_events))
		wake_up_interruptible_poll(&context->wait, EPOLLIN | EPOLLRDNORM);
}

static int range_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct kdreg2_context *context = container_of(notifier, struct kdreg2_context, notifier);
	bool more;

	spin_lock(&context->lock);
	context->set.under_way++;
	while ((more = end_some(context, range->start, notified_last(range)))) {
		/* What is added meanwhile is young: the end takes it. */
		spin_unlock(&context->lock);
		if (mmu_notifier_range_blockable(range))
			cond_resched();
		spin_lock(&context->lock);
	}
	spin_unlock(&context->lock);
	wake(context);
	return 0;
}

static void range_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct kdreg2_context *context = container_of(notifier, struct kdreg2_context, notifier);
	struct region *region, *next;
	bool ended = false;

	spin_lock(&context->lock);
	list_for_each_entry_safe(region, next, &context->set.young, young) {
		if (region_overlaps(region, range->start, notified_last(range))) {
			end_region(context, region);
			ended = true;
		}
	}
	region_set_over(&context->set);
	if (ended)
		kdreg2_publish(context);
	spin_unlock(&context->lock);
	if (ended)
		wake(context);
}

const struct mmu_notifier_ops kdreg2_notifier_ops = {
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
};
