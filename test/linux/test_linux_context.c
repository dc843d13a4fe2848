/* SPDX-License-Identifier: BSD-3-Clause */
/* Hook context: signals in the middle of a hook whose handlers release memory
 * themselves, threads that end while they are in a hooked call or by the
 * thousands, and what is not to be done there (leaving by longjmp). */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "test/children.h"
#include "test/linux/scenes.h"

static void handle(int signal_number, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

    sigemptyset(&action.sa_mask);
    ck_assert_int_eq(sigaction(signal_number, &action, NULL), 0);
}

/* In every context. */
static void give_back_a_page(void)
{
    char *page = watched_page();

    if (page != NULL && munmap(page, PAGE) != 0) {
        abort();
    }
}

/* ---- Signals --------------------------------------------------------------------------------- */

#define DEPTH 5

static atomic_int depth;

static void map_and_give_back(int signal_number)
{
    const int saved_errno = errno;
    void *memory = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void) signal_number;
    give_back_a_page();
    if (memory == MAP_FAILED || munmap(memory, 4 * PAGE) != 0) {
        abort();
    }
    errno = saved_errno;
}

static void raise_until_deep(void *page)
{
    (void) page;
    if (atomic_fetch_add(&depth, 1) < DEPTH) {
        raise(SIGUSR1);
    }
}

static bool handler_in_a_callback_gives_back_memory(void)
{
    handle(SIGUSR1, map_and_give_back, SA_NODEFER);
    atomic_store(&watched_inside, raise_until_deep);
    give_back_a_page();
    atomic_store(&watched_inside, NULL);
    give_back_a_page();
    return watched_all() && atomic_load(&depth) == DEPTH + 1;
}

#define STORM_PAGES 3000

static atomic_int working;

static void *give_back_pages(void *arg)
{
    for (int i = 0; i < STORM_PAGES; i++) {
        give_back_a_page();
    }
    atomic_fetch_sub(&working, 1);
    while (atomic_load(&working) > 0) {
        usleep(100); /* Threads that get signals must be there. */
    }
    return arg;
}

static void nothing_on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
}

/* Callbacks come and go: unregister waits for dispatches that handlers have interrupted. */
static void *register_and_unregister(void *arg)
{
    while (atomic_load(&working) > 0) {
        if (opal_mem_hooks_register_release(nothing_on_release, NULL) == OPAL_SUCCESS) {
            opal_mem_hooks_unregister_release(nothing_on_release);
        }
    }
    return arg;
}

static void set_profiler(int microseconds)
{
    const struct itimerval timer = { { 0, microseconds }, { 0, microseconds } };

    ck_assert_int_eq(setitimer(ITIMER_PROF, &timer, NULL), 0);
}

static bool storm_of_signals_loses_nothing(void)
{
    pthread_t workers[2], registrar;

    handle(SIGUSR1, map_and_give_back, SA_RESTART);
    handle(SIGPROF, map_and_give_back, SA_RESTART);
    atomic_store(&working, 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&workers[i], NULL, give_back_pages, NULL), 0);
    }
    ck_assert_int_eq(pthread_create(&registrar, NULL, register_and_unregister, NULL), 0);
    set_profiler(1000);
    while (atomic_load(&working) > 0) {
        pthread_kill(workers[0], SIGUSR1);
        pthread_kill(workers[1], SIGUSR1);
        usleep(20);
    }
    set_profiler(0);
    for (int i = 0; i < 2; i++) {
        pthread_join(workers[i], NULL);
    }
    pthread_join(registrar, NULL);
    return watched_all();
}

static void finalize_at_exit(void)
{
    _exit(opalmem_finalize() == OPAL_SUCCESS ? 0 : 1);
}

static void leave(int signal_number)
{
    (void) signal_number;
    exit(1);
}

static void raise_in_callback(void *page)
{
    (void) page;
    raise(SIGUSR1);
}

