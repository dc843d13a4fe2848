/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that end soon, on stacks that are used again, and fork children, which
 * begin with empty caches and leave what they have inherited alone. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/stress/stress.h"

#define STACK_BYTES ((size_t) 64 << 10)
#define CHILD_ROUNDS 10
#define CHILD_SECONDS 60

/* ---- Threads ------------------------------------------------------------------------------------- */

static void *work_briefly(void *arg)
{
    stress_worker_t *worker = arg;
    unsigned char area[STACK_BYTES];
    memset(area, 1, sizeof(area));
    stress_range_t range = { (uintptr_t) area, sizeof(area) };
    for (size_t i = 0; i < STRESS_CACHES; i++) {
        stress_look(worker, &stress_caches[i], range, stress_now(), STRESS_LOOK_DATA);
    }
    return NULL;
}

void stress_brief_join(stress_worker_t *worker)
{
    if (worker->brief_worker != NULL) {
        pthread_join(worker->brief, NULL);
        free(worker->brief_worker);
        worker->brief_worker = NULL;
    }
}

/* It runs beside its maker, until the next one is made. */
void stress_brief_thread(stress_worker_t *worker)
{
    stress_brief_join(worker);
    stress_worker_t *brief = calloc(1, sizeof(*brief));
    if (brief == NULL) {
        stress_fault(worker, "no memory for a thread", 0, 0, 0);
        return;
    }
    brief->number = worker->number + STRESS_THREADS;
    brief->op = worker->op;
    brief->random = stress_random(worker);
    if (pthread_create(&worker->brief, NULL, work_briefly, brief) != 0) {
        stress_fault(worker, "no thread can be made", 0, 0, 0);
        free(brief);
        return;
    }
    worker->brief_worker = brief;
}

/* ---- Fork ------------------------------------------------------------------------------------------ */

enum { GOOD, FAULT, INHERITED_FOUND, INHERITED_TOUCHED, NO_MEMORY, NOT_REGISTERED, WRONG_FIGURES };

static const char *const complaints[] = { [FAULT] = "in a fork child: a judge has found a fault",
                                          [INHERITED_FOUND] = "a fork child finds the parent's registration",
                                          [INHERITED_TOUCHED] = "a fork child unpins the parent's registration",
                                          [NO_MEMORY] = "a fork child has no memory",
                                          [NOT_REGISTERED] = "a fork child can register nothing",
                                          [WRONG_FIGURES] = "a fork child: figures of a cache are wrong" };

static int check_inherited(stress_worker_t *worker, stress_record_t *record)
{
    mca_rcache_base_registration_t *reg = NULL;
    mca_rcache_base_module_t *module = record->cache->module;
    uintptr_t start = (uintptr_t) record->own.super.base;
    if (module->rcache_find(module, (void *) start, stress_page, &reg) == OPAL_SUCCESS) {
        return INHERITED_FOUND;
    }
    stress_give_back(worker, record);
    return atomic_load(&record->state) == STRESS_RECORD_PINNED ? GOOD : INHERITED_TOUCHED;
}

static bool lose_pages(void *memory, size_t length)
{
    stress_range_t all = { (uintptr_t) memory, length };
    return madvise((void *) all.start, all.length, MADV_DONTNEED) == 0;
}

static int use_and_lose(stress_worker_t *worker, stress_cache_t *cache)
{
    size_t length = stress_page * (1 + stress_below(worker, 8));
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stress_range_t range = { (uintptr_t) memory, length };
    if (memory == MAP_FAILED) {
        return NO_MEMORY;
    }
    uint64_t found = worker->found;
    for (int i = 0; i < 4; i++) {
        stress_look(worker, cache, range, 0, STRESS_LOOK_DATA);
        if (i == 1 && !lose_pages(memory, length)) {
            return NO_MEMORY;
        }
    }
    munmap(memory, length);
    return worker->found == found ? NOT_REGISTERED : GOOD;
}

static int check_child_figures(const stress_cache_t *cache)
{
    mca_rcache_base_stats_t stats;
    cache->module->rcache_progress(cache->module);
    cache->module->rcache_stats(cache->module, &stats);
    for (int tries = 0; stats.count != 0 && tries < 1000; tries++) {
        usleep(1000); /* A helper thread (rcache_base_helper) may have something in hand. */
        cache->module->rcache_stats(cache->module, &stats);
    }
    return stats.count == atomic_load(&cache->count) && stats.count == 0 ? GOOD : WRONG_FIGURES;
}

static int child_run(stress_worker_t *worker, stress_record_t *inherited)
{
    int rc = GOOD;
    signal(SIGALRM, SIG_DFL);
    alarm(CHILD_SECONDS);
    stress_caches_child();
    if (stress_frames_known()) {
        stress_frames_open();
    }
    if (inherited != NULL) {
        rc = check_inherited(worker, inherited);
    }
    for (int i = 0; i < CHILD_ROUNDS * STRESS_CACHES && rc == GOOD; i++) {
        rc = use_and_lose(worker, &stress_caches[i % STRESS_CACHES]);
    }
    for (int i = 0; i < STRESS_CACHES && rc == GOOD; i++) {
        rc = check_child_figures(&stress_caches[i]);
    }
    return rc;
}

static void judge_child(const stress_worker_t *worker, int status)
{
    if (WIFSIGNALED(status)) {
        stress_fault(worker, "a fork child was ended by a signal", (uint64_t) WTERMSIG(status), 0, 0);
    } else if (WEXITSTATUS(status) != GOOD) {
        int code = WEXITSTATUS(status);
        stress_fault(worker, code <= WRONG_FIGURES ? complaints[code] : "a fork child has failed", (uint64_t) code,
                     0, 0);
    }
}

/* With a registration in hand, if there can be one. */
void stress_fork_child(stress_worker_t *worker)
{
    stress_record_t *record = NULL;
    stress_buffer_t *buffer = &worker->buffer[stress_below(worker, STRESS_BUFFERS)];
    stress_range_t range = stress_range_of(worker, buffer);
    if (range.start != 0
        && !stress_take(worker, &stress_caches[stress_below(worker, STRESS_CACHES)], range, 0, 0, &record)) {
        record = NULL;
    }
    stress_fork_begins();
    pid_t pid = fork();
    if (pid == 0) {
        _exit(child_run(worker, record));
    }
    stress_fork_ends();
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        stress_fault(worker, "no child can be made", 0, 0, 0);
    } else {
        judge_child(worker, status);
    }
    if (record != NULL) {
        stress_give_back(worker, record);
    }
}
