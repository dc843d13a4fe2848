/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads the list of mappings in hook context: raw system calls, a small buffer
 * on the stack, no limit on the length of a line, and no string function of
 * libc, as those use vector registers. */
#include "components/linux/linux.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "components/linux/linux_sys.h"

/* Of this thread, as the process's own entry is empty once its first thread has ended. */
static const char maps_path[] = "/proc/thread-self/maps";

/* What is kept of a line: the fields before the path take 73 to 100 bytes. */
#define LINE_KEPT 512

typedef struct maps_reader_t {
    void (*visit)(const linux_mapping_t *mapping, void *arg);
    void *arg;
    size_t length; /* Of the line so far, kept or not. */
    char line[LINE_KEPT + 1];
} maps_reader_t;

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A number and the character that must follow it. @return behind that, NULL if it is not so. */
static const char *take_number(const char *text, unsigned base, char end, uint64_t *value)
{
    const char *digit = text;

    *value = 0;
    for (; digit_value(*digit) >= 0 && (unsigned) digit_value(*digit) < base; digit++) {
        *value = *value * base + (unsigned) digit_value(*digit);
    }
    return digit != text && *digit == end ? digit + 1 : NULL;
}

static const char *skip_blanks(const char *text)
{
    while (*text == ' ') {
        text++;
    }
    return text;
}

static const char *skip_word(const char *text)
{
    while (*text != ' ' && *text != '\0') {
        text++;
    }
    return skip_blanks(text);
}

/* "/SYSV" and the key in eight digits or more. */
static bool is_sysv_name(const char *name)
{
    static const char prefix[] = "/SYSV";
    size_t digits = 0;

    for (size_t i = 0; i < sizeof(prefix) - 1; i++) {
        if (name[i] != prefix[i]) {
            return false;
        }
    }
    while (digit_value(name[sizeof(prefix) - 1 + digits]) >= 0) {
        digits++;
    }
    return digits >= 8;
}

/* "rwxp" or the like. */
static void parse_protection(const char *text, linux_mapping_t *mapping)
{
    mapping->prot =
        (text[0] == 'r' ? PROT_READ : 0) | (text[1] == 'w' ? PROT_WRITE : 0) | (text[2] == 'x' ? PROT_EXEC : 0);
    mapping->is_private = text[3] == 'p';
}

/* "start-end perm offset major:minor inode   path"; all but the inode in hexadecimal. */
static bool parse_line(const char *line, linux_mapping_t *mapping)
{
    uint64_t start, end, major_number, minor_number;

    line = take_number(line, 16, '-', &start);
    line = line != NULL ? take_number(line, 16, ' ', &end) : NULL;
    if (line == NULL) {
        return false;
    }
    parse_protection(line, mapping);
    line = take_number(skip_word(line), 16, ' ', &mapping->offset);
    line = line != NULL ? take_number(line, 16, ':', &major_number) : NULL;
    line = line != NULL ? take_number(line, 16, ' ', &minor_number) : NULL;
    line = line != NULL ? take_number(line, 10, ' ', &mapping->inode) : NULL;
    if (line == NULL) {
        return false;
    }
    mapping->start = start;
    mapping->end = end;
    mapping->device = major_number << 32 | minor_number;
    mapping->path = skip_blanks(line);
    mapping->is_sysv = is_sysv_name(mapping->path);
    return true;
}

static bool finish_line(maps_reader_t *reader)
{
    linux_mapping_t mapping;

    reader->line[reader->length < LINE_KEPT ? reader->length : LINE_KEPT] = '\0';
    mapping.is_path_cut = reader->length > LINE_KEPT;
    reader->length = 0;
    if (!parse_line(reader->line, &mapping)) {
        return false;
    }
    reader->visit(&mapping, reader->arg);
    return true;
}

static bool take_text(maps_reader_t *reader, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\n') {
            if (!finish_line(reader)) {
                return false;
            }
            continue;
        }
        if (reader->length < LINE_KEPT) {
            reader->line[reader->length] = text[i];
        }
        reader->length++;
    }
    return true;
}

/* A file that ends within a line, or holds none, has not been read to its end. */
static bool take_file(maps_reader_t *reader, int fd)
{
    char buffer[512]; /* Signal handlers on small stacks call shmdt, too. */
    bool is_empty = true;

    for (;;) {
        const long got = linux_sys_read(fd, buffer, sizeof(buffer));

        if (got <= 0) {
            return got == 0 && reader->length == 0 && !is_empty;
        }
        is_empty = false;
        if (!take_text(reader, buffer, (size_t) got)) {
            return false;
        }
    }
}

bool linux_maps_each(void (*visit)(const linux_mapping_t *mapping, void *arg), void *arg)
{
    maps_reader_t reader;
    const long fd = linux_sys_open(maps_path, O_RDONLY | O_CLOEXEC);
    bool is_complete;

    if (linux_failed(fd)) {
        return false;
    }
    reader.visit = visit;
    reader.arg = arg;
    reader.length = 0;
    is_complete = take_file(&reader, (int) fd);
    linux_sys_close((int) fd);
    return is_complete;
}
