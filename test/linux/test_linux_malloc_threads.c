/* SPDX-License-Identifier: BSD-3-Clause */
/* Malloc-level events with several threads: switching them on and off disturbs nobody, and none is lost. */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/opalmem.h"
#include "test/linux/valgrind.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define SIZE ((size_t) 1000)

/* The compiler neither leaves the allocation out, nor takes the pointer for that of a freed block. */
static void *keep(void *block)
{
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

static atomic_int releases;

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    atomic_fetch_add(&releases, 1);
}

static void start(void)
{
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
}

static atomic_bool stop;
static atomic_int faults, rounds;

static void *use_malloc(void *arg)
{
    while (!atomic_load(&stop)) {
        unsigned char *blocks[16];

        for (int i = 0; i < 16; i++) {
            blocks[i] = keep(malloc(SIZE + (size_t) i * 700));
            memset(blocks[i], i, SIZE);
        }
        for (int i = 0; i < 16; i++) {
            blocks[i] = keep(realloc(blocks[i], 2 * SIZE));
            atomic_fetch_add(&faults, blocks[i][SIZE - 1] != i);
            free(blocks[i]);
        }
        atomic_fetch_add(&rounds, 1);
    }
    return arg;
}

START_TEST(starts_and_stops_do_not_disturb_running_threads)
{
    pthread_t threads[3];

    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, use_malloc, NULL);
    }
    for (int i = 0; i < 50; i++) {
        const int before = atomic_load(&rounds);

        start();
        ck_assert_int_ne(opal_mem_hooks_support_level() & OPAL_MEMORY_MALLOC_SUPPORT, 0);
        while (atomic_load(&rounds) < before + 3) {
            usleep(50);
        }
        ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(atomic_load(&faults), 0);
    ck_assert_int_gt(atomic_load(&releases), 50);
}
END_TEST

#define COUNTED 20000

static atomic_int balance;

static void on_counted_alloc(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata;
    atomic_fetch_add(&balance, from_alloc);
}

static void *allocate_many(void *arg)
{
    for (int i = 0; i < COUNTED; i++) {
        free(keep(malloc(SIZE)));
    }
    return arg;
}

static void *allocate_one(void *arg)
{
    free(keep(malloc(SIZE)));
    return arg;
}

/* What the hooks of old glibc cannot do. */
START_TEST(no_event_is_lost_between_threads)
{
    pthread_t threads[4];

    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, allocate_one, NULL); /* What threads allocate for themselves. */
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(opal_mem_hooks_register_alloc(on_counted_alloc, NULL), OPAL_SUCCESS);
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, allocate_many, NULL);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_ge(atomic_load(&balance), 4 * COUNTED);
}
END_TEST

/* Without the variable no event comes, and the count of the test above would be 0. */
START_TEST(twin_without_the_variable_no_event_is_counted)
{
    setenv("OPALMEM_MCA_memory_linux_malloc_events", "0", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(on_counted_alloc, NULL), OPAL_SUCCESS);
    allocate_many(NULL);
    ck_assert_int_lt(atomic_load(&balance), COUNTED);
}
END_TEST

static bool can_run(void)
{
    const pid_t child = fork();
    int status = 1;

    if (child == 0) {
        _exit(opalmem_init(NULL, NULL) == OPAL_SUCCESS
                      && (opal_mem_hooks_support_level() & OPAL_MEMORY_MALLOC_SUPPORT) != 0
                  ? 0
                  : 1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_malloc_threads");
    TCase *tcase = tcase_create("threads");

    setenv("OPALMEM_MCA_memory", "linux", 1);
    setenv("OPALMEM_MCA_memory_linux_malloc_events", "1", 1);
    if (TEST_IS_THREAD_SANITIZED) {
        return test_skip("a thread sanitizer has malloc of its own, and takes minutes");
    }
    if (!can_run()) {
        return test_skip("malloc-level events are not possible here; see the message above");
    }
    tcase_add_test(tcase, starts_and_stops_do_not_disturb_running_threads);
    tcase_add_test(tcase, no_event_is_lost_between_threads);
    tcase_add_test(tcase, twin_without_the_variable_no_event_is_counted);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
