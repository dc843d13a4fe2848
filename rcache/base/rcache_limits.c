/* SPDX-License-Identifier: BSD-3-Clause */
/* Implements rcache_limits.h. Room is taken under a lock, so that who takes from several accounts, and finds one of them
 * full, was never seen to hold the others. It is given back without. */
#include "rcache/base/rcache_limits.h"

#include <pthread.h>
#include <stdatomic.h>

#include "opal/mca/rcache/rcache.h"

#define ACCOUNTS 4

typedef struct account_t {
    _Atomic size_t count, bytes;         /* Raised under the lock. */
    _Atomic size_t max_count, max_bytes; /* 0: no bound. */
} account_t;

static account_t accounts[ACCOUNTS]; /* By the bit's number. */
static atomic_bool use_system;
static _Atomic size_t cgroup_max; /* Half of its limit; 0: not asked for yet, SIZE_MAX: none. */

/* The innermost of all locks. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static account_t *account(uint32_t bit)
{
    return &accounts[__builtin_ctz(bit)];
}

void mca_rcache_limits_open(size_t max_count, size_t max_bytes, bool heed_system)
{
    atomic_store(&account(MCA_RCACHE_LIMIT_ALL)->max_count, max_count);
    atomic_store(&account(MCA_RCACHE_LIMIT_ALL)->max_bytes, max_bytes);
    atomic_store(&use_system, heed_system);
    atomic_store(&cgroup_max, 0);
}

/* ---- Joining -------------------------------------------------------------------------------------- */

static size_t half_of_cgroup(void)
{
    size_t half = atomic_load(&cgroup_max);

    if (half == 0) {
        const size_t max = mca_rcache_limits_cgroup("/proc/self/cgroup", "/proc/self/mountinfo");
        half = max == 0 ? SIZE_MAX : max / 2 != 0 ? max / 2 : 1;
        atomic_store(&cgroup_max, half);
    }
    return half != SIZE_MAX ? half : 0;
}

/* @return The bit, if there is a bound. */
static uint32_t bounded(uint32_t bit, size_t max_bytes)
{
    atomic_store(&account(bit)->max_bytes, max_bytes);
    return max_bytes != 0 ? bit : 0;
}

uint32_t mca_rcache_limits_join(uint32_t resource_flags)
{
    const uint32_t pins = MCA_RCACHE_RESOURCES_MEMLOCK_USER | MCA_RCACHE_RESOURCES_MEMLOCK_PROCESS;
    const account_t *all = account(MCA_RCACHE_LIMIT_ALL);
    uint32_t joined =
        atomic_load(&all->max_count) != 0 || atomic_load(&all->max_bytes) != 0 ? MCA_RCACHE_LIMIT_ALL : 0;

    if ((resource_flags & pins) != 0 && atomic_load(&use_system)) {
        joined |= bounded(MCA_RCACHE_LIMIT_CGROUP, half_of_cgroup());
        if ((resource_flags & MCA_RCACHE_RESOURCES_MEMLOCK_USER) != 0) {
            joined |= bounded(MCA_RCACHE_LIMIT_USER, mca_rcache_limits_memlock());
        }
        if ((resource_flags & MCA_RCACHE_RESOURCES_MEMLOCK_PROCESS) != 0) {
            joined |= bounded(MCA_RCACHE_LIMIT_PROCESS, mca_rcache_limits_memlock());
        }
    }
    return joined;
}

/* ---- Room ----------------------------------------------------------------------------------------- */

static bool has_room(const account_t *of, size_t count, size_t held, size_t bytes)
{
    const size_t max_count = atomic_load_explicit(&of->max_count, memory_order_relaxed);
    const size_t max_bytes = atomic_load_explicit(&of->max_bytes, memory_order_relaxed);

    return (max_count == 0 || count < max_count)
           && (max_bytes == 0 || (bytes <= max_bytes && held <= max_bytes - bytes));
}

bool mca_rcache_limits_fit(uint32_t joined, size_t bytes)
{
    bool fits = true;

    for (uint32_t left = joined; left != 0 && fits; left &= left - 1) {
        const account_t *of = account(left);
        fits = has_room(of, atomic_load(&of->count), atomic_load(&of->bytes), bytes);
    }
    return fits;
}

bool mca_rcache_limits_allow(uint32_t joined, size_t bytes)
{
    bool allowed = true;

    for (uint32_t left = joined; left != 0 && allowed; left &= left - 1) {
        allowed = has_room(account(left), 0, 0, bytes);
    }
    return allowed;
}

bool mca_rcache_limits_reserve(uint32_t joined, size_t bytes)
{
    pthread_mutex_lock(&lock);
    const bool fits = mca_rcache_limits_fit(joined, bytes);
    for (uint32_t left = joined; left != 0 && fits; left &= left - 1) {
        atomic_fetch_add(&account(left)->count, 1);
        atomic_fetch_add(&account(left)->bytes, bytes);
    }
    pthread_mutex_unlock(&lock);
    return fits;
}

void mca_rcache_limits_release(uint32_t joined, size_t count, size_t bytes)
{
    for (uint32_t left = joined; left != 0; left &= left - 1) {
        atomic_fetch_sub(&account(left)->bytes, bytes);
        atomic_fetch_sub(&account(left)->count, count);
    }
}

void mca_rcache_limits_reset_child(void)
{
    pthread_mutex_init(&lock, NULL);
    for (size_t i = 0; i < ACCOUNTS; i++) {
        atomic_store(&accounts[i].count, 0);
        atomic_store(&accounts[i].bytes, 0);
    }
}
