/* SPDX-License-Identifier: BSD-3-Clause */
/* Several threads over one device: registrations, releases, tables that grow and
 * queues that run over at once. A registration that was released must never be
 * found again: its cookie tells. On the fake, or on the device. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "test/kdreg/kdreg_cache.h"
#include "test/sanitized.h"

#define THREADS 4
#define OWN_PAGES 8

static kdreg_cache_t cache;
static unsigned char *pages;
static long rounds = 400;

/* Releases of a page: how many the kernel has noticed, and how many are over. One at a time; the pages go, then it is
 * noticed, then it is over. The provider notes the number noticed when it pins. A registration that was pinned before the
 * n-th was noticed was watched before that, too: so its word has changed when the n-th is over, whether or not its event
 * found room in the queue, and a lookup that begins then must not get it. One that was pinned later has the new pages, and
 * may be handed out for as long as its word holds.
 *
 * Cookies, by which one might tell a registration's age, do not: they are drawn before the region is watched, and whoever
 * loses the processor in between has good pages under a cookie older than the release. The number of releases that have
 * begun never blames a good one, but overlooks one that is pinned in the middle of a release, before its pages go. It
 * stands in where nobody says when the kernel notices: on a device, and with a driver that is late. */
typedef struct page_t {
    _Atomic uint64_t noticed, over;
    pthread_mutex_t lock; /* Of those who release it. */
} page_t;

static page_t page[THREADS * OWN_PAGES];
static bool is_exact; /* The fake says when it notices. */

typedef struct own_registration_t {
    mca_rcache_base_registration_t super;
    uint64_t noticed;
} own_registration_t;

/* By the fake's notifier, under its lock, before any word changes. */
static void note_notice(uintptr_t first, uintptr_t last)
{
    const uintptr_t start_of = (uintptr_t) pages, size = THREADS * OWN_PAGES * PAGE;

    if (first >= start_of && last < start_of + size) {
        atomic_fetch_add(&page[(first - start_of) / PAGE].noticed, 1);
    }
}

static _Atomic long stale, failed, looked_up;

static int pin(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    (void) reg_data, (void) size;
    ((own_registration_t *) reg)->noticed = atomic_load(&page[((unsigned char *) base - pages) / PAGE].noticed);
    return OPAL_SUCCESS;
}

static int unpin(void *reg_data, mca_rcache_base_registration_t *reg)
{
    (void) reg_data, (void) reg;
    return OPAL_SUCCESS;
}

static void make_cache(void)
{
    mca_rcache_base_resources_t resources;

    ck_assert_int_eq(mca_rcache_provider_open("none", &cache.provider), OPAL_SUCCESS);
    mca_rcache_provider_resources(cache.provider, &resources);
    resources.in_use_policy = MCA_RCACHE_IN_USE_IGNORE;
    resources.sizeof_reg = sizeof(own_registration_t);
    resources.register_mem = pin;
    resources.deregister_mem = unpin;
    resources.deregister_many = NULL;
    cache.module = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_ptr_nonnull(cache.module);
}

static void look_up(size_t index)
{
    const uint64_t over = atomic_load(&page[index].over);
    mca_rcache_base_registration_t *reg = NULL;

    atomic_fetch_add(&looked_up, 1);
    if (cache.module->rcache_register(cache.module, pages + index * PAGE, PAGE, 0, 0, &reg) != OPAL_SUCCESS) {
        atomic_fetch_add(&failed, 1);
        return;
    }
    atomic_fetch_add(&stale, ((own_registration_t *) reg)->noticed < over);
    atomic_fetch_add(&failed, cache.module->rcache_deregister(cache.module, reg) != OPAL_SUCCESS);
}

static void release(size_t index)
{
    unsigned char *start = pages + index * PAGE;

    pthread_mutex_lock(&page[index].lock);
    atomic_fetch_add(&page[index].noticed, is_exact ? 0 : 1); /* Not later than it is. */
    if (index % 2 == 0) {
        kdreg_test_discard(start, PAGE);
    } else {
        kdreg_test_map_over(start, PAGE);
    }
    atomic_fetch_add(&page[index].over, 1);
    pthread_mutex_unlock(&page[index].lock);
}

/* Pages that a thread releases one after the other, without a lookup that would fetch their events. */
static size_t burst = 1;

static void for_each_of_burst(void (*act)(size_t index), size_t self, size_t from)
{
    for (size_t i = 0; i < burst; i++) {
        act(self * OWN_PAGES + (from + i) % OWN_PAGES);
    }
}

