/* SPDX-License-Identifier: BSD-3-Clause */
/* Stores into running code, x86-64.
 *
 * A thread that is at the first of the replaced bytes must see either all of the old ones or all of the new ones. Two
 * kinds of stores do that:
 * - Changed bytes within an aligned word of 8: one locked store of that word. A processor fetches such a word as a whole
 *   (AMD64 APM 2, 7.6.1, says so; Intel keeps to it for stores that do not cross a cache line).
 * - Within an aligned block of 16, the unit of instruction fetch: the same with cmpxchg16b.
 * Other sites get a new page (linux_pages.c). All stores compare: bytes that somebody else has changed stay his. */
#include <cpuid.h>
#include <string.h>

#include "components/linux/linux.h"

typedef uint64_t word_t __attribute__((may_alias));

/* Nothing to do. Stubs could not be fetched before they were complete: their pages were not executable. A processor that
 * has fetched a site's old bytes runs them once, as if its call had begun before the store; they leave its caches by
 * themselves, and the change of protection that follows interrupts it. (The membarrier for this purpose costs 10 to 18 ms
 * when a process with several threads uses it for the first time: measured.) */
bool linux_code_sync(uintptr_t start, size_t size)
{
    (void) start, (void) size;
    return true;
}

static uintptr_t word_of(const linux_patch_t *patch, size_t index)
{
    return linux_round_down((uintptr_t) patch->address + index, sizeof(word_t));
}

/* Put those of the bytes that lie in [start, start + size) where they belong in a copy of that memory. */
static void lay_over(uint8_t *copy, uintptr_t start, size_t size, const linux_patch_t *patch, const uint8_t *bytes)
{
    for (size_t i = 0; i < LINUX_INSN; i++) {
        const uintptr_t at = (uintptr_t) patch->address + i - start;

        if (at < size) {
            copy[at] = bytes[i];
        }
    }
}

/* In assembly, as the next one: thread sanitizers keep no record of accesses to code. */
static bool compare_exchange_word(uintptr_t start, uint64_t *expected, uint64_t wanted)
{
    bool is_done;

    __asm__ volatile("lock cmpxchgq %[wanted], (%[at])"
                     : "=@ccz"(is_done), "+a"(*expected)
                     : [wanted] "r"(wanted), [at] "r"(start)
                     : "memory");
    return is_done;
}

/* Change the bytes that lie in one aligned word from old to new. False: they were not the old ones. */
static bool store_word(const linux_patch_t *patch, uintptr_t start)
{
    uint64_t expected = *(const volatile word_t *) start;
    uint64_t wanted;

    do {
        uint64_t check = expected;

        lay_over((uint8_t *) &check, start, sizeof(check), patch, patch->from);
        if (check != expected) {
            return false;
        }
        wanted = expected;
        lay_over((uint8_t *) &wanted, start, sizeof(wanted), patch, patch->to);
    } while (!compare_exchange_word(start, &expected, wanted));
    return true;
}

typedef struct block_t {
    uint64_t half[2];
} block_t;

static bool compare_exchange_block(uintptr_t start, block_t *expected, const block_t *wanted)
{
    bool is_done;

    __asm__ volatile("lock cmpxchg16b (%[at])"
                     : "=@ccz"(is_done), "+a"(expected->half[0]), "+d"(expected->half[1])
                     : "b"(wanted->half[0]), "c"(wanted->half[1]), [at] "r"(start)
                     : "memory");
    return is_done;
}

static bool store_block(const linux_patch_t *patch)
{
    const uintptr_t start = linux_round_down((uintptr_t) patch->address, sizeof(block_t));
    const volatile word_t *halves = (const volatile word_t *) start;
    block_t expected = { { halves[0], halves[1] } };
    block_t wanted;

    do {
        block_t check = expected;

        lay_over((uint8_t *) &check, start, sizeof(check), patch, patch->from);
        if (memcmp(&check, &expected, sizeof(check)) != 0) {
            return false;
        }
        wanted = expected;
        lay_over((uint8_t *) &wanted, start, sizeof(wanted), patch, patch->to);
    } while (!compare_exchange_block(start, &expected, &wanted));
    return true;
}

/* Asked once: virtual machines take microseconds to answer. */
static bool has_cmpxchg16b(void)
{
    static enum { UNKNOWN, NO, YES } answer;
    unsigned eax, ebx, ecx, edx;

    if (answer == UNKNOWN) {
        answer = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_CMPXCHG16B) != 0 ? YES : NO;
    }
    return answer == YES;
}

/* Index of the first and of the last byte that differ; 0 and 0 if none does. */
static void find_change(const linux_patch_t *patch, size_t *first, size_t *last)
{
    *first = 0;
    *last = 0;
    for (size_t i = LINUX_INSN; i-- > 0;) {
        if (patch->from[i] != patch->to[i]) {
            *first = i;
            *last = *last == 0 ? i : *last;
        }
    }
}

/* What must be stored at once. */
typedef enum unit_t { UNIT_WORD, UNIT_BLOCK, UNIT_MORE } unit_t;

static unit_t unit_of(const linux_patch_t *patch, size_t *first)
{
    const uintptr_t address = (uintptr_t) patch->address;
    size_t last;

    find_change(patch, first, &last);
    if (word_of(patch, *first) == word_of(patch, last)) {
        return UNIT_WORD;
    }
    if ((address + *first) / sizeof(block_t) == (address + last) / sizeof(block_t) && has_cmpxchg16b()) {
        return UNIT_BLOCK;
    }
    return UNIT_MORE;
}

bool linux_code_can_store(const linux_patch_t *patch)
{
    size_t first;

    return unit_of(patch, &first) != UNIT_MORE;
}

/* The bytes outside the word or block are the same before and after, but must be there. */
bool linux_code_store(const linux_patch_t *patch)
{
    size_t first;
    const unit_t unit = unit_of(patch, &first);

    if (memcmp(patch->address, patch->from, LINUX_INSN) != 0) {
        return false;
    }
    return unit == UNIT_WORD ? store_word(patch, word_of(patch, first)) : store_block(patch);
}
