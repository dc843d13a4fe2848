/* SPDX-License-Identifier: BSD-3-Clause */
/* Grammar of the selection variables:
 *
 *   selection = "" | names-by-comma | "^" names-by-comma | names-by-plus
 *
 * A name is not empty and holds no blank, comma, plus or caret. One name alone
 * is a list of one. Whether the names exist is the framework's question. */
#include <string.h>

#include "framework/base/mca_base_selection.h"

#define SEPARATORS ",+"
#define BLANKS " \t\n\r\v\f"

static const char *find_problem(const char *names)
{
    if (strchr(names, '^') != NULL) {
        return "\"^\" may only stand at the start";
    }
    if (strpbrk(names, BLANKS) != NULL) {
        return "it holds a blank";
    }
    if (strchr(names, ',') != NULL && strchr(names, '+') != NULL) {
        return "\",\" and \"+\" cannot be mixed";
    }
    for (const char *p = names;; p++) {
        size_t length = strcspn(p, SEPARATORS);
        if (length == 0) {
            return "a name is missing";
        }
        p += length;
        if (*p == '\0') {
            return NULL;
        }
    }
}

int mca_base_selection_parse(const char *text, mca_base_selection_kind_t *kind, const char **problem)
{
    if (text == NULL || text[0] == '\0') {
        *kind = MCA_BASE_SELECT_ALL;
        return OPAL_SUCCESS;
    }
    bool exclude = text[0] == '^';
    bool sum = strchr(text, '+') != NULL;
    const char *found = find_problem(text + exclude);
    if (found == NULL && exclude && sum) {
        found = "\"^\" and \"+\" cannot be mixed";
    }
    if (found != NULL) {
        *problem = found;
        return OPAL_ERR_BAD_PARAM;
    }
    *kind = exclude ? MCA_BASE_SELECT_EXCLUDE : sum ? MCA_BASE_SELECT_SUM : MCA_BASE_SELECT_INCLUDE;
    return OPAL_SUCCESS;
}

bool mca_base_selection_next(const char **cursor, mca_base_selection_name_t *name)
{
    const char *p = *cursor;
    if (p == NULL) {
        return false;
    }
    p += strspn(p, SEPARATORS "^");
    *name = (mca_base_selection_name_t){ p, strcspn(p, SEPARATORS) };
    *cursor = p + name->length;
    return name->length > 0;
}

bool mca_base_selection_equals(const mca_base_selection_name_t *name, const char *component)
{
    return strncmp(name->start, component, name->length) == 0 && component[name->length] == '\0';
}

bool mca_base_selection_lists(const char *text, const char *component)
{
    mca_base_selection_name_t name;
    while (mca_base_selection_next(&text, &name)) {
        if (mca_base_selection_equals(&name, component)) {
            return true;
        }
    }
    return false;
}
