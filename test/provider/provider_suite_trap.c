/* SPDX-License-Identifier: BSD-3-Clause */
/* Conformance suite: allocations and locks of this process go through here, are
 * counted where that was asked for, and fail on demand. A program that is
 * built with a sanitizer has other people's allocator: nothing is trapped. */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "provider_suite_internal.h"

static _Thread_local bool trapping;
static _Thread_local suite_trapped_t trapped;
static _Thread_local long fail_in;
static _Thread_local bool has_failed;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define TRAP_WORKS false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define TRAP_WORKS false
#endif
#endif
#ifndef TRAP_WORKS
#define TRAP_WORKS true
#define TRAP_ALLOCATOR
#endif

bool suite_trap_works(void)
{
    return TRAP_WORKS;
}

void suite_trap_begin(void)
{
    trapped = (suite_trapped_t){ 0, 0 };
    trapping = true;
}

suite_trapped_t suite_trap_end(void)
{
    trapping = false;
    return trapped;
}

void suite_fail_allocation(long nth)
{
    fail_in = nth;
    has_failed = false;
}

bool suite_allocation_failed(void)
{
    return has_failed;
}

#ifdef TRAP_ALLOCATOR

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

static bool allocation_may_go_on(void)
{
    trapped.allocations += trapping;
    if (fail_in > 0 && --fail_in == 0) {
        has_failed = true;
        errno = ENOMEM;
        return false;
    }
    return true;
}

void *malloc(size_t size)
{
    return allocation_may_go_on() ? __libc_malloc(size) : NULL;
}

void *calloc(size_t count, size_t size)
{
    return allocation_may_go_on() ? __libc_calloc(count, size) : NULL;
}

void *realloc(void *memory, size_t size)
{
    return allocation_may_go_on() ? __libc_realloc(memory, size) : NULL;
}

void *memalign(size_t alignment, size_t size)
{
    return allocation_may_go_on() ? __libc_memalign(alignment, size) : NULL;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    void *got = memalign(alignment, size);
    if (got == NULL) {
        return ENOMEM;
    }
    *memory = got;
    return 0;
}

void free(void *memory)
{
    trapped.allocations += trapping && memory != NULL;
    __libc_free(memory);
}

typedef int (*lock_fn_t)(void *lock);

static int lock_next(_Atomic(lock_fn_t) *next, const char *name, void *lock)
{
    trapped.locks += trapping;
    lock_fn_t function = *next;
    if (function == NULL) {
        function = (lock_fn_t) dlsym(RTLD_NEXT, name);
        *next = function;
    }
    return function(lock);
}

#define TRAP_LOCK(name, type)                                      \
    int name(type *lock)                                           \
    {                                                              \
        static _Atomic(lock_fn_t) next;                            \
        return lock_next(&next, #name, (void *) (uintptr_t) lock); \
    }

TRAP_LOCK(pthread_mutex_lock, pthread_mutex_t)
TRAP_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
TRAP_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
TRAP_LOCK(pthread_spin_lock, volatile int)

#endif