/* Its own pages are released by it alone, and looked up by all. */
static void *work(void *arg)
{
    const size_t self = (size_t) (uintptr_t) arg;
    unsigned random = (unsigned) self + 1;

    for (long i = 0; i < rounds; i++) {
        random = random * 1103515245 + 12345;
        const size_t own = (random >> 16) % OWN_PAGES;
        for_each_of_burst(look_up, self, own);
        for_each_of_burst(release, self, own);
        for_each_of_burst(look_up, self, own);
        look_up((random >> 20) % (THREADS * OWN_PAGES));
        look_up((random >> 12) % (THREADS * OWN_PAGES));
    }
    return NULL;
}

static void run(void *(*function)(void *) )
{
    pthread_t thread[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&thread[i], NULL, function, (void *) (uintptr_t) i), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
}

static void make_pages(void)
{
    pages = kdreg_test_pages(THREADS * OWN_PAGES);
    for (size_t i = 0; i < THREADS * OWN_PAGES; i++) {
        pthread_mutex_init(&page[i].lock, NULL);
    }
    is_exact = !kdreg_test_on_device();
    fake_script.noticed = note_notice;
}

static void start(size_t max_regions, size_t limit)
{
    kdreg_test_start(max_regions, limit);
    make_cache();
    make_pages();
    rounds = under_valgrind() || TEST_SANITIZED || kdreg_test_on_device() ? 100 : test_rounds(1000);
}

static void stop(void)
{
    kdreg_cache_end(&cache);
    kdreg_test_stop();
    munmap(pages, THREADS * OWN_PAGES * PAGE);
}

/* ---- Scenes -------------------------------------------------------------------------------------- */

/* More events at once than the queue has room for. A release of everything is due to nothing else: these tables do not grow. */
static void run_while_events_are_lost(void)
{
    kdreg_test_forget();
    fake_script.queue_size =
        OWN_PAGES / 2; /* On a device it is as long as the tables: there events are lost by chance. */
    burst = OWN_PAGES;
    rounds /=
        kdreg_test_on_device() ? OWN_PAGES / 2 : 1; /* As many lookups as otherwise: the guest is emulated. */
    run(work);
    if (!kdreg_test_on_device() && !fake_script.loses_silently) {
        ck_assert_int_gt(kdreg_test_told_everything(), 10);
    }
}

#define LOSING 40 /* Tables of this size. */

static void run_in_tables_of(size_t limit)
{
    if (limit == LOSING) {
        run_while_events_are_lost();
    } else {
        run(work);
    }
    ck_assert_int_eq(atomic_load(&failed), 0);
    ck_assert_int_eq(atomic_load(&stale), 0);
    ck_assert_int_gt(atomic_load(&looked_up), 0);
}

static void storm(size_t max_regions, size_t limit)
{
    start(max_regions, limit);
    run_in_tables_of(limit);
    stop();
}

START_TEST(threads_that_release_and_look_up_find_nothing_stale)
{
    storm(1024, 1024);
}
END_TEST

START_TEST(also_while_the_tables_grow)
{
    storm(1, 1024);
}
END_TEST

START_TEST(also_while_events_are_lost)
{
    storm(LOSING, LOSING);
}
END_TEST

/* The twin: a driver that loses them without a trace. */
START_TEST(without_a_trace_of_lost_events_stale_registrations_are_found)
{
    if (kdreg_test_can_script("a driver that loses events without a trace")) {
        start(LOSING, LOSING);
        fake_script.loses_silently = true;
        run_while_events_are_lost();
        ck_assert_int_gt(atomic_load(&stale), 0);
        stop();
    }
}
END_TEST

