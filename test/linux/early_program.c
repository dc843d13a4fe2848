/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs of test_linux_early.sh. EARLY_STARTS says where the hooks start: 1
 * before any constructor, 2 in main(), 3 when the program exits; without, it
 * knows nothing of them. */
#include "test/linux/early.h"

#include <stdlib.h>

#if EARLY_STARTS == 1
__attribute__((section(".preinit_array"), used)) static void (*const before_all)(void) = early_start;
#elif EARLY_STARTS == 3
static void start_late(void)
{
    early_start();
    early_release();
    early_report();
}
#endif

int main(void)
{
#ifdef EARLY_CLEARS
    clearenv();
#endif
#if EARLY_STARTS == 2
    early_start();
#elif EARLY_STARTS == 3
    atexit(start_late);
#endif
    for (int i = 0; i < 3; i++) {
        early_release();
    }
#if EARLY_STARTS == 1 || EARLY_STARTS == 2
    early_report();
#endif
    return 0;
}
