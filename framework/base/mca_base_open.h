/* SPDX-License-Identifier: BSD-3-Clause */
/* State of the base that its files share. */
#ifndef FRAMEWORK_BASE_MCA_BASE_OPEN_H
#define FRAMEWORK_BASE_MCA_BASE_OPEN_H

#include <stdbool.h>

#include "opal/mca/base/base.h"

/** Open MPI's names for verbosities, which our variables take as well as numbers. */
extern const mca_base_var_enum_value_t mca_base_verbosity_names[];

/** Between mca_base_open() and mca_base_close(). Under the init lock. */
bool mca_base_is_open(void);

/** May the environment decide what this process does?
 *
 * @return false in a process that has more rights than its caller (set-uid, set-gid, capabilities): then
 *     neither the environment nor a component path of the user's is looked at.
 */
bool mca_base_trusts_user(void);

#endif
