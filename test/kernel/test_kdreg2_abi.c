/* SPDX-License-Identifier: BSD-3-Clause */
/* The interface of /dev/kdreg2 on the test driver: every call, every error, what a
 * region and its event look like from outside. Races are in test_kdreg2_races.c. Run
 * by make check-vm in the guest; without the device it is skipped.
 */
#include "test/kernel/device_scenes.h"
#include "test/kernel/kdreg2_device.h"

/* ---- Opening ---- */

START_TEST(open_maps_a_status_and_close_takes_it_away)
{
    int before = mappings_of("[kdreg2]");
    int fd = kdreg2_fd();
    ck_assert_int_eq(mappings_of("[kdreg2]"), before + 1);
    const volatile struct kdreg2_status *status = configure(fd, 8);
    ck_assert_int_eq(mappings_of("[kdreg2]"), before + 2);
    ck_assert_uint_eq(status->version, 0x416);
    ck_assert_uint_eq(status->max_regions, 8);
    ck_assert_uint_eq(status->pending_events | status->total_events | status->active_regions, 0);
    ck_assert_uint_ne(status->states, 0);
    close(fd);
    ck_assert_int_eq(mappings_of("[kdreg2]"), before);
}
END_TEST

START_TEST(what_is_mapped_cannot_be_written)
{
    const volatile struct kdreg2_status *status = configure(kdreg2_fd(), 8);
    ck_assert_fails(mprotect((void *) (uintptr_t) status, PAGE, PROT_READ | PROT_WRITE), EACCES);
    ck_assert_fails(mprotect((void *) (uintptr_t) status->states, PAGE, PROT_READ | PROT_WRITE), EACCES);
}
END_TEST

