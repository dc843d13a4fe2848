/* SPDX-License-Identifier: BSD-3-Clause */
/* Parses the command line. Each option is a row of a table with the function
 * that takes its value and the words for what it accepts. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/msg/msg_options.h"
#include "tools/msg/msg_payload.h"
#include "tools/msg/msg_sources.h"

#define DEFAULT_BYTES ((uint64_t) 8 << 30) /* A run of a few seconds. */
#define DEFAULT_MESSAGES_MAX 40000
#define DEFAULT_MESSAGES_MIN 16
#define SAMPLE 64

/* A decimal number and nothing else, up to maximum. */
static bool parse_number(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *number)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char) text[0]) || *end != '\0' || errno != 0 || value < minimum || value > maximum) {
        return false;
    }
    *number = value;
    return true;
}

/* A size at the start of text; *end is set behind it. */
static bool parse_size(const char *text, const char **end, size_t *size)
{
    char *rest;
    unsigned long long value;
    unsigned shift = 0;

    errno = 0;
    value = strtoull(text, &rest, 10);
    if (!isdigit((unsigned char) text[0]) || errno != 0) {
        return false;
    }
    if (*rest == 'K' || *rest == 'k') {
        shift = 10;
    } else if (*rest == 'M' || *rest == 'm') {
        shift = 20;
    }
    *end = rest + (shift > 0);
    if (value == 0 || value > MSG_SIZE_MAX >> shift) {
        return false;
    }
    *size = (size_t) value << shift;
    return true;
}

bool msg_parse_sizes(const char *text, size_t *minimum, size_t *maximum)
{
    const char *end;
    size_t first, last;

    if (!parse_size(text, &end, &first)) {
        return false;
    }
    last = first;
    if (*end == '-' && !parse_size(end + 1, &end, &last)) {
        return false;
    }
    if (*end != '\0' || last < first) {
        return false;
    }
    *minimum = first;
    *maximum = last;
    return true;
}

/* ---- The options ----------------------------------------------------------------------------- */

static bool take_peers(msg_command_t *command, const char *value)
{
    uint64_t peers;

    if (!parse_number(value, 2, MSG_PEERS_MAX, &peers)) {
        return false;
    }
    command->options.peers = (uint32_t) peers;
    return true;
}

static bool take_pattern(msg_command_t *command, const char *value)
{
    command->options.pattern = msg_source_find(value);
    return command->options.pattern <= MSG_SOURCE_MIXED;
}

static bool take_size(msg_command_t *command, const char *value)
{
    return msg_parse_sizes(value, &command->options.size_min, &command->options.size_max);
}

static bool take_messages(msg_command_t *command, const char *value)
{
    return parse_number(value, 1, (uint64_t) 1 << 48, &command->options.messages);
}

static bool take_seed(msg_command_t *command, const char *value)
{
    return parse_number(value, 0, UINT64_MAX, &command->options.seed);
}

static bool take_cache(msg_command_t *command, const char *value)
{
    for (msg_mode_t mode = MSG_MODE_NONE; mode < MSG_MODE_COUNT; mode++) {
        if (strcmp(value, msg_mode_name(mode)) == 0) {
            command->mode = mode;
            command->mode_given = true;
            return true;
        }
    }
    return false;
}

static bool take_json(msg_command_t *command, const char *value)
{
    command->json = value;
    return value[0] != '\0';
}

typedef struct option_t {
    const char *name;
    bool (*take)(msg_command_t *command, const char *value);
    const char *expected;
} option_t;

static const option_t options[] = {
    { "--peers", take_peers, "a number from 2 to 256" },
    { "--pattern", take_pattern, "reuse, fresh, malloc, mmap, realloc, madvise, brk, stack or mixed" },
    { "--size", take_size, "a size such as 64K or a range such as 4K-1M, from 1 to 256M" },
    { "--messages", take_messages, "a number from 1 to 2^48" },
    { "--seed", take_seed, "a number from 0 to 2^64 - 1" },
    { "--cache", take_cache, "none, no-hooks or hooks" },
    { "--json", take_json, "a file name" },
};

/* Does argument begin with the option's name, with the value behind '=' or in the next argument? */
static bool is_option(const char *argument, const option_t *option)
{
    size_t length = strlen(option->name);

    return strncmp(argument, option->name, length) == 0 && (argument[length] == '\0' || argument[length] == '=');
}

static const option_t *find_option(const char *argument)
{
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (is_option(argument, &options[i])) {
            return &options[i];
        }
    }
    return NULL;
}

/* ---- The arguments --------------------------------------------------------------------------- */

/* All of these return how many arguments they took, 0 after a message. */

static int take_setting(msg_command_t *command, char **argv)
{
    if (argv[1] == NULL || argv[2] == NULL) {
        msg_error("%s needs a name and a value: --mca NAME VALUE", argv[0]);
        return 0;
    }
    command->settings[command->setting_count++] = (msg_setting_t){ argv[1], argv[2] };
    return 3;
}

