/* SPDX-License-Identifier: BSD-3-Clause */
/* The figures as JSON. A reader never sees half of a file: it is written beside
 * its place and renamed. Times are in nanoseconds, sizes in bytes. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "opal/opalmem.h"
#include "tools/msg/msg_report.h"
#include "tools/msg/msg_sources.h"

/* ---- Content --------------------------------------------------------------------------------- */

static void put_count(FILE *stream, const char *name, uint64_t value)
{
    fprintf(stream, "      \"%s\": %" PRIu64 ",\n", name, value);
}

static void put_causes(FILE *stream, const mca_rcache_base_stats_t *stats)
{
    const char *separator = "";

    fprintf(stream, "      \"invalidations\": {");
    for (int cause = 0; cause < OPAL_MEM_HOOKS_CAUSE_COUNT; cause++) {
        if (stats->invalidations[cause] > 0) {
            fprintf(stream, "%s\"%s\": %" PRIu64, separator,
                    opal_mem_hooks_cause_name((opal_mem_hooks_cause_t) cause), stats->invalidations[cause]);
            separator = ", ";
        }
    }
    fprintf(stream, "},\n");
}

static void put_cache(FILE *stream, const msg_figures_t *figures)
{
    const mca_rcache_base_stats_t *stats = &figures->stats;

    put_count(stream, "hits", stats->hits);
    put_count(stream, "misses", stats->misses);
    fprintf(stream, "      \"hit_rate\": %.6f,\n", msg_hit_rate(stats));
    put_count(stream, "registrations", stats->registrations);
    put_count(stream, "deregistrations", stats->deregistrations);
    put_count(stream, "evictions", stats->evictions);
    put_causes(stream, stats);
    put_count(stream, "invalidated_in_use", stats->invalidated_in_use);
    put_count(stream, "unpinned_in_hook", stats->unpinned_in_hook);
    put_count(stream, "retries", stats->retries);
    put_count(stream, "queue_overflows", stats->queue_overflows);
    put_count(stream, "pinned_bytes", stats->bytes);
    put_count(stream, "peak_pinned_bytes", stats->peak_bytes);
    put_count(stream, "process_pinned_bytes", figures->process_pinned);
}

static double ratio(double sum, uint64_t count)
{
    return count == 0 ? 0 : sum / (double) count;
}

static void put_times(FILE *stream, const msg_column_t *column)
{
    const msg_figures_t *figures = &column->total;

    fprintf(stream, "      \"transfer_ns_mean\": %.1f,\n",
            ratio((double) figures->transfer_ns, figures->messages));
    put_count(stream, "transfer_ns_median", column->median_ns);
    fprintf(stream, "      \"buffer_ns_mean\": %.1f,\n", ratio((double) figures->source_ns, figures->messages));
    fprintf(stream, "      \"register_ns_mean\": %.1f,\n",
            ratio(2 * (double) figures->register_ns, figures->register_samples));
    fprintf(stream, "      \"elapsed_ns\": %" PRIu64 "\n", figures->elapsed_ns);
}

static void put_column(FILE *stream, const msg_column_t *column)
{
    const msg_figures_t *figures = &column->total;

    fprintf(stream, "    {\n      \"cache\": \"%s\",\n", msg_mode_name(column->mode));
    /* A component's name has no character that JSON would have to escape: it is part of a C identifier. */
    fprintf(stream, "      \"component\": \"%s\",\n", figures->components);
    put_count(stream, "support_level", (uint64_t) figures->support);
    fprintf(stream, "      \"keeps_registrations\": %s,\n",
            figures->caching != 0 && column->mode != MSG_MODE_NONE ? "true" : "false");
    put_count(stream, "messages", figures->messages);
    put_count(stream, "bytes", figures->bytes);
    put_count(stream, "wrong_messages", figures->wrong_messages);
    put_count(stream, "wrong_bytes", figures->wrong_bytes);
    put_count(stream, "failed_transfers", figures->failed_transfers);
    put_cache(stream, figures);
    put_times(stream, column);
    fprintf(stream, "    }");
}

static void put_head(FILE *stream, const msg_report_t *report)
{
    const msg_options_t *options = report->options;
    const machine_info_t *machine = report->machine;

    fprintf(stream, "{\n  \"program\": \"opalmem-msg\",\n  \"version\": \"%s\",\n", OPALMEM_VERSION);
    fprintf(stream,
            "  \"options\": {\"peers\": %u, \"pattern\": \"%s\", \"size_min\": %zu, \"size_max\": %zu, "
            "\"messages\": %" PRIu64 ", \"seed\": %" PRIu64 ", \"files\": %u},\n",
            options->peers, msg_source_name(options->pattern), options->size_min, options->size_max,
            options->messages, options->seed, options->file_count);
    fprintf(stream, "  \"limits\": {\"cache_max_bytes\": %zu, \"lockable_bytes\": ", report->plan->max_bytes);
    if (report->plan->lockable == UINT64_MAX) {
        fprintf(stream, "null},\n");
    } else {
        fprintf(stream, "%" PRIu64 "},\n", report->plan->lockable);
    }
    fprintf(stream,
            "  \"machine\": {\"processors\": %u, \"cores\": %u, \"numa_nodes\": %u, \"memory_bytes\": %" PRIu64
            ", \"page_sizes\": [",
            machine->processors, machine->cores, machine->numa_nodes, machine->memory_bytes);
    for (unsigned i = 0; i < machine->page_size_count; i++) {
        fprintf(stream, "%s%zu", i > 0 ? ", " : "", machine->page_sizes[i]);
    }
    fprintf(stream, "]},\n  \"columns\": [\n");
}

static void put_report(FILE *stream, const msg_report_t *report)
{
    put_head(stream, report);
    for (size_t i = 0; i < report->column_count; i++) {
        put_column(stream, &report->columns[i]);
        fputs(i + 1 < report->column_count ? ",\n" : "\n", stream);
    }
    fprintf(stream, "  ]\n}\n");
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