START_TEST(close_leaves_a_mapping_that_is_not_its_own)
{
    int fd = kdreg2_fd();
    char *status = (char *) (uintptr_t) configure(fd, 8);
    ck_assert_ptr_eq(mmap(status, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     status);
    *status = 7;
    close(fd);
    ck_assert_int_eq(*status, 7);
}
END_TEST

START_TEST(other_calls_fail)
{
    int fd = kdreg2_fd();
    char byte = 0;
    ck_assert_fails(write(fd, &byte, 1), EOPNOTSUPP);
    ck_assert_fails(pread(fd, &byte, 1, 0), ESPIPE);
    ck_assert_fails(lseek(fd, 0, SEEK_SET), ESPIPE);
    ck_assert_fails(ioctl(fd, _IO('k', 7)), ENOTTY);
    ck_assert_ptr_eq(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
    ck_assert_int_eq(errno, ENODEV);
    ck_assert_int_eq(ioctl(fd, KDREG2_DUMP_STATS), 0);
}
END_TEST

/* ---- CONFIG_DATA ---- */

START_TEST(sizes_that_cannot_be_are_refused)
{
    int fd = kdreg2_fd();
    struct kdreg2_config config = { .max_regions = KDREG2_DATA_END };
    ck_assert_fails(ioctl(fd, KDREG2_CONFIG_DATA, &config), ENOSPC);
    config.max_regions = UINT64_MAX;
    ck_assert_fails(ioctl(fd, KDREG2_CONFIG_DATA, &config), ENOSPC);
    config.max_regions = KDREG2_DATA_END - 1; /* 8 GiB: more than the guest has. */
    ck_assert_fails(ioctl(fd, KDREG2_CONFIG_DATA, &config), ENOMEM);
    ck_assert_fails(ioctl(fd, KDREG2_CONFIG_DATA, NULL), EINVAL);
    ck_assert_fails(ioctl(fd, KDREG2_CONFIG_DATA, nowhere()), EFAULT);
    configure(fd, 8);
    config.max_regions = 0;
    ck_assert_fails(ioctl(fd, KDREG2_CONFIG_DATA, &config), EINVAL);
}
END_TEST

START_TEST(size_changes_only_while_nothing_is_watched_or_unread)
{
    int fd = kdreg2_fd();
    const volatile struct kdreg2_status *status = configure(fd, 8);
    char *at = pages_new(1);
    struct kdreg2_config more = { .max_regions = 5000 }, same = { .max_regions = 8 };
    monitor(fd, at, PAGE, 1);
    ck_assert_fails(ioctl(fd, KDREG2_CONFIG_DATA, &more), EBUSY);
    ck_assert_int_eq(ioctl(fd, KDREG2_CONFIG_DATA, &same), 0);
    ck_assert_ptr_eq((void *) (uintptr_t) same.status, (void *) (uintptr_t) status);
    pages_end(at, 1);
    ck_assert_fails(ioctl(fd, KDREG2_CONFIG_DATA, &more), EBUSY);
    expect_event(fd, at, PAGE, 1);
    ck_assert_int_eq(ioctl(fd, KDREG2_CONFIG_DATA, &more), 0);
    ck_assert_uint_eq(status->max_regions, 5000);
    ck_assert_uint_eq(state(status, 4999) & KDREG2_IN_USE, 0);
    ck_assert_int_eq(mappings_of("[kdreg2]"), 2);
    at = pages_new(1);
    ck_assert(holds(status, monitor(fd, at, PAGE, 2)));
}
END_TEST

/* ---- MONITOR and UNMONITOR ---- */

START_TEST(monitor_refuses_what_is_no_region)
{
    int fd = kdreg2_fd();
    struct kdreg2_monitor arg = { .addr = 0x10000, .length = PAGE, .cookie = 1 };
    ck_assert_fails(ioctl(fd, KDREG2_MONITOR, &arg), ENOSPC); /* before CONFIG_DATA */
    configure(fd, 1);
    arg.length = 0;
    ck_assert_fails(ioctl(fd, KDREG2_MONITOR, &arg), EINVAL);
    arg.length = -arg.addr + 1; /* wraps */
    ck_assert_fails(ioctl(fd, KDREG2_MONITOR, &arg), EINVAL);
    arg.length = PAGE, arg.cookie = UINT64_MAX;
    ck_assert_fails(ioctl(fd, KDREG2_MONITOR, &arg), EINVAL);
    ck_assert_fails(ioctl(fd, KDREG2_MONITOR, nowhere()), EFAULT);
    ck_assert_fails(ioctl(fd, KDREG2_MONITOR, NULL), EINVAL);
    arg.length = -arg.addr, arg.cookie = 1; /* up to the last byte there is */
    ck_assert_int_eq(ioctl(fd, KDREG2_MONITOR, &arg), 0);
    arg.cookie = 2;
    ck_assert_fails(ioctl(fd, KDREG2_MONITOR, &arg), ENOSPC); /* full */
}
END_TEST

START_TEST(monitor_whose_answer_cannot_be_written_leaves_nothing)
{
    int fd = kdreg2_fd();
    const volatile struct kdreg2_status *status = configure(fd, 4);
    struct kdreg2_monitor *arg = (void *) pages_new(1);
    *arg = (struct kdreg2_monitor){ .addr = 0x10000, .length = PAGE, .cookie = 1 };
    ck_assert_int_eq(mprotect(arg, PAGE, PROT_READ), 0);
    ck_assert_fails(ioctl(fd, KDREG2_MONITOR, arg), EFAULT);
    ck_assert_uint_eq(status->active_regions, 0);
}
END_TEST

START_TEST(a_cookie_is_of_one_region_at_a_time)
{
    int fd = kdreg2_fd();
    const volatile struct kdreg2_status *status = configure(fd, 4);
    char *at = pages_new(2);
    struct kdreg2_params first = monitor(fd, at, PAGE, 7), again = monitor(fd, at, PAGE, 7);
    ck_assert_uint_eq(first.location, again.location);
    ck_assert_uint_eq(first.generation, again.generation);
    ck_assert_uint_eq(status->active_regions, 1);
    struct kdreg2_monitor other = { .addr = (uintptr_t) at, .length = 2 * PAGE, .cookie = 7 };
    ck_assert_fails(ioctl(fd, KDREG2_MONITOR, &other), EBUSY);
    pages_end(at, 1);
    ck_assert_int_eq(ioctl(fd, KDREG2_MONITOR, &other), 0); /* though its event is unread */
    expect_event(fd, at, PAGE, 7);
    ck_assert(holds(status, other.params));
}
END_TEST

START_TEST(unmonitor_ends_exactly_the_region_that_was_meant)
{
    int fd = kdreg2_fd();
    const volatile struct kdreg2_status *status = configure(fd, 4);
    char *at = pages_new(1);
    struct kdreg2_params params = monitor(fd, at, PAGE, 7), wrong = params;
    wrong.location = 4;
    ck_assert_fails(unmonitor(fd, 7, wrong), EINVAL);
    wrong = params, wrong.generation += 2;
    ck_assert_fails(unmonitor(fd, 7, wrong), EBADSLT);
    ck_assert_int_eq(unmonitor(fd, 8, params), 0); /* unknown */
    ck_assert(holds(status, params));
    ck_assert_int_eq(unmonitor(fd, 7, params), 0);
    ck_assert(!holds(status, params));
    ck_assert_uint_eq(status->active_regions, 0);
    pages_end(at, 1);
    ck_assert_uint_eq(status->total_events, 0);
    ck_assert_fails(ioctl(fd, KDREG2_UNMONITOR, nowhere()), EFAULT);
    ck_assert_fails(ioctl(fd, KDREG2_UNMONITOR, NULL), EINVAL);
}
END_TEST

START_TEST(unmonitor_of_a_region_that_was_hit_leaves_its_event)
{
    int fd = kdreg2_fd();
    configure(fd, 4);
    char *at = pages_new(1);
    struct kdreg2_params params = monitor(fd, at, PAGE, 7);
    pages_end(at, 1);
    ck_assert_int_eq(unmonitor(fd, 7, params), 0);
    expect_event(fd, at, PAGE, 7);
}
END_TEST

START_TEST(unmonitor_all_gives_every_place_back)
{
    int fd = kdreg2_fd();
    const volatile struct kdreg2_status *status = configure(fd, 4);
    char *at = pages_new(4);
    struct kdreg2_params params[4];
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 4; i++) {
            params[i] = monitor(fd, at + i * PAGE, PAGE, i + 1);
        }
        ck_assert_int_eq(ioctl(fd, KDREG2_UNMONITOR_ALL), 0);
        for (int i = 0; i < 4; i++) {
            ck_assert(!holds(status, params[i]));
        }
        ck_assert_uint_eq(status->active_regions, 0);
    }
    configure(fd, 16);
}
END_TEST

