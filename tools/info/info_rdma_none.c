/* SPDX-License-Identifier: BSD-3-Clause */
/* A build without libibverbs cannot list RDMA devices. */
#include "tools/info/info.h"

void info_print_rdma(void)
{
    info_null("machine:rdma:count", "RDMA devices", "unknown: opalmem was built without libibverbs");
}
