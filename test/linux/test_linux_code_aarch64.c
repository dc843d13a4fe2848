/* SPDX-License-Identifier: BSD-3-Clause */
/* Machine code of aarch64: what is taken for a site, where jumps of others lead, and how code is stored. */
#include <string.h>
#include <sys/syscall.h>

#include "components/linux/linux.h"
#include "test/test_main.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Sites ------------------------------------------------------------------------------------- */

enum {
    SVC = 0xd4000001,
    MOV_W8_MUNMAP = 0x52801ae8,
    MOV_X8_MUNMAP = 0xd2801ae8,
    MOVK_X8 = 0xf2a00028,            /* movk x8, #1, lsl #16 */
    MOV_X8_MUNMAP_HIGH = 0xd2a01ae8, /* mov x8, #215 << 16 */
    MOV_W8_GETPID = 0x52801588,
    MOV_W7_MUNMAP = 0x52801ae7,
    MOV_X8_X0 = 0xaa0003e8,
    MOV_W8_W0 = 0x2a0003e8,
    MOV_X0_X1 = 0xaa0103e0,
    MOV_X1_X2 = 0xaa0203e1,
    MOV_X2_X3 = 0xaa0303e2,
    MOV_X3_X4 = 0xaa0403e3,
    MOV_X4_X5 = 0xaa0503e4,
    MOV_X5_X6 = 0xaa0603e5,
    MOV_X6_X7 = 0xaa0703e6,
    MOV_X5_X7 = 0xaa0703e5,
    MOV_X8_X1 = 0xaa0103e8,
    MOV_X0_X2 = 0xaa0203e0,
    MOV_X1_X3 = 0xaa0303e1,
    MOV_X2_X4 = 0xaa0403e2,
    MOV_X3_X5 = 0xaa0503e3,
    MOV_X4_X6 = 0xaa0603e4,
    LDR_X19 = 0xf9400bf3,   /* ldr x19, [sp, #16] */
    LDP_FRAME = 0xa8c27bfd, /* ldp x29, x30, [sp], #32 */
    AUTIASP = 0xd50323bf,
    STP = 0xa9017fff, /* stp xzr, xzr, [sp, #16] */
    LDR_X8 = 0xf9400008,
    MRS_TPIDR = 0xd53bd043,
    NOP = 0xd503201f,
    RET = 0xd65f03c0,
    B_NEXT = 0x14000001,
    BL = 0x94000010,
    B_EQ = 0x54000040
};

static bool is_wanted(long nr)
{
    return nr == LINUX_NR_ANY || nr == SYS_munmap;
}

