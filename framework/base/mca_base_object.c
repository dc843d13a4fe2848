/* SPDX-License-Identifier: BSD-3-Clause */
/* Objects as the loader lists them. Not dladdr(): it names the first byte of an
 * object only, and takes the loader's lock for each address that is asked for. */
#include <link.h>

#include "framework/base/mca_base_object.h"

typedef struct search_t {
    uintptr_t address;
    uintptr_t start, end;
} search_t;

static int look(struct dl_phdr_info *info, size_t size, void *data)
{
    search_t *search = data;
    uintptr_t start = UINTPTR_MAX, end = 0;
    bool inside = false;
    (void) size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD) {
            continue;
        }
        uintptr_t first = info->dlpi_addr + segment->p_vaddr, behind = first + segment->p_memsz;
        inside = inside || (search->address >= first && search->address < behind);
        start = first < start ? first : start;
        end = behind > end ? behind : end;
    }
    if (inside) {
        search->start = start;
        search->end = end;
    }
    return inside;
}

bool mca_base_object_find(const void *address, uintptr_t *start, uintptr_t *end)
{
    search_t search = { .address = (uintptr_t) address };
    if (dl_iterate_phdr(look, &search) == 0) {
        return false;
    }
    *start = search.start;
    *end = search.end;
    return true;
}
