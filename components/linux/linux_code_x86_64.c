/* SPDX-License-Identifier: BSD-3-Clause */
/* Machine code of x86-64: which bytes are a site, what a stub looks like, and where jumps of others lead.
 *
 * A site is one of
 *
 *     mov $nr,%eax; syscall
 *     mov $nr,%eax; moves between registers; mov $number,%register; syscall
 *     certain pieces of libc where the number is the caller's: syscall(2), and cancellation points of newer versions
 *
 * In all of them the last 5 bytes before the syscall instruction are one instruction that only sets a register, and
 * with it all arguments are there: they are replaced by `jmp stub`. Where that cannot be told from the bytes, the code is left
 * alone: an instruction that ends in them, or a number that is set earlier.
 *
 * A stub:
 *
 *     mov    8(%rsp),%r9         what was replaced, unless it was the number;
 *     movabs $table,%r11 ...     the caller's number: back to the syscall instruction where the table has no call of ours
 *     test   $flag,%esi; jz 1f   calls with a filter: likewise
 *     lea    -128(%rsp),%rsp     step over the red zone: sites may be in leaf functions
 *     movabs $site,%r11          %rcx and %r11 are free: syscall overwrites them
 *     lea    resume(%rip),%rcx   behind the syscall instruction; what the kernel leaves in %rcx, too
 *     jmp    *common(%rip)       may be farther away than 2 GiB
 *  1: mov    $nr,%eax
 *     jmp    syscall
 *
 * Stubs change the flags, which syscall keeps: no compiler lets them live across an asm statement, and no handwritten
 * code that is known does. */
#include <cpuid.h>
#include <string.h>

#include "components/linux/linux.h"

#define MOV_EAX 0xb8
#define JMP_REL32 0xe9

/* ---- Sites ------------------------------------------------------------------------------------- */

#define SITE_BYTES LINUX_RESUME

/* Code of libc that leaves the number to its caller. `site` is where the replaced instruction begins. */
static const struct pattern_t {
    uint8_t bytes[16];
    size_t size, site;
} patterns[] = {
    /* syscall(2), written by hand, the same for decades: mov %r9,%r8; mov 8(%rsp),%r9; syscall */
    { { 0x4d, 0x89, 0xc8, 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05 }, 10, 3 },
    /* Cancellation points from glibc 2.41 on, with other threads: mov 16(%rsp),%r9; mov %r11,8(%rsp); syscall; ret */
    { { 0x4c, 0x8b, 0x4c, 0x24, 0x10, 0x4c, 0x89, 0x5c, 0x24, 0x08, 0x0f, 0x05, 0xc3 }, 13, 5 },
    /* And without: mov 16(%rsp),%rax; syscall; pop %rbx; ret */
    { { 0x48, 0x8b, 0x44, 0x24, 0x10, 0x0f, 0x05, 0x5b, 0xc3 }, 9, 0 },
};

/* A byte 0x40 to 0x4f before the mov makes it one of another register, if it belongs to it. It may
 * also be the last byte of the instruction before, which cannot be told without decoding the whole function:
 * such a site is left alone. libc and ld.so of Debian 12 have none among the calls of ours. */
static bool has_rex_prefix(const uint8_t *code, size_t mov)
{
    return mov > 0 && (code[mov - 1] & 0xf0) == 0x40;
}

static bool is_numbered_site(const uint8_t *code, size_t mov, bool (*is_wanted)(long nr), long *nr)
{
    uint32_t number;

    if (code[mov] != MOV_EAX || has_rex_prefix(code, mov)) {
        return false;
    }
    memcpy(&number, code + mov + 1, sizeof(number));
    if (!is_wanted((long) number)) {
        return false;
    }
    *nr = (long) number;
    return true;
}

/* A number that is set a little earlier. */
#define MOV_NUMBER(code) (((code) &0xf8) == 0xb8) /* mov $number,%eax to %edi */
#define LONGEST_LEAD 24

/* Opcodes 89 and 31 write to the register in the lower bits, with bit 0 of the prefix; the others to the other one. */
static bool is_to_eax(uint8_t prefix, uint8_t opcode, uint8_t operands)
{
    const bool is_lower = opcode == 0x89 || opcode == 0x31;
    const unsigned number = is_lower ? operands & 7 : operands >> 3 & 7;

    return number == 0 && (prefix & (is_lower ? 1 : 4)) == 0;
}

/* Bytes of an instruction that moves a register to another one than %eax, or clears one; 0: it is something else. */
static size_t length_of_move(const uint8_t *code)
{
    const size_t length = (code[0] & 0xf0) == 0x40 ? 1 : 0;
    const uint8_t prefix = length != 0 ? code[0] : 0, opcode = code[length], operands = code[length + 1];
    const bool is_move = opcode == 0x89 || opcode == 0x8b
                         || ((opcode == 0x31 || opcode == 0x33) && (operands >> 3 & 7) == (operands & 7));

    return is_move && (operands & 0xc0) == 0xc0 && !is_to_eax(prefix, opcode, operands) ? length + 2 : 0;
}

