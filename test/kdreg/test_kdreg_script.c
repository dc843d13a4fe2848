/* SPDX-License-Identifier: BSD-3-Clause */
/* The component "kdreg" and its events, in each order: interrupted, lost, late,
 * with numbers that come to their old values, in children. On the fake. */
#include "test/kdreg/kdreg_script.h"

/* ---- Events -------------------------------------------------------------------------------------- */

static void must_tell_after(fake_call_t call, long times, int error)
{
    kdreg_test_discard(pages, PAGE);
    let_fail(call, times, error);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_int_eq(kdreg_test_told(pages, PAGE), 1);
    must_go_on();
}

START_TEST(an_interrupted_read_is_repeated)
{
    must_tell_after(FAKE_READ, 7, -EINTR);
}
END_TEST

START_TEST(an_interrupted_poll_is_repeated)
{
    must_tell_after(FAKE_POLL, 7, -EINTR);
}
END_TEST

/* poll() of a process whose RLIMIT_NOFILE is 0. */
START_TEST(where_poll_is_refused_events_are_read_all_the_same)
{
    must_tell_after(FAKE_POLL, 1000, -EINVAL);
}
END_TEST

START_TEST(a_device_that_is_lost_at_a_read_ends_caching)
{
    kdreg_test_discard(pages, PAGE);
    let_fail(_i < 4 ? FAKE_READ : FAKE_POLL, 1, lost[_i % 4]);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    must_be_down();
}
END_TEST

START_TEST(a_read_of_less_than_an_event_ends_caching)
{
    kdreg_test_discard(pages, PAGE);
    fake_script.read_at_most = 31;
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    must_be_down();
}
END_TEST

START_TEST(another_kind_of_event_is_told_as_everything)
{
    fake_script.event_type = 77;
    kdreg_test_discard(pages, PAGE);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_int_eq(kdreg_test_told_everything(), 1);
    fake_script.event_type = 0;
    must_go_on();
}
END_TEST

static void lose_events(void)
{
    for (int i = 0; i < 20; i++) {
        opal_memory_watch_t other;
        ck_assert_int_eq(kdreg_test_watch(pages + PAGE, PAGE, &other), OPAL_SUCCESS);
        kdreg_test_discard(pages + PAGE, PAGE);
    }
}

START_TEST(a_queue_that_cannot_be_flushed_ends_caching)
{
    lose_events();
    let_fail(FAKE_FLUSH, 1, -EIO);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    must_be_down();
}
END_TEST

static void release_pages_once(void)
{
    static bool done;
    if (!done) {
        done = true;
        kdreg_test_discard(pages, PAGE);
    }
}

/* A release while the lost ones are being made up for, before the flush: it is lost, too, and made up for. */
START_TEST(a_release_just_before_the_flush_is_not_lost)
{
    lose_events();
    fake_script.call[FAKE_FLUSH].before = release_pages_once;
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert(!opal_memory_watch_holds(&watch));
    ck_assert_int_eq(kdreg_test_told_everything(), 1);
    must_go_on();
}
END_TEST

static void release_pages_at_second_poll(void)
{
    if (fake_calls[FAKE_POLL] == 2) {
        release_pages_once();
    }
}

START_TEST(a_release_just_after_the_flush_is_told)
{
    lose_events();
    fake_reset_counts();
    fake_script.call[FAKE_POLL].before = release_pages_at_second_poll;
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_int_eq(kdreg_test_told(pages, PAGE), 1);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    must_go_on();
}
END_TEST

START_TEST(a_reader_gets_no_more_than_was_there_when_others_keep_releasing)
{
    fake_script.is_endless = true;
    kdreg_test_discard(pages, PAGE);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    fake_script.is_endless = false;
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
}
END_TEST

/* The driver was busy with another thread: its counter and its words come late. Nothing in user space can know before. */
START_TEST(an_event_that_comes_late_is_told_when_it_comes)
{
    fake_script.defers = true;
    kdreg_test_discard(pages, PAGE);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    fake_run_deferred();
    ck_assert(!kdreg_test_is_good(&watch));
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_int_eq(kdreg_test_told(pages, PAGE), 1);
}
END_TEST

/* The twin: if the driver notices nothing, nothing here does. */
START_TEST(a_release_that_the_driver_does_not_notice_is_not_seen)
{
    fake_script.deaf = true;
    kdreg_test_munmap(pages, PAGE);
    ck_assert(kdreg_test_is_good(&watch));
}
END_TEST

/* ---- Generations --------------------------------------------------------------------------------- */

START_TEST(generations_that_begin_anew_are_told_apart)
{
    fake_set_generation(0x7ffffffe);
    for (int i = 0; i < 6; i++) {
        opal_memory_watch_t other;
        ck_assert_int_eq(kdreg_test_watch(pages + 2 * PAGE, PAGE, &other), OPAL_SUCCESS);
        ck_assert(kdreg_test_is_good(&other));
        kdreg_test_discard(pages + 2 * PAGE, PAGE);
        ck_assert(!opal_memory_watch_holds(&other));
        ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
        ck_assert_int_eq(opal_memory_base_unwatch(NULL, 0, &other), OPAL_SUCCESS);
    }
    must_go_on();
}
END_TEST

/* The word of a region that was hit has its old value again, 2^31 registrations later, for another: the counter tells. */
START_TEST(a_word_that_has_its_old_value_again_is_no_hit)
{
    opal_memory_watch_t other;
    const uint32_t generation = watch.expected >> 1;
    kdreg_test_discard(pages, PAGE);
    fake_set_generation(generation);
    ck_assert_int_eq(kdreg_test_watch(pages + PAGE, PAGE, &other), OPAL_SUCCESS);
    ck_assert(opal_memory_watch_holds(&watch));
    ck_assert(!kdreg_test_is_good(&watch));
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_int_eq(kdreg_test_told(pages, PAGE), 1);
}
END_TEST

