/* SPDX-License-Identifier: BSD-3-Clause */
/* Caches that rely on the component: a lookup after a release is a miss, in
 * whatever thread and process. Each page begins with a number that no other
 * memory has had there; a registration notes what it found when it pinned. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "opal/memoryhooks/memory_internal.h"
#include "test/children.h"
#include "test/sanitized.h"
#include "test/ummunotify/ummunotify_fixture.h"

typedef mca_rcache_base_registration_t registration_t;

typedef struct stamped_t {
    registration_t super;
    uint64_t stamp; /* Of the first page. */
} stamped_t;

static mca_rcache_base_module_t *cache;
static atomic_uint stale;
static void (*during_register)(void);
static bool is_lost; /* Then regions go with the device. */

/* ---- Memory with a number ---------------------------------------------------------------------------- */

/* Returns what was written: another thread may have the memory next. */
static uint64_t stamp(unsigned char *page)
{
    static _Atomic uint64_t last;
    const uint64_t value = atomic_fetch_add(&last, 1) + 1;
    __atomic_store_n((uint64_t *) (void *) page, value, __ATOMIC_RELAXED);
    return value;
}

static int register_stamped(void *reg_data, void *base, size_t size, registration_t *reg)
{
    (void) reg_data, (void) size;
    ((stamped_t *) reg)->stamp = __atomic_load_n((uint64_t *) base, __ATOMIC_RELAXED);
    if (during_register != NULL) {
        during_register();
    }
    return OPAL_SUCCESS;
}

static int deregister_stamped(void *reg_data, registration_t *reg)
{
    (void) reg_data, (void) reg;
    return OPAL_SUCCESS;
}

static mca_rcache_in_use_policy_t policy = MCA_RCACHE_IN_USE_IGNORE;

static mca_rcache_base_module_t *make_cache(size_t max_count)
{
    mca_rcache_base_resources_t resources = {
        .cache_name = "stamped",
        .sizeof_reg = sizeof(stamped_t),
        .register_mem = register_stamped,
        .deregister_mem = deregister_stamped,
        .max_count = max_count,
        .in_use_policy = policy,
    };
    return mca_rcache_base_module_create(NULL, NULL, &resources);
}

static registration_t *get(unsigned char *page)
{
    registration_t *reg = NULL;
    if (cache->rcache_register(cache, page, PAGE, 0, 0, &reg) != OPAL_SUCCESS) {
        abort();
    }
    return reg;
}

static void put(registration_t *reg)
{
    if (cache->rcache_deregister(cache, reg) != OPAL_SUCCESS) {
        abort();
    }
}

/* Look the page up and compare. */
static void use(unsigned char *page, uint64_t expected)
{
    registration_t *reg = get(page);
    atomic_fetch_add(&stale, ((stamped_t *) reg)->stamp != expected);
    put(reg);
}

static mca_rcache_base_stats_t stats(void)
{
    mca_rcache_base_stats_t result;
    cache->rcache_stats(cache, &result);
    return result;
}

/* ---- With, and without ------------------------------------------------------------------------------- */

static void start(void)
{
    fixture_start();
    cache = make_cache(0);
    ck_assert_ptr_nonnull(cache);
    ck_assert(mca_rcache_base_is_caching(cache));
}

static void stop(void)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    if (!on_device() && !is_lost) {
        ck_assert_uint_eq(fake_regions(), 0);
    }
    fixture_stop();
}

/* The twins: a cache that keeps everything and hears of nothing. */
static void start_deaf(void)
{
    setenv("OPALMEM_MCA_rcache_base_unsafe", "1", 1);
    ck_assert_int_eq(fixture_init("deaf"), OPAL_SUCCESS);
    cache = make_cache(0);
    ck_assert_ptr_nonnull(cache);
}

/* ---- One thread --------------------------------------------------------------------------------------- */

