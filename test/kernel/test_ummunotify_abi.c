/* SPDX-License-Identifier: BSD-3-Clause */
/* The interface of /dev/ummunotify on the test driver: every call, every error,
 * what events look like, and threads that do everything at once. Run by make check-vm
 * in the guest; without the device it is skipped.
 */
#include "test/kernel/device_scenes.h"
#include "test/kernel/device_threads.h"
#include "test/kernel/ummunotify_device.h"

/* ---- Opening and mapping ---- */

START_TEST(it_can_only_be_read)
{
    ck_assert_fails(open(ummunotify_path(), O_RDWR), EINVAL);
    ck_assert_fails(open(ummunotify_path(), O_WRONLY), EINVAL);
    int fd = ummunotify_fd();
    char byte = 0;
    ck_assert_fails(write(fd, &byte, 1), EBADF);
    ck_assert_fails(pread(fd, &byte, 1, 0), ESPIPE);
    ck_assert_fails(ioctl(fd, _IO('U', 9)), ENOTTY);
}
END_TEST

static void expect_no_map(int fd, size_t length, int protection, int flags, off_t offset, int code)
{
    ck_assert_ptr_eq(mmap(NULL, length, protection, flags, fd, offset), MAP_FAILED);
    ck_assert_int_eq(errno, code);
}

START_TEST(one_page_is_mapped_and_read_only)
{
    int fd = ummunotify_fd();
    expect_no_map(fd, 2 * PAGE, PROT_READ, MAP_SHARED, 0, EINVAL);
    expect_no_map(fd, PAGE, PROT_READ, MAP_SHARED, PAGE, EINVAL);
    expect_no_map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, 0, EACCES);
    expect_no_map(fd, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0, EINVAL);
    const volatile uint64_t *counter = counter_of(fd);
    ck_assert_uint_eq(*counter, 0);
    ck_assert_fails(mprotect((void *) (uintptr_t) counter, PAGE, PROT_READ | PROT_WRITE), EACCES);
    ck_assert_ptr_eq(mremap((void *) (uintptr_t) counter, PAGE, 2 * PAGE, MREMAP_MAYMOVE), MAP_FAILED);
    ck_assert_int_eq(errno, EFAULT);
}
END_TEST

START_TEST(no_feature_is_offered)
{
    int fd = ummunotify_fd();
    uint32_t features = ~0u;
    ck_assert_int_eq(ioctl(fd, UMMUNOTIFY_EXCHANGE_FEATURES, &features), 0);
    ck_assert_uint_eq(features, 0);
    ck_assert_fails(ioctl(fd, UMMUNOTIFY_EXCHANGE_FEATURES, nowhere()), EFAULT);
}
END_TEST

/* ---- Regions ---- */

START_TEST(register_refuses_what_is_no_region)
{
    int fd = ummunotify_fd();
    struct ummunotify_register_ioctl arg = { .start = PAGE, .end = PAGE, .user_cookie = 1 };
    ck_assert_fails(ioctl(fd, UMMUNOTIFY_REGISTER, &arg), EINVAL);
    arg.start = 2 * PAGE;
    ck_assert_fails(ioctl(fd, UMMUNOTIFY_REGISTER, &arg), EINVAL);
    arg.end = 3 * PAGE, arg.flags = 1;
    ck_assert_fails(ioctl(fd, UMMUNOTIFY_REGISTER, &arg), EINVAL);
    arg.flags = 0, arg.reserved = 1;
    ck_assert_fails(ioctl(fd, UMMUNOTIFY_REGISTER, &arg), EINVAL);
    ck_assert_fails(ioctl(fd, UMMUNOTIFY_REGISTER, nowhere()), EFAULT);
    ck_assert_fails(ioctl(fd, UMMUNOTIFY_UNREGISTER, nowhere()), EFAULT);
}
END_TEST

START_TEST(a_cookie_is_of_one_region_at_a_time)
{
    int fd = ummunotify_fd();
    char *at = pages_new(1);
    ck_assert_int_eq(watch(fd, at, PAGE, 1), 0);
    ck_assert_fails(watch(fd, at, PAGE, 1), EINVAL);
    ck_assert_fails(unwatch(fd, 2), EINVAL);
    ck_assert_int_eq(unwatch(fd, 1), 0);
    ck_assert_fails(unwatch(fd, 1), EINVAL);
    ck_assert_int_eq(watch(fd, at, PAGE, 1), 0);
    ck_assert_int_eq(watch(fd, at, PAGE, 2), 0); /* The same range, twice. */
}
END_TEST