/* ---- Forks, guards ------------------------------------------------------------------------------- */

static void fork_child(bool must_work)
{
    const pid_t pid = kdreg_test_fork(false);
    if (pid == 0) {
        opal_memory_watch_t own;
        const int rc = kdreg_test_watch(pages, PAGE, &own);
        const bool works = rc == OPAL_SUCCESS && opal_memory_base_sync() == OPAL_SUCCESS;
        child_says(works == must_work && (works || (opal_memory_changed() && rc == OPAL_ERR_NOT_AVAILABLE)));
    }
    child_must_be_good(pid);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    must_go_on();
}

START_TEST(a_child_that_gets_no_device_stands_down_and_the_parent_does_not)
{
    let_fail(FAKE_OPEN, 100, -EMFILE);
    fork_child(false);
}
END_TEST

START_TEST(a_child_whose_device_is_deaf_stands_down)
{
    const pid_t pid = kdreg_test_fork(false);
    if (pid == 0) {
        opal_memory_watch_t own;
        fake_script.deaf = true;
        child_says(kdreg_test_watch(pages, PAGE, &own) == OPAL_ERR_NOT_AVAILABLE && opal_memory_changed());
    }
    child_must_be_good(pid);
}
END_TEST

START_TEST(a_child_can_stop_and_start_the_library)
{
    const pid_t pid = kdreg_test_fork(false);
    if (pid == 0) {
        opal_memory_watch_t own;
        bool good = opalmem_finalize() == OPAL_SUCCESS && opalmem_init(NULL, NULL) == OPAL_SUCCESS;
        good = good && kdreg_test_watch(pages, PAGE, &own) == OPAL_SUCCESS && kdreg_test_is_good(&own);
        child_says(good && opalmem_finalize() == OPAL_SUCCESS);
    }
    child_must_be_good(pid);
}
END_TEST

/* The kernel changes a guard's page, and all descriptors are there. */
START_TEST(a_false_alarm_of_a_guard_is_passed_over)
{
    const size_t regions = fake_regions();
    fake_notify_guards();
    ck_assert(opal_memory_changed());
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert_uint_eq(fake_regions(), regions); /* They are watched again. */
    must_go_on();
}
END_TEST

START_TEST(a_guard_that_is_closed_while_events_are_lost_is_noticed)
{
    int fds[8];
    lose_events();
    ck_assert_uint_eq(kdreg_test_descriptors(fds, 8), 3);
    kdreg_test_close(fds[0]);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    must_be_down();
}
END_TEST

static void close_all_descriptors(void)
{
    int fds[8];
    const size_t count = kdreg_test_descriptors(fds, 8);

    ck_assert_uint_eq(count, 3);
    for (size_t i = 0; i < count; i++) {
        kdreg_test_close(fds[i]);
    }
}

/* The event of a guard was one of those that were lost, or were flushed with them: a false alarm, that time. */
START_TEST(descriptors_are_guarded_again_after_events_were_lost)
{
    const size_t regions = fake_regions();
    if (_i == 0) {
        fake_notify_guards();
    }
    lose_events();
    if (_i == 1) {
        fake_notify_guards();
    }
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert(!opal_memory_changed());
    ck_assert_uint_eq(fake_regions(), regions);
    close_all_descriptors();
    ck_assert(opal_memory_changed());
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    must_be_down();
}
END_TEST

/* Then a program that closes them would not be noticed. */
START_TEST(without_memory_to_guard_the_descriptors_caching_ends)
{
    fake_notify_guards();
    let_fail(FAKE_MONITOR, 100, -ENOMEM);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    must_be_down();
}
END_TEST

static void add_events(Suite *suite)
{
    TCase *tcase = tcase_create("events");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, an_interrupted_read_is_repeated);
    tcase_add_test(tcase, an_interrupted_poll_is_repeated);
    tcase_add_test(tcase, where_poll_is_refused_events_are_read_all_the_same);
    tcase_add_loop_test(tcase, a_device_that_is_lost_at_a_read_ends_caching, 0, 8);
    tcase_add_test(tcase, a_read_of_less_than_an_event_ends_caching);
    tcase_add_test(tcase, another_kind_of_event_is_told_as_everything);
    tcase_add_test(tcase, a_queue_that_cannot_be_flushed_ends_caching);
    tcase_add_test(tcase, a_release_just_before_the_flush_is_not_lost);
    tcase_add_test(tcase, a_release_just_after_the_flush_is_told);
    tcase_add_test(tcase, a_reader_gets_no_more_than_was_there_when_others_keep_releasing);
    tcase_add_test(tcase, an_event_that_comes_late_is_told_when_it_comes);
    tcase_add_test(tcase, a_release_that_the_driver_does_not_notice_is_not_seen);
    tcase_add_test(tcase, generations_that_begin_anew_are_told_apart);
    tcase_add_test(tcase, a_word_that_has_its_old_value_again_is_no_hit);
    tcase_add_test(tcase, a_child_that_gets_no_device_stands_down_and_the_parent_does_not);
    tcase_add_test(tcase, a_child_whose_device_is_deaf_stands_down);
    tcase_add_test(tcase, a_child_can_stop_and_start_the_library);
    tcase_add_test(tcase, a_false_alarm_of_a_guard_is_passed_over);
    tcase_add_test(tcase, a_guard_that_is_closed_while_events_are_lost_is_noticed);
    tcase_add_loop_test(tcase, descriptors_are_guarded_again_after_events_were_lost, 0, 2);
    tcase_add_test(tcase, without_memory_to_guard_the_descriptors_caching_ends);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    return script_main("kdreg_script", add_events);
}
