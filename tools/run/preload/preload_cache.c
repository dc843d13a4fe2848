/* SPDX-License-Identifier: BSD-3-Clause */
/* The registration cache of this process: one cache, one io_uring. Nothing of it exists before the first call that can
 * use it: processes that move no large blocks pay for nothing. Provider functions are those of the provider "uring",
 * with counters around them. */
#define _GNU_SOURCE 1
#include <stdatomic.h>
#include <stddef.h>

#include "opal/opalmem.h"
#include "tools/run/preload/preload.h"

/* 1 GiB is the most that the kernel takes as one buffer; it is the caller that cuts. */
typedef struct registration_t {
    mca_rcache_uring_registration_t uring;
    preload_frames_t *frames; /* With --verify; else NULL. */
} registration_t;

enum { NEW, STARTING, READY, FAILED };
static _Atomic int state = NEW;

/* Constant while the state is READY. */
static mca_rcache_provider_t *provider;
static mca_rcache_base_module_t *cache;
static mca_rcache_base_resources_t real;

/* What makes this thread drop registrations, if that is no release. */
static _Thread_local int dropping PRELOAD_TLS;

/* ---- The provider, with counters ----------------------------------------------------------------- */

static int register_mem(void *data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    const int rc = real.register_mem(data, base, size, reg);
    registration_t *own = (registration_t *) reg;

    if (rc == OPAL_SUCCESS) {
        run_add(&preload_page->pins, 1);
        run_add(&preload_page->pinned_bytes, size);
        own->frames = preload_page->verify ? preload_frames_record(base, size) : NULL;
    }
    return rc;
}

/* Hook context. */
static void count_unpin(void)
{
    const unsigned cause = dropping ? RUN_CAUSE_RIGHTS : (unsigned) opal_mem_hooks_current_cause();

    run_add(&preload_page->unpins, 1);
    if (cause != OPAL_MEM_HOOKS_CAUSE_UNKNOWN && cause < RUN_CAUSES) {
        run_add(&preload_page->unpinned_in_release[cause], 1);
    } else {
        run_add(&preload_page->unpinned_later, 1);
    }
}

/* Hook context. */
static void note_end(mca_rcache_base_registration_t *reg)
{
    registration_t *own = (registration_t *) reg;

    count_unpin();
    preload_frames_free(own->frames);
    own->frames = NULL;
}

/* Hook context. */
static int deregister_mem(void *data, mca_rcache_base_registration_t *reg)
{
    note_end(reg);
    return real.deregister_mem(data, reg);
}

/* Hook context: what one release ends, or one call behind it. */
static int deregister_many(void *data, mca_rcache_base_registration_t **regs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        note_end(regs[i]);
    }
    return real.deregister_many(data, regs, n);
}

/* ---- Start ---------------------------------------------------------------------------------------- */

static void keep_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) arg;
    if (level <= MCA_BASE_LOG_WARN) {
        preload_say(&preload_page->failure, "%s", message);
    }
}

static bool make_cache(void)
{
    mca_rcache_base_resources_t resources = { .cache_name = "opalmem-run" };

    mca_rcache_provider_resources(provider, &resources);
    real = resources;
    resources.sizeof_reg = sizeof(registration_t);
    resources.register_mem = register_mem;
    resources.deregister_mem = deregister_mem;
    resources.deregister_many = real.deregister_many != NULL ? deregister_many : NULL;
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    return cache != NULL;
}

/* The program's stderr is its own: messages go into the report. */
static bool make_all(void)
{
    mca_base_set_log(keep_message, NULL);
    return opalmem_init(NULL, NULL) == OPAL_SUCCESS && mca_rcache_provider_open("uring", &provider) == OPAL_SUCCESS
           && make_cache();
}

run_reason_t preload_cache_start(void)
{
    int now = atomic_load_explicit(&state, memory_order_acquire);

    if (now == NEW && atomic_compare_exchange_strong(&state, &now, STARTING)) {
        now = make_all() ? READY : FAILED;
        if (now == READY) {
            run_add(&preload_page->started, 1);
        } else {
            preload_say(&preload_page->failure, "the library cannot be started");
        }
        atomic_store_explicit(&state, now, memory_order_release);
    }
    switch (now) {
    case READY: return RUN_REASONS;
    case STARTING: return RUN_EARLY;
    default: return RUN_NO_LIBRARY;
    }
}

void preload_cache_reset_child(void)
{
    int expected = STARTING;

    atomic_compare_exchange_strong(&state, &expected, FAILED);
}

static bool is_ready(void)
{
    return atomic_load_explicit(&state, memory_order_acquire) == READY;
}

bool preload_in_release(void)
{
    /* A window may be of an unknown cause; it is not certain then, and outside of all windows the answer is that it is. */
    return is_ready()
           && (opal_mem_hooks_current_cause() != OPAL_MEM_HOOKS_CAUSE_UNKNOWN
               || !opal_mem_hooks_current_is_certain());
}

/* ---- Use ------------------------------------------------------------------------------------------ */

static run_reason_t reason_of(int rc)
{
    switch (rc) {
    case OPAL_SUCCESS: return RUN_REASONS;
    case OPAL_ERR_OUT_OF_RESOURCE: return RUN_LIMIT;
    case OPAL_ERR_UNREACH:
    case OPAL_ERR_NOT_AVAILABLE: return RUN_NO_LIBRARY;
    default: return RUN_MEMORY;
    }
}

/* The cache evicts only when it registers. */
static void count_evictions(void)
{
    static _Atomic uint64_t seen;
    mca_rcache_base_stats_t stats = { .hits = 0 };

    cache->rcache_stats(cache, &stats);
    run_add(&preload_page->evictions, stats.evictions - atomic_exchange(&seen, stats.evictions));
}

static run_reason_t miss(void *start, size_t length, mca_rcache_base_registration_t **reg)
{
    const int rc = cache->rcache_register(cache, start, length, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE, reg);

    run_add(&preload_page->misses, 1);
    count_evictions();
    return reason_of(rc);
}

run_reason_t preload_cache_get(void *start, size_t length, mca_rcache_uring_registration_t **reg)
{
    mca_rcache_base_registration_t *found = NULL;
    run_reason_t reason = RUN_REASONS;

    if (cache->rcache_find(cache, start, length, &found) == OPAL_SUCCESS && found != NULL) {
        run_add(&preload_page->hits, 1);
        if (preload_page->verify) {
            preload_frames_compare(((registration_t *) found)->frames, start, length);
        }
    } else {
        reason = miss(start, length, &found);
    }
    if (reason == RUN_REASONS) {
        *reg = (mca_rcache_uring_registration_t *) found;
    }
    return reason;
}

void preload_cache_put(mca_rcache_uring_registration_t *reg)
{
    cache->rcache_deregister(cache, &reg->super);
}

ssize_t preload_cache_move(const mca_rcache_uring_registration_t *reg, int fd, bool is_write, void *start,
                           size_t length, off_t offset)
{
    return is_write ? mca_rcache_uring_write(provider, fd, reg, start, length, (uint64_t) offset)
                    : mca_rcache_uring_read(provider, fd, reg, start, length, (uint64_t) offset);
}

void preload_cache_drop(void *start, size_t length)
{
    if (is_ready() && length != 0 && length <= UINTPTR_MAX - (uintptr_t) start) {
        dropping++;
        cache->rcache_invalidate_range(cache, start, length);
        dropping--;
    }
}
