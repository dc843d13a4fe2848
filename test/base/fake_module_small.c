/* SPDX-License-Identifier: BSD-3-Clause */
/* A DSO whose component structure is as short as one of another time may have
 * been: reading a whole component there would read behind its end. */
#include "opal/mca/base/base.h"

OPAL_DECLSPEC extern int mca_fake_small_component[8];
int mca_fake_small_component[8] = { 2, 0, 0 };
