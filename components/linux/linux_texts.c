/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of code that has sites: what of it is replaced, and what becomes of it when the code goes or is changed by
 * others. linux_search.c fills it.
 *
 * All changes are made under linux_lock(). Entries are also read without it, for their range only. */
#include <link.h>
#include <stdatomic.h>
#include <string.h>

#include "components/linux/linux.h"
#include "components/linux/linux_files.h"
#include "components/linux/linux_sys.h"

linux_text_t linux_texts[LINUX_MAX_TEXTS];
_Atomic size_t linux_text_count;
_Atomic size_t linux_texts_lost;

/* Are sites replaced now, and which not? Under linux_lock(). */
static bool is_replacing;
static linux_sites_mask_t left_alone;

/* ---- Entries ------------------------------------------------------------------------------------- */

static bool overlaps(const linux_text_t *text, uintptr_t start, uintptr_t end)
{
    return atomic_load(&text->start) < end && atomic_load(&text->end) > start;
}

static linux_text_t *find_free_entry(void)
{
    const size_t count = atomic_load(&linux_text_count);

    for (size_t i = 0; i < count; i++) {
        if (atomic_load(&linux_texts[i].end) == 0) {
            return &linux_texts[i];
        }
    }
    return count < LINUX_MAX_TEXTS ? &linux_texts[count] : NULL;
}

static void publish(linux_text_t *text, uintptr_t start, uintptr_t end)
{
    const size_t index = (size_t) (text - linux_texts);

    atomic_store(&text->is_open, false);
    atomic_store(&text->start, start);
    atomic_store(&text->end, end);
    if (index == atomic_load(&linux_text_count)) {
        atomic_store(&linux_text_count, index + 1);
    }
}

static linux_site_t *find_site(const uint8_t *address)
{
    const size_t count = atomic_load(&linux_text_count);

    for (size_t i = 0; i < count; i++) {
        linux_text_t *text = &linux_texts[i];

        for (size_t k = 0; overlaps(text, (uintptr_t) address, (uintptr_t) address + 1) && k < text->site_count;
             k++) {
            if (text->sites[k].address == address) {
                return &text->sites[k];
            }
        }
    }
    return NULL;
}

static size_t drop_known(linux_found_t *found, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (find_site(found[i].address) == NULL) {
            found[kept++] = found[i];
        }
    }
    return kept;
}

/* ---- Replacing ----------------------------------------------------------------------------------- */

static bool is_left_alone(const linux_site_t *site)
{
    return (left_alone.calls[site->kind] & linux_site_bit(site)) != 0;
}

static bool holds(const linux_site_t *site, const uint8_t bytes[LINUX_INSN])
{
    return memcmp(site->address, bytes, LINUX_INSN) == 0;
}

/* Somebody may have put back what he found here once: a jump of ours. */
static void look_at_site(linux_site_t *site)
{
    site->patched = holds(site, site->jump);
}

static int apply(linux_site_t *const *sites, linux_patch_t *patches, size_t count, bool to_jump, int *sys_errno)
{
    const int result = linux_patch_apply(patches, count, sys_errno);

    for (size_t i = 0; i < count; i++) {
        sites[i]->patched = patches[i].done ? to_jump : sites[i]->patched;
    }
    return result;
}

/* The sites of one text that lie in [start, end), also in part. */
static int replace_part(linux_text_t *text, uintptr_t start, uintptr_t end, bool to_jump, int *sys_errno)
{
    linux_patch_t patches[LINUX_FIND_AT_ONCE];
    linux_site_t *sites[LINUX_FIND_AT_ONCE];
    size_t count = 0;

    for (size_t i = 0; i < text->site_count; i++) {
        linux_site_t *site = &text->sites[i];

        if ((uintptr_t) site->address + LINUX_INSN <= start || (uintptr_t) site->address >= end) {
            continue;
        }
        look_at_site(site);
        if (site->patched == to_jump || (to_jump && is_left_alone(site))) {
            continue;
        }
        patches[count].address = site->address;
        memcpy(patches[count].from, to_jump ? site->original : site->jump, LINUX_INSN);
        memcpy(patches[count].to, to_jump ? site->jump : site->original, LINUX_INSN);
        sites[count++] = site;
    }
    return apply(sites, patches, count, to_jump, sys_errno);
}

