/* SPDX-License-Identifier: BSD-3-Clause */
/* The cache against several threads, on a model of memory: each page has a
 * version, a release gives it the next one, and the provider notes the versions
 * it "pins". A stale registration shows as one with an old version. */
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "test/rcache/fake_provider.h"
#include "test/test_main.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define PAGES 64
#define BASE 0x10000000UL
#define AT(page) ((void *) (BASE + (size_t) (page) *PAGE))

static _Atomic uint32_t version[PAGES];

/* The fake's registrations are too small for versions: a table by serial number modulo its size. */
#define SERIALS 65536
static uint32_t pinned_version[SERIALS][PAGES];

static mca_rcache_base_resources_t resources;
static fake_provider_t fake;
static mca_rcache_base_module_t *cache;
static int (*inner_register)(void *, void *, size_t, mca_rcache_base_registration_t *);

static int register_with_versions(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    int rc = inner_register(reg_data, base, size, reg);
    size_t first = ((uintptr_t) base - BASE) / PAGE;
    uint32_t *pinned = pinned_version[((fake_registration_t *) reg)->serial % SERIALS];
    for (size_t page = first; page < first + size / PAGE; page++) {
        pinned[page] = atomic_load(&version[page]);
    }
    return rc;
}

static void set_up(void)
{
    memset(&fake, 0, sizeof(fake));
    resources = fake_resources(&fake);
    inner_register = resources.register_mem;
    resources.register_mem = register_with_versions;
    resources.in_use_policy = MCA_RCACHE_IN_USE_IGNORE;
    fake_library_start();
}

static void start(uint32_t flags, size_t max_count)
{
    resources.flags = flags;
    resources.max_count = max_count;
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_ptr_nonnull(cache);
}

