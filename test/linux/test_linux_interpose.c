/* SPDX-License-Identifier: BSD-3-Clause */
/* The mechanism of processors for which nobody has written machine code: what
 * it claims, it sees; what libc does inside, it does not see and does not claim. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/mca/memory/memory.h"
#include "opal/memoryhooks/memory_internal.h"
#include "opal/opalmem.h"
#include "test/linux/probe.h"
#include "test/linux/valgrind.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define PAGE ((size_t) 4096)
#define LENGTH (4 * PAGE)
#define FULL \
    (OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MALLOC_SUPPORT | OPAL_MEMORY_MMAP_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT)

/* ---- What is told of one range -------------------------------------------------------------------------- */

static volatile uintptr_t watched_start, watched_end; /* 0: nothing is watched. */
static volatile uintptr_t told_start, told_end;       /* The part of it that was told, as one range. */
static volatile int told_count, told_everything;
static volatile opal_mem_hooks_cause_t told_cause;
static volatile uintptr_t gained; /* Start of the last alloc event of the watched length. */

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    const uintptr_t start = (uintptr_t) buf, end = start + length;

    (void) cbdata, (void) from_alloc;
    if (buf == NULL && length == SIZE_MAX) {
        told_everything++;
    } else if (start < watched_end && end > watched_start) {
        told_count++;
        told_cause = opal_mem_hooks_current_cause();
        told_start = told_start == 0 || start < told_start ? start : told_start;
        told_end = end > told_end ? end : told_end;
    }
}

static void on_alloc(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata, (void) from_alloc;
    gained = length == LENGTH ? (uintptr_t) buf : gained;
}

static void watch(const void *start, size_t length)
{
    told_start = told_end = 0;
    told_count = told_everything = 0;
    watched_start = (uintptr_t) start;
    watched_end = (uintptr_t) start + length;
}

static void expect(const void *start, size_t length, opal_mem_hooks_cause_t cause)
{
    ck_assert_uint_eq(told_start, (uintptr_t) start);
    ck_assert_uint_eq(told_end, (uintptr_t) start + length);
    ck_assert_int_eq(told_cause, cause);
    ck_assert_int_eq(told_count, 1);
}

static void start_as(const char *mechanism)
{
    setenv("OPALMEM_MCA_memory_linux_mechanism", mechanism, 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
}

static void start(void)
{
    start_as("interpose");
    ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(on_alloc, NULL), OPAL_SUCCESS);
}

static char *map(void)
{
    char *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    memory[0] = 1;
    return memory;
}

/* ---- Claims ------------------------------------------------------------------------------------------------ */

START_TEST(everything_but_chunk_is_claimed)
{
    start();
    ck_assert_int_eq(opal_mem_hooks_support_level(), FULL);
    ck_assert_uint_eq(opal_memory_base_sees(), OPAL_MEMORY_SEES_BEFORE | OPAL_MEMORY_SEES_DISCARD
                                                   | OPAL_MEMORY_SEES_SHM | OPAL_MEMORY_SEES_ALLOC);
}
END_TEST

static const struct {
    const char *left_alone;
    int support;
} claims[] = {
    { "shmdt", FULL & ~OPAL_MEMORY_MUNMAP_SUPPORT },
    { "brk", FULL & ~(OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MMAP_SUPPORT) },
    { "mmap", FULL & ~(OPAL_MEMORY_MUNMAP_SUPPORT | OPAL_MEMORY_MMAP_SUPPORT) },
    { "remap_file_pages", FULL },
};

START_TEST(function_left_alone_takes_its_claims_away)
{
    setenv("OPALMEM_MCA_memory_linux_disable_sites", claims[_i].left_alone, 1);
    start_as("interpose");
    ck_assert_int_eq(opal_mem_hooks_support_level(), claims[_i].support);
    opalmem_finalize();
    unsetenv("OPALMEM_MCA_memory_linux_disable_sites");
    start_as("interpose");
    ck_assert_int_eq(opal_mem_hooks_support_level(), FULL);
}
END_TEST

/* ---- Calls of the program ------------------------------------------------------------------------------------ */

