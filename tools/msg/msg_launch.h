/* SPDX-License-Identifier: BSD-3-Clause */
/* Starts the processes of a run, watches them, and gathers their figures. */
#ifndef TOOLS_MSG_MSG_LAUNCH_H
#define TOOLS_MSG_MSG_LAUNCH_H

#include "tools/msg/msg.h"
#include "tools/msg/msg_options.h"

/** From here on signals that end the program are noticed by msg_launch(). Call once, before it.
 * @return False after a message. */
bool msg_launch_prepare(void);

/** Run one column. Whatever happens, no process and no shared memory is left.
 *
 * @param[in]  total   Messages that all peers together receive, for the progress line.
 * @param[out] column  Filled on success.
 * @return MSG_EXIT_OK, MSG_EXIT_FAILED after a message, or 128 and the number of a signal.
 */
int msg_launch(const msg_command_t *command, const msg_plan_t *plan, msg_mode_t mode, uint64_t total,
               msg_column_t *column);

/** How many channels the options make. */
uint32_t msg_links(const msg_options_t *options);

#endif