/* ---- Events ---- */

START_TEST(a_change_counts_one_and_is_told_with_a_hint)
{
    int fd = ummunotify_fd();
    const volatile uint64_t *counter = counter_of(fd);
    char *at = pages_new(128);
    event_t events[4];
    ck_assert_int_eq(watch(fd, at, 3 * PAGE, 9), 0);
    ck_assert(ways[_i](at + PAGE));
    ck_assert_uint_ge(*counter, 1);
    ck_assert_int_eq(poll_of(fd), POLLIN | POLLRDNORM);
    ck_assert_int_eq(read_events(fd, events, 4), 2);
    ck_assert_uint_eq(events[0].user_cookie_counter, 9);
    if (ways[_i] != lose_fork && ways[_i] != lose_mremap) { /* These take several steps. */
        ck_assert_uint_eq(*counter, 1);
        expect_inval(&events[0], 9, UMMUNOTIFY_FLAG_HINT, at + PAGE, at + 2 * PAGE);
    }
    expect_last(&events[1], *counter);
    ck_assert_fails(read_events(fd, events, 4), EAGAIN);
    ck_assert_int_eq(poll_of(fd), 0);
}
END_TEST

START_TEST(a_region_stays_and_two_changes_are_told_as_one)
{
    int fd = ummunotify_fd();
    const volatile uint64_t *counter = counter_of(fd);
    char *at = pages_new(4);
    event_t events[4];
    ck_assert_int_eq(watch(fd, at, 4 * PAGE, 9), 0);
    ck_assert(lose_dontneed(at) && lose_dontneed(at + 2 * PAGE));
    ck_assert_uint_eq(*counter, 2);
    ck_assert_int_eq(read_events(fd, events, 4), 2);
    expect_inval(&events[0], 9, 0, at, at + 4 * PAGE);
    expect_last(&events[1], 2);
    ck_assert(lose_munmap(at + PAGE));
    ck_assert_int_eq(read_events(fd, events, 4), 2);
    expect_inval(&events[0], 9, UMMUNOTIFY_FLAG_HINT, at + PAGE, at + 2 * PAGE);
    expect_last(&events[1], 3);
}
END_TEST

START_TEST(a_call_that_hits_many_regions_counts_one)
{
    int fd = ummunotify_fd();
    const volatile uint64_t *counter = counter_of(fd);
    char *at = pages_new(4);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(watch(fd, at + i * PAGE + 10, PAGE - 20, i), 0);
    }
    pages_end(at, 3);
    ck_assert_uint_eq(*counter, 1);
    event_t events[5];
    ck_assert_int_eq(read_events(fd, events, 5), 4);
    for (int i = 0; i < 3; i++) {
        char *start = at + events[i].user_cookie_counter * PAGE;
        expect_inval(&events[i], events[i].user_cookie_counter, UMMUNOTIFY_FLAG_HINT, start + 10,
                     start + PAGE - 10);
    }
    expect_last(&events[3], 1);
}
END_TEST

START_TEST(what_changes_no_mapping_raises_nothing)
{
    int fd = ummunotify_fd();
    const volatile uint64_t *counter = counter_of(fd);
    char *at = pages_new(3);
    ck_assert_int_eq(watch(fd, at + PAGE, PAGE, 9), 0);
    keep_pages(at + PAGE);
    ck_assert(lose_munmap(at) && lose_munmap(at + 2 * PAGE)); /* neighbours */
    ck_assert_uint_eq(*counter, 0);
}
END_TEST

START_TEST(an_event_goes_with_its_region_and_the_counter_stays_ahead)
{
    int fd = ummunotify_fd();
    const volatile uint64_t *counter = counter_of(fd);
    char *at = pages_new(1);
    ck_assert_int_eq(watch(fd, at, PAGE, 9), 0);
    pages_end(at, 1);
    ck_assert_int_eq(unwatch(fd, 9), 0);
    ck_assert_uint_eq(*counter, 1);
    event_t event;
    ck_assert_fails(read_events(fd, &event, 1), EAGAIN);
}
END_TEST

