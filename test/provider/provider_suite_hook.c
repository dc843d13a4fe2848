/* SPDX-License-Identifier: BSD-3-Clause */
/* Conformance suite: the promise HOOK_SAFE. Registrations are ended inside
 * munmap(), free() and signal handlers, at any moment of this and of every
 * other thread: nothing may be allocated, and nobody waited for. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "provider_suite_internal.h"

#define PREPARED 200

static mca_rcache_base_registration_t *prepared[PREPARED];
static scene_t *the_scene; /* For the signal handler. */

static void prepare(scene_t *scene)
{
    suite_open(scene);
    if ((scene->resources.flags & MCA_RCACHE_RESOURCES_HOOK_SAFE) == 0) {
        suite_skip("the provider does not say that it is HOOK_SAFE");
    }
    alarm(scene->suite->hang_s != 0 ? scene->suite->hang_s : 15);
    the_scene = scene;
    char *memory = suite_map(PREPARED * scene->page);
    for (size_t i = 0; i < PREPARED; i++) {
        prepared[i] = suite_enter(scene, memory + i * scene->page, scene->page);
    }
}

/* Half of them one by one, half together, if the provider can. */
static void end_all(scene_t *scene)
{
    void *data = scene->resources.reg_data;
    size_t alone = scene->resources.deregister_many != NULL ? PREPARED / 2 : PREPARED;
    for (size_t i = 0; i < alone; i++) {
        scene->resources.deregister_mem(data, prepared[i]);
    }
    if (alone < PREPARED) {
        scene->resources.deregister_many(data, prepared + alone, PREPARED - alone);
    }
}

static void in_hooks_it_allocates_nothing_and_takes_no_lock(scene_t *scene)
{
    prepare(scene);
    if (!suite_trap_works()) {
        suite_skip("this build has an allocator of its own");
    }
    suite_trap_begin();
    end_all(scene);
    suite_trapped_t seen = suite_trap_end();
    REQUIRE(seen.allocations == 0, "deregistration of %d: malloc, free or the like was called %ld times", PREPARED,
            seen.allocations);
    REQUIRE(seen.locks == 0, "deregistration of %d took %ld locks", PREPARED, seen.locks);
    suite_close(scene);
}

/* Registrations that cannot be ended are there, too: errors must not show in errno, either. */
static void in_hooks_it_leaves_errno_alone(scene_t *scene)
{
    prepare(scene);
    suite_unmap(prepared[0]->base, PREPARED * scene->page);
    errno = EOWNERDEAD;
    end_all(scene);
    int after = errno;
    REQUIRE(after == EOWNERDEAD, "deregistration left errno %d", after);
    suite_close(scene);
}

/* ---- A signal in the middle of the provider ------------------------------------------------------ */

static volatile sig_atomic_t interrupted;
static atomic_bool all_done;

static void end_one(int signal_number)
{
    (void) signal_number;
    int saved_errno = errno;
    if (interrupted < PREPARED) {
        the_scene->resources.deregister_mem(the_scene->resources.reg_data, prepared[interrupted++]);
    }
    errno = saved_errno;
}

static void *interrupt(void *arg)
{
    const pthread_t *victim = arg;
    while (!atomic_load(&all_done)) {
        usleep(100);
        pthread_kill(*victim, SIGUSR1);
    }
    return NULL;
}

static void it_may_be_interrupted_by_itself(scene_t *scene)
{
    pthread_t helper, self = pthread_self();
    struct sigaction action = { .sa_handler = end_one, .sa_flags = SA_RESTART };
    prepare(scene);
    char *memory = suite_map(scene->page);
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction failed");
    REQUIRE(pthread_create(&helper, NULL, interrupt, &self) == 0, "no thread");
    while (interrupted < PREPARED) {
        suite_end(scene, suite_enter(scene, memory, scene->page));
    }
    atomic_store(&all_done, true);
    pthread_join(helper, NULL);
    suite_close(scene);
}

/* ---- Another thread that does not go on ---------------------------------------------------------- */

static atomic_int stopped, go_on;
static atomic_bool output_held;

static void stay(int signal_number)
{
    (void) signal_number;
    int mine = atomic_fetch_add(&stopped, 1) + 1;
    while (atomic_load(&go_on) < mine) {
        sched_yield();
    }
}

static void *enter_and_end_for_ever(void *arg)
{
    scene_t *scene = arg;
    char *memory = suite_map(scene->page);
    while (!atomic_load(&all_done)) {
        suite_end(scene, suite_enter(scene, memory, scene->page));
    }
    return NULL;
}

static void *hold_the_output(void *arg)
{
    (void) arg;
    flockfile(stdout);
    flockfile(stderr);
    atomic_store(&output_held, true);
    while (!atomic_load(&all_done)) {
        usleep(1000);
    }
    funlockfile(stderr);
    funlockfile(stdout);
    return NULL;
}

static void it_waits_for_no_other_thread(scene_t *scene)
{
    pthread_t worker, holder;
    struct sigaction action = { .sa_handler = stay, .sa_flags = SA_RESTART };
    prepare(scene);
    REQUIRE(sigaction(SIGUSR2, &action, NULL) == 0, "sigaction failed");
    REQUIRE(pthread_create(&holder, NULL, hold_the_output, NULL) == 0
                && pthread_create(&worker, NULL, enter_and_end_for_ever, scene) == 0,
            "no thread");
    while (!atomic_load(&output_held)) {
        sched_yield();
    }
    for (int i = 0; i < PREPARED; i++) {
        usleep(50);
        pthread_kill(worker, SIGUSR2);
        while (atomic_load(&stopped) == i) {
            sched_yield();
        }
        scene->resources.deregister_mem(scene->resources.reg_data, prepared[i]);
        atomic_store(&go_on, i + 1);
    }
    atomic_store(&all_done, true);
    pthread_join(worker, NULL);
    pthread_join(holder, NULL);
    suite_close(scene);
}

const scene_entry_t suite_hook_scenes[] = {
    { "in_hooks_it_allocates_nothing_and_takes_no_lock", in_hooks_it_allocates_nothing_and_takes_no_lock },
    { "in_hooks_it_leaves_errno_alone", in_hooks_it_leaves_errno_alone },
    { "it_may_be_interrupted_by_itself", it_may_be_interrupted_by_itself },
    { "it_waits_for_no_other_thread", it_waits_for_no_other_thread },
    { NULL, NULL },
};
