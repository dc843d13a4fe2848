/* SPDX-License-Identifier: BSD-3-Clause */
/* Outside hooks: ends the regions that nobody refers to any more, and has said what hooks could not say. */

#include "rcache/grdma/grdma_room.h"

/* What a thread has taken from the lists. */
typedef struct grdma_work_t {
    grdma_list_t idle;
    grdma_list_t limbo; /* Whether they are idle, takes settling. */
    bool has_all;       /* Also those that were in use when they were looked at last. */
    uint32_t began;     /* grdma_clock_ticks() */
} grdma_work_t;

/* ---- Ending regions ------------------------------------------------------------------------------ */

static void note_latency_locked(grdma_module_t *module, const grdma_region_t *region, uint32_t now)
{
    const uint64_t ns = grdma_clock_ns(now - __atomic_load_n(&region->super.cache_word, __ATOMIC_RELAXED));

    grdma_add_locked(&module->counters->unpin_ns[mca_rcache_stats_bucket(ns, MCA_RCACHE_STATS_LATENCIES)], 1);
}

static void unwatch(grdma_region_t *region)
{
    const uint32_t flags = grdma_flags(region);

    if ((flags & GRDMA_WATCHED) != 0) {
        opal_memory_base_unwatch(region->super.base, grdma_length(region), &region->super.watch);
        __atomic_store_n(&region->super.flags, flags & ~GRDMA_WATCHED, __ATOMIC_RELAXED);
    }
}

static void unwatch_all(const grdma_module_t *module, const grdma_list_t *list)
{
    for (uint32_t id = list->first; id != 0; id = grdma_next(module, id)) {
        unwatch(grdma_at(module, id));
    }
}

static void note_latencies_locked(grdma_module_t *module, const grdma_list_t *list, uint32_t now)
{
    for (uint32_t id = list->first; id != 0; id = grdma_next(module, id)) {
        note_latency_locked(module, grdma_at(module, id), now);
    }
}

/* @return false: forked in the middle, and this is the child: all of it is the parent's. */
static bool deregister_all(grdma_module_t *module, const grdma_list_t *list, int *result)
{
    for (uint32_t id = list->first; id != 0;) {
        size_t count;
        const int rc = grdma_deregister_list(module, &id, &count);

        if (grdma_is_inherited(module, list->first)) {
            return false;
        }
        *result = *result == OPAL_SUCCESS ? rc : *result;
        grdma_count_error(module, rc);
    }
    return true;
}

/* All are idle, and the caller's. The lock is held when it is over, unless there was a fork. */
static bool end_and_lock(grdma_module_t *module, grdma_list_t *idle, int *result)
{
    const uint32_t now = idle->first != 0 ? grdma_clock_ticks() : 0;
    grdma_list_t orphans;

    if (!grdma_end_orphans(module, idle, &orphans, result) || !deregister_all(module, idle, result)) {
        return false;
    }
    grdma_give_room_of(module, idle);
    unwatch_all(module, idle);
    unwatch_all(module, &orphans);
    grdma_lock(module);
    grdma_account_orphans_locked(module, &orphans);
    note_latencies_locked(module, idle, now);
    grdma_account_locked(module, idle);
    return true;
}

bool grdma_claim_one(grdma_module_t *module, uint32_t id)
{
    const uint32_t flags = __atomic_fetch_or(&grdma_at(module, id)->super.flags, GRDMA_ENDING, __ATOMIC_ACQ_REL);

    return (flags & GRDMA_ORPHAN) == 0;
}

/* At a limit others wait for what is on its way out (ending_alone). In a fork child that began meanwhile, nothing is. */
int grdma_end_one(grdma_module_t *module, uint32_t id)
{
    grdma_list_t one = { 0 };
    int result = OPAL_SUCCESS;

    __atomic_store_n(&grdma_at(module, id)->super.cache_word, grdma_clock_ticks(), __ATOMIC_RELAXED);
    grdma_list_add(module, &one, id);
    atomic_fetch_add(&module->ending_alone, 1);
    if (end_and_lock(module, &one, &result)) {
        grdma_unlock(module);
        atomic_fetch_sub(&module->ending_alone, 1);
    }
    return result;
}

/* Those that hooks have deregistered. */
static void free_spent(grdma_module_t *module)
{
    grdma_list_t spent = grdma_take_all(&module->spent);

    if (spent.first == 0) {
        return;
    }
    unwatch_all(module, &spent);
    grdma_lock(module);
    for (uint32_t id; (id = grdma_list_take(module, &spent)) != 0;) {
        __atomic_store_n(&grdma_at(module, id)->super.flags, MCA_RCACHE_FLAGS_INVALID, __ATOMIC_RELAXED);
        grdma_id_give_locked(module, id);
    }
    grdma_unlock(module);
}

/* ---- Limbo --------------------------------------------------------------------------------------- */

