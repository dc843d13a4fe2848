/* SPDX-License-Identifier: BSD-3-Clause */
/* How each call is made and which events it raises, with a kernel that answers
 * as the test wants: the order of event and call, errors, and the calls that
 * need to ask the kernel something first. */
#include "components/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "test/linux/steps.h"
#include "test/test_main.h"

START_TEST(release_comes_before_the_call_and_window_spans_it)
{
    ck_assert_int_eq(RUN(MUNMAP, A, K), 0);
    CHECK_STEPS({ 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MUNMAP }, { 'c', SYS_munmap, A, 0 });
    ck_assert(!opal_mem_hooks_window_overlaps(A, K));
}
END_TEST

START_TEST(window_closes_when_the_call_fails)
{
    answers[0] = -ENOMEM;
    ck_assert_int_eq(RUN(MUNMAP, A, K), -ENOMEM);
    ck_assert_int_eq(step_count, 2);
    ck_assert(!opal_mem_hooks_window_overlaps(A, K));
}
END_TEST

START_TEST(refused_call_is_made_without_events)
{
    answers[0] = -EINVAL;
    ck_assert_int_eq(RUN(MUNMAP, A + 1, K), -EINVAL);
    CHECK_STEPS({ 'c', SYS_munmap, A + 1, 0 });
}
END_TEST

START_TEST(disabled_call_only_passes)
{
    linux_calls_go_live(false);
    fake_sys_set(SYS_munmap, fake_mmap);
    RUN(MUNMAP, A, K);
    CHECK_STEPS({ 'c', SYS_mmap, 0, 0 });
}
END_TEST

START_TEST(twin_without_the_component_nothing_is_seen)
{
    answers[0] = 0;
    fake_sys_set(SYS_munmap, fake_mmap);
    linux_sys_call(SYS_munmap, (const long[6]){ A, K });
    CHECK_STEPS({ 'c', SYS_mmap, 0, 0 });
}
END_TEST

/* What is left to the site's own instruction: calls with nothing to do behind them. */
static const struct {
    linux_call_id_t id;
    long args[6];
    bool with_alloc;
    linux_plan_t plan;
} plan_rows[] = {
    { LINUX_CALL_MUNMAP, { A, K }, true, LINUX_PLAN_MAKE_THEN },
    { LINUX_CALL_MUNMAP, { A + 1, K }, true, LINUX_PLAN_MAKE },
    { LINUX_CALL_MADVISE, { A, K, MADV_WILLNEED }, true, LINUX_PLAN_MAKE },
    { LINUX_CALL_MADVISE, { A, K, MADV_DONTNEED }, true, LINUX_PLAN_MAKE_THEN },
    { LINUX_CALL_MMAP, { 0, K, 0, MAP_PRIVATE | MAP_ANONYMOUS }, true, LINUX_PLAN_MAKE_THEN },
    { LINUX_CALL_MMAP, { 0, K, 0, MAP_PRIVATE | MAP_ANONYMOUS }, false, LINUX_PLAN_MAKE },
    { LINUX_CALL_MMAP, { A, K, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED }, false, LINUX_PLAN_MAKE_THEN },
};

START_TEST(call_with_nothing_to_do_afterwards_is_left_to_its_site)
{
    const linux_site_t site = { .call = &linux_calls[plan_rows[_i].id] };
    linux_frame_t frame = { .nr = 0 };

    if (!plan_rows[_i].with_alloc) {
        ck_assert_int_eq(opal_mem_hooks_unregister_alloc(on_alloc), OPAL_SUCCESS);
    }
    memcpy(frame.args, plan_rows[_i].args, sizeof(frame.args));
    ck_assert_int_eq(linux_before(&site, &frame), plan_rows[_i].plan);
    ck_assert_int_eq(frame.nr, site.call->nr);
    ck_assert_uint_eq(opal_mem_hooks_window_overlaps(A, K), frame.count != 0);
}
END_TEST

START_TEST(mmap_over_is_a_release_and_a_gain)
{
    const long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

    answers[0] = A;
    ck_assert_int_eq(RUN(MMAP, A, K, 0, flags, -1, 0), A);
    CHECK_STEPS({ 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MMAP }, { 'c', SYS_mmap, flags, 0 }, { 'a', A, K, 0 });
}
END_TEST

START_TEST(failed_mmap_gains_nothing)
{
    const long flags = MAP_PRIVATE | MAP_ANONYMOUS;

    answers[0] = -ENOMEM;
    ck_assert_int_eq(RUN(MMAP, 0, K, 0, flags, -1, 0), -ENOMEM);
    CHECK_STEPS({ 'c', SYS_mmap, flags, 0 });
}
END_TEST

