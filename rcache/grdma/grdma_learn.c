/* SPDX-License-Identifier: BSD-3-Clause */
/* What hints are learned, which of them give way, and when their table grows. Nobody has a lock here: a hint may be lost, or be wrong
 * by the time it is stored. */
#include "rcache/grdma/grdma.h"

/* ---- Where a hint leads -------------------------------------------------------------------------- */

typedef struct target_t {
    uint32_t id;
    uintptr_t first, last;
} target_t;

/* Without a reference the region may have another life by now, or be filled in just then: what is made of that is a hint that
 * leads nowhere, or a worse choice of the one that gives way. */
static target_t target_of(const grdma_module_t *module, uint32_t id)
{
    const mca_rcache_base_registration_t *reg = &grdma_at(module, id)->super;

    return (target_t){ id, (uintptr_t) __atomic_load_n(&reg->base, __ATOMIC_RELAXED),
                       (uintptr_t) __atomic_load_n(&reg->bound, __ATOMIC_RELAXED) };
}

/* The coarsest block over the address that lies within the region. */
static unsigned level_of(uintptr_t address, const target_t *target)
{
    unsigned level = (target->last - target->first + 1) >> grdma_hint_bits(1) == 0 ? 0 : GRDMA_HINT_LEVELS - 1;

    for (; level > 0; level--) {
        const uintptr_t mask = ((uintptr_t) 1 << grdma_hint_bits(level)) - 1;

        if ((address & ~mask) >= target->first && (address | mask) <= target->last) {
            break;
        }
    }
    return level;
}

static uint32_t id_in(_Atomic uint32_t *slot)
{
    return atomic_load_explicit(slot, memory_order_acquire) & GRDMA_HINT_ID_MASK;
}

/* ---- The slot for a hint ------------------------------------------------------------------------- */

static bool is_stale(const grdma_module_t *module, uint32_t id)
{
    return (grdma_flags(grdma_at(module, id)) & GRDMA_HIDDEN) != 0;
}

/* One that leads nowhere; NULL: none does. */
static _Atomic uint32_t *stale_slot(const grdma_module_t *module, _Atomic uint32_t *bucket)
{
    for (unsigned i = 0; i < GRDMA_HINT_BUCKET; i++) {
        if (is_stale(module, id_in(&bucket[i]))) {
            return &bucket[i];
        }
    }
    return NULL;
}

/* One that leads to a region which begins elsewhere, from the slot `turn` on: either the id has another life, or the hint is to a
 * place inside. NULL: none. */
static _Atomic uint32_t *strange_slot(const grdma_module_t *module, const grdma_hints_t *hints,
                                      _Atomic uint32_t *bucket, unsigned turn)
{
    for (unsigned i = 0; i < GRDMA_HINT_BUCKET; i++) {
        _Atomic uint32_t *slot = &bucket[(turn + i) % GRDMA_HINT_BUCKET];
        const target_t target = target_of(module, id_in(slot));
        _Atomic uint32_t *home =
            grdma_hint_bucket(hints, grdma_hint_hash(target.first, level_of(target.first, &target)));

        if (home != bucket && home != grdma_hint_other_bucket(bucket)) {
            return slot;
        }
    }
    return NULL;
}

static _Atomic uint32_t *empty_slot(_Atomic uint32_t *bucket)
{
    for (unsigned i = 0; i < GRDMA_HINT_BUCKET; i++) {
        if (atomic_load_explicit(&bucket[i], memory_order_relaxed) == 0) {
            return &bucket[i];
        }
    }
    return NULL;
}

/* Where it is already, or one with this tag that leads nowhere: whoever follows that one first pays for it. NULL: neither. */
static _Atomic uint32_t *own_slot(const grdma_module_t *module, _Atomic uint32_t *bucket, uint64_t hash,
                                  uint32_t value)
{
    grdma_hint_matches_t matches = grdma_hint_matches(bucket, hash);

    for (; matches != 0; matches = grdma_hint_others(matches)) {
        _Atomic uint32_t *slot = grdma_hint_first(bucket, matches);
        const uint32_t held = atomic_load_explicit(slot, memory_order_acquire);

        if (held == value || is_stale(module, held & GRDMA_HINT_ID_MASK)) {
            return slot;
        }
    }
    return NULL;
}

/* One that costs nobody anything; NULL: there is none. Regions of others are looked at only where no slot of the bucket is empty. */
static _Atomic uint32_t *free_slot(const grdma_module_t *module, _Atomic uint32_t *bucket, uint64_t hash,
                                   uint32_t value)
{
    _Atomic uint32_t *slot = own_slot(module, bucket, hash, value);

    slot = slot != NULL ? slot : empty_slot(bucket);
    return slot != NULL ? slot : stale_slot(module, bucket);
}

