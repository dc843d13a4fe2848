/* SPDX-License-Identifier: BSD-3-Clause */
/* run_scenes SCENE FILE: plays one scene with a file, which it fills first. */
#define _GNU_SOURCE 1
#include "test/run/scenes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void must(int condition, const char *what)
{
    if (!condition) {
        printf("cannot play: %s: %s\n", what, strerror(errno));
        exit(99);
    }
}

unsigned long long sum_of(const void *buffer, size_t size)
{
    const unsigned char *bytes = buffer;
    unsigned long long sum = 1469598103934665603ULL;

    for (size_t i = 0; i < size; i++) {
        sum = (sum ^ bytes[i]) * 1099511628211ULL;
    }
    return sum;
}

void say(const char *what, ssize_t result, const void *buffer, size_t size, int fd)
{
    printf("%s: %zd", what, result);
    if (result < 0) {
        printf(" %s", strerror(errno));
    }
    if (buffer != NULL) {
        printf(" sum %016llx", sum_of(buffer, size));
    }
    if (fd >= 0) {
        printf(" at %lld", (long long) lseek(fd, 0, SEEK_CUR));
    }
    putchar('\n');
    fflush(stdout);
}

int open_file(const char *path, int flags)
{
    const int fd = open(path, flags, 0600);

    must(fd >= 0, path);
    return fd;
}

char *fresh(size_t size)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    must(memory != MAP_FAILED, "mmap");
    return memory;
}

void say_file(const char *path)
{
    static char buffer[4096];
    unsigned long long sum = 0;
    long long size = 0;
    ssize_t count;
    const int fd = open_file(path, O_RDONLY);

    while ((count = read(fd, buffer, sizeof(buffer))) > 0) {
        sum = sum * 31 + sum_of(buffer, (size_t) count);
        size += count;
    }
    close(fd);
    printf("file: %lld bytes, sum %016llx\n", size, sum);
}

/* By small writes, which no scene is about. */
static void fill(const char *path)
{
    static uint64_t words[512];
    const size_t size = BLOCKS * BLOCK + REST;
    const int fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);

    for (size_t done = 0; done < size; done += sizeof(words)) {
        for (size_t i = 0; i < 512; i++) {
            words[i] = (done + i) * 0x9e3779b97f4a7c15ULL;
        }
        must(write(fd, words, size - done < sizeof(words) ? size - done : sizeof(words)) > 0, "write");
    }
    close(fd);
}

static int play(const scene_t *scenes, const char *name, const char *file)
{
    for (const scene_t *scene = scenes; scene->name != NULL; scene++) {
        if (strcmp(scene->name, name) == 0) {
            fill(file);
            scene->play(file);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3
        || (!play(call_scenes, argv[1], argv[2]) && !play(process_scenes, argv[1], argv[2])
            && !play(reason_scenes, argv[1], argv[2]))) {
        fputs("usage: run_scenes SCENE FILE\n", stderr);
        return 98;
    }
    return 0;
}
