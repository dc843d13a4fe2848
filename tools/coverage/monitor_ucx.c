/* SPDX-License-Identifier: BSD-3-Clause */
/* Monitor "ucx": events of UCX's memory hooks (libucm), as its registration cache
 * takes them. Modes: bistro (patched functions, UCX's default) and reloc
 * (rewritten tables of symbols). No header of UCX: what is used of its interface
 * has kept its form since 1.2, and the rest is looked up. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/coverage/monitor.h"

/* Aggregate of all calls that take mappings away; handlers of it run before the call. */
#define EVENT_VM_UNMAPPED (1 << 17)
#define PRIORITY 1000

/* The first two words of the union, for this event. */
typedef struct unmapped_t {
    void *address;
    size_t size;
} unmapped_t;

/* ucs_status_t is one byte in older versions and an int in newer ones; 0 is success in both. */
typedef signed char set_handler_fn_t(int events, int priority,
                                     void (*handler)(int type, unmapped_t *event, void *arg), void *arg);
typedef const char *version_fn_t(void);

static coverage_event_fn_t *deliver;

static void on_event(int type, unmapped_t *event, void *arg)
{
    (void) type, (void) arg;
    deliver(event->address, event->size);
}

static int fail(char *reason, size_t size, const char *what)
{
    snprintf(reason, size, "%s", what);
    return -1;
}

/* libucs reads the settings when it is loaded, and hands them to libucm. */
static void *load(const char *mode, void **ucs)
{
    setenv("UCX_MEM_MMAP_HOOK_MODE", mode[0] != '\0' ? mode : "bistro", 1);
    setenv("UCX_LOG_LEVEL", "fatal", 1);
    setenv("UCX_MEM_LOG_LEVEL", "fatal", 1);
    *ucs = dlopen("libucs.so.0", RTLD_NOW | RTLD_GLOBAL);
    return *ucs != NULL ? dlopen("libucm.so.0", RTLD_NOW | RTLD_GLOBAL) : NULL;
}

/* The number stands in libucp; without it, or with an error, there is none. */
static void note_version(coverage_claims_t *claims)
{
    void *ucp = dlopen("libucp.so.0", RTLD_LAZY | RTLD_LOCAL);
    version_fn_t *version = ucp != NULL ? (version_fn_t *) dlsym(ucp, "ucp_get_version_string") : NULL;

    if (version != NULL) {
        snprintf(claims->version, sizeof(claims->version), "%s", version());
    }
}

static int start(const char *mode, coverage_event_fn_t *event, int argc, char **argv, coverage_claims_t *claims,
                 char *reason, size_t reason_size)
{
    void *ucs, *ucm;
    set_handler_fn_t *set_handler;

    (void) argc, (void) argv;
    if (mode[0] != '\0' && strcmp(mode, "bistro") != 0 && strcmp(mode, "reloc") != 0) {
        return fail(reason, reason_size, "its modes are bistro and reloc");
    }
    ucm = load(mode, &ucs);
    if (ucm == NULL) {
        return fail(reason, reason_size, dlerror());
    }
    set_handler = (set_handler_fn_t *) dlsym(ucm, "ucm_set_event_handler");
    if (set_handler == NULL) {
        return fail(reason, reason_size, dlerror());
    }
    note_version(claims);
    deliver = event;
    if (set_handler(EVENT_VM_UNMAPPED, PRIORITY, on_event, NULL) != 0) {
        return fail(reason, reason_size, "UCX refuses a handler: its own test of the hooks fails");
    }
    snprintf(claims->claimed, sizeof(claims->claimed), "vm_unmapped");
    return 0;
}

/* Its hooks cannot be taken back. */
extern const coverage_monitor_t coverage_monitor;
__attribute__((visibility("default"))) const coverage_monitor_t coverage_monitor = {
    COVERAGE_MONITOR_VERSION, "ucx", start, NULL, NULL, NULL,
};
