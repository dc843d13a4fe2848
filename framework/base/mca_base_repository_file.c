/* SPDX-License-Identifier: BSD-3-Clause */
/* May a file become part of this process? Two questions, asked before the
 * loader sees it: can a stranger have written it, and is it all there. The
 * loader of glibc does not ask the second one: it maps the segments of a file
 * that was cut short, and the process dies of SIGBUS when it reads them. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "framework/base/mca_base_path.h"
#include "framework/base/mca_base_repository.h"

bool mca_base_directory_is_usable(mca_base_directory_t *directory, char *cause, size_t size, bool *missing)
{
    struct stat status;
    *missing = false;
    if (stat(directory->path, &status) != 0) {
        *missing = errno == ENOENT || errno == ENOTDIR || errno == EACCES;
        snprintf(cause, size, "%s", strerror(errno));
        return false;
    }
    if (!S_ISDIR(status.st_mode)) {
        snprintf(cause, size, "%s", strerror(ENOTDIR));
        return false;
    }
    directory->device = status.st_dev;
    directory->inode = status.st_ino;
    return mca_base_path_is_safe(directory->path, cause, size);
}

/* ---- Contents ----------------------------------------------------------------------------------- */

typedef ElfW(Ehdr) elf_header_t;
typedef ElfW(Phdr) elf_segment_t;
typedef ElfW(Shdr) elf_section_t;

static bool read_at(int fd, void *buffer, size_t size, uint64_t offset)
{
    char *p = buffer;
    while (size > 0) {
        ssize_t got = pread(fd, p, size, (off_t) offset);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return false;
        }
        if (got > 0) {
            p += got;
            offset += (uint64_t) got;
            size -= (size_t) got;
        }
    }
    return true;
}

static bool is_within(uint64_t offset, uint64_t length, uint64_t file_size)
{
    uint64_t end;
    return !__builtin_add_overflow(offset, length, &end) && end <= file_size;
}

static bool has_segment(int fd, const elf_header_t *header, unsigned index, uint64_t file_size)
{
    elf_segment_t segment;
    return read_at(fd, &segment, sizeof segment, header->e_phoff + (uint64_t) index * sizeof segment)
           && (segment.p_type != PT_LOAD || is_within(segment.p_offset, segment.p_filesz, file_size));
}

/* The table of sections is at the end, as a rule: nobody needs it to run the code, but a file without it was cut short. */
static bool has_everything(int fd, const elf_header_t *header, uint64_t file_size)
{
    bool good = is_within(header->e_shoff, (uint64_t) header->e_shnum * header->e_shentsize, file_size);
    for (unsigned i = 0; good && i < header->e_phnum; i++) {
        good = has_segment(fd, header, i, file_size);
    }
    return good;
}

/* A file whose blocks were never written (a crash, a full disk) has its size, but ends with zeros, and whoever calls a
 * constructor in those dies. Of the table of sections one entry is never zero. */
static bool is_written(int fd, const elf_header_t *header)
{
    elf_section_t names;
    if (header->e_shstrndx >= header->e_shnum || header->e_shentsize != sizeof names) {
        return true;
    }
    return read_at(fd, &names, sizeof names, header->e_shoff + (uint64_t) header->e_shstrndx * sizeof names)
           && names.sh_type == SHT_STRTAB;
}

static const char *machine_name(unsigned machine)
{
    switch (machine) {
    case EM_386: return "i386";
    case EM_X86_64: return "x86-64";
    case EM_ARM: return "ARM";
    case EM_AARCH64: return "AArch64";
    case EM_PPC64: return "64-bit POWER";
    case EM_S390: return "s390";
    case EM_RISCV: return "RISC-V";
    default: return "another machine";
    }
}

/* This library's own header, as the loader has mapped it. */
static const elf_header_t *own_header(void)
{
    static const char here = 0;
    Dl_info info;
    return dladdr(&here, &info) != 0 ? info.dli_fbase : NULL;
}

static bool is_for_this_machine(const elf_header_t *header, char *cause, size_t size)
{
    const elf_header_t *own = own_header();
    if (own == NULL || memcmp(own->e_ident, ELFMAG, SELFMAG) != 0) {
        return true;
    }
    if (header->e_ident[EI_DATA] != own->e_ident[EI_DATA]) {
        snprintf(cause, size, "it is made for a machine with the other byte order");
        return false;
    }
    if (header->e_machine != own->e_machine || header->e_ident[EI_CLASS] != own->e_ident[EI_CLASS]) {
        snprintf(cause, size, "it is made for %s with %d bits, not for %s with %d",
                 machine_name(header->e_machine), header->e_ident[EI_CLASS] == ELFCLASS32 ? 32 : 64,
                 machine_name(own->e_machine), own->e_ident[EI_CLASS] == ELFCLASS32 ? 32 : 64);
        return false;
    }
    return true;
}

/* What else can be wrong with an object, the loader finds by itself, or dies of. */
static bool is_complete(int fd, uint64_t file_size, char *cause, size_t size)
{
    elf_header_t header;
    /* Identification, type and machine are at the same place for 32 and 64 bits. */
    if (!read_at(fd, &header, sizeof header, 0) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
        snprintf(cause, size, "it is not a shared object for this machine");
        return false;
    }
    if (!is_for_this_machine(&header, cause, size)) {
        return false;
    }
    if (header.e_phentsize != sizeof(elf_segment_t)) {
        snprintf(cause, size, "it is not a shared object for this machine");
        return false;
    }
    if (!has_everything(fd, &header, file_size)) {
        snprintf(cause, size, "it is damaged: %llu bytes are not all of it", (unsigned long long) file_size);
        return false;
    }
    if (!is_written(fd, &header)) {
        snprintf(cause, size, "it is damaged: its end was never written");
        return false;
    }
    return true;
}

bool mca_base_file_is_usable(const char *path, char *cause, size_t size)
{
    /* Nonblocking: a pipe of that name must not stop the program. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        snprintf(cause, size, "%s", strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    /* The way to it, too: the loader will go it again. */
    bool good = mca_base_status_is_safe(&status, cause, size) && mca_base_path_is_safe(path, cause, size);
    if (good && !S_ISREG(status.st_mode)) {
        snprintf(cause, size, "it is not a file");
        good = false;
    }
    good = good && is_complete(fd, (uint64_t) status.st_size, cause, size);
    close(fd);
    return good;
}
