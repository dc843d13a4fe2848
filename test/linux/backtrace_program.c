/* SPDX-License-Identifier: BSD-3-Clause */
/* backtrace_program: for debuggers and profilers. Known functions give memory back, and
 * a release callback runs within. Of itself it checks what glibc's backtrace() says
 * there: exit status 1 if a function of its callers is left out. With an argument it
 * gives back so many pages, for a profiler to find it at that. */
#include <dlfcn.h>
#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "opal/opalmem.h"

#define PAGE ((size_t) 4096)
#define DEPTH 64

/* The compiler shall neither merge these functions nor leave by a jump. */
#ifdef __clang__
#define KEEP __attribute__((noinline, visibility("default")))
#else
#define KEEP __attribute__((noipa, visibility("default")))
#endif
#define STAY __asm__ volatile("" : : : "memory")

static volatile int is_complete, is_looking, is_busy;
static volatile unsigned long sum;

/* Functions that must be found, in this order, from the callback on. */
static const char *const callers[] = {
    "on_release",
#ifndef BACKTRACE_INLINE
    "munmap",
#endif
    "give_back",  "in_between", "main",
};
#define CALLERS (sizeof(callers) / sizeof(callers[0]))

static void look(void)
{
    void *addresses[DEPTH];
    const int depth = backtrace(addresses, DEPTH);
    size_t found = 0;

    for (int i = 0; i < depth && found < CALLERS; i++) {
        Dl_info info;

        if (dladdr((char *) addresses[i] - 1, &info) != 0 && info.dli_sname != NULL
            && strstr(info.dli_sname, callers[found]) != NULL) {
            found++;
        }
    }
    is_complete = found == CALLERS;
}

KEEP void on_release(void *buf, size_t length, void *cbdata, bool from_alloc);
void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    if (is_looking) {
        look();
    }
    for (int i = 0; is_busy && i < 2000; i++) {
        sum += (unsigned long) i;
    }
    STAY;
}

KEEP int give_back(void *memory);
int give_back(void *memory)
{
#ifdef BACKTRACE_INLINE /* The site is in this function. */
    long result;

    __asm__ volatile("movl $11, %%eax\n\tsyscall"
                     : "=&a"(result)
                     : "D"(memory), "S"(PAGE)
                     : "rcx", "r11", "memory");
#else
    const int result = munmap(memory, PAGE);
#endif

    STAY;
    return (int) result;
}

KEEP int in_between(void *memory);
int in_between(void *memory)
{
    const int result = give_back(memory);

    STAY;
    return result;
}

KEEP int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
    void *addresses[1];

    backtrace(addresses, 1); /* Loads a library at its first call. */
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        return 2;
    }
    opal_mem_hooks_register_release(on_release, NULL); /* Refused with noop. */
    is_looking = argc == 1;
    is_busy = argc > 1;
    for (long i = 0; i < rounds; i++) {
        if (in_between(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != 0) {
            return 2;
        }
    }
    is_looking = 0;
    return argc > 1 || is_complete ? 0 : 1;
}
