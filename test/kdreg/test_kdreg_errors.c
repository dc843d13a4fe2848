/* SPDX-License-Identifier: BSD-3-Clause */
/* The component "kdreg" and the errors of its driver: at the start, at a watch,
 * and when tables grow. On the fake. */
#include "components/kdreg/kdreg_sys.h"
#include "test/kdreg/kdreg_script.h"

/* ---- Start --------------------------------------------------------------------------------------- */

static const char *reason_of(void)
{
    static mca_base_component_info_t info;

    for (size_t i = 0; mca_base_component_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (strcmp(info.framework, "memory") == 0 && strcmp(info.name, "kdreg") == 0) {
            return info.reason;
        }
    }
    return "";
}

/* The component does not start, says why, and leaves nothing behind. */
static void must_not_start(const char *why)
{
    static bool has_another;

    if (!has_another) {
        kdreg_test_select_nothing();
        has_another = true;
    }
    setenv("OPALMEM_MCA_memory", "kdreg,nothing", 1);
    messages = 0;
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_ne(opal_memory->memoryc_version.mca_component_name, "kdreg");
    ck_assert_msg(strstr(reason_of(), why) != NULL, "the reason is \"%s\"", reason_of());
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    memset(&fake_script, 0, sizeof(fake_script));
    if (strstr(why, "File exists") == NULL) {
        ck_assert_int_eq(fake_open_files(), 0);
    }
}

static const struct {
    fake_call_t call;
    long times;
    int error;
    const char *why;
} no_start[] = {
    { FAKE_OPEN, 100, -ENOENT, "No such file or directory (is the module kdreg2 loaded?)" },
    { FAKE_OPEN, 100, -EACCES, "Permission denied (its mode has to let this user read and write)" },
    { FAKE_OPEN, 100, -EMFILE, "Too many open files" },
    { FAKE_CONFIG, 100, -ENOMEM, "its status page cannot be had: Cannot allocate memory" },
    { FAKE_CONFIG, 100, -ENOTTY, "its status page cannot be had" },
    { FAKE_MOVE, 1, -ENOMEM, "its status page cannot be had" },
    { FAKE_MAP, 1, -ENOMEM, "no memory" },
    { FAKE_MONITOR, 100, -ENOSPC, "it does not watch a page" },
    { FAKE_READ, 100, -EIO, "it does not tell at once that a page has gone" },
    { FAKE_POLL, 100, -EIO, "it does not tell at once that a page has gone" },
};

START_TEST(a_device_that_fails_at_the_start_is_not_used)
{
    kdreg_test_stop();
    let_fail(no_start[_i].call, no_start[_i].times, no_start[_i].error);
    must_not_start(no_start[_i].why);
    kdreg_test_start(8, 32);
}
END_TEST

START_TEST(a_device_that_notices_nothing_is_not_used)
{
    kdreg_test_stop();
    fake_script.deaf = true;
    must_not_start("it does not tell at once that a page has gone");
    kdreg_test_start(8, 32);
}
END_TEST

/* The first is a look whether there is one; the device proper is the third. */
static void let_guards_not_open(void)
{
    fake_script.call[FAKE_OPEN].at =
        fake_calls[FAKE_OPEN] == 2 || fake_calls[FAKE_OPEN] == 4 ? fake_calls[FAKE_OPEN] : 0;
    fake_script.call[FAKE_OPEN].error = -EMFILE;
}

/* The self-test takes three registrations, then come those of the guards. */
START_TEST(a_device_whose_descriptors_cannot_be_guarded_is_not_used)
{
    kdreg_test_stop();
    fake_reset_counts();
    if (_i == 0) {
        let_fail(FAKE_MONITOR, 100, -ENOMEM);
        fake_script.call[FAKE_MONITOR].at = 4;
    } else {
        fake_script.call[FAKE_OPEN].before = let_guards_not_open;
    }
    must_not_start("nothing would tell that its descriptors are closed");
    kdreg_test_start(8, 32);
}
END_TEST

