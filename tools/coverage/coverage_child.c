/* SPDX-License-Identifier: BSD-3-Clause */
/* A child: starts one monitor and plays one scene, or none (the probe). What it
 * finds goes into the record, whose file the parent has opened. Nothing is
 * printed but what the library itself says in a probe. */
#include "tools/coverage/coverage_child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/coverage/coverage.h"

/* A scene takes well under a second, but for those that start 50 ms of grace for each function (UCX). */
#define SECONDS_MAX 30

/* libc's, or what replaces it by a symbol of the same name: found before any monitor runs. */
int (*coverage_early_munmap)(void *start, size_t length);

static const coverage_monitor_t *monitor;

bool coverage_watch(void *start, size_t length)
{
    return monitor->watch == NULL || monitor->watch(start, length) == 0;
}

void coverage_poll(void)
{
    if (monitor->poll != NULL) {
        monitor->poll();
    }
}

static bool start_monitor(coverage_record_t *record, const char *name, int argc, char **argv)
{
    const char *mode;

    record->stage = COVERAGE_STAGE_NO_MONITOR;
    monitor = coverage_monitor_find(name, &mode, record->text, sizeof(record->text));
    if (monitor == NULL) {
        return false;
    }
    if (monitor->start(mode, coverage_event, argc, argv, &record->claims, record->text, sizeof(record->text))
        != 0) {
        return false;
    }
    record->stage = COVERAGE_STAGE_STARTED;
    return true;
}

static void play(coverage_record_t *record, const coverage_row_t *row)
{
    record->target = row->target;
    alarm(SECONDS_MAX);
    row->play();
    alarm(0);
    if (monitor->stop != NULL) {
        monitor->stop();
    }
}

/* The row's number, or -1: the probe. */
static const coverage_row_t *row_of(const char *number)
{
    const long index = strtol(number, NULL, 10);

    return index < 0 ? NULL : &coverage_rows[index];
}

/* FD ROW MONITOR SETTING... */
int coverage_child(int argc, char **argv)
{
    coverage_record_t *record;
    const coverage_row_t *row;
    char program[] = COVERAGE_PROGRAM;

    if (argc < 3) {
        return EXIT_FAILURE;
    }
    record = mmap(NULL, sizeof(*record), PROT_READ | PROT_WRITE, MAP_SHARED, (int) strtol(argv[0], NULL, 10), 0);
    if (record == MAP_FAILED) {
        return EXIT_FAILURE;
    }
    coverage_early_munmap = munmap;
    coverage_record_use(record);
    row = row_of(argv[1]);
    const char *const name = argv[2];
    argv[2] = program; /* Settings come behind the program's name. */
    if (start_monitor(record, name, argc - 2, argv + 2) && row != NULL) {
        play(record, row);
    }
    return EXIT_SUCCESS;
}