static void stop(void)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    ck_assert_int_eq(atomic_load(&fake.registered), atomic_load(&fake.deregistered));
    ck_assert_int_eq(atomic_load(&fake.bytes), 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

/* ---- A registration between the callbacks and the system call ------------------------------------ */

static atomic_int announced;

static void *release_slowly(void *arg)
{
    const bool with_window = arg != NULL;
    const opal_mem_hooks_range_t range = { (uintptr_t) AT(5), PAGE };
    opal_mem_hooks_window_t window;
    if (with_window) {
        opal_mem_hooks_window_open(&window, &range, 1, OPAL_MEM_HOOKS_CAUSE_MUNMAP, true);
    } else {
        opal_mem_hooks_release_hook(AT(5), PAGE, true);
    }
    atomic_store(&announced, 1);
    usleep(100 * 1000);
    atomic_fetch_add(&version[5], 1);
    if (with_window) {
        opal_mem_hooks_window_close(&window);
    }
    return NULL;
}

/* Register pages 4 to 6 while page 5 is being released; is page 5 found stale later? */
static bool is_stale_after_slow_release(bool with_window)
{
    pthread_t thread;
    mca_rcache_base_registration_t *reg;
    pthread_create(&thread, NULL, release_slowly, with_window ? &thread : NULL);
    while (!atomic_load(&announced)) {
        usleep(10);
    }
    ck_assert_int_eq(cache->rcache_register(cache, AT(4), 3 * PAGE, 0, 0, &reg), OPAL_SUCCESS);
    ck_assert_int_eq(cache->rcache_deregister(cache, reg), OPAL_SUCCESS);
    pthread_join(thread, NULL);
    ck_assert_int_eq(cache->rcache_register(cache, AT(5), PAGE, 0, 0, &reg), OPAL_SUCCESS);
    bool stale = pinned_version[((fake_registration_t *) reg)->serial][5] != atomic_load(&version[5]);
    ck_assert_int_eq(cache->rcache_deregister(cache, reg), OPAL_SUCCESS);
    return stale;
}

START_TEST(registration_between_callback_and_system_call_is_not_stale)
{
    start(0, 0);
    ck_assert(!is_stale_after_slow_release(true));
    stop();
}
END_TEST

START_TEST(without_a_window_it_would_be)
{
    start(0, 0);
    ck_assert(is_stale_after_slow_release(false));
    stop();
}
END_TEST

/* ---- Random use --------------------------------------------------------------------------------- */

/* Who uses or releases pages owns them, as a program does: one lock a slot of four pages. */
#define SLOTS (PAGES / 4)
static pthread_mutex_t slot_lock[SLOTS];
static atomic_bool running;
static bool notify;
static _Atomic long stale_hits, releases, lookups;

static void release_slot(int slot, uint64_t random)
{
    long page = slot * 4 + (long) (random % 4), pages = 1 + (long) (random / 4 % (uint64_t) (4 - page % 4));
    const opal_mem_hooks_range_t range = { (uintptr_t) AT(page), (size_t) pages * PAGE };
    opal_mem_hooks_window_t window;
    if (notify) {
        opal_mem_hooks_window_open(&window, &range, 1, OPAL_MEM_HOOKS_CAUSE_MUNMAP, true);
    }
    for (long i = page; i < page + pages; i++) {
        atomic_fetch_add(&version[i], 1);
    }
    if (notify) {
        opal_mem_hooks_window_close(&window);
    }
    atomic_fetch_add(&releases, 1);
}

static void use_slots(int slot, int count, uint64_t random)
{
    mca_rcache_base_registration_t *reg;
    long page = slot * 4 + (long) (random % 3), pages = count * 4 - page % 4;
    uint32_t flags = random % 64 == 0 ? MCA_RCACHE_FLAGS_CACHE_BYPASS : 0;
    int rc =
        cache->rcache_register(cache, AT(page), (size_t) pages * PAGE, flags, (int32_t) (random / 64 % 4), &reg);
    if (rc != OPAL_SUCCESS) {
        return; /* At the limit. */
    }
    atomic_fetch_add(&lookups, 1);
    const uint32_t *pinned = pinned_version[((fake_registration_t *) reg)->serial % SERIALS];
    for (long i = page; i < page + pages; i++) {
        if (pinned[i] != atomic_load(&version[i])) {
            atomic_fetch_add(&stale_hits, 1);
        }
    }
    cache->rcache_deregister(cache, reg);
}

static void *use_and_release(void *arg)
{
    uint64_t state = (uintptr_t) arg * UINT64_C(0x9e3779b97f4a7c15);
    while (atomic_load_explicit(&running, memory_order_relaxed)) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint64_t random = state >> 16;
        int slot = (int) (random % (SLOTS - 1)), count = 1 + (int) (random / SLOTS % 2);
        random /= 2 * SLOTS;
        for (int i = 0; i < count; i++) {
            pthread_mutex_lock(&slot_lock[slot + i]);
        }
        if (random % 3 == 0) {
            release_slot(slot, random / 3);
        } else {
            use_slots(slot, count, random / 3);
        }
        for (int i = count - 1; i >= 0; i--) {
            pthread_mutex_unlock(&slot_lock[slot + i]);
        }
        if (random % 1024 == 5) {
            mca_rcache_base_progress();
        }
    }
    return NULL;
}

static mca_rcache_base_stats_t stats_now(void)
{
    mca_rcache_base_stats_t stats;
    cache->rcache_stats(cache, &stats);
    return stats;
}

/* Enough to say something; how long that takes is the machine's business. */
static bool is_enough(void)
{
    const mca_rcache_base_stats_t stats = stats_now();

    return stats.hits > 100 && atomic_load(&releases) > 1000
           && (notify ? stats.deregistrations > 0 : atomic_load(&stale_hits) > 0);
}

#define PATIENCE_S 60