static long bad_file(const long args[6])
{
    (void) args;
    return -EBADF;
}

START_TEST(mmap_over_of_a_closed_file_is_quiet)
{
    fake_sys_set(SYS_fcntl, bad_file);
    ck_assert_int_eq(RUN(MMAP, A, K, 0, MAP_SHARED | MAP_FIXED, 99, 0), -EBADF);
    ck_assert_int_eq(step_count, 0);
}
END_TEST

static long open_file(const long args[6])
{
    ck_assert_int_eq(args[1], F_GETFD);
    return 0;
}

static long huge_file(const long args[6])
{
    *(struct statfs *) args[1] = (struct statfs){ .f_type = HUGETLBFS_MAGIC, .f_bsize = MIB2 };
    return 0;
}

static long small_file(const long args[6])
{
    *(struct statfs *) args[1] = (struct statfs){ .f_type = TMPFS_MAGIC, .f_bsize = MIB2 };
    return 0;
}

START_TEST(mmap_over_of_a_hugetlbfs_file_takes_whole_huge_pages)
{
    const long flags = MAP_SHARED | MAP_FIXED;
    const long length = _i == 0 ? MIB2 : K;

    fake_sys_set(SYS_fcntl, open_file);
    fake_sys_set(SYS_fstatfs, _i == 0 ? huge_file : small_file);
    answers[0] = 2 * MIB2;
    RUN(MMAP, 2 * MIB2, K, 0, flags, 5, 0);
    CHECK_STEPS({ 'r', 2 * MIB2, length, OPAL_MEM_HOOKS_CAUSE_MMAP }, { 'c', SYS_mmap, flags, 0 },
                { 'a', 2 * MIB2, length, 0 });
}
END_TEST

START_TEST(growth_in_place_is_quiet)
{
    answers[0] = A;
    ck_assert_int_eq(RUN(MREMAP, A, K, 3 * K, MREMAP_MAYMOVE), A);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 }, { 'a', A + K, 2 * K, 0 });
}
END_TEST

START_TEST(growth_that_moves_releases_the_old_place)
{
    answers[0] = -ENOMEM;
    answers[1] = B;
    ck_assert_int_eq(RUN(MREMAP, A, K, 3 * K, MREMAP_MAYMOVE), B);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 }, { 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MREMAP },
                { 'c', SYS_mremap, MREMAP_MAYMOVE, 0 }, { 'a', B, 3 * K, 0 });
}
END_TEST

static const long final_errors[] = { -EFAULT, -EINVAL, -EAGAIN, -EPERM };

START_TEST(growth_that_cannot_be_is_tried_once)
{
    answers[0] = final_errors[_i];
    ck_assert_int_eq(RUN(MREMAP, A, K, 3 * K, MREMAP_MAYMOVE), final_errors[_i]);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 });
}
END_TEST

START_TEST(growth_with_an_unexpected_error_is_made_as_asked)
{
    answers[0] = -ENOSYS;
    answers[1] = -ENOSYS;
    ck_assert_int_eq(RUN(MREMAP, A, K, 3 * K, MREMAP_MAYMOVE), -ENOSYS);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 }, { 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MREMAP },
                { 'c', SYS_mremap, MREMAP_MAYMOVE, 0 });
}
END_TEST

START_TEST(fixed_move_releases_both_places_in_one_window)
{
    const long flags = MREMAP_MAYMOVE | MREMAP_FIXED;

    answers[0] = B;
    ck_assert_int_eq(RUN(MREMAP, A, K, K, flags, B), B);
    CHECK_STEPS({ 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MREMAP }, { 'r', B, K, OPAL_MEM_HOOKS_CAUSE_MREMAP },
                { 'c', SYS_mremap, flags, 0 }, { 'a', B, K, 0 });
}
END_TEST

/* The sizes are asked for one after another. Of more than two of them: test_linux_facts_aarch64.c. */
#define HAS_TWO_HUGE_PAGES (sizeof((const size_t[]) LINUX_HUGE_PAGES) == 2 * sizeof(size_t))

/* A huge page there: a length that ends within it means all of it. */
START_TEST(mremap_of_huge_pages_rounds_to_them)
{
    answers[0] = -EINVAL; /* the question whether it is one */
    answers[1] = MIB2;
    ck_assert_int_eq(RUN(MREMAP, MIB2, 2 * MIB2 - K, K, 0), MIB2);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 }, { 'r', 2 * MIB2, MIB2, OPAL_MEM_HOOKS_CAUSE_MREMAP },
                { 'c', SYS_mremap, 0, 0 });
}
END_TEST

