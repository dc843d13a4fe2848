/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings as if mca_base_file.c had read them. For programs that are linked
 * with $(wrapped_files_ldflags), which sends the calls here. */
#ifndef TEST_BASE_WRAPPED_FILES_H
#define TEST_BASE_WRAPPED_FILES_H

#include "framework/base/mca_base_file.h"

/** Add a setting; of those with one name and kind the first counts. The strings stay the caller's. */
void wrapped_add(mca_base_file_kind_t kind, const char *name, const char *value, const char *path, unsigned line);

#endif
