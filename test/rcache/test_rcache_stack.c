/* SPDX-License-Identifier: BSD-3-Clause */
/* Call stacks: one that was taken before is known again, another is not taken for it; the table is bounded. And a release
 * that finds the cache's lock taken brings its own stack. */
#include <pthread.h>
#include <stdlib.h>

#include "rcache/base/rcache_places.h"
#include "rcache/grdma/grdma.h"
#include "test/rcache/grdma_fixture.h"
#include "test/sanitized.h"

static _Atomic int not_a_tail_call;

static __attribute__((noinline)) uint32_t take(void)
{
    uint32_t number = mca_rcache_stack_here();
    not_a_tail_call++;
    return number;
}

/* Frames of one size, with calls from different places: the stack pointer says nothing. */
#define CALLER(name)                                     \
    static __attribute__((noinline)) uint32_t name(void) \
    {                                                    \
        uint32_t number = take();                        \
        not_a_tail_call++;                               \
        return number;                                   \
    }
CALLER(one_way)
CALLER(other_way)

static __attribute__((noinline)) uint32_t take_deeply(int depth)
{
    uint32_t number = depth > 0 ? take_deeply(depth - 1) : take();
    not_a_tail_call++;
    return number;
}

static bool can_unwind(void)
{
    mca_rcache_stack_prepare();
    if (take() == 0) {
        printf("LEFT OUT: no unwinder here\n");
        return false;
    }
    return true;
}

START_TEST(same_stack_has_the_same_number)
{
    uint32_t first = 0;
    for (volatile int i = 0; can_unwind() && i < 5; i++) { /* Not unrolled: one place. */
        const uint32_t number = one_way();
        ck_assert(i == 0 || number == first);
        first = number;
    }
}
END_TEST

START_TEST(stacks_that_differ_in_one_outer_call_have_different_numbers)
{
    if (can_unwind()) {
        uint32_t (*const ways[])(void) = { one_way, other_way };
        uint32_t numbers[2];
        for (int i = 0; i < 2; i++) { /* From one place, so at one depth. */
            numbers[i] = ways[i]();
        }
        ck_assert_uint_ne(numbers[0], numbers[1]);
        const mca_rcache_stack_t *a = mca_rcache_stack_at(numbers[0]), *b = mca_rcache_stack_at(numbers[1]);
        ck_assert_uint_eq(a->frame[0].ip, b->frame[0].ip);
        ck_assert_uint_eq(a->frame[0].slot, b->frame[0].slot);
        ck_assert_uint_ne(a->frame[1].ip, b->frame[1].ip);
    }
}
END_TEST

/* At each level one of two calls, as the bits say; all stacks are of one size. */
static __attribute__((noinline)) uint32_t take_by(unsigned ways, int depth)
{
    uint32_t number;

    if (depth == 0) {
        number = take();
    } else if ((ways & 1) != 0) {
        __asm__ volatile("# one"); /* Before and after: compilers make one of two calls that are the same. */
        number = take_by(ways >> 1, depth - 1);
        __asm__ volatile("# one");
    } else {
        __asm__ volatile("# other");
        number = take_by(ways >> 1, depth - 1);
        __asm__ volatile("# other");
    }
    not_a_tail_call++;
    return number;
}

START_TEST(many_callers_of_one_place_are_told_apart)
{
    enum { LEVELS = 5, WAYS = 1 << LEVELS };
    uint32_t numbers[WAYS];
    for (unsigned i = 0; can_unwind() && i < WAYS; i++) {
        numbers[i] = take_by(i, LEVELS);
        ck_assert_uint_ne(numbers[i], 0);
        for (unsigned k = 0; k < i; k++) {
            ck_assert_uint_ne(numbers[i], numbers[k]);
        }
    }
    ck_assert(!mca_rcache_stack_is_full());
}
END_TEST

