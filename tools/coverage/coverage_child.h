/* SPDX-License-Identifier: BSD-3-Clause */
/* The running monitor, for the record. */
#ifndef TOOLS_COVERAGE_COVERAGE_CHILD_H
#define TOOLS_COVERAGE_COVERAGE_CHILD_H

#include <stdbool.h>
#include <stddef.h>

/** @return False: it cannot. */
bool coverage_watch(void *start, size_t length);
void coverage_poll(void);

/** munmap as it was found before the monitor started. */
extern int (*coverage_early_munmap)(void *start, size_t length);

#endif
