/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-info: says what this build of opalmem is, what it finds on this
 * machine, and what can be set. Exit codes: 0; 1 the library does not start or
 * the report cannot be written; 2 the command line is wrong. */
#include <stdio.h>
#include <string.h>

#include "opal/opalmem.h"
#include "tools/info/info.h"

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

typedef struct options_t {
    bool parsable, help, version;
} options_t;

static const char help[] =
    "Usage: opalmem-info [--parsable] [--mca NAME VALUE]...\n"
    "Report what this build of opalmem is, what it finds on this machine, and what can be set.\n"
    "\n"
    "  --parsable        one colon-separated value a line, for programs\n"
    "  --mca NAME VALUE  set a variable, as for any program that uses opalmem\n"
    "  --help            print this text\n"
    "  --version         print the version\n"
    "\n"
    "Exit status: 0; 1 if opalmem does not start; 2 for a wrong option.\n";

static bool is_mca(const char *argument)
{
    return strcmp(argument, "--mca") == 0 || strcmp(argument, "-mca") == 0;
}

static bool parse_option(const char *argument, options_t *options)
{
    if (strcmp(argument, "--parsable") == 0 || strcmp(argument, "--parseable") == 0) {
        options->parsable = true;
    } else if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
        options->help = true;
    } else if (strcmp(argument, "--version") == 0 || strcmp(argument, "-V") == 0) {
        options->version = true;
    } else {
        return false;
    }
    return true;
}

/* Before the library starts: --help has to work when it does not. Its own arguments are left to it. */
static bool parse_options(int argc, char **argv, options_t *options)
{
    for (int i = 1; i < argc; i++) {
        if (is_mca(argv[i])) {
            i += 2;
        } else if (!parse_option(argv[i], options)) {
            fprintf(stderr,
                    "opalmem-info: unknown option \"%s\" (argument %d); --help lists those that there are\n",
                    argv[i], i);
            return false;
        }
    }
    return true;
}

static void print_report(void)
{
    info_print_build();
    info_print_machine();
    info_print_components();
    info_print_variables();
}

/* A full disk must not pass for a complete report. */
static int finish_output(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("opalmem-info: the report cannot be written");
        return EXIT_FAILED;
    }
    return EXIT_GOOD;
}

int main(int argc, char **argv)
{
    options_t options = { 0 };
    if (!parse_options(argc, argv, &options)) {
        return EXIT_USAGE;
    }
    if (options.help || options.version) {
        fputs(options.help ? help : "opalmem-info " OPALMEM_VERSION "\n", stdout);
        return finish_output();
    }
    if (opalmem_init(&argc, &argv) != OPAL_SUCCESS) {
        return EXIT_FAILED; /* The message has been printed. */
    }
    if (options.parsable) {
        info_set_parsable();
    }
    print_report();
    int rc = finish_output();
    opalmem_finalize();
    return rc;
}
