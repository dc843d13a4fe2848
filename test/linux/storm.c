/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads of storm.h. A release must be heard if the state was the same odd number right before and right after its
 * call: the test makes it odd when the callback is registered, and 0 before it takes the callback away. */
#include "test/linux/storm.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "opal/memoryhooks/memory_internal.h"

#define PAGE ((size_t) 4096)

/* 0: changing. Odd: on, even: off; never the same number twice, so that a thread which sees one before and after a call
 * knows that it held all the time. */
static _Atomic unsigned long state;
static _Atomic bool stop;
static storm_result_t results[STORM_THREADS]; /* Each thread's own until it has ended. */
static _Atomic unsigned long turns[STORM_THREADS];
static pthread_t threads[STORM_THREADS];

/* What this thread releases now, and how often it was told. Volatile: libc declares its calls as leaf functions, in which
 * the compiler takes it that nothing of this file runs. */
static _Thread_local volatile uintptr_t expected_start;
static _Thread_local volatile size_t expected_length;
static _Thread_local volatile unsigned hits, breaks;

void storm_on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata, (void) from_alloc;
    if ((uintptr_t) buf == expected_start && length == expected_length) {
        hits++;
    }
    if (opal_mem_hooks_current_cause() == OPAL_MEM_HOOKS_CAUSE_BRK) {
        breaks++;
    }
}

/* ---- Calls, and what must be heard of them -------------------------------------------------------- */

static unsigned long expect(const void *start, size_t length)
{
    expected_start = (uintptr_t) start;
    expected_length = length;
    hits = 0;
    return atomic_load(&state);
}

static void settle(storm_result_t *result, unsigned long before, bool is_right)
{
    unsigned long after = atomic_load(&state);
    bool is_on = before == after && before % 2 == 1;
    bool is_off = before == after && before % 2 == 0 && before != 0;

    expected_start = UINTPTR_MAX;
    result->calls++;
    result->wrong += !is_right;
    result->heard += is_on && hits == 1;
    result->missed += is_on && hits == 0;
    result->spurious += is_off && hits != 0;
    result->repeated += hits > 1;
}

static void *map(size_t pages)
{
    return mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void use_munmap(storm_result_t *result)
{
    char *memory = map(2);
    unsigned long before = expect(memory, 2 * PAGE);

    settle(result, before, memory != MAP_FAILED && munmap(memory, 2 * PAGE - 1) == 0);
    before = expect((void *) 1, PAGE);
    result->wrong += munmap((void *) 1, PAGE) != -1 || errno != EINVAL;
    result->wrong += hits != 0;
}

static void use_mmap_fixed(storm_result_t *result)
{
    char *memory = map(2);
    memory[PAGE] = 1;
    unsigned long before = expect(memory + PAGE, PAGE);
    char *got = mmap(memory + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

    settle(result, before, got == memory + PAGE && got[0] == 0);
    before = expect(memory, 2 * PAGE);
    settle(result, before, munmap(memory, 2 * PAGE) == 0);
}

static void use_madvise(storm_result_t *result)
{
    char *memory = map(1);
    memory[0] = 1;
    unsigned long before = expect(memory, PAGE);

    settle(result, before, madvise(memory, PAGE, MADV_DONTNEED) == 0 && memory[0] == 0);
    before = expect(memory, PAGE);
    settle(result, before, munmap(memory, PAGE) == 0);
}

static void use_mremap(storm_result_t *result)
{
    char *memory = map(4);
    memory[0] = 7;
    unsigned long before = expect(memory + PAGE, 3 * PAGE);

    settle(result, before, mremap(memory, 4 * PAGE, PAGE, 0) == memory && memory[0] == 7);
    char *place = map(1);
    before = expect(memory, PAGE);
    char *moved = mremap(memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    settle(result, before, moved == place && moved[0] == 7);
    before = expect(moved, PAGE);
    settle(result, before, munmap(moved, PAGE) == 0);
}

enum { BLOCKS = 64 };
static const size_t block_size = 100000;

static char *take_block(storm_result_t *result, size_t index)
{
    char *block = malloc(block_size);

    /* clang would leave out the allocation and its free. */
    __asm__ volatile("" : "+r"(block) : : "memory");
    result->wrong += block == NULL;
    block[0] = (char) (index + 1);
    block[block_size - 1] = (char) (index + 1);
    return block;
}

/* One arena, whose end moves by brk. What lives longer may lie above the memory of former turns, which is then used again
 * without a change of the end: so as many blocks are taken as it needs to go beyond it. Whether the end moves back at a
 * free still depends on the other threads. */
static void use_malloc(storm_result_t *result)
{
    const uintptr_t end = (uintptr_t) sbrk(0);
    char *blocks[BLOCKS];
    size_t count = 0;

    do {
        blocks[count] = take_block(result, count);
        count++;
    } while (count < 4 || (count < BLOCKS && (uintptr_t) blocks[count - 1] + block_size <= end));
    while (count-- > 0) {
        result->wrong +=
            blocks[count][0] != (char) (count + 1) || blocks[count][block_size - 1] != (char) (count + 1);
        free(blocks[count]);
    }
    result->calls++;
}

static void *hammer(void *arg)
{
    size_t index = (size_t) arg;
    storm_result_t *result = &results[index];

    while (!atomic_load(&stop)) {
        use_munmap(result);
        use_mmap_fixed(result);
        use_madvise(result);
        use_mremap(result);
        use_malloc(result);
        atomic_fetch_add(&turns[index], 1);
    }
    result->breaks = breaks;
    return NULL;
}

/* ---- From the test -------------------------------------------------------------------------------- */

void storm_start(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, 128 * 1024);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    storm_is_off();
    for (size_t i = 0; i < STORM_THREADS; i++) {
        if (pthread_create(&threads[i], NULL, hammer, (void *) i) != 0) {
            abort();
        }
    }
    storm_wait();
}

void storm_stop(storm_result_t *sum)
{
    atomic_store(&stop, true);
    memset(sum, 0, sizeof(*sum));
    for (size_t i = 0; i < STORM_THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum->calls += results[i].calls;
        sum->heard += results[i].heard;
        sum->wrong += results[i].wrong;
        sum->missed += results[i].missed;
        sum->repeated += results[i].repeated;
        sum->spurious += results[i].spurious;
        sum->breaks += results[i].breaks;
    }
}

static unsigned long last_state = 1; /* Of the test's thread. */

void storm_is_on(void)
{
    last_state += last_state % 2 == 0 ? 1 : 2;
    atomic_store(&state, last_state);
}

void storm_is_off(void)
{
    last_state += last_state % 2 == 1 ? 1 : 2;
    atomic_store(&state, last_state);
}

void storm_is_changing(void)
{
    atomic_store(&state, 0);
}

void storm_wait(void)
{
    unsigned long from[STORM_THREADS];

    for (size_t i = 0; i < STORM_THREADS; i++) {
        from[i] = atomic_load(&turns[i]);
    }
    for (size_t i = 0; i < STORM_THREADS; i++) {
        while (atomic_load(&turns[i]) < from[i] + 2) { /* The first of them may have begun before. */
            sched_yield();
        }
    }
}

int storm_rounds(int rounds)
{
    const char *asked = getenv("OPALMEM_TEST_ROUNDS");

    return asked != NULL && atoi(asked) > 0 ? atoi(asked) : rounds;
}