START_TEST(generations_wrap_after_31_bits)
{
    set_parameter("first_generation", "2147483646");
    int fd = kdreg2_fd();
    set_parameter("first_generation", "0");
    configure(fd, 4);
    char *at = pages_new(1);
    ck_assert_uint_eq(monitor(fd, at, PAGE, 1).generation, 0xfffffffd);
    ck_assert_uint_eq(monitor(fd, at, PAGE, 2).generation, 0xffffffff);
    ck_assert_uint_eq(monitor(fd, at, PAGE, 3).generation, 1);
}
END_TEST

/* ---- Events ---- */

START_TEST(a_change_ends_the_region_at_once_and_raises_one_event)
{
    int fd = kdreg2_fd();
    const volatile struct kdreg2_status *status = configure(fd, 4);
    char *at = pages_new(128); /* Of two pages watched, the second changes. */
    struct kdreg2_params params = monitor(fd, at, 2 * PAGE, 9);
    ck_assert(holds(status, params));
    ck_assert(ways[_i](at + PAGE));
    ck_assert(!holds(status, params));
    ck_assert_uint_eq(status->active_regions, 0);
    ck_assert_uint_eq(status->pending_events, 1);
    ck_assert_uint_eq(status->total_events, 1);
    ck_assert(lose_dontneed(at));
    ck_assert_uint_eq(status->total_events, 1);
    expect_event(fd, at, 2 * PAGE, 9);
    ck_assert_uint_eq(status->pending_events, 0);
}
END_TEST

