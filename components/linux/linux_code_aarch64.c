/* SPDX-License-Identifier: BSD-3-Clause */
/* Machine code of aarch64: which instructions are a site, what a stub looks like, and where jumps of others lead.
 *
 * A site is an instruction:
 *
 *     svc #0     behind a `mov x8,#nr` that is not far. All arguments are there, whatever stands between. What the search
 *                takes for the number is a guess, as somebody may jump to the svc; the stub compares it with x8
 *     svc #0     in certain pieces of libc where the number is the caller's: syscall(2), which moves its first argument to
 *                x8 and the others one down, and cancellation points from glibc 2.41 on, as long as there is one thread
 *     mov x5,x7  the last one before the svc of those cancellation points with more threads. There a signal handler
 *                looks whether the svc was interrupted, so that calls which are none of ours must be made by it
 *
 *         mov  x5, x7                    of the third kind only
 *         stp  x16, x17, [sp, #-32]!     the kernel keeps these, and inlined code may need them
 *         mov  w16, #nr                  without touching the flags:
 *         eor  w16, w16, w8              another number goes past us; syscall(2): where the table has
 *         cbnz w16, 1f                   no call of ours
 *         mov  w16, #flag; and w16, w16, w1; cbz w16, 1f         calls with a filter: likewise
 *         ldr  x16, 3f
 *         stp  x30, x16, [sp, #16]       where the call comes back to, for unwinders
 *         ldr  x16, 2f
 *         ldr  x17, common
 *         blr  x17                       may be farther away than 128 MiB; blr and ret balance, for shadow stacks
 *         ldr  x30, [sp, #16]
 *         ldp  x16, x17, [sp], #32
 *         b    resume
 *      1: ldp  x16, x17, [sp], #32
 *         svc  #0                        all registers are as they were: for clone, too
 *         b    resume                    of the third kind only `b svc` in place of these two
 *      2: site
 *      3: resume
 *      4: table
 *
 * Stubs are reached and left by direct branches, which need no landing pad (BTI). */
#include <string.h>

#include "components/linux/linux.h"

#define SVC 0xd4000001u
#define RET 0xd65f03c0u
#define AUTIASP 0xd50323bfu
#define MOV_X5_X7 0xaa0703e5u
#define REGISTER_NR 8
#define REGISTER_NONE 31u /* As a destination: nothing is changed. */

/* ---- Sites ------------------------------------------------------------------------------------- */

static uint32_t insn_at(const uint8_t *code)
{
    uint32_t insn;

    memcpy(&insn, code, sizeof(insn));
    return insn;
}

/* `mov w8,#nr` or `mov x8,#nr`. */
static bool is_number(uint32_t insn)
{
    return (insn & 0x7fe0001fu) == (0x52800000u | REGISTER_NR);
}

/* Branches, exceptions, and what no compiler makes; but not hints, barriers, and access to system registers. */
static bool ends_search(uint32_t insn)
{
    const bool is_branch_or_system = (insn & 0x1c000000u) == 0x14000000u;
    const bool is_system = (insn & 0xffc00000u) == 0xd5000000u;

    return (is_branch_or_system && !is_system) || (insn & 0x1e000000u) == 0;
}

/* May it change x8? Stores are taken for such, too. */
static bool names_number(uint32_t insn)
{
    return (insn & 0x1fu) == REGISTER_NR;
}

/* `mov dest,source`, of 64 or 32 bits; *dest and *source are the registers. */
static bool is_move(uint32_t insn, unsigned *dest, unsigned *source)
{
    *dest = insn & 0x1fu;
    *source = insn >> 16 & 0x1fu;
    return (insn & 0x7fe0ffe0u) == 0x2a0003e0u;
}

/* The end of syscall(2): `mov x8,x0` and, in any order that works, x0 to x5 from the register one up. */
static bool is_syscall_function(const uint8_t *code, size_t site)
{
    uint32_t moved = 0;

    for (size_t at = site; at >= LINUX_INSN && site - at < LINUX_LOOK_BACK; at -= LINUX_INSN) {
        unsigned dest, source;

        if (!is_move(insn_at(code + at - LINUX_INSN), &dest, &source)) {
            return false;
        }
        if (dest == REGISTER_NR) {
            return source == 0 && (moved & 0x3fu) == 0x3fu;
        }
        if (source != dest + 1) {
            return false;
        }
        moved |= UINT32_C(1) << dest;
    }
    return false;
}

