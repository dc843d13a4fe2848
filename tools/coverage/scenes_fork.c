/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: more than one process. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/coverage/scenes.h"

/* The child's pages are its own: it looks at them itself, and what it registers is watched anew. */
void scene_fork_child_munmap(void)
{
    char *memory = scene_pages(4);
    pid_t child;
    int status;

    coverage_expect(0, memory, 4 * PAGE);
    child = fork();
    coverage_need(child >= 0, "fork");
    if (child == 0) {
        coverage_begin();
        coverage_need(munmap(memory, 4 * PAGE) == 0, "munmap");
        coverage_end();
        _exit(0);
    }
    coverage_need(waitpid(child, &status, 0) == child && status == 0, "a child");
}

/* The address space is one: what the child unmaps is gone for the parent. As posix_spawn() does it with the
 * stack that it makes for its child. */
void scene_vfork_child_munmap(void)
{
    char *volatile memory = scene_pages(4);
    pid_t child;
    int status;

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    child = vfork(); /* NOLINT: this is what the scene is about */
    if (child == 0) {
        _exit(munmap(memory, 4 * PAGE) == 0 ? 0 : 1); /* NOLINT */
    }
    coverage_need(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a child of vfork");
    coverage_end();
}

/* The parent writes: it gets copies, and the child keeps the pages; pinned ones stay with the parent since
 * Linux 5.9. */
void scene_fork_parent_cow(void)
{
    char *memory = scene_pages(4);
    int ends[2];
    char byte;
    pid_t child;

    coverage_need(pipe(ends) == 0, "pipe");
    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    child = fork();
    coverage_need(child >= 0, "fork");
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    scene_fill(memory, 4 * PAGE);
    coverage_end();
    close(ends[1]);
    coverage_need(waitpid(child, NULL, 0) == child, "a child");
}
