/* SPDX-License-Identifier: BSD-3-Clause */
/* Fork children, by fork() and around libc: they never use the parent's
 * descriptor, and get a device of their own. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/children.h"
#include "test/sanitized.h"
#include "test/ummunotify/ummunotify_fixture.h"

#define PAGES 16
static unsigned char *pages;
static opal_memory_watch_t of_parent;

static pid_t (*const forks[])(void) = { fork, raw_fork };
#define FORKS (raw_forks_are_noticed() && !TEST_IS_THREAD_SANITIZED ? 2 : 1)

static void set_up(void)
{
    fixture_start();
    pages = get_pages(PAGES);
    of_parent = watch_pages(pages, PAGES);
}

static void tear_down(void)
{
    unwatch_pages(pages, PAGES, &of_parent);
    fixture_stop();
}

/* The child has 30 s. */
static void in_child(pid_t (*fork_it)(void), void (*body)(void))
{
    const pid_t pid = fork_it();
    if (pid == 0) {
        child_must_end_within(30);
        body();
        child_says(true);
    }
    child_must_be_good(pid);
    if (!on_device()) {
        ck_assert_uint_eq(fake_strangers(), 0);
    }
}

static void child_must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "child: not so: %s\n", what);
        child_says(false);
    }
}
#define CHILD_MUST(what) child_must((what), #what)

static uint64_t counter(void)
{
    return __atomic_load_n(opal_memory_base_state.counter, __ATOMIC_ACQUIRE);
}

/* ---- A child of its own ------------------------------------------------------------------------------ */

/* Pages that were inherited, and pages of its own, are watched and told of alike. */
static void register_and_release(void)
{
    unsigned char *own = get_pages(4);
    opal_memory_watch_t watch = watch_pages(pages, PAGES), second = watch_pages(own, 4);
    sync_now();
    forget_told();
    lose(UMMUNOTIFY_DISCARD, pages + PAGE, 1);
    lose(UMMUNOTIFY_UNMAP, own, 2);
    CHILD_MUST(opal_memory_changed());
    sync_now();
    CHILD_MUST(!opal_memory_changed());
    CHILD_MUST(told_exactly(pages + PAGE, PAGE));
    CHILD_MUST(told_exactly(own, 2 * PAGE));
    unwatch_pages(pages, PAGES, &watch);
    unwatch_pages(own, 4, &second);
}

static void parent_still_hears(void)
{
    sync_now();
    forget_told();
    lose(UMMUNOTIFY_DISCARD, pages + 5 * PAGE, 1);
    ck_assert(opal_memory_changed());
    sync_now();
    ck_assert(told_exactly(pages + 5 * PAGE, PAGE));
}

START_TEST(child_is_told_by_a_device_of_its_own)
{
    in_child(forks[_i], register_and_release);
    parent_still_hears();
}
END_TEST

static void look(void)
{
    CHILD_MUST(opal_memory_base_sync() == OPAL_SUCCESS);
    register_and_release();
}

START_TEST(child_takes_no_event_of_the_parent)
{
    sync_now();
    forget_told();
    lose(UMMUNOTIFY_DISCARD, pages + 2 * PAGE, 1);
    in_child(forks[_i], look);
    sync_now();
    ck_assert_uint_ge(told(pages + 2 * PAGE, PAGE), 1);
    parent_still_hears();
}
END_TEST

/* A cache that does not know of forks has regions that nobody watches any more. */
static void look_at_what_was_watched(void)
{
    forget_told();
    CHILD_MUST(opal_memory_changed());
    CHILD_MUST(opal_memory_base_sync() == OPAL_SUCCESS);
    CHILD_MUST(told_everything());
    CHILD_MUST(on_device() || fake_devices() == 0);
}

START_TEST(child_is_told_that_nothing_is_watched_any_more)
{
    sync_now();
    in_child(fork, look_at_what_was_watched);
    parent_still_hears();
}
END_TEST

static void use_the_parents_cookie(void)
{
    opal_memory_watch_t again = of_parent;
    CHILD_MUST(opal_memory_base_unwatch(pages, PAGES * PAGE, &of_parent) == OPAL_ERR_NOT_FOUND);
    CHILD_MUST(opal_memory_base_watch(pages, PAGE, &again) == OPAL_SUCCESS);
    unwatch_pages(pages, 1, &again);
}

START_TEST(cookie_of_the_parent_is_unknown_to_the_child)
{
    in_child(forks[_i], use_the_parents_cookie);
    parent_still_hears();
}
END_TEST

/* ---- Counters start anew ------------------------------------------------------------------------------ */

#define ENOUGH 64