/* The site must not lie nearer than that to either end of the code. */
static bool has_room(size_t size, size_t site, size_t before, size_t behind)
{
    return site >= before && size - site >= behind;
}

#define BL_MASK 0xfc000000u
#define BL 0x94000000u

/* __internal_syscall_cancel of glibc 2.41: behind a call that does not come back, `svc #0; ldr x19, [sp, #16]; ldp x29, x30,
 * [sp], #32; ret`, perhaps with `autiasp` before the ret. */
static bool is_single_cancellation_point(const uint8_t *code, size_t size, size_t site)
{
    static const uint32_t end[] = { SVC, 0xf9400bf3, 0xa8c27bfd };
    const uint8_t *behind = code + site + sizeof(end);

    if (!has_room(size, site, LINUX_INSN, sizeof(end) + 2 * (size_t) LINUX_INSN)) {
        return false;
    }
    return (insn_at(code + site - LINUX_INSN) & BL_MASK) == BL && memcmp(code + site, end, sizeof(end)) == 0
           && (insn_at(behind) == RET || (insn_at(behind) == AUTIASP && insn_at(behind + LINUX_INSN) == RET));
}

/* __syscall_cancel_arch of glibc 2.41, written by hand. The site is its last move. */
static bool is_cancellation_point(const uint8_t *code, size_t size, size_t site)
{
    static const uint32_t whole[] = { 0xaa0103e8, 0xaa0203e0, 0xaa0303e1, 0xaa0403e2, 0xaa0503e3,
                                      0xaa0603e4, MOV_X5_X7,  SVC,        RET };
    const size_t before = 6 * (size_t) LINUX_INSN;

    return has_room(size, site, before, sizeof(whole) - before)
           && memcmp(code + site - before, whole, sizeof(whole)) == 0;
}

static bool find_number(const uint8_t *code, size_t site, long *nr)
{
    for (size_t at = site; at >= LINUX_INSN && site - at < LINUX_LOOK_BACK; at -= LINUX_INSN) {
        const uint32_t insn = insn_at(code + at - LINUX_INSN);

        if (is_number(insn)) {
            *nr = (long) (insn >> 5 & 0xffffu);
            return true;
        }
        if (ends_search(insn) || names_number(insn)) {
            return false;
        }
    }
    return false;
}

static bool is_svc_site(const uint8_t *code, size_t size, size_t site, long *nr)
{
    *nr = LINUX_NR_ANY;
    return find_number(code, site, nr) || is_syscall_function(code, site)
           || is_single_cancellation_point(code, size, site);
}

static bool is_site(const uint8_t *code, size_t size, size_t site, bool (*is_wanted)(long nr), long *nr)
{
    const uint32_t insn = insn_at(code + site);
    long number = LINUX_NR_ANY;

    if (insn == SVC ? !is_svc_site(code, size, site, &number)
                    : insn != MOV_X5_X7 || !is_cancellation_point(code, size, site)) {
        return false;
    }
    if (!is_wanted(number)) {
        return false;
    }
    *nr = number;
    return true;
}

size_t linux_code_find(const uint8_t *code, size_t size, size_t from, bool (*is_wanted)(long nr), long *nr)
{
    const size_t unaligned = (uintptr_t) code % LINUX_INSN;

    /* Offsets of aligned instructions. */
    for (size_t at = ((from + unaligned + LINUX_INSN - 1) & ~(size_t) (LINUX_INSN - 1)) - unaligned;
         at + LINUX_INSN <= size; at += LINUX_INSN) {
        if (is_site(code, size, at, is_wanted, nr)) {
            return at;
        }
    }
    return size;
}

/* ---- Stubs ------------------------------------------------------------------------------------- */

#define INSN_PUSH 0xa9be47f0u        /* stp x16, x17, [sp, #-32]! */
#define INSN_POP 0xa8c247f0u         /* ldp x16, x17, [sp], #32 */
#define INSN_SAVE_RETURN 0xa90143feu /* stp x30, x16, [sp, #16] */
#define INSN_LOAD_RETURN 0xf9400bfeu /* ldr x30, [sp, #16] */
#define INSN_CALL_X17 0xd63f0220u    /* blr x17 */

