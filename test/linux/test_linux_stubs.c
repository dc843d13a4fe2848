/* SPDX-License-Identifier: BSD-3-Clause */
/* A stub, entered from a site of the test's own: what a system call keeps is
 * kept, the result comes back, and the place is near enough. */
#include "components/linux/linux.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "test/linux/fake_sys.h"
#include "test/linux/valgrind.h"
#include "test/test_main.h"

/* `mov $nr,%eax; syscall; ret` in a page of its own. */
static linux_object_t object = { .name = "test" };
static linux_site_t site;

/* What is free above the site: the kernel puts new mappings right below others. */
#define ROOM ((size_t) 4 << 20)

static void set_up(void)
{
    const uint8_t bytes[] = { 0xb8, SYS_munmap, 0, 0, 0, 0x0f, 0x05, 0xc3 };
    uint8_t *page = mmap(NULL, ROOM, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(page, MAP_FAILED);
    ck_assert_int_eq(munmap(page + LINUX_PAGE, ROOM - LINUX_PAGE), 0);
    memcpy(page, bytes, sizeof(bytes));
    object.start = (uintptr_t) page;
    object.end = object.start + LINUX_PAGE;
    site = (linux_site_t){ .address = page, .object = &object, .call = &linux_calls[LINUX_CALL_MUNMAP] };
    memcpy(site.original, page, LINUX_INSN);
}

static void make_and_jump(void)
{
    int sys_errno = 0;

    ck_assert_int_eq(linux_trampoline_make(&site, 1, &sys_errno), OPAL_SUCCESS);
    memcpy(site.address, site.jump, LINUX_INSN);
}

typedef struct registers_t {
    uint64_t rbx, rdi, rsi, rdx, r8, r9, r10, r12, r13, r14, r15;
} registers_t;

/* What the assembly below works on. */
struct test_linux_frame {
    registers_t registers;
    void *site;
    long result;
    uint64_t damage; /* Not 0: the red zone was written to. */
} test_linux_frame __attribute__((visibility("hidden"), used));

/* Calls the site with known registers and with 1 to 16 in what is the red zone there. */
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
        "    movq %rsp, %rbp\n"
        "    movl $16, %ecx\n"
        "1:  movq %rcx, -144(%rsp,%rcx,8)\n"
        "    decl %ecx\n"
        "    jnz 1b\n"
        "    call *88(%rax)\n"
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
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbp\n"
        "    popq %rbx\n"
        "    ret\n");

static long call_site(registers_t *registers, uint64_t *damage)
{
    test_linux_frame = (struct test_linux_frame){ .registers = *registers, .site = site.address };
    test_linux_call_site();
    *registers = test_linux_frame.registers;
    *damage = test_linux_frame.damage;
    return test_linux_frame.result;
}

static long seen_args[6];
static long forced_result;