START_TEST(a_device_that_answers_nonsense_is_not_used)
{
    kdreg_test_stop();
    fake_script.location_is_wrong = _i == 0;
    fake_script.generation_is_wrong = _i == 1;
    must_not_start("it does not watch a page");
    kdreg_test_start(8, 32);
}
END_TEST

START_TEST(a_device_whose_page_another_thread_got_between_is_left_open)
{
    kdreg_test_stop();
    fake_script.hole_is_taken = true;
    must_not_start("its status page cannot be had: File exists");
    ck_assert_int_eq(fake_open_files(), 1); /* To close it would unmap what is there now. */
}
END_TEST

START_TEST(a_file_that_is_no_device_is_refused)
{
    kdreg_test_stop();
    kdreg_sys = &kdreg_sys_real;
    setenv("OPALMEM_MCA_memory_kdreg_device", "/proc/self/exe", 1);
    must_not_start("cannot be opened");
    setenv("OPALMEM_MCA_memory_kdreg_device", "/dev/null", 1);
    must_not_start("its status page cannot be had");
    unsetenv("OPALMEM_MCA_memory_kdreg_device");
    fake_install();
    kdreg_test_start(8, 32);
}
END_TEST

START_TEST(without_guards_it_runs_all_the_same)
{
    kdreg_test_stop();
    fake_reset_counts();
    fake_script.call[FAKE_OPEN].at = 2; /* The first is a look whether there is one. */
    fake_script.call[FAKE_OPEN].error = -EMFILE;
    kdreg_test_select(8, 32);
    kdreg_test_start(8, 32);
    ck_assert_int_eq(fake_open_files(), 2);
    must_go_on();
}
END_TEST

/* ---- Watching ------------------------------------------------------------------------------------ */

static const struct {
    int error, code;
} monitor_errors[] = {
    { -ENOMEM, OPAL_ERR_OUT_OF_RESOURCE },
    { -EBUSY, OPAL_EXISTS },
    { -EINVAL, OPAL_ERR_BAD_PARAM },
    { -EINTR, OPAL_SUCCESS },
};

START_TEST(an_error_of_one_watch_is_that_watchs_alone)
{
    opal_memory_watch_t other;
    let_fail(FAKE_MONITOR, 1, monitor_errors[_i].error);
    ck_assert_int_eq(kdreg_test_watch(pages + PAGE, PAGE, &other), monitor_errors[_i].code);
    ck_assert(kdreg_test_is_good(&watch));
    must_go_on();
}
END_TEST

START_TEST(a_device_that_is_lost_at_a_watch_ends_caching)
{
    opal_memory_watch_t other;
    let_fail(FAKE_MONITOR, 1, lost[_i]);
    ck_assert_int_eq(kdreg_test_watch(pages + PAGE, PAGE, &other), OPAL_ERR_NOT_AVAILABLE);
    must_be_down();
}
END_TEST

START_TEST(an_answer_beyond_the_tables_ends_caching)
{
    opal_memory_watch_t other;
    fake_script.location_is_wrong = _i == 0;
    fake_script.generation_is_wrong = _i == 1;
    ck_assert_int_eq(kdreg_test_watch(pages + PAGE, PAGE, &other), OPAL_ERR_NOT_AVAILABLE);
    must_be_down();
}
END_TEST

START_TEST(without_memory_for_the_cookie_nothing_is_watched)
{
    opal_memory_watch_t many[600];
    size_t i = 0;
    int rc = OPAL_SUCCESS;

    kdreg_test_stop();
    kdreg_test_start(1000, 1000);
    let_fail(FAKE_MAP, 1, -ENOMEM);
    for (; i < 600 && rc == OPAL_SUCCESS; i++) {
        rc = kdreg_test_watch(pages, PAGE, &many[i]);
    }
    ck_assert_int_eq(rc, OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &many[0]), OPAL_SUCCESS);
}
END_TEST

static const struct {
    int error, code;
} unmonitor_errors[] = { { -EBADSLT, OPAL_SUCCESS }, { -ESRCH, OPAL_SUCCESS }, { -EINTR, OPAL_SUCCESS } };

