/* SPDX-License-Identifier: BSD-3-Clause */
/* UCX's side of the benchmark: ucs_rcache of Debian's libucs 1.13 with a registration that does nothing.
 *
 * The library is loaded at run time. What is used of its binary interface is declared here, so that no header of
 * UCX is needed; it is good for 1.13 alone, and what libucp says about its version is looked at first.
 */
#include <dlfcn.h>
#include <string.h>

#include "bench/rcache/bench.h"

enum { VM_UNMAPPED = 1 << 17, EVENT_PRIORITY = 1000, READ_WRITE = 3, SMALLEST_ALIGNMENT = 16 };

/* A region as the cache allocates it. Of its 88 bytes only the range is looked at. */
typedef struct side_reg_t {
    uintptr_t start, end;
    uint64_t own[9];
} side_reg_t;

typedef struct ucx_ops_t {
    int (*mem_reg)(void *context, void *cache, void *arg, side_reg_t *region, uint16_t flags);
    void (*mem_dereg)(void *context, void *cache, side_reg_t *region);
    void (*dump_region)(void *context, void *cache, side_reg_t *region, char *text, size_t max);
} ucx_ops_t;

typedef struct ucx_params_t {
    size_t region_struct_size, alignment, max_alignment;
    int ucm_events, ucm_event_priority;
    const ucx_ops_t *ops;
    void *context;
    int flags;
    unsigned long max_regions;
    size_t max_size, max_unreleased;
} ucx_params_t;

typedef struct side_counts_t {
    unsigned long registrations, deregistrations, hits;
    bool has_hits;
} side_counts_t;

static int (*create)(const ucx_params_t *params, const char *name, void *stats, void **cache);
static int (*get)(void *cache, void *address, size_t length, int prot, void *arg, side_reg_t **region);
static void (*put)(void *cache, side_reg_t *region);
static void (*invalidate)(void *cache, side_reg_t *region, void (*done)(void *arg), void *arg);

static void *cache;
static side_counts_t counts;
static uintptr_t last_start, last_end; /* Of the last registration: proof that the declarations fit. */

static int mem_reg(void *context, void *of, void *arg, side_reg_t *region, uint16_t flags)
{
    (void) of, (void) arg, (void) flags;
    if (context != &counts) {
        return -1;
    }
    last_start = region->start;
    last_end = region->end;
    counts.registrations++;
    return 0;
}

static void mem_dereg(void *context, void *of, side_reg_t *region)
{
    (void) context, (void) of, (void) region;
    counts.deregistrations++;
}

static void dump_region(void *context, void *of, side_reg_t *region, char *text, size_t max)
{
    (void) context, (void) of, (void) region, (void) max;
    text[0] = '\0';
}

static inline int side_get(void *address, size_t size, side_reg_t **reg)
{
    return get(cache, address, size, READ_WRITE, NULL, reg);
}

static inline void side_put(side_reg_t *reg)
{
    put(cache, reg);
}

static void invalidated(void *arg)
{
    (void) arg;
}

static inline void side_drop(side_reg_t *reg, void *address, size_t size)
{
    (void) address, (void) size;
    invalidate(cache, reg, invalidated, NULL);
    put(cache, reg);
}

/* A region is invalidated by whoever holds a reference, and in no other way. */
enum { side_drops_idle = false };

static inline void side_drop_idle(void *address, size_t size)
{
    (void) address, (void) size;
}

static side_counts_t side_counts(void)
{
    return counts;
}

/* The next miss ends what releases have left behind; cases.h makes it. */
static void side_settle(void)
{
}

static void side_open(size_t limit)
{
    static const ucx_ops_t ops = { mem_reg, mem_dereg, dump_region };
    ucx_params_t params = { .region_struct_size = sizeof(side_reg_t),
                            .alignment = SMALLEST_ALIGNMENT,
                            .max_alignment = PAGE,
                            .ucm_events = VM_UNMAPPED,
                            .ucm_event_priority = EVENT_PRIORITY,
                            .ops = &ops,
                            .context = &counts,
                            .max_regions = limit != 0 ? limit : (unsigned long) -1,
                            .max_size = (size_t) -1,
                            .max_unreleased = (size_t) -1 };
    static char probe[2 * 4096] __attribute__((aligned(4096)));
    side_reg_t *region;
    if (create(&params, "bench", NULL, &cache) != 0) {
        fail("ucs_rcache_create() has failed: UCX cannot hook releases here");
    }
    if (side_get(probe, PAGE, &region) != 0 || counts.registrations != 1 || last_start != (uintptr_t) probe
        || last_end != last_start + PAGE || region->start != last_start) {
        fail("ucs_rcache_get() does not do what the declarations of 1.13 say");
    }
    side_drop(region, probe, PAGE);
}

static bool load(void *library, const char *name, void *function)
{
    *(void **) function = dlsym(library, name);
    return *(void **) function != NULL;
}

static const char *start(void)
{
    const char *(*version)(void);
    void *ucp = dlopen("libucp.so.0", RTLD_NOW | RTLD_GLOBAL);
    void *ucs = dlopen("libucs.so.0", RTLD_NOW | RTLD_GLOBAL);
    if (ucp == NULL || ucs == NULL || !load(ucp, "ucp_get_version_string", &version)) {
        return "no libucp.so.0 and libucs.so.0 (Debian package: libucx0)";
    }
    if (strncmp(version(), "1.13.", 5) != 0) {
        return "libucs is not of version 1.13, whose interface the benchmark knows";
    }
    return load(ucs, "ucs_rcache_create", &create) && load(ucs, "ucs_rcache_get", &get)
                   && load(ucs, "ucs_rcache_region_put", &put)
                   && load(ucs, "ucs_rcache_region_invalidate", &invalidate)
               ? NULL
               : "libucs does not export ucs_rcache_*";
}

#include "bench/rcache/cases.h"

const side_t side_ucx = { "UCX", start, run_scene, run_callgrind };
