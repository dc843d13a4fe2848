/* SPDX-License-Identifier: BSD-3-Clause */
/* Which descriptors no other process has. io_uring does not take the lock of the file position: two processes that
 * share an open file would read blocks twice. Proven is what this process has been seen to open since the last time
 * when descriptors may have gone to another process (preload_shares: forks and spawns, messages with descriptors). Each
 * entry keeps device and inode, so that a number that was closed and opened again unseen is not mistaken.
 *
 * Entries are written by the thread that opens or closes: two threads at one number are the program's race. */
#define _GNU_SOURCE 1
#include <fcntl.h>

#include "tools/run/preload/preload.h"
#include "tools/run/preload/preload_raw.h"

/** Descriptors above are not remembered; the table costs no memory until it is used. */
#define DESCRIPTORS 65536

typedef struct descriptor_t {
    _Atomic uint64_t shares; /**< Value of preload_shares at its opening; 0: unknown. Written last, read first. */
    _Atomic uint64_t device, inode;
} descriptor_t;

static descriptor_t table[DESCRIPTORS];

static descriptor_t *entry_of(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS ? &table[fd] : NULL;
}

void preload_descriptor_forget(int fd)
{
    descriptor_t *entry = entry_of(fd);

    /* A vfork child has descriptors of its own, but not this table. */
    if (entry != NULL && atomic_load(&entry->shares) != 0 && preload_is_own_process()) {
        atomic_store(&entry->shares, 0);
    }
}

static void remember(descriptor_t *entry, uint64_t shares, uint64_t device, uint64_t inode)
{
    atomic_store(&entry->shares, 0);
    atomic_store(&entry->device, device);
    atomic_store(&entry->inode, inode);
    atomic_store(&entry->shares, shares);
}

int preload_descriptor_opened(int fd, uint64_t shares)
{
    descriptor_t *entry = entry_of(fd);
    struct stat status = { .st_mode = 0 };

    if (preload_page != NULL && entry != NULL && preload_is_own_process()) {
        if (PRELOAD_RAW(SYS_fstat, fd, (long) &status) == 0 && S_ISREG(status.st_mode)) {
            remember(entry, shares, status.st_dev, status.st_ino);
        } else {
            atomic_store(&entry->shares, 0);
        }
    }
    return fd;
}

int preload_descriptor_copied(int fd, int copy)
{
    const descriptor_t *from = entry_of(fd);
    descriptor_t *to = entry_of(copy);

    if (from == NULL) {
        preload_descriptor_forget(copy);
    } else if (to != NULL && from != to && preload_is_own_process()) {
        remember(to, atomic_load(&from->shares), atomic_load(&from->device), atomic_load(&from->inode));
    }
    return copy;
}

run_reason_t preload_descriptor_reason(int fd, const struct stat *status)
{
    const descriptor_t *entry = entry_of(fd);
    const uint64_t shares = entry == NULL ? 0 : atomic_load(&entry->shares);

    if (shares == 0 || atomic_load(&entry->device) != status->st_dev
        || atomic_load(&entry->inode) != status->st_ino) {
        return RUN_INHERITED;
    }
    return shares == atomic_load(&preload_shares) ? RUN_REASONS : RUN_SHARED;
}
