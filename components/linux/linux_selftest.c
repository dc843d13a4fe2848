/* SPDX-License-Identifier: BSD-3-Clause */
/* Proves which calls reach a stub, by calls to libc that the kernel refuses,
 * counted on this thread only. The functions are libc's own: in a program with
 * an interposer (a sanitizer, another hook library) the plain name may be his.
 * Where another library has replaced a function's code, its hook is run, too,
 * and what arrives is the call that the hook makes. What libc does inside runs
 * through the same code; ld.so's copies cannot be called, and are read back
 * instead (linux_texts_held()). */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "components/linux/linux.h"
#include "components/linux/linux_sys.h"

/* An address that is not page aligned, and not mapped: refused by each of these calls. */
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

static void call_process_madvise(function_t function)
{
    ((ssize_t(*)(int, const void *, size_t, int, unsigned)) function)(-1, NULL, 0, MADV_NORMAL, 0);
}

static void call_truncate(function_t function)
{
    ((int (*)(const char *, off_t)) function)("", 0);
}

static void call_ftruncate(function_t function)
{
    ((int (*)(int, off_t)) function)(-1, 0);
}

static void call_fallocate(function_t function)
{
    ((int (*)(int, int, off_t, off_t)) function)(-1, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1);
}

static void call_open(function_t function)
{
    ((int (*)(const char *, int, ...)) function)("", O_WRONLY | O_TRUNC);
}

static void call_openat(function_t function)
{
    ((int (*)(int, const char *, int, ...)) function)(-1, "", O_WRONLY | O_TRUNC);
}

static void call_creat(function_t function)
{
    ((int (*)(const char *, mode_t)) function)("", 0);
}

static void call_ioctl(function_t function)
{
    uint64_t nothing[5] = { 0 }; /* As large as the structure that belongs there. */

    ((int (*)(int, unsigned long, ...)) function)(-1, LINUX_UFFDIO_MOVE, nothing);
}

static void call_mprotect(function_t function)
{
    ((int (*)(void *, size_t, int)) function)(NOWHERE, 0, PROT_NONE);
}

/* Not remap_file_pages: no promise depends on it, and the kernel logs each process that uses it. libc has no openat2. */
static const struct {
    const char *name;
    void (*call)(function_t function);
} tests[LINUX_CALL_COUNT] = {
    [LINUX_CALL_MMAP] = { "mmap", call_mmap },
    [LINUX_CALL_MUNMAP] = { "munmap", call_munmap },
    [LINUX_CALL_BRK] = { "brk", NULL },
    [LINUX_CALL_MREMAP] = { "mremap", call_mremap },
    [LINUX_CALL_MADVISE] = { "madvise", call_madvise },
    [LINUX_CALL_SHMAT] = { "shmat", call_shmat },
    [LINUX_CALL_SHMDT] = { "shmdt", call_shmdt },
    [LINUX_CALL_PROCESS_MADVISE] = { "process_madvise", call_process_madvise },
    [LINUX_CALL_TRUNCATE] = { "truncate", call_truncate },
    [LINUX_CALL_FTRUNCATE] = { "ftruncate", call_ftruncate },
    [LINUX_CALL_FALLOCATE] = { "fallocate", call_fallocate },
    [LINUX_CALL_OPEN] = { "open", call_open },
    [LINUX_CALL_OPENAT] = { "openat", call_openat },
    [LINUX_CALL_CREAT] = { "creat", call_creat },
    [LINUX_CALL_IOCTL] = { "ioctl", call_ioctl },
    [LINUX_CALL_MPROTECT] = { "mprotect", call_mprotect },
};

static function_t find_function(const char *name)
{
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void *symbol = libc != NULL && name != NULL ? dlsym(libc, name) : NULL;
    function_t function = NULL;

    if (libc != NULL) {
        dlclose(libc);
    }
    memcpy(&function, &symbol, sizeof(function));
    return function;
}

const uint8_t *linux_selftest_function(linux_call_id_t id)
{
    const function_t function = find_function(tests[id].name);
    const uint8_t *code;

    memcpy(&code, &function, sizeof(code));
    return code;
}

/* ---- brk ----------------------------------------------------------------------------------------- */

