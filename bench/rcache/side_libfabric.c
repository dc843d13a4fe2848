/* SPDX-License-Identifier: BSD-3-Clause */
/* libfabric's side of the benchmark, a program of its own: the cache of Debian's libfabric 1.17 with its monitor
 * "memhooks" and a registration that does nothing.
 *
 * libfabric opens its cache only for a provider that has a device, and exports nothing of it; so libfabric.sh links
 * its objects out of libfabric.a, with what they need of the rest in stubs_libfabric.c. The structures are declared
 * here as 1.17 has them on x86-64; side_open() looks whether they are.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "bench/rcache/bench.h"

typedef struct list_t {
    struct list_t *next, *prev;
} list_t;

/* Memory of the host is interface 0, for which everything behind it is 0. */
typedef struct info_t {
    struct iovec iov;
    uint64_t interface;
    uint64_t others[10];
} info_t;

/* An entry of the cache; provider's data would follow. */
typedef struct side_reg_t {
    info_t info;
    void *node;
    int use_count;
    list_t list;
    uint64_t hmem_info[3];
} side_reg_t;

typedef struct monitor_t {
    list_t list;
    int interface, state;
    void (*init)(struct monitor_t *monitor);
    void *others[6];
} monitor_t;

enum { INTERFACES = 6 };

typedef struct cache_t {
    void *domain;
    monitor_t *monitors[INTERFACES];
    list_t notify_entries[INTERFACES];
    size_t entry_data_size;
    uint64_t tree[8];
    list_t lru, dead;
    pthread_mutex_t lock;
    size_t cached_count, cached_size, uncached_count, uncached_size;
    size_t searches, deletes, hits, notifies;
    void *entry_pool;
    int (*add_region)(struct cache_t *cache, side_reg_t *entry);
    void (*delete_region)(struct cache_t *cache, side_reg_t *entry);
} cache_t;

_Static_assert(sizeof(info_t) == 0x68 && offsetof(side_reg_t, use_count) == 0x70 && sizeof(side_reg_t) == 0xa0,
               "");
_Static_assert(offsetof(cache_t, entry_data_size) == 0x98 && offsetof(cache_t, lock) == 0x100, "");
_Static_assert(offsetof(cache_t, cached_count) == 0x128 && offsetof(cache_t, delete_region) == 0x178, "");

extern struct {
    size_t max_count, max_size;
} cache_params;
extern monitor_t *memhooks_monitor;
extern pthread_mutex_t mm_lock;

int ofi_mr_cache_init(void *domain, monitor_t **monitors, cache_t *of);
int ofi_mr_cache_search(cache_t *of, const info_t *info, side_reg_t **entry);
void ofi_mr_cache_delete(cache_t *of, side_reg_t *entry);
void ofi_mr_cache_notify(cache_t *of, const void *address, size_t length);

typedef struct side_counts_t {
    unsigned long registrations, deregistrations, hits;
    bool has_hits;
} side_counts_t;

static cache_t cache;
static side_counts_t counts;

static int add_region(cache_t *of, side_reg_t *entry)
{
    (void) entry;
    counts.registrations++;
    return of == &cache ? 0 : -1;
}

static void delete_region(cache_t *of, side_reg_t *entry)
{
    (void) of, (void) entry;
    counts.deregistrations++;
}

static inline int side_get(void *address, size_t size, side_reg_t **reg)
{
    const info_t info = { .iov = { address, size } };
    return ofi_mr_cache_search(&cache, &info, reg);
}

static inline void side_put(side_reg_t *reg)
{
    ofi_mr_cache_delete(&cache, reg);
}

enum { side_drops_idle = true };

static inline void side_drop_idle(void *address, size_t size)
{
    pthread_mutex_lock(&mm_lock);
    ofi_mr_cache_notify(&cache, address, size);
    pthread_mutex_unlock(&mm_lock);
}

static inline void side_drop(side_reg_t *reg, void *address, size_t size)
{
    side_drop_idle(address, size);
    side_put(reg);
}

/* The next lookup ends what releases have left behind; cases.h makes it. */
static void side_settle(void)
{
}

/* Its counter is under the lock that every lookup takes. */
static side_counts_t side_counts(void)
{
    counts.hits = cache.hits;
    counts.has_hits = true;
    return counts;
}

static void check_structures(void)
{
    static char probe[2 * 4096] __attribute__((aligned(4096)));
    side_reg_t *first, *second;
    if (side_get(probe, PAGE, &first) != 0 || side_get(probe, PAGE, &second) != 0 || first != second
        || first->info.iov.iov_base != (void *) probe || first->use_count != 2 || cache.cached_count != 1
        || cache.cached_size != PAGE || cache.searches != 2 || cache.hits != 1 || counts.registrations != 1) {
        fail("ofi_mr_cache_search() does not do what the declarations of 1.17 say");
    }
    side_put(first);
    side_drop(second, probe, PAGE);
}

static void side_open(size_t limit)
{
    static char domain[4096] __attribute__((aligned(64))); /* Of it only a counter of references is used. */
    monitor_t *monitors[INTERFACES] = { memhooks_monitor };
    memhooks_monitor->init(memhooks_monitor);
    cache_params.max_count = limit != 0 ? limit : SIZE_MAX;
    cache_params.max_size = SIZE_MAX;
    cache.add_region = add_region;
    cache.delete_region = delete_region;
    if (ofi_mr_cache_init(domain, monitors, &cache) != 0) {
        fail("ofi_mr_cache_init() has failed");
    }
    check_structures();
}

static const char *start(void)
{
    return NULL;
}

#include "bench/rcache/cases.h"

const side_t side_libfabric = { "libfabric", start, run_scene, run_callgrind };

int main(int argc, char **argv)
{
    static const side_t *const sides[] = { &side_libfabric, NULL };
    return side_main(argc, argv, sides);
}
