/* SPDX-License-Identifier: BSD-3-Clause */
/* Where pages lead to: the proof that a release happened. Root reads page frames
 * from /proc/self/pagemap; for others the file has only whether a page is there,
 * and a word of its content has to tell it from another one. Runs inside hooks. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tools/coverage/coverage.h"

/* Documentation/admin-guide/mm/pagemap.rst */
#define PRESENT (UINT64_C(1) << 63)
#define FRAME ((UINT64_C(1) << 55) - 1)

#define ENTRIES_AT_ONCE 128

static int pagemap = -1;
static coverage_proof_t proof;

static bool read_entries(uintptr_t start, size_t pages, uint64_t entries[])
{
    const size_t size = pages * sizeof(entries[0]);

    return pread(pagemap, entries, size, (off_t) (start / COVERAGE_PAGE * sizeof(entries[0]))) == (ssize_t) size;
}

/* The page that this stands on has a frame; is it told? */
static bool frames_are_told(void)
{
    volatile char here = 1;
    uint64_t entry = 0;

    return read_entries((uintptr_t) &here, 1, &entry) && (entry & PRESENT) != 0 && (entry & FRAME) != 0;
}

coverage_proof_t coverage_pages_open(void)
{
    if (pagemap >= 0) {
        close(pagemap);
    }
    pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    proof = frames_are_told() ? COVERAGE_PROOF_FRAMES : COVERAGE_PROOF_CONTENT;
    return proof;
}

/* Not by a load: the page may go at any moment. */
static uint64_t content(uintptr_t page)
{
    uint64_t word = 0;
    struct iovec to = { &word, sizeof(word) }, from = { (void *) page, sizeof(word) };

    return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t) sizeof(word) ? word | PRESENT : 0;
}

static uint64_t state(uintptr_t page, uint64_t entry)
{
    if ((entry & PRESENT) == 0) {
        return 0;
    }
    return proof == COVERAGE_PROOF_FRAMES ? entry & FRAME : content(page);
}

/* Without the file there is but the content. */
static void states_of_some(uintptr_t start, size_t pages, uint64_t states[])
{
    const bool is_told = read_entries(start, pages, states);

    for (size_t i = 0; i < pages; i++) {
        states[i] = state(start + i * COVERAGE_PAGE, is_told ? states[i] : PRESENT);
    }
}

void coverage_page_states(uintptr_t start, size_t pages, uint64_t states[])
{
    const int saved = errno;

    for (size_t i = 0; i < pages; i += ENTRIES_AT_ONCE) {
        const size_t count = pages - i < ENTRIES_AT_ONCE ? pages - i : ENTRIES_AT_ONCE;

        states_of_some(start + i * COVERAGE_PAGE, count, states + i);
    }
    errno = saved;
}
