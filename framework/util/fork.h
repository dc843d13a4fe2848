/* SPDX-License-Identifier: BSD-3-Clause */
/* Notices that this process is a fork child, by pthread_atfork and, for forks
 * that go around libc, by a page that the kernel wipes in the child. A vfork or
 * CLONE_VM child shares the memory and is not a fork child here. */
#ifndef FRAMEWORK_UTIL_FORK_H
#define FRAMEWORK_UTIL_FORK_H

#include <stdint.h>

/** Install the handlers, once for the life of the process. @retval OPAL_SUCCESS / OPAL_ERR_OUT_OF_RESOURCE */
int opal_fork_start(void);

/** Number of forks between the process that started the library and this one.
 *
 * The first call in a child also frees what other threads of the parent held at the fork (locks, windows).
 * Hook context.
 */
uint64_t opal_fork_generation(void);

#endif
