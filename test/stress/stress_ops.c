/* SPDX-License-Identifier: BSD-3-Clause */
/* What a worker can do, how often it does it, and the loop. Every choice of an
 * operation comes from the seed, the thread and the operation's number alone. */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "test/sanitized.h"
#include "test/stress/stress.h"

/* From so many releases of registered memory on, a cause that no cache has counted is a fault. */
#define SURELY_COUNTED 100

/* An operation that takes longer hangs. */
#define PARK_SECONDS 100

stress_worker_t stress_workers[STRESS_THREADS];
_Atomic bool stress_stop;

/* ---- Chance -------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

uint64_t stress_random(stress_worker_t *worker)
{
    worker->random += UINT64_C(0x9e3779b97f4a7c15);
    return mix(worker->random);
}

static void begin_op(stress_worker_t *worker)
{
    worker->random = mix(mix(stress_options.seed + worker->number) ^ worker->op);
}

static stress_cache_t *pick_cache(stress_worker_t *worker)
{
    return &stress_caches[stress_below(worker, STRESS_CACHES)];
}

/* ---- Lookups ------------------------------------------------------------------------------------- */

/* The owner's: nobody releases it meanwhile. Data moves if nobody else moves some. */
static bool look_quietly(stress_worker_t *worker, stress_buffer_t *buffer, uint64_t known_at, int flags)
{
    stress_range_t range = stress_range_of(worker, buffer);
    stress_cache_t *cache = pick_cache(worker);
    flags |= buffer->sort == STRESS_HEAP ? STRESS_LOOK_HEAP : 0;
    if (range.start == 0) {
        return false;
    }
    bool alone = !atomic_flag_test_and_set(&buffer->transfer);
    bool found = stress_look(worker, cache, range, known_at, flags | (alone ? STRESS_LOOK_DATA : 0));
    if (alone) {
        atomic_flag_clear(&buffer->transfer);
    }
    return found;
}

static bool look(stress_worker_t *worker, stress_buffer_t *buffer)
{
    look_quietly(worker, buffer, stress_now(), stress_chance(worker, 4) ? STRESS_LOOK_FIND : 0);
    return true;
}

/* Often the one that its owner is about to release. */
static stress_buffer_t *pick_foreign(stress_worker_t *worker)
{
    unsigned threads = stress_options.threads;
    stress_worker_t *other =
        &stress_workers[(worker->number + 1 + (unsigned) stress_below(worker, threads)) % threads];
    unsigned any = (unsigned) stress_below(worker, STRESS_BUFFERS);
    bool hot = stress_chance(worker, 2);
    return &other->buffer[hot ? atomic_load_explicit(&other->hot, memory_order_relaxed) : any];
}

/* Somebody else's, who does not release it meanwhile. */
static bool look_foreign(stress_worker_t *worker, stress_buffer_t *unused)
{
    stress_buffer_t *buffer = pick_foreign(worker);
    (void) unused;
    if (pthread_rwlock_tryrdlock(&buffer->lock) != 0) {
        return false;
    }
    bool found = look_quietly(worker, buffer, stress_now(), 0);
    pthread_rwlock_unlock(&buffer->lock);
    return found;
}

/* Somebody else's, who may be about to release it, or has. */
static bool race(stress_worker_t *worker, stress_buffer_t *unused)
{
    uint64_t known_at = stress_now();
    const stress_buffer_t *buffer = pick_foreign(worker);
    stress_range_t range = stress_range_of(worker, buffer);
    int flags = STRESS_LOOK_RACE | (buffer->sort == STRESS_HEAP ? STRESS_LOOK_HEAP : 0);
    (void) unused;
    if (range.start == 0 || range.start < atomic_load(&buffer->start)) {
        return false;
    }
    stress_cache_t *cache = pick_cache(worker);
    for (uint64_t i = stress_below(worker, 6) + 1; i > 0; i--) {
        stress_look(worker, cache, range, known_at, flags | (stress_chance(worker, 2) ? STRESS_LOOK_FIND : 0));
        if (stress_chance(worker, 4)) {
            sched_yield();
        }
    }
    return true;
}

/* Two buffers side by side, each registered, then looked up as one. */
static bool look_across(stress_worker_t *worker, stress_buffer_t *unused)
{
    size_t length = stress_page * (1 + stress_below(worker, 8));
    stress_cache_t *cache = pick_cache(worker);
    uint64_t known_at = stress_now();
    void *memory = mmap(NULL, 2 * length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void) unused;
    if (memory == MAP_FAILED) {
        return false;
    }
    stress_range_t both = { (uintptr_t) memory, 2 * length }, low = { both.start, length };
    stress_range_t high = { both.start + length, length }, middle = { both.start + length / 2, length };
    stress_look(worker, cache, low, known_at, STRESS_LOOK_DATA);
    stress_look(worker, cache, high, known_at, STRESS_LOOK_DATA);
    stress_look(worker, cache, middle, known_at, STRESS_LOOK_DATA);
    uint64_t begun = stress_release_begin(high.start, high.length);
    stress_release_end(begun, high.start, high.length, madvise((void *) high.start, length, MADV_DONTNEED) == 0);
    stress_look(worker, cache, both, stress_now(), STRESS_LOOK_DATA);
    begun = stress_release_begin(both.start, both.length);
    stress_release_end(begun, both.start, both.length, munmap(memory, both.length) == 0);
    return true;
}

