/* SPDX-License-Identifier: BSD-3-Clause */
/* The figures as JSON. A reader never sees half of a file: it is written beside
 * its place and renamed. Times are in nanoseconds, sizes in bytes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "opal/opalmem.h"
#include "tools/msg/msg_report.h"
#include "tools/msg/msg_sources.h"
#include "tools/util/json.h"

/* ---- Content --------------------------------------------------------------------------------- */

static void put_causes(json_t *json, const mca_rcache_base_stats_t *stats)
{
    json_object_begin(json, "invalidations", JSON_ONE_LINE);
    for (int cause = 0; cause < OPAL_MEM_HOOKS_CAUSE_COUNT; cause++) {
        if (stats->invalidations[cause] > 0) {
            json_uint(json, opal_mem_hooks_cause_name((opal_mem_hooks_cause_t) cause),
                      stats->invalidations[cause]);
        }
    }
    json_object_end(json);
}

static void put_cache(json_t *json, const msg_figures_t *figures)
{
    const mca_rcache_base_stats_t *stats = &figures->stats;

    json_uint(json, "hits", stats->hits);
    json_uint(json, "misses", stats->misses);
    json_decimal(json, "hit_rate", msg_hit_rate(stats), 6);
    json_uint(json, "registrations", stats->registrations);
    json_uint(json, "deregistrations", stats->deregistrations);
    json_uint(json, "evictions", stats->evictions);
    put_causes(json, stats);
    json_uint(json, "invalidated_in_use", stats->invalidated_in_use);
    json_uint(json, "unpinned_in_hook", stats->unpinned_in_hook);
    json_uint(json, "retries", stats->retries);
    json_uint(json, "queue_overflows", stats->queue_overflows);
    json_uint(json, "pinned_bytes", stats->bytes);
    json_uint(json, "peak_pinned_bytes", stats->peak_bytes);
    json_uint(json, "process_pinned_bytes", figures->process_pinned);
}

static double ratio(double sum, uint64_t count)
{
    return count == 0 ? 0 : sum / (double) count;
}

static void put_times(json_t *json, const msg_column_t *column)
{
    const msg_figures_t *figures = &column->total;

    json_decimal(json, "transfer_ns_mean", ratio((double) figures->transfer_ns, figures->messages), 1);
    json_uint(json, "transfer_ns_median", column->median_ns);
    json_decimal(json, "buffer_ns_mean", ratio((double) figures->source_ns, figures->messages), 1);
    json_decimal(json, "register_ns_mean", ratio(2 * (double) figures->register_ns, figures->register_samples), 1);
    json_uint(json, "elapsed_ns", figures->elapsed_ns);
}

static void put_column(json_t *json, const msg_column_t *column)
{
    const msg_figures_t *figures = &column->total;

    json_object_begin(json, NULL, JSON_LINES);
    json_string(json, "cache", msg_mode_name(column->mode));
    json_string(json, "component", figures->components);
    json_uint(json, "support_level", (uint64_t) figures->support);
    json_bool(json, "keeps_registrations", figures->caching != 0 && column->mode != MSG_MODE_NONE);
    json_uint(json, "messages", figures->messages);
    json_uint(json, "bytes", figures->bytes);
    json_uint(json, "wrong_messages", figures->wrong_messages);
    json_uint(json, "wrong_bytes", figures->wrong_bytes);
    json_uint(json, "failed_transfers", figures->failed_transfers);
    put_cache(json, figures);
    put_times(json, column);
    json_object_end(json);
}

static void put_options(json_t *json, const msg_options_t *options)
{
    json_object_begin(json, "options", JSON_ONE_LINE);
    json_uint(json, "peers", options->peers);
    json_string(json, "pattern", msg_source_name(options->pattern));
    json_uint(json, "size_min", options->size_min);
    json_uint(json, "size_max", options->size_max);
    json_uint(json, "messages", options->messages);
    json_uint(json, "seed", options->seed);
    json_uint(json, "files", options->file_count);
    json_object_end(json);
}

static void put_limits(json_t *json, const msg_plan_t *plan)
{
    json_object_begin(json, "limits", JSON_ONE_LINE);
    json_uint(json, "cache_max_bytes", plan->max_bytes);
    if (plan->lockable == UINT64_MAX) {
        json_null(json, "lockable_bytes");
    } else {
        json_uint(json, "lockable_bytes", plan->lockable);
    }
    json_object_end(json);
}

