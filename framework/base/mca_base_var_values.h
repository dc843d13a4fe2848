/* SPDX-License-Identifier: BSD-3-Clause */
/* What mca_base_var_parse.c and mca_base_var_print.c share: the two must agree. */
#ifndef FRAMEWORK_BASE_MCA_BASE_VAR_VALUES_H
#define FRAMEWORK_BASE_MCA_BASE_VAR_VALUES_H

#include <stdint.h>

#include "framework/base/mca_base_var.h"

/** Texts for false and true. */
extern const mca_base_var_enum_value_t mca_base_var_boolean_names[];

/** Smallest and largest number that an INT may be, by its type and its description. */
void mca_base_var_int_bounds(const mca_base_var_def_t *def, long *min, long *max);

/** Likewise of an UNSIGNED_INT or SIZE_T. */
void mca_base_var_natural_bounds(const mca_base_var_def_t *def, uint64_t *min, uint64_t *max);

#endif