static int replace_text(linux_text_t *text, bool to_jump, int *sys_errno)
{
    return replace_part(text, 0, UINTPTR_MAX, to_jump, sys_errno);
}

/* ---- Adding -------------------------------------------------------------------------------------- */

int linux_texts_add(linux_kind_t kind, uintptr_t start, uintptr_t end, linux_found_t *found, size_t found_count,
                    int *sys_errno)
{
    const size_t count = drop_known(found, found_count);
    linux_text_t *text = find_free_entry();
    int result = OPAL_ERR_OUT_OF_RESOURCE;

    if (count == 0) {
        return OPAL_SUCCESS;
    }
    if (text != NULL) {
        text->kind = kind;
        result = linux_stubs_make(text, start, end, found, count, sys_errno);
    }
    if (result != OPAL_SUCCESS) {
        atomic_fetch_add(&linux_texts_lost, count);
        return result;
    }
    publish(text, start, end);
    return is_replacing ? replace_text(text, true, sys_errno) : OPAL_SUCCESS;
}

/* ---- What is unmapped ---------------------------------------------------------------------------- */

static bool is_within(const linux_text_t *text, uintptr_t start, uintptr_t end)
{
    return atomic_load(&text->end) != 0 && atomic_load(&text->start) >= start && atomic_load(&text->end) <= end;
}

/* Nobody is in the stubs of code that goes: he would return into it. */
static void forget(linux_text_t *text)
{
    atomic_store(&text->end, 0);
    atomic_store(&text->start, 0);
    linux_sys_munmap(text->area, text->area_length);
    text->sites = NULL;
    text->site_count = 0;
}

/* A text of which a part goes keeps its stubs for the rest; the sites of the part must not be read any more. */
static void forget_part(linux_text_t *text, uintptr_t start, uintptr_t end)
{
    size_t kept = 0;

    for (size_t i = 0; i < text->site_count; i++) {
        const uintptr_t address = (uintptr_t) text->sites[i].address;

        if (address >= end || address + LINUX_RESUME <= start) {
            kept++;
        }
    }
    if (kept != text->site_count) {
        /* Stubs point to their sites, which therefore stay where they are: the entry alone is emptied. */
        atomic_store(&text->end, 0);
        atomic_store(&text->start, 0);
        text->site_count = 0;
    }
}

void linux_texts_forget(uintptr_t start, uintptr_t end)
{
    const size_t count = atomic_load(&linux_text_count);

    for (size_t i = 0; i < count; i++) {
        if (is_within(&linux_texts[i], start, end)) {
            forget(&linux_texts[i]);
        } else if (overlaps(&linux_texts[i], start, end)) {
            forget_part(&linux_texts[i], start, end);
        }
    }
}

/* Code may have come and gone while sites were not replaced. Whatever is there now may keep our stub if it does the same. */
static bool is_still_there(const linux_site_t *site)
{
    uint64_t code;
    uint64_t expected = 0;

    if (!linux_read_memory((uintptr_t) site->address, &code, sizeof(code))) {
        return false;
    }
    memcpy(&expected, site->original, LINUX_INSN);
    return ((code ^ expected) & ((UINT64_C(1) << 8 * LINUX_INSN) - 1)) == 0;
}

static void revalidate(void)
{
    const size_t count = atomic_load(&linux_text_count);

    for (size_t i = 0; i < count; i++) {
        linux_text_t *text = &linux_texts[i];
        bool is_good = true;

        for (size_t k = 0; text->kind == LINUX_OTHER && k < text->site_count && is_good; k++) {
            is_good = text->sites[k].patched || is_still_there(&text->sites[k]);
        }
        if (!is_good) {
            linux_search_forget(atomic_load(&text->start), atomic_load(&text->end));
            forget(text);
        }
    }
}

/* ---- Everything at once -------------------------------------------------------------------------- */

/* Another copy of this library, with another prefix, may be at the same pages, and would take the right to write away
 * when it is done. The one lock that all copies in a process know is the loader's, which is held here. */