enum { W0 = 0, W8 = 8, W16 = 16, W17 = 17 };

typedef struct stub_t {
    uint8_t *start, *at;
    uint8_t *to_pass[3]; /* Branches to the way past us, whose place is not known yet. */
    size_t pass_count;
} stub_t;

/* Where the values stand, at the end of the room for a stub. */
#define SITE_OFFSET (LINUX_STUB_BYTES - 8)
#define RESUME_OFFSET (LINUX_STUB_BYTES - 16)
#define TABLE_OFFSET (LINUX_STUB_BYTES - 24)

static void put(stub_t *stub, uint32_t insn)
{
    memcpy(stub->at, &insn, sizeof(insn));
    stub->at += sizeof(insn);
}

static void put_value(const stub_t *stub, size_t offset, uint64_t value)
{
    memcpy(stub->start + offset, &value, sizeof(value));
}

static uint32_t branch(const uint8_t *from, const uint8_t *to)
{
    return 0x14000000u | (((uint32_t) ((to - from) / 4)) & 0x03ffffffu);
}

/* Distances of loads and conditional branches: 19 bits, of 4 bytes each. */
static uint32_t distance_19(const uint8_t *from, const uint8_t *to)
{
    return ((uint32_t) ((to - from) / 4) & 0x7ffffu) << 5;
}

static void put_load(stub_t *stub, unsigned reg, const void *from)
{
    put(stub, 0x58000000u | distance_19(stub->at, from) | reg); /* ldr xN, from */
}

static void put_constant(stub_t *stub, unsigned reg, uint32_t value)
{
    put(stub, 0x52800000u | (value & 0xffffu) << 5 | reg); /* mov wN, #low */
    if (value > 0xffffu) {
        put(stub, 0x72a00000u | (value >> 16) << 5 | reg); /* movk wN, #high, lsl #16 */
    }
}

static void put_pass_unless(stub_t *stub, unsigned reg, bool is_zero)
{
    stub->to_pass[stub->pass_count++] = stub->at;
    put(stub, (is_zero ? 0x35000000u : 0x34000000u) | reg); /* cbnz or cbz wN, pass */
}

static void put_equal_filter(stub_t *stub, unsigned reg, uint32_t value, uint32_t mask)
{
    put_constant(stub, W16, value);
    put(stub, 0x4a000000u | reg << 16 | W16 << 5 | W16); /* eor w16, w16, wN */
    if (mask != UINT32_MAX) {
        put_constant(stub, W17, mask);
        put(stub, 0x0a000000u | W17 << 16 | W16 << 5 | W16); /* and w16, w16, w17 */
    }
    put_pass_unless(stub, W16, true);
}

static void put_bits_filter(stub_t *stub, unsigned reg, uint32_t value)
{
    put_constant(stub, W16, value);
    put(stub, 0x0a000000u | reg << 16 | W16 << 5 | W16); /* and w16, w16, wN */
    put_pass_unless(stub, W16, false);
}

_Static_assert(LINUX_CALL_NUMBERS == 1 << 9, "the shift below");

static void put_table_filter(stub_t *stub)
{
    put(stub, 0x53097c00u | W8 << 5 | W16); /* lsr w16, w8, #9 */
    put_pass_unless(stub, W16, true);
    put_value(stub, TABLE_OFFSET, (uintptr_t) linux_call_ids);
    put_load(stub, W16, stub->start + TABLE_OFFSET);
    put(stub, 0x38604800u | W8 << 16 | W16 << 5 | W16); /* ldrb w16, [x16, w8, uxtw] */
    put_pass_unless(stub, W16, false);
}

static void put_filters(stub_t *stub, const linux_call_t *call)
{
    if (call == NULL) {
        put_table_filter(stub);
        return;
    }
    put_equal_filter(stub, W8, (uint32_t) call->nr, UINT32_MAX);
    if (call->filter.kind == LINUX_FILTER_BITS) {
        put_bits_filter(stub, W0 + call->filter.argument, call->filter.value);
    } else if (call->filter.kind == LINUX_FILTER_EQUAL) {
        put_equal_filter(stub, W0 + call->filter.argument, call->filter.value, call->filter.mask);
    }
}

