/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that libc and ld.so manage by themselves: the data of libraries that
 * are loaded and unloaded, also in a namespace of their own, where a second
 * libc makes the calls; and stacks of threads, given back when their thread
 * ends or when there are too many of them. */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/linux/loaded.h"
#include "test/linux/scenes.h"

/* ---- A stretch of memory ---------------------------------------------------------------------- */

typedef struct stretch_t {
    atomic_uintptr_t start, end;
    atomic_size_t told; /* Bytes of it, if no release is told twice. */
} stretch_t;

static stretch_t released, gained;

static void expect(stretch_t *stretch, const void *start, size_t length)
{
    atomic_store(&stretch->told, 0);
    atomic_store(&stretch->end, (uintptr_t) start + length);
    atomic_store(&stretch->start, (uintptr_t) start);
}

static bool is_told(stretch_t *stretch)
{
    const size_t length = atomic_load(&stretch->end) - atomic_load(&stretch->start);

    return length != 0 && atomic_load(&stretch->told) >= length;
}

static void tell(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    stretch_t *stretch = cbdata;
    const uintptr_t start = (uintptr_t) buf, end = start + length;
    const uintptr_t first = atomic_load(&stretch->start), last = atomic_load(&stretch->end);
    const uintptr_t from = start > first ? start : first, to = end < last ? end : last;

    (void) from_alloc;
    if (from < to && length != SIZE_MAX) {
        atomic_fetch_add(&stretch->told, to - from);
    }
}

static void tell_gain(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    tell(buf, length, cbdata, from_alloc);
}

static void listen(void)
{
    opal_mem_hooks_register_release(tell, &released); /* Refused with noop. */
    opal_mem_hooks_register_alloc(tell_gain, &gained);
}

/* ---- Libraries -------------------------------------------------------------------------------- */

#define LIBRARY LOADED_DIR "/loaded.so"

/* Whole pages of a symbol's data. */
static char *pages_of(void *handle, const char *name)
{
    char *data = dlsym(handle, name);

    ck_assert_ptr_nonnull(data);
    return (char *) (((uintptr_t) data + PAGE - 1) & ~(PAGE - 1));
}

static bool unloading_tells(void *handle, const char *name)
{
    ck_assert_msg(handle != NULL, "%s", dlerror());
    expect(&released, pages_of(handle, name), LOADED_SIZE - PAGE);
    ck_assert_int_eq(dlclose(handle), 0);
    return is_told(&released);
}

static bool data_of_an_unloaded_library_is_told(void)
{
    listen();
    return unloading_tells(dlopen(LIBRARY, RTLD_NOW), "loaded_data")
           && unloading_tells(dlopen(LIBRARY, RTLD_NOW), "loaded_zeros");
}

/* It comes to the same place each time, as nothing else is mapped meanwhile. */
static bool data_of_a_loaded_library_is_told(void)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW);
    char *data = pages_of(handle, "loaded_zeros");
    bool is_seen;

    listen();
    dlclose(handle);
    expect(&gained, data, LOADED_SIZE - PAGE);
    handle = dlopen(LIBRARY, RTLD_NOW);
    ck_assert_ptr_eq(pages_of(handle, "loaded_zeros"), data);
    is_seen = is_told(&gained);
    dlclose(handle);
    return is_seen;
}

#ifndef WATCHED_SANITIZED
static bool data_unloaded_in_another_namespace_is_told(void)
{
    listen();
    return unloading_tells(dlmopen(LM_ID_NEWLM, LIBRARY, RTLD_NOW), "loaded_data");
}
#endif

static void look_up(void *handle, const char *name, void *function)
{
    void *symbol = dlsym(handle, name);

    ck_assert_ptr_nonnull(symbol);
    memcpy(function, &symbol, sizeof(symbol));
}

