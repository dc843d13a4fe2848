/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The binary interface of /dev/ummunotify, as far as its users see it: sizes,
 * offsets and numbers are facts of the interface; names and text are our own.
 * Also included by the test program, which runs in user space.
 */
#ifndef TEST_KERNEL_UMMUNOTIFY_ABI_H
#define TEST_KERNEL_UMMUNOTIFY_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct ummunotify_register_ioctl {
	__u64 start;
	__u64 end;			/* exclusive */
	__u64 user_cookie;
	__u32 flags;			/* must be 0, as must reserved */
	__u32 reserved;
};

#define UMMUNOTIFY_EVENT_INVAL 0	/* a region has changed */
#define UMMUNOTIFY_EVENT_LAST 1		/* these were all events up to the counter's value in it */
#define UMMUNOTIFY_FLAG_HINT 1u		/* of INVAL: only [hint_start, hint_end) has changed */

struct ummunotify_event {
	__u32 type;
	__u32 flags;
	__u64 hint_start;
	__u64 hint_end;
	__u64 user_cookie_counter;	/* INVAL: the cookie. LAST: the counter. */
};

#define UMMUNOTIFY_EVENTS_A_READ 128

#define UMMUNOTIFY_EXCHANGE_FEATURES _IOWR('U', 1, __u32)
#define UMMUNOTIFY_REGISTER _IOW('U', 2, struct ummunotify_register_ioctl)
#define UMMUNOTIFY_UNREGISTER _IOW('U', 3, __u64)

#endif
