/* SPDX-License-Identifier: BSD-3-Clause */
/* Many threads on the test driver kdreg2: releases against MONITOR, UNMONITOR,
 * read, FLUSH, open and close. What must hold is looked at from outside; what the kernel
 * says in its log is looked at by test/vm. Rounds are few: the guest is emulated.
 */
#include "test/kernel/device_threads.h"
#include "test/kernel/kdreg2_device.h"

static int shared_fd;
static const volatile struct kdreg2_status *status;
static atomic_ulong cookies, monitored, read_events;

static uint64_t new_cookie(void)
{
    return atomic_fetch_add(&cookies, 1) + 1;
}

/* ---- The threads ---- */

static void *reader(void *unused)
{
    struct kdreg2_event events[8];
    ssize_t got;
    while ((got = read(shared_fd, events, sizeof(events))) > 0 || !atomic_load(&stop)) {
        atomic_fetch_add(&read_events, got > 0 ? (unsigned long) got / sizeof(events[0]) : 0);
    }
    return unused;
}

/* Watches pages that other threads release, and stops to. EBADSLT cannot be: cookies are used once. */
static void *watcher(void *at)
{
    while (!atomic_load(&stop)) {
        uint64_t cookie = new_cookie();
        struct kdreg2_params params = monitor(shared_fd, at, SHARED_PAGES * PAGE, cookie);
        atomic_fetch_add(&monitored, 1);
        if (unmonitor(shared_fd, cookie, params) != 0) {
            return at;
        }
    }
    return NULL;
}

static void *opener(void *at)
{
    while (!atomic_load(&stop)) {
        int fd = kdreg2_fd();
        const volatile struct kdreg2_status *mine = configure(fd, 8);
        monitor(fd, at, SHARED_PAGES * PAGE, 1);
        (void) mine->total_events;
        close(fd);
    }
    return NULL;
}

static void *flusher(void *unused)
{
    while (!atomic_load(&stop)) {
        ioctl(shared_fd, KDREG2_FLUSH);
        ioctl(shared_fd, KDREG2_UNMONITOR_ALL);
    }
    return unused;
}

static void set_up(void)
{
    shared_fd = kdreg2_fd();
    status = configure(shared_fd, 1 << 16);
}

/* What came after the reader had looked for the last time. */
static void drain(void)
{
    atomic_store(&stop, true);
    (void) reader(NULL);
}

/* ---- Tests ---- */

START_TEST(a_change_is_seen_when_the_call_returns_whatever_others_do)
{
    char *others = pages_new(SHARED_PAGES);
    pthread_t threads[3];
    start_threads(threads, 1, reader, NULL);
    start_threads(threads + 1, 1, watcher, others);
    start_threads(threads + 2, 1, discarder, others);
    for (int round = 0; round < 500; round++) {
        char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *at = 1;
        struct kdreg2_params params = monitor(shared_fd, at, PAGE, new_cookie());
        ck_assert(holds(status, params));
        ck_assert(lose_munmap(at));
        ck_assert(!holds(status, params));
    }
    join_threads(threads, 3);
    drain();
    ck_assert_uint_eq(status->pending_events, 0);
    ck_assert_uint_eq(status->active_regions, 0);
    ck_assert_uint_eq(status->total_events, atomic_load(&read_events));
    ck_assert_uint_ge(status->total_events, 500);
}
END_TEST

START_TEST(opening_and_closing_under_releases_leaves_nothing)
{
    int before = mappings_of("[kdreg2]");
    char *at = pages_new(SHARED_PAGES);
    pthread_t threads[4];
    start_threads(threads, 2, opener, at);
    start_threads(threads + 2, 2, discarder, at);
    usleep(700000);
    join_threads(threads, 4);
    ck_assert_int_eq(mappings_of("[kdreg2]"), before);
}
END_TEST

START_TEST(everything_at_once_ends_with_nothing_active)
{
    char *at = pages_new(SHARED_PAGES);
    pthread_t threads[6];
    start_threads(threads, 1, reader, NULL);
    start_threads(threads + 1, 2, watcher, at);
    start_threads(threads + 3, 1, discarder, at);
    start_threads(threads + 4, 1, flusher, NULL);
    start_threads(threads + 5, 1, opener, at);
    usleep(1000000);
    join_threads(threads, 6);
    drain();
    ck_assert_uint_gt(atomic_load(&monitored), 10);
    ck_assert_uint_eq(status->active_regions, 0);
    configure(shared_fd, 1); /* Every place has come back. */
}
END_TEST

START_TEST(many_contexts_are_all_told)
{
    enum { CONTEXTS = 100 };
    const volatile struct kdreg2_status *all[CONTEXTS];
    struct kdreg2_params params[CONTEXTS];
    char *at = pages_new(1);
    for (int i = 0; i < CONTEXTS; i++) {
        int fd = kdreg2_fd();
        all[i] = configure(fd, 4);
        params[i] = monitor(fd, at, PAGE, 1);
    }
    pages_end(at, 1);
    for (int i = 0; i < CONTEXTS; i++) {
        ck_assert(!holds(all[i], params[i]));
        ck_assert_uint_eq(all[i]->pending_events, 1);
    }
} /* They are closed by the end of the process. */
END_TEST

static void *exits_later(void *unused)
{
    usleep(200000);
    _exit(0);
    return unused;
}

static int child_exits_under_load(int unused)
{
    (void) unused;
    set_up();
    char *at = pages_new(SHARED_PAGES);
    pthread_t threads[4];
    start_threads(threads, 1, reader, NULL);
    start_threads(threads + 1, 1, watcher, at);
    start_threads(threads + 2, 1, discarder, at);
    start_threads(threads + 3, 1, exits_later, NULL);
    pause();
    return 1;
}

START_TEST(a_process_may_end_in_the_middle_of_it)
{
    for (int round = 0; round < 3; round++) {
        in_child(child_exits_under_load, -1);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("kdreg2_races");
    TCase *t = tcase_create("races");
    tcase_set_timeout(t, 240);
    tcase_add_checked_fixture(t, set_up, NULL);
    tcase_add_test(t, a_change_is_seen_when_the_call_returns_whatever_others_do);
    tcase_add_test(t, opening_and_closing_under_releases_leaves_nothing);
    tcase_add_test(t, everything_at_once_ends_with_nothing_active);
    tcase_add_test(t, many_contexts_are_all_told);
    tcase_add_test(t, a_process_may_end_in_the_middle_of_it);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    if (access(kdreg2_path(), R_OK | W_OK) != 0) {
        return test_skip("no /dev/kdreg2 here (the test driver is test/kernel/kdreg2)");
    }
    return test_run(suite());
}
