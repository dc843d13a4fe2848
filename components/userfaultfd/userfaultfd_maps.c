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

/* A number, and the character behind it, which is taken. All are read as hexadecimal, the inode, too: it is only compared. */
static bool take_number(reader_t *reader, uintptr_t *number, int *behind)
{
    int character = next_character(reader);
    const bool is_any = digit_of(character) >= 0;

    for (*number = 0; digit_of(character) >= 0; character = next_character(reader)) {
        *number = *number << 4 | (uintptr_t) digit_of(character);
    }
    if (behind != NULL) {
        *behind = character;
    }
    return is_any;
}

bool uffd_maps_is_file(const char *name)
{
    return name[0] == '/' && strncmp(name, "/SYSV", 5) != 0 && strncmp(name, "/dev/zero", 9) != 0
           && strcmp(name, "/anon_hugepage (deleted)") != 0;
}

uint64_t uffd_maps_memory(const uffd_vma_t *vma, uint64_t offset, uint64_t device, uint64_t inode)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);

    return inode == 0 ? 0 : (((offset - vma->start) * odd ^ device) * odd ^ inode) * odd;
}

/* Behind the inode: a name, after blanks, if there is one; its beginning is enough. */
static void take_name(reader_t *reader, int character, char *name, size_t size)
{
    size_t length = 0;

    while (character == ' ') {
        character = next_character(reader);
    }
    for (; character != '\n' && character != -1; character = next_character(reader)) {
        if (length + 1 < size) {
            name[length++] = (char) character;
        }
    }
    name[length] = '\0';
}

static bool take_line(reader_t *reader, uffd_vma_t *vma)
{
    uintptr_t offset, major, minor, inode;
    char name[32];
    int behind;

    if (!take_number(reader, &vma->start, NULL) || !take_number(reader, &vma->end, NULL)) {
        return false;
    }
    next_character(reader), next_character(reader), next_character(reader);
    vma->is_shared = next_character(reader) == 's';
    next_character(reader);
    if (!take_number(reader, &offset, NULL) || !take_number(reader, &major, NULL)
        || !take_number(reader, &minor, NULL) || !take_number(reader, &inode, &behind)) {
        return false;
    }
    vma->memory = uffd_maps_memory(vma, offset, (uint64_t) major << 32 | minor, inode);
    take_name(reader, behind, name, sizeof(name));
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
