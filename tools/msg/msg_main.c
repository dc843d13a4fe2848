/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-msg: sends messages between processes from cached, pinned memory and
 * counts wrong bytes. Here is the order of things: everything that can be wrong
 * with the command line, the files and the machine is found before a process is
 * started, and is said once. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"
#include "tools/msg/msg_feed.h"
#include "tools/msg/msg_launch.h"
#include "tools/msg/msg_options.h"
#include "tools/msg/msg_plan.h"
#include "tools/msg/msg_report.h"
#include "tools/msg/msg_worker.h"

typedef struct run_t {
    msg_command_t command;
    machine_info_t machine;
    msg_plan_t plan;
    uint64_t total;
    msg_column_t columns[MSG_MODE_COUNT];
    size_t column_count;
} run_t;

/* Descriptors that we open must not become 0, 1 or 2. What is opened here cannot be written, so that output
 * to a closed stdout is an error and not lost. */
static void fill_standard_descriptors(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

/* Start the library and the provider once as the peers will, so that what is wrong is said once. */
static int check_library(run_t *run, int argc, char **argv)
{
    mca_rcache_provider_t *provider;
    int status = MSG_EXIT_FAILED;
    char **copy = calloc((size_t) argc + 1, sizeof(*copy));
    char **rest = copy; /* The library takes its settings out. */

    if (copy == NULL) {
        msg_error("out of memory");
        return MSG_EXIT_FAILED;
    }
    memcpy(copy, argv, (size_t) argc * sizeof(*copy));
    if (opalmem_init(&argc, &rest) == OPAL_SUCCESS) {
        if (mca_rcache_provider_open("uring", &provider) == OPAL_SUCCESS) {
            mca_rcache_provider_close(provider);
            if (msg_plan_make(&run->command.options, &run->machine, msg_lockable_bytes(), &run->plan)) {
                status = MSG_EXIT_OK;
            }
        }
        opalmem_finalize();
    }
    free(copy);
    return status;
}

static int check_files(run_t *run)
{
    const msg_options_t *options = &run->command.options;
    msg_file_t *files = calloc((size_t) options->file_count + 1, sizeof(*files));

    if (files == NULL) {
        msg_error("out of memory");
        return MSG_EXIT_FAILED;
    }
    if (!msg_files_open(files, run->command.files, options->file_count)) {
        free(files);
        return MSG_EXIT_FAILED;
    }
    run->total = msg_feed_total(options, files, msg_links(options));
    msg_files_close(files, options->file_count);
    free(files);
    return MSG_EXIT_OK;
}

static int check_everything(run_t *run, int argc, char **argv)
{
    const char *json = run->command.json;
    int status = check_files(run);

    if (status == MSG_EXIT_OK && json != NULL && !msg_json_check(json)) {
        status = MSG_EXIT_FAILED;
    }
    if (status == MSG_EXIT_OK && machine_read(&run->machine) != OPAL_SUCCESS) {
        msg_error("cannot find out about the machine: %s", strerror(errno));
        status = MSG_EXIT_FAILED;
    }
    if (status == MSG_EXIT_OK) {
        status = check_library(run, argc, argv);
    }
    if (status == MSG_EXIT_OK && !msg_launch_prepare()) {
        status = MSG_EXIT_FAILED;
    }
    return status;
}

static int run_columns(run_t *run)
{
    msg_mode_t first = run->command.compare ? MSG_MODE_NONE : run->command.mode;
    msg_mode_t last = run->command.compare ? MSG_MODE_HOOKS : run->command.mode;

    for (msg_mode_t mode = first; mode <= last; mode++) {
        int status = msg_launch(&run->command, &run->plan, mode, run->total, &run->columns[run->column_count]);

        if (status != MSG_EXIT_OK) {
            return status;
        }
        run->column_count++;
    }
    return MSG_EXIT_OK;
}

static bool every_byte_right(const run_t *run)
{
    for (size_t i = 0; i < run->column_count; i++) {
        if (run->columns[i].mode != MSG_MODE_NO_HOOKS && run->columns[i].total.wrong_messages > 0) {
            return false;
        }
    }
    return true;
}

static bool flush_stdout(void)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return true;
    }
    msg_error("cannot write to the standard output: %s", strerror(errno));
    return false;
}

static int report_columns(const run_t *run)
{
    msg_report_t report = {
        .options = &run->command.options,
        .plan = &run->plan,
        .machine = &run->machine,
        .columns = run->columns,
        .column_count = run->column_count,
    };
    const char *json = run->command.json;
    bool written = true;

    if (json == NULL || !msg_json_is_stdout(json)) {
        msg_report_print(&report, stdout);
    }
    if (json != NULL) {
        written = msg_json_write(&report, json);
    }
    written = flush_stdout() && written;
    if (!every_byte_right(run)) {
        return MSG_EXIT_WRONG;
    }
    return written ? MSG_EXIT_OK : MSG_EXIT_FAILED;
}

static int run_program(run_t *run, int argc, char **argv)
{
    int status = msg_command_parse(&run->command, argc, argv);

    if (status != MSG_EXIT_OK) {
        return status;
    }
    if (run->command.help) {
        msg_command_help();
        return flush_stdout() ? MSG_EXIT_OK : MSG_EXIT_FAILED;
    }
    if (run->command.version) {
        printf("opalmem-msg %s\n", OPALMEM_VERSION);
        return flush_stdout() ? MSG_EXIT_OK : MSG_EXIT_FAILED;
    }
    status = check_everything(run, argc, argv);
    if (status == MSG_EXIT_OK) {
        status = run_columns(run);
    }
    return status == MSG_EXIT_OK ? report_columns(run) : status;
}

int main(int argc, char **argv)
{
    static run_t run;
    int status;

    fill_standard_descriptors();
    if (argc > 1 && strcmp(argv[1], MSG_WORKER_OPTION) == 0) {
        return msg_worker_main(argc, argv);
    }
    status = run_program(&run, argc, argv);
    msg_command_free(&run.command);
    return status;
}
