/* SPDX-License-Identifier: BSD-3-Clause */
/* A library that comes late: scenes load it after the monitor has started, have it
 * release memory, or unload it. */
#include <stddef.h>
#include <sys/mman.h>

#define EXPORT __attribute__((visibility("default")))

int helper_munmap(void *start, size_t length);

/* Pages of its own; a relocation makes them private to the process. */
EXPORT extern int (*helper_data[8192])(void *start, size_t length);

EXPORT int helper_munmap(void *start, size_t length)
{
    return munmap(start, length);
}

int (*helper_data[8192])(void *start, size_t length) = { helper_munmap };
