/* SPDX-License-Identifier: BSD-3-Clause */
/* Stubs of aarch64: what they keep and what they let pass, calls that are restarted at a site that has changed
 * meanwhile, and what unwinders see. */
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "components/linux/linux.h"
#include "test/test_main.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- A stub ------------------------------------------------------------------------------------ */

/* What the assembly below loads, and stores again. */
struct test_linux_frame {
    uint64_t x[31];
    uint64_t nzcv;
    uint64_t sp[2]; /* Before and after. */
    uint64_t fpsr, fpcr;
    uint64_t q[32][2];
} __attribute__((aligned(16)));

/* A leaf function: its return address is in x30. */
void test_linux_site(void) __attribute__((visibility("hidden")));
void test_linux_call_site(struct test_linux_frame *frame) __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden test_linux_site\n"
        ".globl test_linux_site\n"
        ".type test_linux_site, @function\n"
        "test_linux_site:\n"
        "    .cfi_startproc\n"
        "    svc #0\n"
        "    ret\n"
        "    .cfi_endproc\n"
        "    .size test_linux_site, . - test_linux_site\n"
        "\n"
        ".hidden test_linux_call_site\n"
        ".globl test_linux_call_site\n"
        ".type test_linux_call_site, @function\n"
        "test_linux_call_site:\n"
        "    .cfi_startproc\n"
        "    stp x29, x30, [sp, #-176]!\n"
        "    .cfi_def_cfa_offset 176\n"
        "    .cfi_offset x29, -176\n"
        "    .cfi_offset x30, -168\n"
        "    stp x19, x20, [sp, #16]\n"
        "    stp x21, x22, [sp, #32]\n"
        "    stp x23, x24, [sp, #48]\n"
        "    stp x25, x26, [sp, #64]\n"
        "    stp x27, x28, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    str x0, [sp, #160]\n"
        "    mov x1, sp\n"
        "    str x1, [x0, #256]\n"
        "    ldp x1, x2, [x0, #272]\n"
        "    msr fpsr, x1\n"
        "    msr fpcr, x2\n"
        "    ldr x1, [x0, #248]\n"
        "    msr nzcv, x1\n"
        "    mov x30, x0\n"
        "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, "
        "25, 26, "
        "27, 28, 29, 30, 31\n"
        "    ldr q\\n, [x30, #288 + 16 * \\n]\n"
        "    .endr\n"
        "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, "
        "25, 26, "
        "27, 28, 29\n"
        "    ldr x\\n, [x30, #8 * \\n]\n"
        "    .endr\n"
        "    bl test_linux_site\n"
        "    ldr x30, [sp, #160]\n"
        "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, "
        "25, 26, "
        "27, 28, 29\n"
        "    str x\\n, [x30, #8 * \\n]\n"
        "    .endr\n"
        "    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, "
        "25, 26, "
        "27, 28, 29, 30, 31\n"
        "    str q\\n, [x30, #288 + 16 * \\n]\n"
        "    .endr\n"
        "    mrs x1, nzcv\n"
        "    str x1, [x30, #248]\n"
        "    mov x1, sp\n"
        "    str x1, [x30, #264]\n"
        "    mrs x1, fpsr\n"
        "    mrs x2, fpcr\n"
        "    stp x1, x2, [x30, #272]\n"
        "    ldp x19, x20, [sp, #16]\n"
        "    ldp x21, x22, [sp, #32]\n"
        "    ldp x23, x24, [sp, #48]\n"
        "    ldp x25, x26, [sp, #64]\n"
        "    ldp x27, x28, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    ldp x29, x30, [sp], #176\n"
        "    .cfi_restore x29\n"
        "    .cfi_restore x30\n"
        "    .cfi_def_cfa_offset 0\n"
        "    ret\n"
        "    .cfi_endproc\n"
        "    .size test_linux_call_site, . - test_linux_call_site\n");

#define SITE_CODE ((uint8_t *) (uintptr_t) test_linux_site)

/* Calls of the test's own, for filters and for other numbers. */
static int runs;
static long run_result;
static long run_args[6];

