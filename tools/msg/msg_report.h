/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run found, for people (msg_report.c) and for programs (msg_json.c). */
#ifndef TOOLS_MSG_MSG_REPORT_H
#define TOOLS_MSG_MSG_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "tools/machine/machine.h"
#include "tools/msg/msg.h"

/** Everything that is reported. */
typedef struct msg_report_t {
    const msg_options_t *options;
    const msg_plan_t *plan;
    const machine_info_t *machine;
    const msg_column_t *columns;
    size_t column_count;
} msg_report_t;

/** Print the table. Errors show in the stream. */
void msg_report_print(const msg_report_t *report, FILE *stream);

/** Is path the same file as stdout? The JSON then takes the place of the table. */
bool msg_json_is_stdout(const char *path);

/** See, before the work, that path can be written. @return False after a message. */
bool msg_json_check(const char *path);

/** Write the figures to path: beside it and renamed where it is a regular file or does not exist, directly
 * where it is a device or a pipe.
 * @return False after a message; a regular file then is as it was. */
bool msg_json_write(const msg_report_t *report, const char *path);

/** Share of lookups that were hits, 0 to 1. */
double msg_hit_rate(const mca_rcache_base_stats_t *stats);

#endif
