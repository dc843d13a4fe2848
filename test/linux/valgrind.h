/* SPDX-License-Identifier: BSD-3-Clause */
/* valgrind makes the memory calls of a program itself, with a heap and limits
 * of its own, and runs no changed code without --smc-check=all: tests that
 * need the real thing are skipped there. */
#ifndef TEST_LINUX_VALGRIND_H
#define TEST_LINUX_VALGRIND_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool is_under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");

    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

#define VALGRIND_SKIP "valgrind makes the memory calls itself"

#endif
