/* SPDX-License-Identifier: BSD-3-Clause */
/* /proc/self/maps, read piece by piece into the stack: where the kernel does
 * not answer for one address (before Linux 6.11). A line is
 * "start-end rwxs ...": all that is needed is at its beginning. */
#include <string.h>

#include "components/userfaultfd/userfaultfd_kernel.h"
#include "components/userfaultfd/userfaultfd_sys.h"

typedef struct reader_t {
    int fd;
    long length, next; /* Bytes in text, and which is next. */
    char text[1024];
} reader_t;

/* @return The next character; -1: the end. */
static int next_character(reader_t *reader)
{
    if (reader->next == reader->length) {
        reader->length = uffd_sys_read(reader->fd, reader->text, sizeof(reader->text));
        reader->next = 0;
        if (reader->length <= 0) {
            reader->length = 0;
            return -1;
        }
    }
    return (unsigned char) reader->text[reader->next++];
}

static int digit_of(int character)
{
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    return character >= 'a' && character <= 'f' ? character - 'a' + 10 : -1;
}

/* A number, and the character behind it, which is taken. */
static bool take_number(reader_t *reader, uintptr_t *number)
{
    int character = next_character(reader);
    const bool is_any = digit_of(character) >= 0;

    for (*number = 0; digit_of(character) >= 0; character = next_character(reader)) {
        *number = *number << 4 | (uintptr_t) digit_of(character);
    }
    return is_any;
}

bool uffd_maps_is_file(const char *name)
{
    return name[0] == '/' && strncmp(name, "/SYSV", 5) != 0 && strncmp(name, "/dev/zero", 9) != 0;
}

/* @return The first character behind blanks and, if `and_field`, behind the field after them. */
static int skip(reader_t *reader, int character, bool and_field)
{
    while (character == ' ') {
        character = next_character(reader);
    }
    while (and_field && character != ' ' && character != '\n' && character != -1) {
        character = next_character(reader);
    }
    return character;
}

/* What stands behind offset, device and inode, if anything does; its beginning is enough. */
static void take_name(reader_t *reader, char *name, size_t size)
{
    int character = ' ';
    size_t length = 0;

    for (int field = 0; field < 3; field++) {
        character = skip(reader, character, true);
    }
    for (character = skip(reader, character, false); character != '\n' && character != -1;
         character = next_character(reader)) {
        if (length + 1 < size) {
            name[length++] = (char) character;
        }
    }
    name[length] = '\0';
}

static bool take_line(reader_t *reader, uffd_vma_t *vma)
{
    char name[32];

    if (!take_number(reader, &vma->start) || !take_number(reader, &vma->end)) {
        return false;
    }
    next_character(reader), next_character(reader), next_character(reader);
    vma->is_shared = next_character(reader) == 's';
    take_name(reader, name, sizeof(name));
    vma->is_file = uffd_maps_is_file(name);
    return true;
}

bool uffd_maps_find(uintptr_t addr, uffd_vma_t *vma)
{
    reader_t reader = { .fd = (int) uffd_sys_open("/proc/self/maps") };
    bool is_found = false;

    if (reader.fd < 0) {
        return false;
    }
    while (!is_found && take_line(&reader, vma)) {
        is_found = vma->end > addr;
    }
    uffd_sys_close(reader.fd);
    return is_found;
}
