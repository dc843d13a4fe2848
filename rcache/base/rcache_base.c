/* SPDX-License-Identifier: BSD-3-Clause */
/* Creation and destruction of caches, and the release callback that hands
 * events to all of them. */
#include "rcache/base/rcache_base.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "framework/hooks/hooks_internal.h"
#include "framework/opalmem_internal.h"
#include "framework/util/fork.h"
#include "opal/mca/base/base.h"
#include "rcache/grdma/grdma.h"

#define CHUNK_SLOTS 64

/* All caches. Slots are taken and emptied under list_lock; hooks read them without it. A cache is freed
 * only after its slot was emptied and every dispatch then running has ended. Chunks are never freed. */
struct chunk {
    _Atomic(mca_rcache_base_module_t *) slot[CHUNK_SLOTS];
    _Atomic size_t used; /* Slots from here on have never been taken. Raised before a slot is filled. */
    _Atomic(struct chunk *) next;
};
static struct chunk first_chunk;
static _Atomic size_t cache_count; /* Under list_lock; read by hooks. */

/* Protects the slots against other writers. Never held across an allocation, a callback or a wait. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

mca_rcache_base_settings_t mca_rcache_base_settings;
static bool listening; /* Under list_lock. */

/* ---- Variables ---------------------------------------------------------------------------------- */

/* All that Open MPI takes; of each value the first name is shown. */
static const mca_base_var_enum_value_t leave_pinned_values[] = {
    { "auto", -1 }, { "-1", -1 }, { "0", 0 },        { "1", 1 },       { "false", 0 },
    { "true", 1 },  { "f", 0 },   { "t", 1 },        { "no", 0 },      { "yes", 1 },
    { "n", 0 },     { "y", 1 },   { "disabled", 0 }, { "enabled", 1 }, { NULL, 0 },
};
/* Open MPI's names for it, which its users have in their scripts. */
static const char *const leave_pinned_synonyms[] = { "leave_pinned", "mpi_leave_pinned", "opal_leave_pinned" };
static const mca_base_var_enum_value_t policy_values[] = {
    { "ignore", MCA_RCACHE_IN_USE_IGNORE },
    { "warn", MCA_RCACHE_IN_USE_WARN },
    { "abort", MCA_RCACHE_IN_USE_ABORT },
    { NULL, 0 },
};

static const mca_base_var_def_t variables[] = {
    { .framework = "rcache",
      .component = "base",
      .name = "leave_pinned",
      .help = "Keep registrations for reuse: auto (where a memory component notices releases), 1 (or fail), 0.",
      .type = MCA_BASE_VAR_TYPE_ENUM,
      .info_level = 3,
      .enumerator = leave_pinned_values,
      .storage = &mca_rcache_base_settings.leave_pinned },
    { .framework = "rcache",
      .component = "base",
      .name = "unsafe",
      .help = "Keep registrations although no component notices releases. Data WILL be corrupted when memory "
              "is released: for demonstrations and tests only.",
      .type = MCA_BASE_VAR_TYPE_BOOL,
      .info_level = 9,
      .storage = &mca_rcache_base_settings.unsafe },
    { .framework = "rcache",
      .component = "base",
      .name = "max_count",
      .help = "Most registrations that one cache may hold; 0: no limit.",
      .type = MCA_BASE_VAR_TYPE_SIZE_T,
      .info_level = 5,
      .storage = &mca_rcache_base_settings.max_count },
    { .framework = "rcache",
      .component = "base",
      .name = "max_bytes",
      .help = "Most bytes that one cache may keep pinned; 0: no limit.",
      .type = MCA_BASE_VAR_TYPE_SIZE_T,
      .info_level = 5,
      .storage = &mca_rcache_base_settings.max_bytes },
    { .framework = "rcache",
      .component = "base",
      .name = "in_use_policy",
      .help = "What to do when memory is released that a registration in use covers: ignore, warn, abort.",
      .type = MCA_BASE_VAR_TYPE_ENUM,
      .info_level = 5,
      .enumerator = policy_values,
      .storage = &mca_rcache_base_settings.in_use_policy },
};

static int register_synonyms(void)
{
    int rc = OPAL_SUCCESS;
    for (size_t i = 0; i < sizeof(leave_pinned_synonyms) / sizeof(leave_pinned_synonyms[0]) && rc == OPAL_SUCCESS;
         i++) {
        rc = mca_base_var_register_synonym("rcache_base_leave_pinned", leave_pinned_synonyms[i], 0);
    }
    return rc;
}