static void run_threads(int threads, unsigned seconds)
{
    pthread_t thread[8];
    for (int i = 0; i < SLOTS; i++) {
        pthread_mutex_init(&slot_lock[i], NULL);
    }
    atomic_store(&running, true);
    for (int i = 0; i < threads; i++) {
        pthread_create(&thread[i], NULL, use_and_release, (void *) (uintptr_t) (i + 1));
    }
    sleep(seconds);
    for (int i = 0; i < PATIENCE_S * 100 && !is_enough(); i++) {
        usleep(10000);
    }
    atomic_store(&running, false);
    for (int i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
    }
    const mca_rcache_base_stats_t stats = stats_now();
    printf("%d threads: %ld lookups, %lu hits, %ld releases, %lu retries, %lu in hook, %ld stale\n", threads,
           atomic_load(&lookups), (unsigned long) stats.hits, atomic_load(&releases),
           (unsigned long) stats.retries, (unsigned long) stats.unpinned_in_hook, atomic_load(&stale_hits));
    ck_assert_uint_gt(stats.hits, test_rounds(100));
    ck_assert_int_gt(atomic_load(&releases), test_rounds(1000));
}

START_TEST(no_thread_gets_a_stale_registration)
{
    notify = true;
    start(0, 0);
    run_threads(3, (unsigned) test_rounds(3));
    ck_assert_int_eq(atomic_load(&stale_hits), 0);
    stop();
}
END_TEST

START_TEST(nor_with_a_hook_safe_provider_and_a_limit)
{
    notify = true;
    start(MCA_RCACHE_RESOURCES_HOOK_SAFE, 5);
    run_threads(3, (unsigned) test_rounds(3));
    ck_assert_int_eq(atomic_load(&stale_hits), 0);
    const mca_rcache_base_stats_t stats = stats_now();
    ck_assert_uint_gt(stats.deregistrations, 0);
    ck_assert_uint_le(stats.peak_count, 5);
    stop();
}
END_TEST

START_TEST(without_notification_they_do)
{
    notify = false;
    start(0, 0);
    run_threads(2, 1);
    ck_assert_int_gt(atomic_load(&stale_hits), 0);
    stop();
}
END_TEST

/* ---- Creation and destruction against releases --------------------------------------------------- */

static void *release_everything(void *arg)
{
    (void) arg;
    while (atomic_load(&running)) {
        opal_mem_hooks_release_hook(AT(0), PAGES * PAGE, true);
        mca_rcache_base_progress();
        atomic_fetch_add(&releases, 1);
    }
    return NULL;
}

START_TEST(caches_come_and_go_under_releases)
{
    pthread_t thread;
    const long rounds = test_rounds(3000);
    start(0, 0);
    atomic_store(&running, true);
    pthread_create(&thread, NULL, release_everything, NULL);
    for (long i = 0; i < rounds || atomic_load(&releases) <= 10; i++) {
        mca_rcache_base_module_t *other = mca_rcache_base_module_create(NULL, NULL, &resources);
        mca_rcache_base_registration_t *reg;
        ck_assert_ptr_nonnull(other);
        if (other->rcache_register(other, AT(i % 8), PAGE, 0, 0, &reg) == OPAL_SUCCESS) {
            ck_assert_int_eq(other->rcache_deregister(other, reg), OPAL_SUCCESS);
        }
        ck_assert_int_eq(mca_rcache_base_module_destroy(other), OPAL_SUCCESS);
    }
    atomic_store(&running, false);
    pthread_join(thread, NULL);
    ck_assert_int_gt(atomic_load(&releases), 10);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma_threads");
    TCase *tests = tcase_create("threads");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, registration_between_callback_and_system_call_is_not_stale);
    tcase_add_test(tests, without_a_window_it_would_be);
    tcase_add_test(tests, no_thread_gets_a_stale_registration);
    tcase_add_test(tests, nor_with_a_hook_safe_provider_and_a_limit);
    tcase_add_test(tests, without_notification_they_do);
    tcase_add_test(tests, caches_come_and_go_under_releases);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
