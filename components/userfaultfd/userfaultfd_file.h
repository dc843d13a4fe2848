/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors that the program may close, as programs do that close all they find, and whose numbers it may then use for files
 * of its own. So what is read, written or closed here is looked at before: is it still what was opened? (Requests by ioctl get no
 * such look: another file does not know them, unless it is a userfaultfd as well.) */
#ifndef COMPONENTS_USERFAULTFD_USERFAULTFD_FILE_H
#define COMPONENTS_USERFAULTFD_USERFAULTFD_FILE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct uffd_file_t {
    int fd; /* -1: none. */
    uint32_t device_major, device_minor;
    uint64_t inode; /* 0: the kernel does not say. */
} uffd_file_t;

#define UFFD_NO_FILE \
    {                \
        .fd = -1     \
    }

/** Note what has been opened, under a high number, where programs do not close or reuse it unasked.
 * @param[in] fd  From now on to be used through the result; negative: none. */
uffd_file_t uffd_file_own(int fd);

/** Does the number still stand for that file, for this thread? Where the kernel does not say (an old one, a filter of system
 * calls): yes. All eventfds, epolls, timers and their like look the same; a userfaultfd has an inode of its own since Linux
 * 5.12. Any thread. */
bool uffd_file_is_ours(const uffd_file_t *file);

/** Close it, if it is still ours. Then there is none. */
void uffd_file_close(uffd_file_t *file);

#endif
