/* SPDX-License-Identifier: BSD-3-Clause */
/* What can go wrong between the component and its driver: at the start, and
 * while it runs. Most of it is scripted. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "opal/memoryhooks/memory_internal.h"
#include "test/ummunotify/ummunotify_fixture.h"

static unsigned char *pages;
#define PAGES 16

static void set_up(void)
{
    fixture_start();
    pages = get_pages(PAGES);
}

static void tear_down(void)
{
    fixture_stop();
}

static void expect(const char *text, const char *messages)
{
    ck_assert_msg(strstr(messages, text) != NULL, "\"%s\" is not in: %s", text, messages);
}

/* ---- At the start ----------------------------------------------------------------------------------- */

static void expect_no_start(const char *reason)
{
    ck_assert_int_ne(fixture_init("ummunotify"), OPAL_SUCCESS);
    expect(reason, fixture_messages());
    if (!on_device()) {
        ck_assert_uint_eq(fake_devices(), 0);
    }
}

START_TEST(path_that_is_not_there_is_the_reason)
{
    fixture_start();
    fixture_stop();
    setenv("OPALMEM_MCA_memory_ummunotify_device", "/nonexistent/ummunotify", 1);
    expect_no_start("/nonexistent/ummunotify: open failed (No such file or directory): the driver is not loaded");
}
END_TEST

START_TEST(path_of_something_else_is_the_reason)
{
    fixture_start();
    fixture_stop();
    setenv("OPALMEM_MCA_memory_ummunotify_device", "/dev/null", 1);
    expect_no_start("/dev/null: UMMUNOTIFY_EXCHANGE_FEATURES failed (Inappropriate ioctl for device): it is no "
                    "ummunotify device");
}
END_TEST

START_TEST(empty_path_is_the_reason)
{
    fixture_start();
    fixture_stop();
    setenv("OPALMEM_MCA_memory_ummunotify_device", "", 1);
    expect_no_start("memory_ummunotify_device is empty");
}
END_TEST

static const struct {
    fake_call_t call;
    int error;
    unsigned times; /* The device is opened by open, and again by enable. */
    const char *reason;
} refusals[] = {
    { FAKE_OPEN, EACCES, 1, "open failed (Permission denied): it has to be readable by this user" },
    { FAKE_OPEN, ENXIO, 1, "there is no driver behind it" },
    { FAKE_OPEN, ENODEV, 1, "there is no driver behind it" },
    { FAKE_OPEN, EMFILE, 1, "too many files are open" },
    { FAKE_OPEN, EBUSY, 1, "the driver refuses" },
    { FAKE_FEATURES, EINVAL, 1, "it is no ummunotify device" },
    { FAKE_IDENTIFY, EIO, 1, "fstat failed" },
    { FAKE_MAP, EAGAIN, 1, "mmap failed" },
    { FAKE_REGISTER, ENOMEM, 100, "does not tell of memory that is released" },
    { FAKE_READ, EIO, 100, "does not tell of memory that is released" },
    { FAKE_UNREGISTER, EIO, 100, "does not tell of memory that is released" },
    { FAKE_RELEASE, ENOSYS, 100, "does not tell of memory that is released" },
};
#define REFUSALS ((int) (sizeof(refusals) / sizeof(refusals[0])))

START_TEST(what_the_driver_refuses_at_the_start_is_the_reason)
{
    fixture_start();
    fixture_stop();
    fake_fail(refusals[_i].call, refusals[_i].error, refusals[_i].times);
    expect_no_start(refusals[_i].reason);
    fake_fail(refusals[_i].call, 0, 0);
    fixture_start();
    fixture_stop();
}
END_TEST

/* Between the look and the start the module was unloaded. */
static void fail_second_open(void)
{
    static unsigned opened;
    if (++opened == 2) {
        fake_during(FAKE_OPEN, NULL);
        fake_fail(FAKE_OPEN, ENOENT, 1);
    }
}

START_TEST(device_that_goes_before_it_is_used_is_the_reason)
{
    fixture_start();
    fixture_stop();
    fake_during(FAKE_OPEN, fail_second_open);
    expect_no_start("open failed (No such file or directory)");
}
END_TEST

static const fake_call_t interruptible[] = { FAKE_OPEN, FAKE_FEATURES, FAKE_REGISTER, FAKE_READ, FAKE_UNREGISTER };
#define INTERRUPTIBLE ((int) (sizeof(interruptible) / sizeof(interruptible[0])))

START_TEST(interrupted_calls_of_the_start_are_made_again)
{
    fixture_start();
    fixture_stop();
    fake_fail(interruptible[_i], EINTR, 3);
    fixture_start();
    fixture_stop();
}
END_TEST

