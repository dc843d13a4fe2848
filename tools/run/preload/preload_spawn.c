/* SPDX-License-Identifier: BSD-3-Clause */
/* pidfd_spawn and pidfd_spawnp, of glibc 2.39 and later. A file of its own, built where libc has them: programs ask by
 * name whether they are there, and must not be told so by a wrapper of nothing. */
#define _GNU_SOURCE 1
#include <spawn.h>

#include "tools/run/preload/preload.h"

/* As in newer headers. */
int pidfd_spawn(int *pidfd, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
int pidfd_spawnp(int *pidfd, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);

PRELOAD_EXPORT int pidfd_spawn(int *pidfd, const char *path, const posix_spawn_file_actions_t *actions,
                               const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    preload_share_all();
    return preload_libc()->pidfd_spawn(pidfd, path, actions, attr, (void *) argv, (void *) envp);
}

PRELOAD_EXPORT int pidfd_spawnp(int *pidfd, const char *file, const posix_spawn_file_actions_t *actions,
                                const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    preload_share_all();
    return preload_libc()->pidfd_spawnp(pidfd, file, actions, attr, (void *) argv, (void *) envp);
}
