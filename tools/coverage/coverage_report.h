/* SPDX-License-Identifier: BSD-3-Clause */
/* What is printed in the end. */
#ifndef TOOLS_COVERAGE_COVERAGE_REPORT_H
#define TOOLS_COVERAGE_COVERAGE_REPORT_H

#include <stddef.h>

#include "tools/coverage/coverage.h"
#include "tools/coverage/coverage_options.h"

/** All that was found. A column that is not usable has no cells. */
typedef struct coverage_result_t {
    const coverage_row_t **rows;
    size_t row_count;
    coverage_column_t *columns;
    size_t column_count;
} coverage_result_t;

/** Verdicts of one column, for rows of a kind. */
typedef struct coverage_sum_t {
    unsigned rows;
    unsigned verdicts[COVERAGE_VERDICTS];
} coverage_sum_t;

/** @param[in] only_reference  Only rows of the reference set. */
coverage_sum_t coverage_sum(const coverage_result_t *result, const coverage_column_t *column, coverage_kind_t kind,
                            bool only_reference);

void coverage_print(const coverage_result_t *result, coverage_form_t form);

/** In coverage_report_json.c. */
void coverage_print_json(const coverage_result_t *result);

/** The rows, without playing them. */
void coverage_print_list(const coverage_result_t *result, coverage_form_t form);

/** Names of the bits that promise a row, separated by commas; "-" if nothing does. */
void coverage_promise_names(const coverage_row_t *row, char *text, size_t size);

#endif
