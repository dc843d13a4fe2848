/* SPDX-License-Identifier: BSD-3-Clause */
/* The component "kdreg" through the calls of the memory framework: on the fake,
 * or unchanged on the device. */
#include <errno.h>
#include <fcntl.h>

#include "test/kdreg/kdreg_test.h"

#define FREE_AND_MUNMAP (OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT)

static unsigned char *pages;
static opal_memory_watch_t watch;

static void set_up(void)
{
    kdreg_test_start(16, 16);
    pages = kdreg_test_pages(8);
}

static void tear_down(void)
{
    kdreg_test_stop();
    munmap(pages, 8 * PAGE);
}

static void watch_pages(size_t first, size_t count)
{
    ck_assert_int_eq(kdreg_test_watch(pages + first * PAGE, count * PAGE, &watch), OPAL_SUCCESS);
    ck_assert(kdreg_test_is_good(&watch));
}

static int unwatch(void)
{
    return opal_memory_base_unwatch(NULL, 0, &watch);
}

/* What was watched is known to be bad, at once and without a call; then it is told. */
static void must_be_told(size_t first, size_t count)
{
    ck_assert(!kdreg_test_is_good(&watch));
    ck_assert(!opal_memory_watch_holds(&watch));
    ck_assert(opal_memory_changed());
    kdreg_test_deliver();
    ck_assert(!opal_memory_changed());
    ck_assert(!opal_memory_watch_holds(&watch));
    ck_assert_int_eq(kdreg_test_told(pages + first * PAGE, count * PAGE), 1);
    ck_assert_int_eq(unwatch(), OPAL_SUCCESS);
}

/* ---- What it says -------------------------------------------------------------------------------- */

START_TEST(what_the_self_test_saw_is_promised)
{
    ck_assert_int_eq(opal_mem_hooks_support_level() & FREE_AND_MUNMAP, FREE_AND_MUNMAP);
    const uint64_t sees = OPAL_MEMORY_SEES_RAW | OPAL_MEMORY_SEES_DISCARD | OPAL_MEMORY_SEES_FILE;
    ck_assert_uint_eq(opal_memory_base_sees() & sees, sees);
    ck_assert_uint_eq(opal_memory_base_sees() & OPAL_MEMORY_SEES_BEFORE, 0);
}
END_TEST

START_TEST(when_nothing_happens_nothing_is_told)
{
    watch_pages(0, 4);
    memset(pages, 2, 4 * PAGE);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert(kdreg_test_is_good(&watch));
    ck_assert_int_eq(kdreg_test_told(pages, 8 * PAGE), 0);
    ck_assert_int_eq(unwatch(), OPAL_SUCCESS);
}
END_TEST

/* ---- Releases ------------------------------------------------------------------------------------ */

START_TEST(unmapped_pages_are_told)
{
    watch_pages(0, 4);
    kdreg_test_munmap(pages, 4 * PAGE);
    must_be_told(0, 4);
}
END_TEST

START_TEST(one_page_of_many_is_told_as_the_whole_region)
{
    watch_pages(0, 8);
    kdreg_test_munmap(pages + 5 * PAGE, PAGE);
    must_be_told(0, 1);
}
END_TEST

START_TEST(pages_beside_the_region_are_not_told)
{
    watch_pages(2, 2);
    kdreg_test_munmap(pages, 2 * PAGE);
    kdreg_test_munmap(pages + 4 * PAGE, 4 * PAGE);
    ck_assert(kdreg_test_is_good(&watch));
    ck_assert_int_eq(unwatch(), OPAL_SUCCESS);
}
END_TEST

START_TEST(discarded_pages_are_told)
{
    watch_pages(1, 2);
    kdreg_test_discard(pages + PAGE, PAGE);
    must_be_told(1, 2);
}
END_TEST

START_TEST(pages_that_are_mapped_over_are_told)
{
    watch_pages(1, 2);
    kdreg_test_map_over(pages + 2 * PAGE, PAGE);
    must_be_told(1, 2);
}
END_TEST

