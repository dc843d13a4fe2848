/* SPDX-License-Identifier: BSD-3-Clause */
/* Cancellation points of glibc 2.41 and later, aarch64: the site is the instruction before the svc, and what is none of
 * ours is called by that svc, where a signal handler looks for it. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "components/linux/linux.h"
#include "test/test_main.h"

/* As in libc: a word that tells about cancellation, a number, six arguments. */
long test_linux_cancellation_point(const int *word, long nr, long a0, long a1, long a2, long a3, long a4, long a5)
    __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden test_linux_cancellation_point\n"
        ".globl test_linux_cancellation_point\n"
        ".type test_linux_cancellation_point, @function\n"
        "test_linux_cancellation_point:\n"
        "    .cfi_startproc\n"
        "    ldr w0, [x0]\n"
        "    tbnz w0, #3, 1f\n"
        "    mov x8, x1\n"
        "    mov x0, x2\n"
        "    mov x1, x3\n"
        "    mov x2, x4\n"
        "    mov x3, x5\n"
        "    mov x4, x6\n"
        "    mov x5, x7\n"
        "    svc #0\n"
        "    ret\n"
        "1:  brk #0\n"
        "    .cfi_endproc\n"
        "    .size test_linux_cancellation_point, . - test_linux_cancellation_point\n");

#define CODE ((uint8_t *) (uintptr_t) test_linux_cancellation_point)
#define CODE_BYTES 48
#define SITE 32 /* Where the last move is. */

static int runs;
static long run_args[6];

static linux_plan_t before(const linux_call_t *call, linux_frame_t *frame)
{
    (void) call;
    runs++;
    memcpy(run_args, frame->args, sizeof(run_args));
    frame->result = 1234;
    return LINUX_PLAN_DONE;
}

static linux_text_t text;

static void set_up(void)
{
    const uintptr_t code = (uintptr_t) CODE;
    linux_found_t found[4];
    int sys_errno = 0;
    size_t end;

    linux_facts_read();
    linux_calls_go_live(true);
    ck_assert_uint_eq(linux_find_sites(CODE, CODE_BYTES, 0, found, 4, &end), 1);
    ck_assert_ptr_eq(found[0].address, CODE + SITE);
    ck_assert_ptr_null(found[0].call);
    ck_assert_int_eq(linux_stubs_make(&text, code, code + CODE_BYTES, found, 1, &sys_errno), OPAL_SUCCESS);
}

static void apply(bool to_jump)
{
    linux_patch_t patch = { .address = CODE + SITE };
    int sys_errno = 0;

    memcpy(patch.from, to_jump ? text.sites[0].original : text.sites[0].jump, LINUX_INSN);
    memcpy(patch.to, to_jump ? text.sites[0].jump : text.sites[0].original, LINUX_INSN);
    ck_assert_int_eq(linux_patch_apply(&patch, 1, &sys_errno), OPAL_SUCCESS);
    ck_assert(patch.done);
}

static long call_point(long nr, long a0)
{
    const int word = 0;

    return test_linux_cancellation_point(&word, nr, a0, 2, 3, 4, 5, 6);
}

START_TEST(call_of_ours_has_all_its_arguments)
{
    linux_call_t call = { .nr = SYS_munmap, .name = "test", .before = before };

    text.sites[0].call = &call; /* The stub has asked the table; the rest is up to the call. */
    apply(true);
    ck_assert_int_eq(call_point(SYS_munmap, 1), 1234);
    ck_assert_int_eq(runs, 1);
    for (long i = 0; i < 6; i++) {
        ck_assert_int_eq(run_args[i], i + 1);
    }
}
END_TEST

START_TEST(other_calls_pass)
{
    apply(true);
    linux_calls_take_arrivals();
    ck_assert_int_eq(call_point(SYS_getpid, 0), getpid());
    ck_assert_int_eq(call_point(SYS_close, -1), -EBADF);
    ck_assert_uint_eq(linux_calls_take_arrivals(), 0);
    ck_assert_int_eq(call_point(SYS_munmap, 1), -EINVAL);
    ck_assert_uint_ne(linux_calls_take_arrivals(), 0);
}
END_TEST

START_TEST(code_can_be_put_back)
{
    apply(true);
    apply(false);
    linux_calls_take_arrivals();
    ck_assert_int_eq(call_point(SYS_munmap, 1), -EINVAL);
    ck_assert_uint_eq(linux_calls_take_arrivals(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_cancel_aarch64");
    TCase *tcase = tcase_create("cancel");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, call_of_ours_has_all_its_arguments);
    tcase_add_test(tcase, other_calls_pass);
    tcase_add_test(tcase, code_can_be_put_back);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
