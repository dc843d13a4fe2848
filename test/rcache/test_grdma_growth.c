/* SPDX-License-Identifier: BSD-3-Clause */
/* A cache grows: every thread then has counts of all regions, also a thread that comes in the middle of it; and where there is no
 * memory to grow, or there are few addresses, what is idle makes room. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "framework/util/sanitizers.h"
#include "rcache/grdma/grdma.h"
#include "test/rcache/grdma_fixture.h"

/* The library gets memory for regions and counts by mprotect(). */
static bool no_more_memory;
static _Thread_local int
    steps; /* So many times more, then meanwhile() is called, before the memory is there; 0: never. */
static _Thread_local void (*meanwhile)(void);

int __real_mprotect(void *place, size_t length, int protection);
int __wrap_mprotect(void *place, size_t length, int protection);
int __wrap_mprotect(void *place, size_t length, int protection)
{
    if (steps > 0 && --steps == 0) {
        meanwhile();
    }
    return no_more_memory ? -1 : __real_mprotect(place, length, protection);
}

static uint32_t capacity(void)
{
    return grdma_of(cache)->capacity;
}

/* ---- Threads ------------------------------------------------------------------------------------- */

#define MANY 5000

typedef struct worker_t {
    pthread_barrier_t barrier;
    mca_rcache_base_registration_t *regs[MANY];
} worker_t;

static void *put_all_later(void *arg)
{
    worker_t *worker = arg;

    use(0, 1);
    pthread_barrier_wait(&worker->barrier); /* It has a block of a small cache. */
    pthread_barrier_wait(&worker->barrier);
    for (int i = 0; i < MANY; i++) {
        put(worker->regs[i]);
    }
    return NULL;
}

START_TEST(a_thread_that_was_there_before_counts_them_all)
{
    static worker_t worker;
    pthread_t thread;

    pthread_barrier_init(&worker.barrier, NULL, 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, put_all_later, &worker), 0);
    pthread_barrier_wait(&worker.barrier);
    const uint32_t before = capacity();
    for (long i = 0; i < MANY; i++) {
        worker.regs[i] = get(2 * i, 1, 0, 0);
    }
    ck_assert_uint_gt(capacity(), before);
    release(0, 2 * MANY);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), MANY); /* All are in use. */
    pthread_barrier_wait(&worker.barrier);
    pthread_join(thread, NULL);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

/* A thread that comes in the middle of a growth, and the other way round. */

static pthread_t comer;
static pthread_barrier_t is_between;
static mca_rcache_base_registration_t *last_one;

/* So many that the cache has grown once more, and the last one's count is not on a page that was there before (of 4 KiB; with
 * larger pages a missing count would not show). */
static void grow(void)
{
    const uint32_t before = capacity();

    for (long i = 0; last_one == NULL || last_one->cache_id < before * 3 / 2; i++) {
        if (last_one != NULL) {
            put(last_one);
        }
        last_one = get(2 * (long) before + 2 * i, 1, 0, 0);
    }
}

static void expect_all_to_end(void)
{
    release(0, 1 << 20);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}

static void let_it_grow(void)
{
    pthread_barrier_wait(&is_between);
    pthread_barrier_wait(&is_between);
}

/* Its first call maps its block; the second is for its counts. */
static void *come_slowly(void *arg)
{
    steps = 2;
    meanwhile = let_it_grow;
    use(0, 1);
    put(last_one);
    return arg;
}

START_TEST(a_thread_that_comes_before_a_growth_counts_them_all)
{
    last_one = NULL;
    use(0, 1);
    pthread_barrier_init(&is_between, NULL, 2);
    ck_assert_int_eq(pthread_create(&comer, NULL, come_slowly, NULL), 0);
    pthread_barrier_wait(&is_between);
    grow();
    pthread_barrier_wait(&is_between);
    pthread_join(comer, NULL);
    expect_all_to_end();
}
END_TEST

static void *come(void *arg)
{
    use(0, 1);
    pthread_barrier_wait(&is_between);
    pthread_barrier_wait(&is_between);
    put(last_one);
    return arg;
}

static void let_one_come(void)
{
    ck_assert_int_eq(pthread_create(&comer, NULL, come, NULL), 0);
    pthread_barrier_wait(&is_between);
}

START_TEST(a_thread_that_comes_during_a_growth_counts_them_all)
{
    last_one = NULL;
    use(0, 1);
    pthread_barrier_init(&is_between, NULL, 2);
    steps = 1;
    meanwhile = let_one_come;
    grow();
    ck_assert_int_eq(steps, 0);
    pthread_barrier_wait(&is_between);
    pthread_join(comer, NULL);
    expect_all_to_end();
}
END_TEST

/* The newest region, with a reference that whoever takes it from here gives back. */
static _Atomic(mca_rcache_base_registration_t *) newest;
static _Atomic bool is_over;
static _Atomic long taken, came;

static void *come_and_put(void *arg)
{
    mca_rcache_base_registration_t *reg = atomic_exchange(&newest, NULL);

    (void) arg;
    if (reg != NULL) {
        put(reg);
        atomic_fetch_add(&taken, 1);
    }
    return NULL;
}

static void *bring_threads(void *arg)
{
    while (!atomic_load(&is_over)) {
        pthread_t threads[4]; /* At once, so that each takes a block of its own. */

        for (int i = 0; i < 4; i++) {
            ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_put, NULL), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            atomic_fetch_add(&came, 1);
        }
    }
    return arg;
}

