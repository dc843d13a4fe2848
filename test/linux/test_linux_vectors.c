/* SPDX-License-Identifier: BSD-3-Clause */
/* Vector registers around a callback that destroys them, as far as this
 * processor has them: the kernel keeps them, and so do sites in other code
 * than libc and ld.so. */
#include "components/linux/linux.h"

#include <string.h>
#include <sys/syscall.h>

#include "test/linux/own_stub.h"
#include "test/linux/valgrind.h"
#include "test/test_main.h"

/* As far as the processor has them. */
enum { SSE, AVX, AVX512, LEVELS };

static const char *const level_names[LEVELS] = { "SSE", "AVX", "AVX-512" };

static bool has_level(int level)
{
    __builtin_cpu_init();
    return level == SSE || (level == AVX && __builtin_cpu_supports("avx"))
           || (level == AVX512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"));
}

/* What the assembly below loads and stores. */
typedef struct vectors_t {
    uint8_t registers[32][64];
    uint64_t masks[8];    /* 2048 */
    double x87;           /* 2112 */
    uint32_t mxcsr;       /* 2120 */
    uint16_t x87_control; /* 2124 */
} vectors_t;

void *test_linux_entry __attribute__((visibility("hidden"), used));

/* %rdi: to load before the call of the entry, %rsi: to store to after it, %edx: level. */
void test_linux_call_with_vectors(const vectors_t *before, vectors_t *after, int level)
    __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".globl test_linux_call_with_vectors\n"
        ".hidden test_linux_call_with_vectors\n"
        "test_linux_call_with_vectors:\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    movq %rdi, %rbx\n"
        "    movq %rsi, %r12\n"
        "    movl %edx, %r13d\n"
        "    fninit\n"
        "    fldcw 2124(%rbx)\n"
        "    fldl 2112(%rbx)\n"
        "    ldmxcsr 2120(%rbx)\n"
        "    cmpl $1, %r13d\n"
        "    je 1f\n"
        "    ja 2f\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    movdqu \\i*64(%rbx), %xmm\\i\n"
        "    .endr\n"
        "    jmp 3f\n"
        "1:\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    vmovdqu \\i*64(%rbx), %ymm\\i\n"
        "    .endr\n"
        "    jmp 3f\n"
        "2:\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    vmovdqu64 \\i*64(%rbx), %zmm\\i\n"
        "    .endr\n"
        "    .irp i, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n"
        "    vmovdqu64 \\i*64(%rbx), %zmm\\i\n"
        "    .endr\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7\n"
        "    kmovq 2048+\\i*8(%rbx), %k\\i\n"
        "    .endr\n"
        "3:  movl $0x10000, %edi\n"
        "    movl $0x1000, %esi\n"
        "    call *test_linux_entry(%rip)\n"
        "    fnstcw 2124(%r12)\n"
        "    fstpl 2112(%r12)\n"
        "    fninit\n"
        "    stmxcsr 2120(%r12)\n"
        "    cmpl $1, %r13d\n"
        "    je 1f\n"
        "    ja 2f\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    movdqu %xmm\\i, \\i*64(%r12)\n"
        "    .endr\n"
        "    jmp 3f\n"
        "1:\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    vmovdqu %ymm\\i, \\i*64(%r12)\n"
        "    .endr\n"
        "    vzeroupper\n"
        "    jmp 3f\n"
        "2:\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    vmovdqu64 %zmm\\i, \\i*64(%r12)\n"
        "    .endr\n"
        "    .irp i, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n"
        "    vmovdqu64 %zmm\\i, \\i*64(%r12)\n"
        "    .endr\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7\n"
        "    kmovq %k\\i, 2048+\\i*8(%r12)\n"
        "    .endr\n"
        "    vzeroupper\n"
        "3:  pushq $0x1f80\n"
        "    ldmxcsr (%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    ret\n");

/* Overwrites everything of that level: what a callback may do that the user has written. */
void test_linux_destroy_vectors(int level) __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".globl test_linux_destroy_vectors\n"
        ".hidden test_linux_destroy_vectors\n"
        "test_linux_destroy_vectors:\n"
        "    fninit\n"
        "    pushq $0x1fbf\n" /* Other MXCSR: all exceptions seen. */
        "    ldmxcsr (%rsp)\n"
        "    addq $8, %rsp\n"
        "    cmpl $1, %edi\n"
        "    je 1f\n"
        "    ja 2f\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    pcmpeqd %xmm\\i, %xmm\\i\n"
        "    .endr\n"
        "    ret\n"
        "1:\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    vxorps %ymm\\i, %ymm\\i, %ymm\\i\n"
        "    .endr\n"
        "    ret\n"
        "2:\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    vpxorq %zmm\\i, %zmm\\i, %zmm\\i\n"
        "    .endr\n"
        "    .irp i, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31\n"
        "    vpxorq %zmm\\i, %zmm\\i, %zmm\\i\n"
        "    .endr\n"
        "    .irp i, 0, 1, 2, 3, 4, 5, 6, 7\n"
        "    kxorq %k\\i, %k\\i, %k\\i\n"
        "    .endr\n"
        "    ret\n");

static int level;
static volatile int live_events;

static void destroy_vectors(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    test_linux_destroy_vectors(level);
    ++live_events;
}

static vectors_t before, after;

