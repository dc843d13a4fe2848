/* SPDX-License-Identifier: BSD-3-Clause */
/* Child processes of tests. A child says by _exit(0) that all was well: an
 * assertion of Check in it would report twice. */
#ifndef TEST_CHILDREN_H
#define TEST_CHILDREN_H

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "test/test_main.h"

/** A fork that libc does not hear of: no atfork handler runs. As fork(). */
static inline pid_t raw_fork(void)
{
#ifdef SYS_fork
    return (pid_t) syscall(SYS_fork);
#else
    return (pid_t) syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
#endif
}

/** Can the library notice such a fork? (Linux 4.14; qemu-user accepts any advice.) */
static inline bool raw_forks_are_noticed(void)
{
    size_t size = (size_t) sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return false;
    }
    bool can = madvise(page, size, -1) != 0 && madvise(page, size, MADV_WIPEONFORK) == 0;
    munmap(page, size);
    return can;
}

/** Does valgrind run this program? In a fork child it reports as lost what the parent's other threads, or the
 * interrupted caller, had in hand; it also emulates limits of descriptors. */
static inline bool under_valgrind(void)
{
    return getenv("OPALMEM_TEST_VALGRIND") != NULL;
}

/** In a child: end it, if it hangs: on a busy machine it may take some times as long as alone. */
static inline void child_must_end_within(unsigned seconds)
{
    signal(SIGALRM, SIG_DFL);
    alarm(4 * seconds);
}

/** In a child: the end of it. */
static inline void child_says(bool good)
{
    _exit(good ? 0 : 1);
}

/** In the parent: the child has neither crashed nor hung nor found a fault. */
static inline void child_must_be_good(pid_t pid)
{
    int status = -1;
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(status == 0, "child: exit code %d, signal %d", WEXITSTATUS(status), WTERMSIG(status));
}

#endif
