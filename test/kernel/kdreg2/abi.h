/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
/*
 * The binary interface of /dev/kdreg2 on LP64, as far as its users see it: sizes,
 * offsets and numbers are facts of the interface; names and text are our own.
 * Also included by the test program, which runs in user space.
 */
#ifndef TEST_KERNEL_KDREG2_ABI_H
#define TEST_KERNEL_KDREG2_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct kdreg2_status {			/* mapped read-only into the opener */
	__u64 version;
	__u64 max_regions;
	__u64 pending_events;
	__u64 total_events;
	__u64 active_regions;
	__u64 states;			/* address of __u32[max_regions]; 0 before CONFIG_DATA */
};

struct kdreg2_params {
	__u64 location;
	__u32 generation;
	__u32 pad;
};

struct kdreg2_config {
	__u64 max_regions;		/* in */
	__u64 status;			/* out: address of struct kdreg2_status */
};

struct kdreg2_monitor {
	__u64 addr;			/* in */
	__u64 length;
	__u64 cookie;
	struct kdreg2_params params;	/* out */
};

struct kdreg2_unmonitor {
	__u64 cookie;
	struct kdreg2_params params;
};

struct kdreg2_event {
	__u32 type;
	__u32 pad;
	__u64 addr;			/* of the region, as it was monitored */
	__u64 length;
	__u64 cookie;
};

#define KDREG2_MAPPING_CHANGE 1

/* A word of the states: bit 0, in use; above it the generation, or the next free location. */
#define KDREG2_IN_USE 1u
#define KDREG2_DATA_END 0x7fffffffu

#define KDREG2_CONFIG_DATA _IOWR('k', 1, struct kdreg2_config)
#define KDREG2_MONITOR _IOWR('k', 2, struct kdreg2_monitor)
#define KDREG2_UNMONITOR _IOW('k', 3, struct kdreg2_unmonitor)
#define KDREG2_UNMONITOR_ALL _IO('k', 4)
#define KDREG2_FLUSH _IO('k', 5)
#define KDREG2_DUMP_STATS _IO('k', 6)

#endif
