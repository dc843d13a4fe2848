/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: libraries that come and go, and what libc does with stacks. */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <string.h>

#include "tools/coverage/scenes.h"

typedef int munmap_fn_t(void *start, size_t length);

/* ---- Libraries -------------------------------------------------------------------------------- */

static void release_by_helper(int flags)
{
    void *handle = scene_helper_load(flags);
    munmap_fn_t *function = (munmap_fn_t *) scene_helper_symbol(handle, "helper_munmap");
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(function(memory, 4 * PAGE) == 0, "munmap in a library");
    coverage_end();
}

void scene_dlopen_munmap(void)
{
    release_by_helper(RTLD_NOW);
}

/* It looks its symbols up in what it is linked to, before the rest of the program. */
void scene_dlopen_deepbind(void)
{
    release_by_helper(RTLD_NOW | RTLD_DEEPBIND);
}

/* With a libc of its own. */
void scene_dlmopen_munmap(void)
{
    release_by_helper(SCENE_OWN_NAMESPACE);
}

/* ld.so unmaps it by a call of its own. */
void scene_dlclose(void)
{
    void *handle = scene_helper_load(RTLD_NOW);
    char *data = scene_helper_symbol(handle, "helper_data");
    char *first = (char *) (((uintptr_t) data + PAGE - 1) & ~(PAGE - 1));

    for (size_t i = 0; i < 8; i++) {
        first[i * PAGE] = 'x'; /* Else it is the kernel's choice whether the page is there. */
    }
    coverage_expect(0, first, 8 * PAGE);
    coverage_begin();
    coverage_need(dlclose(handle) == 0, "dlclose");
    coverage_end();
}

/* ---- Stacks ------------------------------------------------------------------------------------- */

#define STACK_OF_LIBC ((size_t) 8 << 20)  /* libc keeps some of these for later threads ... */
#define STACK_TOO_BIG ((size_t) 64 << 20) /* ... up to 40 MiB in all. */
#define TOUCHED ((size_t) 64 * COVERAGE_PAGE)
#define KEPT_AT_TOP ((size_t) 16 * COVERAGE_PAGE) /* More than libc keeps below the stack pointer. */

/* Touch some pages deep in the stack, and come back. */
__attribute__((noinline)) static void touch_stack(char **start)
{
    volatile char buffer[TOUCHED];

    for (size_t i = 0; i < TOUCHED; i += 64) {
        buffer[i] = 'x';
    }
    *start = (char *) (((uintptr_t) buffer + PAGE - 1) & ~(PAGE - 1));
}

static void *use_stack(void *arg)
{
    char *start;

    touch_stack(&start);
    coverage_expect(0, start, TOUCHED - KEPT_AT_TOP);
    coverage_begin();
    return arg;
}

static void start_thread(pthread_t *thread, size_t stack, void *(*function)(void *arg))
{
    pthread_attr_t attributes;

    coverage_need(pthread_attr_init(&attributes) == 0, "pthread_attr_init");
    coverage_need(pthread_attr_setstacksize(&attributes, stack) == 0, "pthread_attr_setstacksize");
    coverage_need(pthread_create(thread, &attributes, function, NULL) == 0, "pthread_create");
    pthread_attr_destroy(&attributes);
}

static void end_of_stack(size_t stack)
{
    pthread_t thread;

    start_thread(&thread, stack, use_stack);
    coverage_need(pthread_join(thread, NULL) == 0, "pthread_join");
    coverage_end();
}

void scene_stack_munmap(void)
{
    end_of_stack(STACK_TOO_BIG);
}

/* It is kept, but for its content. */
void scene_stack_dontneed(void)
{
    end_of_stack(STACK_OF_LIBC);
}

/* ---- Stacks that are kept go when there are too many ---------------------------------------------- */

#define CROWD 8

static pthread_barrier_t all_run;
static char *first_stack;

/* Of the page of the thread's own data, which lie at the stack's end, and which libc does not clear when the
 * thread is over. */
static void *note_stack(void *arg)
{
    first_stack = (char *) ((uintptr_t) &errno & ~(PAGE - 1));
    return arg;
}

static void *stand_in_crowd(void *arg)
{
    pthread_barrier_wait(&all_run);
    return arg;
}

/* The oldest go first: that of the thread that was joined before the others. Until then it is not used again. */
void scene_stack_cache(void)
{
    pthread_t first, crowd[CROWD];

    start_thread(&first, STACK_OF_LIBC, note_stack);
    coverage_need(pthread_barrier_init(&all_run, NULL, CROWD) == 0, "pthread_barrier_init");
    for (int i = 0; i < CROWD; i++) {
        start_thread(&crowd[i], STACK_OF_LIBC, stand_in_crowd);
    }
    coverage_need(pthread_join(first, NULL) == 0, "pthread_join");
    coverage_expect(0, first_stack, PAGE);
    coverage_begin();
    for (int i = 0; i < CROWD; i++) {
        coverage_need(pthread_join(crowd[i], NULL) == 0, "pthread_join");
    }
    coverage_end();
}
