/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of opalmem_stress; settings of the library (--mca) were taken before. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test/stress/stress.h"

stress_options_t stress_options = { .seconds = 10, .threads = 4, .only = -1, .provider = "uring" };

static const struct option known[] = {
    { "seconds", required_argument, NULL, 's' },
    { "threads", required_argument, NULL, 't' },
    { "seed", required_argument, NULL, 'x' },
    { "ops", required_argument, NULL, 'o' },
    { "only", required_argument, NULL, 'y' },
    { "provider", required_argument, NULL, 'p' },
    { "max-count", required_argument, NULL, 'c' },
    { "max-bytes", required_argument, NULL, 'b' },
    { "weight", required_argument, NULL, 'w' },
    { "expect-errors", no_argument, NULL, 'e' },
    { "list", no_argument, NULL, 'l' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

static const char usage[] =
    "usage: opalmem_stress [--mca NAME VALUE]... [OPTION]...\n"
    "  --seconds S       how long (10; fractions are allowed)\n"
    "  --threads N       workers, 1 to 64 (4)\n"
    "  --seed X          replay the operations of a run (default: from the clock; it is printed)\n"
    "  --ops N           each thread ends after N operations (default: when the time is over)\n"
    "  --only T          only thread T does anything\n"
    "  --provider NAME   uring (default) or none\n"
    "  --max-count N     limit of each cache (default: the first has none, the second one 24)\n"
    "  --max-bytes N     likewise, bytes (none)\n"
    "  --weight NAME=N   how often an operation is chosen, 0: never; all=N for all; may be repeated\n"
    "  --list            list operations and weights\n"
    "  --expect-errors   succeed only if a stale registration was found: for components that notice nothing\n";

/* A whole number of at most `most`. */
static bool number(const char *text, uint64_t most, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 0);
    return end != text && *end == 0 && text[0] != '-' && *value <= most;
}

static bool seconds(const char *text)
{
    char *end;
    stress_options.seconds = strtod(text, &end);
    return end != text && *end == 0 && stress_options.seconds > 0;
}

static bool take(int option, const char *value)
{
    uint64_t got = 0;
    bool good = true;
    switch (option) {
    case 's': return seconds(value);
    case 't':
        good = number(value, STRESS_THREADS, &got) && got != 0;
        stress_options.threads = (unsigned) got;
        break;
    case 'x': return number(value, UINT64_MAX, &stress_options.seed);
    case 'o': return number(value, UINT64_MAX, &stress_options.ops);
    case 'y':
        good = number(value, STRESS_THREADS - 1, &got);
        stress_options.only = (int) got;
        break;
    case 'p': stress_options.provider = value; return strcmp(value, "uring") == 0 || strcmp(value, "none") == 0;
    case 'c':
        good = number(value, SIZE_MAX, &got);
        stress_options.max_count = (size_t) got;
        break;
    case 'b':
        good = number(value, SIZE_MAX, &got);
        stress_options.max_bytes = (size_t) got;
        break;
    case 'w': return stress_set_weight(value);
    case 'e': stress_options.expect_errors = true; break;
    default: stress_options.list = true; break;
    }
    return good;
}

bool stress_read_options(int argc, char **argv)
{
    int option, index = 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    stress_options.seed = ((uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000) % UINT64_C(1000000000);
    while ((option = getopt_long(argc, argv, "", known, &index)) != -1) {
        if (option == 'h' || option == '?') {
            fputs(usage, option == 'h' ? stdout : stderr);
            exit(option == 'h' ? EXIT_SUCCESS : EXIT_FAILURE);
        }
        if (!take(option, optarg)) {
            fprintf(stderr, "opalmem_stress: --%s cannot be \"%s\"\n%s", known[index].name, optarg, usage);
            return false;
        }
    }
    if (optind != argc) {
        fprintf(stderr, "opalmem_stress: \"%s\" is no option\n%s", argv[optind], usage);
        return false;
    }
    return true;
}