START_TEST(another_task_that_changes_the_mapping_is_noticed)
{
    int fd = ummunotify_fd(), file = memfd_create("test", 0);
    ck_assert_int_eq(ftruncate(file, PAGE), 0);
    char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    *at = 1;
    ck_assert_int_eq(watch(fd, at, PAGE, 9), 0);
    in_child(child_truncates, file);
    event_t events[2];
    ck_assert_int_eq(read_events(fd, events, 2), 2);
    ck_assert_uint_eq(events[0].user_cookie_counter, 9);
}
END_TEST

/* ---- Reading ---- */

START_TEST(read_gives_at_most_128_events_and_last_comes_in_the_end)
{
    enum { REGIONS = 300 };
    int fd = ummunotify_fd();
    char *at = pages_new(1);
    for (int i = 0; i < REGIONS; i++) {
        ck_assert_int_eq(watch(fd, at, PAGE, i), 0);
    }
    pages_end(at, 1);
    event_t events[2 * REGIONS];
    ck_assert_int_eq(read_events(fd, events, REGIONS), 128);
    ck_assert_int_eq(read_events(fd, events + 128, REGIONS), 128);
    ck_assert_int_eq(read_events(fd, events + 256, REGIONS - 256), REGIONS - 256); /* no room for LAST */
    ck_assert_int_eq(poll_of(fd), POLLIN | POLLRDNORM);
    ck_assert_int_eq(read_events(fd, events + REGIONS, 1), 1);
    bool seen[REGIONS] = { false };
    for (int i = 0; i < REGIONS; i++) {
        ck_assert(events[i].type == UMMUNOTIFY_EVENT_INVAL && !seen[events[i].user_cookie_counter]);
        seen[events[i].user_cookie_counter] = true;
    }
    expect_last(&events[REGIONS], 1);
}
END_TEST

START_TEST(a_read_that_cannot_deliver_loses_nothing)
{
    int fd = ummunotify_fd();
    char *at = pages_new(2);
    event_t events[3];
    ck_assert_fails(read(fd, events, sizeof(event_t) - 1), EINVAL);
    ck_assert_int_eq(watch(fd, at, 2 * PAGE, 9), 0);
    ck_assert(lose_dontneed(at));
    ck_assert_fails(read(fd, nowhere(), sizeof(events)), EFAULT);
    ck_assert_int_eq(read_events(fd, events, 3), 2);
    expect_inval(&events[0], 9, 0, at, at + 2 * PAGE);
    expect_last(&events[1], 1);
}
END_TEST

START_TEST(a_reader_waits_for_an_event_or_a_signal)
{
    int fd = open(ummunotify_path(), O_RDONLY | O_CLOEXEC);
    char *at = pages_new(1);
    ck_assert_int_eq(watch(fd, at, PAGE, 9), 0);
    pthread_t thread;
    pthread_create(&thread, NULL, unmaps_later, at);
    event_t events[2];
    ck_assert_int_eq(read_events(fd, events, 2), 2);
    pthread_join(thread, NULL);
    count_signals(SIGALRM);
    ualarm(50000, 0);
    ck_assert_fails(read_events(fd, events, 2), EINTR);
}
END_TEST

START_TEST(a_signal_tells_who_has_asked_for_one)
{
    int fd = ummunotify_fd();
    char *at = pages_new(2);
    count_signals(SIGIO);
    ck_assert_int_eq(fcntl(fd, F_SETOWN, getpid()), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC), 0);
    ck_assert_int_eq(watch(fd, at, PAGE, 9), 0);
    ck_assert(lose_munmap(at + PAGE));
    ck_assert_int_eq(atomic_load(&signals), 0);
    ck_assert(lose_munmap(at));
    ck_assert_int_eq(atomic_load(&signals), 1);
    close(fd); /* with the flag on */
}
END_TEST

/* ---- Other processes: device_scenes.h ---- */

static int open_and_map(void)
{
    int fd = ummunotify_fd();
    (void) counter_of(fd);
    return fd;
}

static bool watches(int fd, char *at)
{
    return watch(fd, at, PAGE, 1) == 0;
}

static const device_calls_t device = {
    .open = open_and_map,
    .open_and_watch = open_and_watch,
    .is_refused = child_is_refused,
    .watches = watches,
};

START_TEST(many_contexts_are_all_told)
{
    enum { CONTEXTS = 100 };
    const volatile uint64_t *counters[CONTEXTS];
    char *at = pages_new(1);
    for (int i = 0; i < CONTEXTS; i++) {
        int fd = ummunotify_fd();
        counters[i] = counter_of(fd);
        ck_assert_int_eq(watch(fd, at, PAGE, 1), 0);
    }
    pages_end(at, 1);
    for (int i = 0; i < CONTEXTS; i++) {
        ck_assert_uint_eq(*counters[i], 1);
    }
}
END_TEST

