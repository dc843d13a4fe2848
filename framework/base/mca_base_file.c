/* SPDX-License-Identifier: BSD-3-Clause */
/* Settings from files: none are read yet. */
#include "framework/base/mca_base_file.h"

const mca_base_file_setting_t *mca_base_file_find(mca_base_file_kind_t kind, const char *name)
{
    (void) kind, (void) name;
    return NULL;
}

const mca_base_file_setting_t *mca_base_file_get(mca_base_file_kind_t kind, size_t index)
{
    (void) kind, (void) index;
    return NULL;
}