START_TEST(pages_that_are_moved_away_are_told)
{
    watch_pages(1, 2);
    void *now = kdreg_test_mremap(pages + PAGE, 2 * PAGE);
    must_be_told(1, 2);
    munmap(now, 2 * PAGE);
}
END_TEST

START_TEST(pages_of_a_file_that_is_cut_are_told)
{
    const int fd = memfd_create("cut", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(fd, (off_t) PAGE), 0);
    ck_assert_ptr_eq(mmap(pages, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0), pages);
    pages[0] = 1;
    watch_pages(0, 1);
    kdreg_test_truncate(fd, pages, PAGE);
    must_be_told(0, 1);
    close(fd);
}
END_TEST

START_TEST(each_of_two_regions_over_a_page_is_told)
{
    opal_memory_watch_t other;
    watch_pages(0, 4);
    ck_assert_int_eq(kdreg_test_watch(pages + 3 * PAGE, 4 * PAGE, &other), OPAL_SUCCESS);
    kdreg_test_munmap(pages + 3 * PAGE, PAGE);
    ck_assert(!opal_memory_watch_holds(&watch) && !opal_memory_watch_holds(&other));
    kdreg_test_deliver();
    ck_assert_int_eq(kdreg_test_told(pages + 3 * PAGE, PAGE), 2);
    ck_assert_int_eq(opal_memory_base_unwatch(NULL, 0, &other), OPAL_SUCCESS);
    ck_assert_int_eq(unwatch(), OPAL_SUCCESS);
}
END_TEST

START_TEST(pages_that_are_not_watched_are_not_told)
{
    kdreg_test_munmap(pages, PAGE);
    ck_assert(!opal_memory_changed());
}
END_TEST

/* ---- Cookies ------------------------------------------------------------------------------------- */

START_TEST(a_cookie_in_use_is_refused_with_the_same_range_and_with_another)
{
    watch_pages(0, 1);
    opal_memory_watch_t same = { .cookie = watch.cookie };
    ck_assert_int_eq(opal_memory_base_watch(pages, PAGE, &same), OPAL_EXISTS);
    ck_assert_int_eq(opal_memory_base_watch(pages + PAGE, PAGE, &same), OPAL_EXISTS);
    ck_assert(kdreg_test_is_good(&watch));
    ck_assert_int_eq(unwatch(), OPAL_SUCCESS);
}
END_TEST

START_TEST(a_cookie_that_is_not_watched_is_not_found)
{
    watch = (opal_memory_watch_t){ .cookie = opal_memory_base_new_cookie() };
    ck_assert_int_eq(unwatch(), OPAL_ERR_NOT_FOUND);
    watch_pages(0, 1);
    ck_assert_int_eq(unwatch(), OPAL_SUCCESS);
    ck_assert_int_eq(unwatch(), OPAL_ERR_NOT_FOUND);
}
END_TEST

START_TEST(an_empty_range_and_the_drivers_bad_cookie_are_refused)
{
    ck_assert_int_eq(kdreg_test_watch(pages, 0, &watch), OPAL_ERR_BAD_PARAM);
    watch.cookie = UINT64_MAX;
    ck_assert_int_eq(opal_memory_base_watch(pages, PAGE, &watch), OPAL_ERR_BAD_PARAM);
}
END_TEST

START_TEST(what_was_unwatched_after_its_release_is_not_told)
{
    watch_pages(0, 1);
    kdreg_test_discard(pages, PAGE);
    ck_assert_int_eq(unwatch(), OPAL_SUCCESS); /* The driver keeps its event. */
    opal_memory_watch_t again;
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &again), OPAL_SUCCESS);
    kdreg_test_deliver();
    ck_assert_int_eq(kdreg_test_told(pages, PAGE), 0);
    ck_assert(kdreg_test_is_good(&again));
    ck_assert_int_eq(opal_memory_base_unwatch(pages, PAGE, &again), OPAL_SUCCESS);
}
END_TEST