START_TEST(mremap_of_small_pages_at_such_an_address_does_not)
{
    answers[0] = MIB2 + K;
    answers[1] = MIB2;
    ck_assert_int_eq(RUN(MREMAP, MIB2, 2 * MIB2 - K, K, 0), MIB2);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 }, { 'r', MIB2 + K, 2 * MIB2 - 2 * K, OPAL_MEM_HOOKS_CAUSE_MREMAP },
                { 'c', SYS_mremap, 0, 0 });
}
END_TEST

START_TEST(brk_asks_where_the_break_is)
{
    answers[0] = 0x30000;
    answers[1] = 0x20001;
    ck_assert_int_eq(RUN(BRK, 0x20001), 0x20001);
    CHECK_STEPS({ 'c', SYS_brk, 0, 0 }, { 'r', 0x21000, 0xf000, OPAL_MEM_HOOKS_CAUSE_BRK },
                { 'c', SYS_brk, 0x20001, 0 });
}
END_TEST

START_TEST(brk_that_grows_is_a_gain)
{
    answers[0] = 0x20001;
    answers[1] = 0x30000;
    ck_assert_int_eq(RUN(BRK, 0x30000), 0x30000);
    CHECK_STEPS({ 'c', SYS_brk, 0, 0 }, { 'c', SYS_brk, 0x30000, 0 }, { 'a', 0x21000, 0xf000, 0 });
}
END_TEST

START_TEST(brk_that_the_kernel_refuses_gains_nothing)
{
    answers[0] = 0x20000;
    answers[1] = 0x20000;
    ck_assert_int_eq(RUN(BRK, 0x30000), 0x20000);
    CHECK_STEPS({ 'c', SYS_brk, 0, 0 }, { 'c', SYS_brk, 0x30000, 0 });
}
END_TEST

START_TEST(question_for_the_break_is_one_call)
{
    answers[0] = 0x20000;
    ck_assert_int_eq(RUN(BRK, 0), 0x20000);
    CHECK_STEPS({ 'c', SYS_brk, 0, 0 });
}
END_TEST

/* As long as libc's idea of the break is the last answer, it need not be asked for. The twin: it is another one. */
START_TEST(known_break_is_not_asked_for_again)
{
    const long here = (long) sbrk(0) + (_i == 0 ? 0 : K);
    const long next = here + 4 * K;

    answers[0] = here;
    answers[1] = here;
    answers[_i == 0 ? 2 : 3] = next;
    answers[2] = _i == 0 ? next : here;
    ck_assert_int_eq(RUN(BRK, here), here);
    step_count = 0;
    ck_assert_int_eq(RUN(BRK, next), next);
    ck_assert_int_eq(steps[0].second, _i == 0 ? next : 0);
    ck_assert_int_eq(step_count, _i == 0 ? 2 : 3);
}
END_TEST

static int brk_returned;

static int brk_through_site(void *address)
{
    RUN(BRK, (long) address);
    brk_returned++;
    return 0;
}

START_TEST(probe_of_brk_reaches_neither_kernel_nor_libc)
{
    ck_assert(linux_calls_probe_brk(brk_through_site));
    ck_assert_int_eq(brk_returned, 0);
    ck_assert_int_eq(step_count, 0);
    RUN(BRK, 0); /* The probe is over. */
    ck_assert_int_eq(step_count, 1);
}
END_TEST

static int brk_elsewhere(void *address)
{
    (void) address;
    return 0;
}

START_TEST(probe_of_brk_that_does_not_arrive_says_so)
{
    ck_assert(!linux_calls_probe_brk(brk_elsewhere));
    RUN(BRK, 0);
    ck_assert_int_eq(step_count, 1);
}
END_TEST

START_TEST(shmat_over_releases_the_size_of_the_segment)
{
    answers[0] = 3 * K - 1;
    answers[1] = A;
    ck_assert_int_eq(RUN(SHMAT, 7, A, SHM_REMAP), A);
    CHECK_STEPS({ 'c', SYS_shmctl, 7, 0 }, { 'r', A, 3 * K, OPAL_MEM_HOOKS_CAUSE_SHMAT }, { 'c', SYS_shmat, 7, 0 },
                { 'a', A, 3 * K, 0 });
}
END_TEST

