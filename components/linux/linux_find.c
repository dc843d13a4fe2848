/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds the sites: in the executable segments of libc.so.6 and ld.so, each
 * `mov $nr,%eax` that a `syscall` follows at once and whose number is that of
 * a call of ours. A site that somebody else has replaced does not look like
 * that any more and is not found; whether calls still reach us then is for
 * the self-test to say. */
#include "components/linux/linux.h"

#include <link.h>
#include <string.h>
#include <sys/auxv.h>

#define MOV_EAX 0xb8
#define SITE_BYTES (LINUX_INSN + LINUX_SYSCALL)

static const char libc_name[] = "libc.so.6";
static const char loader_name[] = "ld-linux-x86-64.so.2";

/* A byte 0x40 to 0x4f before the mov makes it one of another register, if it belongs to it. It may
 * also be the last byte of the instruction before, which cannot be told without decoding the whole function:
 * such a site is left alone. libc and ld.so of Debian 12 have none among the calls of ours. */
static bool has_rex_prefix(const uint8_t *code, size_t mov)
{
    return mov > 0 && (code[mov - 1] & 0xf0) == 0x40;
}

static bool is_site(const uint8_t *code, size_t mov, uint32_t *nr)
{
    uint32_t number;

    if (code[mov] != MOV_EAX || has_rex_prefix(code, mov)) {
        return false;
    }
    memcpy(&number, code + mov + 1, sizeof(number));
    if (linux_call_by_nr((long) number) == NULL) {
        return false;
    }
    *nr = number;
    return true;
}

size_t linux_find_next(const uint8_t *code, size_t size, size_t from, uint32_t *nr)
{
    /* The last byte of a site is rare in code: let memchr skip to it. */
    for (size_t last = from + SITE_BYTES - 1; last < size; last++) {
        const uint8_t *hit = memchr(code + last, 0x05, size - last);

        if (hit == NULL) {
            break;
        }
        last = (size_t) (hit - code);
        if (code[last - 1] == 0x0f && is_site(code, last - (SITE_BYTES - 1), nr)) {
            return last - (SITE_BYTES - 1);
        }
    }
    return size;
}

/* @return Number of sites found in this piece of code. */
static size_t search_code(const linux_object_t *object, uint8_t *code, size_t size, linux_site_t *sites,
                          size_t capacity)
{
    uint32_t nr = 0;
    size_t count = 0;

    for (size_t at = linux_find_next(code, size, 0, &nr); at < size && count < capacity;
         at = linux_find_next(code, size, at + SITE_BYTES, &nr)) {
        linux_site_t *site = &sites[count++];

        *site = (linux_site_t){ .address = code + at, .object = object, .call = linux_call_by_nr((long) nr) };
        /* Not read once more: another copy of this library may be replacing it. */
        site->original[0] = MOV_EAX;
        memcpy(site->original + 1, &nr, sizeof(nr));
    }
    return count;
}

size_t linux_find_sites(const linux_object_t *object, linux_site_t *sites, size_t capacity)
{
    size_t count = 0;

    for (size_t i = 0; i < object->segment_count; i++) {
        const linux_segment_t *segment = &object->segments[i];

        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0) {
            uint8_t *code = (uint8_t *) (object->bias + segment->p_vaddr);

            count += search_code(object, code, segment->p_memsz, sites + count, capacity - count);
        }
    }
    return count;
}

static bool has_file_name(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash != NULL ? slash + 1 : path, name) == 0;
}

/* A program started by hand through ld.so has no AT_BASE, but then the name is the usual one. */
static bool is_loader(const struct dl_phdr_info *info)
{
    return (info->dlpi_addr != 0 && info->dlpi_addr == getauxval(AT_BASE))
           || has_file_name(info->dlpi_name, loader_name);
}

static void note_object(linux_object_t *object, const struct dl_phdr_info *info)
{
    object->bias = info->dlpi_addr;
    object->segments = info->dlpi_phdr;
    object->segment_count = info->dlpi_phnum;
    for (size_t i = 0; i < object->segment_count; i++) {
        const linux_segment_t *segment = &object->segments[i];
        const uintptr_t start = linux_round_down(object->bias + segment->p_vaddr, LINUX_PAGE);
        const uintptr_t end = linux_round_up(object->bias + segment->p_vaddr + segment->p_memsz, LINUX_PAGE);

        if (segment->p_type != PT_LOAD) {
            continue;
        }
        object->start = object->end == 0 || start < object->start ? start : object->start;
        object->end = end > object->end ? end : object->end;
    }
}

static int visit_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    linux_object_t *objects = arg;

    (void) size;
    if (objects[LINUX_LIBC].end == 0 && has_file_name(info->dlpi_name, libc_name)) {
        note_object(&objects[LINUX_LIBC], info);
    } else if (objects[LINUX_LOADER].end == 0 && is_loader(info)) {
        note_object(&objects[LINUX_LOADER], info);
    }
    return 0;
}

void linux_find_objects(linux_object_t objects[LINUX_OBJECTS])
{
    objects[LINUX_LIBC] = (linux_object_t){ .name = libc_name };
    objects[LINUX_LOADER] = (linux_object_t){ .name = "ld.so" };
    dl_iterate_phdr(visit_object, objects);
}
