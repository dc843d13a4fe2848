/* SPDX-License-Identifier: BSD-3-Clause */
/* The device from start to stop: opening, tables that grow, and what is done
 * when it is lost. Fork children are in kdreg_fork.c. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "components/kdreg/kdreg.h"
#include "components/kdreg/kdreg_sys.h"
#include "opal/mca/base/base.h"
#include "opal/memoryhooks/memory_internal.h"

kdreg_state_t kdreg_state = { .lock = PTHREAD_MUTEX_INITIALIZER, .device.fd = -1 };

/* ---- Losing the device --------------------------------------------------------------------------- */

#define NOBODY_HAS_SEEN (UINT64_C(1) << 63)
#define NO_GUARDS "nothing would tell that its descriptors are closed"

void kdreg_stand_down(const char *reason, int error)
{
    kdreg_status_t *last = kdreg_state.spare;

    if (kdreg_state.is_down) {
        return;
    }
    kdreg_state.is_down = true;
    kdreg_state.down_reason = reason;
    kdreg_state.down_error = error;
    last->total_events = ((const volatile kdreg_status_t *) kdreg_state.place)->total_events | NOBODY_HAS_SEEN;
    if (kdreg_sys->move(last, kdreg_page_size(), kdreg_state.place) == 0) {
        kdreg_state.spare = NULL;
    }
}

/* In this order: what is closed before it is watched again raises no event, and is not there when it is looked for. */
void kdreg_guard_again(void)
{
    const bool is_any = kdreg_guards_watch(&kdreg_state.guards, &kdreg_state.device);

    if (!kdreg_guards_are_ours(&kdreg_state.guards)) {
        kdreg_stand_down("the program has closed descriptors that belong to the device", 0);
    } else if (!is_any) {
        kdreg_stand_down(NO_GUARDS, 0);
    }
}

static void log_down(const char *reason, int error)
{
    mca_base_log(MCA_BASE_LOG_WARN, "memory: kdreg: %s%s%s; from now on nothing is cached", reason,
                 error != 0 ? ": " : "", error != 0 ? strerror(-error) : "");
}

/* ---- Opening ------------------------------------------------------------------------------------- */

/* @return What has failed; NULL: nothing. */
static const char *open_device(int *error)
{
    kdreg_device_t *device = &kdreg_state.device;

    *error = kdreg_guards_open(&kdreg_state.guards, device, kdreg_state.options.device);
    if (*error != 0) {
        return "it cannot be opened";
    }
    *error = kdreg_device_take_status(device, kdreg_state.place);
    if (*error != 0) {
        return "its status page cannot be had";
    }
    *error = kdreg_device_configure(device, kdreg_state.options.max_regions + KDREG_GUARDS);
    return *error != 0 ? "its tables cannot be had" : NULL;
}

void kdreg_close_device(void)
{
    kdreg_guards_close(&kdreg_state.guards);
    kdreg_device_close(&kdreg_state.device);
}

const char *kdreg_open_device(int *support, uint64_t *sees, int *error)
{
    const char *fault = open_device(error);

    if (fault == NULL) {
        fault = kdreg_selftest(&kdreg_state.device, support, sees);
    }
    if (fault == NULL && !kdreg_guards_watch(&kdreg_state.guards, &kdreg_state.device)) {
        fault = NO_GUARDS;
    }
    return fault;
}

/* ---- In and out ---------------------------------------------------------------------------------- */

/* No handler comes in between that forks: its child would go on here, with neither the lock nor what it protects. */
bool kdreg_enter(void)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    kdreg_fork_check();
    pthread_mutex_lock(&kdreg_state.lock);
    kdreg_state.signals = before;
    if (!kdreg_state.is_down && !kdreg_state.is_away && !kdreg_device_is_ours(&kdreg_state.device)) {
        kdreg_stand_down("the program has closed the device's descriptor, or put another in its place", 0);
    }
    if (kdreg_state.is_down) {
        kdreg_leave();
        return false;
    }
    return true;
}