static const ummunotify_kind_t kinds[] = { UMMUNOTIFY_UNMAP, UMMUNOTIFY_MAP_OVER, UMMUNOTIFY_DISCARD,
                                           UMMUNOTIFY_MOVE };
#define KINDS ((int) (sizeof(kinds) / sizeof(kinds[0])))

/* The same address, with other memory, if there is none left. */
static void lose_and_map(ummunotify_kind_t kind, unsigned char *page)
{
    lose(kind, page, 1);
    if (kind == UMMUNOTIFY_UNMAP || kind == UMMUNOTIFY_MOVE) {
        void *again = mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        ck_assert_ptr_eq(again, page);
    }
}

static void look_up_after_release(ummunotify_kind_t kind)
{
    unsigned char *page = get_pages(1);
    uint64_t value = stamp(page);
    use(page, value);
    use(page, value);
    ck_assert_uint_ge(stats().hits, 1);
    lose_and_map(kind, page);
    value = stamp(page);
    use(page, value);
}

START_TEST(lookup_after_a_release_is_a_miss)
{
    look_up_after_release(kinds[_i]);
    ck_assert_uint_eq(atomic_load(&stale), 0);
    ck_assert_uint_ge(stats().registrations, 2);
}
END_TEST

START_TEST(twin_without_the_component_finds_the_old_registration)
{
    look_up_after_release(kinds[_i]);
    ck_assert_uint_eq(atomic_load(&stale), 1);
    ck_assert_uint_eq(stats().registrations, 1);
}
END_TEST

START_TEST(provider_none_misses_after_a_release)
{
    mca_rcache_provider_t *provider;
    mca_rcache_base_resources_t resources = { 0 };
    mca_rcache_base_module_t *stamped = cache;
    unsigned char *page = get_pages(1);
    ck_assert_int_eq(mca_rcache_provider_open("none", &provider), OPAL_SUCCESS);
    mca_rcache_provider_resources(provider, &resources);
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_ptr_nonnull(cache);
    for (unsigned i = 1; i <= 3; i++) {
        put(get(page));
        put(get(page));
        ck_assert_uint_eq(stats().registrations, i);
        ck_assert_uint_eq(stats().hits, i);
        lose_and_map(kinds[_i], page);
    }
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    mca_rcache_provider_close(provider);
    cache = stamped;
}
END_TEST

START_TEST(release_of_other_memory_leaves_hits)
{
    unsigned char *page = get_pages(3);
    const uint64_t value = stamp(page);
    use(page, value);
    use(page + 2 * PAGE, stamp(page + 2 * PAGE));
    for (int i = 0; i < 10; i++) {
        lose_and_map(UMMUNOTIFY_DISCARD, page + 2 * PAGE);
        use(page, value);
    }
    ck_assert_uint_eq(stats().hits, 10);
    ck_assert_uint_eq(stats().count, 1);
}
END_TEST

START_TEST(registration_in_use_is_not_handed_out_after_its_release)
{
    unsigned char *page = get_pages(1);
    stamp(page);
    registration_t *old = get(page);
    lose_and_map(UMMUNOTIFY_MAP_OVER, page);
    use(page, stamp(page));
    ck_assert_uint_eq(atomic_load(&stale), 0);
    put(old);
    ck_assert_uint_eq(stats().count, 1);
}
END_TEST

/* ---- In use, under policy abort ------------------------------------------------------------------------ */

static registration_t *get_strictly(unsigned char *page)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    policy = MCA_RCACHE_IN_USE_ABORT;
    cache = make_cache(0);
    ck_assert_ptr_nonnull(cache);
    return get(page);
}

/* The driver tells of a fork as of a release. The registration is dropped, and nobody is to blame. */
START_TEST(fork_does_not_end_the_program_under_policy_abort)
{
    unsigned char *page = get_pages(1);
    const uint64_t value = stamp(page);
    registration_t *reg = get_strictly(page);
    const pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    child_must_be_good(pid);
    use(page, value);
    ck_assert_uint_eq(stats().registrations, 2);
    ck_assert_uint_eq(stats().invalidated_in_use, 0);
    put(reg);
}
END_TEST

