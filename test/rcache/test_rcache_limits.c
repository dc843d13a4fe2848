/* SPDX-License-Identifier: BSD-3-Clause */
/* Limits: of a cache, of the process, of the provider. Never exceeded, and all of what they allow can be had. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "rcache/base/rcache_limits.h"
#include "test/rcache/grdma_fixture.h"

static mca_rcache_base_module_t *others[4];
#define OTHERS (sizeof(others) / sizeof(others[0]))

/* Caches of their own, on the same provider. */
static void make_others(void)
{
    for (size_t i = 0; i < OTHERS; i++) {
        others[i] = mca_rcache_base_module_create(NULL, NULL, &resources);
        ck_assert_ptr_nonnull(others[i]);
    }
}

static void begin(const char *count, long pages)
{
    char bytes[32];
    snprintf(bytes, sizeof(bytes), "%zu", (size_t) pages * PAGE);
    setenv("OPALMEM_MCA_rcache_base_process_max_count", count, 1);
    setenv("OPALMEM_MCA_rcache_base_process_max_bytes", bytes, 1);
    set_up();
    make_others();
}

static void end(void)
{
    for (size_t i = 0; i < OTHERS; i++) {
        ck_assert_int_eq(mca_rcache_base_module_destroy(others[i]), OPAL_SUCCESS);
    }
    tear_down();
}

static int get_from(mca_rcache_base_module_t *from, long page, long pages, mca_rcache_base_registration_t **reg)
{
    return from->rcache_register(from, AT(page), (size_t) pages * PAGE, 0, 0, reg);
}

static void use_from(mca_rcache_base_module_t *from, long page, long pages)
{
    mca_rcache_base_registration_t *reg;
    ck_assert_int_eq(get_from(from, page, pages, &reg), OPAL_SUCCESS);
    ck_assert_int_eq(from->rcache_deregister(from, reg), OPAL_SUCCESS);
}

/* ---- Of the process -------------------------------------------------------------------------------- */

START_TEST(all_of_the_bound_can_be_had)
{
    mca_rcache_base_registration_t *regs[4], *more;
    begin("4", 0);
    for (long i = 0; i < 4; i++) {
        ck_assert_int_eq(get_from(others[i], i, 1, &regs[i]), OPAL_SUCCESS);
    }
    ck_assert_int_eq(get_from(cache, 10, 1, &more), OPAL_ERR_OUT_OF_RESOURCE); /* All are in use. */
    for (long i = 0; i < 4; i++) {
        ck_assert_int_eq(others[i]->rcache_deregister(others[i], regs[i]), OPAL_SUCCESS);
    }
    end();
}
END_TEST

START_TEST(idle_registration_of_another_cache_gives_way)
{
    begin("0", 4);
    for (long i = 0; i < 4; i++) {
        use_from(others[i], i, 1);
    }
    ck_assert_int_eq(pinned(), 4);
    use(10, 3);
    ck_assert_int_eq(pinned(), 4);
    use(20, 4);
    ck_assert_int_eq(pinned(), 4);
    ck_assert_uint_eq(stats().evictions, 1);
    end();
}
END_TEST

START_TEST(without_a_bound_it_stays)
{
    begin("0", 0);
    for (long i = 0; i < 4; i++) {
        use_from(others[i], i, 1);
    }
    use(10, 3);
    ck_assert_int_eq(pinned(), 7);
    end();
}
END_TEST

START_TEST(own_idle_registrations_go_first)
{
    begin("3", 0);
    use_from(others[0], 0, 1);
    use(1, 1);
    use(2, 1);
    use(3, 1);
    ck_assert_int_eq(registrations(), 4);
    use_from(others[0], 0, 1);
    ck_assert_int_eq(registrations(), 4);
    end();
}
END_TEST

