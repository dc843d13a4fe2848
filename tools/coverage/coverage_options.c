/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses the command line. Each option is a row of a table. */
#include "tools/coverage/coverage_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECTED_MONITOR "opalmem, ucx[:bistro|:reloc], openmpi, none or a file of a monitor"

/* An option at its place. */
typedef struct argument_t {
    char **words;      /* The option, and its values. */
    const char *value; /* The first one. */
    int position;
} argument_t;

typedef struct option_t {
    const char *name;
    int values;
    const char *expected;
    bool (*take)(coverage_options_t *options, const argument_t *argument);
} option_t;

static bool complain(const argument_t *argument, const char *expected, const char *value)
{
    fprintf(stderr, COVERAGE_PROGRAM ": %s (argument %d): expected %s", argument->words[0], argument->position,
            expected);
    if (value != NULL) {
        fprintf(stderr, ", not \"%s\"", value);
    }
    fputc('\n', stderr);
    return false;
}

/* ---- What options do --------------------------------------------------------------------------- */

static bool take_form(coverage_options_t *options, const argument_t *argument, coverage_form_t form)
{
    if (options->form_given && options->form != form) {
        return complain(argument, "only one of --tsv and --json", NULL);
    }
    options->form = form;
    options->form_given = true;
    return true;
}

static bool take_tsv(coverage_options_t *options, const argument_t *argument)
{
    return take_form(options, argument, COVERAGE_TSV);
}

static bool take_json(coverage_options_t *options, const argument_t *argument)
{
    return take_form(options, argument, COVERAGE_JSON);
}

static bool take_list(coverage_options_t *options, const argument_t *argument)
{
    (void) argument;
    options->list = true;
    return true;
}

