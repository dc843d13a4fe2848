/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses the command line. Each option is a row of a table, with the function
 * that takes its values and the words for what it accepts. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opal/mca/base/base.h"
#include "tools/info/info.h"
#include "tools/info/info_options.h"

/* An option at its place. */
typedef struct argument_t {
    const char *name;    /* As given: "-l". */
    const char **values; /* As many as the option's row says. */
    int position;
    unsigned parameter; /* Of the row. */
} argument_t;

/* ---- What options do; false: a value cannot be used ------------------------------------------------ */

static bool take_form(info_options_t *options, const argument_t *argument)
{
    info_form_t form = (info_form_t) argument->parameter;
    if (options->form_given && options->form != form) {
        return false;
    }
    options->form = form;
    options->form_given = true;
    return true;
}

static bool take_sections(info_options_t *options, const argument_t *argument)
{
    options->sections |= argument->parameter;
    return true;
}

static bool take_help(info_options_t *options, const argument_t *argument)
{
    (void) argument;
    options->help = true;
    return true;
}

static bool take_version(info_options_t *options, const argument_t *argument)
{
    (void) argument;
    options->version = true;
    return true;
}

static bool take_selected(info_options_t *options, const argument_t *argument)
{
    (void) argument;
    options->selected_only = true;
    return true;
}

static bool take_internal(info_options_t *options, const argument_t *argument)
{
    options->internal = true;
    return take_sections(options, argument);
}

static bool take_level(info_options_t *options, const argument_t *argument)
{
    const char *text = argument->values[0];
    if (text[0] < '0' + INFO_LEVEL_MIN || text[0] > '0' + INFO_LEVEL_MAX || text[1] != '\0') {
        return false;
    }
    options->level = text[0] - '0';
    return take_sections(options, argument);
}

static bool take_type(info_options_t *options, const argument_t *argument)
{
    for (unsigned type = MCA_BASE_VAR_TYPE_INT; type <= MCA_BASE_VAR_TYPE_ENUM; type++) {
        if (strcmp(argument->values[0], info_type_name((mca_base_var_type_t) type)) == 0) {
            options->types |= 1U << type;
            return take_sections(options, argument);
        }
    }
    return false;
}

static bool take_path(info_options_t *options, const argument_t *argument)
{
    if (!info_path_is_known(argument->values[0])) {
        return false;
    }
    options->paths[options->path_count++] = argument->values[0];
    return take_sections(options, argument);
}

static bool take_param(info_options_t *options, const argument_t *argument)
{
    const char *const *values = argument->values;
    /* No name begins so: it is the next option, and a value was forgotten. */
    if (values[0][0] == '-' || values[1][0] == '-') {
        return false;
    }
    options->params[options->param_count++] = (info_param_t){ values[0], values[1], argument->position };
    return take_sections(options, argument);
}

/* Settings are the library's, which says more about them. */
static bool take_setting(info_options_t *options, const argument_t *argument)
{
    (void) options, (void) argument;
    return true;
}

/* ---- The table ------------------------------------------------------------------------------------- */

#define VALUES_MAX 2

typedef struct option_t {
    const char *names[3]; /* One or more. */
    bool (*take)(info_options_t *options, const argument_t *argument);
    const char *expected; /* Values; NULL: nothing can be wrong. */
    unsigned value_count;
    unsigned parameter;
} option_t;

#define ONE_FORM "only one of --pretty, --parsable and --json"

static const option_t table[] = {
    { { "--all", "-a" }, take_sections, NULL, 0, INFO_SECTIONS_ALL },
    { { "--param", "--params" },
      take_param,
      "FRAMEWORK COMPONENT, each a name or all",
      2,
      INFO_SECTION_COMPONENTS | INFO_SECTION_VARIABLES },
    { { "--level", "-l" }, take_level, "a number from 1 to 9", 1, INFO_SECTION_VARIABLES },
    { { "--internal" }, take_internal, NULL, 0, INFO_SECTION_VARIABLES },
    { { "--type" },
      take_type,
      "int, unsigned_int, size_t, bool, double, string or enum",
      1,
      INFO_SECTION_VARIABLES },
    { { "--selected", "--selected-only", "-s" }, take_selected, NULL, 0, 0 },
    { { "--show-failed" }, take_sections, NULL, 0, INFO_SECTION_FAILED },
    { { "--path" }, take_path, "all or " INFO_PATH_NAMES, 1, INFO_SECTION_PATHS },
    { { "--config", "-c" }, take_sections, NULL, 0, INFO_SECTION_BUILD | INFO_SECTION_CONFIG },
    { { "--pretty", "--pretty-print" }, take_form, ONE_FORM, 0, INFO_FORM_PRETTY },
    { { "--parsable", "--parseable" }, take_form, ONE_FORM, 0, INFO_FORM_PARSABLE },
    { { "--json" }, take_form, ONE_FORM, 0, INFO_FORM_JSON },
    { { "--mca", "-mca" }, take_setting, "NAME VALUE", 2, 0 },
    { { "--gmca", "-gmca" }, take_setting, "NAME VALUE", 2, 0 },
    { { "--tune", "-tune" }, take_setting, "FILE[,FILE]...", 1, 0 },
    { { "--version", "-V" }, take_version, NULL, 0, 0 },
    { { "--help", "-h" }, take_help, NULL, 0, 0 },
};

