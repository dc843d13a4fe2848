/* SPDX-License-Identifier: BSD-3-Clause */
/* A journal of releases, in a file that processes map. For a heap that several processes share at the same
 * addresses: when one of them punches a hole in it, all lose those pages, and only the one can know. It writes the
 * range here, and the others read it.
 *
 * One writer at a time (journal_release() takes a lock on the file), any number of readers. */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_MAGIC 0x6c6e726a /* "jrnl" */
#define JOURNAL_VERSION 1
#define JOURNAL_ENTRIES 255

typedef struct journal_entry_t {
    _Atomic uint64_t start, length;
} journal_entry_t;

typedef struct journal_t {
    uint32_t magic;
    uint32_t version;
    /** Releases so far. Entry i is at [i % JOURNAL_ENTRIES], and is overwritten from counter i + JOURNAL_ENTRIES
     * on. Grows after the pages have gone, and before journal_release() returns. */
    _Atomic uint64_t counter;
    journal_entry_t entry[JOURNAL_ENTRIES];
} journal_t;

/** Make a journal, or open one that exists. @return A descriptor and *journal mapped, or -1 with errno. */
int journal_open(const char *path, journal_t **journal);

/** Take the pages [start, start + length) out of a shared mapping, for all processes, and write it down.
 * @return 0, or -1 with errno. */
int journal_release(int fd, journal_t *journal, void *start, size_t length);

#endif
