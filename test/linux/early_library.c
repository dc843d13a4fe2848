/* SPDX-License-Identifier: BSD-3-Clause */
/* Libraries whose constructors and destructors give memory back. One starts the
 * hooks in its constructor (EARLY_STARTS=1) or only in its destructor (=2);
 * without, it is a library of somebody else. */
#include "test/linux/early.h"

__attribute__((constructor)) static void construct(void)
{
#if EARLY_STARTS == 1
    early_start();
#endif
    early_release();
}

__attribute__((destructor)) static void destruct(void)
{
#if EARLY_STARTS == 2
    early_start();
#endif
    early_release();
#ifdef EARLY_STARTS
    early_report();
#endif
}
