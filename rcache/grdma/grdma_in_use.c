/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is released while a registration of it is in use: a hook notes where that was, and where the registration came
 * from; what it must not say itself is said by the next grdma_reap(), once for each place of the program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "opal/mca/base/base.h"
#include "rcache/base/rcache_places.h"
#include "rcache/grdma/grdma.h"

#define TEXT_SIZE 4096 /* Of a stack. */

void grdma_in_use_prepare(const grdma_module_t *module)
{
    if (module->resources.in_use_policy != MCA_RCACHE_IN_USE_IGNORE) {
        mca_rcache_stack_prepare();
    }
}

/* ---- Who made a registration -------------------------------------------------------------------------- */

static size_t makers_size(uint32_t ids)
{
    return (size_t) ids * sizeof(grdma_maker_t);
}

bool grdma_makers_open(const grdma_module_t *module, uint32_t from, uint32_t capacity)
{
    return module->makers == NULL
           || grdma_span_open(module->makers, makers_size(from), makers_size(capacity), SIZE_MAX);
}

bool grdma_makers_init(grdma_module_t *module)
{
    if (module->resources.in_use_policy != MCA_RCACHE_IN_USE_WARN) {
        return true;
    }
    if (module->makers == NULL) {
        module->makers = grdma_span_reserve(makers_size(module->max_capacity));
    }
    return module->makers != NULL && (module->capacity == 0 || grdma_makers_open(module, 0, module->capacity));
}

void grdma_makers_free(grdma_module_t *module)
{
    if (module->makers != NULL) {
        munmap(module->makers, makers_size(module->max_capacity));
    }
}

static grdma_maker_t *maker_of(const grdma_module_t *module, uint32_t id)
{
    return &module->makers[id];
}

void grdma_note_maker(const grdma_module_t *module, uint32_t id)
{
    atomic_store_explicit(maker_of(module, id), (uint16_t) mca_rcache_stack_here(), memory_order_relaxed);
}

/* ---- In a hook ----------------------------------------------------------------------------------------- */

uint32_t grdma_releaser(const grdma_module_t *module)
{
    return module->resources.in_use_policy != MCA_RCACHE_IN_USE_IGNORE ? mca_rcache_stack_in_hook() : 0;
}

static _Noreturn void end_program(uint32_t releaser)
{
    static const char text[] = "opalmem: error: memory was released that a registration in use covers "
                               "(rcache_base_in_use_policy is abort)\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void) ignored;
    if (releaser != 0) {
        mca_rcache_stack_write(STDERR_FILENO, mca_rcache_stack_at(releaser));
    }
    abort();
}

/* A stack that was noted before is not noted again: so a loop fills the list once. */
static void note_locked(grdma_module_t *module, const grdma_batch_t *batch, opal_mem_hooks_cause_t cause,
                        uint32_t releaser)
{
    grdma_in_use_t *in_use = &module->in_use;

    if (releaser != 0 && atomic_exchange(&mca_rcache_stack_at(releaser)->is_told, true)) {
        return;
    }
    if (releaser == 0 && (in_use->unknown & 1u << cause) != 0) {
        return;
    }
    in_use->unknown |= releaser == 0 ? 1u << cause : 0;
    if (in_use->count == GRDMA_REPORTS) {
        in_use->are_lost = true;
    } else {
        in_use->report[in_use->count++] = (grdma_report_t){
            .releaser = (uint16_t) releaser,
            .maker = atomic_load_explicit(maker_of(module, batch->first_in_use), memory_order_relaxed),
            .cause = (uint16_t) cause,
        };
    }
    atomic_store(&in_use->are_any, true);
    grdma_attend(module, GRDMA_ATTENTION_WORK);
}

void grdma_note_in_use_locked(grdma_module_t *module, const grdma_batch_t *batch, opal_mem_hooks_cause_t cause)
{
    const mca_rcache_in_use_policy_t policy = module->resources.in_use_policy;

    grdma_add_locked(&module->counters->invalidated_in_use, batch->in_use);
    if (policy == MCA_RCACHE_IN_USE_IGNORE) {
        return;
    }
    const uint32_t releaser = module->in_use.is_posted ? module->in_use.posted : grdma_releaser(module);
    if (policy == MCA_RCACHE_IN_USE_ABORT) {
        end_program(releaser);
    }
    note_locked(module, batch, cause, releaser);
}

/* ---- Outside hooks --------------------------------------------------------------------------------------- */

static const char *describe(uint32_t number, char *text)
{
    if (number == 0) {
        return mca_rcache_stack_is_full() ? "\n    (not known: there are too many different stacks)"
                                          : "\n    (not known: stacks cannot be taken there on this system)";
    }
    return text != NULL ? mca_rcache_place_describe(mca_rcache_stack_at(number), text, TEXT_SIZE)
                        : "\n    (no memory for it)";
}

/* A cache that is destroyed meanwhile gives its name to the next one. */
typedef char name_t[128];

static void report(const name_t name, const grdma_report_t *report)
{
    char *release = malloc(TEXT_SIZE), *registration = malloc(TEXT_SIZE);

    mca_base_log(
        MCA_BASE_LOG_WARN,
        "cache %s: memory was released while a registration of it was in use; the transfer may have moved "
        "wrong data (reported once a place; rcache_base_in_use_policy)\n"
        "  %s (%s), at:%s\n  registered, by the last miss that made it, at:%s",
        name, report->cause == OPAL_MEM_HOOKS_CAUSE_KERNEL ? "the release was noticed" : "released",
        opal_mem_hooks_cause_name((opal_mem_hooks_cause_t) report->cause), describe(report->releaser, release),
        describe(report->maker, registration));
    free(release);
    free(registration);
}

static void say_that_some_are_lost(const name_t name)
{
    static atomic_bool is_said;

    if (!atomic_exchange(&is_said, true)) {
        mca_base_log(MCA_BASE_LOG_WARN,
                     "cache %s: memory in use was released in more places than are kept: not all are reported "
                     "(this is said once)",
                     name);
    }
}

static uint32_t take_reports(grdma_module_t *module, grdma_report_t *reports, bool *are_lost, name_t name)
{
    grdma_lock(module);
    const uint32_t count = module->in_use.count;
    memcpy(reports, module->in_use.report, count * sizeof(*reports));
    *are_lost = module->in_use.are_lost;
    snprintf(name, sizeof(name_t), "%s", module->name);
    module->in_use.count = 0;
    module->in_use.are_lost = false;
    grdma_unlock(module);
    return count;
}

/* @return false: nobody can tell whether it was reported. */
static bool report_once(const name_t name, const grdma_report_t *what)
{
    const mca_rcache_place_t place =
        what->releaser != 0 ? mca_rcache_place_note(mca_rcache_stack_at(what->releaser)) : MCA_RCACHE_PLACE_NEW;

    if (place == MCA_RCACHE_PLACE_NEW) {
        report(name, what);
    }
    return place != MCA_RCACHE_PLACE_LOST;
}

void grdma_warn_in_use(grdma_module_t *module)
{
    if (!atomic_load_explicit(&module->in_use.are_any, memory_order_relaxed)
        || !atomic_exchange(&module->in_use.are_any, false)) {
        return;
    }
    grdma_report_t reports[GRDMA_REPORTS];
    name_t name;
    bool are_lost;
    const uint32_t count = take_reports(module, reports, &are_lost, name);
    for (uint32_t i = 0; i < count; i++) {
        are_lost = !report_once(name, &reports[i]) || are_lost;
    }
    if (are_lost) {
        say_that_some_are_lost(name);
    }
}
