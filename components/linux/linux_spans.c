/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges of one call when they may be many: a window of the hooks holds two, so
 * up to four windows are nested, and what exceeds them is merged where the
 * least lies in between. Hook context. */
#include "components/linux/linux_files.h"
#include "components/linux/linux_sys.h"

static uintptr_t end_of(const opal_mem_hooks_range_t *range)
{
    return range->start + range->length;
}

/* Moving by swaps: compilers make a call of memmove of a plain loop, which uses vector registers. */
static void swap(linux_spans_t *spans, size_t a, size_t b)
{
    const opal_mem_hooks_range_t kept = spans->ranges[a];

    spans->ranges[a] = spans->ranges[b];
    spans->ranges[b] = kept;
}

static void insert_at(linux_spans_t *spans, size_t at, uintptr_t start, size_t length)
{
    spans->ranges[spans->count] = (opal_mem_hooks_range_t){ start, length };
    for (size_t i = spans->count; i > at; i--) {
        swap(spans, i, i - 1);
    }
    spans->count++;
}

/* Replace the ranges from `at` to `last` by one from the first to the end of the last. */
static void join(linux_spans_t *spans, size_t at, size_t last)
{
    spans->ranges[at].length = end_of(&spans->ranges[last]) - spans->ranges[at].start;
    for (size_t i = last + 1; i < spans->count; i++) {
        swap(spans, at + i - last, i);
    }
    spans->count -= last - at;
}

static void join_nearest(linux_spans_t *spans)
{
    size_t best = 0;
    uintptr_t least = UINTPTR_MAX;

    for (size_t i = 0; i + 1 < spans->count; i++) {
        const uintptr_t gap = spans->ranges[i + 1].start - end_of(&spans->ranges[i]);

        if (gap < least) {
            least = gap;
            best = i;
        }
    }
    join(spans, best, best + 1);
}

/* Ranges [at, last] touch the new one. */
static void widen(linux_spans_t *spans, size_t at, size_t last, uintptr_t start, uintptr_t end)
{
    opal_mem_hooks_range_t *first = &spans->ranges[at];
    uintptr_t whole_end;

    join(spans, at, last);
    whole_end = end > end_of(first) ? end : end_of(first);
    first->start = start < first->start ? start : first->start;
    first->length = whole_end - first->start;
}

void linux_spans_add(linux_spans_t *spans, uintptr_t start, size_t length)
{
    const uintptr_t end = start + length;
    size_t at = 0, behind;

    while (at < spans->count && end_of(&spans->ranges[at]) < start) {
        at++;
    }
    behind = at;
    while (behind < spans->count && spans->ranges[behind].start <= end) {
        behind++;
    }
    if (behind > at) {
        widen(spans, at, behind - 1, start, end);
        return;
    }
    insert_at(spans, at, start, length);
    if (spans->count > LINUX_SPANS) {
        join_nearest(spans);
    }
}

void linux_spans_all(linux_spans_t *spans)
{
    spans->count = 1;
    spans->ranges[0] = (opal_mem_hooks_range_t){ 0, SIZE_MAX };
}

bool linux_spans_equal(const linux_spans_t *a, const linux_spans_t *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (a->ranges[i].start != b->ranges[i].start || a->ranges[i].length != b->ranges[i].length) {
            return false;
        }
    }
    return true;
}

void linux_spans_open(const linux_spans_t *spans, linux_spans_windows_t *windows, opal_mem_hooks_cause_t cause)
{
    windows->count = 0;
    for (size_t i = 0; i < spans->count; i += OPAL_MEM_HOOKS_WINDOW_RANGES) {
        const size_t rest = spans->count - i;

        opal_mem_hooks_window_open(&windows->windows[windows->count], &spans->ranges[i],
                                   rest < OPAL_MEM_HOOKS_WINDOW_RANGES ? rest : OPAL_MEM_HOOKS_WINDOW_RANGES,
                                   cause, true);
        windows->count++; /* Only now: a window whose callback is left by unwinding closes itself. */
    }
}

void linux_spans_close(linux_spans_windows_t *windows)
{
    while (windows->count > 0) {
        opal_mem_hooks_window_close(&windows->windows[--windows->count]);
    }
}

void linux_spans_release(const linux_spans_t *spans, opal_mem_hooks_cause_t cause)
{
    linux_spans_windows_t windows __attribute__((cleanup(linux_spans_close))) = { 0 };

    linux_spans_open(spans, &windows, cause);
}

/* That the callbacks are asked for again is in order: whoever registered one and then pinned a page had
 * done so before the kernel took that page. */
long linux_call_unheard(const linux_call_t *call, const long args[6])
{
    const long result = linux_sys_call(call->nr, args);

    if (opal_mem_hooks_has_release_callbacks()) {
        linux_spans_t all;

        linux_spans_all(&all);
        linux_spans_release(&all, call->cause);
    }
    return result;
}
