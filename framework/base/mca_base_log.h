/* SPDX-License-Identifier: BSD-3-Clause */
/* What mca_base_log.c offers to the rest of the base, besides base.h. */
#ifndef FRAMEWORK_BASE_MCA_BASE_LOG_H
#define FRAMEWORK_BASE_MCA_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/** Verbosity (variable mca_base_verbose) from which informative and debugging messages are printed. */
#define MCA_BASE_VERBOSE_INFO 10
#define MCA_BASE_VERBOSE_DEBUG 40

/** Storage of the variable mca_base_verbose, 0 to 100; read with mca_base_var_load(). */
extern int mca_base_log_verbosity;

/** Is the code of the log callback in [start, end)? Thread-safe. */
bool mca_base_log_has_callback_in(uintptr_t start, uintptr_t end);

#endif