/* With many regions in limbo, not every reference that comes back is worth a look at all of them: giving back the references to
 * n of them would take n * n looks. They are looked at when a 32nd as many references have come back, or so long after the last
 * look that it costs a few per cent of the time.
 *   Nobody need be told of what is not looked at. Each of them was in use when it was looked at, so one reference at least comes
 * back after that: fewer have come back than there are regions, and some region is in use still, whose last reference will be
 * looked at; or it is due. */
#define LIMBO_FEW 64
#define LIMBO_PART 32
#define LIMBO_NS 1000000
#define LIMBO_REST 16          /* Times what the last look took. */
#define LIMBO_LOOK_NS 10000000 /* As long a look at most: it may have lost its processor. */

static bool is_limbo_due(const grdma_module_t *module)
{
    if (atomic_load(&module->limbo_returned) == 0) {
        return false;
    }
    const uint32_t count = atomic_load_explicit(&module->limbo_count, memory_order_relaxed);
    const uint32_t returned = atomic_load_explicit(&module->limbo_returned, memory_order_relaxed);
    const uint32_t since = grdma_clock_ticks() - atomic_load_explicit(&module->limbo_ticks, memory_order_relaxed);
    const uint64_t look = atomic_load_explicit(&module->limbo_look_ns, memory_order_relaxed);

    return count <= LIMBO_FEW || returned >= count / LIMBO_PART
           || grdma_clock_ns(since) >= LIMBO_NS + look * LIMBO_REST
           || (atomic_load(grdma_gate(module)) & GRDMA_ATTENTION_DEAF) != 0; /* The end: nobody calls again. */
}

/* An exchange: the references counted there have been given back, and are in the sums. */
static void take_limbo_locked(grdma_module_t *module, grdma_list_t *list)
{
    atomic_exchange(&module->limbo_returned, 0);
    atomic_store_explicit(&module->limbo_count, 0, memory_order_relaxed);
    for (uint32_t id; (id = grdma_list_take(module, &module->limbo)) != 0;) {
        grdma_list_add(module, list, id);
    }
}

/* All have been looked at. */
static void note_look_locked(grdma_module_t *module, uint32_t began)
{
    const uint32_t now = grdma_clock_ticks();
    const uint64_t took = grdma_clock_ns(now - began);

    atomic_store_explicit(&module->limbo_ticks, now, memory_order_relaxed);
    atomic_store_explicit(&module->limbo_look_ns, (uint32_t) (took < LIMBO_LOOK_NS ? took : LIMBO_LOOK_NS),
                          memory_order_relaxed);
}

/* Those that are idle, and by the sums of this moment in use. */
static void sort_out(const grdma_module_t *module, grdma_list_t *from, grdma_list_t *idle, grdma_list_t *busy)
{
    for (uint32_t id; (id = grdma_list_take(module, from)) != 0;) {
        grdma_list_add(module, grdma_is_idle(module, id) ? idle : busy, id);
    }
}

static void sort_out_locked(grdma_module_t *module, grdma_list_t *from, grdma_list_t *idle)
{
    for (uint32_t id; (id = grdma_list_take(module, from)) != 0;) {
        if (grdma_is_idle(module, id)) {
            grdma_list_add(module, idle, id);
        } else {
            grdma_limbo_add_locked(module, id);
        }
    }
}

/* Who gives a last reference back while a region is in our list finds nothing in limbo: so once more before it goes
 * back there. He counts before he takes the lock, we look while we hold it. */
static void put_back(grdma_module_t *module, grdma_work_t *work, grdma_list_t *busy)
{
    if (busy->first == 0) {
        return;
    }
    grdma_lock(module);
    sort_out_locked(module, busy, &work->idle);
    if (work->has_all) {
        note_look_locked(module, work->began);
    }
    grdma_unlock(module);
}

/* Nobody can tell any more whether they are in use: they stay registered, and no more are kept. */
static void keep_for_good(grdma_module_t *module, grdma_list_t *limbo)
{
    grdma_attend(module, GRDMA_ATTENTION_DEAF);
    grdma_lock(module);
    for (uint32_t id; (id = grdma_list_take(module, limbo)) != 0;) {
        grdma_list_add(module, &module->unsure, id);
    }
    grdma_unlock(module);
}

/* Others use the cache, too. */
static void settle_and_sort(grdma_module_t *module, grdma_work_t *work)
{
    grdma_list_t busy = { 0 };

    if (work->limbo.first == 0) {
        return;
    }
    if (grdma_settle(module)) {
        sort_out(module, &work->limbo, &work->idle, &busy);
        put_back(module, work, &busy);
    } else {
        keep_for_good(module, &work->limbo);
    }
}

static void count_ending_locked(grdma_module_t *module, uint32_t by)
{
    atomic_store_explicit(&module->ending, module->ending + by, memory_order_relaxed);
}

/* What comes from here on sets it again. */
static void clear_work(grdma_module_t *module)
{
    if ((atomic_load_explicit(grdma_gate(module), memory_order_relaxed) & GRDMA_ATTENTION_WORK) != 0) {
        atomic_fetch_and(grdma_gate(module), ~(uint64_t) GRDMA_ATTENTION_WORK);
    }
}