/* The twin: of a release that is known to be one. */
START_TEST(release_of_memory_in_use_ends_the_program_under_policy_abort)
{
    unsigned char *page = get_pages(1);
    get_strictly(page);
    opal_mem_hooks_release_cause(page, PAGE, true, OPAL_MEM_HOOKS_CAUSE_KERNEL);
}
END_TEST

static unsigned char *released_page;

static void release_while_pinning(void)
{
    during_register = NULL;
    lose_and_map(UMMUNOTIFY_MAP_OVER, released_page);
}

/* The caller gets what it asked for before the release; nobody else does. */
START_TEST(release_while_pages_are_pinned_makes_the_next_lookup_a_miss)
{
    released_page = get_pages(1);
    stamp(released_page);
    during_register = release_while_pinning;
    put(get(released_page));
    use(released_page, stamp(released_page));
    ck_assert_uint_eq(atomic_load(&stale), 0);
    ck_assert_uint_eq(stats().hits, 0);
}
END_TEST

START_TEST(two_caches_both_miss)
{
    mca_rcache_base_module_t *caches[2] = { cache, make_cache(0) };
    unsigned char *page = get_pages(1);
    for (int round = 0; round < 3; round++) {
        const uint64_t value = stamp(page);
        for (int i = 0; i < 2; i++) {
            cache = caches[i];
            use(page, value);
            use(page, value);
        }
        lose_and_map(UMMUNOTIFY_MAP_OVER, page);
    }
    ck_assert_uint_eq(atomic_load(&stale), 0);
    ck_assert_uint_eq(stats().registrations, 3);
    ck_assert_int_eq(mca_rcache_base_module_destroy(caches[1]), OPAL_SUCCESS);
    cache = caches[0];
}
END_TEST

START_TEST(evicted_registrations_are_not_watched)
{
    unsigned char *many = get_pages(100);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    cache = make_cache(10);
    for (size_t i = 0; i < 100; i++) {
        use(many + i * PAGE, stamp(many + i * PAGE));
        ck_assert_uint_le(fake_regions(), 10);
    }
    ck_assert_uint_eq(fake_regions(), stats().count);
}
END_TEST

/* ---- Where the driver fails --------------------------------------------------------------------------- */

START_TEST(memory_that_the_driver_cannot_watch_is_registered_for_one_use)
{
    unsigned char *page = get_pages(1);
    const uint64_t value = stamp(page);
    fake_fail(FAKE_REGISTER, ENOMEM, 2);
    use(page, value);
    use(page, value);
    ck_assert_uint_eq(stats().registrations, 2);
    ck_assert_uint_eq(stats().count, 0);
    use(page, value);
    use(page, value);
    ck_assert_uint_eq(stats().hits, 1);
}
END_TEST

START_TEST(cache_keeps_nothing_after_the_device_is_lost)
{
    unsigned char *page = get_pages(1);
    use(page, stamp(page));
    lose_and_map(UMMUNOTIFY_DISCARD, page);
    fake_fail(FAKE_READ, EIO, 1);
    is_lost = true;
    for (int i = 0; i < 5; i++) {
        use(page, stamp(page));
        ck_assert_uint_eq(stats().count, 0);
    }
    ck_assert_uint_eq(atomic_load(&stale), 0);
    ck_assert_uint_eq(stats().hits, 0);
}
END_TEST

/* ---- Threads ------------------------------------------------------------------------------------------ */

#define THREADS 4
#define ROUNDS test_rounds(500)

/* Releases are of pages that are looked up, by their own thread; others process them as well. */
static void *release_and_look_up(void *arg)
{
    unsigned char *page = arg;
    const long rounds = ROUNDS;
    for (long i = 0; i < rounds; i++) {
        const uint64_t value = stamp(page);
        use(page, value);
        use(page, value);
        lose(i % 2 == 0 ? UMMUNOTIFY_DISCARD : UMMUNOTIFY_MAP_OVER, page, 1);
    }
    return NULL;
}

