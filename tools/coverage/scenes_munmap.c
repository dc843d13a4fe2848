/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: munmap, in all circumstances. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/coverage/coverage_child.h"
#include "tools/coverage/scenes.h"

#define UNALIGNED 5000 /* Bytes: one page and a part of the next. */

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static void release(char *start, size_t pages)
{
    coverage_expect(0, start, pages * PAGE);
    coverage_begin();
    coverage_need(munmap(start, pages * PAGE) == 0, "munmap");
    coverage_end();
}

void scene_munmap(void)
{
    release(scene_pages(8), 8);
}

void scene_munmap_middle(void)
{
    release(scene_pages(8) + 2 * PAGE, 3);
}

/* Three mappings and a hole. */
void scene_munmap_span(void)
{
    char *memory = scene_pages(8);

    coverage_need(mprotect(memory + 2 * PAGE, PAGE, PROT_READ) == 0, "mprotect");
    coverage_need(munmap(memory + 5 * PAGE, PAGE) == 0, "munmap");
    release(memory, 8);
}

void scene_munmap_unaligned(void)
{
    char *memory = scene_pages(2);

    coverage_expect(0, memory, 2 * PAGE);
    coverage_begin();
    coverage_need(munmap(memory, UNALIGNED) == 0, "munmap");
    coverage_end();
}

void scene_munmap_file(void)
{
    release(scene_map_file(scene_memory_file(4), 4), 4);
}

static void *release_in_thread(void *arg)
{
    coverage_need(munmap(arg, 4 * PAGE) == 0, "munmap");
    return NULL;
}

void scene_munmap_thread(void)
{
    char *memory = scene_pages(4);
    pthread_t thread;

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(pthread_create(&thread, NULL, release_in_thread, memory) == 0, "pthread_create");
    coverage_need(pthread_join(thread, NULL) == 0, "pthread_join");
    coverage_end();
}

/* ---- Under load ------------------------------------------------------------------------------- */

#define HAMMERS 2
#define ROUNDS_MIN 500

static atomic_bool is_over;
static atomic_uint rounds;

static void *hammer(void *arg)
{
    while (!atomic_load(&is_over)) {
        char *memory = mmap(NULL, 4 * PAGE, RW, ANON, -1, 0);

        coverage_need(memory != MAP_FAILED && munmap(memory, 4 * PAGE) == 0, "mmap and munmap under load");
        atomic_fetch_add(&rounds, 1);
    }
    return arg;
}

static void wait_for_rounds(unsigned wanted)
{
    const unsigned begin = atomic_load(&rounds);

    while (atomic_load(&rounds) - begin < wanted) {
        usleep(100);
    }
}

/* The address may be used again at once, for other pages. */
void scene_munmap_stress(void)
{
    char *memory = scene_pages(8);
    pthread_t threads[HAMMERS];

    coverage_expect(0, memory, 8 * PAGE);
    for (int i = 0; i < HAMMERS; i++) {
        coverage_need(pthread_create(&threads[i], NULL, hammer, NULL) == 0, "pthread_create");
    }
    wait_for_rounds(ROUNDS_MIN);
    coverage_begin();
    coverage_need(munmap(memory, 8 * PAGE) == 0, "munmap");
    wait_for_rounds(ROUNDS_MIN);
    atomic_store(&is_over, true);
    for (int i = 0; i < HAMMERS; i++) {
        coverage_need(pthread_join(threads[i], NULL) == 0, "pthread_join");
    }
    coverage_end();
}

/* ---- By other ways to the same function ------------------------------------------------------- */

static char *of_handler;

static void release_in_handler(int number)
{
    (void) number;
    munmap(of_handler, 4 * PAGE);
}

void scene_munmap_signal(void)
{
    struct sigaction action = { .sa_handler = release_in_handler };

    of_handler = scene_pages(4);
    coverage_need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    coverage_expect(0, of_handler, 4 * PAGE);
    coverage_begin();
    coverage_need(raise(SIGUSR1) == 0, "raise");
    coverage_end();
}

void scene_munmap_early_pointer(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(coverage_early_munmap(memory, 4 * PAGE) == 0, "munmap");
    coverage_end();
}

/* ---- Nothing goes ----------------------------------------------------------------------------- */

static void must_fail(bool has_failed, const char *what)
{
    coverage_need(has_failed, what);
    coverage_end();
}

void scene_munmap_einval(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    must_fail(munmap(memory + 1, 2 * PAGE) == -1 && munmap(memory, 0) == -1, "munmap that must fail");
}

void scene_munmap_other(void)
{
    char *memory = scene_pages(8);

    coverage_expect(0, memory + PAGE, 4 * PAGE);
    coverage_begin();
    coverage_need(munmap(memory, PAGE) == 0 && munmap(memory + 5 * PAGE, 3 * PAGE) == 0, "munmap");
    coverage_end();
}

void scene_mseal_munmap(void)
{
    char *memory = scene_pages(4);

    if (syscall(SYS_mseal, memory, 4 * PAGE, 0) != 0) {
        coverage_not_possible("mseal");
    }
    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    must_fail(munmap(memory, 4 * PAGE) == -1, "munmap of sealed pages");
}