typedef struct alone_t {
    int (*function)(int *sys_errno);
    int *sys_errno;
    int result;
} alone_t;

static int run_alone(struct dl_phdr_info *info, size_t size, void *arg)
{
    alone_t *alone = arg;
    uint64_t saved;

    (void) info, (void) size;
    if (!linux_lock(&saved)) {
        return 1;
    }
    alone->result = alone->function(alone->sys_errno);
    linux_unlock(&saved);
    return 1;
}

static int alone(int (*function)(int *sys_errno), int *sys_errno)
{
    alone_t alone = { .function = function, .sys_errno = sys_errno, .result = OPAL_ERR_PERM };

    dl_iterate_phdr(run_alone, &alone);
    return alone.result;
}

static int replace_all(bool to_jump, int *sys_errno)
{
    const size_t count = atomic_load(&linux_text_count);
    int first = OPAL_SUCCESS;

    for (size_t i = 0; i < count; i++) {
        if (atomic_load(&linux_texts[i].end) != 0) {
            const int result = replace_text(&linux_texts[i], to_jump, sys_errno);

            first = linux_texts[i].kind != LINUX_OTHER && first == OPAL_SUCCESS ? result : first;
        }
    }
    return first;
}

static int replace_locked(int *sys_errno)
{
    if (!is_replacing) {
        revalidate();
    }
    is_replacing = true;
    return replace_all(true, sys_errno);
}

static int restore_locked(int *sys_errno)
{
    is_replacing = false;
    return replace_all(false, sys_errno);
}

int linux_texts_replace(const linux_sites_mask_t *disabled, int *sys_errno)
{
    left_alone = *disabled; /* Read by those who replace, which nobody does now. */
    return alone(replace_locked, sys_errno);
}

int linux_texts_restore(int *sys_errno)
{
    return alone(restore_locked, sys_errno);
}

uint32_t linux_texts_held(linux_kind_t kind)
{
    const size_t count = atomic_load(&linux_text_count);
    uint32_t held = 0, missed = 0;

    for (size_t i = 0; i < count; i++) {
        const linux_text_t *text = &linux_texts[i];

        for (size_t k = 0; atomic_load(&text->end) != 0 && text->kind == kind && k < text->site_count; k++) {
            const bool is_ours = holds(&text->sites[k], text->sites[k].jump);

            held |= is_ours ? linux_site_bit(&text->sites[k]) : 0;
            missed |= is_ours ? 0 : linux_site_bit(&text->sites[k]);
        }
    }
    return held & ~missed;
}

/* ---- What others do to code ---------------------------------------------------------------------- */

/* A new site may lie across the end of what was changed. Sites elsewhere are left as they are: whoever is at them now
 * would lose the right to write. */
#define SITE_MARGIN 32

static void search_part(const linux_text_t *text, uintptr_t start, uintptr_t end)
{
    const uintptr_t text_start = atomic_load(&text->start), text_end = atomic_load(&text->end);
    const uintptr_t from = start > text_start + SITE_MARGIN ? start - SITE_MARGIN : text_start;
    const uintptr_t to = text_end - end > SITE_MARGIN && end < text_end ? end + SITE_MARGIN : text_end;
    int sys_errno;

    linux_search_memory(text->kind, from, to, &sys_errno);
}

/* Sites of one piece of code may have been found at different times. */
static bool is_first_of_its_code(size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (overlaps(&linux_texts[i], atomic_load(&linux_texts[index].start),
                     atomic_load(&linux_texts[index].end))) {
            return false;
        }
    }
    return true;
}

void linux_texts_repair(uintptr_t start, uintptr_t end)
{
    const size_t count = atomic_load(&linux_text_count);
    int sys_errno;

    for (size_t i = 0; i < count && is_replacing; i++) {
        if (overlaps(&linux_texts[i], start, end)) {
            replace_part(&linux_texts[i], start, end, true, &sys_errno);
        }
        if (overlaps(&linux_texts[i], start, end) && is_first_of_its_code(i)) {
            search_part(&linux_texts[i], start, end);
        }
    }
}
