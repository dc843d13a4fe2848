/* SPDX-License-Identifier: BSD-3-Clause */
/* A lookup finds that the pages of a registration changed, gives its reference back, and drops the registration under the lock. In
 * between the registration may end, and its id be another one's, which must stay: cookies tell them apart. */
#include <pthread.h>
#include <sched.h>

#include "framework/memory/memory_base.h"
#include "rcache/grdma/grdma.h"
#include "test/rcache/grdma_fixture.h"

/* ---- Between the doubt and the lock ------------------------------------------------------------------- */

static void (*in_doubt)(void);
static int questions;
static pthread_t other;

/* Waits until the lookup sleeps for the lock, lets go of it without waking it, and does its part first. */
static void *come_between(void *call)
{
    grdma_mutex_t *lock = &grdma_of(cache)->lock;

    while (atomic_load(&lock->state) != 2) {
        sched_yield();
    }
    usleep(100000); /* From the word to the kernel. */
    atomic_store(&lock->state, 0);
    (*(void (**)(void)) call)();
    grdma_mutex_wake(lock);
    return NULL;
}

/* Asked without the lock and with it: both times the pages have changed, the first time that there is doubt. */
static bool is_valid(void *base, size_t length, const opal_memory_watch_t *watch)
{
    static void (*call)(void);

    (void) base, (void) length, (void) watch;
    if (in_doubt == NULL) {
        return true;
    }
    if (++questions == 2) {
        call = in_doubt;
        in_doubt = NULL;
        ck_assert(grdma_mutex_try(&grdma_of(cache)->lock));
        ck_assert_int_eq(pthread_create(&other, NULL, come_between, (void *) &call), 0);
    }
    return false;
}

static bool is_released_in_doubt;

/* The second time a lookup has a reference, which the release sees. */
static bool is_valid_until_asked_twice(void *base, size_t length, const opal_memory_watch_t *watch)
{
    (void) watch;
    if (!is_released_in_doubt) {
        return true;
    }
    if (++questions == 2) {
        opal_mem_hooks_release_cause(base, length, true, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
        is_released_in_doubt = false;
    }
    return false;
}

static opal_memory_base_module_t doubting = {
    .struct_size = sizeof(doubting),
    .flags = OPAL_MEMORY_MODULE_SLOW_VALID,
    .valid = is_valid,
};

static const opal_memory_base_module_t *without_doubt;

static void set_up_doubt(void)
{
    set_up();
    ck_assert_uint_eq(opal_memory_base_active_count, 1);
    without_doubt = opal_memory_base_active[0].module;
    opal_memory_base_active[0].module = &doubting;
}

static void tear_down_doubt(void)
{
    opal_memory_base_active[0].module = without_doubt;
    tear_down();
}

/* ---- The other one -------------------------------------------------------------------------------------- */

static uint64_t old_cookie;
static uint32_t old_id;
static bool keeps_cookies_apart;

/* The page's registration ends, and that of another page takes its id. */
static void give_the_id_to_another_one(void)
{
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
    mca_rcache_base_registration_t *reg = get(10, 1, 0, 0);
    ck_assert_uint_eq(reg->cache_id, old_id);
    ck_assert_uint_ne(reg->watch.cookie, old_cookie);
    if (!keeps_cookies_apart) {
        grdma_mutex_lock(&grdma_of(cache)->lock); /* Under which it is read. */
        reg->watch.cookie = old_cookie;
        grdma_mutex_unlock(&grdma_of(cache)->lock);
    }
    put(reg);
}

/* @return Is the other one's registration still there afterwards? */
static bool other_one_stays(void)
{
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);

    old_cookie = reg->watch.cookie;
    old_id = reg->cache_id;
    put(reg);
    in_doubt = give_the_id_to_another_one;
    use(0, 1);
    ck_assert_int_eq(questions, 2);
    ck_assert_int_eq(pthread_join(other, NULL), 0);
    ck_assert_int_eq(registrations(), 3); /* It was called. */
    use(10, 1);
    ck_assert(registrations() == 3 || registrations() == 4);
    return registrations() == 3;
}

START_TEST(registration_that_got_the_id_of_a_changed_one_stays)
{
    keeps_cookies_apart = true;
    ck_assert(other_one_stays());
    ck_assert_uint_eq(stats().invalidations[OPAL_MEM_HOOKS_CAUSE_KERNEL], 0);
}
END_TEST

/* The twin. */
START_TEST(with_the_same_cookie_it_would_be_dropped)
{
    keeps_cookies_apart = false;
    ck_assert(!other_one_stays());
    ck_assert_uint_eq(stats().invalidations[OPAL_MEM_HOOKS_CAUSE_KERNEL], 1);
}
END_TEST

/* Nobody but the lookup gives it back. */
START_TEST(registration_that_is_released_in_doubt_ends)
{
    doubting.valid = is_valid_until_asked_twice;
    use(0, 1);
    is_released_in_doubt = true;
    use(0, 1);
    ck_assert_int_eq(questions, 2);
    ck_assert_int_eq(registrations(), 2);
    ck_assert_uint_eq(stats().invalidated_in_use, 1);
    ck_assert_int_eq(pinned(), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma_drop");
    TCase *tests = tcase_create("cookies");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up_doubt, tear_down_doubt);
    tcase_add_test(tests, registration_that_got_the_id_of_a_changed_one_stays);
    tcase_add_test(tests, with_the_same_cookie_it_would_be_dropped);
    tcase_add_test(tests, registration_that_is_released_in_doubt_ends);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
