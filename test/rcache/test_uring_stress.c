/* SPDX-License-Identifier: BSD-3-Clause */
/* Two threads send from memory that comes and goes, and look at every byte that
 * arrives. Addresses are used again all the time: how often is printed, and too
 * seldom is a failure. OPALMEM_TEST_SECONDS changes the duration of 30 s. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"
#include "test/children.h"
#include "test/test_main.h"

#define THREADS 2
#define MAX_PAGES 8
#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define PAGE_MAX ((size_t) 65536) /* Of any processor. */
#define RECENT 64

static mca_rcache_provider_t *provider;
static mca_rcache_base_module_t *cache;
static int channel;
static atomic_bool running;
static _Atomic long messages, wrong, reuses;
static bool knows_causes; /* Who is told by the kernel, afterwards, learns that pages went, and no more. */

struct worker {
    pthread_t thread;
    int number;
    uint64_t random;
    void *recent[RECENT]; /* Addresses released lately, by a hash of the address. */
    unsigned char received[MAX_PAGES * PAGE_MAX];
};

static uint64_t next_random(struct worker *worker)
{
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return worker->random;
}

static void send_and_compare(struct worker *worker, unsigned char *memory, size_t size)
{
    mca_rcache_base_registration_t *reg;
    uint64_t offset = (uint64_t) worker->number * sizeof(worker->received);
    uint64_t word = next_random(worker);
    for (size_t i = 0; i < size; i += PAGE) {
        memcpy(memory + i, &word, sizeof(word)); /* Stale pages differ in their first word already. */
    }
    if (cache->rcache_register(cache, memory, size, 0, 0, &reg) != OPAL_SUCCESS) {
        atomic_fetch_add(&wrong, 1);
        return;
    }
    ssize_t moved =
        mca_rcache_uring_write(provider, channel, (mca_rcache_uring_registration_t *) reg, memory, size, offset);
    cache->rcache_deregister(cache, reg);
    if (moved != (ssize_t) size || pread(channel, worker->received, size, (off_t) offset) != (ssize_t) size
        || memcmp(worker->received, memory, size) != 0) {
        atomic_fetch_add(&wrong, 1);
    }
    atomic_fetch_add(&messages, 1);
}

static void note_reuse(struct worker *worker, void *memory, bool released)
{
    void **entry = &worker->recent[((uintptr_t) memory / PAGE) % RECENT];
    if (released) {
        *entry = memory;
    } else if (*entry == memory) {
        atomic_fetch_add(&reuses, 1);
        *entry = NULL;
    }
}

static void *send_all_the_time(void *arg)
{
    struct worker *worker = arg;
    while (atomic_load_explicit(&running, memory_order_relaxed)) {
        size_t size = (1 + next_random(worker) % MAX_PAGES) * PAGE;
        unsigned char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            atomic_fetch_add(&wrong, 1);
            break;
        }
        note_reuse(worker, memory, false);
        send_and_compare(worker, memory, size);
        if (next_random(worker) % 4 == 0) {
            madvise(memory, size, MADV_DONTNEED);
        }
        send_and_compare(worker, memory, size);
        note_reuse(worker, memory, true);
        munmap(memory, size);
    }
    return NULL;
}

static mca_rcache_base_stats_t stats_now(void)
{
    mca_rcache_base_stats_t stats;
    cache->rcache_stats(cache, &stats);
    return stats;
}

/* What a run must have done before it says anything. */
typedef struct goal_t {
    uint64_t hits, invalidations; /* Of each of two causes, where they are known. */
    long reuses, wrong;
} goal_t;

