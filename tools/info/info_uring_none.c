/* SPDX-License-Identifier: BSD-3-Clause */
/* A build without liburing has no provider to ask. */
#include <stdio.h>

#include "tools/info/info.h"

bool info_uring_is_allowed(char *reason, size_t size)
{
    snprintf(reason, size, "opalmem was built without liburing");
    return false;
}