static long note_munmap(const long args[6])
{
    memcpy(seen_args, args, sizeof(seen_args));
    return forced_result;
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

START_TEST(registers_and_red_zone_survive)
{
    registers_t registers = pattern;
    uint64_t damage;

    make_and_jump();
    linux_calls_go_live(_i != 0);
    forced_result = 0x123456789abcdef;
    fake_sys_set(SYS_munmap, note_munmap);
    ck_assert_int_eq(call_site(&registers, &damage), forced_result);
    ck_assert(memcmp(&registers, &pattern, sizeof(pattern)) == 0);
    ck_assert_uint_eq(damage, 0);
    ck_assert_int_eq(seen_args[0], 0xd1);
    ck_assert_int_eq(seen_args[1], 0x51);
    ck_assert_int_eq(seen_args[2], 0xd2);
    ck_assert_int_eq(seen_args[3], 0xa1);
    ck_assert_int_eq(seen_args[4], 0x81);
    ck_assert_int_eq(seen_args[5], 0x91);
}
END_TEST

static int live_events;

static void count_event(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf;
    (void) length;
    (void) cbdata;
    (void) from_alloc;
    live_events++;
}

/* The kernel's answer, unchanged, with events and without. */
START_TEST(kernels_error_comes_back_raw)
{
    registers_t registers = { .rdi = 0x10000, .rsi = LINUX_PAGE };
    uint64_t damage;

    opal_mem_hooks_set_support(OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_int_eq(opal_mem_hooks_register_release(count_event, NULL), OPAL_SUCCESS);
    make_and_jump();
    linux_calls_go_live(_i != 0);
    forced_result = -EINVAL;
    fake_sys_set(SYS_munmap, note_munmap);
    ck_assert_int_eq(call_site(&registers, &damage), -EINVAL);
    ck_assert_int_eq(live_events, _i != 0);
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

static uintptr_t stub_address(void)
{
    int32_t distance;

    memcpy(&distance, site.jump + 1, sizeof(distance));
    return (uintptr_t) site.address + LINUX_INSN + (uintptr_t) (intptr_t) distance;
}

/* Above, the page is in reach of 16 MiB if anything is free there. */
START_TEST(stub_is_above_where_there_is_room)
{
    int sys_errno = 0;

    ck_assert_int_eq(linux_trampoline_make(&site, 1, &sys_errno), OPAL_SUCCESS);
    ck_assert_uint_gt(stub_address(), (uintptr_t) site.address);
    ck_assert_uint_eq(site.jump[4], 0);
}
END_TEST

static long tries;

/* Nothing is free within `16 MiB` above; the first place below is. */
static long mmap_below_only(const long args[6])
{
    tries++;
    return (uintptr_t) args[0] >= object.start ? -EEXIST : linux_sys_real(SYS_mmap, args);
}

START_TEST(stub_is_elsewhere_within_reach_otherwise)
{
    registers_t registers = { .rdi = 1 };
    uint64_t damage;

    fake_sys_set(SYS_mmap, mmap_below_only);
    make_and_jump();
    ck_assert_uint_lt(stub_address(), (uintptr_t) site.address);
    ck_assert_uint_gt(stub_address(), (uintptr_t) site.address - (UINT64_C(1) << 31));
    ck_assert_int_eq(call_site(&registers, &damage), -EINVAL);
}
END_TEST

static long mmap_full(const long args[6])
{
    (void) args;
    tries++;
    return -EEXIST;
}

/* What a kernel without MAP_FIXED_NOREPLACE does with a place that is taken. */
static long mmap_hint(const long args[6])
{
    const long anywhere[6] = { 0, args[1], args[2], MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 };

    tries++;
    return linux_sys_real(SYS_mmap, anywhere);
}

static long unmaps;

static long count_munmap(const long args[6])
{
    unmaps++;
    return linux_sys_real(SYS_munmap, args);
}

START_TEST(no_room_is_an_error_after_a_bounded_search)
{
    int sys_errno = 0;

    fake_sys_set(SYS_mmap, _i == 0 ? mmap_full : mmap_hint);
    fake_sys_set(SYS_munmap, count_munmap);
    ck_assert_int_eq(linux_trampoline_make(&site, 1, &sys_errno), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_lt(tries, 10000);
    ck_assert_int_eq(unmaps, _i == 0 ? 0 : tries);
}
END_TEST

static long refuse(const long args[6])
{
    (void) args;
    return -EACCES;
}

START_TEST(page_that_cannot_be_executed_is_given_back)
{
    int sys_errno = 0;

    fake_sys_set(SYS_mprotect, refuse);
    fake_sys_set(SYS_munmap, count_munmap);
    ck_assert_int_eq(linux_trampoline_make(&site, 1, &sys_errno), OPAL_ERR_PERM);
    ck_assert_int_eq(sys_errno, EACCES);
    ck_assert_int_eq(unmaps, 1);
    ck_assert(memcmp(site.address, site.original, LINUX_INSN) == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_trampoline");
    TCase *tcase = tcase_create("trampoline");

    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_loop_test(tcase, registers_and_red_zone_survive, 0, 2);
    tcase_add_loop_test(tcase, kernels_error_comes_back_raw, 0, 2);
    tcase_add_test(tcase, stub_is_counted_once_a_call);
    tcase_add_test(tcase, stub_is_above_where_there_is_room);
    tcase_add_test(tcase, stub_is_elsewhere_within_reach_otherwise);
    tcase_add_loop_test(tcase, no_room_is_an_error_after_a_bounded_search, 0, 2);
    tcase_add_test(tcase, page_that_cannot_be_executed_is_given_back);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
