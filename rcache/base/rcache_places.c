/* SPDX-License-Identifier: BSD-3-Clause */
/* Implements rcache_places.h. The loader is asked for names: it takes its lock, so none of this is for hooks. */
#include "rcache/base/rcache_places.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#define PLACES 256

/* Filled from the front by whoever finds a place first, and never emptied: no lock that a fork child could find taken. 0: free. */
static _Atomic uintptr_t places[PLACES];

static void *object_of(uintptr_t address)
{
    Dl_info info;
    return dladdr((void *) address, &info) != 0 ? info.dli_fbase : NULL;
}

/* Linked into the program itself, this library has no object of its own. */
static void *own_object(void)
{
    void *own = object_of((uintptr_t) &places);
    return own != object_of((uintptr_t) getauxval(AT_PHDR)) ? own : NULL;
}

static uint32_t first_foreign(const mca_rcache_stack_t *stack)
{
    const void *own = own_object();
    uint32_t i = 0;

    while (own != NULL && i < stack->depth && object_of(stack->frame[i].ip - 1) == own) {
        i++;
    }
    return i < stack->depth ? i : 0;
}

/* All frames together, where no frame can be told to be the program's. */
static uintptr_t whole(const mca_rcache_stack_t *stack)
{
    uintptr_t sum = 0;

    for (uint32_t i = 0; i < stack->depth; i++) {
        sum = (sum ^ stack->frame[i].ip) * (uintptr_t) UINT64_C(0x9e3779b97f4a7c15);
    }
    return sum;
}

static uintptr_t place_of(const mca_rcache_stack_t *stack)
{
    const void *libc = object_of((uintptr_t) gnu_get_libc_version), *allocator = object_of((uintptr_t) free);
    uint32_t i = first_foreign(stack);

    for (; own_object() != NULL && i < stack->depth; i++) {
        const void *object = object_of(stack->frame[i].ip - 1);
        if (object != libc && object != allocator) {
            return stack->frame[i].ip;
        }
    }
    return whole(stack);
}

mca_rcache_place_t mca_rcache_place_note(const mca_rcache_stack_t *stack)
{
    const uintptr_t place = place_of(stack) | (uintptr_t) 1 << (sizeof(uintptr_t) * CHAR_BIT - 1); /* Never 0. */

    for (size_t i = 0; i < PLACES; i++) {
        uintptr_t held = atomic_load(&places[i]);

        if (held == 0 && atomic_compare_exchange_strong(&places[i], &held, place)) {
            return MCA_RCACHE_PLACE_NEW;
        }
        if (held == place) {
            return MCA_RCACHE_PLACE_KNOWN;
        }
    }
    return MCA_RCACHE_PLACE_LOST;
}

static int describe_frame(uintptr_t ip, char *text, size_t size)
{
    Dl_info info;

    if (dladdr((void *) (ip - 1), &info) == 0 || info.dli_fname == NULL) {
        return snprintf(text, size, "\n    0x%zx", (size_t) ip);
    }
    const size_t offset = ip - (uintptr_t) info.dli_fbase;
    if (info.dli_sname == NULL) {
        return snprintf(text, size, "\n    %s(+0x%zx)", info.dli_fname, offset);
    }
    return snprintf(text, size, "\n    %s(+0x%zx) %s+0x%zx", info.dli_fname, offset, info.dli_sname,
                    (size_t) (ip - (uintptr_t) info.dli_saddr));
}

char *mca_rcache_place_describe(const mca_rcache_stack_t *stack, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t i = first_foreign(stack); i < stack->depth; i++) {
        const int length = describe_frame(stack->frame[i].ip, text + used, size - used);
        if (length < 0 || (size_t) length >= size - used) {
            text[used] = '\0'; /* Whole lines. */
            break;
        }
        used += (size_t) length;
    }
    return text;
}
