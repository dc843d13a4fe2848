/* SPDX-License-Identifier: BSD-3-Clause */
/* Small things that every part of opalmem-msg uses: messages to the user, the
 * clock, the histogram of message times. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/msg/msg.h"

const char *msg_mode_name(msg_mode_t mode)
{
    static const char *const names[MSG_MODE_COUNT] = { "none", "no-hooks", "hooks" };

    return names[mode];
}

void msg_print_line(const char *line)
{
    char text[1200];
    const char *wipe = isatty(STDERR_FILENO) ? "\r\033[K" : "";
    int length = snprintf(text, sizeof(text), "%s%s\n", wipe, line);
    ssize_t written;

    if (length >= (int) sizeof(text)) {
        length = (int) sizeof(text) - 1;
        text[length - 1] = '\n';
    }
    /* There is nowhere to report that stderr itself cannot be written. */
    written = write(STDERR_FILENO, text, (size_t) length);
    (void) written;
}

static void (*printer)(const char *line, void *arg);
static void *printer_arg;

void msg_set_printer(void (*print)(const char *line, void *arg), void *arg)
{
    printer = print;
    printer_arg = arg;
}

void msg_error(const char *format, ...)
{
    char line[1024] = "opalmem-msg: ";
    size_t prefix = strlen(line);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line + prefix, sizeof(line) - prefix, format, arguments);
    va_end(arguments);
    if (printer != NULL) {
        printer(line, printer_arg);
    } else {
        msg_print_line(line);
    }
}

uint64_t msg_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000u + (uint64_t) now.tv_nsec;
}

size_t msg_histogram_step(uint64_t ns)
{
    unsigned octave;
    size_t step;

    if (ns < MSG_HISTOGRAM_STEPS) {
        return (size_t) ns;
    }
    octave = 63u - (unsigned) __builtin_clzll(ns);
    /* The bits below the leading one, as many as count the steps: 5. */
    step = (octave - 4u) * MSG_HISTOGRAM_STEPS + (size_t) ((ns >> (octave - 5u)) & (MSG_HISTOGRAM_STEPS - 1));
    return step < MSG_HISTOGRAM_SIZE ? step : MSG_HISTOGRAM_SIZE - 1;
}

uint64_t msg_histogram_time(size_t step)
{
    unsigned octave;
    uint64_t first, width;

    if (step < MSG_HISTOGRAM_STEPS) {
        return step;
    }
    octave = (unsigned) (step / MSG_HISTOGRAM_STEPS) + 4u;
    width = (uint64_t) 1 << (octave - 5u);
    first = ((uint64_t) 1 << octave) + (step % MSG_HISTOGRAM_STEPS) * width;
    return first + width / 2;
}
