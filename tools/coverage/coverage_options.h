/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line. */
#ifndef TOOLS_COVERAGE_COVERAGE_OPTIONS_H
#define TOOLS_COVERAGE_COVERAGE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/coverage/coverage.h"

typedef enum coverage_form_t { COVERAGE_TABLE, COVERAGE_TSV, COVERAGE_JSON } coverage_form_t;

/** Arrays are as long as the command line has words. */
typedef struct coverage_options_t {
    bool help, version, list;
    coverage_form_t form;
    bool form_given;
    const char **rows; /**< Names of --row. */
    size_t row_count;
    const char **monitors; /**< At least one after parsing. */
    size_t monitor_count;
    char **settings; /**< For opalmem_init(), NULL-terminated. */
    size_t setting_count;
} coverage_options_t;

/** @return False after a message: it cannot be used. In any case free it. */
bool coverage_options_parse(coverage_options_t *options, int argc, char **argv);
void coverage_options_free(coverage_options_t *options);
void coverage_options_help(void);

/** Is the row asked for? */
bool coverage_options_have_row(const coverage_options_t *options, const coverage_row_t *row);

#endif