START_TEST(a_region_that_the_driver_has_no_more_is_unwatched)
{
    let_fail(FAKE_UNMONITOR, 1, unmonitor_errors[_i].error);
    ck_assert_int_eq(unwatch(), unmonitor_errors[_i].code);
    ck_assert_int_eq(unwatch(), OPAL_ERR_NOT_FOUND);
    must_go_on();
}
END_TEST

START_TEST(a_device_that_is_lost_at_an_unwatch_ends_caching)
{
    let_fail(FAKE_UNMONITOR, 1, lost[_i]);
    ck_assert_int_eq(unwatch(), OPAL_ERR_NOT_AVAILABLE);
    must_be_down();
}
END_TEST

START_TEST(unwatching_what_was_hit_makes_no_call)
{
    kdreg_test_discard(pages, PAGE);
    fake_reset_counts();
    ck_assert_int_eq(unwatch(), OPAL_SUCCESS);
    ck_assert_int_eq(fake_calls[FAKE_UNMONITOR], 0);
}
END_TEST

/* ---- Growing ------------------------------------------------------------------------------------- */

static void fill(void)
{
    for (int i = 1; i < 8; i++) {
        opal_memory_watch_t other;
        ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_SUCCESS);
    }
}

START_TEST(tables_that_are_busy_for_a_while_grow)
{
    opal_memory_watch_t other;
    fill();
    let_fail(FAKE_CONFIG, 5, -EBUSY);
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_SUCCESS);
    ck_assert_int_eq(fake_calls[FAKE_CONFIG], 6);
    ck_assert_int_eq(kdreg_test_told_everything(), 1);
    ck_assert(!opal_memory_watch_holds(&watch));
    must_go_on();
}
END_TEST

START_TEST(tables_grow_although_a_signal_interrupts)
{
    opal_memory_watch_t other;
    fill();
    let_fail(FAKE_CONFIG, 3, -EINTR);
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_SUCCESS);
    ck_assert_int_eq(fake_calls[FAKE_CONFIG], 4);
    ck_assert(opal_memory_watch_holds(&other));
    must_go_on();
    for (int i = 1; i < 16; i++) {
        ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_SUCCESS);
    }
}
END_TEST

START_TEST(a_start_that_a_signal_interrupts_goes_on)
{
    kdreg_test_stop();
    let_fail(_i == 0 ? FAKE_CONFIG : FAKE_OPEN, 5, -EINTR);
    kdreg_test_start(8, 32);
    must_go_on();
}
END_TEST

static const int refusals[] = { -ENOSPC, -EFAULT, -EPERM };

/* Only ENOMEM is known to take the tables away, and not from every driver. */
START_TEST(tables_that_an_error_leaves_alone_are_used_on)
{
    opal_memory_watch_t other;
    fill();
    let_fail(FAKE_CONFIG, 1, refusals[_i]);
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_SUCCESS); /* All others have ended. */
    ck_assert_int_eq(fake_calls[FAKE_CONFIG], 1);
    ck_assert(opal_memory_watch_holds(&other));
    ck_assert(!opal_memory_watch_holds(&watch));
    must_go_on();
}
END_TEST

START_TEST(a_range_that_wraps_is_refused)
{
    opal_memory_watch_t other;
    ck_assert_int_eq(kdreg_test_watch(pages, SIZE_MAX, &other), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(kdreg_test_watch(pages, 0, &other), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(fake_calls[FAKE_MONITOR], 0);
    must_go_on();
}
END_TEST

static void event_comes(void)
{
    static bool done;
    if (!done) {
        done = true;
        fake_run_deferred();
    }
}

/* The notifier was put off, and its event comes when all have been flushed. */
START_TEST(tables_grow_although_an_event_comes_late)
{
    opal_memory_watch_t other;
    fill();
    fake_script.defers = true;
    kdreg_test_discard(pages, PAGE);
    fake_script.call[FAKE_UNMONITOR].before = event_comes;
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_SUCCESS);
    ck_assert_int_eq(kdreg_test_told_everything(), 1);
    must_go_on();
}
END_TEST

START_TEST(tables_that_stay_busy_keep_their_size)
{
    opal_memory_watch_t other;
    fill();
    let_fail(FAKE_CONFIG, 1000, -EBUSY);
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_SUCCESS); /* Their regions have ended. */
    ck_assert_int_eq(kdreg_test_told_everything(), 1);
    ck_assert(!opal_memory_watch_holds(&watch));
    must_go_on();
}
END_TEST