static int take_flag(msg_command_t *command, const char *argument)
{
    if (strcmp(argument, "--compare") == 0) {
        command->compare = true;
    } else if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
        command->help = true;
    } else if (strcmp(argument, "--version") == 0 || strcmp(argument, "-V") == 0) {
        command->version = true;
    } else {
        msg_error("unknown option \"%s\"; see opalmem-msg --help", argument);
        return 0;
    }
    return 1;
}

static int take_value(msg_command_t *command, char **argv, const option_t *option)
{
    const char *equals = strchr(argv[0], '=');
    const char *value = equals != NULL ? equals + 1 : argv[1];

    if (value == NULL) {
        msg_error("%s needs a value: %s", option->name, option->expected);
        return 0;
    }
    if (!option->take(command, value)) {
        msg_error("%s cannot be \"%s\": expected %s", option->name, value, option->expected);
        return 0;
    }
    return equals != NULL ? 1 : 2;
}

static int take_argument(msg_command_t *command, char **argv)
{
    const option_t *option;

    if (argv[0][0] != '-' || argv[0][1] == '\0') {
        command->files[command->options.file_count++] = argv[0];
        return 1;
    }
    if (strcmp(argv[0], "--mca") == 0 || strcmp(argv[0], "-mca") == 0) {
        return take_setting(command, argv);
    }
    option = find_option(argv[0]);
    return option != NULL ? take_value(command, argv, option) : take_flag(command, argv[0]);
}

/* As many as make about DEFAULT_BYTES; files are sent once. */
static uint64_t default_messages(const msg_options_t *given)
{
    uint64_t sum = 0;
    uint64_t messages;

    if (given->file_count > 0) {
        return 0;
    }
    for (uint64_t i = 0; i < SAMPLE; i++) {
        sum += msg_payload_size(given, 0, i);
    }
    messages = DEFAULT_BYTES / (sum / SAMPLE + 1);
    if (messages > DEFAULT_MESSAGES_MAX) {
        return DEFAULT_MESSAGES_MAX;
    }
    return messages > DEFAULT_MESSAGES_MIN ? messages : DEFAULT_MESSAGES_MIN;
}

static int parse_arguments(msg_command_t *command, int argc, char **argv)
{
    int i = 1;

    while (i < argc && strcmp(argv[i], "--") != 0) {
        int taken = take_argument(command, argv + i);

        if (taken == 0) {
            return MSG_EXIT_USAGE;
        }
        i += taken;
    }
    for (i++; i < argc; i++) {
        command->files[command->options.file_count++] = argv[i];
    }
    if (command->compare && command->mode_given) {
        msg_error("--compare runs every cache mode; --cache cannot be given with it");
        return MSG_EXIT_USAGE;
    }
    if (command->options.messages == 0) {
        command->options.messages = default_messages(&command->options);
    }
    return MSG_EXIT_OK;
}

int msg_command_parse(msg_command_t *command, int argc, char **argv)
{
    *command = (msg_command_t){
        .program = argc > 0 ? argv[0] : "opalmem-msg",
        .mode = MSG_MODE_HOOKS,
        .options = { .peers = 2,
                     .pattern = MSG_SOURCE_MIXED,
                     .size_min = 4 << 10,
                     .size_max = 1 << 20,
                     .seed = 1 },
    };
    /* No more of either than arguments. */
    command->files = calloc((size_t) argc + 1, sizeof(*command->files));
    command->settings = calloc((size_t) argc + 1, sizeof(*command->settings));
    if (command->files == NULL || command->settings == NULL) {
        msg_error("out of memory");
        return MSG_EXIT_FAILED;
    }
    return parse_arguments(command, argc, argv);
}

void msg_command_free(msg_command_t *command)
{
    free(command->files);
    free(command->settings);
}

void msg_command_help(void)
{
    printf("usage: opalmem-msg [OPTION]... [--] [FILE]...\n"
           "Send messages between processes from cached, pinned memory that comes and goes,\n"
           "check every byte, and report what the cache did.\n\n"
           "  --peers N         processes, in a ring; with files in a chain (default 2)\n"
           "  --pattern P       where buffers come from (default mixed):\n");
    for (unsigned pattern = 0; pattern <= MSG_SOURCE_MIXED; pattern++) {
        printf("                      %-8s %s\n", msg_source_name(pattern), msg_source_help(pattern));
    }
    printf("  --size S          bytes of a message: 64K, or a range 4K-1M (default 4K-1M)\n"
           "  --messages N      messages in all (default: a few seconds' worth)\n"
           "  --seed N          another random sequence (default 1)\n"
           "  --cache MODE      none: register each message; no-hooks: keep registrations\n"
           "                      although nothing notices releases, which corrupts data;\n"
           "                      hooks: keep them safely (default)\n"
           "  --compare         run all three and print them side by side\n"
           "  --json FILE       write the figures to FILE too\n"
           "  --mca NAME VALUE  set a variable of the library (see opalmem-info)\n"
           "  --help, --version\n\n"
           "Exit status: 0 every byte right, 1 could not run, 2 usage, 3 wrong bytes.\n");
}
