/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes in which a reason for the plain call holds for some calls, and just not for the others. With each goes an exact
 * count in test_run_reasons.sh. */
#define _GNU_SOURCE 1
#include "test/run/scenes.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define THRESHOLD ((size_t) 64 << 10) /* opalmem-run's default. */

/* ---- Sizes ------------------------------------------------------------------------------------------ */

static void threshold_edges(const char *file)
{
    const int fd = open_file(file, O_RDONLY);
    const size_t end = BLOCKS * BLOCK + REST;
    char *buffer = fresh(BLOCK);

    say("one less", read(fd, buffer, THRESHOLD - 1), buffer, BLOCK, fd);
    say("just", read(fd, buffer, THRESHOLD), buffer, BLOCK, fd);
    say("one more", read(fd, buffer, THRESHOLD + 1), buffer, BLOCK, fd);
    say("just left", pread(fd, buffer, BLOCK, (off_t) (end - THRESHOLD)), buffer, BLOCK, fd);
    say("one less left", pread(fd, buffer, BLOCK, (off_t) (end - THRESHOLD + 1)), buffer, BLOCK, fd);
    say("nothing left", pread(fd, buffer, BLOCK, (off_t) end), buffer, BLOCK, fd);
}

/* ---- Limits ----------------------------------------------------------------------------------------- */

/* Played with a cache of 300K: two buffers do not fit, but one makes room for the other. */
static void over_the_limit(const char *file)
{
    const int fd = open_file(file, O_RDONLY);
    char *buffer = fresh(2 * BLOCK), *other = fresh(BLOCK);

    say("fits", pread(fd, buffer, BLOCK, 0), buffer, BLOCK, fd);
    say("never fits", pread(fd, buffer, 2 * BLOCK, 0), buffer, 2 * BLOCK, fd);
    say("fits", pread(fd, other, BLOCK, 0), other, BLOCK, fd);
}

static void no_file_limit(const char *file)
{
    const struct rlimit limit = { 100 * BLOCK, RLIM_INFINITY }, none = { RLIM_INFINITY, RLIM_INFINITY };
    const int fd = open_file(file, O_RDWR);
    char *buffer = fresh(BLOCK);

    say("write", write(fd, buffer, BLOCK), NULL, 0, fd);
    must(setrlimit(RLIMIT_FSIZE, &limit) == 0, "setrlimit");
    say("write", write(fd, buffer, BLOCK), NULL, 0, fd);
    say("read", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    must(setrlimit(RLIMIT_FSIZE, &none) == 0, "setrlimit");
    say("write", write(fd, buffer, BLOCK), NULL, 0, fd);
    say_file(file);
}

/* ---- While the library starts: fake_libs.c stops there ------------------------------------------------ */

static int stop_fd;
static char *stop_buffer;
static ssize_t stop_result;

static void at_the_start(void (*function)(void))
{
    void (**place)(void) = dlsym(RTLD_DEFAULT, "fake_while_starting");

    if (place != NULL) {
        *place = function;
    }
}

static void *read_beside(void *argument)
{
    (void) argument;
    stop_result = pread(stop_fd, stop_buffer, BLOCK, BLOCK);
    return NULL;
}

static void let_another_thread_read(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, read_beside, NULL) == 0) {
        pthread_join(thread, NULL);
    }
}

static void another_thread_at_the_start(const char *file)
{
    char *buffer = fresh(BLOCK);

    stop_fd = open_file(file, O_RDONLY);
    stop_buffer = fresh(BLOCK);
    at_the_start(let_another_thread_read);
    say("first", pread(stop_fd, buffer, BLOCK, 0), buffer, BLOCK, stop_fd);
    if (stop_result == 0) {
        read_beside(NULL);
    }
    say("beside", stop_result, stop_buffer, BLOCK, stop_fd);
    say("later", pread(stop_fd, buffer, BLOCK, 2 * BLOCK), buffer, BLOCK, stop_fd);
}

static void read_here(void)
{
    read_beside(NULL);
}

static void read_inside_the_cache(const char *file)
{
    char *buffer = fresh(BLOCK);

    stop_fd = open_file(file, O_RDONLY);
    stop_buffer = fresh(BLOCK);
    at_the_start(read_here);
    say("first", pread(stop_fd, buffer, BLOCK, 0), buffer, BLOCK, stop_fd);
    if (stop_result == 0) {
        read_beside(NULL);
    }
    say("inside", stop_result, stop_buffer, BLOCK, stop_fd);
    say("later", pread(stop_fd, buffer, BLOCK, 2 * BLOCK), buffer, BLOCK, stop_fd);
}

/* What another thread does between the look at the position and its reservation. */
static void move_position(void)
{
    lseek(stop_fd, 100 - (off_t) BLOCK, SEEK_END);
}

static void position_moved(const char *file)
{
    char *buffer = fresh(BLOCK);

    stop_fd = open_file(file, O_RDONLY);
    at_the_start(move_position);
    if (dlsym(RTLD_DEFAULT, "fake_while_starting") == NULL) {
        move_position();
    }
    say("moved", read(stop_fd, buffer, BLOCK), buffer, BLOCK, stop_fd);
    lseek(stop_fd, 0, SEEK_SET);
    say("not moved", read(stop_fd, buffer, BLOCK), buffer, BLOCK, stop_fd);
}

/* ---- Spawning by pidfd -------------------------------------------------------------------------------- */

static void spawn_by(const char *function, const char *program)
{
    extern char **environ;
    char name[] = "true";
    char *argv[] = { name, NULL };
    int (*spawn)(int *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],
                 char *const[]);
    int pidfd = -1;
    siginfo_t info;

    *(void **) &spawn = dlsym(RTLD_DEFAULT, function);
    must(spawn != NULL, function);
    must(spawn(&pidfd, program, NULL, NULL, argv, environ) == 0, function);
    must(waitid(P_PIDFD, (id_t) pidfd, &info, WEXITED) == 0, "waitid");
    printf("%s: status %d\n", function, info.si_status);
    close(pidfd);
}

static void pidfd_spawn_shares(const char *file)
{
    char *buffer = fresh(BLOCK);
    int fd = open_file(file, O_RDONLY);

    say("before", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    spawn_by("pidfd_spawn", "/bin/true");
    say("after pidfd_spawn", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    fd = open_file(file, O_RDONLY);
    say("opened since", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
    spawn_by("pidfd_spawnp", "true");
    say("after pidfd_spawnp", read(fd, buffer, BLOCK), buffer, BLOCK, fd);
}

const scene_t reason_scenes[] = {
    { "threshold_edges", threshold_edges },
    { "over_the_limit", over_the_limit },
    { "no_file_limit", no_file_limit },
    { "another_thread_at_the_start", another_thread_at_the_start },
    { "read_inside_the_cache", read_inside_the_cache },
    { "position_moved", position_moved },
    { "pidfd_spawn_shares", pidfd_spawn_shares },
    { NULL, NULL },
};
