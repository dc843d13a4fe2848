/* SPDX-License-Identifier: BSD-3-Clause */
/* How a line of the report looks. What is in it, the other files know. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/info/info.h"

#define VALUE_MAX 2048
#define KEY_MAX 512
#define LABEL_WIDTH 22
#define LINE_WIDTH 100

static bool parsable;

void info_set_parsable(void)
{
    parsable = true;
}

bool info_is_parsable(void)
{
    return parsable;
}

void info_section(const char *title)
{
    if (!parsable) {
        printf("\n%s\n", title);
    }
}

/* As Open MPI's tool: quotes where a colon would look like a separator. A quote or backslash within them gets
 * a backslash, and a line stays one line. */
static void print_value(const char *value)
{
    if (strpbrk(value, ":\"\\\n") == NULL) {
        puts(value);
        return;
    }
    putchar('"');
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            fputs("\\n", stdout);
        } else {
            if (*value == '"' || *value == '\\') {
                putchar('\\');
            }
            putchar(*value);
        }
    }
    puts("\"");
}

void info_value(const char *key, const char *label, const char *format, ...)
{
    char value[VALUE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    if (parsable) {
        printf("%s:", key);
        print_value(value);
    } else {
        printf("  %-*s %s\n", LABEL_WIDTH, label, value);
    }
}

void info_field(const char *value, const char *key_format, ...)
{
    char key[KEY_MAX];
    va_list args;
    va_start(args, key_format);
    vsnprintf(key, sizeof key, key_format, args);
    va_end(args);
    printf("%s:", key);
    print_value(value);
}

void info_paragraph(unsigned indent, const char *text)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, " ");
        if (column > 0 && column + 1 + length > LINE_WIDTH) {
            putchar('\n');
            column = 0;
        }
        column += (size_t) (column == 0 ? printf("%*s", (int) indent, "") : printf(" "));
        column += (size_t) printf("%.*s", (int) length, text);
        text += length;
        text += strspn(text, " ");
    }
    if (column > 0) {
        putchar('\n');
    }
}

const char *info_size(unsigned long long bytes, char *text, size_t size)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    unsigned unit = 0;
    double number = (double) bytes;
    while (number >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        number /= 1024;
        unit++;
    }
    snprintf(text, size, "%.4g %s", number, units[unit]);
    return text;
}
