/* SPDX-License-Identifier: BSD-3-Clause */
/* The library is started and stopped over and over while other threads use all
 * the calls whose code is being replaced: nothing crashes, no call gives a
 * wrong result, and events of a thread come in that thread. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/opalmem.h"
#include "test/linux/valgrind.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define CYCLES (TEST_IS_THREAD_SANITIZED ? 15 : 100) /* Half a second each, there. */

static atomic_bool stop;
static atomic_int faults; /* Wrong results. */

static void check(bool is_right)
{
    if (!is_right) {
        atomic_fetch_add(&faults, 1);
    }
}

static void use_mmap(void)
{
    char *memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    check(memory != MAP_FAILED);
    memory[0] = 1;
    check(mmap(memory + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory + PAGE);
    check(munmap(memory, 4 * PAGE) == 0);
    check(munmap((void *) 1, PAGE) == -1 && errno == EINVAL);
}

static void use_mremap(void)
{
    char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memory[PAGE] = 7;
    memory = mremap(memory, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
    check(memory != MAP_FAILED && memory[PAGE] == 7);
    check(madvise(memory, 2 * PAGE, MADV_DONTNEED) == 0);
    check(memory[PAGE] == 0);
    check(mremap(memory, 8 * PAGE, PAGE, 0) == memory);
    check(munmap(memory, PAGE) == 0);
}

static void use_malloc(void)
{
    char *big = malloc(1 << 20), *small[32];

    memset(big, 1, 4096);
    big = realloc(big, 3 << 20);
    check(big != NULL && big[4095] == 1);
    free(big);
    for (int i = 0; i < 32; i++) {
        small[i] = malloc(60000);
        small[i][0] = 1;
    }
    for (int i = 0; i < 32; i++) {
        free(small[i]);
    }
}

static void use_fork(void)
{
    const pid_t child = fork();
    int status = 0;

    if (child == 0) {
        char *memory = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        _exit(memory != MAP_FAILED && munmap(memory, PAGE) == 0 ? 0 : 1);
    }
    check(waitpid(child, &status, 0) == child && status == 0);
}

static void (*const uses[])(void) = { use_mmap, use_mremap, use_malloc, use_fork };
#define USES (sizeof(uses) / sizeof(uses[0]))

static atomic_int rounds[USES];

static void *work(void *arg)
{
    while (!atomic_load(&stop)) {
        uses[(size_t) arg]();
        atomic_fetch_add(&rounds[(size_t) arg], 1);
    }
    return NULL;
}

static pthread_t threads[USES];

static void start_threads(void)
{
    for (size_t i = 0; i < USES; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, (void *) i), 0);
    }
}

static void stop_threads(void)
{
    atomic_store(&stop, true);
    for (size_t i = 0; i < USES; i++) {
        pthread_join(threads[i], NULL);
    }
}

static atomic_int releases;

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf;
    (void) length;
    (void) cbdata;
    (void) from_alloc;
    atomic_fetch_add(&releases, 1);
}

/* Of each thread: some of them are much faster than others. */
static void wait_for_rounds(int count)
{
    for (size_t i = 0; i < USES; i++) {
        const int from = atomic_load(&rounds[i]);

        while (atomic_load(&rounds[i]) - from < count) {
            usleep(50);
        }
    }
}

START_TEST(starts_and_stops_do_not_disturb_running_threads)
{
    start_threads();
    for (int i = 0; i < CYCLES; i++) {
        ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
        ck_assert_int_ne(opal_mem_hooks_support_level(), 0);
        ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
        wait_for_rounds(3);
        ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
        wait_for_rounds(1);
    }
    stop_threads();
    ck_assert_int_eq(atomic_load(&faults), 0);
    ck_assert_int_gt(atomic_load(&releases), CYCLES);
}
END_TEST

/* Volatile, because libc declares munmap as a leaf function: the compiler takes it that nothing in this file
 * runs inside it. */
static _Thread_local volatile uintptr_t releasing; /* What this thread is about to unmap. */
static _Thread_local volatile int hits;
static atomic_int misses; /* Callbacks on another thread than the releasing one. */

static void on_own_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) length;
    (void) cbdata;
    (void) from_alloc;
    if ((uintptr_t) buf == releasing) {
        hits++;
    } else if (releasing != 0) {
        atomic_fetch_add(&misses, 1);
    }
}

static void *release_and_look(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        void *memory = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        hits = 0;
        releasing = (uintptr_t) memory;
        munmap(memory, PAGE);
        releasing = 0;
        check(hits == 1);
    }
    return arg;
}

START_TEST(release_is_told_in_the_releasing_thread)
{
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(on_own_release, NULL), OPAL_SUCCESS);
    for (size_t i = 0; i < USES; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, release_and_look, NULL), 0);
    }
    for (size_t i = 0; i < USES; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(atomic_load(&faults), 0);
    ck_assert_int_eq(atomic_load(&misses), 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(twin_without_the_component_no_release_is_told)
{
    setenv("OPALMEM_MCA_memory", "noop", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_ne(opal_mem_hooks_register_release(on_own_release, NULL), OPAL_SUCCESS);
    release_and_look(NULL);
    ck_assert_int_eq(atomic_load(&faults), 2000);
}
END_TEST

static bool can_run(void)
{
    const pid_t child = fork();
    int status = 1;

    if (child == 0) {
        _exit(opalmem_init(NULL, NULL) == OPAL_SUCCESS && opal_mem_hooks_support_level() != 0 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_threads");
    TCase *tcase = tcase_create("threads");

    setenv("OPALMEM_MCA_memory", "linux", 1);
    if (!can_run()) {
        return test_skip("the component linux cannot run here; see the message above");
    }
    tcase_add_test(tcase, starts_and_stops_do_not_disturb_running_threads);
    tcase_add_test(tcase, release_is_told_in_the_releasing_thread);
    tcase_add_test(tcase, twin_without_the_component_no_release_is_told);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
