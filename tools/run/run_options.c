/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses the command line: options, then the program and what is its own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/run/run.h"

#define DEFAULT_THRESHOLD (UINT64_C(64) << 10)

/* An option at its place. */
typedef struct argument_t {
    char **words;
    const char *value; /* The first one; NULL if there is none. */
    int position;
} argument_t;

typedef struct option_t {
    const char *name;
    int values;
    const char *expected;
    bool (*take)(run_options_t *options, const argument_t *argument);
} option_t;

static bool complain(const argument_t *argument, const char *expected)
{
    fprintf(stderr, RUN_PROGRAM ": %s (argument %d): expected %s", argument->words[0], argument->position,
            expected);
    if (argument->value != NULL) {
        fprintf(stderr, ", not \"%s\"", argument->value);
    }
    fputc('\n', stderr);
    return false;
}

/* ---- What options do --------------------------------------------------------------------------- */

#define EXPECTED_SIZE "a number of bytes above 0, with K, M or G if wanted"

static int shift_of(const char *suffix)
{
    static const char letters[] = "KMG";
    const char *found;

    if (suffix[0] == '\0') {
        return 0;
    }
    found = strchr(letters, suffix[0]);
    return found == NULL || suffix[1] != '\0' ? -1 : 10 * (int) (found - letters + 1);
}

static bool take_threshold(run_options_t *options, const argument_t *argument)
{
    char *end;
    const unsigned long long value = strtoull(argument->value, &end, 10);
    const int shift = shift_of(end);

    if (argument->value[0] < '0' || argument->value[0] > '9' || shift < 0 || value == 0
        || value > (UINT64_C(1) << 40)) {
        return complain(argument, EXPECTED_SIZE);
    }
    options->threshold = (uint64_t) value << shift;
    return true;
}

static bool take_json(run_options_t *options, const argument_t *argument)
{
    if (options->json != NULL || argument->value[0] == '\0') {
        return complain(argument, options->json != NULL ? "only one file" : "a file");
    }
    options->json = argument->value;
    return true;
}

static bool take_setting(run_options_t *options, const argument_t *argument)
{
    const int words = strstr(argument->words[0], "tune") != NULL ? 2 : 3;

    for (int i = 0; i < words; i++) {
        options->settings[options->setting_count++] = argument->words[i];
    }
    return true;
}

static bool take_verify(run_options_t *options, const argument_t *argument)
{
    (void) argument;
    options->verify = true;
    return true;
}

static bool take_unsafe(run_options_t *options, const argument_t *argument)
{
    static char settings[][20] = { "--mca", "memory", "noop", "--mca", "rcache_base_unsafe", "1" };

    (void) argument;
    for (size_t i = 0; !options->unsafe && i < sizeof(settings) / sizeof(settings[0]); i++) {
        options->settings[options->setting_count++] = settings[i];
    }
    options->unsafe = true;
    return true;
}

static bool take_help(run_options_t *options, const argument_t *argument)
{
    (void) argument;
    options->help = true;
    return true;
}

static bool take_version(run_options_t *options, const argument_t *argument)
{
    (void) argument;
    options->version = true;
    return true;
}

/* ---- The table --------------------------------------------------------------------------------- */

static const option_t table[] = {
    { "--mca", 2, "NAME VALUE", take_setting },
    { "-mca", 2, "NAME VALUE", take_setting },
    { "--gmca", 2, "NAME VALUE", take_setting },
    { "-gmca", 2, "NAME VALUE", take_setting },
    { "--tune", 1, "FILE", take_setting },
    { "-tune", 1, "FILE", take_setting },
    { "--verify", 0, NULL, take_verify },
    { "--threshold", 1, EXPECTED_SIZE, take_threshold },
    { "--json", 1, "FILE", take_json },
    { "--unsafe-no-hooks", 0, NULL, take_unsafe },
    { "--help", 0, NULL, take_help },
    { "-h", 0, NULL, take_help },
    { "--version", 0, NULL, take_version },
    { "-V", 0, NULL, take_version },
};

static const option_t *find(const char *word, size_t length)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strlen(table[i].name) == length && strncmp(table[i].name, word, length) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

static bool is_unknown(char **argv, int position)
{
    fprintf(stderr, RUN_PROGRAM ": unknown option \"%s\" (argument %d); --help lists them\n", argv[position],
            position);
    return false;
}

/* --json=FILE. Settings are not written so: the library would not know them. */
static bool take_joined(run_options_t *options, char **argv, int position, const char *equals)
{
    const option_t *option = find(argv[position], (size_t) (equals - argv[position]));
    const argument_t argument = { argv + position, equals + 1, position };

    if (option == NULL || option->values != 1 || option->take == take_setting) {
        return is_unknown(argv, position);
    }
    return option->take(options, &argument);
}

static int count_values(char **words, int wanted)
{
    int count = 0;

    while (count < wanted && words[count + 1] != NULL) {
        count++;
    }
    return count;
}

static bool take(run_options_t *options, char **argv, int *position)
{
    char **words = argv + *position;
    const char *equals = strchr(words[0], '=');
    const option_t *option = find(words[0], strlen(words[0]));
    const argument_t argument = { words, option != NULL && option->values > 0 ? words[1] : NULL, *position };

    if (equals != NULL) {
        return take_joined(options, argv, (*position)++, equals);
    }
    if (option == NULL) {
        return is_unknown(argv, *position);
    }
    if (count_values(words, option->values) < option->values) {
        return complain(&argument, option->expected);
    }
    *position += option->values + 1;
    return option->take(options, &argument);
}

bool run_options_parse(run_options_t *options, int argc, char **argv)
{
    int position = 1;

    *options = (run_options_t){ .threshold = DEFAULT_THRESHOLD };
    options->settings = calloc((size_t) argc + 7, sizeof(options->settings[0]));
    if (options->settings == NULL) {
        fputs(RUN_PROGRAM ": no memory\n", stderr);
        return false;
    }
    while (position < argc && argv[position][0] == '-' && strcmp(argv[position], "--") != 0) {
        if (!take(options, argv, &position)) {
            return false;
        }
    }
    if (position < argc && strcmp(argv[position], "--") == 0) {
        position++;
    }
    options->program = argv + position;
    if (options->program[0] == NULL && !options->help && !options->version) {
        fputs(RUN_PROGRAM ": expected a program behind the options; --help says more\n", stderr);
        return false;
    }
    return true;
}

void run_options_free(run_options_t *options)
{
    free(options->settings);
}

void run_options_help(void)
{
    puts("Usage: " RUN_PROGRAM " [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
         "\n"
         "Runs a program, unchanged, with its large reads and writes of files through registered memory\n"
         "from the cache, and reports on stderr what its memory did.\n"
         "\n"
         "  --threshold BYTES       calls that move less are left alone; K, M, G; 64K by default\n"
         "  --verify                compare page frames at each hit (root); a difference is an error\n"
         "  --json FILE             the report as JSON, too\n"
         "  --unsafe-no-hooks       nobody notices releases, and yet the cache keeps registrations:\n"
         "                          the program's data WILL be wrong; to see the difference\n"
         "  --mca NAME VALUE        set a variable of opalmem for the program;\n"
         "  --gmca, --tune          likewise, as with every program of opalmem\n"
         "  --version, --help\n"
         "\n"
         "Exit status: the program's, or its signal; 124 --verify saw a difference; 125 " RUN_PROGRAM "\n"
         "failed; 126 the program cannot be executed; 127 it was not found.");
}
