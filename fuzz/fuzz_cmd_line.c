/* SPDX-License-Identifier: BSD-3-Clause */
/* Command lines; each line of the input is an argument. What was taken is also
 * handed on, to an environment that has settings of its own. */
#include "framework/base/mca_base_cmd_line.h"
#include "fuzz/fuzz.h"

enum { ARGUMENTS_MAX = 64 };

static int split(const uint8_t *data, size_t size, char *argv[ARGUMENTS_MAX + 1])
{
    int argc = 0;
    const uint8_t *p = data, *end = data + size;
    argv[argc++] = fuzz_text((const uint8_t *) "program", 7);
    while (p < end && argc < ARGUMENTS_MAX) {
        const uint8_t *newline = memchr(p, '\n', (size_t) (end - p));
        const uint8_t *stop = newline != NULL ? newline : end;
        argv[argc++] = fuzz_text(p, (size_t) (stop - p));
        p = newline != NULL ? newline + 1 : end;
    }
    argv[argc] = NULL;
    return argc;
}

static bool is_option(const char *argument)
{
    static const char *const options[] = { "--mca", "-mca", "--gmca", "-gmca", "--tune", "-tune" };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(argument, options[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* What is left is a part of what was there, in its order, and holds no option in front of "--". */
static void check_left(int argc, char *const *argv, int before, char *const *given)
{
    FUZZ_CHECK(argc >= 1 && argc <= before && argv[0] == given[0] && argv[argc] == NULL);
    bool own = true;
    for (int i = 1, j = 1; i < argc; i++, j++) {
        own = own && strcmp(argv[i], "--") != 0;
        FUZZ_CHECK(!own || !is_option(argv[i]));
        while (j < before && given[j] != argv[i]) {
            j++;
        }
        FUZZ_CHECK(j < before);
    }
}

static int count_entries(char *const *environment, const char *name, const char *value)
{
    int count = 0;
    for (; *environment != NULL; environment++) {
        const char *entry = *environment;
        size_t length = strlen(name);
        if (strncmp(entry, "OPALMEM_MCA_", 12) == 0 && strncmp(entry + 12, name, length) == 0
            && entry[12 + length] == '=') {
            FUZZ_CHECK(value == NULL || strcmp(entry + 12 + length + 1, value) == 0);
            count++;
        }
    }
    return count;
}

/* Every marker has its setting. */
static void check_markers(char *const *environment)
{
    for (char *const *entry = environment; *entry != NULL; entry++) {
        if (strncmp(*entry, "OPALMEM_MCA_SOURCE_", 19) == 0) {
            char *name = strndup(*entry + 19, strcspn(*entry + 19, "="));
            FUZZ_CHECK(name != NULL && count_entries(environment, name, NULL) == 1);
            free(name);
        }
    }
}

static void check_environ(void)
{
    static const char *const base[] = { "A=1",
                                        "OPALMEM_MCA_a=1",
                                        "OPALMEM_MCA_SOURCE_a=FILE:x:1",
                                        "OPALMEM_MCA_SOURCE_b=COMMAND",
                                        "OPALMEM_MCA_memory=x",
                                        NULL };
    char **environment = NULL;
    FUZZ_CHECK(mca_base_cmd_line_environ((char *const *) (uintptr_t) base, &environment) == OPAL_SUCCESS);
    FUZZ_CHECK(strcmp(environment[0], "A=1") == 0);
    mca_base_cmd_line_setting_t setting;
    for (size_t i = 0; mca_base_cmd_line_get(i, &setting) == OPAL_SUCCESS; i++) {
        FUZZ_CHECK(count_entries(environment, setting.name, setting.value) == 1);
    }
    check_markers(environment);
    free(environment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *list[ARGUMENTS_MAX + 1], *given[ARGUMENTS_MAX + 1];
    char **argv = list;
    fuzz_silence();
    int argc = split(data, size, list), before = argc;
    memcpy(given, list, sizeof given);
    int rc = mca_base_cmd_line_take(&argc, &argv);
    if (rc == OPAL_SUCCESS) {
        check_left(argc, argv, before, given);
        check_environ();
    } else {
        FUZZ_CHECK(rc == OPAL_ERR_BAD_PARAM && argc == before);
        FUZZ_CHECK(memcmp(list, given, ((size_t) before + 1) * sizeof list[0]) == 0);
        mca_base_cmd_line_setting_t setting;
        FUZZ_CHECK(mca_base_cmd_line_get(0, &setting) == OPAL_ERR_NOT_FOUND);
    }
    mca_base_cmd_line_release();
    for (int i = 0; i < before; i++) {
        free(given[i]);
    }
    return 0;
}
