/* SPDX-License-Identifier: BSD-3-Clause */
/* Fetches what the driver tells, and hands it on to the memory hooks. */
#include <errno.h>

#include "components/kdreg/kdreg.h"
#include "opal/memoryhooks/memory_internal.h"

#define BATCH 64

/* Collected under the lock, handed on without it. */
typedef struct batch_t {
    opal_mem_hooks_range_t range[BATCH];
    size_t count;
    bool is_everything; /* Some are not known. */
    bool is_last;
} batch_t;

/* A region that the cache has let go of meanwhile is nobody's: its pages may be registered anew. A word that still holds is
 * that of a later life of a cookie, which the event is not about. */
static void note_change(batch_t *batch, const kdreg_event_t *event)
{
    kdreg_watched_t *watched = kdreg_cookies_find(&kdreg_state.cookies, event->cookie);

    if (watched == NULL) {
        return;
    }
    if (!kdreg_device_holds(&kdreg_state.device, watched->location, watched->generation)) {
        watched->is_active = 0;
    }
    batch->range[batch->count++] = (opal_mem_hooks_range_t){ (uintptr_t) event->addr, event->length };
}

static void note(batch_t *batch, const kdreg_event_t *event)
{
    if (event->type != KDREG_MAPPING_CHANGE) {
        batch->is_everything = true; /* Of a later driver; it will mean some change. */
    } else if (kdreg_guards_take_event(&kdreg_state.guards, event->cookie)) {
        kdreg_guard_again();
    } else {
        note_change(batch, event);
    }
}

/* Events were lost, and more will be until the queue is flushed. What comes after the flush is queued, so that no change is
 * between what is raised here and what is read later. Guards whose event is among the lost are watched no more: all begin
 * anew. */
static void recover(batch_t *batch)
{
    const int rc = kdreg_device_flush(&kdreg_state.device);

    batch->is_everything = true;
    if (rc != 0) {
        kdreg_stand_down("its queue of events has run over, and cannot be flushed", rc);
        return;
    }
    kdreg_guards_unwatch(&kdreg_state.guards, &kdreg_state.device);
    kdreg_guard_again();
}

static void fetch(batch_t *batch)
{
    kdreg_event_t events[BATCH];

    if (kdreg_state.is_away) {
        *batch = (batch_t){ .is_everything = kdreg_fork_process(), .is_last = true };
        return;
    }
    const int got = kdreg_device_read(&kdreg_state.device, events, BATCH);

    *batch = (batch_t){ .is_last = got <= 0 && got != -ENOSPC };
    for (int i = 0; i < got; i++) {
        note(batch, &events[i]);
    }
    if (got == -ENOSPC) {
        recover(batch);
    } else if (got < 0) {
        kdreg_stand_down("events cannot be read", got);
    }
}

/* The driver tells the region, and neither what of it has changed nor how: a fork and mprotect are events, too. */
static void hand_on(const batch_t *batch)
{
    if (batch->is_everything) {
        opal_mem_hooks_change_hook(NULL, SIZE_MAX, false);
        return;
    }
    for (size_t i = 0; i < batch->count; i++) {
        opal_mem_hooks_change_hook((void *) batch->range[i].start, batch->range[i].length, false);
    }
}

/* The queue holds max_regions events: whoever has read as many, has those that were there at first, however fast others
 * follow. */
int kdreg_process(void)
{
    batch_t batch;
    size_t read = 0, enough = SIZE_MAX;
    bool is_down;

    do {
        if (!kdreg_enter()) {
            return OPAL_ERR_NOT_AVAILABLE;
        }
        enough = enough == SIZE_MAX ? kdreg_state.device.max_regions : enough;
        fetch(&batch);
        is_down = kdreg_state.is_down;
        kdreg_leave();
        hand_on(&batch);
        read += BATCH;
    } while (!is_down && !batch.is_last && read < enough + BATCH);
    return is_down ? OPAL_ERR_NOT_AVAILABLE : OPAL_SUCCESS;
}