/* Kept in use for a while; the memory may go meanwhile. */
static bool hold(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_record_t *record = NULL;
    stress_range_t range = stress_range_of(worker, buffer);
    unsigned place = (unsigned) stress_random(worker);
    if (range.start == 0 || !stress_take(worker, pick_cache(worker), range, 0, 0, &record)) {
        record = NULL; /* Then only give another one back. */
    }
    stress_hold(worker, place, record);
    return record != NULL;
}

static bool bypass(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_record_t *record;
    stress_range_t range = stress_range_of(worker, buffer);
    if (range.start == 0
        || !stress_take(worker, pick_cache(worker), range, MCA_RCACHE_FLAGS_CACHE_BYPASS, 0, &record)) {
        return false;
    }
    stress_give_back(worker, record);
    return true;
}

/* Stays without a reference, until its memory goes; so it goes at once, or limits would be eaten up. Of a segment that goes
 * silently it would stay for good: nobody looks there again. */
static bool may_persist(const stress_buffer_t *buffer)
{
    return buffer->sort != STRESS_HEAP && (buffer->sort != STRESS_SHM || stress_sees(OPAL_MEMORY_SEES_SHM));
}

static bool persist(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_record_t *record;
    stress_range_t range = stress_range_of(worker, buffer);
    if (range.start == 0 || !may_persist(buffer)
        || !stress_take(worker, pick_cache(worker), range, MCA_RCACHE_FLAGS_PERSIST, 0, &record)) {
        return false;
    }
    stress_give_back(worker, record);
    look_quietly(worker, buffer, stress_now(), 0);
    pthread_rwlock_wrlock(&buffer->lock);
    stress_buffer_drop(buffer);
    pthread_rwlock_unlock(&buffer->lock);
    return true;
}

static bool evict(stress_worker_t *worker, stress_buffer_t *unused)
{
    mca_rcache_base_module_t *module = pick_cache(worker)->module;
    (void) unused;
    return module->rcache_evict(module);
}

static bool progress(stress_worker_t *worker, stress_buffer_t *unused)
{
    (void) worker, (void) unused;
    mca_rcache_base_progress();
    return true;
}

/* A cache comes and goes, while memory goes. */
static bool brief_cache(stress_worker_t *worker, stress_buffer_t *buffer)
{
    stress_cache_t *cache = calloc(1, sizeof(*cache));
    if (cache == NULL || !stress_cache_make(cache, pick_cache(worker), stress_below(worker, 4))) {
        stress_fault(worker, "no cache can be made", 0, 0, 0);
        free(cache);
        return false;
    }
    for (uint64_t i = stress_below(worker, 8) + 1; i > 0; i--) {
        stress_look(worker, cache, stress_range_of(worker, buffer), stress_now(),
                    STRESS_LOOK_RACE | STRESS_LOOK_HEAP);
    }
    stress_cache_end(cache);
    free(cache);
    return true;
}

static bool brief_thread(stress_worker_t *worker, stress_buffer_t *unused)
{
    (void) unused;
    stress_brief_thread(worker);
    return true;
}

static bool fork_child(stress_worker_t *worker, stress_buffer_t *unused)
{
    (void) unused;
    stress_fork_child(worker);
    return true;
}

/* ---- The table ------------------------------------------------------------------------------------ */

typedef struct op_t {
    const char *name;
    bool (*run)(stress_worker_t *worker, stress_buffer_t *buffer);
    const stress_release_t *release;
    unsigned weight;
} op_t;

static op_t ops[STRESS_OPS] = {
    { "look", look, NULL, 500 },          { "look-foreign", look_foreign, NULL, 500 },
    { "race", race, NULL, 200 },          { "look-across", look_across, NULL, 20 },
    { "hold", hold, NULL, 80 },           { "bypass", bypass, NULL, 20 },
    { "persist", persist, NULL, 20 },     { "evict", evict, NULL, 20 },
    { "progress", progress, NULL, 20 },   { "cache", brief_cache, NULL, 3 },
    { "thread", brief_thread, NULL, 10 }, { "fork", fork_child, NULL, 2 },
};
static size_t ops_count;
static int sorts_in_use; /* Of memory that some enabled operation loses. */

