/* SPDX-License-Identifier: BSD-3-Clause */
/* The environment before libc has it. A program may start the library in a
 * function of .preinit_array, which runs before libc's own constructor:
 * getenv() finds nothing then, and what the user has set would be lost
 * silently. The kernel still has what the process was started with. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "framework/base/base_internal.h"
#include "framework/base/mca_base_file.h"

#define CAUSE_MAX 256

/* clearenv() takes the environment away as well, and is to be obeyed. Only before libc's constructor has the program
 * no name. */
static bool is_too_early(void)
{
    return environ == NULL && program_invocation_name[0] == '\0';
}

static size_t count_strings(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        count += text[i] == '\0';
    }
    return count;
}

/* Each string of the text; what is not ended by a zero is none. */
static char **make_vector(char *text, size_t length)
{
    size_t count = count_strings(text, length);
    char **vector = calloc(count + 1, sizeof(char *));
    for (size_t i = 0; vector != NULL && i < count; i++) {
        vector[i] = text;
        text += strlen(text) + 1;
    }
    return vector;
}

/* Both blocks stay: libc soon puts its own vector in their place, but settings may point here. */
int mca_base_environ_find(void)
{
    char cause[CAUSE_MAX] = "";
    char *text;
    size_t length;
    if (!is_too_early()) {
        return OPAL_SUCCESS;
    }
    int rc = mca_base_file_read("/proc/self/environ", &text, &length, cause, sizeof(cause));
    if (rc == OPAL_ERR_OUT_OF_RESOURCE) {
        return rc;
    }
    if (rc != OPAL_SUCCESS) {
        mca_base_log(MCA_BASE_LOG_WARN,
                     "libc has no environment yet (the library was started before all constructors), and "
                     "/proc/self/environ cannot be read: %s. Settings in the environment are ignored",
                     cause);
        return OPAL_SUCCESS;
    }
    char **vector = make_vector(text, length);
    if (vector == NULL) {
        free(text);
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    environ = vector;
    return OPAL_SUCCESS;
}
