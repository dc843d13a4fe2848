/* SPDX-License-Identifier: BSD-3-Clause */
/* Stacks of threads, which libc discards, unmaps or keeps for the next thread
 * when they end: announced by the threads themselves (linux_interpose.c). */
#ifndef COMPONENTS_LINUX_LINUX_STACKS_H
#define COMPONENTS_LINUX_LINUX_STACKS_H

#include <pthread.h>
#include <stdbool.h>

typedef int (*linux_create_fn_t)(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *),
                                 void *arg);

/** Create a thread by `real` that announces its stack at its end. @return As pthread_create. */
int linux_stacks_create(linux_create_fn_t real, pthread_t *thread, const pthread_attr_t *attributes,
                        void *(*routine)(void *), void *arg);

/** Have the calling thread announce its stack at its end. @return false: not possible. Not from hook context. */
bool linux_stacks_follow(void);

/** Are stacks announced? */
void linux_stacks_go_live(bool live);

#endif
