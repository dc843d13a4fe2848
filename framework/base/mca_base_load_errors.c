/* SPDX-License-Identifier: BSD-3-Clause */
/* Which load errors are told to the user; a text, and no state. */
#include <string.h>

#include "framework/base/mca_base_load_errors.h"
#include "framework/base/mca_base_var_values.h"
#include "opal/constants.h"

static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* Does the text say all or none, and no list? Open MPI's users know the variable as a boolean one, too. */
static bool is_whole(const char *text, bool *all)
{
    const mca_base_var_def_t boolean = { .type = MCA_BASE_VAR_TYPE_BOOL };
    mca_base_var_value_t value;
    *all = strcmp(text, "all") == 0;
    if (*all || strcmp(text, "none") == 0) {
        return true;
    }
    bool whole = mca_base_var_parse(&boolean, text, &value) == OPAL_SUCCESS;
    *all = whole && value.boolean;
    return whole;
}

static const char *find_problem_of_name(const char *name, size_t length)
{
    const char *slash = memchr(name, '/', length);
    if (length == 0 || slash == name || (slash != NULL && slash == name + length - 1)) {
        return "a name is missing";
    }
    if (slash != NULL && memchr(slash + 1, '/', length - (size_t) (slash + 1 - name)) != NULL) {
        return "a name has more than one \"/\"";
    }
    if (is_word(name, length, "all") || is_word(name, length, "none")) {
        return "\"all\" and \"none\" stand alone";
    }
    return NULL;
}

int mca_base_load_errors_parse(const char *text, const char **problem)
{
    bool all;
    if (text == NULL || text[0] == '\0' || is_whole(text, &all)) {
        return OPAL_SUCCESS;
    }
    const char *name = text + (text[0] == '^');
    const char *found = strpbrk(text, " \t\n\r\v\f") != NULL ? "it holds a blank"
                        : strchr(name, '^') != NULL          ? "\"^\" may only stand at the start"
                                                             : NULL;
    bool more = true;
    while (found == NULL && more) {
        size_t length = strcspn(name, ",");
        found = find_problem_of_name(name, length);
        more = name[length] == ',';
        name += length + more;
    }
    if (found != NULL) {
        *problem = found;
        return OPAL_ERR_BAD_PARAM;
    }
    return OPAL_SUCCESS;
}

static bool names(const char *name, size_t length, const char *framework, const char *component)
{
    const char *slash = memchr(name, '/', length);
    if (slash == NULL) {
        return is_word(name, length, framework);
    }
    return is_word(name, (size_t) (slash - name), framework)
           && is_word(slash + 1, length - (size_t) (slash + 1 - name), component);
}

bool mca_base_load_errors_shown(const char *text, const char *framework, const char *component)
{
    bool all;
    if (text == NULL || text[0] == '\0') {
        return false;
    }
    if (is_whole(text, &all)) {
        return all;
    }
    bool except = text[0] == '^';
    bool listed = false, more = true;
    for (const char *name = text + except; more && !listed;) {
        size_t length = strcspn(name, ",");
        listed = names(name, length, framework, component);
        more = name[length] == ',';
        name += length + more;
    }
    return listed != except;
}
