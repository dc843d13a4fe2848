/* SPDX-License-Identifier: BSD-3-Clause */
/* The libraries that watch over memory, and how each is started and stopped. Those of others are loaded by dlopen at
 * their first start, since some of them patch libc when they are loaded; what is called of them is declared here. */
#include <dlfcn.h>
#include <errno.h>
#include <opal/mca/rcache/provider.h>
#include <opal/mca/rcache/rcache.h>
#include <opal/opalmem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "company.h"

/* ---- Events ------------------------------------------------------------------------------------ */

static volatile uintptr_t watched; /* 0: nothing. */
static char watched_byte;
static seen_t noted[MEMBERS];

void watch_begin(uintptr_t start)
{
    memset(noted, 0, sizeof(noted));
    watched_byte = *(const char *) start;
    __atomic_store_n(&watched, start, __ATOMIC_SEQ_CST);
}

void watch_end(seen_t seen[MEMBERS])
{
    __atomic_store_n(&watched, 0, __ATOMIC_SEQ_CST);
    memcpy(seen, noted, sizeof(noted));
}

/* Nobody hooks mincore. */
static bool is_intact(uintptr_t start)
{
    const int saved_errno = errno;
    unsigned char page;
    const bool mapped = mincore((void *) start, COMPANY_PAGE, &page) == 0;

    errno = saved_errno;
    return mapped && *(const volatile char *) start == watched_byte;
}

void watch_event(member_id_t member, uintptr_t start, size_t length)
{
    const uintptr_t first = watched;
    const uintptr_t end = start + length < start ? UINTPTR_MAX : start + length;
    uint32_t pages = 0;

    for (unsigned i = 0; first != 0 && i < COMPANY_PAGES; i++) {
        const uintptr_t page = first + i * COMPANY_PAGE;

        pages |= start < page + COMPANY_PAGE && page < end ? UINT32_C(1) << i : 0;
    }
    if (pages != 0) {
        __atomic_fetch_or(&noted[member].pages, pages, __ATOMIC_RELAXED);
        __atomic_fetch_add(&noted[member].events, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&noted[member].late, is_intact(first) ? 0 : 1, __ATOMIC_RELAXED);
    }
}

/* ---- Ours -------------------------------------------------------------------------------------- */

static mca_rcache_provider_t *provider;
static mca_rcache_base_module_t *cache;

static void ours_released(void *buffer, size_t length, void *arg, bool from_alloc)
{
    (void) arg, (void) from_alloc;
    watch_event(OURS, (uintptr_t) buffer, length);
}

static const char *ours_missing(void)
{
    bool is_linux;

    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        return "opalmem_init fails";
    }
    is_linux = strcmp(opal_memory->memoryc_version.mca_component_name, "linux") == 0;
    return opalmem_finalize() == OPAL_SUCCESS && is_linux ? NULL : "the component linux (see opalmem-info)";
}

static int ours_start(void)
{
    mca_rcache_base_resources_t resources = { 0 };
    int rc = opalmem_init(NULL, NULL);

    rc = rc == OPAL_SUCCESS ? opal_mem_hooks_register_release(ours_released, NULL) : rc;
    rc = rc == OPAL_SUCCESS ? mca_rcache_provider_open("none", &provider) : rc;
    if (rc == OPAL_SUCCESS) {
        mca_rcache_provider_resources(provider, &resources);
        cache = mca_rcache_base_module_create(NULL, NULL, &resources);
        rc = cache == NULL ? OPAL_ERROR : OPAL_SUCCESS;
    }
    return rc;
}

static int ours_stop(void)
{
    int rc = mca_rcache_base_module_destroy(cache);

    cache = NULL;
    mca_rcache_provider_close(provider);
    rc = rc == OPAL_SUCCESS ? opal_mem_hooks_unregister_release(ours_released) : rc;
    return rc == OPAL_SUCCESS ? opalmem_finalize() : rc;
}

bool cache_holds(char *memory)
{
    mca_rcache_base_registration_t *reg = NULL;

    if (cache->rcache_find(cache, memory, COMPANY_SIZE, &reg) != OPAL_SUCCESS || reg == NULL) {
        return false;
    }
    cache->rcache_deregister(cache, reg);
    return true;
}

bool cache_keeps(char *memory)
{
    mca_rcache_base_registration_t *reg;

    if (cache->rcache_register(cache, memory, COMPANY_SIZE, 0, MCA_RCACHE_ACCESS_ANY, &reg) != OPAL_SUCCESS) {
        return false;
    }
    cache->rcache_deregister(cache, reg);
    return cache_holds(memory);
}

/* ---- Others: functions of a library --------------------------------------------------------------- */

/* A function's address, for a pointer of any function type. */
static void lookup(void *library, const char *name, void *function)
{
    void *address = dlsym(library, name);

    memcpy(function, &address, sizeof(address));
}

static const char *missing_library(const char *library, const char *text)
{
    return dlopen(library, RTLD_LAZY) != NULL ? NULL : text;
}

/* ---- UCX (ucm/api/ucm.h of 1.13) ------------------------------------------------------------------- */

enum { UCM_EVENT_VM_UNMAPPED = 1 << 17, UCM_PRIORITY = 1000 };

/* The part of ucm_event_t that this event uses. */
typedef struct unmapped_t {
    void *address;
    size_t size;
} unmapped_t;

typedef void(ucm_callback_t)(int type, unmapped_t *event, void *arg);