START_TEST(descriptor_that_cannot_be_moved_stays_where_it_is)
{
    fixture_start();
    fixture_stop();
    fake_fail(FAKE_DUPLICATE, EMFILE, 1);
    fixture_start();
    fixture_stop();
}
END_TEST

START_TEST(driver_that_is_deaf_for_what_matters_does_not_start)
{
    fixture_start();
    fixture_stop();
    fake_mute(1U << _i);
    expect_no_start("does not tell of memory that is released");
}
END_TEST

START_TEST(driver_that_is_deaf_for_files_says_so)
{
    fixture_start();
    fixture_stop();
    fake_mute(1U << UMMUNOTIFY_TRUNCATE);
    fixture_start();
    ck_assert_uint_eq(opal_memory_base_sees() & OPAL_MEMORY_SEES_FILE, 0);
    ck_assert_int_ne(opal_mem_hooks_support_level(), 0);
    fixture_stop();
}
END_TEST

/* ---- Registering ------------------------------------------------------------------------------------ */

START_TEST(interrupted_calls_are_made_again)
{
    fake_fail(FAKE_REGISTER, EINTR, 3);
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    fake_fail(FAKE_READ, EINTR, 3);
    sync_now();
    ck_assert(told_exactly(pages, PAGE));
    fake_fail(FAKE_UNREGISTER, EINTR, 3);
    unwatch_pages(pages, PAGES, &watch);
    ck_assert_uint_eq(fake_regions(), 0);
}
END_TEST

static const struct {
    fake_call_t call;
    int error, code;
} failures[] = {
    { FAKE_REGISTER, ENOMEM, OPAL_ERR_OUT_OF_RESOURCE }, { FAKE_REGISTER, EFAULT, OPAL_ERR_OUT_OF_RESOURCE },
    { FAKE_REGISTER, EIO, OPAL_ERR_OUT_OF_RESOURCE },    { FAKE_REGISTER, EINVAL, OPAL_EXISTS },
    { FAKE_SETTLE, EPERM, OPAL_ERR_OUT_OF_RESOURCE },
};
#define FAILURES ((int) (sizeof(failures) / sizeof(failures[0])))

