/* SPDX-License-Identifier: BSD-3-Clause */
/* Implements wrapped_files.h. */
#include "wrapped_files.h"

#include <check.h>
#include <string.h>

/* The linker's name for what stands in the place of another function. */
#define WRAPPED_(name) __wrap_##name
#define WRAPPED(name) WRAPPED_(name)

enum { MOST = 32 };
static mca_base_file_setting_t settings[MCA_BASE_FILE_KINDS][MOST];
static size_t counts[MCA_BASE_FILE_KINDS];

void wrapped_add(mca_base_file_kind_t kind, const char *name, const char *value, const char *path, unsigned line)
{
    ck_assert_uint_lt(counts[kind], MOST);
    settings[kind][counts[kind]++] = (mca_base_file_setting_t){ name, value, path, line };
}

const mca_base_file_setting_t *WRAPPED(mca_base_file_find)(mca_base_file_kind_t kind, const char *name);
const mca_base_file_setting_t *WRAPPED(mca_base_file_find)(mca_base_file_kind_t kind, const char *name)
{
    for (size_t i = 0; i < counts[kind]; i++) {
        if (strcmp(settings[kind][i].name, name) == 0) {
            return &settings[kind][i];
        }
    }
    return NULL;
}

const mca_base_file_setting_t *WRAPPED(mca_base_file_get)(mca_base_file_kind_t kind, size_t index);
const mca_base_file_setting_t *WRAPPED(mca_base_file_get)(mca_base_file_kind_t kind, size_t index)
{
    return index < counts[kind] ? &settings[kind][index] : NULL;
}
