/* SPDX-License-Identifier: BSD-3-Clause */
/* Wrappers that only note something and leave the work to libc: where descriptors come from and go to, and what makes
 * the cache's way unusable (seccomp, protection of pages).
 *
 * preload_shares is read before a descriptor is opened: one that is opened while another thread forks is not proven. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <wordexp.h>

#include "tools/run/preload/preload.h"

/* fortify's names, which no header declares. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int folder, const char *path, int flags);
int __openat64_2(int folder, const char *path, int flags);

/* ---- Descriptors that come and go ---------------------------------------------------------------- */

/* In a child that has not been noticed, it would be the parent's. */
static uint64_t shares_now(void)
{
    preload_is_own_process();
    return atomic_load(&preload_shares);
}

static mode_t mode_of(int flags, va_list list)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
}

static int open_at(int folder, const char *path, int flags, mode_t mode)
{
    const uint64_t shares = shares_now();

    return preload_descriptor_opened(preload_libc()->openat64(folder, path, flags, mode), shares);
}

static int open_here(const char *path, int flags, mode_t mode)
{
    const uint64_t shares = shares_now();

    return preload_descriptor_opened(preload_libc()->open64(path, flags, mode), shares);
}

PRELOAD_EXPORT int open64(const char *path, int flags, ...)
{
    va_list list;
    mode_t mode;

    va_start(list, flags);
    mode = mode_of(flags, list);
    va_end(list);
    return open_here(path, flags, mode);
}

PRELOAD_EXPORT int open(const char *path, int flags, ...)
{
    va_list list;
    mode_t mode;

    va_start(list, flags);
    mode = mode_of(flags, list);
    va_end(list);
    return open_here(path, flags, mode);
}

PRELOAD_EXPORT int openat64(int folder, const char *path, int flags, ...)
{
    va_list list;
    mode_t mode;

    va_start(list, flags);
    mode = mode_of(flags, list);
    va_end(list);
    return open_at(folder, path, flags, mode);
}

PRELOAD_EXPORT int openat(int folder, const char *path, int flags, ...)
{
    va_list list;
    mode_t mode;

    va_start(list, flags);
    mode = mode_of(flags, list);
    va_end(list);
    return open_at(folder, path, flags, mode);
}

PRELOAD_EXPORT int __open64_2(const char *path, int flags)
{
    const uint64_t shares = shares_now();

    return preload_descriptor_opened(preload_libc()->open64_2(path, flags), shares);
}

PRELOAD_EXPORT int __open_2(const char *path, int flags)
{
    return __open64_2(path, flags);
}

PRELOAD_EXPORT int __openat64_2(int folder, const char *path, int flags)
{
    const uint64_t shares = shares_now();

    return preload_descriptor_opened(preload_libc()->openat64_2(folder, path, flags), shares);
}

PRELOAD_EXPORT int __openat_2(int folder, const char *path, int flags)
{
    return __openat64_2(folder, path, flags);
}

PRELOAD_EXPORT int creat64(const char *path, mode_t mode)
{
    const uint64_t shares = shares_now();

    return preload_descriptor_opened(preload_libc()->creat64(path, mode), shares);
}

PRELOAD_EXPORT int creat(const char *path, mode_t mode)
{
    return creat64(path, mode);
}

PRELOAD_EXPORT int close(int fd)
{
    preload_descriptor_forget(fd);
    return preload_libc()->close(fd);
}

PRELOAD_EXPORT int dup(int fd)
{
    return preload_descriptor_copied(fd, preload_libc()->dup(fd));
}

PRELOAD_EXPORT int dup2(int fd, int wanted)
{
    return preload_descriptor_copied(fd, preload_libc()->dup2(fd, wanted));
}

PRELOAD_EXPORT int dup3(int fd, int wanted, int flags)
{
    return preload_descriptor_copied(fd, preload_libc()->dup3(fd, wanted, flags));
}

static int control(int fd, int command, void *argument)
{
    const int rc = preload_libc()->fcntl64(fd, command, argument);

    return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? preload_descriptor_copied(fd, rc) : rc;
}

PRELOAD_EXPORT int fcntl64(int fd, int command, ...)
{
    va_list list;
    void *argument;

    va_start(list, command);
    argument = va_arg(list, void *);
    va_end(list);
    return control(fd, command, argument);
}

PRELOAD_EXPORT int fcntl(int fd, int command, ...)
{
    va_list list;
    void *argument;

    va_start(list, command);
    argument = va_arg(list, void *);
    va_end(list);
    return control(fd, command, argument);
}

/* ---- Descriptors that another process gets ------------------------------------------------------- */

/* fork() itself is noted by pthread_atfork(), vfork() in preload_real.c. */

/* Where libc has it: programs may ask by name. */
#if __GLIBC_PREREQ(2, 34)
PRELOAD_EXPORT pid_t _Fork(void)
{
    preload_share_all();
    return preload_libc()->Fork();
}
#endif

PRELOAD_EXPORT int wordexp(const char *words, wordexp_t *result, int flags)
{
    preload_share_all();
    return preload_libc()->wordexp(words, result, flags);
}

PRELOAD_EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                               const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    preload_share_all();
    return preload_libc()->posix_spawn(pid, path, actions, attr, (void *) argv, (void *) envp);
}

PRELOAD_EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                                const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    preload_share_all();
    return preload_libc()->posix_spawnp(pid, file, actions, attr, (void *) argv, (void *) envp);
}