START_TEST(a_region_is_told_once_and_again_after_a_new_watch)
{
    watch_pages(0, 1);
    kdreg_test_discard(pages, PAGE);
    must_be_told(0, 1);
    kdreg_test_discard(pages, PAGE);
    ck_assert(!opal_memory_changed());
    kdreg_test_forget();
    watch_pages(0, 1);
    kdreg_test_discard(pages, PAGE);
    must_be_told(0, 1);
}
END_TEST

START_TEST(the_functions_of_a_plain_component_do_the_same)
{
    const uint64_t cookie = opal_memory_base_new_cookie();
    ck_assert_int_eq(opal_memory->memoryc_register(pages, PAGE, cookie), OPAL_SUCCESS);
    ck_assert_int_eq(opal_memory->memoryc_register(pages, PAGE, cookie), OPAL_EXISTS);
    kdreg_test_munmap(pages, PAGE);
    ck_assert(opal_memory_changed());
    ck_assert_int_eq(opal_memory->memoryc_process(), OPAL_SUCCESS);
    ck_assert_int_eq(kdreg_test_told(pages, PAGE), 1);
    ck_assert_int_eq(opal_memory->memoryc_deregister(pages, PAGE, cookie), OPAL_SUCCESS);
    ck_assert_int_eq(opal_memory->memoryc_deregister(pages, PAGE, cookie), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
}
END_TEST

/* A plain client may use a cookie again while the event of its former life waits. */
START_TEST(an_event_of_a_former_life_of_a_cookie_leaves_the_new_one_watched)
{
    const uint64_t cookie = opal_memory_base_new_cookie();
    ck_assert_int_eq(opal_memory->memoryc_register(pages, PAGE, cookie), OPAL_SUCCESS);
    kdreg_test_discard(pages, PAGE);
    ck_assert_int_eq(opal_memory->memoryc_deregister(pages, PAGE, cookie), OPAL_SUCCESS);
    ck_assert_int_eq(opal_memory->memoryc_register(pages, PAGE, cookie), OPAL_SUCCESS);
    kdreg_test_deliver();
    ck_assert_int_eq(opal_memory->memoryc_deregister(pages, PAGE, cookie), OPAL_SUCCESS);
    if (!kdreg_test_on_device()) {
        ck_assert_uint_eq(fake_regions(), 2); /* The guards. */
    }
}
END_TEST

/* ---- Tables -------------------------------------------------------------------------------------- */

START_TEST(full_tables_refuse_until_one_is_unwatched)
{
    opal_memory_watch_t many[16];
    for (size_t i = 0; i < 16; i++) {
        ck_assert_int_eq(kdreg_test_watch(pages + i % 8 * PAGE, PAGE, &many[i]), OPAL_SUCCESS);
    }
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &watch), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert(kdreg_test_is_good(&many[3]));
    ck_assert_int_eq(opal_memory_base_unwatch(NULL, 0, &many[3]), OPAL_SUCCESS);
    watch_pages(0, 1);
    for (size_t i = 0; i < 16; i++) {
        ck_assert_int_eq(opal_memory_base_unwatch(NULL, 0, &many[i]), i == 3 ? OPAL_ERR_NOT_FOUND : OPAL_SUCCESS);
    }
    ck_assert_int_eq(unwatch(), OPAL_SUCCESS);
}
END_TEST

START_TEST(events_that_are_lost_are_told_as_everything_and_it_goes_on)
{
    opal_memory_watch_t many[40];
    for (size_t i = 0; i < 40; i++) { /* Nobody reads: the queue has as many places as the tables. */
        ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &many[i]), OPAL_SUCCESS);
        kdreg_test_discard(pages, PAGE);
        ck_assert(!opal_memory_watch_holds(&many[i]));
    }
    ck_assert_int_eq(kdreg_test_watch(pages + 4 * PAGE, PAGE, &watch), OPAL_SUCCESS);
    kdreg_test_deliver();
    ck_assert_int_eq(kdreg_test_told_everything(), 1);
    ck_assert(kdreg_test_is_good(&watch));
    kdreg_test_munmap(pages + 4 * PAGE, PAGE);
    must_be_told(4, 1);
    for (size_t i = 0; i < 40; i++) {
        ck_assert_int_eq(opal_memory_base_unwatch(NULL, 0, &many[i]), OPAL_SUCCESS);
    }
}
END_TEST