_Static_assert(GRDMA_HINT_BUCKET == 8, "a turn has three bits");

/* All hints of a line may be of use. It is not always the same that gives way: two that are asked for by turns would drive each
 * other out for good. */
static _Atomic uint32_t *slot_that_gives_way(const grdma_module_t *module, const grdma_hints_t *hints,
                                             _Atomic uint32_t *bucket)
{
    const unsigned turn = (grdma_clock_ticks() >> 1) * UINT32_C(0x9e3779b9) >> 29; /* Ticks are odd. */
    _Atomic uint32_t *slot = strange_slot(module, hints, bucket, turn);

    slot = slot != NULL ? slot : strange_slot(module, hints, grdma_hint_other_bucket(bucket), turn);
    return slot != NULL ? slot : &bucket[turn];
}

static _Atomic uint32_t *choose_slot(const grdma_module_t *module, const grdma_hints_t *hints, uint64_t hash,
                                     uint32_t value)
{
    _Atomic uint32_t *bucket = grdma_hint_bucket(hints, hash);
    _Atomic uint32_t *slot = free_slot(module, bucket, hash, value);

    slot = slot != NULL ? slot : free_slot(module, grdma_hint_other_bucket(bucket), hash, value);
    return slot != NULL ? slot : slot_that_gives_way(module, hints, bucket);
}

/* A signal handler may fork at any place here, and its child go on: then the region is the parent's. So that is looked at when the
 * hint is there. (If it forks after that, the slots are emptied.) */
static void learn(grdma_module_t *module, grdma_hints_t *hints, uintptr_t address, const target_t *target)
{
    const unsigned level = level_of(address, target);
    const uint64_t hash = grdma_hint_hash(address, level);
    const uint32_t value = grdma_hint_slot(hash, target->id);
    _Atomic uint32_t *slot = choose_slot(module, hints, hash, value);

    atomic_store_explicit(slot, value, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    if (grdma_is_inherited(module, target->id)) {
        atomic_store_explicit(slot, 0, memory_order_relaxed);
    }
    if ((atomic_load_explicit(&module->hint_levels, memory_order_relaxed) & 1u << level) == 0) {
        atomic_fetch_or_explicit(&module->hint_levels, 1u << level, memory_order_relaxed);
    }
}

void grdma_hint_learn(grdma_module_t *module, uintptr_t address, uint32_t id)
{
    const target_t target = target_of(module, id);

    learn(module, atomic_load_explicit(&module->hints, memory_order_acquire), address, &target);
}

/* ---- The table ----------------------------------------------------------------------------------- */

/* The hints to the starts of all regions that can be found; others come back by themselves, when they are asked for. */
static void refill(grdma_module_t *module, grdma_hints_t *hints, uint32_t high)
{
    for (uint32_t id = atomic_load(&module->first_own); id < high; id++) {
        if ((grdma_flags(grdma_at(module, id)) & (GRDMA_HIDDEN | GRDMA_INDEXED)) == GRDMA_INDEXED) {
            const target_t target = target_of(module, id);

            learn(module, hints, target.first, &target);
        }
    }
}

grdma_hints_t *grdma_hints_head(grdma_module_t *module)
{
    if (atomic_load_explicit(&module->hint_heads_used, memory_order_relaxed) >= GRDMA_HINT_HEADS) {
        return NULL;
    }
    const uint32_t number = atomic_fetch_add(&module->hint_heads_used, 1);
    return number < GRDMA_HINT_HEADS ? &module->hint_heads[number] : NULL;
}

void grdma_hints_head_unused(grdma_module_t *module, const grdma_hints_t *head)
{
    const uint32_t number = (uint32_t) (head - module->hint_heads);
    uint32_t used = number + 1;

    atomic_compare_exchange_strong(&module->hint_heads_used, &used, number);
}

void grdma_hints_fit(grdma_module_t *module)
{
    grdma_hints_t *old = atomic_load_explicit(&module->hints, memory_order_acquire);
    const uint32_t live = atomic_load_explicit(&module->live, memory_order_relaxed);

    if (live <= old->buckets * (GRDMA_HINT_BUCKET / 2)) {
        return;
    }
    grdma_hints_t *head = grdma_hints_head(module);
    if (head == NULL) {
        return; /* It works with the old one. */
    }
    *head = (grdma_hints_t){ .regions = module->super.registrations,
                             .stride = (size_t) 1 << module->super.id_shift,
                             .older = old };
    if (!grdma_hints_make(head, (size_t) live * 2)) {
        grdma_hints_head_unused(module, head);
        return;
    }
    if (!atomic_compare_exchange_strong(&module->hints, &old, head)) {
        grdma_hints_discard(head);
        return;
    }
    grdma_hints_give_back(old);
    refill(module, head, atomic_load_explicit(&module->high, memory_order_relaxed));
}
