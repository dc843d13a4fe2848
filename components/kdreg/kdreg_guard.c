/* SPDX-License-Identifier: BSD-3-Clause */
/* Notices that the program has closed the device's descriptor. */
#include "components/kdreg/kdreg_guard.h"

#include "opal/mca/memory/memory.h"

/* @return Its descriptor; -1: none. */
static int open_guard(kdreg_guards_t *guards, int which, const char *path, int above)
{
    kdreg_device_t *guard = &guards->device[which];
    const volatile kdreg_status_t *status = NULL;
    int rc = kdreg_device_open(guard, path, above);

    if (rc == 0) {
        rc = kdreg_device_find_status(guard, &status);
    }
    if (rc != 0) {
        kdreg_device_close(guard);
    }
    guards->page[which] = rc == 0 ? (void *) (uintptr_t) status : NULL;
    guards->cookie[which] = 0;
    return guard->fd;
}

int kdreg_guards_open(kdreg_guards_t *guards, kdreg_device_t *device, const char *path)
{
    const int below = open_guard(guards, 0, path, -1);
    const int rc = kdreg_device_open(device, path, below);

    guards->device[1].fd = -1;
    if (rc == 0) {
        open_guard(guards, 1, path, device->fd);
    } else {
        kdreg_guards_close(guards);
    }
    return rc;
}

bool kdreg_guards_watch(kdreg_guards_t *guards, const kdreg_device_t *device)
{
    bool is_any = false;

    for (int i = 0; i < KDREG_GUARDS; i++) {
        if (guards->device[i].fd >= 0 && guards->cookie[i] == 0) {
            const uint64_t cookie = opal_memory_base_new_cookie();
            const int rc =
                kdreg_device_monitor(device, guards->page[i], kdreg_page_size(), cookie, &guards->params[i]);

            guards->cookie[i] = rc == 0 ? cookie : 0;
        }
        is_any |= guards->cookie[i] != 0;
    }
    return is_any;
}

void kdreg_guards_unwatch(kdreg_guards_t *guards, const kdreg_device_t *device)
{
    for (int i = 0; i < KDREG_GUARDS; i++) {
        if (guards->cookie[i] != 0) {
            kdreg_device_unmonitor(device, guards->cookie[i], &guards->params[i]);
            guards->cookie[i] = 0;
        }
    }
}

bool kdreg_guards_take_event(kdreg_guards_t *guards, uint64_t cookie)
{
    for (int i = 0; i < KDREG_GUARDS; i++) {
        if (guards->cookie[i] == cookie && cookie != 0) {
            guards->cookie[i] = 0;
            return true;
        }
    }
    return false;
}

bool kdreg_guards_are_ours(const kdreg_guards_t *guards)
{
    for (int i = 0; i < KDREG_GUARDS; i++) {
        if (guards->device[i].fd >= 0 && !kdreg_device_is_ours(&guards->device[i])) {
            return false;
        }
    }
    return true;
}

void kdreg_guards_close(kdreg_guards_t *guards)
{
    for (int i = 0; i < KDREG_GUARDS; i++) {
        kdreg_device_close(&guards->device[i]);
    }
}
