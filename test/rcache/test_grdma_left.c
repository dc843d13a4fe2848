/* SPDX-License-Identifier: BSD-3-Clause */
/* Caches that are destroyed while references are out: their memory serves the next ones, and references come back at any time,
 * to the provider that they are of. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "framework/util/sanitizers.h"
#include "test/rcache/grdma_fixture.h"

#define PROVIDERS 3

static fake_provider_t fakes[PROVIDERS];

/* A reference to a cache that is no more. */
typedef struct late_t {
    mca_rcache_base_module_t *module;
    mca_rcache_base_registration_t *reg;
} late_t;

#define LATE 10000
static late_t late[LATE];

/* Of a cache in turn with another provider; every fourth reference is to what was registered for one use. */
static late_t make_and_destroy(int i, size_t sizeof_reg)
{
    mca_rcache_base_resources_t mine = fake_resources(&fakes[i % PROVIDERS]);
    late_t result = { 0 };

    mine.cache_name = i % 2 == 0 ? "even" : "the odd one";
    mine.in_use_policy = MCA_RCACHE_IN_USE_IGNORE;
    mine.sizeof_reg = sizeof_reg > mine.sizeof_reg ? sizeof_reg : mine.sizeof_reg;
    result.module = mca_rcache_base_module_create(NULL, NULL, &mine);
    ck_assert_ptr_nonnull(result.module);
    ck_assert_int_eq(result.module->rcache_register(result.module, AT(i % 100), PAGE,
                                                    i % 4 == 0 ? MCA_RCACHE_FLAGS_CACHE_BYPASS : 0, 0,
                                                    &result.reg),
                     OPAL_SUCCESS);
    ck_assert_int_eq(mca_rcache_base_module_destroy(result.module), OPAL_ERR_RESOURCE_BUSY);
    return result;
}

static void give_back(late_t what)
{
    ck_assert_int_eq(what.module->rcache_deregister(what.module, what.reg), OPAL_SUCCESS);
}

static void expect_all_back(void)
{
    for (int i = 0; i < PROVIDERS; i++) {
        ck_assert_int_gt(atomic_load(&fakes[i].registered), 0);
        ck_assert_int_eq(atomic_load(&fakes[i].deregistered), atomic_load(&fakes[i].registered));
        ck_assert_int_eq(atomic_load(&fakes[i].bytes), 0);
    }
}

/* ---- Memory --------------------------------------------------------------------------------------- */

static long mapped_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%ld", &pages), 1);
    fclose(file);
    return pages * (long) (PAGE / 1024);
}

/* What stays is a region, 128 bytes here, and 8 of counts in each of two blocks; tables double. */
#define KIB_EACH_100 40

/* As test_rounds(), but what is noted of each fits. */
static long rounds_of(long usual, long least)
{
    const long wanted = test_rounds(usual);

    return wanted < least ? least : wanted > LATE ? LATE : wanted;
}

START_TEST(caches_with_a_reference_out_each_need_little_memory)
{
    /* Each looks at all before it, and that takes long there. */
    const int caches = IS_THREAD_SANITIZED ? 1000 : (int) rounds_of(LATE, 1000);

    late[0] = make_and_destroy(0, 0);
    const long before = mapped_kib();
    for (int i = 1; i < caches; i++) {
        late[i] = make_and_destroy(i, 0);
    }
    const long grown = mapped_kib() - before;
    /* A sanitizer maps memory for its own purposes. */
    ck_assert_msg(grown < caches / 100 * KIB_EACH_100 || IS_SANITIZED, "%ld KiB", grown);
    for (int i = 0; i < caches; i++) {
        give_back(late[i]);
    }
    expect_all_back();
}
END_TEST

