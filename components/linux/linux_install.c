/* SPDX-License-Identifier: BSD-3-Clause */
/* Puts the parts together: finds each site and makes its stub once in the
 * life of the process, replaces and restores code as often as the component
 * is switched on and off, and says what the result is worth. Runs under the
 * init lock of the library. */
#include "components/linux/linux.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "opal/mca/base/base.h"
#include "opal/mca/memory/memory.h"

static linux_object_t objects[LINUX_OBJECTS];
static linux_site_t sites[LINUX_MAX_SITES];
static size_t site_count;
static size_t stub_count;    /* The first of them have stubs. */
static bool holds_all_sites; /* Nobody else held any when they were last replaced. */

int linux_query(void)
{
    if (objects[LINUX_LIBC].end == 0) {
        linux_find_objects(objects);
    }
    if (objects[LINUX_LIBC].end == 0) {
        mca_base_component_set_reason("libc.so.6 is not loaded: the program is statically linked, or uses "
                                      "another C library");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    return OPAL_SUCCESS;
}

static bool is_known(const uint8_t *address)
{
    for (size_t i = 0; i < site_count; i++) {
        if (sites[i].address == address) {
            return true;
        }
    }
    return false;
}

/* Adds the sites that are not known yet. Those that are known stay where they are: threads in a stub read them, and the
 * facts, at any time. Somebody else may have held sites at an earlier search (another copy of this library, say). */
static int find_sites(void)
{
    linux_site_t found[LINUX_MAX_SITES];

    if (site_count == 0) {
        linux_facts_read();
    }
    for (size_t i = 0; i < LINUX_OBJECTS; i++) {
        const size_t found_count = linux_find_sites(&objects[i], found, LINUX_MAX_SITES);

        for (size_t k = 0; k < found_count && site_count < LINUX_MAX_SITES; k++) {
            if (!is_known(found[k].address)) {
                sites[site_count++] = found[k];
            }
        }
    }
    if (site_count == 0) {
        mca_base_component_set_reason("libc.so.6 has no system call in the form that can be replaced; another "
                                      "library, or another copy of this one, may have replaced them");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    return OPAL_SUCCESS;
}

static int say_cannot(const char *what, int sys_errno)
{
    mca_base_component_set_reason("%s: %s. PR_SET_MDWE, SELinux (execmod, execmem), sealed mappings (mseal) or a "
                                  "seccomp filter can forbid it",
                                  what, strerror(sys_errno));
    return OPAL_ERR_NOT_AVAILABLE;
}

/* Sites that were found at once are sorted by object. */
static size_t count_same_object(size_t first)
{
    size_t count = 1;

    while (first + count < site_count && sites[first + count].object == sites[first].object) {
        count++;
    }
    return count;
}

static int make_stubs(void)
{
    int sys_errno = 0;

    while (stub_count < site_count) {
        const size_t first = stub_count;
        const size_t count = count_same_object(first);
        const int result = linux_trampoline_make(&sites[first], count, &sys_errno);

        if (result == OPAL_ERR_OUT_OF_RESOURCE) {
            mca_base_component_set_reason("no memory is free within 2 GiB of %s", sites[first].object->name);
            return OPAL_ERR_NOT_AVAILABLE;
        }
        if (result != OPAL_SUCCESS) {
            return say_cannot("new code cannot be made executable", sys_errno);
        }
        stub_count += count;
    }
    return OPAL_SUCCESS;
}

/* Replace all sites whose call is in mask and that are not as wanted yet. */
static int replace(uint32_t mask, bool to_jump, int *sys_errno)
{
    linux_patch_t patches[LINUX_MAX_SITES];
    linux_site_t *patched[LINUX_MAX_SITES];
    size_t count = 0;
    int result;

    for (size_t i = 0; i < site_count; i++) {
        if ((sites[i].call->bit & mask) == 0 || sites[i].patched == to_jump) {
            continue;
        }
        patches[count] = (linux_patch_t){ .address = sites[i].address };
        memcpy(patches[count].from, to_jump ? sites[i].original : sites[i].jump, LINUX_INSN);
        memcpy(patches[count].to, to_jump ? sites[i].jump : sites[i].original, LINUX_INSN);
        patched[count++] = &sites[i];
    }
    result = linux_patch_apply(patches, count, sys_errno);
    for (size_t i = 0; i < count; i++) {
        patched[i]->patched = patches[i].done ? to_jump : patched[i]->patched;
    }
    return result;
}

/* Calls of which ld.so has a site that holds our jump; of several, all must. */
static uint32_t calls_held_in_loader(void)
{
    uint32_t held = 0, missed = 0;

    for (size_t i = 0; i < site_count; i++) {
        const bool holds_jump = memcmp(sites[i].address, sites[i].jump, LINUX_INSN) == 0;

        if (sites[i].object == &objects[LINUX_LOADER]) {
            held |= holds_jump ? sites[i].call->bit : 0;
            missed |= holds_jump ? 0 : sites[i].call->bit;
        }
    }
    return held & ~missed;
}

/* A thread may be in a stub at any time, and then runs this code: what holds it is never unloaded, even if it was not
 * linked with -z nodelete (the library that an embedded copy is a part of). The program itself is not found by its
 * name, and needs it not. */
static void stay_loaded(void)
{
    Dl_info info;
    void *self;

    if (dladdr(sites, &info) != 0 && info.dli_fname != NULL) {
        self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
        if (self != NULL) {
            dlclose(self);
        }
    }
}

#define BIT(id) LINUX_CALL_BIT(LINUX_CALL_##id)

/* What each promise needs of libc, and of ld.so, which maps and unmaps objects by itself. */
static const struct {
    int support;
    uint32_t libc, loader;
} promises[] = {
    { OPAL_MEMORY_MUNMAP_SUPPORT, BIT(MUNMAP) | BIT(MMAP) | BIT(MREMAP) | BIT(MADVISE) | BIT(SHMDT) | BIT(SHMAT),
      BIT(MUNMAP) | BIT(MMAP) },
    { OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT, BIT(MUNMAP) | BIT(MREMAP) | BIT(MADVISE) | BIT(BRK),
      0 },
    { OPAL_MEMORY_MMAP_SUPPORT, BIT(MMAP) | BIT(BRK) | BIT(MREMAP) | BIT(SHMAT), BIT(MMAP) },
};

static int support_of(uint32_t libc, uint32_t loader)
{
    int support = 0;

    for (size_t i = 0; i < sizeof(promises) / sizeof(promises[0]); i++) {
        if ((promises[i].libc & ~libc) == 0 && (promises[i].loader & ~loader) == 0) {
            support |= promises[i].support;
        }
    }
    return support;
}

static uint64_t sees_of(uint32_t calls, int support)
{
    uint64_t sees = OPAL_MEMORY_SEES_BEFORE | OPAL_MEMORY_SEES_LIBC;

    sees |= (calls & BIT(MADVISE)) != 0 ? OPAL_MEMORY_SEES_DISCARD : 0;
    sees |= (calls & BIT(SHMDT)) != 0 && (calls & BIT(SHMAT)) != 0 ? OPAL_MEMORY_SEES_SHM : 0;
    sees |= (support & OPAL_MEMORY_MMAP_SUPPORT) != 0 ? OPAL_MEMORY_SEES_ALLOC : 0;
    return sees;
}

/* Names of the calls in mask, for a message. */
static void list_calls(uint32_t mask, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < LINUX_CALL_COUNT; i++) {
        if ((mask & linux_calls[i].bit) != 0 && used + strlen(linux_calls[i].name) + 3 < size) {
            used +=
                (size_t) snprintf(text + used, size - used, "%s%s", used == 0 ? "" : ", ", linux_calls[i].name);
        }
    }
}

static int say_missed(uint32_t calls)
{
    char missed[128];

    list_calls(~calls, missed, sizeof(missed));
    mca_base_component_set_reason("these calls of libc could not be taken over: %s; memory_linux_disable_sites, "
                                  "another hook library, another copy of this one or valgrind can be why",
                                  missed);
    return OPAL_ERR_NOT_AVAILABLE;
}

int linux_install(uint32_t disabled, int *support, uint64_t *sees)
{
    int result = linux_query();
    int sys_errno = 0;
    uint32_t calls;

    if (result == OPAL_SUCCESS && !holds_all_sites) {
        result = find_sites();
    }
    if (result == OPAL_SUCCESS) {
        result = make_stubs();
    }
    if (result != OPAL_SUCCESS) {
        return result;
    }
    stay_loaded();
    linux_calls_go_live(true);
    if (replace(~disabled, true, &sys_errno) != OPAL_SUCCESS) {
        linux_uninstall();
        return say_cannot("the code of libc.so.6 cannot be changed", sys_errno);
    }
    calls = linux_selftest(sites, site_count);
    *support = support_of(calls, calls_held_in_loader());
    *sees = sees_of(calls, *support);
    holds_all_sites = *support == support_of(UINT32_MAX, UINT32_MAX);
    if ((*support & (OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT)) == 0) {
        linux_uninstall();
        return say_missed(calls);
    }
    linux_guard_begin(sites, site_count);
    return OPAL_SUCCESS;
}

int linux_uninstall(void)
{
    int sys_errno = 0;

    linux_guard_end();
    linux_calls_go_live(false);
    return replace(UINT32_MAX, false, &sys_errno);
}
