/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls by number, and calls of ld.so, which loads and unloads code: what is
 * known of it goes before it does, and what comes is searched. */
#include "components/linux/linux.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "test/linux/steps.h"
#include "test/test_main.h"

/* ---- By number, and in ld.so ------------------------------------------------------------------ */

/* As the trampoline does it. */
static long run_by_number(long nr, const long args[6])
{
    const linux_site_t site = { .call = NULL };
    linux_frame_t frame = { .nr = nr };
    linux_plan_t plan;

    memcpy(frame.args, args, sizeof(frame.args));
    for (plan = linux_before(&site, &frame); plan == LINUX_PLAN_MAKE_THEN; plan = linux_after(&frame)) {
        frame.result = linux_sys_call(frame.nr, frame.args);
    }
    return plan == LINUX_PLAN_DONE ? frame.result : linux_sys_call(frame.nr, frame.args);
}

START_TEST(call_by_number_has_the_same_events)
{
    linux_calls_take_arrivals();
    ck_assert_int_eq(run_by_number(SYS_munmap, (const long[6]){ A, K }), 0);
    CHECK_STEPS({ 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MUNMAP }, { 'c', SYS_munmap, A, 0 });
    ck_assert_uint_eq(linux_calls_take_arrivals(), LINUX_CALL_BIT(LINUX_CALL_MUNMAP) | LINUX_ANY_CALL_BIT);
}
END_TEST

START_TEST(call_by_number_only_passes_when_switched_off)
{
    linux_calls_go_live(false);
    fake_sys_set(SYS_munmap, fake_mmap);
    run_by_number(SYS_munmap, (const long[6]){ A, K });
    CHECK_STEPS({ 'c', SYS_mmap, 0, 0 });
}
END_TEST

/* Only in the code that is meant, and only that call. */
START_TEST(call_by_number_that_is_left_alone_has_no_events)
{
    linux_sites_mask_t mask = { { 0 } };

    mask.calls[LINUX_LIBC] = LINUX_CALL_BIT(_i == 0 ? LINUX_CALL_MUNMAP : LINUX_CALL_BRK);
    if (_i == 2) {
        mask.calls[LINUX_OTHER] = LINUX_CALL_BIT(LINUX_CALL_MUNMAP);
    }
    linux_calls_leave_alone(&mask);
    fake_sys_set(SYS_munmap, fake_mmap);
    ck_assert_int_eq(run_by_number(SYS_munmap, (const long[6]){ A, K }), 0);
    ck_assert_int_eq(step_count, _i == 0 ? 1 : 2);
}
END_TEST

/* Code with stubs at STUBS. */
static void know_code(void)
{
    linux_texts[0].kind = LINUX_OTHER;
    linux_texts[0].area = STUBS;
    linux_texts[0].area_length = K;
    linux_texts[0].start = A;
    linux_texts[0].end = A + K;
    linux_text_count = 1;
}

START_TEST(code_that_the_loader_unmaps_is_forgotten_before)
{
    know_code();
    ck_assert_int_eq(RUN_IN(LOADER, MUNMAP, A, K), 0);
    CHECK_STEPS({ 'c', SYS_munmap, STUBS, 0 }, { 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MUNMAP },
                { 'c', SYS_munmap, A, 0 });
    ck_assert_uint_eq(linux_texts[0].end, 0);
}
END_TEST

START_TEST(code_that_the_loader_maps_over_is_forgotten_before)
{
    const long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

    know_code();
    answers[1] = A;
    ck_assert_int_eq(RUN_IN(LOADER, MMAP, A, K, PROT_READ, flags, -1, 0), A);
    CHECK_STEPS({ 'c', SYS_munmap, STUBS, 0 }, { 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MMAP },
                { 'c', SYS_mmap, flags, 0 }, { 'a', A, K, 0 });
    ck_assert_uint_eq(linux_texts[0].end, 0);
}
END_TEST

START_TEST(twin_what_libc_unmaps_is_not_looked_up)
{
    know_code();
    ck_assert_int_eq(RUN(MUNMAP, A, K), 0);
    CHECK_STEPS({ 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MUNMAP }, { 'c', SYS_munmap, A, 0 });
    ck_assert_uint_ne(linux_texts[0].end, 0);
}
END_TEST

START_TEST(other_calls_of_the_loader_forget_nothing)
{
    const long flags = MAP_PRIVATE | MAP_ANONYMOUS;

    know_code();
    answers[0] = B;
    ck_assert_int_eq(RUN_IN(LOADER, MMAP, A, K, PROT_READ, flags, -1, 0), B); /* A hint. */
    ck_assert_int_eq(RUN_IN(LOADER, MUNMAP, B, K), 0);
    ck_assert_uint_ne(linux_texts[0].end, 0);
}
END_TEST

static long no_file(const long args[6])
{
    (void) args;
    return -ENOENT;
}

static int reads;

static long count_read(const long args[6])
{
    ck_assert_int_eq(args[0], 5);
    reads++;
    return 0;
}

static long open_stat(const long args[6])
{
    ((struct stat *) args[1])->st_ino = 17;
    return 0;
}

#define CODE (PROT_READ | PROT_EXEC)

static const struct {
    linux_kind_t kind;
    int prot, flags;
    long result;
    bool is_searched;
} mmap_rows[] = {
    { LINUX_LOADER, CODE, MAP_PRIVATE, B, true },
    { LINUX_LOADER, CODE, MAP_PRIVATE, -ENOMEM, false },
    { LINUX_LOADER, CODE, MAP_PRIVATE | MAP_ANONYMOUS, B, false },
    { LINUX_LOADER, PROT_READ, MAP_PRIVATE, B, false },
    { LINUX_LOADER, CODE | PROT_WRITE, MAP_PRIVATE, B, false },
    { LINUX_LIBC, CODE, MAP_PRIVATE, B, false },
    { LINUX_OTHER, CODE, MAP_PRIVATE, B, false },
};

START_TEST(code_that_the_loader_maps_is_searched)
{
    fake_sys_set(SYS_openat, no_file);
    fake_sys_set(SYS_fstat, open_stat);
    fake_sys_set(SYS_pread64, count_read);
    linux_search_others(MIB2);
    answers[0] = mmap_rows[_i].result;
    ck_assert_int_eq(run(mmap_rows[_i].kind, LINUX_CALL_MMAP,
                         (const long[6]){ 0, K, mmap_rows[_i].prot, mmap_rows[_i].flags, 5, 0 }),
                     mmap_rows[_i].result);
    ck_assert_int_eq(reads, mmap_rows[_i].is_searched);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_loader");
    TCase *tcase = tcase_create("loader");

    tcase_add_checked_fixture(tcase, steps_set_up, NULL);
    tcase_add_test(tcase, call_by_number_has_the_same_events);
    tcase_add_test(tcase, call_by_number_only_passes_when_switched_off);
    tcase_add_loop_test(tcase, call_by_number_that_is_left_alone_has_no_events, 0, 3);
    tcase_add_test(tcase, code_that_the_loader_unmaps_is_forgotten_before);
    tcase_add_test(tcase, code_that_the_loader_maps_over_is_forgotten_before);
    tcase_add_test(tcase, twin_what_libc_unmaps_is_not_looked_up);
    tcase_add_test(tcase, other_calls_of_the_loader_forget_nothing);
    tcase_add_loop_test(tcase, code_that_the_loader_maps_is_searched, 0,
                        (int) (sizeof(mmap_rows) / sizeof(mmap_rows[0])));
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
