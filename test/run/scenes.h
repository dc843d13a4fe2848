/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes for opalmem-run: each makes calls and prints what came of them, the same in every run. A test plays each twice,
 * plainly and under opalmem-run, and compares. Built as programs are that know nothing of opalmem. */
#ifndef TEST_RUN_SCENES_H
#define TEST_RUN_SCENES_H

#include <stddef.h>
#include <sys/types.h>

/** What most scenes move at once. */
#define BLOCK ((size_t) 256 << 10)
/** The file that each scene finds: blocks, and a rest of 100 000 bytes. */
#define BLOCKS 8
#define REST 100000

typedef struct scene_t {
    const char *name;
    void (*play)(const char *file);
} scene_t;

extern const scene_t call_scenes[], process_scenes[], reason_scenes[]; /* End with a name NULL. */

/** Print a result, errno after -1, the sum of the buffer and, of fd >= 0, the position. */
void say(const char *what, ssize_t result, const void *buffer, size_t size, int fd);
/** Print the sum of a file. */
void say_file(const char *path);
/** Open; the scene ends if that fails. */
int open_file(const char *path, int flags);
/** Fresh pages. */
char *fresh(size_t size);
unsigned long long sum_of(const void *buffer, size_t size);
/** End the scene: what it needs is not there. */
void must(int condition, const char *what);

#endif
