/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the kdreg2 test driver share. One context belongs to one open
 * file and to the memory (mm) of the task that opened it; whoever comes with
 * another mm (a fork child, a process that was sent the descriptor) gets EBADF.
 *
 * Locks: config_lock (mutex) > lock (spinlock). Under the spinlock nothing
 * sleeps, is copied from or to user space, or is allocated: the notifier takes it, under
 * whatever locks the memory management holds.
 */
#ifndef TEST_KERNEL_KDREG2_H
#define TEST_KERNEL_KDREG2_H

#include <linux/fs.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "region_set.h"
#include "abi.h"

/* Kernel memory that the opener sees read-only. Its file is what keeps it: the
 * context has a reference, and so has each mapping. */
struct kdreg2_window {
	struct file *file;
	void *memory;
	unsigned long address;		/* in the opener */
	unsigned long size;
};

int kdreg2_window_open(struct kdreg2_window *window, unsigned long size);
/* Ends the mapping, too, if the caller is of the memory that has it. */
void kdreg2_window_close(struct kdreg2_window *window, struct mm_struct *owner);

struct kdreg2_region {
	struct region region;
	u32 location;			/* of its word in states */
	u32 generation;			/* the whole word */
};

struct kdreg2_context {
	struct mmu_notifier notifier;	/* its mm is the opener's, which it keeps from being freed */
	struct mutex config_lock;	/* a change of size as a whole */
	struct kdreg2_window status_window;
	struct kdreg2_status *status;	/* written under lock */
	wait_queue_head_t wait;

	spinlock_t lock;		/* all below */
	struct kdreg2_window states_window;
	u32 *states;
	u32 max_regions;
	u32 free;			/* first free location, or KDREG2_DATA_END */
	u32 next_generation;		/* 31 bits */
	struct region_set set;
	u32 active;
	struct list_head events;	/* of regions that are in the set no more */
	u32 pending;
	bool overflowed;
	u64 total;
};

/* kdreg2_regions.c: all but the last three with the lock held. */
void kdreg2_states_init(u32 *states, u32 count);
int kdreg2_insert(struct kdreg2_context *context, struct kdreg2_region *region);
void kdreg2_forget(struct kdreg2_context *context, struct kdreg2_region *region);
void kdreg2_publish(struct kdreg2_context *context);
void kdreg2_forget_all(struct kdreg2_context *context);
void kdreg2_drop_events(struct kdreg2_context *context);
extern const struct mmu_notifier_ops kdreg2_notifier_ops;

/* kdreg2_ioctl.c */
long kdreg2_ioctl(struct file *file, unsigned int command, unsigned long arg);

static inline bool kdreg2_foreign(const struct kdreg2_context *context)
{
	return current->mm != context->notifier.mm;
}

#endif