static void grow_tables(size_t count, opal_memory_watch_t *many)
{
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(kdreg_test_watch(pages + i % 8 * PAGE, PAGE, &many[i]), OPAL_SUCCESS);
        ck_assert(opal_memory_watch_holds(&many[i]));
    }
}

START_TEST(full_tables_grow_and_all_is_told)
{
    opal_memory_watch_t many[110]; /* 4, then 8, 16, 32, 50: the former ones end each time. */
    kdreg_test_stop();
    kdreg_test_start(4, 50);
    grow_tables(110, many);
    ck_assert_int_eq(kdreg_test_told_everything(), 4);
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &watch), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    for (size_t i = 0; i < 110; i++) {
        ck_assert_int_eq(opal_memory_watch_holds(&many[i]), i >= 60);
        ck_assert_int_eq(opal_memory_base_unwatch(NULL, 0, &many[i]), OPAL_SUCCESS);
    }
    kdreg_test_forget();
    watch_pages(0, 1);
    kdreg_test_munmap(pages, PAGE);
    must_be_told(0, 1);
}
END_TEST

START_TEST(tables_grow_while_events_wait)
{
    opal_memory_watch_t many[9];
    kdreg_test_stop();
    kdreg_test_start(4, 8);
    grow_tables(4, many);
    kdreg_test_discard(pages + PAGE, PAGE);
    grow_tables(5, many + 4);
    ck_assert_int_eq(kdreg_test_told_everything(), 1);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
    ck_assert(kdreg_test_is_good(&many[8]));
}
END_TEST

/* ---- Forks --------------------------------------------------------------------------------------- */

static void child_watches(void)
{
    opal_memory_watch_t own;
    child_must_end_within(60);
    unsigned char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory[0] = 1;
    bool good = kdreg_test_watch(memory, PAGE, &own) == OPAL_SUCCESS && opal_memory_watch_holds(&own);
    good = opal_memory_base_sync() == OPAL_SUCCESS && good && kdreg_test_is_good(&own);
    kdreg_test_forget();
    kdreg_test_discard(memory, PAGE);
    good = good && !opal_memory_watch_holds(&own) && opal_memory_changed();
    good = good && opal_memory_base_sync() == OPAL_SUCCESS && kdreg_test_told(memory, PAGE) == 1;
    good = good && opal_memory_base_unwatch(memory, PAGE, &own) == OPAL_SUCCESS;
    good = opal_memory_base_unwatch(NULL, 0, &watch) == OPAL_ERR_NOT_FOUND && good; /* The parent's. */
    child_says(good);
}

static void fork_with_child(bool is_raw)
{
    kdreg_test_dont_fork(pages, PAGE);
    watch_pages(0, 1);
    const pid_t pid = kdreg_test_fork(is_raw);
    if (pid == 0) {
        child_watches();
    }
    child_must_be_good(pid);
    ck_assert(kdreg_test_is_good(&watch));
    ck_assert_int_eq(kdreg_test_told(pages, PAGE), 0);
    kdreg_test_munmap(pages, PAGE);
    must_be_told(0, 1);
}

START_TEST(a_fork_child_has_a_device_of_its_own)
{
    fork_with_child(false);
}
END_TEST

START_TEST(a_fork_that_libc_does_not_hear_of_is_noticed)
{
    if (raw_forks_are_noticed() && !under_valgrind()) {
        fork_with_child(true);
    }
}
END_TEST

START_TEST(private_pages_are_told_at_a_fork)
{
    watch_pages(0, 1);
    const pid_t pid = kdreg_test_fork(false);
    if (pid == 0) {
        child_says(true);
    }
    child_must_be_good(pid);
    must_be_told(0, 1); /* Whoever writes next, gets another page. */
}
END_TEST