static void put_machine(json_t *json, const machine_info_t *machine)
{
    json_object_begin(json, "machine", JSON_ONE_LINE);
    json_uint(json, "processors", machine->processors);
    json_uint(json, "cores", machine->cores);
    json_uint(json, "numa_nodes", machine->numa_nodes);
    json_uint(json, "memory_bytes", machine->memory_bytes);
    json_array_begin(json, "page_sizes", JSON_ONE_LINE);
    for (unsigned i = 0; i < machine->page_size_count; i++) {
        json_uint(json, NULL, machine->page_sizes[i]);
    }
    json_array_end(json);
    json_object_end(json);
}

static void put_report(FILE *stream, const msg_report_t *report)
{
    json_t json = { .stream = stream };

    json_object_begin(&json, NULL, JSON_LINES);
    json_string(&json, "program", "opalmem-msg");
    json_string(&json, "version", OPALMEM_VERSION);
    put_options(&json, report->options);
    put_limits(&json, report->plan);
    put_machine(&json, report->machine);
    json_array_begin(&json, "columns", JSON_LINES);
    for (size_t i = 0; i < report->column_count; i++) {
        put_column(&json, &report->columns[i]);
    }
    json_array_end(&json);
    json_object_end(&json);
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* An output: the file itself, or one beside it. */
typedef struct output_t {
    char final[PATH_MAX];         /* Where it is to be, links resolved. */
    char temporary[PATH_MAX + 8]; /* "" where it is written directly. */
    FILE *stream;
} output_t;

bool msg_json_is_stdout(const char *path)
{
    struct stat file, out;

    return stat(path, &file) == 0 && fstat(STDOUT_FILENO, &out) == 0 && file.st_dev == out.st_dev
           && file.st_ino == out.st_ino;
}

static bool fail(const char *path, int error)
{
    msg_error("cannot write the file \"%s\": %s", path, strerror(error));
    return false;
}

static int open_output(output_t *output, const char *path)
{
    struct stat status;
    bool exists = stat(path, &status) == 0;
    int fd;

    output->temporary[0] = '\0';
    if (exists && !S_ISREG(status.st_mode)) {
        return open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    }
    /* A link keeps pointing to the file; a dangling one cannot be resolved and is refused. */
    if (exists ? realpath(path, output->final) == NULL : strlen(path) >= PATH_MAX) {
        errno = exists ? errno : ENAMETOOLONG;
        return -1;
    }
    if (!exists) {
        snprintf(output->final, sizeof(output->final), "%s", path);
    }
    snprintf(output->temporary, sizeof(output->temporary), "%s.tmp", output->final);
    fd = open(output->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd >= 0 && exists && fchmod(fd, status.st_mode & 0777) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool output_begin(output_t *output, const char *path)
{
    int fd = open_output(output, path);

    if (fd < 0) {
        return fail(path, errno);
    }
    output->stream = fdopen(fd, "w");
    if (output->stream == NULL) {
        close(fd);
        return fail(path, ENOMEM);
    }
    return true;
}

static void output_abandon(output_t *output)
{
    if (output->temporary[0] != '\0') {
        unlink(output->temporary);
    }
}

static bool output_end(output_t *output, const char *path)
{
    int error = 0;

    errno = 0;
    if (ferror(output->stream) != 0 || fflush(output->stream) != 0) {
        error = errno != 0 ? errno : EIO;
    }
    if (fclose(output->stream) != 0 && error == 0) {
        error = errno;
    }
    if (error == 0 && output->temporary[0] != '\0' && rename(output->temporary, output->final) != 0) {
        error = errno;
    }
    if (error != 0) {
        output_abandon(output);
        return fail(path, error);
    }
    return true;
}

bool msg_json_check(const char *path)
{
    output_t output;
    struct stat status;

    if (msg_json_is_stdout(path)) {
        return true;
    }
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        if (S_ISDIR(status.st_mode)) {
            return fail(path, EISDIR);
        }
        return access(path, W_OK) == 0 || fail(path, errno);
    }
    if (!output_begin(&output, path)) {
        return false;
    }
    fclose(output.stream);
    output_abandon(&output);
    return true;
}

bool msg_json_write(const msg_report_t *report, const char *path)
{
    output_t output;

    if (msg_json_is_stdout(path)) {
        put_report(stdout, report);
        return true;
    }
    if (!output_begin(&output, path)) {
        return false;
    }
    put_report(output.stream, report);
    return output_end(&output, path);
}
