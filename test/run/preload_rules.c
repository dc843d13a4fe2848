/* SPDX-License-Identifier: BSD-3-Clause */
/* In the preload library that tests build: rules that can be switched off by the environment, OPALMEM_TEST_RULES_OFF, a
 * list of names between blanks. So a test sees what the rule is there for, or that results do not hang on it. */
#include <stdlib.h>
#include <string.h>

#include "tools/run/preload/preload.h"

static const char *const names[RUN_REASONS] = {
    [RUN_NOT_REGULAR] = "not-regular", [RUN_END] = "end",
    [RUN_INHERITED] = "inherited",     [RUN_SHARED] = "shared",
    [RUN_APPEND] = "append",           [RUN_FILE_LIMIT] = "file-limit",
    [RUN_IN_HANDLER] = "in-handler",   [RUN_FORBIDDEN] = "forbidden",
};

bool preload_rule_is_on(run_reason_t reason)
{
    const char *list = getenv("OPALMEM_TEST_RULES_OFF");
    const size_t length = strlen(names[reason]);

    while (list != NULL && *list != '\0') {
        if (strncmp(list, names[reason], length) == 0 && strchr(" ", list[length]) != NULL) {
            return false;
        }
        list = strchr(list, ' ');
        list = list != NULL ? list + 1 : NULL;
    }
    return true;
}