/* Registrations that lie as many different distances apart: no cache can use the memory of another one. */
START_TEST(memory_grows_where_the_next_cache_cannot_take_it_over)
{
    int made = 0;

    late[made++] = make_and_destroy(0, 0);
    const long before = mapped_kib();
    for (size_t size = 256; size <= MCA_RCACHE_MAX_SIZEOF_REG; size *= 2, made++) {
        late[made] = make_and_destroy(made, size);
        for (int i = 0; i < made; i++) {
            ck_assert_ptr_ne(late[made].module, late[i].module);
        }
    }
    ck_assert_int_eq(made, 10);
    ck_assert_int_gt(mapped_kib() - before, 2 * KIB_EACH_100);
    for (int i = 0; i < made; i++) {
        give_back(late[i]);
    }
    expect_all_back();
}
END_TEST

START_TEST(size_of_a_registration_need_not_be_the_same_for_the_next_cache)
{
    for (int i = 0; i < PROVIDERS; i++) {
        late[i] = make_and_destroy(i, 136 + (size_t) i * 8);
        ck_assert_ptr_eq(late[i].module, late[0].module);
    }
    for (int i = 0; i < PROVIDERS; i++) {
        give_back(late[i]);
    }
    expect_all_back();
}
END_TEST

/* That the memory was handed on is nothing to rely on, but without it these tests would test nothing. */
static void make_in_place_of(late_t old)
{
    make_cache();
    ck_assert_ptr_eq(cache, old.module);
}

static void destroy_and_make_in_place_of(late_t old)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    make_in_place_of(old);
}

/* ---- One thread ------------------------------------------------------------------------------------ */

START_TEST(next_cache_counts_and_limits_its_own_alone)
{
    resources.max_count = 1;
    const late_t old = make_and_destroy(_i, 0);
    destroy_and_make_in_place_of(old);
    ck_assert_uint_eq(stats().count, 0);
    ck_assert_uint_eq(stats().registrations, 0);
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    ck_assert_uint_eq(stats().count, 1);
    give_back(old);
    ck_assert_uint_eq(stats().count, 1);
    ck_assert_uint_eq(stats().bytes, PAGE);
    ck_assert_uint_eq(stats().deregistrations, 0);
    ck_assert_int_eq(atomic_load(&fakes[_i % PROVIDERS].bytes), 0);
    put(reg);
    ck_assert_uint_eq(stats().misses, 1);
    use(0, 1);
    ck_assert_uint_eq(stats().hits, 1);
}
END_TEST

START_TEST(next_cache_finds_nothing_of_the_last_one)
{
    const late_t old = make_and_destroy(1, 0);
    destroy_and_make_in_place_of(old);
    mca_rcache_base_registration_t *reg = get(1, 1, 0, 0);
    ck_assert_ptr_ne(reg, old.reg);
    ck_assert_int_eq(registrations(), 1);
    release(1, 1);
    put(reg);
    ck_assert_int_eq(pinned(), 0);
    ck_assert_int_eq(atomic_load(&fakes[1].deregistered), 0);
    give_back(old);
    ck_assert_int_eq(atomic_load(&fakes[1].deregistered), 1);
}
END_TEST

START_TEST(next_cache_can_be_destroyed_before_old_references_come_back)
{
    const late_t old = make_and_destroy(_i, 0);
    destroy_and_make_in_place_of(old);
    use(0, 4);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    give_back(old);
    ck_assert_int_eq(atomic_load(&fakes[_i % PROVIDERS].bytes), 0);
    make_in_place_of(old);
}
END_TEST

START_TEST(two_references_to_one_registration_come_back_one_by_one)
{
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    const late_t old = { cache, get(0, 1, 0, 0) };
    ck_assert_ptr_eq(reg, old.reg);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_ERR_RESOURCE_BUSY);
    make_in_place_of(old);
    give_back(old);
    ck_assert_int_eq(pinned(), 1);
    give_back(old);
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(policy_warn_works_in_memory_of_a_cache_that_ignored)
{
    const late_t old = make_and_destroy(1, 0);
    resources.in_use_policy = MCA_RCACHE_IN_USE_WARN;
    destroy_and_make_in_place_of(old);
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    release(0, 1);
    put(reg);
    ck_assert_uint_eq(stats().invalidated_in_use, 1);
    give_back(old);
}
END_TEST

/* ---- Fork ------------------------------------------------------------------------------------------- */