/* Is this the option's name? With *value set behind the '=' of "--level=9", where it takes one value. */
static bool matches(const char *argument, const option_t *option, const char **value)
{
    for (size_t i = 0; i < sizeof option->names / sizeof option->names[0] && option->names[i] != NULL; i++) {
        size_t length = strlen(option->names[i]);
        if (strncmp(argument, option->names[i], length) != 0) {
            continue;
        }
        if (argument[length] == '\0') {
            return true;
        }
        /* Settings are taken out of the arguments by the library, which knows no '='. */
        if (argument[length] == '=' && option->value_count == 1 && option->take != take_setting && length > 2) {
            *value = argument + length + 1;
            return true;
        }
    }
    return false;
}

static const option_t *find(const char *argument, const char **value)
{
    *value = NULL;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (matches(argument, &table[i], value)) {
            return &table[i];
        }
    }
    return NULL;
}

/* ---- The arguments ---------------------------------------------------------------------------------- */

static void refuse(const option_t *option, const argument_t *argument)
{
    fprintf(stderr, "opalmem-info: %s (argument %d): expected %s", argument->name, argument->position,
            option->expected);
    for (unsigned i = 0; i < option->value_count; i++) {
        if (argument->values[i] != NULL) {
            fprintf(stderr, "%s \"%s\"", i == 0 ? ", not" : "", argument->values[i]);
        }
    }
    fputc('\n', stderr);
}

/* How many arguments were taken; 0 after a message. */
static int take(info_options_t *options, char **argv, int position)
{
    const char *values[VALUES_MAX] = { NULL };
    const char *value;
    const option_t *option = find(argv[position], &value);
    if (option == NULL) {
        fprintf(stderr, "opalmem-info: unknown option \"%s\" (argument %d); --help lists those that there are\n",
                argv[position], position);
        return 0;
    }
    argument_t argument = { argv[position], values, position, option->parameter };
    bool complete = true;
    for (unsigned i = 0; i < option->value_count && complete; i++) {
        values[i] = value != NULL ? value : argv[position + 1 + (int) i];
        complete = values[i] != NULL;
    }
    if (!complete || !option->take(options, &argument)) {
        refuse(option, &argument);
        return 0;
    }
    return 1 + (value == NULL ? (int) option->value_count : 0);
}

/* Without an option that asks for a part, the short report. */
static void complete(info_options_t *options)
{
    bool all = (options->sections & INFO_SECTIONS_ALL) == INFO_SECTIONS_ALL;
    if (options->sections == 0) {
        options->sections = INFO_SECTIONS_SHORT;
    }
    if (options->level == 0) {
        options->level = all ? INFO_LEVEL_MAX : INFO_LEVEL_MIN;
    }
}

bool info_options_parse(info_options_t *options, int argc, char **argv)
{
    *options = (info_options_t){ .form = INFO_FORM_PRETTY };
    /* No more of either than arguments. */
    options->paths = calloc((size_t) argc + 1, sizeof *options->paths);
    options->params = calloc((size_t) argc + 1, sizeof *options->params);
    if (options->paths == NULL || options->params == NULL) {
        fputs("opalmem-info: out of memory\n", stderr);
        return false;
    }
    for (int i = 1; i < argc;) {
        int taken = take(options, argv, i);
        if (taken == 0) {
            return false;
        }
        i += taken;
    }
    complete(options);
    return true;
}

void info_options_free(info_options_t *options)
{
    free(options->paths);
    free(options->params);
}

void info_options_help(void)
{
    fputs("Usage: opalmem-info [OPTION]...\n"
          "Report what this build of opalmem is, what it finds on this machine, and what can be set.\n"
          "Without options: build, machine and components.\n"
          "\n"
          "What to report:\n"
          "  -a, --all               everything, with all variables\n"
          "      --param FW COMP     components and variables of a framework and component;\n"
          "                          either may be \"all\"; may be given more than once\n"
          "  -l, --level N           variables up to this level, 1 to 9 (default 1; with --all 9)\n"
          "      --internal          internal variables too\n"
          "      --type TYPE         only variables of this type: int, unsigned_int, size_t, bool,\n"
          "                          double, string, enum; may be given more than once\n"
          "  -s, --selected          only components that are in use, and their variables\n"
          "      --show-failed       components that could not be loaded, and why\n"
          "      --path NAME         where things are: all, or\n"
          "                          " INFO_PATH_NAMES_1 ",\n"
          "                          " INFO_PATH_NAMES_2 "\n"
          "  -c, --config            how opalmem was configured\n"
          "  -V, --version           the version\n"
          "  -h, --help              this text\n"
          "\n"
          "In which form:\n"
          "      --pretty            for people (default)\n"
          "      --parsable          one colon-separated value a line, for programs\n"
          "      --json              one JSON document\n"
          "\n"
          "Settings, as for any program that uses opalmem:\n"
          "      --mca NAME VALUE    set a variable; --gmca: the same\n"
          "      --tune FILE[,FILE]  settings from files\n"
          "\n"
          "Exit status: 0; 1 if opalmem does not start, or a framework or component is not known;\n"
          "2 for a wrong option.\n",
          stdout);
}
