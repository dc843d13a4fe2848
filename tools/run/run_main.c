/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-run: an unmodified program, with its reads and writes through the registration cache. Its exit status or
 * signal is the program's, but where opalmem-run itself has something to say: see run.h. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "opal/opalmem.h"
#include "tools/run/run.h"

/* A program's settings are taken from a command line of their own: its arguments are not ours. */
static bool take_settings(run_options_t *options)
{
    char name[] = RUN_PROGRAM;
    char **argv = calloc((size_t) options->setting_count + 2, sizeof(char *));
    int argc = options->setting_count + 1;
    bool is_good = argv != NULL;

    if (is_good) {
        argv[0] = name;
        memcpy(argv + 1, options->settings, (size_t) options->setting_count * sizeof(char *));
        char **words = argv;
        is_good = mca_base_cmd_line_take(&argc, &words) == OPAL_SUCCESS;
    }
    free(argv);
    return is_good;
}

/* It is opened first: a mistake shows before the program has run. */
static FILE *open_json(const run_options_t *options)
{
    FILE *stream = fopen(options->json, "we");

    if (stream == NULL) {
        fprintf(stderr, RUN_PROGRAM ": --json: %s: %s\n", options->json, strerror(errno));
    }
    return stream;
}

/* Without a core of its own: the program has left one, if it was to. */
static int mirror(int status)
{
    const struct rlimit none = { 0, 0 };
    sigset_t set;

    if (!WIFSIGNALED(status)) {
        return WEXITSTATUS(status);
    }
    setrlimit(RLIMIT_CORE, &none);
    signal(WTERMSIG(status), SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, WTERMSIG(status));
    raise(WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return 128 + WTERMSIG(status);
}

static int finish(const run_report_t *report, FILE *json)
{
    bool is_written = true;

    run_report_print(stderr, report);
    if (json != NULL) {
        is_written = run_report_json(json, report);
    }
    if ((report->notes & RUN_NOTE_WRONG) != 0) {
        return RUN_EXIT_WRONG;
    }
    return is_written ? mirror(report->status) : RUN_EXIT_FAILED;
}

static int run(const run_options_t *options)
{
    run_page_t *page = NULL;
    FILE *json = NULL;
    run_end_t end;
    int fd;

    if (!run_probe(options) || (fd = run_page_make(options, &page)) < 0
        || (options->json != NULL && (json = open_json(options)) == NULL)) {
        return RUN_EXIT_FAILED;
    }
    end = run_launch(options, page, fd);
    if (end.failed != 0) {
        return end.failed;
    }
    const run_report_t report = { options, page, end.status, run_report_notes(options, page) };
    return finish(&report, json);
}

static int print_and_finish(const run_options_t *options)
{
    if (options->help) {
        run_options_help();
    } else {
        puts(RUN_PROGRAM " " OPALMEM_VERSION);
    }
    if (fflush(stdout) != 0) {
        perror(RUN_PROGRAM ": the output cannot be written");
        return RUN_EXIT_FAILED;
    }
    return 0;
}

int main(int argc, char **argv)
{
    run_options_t options;
    int rc = RUN_EXIT_FAILED;

    if (run_options_parse(&options, argc, argv)) {
        if (options.help || options.version) {
            rc = print_and_finish(&options);
        } else if (take_settings(&options)) {
            rc = run(&options);
        }
    }
    run_options_free(&options);
    return rc;
}
