/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: the file behind a mapping loses its pages. */
#include <errno.h>
#include <limits.h>
#include <linux/falloc.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/coverage/scenes.h"

#define PATH_OF_DESCRIPTOR "/proc/self/fd/%d"

/* A memory file of four pages, mapped. */
static char *map_memory_file(int *fd)
{
    *fd = scene_memory_file(4);
    return scene_map_file(*fd, 4);
}

static void path_of(int fd, char *path, size_t size)
{
    snprintf(path, size, PATH_OF_DESCRIPTOR, fd);
}

/* For a child. */
static void path_of_parent(int fd, char *path, size_t size)
{
    snprintf(path, size, "/proc/%d/fd/%d", (int) getpid(), fd);
}

void scene_ftruncate(void)
{
    int fd;
    char *memory = map_memory_file(&fd);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(ftruncate(fd, 0) == 0, "ftruncate");
    coverage_end();
}

/* Pages that were written are the process's own; truncation takes them too. */
void scene_ftruncate_private(void)
{
    const int fd = scene_memory_file(4);
    char *memory = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);

    coverage_need(memory != MAP_FAILED, "mmap of a file");
    scene_fill(memory, 4 * PAGE);
    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(ftruncate(fd, 0) == 0, "ftruncate");
    coverage_end();
}

void scene_truncate(void)
{
    char path[64], *memory;
    int fd;

    memory = map_memory_file(&fd);
    path_of(fd, path, sizeof(path));
    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(truncate(path, 0) == 0, "truncate");
    coverage_end();
}

void scene_open_trunc(void)
{
    char path[64], *memory;
    int fd;

    memory = map_memory_file(&fd);
    path_of(fd, path, sizeof(path));
    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(open(path, O_RDWR | O_TRUNC | O_CLOEXEC) >= 0, "open O_TRUNC");
    coverage_end();
}

void scene_creat(void)
{
    char path[64], *memory;
    int fd;

    memory = map_memory_file(&fd);
    path_of(fd, path, sizeof(path));
    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(creat(path, 0600) >= 0, "creat");
    coverage_end();
}

/* libc opens the file for the new process, in a child that shares this address space. */
void scene_spawn_trunc(void)
{
    char path[64], name[] = "true", *memory;
    char *const arguments[] = { name, NULL };
    posix_spawn_file_actions_t actions;
    pid_t child;
    int fd;

    memory = map_memory_file(&fd);
    path_of_parent(fd, path, sizeof(path));
    coverage_need(posix_spawn_file_actions_init(&actions) == 0
                      && posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_TRUNC, 0) == 0,
                  "posix_spawn_file_actions_addopen");
    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    errno = posix_spawnp(&child, name, &actions, NULL, arguments, environ);
    if (errno != 0) {
        coverage_not_possible("posix_spawn of true");
    }
    coverage_need(waitpid(child, NULL, 0) == child, "waitpid");
    coverage_end();
    posix_spawn_file_actions_destroy(&actions);
}

/* The same from a process that has nothing to do with the mapping. */
void scene_file_elsewhere(void)
{
    int fd, status;
    char *memory = map_memory_file(&fd);
    pid_t child;

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    child = fork();
    coverage_need(child >= 0, "fork");
    if (child == 0) {
        coverage_stop_in_child();
        _exit(ftruncate(fd, 0) == 0 ? 0 : 1);
    }
    coverage_need(waitpid(child, &status, 0) == child && status == 0, "ftruncate in another process");
    coverage_end();
}

/* ---- fallocate ---------------------------------------------------------------------------------- */

static void allocate(int fd, char *memory, int mode, size_t first, size_t pages, size_t expected)
{
    coverage_expect(0, memory + first * PAGE, expected * PAGE);
    coverage_begin();
    if (fallocate(fd, mode, (off_t) (first * PAGE), (off_t) (pages * PAGE)) != 0) {
        coverage_not_possible("this mode of fallocate");
    }
    coverage_end();
}

void scene_punch_hole(void)
{
    int fd;
    char *memory = map_memory_file(&fd);

    allocate(fd, memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 2, 2);
}

/* On a disk: files in memory have no such modes. Pages must be clean, or they are written first. */
static char *map_disk_file(int *fd)
{
    char *memory;

    *fd = scene_disk_file(8, NULL, 0);
    if (*fd < 0) {
        coverage_not_possible("no folder for a file ($TMPDIR, /var/tmp)");
    }
    memory = scene_map_file(*fd, 8);
    coverage_need(msync(memory, 8 * PAGE, MS_SYNC) == 0, "msync");
    return memory;
}

void scene_fallocate_zero(void)
{
    int fd;
    char *memory = map_disk_file(&fd);

    allocate(fd, memory, FALLOC_FL_ZERO_RANGE, 1, 2, 2);
}

/* All that is behind goes as well. */
void scene_fallocate_collapse(void)
{
    int fd;
    char *memory = map_disk_file(&fd);

    allocate(fd, memory, FALLOC_FL_COLLAPSE_RANGE, 1, 2, 7);
}

/* ---- Pages that stay ------------------------------------------------------------------------------ */

void scene_posix_fallocate(void)
{
    int fd;
    char *memory = map_memory_file(&fd);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(posix_fallocate(fd, 0, 8 * (off_t) PAGE) == 0, "posix_fallocate");
    coverage_end();
}

/* The kernel drops no page that is mapped. */
void scene_fadvise_dontneed(void)
{
    int fd;
    char *memory = map_disk_file(&fd);

    coverage_expect(0, memory, 8 * PAGE);
    coverage_begin();
    coverage_need(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "posix_fadvise");
    coverage_end();
}

/* ---- Others --------------------------------------------------------------------------------------- */

/* A write that goes around the page cache throws out what the cache has. */
void scene_direct_write(void)
{
    char path[PATH_MAX], *memory, *data = scene_pages(2);
    const int fd = scene_disk_file(8, path, sizeof(path));
    int direct;

    if (fd < 0) {
        coverage_not_possible("no folder for a file ($TMPDIR, /var/tmp)");
    }
    direct = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    unlink(path);
    if (direct < 0) {
        coverage_not_possible("O_DIRECT");
    }
    memory = scene_map_file(fd, 8);
    coverage_need(msync(memory, 8 * PAGE, MS_SYNC) == 0, "msync");
    coverage_expect(0, memory + 2 * PAGE, 2 * PAGE);
    coverage_begin();
    if (pwrite(direct, data, 2 * PAGE, 2 * (off_t) PAGE) != (ssize_t) (2 * PAGE)) {
        coverage_not_possible("a write by O_DIRECT");
    }
    coverage_end();
}

void scene_remap_file_pages(void)
{
    int fd;
    char *memory = map_memory_file(&fd);

    coverage_expect(0, memory, 2 * PAGE);
    coverage_begin();
    if (remap_file_pages(memory, 2 * PAGE, 0, 2, 0) != 0) {
        coverage_not_possible("remap_file_pages");
    }
    coverage_end();
}