/* Through the second libc: its munmap and its allocator. */
static bool second_libc_tells(void *libc)
{
    int (*second_munmap)(void *, size_t);
    void *(*second_malloc)(size_t);
    void (*second_free)(void *);
    char *page = watched_page(), *big;

    ck_assert_msg(libc != NULL, "%s", dlerror());
    look_up(libc, "munmap", &second_munmap);
    look_up(libc, "malloc", &second_malloc);
    look_up(libc, "free", &second_free);
    ck_assert(second_munmap != munmap);
    ck_assert_int_eq(second_munmap(page, PAGE), 0);
    big = second_malloc(4 << 20);
    expect(&released, big + PAGE, 1 << 20);
    second_free(big);
    return watched_all() && is_told(&released);
}

static bool second_libc_loaded_later_is_told(void)
{
    void *libc = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
    bool is_seen;

    listen();
    is_seen = second_libc_tells(libc);
    dlclose(libc);
    return is_seen;
}

/* The library starts anew when the second libc is there. */
static bool second_libc_loaded_before_is_told(void)
{
    void *libc;

    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    libc = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    opal_mem_hooks_register_release(watched_on_release, NULL);
    listen();
    return second_libc_tells(libc);
}

/* ---- Stacks ----------------------------------------------------------------------------------- */

static char *_Atomic deep_page;

/* Touches the stack far below, and says where. */
static __attribute__((noinline)) void go_deep(void)
{
    volatile char much[1 << 20];

    much[0] = 1;
    atomic_store(&deep_page, (char *) ((uintptr_t) much & ~(PAGE - 1)));
}

static void *use_stack(void *arg)
{
    go_deep();
    expect(&released, atomic_load(&deep_page), PAGE);
    return arg;
}

static void run_thread(size_t stack_size)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, stack_size), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, use_stack, NULL), 0);
    pthread_attr_destroy(&attributes);
    pthread_join(thread, NULL);
}

/* libc keeps it for the next thread, and discards what lies in it. */
static bool kept_stack_of_a_thread_is_told(void)
{
    listen();
    run_thread(8 << 20);
    return is_told(&released);
}

static bool big_stack_of_a_thread_is_told(void)
{
    listen();
    run_thread(256 << 20);
    return is_told(&released);
}

static pthread_barrier_t all_there;

static void *meet(void *arg)
{
    go_deep();
    pthread_barrier_wait(&all_there);
    return arg;
}

#define CROWD 20

/* Twenty stacks of 8 MiB are more than libc keeps: some are unmapped, and each is discarded at least once. */
static bool trimmed_stacks_are_told(void)
{
    pthread_t threads[CROWD];
    const int before = watched_others();

    pthread_barrier_init(&all_there, NULL, CROWD);
    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, meet, NULL), 0);
    }
    for (int i = 0; i < CROWD; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&all_there);
    return watched_others() >= before + CROWD + 10;
}

static const watched_scene_t scenes[] = {
    { "data_of_an_unloaded_library_is_told", data_of_an_unloaded_library_is_told },
    { "data_of_a_loaded_library_is_told", data_of_a_loaded_library_is_told },
#ifndef WATCHED_SANITIZED /* Its library does not let itself be loaded there. */
    { "data_unloaded_in_another_namespace_is_told", data_unloaded_in_another_namespace_is_told },
#endif
    { "second_libc_loaded_later_is_told", second_libc_loaded_later_is_told },
    { "second_libc_loaded_before_is_told", second_libc_loaded_before_is_told },
    { "kept_stack_of_a_thread_is_told", kept_stack_of_a_thread_is_told },
    { "big_stack_of_a_thread_is_told", big_stack_of_a_thread_is_told },
    { "trimmed_stacks_are_told", trimmed_stacks_are_told },
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
    if (access(LIBRARY, R_OK) != 0) {
        return test_skip(LIBRARY " was not built: no shared libraries here");
    }
    suite = suite_create("linux_objects");
    tcase = tcase_create("objects");
    add_scenes(tcase);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
