/* SPDX-License-Identifier: BSD-3-Clause */
/* Prints the result as a table with a summary and notes, or as tab-separated
 * values; and the list of rows. */
#include "tools/coverage/coverage_report.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory_internal.h"

#define ROW_WIDTH 24
#define RANGE_WIDTH 18
#define KIND_WIDTH 8
#define CELL_WIDTH 14

coverage_sum_t coverage_sum(const coverage_result_t *result, const coverage_column_t *column, coverage_kind_t kind,
                            bool only_reference)
{
    coverage_sum_t sum = { 0, { 0 } };

    for (size_t i = 0; i < result->row_count; i++) {
        if (result->rows[i]->kind == kind && (result->rows[i]->reference || !only_reference)) {
            sum.rows++;
            sum.verdicts[column->cells[i].verdict]++;
        }
    }
    return sum;
}

/* ---- The list of rows ------------------------------------------------------------------------- */

static void add_name(char *text, size_t size, const char *name)
{
    const size_t length = strlen(text);

    snprintf(text + length, size - length, "%s%s", length != 0 ? "," : "", name);
}

void coverage_promise_names(const coverage_row_t *row, char *text, size_t size)
{
    static const struct {
        uint64_t bit;
        const char *name;
    } bits[] = {
        { OPAL_MEMORY_SEES_LIBC, "sees-libc" },       { OPAL_MEMORY_SEES_RAW, "sees-raw" },
        { OPAL_MEMORY_SEES_DISCARD, "sees-discard" }, { OPAL_MEMORY_SEES_SHM, "sees-shm" },
        { OPAL_MEMORY_SEES_FILE, "sees-file" },
    };

    opal_mem_hooks_support_names((int) row->support, ",", text, size);
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        if ((row->sees & bits[i].bit) != 0) {
            add_name(text, size, bits[i].name);
        }
    }
    if (text[0] == '\0') {
        add_name(text, size, "-");
    }
}

void coverage_print_list(const coverage_result_t *result, coverage_form_t form)
{
    char promise[COVERAGE_TEXT_MAX];
    const char *const format = form == COVERAGE_TSV ? "%s\t%s\t%s\t%s\t%s\n" : "%-24s %-18s %-8s %-10s %s\n";

    printf(format, "row", "range", "kind", "set", "promised-by");
    for (size_t i = 0; i < result->row_count; i++) {
        const coverage_row_t *row = result->rows[i];

        coverage_promise_names(row, promise, sizeof(promise));
        printf(format, row->name, row->range, coverage_kind_name(row->kind),
               row->reference ? "reference" : "extra", promise);
    }
}

/* ---- Tab-separated values --------------------------------------------------------------------- */

static void print_tsv(const coverage_result_t *result)
{
    printf("row\trange\tkind\tset");
    for (size_t i = 0; i < result->column_count; i++) {
        printf("\t%s\tproof", result->columns[i].name);
    }
    for (size_t row = 0; row < result->row_count; row++) {
        printf("\n%s\t%s\t%s\t%s", result->rows[row]->name, result->rows[row]->range,
               coverage_kind_name(result->rows[row]->kind), result->rows[row]->reference ? "reference" : "extra");
        for (size_t i = 0; i < result->column_count; i++) {
            const coverage_column_t *column = &result->columns[i];

            printf("\t%s\t%s",
                   column->is_usable ? coverage_verdict_name(column->cells[row].verdict) : "not possible",
                   column->is_usable ? coverage_proof_name(column->cells[row].proof) : "-");
        }
    }
    putchar('\n');
}

/* ---- The table -------------------------------------------------------------------------------- */

/* A word, with a mark where a promise is broken; how much of the bytes was told where that is not all. */
static void print_cell(const coverage_column_t *column, size_t row)
{
    const coverage_cell_t *cell = &column->cells[row];
    char text[COVERAGE_TEXT_MAX];

    if (!column->is_usable) {
        printf(" %-*s", CELL_WIDTH, "-");
        return;
    }
    if (cell->verdict == COVERAGE_PARTIAL) {
        snprintf(text, sizeof(text), "partial %u %%", cell->covered);
    } else {
        snprintf(text, sizeof(text), "%s", coverage_verdict_name(cell->verdict));
    }
    if (coverage_is_broken(cell)) {
        strcat(text, " !"); /* NOLINT: there is room */
    }
    printf(" %-*s", CELL_WIDTH, text);
}

/* Of "none" there is nothing to say. */
static void print_claims(const coverage_column_t *column)
{
    const coverage_claims_t *claims = &column->claims;

    printf("%s:%s%s%s%s\n", column->name, claims->version[0] != '\0' ? " " : "", claims->version,
           claims->claimed[0] != '\0' ? ", it claims " : "", claims->claimed);
}