/* ---- Races ---- */

static int shared_fd;
static atomic_ulong cookies = 1000;

static void *reader(void *unused)
{
    (void) unused;
    event_t events[8];
    while (!atomic_load(&stop)) {
        (void) read_events(shared_fd, events, 8);
    }
    return NULL;
}

static void *watcher(void *at)
{
    while (!atomic_load(&stop)) {
        uint64_t cookie = atomic_fetch_add(&cookies, 1);
        if (watch(shared_fd, at, SHARED_PAGES * PAGE, cookie) != 0 || unwatch(shared_fd, cookie) != 0) {
            return at;
        }
    }
    return NULL;
}

static void *opener(void *at)
{
    while (!atomic_load(&stop)) {
        int fd = ummunotify_fd();
        const volatile uint64_t *counter = counter_of(fd);
        if (watch(fd, at, SHARED_PAGES * PAGE, 1) != 0 || munmap((void *) (uintptr_t) counter, PAGE) != 0) {
            return at;
        }
        close(fd);
    }
    return NULL;
}

START_TEST(a_change_is_seen_when_the_call_returns_whatever_others_do)
{
    static void *(*const runs[])(void *) = { reader, watcher, discarder, opener };
    enum { THREADS = sizeof(runs) / sizeof(runs[0]) };
    shared_fd = ummunotify_fd();
    int fd = ummunotify_fd();
    const volatile uint64_t *counter = counter_of(fd);
    char *others = pages_new(SHARED_PAGES);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        start_threads(&threads[i], 1, runs[i], others);
    }
    for (unsigned round = 1; round <= 500; round++) {
        char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        event_t events[3];
        uint64_t before = *counter;
        *at = 1;
        ck_assert_int_eq(watch(fd, at, PAGE, round), 0);
        ck_assert(lose_munmap(at));
        ck_assert_uint_gt(*counter, before); /* Another thread may get the address, and release it again. */
        ck_assert_int_ge(read_events(fd, events, 3), 2);
        ck_assert_uint_eq(events[0].user_cookie_counter, round);
        ck_assert_int_eq(unwatch(fd, round), 0);
    }
    join_threads(threads, THREADS);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ummunotify_abi");
    TCase *open = tcase_create("open"), *events = tcase_create("events"), *reads = tcase_create("reads"),
          *others = tcase_create("others");
    tcase_add_test(open, it_can_only_be_read);
    tcase_add_test(open, one_page_is_mapped_and_read_only);
    tcase_add_test(open, no_feature_is_offered);
    tcase_add_test(open, register_refuses_what_is_no_region);
    tcase_add_test(open, a_cookie_is_of_one_region_at_a_time);
    tcase_add_loop_test(events, a_change_counts_one_and_is_told_with_a_hint, 0, WAYS);
    tcase_add_test(events, a_region_stays_and_two_changes_are_told_as_one);
    tcase_add_test(events, a_call_that_hits_many_regions_counts_one);
    tcase_add_test(events, what_changes_no_mapping_raises_nothing);
    tcase_add_test(events, an_event_goes_with_its_region_and_the_counter_stays_ahead);
    tcase_add_test(events, another_task_that_changes_the_mapping_is_noticed);
    tcase_add_test(reads, read_gives_at_most_128_events_and_last_comes_in_the_end);
    tcase_add_test(reads, a_read_that_cannot_deliver_loses_nothing);
    tcase_add_test(reads, a_reader_waits_for_an_event_or_a_signal);
    tcase_add_test(reads, a_signal_tells_who_has_asked_for_one);
    add_process_scenes(others);
    tcase_add_test(others, many_contexts_are_all_told);
    tcase_add_test(others, a_change_is_seen_when_the_call_returns_whatever_others_do);
    suite_add_tcase(s, open);
    suite_add_tcase(s, events);
    suite_add_tcase(s, reads);
    suite_add_tcase(s, others);
    return s;
}

int main(void)
{
    if (access(ummunotify_path(), R_OK) != 0) {
        return test_skip("no /dev/ummunotify here (the test driver is test/kernel/ummunotify)");
    }
    return test_run(suite());
}