/* The first of a list, as many as are ended at once. The others stay. */
static grdma_list_t take_some(const grdma_module_t *module, grdma_list_t *list)
{
    grdma_list_t some = *list;
    uint32_t last = some.first;

    for (int i = 1; i < GRDMA_REAP_AT_ONCE && last != 0; i++) {
        last = grdma_next(module, last);
    }
    list->first = last != 0 ? grdma_next(module, last) : 0;
    if (list->first != 0) {
        __atomic_store_n(&grdma_at(module, last)->super.watch.reserved, 0, __ATOMIC_RELAXED);
    }
    return some;
}

/* What is more than is ended at once, is left to the next calls. */
static void leave_others(grdma_module_t *module, grdma_list_t *idle)
{
    grdma_list_t others = *idle;

    *idle = take_some(module, &others);
    if (others.first == 0) {
        return;
    }
    grdma_lock(module);
    while (module->dying.first != 0) { /* Another thread has done so just now. */
        grdma_list_add(module, &others, grdma_list_take(module, &module->dying));
    }
    module->dying = others;
    grdma_attend(module, GRDMA_ATTENTION_WORK);
    grdma_unlock(module);
}

/* What is found idle at once, and what takes settling to know of. Whoever looks for what is on its way out sees WORK, or
 * limbo_returned, or that we are at it. @return Is there any? Then count_ending_locked() is due. */
static bool take_work(grdma_module_t *module, bool is_all, grdma_work_t *work)
{
    *work = (grdma_work_t){ .began = grdma_clock_ticks() };
    grdma_lock(module);
    count_ending_locked(module, 1);
    clear_work(module);
    work->idle = take_some(module, &module->dying);
    const bool is_first = work->idle.first == 0;
    if (is_first) {
        work->idle = grdma_take_all(&module->dead);
    } else {
        grdma_attend(module, GRDMA_ATTENTION_WORK); /* For the others. */
    }
    if (is_first || is_all) {
        work->limbo = module->unsure;
        module->unsure.first = 0;
        work->has_all = is_all ? atomic_load(&module->limbo_returned) != 0 : is_limbo_due(module);
        if (work->has_all) {
            take_limbo_locked(module, &work->limbo);
        }
    }
    if (work->limbo.first != 0 && grdma_is_alone_locked(module)) {
        sort_out_locked(module, &work->limbo, &work->idle);
        if (work->has_all) {
            note_look_locked(module, work->began);
        }
    }
    const bool is_any = work->idle.first != 0 || work->limbo.first != 0;
    if (!is_any) {
        count_ending_locked(module, -1U);
    }
    grdma_unlock(module);
    return is_any;
}

static void end_work(grdma_module_t *module, bool is_all, int *result)
{
    grdma_work_t work;

    if (!take_work(module, is_all, &work)) {
        return;
    }
    settle_and_sort(module, &work);
    leave_others(module, &work.idle);
    if (end_and_lock(module, &work.idle, result)) {
        count_ending_locked(module, -1U);
        grdma_unlock(module);
    }
}

static int reap_limbo(grdma_module_t *module, bool is_all)
{
    int result = OPAL_SUCCESS;

    end_work(module, is_all, &result);
    grdma_warn_in_use(module);
    return result;
}

void grdma_limbo_returned_later(grdma_module_t *module)
{
    atomic_fetch_add(&module->limbo_returned, 1);
    if (is_limbo_due(module)) {
        grdma_attend(module, GRDMA_ATTENTION_WORK);
    } else {
        mca_rcache_helper_wake();
    }
}

int grdma_limbo_returned(grdma_module_t *module, bool at_once)
{
    atomic_fetch_add(&module->limbo_returned, 1);
    if (at_once || is_limbo_due(module)) {
        return reap_limbo(module, at_once);
    }
    mca_rcache_helper_wake();
    return OPAL_SUCCESS;
}

/* ---- Everything ---------------------------------------------------------------------------------- */

static bool has_work(const grdma_module_t *module)
{
    return (atomic_load_explicit(grdma_gate(module), memory_order_relaxed) & GRDMA_ATTENTION_WORK) != 0;
}

int grdma_reap(grdma_module_t *module)
{
    const int result = has_work(module) || is_limbo_due(module) ? reap_limbo(module, false) : OPAL_SUCCESS;

    free_spent(module);
    return result;
}

static int reap_while_there_is_work(grdma_module_t *module, int result)
{
    while (has_work(module)) {
        const int rc = grdma_reap(module);
        result = result == OPAL_SUCCESS ? rc : result;
    }
    return result;
}

int grdma_reap_due(grdma_module_t *module)
{
    return reap_while_there_is_work(module, grdma_reap(module));
}

/* What is given back from now on is not waited for. */
int grdma_reap_all(grdma_module_t *module)
{
    int result = grdma_reap_due(module);

    if (atomic_load(&module->limbo_returned) != 0) {
        const int rc = reap_limbo(module, true);
        result = reap_while_there_is_work(module, result == OPAL_SUCCESS ? rc : result);
    }
    return result;
}
