/* SPDX-License-Identifier: BSD-3-Clause */
/* Lookups, and what they hand out before three judges: the books (was it
 * released before the lookup began?), the page frames, and the bytes that the
 * provider moves.
 *
 * Frames may change without a release: pages that nothing pins are moved by
 * the kernel, come back from a swap device elsewhere, or are copied when they are written after
 * a fork. With `uring` the pages are pinned for long, and none of that happens to them. With `none` a
 * registration is not judged by frames once a process was forked, or the kernel has moved any page;
 * transparent huge pages are switched off, and nothing here is offered to KSM. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/stress/stress.h"

#define SOURCE_BYTES ((size_t) 4 << 20)
#define MAX_TRANSFER ((size_t) 1 << 20)
#define HELD 16

static int source_fd = -1, scratch_fd = -1;
static const unsigned char *source;

/* ---- Ranges ------------------------------------------------------------------------------------- */

stress_range_t stress_range_of(stress_worker_t *worker, const stress_buffer_t *buffer)
{
    stress_range_t range = { atomic_load_explicit(&buffer->start, memory_order_relaxed),
                             atomic_load_explicit(&buffer->length, memory_order_relaxed) };
    uint64_t skip = stress_random(worker), keep = stress_random(worker);
    if (range.start != 0 && range.length > 1 && stress_chance(worker, 2)) {
        skip %= range.length;
        range.start += skip;
        range.length = 1 + keep % (range.length - skip);
    }
    return range;
}

/* ---- Judges ------------------------------------------------------------------------------------- */

static void judge_answer(const stress_worker_t *worker, const stress_record_t *record, stress_range_t range,
                         int32_t access)
{
    const mca_rcache_base_registration_t *reg = &record->own.super;
    if ((uintptr_t) reg->base > range.start || (uintptr_t) reg->bound < range.start + range.length - 1) {
        stress_fault(worker, "a registration that does not cover the range", (uintptr_t) reg->base,
                     (uintptr_t) reg->bound, range.start);
    }
    if ((reg->access_flags & access) != access) {
        stress_fault(worker, "a registration with less rights than asked for", (uint64_t) reg->access_flags,
                     (uint64_t) access, 0);
    }
    if (atomic_load(&record->state) != STRESS_RECORD_PINNED) {
        stress_fault(worker, "a registration that is not pinned was handed out", (uintptr_t) reg->base,
                     (uintptr_t) reg->bound, atomic_load(&record->state));
    }
}

/* Registrations judged, and found stale. */
static _Atomic uint64_t judged[STRESS_JUDGES], stale[STRESS_JUDGES];

static void find_stale(const stress_worker_t *worker, int judge, uint64_t a, uint64_t b, uint64_t c)
{
    static const char *const texts[] = {
        "stale by the books: registration, and its page that was released before the lookup",
        "stale by page frames: page, frame then, frame now",
        "stale by data: other bytes than those that were moved: range, registration"
    };
    atomic_fetch_add_explicit(&stale[judge], 1, memory_order_relaxed);
    stress_fault(worker, texts[judge], a, b, c);
}

void stress_check_judges(void)
{
    static const char *const names[] = { "books", "page frames", "data" };
    const bool can[] = { true, stress_frames_known(), stress_transfers };
    for (int judge = 0; judge < STRESS_JUDGES; judge++) {
        uint64_t cases = atomic_load(&judged[judge]), found = atomic_load(&stale[judge]);
        printf("judged by %s: %" PRIu64 ", stale: %" PRIu64 "\n", names[judge], cases, found);
        if (can[judge] && (cases == 0 || (found == 0 && stress_options.expect_errors))) {
            stress_options.expect_errors = false; /* That error was not expected. */
            stress_fault(NULL, "a judge had nothing to say: judge, cases", (uint64_t) judge, cases, 0);
        }
    }
}

/* Pinned before a release began that was over before the lookup: every page of it counts. */
static void judge_by_books(const stress_worker_t *worker, const stress_record_t *record, uint64_t looked_at)
{
    uintptr_t end = (uintptr_t) record->own.super.bound;
    atomic_fetch_add_explicit(&judged[STRESS_BOOKS], 1, memory_order_relaxed);
    for (uintptr_t page = (uintptr_t) record->own.super.base; page < end; page += stress_page) {
        if (stress_was_released(page, record->pinned_at, looked_at)) {
            find_stale(worker, STRESS_BOOKS, (uintptr_t) record->own.super.base, end, page);
            return;
        }
    }
}

