/* SPDX-License-Identifier: BSD-3-Clause */
/* A peer as a process: the same program, started by the launcher with a first
 * argument that no user gives. */
#ifndef TOOLS_MSG_MSG_WORKER_H
#define TOOLS_MSG_MSG_WORKER_H

#include <stdint.h>

/** The first argument; the second is "CONTROL,RANK,SEND,RECEIVE": descriptors, -1 for none. Then come
 * settings as `--mca NAME VALUE`, "--", and the files. */
#define MSG_WORKER_OPTION "--worker"

/** Be a peer. @return The exit status. */
int msg_worker_main(int argc, char **argv);

#endif
