/* SPDX-License-Identifier: BSD-3-Clause */
/* The parent's side of a row: a process of its own, started anew, so that no row
 * sees what another has left behind. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/coverage/coverage.h"

#define ARGUMENTS_FIXED 5 /* Program, --child, descriptor, row, monitor. */

static bool complain(const char *what)
{
    fprintf(stderr, COVERAGE_PROGRAM ": %s: %s\n", what, strerror(errno));
    return false;
}

static size_t count(char **strings)
{
    size_t number = 0;

    while (strings[number] != NULL) {
        number++;
    }
    return number;
}

/* The descriptor is inherited: memfd_create() without CLOEXEC. */
static bool make_record(int *fd, coverage_record_t **record)
{
    void *memory = MAP_FAILED;

    *fd = memfd_create("coverage-record", 0);
    if (*fd >= 0 && ftruncate(*fd, sizeof(coverage_record_t)) == 0) {
        memory = mmap(NULL, sizeof(coverage_record_t), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    }
    if (memory == MAP_FAILED) {
        if (*fd >= 0) {
            close(*fd);
        }
        return complain("no memory for a record");
    }
    *record = memory;
    return true;
}

static void free_record(int fd, coverage_record_t *record)
{
    munmap(record, sizeof(*record));
    close(fd);
}

/* Scenes that fail and libraries that do not start say so in the record; only a probe may print. */
static int spawn(pid_t *pid, char **arguments, bool is_quiet)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);

    if (error != 0) {
        return error;
    }
    error = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1, 0);
    if (error == 0 && is_quiet) {
        error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1, 0);
    }
    if (error == 0) {
        error = posix_spawn(pid, "/proc/self/exe", &actions, NULL, arguments, environ);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static bool wait_for(pid_t pid, int *status)
{
    while (waitpid(pid, status, 0) != pid) {
        if (errno != EINTR) {
            return complain("a child is lost");
        }
    }
    return true;
}

/* row -1: the probe. */
static bool run_child(int fd, const char *monitor, long row, char **settings, int *status)
{
    static char program[] = COVERAGE_PROGRAM, option[] = "--child";
    char descriptor[16], number[16];
    char **arguments = calloc(ARGUMENTS_FIXED + count(settings) + 1, sizeof(arguments[0]));
    pid_t pid = 0;

    if (arguments == NULL) {
        return complain("no memory");
    }
    snprintf(descriptor, sizeof(descriptor), "%d", fd);
    snprintf(number, sizeof(number), "%ld", row);
    char *const fixed[ARGUMENTS_FIXED] = { program, option, descriptor, number, (char *) (uintptr_t) monitor };
    memcpy(arguments, fixed, sizeof(fixed));
    memcpy(arguments + ARGUMENTS_FIXED, settings, count(settings) * sizeof(settings[0]));
    errno = spawn(&pid, arguments, row >= 0);
    free(arguments);
    return errno == 0 ? wait_for(pid, status) : complain("a child does not start");
}

bool coverage_run_probe(coverage_column_t *column, char **settings)
{
    coverage_record_t *record;
    int fd, status;

    if (!make_record(&fd, &record)) {
        return false;
    }
    const bool is_run = run_child(fd, column->name, -1, settings, &status);
    if (is_run) {
        column->claims = record->claims;
        column->is_usable = record->stage == COVERAGE_STAGE_STARTED && status == 0;
        snprintf(column->reason, sizeof(column->reason), "%.*s", COVERAGE_TEXT_MAX - 1,
                 record->text[0] != '\0' ? record->text : "it crashes when it starts");
    }
    free_record(fd, record);
    return is_run;
}

bool coverage_run_row(const coverage_column_t *column, const coverage_row_t *row, char **settings,
                      coverage_cell_t *cell)
{
    coverage_record_t *record;
    int fd, status = 0;

    if (!make_record(&fd, &record)) {
        return false;
    }
    const bool is_run = run_child(fd, column->name, row - coverage_rows, settings, &status);
    if (is_run) {
        coverage_judge(row, record, status, cell);
    }
    free_record(fd, record);
    return is_run;
}
