/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-info: says what this build of opalmem is, what it finds on this
 * machine, and what can be set. Exit codes: 0; 1 the library does not start,
 * a name is not known, or the report cannot be written; 2 the command line is
 * wrong. */
#include <stdio.h>
#include <string.h>

#include "opal/opalmem.h"
#include "tools/info/info.h"

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int finish_output(bool written)
{
    if (!written) {
        perror("opalmem-info: the report cannot be written");
        return EXIT_FAILED;
    }
    return EXIT_GOOD;
}

static int print_and_finish(const info_options_t *options)
{
    if (options->help) {
        info_options_help();
    } else {
        puts("opalmem-info " OPALMEM_VERSION);
    }
    return finish_output(fflush(stdout) == 0 && ferror(stdout) == 0);
}

static void print_static_sections(const info_options_t *options)
{
    if ((options->sections & INFO_SECTION_BUILD) != 0) {
        info_print_build();
    }
    if ((options->sections & INFO_SECTION_CONFIG) != 0) {
        info_print_config();
    }
    if ((options->sections & INFO_SECTION_PATHS) != 0) {
        info_print_paths(options);
    }
}

static bool print_report(const info_options_t *options)
{
    bool good = true;
    print_static_sections(options);
    if ((options->sections & INFO_SECTION_MACHINE) != 0) {
        info_print_machine();
    }
    if ((options->sections & (INFO_SECTION_COMPONENTS | INFO_SECTION_FAILED)) != 0) {
        info_print_components(options);
    }
    if ((options->sections & INFO_SECTION_VARIABLES) != 0) {
        good = info_print_variables(options);
    } else if ((options->sections & INFO_SECTION_COMPONENTS) != 0 && info_form() == INFO_FORM_PRETTY) {
        puts("\nThe variables: opalmem-info --all, or --param FRAMEWORK COMPONENT --level N (see --help)");
    }
    return good;
}

static int report(const info_options_t *options)
{
    info_begin(options->form);
    bool complete = print_report(options);
    int rc = finish_output(info_end());
    return complete ? rc : EXIT_FAILED;
}

/* It does not start: what could not be loaded may be the reason. */
static void report_failed(const info_options_t *options, int argc, char **argv)
{
    info_options_t failed = *options;
    failed.sections = INFO_SECTION_FAILED;
    failed.param_count = 0;
    if (info_start_without_settings(argc, argv)) {
        fputs("opalmem-info: without its settings it starts; what could not be loaded then:\n", stderr);
        report(&failed);
        opalmem_finalize();
    }
}

static int report_of_library(const info_options_t *options, int argc, char **argv)
{
    if (!info_start(argc, argv)) {
        if ((options->sections & INFO_SECTION_FAILED) != 0) {
            report_failed(options, argc, argv);
        }
        return EXIT_FAILED;
    }
    int rc = info_params_are_known(options) ? report(options) : EXIT_FAILED;
    if (opalmem_finalize() != OPAL_SUCCESS) {
        rc = EXIT_FAILED;
    }
    return rc;
}

int main(int argc, char **argv)
{
    info_options_t options;
    int rc;
    /* Before the library starts: --help has to work when it does not. */
    if (!info_options_parse(&options, argc, argv)) {
        rc = EXIT_USAGE;
    } else if (options.help || options.version) {
        rc = print_and_finish(&options);
    } else if ((options.sections & ~(unsigned) INFO_SECTIONS_STATIC) == 0) {
        rc = report(&options);
    } else {
        rc = report_of_library(&options, argc, argv);
    }
    info_options_free(&options);
    return rc;
}