static void run_threads(void *(*body)(void *), unsigned char *first, size_t step)
{
    pthread_t thread[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&thread[i], NULL, body, first + i * step), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    }
}

START_TEST(threads_find_nothing_stale)
{
    run_threads(release_and_look_up, get_pages(THREADS), PAGE);
    ck_assert_uint_eq(atomic_load(&stale), 0);
    ck_assert_uint_ge(stats().hits, 1);
}
END_TEST

/* Releases are told of before as well, by libc's calls; and the kernel's events come through the base's composite. */
START_TEST(threads_find_nothing_stale_with_linux_beside_it)
{
    ck_assert_int_eq(fixture_init("linux+ummunotify"), OPAL_SUCCESS);
    cache = make_cache(0);
    ck_assert_ptr_nonnull(cache);
    look_up_after_release(UMMUNOTIFY_UNMAP);
    run_threads(release_and_look_up, get_pages(THREADS), PAGE);
    ck_assert_uint_eq(atomic_load(&stale), 0);
    ck_assert_uint_ge(stats().hits, 1);
    stop();
}
END_TEST

/* Outside of tests. */
static bool can_have_linux(void)
{
#ifdef OPALMEM_STATIC_MEMORY_LINUX
    const bool is_linked_in = true;
#else
    const bool is_linked_in = false; /* It would bring another copy of the library. */
#endif
    setenv("OPALMEM_MCA_memory", "linux", 1);
    const bool result = !TEST_IS_THREAD_SANITIZED && is_linked_in && opalmem_init(NULL, NULL) == OPAL_SUCCESS;

    if (result) {
        opalmem_finalize();
    } else {
        printf("LEFT OUT: linux beside it, which is not linked in, or cannot run here\n");
    }
    return result;
}

START_TEST(twin_threads_find_much_that_is_stale)
{
    run_threads(release_and_look_up, get_pages(THREADS), PAGE);
    ck_assert_int_ge((long) atomic_load(&stale), THREADS * ROUNDS / 2);
}
END_TEST

/* One address goes round: whoever has the turn finds it free, maps it, looks it up, and gives it back. */
static atomic_uint turn;
static unsigned char *shared_page;
static atomic_uint next_number;