/* In the child no cache is left that would be told of the fork. */
START_TEST(fork_child_leaves_the_parents_registrations_alone)
{
    late_t old[] = { make_and_destroy(0, 0), make_and_destroy(1, 0), { cache, get(0, 1, 0, 0) } };
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_ERR_RESOURCE_BUSY);
    const pid_t pid = fork();
    if (pid == 0) {
        bool good = true;
        for (size_t i = 0; i < 3; i++) {
            good = old[i].module->rcache_deregister(old[i].module, old[i].reg) == OPAL_SUCCESS && good;
        }
        good = atomic_load(&fakes[0].deregistered) + atomic_load(&fakes[1].deregistered) == 0 && good;
        good = atomic_load(&fake.deregistered) == 0 && good;
        make_cache();
        use(0, 1);
        good = atomic_load(&fake.registered) == 2 && good;
        good = mca_rcache_base_module_destroy(cache) == OPAL_SUCCESS && good;
        _exit(good && atomic_load(&fake.deregistered) == 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    for (size_t i = 0; i < 3; i++) {
        give_back(old[i]);
    }
    make_cache();
}
END_TEST

/* ---- Threads ---------------------------------------------------------------------------------------- */

static long rounds;

static _Atomic int made;

/* Behind the other thread, so that references come back while their module changes hands, or is another cache's. */
static void *give_all_back(void *arg)
{
    const int lag = *(const int *) arg;

    for (int i = 0; i < rounds; i++) {
        while (atomic_load(&made) < (i + lag < rounds ? i + lag : rounds)) {
            sched_yield();
        }
        give_back(late[i]);
    }
    return NULL;
}

static const int lags[] = { 1, 2, 20, 500 };

START_TEST(references_come_back_while_caches_come_and_go)
{
    pthread_t thread;
    int lag = lags[_i];

    rounds = rounds_of(3000, 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, give_all_back, &lag), 0);
    for (int i = 0; i < rounds; i++) {
        late[i] = make_and_destroy(i, 0);
        atomic_store(&made, i + 1);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    expect_all_back();
}
END_TEST

static void dawdle(int signal)
{
    (void) signal;
    nanosleep(&(struct timespec){ .tv_nsec = 300000 }, NULL);
}

/* Whoever gives back is held up anywhere, while several caches come and go. */
START_TEST(references_that_come_back_slowly_end_nothing_of_others)
{
    const struct sigaction action = { .sa_handler = dawdle, .sa_flags = SA_RESTART };
    pthread_t thread;
    int lag = lags[_i];

    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    rounds = rounds_of(3000, 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, give_all_back, &lag), 0);
    for (int i = 0; i < rounds; i++) {
        late[i] = make_and_destroy(i, 0);
        atomic_store(&made, i + 1);
        pthread_kill(thread, SIGUSR1);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    expect_all_back();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma_left");
    TCase *tests = tcase_create("caches left behind");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, caches_with_a_reference_out_each_need_little_memory);
    tcase_add_test(tests, memory_grows_where_the_next_cache_cannot_take_it_over);
    tcase_add_test(tests, size_of_a_registration_need_not_be_the_same_for_the_next_cache);
    tcase_add_loop_test(tests, next_cache_counts_and_limits_its_own_alone, 0, 2);
    tcase_add_test(tests, next_cache_finds_nothing_of_the_last_one);
    tcase_add_loop_test(tests, next_cache_can_be_destroyed_before_old_references_come_back, 0, 2);
    tcase_add_test(tests, two_references_to_one_registration_come_back_one_by_one);
    tcase_add_test(tests, policy_warn_works_in_memory_of_a_cache_that_ignored);
    tcase_add_test(tests, fork_child_leaves_the_parents_registrations_alone);
    tcase_add_loop_test(tests, references_come_back_while_caches_come_and_go, 0, sizeof(lags) / sizeof(*lags));
    tcase_add_loop_test(tests, references_that_come_back_slowly_end_nothing_of_others, 0,
                        sizeof(lags) / sizeof(*lags));
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
