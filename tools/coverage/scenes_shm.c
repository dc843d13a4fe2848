/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: System V segments, and the break. */
#include <errno.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>

#include "tools/coverage/scenes.h"

/* It goes with its last user. */
static int make_segment(size_t length)
{
    const int id = shmget(IPC_PRIVATE, length, IPC_CREAT | 0600);

    if (id < 0) {
        coverage_not_possible("shmget");
    }
    return id;
}

static char *attach(size_t length)
{
    const int id = make_segment(length);
    char *memory = shmat(id, NULL, 0);

    shmctl(id, IPC_RMID, NULL);
    coverage_need(memory != (void *) -1, "shmat");
    scene_fill(memory, length);
    return memory;
}

/* Not a whole number of pages: the kernel rounds. */
void scene_shmdt(void)
{
    char *memory = attach(4 * PAGE - 10);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(shmdt(memory) == 0, "shmdt");
    coverage_end();
}

void scene_shm_munmap(void)
{
    char *memory = attach(4 * PAGE);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(munmap(memory, 4 * PAGE) == 0, "munmap");
    coverage_end();
}

void scene_shmat_remap(void)
{
    const int id = make_segment(4 * PAGE);
    char *memory = scene_pages(4);
    void *attached;

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    attached = shmat(id, memory, SHM_REMAP);
    shmctl(id, IPC_RMID, NULL);
    coverage_need(attached == memory, "shmat REMAP");
    coverage_end();
}

/* ---- The break -------------------------------------------------------------------------------- */

#define GROWN 8
#define KEPT 3

/* Pages at the end of the heap. @return The first of them; their end is the break. */
static char *grow(void)
{
    const size_t odd = (uintptr_t) sbrk(0) % PAGE;
    char *end;

    coverage_need(sbrk((intptr_t) (odd != 0 ? PAGE - odd : 0)) != (void *) -1, "sbrk");
    end = sbrk(GROWN * (intptr_t) PAGE);
    coverage_need(end != (void *) -1, "sbrk");
    scene_fill(end, GROWN * PAGE);
    return end;
}

void scene_sbrk_negative(void)
{
    char *memory = grow();

    coverage_expect(0, memory + KEPT * PAGE, (GROWN - KEPT) * PAGE);
    coverage_begin();
    coverage_need(sbrk(-(intptr_t) ((GROWN - KEPT) * PAGE)) == memory + GROWN * PAGE, "sbrk");
    coverage_end();
}

/* The page of the new break stays. */
void scene_brk_lower(void)
{
    char *memory = grow();

    coverage_expect(0, memory + KEPT * PAGE, (GROWN - KEPT) * PAGE);
    coverage_begin();
    coverage_need(brk(memory + KEPT * PAGE - 100) == 0, "brk");
    coverage_end();
}