START_TEST(more_than_the_bound_is_refused_at_once)
{
    mca_rcache_base_registration_t *reg;
    begin("0", 4);
    use_from(others[0], 0, 1);
    ck_assert_int_eq(get_from(cache, 10, 5, &reg), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(pinned(), 1);
    end();
}
END_TEST

START_TEST(failed_registration_gives_its_room_back)
{
    mca_rcache_base_registration_t *reg;
    begin("1", 0);
    fake.fail_at = 1;
    fake.fail_with = OPAL_ERR_UNREACH;
    ck_assert_int_eq(get_from(cache, 0, 1, &reg), OPAL_ERR_UNREACH);
    use(0, 1);
    release(0, 1);
    mca_rcache_base_progress();
    use_from(others[0], 0, 1);
    end();
}
END_TEST

START_TEST(fork_child_has_the_whole_bound)
{
    begin("2", 0);
    mca_rcache_base_registration_t *one = get(0, 1, 0, 0), *two = get(1, 1, 0, 0);
    pid_t child = fork();
    if (child == 0) {
        mca_rcache_base_registration_t *regs[3];
        int bad = get_from(cache, 0, 1, &regs[0]) != OPAL_SUCCESS;
        bad += get_from(others[0], 1, 1, &regs[1]) != OPAL_SUCCESS;
        bad += get_from(others[1], 2, 1, &regs[2]) != OPAL_ERR_OUT_OF_RESOURCE;
        _exit(bad);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    put(one);
    put(two);
    end();
}
END_TEST

/* ---- At any number of threads ----------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS 4000

static _Atomic long most_pinned, refused;

static void note_peak(fake_provider_t *provider, void *base, size_t size)
{
    (void) base, (void) size;
    long now = atomic_load(&provider->bytes) / (long) PAGE, most = atomic_load(&most_pinned);
    while (now > most && !atomic_compare_exchange_weak(&most_pinned, &most, now)) {
    }
}

/* One reference a thread at any time: so there is always room for one more, if somebody makes it. */
static void *use_at_random(void *arg)
{
    uint32_t random = 7 * (uint32_t) (uintptr_t) arg + 1;
    const long rounds = test_rounds(ROUNDS);
    for (int i = 0; i < rounds; i++) {
        random = random * 1664525 + 1013904223;
        mca_rcache_base_module_t *from = (random >> 8) % 5 == 4 ? cache : others[(random >> 8) % 5];
        mca_rcache_base_registration_t *reg;
        int rc = get_from(from, (random >> 16) % 32, 1, &reg);
        if (rc == OPAL_SUCCESS) {
            ck_assert_int_eq(from->rcache_deregister(from, reg), OPAL_SUCCESS);
        } else {
            ck_assert_int_eq(rc, OPAL_ERR_OUT_OF_RESOURCE);
            atomic_fetch_add(&refused, 1);
        }
        if (i % 16 == 0) {
            release((random >> 16) % 32, 1);
        }
    }
    return NULL;
}

static void use_from_threads(void)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, use_at_random, (void *) i), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void expect_exact_bound(void)
{
    fake.during = note_peak;
    use_from_threads();
    ck_assert_int_le(atomic_load(&most_pinned), THREADS);
    ck_assert_int_eq(atomic_load(&refused), 0);
    end();
}

START_TEST(bound_on_bytes_is_exact_over_threads_and_caches)
{
    begin("0", THREADS);
    expect_exact_bound();
}
END_TEST

START_TEST(bound_on_count_is_exact_over_threads_and_caches)
{
    begin("4", 0);
    ck_assert_int_eq(THREADS, 4);
    expect_exact_bound();
}
END_TEST

START_TEST(without_a_bound_more_is_pinned)
{
    begin("0", 0);
    fake.during = note_peak;
    use_from_threads();
    ck_assert_int_gt(atomic_load(&most_pinned), THREADS);
    end();
}
END_TEST

/* Whoever meets the provider's limit waits for what others are giving back. */
START_TEST(bound_of_the_provider_can_be_used_up_over_threads_and_caches)
{
    begin("0", 0);
    fake.capacity = 2 * THREADS; /* The test's provider counts what it registers only after it has looked. */
    use_from_threads();
    ck_assert_int_eq(atomic_load(&refused), 0);
    end();
}
END_TEST

/* ---- The provider's limit, and a registration on its way out ------------------------------------------ */

static _Atomic bool is_ending, may_end;
static bool is_seen_ended;

static void end_slowly(fake_provider_t *provider)
{
    /* The count is lowered before this is called: raise it, as long as it lasts. */
    atomic_fetch_sub(&provider->deregistered, 1);
    atomic_store(&is_ending, true);
    for (int i = 0; i < 2000 && !atomic_load(&may_end); i++) {
        usleep(100);
    }
    atomic_fetch_add(&provider->deregistered, 1);
}

static void *evict_one(void *arg)
{
    (void) arg;
    ck_assert(cache->rcache_evict(cache));
    return NULL;
}

static void *let_it_end(void *arg)
{
    (void) arg;
    usleep(50000);
    is_seen_ended = true;
    atomic_store(&may_end, true);
    return NULL;
}

static int register_while_another_ends(mca_rcache_base_module_t *from)
{
    pthread_t evictor, timer;
    fake.capacity = 1;
    use(0, 1);
    fake.at_end = end_slowly;
    pthread_create(&evictor, NULL, evict_one, NULL);
    while (!atomic_load(&is_ending)) {
        usleep(100);
    }
    pthread_create(&timer, NULL, let_it_end, NULL);
    mca_rcache_base_registration_t *reg;
    int rc = get_from(from, 5, 1, &reg);
    pthread_join(evictor, NULL);
    pthread_join(timer, NULL);
    fake.at_end = NULL;
    if (rc == OPAL_SUCCESS) {
        ck_assert(is_seen_ended);
        ck_assert_int_eq(from->rcache_deregister(from, reg), OPAL_SUCCESS);
    }
    return rc;
}

START_TEST(registration_waits_for_one_on_its_way_out)
{
    begin("0", 0);
    ck_assert_int_eq(register_while_another_ends(cache), OPAL_SUCCESS);
    end();
}
END_TEST

START_TEST(registration_waits_for_one_on_its_way_out_of_another_cache)
{
    begin("0", 0);
    ck_assert_int_eq(register_while_another_ends(others[2]), OPAL_SUCCESS);
    end();
}
END_TEST

static int register_other(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    (void) reg_data, (void) base, (void) size, (void) reg;
    return OPAL_ERR_OUT_OF_RESOURCE;
}

START_TEST(cache_of_another_provider_neither_waits_nor_makes_others_evict)
{
    begin("0", 0);
    resources.register_mem = register_other;
    mca_rcache_base_module_t *stranger = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_int_eq(register_while_another_ends(stranger), OPAL_ERR_OUT_OF_RESOURCE);
    use(0, 1);
    mca_rcache_base_registration_t *reg;
    ck_assert_int_eq(get_from(stranger, 5, 1, &reg), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(pinned(), 1);
    ck_assert_int_eq(mca_rcache_base_module_destroy(stranger), OPAL_SUCCESS);
    end();
}
END_TEST

START_TEST(registration_in_use_is_not_waited_for)
{
    mca_rcache_base_registration_t *reg, *none;
    begin("0", 0);
    fake.capacity = 1;
    reg = get(0, 1, 0, 0);
    ck_assert_int_eq(get_from(others[0], 5, 1, &none), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_le(atomic_load(&fake.calls), 4);
    put(reg);
    end();
}
END_TEST

/* ---- The system's limits ------------------------------------------------------------------------------ */

/* As a user without privilege, with a limit of 3 pages. @return of the process. */
static int use_with_memlock(uint32_t flags, long pages, const char *heeds)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = { 3 * PAGE, 3 * PAGE };
        mca_rcache_base_registration_t *reg;
        setenv("OPALMEM_MCA_rcache_base_system_limits", heeds, 1);
        if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || (getuid() == 0 && setresuid(65534, 65534, 65534) != 0)) {
            _exit(77);
        }
        prctl(PR_SET_DUMPABLE, 1); /* /proc/self is closed to who has changed users, and components read there. */
        begin("0", 0);
        resources.flags = flags;
        make_again();
        others[0] = mca_rcache_base_module_create(NULL, NULL, &resources);
        use_from(others[0], 0, 2);
        const int rc = get_from(cache, 4, pages, &reg);
        _exit(rc != OPAL_SUCCESS ? 100 : (int) pinned());
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(lockable_memory_is_a_bound_for_providers_that_count_against_it)
{
    ck_assert_int_eq(use_with_memlock(MCA_RCACHE_RESOURCES_MEMLOCK_USER, 2, "1"), 2);
    ck_assert_int_eq(use_with_memlock(MCA_RCACHE_RESOURCES_MEMLOCK_PROCESS, 1, "1"), 3);
    ck_assert_int_eq(use_with_memlock(MCA_RCACHE_RESOURCES_MEMLOCK_PROCESS, 4, "1"), 100);
}
END_TEST

START_TEST(it_is_none_for_others_or_when_the_system_is_not_heeded)
{
    ck_assert_int_eq(use_with_memlock(0, 4, "1"), 6);
    ck_assert_int_eq(use_with_memlock(MCA_RCACHE_RESOURCES_MEMLOCK_USER, 4, "0"), 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rcache_limits");
    TCase *tests = tcase_create("limits");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, all_of_the_bound_can_be_had);
    tcase_add_test(tests, idle_registration_of_another_cache_gives_way);
    tcase_add_test(tests, without_a_bound_it_stays);
    tcase_add_test(tests, own_idle_registrations_go_first);
    tcase_add_test(tests, more_than_the_bound_is_refused_at_once);
    tcase_add_test(tests, failed_registration_gives_its_room_back);
    tcase_add_test(tests, fork_child_has_the_whole_bound);
    tcase_add_test(tests, bound_on_bytes_is_exact_over_threads_and_caches);
    tcase_add_test(tests, bound_on_count_is_exact_over_threads_and_caches);
    tcase_add_test(tests, without_a_bound_more_is_pinned);
    tcase_add_test(tests, bound_of_the_provider_can_be_used_up_over_threads_and_caches);
    tcase_add_test(tests, registration_waits_for_one_on_its_way_out);
    tcase_add_test(tests, registration_waits_for_one_on_its_way_out_of_another_cache);
    tcase_add_test(tests, cache_of_another_provider_neither_waits_nor_makes_others_evict);
    tcase_add_test(tests, registration_in_use_is_not_waited_for);
    tcase_add_test(tests, lockable_memory_is_a_bound_for_providers_that_count_against_it);
    tcase_add_test(tests, it_is_none_for_others_or_when_the_system_is_not_heeded);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
