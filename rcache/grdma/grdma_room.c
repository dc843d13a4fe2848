/* SPDX-License-Identifier: BSD-3-Clause */
/* Room for one more registration: within this cache's limits, those of the process, and the provider's own. What is idle is
 * evicted, here first, then in other caches of the process; what is on its way is waited for. */
#include "framework/hooks/hooks_internal.h"
#include "framework/util/barrier.h"
#include "rcache/base/rcache_base_list.h"
#include "rcache/grdma/grdma_room.h"

/* How long a registration at a limit waits for others that are on their way. */
#define WAIT_MS 1000
/* How often it looks before it believes that everything is in use: while it goes from region to region, threads go from
 * one to the other, too, so that each may be in use when its turn comes, and never all at once. (One look was wrong once in
 * 16000 times, with four threads at a limit of four.) */
#define LOOKS 4

/* ---- This cache's, and the process's ---------------------------------------------------------------- */

bool grdma_fits_locked(const grdma_module_t *module, size_t length)
{
    const size_t count = atomic_load(&module->counters->count), bytes = atomic_load(&module->counters->bytes);
    return (module->resources.max_count == 0 || count < module->resources.max_count)
           && (module->resources.max_bytes == 0
               || (length <= module->resources.max_bytes && bytes <= module->resources.max_bytes - length));
}

bool grdma_reserve_locked(grdma_module_t *module, size_t length)
{
    if (module->accounts != 0 && !mca_rcache_limits_reserve(module->accounts, length)) {
        return false;
    }
    grdma_add_locked(&module->counters->count, 1);
    grdma_add_locked(&module->counters->bytes, length);
    mca_rcache_stats_raise(&module->counters->peak_count, atomic_load(&module->counters->count));
    mca_rcache_stats_raise(&module->counters->peak_bytes, atomic_load(&module->counters->bytes));
    return true;
}

void grdma_give_room_of(const grdma_module_t *module, const grdma_list_t *ended)
{
    size_t count = 0, bytes = 0;

    if (ended->first == 0 || module->accounts == 0) { /* In this order: see grdma_left.c. */
        return;
    }
    for (uint32_t id = ended->first; id != 0; id = grdma_next(module, id)) {
        count++;
        bytes += grdma_length(grdma_at(module, id));
    }
    grdma_give_room(module, count, bytes);
}

bool grdma_may_ever_fit(const grdma_module_t *module, size_t length)
{
    return (module->resources.max_bytes == 0 || length <= module->resources.max_bytes)
           && mca_rcache_limits_allow(module->accounts, length);
}

bool grdma_wait_a_little(grdma_wait_t *wait)
{
    const uint64_t now = grdma_now_ms();

    wait->deadline = wait->deadline == 0 ? now + WAIT_MS : wait->deadline;
    wait_step(&wait->steps);
    return now < wait->deadline;
}

bool grdma_look_again(grdma_wait_t *wait)
{
    wait_step(&wait->steps);
    return ++wait->looks < LOOKS;
}

/* ---- Other caches --------------------------------------------------------------------------------- */

/* Do both draw on something that the kernel, or the provider, limits? */
static bool share_a_limit(const grdma_module_t *a, const grdma_module_t *b)
{
    const uint32_t memlock = MCA_RCACHE_RESOURCES_MEMLOCK_USER | MCA_RCACHE_RESOURCES_MEMLOCK_PROCESS;

    return (a->resources.register_mem == b->resources.register_mem
            && a->resources.reg_data == b->resources.reg_data)
           || (a->resources.flags & b->resources.flags & memlock) != 0;
}

typedef struct survey_t {
    const grdma_module_t *self;
    bool of_provider; /* Only caches that share a limit of the provider. */
    bool is_done;
    uint32_t index, first, end; /* Caches whose turn it is: from first to end. */
    uint64_t ended;             /* Registrations that are gone. */
    bool is_changing;           /* Some are on their way. */
} survey_t;

static bool concerns(const survey_t *survey, const mca_rcache_base_module_t *module)
{
    if (module == &survey->self->super) {
        return false;
    }
    return !survey->of_provider
           || (module->rcache_register == grdma_register
               && share_a_limit(survey->self, (const grdma_module_t *) (const void *) module));
}

/* A cache that is destroyed meanwhile is not freed under us. */
static void visit(void (*look)(mca_rcache_base_module_t *module, void *arg), survey_t *survey)
{
    opal_mem_hooks_window_t window;

    opal_mem_hooks_enter(&window);
    mca_rcache_list_visit(look, survey);
    opal_mem_hooks_leave(&window);
}

static void evict_there(mca_rcache_base_module_t *module, void *arg)
{
    survey_t *survey = arg;
    const uint32_t index = survey->index++;

    if (!survey->is_done && index >= survey->first && index < survey->end && concerns(survey, module)
        && module->rcache_evict(module)) {
        survey->is_done = true;
        survey->first = index + 1;
    }
}

/* One after the other, so that it is not always the same that gives way. */
static bool evict_elsewhere(const grdma_module_t *module, bool of_provider)
{
    static _Atomic uint32_t turn;
    survey_t survey = {
        .self = module, .of_provider = of_provider, .first = atomic_load(&turn), .end = UINT32_MAX
    };

    visit(evict_there, &survey);
    if (!survey.is_done) {
        survey.end = survey.first;
        survey.first = survey.index = 0;
        visit(evict_there, &survey);
    }
    if (survey.is_done) {
        atomic_store(&turn, survey.first);
    }
    return survey.is_done;
}

static bool is_changing(const grdma_module_t *module)
{
    return grdma_is_any_pinning(module) || grdma_is_any_ending(module);
}

static void look_there(mca_rcache_base_module_t *module, void *arg)
{
    survey_t *survey = arg;

    if (module->rcache_register == grdma_register && concerns(survey, module)) {
        grdma_module_t *other = grdma_of(module);
        survey->ended += atomic_load(&other->counters->deregistrations) + 1;
        survey->is_changing =
            survey->is_changing || grdma_is_any_ending(other) || (!survey->of_provider && is_changing(other));
    }
}

bool grdma_make_process_room(grdma_module_t *module)
{
    return evict_elsewhere(module, false);
}

bool grdma_process_may_change_soon(grdma_module_t *module, size_t length)
{
    survey_t survey = { .self = module };

    visit(look_there, &survey); /* First: what has ended by then, fits. */
    return survey.is_changing || mca_rcache_limits_fit(module->accounts, length);
}

/* ---- The provider's ------------------------------------------------------------------------------- */

/* What was on its way out when the provider refused, is either still on its way, or has been counted since. In other caches,
 * "since" begins with the second refusal; of hooks that end regions (is_tight) likewise. */
bool grdma_make_provider_room(grdma_module_t *module, uint64_t ended_before, grdma_wait_t *wait)
{
    const bool was_tight = atomic_exchange(&module->is_tight, true);
    survey_t survey = { .self = module, .of_provider = true };

    do {
        if (grdma_evict(module, true) || evict_elsewhere(module, true)) {
            return true;
        }
    } while (grdma_look_again(wait));
    const bool is_ending = grdma_is_any_ending(module);
    visit(look_there, &survey);
    const bool is_news = survey.ended != wait->ended_elsewhere || !was_tight
                         || atomic_load(&module->counters->deregistrations) != ended_before;
    wait->ended_elsewhere = survey.ended;
    return (is_ending || survey.is_changing || is_news) && grdma_wait_a_little(wait);
}
