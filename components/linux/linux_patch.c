/* SPDX-License-Identifier: BSD-3-Clause */
/* Replaces five bytes of code that other threads may be running.
 *
 * What is replaced is a `mov $nr,%eax` by a `jmp`, or that jump by the mov
 * again. The `syscall` behind it is never touched. So a thread that is between
 * the two at that moment has its number in %eax and goes on as before the
 * change: it needs nobody's help. A thread that is at the first of the five
 * bytes must see either all of the old bytes or all of the new ones, now and
 * when it comes back. Nobody jumps to the other four.
 *
 * 1. Changed bytes within an aligned word of 8: one locked store of that word.
 *    A processor fetches such a word as a whole (AMD64 APM 2, 7.6.1, says so;
 *    Intel keeps to it for stores that do not cross a cache line).
 * 2. Within an aligned block of 16, the unit of instruction fetch: the same with
 *    cmpxchg16b.
 * 3. Otherwise the first two bytes must share an aligned word. They become
 *    `jmp .` first, which holds up whoever arrives. Then every processor that
 *    runs a thread of ours is made to fetch anew (membarrier SYNC_CORE): whoever
 *    had fetched the old head has run all five old bytes or fetches again, and finds
 *    the jmp. Now nobody reads the tail, and it is stored. Another sync: no
 *    processor holds the old tail. The head is stored, which sets free those who
 *    wait, and the last sync makes sure that they see it.
 *    Meanwhile nobody may be held up for ever: the patching thread itself, by a
 *    signal handler that calls into this place, and the child of a fork, in which
 *    nobody would store the head. linux_quiet_begin() keeps both away. (A thread
 *    of real-time priority that waits there on the only processor would starve us;
 *    linux_trampoline.c places stubs so that case 3 hardly ever comes up.)
 * 4. A site that fits none of these is left as it is.
 *
 * All stores compare: bytes that somebody else has changed stay his. */
#include "components/linux/linux.h"

#include <cpuid.h>
#include <errno.h>
#include <link.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>

#include "components/linux/linux_sys.h"

typedef uint64_t word_t __attribute__((may_alias));

typedef enum way_t { WAY_WORD, WAY_BLOCK, WAY_STEPS, WAY_NONE } way_t;

#define JUMP_TO_SELF_0 0xeb
#define JUMP_TO_SELF_1 0xfe

/* ---- Pages: writable while we are at it ------------------------------------------------------ */

#define MAX_PAGES (2 * LINUX_MAX_SITES)

typedef struct pages_t {
    uintptr_t page[MAX_PAGES];
    size_t count;
} pages_t;

static void add_page(pages_t *pages, uintptr_t page)
{
    for (size_t i = 0; i < pages->count; i++) {
        if (pages->page[i] == page) {
            return;
        }
    }
    pages->page[pages->count++] = page;
}

static void collect_pages(pages_t *pages, const linux_patch_t *patches, size_t count)
{
    pages->count = 0;
    for (size_t i = 0; i < count; i++) {
        const uintptr_t first = (uintptr_t) patches[i].address;

        add_page(pages, linux_round_down(first, LINUX_PAGE));
        add_page(pages, linux_round_down(first + LINUX_INSN - 1, LINUX_PAGE));
    }
}

/* @return 0, or the first -errno; all of the first `count` pages are tried. */
static long protect(const pages_t *pages, size_t count, int prot)
{
    long first_error = 0;

    for (size_t i = 0; i < count; i++) {
        const long result = linux_sys_mprotect(pages->page[i], LINUX_PAGE, prot);

        first_error = first_error == 0 ? result : first_error;
    }
    return first_error;
}

static long make_writable(const pages_t *pages)
{
    for (size_t i = 0; i < pages->count; i++) {
        const long result = linux_sys_mprotect(pages->page[i], LINUX_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);

        if (linux_failed(result)) {
            protect(pages, i, PROT_READ | PROT_EXEC);
            return result;
        }
    }
    return 0;
}

/* ---- Making processors fetch anew ------------------------------------------------------------ */

/* Registering again is cheap, and needed in the child of a fork. The plain command is good enough as a
 * second choice: on x86 it interrupts the processors, and the return from an interrupt serializes. */
bool linux_patch_sync(void)
{
    if (linux_sys_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) == 0
        && linux_sys_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) == 0) {
        return true;
    }
    return linux_sys_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0
           && linux_sys_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

/* ---- Stores ---------------------------------------------------------------------------------- */

