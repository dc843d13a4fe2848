/* SPDX-License-Identifier: BSD-3-Clause */
/* Components that the program has added to those of the library. */
#ifndef FRAMEWORK_BASE_MCA_BASE_STATIC_H
#define FRAMEWORK_BASE_MCA_BASE_STATIC_H

#include <stddef.h>

#include "opal/mca/base/base.h"

/** The index-th component that was added to a framework, in that order, or NULL behind the last. */
const mca_base_component_t *mca_base_static_get(const char *framework, size_t index);

/** Warn of components that were added to a framework that does not exist.
 * @param[in] exists  Is there a framework of that name? */
void mca_base_static_report(bool (*exists)(const char *framework));

#endif