/* Do only such instructions lie in [from, to)? */
static bool are_moves(const uint8_t *code, size_t from, size_t to)
{
    while (from < to) {
        const size_t length = length_of_move(code + from);

        if (length == 0 || from + length > to) {
            return false;
        }
        from += length;
    }
    return from == to;
}

/* `site` is the mov of another register; its 5 bytes and the number's are told apart by the moves between. */
static bool is_site_behind_number(const uint8_t *code, size_t site, bool (*is_wanted)(long nr), long *nr)
{
    long number;

    if (!MOV_NUMBER(code[site]) || code[site] == MOV_EAX) {
        return false;
    }
    for (size_t lead = LINUX_INSN; lead <= LONGEST_LEAD && lead <= site; lead++) {
        if (is_numbered_site(code, site - lead, is_wanted, &number)
            && are_moves(code, site - lead + LINUX_INSN, site)) {
            *nr = number | LINUX_NR_IS_SET;
            return true;
        }
    }
    return false;
}

static bool is_pattern(const uint8_t *code, size_t size, size_t site)
{
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        const struct pattern_t *pattern = &patterns[i];

        if (site >= pattern->site && size - site >= pattern->size - pattern->site
            && memcmp(code + site - pattern->site, pattern->bytes, pattern->size) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_site(const uint8_t *code, size_t size, size_t site, bool (*is_wanted)(long nr), long *nr)
{
    if (is_pattern(code, size, site) && is_wanted(LINUX_NR_ANY)) {
        *nr = LINUX_NR_ANY;
        return true;
    }
    return is_numbered_site(code, site, is_wanted, nr) || is_site_behind_number(code, site, is_wanted, nr);
}

size_t linux_code_find(const uint8_t *code, size_t size, size_t from, bool (*is_wanted)(long nr), long *nr)
{
    /* The last byte of a site is rare in code: let memchr skip to it. */
    for (size_t last = from + SITE_BYTES - 1; last < size; last++) {
        const uint8_t *hit = memchr(code + last, 0x05, size - last);

        if (hit == NULL) {
            break;
        }
        last = (size_t) (hit - code);
        if (code[last - 1] == 0x0f && is_site(code, size, last - (SITE_BYTES - 1), is_wanted, nr)) {
            return last - (SITE_BYTES - 1);
        }
    }
    return size;
}

/* ---- Stubs ------------------------------------------------------------------------------------- */

typedef struct writer_t {
    uint8_t *at;
} writer_t;

static void put(writer_t *writer, const void *bytes, size_t size)
{
    memcpy(writer->at, bytes, size);
    writer->at += size;
}

#define PUT(writer, ...) put((writer), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void put_32(writer_t *writer, uint32_t value)
{
    put(writer, &value, sizeof(value));
}

static void put_64(writer_t *writer, uint64_t value)
{
    put(writer, &value, sizeof(value));
}

/* The distance to target, counted from behind itself: the last operand of its instruction. */
static void put_distance(writer_t *writer, const void *target)
{
    put_32(writer, (uint32_t) ((intptr_t) target - ((intptr_t) writer->at + 4)));
}

/* A distance that is not known yet. @return where it is */
static uint8_t *put_hole(writer_t *writer)
{
    put_32(writer, 0);
    return writer->at - 4;
}

static void fill_hole(uint8_t *hole, const uint8_t *target)
{
    writer_t writer = { hole };

    put_distance(&writer, target);
}

/* The holes of the jumps to the way past us. */
typedef struct pass_t {
    uint8_t *holes[2];
    size_t count;
} pass_t;

static void put_number_filter(writer_t *writer, pass_t *pass)
{
    PUT(writer, 0x49, 0xbb); /* movabs $linux_call_ids,%r11 */
    put_64(writer, (uintptr_t) linux_call_ids);
    PUT(writer, 0x89, 0xc1); /* mov %eax,%ecx: the kernel looks at no more */
    PUT(writer, 0x81, 0xf9); /* cmp $LINUX_CALL_NUMBERS,%ecx; jae */
    put_32(writer, LINUX_CALL_NUMBERS);
    PUT(writer, 0x0f, 0x83);
    pass->holes[pass->count++] = put_hole(writer);
    PUT(writer, 0x41, 0x80, 0x3c, 0x0b, 0x00); /* cmpb $0,(%r11,%rcx); je */
    PUT(writer, 0x0f, 0x84);
    pass->holes[pass->count++] = put_hole(writer);
}

static void put_argument_filter(writer_t *writer, const linux_filter_t *filter, pass_t *pass)
{
    /* The second argument is in %esi, the third in %edx. */
    if (filter->kind == LINUX_FILTER_BITS) {
        PUT(writer, 0xf7, filter->argument == 1 ? 0xc6 : 0xc2); /* test $value,%reg; jz */
        put_32(writer, filter->value);
        PUT(writer, 0x0f, 0x84);
        pass->holes[pass->count++] = put_hole(writer);
    } else if (filter->kind == LINUX_FILTER_EQUAL) {
        PUT(writer, 0x89, filter->argument == 1 ? 0xf1 : 0xd1); /* mov %reg,%ecx; and $mask,%ecx */
        PUT(writer, 0x81, 0xe1);
        put_32(writer, filter->mask);
        PUT(writer, 0x81, 0xf9); /* cmp $value,%ecx; jne */
        put_32(writer, filter->value);
        PUT(writer, 0x0f, 0x85);
        pass->holes[pass->count++] = put_hole(writer);
    }
}

static void put_entry(writer_t *writer, const linux_site_t *site, const linux_stub_head_t *head)
{
    const uint8_t *resume = site->address + LINUX_RESUME;

    PUT(writer, 0x48, 0x8d, 0x64, 0x24, 0x80); /* lea -128(%rsp),%rsp */
    PUT(writer, 0x49, 0xbb);                   /* movabs $site,%r11 */
    put_64(writer, (uintptr_t) site);
    PUT(writer, 0x48, 0x8d, 0x0d); /* lea resume(%rip),%rcx */
    put_distance(writer, resume);
    PUT(writer, 0xff, 0x25); /* jmp *common(%rip) */
    put_distance(writer, site->kind == LINUX_OTHER ? (const void *) &head->vectors : (const void *) &head->common);
}

static void put_pass(writer_t *writer, const linux_site_t *site, const pass_t *pass)
{
    if (pass->count == 0) {
        return;
    }
    for (size_t i = 0; i < pass->count; i++) {
        fill_hole(pass->holes[i], writer->at);
    }
    if (!site->has_number) {
        put(writer, site->original, LINUX_INSN);
    }
    PUT(writer, JMP_REL32);
    put_distance(writer, site->address + LINUX_INSN);
}

static void write_jump(linux_site_t *site, const uint8_t *stub)
{
    writer_t writer = { site->jump };
    const uint32_t distance = (uint32_t) (stub - (site->address + LINUX_INSN));

    PUT(&writer, JMP_REL32);
    put_32(&writer, distance);
}

void linux_code_write_stub(uint8_t *stub, linux_site_t *site, const linux_stub_head_t *head)
{
    writer_t writer = { stub };
    pass_t pass = { .count = 0 };

    if (site->has_number) {
        put(&writer, site->original, LINUX_INSN);
    }
    if (site->call == NULL) {
        put_number_filter(&writer, &pass);
    } else {
        put_argument_filter(&writer, &site->call->filter, &pass);
    }
    put_entry(&writer, site, head);
    put_pass(&writer, site, &pass);
    write_jump(site, stub);
}

/* ---- What stubs need of the processor ------------------------------------------------------------ */

/* Read by linux_trampoline_vectors. The state that callbacks may change: x87, SSE, AVX and AVX-512, as far as the system
 * has switched it on; not the tiles of AMX, which no compiler uses by itself. 0: only FXSAVE can be had. */
uint64_t linux_vectors_mask __attribute__((visibility("hidden")));
uint64_t linux_vectors_size __attribute__((visibility("hidden"))) = 512;

#define VECTOR_STATE 0xe7u
#define XSAVE_FIXED 576u /* FXSAVE's part and the header. */
#define LEAF_XSAVE 0xd

static uint64_t enabled_state(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t) high << 32 | low;
}

void linux_code_begin(void)
{
    unsigned eax, ebx, ecx, edx;
    size_t size = XSAVE_FIXED;

    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & bit_OSXSAVE) == 0) {
        return;
    }
    linux_vectors_mask = enabled_state() & VECTOR_STATE;
    for (unsigned part = 2; part < 8; part++) {
        if ((linux_vectors_mask >> part & 1) != 0 && __get_cpuid_count(LEAF_XSAVE, part, &eax, &ebx, &ecx, &edx)) {
            size = ebx + eax > size ? ebx + eax : size;
        }
    }
    linux_vectors_size = size;
}

/* ---- Jumps of others --------------------------------------------------------------------------- */

static const uint8_t *read_pointer(const uint8_t *at)
{
    const uint8_t *pointer;

    memcpy(&pointer, at, sizeof(pointer));
    return pointer;
}

const uint8_t *linux_code_follow(const uint8_t *code)
{
    static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
    int32_t distance;

    if (memcmp(code, endbr64, sizeof(endbr64)) == 0) {
        code += sizeof(endbr64);
    }
    if (code[0] == JMP_REL32) {
        memcpy(&distance, code + 1, sizeof(distance));
        return code + LINUX_INSN + distance;
    }
    if (code[0] == 0x49 && code[1] == 0xbb && code[10] == 0x41 && code[11] == 0xff && code[12] == 0xe3) {
        return read_pointer(code + 2); /* movabs $target,%r11; jmp *%r11 */
    }
    if (code[0] == 0x48 && code[1] == 0xb8 && code[10] == 0xff && code[11] == 0xe0) {
        return read_pointer(code + 2); /* movabs $target,%rax; jmp *%rax */
    }
    return NULL;
}