static const struct {
    const char *name;
    uint32_t code[24];
    size_t site; /* Index of the svc; 0: none. */
    long nr;
} pieces[] = {
    { "number of 32 bits", { NOP, MOV_W8_MUNMAP, SVC, RET }, 2, SYS_munmap },
    { "number of 64 bits", { NOP, MOV_X8_MUNMAP, SVC, RET }, 2, SYS_munmap },
    { "others between", { MOV_X8_MUNMAP, STP, MOV_X0_X1, MRS_TPIDR, SVC }, 4, SYS_munmap },
    { "second call", { MOV_W8_GETPID, SVC, MOV_W8_MUNMAP, SVC }, 3, SYS_munmap },
    { "another number", { MOV_W8_GETPID, SVC, RET }, 0, 0 },
    { "another register", { MOV_W7_MUNMAP, SVC, RET }, 0, 0 },
    { "number of an earlier call", { MOV_W8_MUNMAP, SVC, SVC, RET }, 1, SYS_munmap },
    { "number before a call of a function", { MOV_W8_MUNMAP, BL, SVC }, 0, 0 },
    { "number before a branch", { MOV_W8_MUNMAP, B_EQ, SVC }, 0, 0 },
    { "number that was overwritten", { MOV_W8_MUNMAP, LDR_X8, SVC }, 0, 0 },
    { "number in two parts", { MOV_X8_MUNMAP, MOVK_X8, SVC }, 0, 0 },
    { "number that is shifted", { NOP, MOV_X8_MUNMAP_HIGH, SVC }, 0, 0 },
    { "no svc", { MOV_W8_MUNMAP, RET }, 0, 0 },
    { "svc without anything before it", { SVC, RET }, 0, 0 },
    { "syscall of glibc",
      { NOP, MOV_W8_W0, MOV_X0_X1, MOV_X1_X2, MOV_X2_X3, MOV_X3_X4, MOV_X4_X5, MOV_X5_X6, MOV_X6_X7, SVC },
      9,
      LINUX_NR_ANY },
    { "syscall of six arguments",
      { MOV_X8_X0, MOV_X0_X1, MOV_X1_X2, MOV_X2_X3, MOV_X3_X4, MOV_X4_X5, MOV_X5_X6, SVC },
      7,
      LINUX_NR_ANY },
    { "syscall of five arguments",
      { MOV_X8_X0, MOV_X0_X1, MOV_X1_X2, MOV_X2_X3, MOV_X3_X4, MOV_X4_X5, SVC },
      0,
      0 },
    { "cancellation point of glibc 2.41",
      { MOV_X8_X1, MOV_X0_X2, MOV_X1_X3, MOV_X2_X4, MOV_X3_X5, MOV_X4_X6, MOV_X5_X7, SVC, RET },
      6,
      LINUX_NR_ANY },
    { "something else behind it",
      { MOV_X8_X1, MOV_X0_X2, MOV_X1_X3, MOV_X2_X4, MOV_X3_X5, MOV_X4_X6, MOV_X5_X7, SVC, NOP },
      0,
      0 },
    { "cancellation point with one thread", { BL, SVC, LDR_X19, LDP_FRAME, RET }, 1, LINUX_NR_ANY },
    { "likewise, signed", { BL, SVC, LDR_X19, LDP_FRAME, AUTIASP, RET }, 1, LINUX_NR_ANY },
    { "another frame", { BL, SVC, LDR_X19, STP, RET }, 0, 0 },
    { "other moves", { MOV_X8_X0, MOV_X0_X1, MOV_X1_X2, MOV_X2_X3, MOV_X3_X4, MOV_X4_X5, MOV_X5_X7, SVC }, 0, 0 },
};

START_TEST(site_is_found_where_its_number_is_certain)
{
    const uint8_t *code = (const uint8_t *) pieces[_i].code;
    const size_t size = sizeof(pieces[_i].code);
    const size_t expected = pieces[_i].site != 0 ? pieces[_i].site * LINUX_INSN : size;
    long nr = 0;

    ck_assert_msg(linux_code_find(code, size, 0, is_wanted, &nr) == expected, "%s", pieces[_i].name);
    ck_assert_msg(nr == pieces[_i].nr, "%s: number %ld", pieces[_i].name, nr);
    ck_assert_uint_eq(linux_code_find(code, size, expected + LINUX_RESUME, is_wanted, &nr), size);
}
END_TEST

/* Sixteen instructions back, and not one more; and not before the begin of what may be read. */
START_TEST(number_that_is_far_is_not_looked_for)
{
    uint32_t code[20] = { MOV_W8_MUNMAP };
    long nr;

    for (size_t i = 1; i < COUNT(code); i++) {
        code[i] = NOP;
    }
    code[16] = SVC;
    ck_assert_uint_eq(linux_code_find((uint8_t *) code, sizeof(code), 0, is_wanted, &nr), 16 * LINUX_INSN);
    ck_assert_uint_eq(linux_code_find((uint8_t *) (code + 1), sizeof(code) - LINUX_INSN, 0, is_wanted, &nr),
                      sizeof(code) - LINUX_INSN);
    code[16] = NOP;
    code[17] = SVC;
    ck_assert_uint_eq(linux_code_find((uint8_t *) code, sizeof(code), 0, is_wanted, &nr), sizeof(code));
}
END_TEST