START_TEST(a_grandchild_has_a_device_of_its_own)
{
    const pid_t pid = kdreg_test_fork(false);
    if (pid == 0) {
        opal_memory_watch_t own;
        kdreg_test_dont_fork(pages, PAGE);
        const bool good = kdreg_test_watch(pages, PAGE, &own) == OPAL_SUCCESS;
        const pid_t grandchild = kdreg_test_fork(false);
        if (grandchild == 0) {
            child_watches();
        }
        int status = -1;
        waitpid(grandchild, &status, 0);
        child_says(good && status == 0 && opal_memory_base_sync() == OPAL_SUCCESS && kdreg_test_is_good(&own));
    }
    child_must_be_good(pid);
}
END_TEST

/* ---- Descriptors --------------------------------------------------------------------------------- */

START_TEST(descriptors_are_high_and_closed_by_exec)
{
    int fds[8];
    const size_t count = kdreg_test_descriptors(fds, 8);
    ck_assert_uint_ge(count, 1);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_gt(fds[i], 200);
        ck_assert_int_ne(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, 0);
    }
}
END_TEST

/* Nothing is trusted any more, and nothing crashes. */
static void must_be_down(void)
{
    ck_assert(opal_memory_changed());
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(opal_memory_changed());
    ck_assert_int_ge(kdreg_test_told_everything(), 1);
    opal_memory_watch_t other;
    ck_assert_int_eq(kdreg_test_watch(pages, PAGE, &other), OPAL_ERR_NOT_AVAILABLE);
    (void) opal_memory_watch_holds(&watch);
}

static void quiet(mca_base_log_level_t level, const char *text, void *arg)
{
    (void) level;
    if (strstr(text, "nothing is cached") != NULL) {
        ++*(int *) arg;
    }
}

static void close_in_order(bool is_upward)
{
    int fds[8], messages = 0;
    const size_t count = kdreg_test_descriptors(fds, 8);
    mca_base_set_log(quiet, &messages);
    watch_pages(0, 1);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(kdreg_test_close(fds[is_upward ? i : count - 1 - i]), 0);
        ck_assert(opal_memory_changed());
    }
    must_be_down();
    ck_assert_int_eq(messages, 1);
    mca_base_set_log(NULL, NULL);
}

START_TEST(a_program_that_closes_all_descriptors_upwards_is_noticed)
{
    close_in_order(true);
}
END_TEST

START_TEST(a_program_that_closes_all_descriptors_downwards_is_noticed)
{
    close_in_order(false);
}
END_TEST

START_TEST(another_file_in_place_of_the_device_is_left_alone)
{
    int fds[8], ends[2], messages = 0;
    char text[4] = "";
    const size_t count = kdreg_test_descriptors(fds, 8);
    mca_base_set_log(quiet, &messages);
    watch_pages(0, 1);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq((int) write(ends[1], "abc", 3), 3);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(kdreg_test_dup2(ends[0], fds[i]), fds[i]);
    }
    must_be_down();
    ck_assert_int_eq((int) read(ends[0], text, 3), 3);
    ck_assert_str_eq(text, "abc");
    mca_base_set_log(NULL, NULL);
    kdreg_test_stop();
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_ne(fcntl(fds[i], F_GETFD), -1); /* Theirs now. */
    }
    kdreg_test_start(16, 16);
}
END_TEST

/* ---- Life ---------------------------------------------------------------------------------------- */

START_TEST(it_can_be_started_again_and_again)
{
    for (int i = 0; i < 10; i++) {
        watch_pages(0, 1);
        kdreg_test_discard(pages, PAGE);
        if (i % 2 == 0) {
            must_be_told(0, 1);
        }
        kdreg_test_stop();
        kdreg_test_start(16 + (size_t) i, 64);
    }
}
END_TEST

