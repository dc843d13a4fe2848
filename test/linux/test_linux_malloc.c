/* SPDX-License-Identifier: BSD-3-Clause */
/* Malloc-level events: one for each block that is given and taken back, before
 * it goes, with its size; whatever the allocator. With an argument, this
 * program is the one scene that runs under a preloaded allocator. */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/memoryhooks/memory_internal.h"
#include "opal/opalmem.h"
#include "test/linux/probe.h"
#include "test/linux/valgrind.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define SIZE ((size_t) 1000)
#define PAGE ((size_t) 4096)

/* gcc's sanitizers, and valgrind, have allocators of their own; those of programs are not ours to see. */
static const char *const exec_mark = "OPALMEM_TEST_PRELOADED";

/* The compiler neither leaves the allocation out, nor takes the pointer for that of a freed block. */
static void *keep(void *block)
{
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

/* ---- What is told ------------------------------------------------------------------------------------ */

#define MAX_EVENTS 4096

typedef struct event_t {
    void *buf;
    size_t length;
    bool is_release, from_alloc;
    int first_byte; /* Of a released block. */
    opal_mem_hooks_cause_t cause;
    pthread_t thread;
} event_t;

static event_t events[MAX_EVENTS];
static atomic_int event_count;
static volatile bool allocates_within;
static void *volatile held;

static void note(void *buf, size_t length, bool from_alloc, bool is_release)
{
    const int index = atomic_fetch_add(&event_count, 1);
    const bool is_free = is_release && opal_mem_hooks_current_cause() == OPAL_MEM_HOOKS_CAUSE_FREE;

    if (index < MAX_EVENTS) {
        events[index] = (event_t){ .buf = buf,
                                   .length = length,
                                   .is_release = is_release,
                                   .from_alloc = from_alloc,
                                   .first_byte = is_free ? *(unsigned char *) buf : -1,
                                   .cause = opal_mem_hooks_current_cause(),
                                   .thread = pthread_self() };
    }
    if (allocates_within) {
        held = malloc(10);
        free(keep(held));
    }
}

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata;
    note(buf, length, from_alloc, true);
}

static void on_alloc(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata;
    note(buf, length, from_alloc, false);
}

static void start(void)
{
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(on_alloc, NULL), OPAL_SUCCESS);
}

static void start_with_events(void)
{
    setenv("OPALMEM_MCA_memory_linux_malloc_events", "1", 1);
    start();
}

static void forget(void)
{
    atomic_store(&event_count, 0);
}

/* How many events there are of this block as a whole. */
static int count_of(const void *block, bool is_release)
{
    int count = 0;

    for (int i = 0; i < atomic_load(&event_count) && i < MAX_EVENTS; i++) {
        count += events[i].buf == block && events[i].is_release == is_release;
    }
    return count;
}

static const event_t *find(const void *block, bool is_release)
{
    for (int i = 0; i < atomic_load(&event_count) && i < MAX_EVENTS; i++) {
        if (events[i].buf == block && events[i].is_release == is_release) {
            return &events[i];
        }
    }
    ck_abort_msg("no event of the block");
}

/* ---- Each function ------------------------------------------------------------------------------------ */

static void *by_malloc(void)
{
    return malloc(SIZE);
}

static void *by_calloc(void)
{
    return calloc(10, SIZE / 10);
}

static void *by_realloc(void)
{
    return realloc(NULL, SIZE);
}

static void *by_reallocarray(void)
{
    return reallocarray(NULL, 10, SIZE / 10);
}

static void *by_memalign(void)
{
    return memalign(256, SIZE);
}

static void *by_aligned_alloc(void)
{
    return aligned_alloc(128, 1024);
}

static void *by_valloc(void)
{
    return valloc(SIZE);
}

static void *by_posix_memalign(void)
{
    void *block = NULL;

    return posix_memalign(&block, 64, SIZE) == 0 ? block : NULL;
}

static void *by_pvalloc(void)
{
    return pvalloc(SIZE);
}

/* Within libc. */
static void *by_strdup(void)
{
    char text[SIZE];

    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    return strdup(text);
}

