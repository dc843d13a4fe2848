/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the ummunotify test driver share. One context belongs to one
 * open file and to the memory (mm) of the task that opened it; whoever comes with
 * another mm (a fork child, a process that was sent the descriptor) gets EBADF.
 *
 * There is one lock, a spinlock. Under it nothing sleeps, is copied from or to user
 * space, or is allocated: the notifier takes it, under whatever locks the memory management holds.
 */
#ifndef TEST_KERNEL_UMMUNOTIFY_H
#define TEST_KERNEL_UMMUNOTIFY_H

#include <linux/fs.h>
#include <linux/mmu_notifier.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "region_set.h"
#include "abi.h"

struct ummunotify_region {
	struct region region;		/* its event is empty: nothing to tell */
	bool exact;			/* one hit only, of [hint_start, hint_last] */
	unsigned long hint_start;
	unsigned long hint_last;
};

struct ummunotify_context {
	struct mmu_notifier notifier;	/* its mm is the opener's, which it keeps from being freed */
	struct page *page;		/* what the opener maps */
	u64 *counter;			/* its first word; written under lock */
	wait_queue_head_t wait;
	struct fasync_struct *fasync;

	spinlock_t lock;		/* all below */
	struct region_set set;
	struct list_head events;	/* of regions, which stay in the set */
	bool owes_last;			/* the list has been emptied by a read that had no room to say so */
};

/* ummunotify_regions.c */
extern const struct mmu_notifier_ops ummunotify_notifier_ops;
long ummunotify_register(struct ummunotify_context *context, const struct ummunotify_register_ioctl *arg);
long ummunotify_unregister(struct ummunotify_context *context, u64 cookie);
void ummunotify_forget_all(struct ummunotify_context *context);

/* At most count events. @return how many; 0: nothing has happened. */
int ummunotify_take(struct ummunotify_context *context, struct ummunotify_event *events, int count);
/* They could not be delivered: to be told again, without hints. */
void ummunotify_put_back(struct ummunotify_context *context, const struct ummunotify_event *events, int count);

static inline bool ummunotify_has_news(const struct ummunotify_context *context)
{
	return !list_empty_careful(&context->events) || READ_ONCE(context->owes_last);
}

#endif