static struct ucm_t {
    void *library;
    int (*set)(int events, int priority, ucm_callback_t *callback, void *arg);
    void (*unset)(int events, ucm_callback_t *callback, void *arg);
    member_id_t member;
} ucm;

static void ucx_released(int type, unmapped_t *event, void *arg)
{
    (void) type, (void) arg;
    watch_event(ucm.member, (uintptr_t) event->address, event->size);
}

static const char *ucx_missing(void)
{
    const char *missing;

    setenv("UCX_MEM_EVENTS", "n", 1);
    missing = missing_library("libucs.so.0", "libucs.so.0 (Debian package: libucx0)");
    unsetenv("UCX_MEM_EVENTS");
    return missing;
}

/* libucs patches from a constructor. */
static int ucx_start_mode(const char *mode, member_id_t member)
{
    if (ucm.library == NULL) {
        setenv("UCX_MEM_MMAP_HOOK_MODE", mode, 1);
        setenv("UCX_HANDLE_ERRORS", "none", 1);
        ucm.library = dlopen("libucs.so.0", RTLD_NOW);
        lookup(ucm.library, "ucm_set_event_handler", &ucm.set);
        lookup(ucm.library, "ucm_unset_event_handler", &ucm.unset);
        ucm.member = member;
    }
    return ucm.set(UCM_EVENT_VM_UNMAPPED, UCM_PRIORITY, ucx_released, NULL);
}

static int ucx_start(void)
{
    return ucx_start_mode("bistro", UCX);
}

static int ucx_reloc_start(void)
{
    return ucx_start_mode("reloc", UCX_RELOC);
}

static int ucx_stop(void)
{
    ucm.unset(UCM_EVENT_VM_UNMAPPED, ucx_released, NULL);
    return 0;
}

/* ---- libfabric's memhooks (see memhooks.c) ------------------------------------------------------------ */

/* struct ofi_mem_monitor of 1.17. */
typedef struct mem_monitor_t mem_monitor_t;
struct mem_monitor_t {
    void *caches[2];
    int iface, state;
    void (*init)(mem_monitor_t *monitor);
    void (*cleanup)(mem_monitor_t *monitor);
    int (*start)(mem_monitor_t *monitor);
    void (*stop)(mem_monitor_t *monitor);
};

extern mem_monitor_t *memhooks_monitor __attribute__((weak));

static const char *memhooks_missing(void)
{
    return &memhooks_monitor != NULL ? NULL : "util_mem_hooks.o of libfabric.a (Debian package: libfabric-dev)";
}

static int memhooks_start(void)
{
    return memhooks_monitor->start(memhooks_monitor);
}

static int memhooks_stop(void)
{
    memhooks_monitor->stop(memhooks_monitor);
    return 0;
}

/* ---- Open MPI's memory/patcher (libopen-pal of 4.1) ------------------------------------------------------ */

typedef void(pal_callback_t)(void *buffer, size_t length, void *arg, bool from_alloc);

static struct pal_t {
    void *library, *framework;
    int (*open)(void *framework, int flags);
    int (*close)(void *framework);
    int (*add)(pal_callback_t *callback, void *arg);
    int (*remove)(pal_callback_t *callback);
} pal;

static void pal_released(void *buffer, size_t length, void *arg, bool from_alloc)
{
    (void) arg, (void) from_alloc;
    watch_event(OPEN_MPI, (uintptr_t) buffer, length);
}

static const char *pal_missing(void)
{
    return missing_library("libopen-pal.so.40", "libopen-pal.so.40 (Debian package: libopenmpi3)");
}

static int pal_load(void)
{
    int (*init)(int *argc, char ***argv);

    pal.library = dlopen("libopen-pal.so.40", RTLD_NOW | RTLD_GLOBAL);
    lookup(pal.library, "opal_init", &init);
    lookup(pal.library, "mca_base_framework_open", &pal.open);
    lookup(pal.library, "mca_base_framework_close", &pal.close);
    lookup(pal.library, "opal_mem_hooks_register_release", &pal.add);
    lookup(pal.library, "opal_mem_hooks_unregister_release", &pal.remove);
    pal.framework = dlsym(pal.library, "opal_memory_base_framework");
    return init(NULL, NULL);
}

static int pal_start(void)
{
    int rc = pal.library == NULL ? pal_load() : 0;

    rc = rc == 0 ? pal.open(pal.framework, 0) : rc;
    return rc == 0 ? pal.add(pal_released, NULL) : rc;
}

static int pal_stop(void)
{
    int rc = pal.remove(pal_released);

    return rc == 0 ? pal.close(pal.framework) : rc;
}

/* ---- fork ------------------------------------------------------------------------------------------ */

static const char *fork_missing(void)
{
    return NULL;
}

/* Returns in the child only. */
static int fork_start(void)
{
    pid_t child;
    int status = 0;

    fflush(stdout);
    child = fork();
    if (child != 0) {
        waitpid(child, &status, 0);
        _exit(child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    alarm(60);
    return 0;
}

static int fork_stop(void)
{
    return 0;
}

const member_t members[MEMBERS] = {
    [OURS] = { "ours", ours_missing, ours_start, ours_stop },
    [UCX] = { "ucx", ucx_missing, ucx_start, ucx_stop },
    [UCX_RELOC] = { "ucx-reloc", ucx_missing, ucx_reloc_start, ucx_stop },
    [MEMHOOKS] = { "memhooks", memhooks_missing, memhooks_start, memhooks_stop },
    [OPEN_MPI] = { "open-mpi", pal_missing, pal_start, pal_stop },
    [FORK] = { "fork", fork_missing, fork_start, fork_stop },
};
