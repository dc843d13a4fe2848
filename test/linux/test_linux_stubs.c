/* SPDX-License-Identifier: BSD-3-Clause */
/* Stubs, entered from sites of the test's own: what a system call keeps is
 * kept, the result comes back, and calls that do not matter go by. Where stubs
 * are: test_linux_room.c; vector registers: test_linux_vectors.c. */
#include "components/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "components/linux/linux_sys.h"
#include "test/linux/own_stub.h"
#include "test/linux/valgrind.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Registers ----------------------------------------------------------------------- */

typedef struct registers_t {
    uint64_t rbx, rdi, rsi, rdx, r8, r9, r10, r12, r13, r14, r15;
} registers_t;

/* What the assembly below works on. */
struct test_linux_frame {
    registers_t registers;
    void *entry;
    long result;
    uint64_t damage;     /* Not 0: the red zone was written to. */
    long number;         /* In %rax, */
    long stack_argument; /* and behind the return address. */
} test_linux_frame __attribute__((visibility("hidden"), used));

/* Calls the entry with known registers, and with 1 to 16 in what is the red zone there. */
void test_linux_call_site(void) __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".globl test_linux_call_site\n"
        ".hidden test_linux_call_site\n"
        "test_linux_call_site:\n"
        "    pushq %rbx\n"
        "    pushq %rbp\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    leaq test_linux_frame(%rip), %rax\n"
        "    movq 0(%rax), %rbx\n"
        "    movq 8(%rax), %rdi\n"
        "    movq 16(%rax), %rsi\n"
        "    movq 24(%rax), %rdx\n"
        "    movq 32(%rax), %r8\n"
        "    movq 40(%rax), %r9\n"
        "    movq 48(%rax), %r10\n"
        "    movq 56(%rax), %r12\n"
        "    movq 64(%rax), %r13\n"
        "    movq 72(%rax), %r14\n"
        "    movq 80(%rax), %r15\n"
        "    subq $8, %rsp\n"
        "    movq 120(%rax), %rcx\n"
        "    movq %rcx, (%rsp)\n"
        "    movq %rsp, %rbp\n"
        "    movl $16, %ecx\n"
        "1:  movq %rcx, -144(%rsp,%rcx,8)\n"
        "    decl %ecx\n"
        "    jnz 1b\n"
        "    movq 88(%rax), %r11\n"
        "    movq 112(%rax), %rax\n"
        "    call *%r11\n"
        "    movq %rax, 96+test_linux_frame(%rip)\n"
        "    xorl %eax, %eax\n"
        "    cmpq %rsp, %rbp\n"
        "    setne %al\n"
        "    movl $16, %ecx\n"
        "2:  movq -144(%rsp,%rcx,8), %r11\n"
        "    xorq %rcx, %r11\n"
        "    orq %r11, %rax\n"
        "    decl %ecx\n"
        "    jnz 2b\n"
        "    leaq test_linux_frame(%rip), %rcx\n"
        "    movq %rax, 104(%rcx)\n"
        "    movq %rbx, 0(%rcx)\n"
        "    movq %rdi, 8(%rcx)\n"
        "    movq %rsi, 16(%rcx)\n"
        "    movq %rdx, 24(%rcx)\n"
        "    movq %r8, 32(%rcx)\n"
        "    movq %r9, 40(%rcx)\n"
        "    movq %r10, 48(%rcx)\n"
        "    movq %r12, 56(%rcx)\n"
        "    movq %r13, 64(%rcx)\n"
        "    movq %r14, 72(%rcx)\n"
        "    movq %r15, 80(%rcx)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbp\n"
        "    popq %rbx\n"
        "    ret\n");

static long number, stack_argument;

static long call_site(registers_t *registers, uint64_t *damage)
{
    test_linux_frame = (struct test_linux_frame){
        .registers = *registers, .entry = entry, .number = number, .stack_argument = stack_argument
    };
    test_linux_call_site();
    *registers = test_linux_frame.registers;
    *damage = test_linux_frame.damage;
    return test_linux_frame.result;
}