START_TEST(full_table_is_said_to_be_full)
{
    if (can_unwind()) {
        ck_assert(!mca_rcache_stack_is_full());
        int lost = 0;
        uint32_t first = 0, number = 0;
        for (int i = 0; i <= 1000; i++) { /* The last one is the first again. */
            number = take_deeply(i % 1000);
            first = i == 0 ? number : first;
            lost += number == 0;
        }
        ck_assert_int_gt(lost, 0);
        ck_assert_int_lt(lost, 1000 - 256);
        ck_assert(mca_rcache_stack_is_full());
        ck_assert_uint_ne(number, 0);
        ck_assert_uint_eq(number, first);
    }
}
END_TEST

START_TEST(without_preparation_there_is_no_stack)
{
    ck_assert_uint_eq(take(), 0);
}
END_TEST

static void *take_many(void *arg)
{
    (void) arg;
    for (int i = 0; i < 20000; i++) {
        const uint32_t number = take_deeply(i % 20);
        if (number != 0) {
            ck_assert_uint_gt(mca_rcache_stack_at(number)->depth, (uint32_t) (i % 20));
        }
    }
    return NULL;
}

START_TEST(threads_take_stacks_at_once)
{
    pthread_t threads[3];
    if (can_unwind()) {
        for (int i = 0; i < 3; i++) {
            pthread_create(&threads[i], NULL, take_many, NULL);
        }
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
        }
    }
}
END_TEST

START_TEST(places_are_known_again_until_there_are_too_many)
{
    static mca_rcache_stack_t stack = { .depth = 1 };
    stack.frame[0].ip = 1;
    ck_assert_int_eq(mca_rcache_place_note(&stack), MCA_RCACHE_PLACE_NEW);
    ck_assert_int_eq(mca_rcache_place_note(&stack), MCA_RCACHE_PLACE_KNOWN);
    for (stack.frame[0].ip = 2; stack.frame[0].ip <= 256; stack.frame[0].ip++) {
        ck_assert_int_eq(mca_rcache_place_note(&stack), MCA_RCACHE_PLACE_NEW);
    }
    ck_assert_int_eq(mca_rcache_place_note(&stack), MCA_RCACHE_PLACE_LOST);
    char text[64];
    ck_assert_str_eq(mca_rcache_place_describe(&stack, text, sizeof(text)), "\n    0x101");
    ck_assert_str_eq(mca_rcache_place_describe(&stack, text, 5), "");
}
END_TEST

/* ---- A release by another thread ----------------------------------------------------------------------------- */

__attribute__((noinline, visibility("default"))) void *other_thread_releases(void *arg);
void *other_thread_releases(void *arg)
{
    release(0, 1);
    not_a_tail_call++;
    return arg;
}

static char message[16384];

static void keep_message(mca_base_log_level_t level, const char *text, void *arg)
{
    (void) level, (void) arg;
    strncpy(message, text, sizeof(message) - 1);
}

START_TEST(release_that_finds_the_lock_taken_is_told_of_with_its_own_stack)
{
    pthread_t thread;
    set_up();
    resources.in_use_policy = MCA_RCACHE_IN_USE_WARN;
    make_again();
    mca_base_set_log(keep_message, NULL);
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    grdma_lock(grdma_of(cache));
    pthread_create(&thread, NULL, other_thread_releases, NULL);
    pthread_join(thread, NULL);
    grdma_unlock(grdma_of(cache)); /* Handles it, on this thread. */
    put(reg);
    ck_assert_ptr_nonnull(strstr(message, "released (munmap)"));
    if (strstr(message, "cannot be taken there") == NULL) { /* glibc before 2.35. */
        const char *found = strstr(message, "other_thread_releases+");
        ck_assert_ptr_nonnull(found);
        ck_assert(found < strstr(message, "registered, by"));
    }
    tear_down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rcache_stack");
    TCase *tests = tcase_create("stacks");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, same_stack_has_the_same_number);
    tcase_add_test(tests, stacks_that_differ_in_one_outer_call_have_different_numbers);
    tcase_add_test(tests, many_callers_of_one_place_are_told_apart);
    tcase_add_test(tests, full_table_is_said_to_be_full);
    tcase_add_test(tests, without_preparation_there_is_no_stack);
    tcase_add_test(tests, threads_take_stacks_at_once);
    tcase_add_test(tests, places_are_known_again_until_there_are_too_many);
    tcase_add_test(tests, release_that_finds_the_lock_taken_is_told_of_with_its_own_stack);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
