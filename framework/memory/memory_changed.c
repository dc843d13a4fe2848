/* SPDX-License-Identifier: BSD-3-Clause */
/* opal_memory_changed(), the delivery of polled events, and cookies.
 *
 * `seen` reaches a value of the counter only after every event up to that
 * value has been dispatched: the thread that processes samples the counter,
 * processes, then stores the sample with release order. A thread that finds
 * the words equal has therefore all effects of those dispatches before it.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "framework/memory/memory_base.h"
#include "framework/util/barrier.h"
#include "framework/util/fork.h"
#include "opal/memoryhooks/memory_internal.h"

/* Serialises memoryc_process. No hook takes it. Not held by a lookup that finds nothing changed. */
static pthread_mutex_t process_lock = PTHREAD_MUTEX_INITIALIZER;

opal_memory_base_changed_t opal_memory_base_state = { .counter = &opal_memory_base_state.seen };

/* Counter of a plain 2.0.0 component that has a process function: it has no counter of its own, so it is asked
 * at each lookup. `seen` stays at 0 then. */
static const volatile uint64_t always_ahead = 1;

void opal_memory_base_always_ask(void)
{
    __atomic_store_n(&opal_memory_base_state.seen, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&opal_memory_base_state.counter, &always_ahead, __ATOMIC_RELEASE);
}

static bool has_counter(void)
{
    return opal_memory_base_state.counter != &always_ahead;
}

void opal_memory_base_set_counter(const volatile uint64_t *counter)
{
    if (counter == NULL) {
        counter = &opal_memory_base_state.seen;
    } else {
        /* Nothing is watched yet: whatever happened before does not matter. */
        __atomic_store_n(&opal_memory_base_state.seen, __atomic_load_n(counter, __ATOMIC_ACQUIRE),
                         __ATOMIC_RELEASE);
    }
    __atomic_store_n(&opal_memory_base_state.counter, counter, __ATOMIC_RELEASE);
}

static uint64_t sample_counter(void)
{
    return __atomic_load_n(opal_memory_base_state.counter, __ATOMIC_ACQUIRE);
}

/* In a child that a callback has forked, the sample is the parent's: not stored. */
static int process_locked(void)
{
    opal_memory_base_component_process_fn_t process = opal_memory->memoryc_process;
    const uint64_t generation = opal_fork_generation();
    uint64_t sample = sample_counter();
    int rc = process == NULL ? OPAL_SUCCESS : process();
    if (rc == OPAL_SUCCESS && has_counter() && generation == opal_fork_generation()) {
        __atomic_store_n(&opal_memory_base_state.seen, sample, __ATOMIC_RELEASE);
    } else if (rc != OPAL_SUCCESS) {
        /* `seen` stays behind: every later lookup comes here and gets the error too. */
        opal_mem_hooks_release_cause(NULL, SIZE_MAX, true, OPAL_MEM_HOOKS_CAUSE_KERNEL);
    }
    return rc;
}

/* Has another thread come to what was there when we asked? Counters of a fork child may be set to values far apart, before
 * and behind: what is that far away was not reached by counting. */
static bool has_reached(uint64_t target)
{
    return has_counter()
           && __atomic_load_n(&opal_memory_base_state.seen, __ATOMIC_ACQUIRE) - target < UINT64_C(1) << 61;
}

int opal_memory_base_sync(void)
{
    if (!opal_memory_changed()) {
        return OPAL_SUCCESS;
    }
    opal_fork_check(); /* Before the lock: a child makes it anew. */
    uint64_t target = sample_counter();
    for (unsigned steps = 0; steps < 1000;) {
        if (pthread_mutex_trylock(&process_lock) == 0) {
            int rc = opal_memory_changed() ? process_locked() : OPAL_SUCCESS;
            pthread_mutex_unlock(&process_lock);
            return rc;
        }
        if (has_reached(target)) {
            return OPAL_SUCCESS;
        }
        wait_step(&steps);
    }
    return OPAL_ERR_WOULD_BLOCK;
}

uint64_t opal_memory_base_new_cookies(uint64_t count)
{
    static _Atomic uint64_t last;
    return atomic_fetch_add_explicit(&last, count, memory_order_relaxed) + 1;
}

uint64_t opal_memory_base_new_cookie(void)
{
    return opal_memory_base_new_cookies(1);
}

void opal_memory_base_reset_child(void)
{
    pthread_mutex_init(&process_lock, NULL);
}