static void by_munmap(char *memory)
{
    ck_assert_int_eq(munmap(memory, LENGTH), 0);
    expect(memory, LENGTH, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
}

static void by_part_of_munmap(char *memory)
{
    ck_assert_int_eq(munmap(memory + PAGE, PAGE), 0);
    expect(memory + PAGE, PAGE, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
}

static void by_mmap_over(char *memory)
{
    ck_assert_ptr_eq(mmap(memory, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), memory);
    expect(memory, PAGE, OPAL_MEM_HOOKS_CAUSE_MMAP);
}

static void by_mmap64_over(char *memory)
{
    ck_assert_ptr_eq(mmap64(memory, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), memory);
    expect(memory, PAGE, OPAL_MEM_HOOKS_CAUSE_MMAP);
}

static void by_mremap_shrink(char *memory)
{
    ck_assert_ptr_eq(mremap(memory, LENGTH, PAGE, 0), memory);
    expect(memory + PAGE, LENGTH - PAGE, OPAL_MEM_HOOKS_CAUSE_MREMAP);
}

static void by_mremap_move(char *memory)
{
    char *moved;

    mmap(memory + LENGTH, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    watch(memory, LENGTH);
    errno = 7;
    moved = mremap(memory, LENGTH, 8 * LENGTH, MREMAP_MAYMOVE);
    ck_assert(moved != MAP_FAILED && moved != memory && moved[0] == 1 && errno == 7);
    expect(memory, LENGTH, OPAL_MEM_HOOKS_CAUSE_MREMAP);
}

static void by_mremap_to(char *memory)
{
    char *other = map();

    ck_assert_ptr_eq(mremap(memory, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, other), other);
    ck_assert_int_eq(other[0], 1);
    expect(memory, LENGTH, OPAL_MEM_HOOKS_CAUSE_MREMAP);
}

static void by_madvise(char *memory)
{
    ck_assert_int_eq(madvise(memory, PAGE, MADV_DONTNEED), 0);
    expect(memory, PAGE, OPAL_MEM_HOOKS_CAUSE_MADVISE);
    ck_assert_int_eq(memory[0], 0);
}

static void by_syscall(char *memory)
{
    ck_assert_int_eq(syscall(SYS_munmap, memory, LENGTH), 0);
    expect(memory, LENGTH, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
}

static void (*const ways[])(char *memory) = { by_munmap,      by_part_of_munmap, by_mmap_over,
                                              by_mmap64_over, by_mremap_shrink,  by_mremap_move,
                                              by_mremap_to,   by_madvise,        by_syscall };
#define WAYS ((int) (sizeof(ways) / sizeof(ways[0])))

START_TEST(release_by_a_call_is_told)
{
    char *memory;

    start();
    memory = map();
    watch(memory, LENGTH);
    ways[_i](memory);
}
END_TEST

START_TEST(refused_call_fails_as_without_us)
{
    start();
    errno = 0;
    ck_assert(munmap((void *) 1, PAGE) == -1 && errno == EINVAL);
    ck_assert(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
    ck_assert(shmdt((void *) 1) == -1 && errno == EINVAL);
    ck_assert(brk((void *) UINTPTR_MAX) == -1 && errno == ENOMEM);
    ck_assert(syscall(SYS_munmap, 1, PAGE) == -1 && errno == EINVAL);
    ck_assert(syscall(SYS_close, -1) == -1 && errno == EBADF);
    errno = 7;
    ck_assert(syscall(SYS_getppid) == getppid() && errno == 7);
}
END_TEST

START_TEST(memory_that_came_is_told)
{
    start();
    ck_assert_uint_eq((uintptr_t) map(), gained);
}
END_TEST

START_TEST(segment_is_told)
{
    char *memory;
    int id;

    start();
    id = shmget(IPC_PRIVATE, LENGTH, IPC_CREAT | 0600);
    ck_assert_int_ge(id, 0);
    memory = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    ck_assert_ptr_ne(memory, (void *) -1);
    ck_assert_uint_eq((uintptr_t) memory, gained);
    watch(memory, LENGTH);
    ck_assert_int_eq(shmdt(memory), 0);
    expect(memory, LENGTH, OPAL_MEM_HOOKS_CAUSE_SHMDT);
}
END_TEST

/* The heap is not touched by others: nothing is allocated in between. */
START_TEST(break_is_told)
{
    char *before, *bottom, *after;
    int brk_result;

    start();
    before = sbrk(0);
    bottom = sbrk((intptr_t) LENGTH);
    watch(before, LENGTH);
    after = _i == 0 ? sbrk(-(intptr_t) LENGTH) : NULL;
    brk_result = _i == 1 ? brk(bottom) : 0;
    watched_end = 0;
    ck_assert_ptr_eq(bottom, before);
    ck_assert_ptr_eq(sbrk(0), before);
    ck_assert(_i == 1 || after == before + LENGTH);
    ck_assert_int_eq(brk_result, 0);
    ck_assert_uint_le(told_start, ((uintptr_t) bottom + PAGE - 1) & ~(PAGE - 1));
    ck_assert_int_eq(told_count, 1);
    ck_assert_int_eq(told_cause, OPAL_MEM_HOOKS_CAUSE_BRK);
}
END_TEST

START_TEST(twin_without_the_component_nothing_is_told)
{
    char *memory;

    setenv("OPALMEM_MCA_memory", "noop", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_ne(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
    memory = map();
    watch(memory, LENGTH);
    ck_assert_int_eq(munmap(memory, LENGTH), 0);
    ck_assert_int_eq(told_count, 0);
}
END_TEST

/* ---- What libc and ld.so do inside ----------------------------------------------------------------------------- */

/* libc's munmap of it is not seen: what is told is the block. */
START_TEST(big_block_is_told_when_it_is_freed)
{
    char *block;

    start();
    block = malloc(1 << 20);
    block[0] = 1;
    watch(block, 1 << 20);
    free(block);
    ck_assert_int_eq(told_count, 1);
    ck_assert_uint_eq(told_start, watched_start);
    ck_assert_int_eq(told_cause, OPAL_MEM_HOOKS_CAUSE_FREE);
}
END_TEST

static void *touch_stack(void *arg)
{
    volatile char local[256];

    local[0] = 1;
    *(volatile uintptr_t *) arg = (uintptr_t) local;
    watch((const void *) local, sizeof(local));
    return NULL;
}

static void *exit_thread(void *arg)
{
    touch_stack(arg);
    pthread_exit(NULL);
}

static void *cancel_thread(void *arg)
{
    touch_stack(arg);
    pthread_cancel(pthread_self());
    pthread_testcancel();
    return NULL;
}

static void *(*const endings[])(void *) = { touch_stack, exit_thread, cancel_thread };

START_TEST(stack_is_told_when_the_thread_ends)
{
    uintptr_t local = 0;
    pthread_t thread;

    start();
    ck_assert_int_eq(pthread_create(&thread, NULL, endings[_i], &local), 0);
    pthread_join(thread, NULL);
    ck_assert_int_ge(told_count, 1);
    ck_assert(told_start <= local && local < told_end);
}
END_TEST

static atomic_int step;

static void wait_for_step(int wanted)
{
    while (atomic_load(&step) != wanted) {
        usleep(100);
    }
}

static void *register_own_stack(void *arg)
{
    opal_memory_watch_t watched = { .cookie = opal_memory_base_new_cookie() };

    wait_for_step(1);
    touch_stack(arg);
    atomic_store(&step,
                 opal_memory_base_watch((void *) *(uintptr_t *) arg, 256, &watched) == OPAL_SUCCESS ? 2 : -1);
    return NULL;
}

/* It registers memory, and so becomes known. */
START_TEST(stack_of_a_thread_that_was_there_before_is_told)
{
    uintptr_t local = 0;
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, register_own_stack, &local), 0);
    start();
    atomic_store(&step, 1);
    pthread_join(thread, NULL);
    ck_assert_int_eq(atomic_load(&step), 2);
    ck_assert_int_ge(told_count, 1);
    ck_assert(told_start <= local && local < told_end);
}
END_TEST

START_TEST(everything_is_told_when_an_object_is_closed)
{
    probe_t probe;

    start();
    probe = probe_open("now", RTLD_NOW);
    watch(NULL, 0);
    ck_assert_int_eq(dlclose(probe.handle), 0);
    ck_assert_int_eq(told_everything, 1);
}
END_TEST

/* ---- Objects that come later --------------------------------------------------------------------------------- */

static const char *const variants[] = { "lazy", "now" };

START_TEST(object_loaded_later_is_a_miss_until_it_is_taken_in)
{
    opal_memory_watch_t first = { .cookie = opal_memory_base_new_cookie() };
    opal_memory_watch_t second = { .cookie = opal_memory_base_new_cookie() };
    probe_t probe;
    char *memory;

    start();
    memory = map();
    ck_assert_int_eq(opal_memory_base_watch(memory, LENGTH, &first), OPAL_SUCCESS);
    ck_assert(opal_memory_base_valid(memory, LENGTH, &first));
    probe = probe_open(variants[_i], RTLD_LAZY);
    ck_assert(!opal_memory_base_valid(memory, LENGTH, &first));
    watch(NULL, 0);
    ck_assert_int_eq(opal_memory_base_watch(memory, LENGTH, &second), OPAL_SUCCESS);
    ck_assert_int_eq(told_everything, 1); /* It may have released what is registered. */
    ck_assert(opal_memory_base_valid(memory, LENGTH, &second));
    watch(memory, LENGTH);
    ck_assert_int_eq(probe.munmap(memory, LENGTH), 0);
    expect(memory, LENGTH, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
}
END_TEST

START_TEST(object_that_was_there_is_told)
{
    const probe_t probe = probe_open(variants[_i], RTLD_LAZY);
    char *memory;

    start();
    memory = map();
    watch(memory, LENGTH);
    ck_assert_int_eq(probe.munmap(memory, LENGTH), 0);
    expect(memory, LENGTH, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
}
END_TEST

/* ---- Beginning and end ---------------------------------------------------------------------------------------- */

START_TEST(nothing_is_told_after_the_end)
{
    char *memory;

    start();
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    memory = map();
    watch(memory, LENGTH);
    ck_assert_int_eq(munmap(memory, LENGTH), 0);
    ck_assert_int_eq(told_count, 0);
}
END_TEST

static atomic_bool stop;
static atomic_int faults, rounds;

static void *end_at_once(void *arg)
{
    return arg;
}

static void *use_calls(void *arg)
{
    while (!atomic_load(&stop)) {
        char *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        pthread_t thread;

        memory[0] = 5;
        memory = mremap(memory, LENGTH, 4 * LENGTH, MREMAP_MAYMOVE);
        atomic_fetch_add(&faults, memory[0] != 5 || munmap(memory, 4 * LENGTH) != 0);
        atomic_fetch_add(&faults, munmap((void *) 1, PAGE) != -1 || errno != EINVAL);
        atomic_fetch_add(&faults,
                         pthread_create(&thread, NULL, end_at_once, NULL) != 0 || pthread_join(thread, NULL) != 0);
        atomic_fetch_add(&rounds, 1);
    }
    return arg;
}

START_TEST(starts_and_stops_do_not_disturb_running_threads)
{
    pthread_t threads[3];

    for (int i = 0; i < 3; i++) {
        pthread_create(&threads[i], NULL, use_calls, NULL);
    }
    for (int i = 0; i < 50; i++) {
        const int before = atomic_load(&rounds);

        start();
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
}
END_TEST

static bool can_run(void)
{
    const pid_t child = fork();
    int status = 1;

    if (child == 0) {
        setenv("OPALMEM_MCA_memory_linux_mechanism", "interpose", 1);
        _exit(opalmem_init(NULL, NULL) == OPAL_SUCCESS && opal_mem_hooks_support_level() != 0 ? 0 : 1);
    }
    waitpid(child, &status, 0);
    return status == 0;
}

static void add_tests(TCase *tcase)
{
    tcase_add_test(tcase, everything_but_chunk_is_claimed);
    tcase_add_loop_test(tcase, function_left_alone_takes_its_claims_away, 0,
                        (int) (sizeof(claims) / sizeof(claims[0])));
    tcase_add_loop_test(tcase, release_by_a_call_is_told, 0, WAYS);
    tcase_add_test(tcase, refused_call_fails_as_without_us);
    tcase_add_test(tcase, memory_that_came_is_told);
    tcase_add_test(tcase, segment_is_told);
    tcase_add_loop_test(tcase, break_is_told, 0, 2);
    tcase_add_test(tcase, twin_without_the_component_nothing_is_told);
    tcase_add_test(tcase, big_block_is_told_when_it_is_freed);
    tcase_add_loop_test(tcase, stack_is_told_when_the_thread_ends, 0, 3);
    tcase_add_test(tcase, stack_of_a_thread_that_was_there_before_is_told);
    tcase_add_test(tcase, everything_is_told_when_an_object_is_closed);
    tcase_add_loop_test(tcase, object_loaded_later_is_a_miss_until_it_is_taken_in, 0, 2);
    tcase_add_loop_test(tcase, object_that_was_there_is_told, 0, 2);
    tcase_add_test(tcase, nothing_is_told_after_the_end);
    tcase_add_test(tcase, starts_and_stops_do_not_disturb_running_threads);
}

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_interpose");
    TCase *tcase = tcase_create("calls");

    setenv("OPALMEM_MCA_memory", "linux", 1);
    if (TEST_IS_THREAD_SANITIZED) {
        return test_skip("a thread sanitizer takes over the same functions");
    }
    if (!can_run()) {
        return test_skip("functions of libc cannot be taken over here; see the message above");
    }
    add_tests(tcase);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