/* The last one is not in every allocator. */
static void *(*const makers[])(void) = { by_malloc,   by_calloc,        by_realloc, by_reallocarray,
                                         by_memalign, by_aligned_alloc, by_valloc,  by_posix_memalign,
                                         by_strdup,   by_pvalloc };
#define MAKERS ((int) (sizeof(makers) / sizeof(makers[0])))

static void check_maker(void *(*make)(void) )
{
    unsigned char *block;
    size_t usable;

    forget();
    block = keep(make());
    ck_assert_ptr_nonnull(block);
    usable = malloc_usable_size(block);
    block[0] = 0x5a;
    free(keep(block));
    ck_assert_int_eq(count_of(block, false), 1);
    ck_assert_uint_eq(find(block, false)->length, usable);
    ck_assert(find(block, false)->from_alloc);
    ck_assert_int_eq(count_of(block, true), 1);
    ck_assert_uint_eq(find(block, true)->length, usable);
    ck_assert(find(block, true)->from_alloc);
    ck_assert_int_eq(find(block, true)->first_byte, 0x5a); /* Told before it went. */
    ck_assert_int_eq(find(block, true)->cause, OPAL_MEM_HOOKS_CAUSE_FREE);
}

START_TEST(block_is_told_when_it_comes_and_before_it_goes)
{
    start_with_events();
    check_maker(makers[_i]);
}
END_TEST

START_TEST(twin_without_the_variable_no_block_is_told)
{
    void *block;

    start();
    forget();
    block = keep(makers[_i]());
    free(keep(block));
    ck_assert_int_eq(count_of(block, false) + count_of(block, true), 0);
    ck_assert_int_eq(opal_mem_hooks_support_level() & OPAL_MEMORY_MALLOC_SUPPORT, 0);
    ck_assert_int_ne(opal_mem_hooks_support_level() & OPAL_MEMORY_CHUNK_SUPPORT, 0);
}
END_TEST

START_TEST(support_level_says_malloc_and_not_chunk)
{
    start_with_events();
    ck_assert_int_eq(opal_mem_hooks_support_level(), OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MALLOC_SUPPORT
                                                         | OPAL_MEMORY_MMAP_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT);
}
END_TEST

#ifdef __x86_64__
/* As programs of before glibc 2.26 call it. */
void old_cfree(void *block);
__asm__(".symver old_cfree,cfree@GLIBC_2.2.5");

START_TEST(block_freed_by_cfree_is_told)
{
    void *block;

    start_with_events();
    block = keep(malloc(SIZE));
    forget();
    old_cfree(block);
    ck_assert_int_eq(count_of(block, true), 1);
}
END_TEST
#endif

START_TEST(realloc_tells_the_old_block_then_the_new)
{
    void *old, *new;

    start_with_events();
    old = keep(malloc(SIZE));
    forget();
    new = keep(realloc(keep(old), _i == 0 ? 100 * SIZE : SIZE / 2));
    ck_assert_int_eq(count_of(old, true), 1);
    ck_assert_int_eq(count_of(new, false), 1);
    ck_assert(find(old, true) < find(new, false));
    free(keep(new));
}
END_TEST

static volatile size_t too_much = SIZE_MAX / 2; /* Volatile: the compiler would say so. */

/* Asserts allocate: the events are counted before. */
START_TEST(what_fails_gives_no_block)
{
    void *results[4] = { NULL };
    int count;

    start_with_events();
    held = keep(malloc(SIZE));
    forget();
    results[0] = keep(malloc(too_much));
    results[1] = keep(calloc(too_much, 4));
    results[2] = keep(reallocarray(keep(held), too_much, 4));
    free(posix_memalign(&results[3], 3, SIZE) == 0 ? held : NULL);
    count = atomic_load(&event_count);
    for (int i = 0; i < 4; i++) {
        ck_assert_ptr_null(results[i]);
    }
    ck_assert_int_eq(count, 0);
}
END_TEST

/* That it will fail cannot be known before. */
START_TEST(block_that_realloc_failed_for_is_told_for_nothing)
{
    void *moved;
    int count;

    start_with_events();
    held = keep(malloc(SIZE));
    forget();
    moved = keep(realloc(keep(held), too_much));
    count = atomic_load(&event_count);
    ck_assert_ptr_null(moved);
    ck_assert_int_eq(count, 1);
    ck_assert_int_eq(count_of(held, true), 1);
}
END_TEST