static bool holds(const linux_patch_t *patch, const uint8_t bytes[LINUX_INSN])
{
    return memcmp(patch->address, bytes, LINUX_INSN) == 0;
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
static bool store_word(const linux_patch_t *patch, uintptr_t start, const uint8_t *old, const uint8_t *new)
{
    uint64_t expected = *(const volatile word_t *) start;
    uint64_t wanted;

    do {
        uint64_t check = expected;

        lay_over((uint8_t *) &check, start, sizeof(check), patch, old);
        if (check != expected) {
            return false;
        }
        wanted = expected;
        lay_over((uint8_t *) &wanted, start, sizeof(wanted), patch, new);
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

/* ---- Which way ------------------------------------------------------------------------------- */

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

static way_t way_of(const linux_patch_t *patch)
{
    const uintptr_t address = (uintptr_t) patch->address;
    size_t first, last;

    find_change(patch, &first, &last);
    if (word_of(patch, first) == word_of(patch, last)) {
        return WAY_WORD;
    }
    if ((address + first) / sizeof(block_t) == (address + last) / sizeof(block_t) && has_cmpxchg16b()) {
        return WAY_BLOCK;
    }
    return word_of(patch, 0) == word_of(patch, 1) ? WAY_STEPS : WAY_NONE;
}

/* Cases 1 and 2. @return Is anything left for case 3? */
static bool apply_at_once(linux_patch_t *patches, size_t count)
{
    bool is_left = false;

    for (size_t i = 0; i < count; i++) {
        linux_patch_t *patch = &patches[i];
        const way_t way = way_of(patch);
        size_t first, last;

        find_change(patch, &first, &last);
        patch->done = false;
        is_left = is_left || way == WAY_STEPS;
        if (!holds(patch, patch->from)) {
            continue;
        }
        if (way == WAY_WORD) {
            patch->done = store_word(patch, word_of(patch, first), patch->from, patch->to);
        } else if (way == WAY_BLOCK) {
            patch->done = store_block(patch);
        }
    }
    return is_left;
}

/* ---- Case 3 ---------------------------------------------------------------------------------- */

/* The old bytes, the first two of them `jmp .`. */
static void make_held(const linux_patch_t *patch, uint8_t held[LINUX_INSN])
{
    memcpy(held, patch->from, LINUX_INSN);
    held[0] = JUMP_TO_SELF_0;
    held[1] = JUMP_TO_SELF_1;
}

/* `done` marks the patches whose head holds threads up, between these steps. */
static void store_held_heads(linux_patch_t *patches, size_t count)
{
    uint8_t held[LINUX_INSN];

    for (size_t i = 0; i < count; i++) {
        if (way_of(&patches[i]) == WAY_STEPS && holds(&patches[i], patches[i].from)) {
            make_held(&patches[i], held);
            patches[i].done = store_word(&patches[i], word_of(&patches[i], 0), patches[i].from, held);
        }
    }
}

/* A tail that is not ours any more: give the head back. */
static void store_tails(linux_patch_t *patches, size_t count)
{
    uint8_t held[LINUX_INSN];

    for (size_t i = 0; i < count; i++) {
        linux_patch_t *patch = &patches[i];
        const uintptr_t tail = word_of(patch, LINUX_INSN - 1);

        if (way_of(patch) != WAY_STEPS || !patch->done || store_word(patch, tail, patch->from, patch->to)) {
            continue;
        }
        make_held(patch, held);
        store_word(patch, word_of(patch, 0), held, patch->from);
        patch->done = false;
    }
}

static void store_heads(linux_patch_t *patches, size_t count)
{
    uint8_t held[LINUX_INSN];

    for (size_t i = 0; i < count; i++) {
        if (way_of(&patches[i]) == WAY_STEPS && patches[i].done) {
            make_held(&patches[i], held);
            store_word(&patches[i], word_of(&patches[i], 0), held, patches[i].to);
        }
    }
}

/* Without a sync that works (tried before) or quiet, these patches stay undone. */
static void apply_in_steps(linux_patch_t *patches, size_t count)
{
    if (!linux_patch_sync() || !linux_quiet_begin()) {
        return;
    }
    store_held_heads(patches, count);
    linux_patch_sync();
    store_tails(patches, count);
    linux_patch_sync();
    store_heads(patches, count);
    linux_quiet_end();
}

/* What one call works on. */
typedef struct work_t {
    linux_patch_t *patches;
    size_t count;
    int *sys_errno;
    int result;
} work_t;

static int apply(linux_patch_t *patches, size_t count, int *sys_errno)
{
    pages_t pages;
    long result;

    collect_pages(&pages, patches, count);
    result = make_writable(&pages);
    if (linux_failed(result)) {
        *sys_errno = (int) -result;
        return OPAL_ERR_PERM;
    }
    if (apply_at_once(patches, count)) {
        apply_in_steps(patches, count);
    }
    linux_patch_sync();
    result = protect(&pages, pages.count, PROT_READ | PROT_EXEC);
    if (linux_failed(result)) {
        *sys_errno = (int) -result;
        return OPAL_ERR_PERM;
    }
    return OPAL_SUCCESS;
}

static int apply_alone(struct dl_phdr_info *info, size_t size, void *arg)
{
    work_t *work = arg;

    (void) info, (void) size;
    work->result = apply(work->patches, work->count, work->sys_errno);
    return 1;
}

/* Another copy of this library, with another prefix, may be at the same pages, and would take the right to write away
 * when it is done. The one lock that all copies in a process know is the loader's, which dl_iterate_phdr() holds. */
int linux_patch_apply(linux_patch_t *patches, size_t count, int *sys_errno)
{
    work_t work = { .patches = patches, .count = count, .sys_errno = sys_errno, .result = OPAL_ERR_PERM };

    dl_iterate_phdr(apply_alone, &work);
    return work.result;
}
