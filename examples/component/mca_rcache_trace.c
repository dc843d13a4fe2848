/* SPDX-License-Identifier: BSD-3-Clause */
/* Registration cache "trace", an example of a component of the framework rcache: tells on stderr what a program
 * asks of its caches, and has grdma do the work. Never selected by itself: --mca rcache_trace_priority 100. */
#include <opal/mca/base/base.h>
#include <opal/mca/rcache/rcache.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct trace_module_t {
    mca_rcache_base_module_t super; /* First: what users hold is a pointer to it. */
    mca_rcache_base_module_t *inner;
    atomic_uint invalidations;
} trace_module_t;

static trace_module_t *trace_of(mca_rcache_base_module_t *module)
{
    return (trace_module_t *) module;
}

static int trace_register(mca_rcache_base_module_t *module, void *addr, size_t size, uint32_t flags,
                          int32_t access_flags, mca_rcache_base_registration_t **reg)
{
    mca_rcache_base_module_t *inner = trace_of(module)->inner;
    int rc = inner->rcache_register(inner, addr, size, flags, access_flags, reg);
    fprintf(stderr, "trace: register %p + %zu, flags %#x, access %#x: %s\n", addr, size, (unsigned) flags,
            (unsigned) access_flags, opal_strerror(rc));
    return rc;
}

static int trace_deregister(mca_rcache_base_module_t *module, mca_rcache_base_registration_t *reg)
{
    mca_rcache_base_module_t *inner = trace_of(module)->inner;
    void *base = reg->base; /* Behind the call, reg is not ours any more. */
    int rc = inner->rcache_deregister(inner, reg);
    fprintf(stderr, "trace: deregister %p: %s\n", base, opal_strerror(rc));
    return rc;
}

static int trace_find(mca_rcache_base_module_t *module, void *addr, size_t size,
                      mca_rcache_base_registration_t **reg)
{
    mca_rcache_base_module_t *inner = trace_of(module)->inner;
    int rc = inner->rcache_find(inner, addr, size, reg);
    fprintf(stderr, "trace: find %p + %zu: %s\n", addr, size, opal_strerror(rc));
    return rc;
}

/* Hook context: counts, prints nothing. The inner cache is in the library's list as well, and hears of each release
 * by itself; a second time does no harm. */
static int trace_invalidate_range(mca_rcache_base_module_t *module, void *addr, size_t size)
{
    mca_rcache_base_module_t *inner = trace_of(module)->inner;
    atomic_fetch_add(&trace_of(module)->invalidations, 1);
    return inner->rcache_invalidate_range(inner, addr, size);
}

static bool trace_evict(mca_rcache_base_module_t *module)
{
    mca_rcache_base_module_t *inner = trace_of(module)->inner;
    return inner->rcache_evict(inner);
}

static void trace_progress(mca_rcache_base_module_t *module)
{
    mca_rcache_base_module_t *inner = trace_of(module)->inner;
    inner->rcache_progress(inner);
}

static void trace_stats(mca_rcache_base_module_t *module, mca_rcache_base_stats_t *stats)
{
    mca_rcache_base_module_t *inner = trace_of(module)->inner;
    inner->rcache_stats(inner, stats);
}

static bool trace_is_caching(const mca_rcache_base_module_t *module)
{
    return mca_rcache_base_is_caching(((const trace_module_t *) module)->inner);
}

/* With references out (OPAL_ERR_RESOURCE_BUSY), they come back through this table: it stays. */
static int trace_finalize(mca_rcache_base_module_t *module)
{
    trace_module_t *trace = trace_of(module);
    int rc = mca_rcache_base_module_destroy(trace->inner);
    fprintf(stderr, "trace: destroyed after %u release(s): %s\n", atomic_load(&trace->invalidations),
            opal_strerror(rc));
    if (rc == OPAL_SUCCESS) {
        free(trace);
    }
    return rc;
}

/* May be called by several threads at once. Whether registrations are kept, the inner cache is told by the library. */
static int trace_init(const mca_rcache_base_resources_t *resources, void *user_data, bool caching,
                      mca_rcache_base_module_t **module)
{
    (void) user_data, (void) caching;
    mca_rcache_base_resources_t copy = *resources;
    trace_module_t *trace = calloc(1, sizeof *trace);
    if (trace == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    trace->inner = mca_rcache_base_module_create("grdma", NULL, &copy);
    if (trace->inner == NULL) {
        free(trace);
        return OPAL_ERROR; /* It has said why. */
    }
    trace->super = (mca_rcache_base_module_t){
        .struct_size = sizeof trace->super,
        .component_name = "trace",
        .rcache_register = trace_register,
        .rcache_deregister = trace_deregister,
        .rcache_find = trace_find,
        .rcache_invalidate_range = trace_invalidate_range,
        .rcache_evict = trace_evict,
        .rcache_finalize = trace_finalize,
        .rcache_progress = trace_progress,
        .rcache_stats = trace_stats,
        .rcache_is_caching = trace_is_caching,
    };
    *module = &trace->super;
    return OPAL_SUCCESS;
}

/* No module: caches are made by rcache_init. The variable rcache_trace_priority is the library's doing. */
static int query(mca_base_module_t **module, int *priority)
{
    *module = NULL;
    *priority = 0;
    return OPAL_SUCCESS;
}

MCA_BASE_COMPONENT_DECLSPEC extern const mca_rcache_base_component_t mca_rcache_trace_component;
const mca_rcache_base_component_t mca_rcache_trace_component = {
    .rcache_version = {
        MCA_RCACHE_BASE_VERSION_2_0_0,
        .mca_component_name = "trace",
        .mca_component_major_version = 1,
        .mca_query_component = query,
    },
    .rcache_init = trace_init,
};
