/* SPDX-License-Identifier: BSD-3-Clause */
/* How much memory each peer may pin, in which portions, and whether waiting
 * may spin: from the options, the machine and the limits of the user. */
#ifndef TOOLS_MSG_MSG_PLAN_H
#define TOOLS_MSG_MSG_PLAN_H

#include <stdbool.h>

#include "tools/machine/machine.h"
#include "tools/msg/msg.h"

/** Bytes that this user may lock, over all his processes. @return UINT64_MAX: nobody counts. */
uint64_t msg_lockable_bytes(void);

/** Make the plan; `lockable` is given so that tests can. Call after opalmem_init(): rcache_base_max_bytes
 * of the user lowers the limit.
 * @return False after a message: the limit is too low for so many peers.
 */
bool msg_plan_make(const msg_options_t *options, const machine_info_t *machine, uint64_t lockable,
                   msg_plan_t *plan);

#endif
