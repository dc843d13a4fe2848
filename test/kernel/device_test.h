/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tests of both drivers share: memory to lose, ways to lose it, children, and the
 * descriptor of a context whose process is gone. They run in the guest of make check-vm,
 * on a device and nothing else: no part of opalmem is between.
 */
#ifndef TEST_KERNEL_DEVICE_TEST_H
#define TEST_KERNEL_DEVICE_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/test_main.h"

#define PAGE 4096ul

#define ck_assert_fails(call, code)         \
    do {                                    \
        errno = 0;                          \
        ck_assert_int_eq((int) (call), -1); \
        ck_assert_int_eq(errno, (code));    \
    } while (0)

/** Pages of their own, all written to: a release has something to take away. */
static inline char *pages_new(size_t pages)
{
    char *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(at, MAP_FAILED);
    /* No page of another size, whose split would be a change, too. */
    ck_assert_int_eq(madvise(at, pages * PAGE, MADV_NOHUGEPAGE), 0);
    memset(at, 1, pages * PAGE);
    return at;
}

static inline void pages_end(char *at, size_t pages)
{
    ck_assert_int_eq(munmap(at, pages * PAGE), 0);
}

/** An address where nothing is mapped. The compiler does not know. */
static inline void *nowhere(void)
{
    static void *volatile address = (void *) 8;
    return address;
}

/** Run in a child, which must return 0. */
static inline void in_child(int (*what)(int fd), int fd)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        _exit(what(fd));
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with status %#x",
                  (unsigned) status);
}

static inline bool fails_with(long ret, int code)
{
    return ret == -1 && errno == code;
}

/* ---- Ways to change a mapping, whose first page is at. True: done. ---- */

static inline bool lose_munmap(char *at)
{
    return munmap(at, PAGE) == 0;
}
static inline bool lose_map_fixed(char *at)
{
    return mmap(at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at;
}
static inline bool lose_mremap(char *at)
{
    return mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 64 * PAGE) == at + 64 * PAGE;
}
static inline bool lose_dontneed(char *at)
{
    return madvise(at, PAGE, MADV_DONTNEED) == 0;
}
static inline bool lose_free(char *at)
{
    return madvise(at, PAGE, MADV_FREE) == 0;
}
static inline bool lose_mprotect(char *at)
{
    return mprotect(at, PAGE, PROT_READ) == 0;
}
static inline int child_nothing(int fd)
{
    (void) fd;
    return 0;
}
static inline bool lose_fork(char *at)
{
    (void) at;
    in_child(child_nothing, -1);
    return true;
}

static bool (*const ways[])(char *at) = {
    lose_munmap, lose_map_fixed, lose_mremap, lose_dontneed, lose_free, lose_mprotect, lose_fork,
};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* ---- Changes by others ---- */

/** Another task's. For in_child(). */
static inline int child_truncates(int file)
{
    return ftruncate(file, 0);
}

static inline void *unmaps_later(void *at)
{
    usleep(50000);
    return munmap(at, PAGE) == 0 ? NULL : at;
}

/* ---- Ways that change nothing ---- */

static inline void keep_pages(char *at)
{
    ck_assert_int_eq(mlock(at, PAGE), 0);
    ck_assert_int_eq(munlock(at, PAGE), 0);
    memset(at, 2, PAGE);
    ck_assert_int_eq(madvise(at, PAGE, MADV_WILLNEED), 0);
    ck_assert_int_eq(madvise(at, PAGE, MADV_DONTFORK), 0);
    in_child(child_nothing, -1);
}

/* ---- Descriptors sent to another process ---- */

static inline void send_fd(int over, int fd)
{
    char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec part = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    if (sendmsg(over, &message, 0) != 1) {
        _exit(1);
    }
}

static inline int receive_fd(int over)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = { .iov_base = &byte, .iov_len = 1 };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    ck_assert_int_eq((int) recvmsg(over, &message, 0), 1);
    int fd;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    return fd;
}

/** A descriptor that a process has opened, which is gone. */
static inline int fd_of_the_dead(int (*open_and_watch)(void))
{
    int pair[2], status;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pid_t child = fork();
    if (child == 0) {
        send_fd(pair[1], open_and_watch());
        _exit(0);
    }
    int fd = receive_fd(pair[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    close(pair[0]);
    close(pair[1]);
    return fd;
}

/* ---- Signals, and poll() ---- */

static atomic_int signals; /* That have come. */

static inline void count_signal(int number)
{
    (void) number;
    atomic_fetch_add(&signals, 1);
}

static inline void count_signals(int number)
{
    struct sigaction action = { .sa_handler = count_signal };
    ck_assert_int_eq(sigaction(number, &action, NULL), 0);
}

static inline int poll_of(int fd)
{
    struct pollfd one = { .fd = fd, .events = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM };
    return poll(&one, 1, 0) < 0 ? -1 : one.revents;
}

/* ---- Lines of /proc/self/maps ---- */

static inline int mappings_of(const char *name)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int count = 0;
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        count += strstr(line, name) != NULL;
    }
    fclose(maps);
    return count;
}

#endif