/* However many releases there are before the child first looks: none of them must make the new counter look as what was
 * last seen of the old one. */
static void release_without_looking(void)
{
    const uint64_t seen = opal_memory_base_state.seen;
    bool has_met = false;
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    for (int i = 0; i < ENOUGH; i++) {
        lose(UMMUNOTIFY_DISCARD, pages, 1);
        CHILD_MUST(opal_memory_changed());
        has_met |= counter() == seen;
    }
    CHILD_MUST(has_met || seen >= ENOUGH); /* Else nothing was tried. */
    sync_now();
    CHILD_MUST(!opal_memory_changed());
    CHILD_MUST(told(pages, PAGE) > 0);
    unwatch_pages(pages, PAGES, &watch);
}

START_TEST(new_counter_is_never_taken_for_the_old_one)
{
    sync_now();
    ck_assert_uint_gt(opal_memory_base_state.seen, 0);
    ck_assert_uint_lt(opal_memory_base_state.seen, ENOUGH);
    in_child(forks[_i], release_without_looking);
}
END_TEST

static void release_and_fork(void)
{
    static int depth;
    register_and_release();
    of_parent = watch_pages(pages, PAGES);
    if (depth++ < 3) {
        in_child(fork, release_and_fork);
        parent_still_hears();
    }
    unwatch_pages(pages, PAGES, &of_parent);
}

START_TEST(child_of_a_child_has_its_own_device_too)
{
    in_child(forks[_i], release_and_fork);
    parent_still_hears();
}
END_TEST

/* Forked before it had processed what it asked for. */
static void fork_at_once(void)
{
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
    CHILD_MUST(opal_memory_base_sync() == OPAL_SUCCESS); /* AWAY, and nothing asked for. */
    in_child(fork, register_and_release);
    CHILD_MUST(opal_memory_base_watch(pages, PAGE, &watch) == OPAL_SUCCESS);
    in_child(fork, release_without_looking);
    unwatch_pages(pages, 1, &watch);
}

START_TEST(child_of_a_child_that_has_only_begun_has_its_own_device_too)
{
    sync_now();
    in_child(forks[_i], fork_at_once);
    parent_still_hears();
}
END_TEST

/* ---- In the middle of something ----------------------------------------------------------------------- */

static pid_t forked;

/* Both go on in process(): the child with the events that its parent has read, and then without a device. */
static void fork_in_callback(void *start, size_t length, void *arg, bool from_alloc)
{
    (void) start, (void) length, (void) arg, (void) from_alloc;
    if (forked == -1) {
        forked = fork();
    }
}

START_TEST(child_that_is_forked_while_events_are_told_goes_on)
{
    forked = -1;
    ck_assert_int_eq(opal_mem_hooks_register_release(fork_in_callback, NULL), OPAL_SUCCESS);
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    const int rc = opal_memory_base_sync();
    if (forked == 0) {
        child_must_end_within(30);
        CHILD_MUST(rc == OPAL_SUCCESS);
        release_without_looking();
        register_and_release();
        child_says(true);
    }
    ck_assert_int_eq(rc, OPAL_SUCCESS);
    child_must_be_good(forked);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(fork_in_callback), OPAL_SUCCESS);
    parent_still_hears();
}
END_TEST

static atomic_bool enough;

static void *register_all_the_time(void *arg)
{
    (void) arg;
    unsigned char *own = get_pages(1);
    while (!atomic_load(&enough)) {
        opal_memory_watch_t watch = watch_pages(own, 1);
        unwatch_pages(own, 1, &watch);
    }
    unmap_pages(own, 1);
    return NULL;
}

/* By fork() alone: raw_fork() would also find the fake's lock taken. */
START_TEST(child_waits_for_no_lock_of_the_parents_threads)
{
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&thread[i], NULL, register_all_the_time, NULL), 0);
    }
    for (int i = 0; i < 30; i++) {
        in_child(fork, register_and_release);
    }
    atomic_store(&enough, true);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    }
    parent_still_hears();
}
END_TEST

#define THREADS 4
static atomic_uint wrong;

/* Another thread may be on the way to the new device: then a registration is not kept, but the next ones are. */
static void *register_one(void *arg)
{
    unsigned char *own = arg;
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
    int rc;
    do {
        rc = opal_memory_base_watch(own, PAGE, &watch);
    } while (rc == OPAL_ERR_OUT_OF_RESOURCE);
    atomic_fetch_add(&wrong, rc != OPAL_SUCCESS);
    lose(UMMUNOTIFY_DISCARD, own, 1);
    sync_now();
    atomic_fetch_add(&wrong, told(own, PAGE) == 0);
    atomic_fetch_add(&wrong, opal_memory_base_unwatch(own, PAGE, &watch) != OPAL_SUCCESS);
    return NULL;
}

