/* SPDX-License-Identifier: BSD-3-Clause */
/* Starts the library; for --show-failed also where the settings forbid it: then
 * without them, as a component that was asked for and could not be loaded is
 * a frequent reason. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opal/opalmem.h"
#include "tools/info/info.h"

#define COMPONENT_PATH "mca_base_component_path"

extern char **environ;

static bool is_mca(const char *argument)
{
    const char *name = argument + strspn(argument, "-");
    return strcmp(name, "mca") == 0 || strcmp(name, "gmca") == 0;
}

/* What the settings say about where components are; NULL: nothing. The string stays when they are dropped. */
static char *component_path(int argc, char **argv)
{
    for (int i = 1; i + 2 < argc; i++) {
        if (is_mca(argv[i]) && strcmp(argv[i + 1], COMPONENT_PATH) == 0) {
            return argv[i + 2];
        }
    }
    return getenv("OPALMEM_MCA_" COMPONENT_PATH);
}

static bool is_setting(const char *entry)
{
    return strncmp(entry, "OPALMEM_MCA_", 12) == 0 || strncmp(entry, "OMPI_MCA_", 9) == 0;
}

static void drop_environment(void)
{
    char **to = environ;
    for (char **from = environ; *from != NULL; from++) {
        if (!is_setting(*from)) {
            *to++ = *from;
        }
    }
    *to = NULL;
}

static void say_nothing(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) message, (void) arg;
}

bool info_start(int argc, char **argv)
{
    return opalmem_init(&argc, &argv) == OPAL_SUCCESS; /* The library has said why not. */
}

bool info_start_without_settings(int argc, char **argv)
{
    char *value = component_path(argc, argv);
    /* The library keeps these until it stops. */
    static char name[] = "opalmem-info", option[] = "--mca", variable[] = COMPONENT_PATH;
    char *arguments[] = { name, option, variable, value, NULL };
    char **settings = arguments;
    int count = value != NULL ? 4 : 1;
    arguments[count] = NULL;
    drop_environment();
    /* Its first complaint was enough. */
    mca_base_set_log(say_nothing, NULL);
    int rc = opalmem_init(&count, &settings);
    mca_base_set_log(NULL, NULL);
    return rc == OPAL_SUCCESS;
}