/* A crash handler that calls exit(): the library is stopped from inside its own callback. */
static bool exit_in_a_callback_ends_the_process(void)
{
    const pid_t child = fork();
    int status;

    if (child == 0) {
        child_must_end_within(20);
        handle(SIGUSR1, leave, 0);
        atexit(finalize_at_exit);
        atomic_store(&watched_inside, raise_in_callback);
        give_back_a_page();
        _exit(2);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

/* ---- Threads that end ------------------------------------------------------------------------ */

static atomic_bool is_inside, is_cancelled;

static void wait_for_cancel(void *page)
{
    (void) page;
    atomic_store(&is_inside, true);
    while (!atomic_load(&is_cancelled)) {
    }
}

static void *give_back_until_cancelled(void *arg)
{
    give_back_a_page();
    atomic_store(&is_inside, true); /* With noop, too. */
    for (;;) {
        give_back_a_page();
        pthread_testcancel();
    }
    return arg;
}

static bool thread_cancelled_in_a_callback_finishes_it(void)
{
    pthread_t thread;
    void *result;

    atomic_store(&watched_inside, wait_for_cancel);
    ck_assert_int_eq(pthread_create(&thread, NULL, give_back_until_cancelled, NULL), 0);
    while (!atomic_load(&is_inside)) {
    }
    pthread_cancel(thread);
    atomic_store(&watched_inside, NULL);
    atomic_store(&is_cancelled, true);
    pthread_join(thread, &result);
    give_back_a_page();
    return result == PTHREAD_CANCELED && watched_all();
}

static bool threads_cancelled_at_any_time_lose_nothing(void)
{
    for (int i = 0; i < 300; i++) {
        pthread_t thread;

        ck_assert_int_eq(pthread_create(&thread, NULL, give_back_until_cancelled, NULL), 0);
        usleep((useconds_t) (i % 7 * 10));
        pthread_cancel(thread);
        pthread_join(thread, NULL);
    }
    return watched_all();
}

#define THREADS 4000
#define AT_ONCE 8

static pthread_key_t key;

static void give_back_value(void *page)
{
    munmap(page, PAGE);
}

static void *live_briefly(void *arg)
{
    give_back_a_page();
    pthread_setspecific(key, watched_page());
    return arg;
}

/* Their stacks go as well: each tells at least the madvise by which it ends. */
static bool thousands_of_threads_lose_nothing(void)
{
    pthread_t threads[AT_ONCE];

    ck_assert_int_eq(pthread_key_create(&key, give_back_value), 0);
    for (int i = 0; i < THREADS; i += AT_ONCE) {
        for (int k = 0; k < AT_ONCE; k++) {
            ck_assert_int_eq(pthread_create(&threads[k], NULL, live_briefly, NULL), 0);
        }
        for (int k = 0; k < AT_ONCE; k++) {
            pthread_join(threads[k], NULL);
        }
    }
    pthread_key_delete(key);
    return watched_all() && watched_others() >= THREADS;
}

static const watched_scene_t scenes[] = {
    { "handler_in_a_callback_gives_back_memory", handler_in_a_callback_gives_back_memory },
    { "storm_of_signals_loses_nothing", storm_of_signals_loses_nothing },
    { "exit_in_a_callback_ends_the_process", exit_in_a_callback_ends_the_process },
    { "thread_cancelled_in_a_callback_finishes_it", thread_cancelled_in_a_callback_finishes_it },
    { "threads_cancelled_at_any_time_lose_nothing", threads_cancelled_at_any_time_lose_nothing },
    { "thousands_of_threads_lose_nothing", thousands_of_threads_lose_nothing },
    { NULL, NULL },
};

int main(void)
{
    const int skipped = scenes_can_run();
    Suite *suite;
    TCase *tcase;

    if (skipped != 0) {
        return skipped;
    }
    suite = suite_create("linux_context");
    tcase = tcase_create("context");
    add_scenes(tcase);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