static void count_ops(void)
{
    if (ops_count != 0) {
        return;
    }
    while (ops[ops_count].name != NULL) {
        ops_count++;
    }
    for (const stress_release_t *release = stress_releases; release->name != NULL; release++) {
        ops[ops_count++] = (op_t){ release->name, NULL, release, release->weight };
    }
}

/* A sanitizer's runtime maps memory of its own for each thread, and unmaps it when that ends, unseen by the component linux:
 * a lookup that races may have registered it. */
static bool is_sanitizers(const op_t *op)
{
    return TEST_SANITIZED && op->run == brief_thread;
}

void stress_ops_open(void)
{
    count_ops();
    for (size_t i = 0; i < ops_count; i++) {
        if (ops[i].weight != 0 && is_sanitizers(&ops[i])) {
            printf("left out: %s, after which a sanitizer's runtime releases memory by calls of its own\n",
                   ops[i].name);
            ops[i].weight = 0;
        }
        if (ops[i].release != NULL && ops[i].weight != 0 && !stress_release_possible(ops[i].release)) {
            printf("left out: %s, which this kernel does not do, or the memory component does not see\n",
                   ops[i].name);
            ops[i].weight = 0;
        }
        sorts_in_use |= ops[i].release != NULL && ops[i].weight != 0 ? ops[i].release->sorts : 0;
    }
    sorts_in_use = sorts_in_use == 0 ? STRESS_MAPPED : sorts_in_use;
}

bool stress_set_weight(const char *setting)
{
    const char *equals = strchr(setting, '=');
    char *end = NULL;
    bool any = false;
    count_ops();
    unsigned long weight = equals == NULL ? 0 : strtoul(equals + 1, &end, 10);
    for (size_t i = 0; equals != NULL && end != equals + 1 && *end == 0 && i < ops_count; i++) {
        size_t length = (size_t) (equals - setting);
        if (strncmp(setting, "all=", 4) == 0
            || (strlen(ops[i].name) == length && strncmp(setting, ops[i].name, length) == 0)) {
            ops[i].weight = (unsigned) weight;
            any = true;
        }
    }
    return any;
}

void stress_list_ops(void)
{
    count_ops();
    for (size_t i = 0; i < ops_count; i++) {
        printf("%-18s weight %4u%s\n", ops[i].name, ops[i].weight, ops[i].release != NULL ? "  loses memory" : "");
    }
}

/* ---- The loop ------------------------------------------------------------------------------------- */

static size_t pick_op(stress_worker_t *worker)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < ops_count; i++) {
        sum += ops[i].weight;
    }
    uint64_t left = stress_below(worker, sum);
    size_t op = 0;
    while (left >= ops[op].weight) {
        left -= ops[op++].weight;
    }
    return op;
}

static stress_sort_t pick_sort(stress_worker_t *worker, int sorts)
{
    int sort;
    do {
        sort = 1 << stress_below(worker, STRESS_SORTS);
    } while ((sort & sorts) == 0);
    return (stress_sort_t) sort;
}

static void remake(stress_worker_t *worker, stress_buffer_t *buffer, int sorts)
{
    pthread_rwlock_wrlock(&buffer->lock);
    stress_buffer_drop(buffer);
    stress_buffer_make(worker, buffer, pick_sort(worker, sorts));
    pthread_rwlock_unlock(&buffer->lock);
}

static bool is_empty(const stress_buffer_t *buffer)
{
    return atomic_load_explicit(&buffer->start, memory_order_relaxed) == 0;
}

/* Let a cache know it, lose it, and look again where something is left. */
static bool release(stress_worker_t *worker, stress_buffer_t *buffer, const op_t *op)
{
    uint64_t known_at = stress_now();
    if (is_empty(buffer) || (buffer->sort & op->release->sorts) == 0) {
        remake(worker, buffer, op->release->sorts);
    }
    if (is_empty(buffer)) {
        return false;
    }
    atomic_store_explicit(&worker->hot, (unsigned) (buffer - worker->buffer), memory_order_relaxed);
    worker->armed[op - ops] += look_quietly(worker, buffer, known_at, 0);
    pthread_rwlock_wrlock(&buffer->lock);
    op->release->release(worker, buffer);
    pthread_rwlock_unlock(&buffer->lock);
    if (!is_empty(buffer) && stress_chance(worker, 2)) {
        look_quietly(worker, buffer, stress_now(), 0);
    }
    return true;
}

static void trace(stress_worker_t *worker, const op_t *op, unsigned number)
{
    const stress_buffer_t *buffer = &worker->buffer[number];
    worker->trace[worker->op % STRESS_TRACE] =
        (stress_trace_t){ worker->op, op->name, number, atomic_load(&buffer->start),
                          atomic_load(&buffer->length) };
}

