/* SPDX-License-Identifier: BSD-3-Clause */
/* Proves which calls reach a stub, by calls to libc that the kernel refuses,
 * counted on this thread only. The functions are libc's own: in a program with
 * an interposer (a sanitizer, another hook library) the plain name may be his.
 * What libc does inside runs through the same code; ld.so's copies cannot be
 * called, and are read back instead (linux_install.c). */
#include "components/linux/linux.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* An address that is not page aligned: refused by each of these calls. */
#define NOWHERE ((void *) 1)

typedef void (*function_t)(void);

static void call_mmap(function_t function)
{
    ((void *(*) (void *, size_t, int, int, int, off_t)) function)(NULL, 0, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                                                                  -1, 0);
}

static void call_munmap(function_t function)
{
    ((int (*)(void *, size_t)) function)(NOWHERE, 0);
}

static void call_mremap(function_t function)
{
    ((void *(*) (void *, size_t, size_t, int, ...)) function)(NOWHERE, 0, 0, 0);
}

static void call_madvise(function_t function)
{
    ((int (*)(void *, size_t, int)) function)(NOWHERE, 0, MADV_NORMAL);
}

static void call_shmat(function_t function)
{
    ((void *(*) (int, const void *, int) ) function)(-1, NULL, 0);
}

static void call_shmdt(function_t function)
{
    ((int (*)(const void *)) function)(NOWHERE);
}

/* Not mprotect and remap_file_pages: no promise depends on them, and the kernel logs each process that uses the second. */
static void (*const tests[LINUX_CALL_COUNT])(function_t function) = {
    [LINUX_CALL_MMAP] = call_mmap,       [LINUX_CALL_MUNMAP] = call_munmap, [LINUX_CALL_MREMAP] = call_mremap,
    [LINUX_CALL_MADVISE] = call_madvise, [LINUX_CALL_SHMAT] = call_shmat,   [LINUX_CALL_SHMDT] = call_shmdt,
};

static function_t find_function(void *libc, const char *name)
{
    void *symbol = dlsym(libc, name);
    function_t function = NULL;

    memcpy(&function, &symbol, sizeof(function));
    return function;
}

/* brk is called only if its site is at the head of the function: otherwise somebody has replaced it,
 * and the call might go through to the kernel (see linux_calls_probe_brk()). */
static void test_brk(function_t function, const linux_site_t *sites, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uintptr_t distance = (uintptr_t) sites[i].address - (uintptr_t) function;

        if (sites[i].patched && sites[i].call == &linux_calls[LINUX_CALL_BRK] && distance < 32) {
            linux_calls_probe_brk((int (*)(void *)) function);
            return;
        }
    }
}

uint32_t linux_selftest(const linux_site_t *sites, size_t count)
{
    const int saved_errno = errno;
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    uint32_t seen;

    if (libc == NULL) {
        return 0;
    }
    linux_calls_take_arrivals();
    for (size_t i = 0; i < LINUX_CALL_COUNT; i++) {
        const function_t function = find_function(libc, linux_calls[i].name);

        if (function != NULL && i == LINUX_CALL_BRK) {
            test_brk(function, sites, count);
        } else if (function != NULL && tests[i] != NULL) {
            tests[i](function);
        }
    }
    seen = linux_calls_take_arrivals();
    dlclose(libc);
    errno = saved_errno;
    return seen;
}
