/* SPDX-License-Identifier: BSD-3-Clause */
/* Monitor "openmpi": Open MPI's memory hooks (libopen-pal 4.x, component
 * memory/patcher), as its registration caches start them. No header of Open MPI;
 * functions and the framework's structure are looked up. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>

#include "tools/coverage/monitor.h"

#define LIBRARY "libopen-pal.so.40"
#define SUPPORT_ANY 3 /* FREE, MUNMAP: either lets callbacks be registered. */

typedef void release_fn_t(void *buf, size_t length, void *cbdata, bool from_alloc);

/* What is used of it. */
typedef struct open_pal_t {
    int (*init_util)(int *argc, char ***argv);
    int (*framework_open)(void *framework, unsigned flags);
    void *memory_framework;
    int (*hooks_init)(void);
    int (*support_level)(void);
    int (*register_release)(release_fn_t *function, void *cbdata);
    int (*unregister_release)(release_fn_t *function);
    const char *version;
} open_pal_t;

static open_pal_t pal;
static coverage_event_fn_t *deliver;

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata, (void) from_alloc;
    deliver(buf, length);
}

static int fail(char *reason, size_t size, const char *what)
{
    snprintf(reason, size, "%s", what);
    return -1;
}

static bool look_up(void *handle)
{
    const struct {
        const char *name;
        void *place;
    } symbols[] = {
        { "opal_init_util", &pal.init_util },
        { "mca_base_framework_open", &pal.framework_open },
        { "opal_memory_base_framework", &pal.memory_framework },
        { "opal_mem_hooks_init", &pal.hooks_init },
        { "opal_mem_hooks_support_level", &pal.support_level },
        { "opal_mem_hooks_register_release", &pal.register_release },
        { "opal_mem_hooks_unregister_release", &pal.unregister_release },
    };

    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        void **place = symbols[i].place;

        *place = dlsym(handle, symbols[i].name);
        if (*place == NULL) {
            return false;
        }
    }
    return true;
}

/* As opal_init() and the first cache do it. */
static bool start_hooks(void)
{
    return pal.init_util(NULL, NULL) == 0 && pal.hooks_init() == 0
           && pal.framework_open(pal.memory_framework, 0) == 0;
}

static int start(const char *mode, coverage_event_fn_t *event, int argc, char **argv, coverage_claims_t *claims,
                 char *reason, size_t reason_size)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_GLOBAL);

    (void) mode, (void) argc, (void) argv;
    if (handle == NULL || !look_up(handle)) {
        return fail(reason, reason_size, dlerror());
    }
    if (!start_hooks()) {
        return fail(reason, reason_size, "its memory framework does not open");
    }
    deliver = event;
    snprintf(claims->version, sizeof(claims->version), "%s", LIBRARY);
    snprintf(claims->claimed, sizeof(claims->claimed), "support level 0x%x", (unsigned) pal.support_level());
    if ((pal.support_level() & SUPPORT_ANY) == 0) {
        return fail(reason, reason_size, "its support level is 0");
    }
    return pal.register_release(on_release, NULL) == 0 ? 0 : fail(reason, reason_size, "it refuses a callback");
}

static void stop(void)
{
    pal.unregister_release(on_release);
}

extern const coverage_monitor_t coverage_monitor;
__attribute__((visibility("default"))) const coverage_monitor_t coverage_monitor = {
    COVERAGE_MONITOR_VERSION, "openmpi", start, NULL, NULL, stop,
};