/* Both are zero where the level has nothing. */
static void fill_vectors(void)
{
    const size_t width = (size_t) 16 << level;

    for (size_t i = 0; i < (level == AVX512 ? 32 : 16); i++) {
        for (size_t k = 0; k < width; k++) {
            before.registers[i][k] = (uint8_t) (1 + i * 7 + k);
        }
    }
    for (size_t i = 0; i < 8 && level == AVX512; i++) {
        before.masks[i] = UINT64_C(0x0123456789abcdef) + i;
    }
    before.x87 = 1.0 / 3;
    before.mxcsr = 0x3f80;      /* Rounds down. */
    before.x87_control = 0x77f; /* Likewise. */
}

/* Callbacks run on both sides of the system call. */
static linux_plan_t destroy_before(const linux_call_t *call, linux_frame_t *frame)
{
    (void) call;
    frame->count = 0;
    destroy_vectors(NULL, 0, NULL, true);
    return LINUX_PLAN_MAKE_THEN;
}

static linux_plan_t destroy_after(linux_frame_t *frame)
{
    (void) frame;
    destroy_vectors(NULL, 0, NULL, true);
    return LINUX_PLAN_DONE;
}

static linux_plan_t make_then(const linux_call_t *call, linux_frame_t *frame)
{
    (void) call, (void) frame;
    return LINUX_PLAN_MAKE_THEN;
}

static linux_plan_t destroy_and_be_done(const linux_call_t *call, linux_frame_t *frame)
{
    frame->result = 0;
    destroy_before(call, frame);
    return LINUX_PLAN_DONE;
}

static linux_plan_t destroy_and_make(const linux_call_t *call, linux_frame_t *frame)
{
    destroy_before(call, frame);
    return LINUX_PLAN_MAKE;
}

static const linux_call_t calls[] = {
    { .nr = SYS_munmap, .bit = 1, .before = destroy_before, .after = destroy_after },
    { .nr = SYS_munmap, .bit = 1, .before = make_then, .after = destroy_after },
    { .nr = SYS_munmap, .bit = 1, .before = destroy_and_be_done },
    { .nr = SYS_munmap, .bit = 1, .before = destroy_and_make },
};

/* The last one is the real munmap, with a release callback. */
#define CALLS ((int) (sizeof(calls) / sizeof(calls[0])) + 1)

static void call_with_vectors(linux_kind_t kind, int call)
{
    text.kind = kind;
    take_site(0, call == CALLS - 1 ? &linux_calls[LINUX_CALL_MUNMAP] : &calls[call]);
    make_and_jump();
    opal_mem_hooks_set_support(OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_int_eq(opal_mem_hooks_register_release(destroy_vectors, NULL), OPAL_SUCCESS);
    linux_calls_go_live(true);
    fill_vectors();
    test_linux_entry = entry;
    test_linux_call_with_vectors(&before, &after, level);
    ck_assert_int_ne(live_events, 0);
}

static bool same_registers(void)
{
    return memcmp(before.registers, after.registers, sizeof(before.registers)) == 0
           && memcmp(before.masks, after.masks, sizeof(before.masks)) == 0;
}

static bool same_modes(void)
{
    return before.mxcsr == after.mxcsr && before.x87_control == after.x87_control
           && memcmp(&before.x87, &after.x87, sizeof(before.x87)) == 0;
}

START_TEST(vector_registers_survive_a_callback_in_other_code)
{
    level = _i / CALLS;
    call_with_vectors(LINUX_OTHER, _i % CALLS);
    ck_assert(same_registers());
    ck_assert(same_modes());
}
END_TEST

/* There nobody expects them to. */
START_TEST(twin_in_libc_the_callback_destroys_them)
{
    level = _i / CALLS;
    call_with_vectors(LINUX_LIBC, _i % CALLS);
    ck_assert(!same_registers());
    ck_assert(!same_modes());
}
END_TEST

extern uint64_t linux_vectors_mask __attribute__((visibility("hidden")));

/* What a processor without XSAVE, or a system that has not switched it on, gets. */
START_TEST(without_xsave_sse_registers_survive)
{
    level = SSE;
    linux_vectors_mask = 0;
    call_with_vectors(LINUX_OTHER, _i);
    ck_assert(same_registers());
    ck_assert(same_modes());
}
END_TEST

START_TEST(twin_without_xsave_wider_registers_do_not)
{
    level = _i;
    linux_vectors_mask = 0;
    call_with_vectors(LINUX_OTHER, 0);
    ck_assert(!same_registers());
    ck_assert(same_modes());
}
END_TEST

static void add_vector_tests(TCase *tcase)
{
    for (int i = 0; i < LEVELS; i++) {
        if (!has_level(i)) {
            printf("SKIP: vector registers of %s: this processor has none\n", level_names[i]);
            continue;
        }
        tcase_add_loop_test(tcase, vector_registers_survive_a_callback_in_other_code, i * CALLS, (i + 1) * CALLS);
        tcase_add_loop_test(tcase, twin_in_libc_the_callback_destroys_them, i * CALLS, (i + 1) * CALLS);
        if (i != SSE) {
            tcase_add_loop_test(tcase, twin_without_xsave_wider_registers_do_not, i, i + 1);
        }
    }
    tcase_add_loop_test(tcase, without_xsave_sse_registers_survive, 0, CALLS);
}

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_vectors");
    TCase *tcase = tcase_create("vectors");

    tcase_add_checked_fixture(tcase, own_stub_set_up, NULL);
    add_vector_tests(tcase);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
