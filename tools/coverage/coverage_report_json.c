/* SPDX-License-Identifier: BSD-3-Clause */
/* The result as one JSON document. */
#include <stdio.h>
#include <sys/utsname.h>

#include "opal/opalmem.h"
#include "tools/coverage/coverage_report.h"
#include "tools/util/json.h"

static void put_machine(json_t *json)
{
    struct utsname system;

    if (uname(&system) == 0) {
        json_object_begin(json, "machine", JSON_ONE_LINE);
        json_string(json, "kernel", system.release);
        json_string(json, "architecture", system.machine);
        json_object_end(json);
    }
}

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* One count a verdict, zeros too: readers need not know which there are. */
static void put_sum(json_t *json, const char *key, const coverage_sum_t *sum)
{
    json_object_begin(json, key, JSON_ONE_LINE);
    json_uint(json, "rows", sum->rows);
    for (unsigned i = 0; i < COVERAGE_VERDICTS; i++) {
        json_uint(json, coverage_verdict_name((coverage_verdict_t) i), sum->verdicts[i]);
    }
    json_object_end(json);
}

static void put_sums(json_t *json, const coverage_result_t *result, const coverage_column_t *column)
{
    for (int reference = 0; reference <= 1; reference++) {
        const coverage_sum_t gone = coverage_sum(result, column, COVERAGE_RELEASE, reference != 0);
        const coverage_sum_t stay = coverage_sum(result, column, COVERAGE_CONTROL, reference != 0);

        put_sum(json, reference != 0 ? "reference_releases" : "releases", &gone);
        put_sum(json, reference != 0 ? "reference_controls" : "controls", &stay);
    }
}

static void put_monitors(json_t *json, const coverage_result_t *result)
{
    json_array_begin(json, "monitors", JSON_LINES);
    for (size_t i = 0; i < result->column_count; i++) {
        const coverage_column_t *column = &result->columns[i];

        json_object_begin(json, NULL, JSON_LINES);
        json_string(json, "name", column->name);
        json_bool(json, "usable", column->is_usable);
        json_string_or_null(json, "reason", column->is_usable ? NULL : column->reason);
        json_string_or_null(json, "version", or_null(column->claims.version));
        json_string_or_null(json, "claimed", or_null(column->claims.claimed));
        if (column->is_usable) {
            put_sums(json, result, column);
        }
        json_object_end(json);
    }
    json_array_end(json);
}

static void put_cell(json_t *json, const coverage_column_t *column, const coverage_cell_t *cell)
{
    json_object_begin(json, NULL, JSON_ONE_LINE);
    json_string(json, "monitor", column->name);
    json_string(json, "verdict", coverage_verdict_name(cell->verdict));
    json_string(json, "proof", coverage_proof_name(cell->proof));
    json_bool(json, "promised", cell->claimed);
    json_bool(json, "broken", coverage_is_broken(cell));
    json_uint(json, "start", cell->start);
    json_uint(json, "length", cell->length);
    json_uint(json, "events", cell->events);
    if (cell->events != 0) {
        json_uint(json, "event_start", cell->first.start);
        json_uint(json, "event_length", cell->first.length);
        json_uint(json, "covered_percent", cell->covered);
    }
    json_string_or_null(json, "reason", or_null(cell->text));
    json_object_end(json);
}

static void put_row(json_t *json, const coverage_result_t *result, size_t index)
{
    const coverage_row_t *row = result->rows[index];
    char promise[COVERAGE_TEXT_MAX];

    coverage_promise_names(row, promise, sizeof(promise));
    json_object_begin(json, NULL, JSON_LINES);
    json_string(json, "row", row->name);
    json_string(json, "range", row->range);
    json_string(json, "kind", coverage_kind_name(row->kind));
    json_bool(json, "reference", row->reference);
    json_string(json, "promised_by", promise);
    json_array_begin(json, "results", JSON_LINES);
    for (size_t i = 0; i < result->column_count; i++) {
        if (result->columns[i].is_usable) {
            put_cell(json, &result->columns[i], &result->columns[i].cells[index]);
        }
    }
    json_array_end(json);
    json_object_end(json);
}

void coverage_print_json(const coverage_result_t *result)
{
    json_t json = { .stream = stdout };

    json_object_begin(&json, NULL, JSON_LINES);
    json_string(&json, "program", COVERAGE_PROGRAM);
    json_string(&json, "version", OPALMEM_VERSION);
    put_machine(&json);
    put_monitors(&json, result);
    json_array_begin(&json, "rows", JSON_LINES);
    for (size_t i = 0; i < result->row_count; i++) {
        put_row(&json, result, i);
    }
    json_array_end(&json);
    json_object_end(&json);
}