START_TEST(without_a_device_another_component_is_taken_without_a_word)
{
    int messages = 0;
    kdreg_test_stop();
    mca_base_set_log(quiet, &messages);
    setenv("OPALMEM_MCA_memory_kdreg_device", "/dev/null/kdreg2", 1);
    if (!kdreg_test_on_device()) {
        fake_script.call[FAKE_OPEN].at = 1;
        fake_script.call[FAKE_OPEN].times = 100;
        fake_script.call[FAKE_OPEN].error = -ENOENT;
        fake_reset_counts();
    }
    setenv("OPALMEM_MCA_memory", "^linux", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_ne(opal_memory->memoryc_version.mca_component_name, "kdreg");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert_int_eq(messages, 0);
    mca_base_set_log(NULL, NULL);
    unsetenv("OPALMEM_MCA_memory_kdreg_device");
    memset(&fake_script, 0, sizeof(fake_script));
    kdreg_test_start(16, 16);
}
END_TEST

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, what_the_self_test_saw_is_promised);
    tcase_add_test(tcase, when_nothing_happens_nothing_is_told);
    tcase_add_test(tcase, unmapped_pages_are_told);
    tcase_add_test(tcase, one_page_of_many_is_told_as_the_whole_region);
    tcase_add_test(tcase, pages_beside_the_region_are_not_told);
    tcase_add_test(tcase, discarded_pages_are_told);
    tcase_add_test(tcase, pages_that_are_mapped_over_are_told);
    tcase_add_test(tcase, pages_that_are_moved_away_are_told);
    tcase_add_test(tcase, pages_of_a_file_that_is_cut_are_told);
    tcase_add_test(tcase, each_of_two_regions_over_a_page_is_told);
    tcase_add_test(tcase, pages_that_are_not_watched_are_not_told);
    tcase_add_test(tcase, a_cookie_in_use_is_refused_with_the_same_range_and_with_another);
    tcase_add_test(tcase, a_cookie_that_is_not_watched_is_not_found);
    tcase_add_test(tcase, an_empty_range_and_the_drivers_bad_cookie_are_refused);
    tcase_add_test(tcase, what_was_unwatched_after_its_release_is_not_told);
    tcase_add_test(tcase, a_region_is_told_once_and_again_after_a_new_watch);
    tcase_add_test(tcase, the_functions_of_a_plain_component_do_the_same);
    tcase_add_test(tcase, an_event_of_a_former_life_of_a_cookie_leaves_the_new_one_watched);
    tcase_add_test(tcase, full_tables_refuse_until_one_is_unwatched);
    tcase_add_test(tcase, events_that_are_lost_are_told_as_everything_and_it_goes_on);
    tcase_add_test(tcase, full_tables_grow_and_all_is_told);
    tcase_add_test(tcase, tables_grow_while_events_wait);
}

static void add_life_tests(TCase *tcase)
{
    tcase_add_test(tcase, a_fork_child_has_a_device_of_its_own);
    tcase_add_test(tcase, a_fork_that_libc_does_not_hear_of_is_noticed);
    tcase_add_test(tcase, private_pages_are_told_at_a_fork);
    tcase_add_test(tcase, a_grandchild_has_a_device_of_its_own);
    tcase_add_test(tcase, descriptors_are_high_and_closed_by_exec);
    tcase_add_test(tcase, a_program_that_closes_all_descriptors_upwards_is_noticed);
    tcase_add_test(tcase, a_program_that_closes_all_descriptors_downwards_is_noticed);
    tcase_add_test(tcase, another_file_in_place_of_the_device_is_left_alone);
    tcase_add_test(tcase, it_can_be_started_again_and_again);
    tcase_add_test(tcase, without_a_device_another_component_is_taken_without_a_word);
}

int main(void)
{
    const int missing = kdreg_test_prepare();
    if (missing != 0) {
        return missing;
    }
    Suite *suite = suite_create("kdreg");
    TCase *tcase = tcase_create("events"), *life = tcase_create("life");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_checked_fixture(life, set_up, tear_down);
    add_tests(tcase);
    add_life_tests(life);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, life);
    return test_run(suite);
}
