/* SPDX-License-Identifier: BSD-3-Clause */
/* More than one thread or process, signal handlers, and the ways in which a program ends. */
#define _GNU_SOURCE 1
#include "test/run/scenes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void wait_for(pid_t child)
{
    int status = 0;

    must(waitpid(child, &status, 0) == child, "waitpid");
    printf("child: %x\n", (unsigned) status);
    fflush(stdout);
}

/* ---- Whose position is it --------------------------------------------------------------------------- */

/* Each takes blocks until there are none; a block taken twice or never shows in the marks. */
static _Atomic int *taken;

static void take_blocks(int fd, char *buffer)
{
    while (read(fd, buffer, BLOCK) == (ssize_t) BLOCK) {
        atomic_fetch_add(&taken[*(unsigned *) (void *) buffer % BLOCKS], 1);
    }
}

/* Each block begins with its number. */
static void number_blocks(const char *file)
{
    const int fd = open_file(file, O_WRONLY);

    for (unsigned i = 0; i < BLOCKS; i++) {
        must(pwrite(fd, &i, sizeof(i), (off_t) (i * BLOCK)) == sizeof(i), "pwrite");
    }
    close(fd);
    taken = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(taken != MAP_FAILED, "mmap");
}

static void say_blocks(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        printf("%d ", atomic_load(&taken[i]));
    }
    putchar('\n');
    fflush(stdout);
}

