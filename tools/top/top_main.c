/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-top: live figures of registration caches, read from outside. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "tools/top/top.h"

static void print(const top_options_t *options, const top_snapshot_t *before, const top_snapshot_t *now)
{
    if (options->form == TOP_JSON) {
        top_json_print(stdout, options->pid, before, now);
    } else {
        top_batch_print(stdout, options->pid, before, now);
    }
}

static void pause_for(double seconds)
{
    struct timespec left = { (time_t) seconds, (long) ((seconds - (double) (time_t) seconds) * 1e9) };
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static bool take_sample(const top_process_t *process, top_snapshot_t *snapshot)
{
    if (!top_read(process, snapshot)) {
        fputs("opalmem-top: out of memory\n", stderr);
        return false;
    }
    return true;
}

/* Sample and print until there are enough, or the process ends. */
static int run_batch(const top_process_t *process, const top_options_t *options)
{
    top_snapshot_t before = { .count = 0 }, now;
    top_state_t state = TOP_RUNS;
    uint64_t samples = 0;
    while (state == TOP_RUNS && (options->count == 0 || samples < options->count)) {
        if (samples > 0) {
            pause_for(options->delay);
        }
        state = top_state(process); /* First: then what is read is not older than the end. */
        if (!take_sample(process, &now)) {
            top_free(&before);
            return TOP_FAILED;
        }
        print(options, samples == 0 ? NULL : &before, &now);
        top_free(&before);
        before = now;
        samples++;
    }
    top_free(&before);
    if (state != TOP_RUNS) {
        fprintf(stderr, "opalmem-top: process %d %s\n", (int) process->pid, top_state_text(state));
    }
    return TOP_OK;
}

static int run_screen(const top_process_t *process, const top_options_t *options)
{
    top_snapshot_t last;
    int rc = top_screen_run(process, options, &last);
    if (rc != TOP_OK) {
        return rc;
    }
    top_state_t state = top_state(process);
    if (state != TOP_RUNS) {
        top_batch_print(stdout, process->pid, NULL, &last);
        fprintf(stderr, "opalmem-top: process %d %s; these figures are its last ones\n", (int) process->pid,
                top_state_text(state));
    }
    top_free(&last);
    return TOP_OK;
}

static int run(const top_options_t *options)
{
    top_process_t process;
    if (options->pid == 0) {
        return top_list(options->form == TOP_JSON);
    }
    int rc = top_open(options->pid, false, &process);
    if (rc == TOP_OK) {
        rc = options->form == TOP_SCREEN ? run_screen(&process, options) : run_batch(&process, options);
        top_close(&process);
    }
    return rc;
}

int main(int argc, char **argv)
{
    top_options_t options;
    int rc = top_options_parse(&options, argc, argv);
    if (rc != TOP_OK) {
        return rc;
    }
    if (options.help) {
        top_options_help();
    } else if (options.version) {
        puts("opalmem-top " OPALMEM_VERSION);
    } else {
        rc = run(&options);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "opalmem-top: the output cannot be written: %s\n", strerror(errno));
        return TOP_FAILED;
    }
    return rc;
}