static void map_and_look_up(void)
{
    void *page =
        mmap(shared_page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (page != shared_page) {
        abort(); /* A test that does not run is not to pass. */
    }
    const uint64_t value = stamp(page);
    use(page, value);
    use(page, value);
    lose(UMMUNOTIFY_UNMAP, page, 1);
}

static void *take_turns(void *arg)
{
    (void) arg;
    const unsigned number = atomic_fetch_add(&next_number, 1);
    const unsigned rounds = (unsigned) ROUNDS;
    for (unsigned round = 0; round < rounds; round++) {
        while (atomic_load(&turn) != round * THREADS + number) {
            sched_yield();
        }
        map_and_look_up();
        atomic_fetch_add(&turn, 1);
    }
    return NULL;
}

/* Far from where the kernel puts what the process maps meanwhile. */
static void choose_address(void)
{
    unsigned char *room =
        mmap(NULL, (size_t) 1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ck_assert_ptr_ne(room, MAP_FAILED);
    shared_page = room + ((size_t) 1 << 29);
    unmap_pages(shared_page, 1);
}

START_TEST(address_that_another_thread_reuses_is_a_miss)
{
    choose_address();
    run_threads(take_turns, shared_page, 0);
    ck_assert_uint_eq(atomic_load(&stale), 0);
    ck_assert_uint_ge(stats().hits, 1);
}
END_TEST

START_TEST(twin_finds_the_other_threads_registration)
{
    choose_address();
    run_threads(take_turns, shared_page, 0);
    ck_assert_int_ge((long) atomic_load(&stale), ROUNDS);
}
END_TEST

/* ---- Fork --------------------------------------------------------------------------------------------- */

static pid_t (*const forks[])(void) = { fork, raw_fork };
#define FORKS (raw_forks_are_noticed() && !TEST_IS_THREAD_SANITIZED ? 2 : 1)

static bool child_is_safe(unsigned char *page, unsigned char *other)
{
    const uint64_t before = stats().hits;
    uint64_t value = stamp(page);
    use(page, value); /* The parent's registration is not handed out: its stamp is another one. */
    use(page, value);
    bool good = stats().hits == before + 1;
    lose(UMMUNOTIFY_DISCARD, page, 1);
    use(page, stamp(page));
    lose(UMMUNOTIFY_UNMAP, other, 1);
    return good && atomic_load(&stale) == 0;
}

START_TEST(child_caches_by_a_device_of_its_own)
{
    unsigned char *page = get_pages(2);
    uint64_t value = stamp(page);
    use(page, value);
    use(page + PAGE, stamp(page + PAGE));
    const pid_t pid = forks[_i]();
    if (pid == 0) {
        child_must_end_within(30);
        child_says(child_is_safe(page, page + PAGE));
    }
    child_must_be_good(pid);
    use(page, value);
    lose_and_map(UMMUNOTIFY_MAP_OVER, page);
    use(page, stamp(page));
    ck_assert_uint_eq(atomic_load(&stale), 0);
    if (!on_device()) {
        ck_assert_uint_eq(fake_strangers(), 0);
    }
}
END_TEST

static void add_twins(Suite *suite)
{
    TCase *twins = tcase_create("twins");
    tcase_add_checked_fixture(twins, start_deaf, stop);
    tcase_add_loop_test(twins, twin_without_the_component_finds_the_old_registration, 0, KINDS);
    tcase_add_test(twins, twin_threads_find_much_that_is_stale);
    tcase_add_test(twins, twin_finds_the_other_threads_registration);
    suite_add_tcase(suite, twins);
}

int main(void)
{
    Suite *suite = suite_create("ummunotify_rcache");
    TCase *tests = tcase_create("ummunotify_rcache");
    tcase_add_checked_fixture(tests, start, stop);
    tcase_add_loop_test(tests, lookup_after_a_release_is_a_miss, 0, KINDS);
    tcase_add_loop_test(tests, provider_none_misses_after_a_release, 0, KINDS);
    tcase_add_test(tests, release_of_other_memory_leaves_hits);
    tcase_add_test(tests, registration_in_use_is_not_handed_out_after_its_release);
    tcase_add_test(tests, release_while_pages_are_pinned_makes_the_next_lookup_a_miss);
    tcase_add_test(tests, fork_does_not_end_the_program_under_policy_abort);
    tcase_add_test_raise_signal(tests, release_of_memory_in_use_ends_the_program_under_policy_abort, SIGABRT);
    tcase_add_test(tests, two_caches_both_miss);
    ADD_SCRIPTED(tests, evicted_registrations_are_not_watched);
    ADD_SCRIPTED(tests, memory_that_the_driver_cannot_watch_is_registered_for_one_use);
    ADD_SCRIPTED(tests, cache_keeps_nothing_after_the_device_is_lost);
    tcase_add_test(tests, threads_find_nothing_stale);
    tcase_add_test(tests, address_that_another_thread_reuses_is_a_miss);
    tcase_add_loop_test(tests, child_caches_by_a_device_of_its_own, 0, FORKS);
    suite_add_tcase(suite, tests);
    if (can_have_linux()) {
        TCase *together = tcase_create("together");
        tcase_add_test(together, threads_find_nothing_stale_with_linux_beside_it);
        suite_add_tcase(suite, together);
    }
    add_twins(suite);
    return fixture_run(suite);
}
