/* SPDX-License-Identifier: BSD-3-Clause */
/* Which loaded object does an address belong to? */
#ifndef FRAMEWORK_BASE_MCA_BASE_OBJECT_H
#define FRAMEWORK_BASE_MCA_BASE_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

/** The object that an address lies in, from its first to behind its last mapped byte.
 * @return false: it lies in none. */
bool mca_base_object_find(const void *address, uintptr_t *start, uintptr_t *end);

#endif