int mca_rcache_base_open(void)
{
    mca_rcache_base_settings = (mca_rcache_base_settings_t){
        .leave_pinned = -1,
        .in_use_policy = MCA_RCACHE_IN_USE_WARN,
    };
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        int rc = mca_base_var_register(&variables[i]);
        if (rc != OPAL_SUCCESS) {
            return rc;
        }
    }
    return register_synonyms();
}

/* ---- The list of caches ------------------------------------------------------------------------- */

typedef void (*visit_fn_t)(mca_rcache_base_module_t *module, void *arg);

OPAL_MEM_HOOKS_PATH static void visit_all(visit_fn_t visit, void *arg)
{
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = atomic_load(&chunk->next)) {
        size_t used = atomic_load_explicit(&chunk->used, memory_order_acquire);
        for (size_t i = 0; i < used; i++) {
            mca_rcache_base_module_t *module = atomic_load_explicit(&chunk->slot[i], memory_order_acquire);
            if (module != NULL) {
                visit(module, arg);
            }
        }
    }
}

static bool take_slot_locked(mca_rcache_base_module_t *module, struct chunk **last)
{
    for (struct chunk *chunk = &first_chunk; chunk != NULL; chunk = atomic_load(&chunk->next)) {
        *last = chunk;
        for (size_t i = 0; i < CHUNK_SLOTS; i++) {
            if (atomic_load_explicit(&chunk->slot[i], memory_order_relaxed) == NULL) {
                if (i >= atomic_load(&chunk->used)) {
                    atomic_store(&chunk->used, i + 1);
                }
                atomic_store(&chunk->slot[i], module);
                atomic_fetch_add(&cache_count, 1);
                return true;
            }
        }
    }
    return false;
}

static int list_add(mca_rcache_base_module_t *module)
{
    struct chunk *spare = NULL, *last;
    bool done;
    for (;;) {
        pthread_mutex_lock(&list_lock);
        done = take_slot_locked(module, &last);
        if (!done && spare != NULL) {
            atomic_store(&last->next, spare);
            spare = NULL;
            done = take_slot_locked(module, &last);
        }
        pthread_mutex_unlock(&list_lock);
        if (done) {
            free(spare);
            return OPAL_SUCCESS;
        }
        spare = calloc(1, sizeof(*spare));
        if (spare == NULL) {
            return OPAL_ERR_OUT_OF_RESOURCE;
        }
    }
}

static bool list_remove(mca_rcache_base_module_t *module)
{
    bool found = false;
    pthread_mutex_lock(&list_lock);
    for (struct chunk *chunk = &first_chunk; chunk != NULL && !found; chunk = atomic_load(&chunk->next)) {
        for (size_t i = 0; i < CHUNK_SLOTS && !found; i++) {
            found = atomic_load_explicit(&chunk->slot[i], memory_order_relaxed) == module;
            if (found) {
                atomic_store(&chunk->slot[i], NULL);
                atomic_fetch_sub(&cache_count, 1);
            }
        }
    }
    pthread_mutex_unlock(&list_lock);
    return found;
}

/* ---- Events ------------------------------------------------------------------------------------- */

OPAL_MEM_HOOKS_PATH static void invalidate_one(mca_rcache_base_module_t *module, void *arg)
{
    const opal_mem_hooks_range_t *range = arg;
    module->rcache_invalidate_range(module, (void *) range->start, range->length);
}

/* The release callback. Hook context. */
OPAL_MEM_HOOKS_PATH static void memory_released(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata, (void) from_alloc;
    if (atomic_load_explicit(&cache_count, memory_order_relaxed) == 0) {
        return; /* A cache that is created now has nothing registered yet, and looks at open windows. */
    }
    opal_mem_hooks_range_t range = { (uintptr_t) buf, length };
    visit_all(invalidate_one, &range);
}

static bool hooks_notice_releases(void)
{
    return (opal_mem_hooks_support_level() & (OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT)) != 0;
}

static int listen_for_releases(void)
{
    int rc = opal_mem_hooks_register_release(memory_released, NULL);
    if (rc == OPAL_EXISTS) {
        return OPAL_SUCCESS;
    }
    if (rc == OPAL_SUCCESS) {
        pthread_mutex_lock(&list_lock);
        listening = true;
        pthread_mutex_unlock(&list_lock);
    }
    return rc;
}

static void stop_one(mca_rcache_base_module_t *module, void *arg)
{
    (void) arg;
    mca_rcache_grdma_stop(module);
}