static bool is_own_brk_at(const uint8_t *function)
{
    const size_t count = atomic_load(&linux_text_count);

    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; linux_texts[i].kind == LINUX_LIBC && k < linux_texts[i].site_count; k++) {
            const linux_site_t *site = &linux_texts[i].sites[k];

            if (site->patched && site->call == &linux_calls[LINUX_CALL_BRK]
                && (uintptr_t) site->address - (uintptr_t) function < 32) {
                return true;
            }
        }
    }
    return false;
}

/* Where a jump at the head of a function of libc leads to; NULL: there is none. */
static const uint8_t *hook_of(const char *name)
{
    const function_t function = find_function(name);
    const uint8_t *code;

    memcpy(&code, &function, sizeof(code));
    return code != NULL ? linux_code_follow(code) : NULL;
}

/* The object that code belongs to; NULL: none. */
static const void *owner_of(const uint8_t *code)
{
    Dl_info info;

    return code != NULL && dladdr(code, &info) != 0 ? info.dli_fbase : NULL;
}

/* Is there a site of brk? One that we have replaced looks like none. */
static bool has_bare_brk(const uint8_t *code, size_t size)
{
    linux_found_t found[LINUX_FIND_AT_ONCE];

    for (size_t at = 0; at < size;) {
        const size_t count = linux_find_sites(code, size, at, found, LINUX_FIND_AT_ONCE, &at);

        for (size_t i = 0; i < count; i++) {
            if (found[i].call == &linux_calls[LINUX_CALL_BRK]) {
                return true;
            }
        }
    }
    return false;
}

/* @return 1: arg is code of this object, which has a site of brk in the same segment. */
static int look_for_bare_brk(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void) size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        const uint8_t *start = (const uint8_t *) (info->dlpi_addr + segment->p_vaddr);

        if (segment->p_type == PT_LOAD && (segment->p_flags & (PF_R | PF_X)) == (PF_R | PF_X)
            && (uintptr_t) arg - (uintptr_t) start < segment->p_memsz) {
            return has_bare_brk(start, segment->p_memsz) ? 1 : 0;
        }
    }
    return 0;
}

/* UCX makes brk by an instruction of its own, where it makes other calls by syscall(2). */
static bool goes_past_us(const uint8_t *hook)
{
    return hook != NULL && dl_iterate_phdr(look_for_bare_brk, (void *) (uintptr_t) hook) != 0;
}

/* brk is called only if its site is at the head of the function (see linux_calls_probe_brk()): the hook of somebody else
 * would go through to the kernel. It is believed to do as the same library's hook of munmap, which can be called, unless
 * the library has a site of its own that is not replaced (it may not have been searched). */
static uint32_t test_brk(uint32_t arrived)
{
    const function_t function = find_function("brk");
    const uint32_t bit = linux_calls[LINUX_CALL_BRK].bit;
    const uint8_t *code = linux_selftest_function(LINUX_CALL_BRK);
    const uint8_t *hook = hook_of("brk");
    const void *owner = owner_of(hook);

    if (code == NULL || goes_past_us(hook_of("sbrk"))) {
        return 0;
    }
    if (is_own_brk_at(code)) {
        return linux_calls_probe_brk((int (*)(void *)) function) ? bit : 0;
    }
    return owner != NULL && owner == owner_of(hook_of("munmap"))
                   && (arrived & linux_calls[LINUX_CALL_MUNMAP].bit) != 0 && !goes_past_us(hook)
               ? bit
               : 0;
}

/* ---- All ----------------------------------------------------------------------------------------- */

static uint32_t test_syscall(void)
{
    const function_t function = find_function("syscall");

    if (function != NULL) {
        ((long (*)(long, ...)) function)(SYS_munmap, NOWHERE, (size_t) 0);
    }
    return linux_calls_take_arrivals() & LINUX_ANY_CALL_BIT;
}

uint32_t linux_selftest(void)
{
    const int saved_errno = errno;
    uint32_t seen = 0;

    linux_calls_take_arrivals();
    for (size_t i = 0; i < LINUX_CALL_COUNT; i++) {
        const function_t function = tests[i].call != NULL ? find_function(tests[i].name) : NULL;

        if (function != NULL) {
            tests[i].call(function);
        }
    }
    seen = linux_calls_take_arrivals() & ~LINUX_ANY_CALL_BIT;
    seen |= test_brk(seen);
    linux_calls_take_arrivals();
    seen |= test_syscall();
    errno = saved_errno;
    return seen;
}
