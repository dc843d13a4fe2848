/* SPDX-License-Identifier: BSD-3-Clause */
/* The writer's side of a journal: part of programs, not of the component. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* New files are all zero: whoever comes first writes the head, and the magic last. Under the file's lock. */
static int prepare(int fd, journal_t **journal)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || (status.st_size == 0 && ftruncate(fd, sizeof **journal) != 0)) {
        return -1;
    }
    journal_t *mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        return -1;
    }
    if (status.st_size == 0) {
        mapped->version = JOURNAL_VERSION;
        mapped->magic = JOURNAL_MAGIC;
    }
    *journal = mapped;
    return 0;
}

int journal_open(const char *path, journal_t **journal)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -1;
    }
    int rc = flock(fd, LOCK_EX);
    if (rc == 0) {
        rc = prepare(fd, journal);
        flock(fd, LOCK_UN);
    }
    if (rc != 0) {
        int cause = errno;
        close(fd);
        errno = cause;
        return -1;
    }
    return fd;
}

static void write_entry(journal_t *journal, void *start, size_t length)
{
    uint64_t count = atomic_load(&journal->counter);
    journal_entry_t *entry = &journal->entry[count % JOURNAL_ENTRIES];
    atomic_store(&entry->start, (uintptr_t) start);
    atomic_store(&entry->length, length);
    atomic_store(&journal->counter, count + 1);
}

int journal_release(int fd, journal_t *journal, void *start, size_t length)
{
    if (flock(fd, LOCK_EX) != 0) {
        return -1;
    }
    /* First the release, then the news: a reader that drops its registration before the pages go would
     * register the same pages again. */
    int rc = madvise(start, length, MADV_REMOVE);
    if (rc == 0) {
        write_entry(journal, start, length);
    }
    int cause = errno;
    flock(fd, LOCK_UN);
    errno = cause;
    return rc;
}