START_TEST(without_memory_for_larger_tables_the_former_size_comes_back)
{
    opal_memory_watch_t other;
    fill();
    let_fail(FAKE_CONFIG, 1, -ENOMEM);
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_SUCCESS);
    ck_assert_int_eq(fake_calls[FAKE_CONFIG], 2);
    ck_assert(!opal_memory_watch_holds(&watch));
    for (int i = 1; i < 8; i++) {
        ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_SUCCESS);
    }
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(kdreg_test_told_everything(), 1);
}
END_TEST

START_TEST(without_memory_for_any_tables_caching_ends)
{
    opal_memory_watch_t other;
    fill();
    let_fail(FAKE_CONFIG, 100, -ENOMEM);
    ck_assert_int_ne(kdreg_test_watch(pages, PAGE, &other), OPAL_SUCCESS);
    must_be_down();
}
END_TEST

static void add_start(Suite *suite)
{
    TCase *tcase = tcase_create("start");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, a_device_that_fails_at_the_start_is_not_used, 0,
                        sizeof(no_start) / sizeof(no_start[0]));
    tcase_add_test(tcase, a_device_that_notices_nothing_is_not_used);
    tcase_add_loop_test(tcase, a_device_whose_descriptors_cannot_be_guarded_is_not_used, 0, 2);
    tcase_add_loop_test(tcase, a_device_that_answers_nonsense_is_not_used, 0, 2);
    tcase_add_test(tcase, a_file_that_is_no_device_is_refused);
    tcase_add_test(tcase, without_guards_it_runs_all_the_same);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("hole");
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, a_device_whose_page_another_thread_got_between_is_left_open);
    suite_add_tcase(suite, tcase);
}

static void add_watch(Suite *suite)
{
    TCase *tcase = tcase_create("watch");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, an_error_of_one_watch_is_that_watchs_alone, 0, 4);
    tcase_add_loop_test(tcase, a_device_that_is_lost_at_a_watch_ends_caching, 0, 4);
    tcase_add_loop_test(tcase, an_answer_beyond_the_tables_ends_caching, 0, 2);
    tcase_add_test(tcase, without_memory_for_the_cookie_nothing_is_watched);
    tcase_add_loop_test(tcase, a_region_that_the_driver_has_no_more_is_unwatched, 0, 3);
    tcase_add_loop_test(tcase, a_device_that_is_lost_at_an_unwatch_ends_caching, 0, 4);
    tcase_add_test(tcase, unwatching_what_was_hit_makes_no_call);
    tcase_add_test(tcase, tables_that_are_busy_for_a_while_grow);
    tcase_add_test(tcase, tables_grow_although_a_signal_interrupts);
    tcase_add_loop_test(tcase, a_start_that_a_signal_interrupts_goes_on, 0, 2);
    tcase_add_loop_test(tcase, tables_that_an_error_leaves_alone_are_used_on, 0, 3);
    tcase_add_test(tcase, a_range_that_wraps_is_refused);
    tcase_add_test(tcase, tables_grow_although_an_event_comes_late);
    tcase_add_test(tcase, tables_that_stay_busy_keep_their_size);
    tcase_add_test(tcase, without_memory_for_larger_tables_the_former_size_comes_back);
    tcase_add_test(tcase, without_memory_for_any_tables_caching_ends);
    suite_add_tcase(suite, tcase);
}

static void add_all(Suite *suite)
{
    add_start(suite);
    add_watch(suite);
}

int main(void)
{
    return script_main("kdreg_errors", add_all);
}
