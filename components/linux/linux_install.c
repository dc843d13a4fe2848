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

static bool is_prepared;

int linux_query(void)
{
    if (!linux_has_libc()) {
        mca_base_component_set_reason("libc.so.6 is not loaded: the program is statically linked, or uses "
                                      "another C library");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    return OPAL_SUCCESS;
}

static int say_cannot(const char *what, int sys_errno)
{
    mca_base_component_set_reason(
        "%s: %s. SELinux (execmod, execmem), PR_SET_MDWE together with vm.memfd_noexec, sealed "
        "mappings (mseal) or a seccomp filter can forbid it",
        what, strerror(sys_errno));
    return OPAL_ERR_NOT_AVAILABLE;
}

/* A thread may be in a stub at any time, and then runs this code: what holds it is never unloaded, even if it was not
 * linked with -z nodelete (the library that an embedded copy is a part of). The program itself is not found by its
 * name, and needs it not. */
static void stay_loaded(void)
{
    Dl_info info;
    void *self;

    if (dladdr(linux_texts, &info) != 0 && info.dli_fname != NULL) {
        self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
        if (self != NULL) {
            dlclose(self);
        }
    }
}

/* Sites and stubs. Threads in a stub read them, and the facts, at any time: they stay. */
static int prepare(void)
{
    int sys_errno = 0;
    int result;

    if (!is_prepared) {
        linux_facts_read();
        linux_code_begin();
        linux_lock_prepare();
        is_prepared = true;
    }
    result = linux_search_libc(&sys_errno);
    if (result == OPAL_ERR_OUT_OF_RESOURCE) {
        mca_base_component_set_reason(
            "no memory is free within reach of libc.so.6 or ld.so, or there are too many "
            "places to replace");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    return result == OPAL_SUCCESS ? OPAL_SUCCESS : say_cannot("new code cannot be made executable", sys_errno);
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
    const uint32_t files = BIT(TRUNCATE) | BIT(FTRUNCATE) | BIT(FALLOCATE) | BIT(OPENAT);
    uint64_t sees = OPAL_MEMORY_SEES_BEFORE | OPAL_MEMORY_SEES_LIBC;

    sees |= (calls & BIT(MADVISE)) != 0 ? OPAL_MEMORY_SEES_DISCARD : 0;
    sees |= (calls & BIT(SHMDT)) != 0 && (calls & BIT(SHMAT)) != 0 ? OPAL_MEMORY_SEES_SHM : 0;
    sees |= (calls & files) == files ? OPAL_MEMORY_SEES_FILE : 0;
    sees |= (calls & LINUX_ANY_CALL_BIT) != 0 ? OPAL_MEMORY_SEES_SYSCALL : 0;
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

int linux_install(const linux_options_t *options, int *support, uint64_t *sees)
{
    int result = linux_query();
    int sys_errno = 0;
    uint32_t calls;

    if (result == OPAL_SUCCESS) {
        result = prepare();
    }
    if (result != OPAL_SUCCESS) {
        return result;
    }
    stay_loaded();
    linux_calls_leave_alone(&options->left_alone);
    linux_calls_go_live(true);
    if (linux_texts_replace(&options->left_alone, &sys_errno) != OPAL_SUCCESS) {
        linux_uninstall();
        return say_cannot("the code of libc.so.6 cannot be changed", sys_errno);
    }
    linux_search_others(options->search_limit);
    calls = linux_selftest();
    *support = support_of(calls, linux_texts_held(LINUX_LOADER));
    *sees = sees_of(calls, *support);
    if ((*support & (OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT)) == 0) {
        linux_uninstall();
        return say_missed(calls);
    }
    linux_guard_begin(calls);
    return OPAL_SUCCESS;
}

int linux_uninstall(void)
{
    int sys_errno = 0;

    linux_guard_end();
    linux_calls_go_live(false);
    return linux_texts_restore(&sys_errno);
}
