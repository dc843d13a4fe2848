/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of opalmem-info: what to report, and in which form. */
#ifndef TOOLS_INFO_INFO_OPTIONS_H
#define TOOLS_INFO_INFO_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/info/info_output.h"

/** Parts of the report, in the order in which they are printed. */
enum {
    INFO_SECTION_BUILD = 1 << 0,
    INFO_SECTION_CONFIG = 1 << 1,
    INFO_SECTION_PATHS = 1 << 2,
    INFO_SECTION_MACHINE = 1 << 3,
    INFO_SECTION_COMPONENTS = 1 << 4,
    INFO_SECTION_FAILED = 1 << 5, /**< Components that could not be loaded; within COMPONENTS, if that is there. */
    INFO_SECTION_VARIABLES = 1 << 6,
    INFO_SECTIONS_SHORT = INFO_SECTION_BUILD | INFO_SECTION_MACHINE | INFO_SECTION_COMPONENTS,
    /** Without FAILED: what could not be loaded is among the components. */
    INFO_SECTIONS_ALL = INFO_SECTIONS_SHORT | INFO_SECTION_CONFIG | INFO_SECTION_PATHS | INFO_SECTION_VARIABLES,
    /** What can be told although the library does not start. */
    INFO_SECTIONS_STATIC = INFO_SECTION_BUILD | INFO_SECTION_CONFIG | INFO_SECTION_PATHS
};

#define INFO_LEVEL_MIN 1
#define INFO_LEVEL_MAX 9

/** One --param. */
typedef struct info_param_t {
    const char *framework; /**< Or "all". */
    const char *component; /**< Or "all". */
    int position;          /**< Of the option among the arguments, from 1. */
} info_param_t;

/** What the arguments ask for. The strings are those of argv. */
typedef struct info_options_t {
    info_form_t form;
    bool form_given, help, version;
    unsigned sections; /**< OR of INFO_SECTION_*. */
    int level;         /**< Highest level of variables; 0: not given. */
    bool internal;     /**< Variables of flag INTERNAL too. */
    bool selected_only;
    unsigned types; /**< One bit for each mca_base_var_type_t; 0: all. */
    const char **paths;
    size_t path_count; /**< 0: all. */
    info_param_t *params;
    size_t param_count; /**< 0: all. */
} info_options_t;

/** Parse the arguments; those for the library are checked for completeness only.
 * @param[out] options  Ends with info_options_free(), also after an error.
 * @return False after a message. */
bool info_options_parse(info_options_t *options, int argc, char **argv);
void info_options_free(info_options_t *options);

/** Print the text of --help. */
void info_options_help(void);

#endif
