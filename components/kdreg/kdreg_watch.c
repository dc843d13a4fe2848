/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is watched: MONITOR and UNMONITOR, by cookies that come once, and tables
 * that grow when they are full. */
#include <errno.h>
#include <sys/mman.h>

#include "components/kdreg/kdreg.h"
#include "opal/memoryhooks/memory_internal.h"

/* What the kernel says of a call that has failed; what it may say of a device that is no longer there, ends it. */
static int code_of(int error)
{
    switch (error) {
    case 0: return OPAL_SUCCESS;
    case -EBUSY: return OPAL_EXISTS;
    case -ENOSPC:
    case -ENOMEM: return OPAL_ERR_OUT_OF_RESOURCE;
    case -EINVAL:
    case -EFAULT: return OPAL_ERR_BAD_PARAM;
    default: kdreg_stand_down("the device does not answer as it should", error); return OPAL_ERR_NOT_AVAILABLE;
    }
}

/* ---- Growing ------------------------------------------------------------------------------------- */

/* The driver changes the size only while there is no region: all end, so that their words no longer hold, and the caller has
 * to raise a release of everything. Doubling makes that rare. */
static bool grow(void)
{
    const size_t size = kdreg_state.device.max_regions - KDREG_GUARDS;

    if (size >= kdreg_state.options.limit) {
        return false;
    }
    const size_t larger = size > kdreg_state.options.limit / 2 ? kdreg_state.options.limit : 2 * size;
    if (kdreg_resize(larger + KDREG_GUARDS) != 0) {
        kdreg_state.options.limit = size; /* The kernel has no more: not tried at each registration. */
    }
    return true;
}

/* ---- Watching ------------------------------------------------------------------------------------ */

static int monitor(void *base, size_t len, uint64_t cookie, kdreg_params_t *params, bool *grown)
{
    int rc = kdreg_device_monitor(&kdreg_state.device, base, len, cookie, params);

    if (rc == -ENOSPC && grow()) {
        *grown = true;
        rc = kdreg_state.is_down ? -ENOSPC : kdreg_device_monitor(&kdreg_state.device, base, len, cookie, params);
    }
    return rc;
}

/* The driver accepts the same cookie twice if the range is the same, and a range that wraps, of which it never tells. */
static int watch_locked(void *base, size_t len, opal_memory_watch_t *watch, bool *grown)
{
    kdreg_params_t params;

    if (len == 0 || len - 1 > UINTPTR_MAX - (uintptr_t) base || watch->cookie == KDREG_BAD_COOKIE) {
        return OPAL_ERR_BAD_PARAM;
    }
    if (kdreg_state.is_away) {
        kdreg_fork_want();
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    if (kdreg_cookies_find(&kdreg_state.cookies, watch->cookie) != NULL) {
        return OPAL_EXISTS;
    }
    if (!kdreg_cookies_reserve(&kdreg_state.cookies)) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    const int rc = monitor(base, len, watch->cookie, &params, grown);
    if (rc == 0) {
        kdreg_cookies_add(&kdreg_state.cookies, &(kdreg_watched_t){ .cookie = watch->cookie,
                                                                    .location = params.location,
                                                                    .generation = params.generation,
                                                                    .is_active = 1 });
        watch->generation = &kdreg_state.device.states[params.location];
        watch->expected = params.generation;
    }
    return code_of(rc);
}

/* @param[out] is_away  This is a fork child that has asked for a device. */
static int watch_once(void *base, size_t len, opal_memory_watch_t *watch, bool *is_away)
{
    bool grown = false;

    *is_away = false;
    if (!kdreg_enter()) {
        return OPAL_ERR_NOT_AVAILABLE;
    }
    const int rc = watch_locked(base, len, watch, &grown);
    *is_away = kdreg_state.is_away;
    kdreg_leave();
    if (grown) {
        opal_mem_hooks_change_hook(NULL, SIZE_MAX, false);
    }
    return rc;
}

/* The base sees our counter, then the device comes; a further round may be another thread's that began before. */
#define ROUNDS 4

int kdreg_watch(void *base, size_t len, opal_memory_watch_t *watch)
{
    bool is_away;
    int rc = watch_once(base, len, watch, &is_away);

    for (int i = 0; i < ROUNDS && rc == OPAL_ERR_OUT_OF_RESOURCE && is_away; i++) {
        opal_memory_base_sync();
        rc = watch_once(base, len, watch, &is_away);
    }
    return rc;
}

/* ---- No longer ----------------------------------------------------------------------------------- */

static int unwatch_locked(uint64_t cookie)
{
    kdreg_watched_t *watched = kdreg_cookies_find(&kdreg_state.cookies, cookie);
    int rc = 0;

    if (watched == NULL) {
        return OPAL_ERR_NOT_FOUND;
    }
    /* A region whose word has changed is gone, and its event is passed over when it comes. */
    if (watched->is_active && kdreg_device_holds(&kdreg_state.device, watched->location, watched->generation)) {
        const kdreg_params_t params = { .location = watched->location, .generation = watched->generation };

        rc = kdreg_device_unmonitor(&kdreg_state.device, cookie, &params);
    }
    kdreg_cookies_remove(&kdreg_state.cookies, watched);
    return code_of(rc);
}

int kdreg_deregister(void *base, size_t len, uint64_t cookie)
{
    (void) base, (void) len;
    if (!kdreg_enter()) {
        return OPAL_ERR_NOT_FOUND;
    }
    const int rc = unwatch_locked(cookie);
    kdreg_leave();
    return rc;
}

int kdreg_unwatch(void *base, size_t len, opal_memory_watch_t *watch)
{
    return kdreg_deregister(base, len, watch->cookie);
}

int kdreg_register(void *base, size_t len, uint64_t cookie)
{
    opal_memory_watch_t watch = { .cookie = cookie };

    return kdreg_watch(base, len, &watch);
}
