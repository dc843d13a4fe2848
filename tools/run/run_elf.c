/* SPDX-License-Identifier: BSD-3-Clause */
/* Why a program was never reached by the preload library: what its file tells. */
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/run/run.h"

static int open_in_path(const char *name)
{
    char path[PATH_MAX];
    const char *folder = getenv("PATH");
    int fd = -1;

    while (fd < 0 && folder != NULL && folder[0] != '\0') {
        const size_t length = strcspn(folder, ":");

        if ((size_t) snprintf(path, sizeof(path), "%.*s/%s", (int) length, folder, name) < sizeof(path)
            && access(path, X_OK) == 0) {
            fd = open(path, O_RDONLY | O_CLOEXEC);
        }
        folder += length + (folder[length] == ':');
    }
    return fd;
}

static bool has_loader(int fd, const Elf64_Ehdr *header)
{
    Elf64_Phdr segment;

    for (int i = 0; i < header->e_phnum; i++) {
        const off_t place = (off_t) (header->e_phoff + (uint64_t) i * header->e_phentsize);

        if (pread(fd, &segment, sizeof(segment), place) == sizeof(segment) && segment.p_type == PT_INTERP) {
            return true;
        }
    }
    return false;
}

static const char *reason_of(int fd)
{
    struct stat status;
    Elf64_Ehdr header;

    if (fstat(fd, &status) == 0 && (status.st_mode & (S_ISUID | S_ISGID)) != 0) {
        return "it is set-uid or set-gid, where ld.so ignores LD_PRELOAD";
    }
    if (pread(fd, &header, sizeof(header), 0) != sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
        return "its interpreter did not load it";
    }
    if (header.e_ident[EI_CLASS] != ELFCLASS64) {
        return "it is for another kind of processor than the preload library";
    }
    return has_loader(fd, &header) ? "its loader did not load it" : "it is statically linked";
}

const char *run_unreached_reason(const char *program)
{
    const int fd = strchr(program, '/') != NULL ? open(program, O_RDONLY | O_CLOEXEC) : open_in_path(program);
    const char *reason = "its file cannot be read";

    if (fd >= 0) {
        reason = reason_of(fd);
        close(fd);
    }
    return reason;
}
