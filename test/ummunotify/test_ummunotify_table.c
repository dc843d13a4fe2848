/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of cookies, against an array; and used by several threads. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "components/ummunotify/ummunotify.h"
#include "opal/constants.h"
#include "test/test_main.h"

#define COOKIES 5000
#define STEPS 200000

static bool is_in[COOKIES + 1];

static uint64_t random_number(void)
{
    static uint64_t state = 88172645463325252U;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static ummunotify_range_t range_of(uint64_t cookie)
{
    return (ummunotify_range_t){ cookie << 12, (cookie + 1) << 12 };
}

/* Caches' cookies have the highest bit, and follow each other. */
static uint64_t cookie_of(uint64_t number)
{
    return number % 2 == 0 ? number : number | UINT64_C(1) << 63;
}

static void check_all(size_t count)
{
    ck_assert_uint_eq(ummunotify_table_count(), count);
    for (uint64_t number = 1; number <= COOKIES; number++) {
        ummunotify_range_t range = { 0, 0 };
        ck_assert_int_eq(ummunotify_table_find(cookie_of(number), &range), is_in[number]);
        ck_assert_uint_eq(range.start, is_in[number] ? range_of(number).start : 0);
    }
}

START_TEST(table_has_what_was_inserted_and_not_removed)
{
    size_t count = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        const uint64_t number = random_number() % COOKIES + 1;
        if (random_number() % 2 == 0) {
            ck_assert_int_eq(ummunotify_table_insert(cookie_of(number), range_of(number)),
                             is_in[number] ? OPAL_EXISTS : OPAL_SUCCESS);
            count += !is_in[number];
            is_in[number] = true;
        } else {
            ck_assert_int_eq(ummunotify_table_remove(cookie_of(number)), is_in[number]);
            count -= is_in[number];
            is_in[number] = false;
        }
        if (step % 20000 == 0) {
            check_all(count);
        }
    }
    check_all(count);
    ummunotify_table_clear();
    ck_assert_uint_eq(ummunotify_table_count(), 0);
}
END_TEST

START_TEST(empty_table_has_nothing)
{
    ummunotify_range_t range = { 1, 2 };
    ck_assert(!ummunotify_table_find(3, &range));
    ck_assert(!ummunotify_table_remove(3));
    ck_assert_uint_eq(range.start, 1);
    ummunotify_table_clear();
    ck_assert_uint_eq(ummunotify_table_count(), 0);
}
END_TEST

#define THREADS 4
#define EACH 4000

static atomic_uint wrong;

static void *use_own_cookies(void *arg)
{
    const uint64_t first = (uint64_t) (uintptr_t) arg * EACH + 1;
    ummunotify_range_t range;
    for (uint64_t i = first; i < first + EACH; i++) {
        atomic_fetch_add(&wrong, ummunotify_table_insert(i, range_of(i)) != OPAL_SUCCESS);
        atomic_fetch_add(&wrong, ummunotify_table_insert(i, range_of(i)) != OPAL_EXISTS);
    }
    for (uint64_t i = first; i < first + EACH; i++) {
        atomic_fetch_add(&wrong, !ummunotify_table_find(i, &range) || range.start != range_of(i).start);
        atomic_fetch_add(&wrong, !ummunotify_table_remove(i));
    }
    return NULL;
}

START_TEST(table_grows_under_threads_and_loses_nothing)
{
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&thread[i], NULL, use_own_cookies, (void *) i), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    }
    ck_assert_uint_eq(atomic_load(&wrong), 0);
    ck_assert_uint_eq(ummunotify_table_count(), 0);
    ummunotify_table_clear();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ummunotify_table");
    TCase *tests = tcase_create("ummunotify_table");
    tcase_add_test(tests, empty_table_has_nothing);
    tcase_add_test(tests, table_has_what_was_inserted_and_not_removed);
    tcase_add_test(tests, table_grows_under_threads_and_loses_nothing);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