START_TEST(shmat_over_of_unknown_size_releases_all_from_there_on)
{
    answers[0] = -ENOSYS;
    answers[1] = -EINVAL;
    ck_assert_int_eq(RUN(SHMAT, 7, A, SHM_REMAP), -EINVAL);
    CHECK_STEPS({ 'c', SYS_shmctl, 7, 0 }, { 'r', A, (1L << 47) - K - A, OPAL_MEM_HOOKS_CAUSE_SHMAT },
                { 'c', SYS_shmat, 7, 0 });
}
END_TEST

START_TEST(shmat_that_will_be_refused_is_quiet)
{
    answers[0] = -EIDRM;
    answers[1] = -EIDRM;
    ck_assert_int_eq(RUN(SHMAT, 7, A, SHM_REMAP), -EIDRM);
    CHECK_STEPS({ 'c', SYS_shmctl, 7, 0 }, { 'c', SYS_shmat, 7, 0 });
}
END_TEST

/* Segments of huge pages do not say so before they are attached. */
START_TEST(shmat_over_of_huge_pages_reports_the_rest_late)
{
    answers[0] = K;
    answers[1] = MIB2;
    answers[2] = -EINVAL; /* mremap within the page */
    ck_assert_int_eq(RUN(SHMAT, 7, MIB2, SHM_REMAP), MIB2);
    CHECK_STEPS({ 'c', SYS_shmctl, 7, 0 }, { 'r', MIB2, K, OPAL_MEM_HOOKS_CAUSE_SHMAT }, { 'c', SYS_shmat, 7, 0 },
                { 'c', SYS_mremap, 0, 0 }, { 'r', MIB2 + K, MIB2 - K, OPAL_MEM_HOOKS_CAUSE_SHMAT },
                { 'a', MIB2, MIB2, 0 });
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_calls");
    TCase *tcase = tcase_create("calls");

    tcase_add_checked_fixture(tcase, steps_set_up, NULL);
    tcase_add_test(tcase, release_comes_before_the_call_and_window_spans_it);
    tcase_add_test(tcase, window_closes_when_the_call_fails);
    tcase_add_test(tcase, refused_call_is_made_without_events);
    tcase_add_test(tcase, disabled_call_only_passes);
    tcase_add_test(tcase, twin_without_the_component_nothing_is_seen);
    tcase_add_loop_test(tcase, call_with_nothing_to_do_afterwards_is_left_to_its_site, 0,
                        (int) (sizeof(plan_rows) / sizeof(plan_rows[0])));
    tcase_add_test(tcase, mmap_over_is_a_release_and_a_gain);
    tcase_add_test(tcase, failed_mmap_gains_nothing);
    tcase_add_test(tcase, mmap_over_of_a_closed_file_is_quiet);
    tcase_add_loop_test(tcase, mmap_over_of_a_hugetlbfs_file_takes_whole_huge_pages, 0, 2);
    tcase_add_test(tcase, growth_in_place_is_quiet);
    tcase_add_test(tcase, growth_that_moves_releases_the_old_place);
    tcase_add_loop_test(tcase, growth_that_cannot_be_is_tried_once, 0, 4);
    tcase_add_test(tcase, growth_with_an_unexpected_error_is_made_as_asked);
    tcase_add_test(tcase, fixed_move_releases_both_places_in_one_window);
    if (HAS_TWO_HUGE_PAGES) {
        tcase_add_test(tcase, mremap_of_huge_pages_rounds_to_them);
    }
    tcase_add_test(tcase, mremap_of_small_pages_at_such_an_address_does_not);
    tcase_add_test(tcase, brk_asks_where_the_break_is);
    tcase_add_test(tcase, brk_that_grows_is_a_gain);
    tcase_add_test(tcase, brk_that_the_kernel_refuses_gains_nothing);
    tcase_add_test(tcase, question_for_the_break_is_one_call);
    tcase_add_loop_test(tcase, known_break_is_not_asked_for_again, 0, 2);
    tcase_add_test(tcase, probe_of_brk_reaches_neither_kernel_nor_libc);
    tcase_add_test(tcase, probe_of_brk_that_does_not_arrive_says_so);
    tcase_add_test(tcase, shmat_over_releases_the_size_of_the_segment);
    tcase_add_test(tcase, shmat_over_of_unknown_size_releases_all_from_there_on);
    tcase_add_test(tcase, shmat_that_will_be_refused_is_quiet);
    if (HAS_TWO_HUGE_PAGES) {
        tcase_add_test(tcase, shmat_over_of_huge_pages_reports_the_rest_late);
    }
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
