/* SPDX-License-Identifier: BSD-3-Clause */
/* Loaded behind the preload library, in front of libc and liburing: what this libc may lack (pidfd_spawn, glibc 2.39), and
 * a stop while the library makes its ring, so that a test can do something at that very moment. */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <liburing.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* ---- glibc 2.39 ------------------------------------------------------------------------------------- */

typedef int spawn_fn_t(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);

int pidfd_spawn(int *pidfd, const char *path, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
int pidfd_spawnp(int *pidfd, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);

/* Not by way of the wrapper of posix_spawn, which libc's own does not use, either. */
static int spawn(const char *name, int *pidfd, const char *path, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    spawn_fn_t *real;
    pid_t pid;
    *(void **) &real = dlsym(RTLD_NEXT, name);
    const int rc = real(&pid, path, actions, attr, argv, envp);
    if (rc == 0) {
        *pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
    }
    return rc;
}

EXPORT int pidfd_spawn(int *pidfd, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    return spawn("posix_spawn", pidfd, path, actions, attr, argv, envp);
}

EXPORT int pidfd_spawnp(int *pidfd, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    return spawn("posix_spawnp", pidfd, file, actions, attr, argv, envp);
}

/* ---- A stop ----------------------------------------------------------------------------------------- */

/* The scene's own function, which it may set. */
EXPORT void (*fake_while_starting)(void);

EXPORT int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    int (*real)(unsigned, struct io_uring *, unsigned);
    void (*stop)(void) = __atomic_exchange_n(&fake_while_starting, NULL, __ATOMIC_ACQ_REL);

    *(void **) &real = dlsym(RTLD_NEXT, "io_uring_queue_init");
    if (stop != NULL) {
        stop();
    }
    return real(entries, ring, flags);
}
