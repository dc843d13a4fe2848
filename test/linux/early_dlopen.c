/* SPDX-License-Identifier: BSD-3-Clause */
/* early_dlopen LIBOPALMEM LOADED: a program that knows nothing of the hooks until
 * it loads them, while its threads map, unmap and allocate all the time. Then it
 * loads and unloads another library, and prints what of its own releases and of
 * that library's data was told: "seen N of M". */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "opal/opalmem.h" /* For names and types: nothing of it is linked. */
#include "test/linux/loaded.h"

#define PAGE ((size_t) 4096)
#define LENGTH (37 * PAGE)
#define THREADS 4

static void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* ---- Threads that do not stop ------------------------------------------------------------------ */

static atomic_bool stop;
static atomic_int rounds;

static void use_system(void)
{
    char *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        fail("mmap failed");
    }
    memory[0] = 1;
    if (munmap(memory, LENGTH) != 0 || munmap((void *) 1, PAGE) != -1 || errno != EINVAL) {
        fail("munmap gave a wrong result");
    }
}

static void use_malloc(void)
{
    char *memory = malloc(1 << 20);

    memset(memory, 1, 1 << 12);
    memory = realloc(memory, 4 << 20);
    if (memory == NULL || memory[100] != 1) {
        fail("realloc lost its content");
    }
    free(memory);
}

static void *hammer(void *arg)
{
    while (!atomic_load(&stop)) {
        use_system();
        use_malloc();
        atomic_fetch_add(&rounds, 1);
    }
    return arg;
}

static void wait_for_rounds(int count)
{
    const int from = atomic_load(&rounds);

    while (atomic_load(&rounds) < from + count) {
        usleep(100);
    }
}

/* ---- What is told ------------------------------------------------------------------------------ */

static volatile uintptr_t watched_start, watched_end; /* Of this thread alone. */
static pthread_t watcher;
static atomic_int seen;

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    const uintptr_t start = (uintptr_t) buf;

    (void) cbdata, (void) from_alloc;
    if (pthread_equal(pthread_self(), watcher) && start <= watched_start && start + length >= watched_end) {
        watched_end = UINTPTR_MAX; /* Once. */
        atomic_fetch_add(&seen, 1);
    }
}

static void watch(const char *start, size_t length)
{
    watched_start = ((uintptr_t) start + PAGE - 1) & ~(PAGE - 1);
    watched_end = watched_start + length;
}

/* @return releases made. */
static int release_own(void)
{
    int count;

    for (count = 0; count < 100; count++) {
        char *memory = mmap(NULL, LENGTH, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        watch(memory, LENGTH);
        munmap(memory, LENGTH);
    }
    return count;
}

static int unload_others(const char *path)
{
    int count;

    for (count = 0; count < 20; count++) {
        void *handle = dlopen(path, RTLD_NOW);

        if (handle == NULL) {
            fail(dlerror());
        }
        watch(dlsym(handle, "loaded_zeros"), LOADED_SIZE - 2 * PAGE);
        dlclose(handle);
    }
    return count;
}

/* ---- The library that comes late ---------------------------------------------------------------- */

/* Its functions carry a prefix: the header's macros know. */
#define NAME_OF(function) #function
#define FIND(library, function, variable) find(library, NAME_OF(function), &(variable))

static void find(void *library, const char *name, void *variable)
{
    void *symbol = dlsym(library, name);

    if (symbol == NULL) {
        fail(name);
    }
    memcpy(variable, &symbol, sizeof(symbol));
}

static int (*init)(int *argc, char ***argv);
static int (*finalize)(void);
static int (*register_release)(opal_mem_hooks_callback_fn_t *func, void *cbdata);

static void load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);

    if (library == NULL) {
        fail(dlerror());
    }
    FIND(library, opalmem_init, init);
    FIND(library, opalmem_finalize, finalize);
    FIND(library, opal_mem_hooks_register_release, register_release);
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    int made = 0;

    if (argc != 3) {
        fail("usage: early_dlopen LIBOPALMEM LOADED");
    }
    watcher = pthread_self();
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, hammer, NULL);
    }
    wait_for_rounds(20);
    load(argv[1]);
    for (int i = 0; i < 5; i++) {
        if (init(NULL, NULL) != OPAL_SUCCESS) {
            fail("opalmem_init failed");
        }
        register_release(on_release, NULL); /* Refused with noop. */
        made += release_own() + unload_others(argv[2]);
        wait_for_rounds(20);
        if (finalize() != OPAL_SUCCESS) {
            fail("opalmem_finalize failed");
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    fprintf(stderr, "seen %d of %d\n", atomic_load(&seen), made);
    return 0;
}