static void run_op(stress_worker_t *worker)
{
    begin_op(worker);
    const op_t *op = &ops[pick_op(worker)];
    unsigned number = (unsigned) stress_below(worker, STRESS_BUFFERS);
    stress_buffer_t *buffer = &worker->buffer[number];
    trace(worker, op, number);
    worker->digest = mix(worker->digest ^ (uint64_t) (op - ops) << 8 ^ number);
    if (op->release == NULL && is_empty(buffer)) {
        remake(worker, buffer, sorts_in_use);
    }
    worker->done[op - ops] += op->release != NULL ? release(worker, buffer, op) : op->run(worker, buffer);
    worker->op++;
}

/* ---- Quiet points ----------------------------------------------------------------------------------- */

static _Atomic bool parking;
static _Atomic unsigned parked;

static void nap(long microseconds)
{
    struct timespec time = { 0, microseconds * 1000 };
    nanosleep(&time, NULL);
}

bool stress_park(void)
{
    atomic_store(&parking, true);
    for (long naps = 0; atomic_load(&parked) < stress_options.threads && !atomic_load(&stress_stop); naps++) {
        if (naps == PARK_SECONDS * 10000) {
            stress_fault(NULL, "an operation does not end: threads, those that are between operations",
                         stress_options.threads, atomic_load(&parked), 0);
            stress_print_faults();
            abort();
        }
        nap(100);
    }
    return atomic_load(&parked) == stress_options.threads;
}

void stress_unpark(void)
{
    atomic_store(&parking, false);
    while (atomic_load(&parked) != 0) {
        nap(100);
    }
}

static void wait_parked(stress_worker_t *worker)
{
    stress_brief_join(worker);
    atomic_fetch_add(&parked, 1);
    while (atomic_load(&parking)) {
        nap(100);
    }
    atomic_fetch_sub(&parked, 1);
}

static bool has_work(const stress_worker_t *worker)
{
    return (stress_options.ops == 0 || worker->op < stress_options.ops)
           && (stress_options.only < 0 || (unsigned) stress_options.only == worker->number);
}

static void drop_all(stress_worker_t *worker)
{
    for (size_t i = 0; i < STRESS_BUFFERS; i++) {
        pthread_rwlock_wrlock(&worker->buffer[i].lock);
        stress_buffer_drop(&worker->buffer[i]);
        pthread_rwlock_unlock(&worker->buffer[i].lock);
    }
}

void *stress_work(void *arg)
{
    stress_worker_t *worker = arg;
    while (!atomic_load_explicit(&stress_stop, memory_order_relaxed)) {
        if (atomic_load_explicit(&parking, memory_order_relaxed)) {
            wait_parked(worker);
        } else if (has_work(worker)) {
            run_op(worker);
        } else {
            nap(1000);
        }
    }
    stress_brief_join(worker);
    drop_all(worker);
    return NULL;
}

/* ---- What was done ------------------------------------------------------------------------------------ */

static uint64_t count_cause(opal_mem_hooks_cause_t cause)
{
    uint64_t count = 0;
    for (size_t i = 0; i < STRESS_CACHES; i++) {
        mca_rcache_base_stats_t stats;
        stress_caches[i].module->rcache_stats(stress_caches[i].module, &stats);
        count += stats.invalidations[cause];
    }
    return count;
}

static void check_op(size_t op, uint64_t done, uint64_t armed)
{
    const stress_release_t *release = ops[op].release;
    if (ops[op].weight == 0) {
        return;
    }
    printf("  %-18s %10" PRIu64, ops[op].name, done);
    if (release != NULL) {
        printf(", %" PRIu64 " of registered memory", armed);
    }
    printf("\n");
    if (stress_options.ops == 0 && (done == 0 || (release != NULL && armed == 0))) {
        stress_fault(NULL, ops[op].name, done, armed, 0);
    }
    /* Kernels that tell afterwards do not say which call it was. */
    if (release != NULL && stress_sees(OPAL_MEMORY_SEES_BEFORE) && release->cause != OPAL_MEM_HOOKS_CAUSE_UNKNOWN
        && armed >= SURELY_COUNTED && count_cause(release->cause) == 0 && !stress_options.expect_errors) {
        stress_fault(NULL, "no registration was dropped for the cause of this release", op, armed, release->cause);
    }
}

void stress_check_ops(void)
{
    uint64_t digest = 0;
    for (unsigned i = 0; i < stress_options.threads; i++) {
        digest += stress_workers[i].digest;
    }
    printf("digest of the operations: %016" PRIx64 "\n", digest);
    for (size_t op = 0; op < ops_count; op++) {
        uint64_t done = 0, armed = 0;
        for (unsigned i = 0; i < stress_options.threads; i++) {
            done += stress_workers[i].done[op];
            armed += stress_workers[i].armed[op];
        }
        check_op(op, done, armed);
    }
}
