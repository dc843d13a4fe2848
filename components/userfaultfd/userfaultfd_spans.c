/* SPDX-License-Identifier: BSD-3-Clause */
/* Registered ranges: whole mappings, merged where they touch. The kernel knows
 * what is registered; the table says how many watches there are, and where to
 * look when one ends. All under life_lock. */
#include <errno.h>
#include <string.h>

#include "components/userfaultfd/userfaultfd.h"

/* The first that ends behind addr. */
static size_t search(const uffd_spans_t *table, uintptr_t addr)
{
    size_t low = 0, high = table->count;

    while (low < high) {
        const size_t middle = (low + high) / 2;

        if (table->spans[middle].end <= addr) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ThreadSanitizer does not know fences; and nothing that tells before is in such a build, so that no hook reads the table. */
#ifdef __SANITIZE_THREAD__
#define FENCE(order) atomic_signal_fence(order)
#else
#define FENCE(order) atomic_thread_fence(order)
#endif

static void begin_change(uffd_spans_t *table)
{
    atomic_store_explicit(&table->changes, table->changes + 1, memory_order_relaxed);
    FENCE(memory_order_release);
}

static void end_change(uffd_spans_t *table)
{
    atomic_store_explicit(&table->changes, table->changes + 1, memory_order_release);
}

/* Replace spans from `from` up to `to` by those of `with`, of which there is one or none. There is room. */
static void replace(uffd_spans_t *table, size_t from, size_t to, const uffd_span_t *with)
{
    const size_t count = with != NULL, behind = table->count - to;

    begin_change(table);
    memmove(&table->spans[from + count], &table->spans[to], behind * sizeof(table->spans[0]));
    if (with != NULL) {
        table->spans[from] = *with;
    }
    table->count = from + count + behind;
    end_change(table);
}

/* Put a range in, with all that it overlaps or touches. @return false: the table is full. */
static bool put_in(uffd_spans_t *table, uffd_span_t span)
{
    const size_t from = search(table, span.start == 0 ? 0 : span.start - 1);
    size_t to = from;

    for (; to < table->count && table->spans[to].start <= span.end; to++) {
        span.start = table->spans[to].start < span.start ? table->spans[to].start : span.start;
        span.end = table->spans[to].end > span.end ? table->spans[to].end : span.end;
        span.watches += table->spans[to].watches;
        span.is_shared = span.is_shared || table->spans[to].is_shared;
    }
    if (from == to && table->count == table->limit) {
        return false;
    }
    replace(table, from, to, &span);
    return true;
}

static bool is_any(const uffd_spans_t *table, uintptr_t start, uintptr_t end)
{
    const size_t index = search(table, start);

    return index < table->count && table->spans[index].start < end;
}

static uintptr_t read_word(const uintptr_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* As search(), in a table that may change meanwhile: what was read then does not count. */
bool uffd_spans_may_hold(const uffd_spans_t *table, uintptr_t start, uintptr_t end)
{
    const uint64_t changes = atomic_load_explicit(&table->changes, memory_order_acquire);
    const size_t count = __atomic_load_n(&table->count, __ATOMIC_RELAXED);
    size_t low = 0, high = count;

    while (low < high) {
        const size_t middle = (low + high) / 2;

        if (read_word(&table->spans[middle].end) <= start) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const bool holds = low < count && read_word(&table->spans[low].start) < end;
    FENCE(memory_order_acquire);
    return holds || changes % 2 != 0 || atomic_load_explicit(&table->changes, memory_order_relaxed) != changes;
}

/* Whole mappings, also if they have grown; but none that another watch is in. */
static void give_back_all(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    uffd_vma_t vma;

    for (uintptr_t at = start; at < end && uffd_kernel_vma(&state->kernel, at, &vma) && vma.start < end;
         at = vma.end) {
        if (!is_any(&state->spans, vma.start, vma.end)) {
            uffd_handover_give_back(state, vma.start, vma.end);
        }
    }
}

/* ---- In -------------------------------------------------------------------------------------------- */

/* Has anything been watched in the range that may have gone without an event? */
static bool may_be_silent(const uffd_spans_t *table, uintptr_t start, uintptr_t end)
{
    const bool is_always = uffd_settings.unmap == UFFD_UNMAP_TAG || uffd_settings.lookup == UFFD_LOOKUP_BOTH;
    bool result = false;

    for (size_t i = search(table, start); i < table->count && table->spans[i].start < end; i++) {
        result = result || is_always || table->spans[i].is_shared;
    }
    return result;
}

/* What the mappings of a range have in common. */
typedef struct kind_t {
    bool is_shared, is_file; /* Some of them. */
    uint64_t memory;         /* Which: of others it is another number. */
} kind_t;

/* @return false: there is a hole. `span` grows to whole mappings. */
static bool look_at(uffd_state_t *state, uffd_span_t *span, kind_t *kind)
{
    uffd_vma_t vma = { .end = span->end };

    *kind = (kind_t){ 0 };
    for (uintptr_t at = span->start; at < span->end; at = vma.end) {
        if (!uffd_kernel_vma(&state->kernel, at, &vma) || vma.start > at) {
            return false;
        }
        span->start = vma.start < span->start ? vma.start : span->start;
        kind->is_shared = kind->is_shared || vma.is_shared;
        kind->is_file = kind->is_file || vma.is_file;
        kind->memory += vma.memory;
    }
    span->end = vma.end;
    return true;
}

/* @return 0, ENOMEM: there is a hole, or EBADF: a file that is not to be kept. */
static int round_out(uffd_state_t *state, uffd_span_t *span, kind_t *kind)
{
    if (!look_at(state, span, kind)) {
        return ENOMEM;
    }
    return kind->is_file && !uffd_settings.keeps_files ? EBADF : 0;
}

/* What was looked at may have been replaced before it was registered. Nobody else registers meanwhile: so what is there at the
 * second look, and still has the tag afterwards, is what was registered. From then on its kind decides who tells of it. */
static int look_again(uffd_state_t *state, uintptr_t start, uintptr_t end, kind_t *kind)
{
    uffd_span_t span = { .start = start, .end = end };
    const int error = round_out(state, &span, kind);

    if (error == 0 && !uffd_kernel_tagged(&state->kernel, start, end)) {
        return EAGAIN;
    }
    return error;
}

/* The tag says that a mapping was registered, not for which watch. If this one is new, but others have watched what was there
 * before and nobody has told: it is told now. Lookups that ask the tag meanwhile ask again (`replacing`). */
static int register_instead(uffd_state_t *state, const uffd_span_t *span, uintptr_t start, uintptr_t end,
                            kind_t *kind)
{
    const bool may_be_other = may_be_silent(&state->spans, span->start, span->end);
    const uint64_t memory = kind->memory;

    if (may_be_other) {
        atomic_fetch_add(&state->replacing, 1);
    }
    const bool is_new = may_be_other && !uffd_kernel_tagged(&state->kernel, span->start, span->end);
    int error = -uffd_handover_register(state, span->start, span->end);
    if (error == 0) {
        error = look_again(state, start, end, kind);
    }
    if (may_be_other) {
        if (is_new || error != 0 || kind->memory != memory) {
            uffd_queue_replaced(state, span->start, span->end);
        }
        atomic_fetch_add(&state->replacing, 1);
    }
    return error;
}

int uffd_spans_add(uffd_state_t *state, uintptr_t start, uintptr_t end, bool *is_shared, int *error)
{
    uffd_span_t span = { start, end, 1, false };
    kind_t kind;

    *error = round_out(state, &span, &kind);
    if (*error != 0) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    span.is_shared = kind.is_shared;
    *error = register_instead(state, &span, start, end, &kind);
    *is_shared = span.is_shared = span.is_shared || kind.is_shared;
    if (*error == 0 && !put_in(&state->spans, span)) {
        *error = ENOSPC;
    }
    if (*error != 0) {
        give_back_all(state, span.start, span.end);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    return OPAL_SUCCESS;
}

/* ---- Out ------------------------------------------------------------------------------------------- */

int uffd_spans_remove(uffd_state_t *state, uintptr_t start)
{
    uffd_spans_t *table = &state->spans;
    const size_t index = search(table, start);

    if (index == table->count || table->spans[index].start > start) {
        return OPAL_ERR_NOT_FOUND;
    }
    if (--table->spans[index].watches == 0) {
        const uffd_span_t span = table->spans[index];

        replace(table, index, index + 1, NULL);
        give_back_all(state, span.start, span.end);
    }
    return OPAL_SUCCESS;
}

void uffd_spans_moved(uffd_state_t *state, uintptr_t start, uintptr_t end)
{
    if (uffd_phase(state) != UFFD_RUNNING) {
        return;
    }
    if (is_any(&state->spans, start, end)) {
        put_in(&state->spans, (uffd_span_t){ start, end, 0, false });
    } else {
        give_back_all(state, start, end);
    }
}

void uffd_spans_clear(uffd_state_t *state)
{
    while (state->spans.count > 0) {
        state->spans.spans[0].watches = 1;
        uffd_spans_remove(state, state->spans.spans[0].start);
    }
}
