/* SPDX-License-Identifier: BSD-3-Clause */
/* Where things are, as configured. */
#include <string.h>

#include "tools/info/info.h"

/* From the makefile; source checkers run without. */
#ifndef INFO_BINDIR
#define INFO_EXEC_PREFIX ""
#define INFO_BINDIR ""
#define INFO_LIBDIR ""
#define INFO_INCLUDEDIR ""
#define INFO_DATADIR ""
#define INFO_MANDIR ""
#define INFO_SYSCONFDIR ""
#endif
#ifndef INFO_PREFIX
#define INFO_PREFIX ""
#endif

typedef struct path_t {
    const char *name, *alias; /* alias: what Open MPI's tool calls it, or NULL. */
    const char *key, *label, *value;
} path_t;

static const path_t paths[] = {
    { "prefix", NULL, "path:prefix", "prefix", INFO_PREFIX },
    { "exec_prefix", NULL, "path:exec_prefix", "exec_prefix", INFO_EXEC_PREFIX },
    { "bindir", NULL, "path:bindir", "programs", INFO_BINDIR },
    { "libdir", NULL, "path:libdir", "libraries", INFO_LIBDIR },
    { "includedir", "incdir", "path:includedir", "headers", INFO_INCLUDEDIR },
    { "datadir", NULL, "path:datadir", "data", INFO_DATADIR },
    { "mandir", NULL, "path:mandir", "manual pages", INFO_MANDIR },
    { "sysconfdir", NULL, "path:sysconfdir", "settings", INFO_SYSCONFDIR },
    { "componentdir", "pkglibdir", "path:componentdir", "components", OPALMEM_COMPONENTDIR },
    /* The default of the variable mca_base_param_files. */
    { "param_files", NULL, "path:param_files", "parameter files",
      "~/.opalmem/mca-params.conf:" INFO_SYSCONFDIR "/opalmem-mca-params.conf" },
    { "override_file", NULL, "path:override_file", "override file",
      INFO_SYSCONFDIR "/opalmem-mca-params-override.conf" },
};

static bool is_called(const path_t *path, const char *name)
{
    return strcmp(name, "all") == 0 || strcmp(name, path->name) == 0
           || (path->alias != NULL && strcmp(name, path->alias) == 0);
}

bool info_path_is_known(const char *name)
{
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (is_called(&paths[i], name)) {
            return true;
        }
    }
    return false;
}

static bool is_asked_for(const path_t *path, const info_options_t *options)
{
    for (size_t i = 0; i < options->path_count; i++) {
        if (is_called(path, options->paths[i])) {
            return true;
        }
    }
    return options->path_count == 0;
}

void info_print_paths(const info_options_t *options)
{
    info_section_begin("path", "Paths");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (is_asked_for(&paths[i], options)) {
            info_string(paths[i].key, paths[i].label, paths[i].value);
        }
    }
    info_section_end();
}
