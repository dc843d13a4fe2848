/* SPDX-License-Identifier: BSD-3-Clause */
/* The run: start, quiet points, end, verdict. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "test/sanitized.h"
#include "test/stress/stress.h"

#define QUIET_EVERY_MS 200
#define STEP_MS 20

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static void nap(void)
{
    struct timespec time = { 0, STEP_MS * 1000000L };
    nanosleep(&time, NULL);
}

static bool all_done(void)
{
    for (unsigned i = 0; stress_options.ops != 0 && i < stress_options.threads; i++) {
        bool idle = stress_options.only >= 0 && (unsigned) stress_options.only != i;
        if (!idle && stress_workers[i].op < stress_options.ops) {
            return false;
        }
    }
    return stress_options.ops != 0;
}

/* The main thread lowers the break now and then, notes what the kernel moves, and stops all to compare the books. */
static void watch_over(stress_worker_t *own)
{
    double end = now() + stress_options.seconds;
    for (uint64_t step = 1; !atomic_load(&stress_stop) && now() < end && !all_done(); step++) {
        nap();
        stress_upheavals(true);
        own->op = step;
        own->random = stress_options.seed + step;
        stress_break(own);
        if (step % (QUIET_EVERY_MS / STEP_MS) == 0) {
            if (stress_park()) {
                stress_caches_check();
            }
            stress_unpark();
        }
    }
}

static void run(stress_worker_t *own)
{
    for (unsigned i = 0; i < stress_options.threads; i++) {
        stress_worker_t *worker = &stress_workers[i];
        worker->number = i;
        for (size_t j = 0; j < STRESS_BUFFERS; j++) {
            stress_buffer_init(&worker->buffer[j]);
        }
    }
    for (unsigned i = 0; i < stress_options.threads; i++) {
        if (pthread_create(&stress_workers[i].thread, NULL, stress_work, &stress_workers[i]) != 0) {
            perror("opalmem_stress: pthread_create");
            exit(EXIT_FAILURE);
        }
    }
    watch_over(own);
    atomic_store(&stress_stop, true);
    for (unsigned i = 0; i < stress_options.threads; i++) {
        pthread_join(stress_workers[i].thread, NULL);
    }
    stress_give_back_all(own);
}

static void print_cache(const stress_cache_t *cache, const mca_rcache_base_stats_t *stats)
{
    printf("cache \"%s\": %" PRIu64 " hits, %" PRIu64 " misses, %" PRIu64 " registrations, %" PRIu64
           " evictions, %" PRIu64 " dropped in use, %" PRIu64 " unpinned in hooks, %" PRIu64 " retries, %" PRIu64
           " overflows, peak %zu (%zu bytes)\n",
           cache->resources.cache_name, stats->hits, stats->misses, stats->registrations, stats->evictions,
           stats->invalidated_in_use, stats->unpinned_in_hook, stats->retries, stats->queue_overflows,
           stats->peak_count, stats->peak_bytes);
    for (int cause = 0; cause < OPAL_MEM_HOOKS_CAUSE_COUNT; cause++) {
        if (stats->invalidations[cause] != 0) {
            printf("  dropped for %s: %" PRIu64 "\n", opal_mem_hooks_cause_name((opal_mem_hooks_cause_t) cause),
                   stats->invalidations[cause]);
        }
    }
}

/* A run that has tried nothing proves nothing. */
static void check_run(void)
{
    uint64_t hits = 0, invalidations = 0;
    for (size_t i = 0; i < STRESS_CACHES; i++) {
        mca_rcache_base_stats_t stats;
        stress_caches[i].module->rcache_stats(stress_caches[i].module, &stats);
        hits += stats.hits;
        for (size_t cause = 0; cause < MCA_RCACHE_STATS_CAUSES; cause++) {
            invalidations += stats.invalidations[cause];
        }
        print_cache(&stress_caches[i], &stats);
    }
    if (stress_fault_count() == 0 || stress_options.expect_errors) {
        stress_check_ops();
        stress_check_judges();
    }
    if (hits == 0 || (invalidations == 0 && !stress_options.expect_errors)) {
        stress_fault(NULL, "hits, invalidations: one of them is 0", hits, invalidations, 0);
    }
}

static int verdict(void)
{
    uint64_t faults = stress_fault_count();
    stress_print_faults();
    printf("seed %" PRIu64 ": %" PRIu64 " fault%s\n", stress_options.seed, faults, faults == 1 ? "" : "s");
    return (faults != 0) == stress_options.expect_errors ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int start(void)
{
    stress_page = (size_t) sysconf(_SC_PAGESIZE);
    const bool pages_stay = prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0;
    stress_report_crashes();
    stress_ops_open();
    if (!stress_data_open()) {
        perror("opalmem_stress: a memory file");
        return EXIT_FAILURE;
    }
    if (!pages_stay || !stress_frames_open()) {
        printf("page frames %s: they do not judge\n",
               pages_stay ? "are not told (that needs root)"
                          : "may change (transparent huge pages cannot be switched off)");
    }
    return stress_caches_open();
}

int main(int argc, char **argv)
{
    static stress_worker_t own = { .number = 2 * STRESS_THREADS };
    if (TEST_IS_THREAD_SANITIZED) {
        printf("SKIP: a build without TSan, whose runtime unmaps by calls of its own and does not survive threads "
               "that "
               "end in patched calls\n");
        return 77;
    }
    if (opalmem_init(&argc, &argv) != OPAL_SUCCESS || !stress_read_options(argc, argv)) {
        return EXIT_FAILURE;
    }
    if (stress_options.list) {
        stress_list_ops();
        return EXIT_SUCCESS;
    }
    int rc = start();
    if (rc != EXIT_SUCCESS) {
        return rc;
    }
    printf("opalmem_stress: seed %" PRIu64 ", %u threads, provider %s\n", stress_options.seed,
           stress_options.threads, stress_options.provider);
    fflush(stdout);
    run(&own);
    check_run();
    stress_caches_close();
    return verdict();
}
