/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds room for the stubs of sites, near them, and has them written. Such an area is
 *
 *     pages of stubs: addresses of the common parts, then the stubs       read, execute
 *     pages of sites: the linux_site_t that the stubs point to            read, write
 *
 * Stubs are written completely, then made executable, and never changed: a thread may be in one at any time. */
#include <errno.h>
#include <sys/mman.h>

#include "components/linux/linux.h"
#include "components/linux/linux_sys.h"

/* ---- Room ---------------------------------------------------------------------------------------- */

/* How far above a site stubs may begin so that the last byte of a jump's distance is 0 on x86-64, as is the last byte of
 * the mov: a jump whose last byte lies in the next word is then stored at once. */
#define NEAR_REACH ((uintptr_t) 1 << 24)
#define NEAR_STEP ((uintptr_t) 16 * LINUX_PAGE)
#define FAR_STEP ((uintptr_t) 1 << 20)

/* Memory at that very address, or 0. Kernels before 4.17 take the address for a hint. */
static uintptr_t map_at(uintptr_t address, size_t length)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    const long got = linux_sys_mmap(address, length, PROT_READ | PROT_WRITE, flags);

    if (linux_failed(got)) {
        return 0;
    }
    if ((uintptr_t) got != address) {
        linux_sys_munmap((uintptr_t) got, length);
        return 0;
    }
    return address;
}

static uintptr_t map_above(uintptr_t lowest_site, uintptr_t end, uintptr_t ceiling, size_t length)
{
    const uintptr_t reach = lowest_site + NEAR_REACH, highest = reach < ceiling ? reach : ceiling;

    for (uintptr_t at = end; at + length <= highest; at += NEAR_STEP) {
        const uintptr_t area = map_at(at, length);

        if (area != 0) {
            return area;
        }
    }
    return 0;
}

static uintptr_t map_around(uintptr_t start, uintptr_t end, uintptr_t ceiling, size_t length)
{
    for (uintptr_t far = FAR_STEP; far + (end - start) + length < LINUX_REACH; far += FAR_STEP) {
        uintptr_t area = start > far + FAR_STEP ? map_at(start - far, length) : 0;

        area = area == 0 && end + far + length <= ceiling ? map_at(end + far, length) : area;
        if (area != 0) {
            return area;
        }
    }
    return 0;
}

/* Below a program at low addresses there are few steps of FAR_STEP. */
static uintptr_t map_below(uintptr_t start, size_t length)
{
    for (uintptr_t below = NEAR_STEP; start <= NEAR_REACH && below + NEAR_STEP <= start; below += NEAR_STEP) {
        const uintptr_t area = below >= length ? map_at(start - below, length) : 0;

        if (area != 0) {
            return area;
        }
    }
    return 0;
}

/* As far above the heap as can be. */
static uintptr_t map_far_above(uintptr_t start, uintptr_t end, size_t length)
{
    for (uintptr_t far = LINUX_REACH - FAR_STEP; far >= FAR_STEP; far -= FAR_STEP) {
        const uintptr_t area = far + (end - start) + length < LINUX_REACH ? map_at(end + far, length) : 0;

        if (area != 0) {
            return area;
        }
    }
    return 0;
}

/* The heap grows upwards, from behind the program itself: at once behind it where addresses are not random (gdb, setarch -R).
 * What lies above the heap would stop it from growing. So the stubs of what lies below the heap stay below it, too. */
static uintptr_t ceiling_of(uintptr_t end)
{
    const uintptr_t heap_end = (uintptr_t) LINUX_SYS(SYS_brk, 0);

    return end <= heap_end ? heap_end : UINTPTR_MAX;
}

static uintptr_t find_room(uintptr_t lowest_site, uintptr_t start, uintptr_t end, size_t length)
{
    const uintptr_t ceiling = ceiling_of(end);
    uintptr_t area = map_above(lowest_site, end, ceiling, length);

    area = area == 0 ? map_around(start, end, ceiling, length) : area;
    area = area == 0 ? map_below(start, length) : area;
    /* A heap that stops growing is better than a release that goes unseen. */
    return area == 0 && ceiling != UINTPTR_MAX ? map_far_above(start, end, length) : area;
}

/* ---- Content ------------------------------------------------------------------------------------- */

static size_t stub_pages(size_t count)
{
    return linux_round_up(sizeof(linux_stub_head_t) + count * LINUX_STUB_BYTES, LINUX_PAGE);
}

static size_t site_pages(size_t count)
{
    return linux_round_up(count * sizeof(linux_site_t), LINUX_PAGE);
}

static void fill_site(linux_site_t *site, const linux_found_t *found, linux_kind_t kind)
{
    site->call = found->call;
    site->address = found->address;
    site->kind = kind;
    site->has_number = found->has_number;
    for (size_t i = 0; i < LINUX_INSN; i++) {
        site->original[i] = found->original[i];
    }
}

static void write_stubs(linux_text_t *text, const linux_found_t *found)
{
    linux_stub_head_t *head = (linux_stub_head_t *) text->area;
    uint8_t *stubs = (uint8_t *) (head + 1);

    head->common = linux_trampoline_common;
    head->vectors = linux_trampoline_vectors;
    for (size_t i = 0; i < text->site_count; i++) {
        fill_site(&text->sites[i], &found[i], text->kind);
        linux_code_write_stub(stubs + i * LINUX_STUB_BYTES, &text->sites[i], head);
    }
}

int linux_stubs_make(linux_text_t *text, uintptr_t start, uintptr_t end, const linux_found_t *found, size_t count,
                     int *sys_errno)
{
    const uintptr_t first = linux_round_down(start, LINUX_PAGE), behind = linux_round_up(end, LINUX_PAGE);
    const size_t length = stub_pages(count) + site_pages(count);
    const uintptr_t area = find_room((uintptr_t) found[0].address, first, behind, length);
    long result;

    if (area == 0) {
        *sys_errno = ENOMEM;
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    text->area = area;
    text->area_length = length;
    text->sites = (linux_site_t *) (area + stub_pages(count));
    text->site_count = count;
    write_stubs(text, found);
    result = linux_pages_make_code(area, stub_pages(count));
    if (linux_failed(result)) {
        linux_sys_munmap(area, length);
        *sys_errno = (int) -result;
        return OPAL_ERR_PERM;
    }
    linux_code_sync(area, stub_pages(count));
    return OPAL_SUCCESS;
}