/* May frames change without a release? */
static bool frames_may_change(const stress_record_t *record)
{
    return !stress_transfers && record->upheavals != stress_upheavals(true);
}

/* Whose page is it, and when was it released? Not where each is expected to be stale. */
static void explain(const stress_worker_t *worker, const stress_record_t *record, uintptr_t page,
                    uint64_t known_at)
{
    const mca_rcache_base_registration_t *reg = &record->own.super;
    uint64_t begun, ended;
    if (!stress_options.expect_errors) {
        stress_last_release(page, &begun, &ended);
        stress_fault(worker, "... its registration: first byte, last byte, when it was pinned",
                     (uintptr_t) reg->base, (uintptr_t) reg->bound, record->pinned_at);
        stress_fault(worker, "... that page: last release begun, ended; from when on it was known", begun, ended,
                     known_at);
    }
}

/* known_at: from then on the range is the tester's, so that its history tells of every release. */
static void judge_by_frames(const stress_worker_t *worker, const stress_record_t *record, stress_range_t range,
                            uint64_t known_at)
{
    uintptr_t base = (uintptr_t) record->own.super.base;
    size_t first = (range.start - base) / stress_page;
    size_t last = (range.start + range.length - 1 - base) / stress_page;
    uint32_t now[STRESS_FRAMES];
    if (!stress_frames_known() || first >= record->frames_count) {
        return;
    }
    last = last < record->frames_count ? last : record->frames_count - 1;
    if (!stress_frames(base + first * stress_page, last - first + 1, now)) {
        stress_fault(worker, "page frames cannot be read: page, number, errno", base + first * stress_page,
                     last - first + 1, (uint64_t) errno);
        return;
    }
    atomic_fetch_add_explicit(&judged[STRESS_PAGE_FRAMES], 1, memory_order_relaxed);
    for (size_t i = first; i <= last; i++) {
        uintptr_t page = base + i * stress_page;
        if (record->frame[i] != 0 && record->frame[i] != now[i - first] && stress_is_quiet(page, known_at)
            && !frames_may_change(record)) {
            find_stale(worker, STRESS_PAGE_FRAMES, page, record->frame[i], now[i - first]);
            explain(worker, record, page, known_at);
            return;
        }
    }
}

/* By the provider that moves data, if there is one: else this is not called. */
static ssize_t transfer(stress_record_t *record, bool is_write, void *memory, size_t length, uint64_t offset)
{
#ifdef OPALMEM_HAVE_LIBURING
    mca_rcache_provider_t *provider = record->cache->provider;

    return is_write ? mca_rcache_uring_write(provider, scratch_fd, &record->own, memory, length, offset)
                    : mca_rcache_uring_read(provider, source_fd, &record->own, memory, length, offset);
#else
    (void) record, (void) is_write, (void) memory, (void) length, (void) offset;
    return -1;
#endif
}

static bool read_and_compare(stress_worker_t *worker, stress_record_t *record, stress_range_t range)
{
    size_t offset = stress_below(worker, SOURCE_BYTES - range.length);
    void *memory = (void *) range.start;
    ssize_t moved = transfer(record, false, memory, range.length, offset);
    return moved > 0 && memcmp(memory, source + offset, (size_t) moved) == 0;
}

static bool write_and_compare(stress_worker_t *worker, stress_record_t *record, stress_range_t range)
{
    static _Thread_local unsigned char got[4096];
    size_t length = range.length < sizeof(got) ? range.length : sizeof(got);
    uint64_t offset = (uint64_t) worker->number * sizeof(got);
    void *memory = (void *) range.start;
    memcpy(memory, source + stress_below(worker, SOURCE_BYTES - length), length);
    ssize_t moved = transfer(record, true, memory, length, offset);
    return moved > 0 && pread(scratch_fd, got, (size_t) moved, (off_t) offset) == moved
           && memcmp(memory, got, (size_t) moved) == 0;
}

static void judge_by_data(stress_worker_t *worker, stress_record_t *record, stress_range_t range)
{
    range.length = range.length < MAX_TRANSFER ? range.length : MAX_TRANSFER;
    bool good = stress_chance(worker, 2) ? read_and_compare(worker, record, range)
                                         : write_and_compare(worker, record, range);
    atomic_fetch_add_explicit(&judged[STRESS_DATA], 1, memory_order_relaxed);
    if (!good) {
        find_stale(worker, STRESS_DATA, range.start, range.length, (uintptr_t) record->own.super.base);
    }
}

