/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-coverage: releases memory in every way there is, and says which of them
 * a monitor notices. Exit codes: 0; 1 opalmem misses what it promises, or does
 * not start, or the result cannot be written; 2 the command line is wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opal/opalmem.h"
#include "tools/coverage/coverage_options.h"
#include "tools/coverage/coverage_report.h"

enum { EXIT_GOOD = 0, EXIT_BROKEN = 1, EXIT_USAGE = 2 };

static size_t row_total(void)
{
    size_t count = 0;

    while (coverage_rows[count].name != NULL) {
        count++;
    }
    return count;
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL) {
        fputs(COVERAGE_PROGRAM ": no memory\n", stderr);
        exit(EXIT_BROKEN);
    }
    return memory;
}

static void choose_rows(coverage_result_t *result, const coverage_options_t *options)
{
    result->rows = allocate(row_total() + 1, sizeof(const coverage_row_t *));
    for (const coverage_row_t *row = coverage_rows; row->name != NULL; row++) {
        if (coverage_options_have_row(options, row)) {
            result->rows[result->row_count++] = row;
        }
    }
}

static void make_columns(coverage_result_t *result, const coverage_options_t *options)
{
    result->columns = allocate(options->monitor_count, sizeof(result->columns[0]));
    result->column_count = options->monitor_count;
    for (size_t i = 0; i < options->monitor_count; i++) {
        result->columns[i].name = options->monitors[i];
        result->columns[i].cells = allocate(result->row_count + 1, sizeof(coverage_cell_t));
    }
}

static void free_result(coverage_result_t *result)
{
    for (size_t i = 0; i < result->column_count; i++) {
        free(result->columns[i].cells);
    }
    free(result->columns);
    free(result->rows);
}

static bool run_column(const coverage_result_t *result, coverage_column_t *column, char **settings)
{
    if (!coverage_run_probe(column, settings)) {
        return false;
    }
    for (size_t i = 0; column->is_usable && i < result->row_count; i++) {
        if (!coverage_run_row(column, result->rows[i], settings, &column->cells[i])) {
            return false;
        }
    }
    return true;
}

static bool run_all(const coverage_result_t *result, char **settings)
{
    for (size_t i = 0; i < result->column_count; i++) {
        if (!run_column(result, &result->columns[i], settings)) {
            return false;
        }
    }
    return true;
}

static bool is_good(const coverage_result_t *result, const coverage_column_t *column)
{
    if (!column->is_usable) {
        return !coverage_monitor_is_own(column->name);
    }
    for (size_t i = 0; i < result->row_count; i++) {
        if (coverage_is_broken(&column->cells[i])) {
            return false;
        }
    }
    return true;
}

static int verdict(const coverage_result_t *result)
{
    int rc = EXIT_GOOD;

    for (size_t i = 0; i < result->column_count; i++) {
        rc = is_good(result, &result->columns[i]) ? rc : EXIT_BROKEN;
    }
    return rc;
}

static int finish_output(int rc)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        perror(COVERAGE_PROGRAM ": the result cannot be written");
        return EXIT_BROKEN;
    }
    return rc;
}

/* Scenes count in pages of this size. */
static bool has_small_pages(void)
{
    if (sysconf(_SC_PAGESIZE) == (long) COVERAGE_PAGE) {
        return true;
    }
    fprintf(stderr, COVERAGE_PROGRAM ": pages of %ld bytes: only those of 4096 are known here\n",
            sysconf(_SC_PAGESIZE));
    return false;
}

static int run(const coverage_options_t *options)
{
    coverage_result_t result = { NULL, 0, NULL, 0 };
    int rc = EXIT_BROKEN;

    choose_rows(&result, options);
    if (options->list) {
        coverage_print_list(&result, options->form);
        rc = EXIT_GOOD;
    } else {
        make_columns(&result, options);
        if (has_small_pages() && run_all(&result, options->settings)) {
            coverage_print(&result, options->form);
            rc = verdict(&result);
        }
    }
    free_result(&result);
    return finish_output(rc);
}

static int print_and_finish(const coverage_options_t *options)
{
    if (options->help) {
        coverage_options_help();
    } else {
        puts(COVERAGE_PROGRAM " " OPALMEM_VERSION);
    }
    return finish_output(EXIT_GOOD);
}

int main(int argc, char **argv)
{
    coverage_options_t options;
    int rc = EXIT_USAGE;

    if (argc > 1 && strcmp(argv[1], "--child") == 0) {
        return coverage_child(argc - 2, argv + 2);
    }
    if (coverage_options_parse(&options, argc, argv)) {
        rc = options.help || options.version ? print_and_finish(&options) : run(&options);
    }
    coverage_options_free(&options);
    return rc;
}