START_TEST(what_changes_no_mapping_raises_nothing)
{
    int fd = kdreg2_fd();
    const volatile struct kdreg2_status *status = configure(fd, 4);
    char *at = pages_new(3);
    struct kdreg2_params params = monitor(fd, at + PAGE, PAGE, 9);
    keep_pages(at + PAGE);
    ck_assert(lose_munmap(at) && lose_munmap(at + 2 * PAGE)); /* neighbours */
    ck_assert(holds(status, params));
    ck_assert_uint_eq(status->total_events, 0);
}
END_TEST

START_TEST(every_region_that_overlaps_is_told)
{
    enum { REGIONS = 1000 };
    int fd = kdreg2_fd();
    const volatile struct kdreg2_status *status = configure(fd, REGIONS);
    char *at = pages_new(4);
    for (int i = 0; i < REGIONS; i++) { /* Odd sizes and places, all with a byte in the first two pages. */
        monitor(fd, at + i, i % 3 ? 1 : 2 * PAGE, i + 1);
    }
    ck_assert_uint_eq(status->active_regions, REGIONS);
    pages_end(at, 2);
    ck_assert_uint_eq(status->active_regions, 0);
    ck_assert_uint_eq(status->pending_events, REGIONS);
    struct kdreg2_event events[REGIONS];
    bool seen[REGIONS + 1] = { false };
    ck_assert_int_eq(read(fd, events, sizeof(events)), sizeof(events));
    for (int i = 0; i < REGIONS; i++) {
        ck_assert(events[i].cookie <= REGIONS && !seen[events[i].cookie]);
        seen[events[i].cookie] = true;
    }
}
END_TEST

START_TEST(another_task_that_changes_the_mapping_is_noticed)
{
    int fd = kdreg2_fd();
    const volatile struct kdreg2_status *status = configure(fd, 4);
    int file = memfd_create("test", 0);
    ck_assert_int_eq(ftruncate(file, PAGE), 0);
    char *at = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    *at = 1;
    struct kdreg2_params params = monitor(fd, at, PAGE, 9);
    in_child(child_truncates, file);
    ck_assert(!holds(status, params));
    expect_event(fd, at, PAGE, 9);
}
END_TEST

START_TEST(read_gives_whole_events_only)
{
    int fd = kdreg2_fd();
    configure(fd, 4);
    char buffer[100];
    ck_assert_fails(read(fd, buffer, 31), EINVAL);
    ck_assert_fails(read(fd, buffer, 32), EAGAIN);
    char *at = pages_new(3);
    for (int i = 0; i < 3; i++) {
        monitor(fd, at + i * PAGE, PAGE, i + 1);
    }
    pages_end(at, 3);
    ck_assert_fails(read(fd, nowhere(), 32), EACCES); /* and the event is not lost */
    ck_assert_int_eq(read(fd, buffer, 95), 64);
    ck_assert_int_eq(read(fd, buffer, 100), 32);
    ck_assert_fails(read(fd, buffer, 32), EAGAIN);
}
END_TEST

START_TEST(a_full_queue_stops_reading_until_flush)
{
    int fd = kdreg2_fd();
    const volatile struct kdreg2_status *status = configure(fd, 2);
    char *at = pages_new(1);
    struct kdreg2_event event;
    for (int i = 0; i < 3; i++) {
        struct kdreg2_params params = monitor(fd, at, PAGE, i + 1);
        ck_assert(lose_dontneed(at));
        ck_assert(!holds(status, params));
        *at = 1;
    }
    ck_assert_uint_eq(status->pending_events, 2);
    ck_assert_uint_eq(status->total_events, 2); /* What is lost is not counted. */
    ck_assert_fails(read(fd, &event, sizeof(event)), ENOSPC);
    ck_assert_int_eq(poll_of(fd), POLLIN | POLLRDNORM);
    ck_assert_int_eq(ioctl(fd, KDREG2_FLUSH), 0);
    ck_assert_uint_eq(status->pending_events, 0);
    ck_assert_fails(read(fd, &event, sizeof(event)), EAGAIN);
    monitor(fd, at, PAGE, 4);
    pages_end(at, 1);
    expect_event(fd, at, PAGE, 4);
}
END_TEST