static void print_head(const coverage_result_t *result)
{
    struct utsname system;

    if (uname(&system) == 0) {
        printf("Linux %s, %s\n", system.release, system.machine);
    }
    for (size_t i = 0; i < result->column_count; i++) {
        const coverage_column_t *column = &result->columns[i];

        if (column->is_usable) {
            print_claims(column);
        } else {
            printf("%s: not possible here: %s\n", column->name, column->reason);
        }
    }
    printf("\n%-*s %-*s %-*s", ROW_WIDTH, "row", RANGE_WIDTH, "range", KIND_WIDTH, "kind");
    for (size_t i = 0; i < result->column_count; i++) {
        printf(" %-*s", CELL_WIDTH, result->columns[i].name);
    }
    putchar('\n');
}

static void print_rows(const coverage_result_t *result)
{
    for (size_t row = 0; row < result->row_count; row++) {
        printf("%-*s %-*s %-*s", ROW_WIDTH, result->rows[row]->name, RANGE_WIDTH, result->rows[row]->range,
               KIND_WIDTH, coverage_kind_name(result->rows[row]->kind));
        for (size_t i = 0; i < result->column_count; i++) {
            print_cell(&result->columns[i], row);
        }
        putchar('\n');
    }
}

static void print_sum(const coverage_result_t *result, const coverage_column_t *column, bool only_reference)
{
    const coverage_sum_t gone = coverage_sum(result, column, COVERAGE_RELEASE, only_reference);
    const coverage_sum_t stay = coverage_sum(result, column, COVERAGE_CONTROL, only_reference);

    printf("%s, %s: releases: %u of %u caught", column->name, only_reference ? "reference rows" : "all rows",
           gone.verdicts[COVERAGE_CAUGHT], gone.rows);
    for (unsigned i = COVERAGE_LATE; i < COVERAGE_VERDICTS; i++) {
        if (gone.verdicts[i] != 0) {
            printf(", %u %s", gone.verdicts[i], coverage_verdict_name((coverage_verdict_t) i));
        }
    }
    printf("; controls: %u of %u false", stay.verdicts[COVERAGE_FALSE], stay.rows);
    for (unsigned i = COVERAGE_UNPROVEN; i < COVERAGE_VERDICTS; i++) {
        if (stay.verdicts[i] != 0) {
            printf(", %u %s", stay.verdicts[i], coverage_verdict_name((coverage_verdict_t) i));
        }
    }
    putchar('\n');
}

static void print_notes(const coverage_result_t *result, const coverage_column_t *column)
{
    for (size_t row = 0; row < result->row_count; row++) {
        const coverage_cell_t *cell = &column->cells[row];
        const coverage_row_t *what = result->rows[row];

        if (coverage_is_broken(cell)) {
            printf("%s, %s (%s): promised, but %s\n", column->name, what->name, what->range,
                   coverage_verdict_name(cell->verdict));
        }
        if (cell->text[0] != '\0') {
            printf("%s, %s (%s): %s: %s\n", column->name, what->name, what->range,
                   coverage_verdict_name(cell->verdict), cell->text);
        }
    }
}

static bool has_proof(const coverage_result_t *result, coverage_proof_t proof)
{
    for (size_t i = 0; i < result->column_count; i++) {
        for (size_t row = 0; result->columns[i].is_usable && row < result->row_count; row++) {
            const coverage_cell_t *cell = &result->columns[i].cells[row];

            if (cell->proof == proof && cell->verdict < COVERAGE_NOT_POSSIBLE) {
                return true;
            }
        }
    }
    return false;
}

static void print_table(const coverage_result_t *result)
{
    print_head(result);
    print_rows(result);
    putchar('\n');
    for (size_t i = 0; i < result->column_count; i++) {
        if (result->columns[i].is_usable) {
            print_sum(result, &result->columns[i], true);
            print_sum(result, &result->columns[i], false);
        }
    }
    if (has_proof(result, COVERAGE_PROOF_FRAMES)) {
        puts("Proof: page frames (/proc/self/pagemap).");
    }
    if (has_proof(result, COVERAGE_PROOF_CONTENT)) {
        puts("Proof: presence and content of pages; root would see page frames.");
    }
    for (size_t i = 0; i < result->column_count; i++) {
        if (result->columns[i].is_usable) {
            print_notes(result, &result->columns[i]);
        }
    }
}

void coverage_print(const coverage_result_t *result, coverage_form_t form)
{
    switch (form) {
    case COVERAGE_TABLE: print_table(result); break;
    case COVERAGE_TSV: print_tsv(result); break;
    case COVERAGE_JSON: coverage_print_json(result); break;
    }
}