static void fork_by_number(const char *file)
{
    number_blocks(file);
    const int fd = open_file(file, O_RDONLY);
    char *buffer = fresh(BLOCK);

    for (int round = 0; round < 20; round++) {
        lseek(fd, 0, SEEK_SET);
        fflush(stdout);
        const pid_t child = (pid_t) syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

        take_blocks(fd, buffer);
        if (child == 0) {
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    say_blocks();
}

static void fork_shares_position(const char *file)
{
    number_blocks(file);
    const int fd = open_file(file, O_RDONLY);
    char *buffer = fresh(BLOCK);

    for (int round = 0; round < 50; round++) {
        lseek(fd, 0, SEEK_SET);
        fflush(stdout);
        const pid_t child = fork();

        take_blocks(fd, buffer);
        if (child == 0) {
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    say_blocks();
}

static int receive(int socket)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec part = { &byte, 1 };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    int fd;

    must(recvmsg(socket, &message, 0) == 1, "recvmsg");
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    return fd;
}

static void hand_over(int socket, int fd)
{
    char byte = 'x', control[CMSG_SPACE(sizeof(int))];
    struct iovec part = { &byte, 1 };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    must(sendmsg(socket, &message, 0) == 1, "sendmsg");
}

static void message_shares_position(const char *file)
{
    char *buffer = fresh(BLOCK);
    int ends[2];

    number_blocks(file);
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    const pid_t child = fork();
    if (child == 0) {
        take_blocks(receive(ends[0]), buffer);
        _exit(0);
    }
    const int fd = open_file(file, O_RDONLY);

    hand_over(ends[1], fd);
    take_blocks(fd, buffer);
    wait_for(child);
    say_blocks();
}

static int shared_fd;

static void *take_in_thread(void *argument)
{
    (void) argument;
    take_blocks(shared_fd, fresh(BLOCK));
    return NULL;
}

static void threads_share_position(const char *file)
{
    pthread_t threads[4];

    number_blocks(file);
    shared_fd = open_file(file, O_RDONLY);
    for (int round = 0; round < 30; round++) {
        lseek(shared_fd, 0, SEEK_SET);
        for (int i = 0; i < 4; i++) {
            must(pthread_create(&threads[i], NULL, take_in_thread, NULL) == 0, "pthread_create");
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
        }
    }
    say_blocks();
}

/* What one thread gives back is what the next one gets. */
static _Atomic unsigned wrong_blocks;

static void *read_and_release(void *argument)
{
    const size_t first = *(const size_t *) argument;

    for (size_t i = 0; i < 150; i++) {
        const unsigned block = (unsigned) ((first + i) % BLOCKS);
        char *buffer = fresh(BLOCK);

        if (pread(shared_fd, buffer, BLOCK, (off_t) (block * BLOCK)) != (ssize_t) BLOCK
            || *(unsigned *) (void *) buffer != block) {
            atomic_fetch_add(&wrong_blocks, 1);
        }
        munmap(buffer, BLOCK);
    }
    return NULL;
}

static void threads_release(const char *file)
{
    pthread_t threads[4];
    size_t first[4];

    number_blocks(file);
    shared_fd = open_file(file, O_RDONLY);
    for (size_t i = 0; i < 4; i++) {
        first[i] = 2 * i;
        must(pthread_create(&threads[i], NULL, read_and_release, &first[i]) == 0, "pthread_create");
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("wrong %u\n", atomic_load(&wrong_blocks));
}

static _Atomic int is_reading;

static void *read_for_ever(void *argument)
{
    char *buffer = fresh(BLOCK);

    (void) argument;
    while (pread(shared_fd, buffer, BLOCK, 0) == (ssize_t) BLOCK) {
        atomic_store(&is_reading, 1);
    }
    return NULL;
}

static void cancelled_thread(const char *file)
{
    char *buffer = fresh(BLOCK);
    pthread_t thread;
    void *result = NULL;

    shared_fd = open_file(file, O_RDONLY);
    must(pthread_create(&thread, NULL, read_for_ever, NULL) == 0, "pthread_create");
    while (!atomic_load(&is_reading)) {
        sched_yield();
    }
    pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("cancelled %d\n", result == PTHREAD_CANCELED);
    say("afterwards", pread(shared_fd, buffer, BLOCK, 0), buffer, BLOCK, shared_fd);
}

/* The child opens it itself, after the fork. */
static void fork_child_reads(const char *file)
{
    char *buffer = fresh(BLOCK);
    int fd = open_file(file, O_RDONLY);

    say("parent", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    const pid_t child = fork();
    if (child == 0) {
        fd = open_file(file, O_RDONLY);
        for (int i = 0; i < 3; i++) {
            say("child", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
        }
        exit(3);
    }
    wait_for(child);
    say("parent, pread", pread(fd, buffer, BLOCK, BLOCK), buffer, BLOCK, fd);
}

static void vfork_child_reads(const char *file)
{
    static char *buffer;
    static int fd;
    static ssize_t count;

    buffer = fresh(BLOCK);
    fd = open_file(file, O_RDONLY);
    say("parent", pread(fd, buffer, BLOCK, 0), buffer, BLOCK, fd);
    const pid_t child = vfork();
    if (child == 0) {
        count = pread(fd, buffer, BLOCK, BLOCK);
        _exit(5);
    }
    wait_for(child);
    say("child", count, buffer, BLOCK, fd);
    say("parent", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
}

static void spawn_child_reads(const char *file)
{
    extern char **environ;
    char name[] = "cksum", path[4096];
    char *argv[] = { name, path, NULL };
    char *buffer = fresh(BLOCK);
    const int fd = open_file(file, O_RDONLY);
    pid_t child;

    snprintf(path, sizeof(path), "%s", file);
    must(posix_spawnp(&child, "cksum", NULL, NULL, argv, environ) == 0, "posix_spawnp");
    wait_for(child);
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
}

/* ---- Signals ----------------------------------------------------------------------------------------- */

static int handler_fd;
static char *handler_buffer;
static volatile sig_atomic_t handler_good, handler_calls;

static void read_in_handler(int number)
{
    const int saved = errno;

    (void) number;
    handler_calls++;
    handler_good += pread(handler_fd, handler_buffer + (handler_calls % 7) * 4096, BLOCK, 0) == (ssize_t) BLOCK;
    errno = saved;
}

/* Handlers interrupt malloc, the cache and releases. */
static void handler_reads(const char *file)
{
    const struct itimerval often = { { 0, 700 }, { 0, 700 } }, never = { { 0, 0 }, { 0, 0 } };
    const struct sigaction action = { .sa_handler = read_in_handler, .sa_flags = SA_RESTART };
    struct sigaction old;
    char *blocks[64] = { NULL };
    unsigned wrong = 0;

    handler_fd = open_file(file, O_RDONLY);
    handler_buffer = fresh(2 * BLOCK);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGALRM, NULL, &old);
    printf("handler %d\n", old.sa_handler == read_in_handler);
    setitimer(ITIMER_REAL, &often, NULL);
    for (unsigned i = 0; i < 3000; i++) {
        char *buffer = fresh(BLOCK);

        free(blocks[i % 64]);
        blocks[i % 64] = malloc(i * 37 % 100000 + 1);
        wrong += pread(handler_fd, buffer, BLOCK, (off_t) (i % 4 * BLOCK)) != (ssize_t) BLOCK;
        munmap(buffer, BLOCK);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    printf("wrong %u, in handlers %d\n", wrong, handler_good == handler_calls && handler_calls > 0);
}

static sigjmp_buf leave;

static void jump(int number)
{
    read_in_handler(number);
    siglongjmp(leave, 1);
}

static void handler_jumps(const char *file)
{
    char *buffer = fresh(BLOCK);

    handler_fd = open_file(file, O_RDONLY);
    handler_buffer = fresh(2 * BLOCK);
    printf("signal %d\n", signal(SIGUSR1, jump) == SIG_DFL);
    if (sigsetjmp(leave, 1) == 0) {
        raise(SIGUSR1);
    }
    say("read", read(handler_fd, buffer, BLOCK), buffer, BLOCK, handler_fd);
    printf("signal %d\n", signal(SIGUSR1, SIG_IGN) == jump);
    printf("signal %d\n", signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    printf("signal %d\n", signal(12345, jump) == SIG_ERR);
}

/* ---- Filters ----------------------------------------------------------------------------------------- */

static void seccomp_strict(const char *file)
{
    char *buffer = fresh(BLOCK);
    const int fd = open_file(file, O_RDONLY);
    ssize_t count;

    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0, "prctl");
    count = read(fd, buffer, BLOCK);
    count = write(1, count == (ssize_t) BLOCK ? "good\n" : "bad\n", 5);
    syscall(SYS_exit, count == 5 ? 0 : 1);
}

/* ---- Ends -------------------------------------------------------------------------------------------- */

static void read_some(const char *file)
{
    const int fd = open_file(file, O_RDONLY);
    char *buffer = fresh(BLOCK);

    for (int i = 0; i < 4; i++) {
        say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    }
    munmap(buffer, BLOCK);
}

static void end_by_return(const char *file)
{
    read_some(file);
}

static void end_by_exit(const char *file)
{
    read_some(file);
    _exit(41);
}

static void end_by_kill(const char *file)
{
    read_some(file);
    kill(getpid(), SIGKILL);
}

static void end_by_abort(const char *file)
{
    read_some(file);
    abort();
}

static void end_by_term(const char *file)
{
    read_some(file);
    raise(SIGTERM);
}

static void end_by_fault(const char *file)
{
    read_some(file);
    char *page = fresh(4096);

    mprotect(page, 4096, PROT_NONE);
    *(volatile char *) page = 1;
}

static void end_by_exec(const char *file)
{
    char self[4096];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    must(length > 0, "readlink");
    self[length] = '\0';
    read_some(file);
    execl(self, self, "end_by_exit", file, (char *) NULL);
}

/* The preload library finds its page although no descriptor is left. */
static void end_by_exec_closed(const char *file)
{
    must(syscall(SYS_close_range, 3, ~0U, 0) == 0, "close_range");
    end_by_exec(file);
}

const scene_t process_scenes[] = {
    { "fork_by_number", fork_by_number },
    { "fork_shares_position", fork_shares_position },
    { "message_shares_position", message_shares_position },
    { "threads_share_position", threads_share_position },
    { "threads_release", threads_release },
    { "cancelled_thread", cancelled_thread },
    { "fork_child_reads", fork_child_reads },
    { "vfork_child_reads", vfork_child_reads },
    { "spawn_child_reads", spawn_child_reads },
    { "handler_reads", handler_reads },
    { "handler_jumps", handler_jumps },
    { "seccomp_strict", seccomp_strict },
    { "end_by_return", end_by_return },
    { "end_by_exit", end_by_exit },
    { "end_by_kill", end_by_kill },
    { "end_by_abort", end_by_abort },
    { "end_by_term", end_by_term },
    { "end_by_fault", end_by_fault },
    { "end_by_exec", end_by_exec },
    { "end_by_exec_closed", end_by_exec_closed },
    { NULL, NULL },
};
