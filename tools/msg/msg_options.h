/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of opalmem-msg. */
#ifndef TOOLS_MSG_MSG_OPTIONS_H
#define TOOLS_MSG_MSG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/msg/msg.h"

/** A setting for the library: --mca NAME VALUE. */
typedef struct msg_setting_t {
    const char *name;
    const char *value;
} msg_setting_t;

/** The command line, taken apart. Strings are those of argv. */
typedef struct msg_command_t {
    const char *program;
    msg_options_t options;
    msg_mode_t mode;
    bool mode_given;
    bool compare;
    bool help, version;
    const char *json; /**< NULL: not wanted. */
    char **files;     /**< options.file_count names. */
    msg_setting_t *settings;
    size_t setting_count;
} msg_command_t;

/** Take argv apart; argv itself is not changed.
 *
 * @param[out] command  To be given to msg_command_free(), also after an error.
 * @return MSG_EXIT_OK, or MSG_EXIT_USAGE or MSG_EXIT_FAILED after a message.
 */
int msg_command_parse(msg_command_t *command, int argc, char **argv);

void msg_command_free(msg_command_t *command);

/** Print the usage on stdout. */
void msg_command_help(void);

/** Read "64K" or "4K-1M" into two sizes. @return False: not a size or not in range; nothing is set. */
bool msg_parse_sizes(const char *text, size_t *minimum, size_t *maximum);

#endif
