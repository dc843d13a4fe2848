/* SPDX-License-Identifier: BSD-3-Clause */
/* Start and stop, as the rest of the library sees them. */
#ifndef FRAMEWORK_OPALMEM_INTERNAL_H
#define FRAMEWORK_OPALMEM_INTERNAL_H

#include <stdbool.h>

/** In a fork child: nobody is in init or finalize. Hook context. */
void opalmem_reset_child(void);

/** Between a successful init and the last finalize. Every context. */
bool opalmem_is_running(void);

#endif
