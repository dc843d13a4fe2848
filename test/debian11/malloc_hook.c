/* SPDX-License-Identifier: BSD-3-Clause */
/* A program of before glibc 2.34 that has malloc hooks: they serve it beside
 * our events as they do without us. And the reason why our events do not come
 * from such hooks: how many calls of several threads they miss. Built and run
 * by check-debian11.sh only. */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "opal/memoryhooks/memory.h"
#include "opal/opalmem.h"

#define THREADS 4
#define CALLS 200000

static void *(*old_malloc)(size_t size, const void *caller);
static void (*old_free)(void *block, const void *caller);
static atomic_int hook_mallocs, hook_frees, told_mallocs, told_frees;

/* ---- Hooks as glibc's manual shows them ----------------------------------------------------------- */

static void *on_malloc(size_t size, const void *caller);
static void on_free(void *block, const void *caller);

static void set_hooks(void)
{
    __malloc_hook = on_malloc;
    __free_hook = on_free;
}

static void take_hooks_away(void)
{
    __malloc_hook = old_malloc;
    __free_hook = old_free;
}

static void *on_malloc(size_t size, const void *caller)
{
    void *block;

    (void) caller;
    take_hooks_away();
    block = malloc(size);
    atomic_fetch_add(&hook_mallocs, 1);
    set_hooks();
    return block;
}

static void on_free(void *block, const void *caller)
{
    (void) caller;
    take_hooks_away();
    free(block);
    atomic_fetch_add(&hook_frees, block != NULL);
    set_hooks();
}

/* ---- What is allocated ------------------------------------------------------------------------------ */

static void allocate(int count)
{
    for (int i = 0; i < count; i++) {
        void *block = malloc(64);

        __asm__ volatile("" : "+r"(block) : : "memory");
        free(block);
    }
}

static void *allocate_in_thread(void *arg)
{
    allocate(CALLS);
    return arg;
}

static void run_threads(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, allocate_in_thread, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void on_alloc_event(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    atomic_fetch_add(&told_mallocs, 1);
}

static void on_release_event(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    atomic_fetch_add(&told_frees, 1);
}

static void forget(void)
{
    atomic_store(&hook_mallocs, 0);
    atomic_store(&hook_frees, 0);
    atomic_store(&told_mallocs, 0);
    atomic_store(&told_frees, 0);
}

static bool expect(const char *what, bool is_right)
{
    printf("%s: %s; hooks of the program %d and %d, our events %d and %d\n", is_right ? "ok" : "WRONG", what,
           atomic_load(&hook_mallocs), atomic_load(&hook_frees), atomic_load(&told_mallocs),
           atomic_load(&told_frees));
    return is_right;
}

/* Hooks that were there before us, with and without malloc-level events. */
static bool check_beside_us(bool with_events)
{
    bool is_right;

    setenv("OPALMEM_MCA_memory_linux_malloc_events", with_events ? "1" : "0", 1);
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        return expect("the library starts", false);
    }
    is_right = ((opal_mem_hooks_support_level() & OPAL_MEMORY_MALLOC_SUPPORT) != 0) == with_events
               && (opal_mem_hooks_support_level() & OPAL_MEMORY_FREE_SUPPORT) != 0;
    is_right &= opal_mem_hooks_register_alloc(on_alloc_event, NULL) == OPAL_SUCCESS;
    is_right &= opal_mem_hooks_register_release(on_release_event, NULL) == OPAL_SUCCESS;
    forget();
    allocate(1000);
    is_right &= hook_mallocs == 1000 && hook_frees == 1000 && __malloc_hook == on_malloc && __free_hook == on_free;
    /* The program's call is told, and so is the one that its hook makes. */
    is_right &= with_events ? told_mallocs == 2000 && told_frees == 2000 : told_mallocs + told_frees == 0;
    is_right =
        expect(with_events ? "1000 blocks, with malloc events" : "1000 blocks, without malloc events", is_right);
    opalmem_finalize();
    forget();
    allocate(1000);
    is_right &= hook_mallocs == 1000 && hook_frees == 1000 && told_mallocs + told_frees == 0;
    return expect("1000 blocks, after the end", is_right);
}

/* Ours are all there; those of the hooks are not. */
static bool compare_in_threads(void)
{
    bool is_right;

    setenv("OPALMEM_MCA_memory_linux_malloc_events", "1", 1);
    opalmem_init(NULL, NULL);
    opal_mem_hooks_register_alloc(on_alloc_event, NULL);
    opal_mem_hooks_register_release(on_release_event, NULL);
    forget();
    run_threads();
    is_right = told_mallocs >= THREADS * CALLS + hook_mallocs && told_frees >= THREADS * CALLS + hook_frees;
    is_right = expect("4 threads of 200000 blocks", is_right);
    printf("hooks of the pattern \"uninstall, call, install\" missed %.1f %% of the mallocs\n",
           100.0 * (THREADS * CALLS - hook_mallocs) / (THREADS * CALLS));
    opalmem_finalize();
    return is_right;
}

int main(void)
{
    bool is_right;

    old_malloc = __malloc_hook;
    old_free = __free_hook;
    set_hooks();
    is_right = check_beside_us(false);
    is_right &= check_beside_us(true);
    is_right &= compare_in_threads();
    take_hooks_away();
    return is_right ? EXIT_SUCCESS : EXIT_FAILURE;
}