START_TEST(region_that_the_driver_refuses_leaves_nothing_behind)
{
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
    fake_fail(failures[_i].call, failures[_i].error, 1);
    ck_assert_int_eq(opal_memory_base_watch(pages, PAGE, &watch), failures[_i].code);
    ck_assert_uint_eq(fake_regions(), 0);
    ck_assert_int_eq(opal_memory_base_unwatch(pages, PAGE, &watch), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(opal_memory_base_watch(pages, PAGE, &watch), OPAL_SUCCESS);
    unwatch_pages(pages, 1, &watch);
}
END_TEST

START_TEST(region_that_the_driver_does_not_know_is_not_found)
{
    opal_memory_watch_t watch = watch_pages(pages, 1);
    fake_fail(FAKE_UNREGISTER, EINVAL, 1);
    ck_assert_int_eq(opal_memory_base_unwatch(pages, PAGE, &watch), OPAL_ERR_NOT_FOUND);
}
END_TEST

/* ---- Releases that had begun before ------------------------------------------------------------------ */

static atomic_bool has_begun, is_over, is_registered;
static bool was_over;

/* The driver has been told; the pages are still there. Goes on when the other thread waits for it, or did not. */
static void hold(void)
{
    fake_during(FAKE_RELEASE, NULL);
    atomic_store(&has_begun, true);
    while (fake_settling() == 0 && !atomic_load(&is_registered)) {
        sched_yield();
    }
}

static void *release_thread(void *arg)
{
    lose(UMMUNOTIFY_DISCARD, arg, 1);
    atomic_store(&is_over, true);
    return NULL;
}

/* The pages that a registration would pin are those that go. */
static void register_during_a_release(void)
{
    pthread_t thread;
    fake_during(FAKE_RELEASE, hold);
    ck_assert_int_eq(pthread_create(&thread, NULL, release_thread, pages), 0);
    while (!atomic_load(&has_begun)) {
        sched_yield();
    }
    opal_memory_watch_t watch = watch_pages(pages, 1);
    was_over = pages[0] == 0; /* The release's effect, not what its thread says of it. */
    atomic_store(&is_registered, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert(atomic_load(&is_over));
    unwatch_pages(pages, 1, &watch);
}

START_TEST(registering_waits_for_a_release_that_had_begun)
{
    register_during_a_release();
    ck_assert(was_over);
}
END_TEST

START_TEST(twin_that_does_not_wait_pins_the_pages_that_go)
{
    fake_mute_settle(true);
    register_during_a_release();
    ck_assert(!was_over);
}
END_TEST

/* ---- Reading ---------------------------------------------------------------------------------------- */

static const size_t limits[] = { sizeof(struct ummunotify_event), 2 * sizeof(struct ummunotify_event),
                                 7 * sizeof(struct ummunotify_event) };

START_TEST(short_reads_tell_all)
{
    opal_memory_watch_t watch[PAGES];
    for (size_t i = 0; i < PAGES; i++) {
        watch[i] = watch_pages(pages + i * PAGE, 1);
    }
    fake_limit_reads(limits[_i]);
    lose(UMMUNOTIFY_UNMAP, pages, PAGES);
    sync_now();
    ck_assert(!opal_memory_changed());
    for (size_t i = 0; i < PAGES; i++) {
        ck_assert_uint_eq(told(pages + i * PAGE, PAGE), 1);
        unwatch_pages(pages + i * PAGE, 1, &watch[i]);
    }
}
END_TEST

/* A read that was scripted comes before what waits. */
static void expect_with_bytes(const void *bytes, size_t size, bool everything)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    lose(UMMUNOTIFY_DISCARD, pages + PAGE, 1);
    fake_read_bytes(bytes, size);
    sync_now();
    ck_assert_int_eq(told_everything(), everything);
    ck_assert(told_exactly(pages + PAGE, PAGE));
    ck_assert(!opal_memory_changed());
    unwatch_pages(pages, PAGES, &watch);
}

START_TEST(half_an_event_is_told_as_everything)
{
    const struct ummunotify_event events[2] = { { .user_cookie_counter = 12345 } };
    expect_with_bytes(events, sizeof(events[0]) + 8, true);
}
END_TEST

START_TEST(event_of_a_type_that_is_not_known_is_told_as_everything)
{
    const struct ummunotify_event event = { .type = 17 };
    expect_with_bytes(&event, sizeof(event), true);
}
END_TEST

START_TEST(event_of_a_cookie_that_is_not_known_is_left_out)
{
    const struct ummunotify_event event = { .user_cookie_counter = 12345,
                                            .hint_start = (uintptr_t) pages,
                                            .hint_end = (uintptr_t) pages + PAGE };
    expect_with_bytes(&event, sizeof(event), false);
    ck_assert_uint_eq(told(pages, PAGE), 0);
}
END_TEST

/* From before the region to behind it; empty; outside; the wrong way round. In pages. */
static const struct {
    int start, end;
} hints[] = { { 2, 6 }, { 4, 10 }, { 5, 5 }, { 0, 2 }, { 6, 5 } };
#define HINTS ((int) (sizeof(hints) / sizeof(hints[0])))

START_TEST(hint_that_is_not_in_the_region_is_told_as_the_region)
{
    opal_memory_watch_t watch = watch_pages(pages + 4 * PAGE, 4);
    const struct ummunotify_event event = { .flags = UMMUNOTIFY_EVENT_FLAG_HINT,
                                            .user_cookie_counter = watch.cookie,
                                            .hint_start = (uintptr_t) pages + (size_t) hints[_i].start * PAGE,
                                            .hint_end = (uintptr_t) pages + (size_t) hints[_i].end * PAGE };
    lose(UMMUNOTIFY_DISCARD, pages + 4 * PAGE, 1);
    forget_told();
    fake_read_bytes(&event, sizeof(event));
    sync_now();
    ck_assert(told_exactly(pages + 4 * PAGE, 4 * PAGE));
    unwatch_pages(pages + 4 * PAGE, 4, &watch);
}
END_TEST

static void release_again(void)
{
    fake_notify((uintptr_t) pages, (uintptr_t) pages + PAGE);
}

/* One event a read, and another one before the next: LAST never comes. */
START_TEST(events_without_end_are_told_as_everything)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    fake_limit_reads(sizeof(struct ummunotify_event));
    fake_during(FAKE_READ, release_again);
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert(told_everything());
    ck_assert(opal_memory_changed());
    fake_during(FAKE_READ, NULL);
    sync_now();
    ck_assert(!opal_memory_changed());
    unwatch_pages(pages, PAGES, &watch);
}
END_TEST

static void release_once_more(void)
{
    fake_during(FAKE_READ, NULL);
    release_again();
}

