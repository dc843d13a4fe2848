/* SPDX-License-Identifier: BSD-3-Clause */
/* Many regions whose memory has been released while they are in use: what it costs to give them back, and when they end. */
#include <pthread.h>
#include <time.h>

#include "rcache/grdma/grdma.h"
#include "test/rcache/grdma_fixture.h"

#define MANY 5000

static mca_rcache_base_registration_t *regs[MANY];

static void take_and_release(long count)
{
    for (long i = 0; i < count; i++) {
        regs[i] = get(2 * i, 1, 0, 0);
    }
    release(0, 2 * count);
    ck_assert_int_eq(pinned(), count);
}

static unsigned long now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long) now.tv_sec * 1000000 + (unsigned long) now.tv_nsec / 1000;
}

/* Regions that were looked at when this reference was given back, and are still in use. */
static unsigned long looks_of_put(long i)
{
    const grdma_module_t *module = grdma_of(cache);

    put(regs[i]);
    return atomic_load(&module->limbo_returned) == 0 ? atomic_load(&module->limbo_count) : 0;
}

START_TEST(giving_all_back_takes_no_square_of_looks)
{
    unsigned long looks = 0;

    take_and_release(MANY);
    const unsigned long began = now_us();
    ck_assert_uint_eq(atomic_load(&grdma_of(cache)->limbo_count), MANY);
    for (long i = 0; i < MANY; i++) {
        looks += looks_of_put(i);
    }
    const unsigned long us = now_us() - began;
    printf("%lu looks in %lu us\n", looks, us);
    ck_assert_uint_ge(looks, MANY / 2); /* It is looked, and counted. */
    /* Those that are made because it is time for them take a 16th of the time, each 5 ns at least. */
    ck_assert_uint_le(looks, 50 * MANY + us * 1000 / 16 / 5);
    ck_assert_int_eq(pinned(), 0); /* The last ones do not wait. */
}
END_TEST

START_TEST(few_end_as_they_are_given_back)
{
    take_and_release(60);
    for (long i = 0; i < 60; i++) {
        put(regs[i]);
        ck_assert_int_eq(pinned(), 59 - i);
    }
}
END_TEST

static long others;

/* A miss: a hit does nothing for others. */
static void use_another(void)
{
    use(4 * MANY + 2 * others++, 1);
}

/* Such a call, when it is time: later than 16 times what a look takes, which nobody knows. */
static void expect_pinned_after(void (*call)(void), long pages)
{
    call();
    for (int i = 0; i < 10000 && pinned() != pages + others; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        call();
    }
    ck_assert_int_eq(pinned(), pages + others);
}

START_TEST(what_was_left_is_ended_by_a_later_call)
{
    take_and_release(1000);
    for (long i = 0; i < 10; i++) {
        put(regs[i]);
    }
    expect_pinned_after(use_another, 990);
    for (long i = 10; i < 20; i++) {
        put(regs[i]);
    }
    expect_pinned_after(mca_rcache_base_progress, 980);
    for (long i = 20; i < 1000; i++) {
        put(regs[i]);
    }
    ck_assert_int_eq(pinned(), others);
}
END_TEST

static void *put_half(void *first)
{
    for (long i = *(long *) first; i < MANY; i += 2) {
        put(regs[i]);
    }
    return NULL;
}

/* Each thread leaves to the other what that one then has to end. */
START_TEST(two_threads_leave_nothing)
{
    long first[2] = { 0, 1 };
    pthread_t threads[2];

    for (long round = test_rounds(20); round > 0; round--) {
        take_and_release(MANY);
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(pthread_create(&threads[i], NULL, put_half, &first[i]), 0);
        }
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
        }
        mca_rcache_base_progress();
        ck_assert_int_eq(pinned(), 0);
    }
}
END_TEST

static void put_to(mca_rcache_base_module_t *left, long from, long to)
{
    for (long i = from; i < to; i++) {
        const long before = pinned();

        ck_assert_int_eq(left->rcache_deregister(left, regs[i]), OPAL_SUCCESS);
        ck_assert_int_eq(pinned(), before - 1);
    }
}

/* Nobody calls into a cache that is no more; into the next one, which has its memory, somebody may. */
START_TEST(what_a_destroyed_cache_has_left_ends_as_it_is_given_back)
{
    take_and_release(1000);
    mca_rcache_base_module_t *left = cache;
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_ERR_RESOURCE_BUSY);
    put_to(left, 0, 500);
    make_cache();
    ck_assert_ptr_eq(cache, left);
    put_to(left, 500, 1000);
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma: limbo");
    TCase *tcase = tcase_create("limbo");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, giving_all_back_takes_no_square_of_looks);
    tcase_add_test(tcase, few_end_as_they_are_given_back);
    tcase_add_test(tcase, what_was_left_is_ended_by_a_later_call);
    tcase_add_test(tcase, two_threads_leave_nothing);
    tcase_add_test(tcase, what_a_destroyed_cache_has_left_ends_as_it_is_given_back);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
