/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds libc and ld.so, and sites in code. A site that somebody else has replaced does not look like one any more and is
 * not found; whether calls still reach us then is for the self-test to say. */
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

#include "components/linux/linux.h"

static const char libc_name[] = "libc.so.6";

static bool is_wanted(long nr)
{
    return nr == LINUX_NR_ANY || linux_call_by_nr(nr) != NULL;
}

size_t linux_find_sites(const uint8_t *code, size_t size, size_t from, linux_found_t *found, size_t capacity,
                        size_t *end)
{
    size_t count = 0, at = from;
    long nr = 0;

    while (count < capacity) {
        at = linux_code_find(code, size, at, is_wanted, &nr);
        if (at >= size) {
            break;
        }
        found[count].address = (uint8_t *) (uintptr_t) (code + at);
        found[count].call = nr == LINUX_NR_ANY ? NULL : linux_call_by_nr(nr & ~LINUX_NR_IS_SET);
        found[count].has_number = nr == LINUX_NR_ANY || (nr & LINUX_NR_IS_SET) != 0;
        memcpy(found[count].original, code + at, LINUX_INSN);
        count++;
        at += LINUX_RESUME;
    }
    *end = at;
    return count;
}

/* ---- Objects ------------------------------------------------------------------------------------- */

static bool has_file_name(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash != NULL ? slash + 1 : path, name) == 0;
}

/* "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1". A program started by hand through ld.so has no AT_BASE, but then the
 * name is the usual one. */
static bool is_loader(const struct dl_phdr_info *info)
{
    static const char prefix[] = "ld-linux-";
    const char *slash = strrchr(info->dlpi_name, '/');

    return (info->dlpi_addr != 0 && info->dlpi_addr == getauxval(AT_BASE))
           || strncmp(slash != NULL ? slash + 1 : info->dlpi_name, prefix, sizeof(prefix) - 1) == 0;
}

static linux_kind_t kind_of(const struct dl_phdr_info *info)
{
    if (has_file_name(info->dlpi_name, libc_name)) {
        return LINUX_LIBC;
    }
    return is_loader(info) ? LINUX_LOADER : LINUX_OTHER;
}

/* Code that may be written to anyway is left alone: it could not be given its protection back. */
static bool is_code(const ElfW(Phdr) * segment)
{
    return segment->p_type == PT_LOAD && (segment->p_flags & (PF_R | PF_W | PF_X)) == (PF_R | PF_X);
}

typedef struct visit_t {
    int (*visit)(linux_kind_t kind, uintptr_t start, uintptr_t end, void *arg);
    void *arg;
} visit_t;

static int visit_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    const visit_t *visit = arg;
    const linux_kind_t kind = kind_of(info);
    int result = 0;

    (void) size;
    for (size_t i = 0; kind != LINUX_OTHER && i < info->dlpi_phnum && result == 0; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        const uintptr_t start = info->dlpi_addr + segment->p_vaddr;

        if (is_code(segment)) {
            result = visit->visit(kind, start, start + segment->p_memsz, visit->arg);
        }
    }
    return result;
}

int linux_objects_each(int (*visit)(linux_kind_t kind, uintptr_t start, uintptr_t end, void *arg), void *arg)
{
    visit_t all = { visit, arg };

    return dl_iterate_phdr(visit_object, &all);
}

static int is_libc(linux_kind_t kind, uintptr_t start, uintptr_t end, void *arg)
{
    (void) start, (void) end, (void) arg;
    return kind == LINUX_LIBC;
}

bool linux_has_libc(void)
{
    return linux_objects_each(is_libc, NULL) != 0;
}
