/* SPDX-License-Identifier: BSD-3-Clause */
/* Conformance suite: scenes with several threads, and with fork children. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "provider_suite_internal.h"

#define THREADS 4
#define ROUNDS 2000

/* ---- Threads ------------------------------------------------------------------------------------ */

typedef struct worker_t {
    pthread_t thread;
    scene_t *scene;
    char *memory;
    mca_rcache_base_registration_t *regs[8];
    pthread_barrier_t *start; /* NULL: at once. */
} worker_t;

static void *enter_and_end(void *arg)
{
    worker_t *worker = arg;
    size_t page = worker->scene->page;
    if (worker->start != NULL) {
        pthread_barrier_wait(worker->start); /* None is through before the others begin. */
    }
    for (int i = 0; i < ROUNDS; i++) {
        mca_rcache_base_registration_t **reg = &worker->regs[i % 8];
        if (*reg != NULL) {
            suite_end(worker->scene, *reg);
        }
        *reg = suite_enter(worker->scene, worker->memory + (size_t) (i % 8) * page, page);
    }
    for (int i = 0; i < 8; i++) {
        suite_end(worker->scene, worker->regs[i]);
    }
    return NULL;
}

static void several_threads_at_once(scene_t *scene)
{
    static worker_t workers[THREADS];
    static pthread_barrier_t start;
    suite_open(scene);
    REQUIRE(pthread_barrier_init(&start, NULL, THREADS) == 0, "no barrier");
    for (int i = 0; i < THREADS; i++) {
        workers[i].scene = scene;
        workers[i].start = &start;
        workers[i].memory = suite_map(8 * scene->page);
        REQUIRE(pthread_create(&workers[i].thread, NULL, enter_and_end, &workers[i]) == 0, "no thread");
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    suite_close(scene);
}

static void *enter_all(void *arg)
{
    worker_t *worker = arg;
    for (size_t i = 0; i < 8; i++) {
        worker->regs[i] =
            suite_enter(worker->scene, worker->memory + i * worker->scene->page, worker->scene->page);
    }
    return NULL;
}

static void ended_after_its_thread_has_gone(scene_t *scene)
{
    worker_t worker = { .scene = scene };
    suite_open(scene);
    worker.memory = suite_map(8 * scene->page);
    REQUIRE(pthread_create(&worker.thread, NULL, enter_all, &worker) == 0, "no thread");
    pthread_join(worker.thread, NULL);
    suite_must_have(scene, 8 * scene->page);
    for (int i = 0; i < 8; i++) {
        suite_must_work(scene, worker.regs[i]);
        suite_end(scene, worker.regs[i]);
    }
    suite_close(scene);
}

/* ---- Fork --------------------------------------------------------------------------------------- */

/* What a cache does with the provider in a child: it forgets what it inherited, and registers anew. */
static void use_in_child(scene_t *scene, void *arg)
{
    if (scene->resources.after_fork != NULL) {
        int rc = scene->resources.after_fork(scene->resources.reg_data);
        REQUIRE(rc == OPAL_SUCCESS, "after_fork returned %d", rc);
    }
    char *memory = arg;
    for (int i = 0; i < 20; i++) {
        mca_rcache_base_registration_t *reg = suite_enter(scene, memory, scene->page);
        suite_must_work(scene, reg);
        suite_end(scene, reg);
    }
}

static mca_rcache_base_registration_t *volatile left[4];

/* It dies with some of its own: if they were in the parent's device, they would stay. */
static void die_in_child(scene_t *scene, void *arg)
{
    use_in_child(scene, arg);
    for (size_t i = 0; i < 4; i++) {
        left[i] = suite_enter(scene, (char *) arg + i * scene->page, scene->page);
    }
}

static void fork_child_leaves_its_parents_registrations(scene_t *scene)
{
    suite_open(scene);
    char *memory = suite_map(8 * scene->page);
    mca_rcache_base_registration_t *reg = suite_enter(scene, memory, 8 * scene->page);
    suite_in_child(scene, die_in_child, memory);
    suite_must_have(scene, 8 * scene->page);
    suite_must_work(scene, reg);
    mca_rcache_base_registration_t *second = suite_enter(scene, memory, scene->page);
    suite_must_work(scene, reg);
    suite_must_work(scene, second);
    suite_end(scene, second);
    suite_end(scene, reg);
    suite_close(scene);
}

static void close_in_child(scene_t *scene, void *arg)
{
    use_in_child(scene, arg);
    scene->suite->close(scene->state);
}

static void fork_child_closes_what_it_inherited(scene_t *scene)
{
    suite_open(scene);
    char *memory = suite_map(8 * scene->page);
    mca_rcache_base_registration_t *reg = suite_enter(scene, memory, 8 * scene->page);
    suite_in_child(scene, close_in_child, memory);
    suite_must_have(scene, 8 * scene->page);
    suite_must_work(scene, reg);
    suite_end(scene, reg);
    suite_close(scene);
}

const scene_entry_t suite_thread_scenes[] = {
    { "several_threads_at_once", several_threads_at_once },
    { "ended_after_its_thread_has_gone", ended_after_its_thread_has_gone },
    { "fork_child_leaves_its_parents_registrations", fork_child_leaves_its_parents_registrations },
    { "fork_child_closes_what_it_inherited", fork_child_closes_what_it_inherited },
    { NULL, NULL },
};