/* Uses what a callback may use. */
static void use_vectors(void)
{
    __asm__ volatile(
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, "
        "26, 27, 28, 29, 30, 31\n"
        "    movi v\\n\\().16b, #85\n"
        ".endr\n"
        "    msr fpsr, xzr\n"
        "    msr fpcr, xzr\n" ::
            : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
              "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
              "v30", "v31");
}

static linux_plan_t before(const linux_call_t *call, linux_frame_t *frame)
{
    (void) call;
    runs++;
    memcpy(run_args, frame->args, sizeof(run_args));
    use_vectors();
    frame->result = run_result;
    return LINUX_PLAN_DONE;
}

static linux_call_t call;
static linux_text_t text;

static void set_jump(bool on)
{
    const uintptr_t page = linux_round_down((uintptr_t) SITE_CODE, LINUX_PAGE);

    ck_assert_int_eq(mprotect((void *) page, LINUX_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    memcpy(SITE_CODE, on ? text.sites[0].jump : text.sites[0].original, LINUX_INSN);
    linux_code_sync((uintptr_t) SITE_CODE, LINUX_INSN);
}

/* A stub for the site, in code of that kind; the site holds the jump to it. */
static void make_stub(linux_kind_t kind, const linux_call_t *of)
{
    linux_found_t found = { .address = SITE_CODE, .call = of };
    const uintptr_t site = (uintptr_t) SITE_CODE;
    int sys_errno = 0;

    memcpy(found.original, SITE_CODE, LINUX_INSN);
    text.kind = kind;
    ck_assert_int_eq(linux_stubs_make(&text, site, site + LINUX_INSN, &found, 1, &sys_errno), OPAL_SUCCESS);
    set_jump(true);
}

static void set_up(void)
{
    linux_facts_read();
    linux_calls_go_live(true);
    call = (linux_call_t){
        .nr = SYS_munmap, .name = "test", .before = before, .bit = LINUX_CALL_BIT(LINUX_CALL_MUNMAP)
    };
    run_result = 0x123456789abcdef;
}

static void fill(struct test_linux_frame *frame, long nr)
{
    for (size_t i = 0; i < COUNT(frame->x); i++) {
        frame->x[i] = 0x1111111100000000 + i;
    }
    for (size_t i = 0; i < COUNT(frame->q); i++) {
        frame->q[i][0] = 0x2222222200000000 + i;
        frame->q[i][1] = 0x3333333300000000 + i;
    }
    frame->x[8] = (uint64_t) nr;
    frame->nzcv = UINT64_C(0xa) << 28;
    frame->fpsr = 0x1f;
    frame->fpcr = UINT64_C(1) << 22; /* Round up. */
}

/* All but x0 and x30, and the first of the vector registers unless they count, are as filled. */
static void expect_kept(const struct test_linux_frame *frame, const struct test_linux_frame *before, bool vectors)
{
    for (size_t i = 1; i < 30; i++) {
        ck_assert_msg(frame->x[i] == before->x[i], "x%zu is %#lx", i, (unsigned long) frame->x[i]);
    }
    ck_assert_uint_eq(frame->nzcv, before->nzcv);
    ck_assert_uint_eq(frame->sp[0], frame->sp[1]);
    if (vectors) {
        ck_assert(memcmp(frame->q, before->q, sizeof(frame->q)) == 0);
        ck_assert_uint_eq(frame->fpsr, before->fpsr);
        ck_assert_uint_eq(frame->fpcr, before->fpcr);
    }
}

/* @return What the call left in x0. */
static long call_site(long nr, bool vectors)
{
    struct test_linux_frame frame, before;

    fill(&frame, nr);
    before = frame;
    test_linux_call_site(&frame);
    expect_kept(&frame, &before, vectors);
    return (long) frame.x[0];
}

static const linux_kind_t kinds[] = { LINUX_LIBC, LINUX_LOADER, LINUX_OTHER };

/* In foreign code the vector registers, too; in libc's and ld.so's own wrappers nobody expects that of a function. */
START_TEST(call_keeps_all_registers_and_flags)
{
    make_stub(kinds[_i], &call);
    ck_assert_int_eq(call_site(SYS_munmap, kinds[_i] == LINUX_OTHER), run_result);
    ck_assert_int_eq(runs, 1);
    for (long i = 0; i < 6; i++) {
        ck_assert_int_eq(run_args[i], 0x1111111100000000 + i);
    }
}
END_TEST

/* The twin: the test sees it when they are not kept. */
START_TEST(call_from_libc_does_not_keep_vectors)
{
    struct test_linux_frame frame;

    make_stub(LINUX_LIBC, &call);
    fill(&frame, SYS_munmap);
    test_linux_call_site(&frame);
    ck_assert_uint_eq(frame.q[31][0], 0x5555555555555555);
    ck_assert_uint_eq(frame.fpcr, 0);
}
END_TEST

/* ---- Plans --------------------------------------------------------------------------------------- */

static linux_plan_t first_plan;

/* The call becomes another one: the registers are those of the frame. */
static linux_plan_t before_plan(const linux_call_t *of, linux_frame_t *frame)
{
    (void) of;
    runs++;
    memcpy(run_args, frame->args, sizeof(run_args));
    frame->nr = SYS_getpid;
    use_vectors();
    return first_plan;
}

/* Asked twice. */
static linux_plan_t after_plan(linux_frame_t *frame)
{
    use_vectors();
    ck_assert_int_eq(frame->result, runs == 1 ? getpid() : getppid());
    frame->nr = SYS_getppid;
    return ++runs == 2 ? LINUX_PLAN_MAKE_THEN : LINUX_PLAN_DONE;
}

START_TEST(call_is_made_as_planned)
{
    call.before = before_plan;
    call.after = after_plan;
    first_plan = _i == 0 ? LINUX_PLAN_MAKE : LINUX_PLAN_MAKE_THEN;
    make_stub(LINUX_OTHER, &call);
    ck_assert_int_eq(call_site(SYS_munmap, true), _i == 0 ? getpid() : getppid());
    ck_assert_int_eq(runs, _i == 0 ? 1 : 3);
}
END_TEST

static linux_plan_t after_change(linux_frame_t *frame)
{
    frame->args[3] = 0x1234;
    return LINUX_PLAN_DONE;
}

/* mremap is made with other flags first: behind the call the registers are what the frame says. */
START_TEST(arguments_are_those_of_the_frame_behind_the_call)
{
    struct test_linux_frame frame;

    call.before = before_plan;
    call.after = after_change;
    first_plan = LINUX_PLAN_MAKE_THEN;
    make_stub(LINUX_LIBC, &call);
    fill(&frame, SYS_munmap);
    test_linux_call_site(&frame);
    ck_assert_uint_eq(frame.x[3], 0x1234);
    ck_assert_uint_eq(frame.x[2], 0x1111111100000002);
}
END_TEST

/* ---- What passes --------------------------------------------------------------------------------- */

/* Somebody jumps to a svc behind which the search has seen another number; or a call is restarted as restart_syscall. */
START_TEST(other_number_goes_to_the_kernel)
{
    long result;

    make_stub(LINUX_OTHER, &call);
    ck_assert_int_eq(call_site(SYS_getpid, true), getpid());
    result = call_site(SYS_restart_syscall, true);
    ck_assert_msg(result == -EINTR || result == -ENOSYS, "%ld", result); /* qemu-user has no such call. */
    ck_assert_int_eq(call_site(1000000, true), -ENOSYS);
    ck_assert_int_eq(runs, 0);
}
END_TEST

/* The kernel looks at the lower half of x8 only. */
START_TEST(upper_half_of_the_number_does_not_count)
{
    make_stub(LINUX_OTHER, &call);
    ck_assert_int_eq(call_site((long) (UINT64_C(0xabcdef) << 32 | SYS_munmap), true), run_result);
    ck_assert_int_eq(runs, 1);
}
END_TEST

START_TEST(site_without_a_number_takes_calls_of_ours)
{
    make_stub(LINUX_LIBC, NULL);
    linux_calls_take_arrivals();
    ck_assert_int_eq(call_site(SYS_munmap, false), -EINVAL); /* Of an address that is not aligned. */
    ck_assert_uint_ne(linux_calls_take_arrivals() & LINUX_CALL_BIT(LINUX_CALL_MUNMAP), 0);
    ck_assert_int_eq(call_site(SYS_getpid, true), getpid());
    ck_assert_int_eq(call_site(LINUX_CALL_NUMBERS + SYS_munmap, true), -ENOSYS);
    ck_assert_int_eq(call_site(-1, true), -ENOSYS);
    ck_assert_uint_eq(linux_calls_take_arrivals(), 0);
}
END_TEST

/* The arguments are 0x1111111100000001 and ...2. */
static const struct {
    linux_filter_t filter;
    int runs;
} filters[] = {
    { { LINUX_FILTER_BITS, 1, 1, 0 }, 1 },           { { LINUX_FILTER_BITS, 1, 0x10000, 0 }, 0 },
    { { LINUX_FILTER_BITS, 2, 0x7fff0002, 0 }, 1 },  { { LINUX_FILTER_BITS, 2, 1, 0 }, 0 },
    { { LINUX_FILTER_EQUAL, 1, 1, UINT32_MAX }, 1 }, { { LINUX_FILTER_EQUAL, 1, 0x10001, UINT32_MAX }, 0 },
    { { LINUX_FILTER_EQUAL, 2, 2, UINT32_MAX }, 1 }, { { LINUX_FILTER_EQUAL, 2, 3, UINT32_MAX }, 0 },
    { { LINUX_FILTER_EQUAL, 1, 1, 0xffff }, 1 },     { { LINUX_FILTER_EQUAL, 1, 0x10000, 0x10000 }, 0 },
};

START_TEST(filter_lets_calls_pass_by_the_lower_half_of_an_argument)
{
    call.filter = filters[_i].filter;
    make_stub(LINUX_OTHER, &call);
    call_site(SYS_munmap, true);
    ck_assert_int_eq(runs, filters[_i].runs);
}
END_TEST

/* The call is made with the stack and all registers of the site: its child goes on behind the site, too. */
START_TEST(clone_goes_on_in_the_child_as_well)
{
    struct test_linux_frame frame;
    int status;

    make_stub(LINUX_OTHER, &call);
    fill(&frame, SYS_clone);
    memset(frame.x, 0, 8 * sizeof(frame.x[0]));
    frame.x[0] = SIGCHLD;
    test_linux_call_site(&frame);
    if (frame.x[0] == 0) {
        _exit(7);
    }
    ck_assert_int_gt((long) frame.x[0], 0);
    ck_assert_int_eq(waitpid((pid_t) frame.x[0], &status, 0), (pid_t) frame.x[0]);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
END_TEST

/* ---- Calls that are restarted -------------------------------------------------------------------- */

static int pipe_ends[2];
static _Atomic int handled;

static void handle(int sig)
{
    (void) sig;
    atomic_fetch_add(&handled, 1);
}

static linux_plan_t before_read(const linux_call_t *of, linux_frame_t *frame)
{
    (void) of, (void) frame;
    runs++;
    return LINUX_PLAN_MAKE;
}

typedef struct reader_t {
    long result;
    char byte;
    _Atomic pid_t id;
} reader_t;

static void *read_byte(void *arg)
{
    reader_t *reader = arg;
    struct test_linux_frame frame;

    fill(&frame, SYS_read);
    frame.x[0] = (uint64_t) pipe_ends[0];
    frame.x[1] = (uintptr_t) &reader->byte;
    frame.x[2] = 1;
    atomic_store(&reader->id, (pid_t) syscall(SYS_gettid));
    test_linux_call_site(&frame);
    reader->result = (long) frame.x[0];
    return NULL;
}

/* Sleeping in the kernel, by what /proc says. */
static bool is_asleep(pid_t id)
{
    char path[64], line[512];
    const char *state;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int) id);
    file = fopen(path, "re");
    if (file == NULL || fgets(line, sizeof(line), file) == NULL) {
        ck_abort_msg("%s cannot be read", path);
    }
    fclose(file);
    state = strrchr(line, ')');
    return state != NULL && state[2] == 'S';
}

/* Begins as the instruction and is restarted as the jump, and the other way round. */
START_TEST(call_is_restarted_at_a_site_that_has_changed)
{
    const struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    const bool first_jump = _i != 0;
    reader_t reader = { .byte = 0 };
    pthread_t thread;

    call = (linux_call_t){ .nr = SYS_read, .name = "read", .before = before_read };
    ck_assert_int_eq(pipe(pipe_ends), 0);
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    make_stub(LINUX_OTHER, &call);
    set_jump(first_jump);
    ck_assert_int_eq(pthread_create(&thread, NULL, read_byte, &reader), 0);
    while (atomic_load(&reader.id) == 0 || !is_asleep(reader.id)) {
        usleep(1000);
    }
    ck_assert_int_eq(runs, first_jump);
    set_jump(!first_jump);
    ck_assert_int_eq(pthread_kill(thread, SIGUSR1), 0);
    while (atomic_load(&handled) == 0 || (!first_jump && *(volatile int *) &runs == 0)) {
        usleep(1000);
    }
    ck_assert_int_eq(write(pipe_ends[1], "!", 1), 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(reader.result, 1);
    ck_assert_int_eq(reader.byte, '!');
    ck_assert_int_eq(runs, 1); /* From a stub, the call is restarted in the trampoline. */
}
END_TEST

/* ---- Unwinding ----------------------------------------------------------------------------------- */

static void *trace[64];
static int trace_length;

static linux_plan_t before_trace(const linux_call_t *of, linux_frame_t *frame)
{
    (void) of, (void) frame;
    trace_length = backtrace(trace, COUNT(trace));
    return LINUX_PLAN_DONE;
}

static bool is_traced(uintptr_t start, size_t size)
{
    for (int i = 0; i < trace_length; i++) {
        if ((uintptr_t) trace[i] - start < size) {
            return true;
        }
    }
    return false;
}

static __attribute__((noinline)) void call_and_trace(void)
{
    struct test_linux_frame frame;

    fill(&frame, SYS_munmap);
    test_linux_call_site(&frame);
    __asm__ volatile("" ::: "memory"); /* Not a tail call. */
}

START_TEST(callback_sees_the_site_and_its_callers)
{
    call.before = before_trace;
    ck_assert_int_gt(backtrace(trace, COUNT(trace)), 0); /* Loads what it needs. */
    make_stub(kinds[_i], &call);
    call_and_trace();
    ck_assert(is_traced((uintptr_t) test_linux_site + LINUX_RESUME, 1));
    ck_assert(is_traced((uintptr_t) test_linux_call_site, 512));
    ck_assert(is_traced((uintptr_t) call_and_trace, 512));
}
END_TEST

/* The same by frame records, as perf and others do; a leaf function has none. */
static uintptr_t record_return;

static linux_plan_t before_records(const linux_call_t *of, linux_frame_t *frame)
{
    (void) of;
    record_return =
        ((const uintptr_t *) ((uintptr_t) frame + LINUX_FRAME_BYTES))[1]; /* The record lies above it. */
    return LINUX_PLAN_DONE;
}

START_TEST(frame_record_names_the_site)
{
    call.before = before_records;
    make_stub(kinds[_i], &call);
    call_and_trace();
    ck_assert_uint_eq(record_return, (uintptr_t) test_linux_site + LINUX_RESUME);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_stub_aarch64");
    TCase *tcase = tcase_create("stub");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_loop_test(tcase, call_keeps_all_registers_and_flags, 0, COUNT(kinds));
    tcase_add_test(tcase, call_from_libc_does_not_keep_vectors);
    tcase_add_loop_test(tcase, call_is_made_as_planned, 0, 2);
    tcase_add_test(tcase, arguments_are_those_of_the_frame_behind_the_call);
    tcase_add_test(tcase, other_number_goes_to_the_kernel);
    tcase_add_test(tcase, upper_half_of_the_number_does_not_count);
    tcase_add_test(tcase, site_without_a_number_takes_calls_of_ours);
    tcase_add_loop_test(tcase, filter_lets_calls_pass_by_the_lower_half_of_an_argument, 0, COUNT(filters));
    tcase_add_test(tcase, clone_goes_on_in_the_child_as_well);
    tcase_add_loop_test(tcase, call_is_restarted_at_a_site_that_has_changed, 0, 2);
    tcase_add_loop_test(tcase, callback_sees_the_site_and_its_callers, 0, COUNT(kinds));
    tcase_add_loop_test(tcase, frame_record_names_the_site, 0, COUNT(kinds));
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
