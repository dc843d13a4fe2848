/* SPDX-License-Identifier: BSD-3-Clause */
/* memoryc_process: reads what the driver has to tell, and raises a release for
 * each event. The thread holds no lock of the component meanwhile: a callback
 * may register and deregister. */
#include <errno.h>

#include "components/ummunotify/ummunotify.h"
#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory_internal.h"

/* A program that releases without pause keeps the list from ever being empty: events beyond those that can have been there
 * at the begin, twice, are told as one. */
#define MORE_EVENTS 1024

/* The driver does not say what has changed: a fork and mprotect are events, too. */
static void raise_change(uint64_t start, uint64_t length)
{
    opal_mem_hooks_change_hook((void *) (uintptr_t) start, length, true);
}

/* Something was told that cannot be understood, or that there is no time for. */
static void raise_everything(void)
{
    raise_change(0, SIZE_MAX);
}

/* The hint, if there is one and it lies in the region; else the region. */
static ummunotify_range_t range_of(const struct ummunotify_event *event, ummunotify_range_t region)
{
    const bool is_exact = (event->flags & UMMUNOTIFY_EVENT_FLAG_HINT) != 0 && event->hint_start < event->hint_end
                          && event->hint_start >= region.start && event->hint_end <= region.end;

    return is_exact ? (ummunotify_range_t){ event->hint_start, event->hint_end } : region;
}

/* A cookie that is not in the table was unregistered since: nobody has to know. */
static void tell_region(const struct ummunotify_event *event)
{
    ummunotify_range_t region;

    if (ummunotify_table_find(event->user_cookie_counter, &region)) {
        const ummunotify_range_t range = range_of(event, region);
        raise_change(range.start, range.end - range.start);
    }
}

/* @return Was it said that nothing else waits? */
static bool tell(const struct ummunotify_event *events, size_t count)
{
    bool is_last = false;

    for (size_t i = 0; i < count; i++) {
        is_last = events[i].type == UMMUNOTIFY_EVENT_TYPE_LAST;
        if (events[i].type == UMMUNOTIFY_EVENT_TYPE_INVAL) {
            tell_region(&events[i]);
        } else if (!is_last) {
            raise_everything();
        }
    }
    return is_last;
}

/* @return OPAL_SUCCESS: the list was empty, or nothing is registered here any more. */
static int cannot_read(ssize_t rc)
{
    if (rc == -EAGAIN) {
        return OPAL_SUCCESS;
    }
    if (rc != -ENODEV) {
        ummunotify_device_lose(rc == 0 ? "has come to an end" : "cannot be read any more");
    }
    return ummunotify_device_state() == UMMUNOTIFY_AWAY ? OPAL_SUCCESS : OPAL_ERR_NOT_AVAILABLE;
}

static int drain(void)
{
    struct ummunotify_event events[UMMUNOTIFY_EVENTS_A_READ];
    const size_t enough = 2 * ummunotify_table_count() + MORE_EVENTS;

    for (size_t told = 0; told < enough;) {
        const ssize_t size = ummunotify_device_read(events, UMMUNOTIFY_EVENTS_A_READ);
        if (size <= 0) {
            return cannot_read(size);
        }
        const size_t count = (size_t) size / sizeof(events[0]), rest = (size_t) size % sizeof(events[0]);
        if (rest != 0) {
            raise_everything();
        }
        if (tell(events, count)) {
            return OPAL_SUCCESS;
        }
        told += count + (rest != 0);
    }
    raise_everything();
    return OPAL_SUCCESS;
}

int ummunotify_process(void)
{
    const ummunotify_state_t state = ummunotify_device_state();

    if (ummunotify_device_has_left()) {
        raise_everything();
    }
    switch (state) {
    case UMMUNOTIFY_READY: return drain();
    case UMMUNOTIFY_AWAY: ummunotify_device_return(); return OPAL_SUCCESS;
    case UMMUNOTIFY_LOST: return OPAL_ERR_NOT_AVAILABLE;
    default: return OPAL_SUCCESS; /* Nothing is registered: nothing can be lost. */
    }
}
