/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The regions that one open file watches: found by range for the notifier, by
 * cookie for the caller. Both test drivers keep theirs here. The set takes no lock
 * and allocates nothing: its owner's spinlock protects all of it.
 *
 * A notifier is called when pages are about to go (start) and when they are
 * gone (end). A region that was added between the two may have been pinned with
 * the old pages, and nobody has told it so: such regions are "young", and the end
 * has to look at them again.
 */
#ifndef TEST_KERNEL_REGION_SET_H
#define TEST_KERNEL_REGION_SET_H

#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/rbtree.h>

struct region {
	struct interval_tree_node range;	/* start, last: both belong to it */
	struct rb_node by_cookie;
	struct list_head young;		/* in the set's list, or empty */
	struct list_head event;		/* the driver's own list of events */
	u64 cookie;
};

struct region_set {
	struct rb_root_cached ranges;
	struct rb_root cookies;
	struct list_head young;
	unsigned int under_way;		/* starts without their end */
};

static inline void region_set_init(struct region_set *set)
{
	set->ranges = RB_ROOT_CACHED;
	set->cookies = RB_ROOT;
	INIT_LIST_HEAD(&set->young);
	set->under_way = 0;
}

static inline struct region *region_of_node(struct interval_tree_node *node)
{
	return node ? container_of(node, struct region, range) : NULL;
}

static inline struct region *region_find(struct region_set *set, u64 cookie)
{
	struct rb_node *node = set->cookies.rb_node;

	while (node) {
		struct region *region = rb_entry(node, struct region, by_cookie);

		if (region->cookie == cookie)
			return region;
		node = cookie < region->cookie ? node->rb_left : node->rb_right;
	}
	return NULL;
}

/* The first region, by address, that has a byte of [start, last]. */
static inline struct region *region_first(struct region_set *set, unsigned long start, unsigned long last)
{
	return region_of_node(interval_tree_iter_first(&set->ranges, start, last));
}

static inline struct region *region_next(struct region *region, unsigned long start, unsigned long last)
{
	return region_of_node(interval_tree_iter_next(&region->range, start, last));
}

/* The cookie must be in no other region of the set. */
static inline void region_add(struct region_set *set, struct region *region)
{
	struct rb_node **link = &set->cookies.rb_node;
	struct rb_node *parent = NULL;

	while (*link) {
		parent = *link;
		link = region->cookie < rb_entry(parent, struct region, by_cookie)->cookie ?
			&parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&region->by_cookie, parent, link);
	rb_insert_color(&region->by_cookie, &set->cookies);
	interval_tree_insert(&region->range, &set->ranges);
	if (set->under_way)
		list_add_tail(&region->young, &set->young);
	else
		INIT_LIST_HEAD(&region->young);
}

static inline void region_remove(struct region_set *set, struct region *region)
{
	rb_erase(&region->by_cookie, &set->cookies);
	interval_tree_remove(&region->range, &set->ranges);
	list_del_init(&region->young);
}

static inline bool region_overlaps(const struct region *region, unsigned long start, unsigned long last)
{
	return region->range.start <= last && start <= region->range.last;
}

/* One invalidation is over; after the last one nobody is young. */
static inline void region_set_over(struct region_set *set)
{
	if (set->under_way && --set->under_way)
		return;
	while (!list_empty(&set->young))
		list_del_init(set->young.next);
}

/* The last byte of what a notifier is told about; its end is exclusive, and may have wrapped to 0. */
static inline unsigned long notified_last(const struct mmu_notifier_range *range)
{
	return range->end - 1;
}

#endif
