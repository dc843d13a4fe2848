/* SPDX-License-Identifier: BSD-3-Clause */
/* A kernel that answers as the test wants, and what happened, in order: system
 * calls and events. */
#ifndef TEST_LINUX_STEPS_H
#define TEST_LINUX_STEPS_H

#include <string.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "components/linux/linux.h"
#include "test/linux/fake_sys.h"
#include "test/test_main.h"

#define K 4096L
/* No huge page begins there. */
#define A 0x101000L
#define B 0x901000L
#define MIB2 (2L << 20)
#define STUBS 0x700000L /* Of code that was searched. */

/* What happened, in order: 'c' a system call, 'r' a release, 'a' an alloc event. */
typedef struct step_t {
    char kind;
    long first, second, third;
} step_t;

static step_t steps[32];
static int step_count;
static long answers[8]; /* Of the faked calls, in order. */
static int answer_count;

static inline void add_step(char kind, long first, long second, long third)
{
    ck_assert_int_lt(step_count, 32);
    steps[step_count++] = (step_t){ kind, first, second, third };
}

static inline void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata;
    ck_assert(from_alloc);
    add_step('r', (long) buf, (long) length, opal_mem_hooks_current_cause());
}

static inline void on_alloc(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata;
    ck_assert(from_alloc);
    add_step('a', (long) buf, (long) length, 0);
}

static inline long answer(long nr, long detail)
{
    add_step('c', nr, detail, 0);
    return answers[answer_count++];
}

static inline long fake_mmap(const long args[6])
{
    return answer(SYS_mmap, args[3]);
}

static inline long fake_munmap(const long args[6])
{
    ck_assert(opal_mem_hooks_window_overlaps((uintptr_t) args[0], 1) == (args[0] % K == 0 && args[0] != STUBS));
    return answer(SYS_munmap, args[0]);
}

static inline long fake_mremap(const long args[6])
{
    return answer(SYS_mremap, args[3]);
}

static inline long fake_brk(const long args[6])
{
    return answer(SYS_brk, args[0]);
}

static inline long fake_shmat(const long args[6])
{
    return answer(SYS_shmat, args[0]);
}

static inline long fake_shmctl(const long args[6])
{
    const long result = answer(SYS_shmctl, args[0]);

    if (result < 0) {
        return result;
    }
    ((struct shmid_ds *) args[2])->shm_segsz = (size_t) result;
    return 0;
}

static inline void steps_set_up(void)
{
    linux_facts =
        (linux_facts_t){ .page = K, .address_end = (1UL << 47) - K, .huge_page = MIB2, .heap_start = 0x10000 };
    opal_mem_hooks_set_support(OPAL_MEMORY_MUNMAP_SUPPORT | OPAL_MEMORY_MMAP_SUPPORT);
    ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(on_alloc, NULL), OPAL_SUCCESS);
    linux_calls_go_live(true);
    fake_sys_set(SYS_mmap, fake_mmap);
    fake_sys_set(SYS_munmap, fake_munmap);
    fake_sys_set(SYS_mremap, fake_mremap);
    fake_sys_set(SYS_brk, fake_brk);
    fake_sys_set(SYS_shmat, fake_shmat);
    fake_sys_set(SYS_shmctl, fake_shmctl);
}

static inline long run(linux_kind_t kind, linux_call_id_t id, const long args[6])
{
    const linux_site_t site = { .kind = kind, .call = &linux_calls[id] };

    return linux_dispatch(&site, args);
}

#define RUN_IN(kind, id, ...) run(LINUX_##kind, LINUX_CALL_##id, (const long[6]){ __VA_ARGS__ })
#define RUN(id, ...) RUN_IN(LIBC, id, __VA_ARGS__)

static inline void check_steps(const step_t *expected, int count)
{
    ck_assert_msg(step_count == count, "%d steps, not %d", step_count, count);
    for (int i = 0; i < count; i++) {
        const bool is_same = steps[i].kind == expected[i].kind && steps[i].first == expected[i].first
                             && steps[i].second == expected[i].second && steps[i].third == expected[i].third;

        ck_assert_msg(is_same, "step %d is %c 0x%lx 0x%lx %ld", i, steps[i].kind, steps[i].first, steps[i].second,
                      steps[i].third);
    }
}

#define CHECK_STEPS(...) \
    check_steps((const step_t[]){ __VA_ARGS__ }, (int) (sizeof((const step_t[]){ __VA_ARGS__ }) / sizeof(step_t)))

#endif
