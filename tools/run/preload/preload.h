/* SPDX-License-Identifier: BSD-3-Clause */
/* Inside the preload library of opalmem-run: wrappers of libc's functions in a process that knows nothing of it.
 *
 * Rules for everything that runs in a wrapper: errno is as libc would leave it; before the constructor has run nothing
 * but raw system calls; between preload_enter() and preload_leave() all signals are blocked, so that no handler finds
 * the cache half way. No dynamic TLS. */
#ifndef TOOLS_RUN_PRELOAD_PRELOAD_H
#define TOOLS_RUN_PRELOAD_PRELOAD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "opal/mca/rcache/provider.h"
#include "tools/run/run_page.h"

#define PRELOAD_EXPORT __attribute__((visibility("default")))
#define PRELOAD_TLS __attribute__((tls_model("initial-exec")))
/** What the kernel moves at most in one call. */
#define PRELOAD_MOST ((size_t) 0x7ffff000)

/* ---- preload_real.c: libc's own functions ---- */

typedef struct preload_real_t {
    ssize_t (*read)(int fd, void *buffer, size_t count);
    ssize_t (*write)(int fd, const void *buffer, size_t count);
    ssize_t (*pread64)(int fd, void *buffer, size_t count, off_t offset);
    ssize_t (*pwrite64)(int fd, const void *buffer, size_t count, off_t offset);
    ssize_t (*read_chk)(int fd, void *buffer, size_t count, size_t size);
    ssize_t (*pread64_chk)(int fd, void *buffer, size_t count, off_t offset, size_t size);
    int (*open64)(const char *path, int flags, ...);
    int (*openat64)(int folder, const char *path, int flags, ...);
    int (*open64_2)(const char *path, int flags);
    int (*openat64_2)(int folder, const char *path, int flags);
    int (*creat64)(const char *path, mode_t mode);
    int (*close)(int fd);
    int (*dup)(int fd);
    int (*dup2)(int fd, int wanted);
    int (*dup3)(int fd, int wanted, int flags);
    int (*fcntl64)(int fd, int command, ...);
    long (*syscall)(long nr, ...);
    int (*prctl)(int option, ...);
    int (*mprotect)(void *start, size_t length, int prot);
    int (*pkey_mprotect)(void *start, size_t length, int prot, int key);
    int (*sigaction)(int signal, const struct sigaction *action, struct sigaction *old);
    void *(*signal)(int signal, void *handler);
    void *(*sysv_signal)(int signal, void *handler);
    void *(*sigset)(int signal, void *handler);
    int (*clone)(int (*function)(void *), void *stack, int flags, void *argument, ...);
    int (*posix_spawn)(void *pid, const void *path, const void *actions, const void *attr, void *argv, void *envp);
    int (*posix_spawnp)(void *pid, const void *path, const void *actions, const void *attr, void *argv,
                        void *envp);
    int (*pidfd_spawn)(void *pidfd, const void *path, const void *actions, const void *attr, void *argv,
                       void *envp); /**< Since glibc 2.39, as is the next; else NULL, and not wrapped. */
    int (*pidfd_spawnp)(void *pidfd, const void *path, const void *actions, const void *attr, void *argv,
                        void *envp);
    int (*system)(const char *command);
    void *(*popen)(const char *command, const char *type);
    ssize_t (*sendmsg)(int fd, const void *message, int flags);
    int (*sendmmsg)(int fd, void *messages, unsigned count, int flags);
    ssize_t (*recvmsg)(int fd, void *message, int flags);
    int (*recvmmsg)(int fd, void *messages, unsigned count, int flags, void *timeout);
    int (*wordexp)(const char *words, void *result, int flags);
    pid_t (*Fork)(void); /**< Since glibc 2.34. */
    int (*vfork)(void);  /**< Last: the assembler code that jumps to it takes its own copy. */
} preload_real_t;

/** Constant once the constructor has run; never NULL for whoever calls preload_libc(). */
extern preload_real_t preload_real;

/** The table, looked up if that is not done. Not before the preload library is relocated. */
const preload_real_t *preload_libc(void);

/* ---- preload_process.c: which process is this, and what does it share ---- */

/** The shared page, or NULL: not under opalmem-run, nothing is counted, every call is plain. Constant. */
extern run_page_t *preload_page;

/** What a call is decided by; the smallest count that is looked at. SIZE_MAX until there is a page. */
extern size_t preload_threshold;

void preload_process_start(void);

/** Called first by whoever uses this process's state. Notices a fork child, and resets what it has inherited.
 * @return false: a vfork or CLONE_VM child, whose state is its parent's. */
bool preload_is_own_process(void);

/** Number of times when descriptors may have gone to another process; see preload_descriptors.c. */
extern _Atomic uint64_t preload_shares;

/** Note that all descriptors of now may be another process's, too. Every context. */
void preload_share_all(void);

/** Not 0: no call of this process uses the cache any more. Every context. */
extern _Atomic int preload_forbidden;

/* ---- preload_descriptors.c: descriptors that only this process has ---- */

/** Remember that fd was opened by this process at a time when preload_shares was `shares`. */
int preload_descriptor_opened(int fd, uint64_t shares);
/** What fd is is unknown from now on. */
void preload_descriptor_forget(int fd);
/** `copy` is the same open file as fd. @return copy */
int preload_descriptor_copied(int fd, int copy);
/** @retval RUN_REASONS  No other process has the open file. @retval RUN_INHERITED, RUN_SHARED  Not proven. */
run_reason_t preload_descriptor_reason(int fd, const struct stat *status);

/* ---- Rules that make a call plain ---- */

#ifdef PRELOAD_TEST
/** In the build of the tests: may be switched off there. */
bool preload_rule_is_on(run_reason_t reason);
#else
static inline bool preload_rule_is_on(run_reason_t reason)
{
    (void) reason;
    return true;
}
#endif

/* ---- preload_signals.c ---- */

/** May this code run in a signal handler of the program? Errs on the side of yes. */
bool preload_in_handler(void);

/* ---- preload_cache.c: the library, started by the first call that can use it ---- */

/** @retval RUN_REASONS  preload_find() may be called. Otherwise the reason for the plain call. */
run_reason_t preload_cache_start(void);
/** In a fork child: what another thread of the parent was at is never finished. */
void preload_cache_reset_child(void);
/** @retval RUN_REASONS  *reg covers the range: one reference. Otherwise the reason. */
run_reason_t preload_cache_get(void *start, size_t length, mca_rcache_uring_registration_t **reg);
void preload_cache_put(mca_rcache_uring_registration_t *reg);
ssize_t preload_cache_move(const mca_rcache_uring_registration_t *reg, int fd, bool is_write, void *start,
                           size_t length, off_t offset);
/** The rights of pages change: forget them. Every context. */
void preload_cache_drop(void *start, size_t length);
/** Is this thread inside a release? */
bool preload_in_release(void);

/* ---- preload_verify.c: page frames, as root sees them ---- */

/** Frames of registered pages; of its own mapping, which is made and freed by raw system calls: hook context. */
typedef struct preload_frames_t preload_frames_t;

preload_frames_t *preload_frames_record(const void *start, size_t length);
void preload_frames_free(preload_frames_t *frames);
/** Compare, count, and describe the first difference in the page. */
void preload_frames_compare(const preload_frames_t *frames, const void *start, size_t length);

/* ---- preload_text.c ---- */

/** Put a message into the page, if none is there. printf's format; not in hook context. */
void preload_say(run_text_t *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
