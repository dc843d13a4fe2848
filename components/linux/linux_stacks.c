/* SPDX-License-Identifier: BSD-3-Clause */
/* Announces the stack of a thread at its end. Threads that are created through
 * us have a cleanup handler around their routine; those that were there before
 * set a key with a destructor when they register memory for the first time. */
#include "components/linux/linux_stacks.h"

#include <errno.h>
#include <malloc.h> /* Not stdlib.h: in old ones, inline functions return floating-point numbers. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/memoryhooks/memory_internal.h"

static atomic_bool is_live;

void linux_stacks_go_live(bool live)
{
    atomic_store(&is_live, live);
}

/* What a thread is to do; its own until it has begun. */
typedef struct start_t {
    void *(*routine)(void *arg);
    void *arg;
} start_t;

typedef struct thread_stack_t {
    void *start;
    size_t size;
} thread_stack_t;

static thread_stack_t find_stack(void)
{
    thread_stack_t stack = { NULL, SIZE_MAX }; /* Unknown: everything. */
    pthread_attr_t attributes;

    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstack(&attributes, &stack.start, &stack.size);
        pthread_attr_destroy(&attributes);
    }
    return stack;
}

/* libc discards or unmaps the stack once the thread has ended, or puts it by for the next thread. */
static void release_stack(void *arg)
{
    const thread_stack_t *stack = arg;

    if (atomic_load_explicit(&is_live, memory_order_acquire)) {
        opal_mem_hooks_release_cause(stack->start, stack->size, true, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
    }
}

/* Threads that were there before us: their stack is announced by the destructor of this key, which a thread sets when it
 * registers memory for the first time. */
static pthread_key_t stack_key;
static pthread_once_t stack_key_once = PTHREAD_ONCE_INIT;
static bool has_stack_key;
static _Thread_local bool is_stack_followed __attribute__((tls_model("initial-exec")));

static void release_own_stack(void *arg)
{
    const thread_stack_t stack = find_stack();

    (void) arg;
    release_stack((void *) &stack);
}

static void make_stack_key(void)
{
    has_stack_key = pthread_key_create(&stack_key, release_own_stack) == 0;
}

bool linux_stacks_follow(void)
{
    if (!is_stack_followed) {
        pthread_once(&stack_key_once, make_stack_key);
        is_stack_followed = has_stack_key && pthread_setspecific(stack_key, &stack_key) == 0;
    }
    return is_stack_followed;
}

/* The last cleanup handler to run: at a return, pthread_exit, or cancellation. */
static void *run_thread(void *arg)
{
    const start_t start = *(start_t *) arg;
    thread_stack_t stack;
    void *result;

    free(arg);
    is_stack_followed = true;
    stack = find_stack();
    pthread_cleanup_push(release_stack, &stack);
    result = start.routine(start.arg);
    pthread_cleanup_pop(1);
    return result;
}

int linux_stacks_create(linux_create_fn_t real, pthread_t *thread, const pthread_attr_t *attributes,
                        void *(*routine)(void *), void *arg)
{
    start_t *start = malloc(sizeof(*start));
    int result;

    if (start == NULL) {
        return EAGAIN;
    }
    *start = (start_t){ routine, arg };
    result = real(thread, attributes, run_thread, start);
    if (result != 0) {
        free(start);
    }
    return result;
}