static bool is_row(const char *name)
{
    for (const coverage_row_t *row = coverage_rows; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool take_row(coverage_options_t *options, const argument_t *argument)
{
    if (!is_row(argument->value)) {
        return complain(argument, "a row (--list names them)", argument->value);
    }
    options->rows[options->row_count++] = argument->value;
    return true;
}

/* It is loaded in the children alone: its library may change the process. */
static bool take_monitor(coverage_options_t *options, const argument_t *argument)
{
    if (!coverage_monitor_exists(argument->value)) {
        return complain(argument, EXPECTED_MONITOR, argument->value);
    }
    options->monitors[options->monitor_count++] = argument->value;
    return true;
}

static bool take_setting(coverage_options_t *options, const argument_t *argument)
{
    for (int i = 0; i <= 2 && argument->words[i] != NULL; i++) {
        if (i == 2 && strcmp(argument->words[0] + strspn(argument->words[0], "-"), "tune") == 0) {
            break;
        }
        options->settings[options->setting_count++] = argument->words[i];
    }
    return true;
}

static bool take_help(coverage_options_t *options, const argument_t *argument)
{
    (void) argument;
    options->help = true;
    return true;
}

static bool take_version(coverage_options_t *options, const argument_t *argument)
{
    (void) argument;
    options->version = true;
    return true;
}

/* ---- The table --------------------------------------------------------------------------------- */

static const option_t table[] = {
    { "--tsv", 0, NULL, take_tsv },
    { "--json", 0, NULL, take_json },
    { "--list", 0, NULL, take_list },
    { "--row", 1, "a row (--list names them)", take_row },
    { "--monitor", 1, EXPECTED_MONITOR, take_monitor },
    { "--mca", 2, "NAME VALUE", take_setting },
    { "-mca", 2, "NAME VALUE", take_setting },
    { "--gmca", 2, "NAME VALUE", take_setting },
    { "-gmca", 2, "NAME VALUE", take_setting },
    { "--tune", 1, "FILE", take_setting },
    { "-tune", 1, "FILE", take_setting },
    { "--help", 0, NULL, take_help },
    { "-h", 0, NULL, take_help },
    { "--version", 0, NULL, take_version },
    { "-V", 0, NULL, take_version },
};

static const option_t *find(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strlen(table[i].name) == length && strncmp(table[i].name, word, length) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

static int count_values(char **words, int wanted)
{
    int count = 0;

    while (count < wanted && words[count + 1] != NULL) {
        count++;
    }
    return count;
}

static bool is_unknown(char **argv, int position)
{
    fprintf(stderr, COVERAGE_PROGRAM ": unknown option \"%s\" (argument %d); --help lists them\n", argv[position],
            position);
    return false;
}

/* --row=NAME. Settings are not written so: the library would not know them. */
static bool take_joined(coverage_options_t *options, char **argv, int position, const char *equals)
{
    const option_t *option = find(argv[position], (size_t) (equals - argv[position]));
    const argument_t argument = { argv + position, equals + 1, position };

    if (option == NULL || option->values != 1 || option->take == take_setting) {
        return is_unknown(argv, position);
    }
    return option->take(options, &argument);
}

static bool take(coverage_options_t *options, char **argv, int *position)
{
    char **words = argv + *position;
    const char *equals = strchr(words[0], '=');
    const option_t *option = find(words[0], strlen(words[0]));
    const argument_t argument = { words, option != NULL && option->values > 0 ? words[1] : NULL, *position };

    if (equals != NULL) {
        return take_joined(options, argv, (*position)++, equals);
    }
    if (option == NULL) {
        return is_unknown(argv, *position);
    }
    if (count_values(words, option->values) < option->values) {
        return complain(&argument, option->expected, argument.value);
    }
    *position += option->values + 1;
    return option->take(options, &argument);
}

static bool make_arrays(coverage_options_t *options, int argc)
{
    const size_t size = (size_t) argc + 1;

    options->rows = calloc(size, sizeof(options->rows[0]));
    options->monitors = calloc(size, sizeof(options->monitors[0]));
    options->settings = calloc(size, sizeof(options->settings[0]));
    if (options->rows == NULL || options->monitors == NULL || options->settings == NULL) {
        fputs(COVERAGE_PROGRAM ": no memory\n", stderr);
        return false;
    }
    return true;
}

bool coverage_options_parse(coverage_options_t *options, int argc, char **argv)
{
    int position = 1;

    *options = (coverage_options_t){ .form = COVERAGE_TABLE };
    if (!make_arrays(options, argc)) {
        return false;
    }
    while (position < argc) {
        if (!take(options, argv, &position)) {
            return false;
        }
    }
    if (options->monitor_count == 0) {
        options->monitors[options->monitor_count++] = coverage_monitor_opalmem.name;
    }
    return true;
}

void coverage_options_free(coverage_options_t *options)
{
    free(options->rows);
    free(options->monitors);
    free(options->settings);
}

bool coverage_options_have_row(const coverage_options_t *options, const coverage_row_t *row)
{
    for (size_t i = 0; i < options->row_count; i++) {
        if (strcmp(options->rows[i], row->name) == 0) {
            return true;
        }
    }
    return options->row_count == 0;
}

void coverage_options_help(void)
{
    puts("Usage: " COVERAGE_PROGRAM " [OPTION]...\n"
         "\n"
         "Releases memory in every way that this machine knows, and says which of them were noticed.\n"
         "\n"
         "  --monitor NAME[:MODE]   who is to notice: opalmem (the default), ucx:bistro, ucx:reloc,\n"
         "                          openmpi, none, or a file FILE.so[:MODE]; one column each\n"
         "  --row NAME              only this way; may be repeated\n"
         "  --list                  the ways, and which promise covers each\n"
         "  --tsv, --json           for programs\n"
         "  --mca NAME VALUE        set a variable of opalmem, for example: --mca memory noop;\n"
         "  --gmca, --tune          likewise, as with every program of opalmem\n"
         "  --version, --help\n"
         "\n"
         "Exit status: 0; 1 opalmem misses what it promises, or does not start; 2 wrong command line.");
}
