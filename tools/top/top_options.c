/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tools/top/top.h"

static const char short_options[] = ":bd:hjn:V";
static const struct option long_options[] = {
    { "batch", no_argument, NULL, 'b' },
    { "count", required_argument, NULL, 'n' },
    { "delay", required_argument, NULL, 'd' },
    { "help", no_argument, NULL, 'h' },
    { "json", no_argument, NULL, 'j' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 },
};

static int refuse(const char *what, const char *value, const char *expected)
{
    fprintf(stderr, "opalmem-top: %s: expected %s, not \"%s\"\n", what, expected, value);
    return TOP_USAGE;
}

static bool parse_number(const char *text, uint64_t max, uint64_t *number)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value == 0 || value > max) {
        return false;
    }
    *number = value;
    return true;
}

static int take_delay(top_options_t *options, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (text[strspn(text, "0123456789.")] != '\0' || end == text || *end != '\0' || value < 0.01
        || value > 86400) {
        return refuse("--delay", text, "seconds, from 0.01 to 86400");
    }
    options->delay = value;
    return TOP_OK;
}

static int take_count(top_options_t *options, const char *text)
{
    return parse_number(text, UINT64_MAX, &options->count)
               ? TOP_OK
               : refuse("--count", text, "a number of samples, at least 1");
}

static int take_form(top_options_t *options, top_form_t form)
{
    if (options->form != TOP_SCREEN && options->form != form) {
        fputs("opalmem-top: --batch and --json exclude each other\n", stderr);
        return TOP_USAGE;
    }
    options->form = form;
    return TOP_OK;
}

static int take_option(top_options_t *options, int letter, const char *argument)
{
    switch (letter) {
    case 'b': return take_form(options, TOP_BATCH);
    case 'j': return take_form(options, TOP_JSON);
    case 'd': return take_delay(options, optarg);
    case 'n': return take_count(options, optarg);
    case 'h': options->help = true; return TOP_OK;
    case 'V': options->version = true; return TOP_OK;
    case ':': fprintf(stderr, "opalmem-top: %s: a value is missing\n", argument); return TOP_USAGE;
    default:
        fprintf(stderr, "opalmem-top: %s: there is no such option, or it takes no value; --help lists them\n",
                argument);
        return TOP_USAGE;
    }
}

static int take_pid(top_options_t *options, int argc, char **argv)
{
    uint64_t pid = 0;
    if (argc - optind > 1) {
        fprintf(stderr, "opalmem-top: \"%s\": one process only\n", argv[optind + 1]);
        return TOP_USAGE;
    }
    if (optind < argc && !parse_number(argv[optind], INT_MAX, &pid)) {
        return refuse("PID", argv[optind], "the number of a process");
    }
    options->pid = (pid_t) pid;
    return TOP_OK;
}

int top_options_parse(top_options_t *options, int argc, char **argv)
{
    int letter, rc = TOP_OK;
    *options = (top_options_t){ .form = TOP_SCREEN, .delay = 1 };
    opterr = 0;
    do {
        int at = optind;
        letter = getopt_long(argc, argv, short_options, long_options, NULL);
        if (letter != -1) {
            rc = take_option(options, letter, argv[at]);
        }
    } while (letter != -1 && rc == TOP_OK);
    return rc == TOP_OK ? take_pid(options, argc, argv) : rc;
}

void top_options_help(void)
{
    fputs("Usage: opalmem-top [OPTION]... [PID]\n"
          "Show what the registration caches of a process do, once a second.\n"
          "Without PID: list the processes of this user (for root: all) that have such caches.\n"
          "\n"
          "  -d, --delay SECONDS  time between two samples, from 0.01 (default 1)\n"
          "  -n, --count N        end after N samples\n"
          "  -b, --batch          one line a cache and sample, for logs\n"
          "  -j, --json           one JSON document a sample; without PID: the list\n"
          "  -V, --version        version of this program\n"
          "  -h, --help           this text\n"
          "\n"
          "Keys: q quit, p pause, s sort by something else, up and down select a cache.\n"
          "Exit status: 0, 1 if the process cannot be shown, 2 for wrong arguments.\n",
          stdout);
}
