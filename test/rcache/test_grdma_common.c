/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads that get no memory give references back all the same: nothing stays registered for their sake. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "test/rcache/grdma_fixture.h"

/* What this thread gets no memory from. */
static _Thread_local bool no_heap, no_pages;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return no_heap ? NULL : __real_calloc(count, size);
}

void *__real_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    return no_pages ? MAP_FAILED : __real_mmap(addr, length, prot, flags, fd, offset);
}

typedef struct giver_t {
    mca_rcache_base_registration_t **regs;
    size_t count;
    bool lacks_heap, lacks_pages, keeps;
} giver_t;

static void *give_back(void *arg)
{
    const giver_t *giver = arg;
    mca_rcache_base_registration_t *reg = NULL;

    no_heap = giver->lacks_heap;
    no_pages = giver->lacks_pages;
    /* It is without memory indeed. */
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), PAGE, 0, 0, &reg), OPAL_ERR_OUT_OF_RESOURCE);
    for (size_t i = 0; i < giver->count && !giver->keeps; i++) {
        put(giver->regs[i]);
    }
    no_heap = no_pages = false;
    return NULL;
}

static void give_back_in_thread(giver_t giver)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, give_back, &giver), 0);
    pthread_join(thread, NULL);
}

static void expect_last_reference_back(giver_t giver)
{
    mca_rcache_base_registration_t *reg = get(0, 2, 0, 0);
    giver.regs = &reg;
    giver.count = 1;
    give_back_in_thread(giver);
    ck_assert_int_eq(pinned(), 2); /* Idle, and kept. */
    release(0, 1);
    mca_rcache_base_progress();
}

START_TEST(reference_given_back_without_heap_counts)
{
    expect_last_reference_back((giver_t){ .lacks_heap = true });
    ck_assert_int_eq(pinned(), 0);
    ck_assert_uint_eq(stats().invalidated_in_use, 0);
}
END_TEST

START_TEST(reference_given_back_without_pages_counts)
{
    expect_last_reference_back((giver_t){ .lacks_pages = true });
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(reference_that_is_kept_keeps_it_pinned)
{
    mca_rcache_base_registration_t *reg = get(0, 2, 0, 0);
    give_back_in_thread((giver_t){ .regs = &reg, .count = 1, .lacks_heap = true, .keeps = true });
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 2);
    ck_assert_uint_eq(stats().invalidated_in_use, 1);
    put(reg);
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(last_reference_to_a_released_region_ends_it)
{
    mca_rcache_base_registration_t *reg = get(0, 2, 0, 0);
    release(0, 1);
    ck_assert_int_eq(pinned(), 2);
    give_back_in_thread((giver_t){ .regs = &reg, .count = 1, .lacks_heap = true });
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(region_for_one_use_ends)
{
    mca_rcache_base_registration_t *reg = get(0, 2, MCA_RCACHE_FLAGS_CACHE_BYPASS, 0);
    give_back_in_thread((giver_t){ .regs = &reg, .count = 1, .lacks_pages = true });
    ck_assert_int_eq(pinned(), 0);
    use(0, 2); /* The same id: its counts are sound. */
    release(0, 2);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

#define MANY 5000 /* The cache grows meanwhile. */

START_TEST(references_to_thousands_of_regions_count)
{
    static mca_rcache_base_registration_t *regs[MANY];
    for (long i = 0; i < MANY; i++) {
        regs[i] = get(2 * i, 1, 0, 0);
    }
    give_back_in_thread((giver_t){ .regs = regs, .count = MANY, .lacks_heap = true });
    ck_assert_int_eq(pinned(), MANY);
    release(0, 2 * MANY);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(no_thread_adopts_what_is_shared)
{
    for (int i = 0; i < 20; i++) {
        mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
        give_back_in_thread((giver_t){ .regs = &reg, .count = 1, .lacks_heap = true });
        reg = get(0, 1, 0, 0);
        give_back_in_thread((giver_t){ .regs = &reg, .count = 1, .lacks_pages = i % 2 == 0, .lacks_heap = i % 2 });
    }
    ck_assert_int_eq(registrations(), 1);
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(fork_child_goes_on_with_it)
{
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    give_back_in_thread((giver_t){ .regs = &reg, .count = 1, .lacks_heap = true });
    pid_t child = fork();
    if (child == 0) {
        mca_rcache_base_registration_t *own = get(0, 1, 0, 0);
        give_back_in_thread((giver_t){ .regs = &own, .count = 1, .lacks_heap = true });
        const long before = atomic_load(&fake.deregistered);
        release(0, 1);
        mca_rcache_base_progress();
        _exit(atomic_load(&fake.deregistered) == before + 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

static _Atomic bool running;

static void *release_again_and_again(void *arg)
{
    (void) arg;
    while (atomic_load(&running)) {
        release(0, 8);
        mca_rcache_base_progress();
    }
    return NULL;
}

/* A page that is released all the time may not be had at once. */
static mca_rcache_base_registration_t *get_in_time(long page)
{
    mca_rcache_base_registration_t *reg = NULL;
    int rc;
    while ((rc = cache->rcache_register(cache, AT(page), PAGE, 0, 0, &reg)) == OPAL_ERR_RESOURCE_BUSY) {
        usleep(100);
    }
    ck_assert_int_eq(rc, OPAL_SUCCESS);
    return reg;
}

START_TEST(nothing_is_left_while_others_release)
{
    pthread_t thread;
    atomic_store(&running, true);
    pthread_create(&thread, NULL, release_again_and_again, NULL);
    for (long i = test_rounds(500); i > 0; i--) {
        mca_rcache_base_registration_t *regs[2] = { get_in_time(i % 8), get_in_time((i + 3) % 8) };
        give_back_in_thread((giver_t){ .regs = regs, .count = 2, .lacks_heap = true });
    }
    atomic_store(&running, false);
    pthread_join(thread, NULL);
    release(0, 8);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma_common");
    TCase *tests = tcase_create("threads without memory");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, reference_given_back_without_heap_counts);
    tcase_add_test(tests, reference_given_back_without_pages_counts);
    tcase_add_test(tests, reference_that_is_kept_keeps_it_pinned);
    tcase_add_test(tests, last_reference_to_a_released_region_ends_it);
    tcase_add_test(tests, region_for_one_use_ends);
    tcase_add_test(tests, references_to_thousands_of_regions_count);
    tcase_add_test(tests, no_thread_adopts_what_is_shared);
    tcase_add_test(tests, fork_child_goes_on_with_it);
    tcase_add_test(tests, nothing_is_left_while_others_release);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