static const registers_t pattern = { .rbx = 0xb1,
                                     .rdi = 0xd1,
                                     .rsi = 0x51,
                                     .rdx = 0xd2,
                                     .r8 = 0x81,
                                     .r9 = 0x91,
                                     .r10 = 0xa1,
                                     .r12 = 0xc1,
                                     .r13 = 0xc2,
                                     .r14 = 0xc3,
                                     .r15 = 0xc4 };

/* ---- Plans ------------------------------------------------------------------------------------ */

/* The calls of the test's own sites: umask, as the kernel then tells what argument it got. */
static linux_plan_t plan;
static int befores, afters;
static long seen_args[6];

static linux_plan_t before_umask(const linux_call_t *call, linux_frame_t *frame)
{
    befores++;
    ck_assert_int_eq(frame->nr, call->nr);
    memcpy(seen_args, frame->args, sizeof(seen_args));
    frame->result = 0x123456789abcdef;
    if (plan == LINUX_PLAN_MAKE_THEN) {
        frame->args[0] = 012;
    }
    return plan;
}

/* Once more with another argument, and then the registers are as they were. */
static linux_plan_t after_umask(linux_frame_t *frame)
{
    ck_assert_int_eq(frame->result, afters == 0 ? 077 : 012);
    frame->args[0] = afters == 0 ? 034 : seen_args[0];
    frame->result = 0x123456789abcdef;
    return afters++ == 0 ? LINUX_PLAN_MAKE_THEN : LINUX_PLAN_DONE;
}

static const linux_call_t umask_call = { .nr = SYS_umask, .bit = 1, .before = before_umask, .after = after_umask };

static const struct {
    linux_plan_t plan;
    long result;
    mode_t left; /* The mask that the kernel was left with; the argument is 0xd1. */
    int afters;
} plans[] = {
    { LINUX_PLAN_MAKE, 077, 0xd1, 0 },
    { LINUX_PLAN_MAKE_THEN, 0x123456789abcdef, 034, 2 },
    { LINUX_PLAN_DONE, 0x123456789abcdef, 077, 0 },
};

static void make_umask_site(linux_kind_t kind)
{
    own_write_site(page, SYS_umask);
    take_site(0, &umask_call);
    text.kind = kind;
    make_and_jump();
    umask(077);
}

/* The kernel keeps registers as well: what they hold behind the call is what it was made with. */
START_TEST(registers_and_red_zone_survive_every_plan)
{
    const int row = _i / 2;
    registers_t registers = pattern;
    uint64_t damage;

    plan = plans[row].plan;
    make_umask_site(_i % 2 == 0 ? LINUX_LIBC : LINUX_OTHER);
    linux_calls_go_live(true);
    ck_assert_int_eq(call_site(&registers, &damage), plans[row].result);
    ck_assert_uint_eq(umask(077), plans[row].left);
    ck_assert(memcmp(&registers, &pattern, sizeof(pattern)) == 0);
    ck_assert_uint_eq(damage, 0);
    ck_assert_int_eq(befores, 1);
    ck_assert_int_eq(afters, plans[row].afters);
    ck_assert_int_eq(seen_args[0], 0xd1);
    ck_assert_int_eq(seen_args[1], 0x51);
    ck_assert_int_eq(seen_args[2], 0xd2);
    ck_assert_int_eq(seen_args[3], 0xa1);
    ck_assert_int_eq(seen_args[4], 0x81);
    ck_assert_int_eq(seen_args[5], 0x91);
}
END_TEST

START_TEST(switched_off_the_call_is_only_made)
{
    registers_t registers = pattern;
    uint64_t damage;

    make_umask_site(_i == 0 ? LINUX_LIBC : LINUX_OTHER);
    ck_assert_int_eq(call_site(&registers, &damage), 077);
    ck_assert_uint_eq(umask(077), 0xd1);
    ck_assert(memcmp(&registers, &pattern, sizeof(pattern)) == 0);
    ck_assert_uint_eq(damage, 0);
    ck_assert_int_eq(befores, 0);
}
END_TEST