PRELOAD_EXPORT int system(const char *command)
{
    preload_share_all();
    return preload_libc()->system(command);
}

PRELOAD_EXPORT FILE *popen(const char *command, const char *type)
{
    preload_share_all();
    return preload_libc()->popen(command, type);
}

/* One that shares the table of descriptors will have those of the future, too. */
static void note_clone(uint64_t flags)
{
    if ((flags & CLONE_THREAD) == 0) {
        preload_share_all();
        if ((flags & CLONE_FILES) != 0) {
            atomic_store(&preload_forbidden, 1);
        }
    }
}

PRELOAD_EXPORT int clone(int (*function)(void *), void *stack, int flags, void *argument, ...)
{
    void *more[3];
    va_list list;

    va_start(list, argument);
    for (int i = 0; i < 3; i++) {
        more[i] = va_arg(list, void *);
    }
    va_end(list);
    note_clone((uint64_t) (unsigned) flags);
    return preload_libc()->clone(function, stack, flags, argument, more[0], more[1], more[2]);
}

PRELOAD_EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (message != NULL && message->msg_controllen != 0) {
        preload_share_all();
    }
    return preload_libc()->sendmsg(fd, message, flags);
}

PRELOAD_EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    preload_share_all();
    return preload_libc()->sendmmsg(fd, messages, count, flags);
}

/* ---- Descriptors that come from another process -------------------------------------------------- */

static void forget_received(const struct msghdr *message)
{
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
         head = CMSG_NXTHDR((struct msghdr *) (uintptr_t) message, head)) {
        const size_t size = head->cmsg_len - CMSG_LEN(0);

        for (size_t i = 0; head->cmsg_type == SCM_RIGHTS && (i + 1) * sizeof(int) <= size; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(fd));
            preload_descriptor_forget(fd);
        }
    }
}

PRELOAD_EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    const ssize_t rc = preload_libc()->recvmsg(fd, message, flags);

    if (rc >= 0) {
        forget_received(message);
    }
    return rc;
}

PRELOAD_EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    const int rc = preload_libc()->recvmmsg(fd, messages, count, flags, timeout);

    for (int i = 0; i < rc; i++) {
        forget_received(&messages[i].msg_hdr);
    }
    return rc;
}

/* ---- What takes the cache's way away ------------------------------------------------------------- */

PRELOAD_EXPORT int prctl(int option, ...)
{
    unsigned long more[4];
    va_list list;

    va_start(list, option);
    for (int i = 0; i < 4; i++) {
        more[i] = va_arg(list, unsigned long);
    }
    va_end(list);
    if (option == PR_SET_SECCOMP) {
        atomic_store(&preload_forbidden, 1);
    }
    return preload_libc()->prctl(option, more[0], more[1], more[2], more[3]);
}

/* A registered page is read and written whatever its protection says: one that is taken away ends the registration.
 * Before, so that no transfer uses it afterwards; and once more for another thread's that came in between. */
static bool takes_rights(int prot)
{
    return (prot & (PROT_READ | PROT_WRITE)) != (PROT_READ | PROT_WRITE);
}

PRELOAD_EXPORT int mprotect(void *start, size_t length, int prot)
{
    int rc;

    if (!takes_rights(prot)) {
        return preload_libc()->mprotect(start, length, prot);
    }
    preload_cache_drop(start, length);
    rc = preload_libc()->mprotect(start, length, prot);
    preload_cache_drop(start, length);
    return rc;
}

/* Rights by key change without any call. */
PRELOAD_EXPORT int pkey_mprotect(void *start, size_t length, int prot, int key)
{
    if (key > 0) {
        atomic_store(&preload_forbidden, 1);
    }
    preload_cache_drop(start, length);
    return preload_libc()->pkey_mprotect(start, length, prot, key);
}

/* ---- The same by number -------------------------------------------------------------------------- */

static void note_syscall(long nr, const long args[6])
{
    switch (nr) {
#ifdef SYS_fork
    case SYS_fork:
    case SYS_vfork:
#endif
    case SYS_sendmsg:
    case SYS_sendmmsg: preload_share_all(); break;
    case SYS_clone: note_clone((uint64_t) args[0]); break;
    case SYS_clone3: note_clone(args[0] != 0 ? *(const uint64_t *) args[0] : 0); break;
    case SYS_close: preload_descriptor_forget((int) args[0]); break;
#ifdef SYS_dup2
    case SYS_dup2:
#endif
    case SYS_dup3: preload_descriptor_forget((int) args[1]); break;
    case SYS_seccomp: atomic_store(&preload_forbidden, 1); break;
    case SYS_prctl:
        if (args[0] == PR_SET_SECCOMP) {
            atomic_store(&preload_forbidden, 1);
        }
        break;
    case SYS_mprotect:
    case SYS_pkey_mprotect:
        if (nr == SYS_pkey_mprotect && args[3] > 0) {
            atomic_store(&preload_forbidden, 1);
        }
        preload_cache_drop((void *) args[0], (size_t) args[1]);
        break;
    default: break;
    }
}

PRELOAD_EXPORT long syscall(long nr, ...)
{
    long args[6];
    va_list list;

    va_start(list, nr);
    for (int i = 0; i < 6; i++) {
        args[i] = va_arg(list, long);
    }
    va_end(list);
    note_syscall(nr, args);
    return preload_libc()->syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}