static bool is_before_svc(const linux_site_t *site)
{
    return insn_at(site->original) != SVC;
}

static const uint8_t *svc_of(const linux_site_t *site)
{
    return is_before_svc(site) ? site->address + LINUX_INSN : site->address;
}

static void put_call(stub_t *stub, const linux_site_t *site, const linux_stub_head_t *head)
{
    const uint8_t *resume = svc_of(site) + LINUX_INSN;

    put_value(stub, SITE_OFFSET, (uintptr_t) site);
    put_value(stub, RESUME_OFFSET, (uintptr_t) resume);
    put_load(stub, W16, stub->start + RESUME_OFFSET);
    put(stub, INSN_SAVE_RETURN);
    put_load(stub, W16, stub->start + SITE_OFFSET);
    put_load(stub, W17, site->kind == LINUX_OTHER ? &head->vectors : &head->common);
    put(stub, INSN_CALL_X17);
    put(stub, INSN_LOAD_RETURN);
    put(stub, INSN_POP);
    put(stub, branch(stub->at, resume));
}

static void put_pass(stub_t *stub, const linux_site_t *site)
{
    for (size_t i = 0; i < stub->pass_count; i++) {
        const uint32_t insn = insn_at(stub->to_pass[i]) | distance_19(stub->to_pass[i], stub->at);

        memcpy(stub->to_pass[i], &insn, sizeof(insn));
    }
    put(stub, INSN_POP);
    if (is_before_svc(site)) {
        put(stub, branch(stub->at, svc_of(site)));
        return;
    }
    put(stub, SVC);
    put(stub, branch(stub->at, site->address + LINUX_RESUME));
}

void linux_code_write_stub(uint8_t *stub, linux_site_t *site, const linux_stub_head_t *head)
{
    stub_t writer = { .start = stub, .at = stub, .pass_count = 0 };
    const uint32_t jump = branch(site->address, stub);

    if (is_before_svc(site)) {
        put(&writer, insn_at(site->original));
    }
    put(&writer, INSN_PUSH);
    put_filters(&writer, site->call);
    put_call(&writer, site, head);
    put_pass(&writer, site);
    memcpy(site->jump, &jump, sizeof(jump));
}

void linux_code_begin(void)
{
}

/* ---- Jumps of others --------------------------------------------------------------------------- */

#define BTI_C 0xd503245fu
#define LONG_JUMP_INSNS 5 /* Four parts of an address, and br. */

/* `mov`, up to three `movk` of one register, `br`. NULL: it is not. */
static const uint8_t *follow_long_jump(const uint8_t *code)
{
    const uint32_t reg = insn_at(code) & 0x1fu;
    uint64_t target = 0;

    for (size_t i = 0; i < LONG_JUMP_INSNS; i++) {
        const uint32_t insn = insn_at(code + i * LINUX_INSN);
        const unsigned shift = (insn >> 21 & 3u) * 16;

        if (i > 0 && insn == (0xd61f0000u | reg << 5)) {
            return (const uint8_t *) (uintptr_t) target; /* br xN */
        }
        if ((insn & 0xff80001fu) != ((i == 0 ? 0xd2800000u : 0xf2800000u) | reg)) {
            return NULL;
        }
        target = (target & ~((uint64_t) 0xffff << shift)) | (uint64_t) (insn >> 5 & 0xffffu) << shift;
    }
    return NULL;
}

const uint8_t *linux_code_follow(const uint8_t *code)
{
    uint32_t insn = insn_at(code);
    const uint8_t *pointer;

    if (insn == BTI_C) {
        code += LINUX_INSN;
        insn = insn_at(code);
    }
    if ((insn & 0xfc000000u) == 0x14000000u) {
        return code + (ptrdiff_t) ((int32_t) (insn << 6) >> 6) * 4;
    }
    if ((insn & 0xffffffe0u) == 0x58000040u && insn_at(code + 4) == (0xd61f0000u | (insn & 0x1fu) << 5)) {
        memcpy(&pointer, code + 8, sizeof(pointer)); /* ldr xN, .+8; br xN */
        return pointer;
    }
    return follow_long_jump(code);
}