static void begin_with_threads(void)
{
    pthread_t thread[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        CHILD_MUST(pthread_create(&thread[i], NULL, register_one, pages + i * PAGE) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    CHILD_MUST(atomic_load(&wrong) == 0);
    CHILD_MUST(on_device() || fake_devices() == 1);
}

START_TEST(threads_of_a_child_that_begin_together_share_one_device)
{
    for (int i = 0; i < 20; i++) {
        forget_told();
        in_child(forks[_i], begin_with_threads);
    }
}
END_TEST

/* ---- Without a device -------------------------------------------------------------------------------- */

static void find_no_device(void)
{
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
    const unsigned opened = fake_count(FAKE_OPEN);
    fake_fail(FAKE_OPEN, EACCES, 1000);
    for (int i = 0; i < 5; i++) {
        CHILD_MUST(opal_memory_base_watch(pages, PAGE, &watch) == OPAL_ERR_OUT_OF_RESOURCE);
        CHILD_MUST(opal_memory_base_sync() == OPAL_SUCCESS);
        CHILD_MUST(!opal_memory_changed());
    }
    CHILD_MUST(fake_count(FAKE_OPEN) == opened + 1);
    CHILD_MUST(fixture_messages()[0] == '\0');
}

START_TEST(child_without_a_device_watches_nothing_and_is_quiet)
{
    fixture_messages();
    in_child(forks[_i], find_no_device);
    parent_still_hears();
}
END_TEST

static void do_nothing(void)
{
    CHILD_MUST(fake_count(FAKE_OPEN) == 2 && fake_devices() == 0);
    CHILD_MUST(opal_memory_base_sync() == OPAL_SUCCESS);
    CHILD_MUST(fake_count(FAKE_OPEN) == 2 && fake_devices() == 0);
}

START_TEST(child_that_registers_nothing_opens_nothing)
{
    in_child(forks[_i], do_nothing);
}
END_TEST

static void start_again(void)
{
    opalmem_finalize();
    fixture_start();
    register_and_release();
    CHILD_MUST(opalmem_finalize() == OPAL_SUCCESS);
}

START_TEST(child_can_stop_the_library_and_start_it)
{
    in_child(forks[_i], start_again);
    parent_still_hears();
}
END_TEST

/* It shares the memory: nothing changes hands. */
START_TEST(vfork_child_is_none)
{
    sync_now();
    forget_told();
    const pid_t pid = vfork();
    if (pid == 0) {
        _exit(opal_memory_changed() ? 1 : 0);
    }
    child_must_be_good(pid);
    ck_assert(!opal_memory_changed());
    parent_still_hears();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ummunotify_fork");
    TCase *tests = tcase_create("ummunotify_fork");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, child_is_told_by_a_device_of_its_own, 0, FORKS);
    tcase_add_loop_test(tests, child_takes_no_event_of_the_parent, 0, FORKS);
    tcase_add_test(tests, child_is_told_that_nothing_is_watched_any_more);
    tcase_add_loop_test(tests, cookie_of_the_parent_is_unknown_to_the_child, 0, FORKS);
    tcase_add_loop_test(tests, new_counter_is_never_taken_for_the_old_one, 0, FORKS);
    tcase_add_loop_test(tests, child_of_a_child_has_its_own_device_too, 0, FORKS);
    tcase_add_loop_test(tests, child_of_a_child_that_has_only_begun_has_its_own_device_too, 0, FORKS);
    tcase_add_test(tests, child_that_is_forked_while_events_are_told_goes_on);
    if (TEST_IS_THREAD_SANITIZED) {
        printf("LEFT OUT under ThreadSanitizer: raw forks, children with threads, and vfork, which it makes a "
               "fork\n");
    } else {
        tcase_add_test(tests, vfork_child_is_none);
        tcase_add_test(tests, child_waits_for_no_lock_of_the_parents_threads);
        tcase_add_loop_test(tests, threads_of_a_child_that_begin_together_share_one_device, 0, FORKS);
    }
    ADD_SCRIPTED_LOOP(tests, child_without_a_device_watches_nothing_and_is_quiet, 0, FORKS);
    ADD_SCRIPTED_LOOP(tests, child_that_registers_nothing_opens_nothing, 0, FORKS);
    tcase_add_loop_test(tests, child_can_stop_the_library_and_start_it, 0, FORKS);
    suite_add_tcase(suite, tests);
    return fixture_run(suite);
}