int mca_rcache_base_close(void)
{
    visit_all(stop_one, NULL); /* Nobody will tell them of releases any more. */
    pthread_mutex_lock(&list_lock);
    bool was_listening = listening;
    size_t left = atomic_load(&cache_count);
    listening = false;
    pthread_mutex_unlock(&list_lock);
    if (was_listening) {
        opal_mem_hooks_unregister_release(memory_released);
    }
    return left == 0 ? OPAL_SUCCESS : OPAL_ERR_RESOURCE_BUSY;
}

static void reset_one(mca_rcache_base_module_t *module, void *arg)
{
    (void) arg;
    mca_rcache_grdma_reset_child(module);
}

void mca_rcache_base_reset_child(void)
{
    pthread_mutex_init(&list_lock, NULL);
    visit_all(reset_one, NULL);
}

/* ---- For users ---------------------------------------------------------------------------------- */

/* May this cache keep registrations? OPAL_ERR_NOT_SUPPORTED: it must, but cannot. */
static int decide_caching(bool *caching)
{
    const mca_rcache_base_settings_t *settings = &mca_rcache_base_settings;
    *caching = settings->unsafe || (settings->leave_pinned != 0 && hooks_notice_releases());
    if (settings->leave_pinned == 1 && !*caching) {
        mca_base_log(MCA_BASE_LOG_ERROR,
                     "rcache_base_leave_pinned is 1, but no memory component notices releases here "
                     "(opalmem-info says why); use auto or 0");
        return OPAL_ERR_NOT_SUPPORTED;
    }
    return OPAL_SUCCESS;
}

static int check_resources(const char *name, const mca_rcache_base_resources_t *resources)
{
    const char *fault = NULL;
    if (!opalmem_is_running()) {
        fault = "opalmem_init() has not been called";
    } else if (name != NULL && strcmp(name, "grdma") != 0) {
        mca_base_log(MCA_BASE_LOG_ERROR, "there is no rcache component \"%s\"; there is: grdma", name);
        return OPAL_ERR_NOT_FOUND;
    } else if (resources == NULL || resources->register_mem == NULL || resources->deregister_mem == NULL) {
        fault = "its resources lack register_mem or deregister_mem";
    } else if (resources->sizeof_reg < sizeof(mca_rcache_base_registration_t)) {
        fault = "sizeof_reg is smaller than mca_rcache_base_registration_t";
    }
    if (fault != NULL) {
        mca_base_log(MCA_BASE_LOG_ERROR, "a registration cache cannot be made: %s", fault);
    }
    return fault == NULL ? OPAL_SUCCESS : OPAL_ERR_BAD_PARAM;
}

mca_rcache_base_module_t *mca_rcache_base_module_create(const char *name, void *user_data,
                                                        mca_rcache_base_resources_t *resources)
{
    bool caching;
    (void) user_data;
    opal_fork_check();
    if (check_resources(name, resources) != OPAL_SUCCESS || decide_caching(&caching) != OPAL_SUCCESS) {
        return NULL;
    }
    int rc = OPAL_ERR_OUT_OF_RESOURCE;
    mca_rcache_base_module_t *module = mca_rcache_grdma_create(resources, caching);
    if (module != NULL && (rc = list_add(module)) != OPAL_SUCCESS) {
        module->rcache_finalize(module);
        module = NULL;
    }
    /* Where nothing can be heard, only rcache_base_unsafe lets a cache keep anything. */
    if (module != NULL && caching && (rc = listen_for_releases()) != OPAL_SUCCESS
        && !mca_rcache_base_settings.unsafe) {
        mca_rcache_base_module_destroy(module);
        module = NULL;
    }
    if (module == NULL) {
        mca_base_log(MCA_BASE_LOG_ERROR, "a registration cache cannot be made: %s", opal_strerror(rc));
    }
    return module;
}

int mca_rcache_base_module_destroy(mca_rcache_base_module_t *module)
{
    opal_fork_check();
    if (module == NULL || !list_remove(module)) {
        return OPAL_ERR_BAD_PARAM;
    }
    opal_mem_hooks_wait_dispatch(); /* Releases that still see it. */
    return mca_rcache_grdma_close(module);
}

static void progress_one(mca_rcache_base_module_t *module, void *arg)
{
    (void) arg;
    module->rcache_progress(module);
}

void mca_rcache_base_progress(void)
{
    opal_mem_hooks_window_t window;
    opal_memory_base_sync();
    opal_mem_hooks_enter(&window); /* Keeps a cache that is destroyed meanwhile from being freed under us. */
    visit_all(progress_one, NULL);
    opal_mem_hooks_leave(&window);
}

bool mca_rcache_base_is_caching(const mca_rcache_base_module_t *module)
{
    return mca_rcache_grdma_is_caching(module);
}
