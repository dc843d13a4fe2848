/* SPDX-License-Identifier: BSD-3-Clause */
/* One open file of the driver in user space. */
#ifndef TEST_KDREG_KDREG_FAKE_CONTEXT_H
#define TEST_KDREG_KDREG_FAKE_CONTEXT_H

#include <stdbool.h>
#include <sys/types.h>

#include "components/kdreg/kdreg_abi.h"

typedef struct fake_region_t {
    kdreg_monitor_t monitor; /**< As it was answered. */
    struct fake_region_t *next;
} fake_region_t;

/** What the driver shares with the process: two views of one memory. */
typedef struct fake_pages_t {
    int memory;   /**< memfd */
    size_t size;  /**< 0: none. */
    void *kernel; /**< Read and write. */
    void *user;   /**< Read-only, where the process has been told. */
} fake_pages_t;

typedef struct fake_context_t {
    bool is_used;
    ino_t inode; /**< Of the status page's memfd, which is also the file. */
    pid_t process;
    int references;
    fake_pages_t status, states;
    size_t max_regions, active;
    uint32_t free_state, next_generation;
    fake_region_t *regions;
    kdreg_event_t *queue;
    size_t first, pending;
    bool has_lost;
} fake_context_t;

/** All contexts; also held across a fork. */
void fake_lock(void);
void fake_unlock(void);

/** Under the lock. @return The open file behind a descriptor; NULL: it is something else. */
fake_context_t *fake_context_of(int fd);

/** @return A descriptor, or a negative errno. */
int fake_context_open(int flags);

/* As the driver. */
int fake_context_configure_locked(fake_context_t *context, kdreg_config_t *config, int error);
int fake_context_monitor_locked(fake_context_t *context, kdreg_monitor_t *monitor);
int fake_context_unmonitor_locked(fake_context_t *context, const kdreg_unmonitor_t *unmonitor);
int fake_context_flush_locked(fake_context_t *context);
ssize_t fake_context_read_locked(fake_context_t *context, void *buffer, size_t size);

/** A descriptor has gone. */
void fake_context_put_locked(fake_context_t *context);

#endif