/* After the sample of the base, before the read: told at once, and the counter says that there may be more. */
START_TEST(release_while_reading_is_not_taken_for_seen)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    lose(UMMUNOTIFY_DISCARD, pages + 4 * PAGE, 1);
    fake_during(FAKE_READ, release_once_more);
    sync_now();
    ck_assert_uint_ge(told(pages, PAGE), 1);
    ck_assert(opal_memory_changed());
    sync_now();
    ck_assert(!opal_memory_changed());
    unwatch_pages(pages, PAGES, &watch);
}
END_TEST

/* ---- The end ---------------------------------------------------------------------------------------- */

static void expect_lost(opal_memory_watch_t *watch, const char *message)
{
    opal_memory_watch_t other = { .cookie = opal_memory_base_new_cookie() };
    fixture_messages();
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(told_everything());
    expect(message, fixture_messages());
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(opal_memory_changed());
    ck_assert_int_eq(opal_memory_base_watch(pages, PAGE, &other), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(opal_memory_base_unwatch(pages, PAGE, watch), OPAL_SUCCESS);
    ck_assert_str_eq(fixture_messages(), ""); /* It was said once. */
}

static const int fatal[] = { EIO, EBADF, ENODEV + 1000 };

START_TEST(read_that_fails_ends_all)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    fake_fail(FAKE_READ, fatal[_i], 1);
    expect_lost(&watch, "cannot be read any more: nothing is kept registered any more");
}
END_TEST

START_TEST(end_of_file_ends_all)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    fake_read_bytes(NULL, 0);
    expect_lost(&watch, "has come to an end: nothing is kept registered any more");
}
END_TEST

START_TEST(library_works_again_after_the_next_start)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    fake_read_bytes(NULL, 0);
    expect_lost(&watch, "has come to an end");
    fixture_stop();
    forget_told();
    fixture_start();
    watch = watch_pages(pages, PAGES);
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    sync_now();
    ck_assert(told_exactly(pages, PAGE));
}
END_TEST

static TCase *starts(void)
{
    TCase *tests = tcase_create("start");
    tcase_add_test(tests, path_that_is_not_there_is_the_reason);
    if (emulator_can("ioctls that it does not know")) {
        tcase_add_test(tests, path_of_something_else_is_the_reason);
    }
    tcase_add_test(tests, empty_path_is_the_reason);
    ADD_SCRIPTED_LOOP(tests, what_the_driver_refuses_at_the_start_is_the_reason, 0, REFUSALS);
    ADD_SCRIPTED(tests, device_that_goes_before_it_is_used_is_the_reason);
    ADD_SCRIPTED_LOOP(tests, interrupted_calls_of_the_start_are_made_again, 0, INTERRUPTIBLE);
    ADD_SCRIPTED(tests, descriptor_that_cannot_be_moved_stays_where_it_is);
    ADD_SCRIPTED_LOOP(tests, driver_that_is_deaf_for_what_matters_does_not_start, 0, UMMUNOTIFY_TRUNCATE);
    ADD_SCRIPTED(tests, driver_that_is_deaf_for_files_says_so);
    return tests;
}

static TCase *running(void)
{
    TCase *tests = tcase_create("running");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    ADD_SCRIPTED(tests, interrupted_calls_are_made_again);
    ADD_SCRIPTED_LOOP(tests, region_that_the_driver_refuses_leaves_nothing_behind, 0, FAILURES);
    ADD_SCRIPTED(tests, region_that_the_driver_does_not_know_is_not_found);
    ADD_SCRIPTED(tests, registering_waits_for_a_release_that_had_begun);
    ADD_SCRIPTED(tests, twin_that_does_not_wait_pins_the_pages_that_go);
    ADD_SCRIPTED_LOOP(tests, short_reads_tell_all, 0, 3);
    ADD_SCRIPTED(tests, half_an_event_is_told_as_everything);
    ADD_SCRIPTED(tests, event_of_a_type_that_is_not_known_is_told_as_everything);
    ADD_SCRIPTED(tests, event_of_a_cookie_that_is_not_known_is_left_out);
    ADD_SCRIPTED_LOOP(tests, hint_that_is_not_in_the_region_is_told_as_the_region, 0, HINTS);
    ADD_SCRIPTED(tests, events_without_end_are_told_as_everything);
    ADD_SCRIPTED(tests, release_while_reading_is_not_taken_for_seen);
    ADD_SCRIPTED_LOOP(tests, read_that_fails_ends_all, 0, 3);
    ADD_SCRIPTED(tests, end_of_file_ends_all);
    ADD_SCRIPTED(tests, library_works_again_after_the_next_start);
    return tests;
}

int main(void)
{
    Suite *suite = suite_create("ummunotify_errors");
    suite_add_tcase(suite, starts());
    suite_add_tcase(suite, running());
    return fixture_run(suite);
}