static bool is_reached(goal_t goal)
{
    const mca_rcache_base_stats_t stats = stats_now();

    const uint64_t *causes = stats.invalidations;
    const bool is_told = knows_causes ? causes[OPAL_MEM_HOOKS_CAUSE_MUNMAP] >= goal.invalidations
                                            && causes[OPAL_MEM_HOOKS_CAUSE_MADVISE] >= goal.invalidations
                                      : causes[OPAL_MEM_HOOKS_CAUSE_KERNEL] + causes[OPAL_MEM_HOOKS_CAUSE_UNKNOWN]
                                            >= goal.invalidations;

    return stats.hits >= goal.hits && is_told && atomic_load(&reuses) >= goal.reuses
           && atomic_load(&wrong) >= goal.wrong;
}

#define PATIENCE_S 240 /* Where the machine has much else to do. */

static void run(unsigned seconds, goal_t goal)
{
    static struct worker workers[THREADS];
    mca_rcache_base_resources_t resources;
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    knows_causes = (opal_memory_base_sees() & OPAL_MEMORY_SEES_BEFORE) != 0;
    ck_assert_int_eq(mca_rcache_provider_open("uring", &provider), OPAL_SUCCESS);
    mca_rcache_provider_resources(provider, &resources);
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_ptr_nonnull(cache);
    channel = memfd_create("channel", MFD_CLOEXEC);
    atomic_store(&running, true);
    for (int i = 0; i < THREADS; i++) {
        workers[i].number = i;
        workers[i].random = UINT64_C(88172645463325252) + (uint64_t) i;
        pthread_create(&workers[i].thread, NULL, send_all_the_time, &workers[i]);
    }
    sleep(seconds);
    for (int i = 0; i < PATIENCE_S * 100 && !is_reached(goal); i++) {
        usleep(10000);
    }
    atomic_store(&running, false);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    const mca_rcache_base_stats_t stats = stats_now();
    printf("%u s: %ld messages, %lu hits, %ld address reuses, %lu unpinned in the hook, %ld wrong\n", seconds,
           atomic_load(&messages), (unsigned long) stats.hits, atomic_load(&reuses),
           (unsigned long) stats.unpinned_in_hook, atomic_load(&wrong));
    ck_assert(is_reached(goal));
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    mca_rcache_provider_close(provider);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

static unsigned duration(void)
{
    const char *text = getenv("OPALMEM_TEST_SECONDS");
    return text == NULL ? 30 : (unsigned) atoi(text);
}

START_TEST(two_threads_never_send_released_pages)
{
    const bool is_slow = under_valgrind();
    run(duration(),
        (goal_t){
            .hits = (uint64_t) test_rounds(1000),
            .invalidations = is_slow ? 10 : (uint64_t) test_rounds(1000),
            .reuses = is_slow ? 1000 : test_rounds(100000L * duration() / 30), /* 10^5 in the usual 30 s. */
        });
    ck_assert_int_eq(atomic_load(&wrong), 0);
}
END_TEST

START_TEST(without_hooks_they_do)
{
    setenv("OPALMEM_MCA_memory", "noop", 1);
    setenv("OPALMEM_MCA_rcache_base_unsafe", "1", 1);
    run(1, (goal_t){ .hits = 1000, .wrong = 1 });
}
END_TEST

static bool works_here(void)
{
    mca_rcache_provider_t *probe;
    if (mca_rcache_provider_open("uring", &probe) != OPAL_SUCCESS) {
        return false;
    }
    mca_rcache_provider_close(probe);
    bool noticed = opalmem_init(NULL, NULL) == OPAL_SUCCESS
                   && (opal_mem_hooks_support_level() & OPAL_MEMORY_MUNMAP_SUPPORT) != 0;
    opalmem_finalize();
    return noticed;
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
    return test_skip(
        "a build without TSan, which replaces mmap and munmap, and has left a thread before its last release");
#endif
    if (!works_here()) {
        return test_skip("io_uring with a sparse buffer table, and a memory component that notices releases");
    }
    Suite *suite = suite_create("uring_stress");
    TCase *tests = tcase_create("stress");
    tcase_set_timeout(tests, duration() + PATIENCE_S + 60);
    tcase_add_test(tests, two_threads_never_send_released_pages);
    tcase_add_test(tests, without_hooks_they_do);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