/* ---- Where blocks come from ------------------------------------------------------------------------------- */

/* As a C++ program calls them. */
START_TEST(operators_of_cxx_are_told_once)
{
    void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_GLOBAL);
    void *(*new)(size_t) = NULL;
    void (*delete)(void *) = NULL;
    void *block;

    if (library == NULL) {
        return; /* No C++ here. */
    }
    start_with_events();
    *(void **) &new = dlsym(library, "_Znwm");
    *(void **) &delete = dlsym(library, "_ZdlPv");
    forget();
    block = new (SIZE);
    ck_assert_int_eq(count_of(block, false), 1);
    delete (block);
    ck_assert_int_eq(count_of(block, true), 1);
}
END_TEST

static const char *const variants[] = { "lazy", "now" };

/* Nothing is registered in between: the component hears of it from the loader. */
START_TEST(object_loaded_later_is_told)
{
    probe_t probe;
    void *block;

    start_with_events();
    probe = probe_open(variants[_i], RTLD_LAZY);
    forget();
    block = probe.malloc(SIZE);
    probe.free(block);
    ck_assert_int_eq(count_of(block, false), 1);
    ck_assert_int_eq(count_of(block, true), 1);
}
END_TEST

static void *allocate(void *arg)
{
    void *block = keep(malloc(SIZE));

    (void) arg;
    free(keep(block));
    return block;
}

START_TEST(thread_is_told_by_itself)
{
    pthread_t thread;
    void *block;

    start_with_events();
    forget();
    pthread_create(&thread, NULL, allocate, NULL);
    pthread_join(thread, &block);
    ck_assert(pthread_equal(find(block, false)->thread, thread));
    ck_assert(pthread_equal(find(block, true)->thread, thread));
}
END_TEST

