/* SPDX-License-Identifier: BSD-3-Clause */
/* The component "kdreg" in fork children: what the parent watched is known to be
 * bad when fork() returns, and a device of the child's own is never taken for
 * the parent's. On the fake, or unchanged on the device. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "test/kdreg/kdreg_script.h"

static bool good;

/* In a child: the reason is on stderr, its end is not here. */
static void expect(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "child: not so: %s\n", what);
        good = false;
    }
}
#define EXPECT(what) expect((what), #what)

static void in_child(bool is_raw, void (*body)(void))
{
    const pid_t pid = kdreg_test_fork(is_raw);

    if (pid == 0) {
        child_must_end_within(60);
        good = true;
        body();
        child_says(good);
    }
    child_must_be_good(pid);
}

static uint64_t counter(void)
{
    return __atomic_load_n(opal_memory_base_state.counter, __ATOMIC_ACQUIRE);
}

static bool can_fork_raw(void)
{
    return raw_forks_are_noticed() && !under_valgrind();
}

/* ---- What the parent watched --------------------------------------------------------------------- */

static void look_at_once(void)
{
    EXPECT(opal_memory_changed());
    EXPECT(!opal_memory_watch_holds(&watch));
    kdreg_test_forget();
    EXPECT(opal_memory_base_sync() == OPAL_SUCCESS);
    EXPECT(kdreg_test_told_everything() == 1);
    EXPECT(!opal_memory_changed());
    EXPECT(!opal_memory_watch_holds(&watch));
}

START_TEST(what_the_parent_watched_is_bad_when_fork_returns)
{
    in_child(false, look_at_once);
    kdreg_test_deliver();
    must_go_on();
}
END_TEST

/* The twin: where nothing runs in the child when fork returns, it sees the parent's words and counter. */
static void look_at_the_parents(void)
{
    EXPECT(!opal_memory_changed());
    EXPECT(opal_memory_watch_holds(&watch));
    EXPECT(unwatch() == OPAL_ERR_NOT_FOUND); /* The first call of the component. */
    look_at_once();
}

START_TEST(twin_a_child_that_has_not_called_yet_takes_it_for_good)
{
    kdreg_test_dont_fork(pages, PAGE);
    if (can_fork_raw()) {
        in_child(true, look_at_the_parents);
        must_go_on();
    }
}
END_TEST

/* ---- Devices of their own ------------------------------------------------------------------------ */

static void watch_and_lose(void)
{
    opal_memory_watch_t own;
    EXPECT(kdreg_test_watch(pages + PAGE, PAGE, &own) == OPAL_SUCCESS);
    EXPECT(opal_memory_base_sync() == OPAL_SUCCESS);
    EXPECT(kdreg_test_is_good(&own));
    kdreg_test_forget();
    kdreg_test_discard(pages + PAGE, PAGE);
    EXPECT(!kdreg_test_is_good(&own));
    kdreg_test_deliver();
    EXPECT(kdreg_test_told(pages + PAGE, PAGE) == 1);
    EXPECT(opal_memory_base_unwatch(NULL, 0, &own) == OPAL_SUCCESS);
    memset(pages + PAGE, 1, PAGE);
}

#define ENOUGH 8

/* However many releases there are before the child first looks: its counter is not taken for what was seen of the parent's. */
static void lose_without_looking(void)
{
    opal_memory_watch_t own;
    const uint64_t seen = opal_memory_base_state.seen;
    bool has_met = false;
    for (int i = 0; i < ENOUGH; i++) {
        EXPECT(kdreg_test_watch(pages + PAGE, PAGE, &own) == OPAL_SUCCESS);
        EXPECT(opal_memory_changed());
        kdreg_test_discard(pages + PAGE, PAGE);
        EXPECT(opal_memory_changed());
        has_met |= counter() == seen;
        memset(pages + PAGE, 1, PAGE);
    }
    EXPECT(has_met || kdreg_test_on_device()); /* Else nothing was tried. */
    kdreg_test_deliver();
    EXPECT(!opal_memory_changed());
    watch_and_lose();
}

static void see_some(void)
{
    for (int i = 0; i < ENOUGH / 2; i++) {
        watch_and_lose();
    }
}

START_TEST(the_childs_counter_is_never_taken_for_the_parents)
{
    see_some();
    if (_i == 0 || can_fork_raw()) {
        in_child(_i != 0, lose_without_looking);
        kdreg_test_deliver();
        must_go_on();
    }
}
END_TEST

static void open_nothing(void)
{
    int fds[8];
    look_at_once();
    EXPECT(opal_memory_base_sync() == OPAL_SUCCESS);
    EXPECT(kdreg_test_descriptors(fds, 8) == 0);
}

START_TEST(a_child_that_watches_nothing_opens_nothing)
{
    in_child(false, open_nothing);
}
END_TEST

static void fork_again(void)
{
    in_child(false, lose_without_looking); /* Of a child that has only begun. */
    watch_and_lose();
    in_child(false, lose_without_looking);
    kdreg_test_deliver();
    watch_and_lose();
}

START_TEST(a_child_of_a_child_has_a_device_of_its_own)
{
    see_some();
    in_child(false, fork_again);
    kdreg_test_deliver();
    must_go_on();
}
END_TEST

/* ---- In the middle of something ------------------------------------------------------------------ */

static pid_t forked;
static opal_memory_watch_t of_callback;