bool stress_data_open(void)
{
    source_fd = memfd_create("source", MFD_CLOEXEC);
    scratch_fd = memfd_create("scratch", MFD_CLOEXEC);
    if (source_fd < 0 || scratch_fd < 0 || ftruncate(source_fd, SOURCE_BYTES) != 0) {
        return false;
    }
    uint32_t *words = mmap(NULL, SOURCE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, source_fd, 0);
    if (words == MAP_FAILED) {
        return false;
    }
    for (uint32_t i = 0; i < SOURCE_BYTES / sizeof(words[0]); i++) {
        words[i] = (i + 1) * UINT32_C(2654435761);
    }
    source = (const unsigned char *) words;
    return true;
}

/* ---- Lookups ------------------------------------------------------------------------------------ */

static int32_t pick_access(stress_worker_t *worker)
{
    static const int32_t choices[] = { 0, MCA_RCACHE_ACCESS_LOCAL_WRITE, MCA_RCACHE_ACCESS_REMOTE_READ,
                                       MCA_RCACHE_ACCESS_ANY };
    return choices[stress_below(worker, sizeof(choices) / sizeof(choices[0]))];
}

/* What a registration may fail with. Of a range that races, all that the memory at that address may cause. */
static void judge_refusal(stress_worker_t *worker, int rc, int look, stress_range_t range)
{
    bool racing = (look & STRESS_LOOK_RACE) != 0 || stress_options.expect_errors;
    worker->refused++;
    if (rc != OPAL_ERR_NOT_FOUND && rc != OPAL_ERR_OUT_OF_RESOURCE && rc != OPAL_ERR_RESOURCE_BUSY && !racing) {
        stress_fault(worker, "a range that is mapped cannot be registered: code, range", (uint64_t) -rc,
                     range.start, range.length);
    }
}

bool stress_take(stress_worker_t *worker, stress_cache_t *cache, stress_range_t range, uint32_t flags, int look,
                 stress_record_t **record)
{
    mca_rcache_base_module_t *module = cache->module;
    mca_rcache_base_registration_t *reg = NULL;
    int32_t access = pick_access(worker);
    bool finds = (look & STRESS_LOOK_FIND) != 0;
    uint64_t looked_at = stress_now();
    int rc = finds ? module->rcache_find(module, (void *) range.start, range.length, &reg)
                   : module->rcache_register(module, (void *) range.start, range.length, flags, access, &reg);
    if (rc != OPAL_SUCCESS) {
        judge_refusal(worker, rc, look, range);
        return false;
    }
    *record = (stress_record_t *) reg;
    atomic_fetch_add(&(*record)->refs, 1);
    worker->found++;
    judge_answer(worker, *record, range, finds ? 0 : access);
    if (!stress_in_child) {
        judge_by_books(worker, *record, looked_at);
    }
    return true;
}

void stress_give_back(stress_worker_t *worker, stress_record_t *record)
{
    mca_rcache_base_module_t *module = record->cache->module;
    if (atomic_load(&record->state) != STRESS_RECORD_PINNED) {
        stress_fault(worker, "a registration was unpinned while it was held", (uintptr_t) record->own.super.base,
                     0, 0);
    }
    atomic_fetch_sub(&record->refs, 1);
    int rc = module->rcache_deregister(module, &record->own.super);
    if (rc != OPAL_SUCCESS) {
        stress_fault(worker, "rcache_deregister has failed", (uint64_t) -rc, 0, 0);
    }
}

bool stress_look(stress_worker_t *worker, stress_cache_t *cache, stress_range_t range, uint64_t known_at,
                 int flags)
{
    stress_record_t *record;
    bool moves_data = stress_transfers && (flags & STRESS_LOOK_DATA) != 0;
    if (!stress_take(worker, cache, range, 0, flags, &record)) {
        return false;
    }
    if ((flags & (STRESS_LOOK_RACE | STRESS_LOOK_HEAP)) != (STRESS_LOOK_RACE | STRESS_LOOK_HEAP)) {
        judge_by_frames(worker, record, range, known_at);
    }
    if (moves_data) {
        judge_by_data(worker, record, range);
    }
    stress_give_back(worker, record);
    return true;
}

/* ---- Held for a while ---------------------------------------------------------------------------- */

static _Atomic(stress_record_t *) held[HELD];

void stress_hold(stress_worker_t *worker, unsigned place, stress_record_t *record)
{
    stress_record_t *other = atomic_exchange(&held[place % HELD], record);
    if (other != NULL) {
        stress_give_back(worker, other);
    }
}

void stress_give_back_all(stress_worker_t *worker)
{
    for (unsigned i = 0; i < HELD; i++) {
        stress_hold(worker, i, NULL);
    }
}