START_TEST(fork_child_is_told)
{
    int status;
    pid_t child;

    start_with_events();
    child = fork();
    if (child == 0) {
        void *block = keep(malloc(SIZE));

        free(keep(block));
        _exit(count_of(block, false) == 1 && count_of(block, true) == 1 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

static void on_signal(int number)
{
    (void) number;
    held = keep(malloc(SIZE)); /* Not allowed in general; it is while the program is where it is. */
    free(keep(held));
}

START_TEST(signal_handler_is_told)
{
    start_with_events();
    signal(SIGUSR1, on_signal);
    forget();
    raise(SIGUSR1);
    ck_assert_int_eq(count_of(held, false), 1);
    ck_assert_int_eq(count_of(held, true), 1);
}
END_TEST

START_TEST(callback_that_allocates_does_not_recurse)
{
    void *block;

    start_with_events();
    allocates_within = true;
    forget();
    block = keep(malloc(SIZE));
    free(keep(block));
    allocates_within = false;
    ck_assert_int_eq(count_of(block, false), 1);
    ck_assert_int_eq(count_of(block, true), 1);
    ck_assert_int_eq(count_of(held, false) - (held == block), 0);
}
END_TEST

/* Memory that goes back to the system while a block is freed is told as well: both are true. */
START_TEST(release_to_the_system_is_told_within)
{
    char *block;
    int count = 0;

    start_with_events();
    block = keep(malloc(1 << 20));
    block[0] = 1;
    forget();
    free(keep(block));
    ck_assert_int_eq(count_of(block, true), 1);
    for (int i = 0; i < atomic_load(&event_count); i++) {
        count += events[i].is_release && events[i].cause == OPAL_MEM_HOOKS_CAUSE_MUNMAP
                 && events[i].buf == block - 2 * sizeof(size_t);
    }
    ck_assert_int_eq(count, 1);
}
END_TEST

/* ---- Beginning and end -------------------------------------------------------------------------------------- */

START_TEST(nothing_is_told_after_the_end)
{
    void *block;

    start_with_events();
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    forget();
    block = keep(malloc(SIZE));
    free(keep(block));
    ck_assert_int_eq(atomic_load(&event_count), 0);
}
END_TEST

/* ---- Other allocators ------------------------------------------------------------------------------------------ */

static const char *const allocators[] = { "libjemalloc.so.2", "libtcmalloc.so.4", "libtcmalloc_minimal.so.4",
                                          "libmimalloc.so.2" };
#define ALLOCATORS ((int) (sizeof(allocators) / sizeof(allocators[0])))

static bool has_libc_malloc(void)
{
    Dl_info info;

    return dladdr(dlsym(RTLD_DEFAULT, "malloc"), &info) != 0 && strstr(info.dli_fname, "libc.so.6") != NULL;
}

/* In the program that was started with the allocator. */
START_TEST(preloaded_allocator_is_told)
{
    start_with_events();
    ck_assert_int_ne(opal_mem_hooks_support_level() & OPAL_MEMORY_MALLOC_SUPPORT, 0);
    for (int i = 0; i < MAKERS - 1; i++) {
        check_maker(makers[i]);
    }
}
END_TEST

static void exec_with(const char *allocator)
{
    setenv("LD_PRELOAD", allocator, 1);
    setenv(exec_mark, "1", 1);
    execl("/proc/self/exe", "test_linux_malloc", (char *) NULL);
    _exit(127);
}

START_TEST(each_allocator_is_told)
{
    int status = 0;
    pid_t child;

    child = fork();
    if (child == 0) {
        exec_with(allocators[_i]);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        printf("not tested, as it is not here: %s\n", allocators[_i]);
        return;
    }
    ck_assert_msg(status == 0, "%s: status %d", allocators[_i], status);
}
END_TEST

/* --------------------------------------------------------------------------------------------------------------- */

static bool can_run(void)
{
    const pid_t child = fork();
    int status = 1;

    if (child == 0) {
        setenv("OPALMEM_MCA_memory_linux_malloc_events", "1", 1);
        _exit(opalmem_init(NULL, NULL) == OPAL_SUCCESS
                      && (opal_mem_hooks_support_level() & OPAL_MEMORY_MALLOC_SUPPORT) != 0
                  ? 0
                  : 1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

static void add_tests(TCase *tcase)
{
    tcase_add_loop_test(tcase, block_is_told_when_it_comes_and_before_it_goes, 0, MAKERS);
    tcase_add_loop_test(tcase, twin_without_the_variable_no_block_is_told, 0, MAKERS);
    tcase_add_test(tcase, support_level_says_malloc_and_not_chunk);
#ifdef __x86_64__
    tcase_add_test(tcase, block_freed_by_cfree_is_told);
#endif
    tcase_add_loop_test(tcase, realloc_tells_the_old_block_then_the_new, 0, 2);
    tcase_add_test(tcase, what_fails_gives_no_block);
    tcase_add_test(tcase, block_that_realloc_failed_for_is_told_for_nothing);
    tcase_add_test(tcase, operators_of_cxx_are_told_once);
    tcase_add_loop_test(tcase, object_loaded_later_is_told, 0, 2);
    tcase_add_test(tcase, thread_is_told_by_itself);
    tcase_add_test(tcase, fork_child_is_told);
    tcase_add_test(tcase, signal_handler_is_told);
    tcase_add_test(tcase, callback_that_allocates_does_not_recurse);
    tcase_add_test(tcase, release_to_the_system_is_told_within);
    tcase_add_test(tcase, nothing_is_told_after_the_end);
    tcase_add_loop_test(tcase, each_allocator_is_told, 0, ALLOCATORS);
}

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite;
    TCase *tcase;

    if (TEST_SANITIZED) {
        return test_skip(
            "a sanitizer's allocator refuses some of these calls, and others than libc's cannot be preloaded");
    }
    suite = suite_create("linux_malloc");
    tcase = tcase_create("events");
    setenv("OPALMEM_MCA_memory", "linux", 1);
    if (getenv(exec_mark) != NULL) {
        if (has_libc_malloc()) {
            return test_skip("the allocator is not here");
        }
        unsetenv("LD_PRELOAD");
        tcase_add_test(tcase, preloaded_allocator_is_told);
    } else if (!can_run()) {
        return test_skip("malloc-level events are not possible here; see the message above");
    } else {
        add_tests(tcase);
    }
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