/* Both go on in process(): the child with a device that it has got meanwhile, the parent's sample in hand. */
static void fork_in_callback(void *start, size_t length, void *arg, bool from_alloc)
{
    (void) start, (void) length, (void) arg, (void) from_alloc;
    if (forked == -1) {
        forked = kdreg_test_fork(false);
        if (forked == 0) {
            child_must_end_within(60);
            good = true;
            EXPECT(kdreg_test_watch(pages + 2 * PAGE, PAGE, &of_callback) == OPAL_SUCCESS);
        }
    }
}

static void lose_at_counter(uint64_t seen)
{
    opal_memory_watch_t own;
    while (counter() < seen) {
        EXPECT(kdreg_test_watch(pages + PAGE, PAGE, &own) == OPAL_SUCCESS);
        kdreg_test_discard(pages + PAGE, PAGE);
        memset(pages + PAGE, 1, PAGE);
        EXPECT(opal_memory_changed());
    }
    child_says(good);
}

START_TEST(a_child_that_is_forked_while_events_are_told_goes_on)
{
    see_some();
    forked = -1;
    const uint64_t seen = counter() + 1;
    ck_assert_int_eq(opal_mem_hooks_register_release(fork_in_callback, NULL), OPAL_SUCCESS);
    kdreg_test_discard(pages, PAGE);
    const int rc = opal_memory_base_sync();
    if (forked == 0) {
        EXPECT(rc == OPAL_SUCCESS);
        lose_at_counter(seen);
    }
    child_must_be_good(forked);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(fork_in_callback), OPAL_SUCCESS);
    kdreg_test_deliver();
    must_go_on();
}
END_TEST

/* ---- In the middle of a call of the device ---------------------------------------------------------- */

static void fork_in_handler(int number)
{
    (void) number;
    forked = kdreg_test_fork(false);
    if (forked == 0) {
        child_must_end_within(60);
        good = true;
    }
}

static void signal_once(void)
{
    if (forked == -1) {
        forked = -2;
        raise(SIGUSR1);
    }
}

/* The child goes on where its parent was interrupted, and then gets a device. */
START_TEST(a_child_of_a_handler_in_the_middle_of_a_call_goes_on)
{
    opal_memory_watch_t own, next;

    if (!kdreg_test_can_script("a signal in the middle of a call")) {
        return;
    }
    forked = -1;
    signal(SIGUSR1, fork_in_handler);
    fake_script.call[_i].before = signal_once;
    const int rc = kdreg_test_watch(pages + PAGE, PAGE, &own);
    const int unwatched = opal_memory_base_unwatch(pages + PAGE, PAGE, &own);
    fake_script.call[_i].before = NULL;
    signal(SIGUSR1, SIG_DFL);
    if (forked == 0) {
        EXPECT(kdreg_test_watch(pages + 2 * PAGE, PAGE, &next) == OPAL_SUCCESS);
        EXPECT(opal_memory_base_sync() == OPAL_SUCCESS);
        EXPECT(kdreg_test_is_good(&next));
        child_says(good);
    }
    child_must_be_good(forked);
    ck_assert_int_eq(rc, OPAL_SUCCESS);
    ck_assert_int_eq(unwatched, OPAL_SUCCESS);
    must_go_on();
}
END_TEST

/* ---- Threads ------------------------------------------------------------------------------------- */

#define THREADS 4
static atomic_int wrong;

/* Another thread may be on the way to the device: then a registration is not kept, but the next ones are. */
static void *watch_one(void *arg)
{
    opal_memory_watch_t own;
    int rc;
    do {
        rc = kdreg_test_watch(arg, PAGE, &own);
    } while (rc == OPAL_ERR_OUT_OF_RESOURCE);
    atomic_fetch_add(&wrong, rc != OPAL_SUCCESS);
    kdreg_test_discard(arg, PAGE);
    atomic_fetch_add(&wrong, kdreg_test_is_good(&own));
    atomic_fetch_add(&wrong, opal_memory_base_unwatch(NULL, 0, &own) != OPAL_SUCCESS);
    return NULL;
}

static void begin_with_threads(void)
{
    pthread_t thread[THREADS];
    int fds[8];
    for (size_t i = 0; i < THREADS; i++) {
        EXPECT(pthread_create(&thread[i], NULL, watch_one, pages + i * PAGE) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    EXPECT(atomic_load(&wrong) == 0);
    EXPECT(kdreg_test_descriptors(fds, 8) == 3);
}

START_TEST(threads_of_a_child_that_begin_together_share_one_device)
{
    for (long i = 0; i < test_rounds(20) + 2; i++) {
        if (i % 2 == 0 || can_fork_raw()) {
            in_child(i % 2 != 0, begin_with_threads);
        }
    }
}
END_TEST

int main(void)
{
    const int missing = kdreg_test_prepare();
    if (missing != 0) {
        return missing;
    }
    Suite *suite = suite_create("kdreg_fork");
    TCase *tcase = tcase_create("fork");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, what_the_parent_watched_is_bad_when_fork_returns);
    tcase_add_test(tcase, twin_a_child_that_has_not_called_yet_takes_it_for_good);
    tcase_add_loop_test(tcase, the_childs_counter_is_never_taken_for_the_parents, 0, 2);
    tcase_add_test(tcase, a_child_that_watches_nothing_opens_nothing);
    tcase_add_test(tcase, a_child_of_a_child_has_a_device_of_its_own);
    tcase_add_test(tcase, a_child_that_is_forked_while_events_are_told_goes_on);
    tcase_add_loop_test(tcase, a_child_of_a_handler_in_the_middle_of_a_call_goes_on, FAKE_MONITOR,
                        FAKE_UNMONITOR + 1);
    tcase_add_test(tcase, threads_of_a_child_that_begin_together_share_one_device);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
