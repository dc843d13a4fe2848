/* SPDX-License-Identifier: BSD-3-Clause */
/* The library that all parts of test_linux_early.sh share. It needs nothing but
 * libc, so that its functions work before any other library has been set up. */
#include "test/linux/early.h"

#include <stdlib.h>
#include <sys/mman.h>

int early_is_started, early_released;

void early_release(void)
{
    void *memory = mmap(NULL, EARLY_LENGTH, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        abort();
    }
    early_released += early_is_started;
    if (munmap(memory, EARLY_LENGTH) != 0) {
        abort();
    }
}