START_TEST(search_that_begins_between_instructions_goes_on_with_the_next)
{
    const uint32_t code[] = { NOP, MOV_W8_MUNMAP, SVC };
    const uint8_t *bytes = (const uint8_t *) code;
    long nr;

    ck_assert_uint_eq(linux_code_find(bytes + 2, sizeof(code) - 2, 0, is_wanted, &nr), 2 * LINUX_INSN - 2);
    ck_assert_uint_eq(linux_code_find(bytes, sizeof(code), 2 * LINUX_INSN - 1, is_wanted, &nr), 2 * LINUX_INSN);
    ck_assert_uint_eq(linux_code_find(bytes, sizeof(code), 2 * LINUX_INSN + 1, is_wanted, &nr), sizeof(code));
}
END_TEST

/* ---- Jumps of others --------------------------------------------------------------------------- */

static const uint32_t jumps[][6] = {
    { 0x14000040 },                                                 /* b .+256 */
    { 0xd503245f, 0x1400003f },                                     /* bti c; b */
    { 0xd284686f, 0xf2aacf0f, 0xf2cde02f, 0xd61f01e0 },             /* mov, movk, movk x15; br x15 */
    { 0xd2e0000f, 0xf2c0000f, 0xf2b5790f, 0xf28e684f, 0xd61f01e0 }, /* the highest part first */
    { 0x58000050, 0xd61f0200, 0x11223344, 0x0000aabb },             /* ldr x16, .+8; br x16 */
    { 0xd284686f, 0xf2aacf0f, 0xf2cde02e, 0xd61f01e0 },             /* two registers */
    { NOP, NOP },
};

START_TEST(jump_of_another_library_is_followed)
{
    const uint8_t *code = (const uint8_t *) jumps[_i];
    const uint8_t *const targets[] = { code + 256,
                                       code + 256,
                                       (const uint8_t *) 0x6f0156782343,
                                       (const uint8_t *) 0xabc87342,
                                       (const uint8_t *) 0xaabb11223344,
                                       NULL,
                                       NULL };

    ck_assert_ptr_eq(linux_code_follow(code), targets[_i]);
}
END_TEST

/* ---- Storing ------------------------------------------------------------------------------------- */

START_TEST(store_leaves_alone_what_is_not_as_expected)
{
    uint32_t words[3] = { 1, SVC, 3 };
    linux_patch_t patch = { .address = (uint8_t *) &words[1] };

    memcpy(patch.from, &(uint32_t){ SVC }, LINUX_INSN);
    memcpy(patch.to, &(uint32_t){ B_NEXT }, LINUX_INSN);
    ck_assert(linux_code_can_store(&patch));
    ck_assert(linux_code_store(&patch));
    ck_assert_uint_eq(words[1], B_NEXT);
    ck_assert(!linux_code_store(&patch));
    ck_assert_uint_eq(words[0], 1);
    ck_assert_uint_eq(words[1], B_NEXT);
    ck_assert_uint_eq(words[2], 3);
    patch.address += 2;
    ck_assert(!linux_code_can_store(&patch));
}
END_TEST

/* Other instructions than the architecture lists must not be changed while they may be running. */
START_TEST(other_instructions_are_not_stored_in_place)
{
    static const uint32_t words[2][2] = { { MOV_X5_X7, B_NEXT }, { B_NEXT, MOV_X5_X7 } };
    static uint32_t place;
    linux_patch_t patch = { .address = (uint8_t *) &place };

    memcpy(patch.from, &words[_i][0], LINUX_INSN);
    memcpy(patch.to, &words[_i][1], LINUX_INSN);
    ck_assert(!linux_code_can_store(&patch));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_code_aarch64");
    TCase *tcase = tcase_create("code");

    tcase_add_loop_test(tcase, site_is_found_where_its_number_is_certain, 0, COUNT(pieces));
    tcase_add_test(tcase, number_that_is_far_is_not_looked_for);
    tcase_add_test(tcase, search_that_begins_between_instructions_goes_on_with_the_next);
    tcase_add_loop_test(tcase, jump_of_another_library_is_followed, 0, COUNT(jumps));
    tcase_add_test(tcase, store_leaves_alone_what_is_not_as_expected);
    tcase_add_loop_test(tcase, other_instructions_are_not_stored_in_place, 0, 2);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