START_TEST(a_reader_waits_for_an_event_or_a_signal)
{
    int fd = open(kdreg2_path(), O_RDWR | O_CLOEXEC);
    configure(fd, 4);
    char *at = pages_new(1);
    monitor(fd, at, PAGE, 5);
    ck_assert_int_eq(poll_of(fd), 0);
    pthread_t thread;
    pthread_create(&thread, NULL, unmaps_later, at);
    expect_event(fd, at, PAGE, 5);
    pthread_join(thread, NULL);
    count_signals(SIGALRM);
    ualarm(50000, 0);
    struct kdreg2_event event;
    ck_assert_fails(read(fd, &event, sizeof(event)), EINTR);
}
END_TEST

START_TEST(poll_says_when_there_are_events)
{
    int fd = kdreg2_fd();
    configure(fd, 4);
    char *at = pages_new(1);
    monitor(fd, at, PAGE, 5);
    ck_assert_int_eq(poll_of(fd), 0);
    pages_end(at, 1);
    ck_assert_int_eq(poll_of(fd), POLLIN | POLLRDNORM);
    expect_event(fd, at, PAGE, 5);
    ck_assert_int_eq(poll_of(fd), 0);
}
END_TEST

/* ---- Other processes: device_scenes.h ---- */

static int open_and_configure(void)
{
    int fd = kdreg2_fd();
    configure(fd, 4);
    return fd;
}

static bool monitors(int fd, char *at)
{
    const volatile struct kdreg2_status *status = configure(fd, 4);
    return status->active_regions == 0 && holds(status, monitor(fd, at, PAGE, 1));
}

static const device_calls_t device = {
    .open = open_and_configure,
    .open_and_watch = open_and_monitor,
    .is_refused = child_is_refused,
    .watches = monitors,
};

static Suite *suite(void)
{
    Suite *s = suite_create("kdreg2_abi");
    TCase *open = tcase_create("open"), *config = tcase_create("config"), *regions = tcase_create("regions"),
          *events = tcase_create("events"), *others = tcase_create("others");
    tcase_add_test(open, open_maps_a_status_and_close_takes_it_away);
    tcase_add_test(open, what_is_mapped_cannot_be_written);
    tcase_add_test(open, close_leaves_a_mapping_that_is_not_its_own);
    tcase_add_test(open, other_calls_fail);
    tcase_add_test(config, sizes_that_cannot_be_are_refused);
    tcase_add_test(config, size_changes_only_while_nothing_is_watched_or_unread);
    tcase_add_test(regions, monitor_refuses_what_is_no_region);
    tcase_add_test(regions, monitor_whose_answer_cannot_be_written_leaves_nothing);
    tcase_add_test(regions, a_cookie_is_of_one_region_at_a_time);
    tcase_add_test(regions, unmonitor_ends_exactly_the_region_that_was_meant);
    tcase_add_test(regions, unmonitor_of_a_region_that_was_hit_leaves_its_event);
    tcase_add_test(regions, unmonitor_all_gives_every_place_back);
    tcase_add_test(regions, generations_wrap_after_31_bits);
    tcase_add_loop_test(events, a_change_ends_the_region_at_once_and_raises_one_event, 0, WAYS);
    tcase_add_test(events, what_changes_no_mapping_raises_nothing);
    tcase_add_test(events, every_region_that_overlaps_is_told);
    tcase_add_test(events, another_task_that_changes_the_mapping_is_noticed);
    tcase_add_test(events, read_gives_whole_events_only);
    tcase_add_test(events, a_full_queue_stops_reading_until_flush);
    tcase_add_test(events, a_reader_waits_for_an_event_or_a_signal);
    tcase_add_test(events, poll_says_when_there_are_events);
    add_process_scenes(others);
    suite_add_tcase(s, open);
    suite_add_tcase(s, config);
    suite_add_tcase(s, regions);
    suite_add_tcase(s, events);
    suite_add_tcase(s, others);
    return s;
}

int main(void)
{
    if (access(kdreg2_path(), R_OK | W_OK) != 0) {
        return test_skip("no /dev/kdreg2 here (the test driver is test/kernel/kdreg2)");
    }
    return test_run(suite());
}
