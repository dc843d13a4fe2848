/* SPDX-License-Identifier: BSD-3-Clause */
/* One open /dev/kdreg2, and the pages that its driver maps into the process.
 *
 * The driver unmaps those pages, at the addresses that it chose, when the last
 * descriptor of the open file goes, whoever closes it. A program that closes
 * descriptors which it does not know would crash in the next lookup. So the
 * pages are moved to addresses of ours, and what the driver will unmap is a
 * placeholder. What our addresses show then stays as it was: kdreg_guard.h
 * notices. Not thread-safe; functions return 0 or a negative errno. */
#ifndef COMPONENTS_KDREG_KDREG_DEVICE_H
#define COMPONENTS_KDREG_KDREG_DEVICE_H

#include <stdbool.h>
#include <sys/types.h>

#include "components/kdreg/kdreg_abi.h"

typedef struct kdreg_device_t {
    int fd; /**< -1: none. */
    dev_t number;
    bool is_stuck;                   /**< A placeholder is missing: to close would unmap somebody else's memory. */
    size_t max_regions;              /**< As configured. */
    volatile kdreg_status_t *status; /**< At the place that we chose. */
    const volatile uint32_t *states; /**< max_regions words, likewise; NULL: none. */
    const volatile uint32_t *mapped_states; /**< Where the driver had put them. */
    const volatile uint32_t
        *former_states; /**< Those before the last configuration; NULL: none. The caller's to unmap. */
    size_t former_size;
} kdreg_device_t;

/** Bytes of a page. */
size_t kdreg_page_size(void);

/** Open the device, with a descriptor above `above`, high, and closed by exec.
 * @retval -ENOTTY  It is no character device. Other codes are those of open. */
int kdreg_device_open(kdreg_device_t *device, const char *path, int above);

/** Does the descriptor still stand for the device? Programs close, and put others in its place. */
bool kdreg_device_is_ours(const kdreg_device_t *device);

/** Close the descriptor, if it is still ours and may be closed. The pages at our places stay. */
void kdreg_device_close(kdreg_device_t *device);

/** Ask where the driver has put the status page. Before the tables have a size. */
int kdreg_device_find_status(const kdreg_device_t *device, const volatile kdreg_status_t **status);

/** Put the status page to `place`, a page that is replaced. */
int kdreg_device_take_status(kdreg_device_t *device, void *place);

/** Give the tables a size; the words of the former ones no longer change.
 * @retval -EBUSY  Regions are active, or events wait: nothing has changed. So it is with other codes as long as device->states
 *     is not NULL: the driver has no tables at all then (-ENOMEM). */
int kdreg_device_configure(kdreg_device_t *device, size_t max_regions);

/** Watch a range. @retval -EBUSY  The cookie is in use with another range. @retval -ENOSPC  The tables are full.
 * @retval -EPROTO  The driver's answer makes no sense. */
int kdreg_device_monitor(const kdreg_device_t *device, void *addr, size_t length, uint64_t cookie,
                         kdreg_params_t *params);

/** No longer. A region that is gone already is no error. */
int kdreg_device_unmonitor(const kdreg_device_t *device, uint64_t cookie, const kdreg_params_t *params);

/** Forget the events that wait. */
int kdreg_device_flush(const kdreg_device_t *device);

/** Fetch events, without waiting.
 * @return Their number, 0: there are none; -ENOSPC: some were lost, flush; -EPROTO: no whole number of them. */
int kdreg_device_read(const kdreg_device_t *device, kdreg_event_t *events, size_t count);

/** Is the word of a region what it was? */
bool kdreg_device_holds(const kdreg_device_t *device, uint64_t location, uint32_t generation);

/** The driver's counter of events. */
static inline uint64_t kdreg_device_total(const kdreg_device_t *device)
{
    return __atomic_load_n(&device->status->total_events, __ATOMIC_ACQUIRE);
}

#endif