/* What stubs of arguments are to leave as they find them: a plan that changes them shows. */
START_TEST(twin_changed_argument_is_seen_behind_the_call)
{
    const linux_call_t call = { .nr = SYS_umask, .bit = 1, .before = before_umask };
    registers_t registers = pattern;
    uint64_t damage;

    plan = LINUX_PLAN_MAKE_THEN;
    own_write_site(page, SYS_umask);
    take_site(0, &call);
    make_and_jump();
    linux_calls_go_live(true);
    call_site(&registers, &damage);
    ck_assert_uint_eq(registers.rdi, 012);
}
END_TEST

/* ---- Results and events ------------------------------------------------------------------------ */

static volatile int live_events;

static void count_event(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    ++live_events;
}

/* Nothing is mapped there: the kernel's answer, unchanged, with events and without. */
START_TEST(kernels_error_comes_back_raw)
{
    registers_t registers = { .rdi = 0x10000, .rsi = LINUX_PAGE, .rdx = MADV_DONTNEED };
    uint64_t damage;

    own_write_site(page, SYS_madvise);
    take_site(0, &linux_calls[LINUX_CALL_MADVISE]);
    text.kind = _i % 2 == 0 ? LINUX_LIBC : LINUX_OTHER;
    opal_mem_hooks_set_support(OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_int_eq(opal_mem_hooks_register_release(count_event, NULL), OPAL_SUCCESS);
    make_and_jump();
    linux_calls_go_live(_i / 2 != 0);
    ck_assert_int_eq(call_site(&registers, &damage), -ENOMEM);
    ck_assert_int_eq(live_events, _i / 2 != 0);
}
END_TEST

START_TEST(stub_is_counted_once_a_call)
{
    registers_t registers = { .rdi = 1 };
    uint64_t damage;

    make_and_jump();
    linux_calls_take_arrivals();
    ck_assert_int_eq(call_site(&registers, &damage), -EINVAL);
    ck_assert_uint_eq(linux_calls_take_arrivals(), LINUX_CALL_BIT(LINUX_CALL_MUNMAP));
    ck_assert_uint_eq(linux_calls_take_arrivals(), 0);
}
END_TEST

/* ---- By number -------------------------------------------------------------------------------- */

/* The end of libc's syscall(2): `mov %r9,%r8; mov 8(%rsp),%r9; syscall; ret`. */
static void write_syscall_function(void)
{
    const uint8_t bytes[] = { 0x4d, 0x89, 0xc8, 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05, 0xc3 };

    own_open(page, 1);
    memcpy(page, bytes, sizeof(bytes));
    take_site(3, NULL);
    make_and_jump();
}

/* mmap takes no offset within a page: so the sixth argument has come from the stack, and the fifth from %r9. */
START_TEST(call_of_ours_by_number_arrives_with_its_last_arguments)
{
    registers_t registers = { .rbx = 0xb1, .rsi = LINUX_PAGE, .rdx = PROT_READ, .r9 = (uint64_t) -1, .r12 = 0xc1 };
    registers_t expected;
    uint64_t damage;
    long result;

    write_syscall_function();
    linux_calls_go_live(_i / 2 != 0);
    linux_calls_take_arrivals();
    number = SYS_mmap;
    stack_argument = _i % 2 == 0 ? 0 : 0x97;
    registers.r10 = MAP_PRIVATE | MAP_ANONYMOUS;
    expected = registers;
    expected.r8 = registers.r9;
    expected.r9 = (uint64_t) stack_argument;
    result = call_site(&registers, &damage);
    ck_assert(_i % 2 == 0 ? own_is_mapped((const void *) result) : result == -EINVAL);
    ck_assert(memcmp(&registers, &expected, sizeof(expected)) == 0);
    ck_assert_uint_eq(damage, 0);
    ck_assert_uint_eq(linux_calls_take_arrivals(), LINUX_CALL_BIT(LINUX_CALL_MMAP) | LINUX_ANY_CALL_BIT);
}
END_TEST

START_TEST(call_of_ours_by_number_has_events)
{
    registers_t registers = { .rdi = 0x10000, .rsi = LINUX_PAGE, .rdx = MADV_DONTNEED };
    uint64_t damage;

    write_syscall_function();
    opal_mem_hooks_set_support(OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_int_eq(opal_mem_hooks_register_release(count_event, NULL), OPAL_SUCCESS);
    linux_calls_go_live(true);
    number = _i == 0 ? SYS_madvise : SYS_mincore; /* The twin has none. */
    ck_assert_int_eq(call_site(&registers, &damage), -ENOMEM);
    ck_assert_int_eq(live_events, _i == 0);
}
END_TEST

static const long others[] = { SYS_getppid, 511, 512, 600, 1000000, -1, -512, INT32_MIN, 0x7fffffff };

/* The kernel answers, and the component has not seen it. */
START_TEST(call_that_is_not_ours_goes_by)
{
    registers_t registers = pattern;
    uint64_t damage;

    write_syscall_function();
    linux_calls_take_arrivals();
    number = others[_i];
    stack_argument = 0x97;
    ck_assert_int_eq(call_site(&registers, &damage), number == SYS_getppid ? (long) getppid() : -ENOSYS);
    ck_assert_uint_eq(linux_calls_take_arrivals(), 0);
    ck_assert_uint_eq(damage, 0);
    ck_assert_uint_eq(registers.r9, 0x97); /* What the replaced instruction does. */
    number = SYS_munmap;                   /* The twin: one of ours does not go by. */
    ck_assert_int_eq(call_site(&registers, &damage), -EINVAL);
    ck_assert_uint_ne(linux_calls_take_arrivals(), 0);
}
END_TEST

/* `mov 16(%rsp),%rax; syscall; pop %rbx; ret`, behind a push of %rbx. */
START_TEST(number_on_the_stack_is_looked_at)
{
    const uint8_t bytes[] = { 0x53, 0x48, 0x8b, 0x44, 0x24, 0x10, 0x0f, 0x05, 0x5b, 0xc3 };
    registers_t registers = { .rbx = 0xb1, .rdi = 1 };
    uint64_t damage;

    own_open(page, 1);
    memcpy(page, bytes, sizeof(bytes));
    take_site(1, NULL);
    make_and_jump();
    linux_calls_take_arrivals();
    number = 0x1234;
    stack_argument = _i == 0 ? SYS_munmap : SYS_getppid;
    ck_assert_int_eq(call_site(&registers, &damage), _i == 0 ? -EINVAL : (long) getppid());
    ck_assert_uint_eq(linux_calls_take_arrivals(),
                      _i == 0 ? LINUX_CALL_BIT(LINUX_CALL_MUNMAP) | LINUX_ANY_CALL_BIT : 0);
    ck_assert_uint_eq(registers.rbx, 0xb1);
}
END_TEST

/* `mov $nr,%eax; mov $constant,%esi; syscall; ret`: the replaced instruction is run by the stub, arriving or not. */
START_TEST(constant_behind_the_number_is_there)
{
    const linux_filter_t filter = { _i == 2 ? LINUX_FILTER_EQUAL : LINUX_FILTER_NONE, 1, 7, UINT32_MAX };
    const linux_call_t call = { .nr = SYS_umask, .bit = 1, .before = before_umask, .filter = filter };
    const uint8_t bytes[] = { 0xb8, SYS_umask, 0, 0, 0, 0xbe, 0x34, 0x12, 0, 0, 0x0f, 0x05, 0xc3 };
    registers_t registers = pattern;
    uint64_t damage;

    own_open(page, 1);
    memcpy(page, bytes, sizeof(bytes));
    take_site(LINUX_INSN, &call);
    found.has_number = true;
    make_and_jump();
    umask(077);
    plan = LINUX_PLAN_MAKE;
    linux_calls_go_live(_i != 0);
    ck_assert_int_eq(call_site(&registers, &damage), 077);
    ck_assert_uint_eq(umask(077), 0xd1);
    ck_assert_uint_eq(registers.rsi, 0x1234);
    ck_assert_int_eq(befores, _i == 1);
    ck_assert(_i != 1 || seen_args[1] == 0x1234);
}
END_TEST

/* ---- Filters ---------------------------------------------------------------------------------- */

#define HIGH (UINT64_C(1) << 32)

static const struct {
    linux_filter_t filter;
    uint64_t rsi, rdx;
    bool arrives;
} filter_rows[] = {
    { { LINUX_FILTER_NONE, 0, 0, 0 }, 0, 0, true },
    { { LINUX_FILTER_BITS, 1, O_TRUNC, 0 }, O_WRONLY | O_TRUNC, 0, true },
    { { LINUX_FILTER_BITS, 1, O_TRUNC, 0 }, O_WRONLY, O_TRUNC, false },
    { { LINUX_FILTER_BITS, 1, O_TRUNC, 0 }, HIGH *O_TRUNC, 0, false },
    { { LINUX_FILTER_BITS, 1, O_TRUNC, 0 }, ~UINT64_C(0), 0, true },
    { { LINUX_FILTER_BITS, 1, 0xfffffffe, 0 }, 0x80000000, 0, true },
    { { LINUX_FILTER_BITS, 1, 0xfffffffe, 0 }, 1, 0, false },
    { { LINUX_FILTER_BITS, 2, O_TRUNC, 0 }, 0, O_TRUNC | O_RDWR, true },
    { { LINUX_FILTER_BITS, 2, O_TRUNC, 0 }, O_TRUNC, O_RDWR, false },
    { { LINUX_FILTER_BITS, 2, O_TRUNC, 0 }, 0, HIGH *O_TRUNC, false },
    { { LINUX_FILTER_EQUAL, 1, LINUX_UFFDIO_MOVE, UINT32_MAX }, LINUX_UFFDIO_MOVE, 0, true },
    { { LINUX_FILTER_EQUAL, 1, LINUX_UFFDIO_MOVE, UINT32_MAX }, HIGH | LINUX_UFFDIO_MOVE, 0, true },
    { { LINUX_FILTER_EQUAL, 1, LINUX_UFFDIO_MOVE, UINT32_MAX }, LINUX_UFFDIO_MOVE + 1, LINUX_UFFDIO_MOVE, false },
    { { LINUX_FILTER_EQUAL, 1, LINUX_UFFDIO_MOVE, UINT32_MAX }, 0, 0, false },
    { { LINUX_FILTER_EQUAL, 2, 7, UINT32_MAX }, 0, 7, true },
    { { LINUX_FILTER_EQUAL, 1, 0xaa00, 0xff00 }, LINUX_UFFDIO_MOVE, 0, true },
    { { LINUX_FILTER_EQUAL, 1, 0xaa00, 0xff00 }, HIGH | LINUX_UFFDIO_REGISTER, 0, true },
    { { LINUX_FILTER_EQUAL, 1, 0xaa00, 0xff00 }, 0x5401, 0xaa00, false },
    { { LINUX_FILTER_EQUAL, 2, 0xaa00, 0xff00 }, 0x5401, LINUX_UFFDIO_UNREGISTER, true },
    { { LINUX_FILTER_EQUAL, 2, 7, UINT32_MAX }, 7, 8, false },
};

static linux_plan_t before_filtered(const linux_call_t *call, linux_frame_t *frame)
{
    frame->result = call->nr * 1000;
    return LINUX_PLAN_DONE;
}

/* The site calls getppid, which heeds no argument. */
START_TEST(filter_lets_by_what_does_not_matter)
{
    const linux_call_t call = {
        .nr = SYS_getppid, .bit = 1, .before = before_filtered, .filter = filter_rows[_i].filter
    };
    registers_t registers = pattern, expected;
    uint64_t damage;

    own_write_site(page, SYS_getppid);
    take_site(0, &call);
    make_and_jump();
    linux_calls_go_live(true);
    linux_calls_take_arrivals();
    registers.rsi = filter_rows[_i].rsi;
    registers.rdx = filter_rows[_i].rdx;
    expected = registers;
    ck_assert_int_eq(call_site(&registers, &damage),
                     filter_rows[_i].arrives ? SYS_getppid * 1000L : (long) getppid());
    ck_assert_uint_eq(linux_calls_take_arrivals(), filter_rows[_i].arrives);
    ck_assert(memcmp(&registers, &expected, sizeof(expected)) == 0);
    ck_assert_uint_eq(damage, 0);
}
END_TEST

/* The filters of the table, by what must arrive. */
static const struct {
    linux_call_id_t id;
    uint64_t rsi, rdx;
    bool arrives;
} table_rows[] = {
    { LINUX_CALL_OPEN, O_RDONLY, 0, false },
    { LINUX_CALL_OPEN, O_RDONLY | O_TRUNC, 0, true },
    { LINUX_CALL_OPENAT, 0, O_RDWR | O_CREAT, false },
    { LINUX_CALL_OPENAT, 0, O_RDWR | O_TRUNC, true },
    { LINUX_CALL_FALLOCATE, 0, 0, false },
    { LINUX_CALL_FALLOCATE, FALLOC_FL_KEEP_SIZE, 0, false },
    { LINUX_CALL_FALLOCATE, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, 0, false },
    { LINUX_CALL_FALLOCATE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, true },
    { LINUX_CALL_FALLOCATE, FALLOC_FL_COLLAPSE_RANGE, 0, true },
    { LINUX_CALL_FALLOCATE, FALLOC_FL_ZERO_RANGE, 0, true },
    { LINUX_CALL_FALLOCATE, FALLOC_FL_INSERT_RANGE, 0, true },
    { LINUX_CALL_IOCTL, 0x5401, 0, false },
    { LINUX_CALL_IOCTL, 0xc028aa05, 0, true },
};

START_TEST(filter_of_the_table_lets_all_losses_arrive)
{
    const linux_call_t *call = &linux_calls[table_rows[_i].id];
    registers_t registers = { .rdi = (uint64_t) -1, .rsi = table_rows[_i].rsi, .rdx = table_rows[_i].rdx };
    uint64_t damage;

    own_write_site(page, call->nr);
    take_site(0, call);
    make_and_jump();
    linux_calls_take_arrivals();
    call_site(&registers, &damage);
    ck_assert_uint_eq(linux_calls_take_arrivals(), table_rows[_i].arrives ? call->bit : 0);
}
END_TEST

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_stubs");
    TCase *tcase = tcase_create("stubs");

    tcase_add_checked_fixture(tcase, own_stub_set_up, NULL);
    tcase_add_loop_test(tcase, registers_and_red_zone_survive_every_plan, 0, 2 * (int) COUNT(plans));
    tcase_add_loop_test(tcase, switched_off_the_call_is_only_made, 0, 2);
    if (!TEST_IS_THREAD_SANITIZED) { /* Its function before the call changes other registers first. */
        tcase_add_test(tcase, twin_changed_argument_is_seen_behind_the_call);
    }
    tcase_add_loop_test(tcase, kernels_error_comes_back_raw, 0, 4);
    tcase_add_test(tcase, stub_is_counted_once_a_call);
    tcase_add_loop_test(tcase, call_of_ours_by_number_arrives_with_its_last_arguments, 0, 4);
    tcase_add_loop_test(tcase, call_of_ours_by_number_has_events, 0, 2);
    tcase_add_loop_test(tcase, number_on_the_stack_is_looked_at, 0, 2);
    tcase_add_loop_test(tcase, constant_behind_the_number_is_there, 0, 3);
    tcase_add_loop_test(tcase, call_that_is_not_ours_goes_by, 0, (int) COUNT(others));
    tcase_add_loop_test(tcase, filter_lets_by_what_does_not_matter, 0, (int) COUNT(filter_rows));
    tcase_add_loop_test(tcase, filter_of_the_table_lets_all_losses_arrive, 0, (int) COUNT(table_rows));
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