/* The twin: the same, and nobody notices. */
START_TEST(without_the_mechanism_stale_registrations_are_found)
{
    kdreg_test_select_nothing();
    setenv("OPALMEM_MCA_rcache_base_unsafe", "1", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    make_cache();
    make_pages();
    run(work);
    ck_assert_int_gt(atomic_load(&stale), 0);
    kdreg_cache_end(&cache);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

/* ---- A driver that tells late, and linux beside it ------------------------------------------------ */

/* By default linux runs beside it, "kdreg" is the component alone. A release with the driver's lock taken is noticed when a
 * work queue gets to run: here, when the threads have ended. @return false: this is no fake, and nothing was started. */
static bool late_storm(const char *selection)
{
    if (!kdreg_test_can_script("a driver that puts off")) {
        return false;
    }
    kdreg_test_start_as(selection, 1024, 1024);
    make_cache();
    make_pages();
    is_exact = false;
    fake_script.noticed = NULL;
    fake_script.defers = true;
    run(work);
    fake_run_deferred();
    ck_assert_int_eq(atomic_load(&failed), 0);
    return true;
}

START_TEST(with_linux_beside_it_a_driver_that_tells_late_makes_nothing_stale)
{
    if (late_storm(NULL)) {
        ck_assert_int_eq(atomic_load(&stale), 0);
        stop();
    }
}
END_TEST

/* The twin. */
START_TEST(alone_with_a_driver_that_tells_late_stale_registrations_are_found)
{
    if (late_storm("kdreg")) {
        ck_assert_int_gt(atomic_load(&stale), 0);
        stop();
    }
}
END_TEST

static const size_t sizes[][2] = { { 1024, 1024 }, { 1, 1024 }, { LOSING, LOSING } };

START_TEST(with_linux_beside_it_nothing_stale_is_found)
{
    kdreg_test_start_as("linux+kdreg", sizes[_i][0], sizes[_i][1]);
    make_cache();
    make_pages();
    run_in_tables_of(sizes[_i][1]);
    stop();
}
END_TEST

/* ---- Watching by hand ----------------------------------------------------------------------------- */

/* Each thread has pages of its own. */
static void *watch_and_release(void *arg)
{
    unsigned char *own = pages + (size_t) (uintptr_t) arg * OWN_PAGES * PAGE;

    for (long i = 0; i < rounds; i++) {
        opal_memory_watch_t watch[OWN_PAGES];
        for (size_t k = 0; k < OWN_PAGES; k++) {
            atomic_fetch_add(&failed, kdreg_test_watch(own + k * PAGE, PAGE, &watch[k]) != OPAL_SUCCESS);
        }
        const size_t hit = (size_t) i % OWN_PAGES;
        kdreg_test_discard(own + hit * PAGE, PAGE);
        for (size_t k = 0; k < OWN_PAGES; k++) {
            atomic_fetch_add(&stale, opal_memory_watch_holds(&watch[k]) != (k != hit));
        }
        const int rc = opal_memory_base_sync();
        atomic_fetch_add(&failed, rc != OPAL_SUCCESS && rc != OPAL_ERR_WOULD_BLOCK);
        for (size_t k = 0; k < OWN_PAGES; k++) {
            atomic_fetch_add(&failed, opal_memory_base_unwatch(NULL, 0, &watch[k]) != OPAL_SUCCESS);
        }
    }
    return NULL;
}

START_TEST(each_thread_sees_its_own_changes_and_no_others)
{
    start(256, 256);
    run(watch_and_release);
    ck_assert_int_eq(atomic_load(&failed), 0);
    ck_assert_int_eq(atomic_load(&stale), 0);
    stop();
}
END_TEST

/* A child that is forked while other threads watch and look up waits for nobody. */
static _Atomic bool is_over;

static void *keep_working(void *arg)
{
    while (!atomic_load(&is_over)) {
        look_up((size_t) (uintptr_t) arg);
        release((size_t) (uintptr_t) arg);
    }
    return NULL;
}

START_TEST(a_child_forked_in_the_middle_waits_for_nobody)
{
    pthread_t thread[2];
    if (under_valgrind() || TEST_IS_THREAD_SANITIZED) {
        return; /* Both run one thread of the child only with locks that they know of. */
    }
    start(64, 64);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&thread[i], NULL, keep_working, (void *) (uintptr_t) i), 0);
    }
    for (int i = 0; i < 30; i++) {
        const pid_t pid = kdreg_test_fork(false);
        if (pid == 0) {
            child_must_end_within(30);
            const uint64_t made = kdreg_cache_use(&cache, pages + 20 * PAGE, PAGE);
            const bool found = kdreg_cache_use(&cache, pages + 20 * PAGE, PAGE) == made;
            kdreg_test_discard(pages + 20 * PAGE, PAGE);
            child_says(made != 0 && found && kdreg_cache_use(&cache, pages + 20 * PAGE, PAGE) > made);
        }
        child_must_be_good(pid);
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
    }
    ck_assert_int_eq(atomic_load(&stale), 0);
    stop();
}
END_TEST

int main(void)
{
    const int missing = kdreg_test_prepare();
    if (missing != 0) {
        return missing;
    }
    Suite *suite = suite_create("kdreg_threads");
    TCase *tcase = tcase_create("threads"), *forks = tcase_create("forks");

    tcase_add_test(tcase, threads_that_release_and_look_up_find_nothing_stale);
    tcase_add_test(tcase, also_while_the_tables_grow);
    tcase_add_test(tcase, also_while_events_are_lost);
    tcase_add_test(tcase, without_a_trace_of_lost_events_stale_registrations_are_found);
    tcase_add_test(tcase, without_the_mechanism_stale_registrations_are_found);
    tcase_add_test(tcase, alone_with_a_driver_that_tells_late_stale_registrations_are_found);
    if (kdreg_test_can_have_linux()) {
        tcase_add_test(tcase, with_linux_beside_it_a_driver_that_tells_late_makes_nothing_stale);
        tcase_add_loop_test(tcase, with_linux_beside_it_nothing_stale_is_found, 0,
                            sizeof(sizes) / sizeof(sizes[0]));
    }
    tcase_add_test(tcase, each_thread_sees_its_own_changes_and_no_others);
    tcase_add_test(forks, a_child_forked_in_the_middle_waits_for_nobody);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, forks);
    return test_run(suite);
}
