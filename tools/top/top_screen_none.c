/* SPDX-License-Identifier: BSD-3-Clause */
/* In place of top_screen.c where ncurses is missing. */
#include "tools/top/top.h"

int top_screen_run(const top_process_t *process, const top_options_t *options, top_snapshot_t *last)
{
    (void) process, (void) options, (void) last;
    fputs("opalmem-top: this build cannot show a screen (it was made without ncurses): use --batch or --json\n",
          stderr);
    return TOP_FAILED;
}