START_TEST(threads_that_come_meanwhile_count_them_all)
{
    const long many = test_rounds(IS_THREAD_SANITIZED ? 30000 : 100000);
    pthread_t thread;

    atomic_store(&is_over, false);
    ck_assert_int_eq(pthread_create(&thread, NULL, bring_threads, NULL), 0);
    for (long i = 0; i < many; i++) {
        mca_rcache_base_registration_t *before, *reg = get(2 * i, 1, 0, 0);

        before = atomic_exchange(&newest, reg);
        if (before != NULL) {
            put(before);
        }
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    come_and_put(NULL);
    printf("%ld regions, %ld threads came, %ld references given back by these\n", many, atomic_load(&came),
           atomic_load(&taken));
    ck_assert_int_gt(atomic_load(&taken), 10);
    release(0, 2 * many);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
    ck_assert_uint_eq(stats().invalidated_in_use, 0);
}
END_TEST

/* Two threads let it grow at once: each region has memory when it has an id. */
static void *register_many(void *arg)
{
    const long first = *(long *) arg;

    for (long i = 0; i < MANY; i++) {
        use(first + 2 * i, 1);
    }
    return NULL;
}

START_TEST(threads_let_it_grow_at_once)
{
    long first[3] = { 0, 4 * MANY, 8 * MANY };
    pthread_t threads[3];

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, register_many, &first[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(registrations(), 3L * MANY);
    ck_assert_int_eq(pinned(), 3L * MANY);
    release(0, 12 * MANY);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

/* ---- Room ---------------------------------------------------------------------------------------- */

START_TEST(without_memory_to_grow_what_is_idle_makes_room)
{
    use(0, 1);
    const long many = (long) capacity();
    no_more_memory = true;
    for (long i = 1; i < many + 100; i++) {
        use(2 * i, 1);
    }
    no_more_memory = false;
    ck_assert_uint_eq(capacity(), (uint32_t) many);
    ck_assert_int_eq(registrations(), many + 100);
    ck_assert_uint_ge(stats().evictions, 100);
    ck_assert_int_lt(pinned(), many);
}
END_TEST

START_TEST(without_memory_to_grow_what_is_in_use_stays)
{
    use(0, 1);
    const long many = (long) capacity() - 1; /* There is no id 0. */
    mca_rcache_base_registration_t **regs = calloc((size_t) many, sizeof(regs[0])), *reg = NULL;

    ck_assert_ptr_nonnull(regs);
    for (long i = 0; i < many; i++) {
        regs[i] = get(2 * i, 1, 0, 0);
    }
    no_more_memory = true;
    ck_assert_int_eq(cache->rcache_register(cache, AT(2 * many), PAGE, 0, 0, &reg), OPAL_ERR_OUT_OF_RESOURCE);
    no_more_memory = false;
    use(2 * many, 1); /* There is some again. */
    for (long i = 0; i < many; i++) {
        put(regs[i]);
    }
    ck_assert_int_eq(pinned(), many + 1);
    free(regs);
}
END_TEST

/* A cache with a reference out leaves its memory to the next one, whose policy asks for more. */
START_TEST(what_the_next_cache_got_no_memory_for_it_gets_later)
{
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);

    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_ERR_RESOURCE_BUSY);
    resources.in_use_policy = MCA_RCACHE_IN_USE_WARN;
    no_more_memory = true;
    ck_assert_ptr_null(mca_rcache_base_module_create(NULL, NULL, &resources));
    no_more_memory = false;
    make_cache();
    use(4, 1);
    put(reg);
}
END_TEST

/* As after forks, in which the ids of all parents are lost. */
START_TEST(a_cache_with_few_ids_left_serves_no_other)
{
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    grdma_module_t *left = grdma_of(cache);
    const uint32_t first_own = atomic_load(&left->first_own);

    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_ERR_RESOURCE_BUSY);
    atomic_store(&left->first_own, left->max_capacity / 2);
    make_cache();
    ck_assert_ptr_ne(grdma_of(cache), left);
    atomic_store(&left->first_own, first_own);
    ck_assert_int_eq(left->super.rcache_deregister(&left->super, reg), OPAL_SUCCESS);
}
END_TEST

static size_t address_space(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%zu", &pages), 1);
    fclose(file);
    return pages * PAGE;
}

START_TEST(few_addresses_are_enough)
{
    struct rlimit before, limit;

    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &before), 0);
    limit = before;
    limit.rlim_cur = address_space() + ((size_t) 16 << 20);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    make_cache();
    const uint32_t most = grdma_of(cache)->max_capacity;
    for (long i = 0; i < (long) most + 1000; i++) {
        use(i, 1); /* Side by side: components that the kernel tells have few ranges, too. */
    }
    printf("at most %u regions within %zu MiB; %lu evictions\n", most, (size_t) limit.rlim_cur >> 20,
           (unsigned long) stats().evictions);
    ck_assert_uint_le(most, 1 << 17);
    ck_assert_uint_ge(stats().evictions, 1000);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &before), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma: growth");
    TCase *tcase = tcase_create("threads");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_thread_that_was_there_before_counts_them_all);
    tcase_add_test(tcase, a_thread_that_comes_before_a_growth_counts_them_all);
    tcase_add_test(tcase, a_thread_that_comes_during_a_growth_counts_them_all);
    tcase_add_test(tcase, threads_that_come_meanwhile_count_them_all);
    tcase_add_test(tcase, threads_let_it_grow_at_once);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("room");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, without_memory_to_grow_what_is_idle_makes_room);
    tcase_add_test(tcase, without_memory_to_grow_what_is_in_use_stays);
    tcase_add_test(tcase, what_the_next_cache_got_no_memory_for_it_gets_later);
    tcase_add_test(tcase, a_cache_with_few_ids_left_serves_no_other);
    if (!IS_SANITIZED) { /* Their runtimes need more addresses than there are then. */
        tcase_add_test(tcase, few_addresses_are_enough);
    }
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