/* Of a device that is lost nothing may go on to be a hit, also where no page could be put over the counter's. */
void kdreg_leave(void)
{
    const char *reason = kdreg_state.down_reason;
    const int error = kdreg_state.down_error;
    const sigset_t before = kdreg_state.signals;

    kdreg_state.down_reason = NULL;
    pthread_mutex_unlock(&kdreg_state.lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (reason != NULL) {
        opal_mem_hooks_change_hook(NULL, SIZE_MAX, false);
        log_down(reason, error);
    }
}

/* ---- Tables -------------------------------------------------------------------------------------- */

void kdreg_keep_former(void)
{
    kdreg_device_t *device = &kdreg_state.device;

    if (device->former_states != NULL && kdreg_state.former_count < KDREG_MAX_FORMER) {
        kdreg_state.former[kdreg_state.former_count].states = device->former_states;
        kdreg_state.former[kdreg_state.former_count++].size = device->former_size;
    }
    device->former_states = NULL;
}

/* An event may come late, and keep the tables busy until it is flushed. */
#define MAX_TRIES 64

static int configure(size_t max_regions)
{
    int rc = -EBUSY;

    for (int i = 0; i < MAX_TRIES && rc == -EBUSY; i++) {
        rc = kdreg_device_flush(&kdreg_state.device);
        rc = rc == 0 ? kdreg_device_configure(&kdreg_state.device, max_regions) : rc;
    }
    kdreg_keep_former();
    return rc;
}

static void end_all_regions(void)
{
    for (size_t i = 0; i < kdreg_state.cookies.capacity; i++) {
        kdreg_watched_t *watched = &kdreg_state.cookies.places[i];

        if (watched->used && watched->is_active) {
            const kdreg_params_t params = { .location = watched->location, .generation = watched->generation };

            kdreg_device_unmonitor(&kdreg_state.device, watched->cookie, &params);
            watched->is_active = 0;
        }
    }
    kdreg_guards_unwatch(&kdreg_state.guards, &kdreg_state.device);
}

int kdreg_resize(size_t max_regions)
{
    const size_t before = kdreg_state.device.max_regions;
    int rc, back = 0;

    end_all_regions();
    rc = configure(max_regions);
    if (rc != 0 && kdreg_state.device.states == NULL) {
        back = kdreg_state.device.is_stuck ? rc : configure(before);
    }
    if (kdreg_state.device.states == NULL) {
        kdreg_stand_down("the device's tables are lost", back);
    } else {
        kdreg_guard_again();
    }
    return rc;
}

/* ---- Start and stop ------------------------------------------------------------------------------ */

static int map_page(void **page, int protection)
{
    *page = kdreg_sys->map(NULL, kdreg_page_size(), protection, 0);
    return *page == MAP_FAILED ? -ENOMEM : 0;
}

static void unmap_page(void *page)
{
    if (page != NULL && page != MAP_FAILED) {
        kdreg_sys->unmap(page, kdreg_page_size());
    }
}

static int map_pages(void)
{
    const int rc = map_page(&kdreg_state.place, PROT_READ) | map_page(&kdreg_state.spare, PROT_READ | PROT_WRITE);

    return rc != 0 ? -ENOMEM : kdreg_fork_start();
}

static void forget(void)
{
    kdreg_device_t *device = &kdreg_state.device;

    kdreg_fork_stop();
    kdreg_keep_former();
    device->former_states = device->states;
    device->former_size = device->max_regions * sizeof(uint32_t);
    if (device->states != NULL) {
        kdreg_sys->unmap((void *) (uintptr_t) device->states, device->former_size);
    }
    while (kdreg_state.former_count > 0) {
        kdreg_state.former_count--;
        kdreg_sys->unmap((void *) (uintptr_t) kdreg_state.former[kdreg_state.former_count].states,
                         kdreg_state.former[kdreg_state.former_count].size);
    }
    kdreg_cookies_free(&kdreg_state.cookies);
    unmap_page(kdreg_state.place);
    unmap_page(kdreg_state.spare);
    kdreg_state = (kdreg_state_t){ .lock = PTHREAD_MUTEX_INITIALIZER, .device.fd = -1 };
}

int kdreg_start(const kdreg_options_t *options, opal_memory_base_module_t *module)
{
    const char *fault = "no memory";

    kdreg_state.options = *options;
    for (int i = 0; i < KDREG_GUARDS; i++) {
        kdreg_state.guards.device[i].fd = -1;
    }
    int error = map_pages();
    if (error == 0) {
        fault = kdreg_open_device(&module->support, &module->sees, &error);
    }
    if (fault != NULL) {
        mca_base_component_set_reason("%s: %s%s%s", options->device, fault, error != 0 ? ": " : "",
                                      error != 0 ? strerror(-error) : "");
        kdreg_close_device();
        forget();
        return OPAL_ERR_NOT_AVAILABLE;
    }
    module->counter = &((const volatile kdreg_status_t *) kdreg_state.place)->total_events;
    return OPAL_SUCCESS;
}

void kdreg_stop(void)
{
    kdreg_fork_check();
    kdreg_close_device();
    forget();
}
