/* SPDX-License-Identifier: BSD-3-Clause */
/* The source "stack": a thread with a stack large enough makes a buffer there,
 * waits while the peer uses it, and ends. The C library drops the pages of a
 * stack when its thread ends and gives it to the next thread, or unmaps it. */
#include <alloca.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "tools/msg/msg_sources.h"

/* Beside the buffer: frames, and the thread-local variables of all libraries, which the C library puts
 * there too. TSan's alone take 0.8 MiB. */
#define STACK_EXTRA ((size_t) 1 << 20)

typedef struct stack_owner_t {
    pthread_t thread;
    sem_t ready;
    sem_t done;
    size_t capacity;
    unsigned char *addr; /* Written before ready is posted, read after. */
} stack_owner_t;

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0 && errno == EINTR) {
    }
}

static void *stack_thread(void *arg)
{
    stack_owner_t *owner = arg;

    /* A variable-length array would end with its block. */
    /* cppcheck-suppress allocaCalled */
    owner->addr = alloca(owner->capacity);
    sem_post(&owner->ready);
    wait_for(&owner->done);
    return NULL;
}

static bool start_thread(stack_owner_t *owner)
{
    size_t size = (owner->capacity + STACK_EXTRA + 0xffff) & ~(size_t) 0xffff;
    pthread_attr_t attributes;
    bool started;

    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    started = pthread_attr_setstacksize(&attributes, size) == 0
              && pthread_create(&owner->thread, &attributes, stack_thread, owner) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

static void free_owner(stack_owner_t *owner)
{
    sem_destroy(&owner->ready);
    sem_destroy(&owner->done);
    free(owner);
}

bool msg_source_stack_acquire(msg_sources_t *sources, size_t capacity, msg_buffer_t *buffer)
{
    stack_owner_t *owner = malloc(sizeof(*owner));

    (void) sources;
    if (owner == NULL) {
        return false;
    }
    sem_init(&owner->ready, 0, 0);
    sem_init(&owner->done, 0, 0);
    owner->capacity = capacity;
    if (!start_thread(owner)) {
        free_owner(owner);
        return false;
    }
    wait_for(&owner->ready);
    buffer->addr = owner->addr;
    buffer->capacity = capacity;
    buffer->owner = owner;
    return true;
}

bool msg_source_stack_release(msg_sources_t *sources, msg_buffer_t *buffer)
{
    stack_owner_t *owner = buffer->owner;

    (void) sources;
    sem_post(&owner->done);
    errno = pthread_join(owner->thread, NULL);
    if (errno != 0) {
        return false;
    }
    free_owner(owner);
    return true;
}
