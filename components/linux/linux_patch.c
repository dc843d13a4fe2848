/* SPDX-License-Identifier: BSD-3-Clause */
/* Replaces code that other threads may be running: one instruction of LINUX_INSN bytes by a jump to a stub, or that jump
 * by the instruction again.
 *
 * What follows the replaced instruction is never touched. On x86-64 that is `syscall`: a thread that is between the two
 * at that moment has its number in %eax and goes on as before the change. On aarch64 the system-call instruction itself
 * is replaced, and there is no between. Nobody jumps to the inside of the instruction. A thread that is before it must see
 * either all of the old bytes or all of the new ones, now and when it comes back:
 *
 * 1. Where one store does that (linux_code_can_store()), the page is made writable for the moment, and the bytes are
 *    stored in place. Where processors have to be told of new code, linux_code_sync() does that.
 * 2. Otherwise, and where code may not be made writable, the page is replaced by a copy with the new bytes
 *    (linux_pages.c).
 *
 * Nothing is half done at any time between two instructions of the patching thread: it may be held up or die anywhere. A
 * thread that runs into the code meanwhile never waits for it. All stores compare: bytes that somebody else has changed
 * stay his. (Who writes to a page of the second kind at the same time loses what he writes between the copy and its
 * taking the page's place. Copies of this library hold the loader's lock: linux_texts.c.) */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "components/linux/linux.h"
#include "components/linux/linux_sys.h"

/* ---- In place ------------------------------------------------------------------------------------ */

/* Sites lie close together in libc: one change of protection for all that are this near saves the many interrupts of
 * other processors that each change costs. */
#define RUN_GAP (64 * LINUX_PAGE)

static uintptr_t first_page(const linux_patch_t *patch)
{
    return linux_round_down((uintptr_t) patch->address, LINUX_PAGE);
}

static uintptr_t end_of_pages(const linux_patch_t *patch)
{
    return linux_round_up((uintptr_t) patch->address + LINUX_INSN, LINUX_PAGE);
}

static bool holds(const linux_patch_t *patch, const uint8_t bytes[LINUX_INSN])
{
    return memcmp(patch->address, bytes, LINUX_INSN) == 0;
}

/* Patches from the first on that lie in one run of pages. */
static size_t count_run(const linux_patch_t *patches, size_t count)
{
    size_t used = 1;

    while (used < count && first_page(&patches[used]) <= end_of_pages(&patches[used - 1]) + RUN_GAP) {
        used++;
    }
    return used;
}

static bool can_store_any(const linux_patch_t *patches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (linux_code_can_store(&patches[i])) {
            return true;
        }
    }
    return false;
}

static void store_all(linux_patch_t *patches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (linux_code_can_store(&patches[i])) {
            patches[i].done = linux_code_store(&patches[i]);
        }
    }
}

/* @return 0; -errno when the code cannot be made writable (nothing has changed), or not protected again (*is_stuck). */
static long store_run(linux_patch_t *patches, size_t count, bool *is_stuck)
{
    const uintptr_t start = first_page(&patches[0]);
    const uintptr_t length = end_of_pages(&patches[count - 1]) - start;
    long result = linux_sys_mprotect(start, length, PROT_READ | PROT_WRITE | PROT_EXEC);

    if (linux_failed(result)) {
        /* It may have changed the first of its pages. */
        linux_sys_mprotect(start, length, PROT_READ | PROT_EXEC);
        return result;
    }
    store_all(patches, count);
    result = linux_sys_mprotect(start, length, PROT_READ | PROT_EXEC);
    *is_stuck = linux_failed(result);
    return result;
}

/* What cannot be stored in place is left undone. */
static long store_in_place(linux_patch_t *patches, size_t count, bool *is_stuck)
{
    long result = 0;

    for (size_t at = 0; at < count && !linux_failed(result);) {
        const size_t run = count_run(patches + at, count - at);

        result = can_store_any(patches + at, run) ? store_run(patches + at, run, is_stuck) : 0;
        at += run;
    }
    return result;
}

/* ---- By pages ------------------------------------------------------------------------------------ */

/* The new content of one or two pages, in memory of the caller's. */
static void lay_patches_over(uint8_t *content, uintptr_t start, size_t length, linux_patch_t *patches,
                             size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uintptr_t at = (uintptr_t) patches[i].address - start;

        if (!patches[i].done && at + LINUX_INSN <= length && holds(&patches[i], patches[i].from)) {
            linux_copy_insn(content + at, patches[i].to);
            patches[i].done = true;
        }
    }
}

static void take_back(uintptr_t start, size_t length, linux_patch_t *patches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uintptr_t at = (uintptr_t) patches[i].address - start;

        if (at + LINUX_INSN <= length && holds(&patches[i], patches[i].from)) {
            patches[i].done = false;
        }
    }
}

static long replace_pages(uintptr_t start, size_t length, linux_patch_t *patches, size_t count)
{
    const long copy = linux_sys_mmap(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    long result;

    if (linux_failed(copy)) {
        return copy;
    }
    linux_copy_page((uint8_t *) copy, (const uint8_t *) start, length);
    lay_patches_over((uint8_t *) copy, start, length, patches, count);
    result = linux_pages_replace(start, length, (uintptr_t) copy);
    if (linux_failed(result)) {
        take_back(start, length, patches, count);
    }
    return result;
}

static long replace_by_pages(linux_patch_t *patches, size_t count)
{
    long result = 0;

    for (size_t i = 0; i < count && !linux_failed(result); i++) {
        if (!patches[i].done && holds(&patches[i], patches[i].from)) {
            result = replace_pages(first_page(&patches[i]), end_of_pages(&patches[i]) - first_page(&patches[i]),
                                   patches + i, count - i);
        }
    }
    return result;
}

int linux_patch_apply(linux_patch_t *patches, size_t count, int *sys_errno)
{
    bool is_stuck = false;
    long result;

    if (count == 0) {
        return OPAL_SUCCESS;
    }
    for (size_t i = 0; i < count; i++) {
        patches[i].done = false;
    }
    result = store_in_place(patches, count, &is_stuck);
    if (!is_stuck) {
        result = replace_by_pages(patches, count);
    }
    linux_code_sync((uintptr_t) patches[0].address,
                    (size_t) (patches[count - 1].address - patches[0].address) + LINUX_INSN);
    if (linux_failed(result)) {
        *sys_errno = (int) -result;
        return OPAL_ERR_PERM;
    }
    return OPAL_SUCCESS;
}
