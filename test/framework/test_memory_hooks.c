/* SPDX-License-Identifier: BSD-3-Clause */
/* Callback lists and windows, on one thread. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "framework/hooks/hooks_internal.h"
#include "framework/opalmem_internal.h"
#include "framework/util/fork.h"
#include "test/test_main.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))

struct record {
    void *buf;
    size_t length;
    int order;
    opal_mem_hooks_cause_t cause;
    bool from_alloc, is_certain;
    int calls;
};
static struct record records[4];
static int calls;

static void note(struct record *record, void *buf, size_t length, bool from_alloc)
{
    *record = (struct record){ .buf = buf,
                               .length = length,
                               .order = ++calls,
                               .cause = opal_mem_hooks_current_cause(),
                               .from_alloc = from_alloc,
                               .is_certain = opal_mem_hooks_current_is_certain(),
                               .calls = record->calls + 1 };
}

static void first(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    note(cbdata, buf, length, from_alloc);
}

static void second(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    note(cbdata, buf, length, from_alloc);
}

static int calloc_budget = -1; /* Calls of calloc that still succeed; -1: all. */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    if (calloc_budget == 0) {
        return NULL;
    }
    calloc_budget -= calloc_budget > 0;
    return __real_calloc(count, size);
}

static void set_up(void)
{
    memset(records, 0, sizeof(records));
    calls = 0;
    opal_mem_hooks_set_support(OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MMAP_SUPPORT);
}

static void tear_down(void)
{
    opal_mem_hooks_stop();
}

/* ---- Registering -------------------------------------------------------------------------------- */

START_TEST(register_without_support_is_refused)
{
    opal_mem_hooks_set_support(0);
    ck_assert_int_eq(opal_mem_hooks_register_release(first, NULL), OPAL_ERR_NOT_SUPPORTED);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(first, NULL), OPAL_ERR_NOT_SUPPORTED);
    opal_mem_hooks_set_support(OPAL_MEMORY_FREE_SUPPORT);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(first, NULL), OPAL_ERR_NOT_SUPPORTED);
    ck_assert_int_eq(opal_mem_hooks_register_release(first, NULL), OPAL_SUCCESS);
}
END_TEST

START_TEST(register_twice_keeps_the_first_cbdata)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[0]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[1]), OPAL_EXISTS);
    opal_mem_hooks_release_hook((void *) PAGE, PAGE, false);
    ck_assert_int_eq(records[0].calls, 1);
    ck_assert_int_eq(records[1].calls, 0);
}
END_TEST

START_TEST(register_null_is_a_bad_parameter)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(NULL, NULL), OPAL_ERR_BAD_PARAM);
}
END_TEST

START_TEST(unregister_of_a_stranger_is_not_found)
{
    ck_assert_int_eq(opal_mem_hooks_unregister_release(first), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(NULL), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(first, &records[0]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(first), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(opal_mem_hooks_unregister_alloc(first), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_unregister_alloc(first), OPAL_ERR_NOT_FOUND);
}
END_TEST

START_TEST(callbacks_run_in_order_and_lists_are_apart)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(second, &records[1]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[0]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(first, &records[2]), OPAL_SUCCESS);
    opal_mem_hooks_release_hook((void *) PAGE, PAGE, false);
    ck_assert_int_eq(records[1].order, 1);
    ck_assert_int_eq(records[0].order, 2);
    ck_assert_int_eq(records[2].calls, 0);
    opal_mem_hooks_alloc_hook((void *) PAGE, PAGE, false);
    ck_assert_int_eq(records[2].order, 3);
}
END_TEST

START_TEST(unregistered_callback_is_not_called)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[0]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(second, &records[1]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(first), OPAL_SUCCESS);
    opal_mem_hooks_release_hook((void *) PAGE, PAGE, false);
    ck_assert_int_eq(records[0].calls, 0);
    ck_assert_int_eq(records[1].calls, 1);
}
END_TEST

START_TEST(release_callbacks_are_there_from_the_first_to_the_last)
{
    ck_assert(!opal_mem_hooks_has_release_callbacks());
    ck_assert_int_eq(opal_mem_hooks_register_alloc(first, &records[0]), OPAL_SUCCESS);
    ck_assert(!opal_mem_hooks_has_release_callbacks());
    ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[0]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(second, &records[1]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(first), OPAL_SUCCESS);
    ck_assert(opal_mem_hooks_has_release_callbacks());
    ck_assert_int_eq(opal_mem_hooks_unregister_release(second), OPAL_SUCCESS);
    ck_assert(!opal_mem_hooks_has_release_callbacks());
}
END_TEST

START_TEST(every_cause_has_a_name_of_its_own)
{
    for (int i = 0; i < OPAL_MEM_HOOKS_CAUSE_COUNT; i++) {
        ck_assert_ptr_nonnull(opal_mem_hooks_cause_name((opal_mem_hooks_cause_t) i));
        for (int other = 0; other < i; other++) {
            ck_assert_str_ne(opal_mem_hooks_cause_name((opal_mem_hooks_cause_t) i),
                             opal_mem_hooks_cause_name((opal_mem_hooks_cause_t) other));
        }
    }
}
END_TEST

START_TEST(ten_thousand_registrations_neither_grow_nor_lose)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(second, &records[1]), OPAL_SUCCESS);
    for (int i = 0; i < 10000; i++) {
        ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[0]), OPAL_SUCCESS);
        opal_mem_hooks_release_hook((void *) PAGE, PAGE, false);
        ck_assert_int_eq(opal_mem_hooks_unregister_release(first), OPAL_SUCCESS);
    }
    ck_assert_int_eq(records[0].calls, 10000);
    ck_assert_int_eq(records[1].calls, 10000);
}
END_TEST

START_TEST(register_without_memory_changes_nothing)
{
    int rc = OPAL_SUCCESS;
    ck_assert_int_eq(opal_mem_hooks_register_release(second, &records[1]), OPAL_SUCCESS);
    calloc_budget = 0;
    for (int i = 0; i < 100 && rc == OPAL_SUCCESS; i++) { /* Until the first array is full. */
        rc = opal_mem_hooks_register_release(first, &records[0]);
        if (rc == OPAL_SUCCESS) {
            opal_mem_hooks_unregister_release(first);
        }
    }
    ck_assert_int_eq(rc, OPAL_ERR_OUT_OF_RESOURCE);
    opal_mem_hooks_release_hook((void *) PAGE, PAGE, false);
    ck_assert_int_eq(records[0].calls, 0);
    ck_assert_int_eq(records[1].calls, 1);
    calloc_budget = -1;
    ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[0]), OPAL_SUCCESS);
}
END_TEST

/* ---- Events ------------------------------------------------------------------------------------- */

START_TEST(release_hook_rounds_outwards_and_passes_all_on)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[0]), OPAL_SUCCESS);
    opal_mem_hooks_release_cause((void *) (PAGE + 1), PAGE, true, OPAL_MEM_HOOKS_CAUSE_MADVISE);
    ck_assert_ptr_eq(records[0].buf, (void *) PAGE);
    ck_assert_uint_eq(records[0].length, 2 * PAGE);
    ck_assert(records[0].from_alloc);
    ck_assert_int_eq(records[0].cause, OPAL_MEM_HOOKS_CAUSE_MADVISE);
    ck_assert_int_eq(opal_mem_hooks_current_cause(), OPAL_MEM_HOOKS_CAUSE_UNKNOWN);
    opal_mem_hooks_release_hook((void *) PAGE, 1, false);
    ck_assert_uint_eq(records[0].length, PAGE);
    ck_assert(!records[0].from_alloc);
    ck_assert_int_eq(records[0].cause, OPAL_MEM_HOOKS_CAUSE_CALLER);
    ck_assert(records[0].is_certain);
}
END_TEST

START_TEST(change_that_may_be_no_release_says_so)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[0]), OPAL_SUCCESS);
    opal_mem_hooks_change_hook((void *) (PAGE + 1), PAGE, true);
    ck_assert_ptr_eq(records[0].buf, (void *) PAGE);
    ck_assert_uint_eq(records[0].length, 2 * PAGE);
    ck_assert(records[0].from_alloc);
    ck_assert_int_eq(records[0].cause, OPAL_MEM_HOOKS_CAUSE_KERNEL);
    ck_assert(!records[0].is_certain);
    ck_assert(opal_mem_hooks_current_is_certain());
    opal_mem_hooks_release_cause((void *) PAGE, 1, false, OPAL_MEM_HOOKS_CAUSE_KERNEL);
    ck_assert(records[0].is_certain);
    opal_mem_hooks_release_cause((void *) PAGE, 1, false, OPAL_MEM_HOOKS_CAUSE_UNKNOWN); /* A watch ends. */
    ck_assert(!records[0].is_certain);
    opal_mem_hooks_change_hook((void *) PAGE, 0, false);
    ck_assert_int_eq(records[0].calls, 3);
}
END_TEST

START_TEST(release_of_nothing_calls_nobody)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[0]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(second, &records[1]), OPAL_SUCCESS);
    opal_mem_hooks_release_hook((void *) PAGE, 0, false);
    opal_mem_hooks_alloc_hook((void *) PAGE, 0, false);
    ck_assert_int_eq(records[0].calls + records[1].calls, 0);
}
END_TEST

START_TEST(release_at_the_end_of_the_address_space_does_not_wrap)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[0]), OPAL_SUCCESS);
    opal_mem_hooks_release_hook((void *) (UINTPTR_MAX - PAGE / 2), SIZE_MAX, false);
    ck_assert_uint_ge((uintptr_t) records[0].buf + records[0].length, UINTPTR_MAX - 1);
    opal_mem_hooks_release_hook(NULL, SIZE_MAX, false);
    ck_assert_ptr_null(records[0].buf);
    ck_assert_uint_ge(records[0].length, SIZE_MAX - 1);
}
END_TEST

static void spoils_errno(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    errno = E2BIG;
}

START_TEST(errno_survives_a_callback)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(spoils_errno, NULL), OPAL_SUCCESS);
    errno = ENOTTY;
    opal_mem_hooks_release_hook((void *) PAGE, PAGE, false);
    ck_assert_int_eq(errno, ENOTTY);
}
END_TEST

static int inner_rc;

static void removes_itself(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    note(cbdata, buf, length, from_alloc);
    inner_rc = opal_mem_hooks_unregister_release(removes_itself);
}

static void removes_second(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    note(cbdata, buf, length, from_alloc);
    inner_rc = opal_mem_hooks_unregister_release(second);
}

START_TEST(callback_may_remove_itself)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(removes_itself, &records[0]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(second, &records[1]), OPAL_SUCCESS);
    opal_mem_hooks_release_hook((void *) PAGE, PAGE, false);
    opal_mem_hooks_release_hook((void *) PAGE, PAGE, false);
    ck_assert_int_eq(inner_rc, OPAL_SUCCESS);
    ck_assert_int_eq(records[0].calls, 1);
    ck_assert_int_eq(records[1].calls, 2);
}
END_TEST

START_TEST(callback_removed_by_an_earlier_one_is_not_called_any_more)
{
    inner_rc = 1;
    ck_assert_int_eq(opal_mem_hooks_register_release(removes_second, &records[0]), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_release(second, &records[1]), OPAL_SUCCESS);
    opal_mem_hooks_release_hook((void *) PAGE, PAGE, false);
    ck_assert_int_eq(inner_rc, OPAL_SUCCESS);
    ck_assert_int_eq(records[1].calls, 0);
}
END_TEST

START_TEST(support_bits_have_names)
{
    char text[64], small[5];
    ck_assert_int_eq(opal_mem_hooks_support_names(0, " ", text, sizeof(text)), 0);
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(opal_mem_hooks_support_names(OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT, ", ",
                                                  text, sizeof(text)),
                     2);
    ck_assert_str_eq(text, "free, munmap");
    ck_assert_int_eq(opal_mem_hooks_support_names(OPAL_MEMORY_MALLOC_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT, ",",
                                                  small, sizeof(small)),
                     1);
    ck_assert_str_eq(small, "mall");
}
END_TEST

/* ---- Windows ------------------------------------------------------------------------------------ */

START_TEST(window_overlaps_while_open_and_only_its_ranges)
{
    opal_mem_hooks_window_t window;
    const opal_mem_hooks_range_t ranges[] = { { 16 * PAGE, 2 * PAGE }, { 64 * PAGE, PAGE } };
    ck_assert(!opal_mem_hooks_window_overlaps(16 * PAGE, PAGE));
    opal_mem_hooks_window_open(&window, ranges, 2, OPAL_MEM_HOOKS_CAUSE_MREMAP, true);
    ck_assert(opal_mem_hooks_window_overlaps(16 * PAGE, PAGE));
    ck_assert(opal_mem_hooks_window_overlaps(17 * PAGE, 10 * PAGE));
    ck_assert(opal_mem_hooks_window_overlaps(0, SIZE_MAX));
    ck_assert(opal_mem_hooks_window_overlaps(64 * PAGE + 5, 1));
    ck_assert(!opal_mem_hooks_window_overlaps(15 * PAGE, PAGE));
    ck_assert(!opal_mem_hooks_window_overlaps(18 * PAGE, 46 * PAGE));
    ck_assert(!opal_mem_hooks_window_overlaps(65 * PAGE, PAGE));
    opal_mem_hooks_window_close(&window);
    ck_assert(!opal_mem_hooks_window_overlaps(0, SIZE_MAX));
}
END_TEST

START_TEST(nested_windows_keep_their_causes)
{
    opal_mem_hooks_window_t outer, inner;
    const opal_mem_hooks_range_t range = { PAGE, PAGE };
    opal_mem_hooks_window_open(&outer, &range, 1, OPAL_MEM_HOOKS_CAUSE_BRK, true);
    opal_mem_hooks_window_open(&inner, &range, 1, OPAL_MEM_HOOKS_CAUSE_SHMDT, true);
    ck_assert_int_eq(opal_mem_hooks_current_cause(), OPAL_MEM_HOOKS_CAUSE_SHMDT);
    opal_mem_hooks_window_close(&inner);
    ck_assert_int_eq(opal_mem_hooks_current_cause(), OPAL_MEM_HOOKS_CAUSE_BRK);
    ck_assert(opal_mem_hooks_window_overlaps(PAGE, PAGE));
    opal_mem_hooks_window_close(&outer);
}
END_TEST

START_TEST(more_windows_than_slots_cover_everything_until_closed)
{
    static opal_mem_hooks_window_t windows[OPAL_MEM_HOOKS_SLOTS + 3];
    const opal_mem_hooks_range_t range = { PAGE, PAGE };
    ck_assert_int_eq(opal_mem_hooks_register_release(first, &records[0]), OPAL_SUCCESS);
    for (int i = 0; i < OPAL_MEM_HOOKS_SLOTS; i++) {
        opal_mem_hooks_window_open(&windows[i], &range, 1, OPAL_MEM_HOOKS_CAUSE_MUNMAP, true);
    }
    ck_assert(!opal_mem_hooks_window_overlaps(1000 * PAGE, PAGE));
    for (int i = OPAL_MEM_HOOKS_SLOTS; i < OPAL_MEM_HOOKS_SLOTS + 3; i++) {
        opal_mem_hooks_window_open(&windows[i], &range, 1, OPAL_MEM_HOOKS_CAUSE_MUNMAP, true);
    }
    ck_assert(opal_mem_hooks_window_overlaps(1000 * PAGE, PAGE));
    ck_assert_int_eq(records[0].calls, OPAL_MEM_HOOKS_SLOTS + 3);
    for (int i = OPAL_MEM_HOOKS_SLOTS + 2; i >= 0; i--) {
        opal_mem_hooks_window_close(&windows[i]);
    }
    ck_assert(!opal_mem_hooks_window_overlaps(0, SIZE_MAX));
    ck_assert_int_eq(opal_mem_hooks_unregister_release(first), OPAL_SUCCESS);
}
END_TEST

static void forks(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) from_alloc;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    *(pid_t *) cbdata = pid;
}

START_TEST(fork_inside_a_callback_leaves_the_child_with_its_own_window_only)
{
    pid_t pid = -1;
    ck_assert_int_eq(opal_fork_start(), OPAL_SUCCESS);
    uint64_t generation = opal_fork_generation();
    ck_assert_int_eq(opal_mem_hooks_register_release(forks, &pid), OPAL_SUCCESS);
    opal_mem_hooks_window_t window;
    const opal_mem_hooks_range_t range = { PAGE, PAGE };
    opal_mem_hooks_window_open(&window, &range, 1, OPAL_MEM_HOOKS_CAUSE_MUNMAP, true);
    bool held = opal_mem_hooks_window_overlaps(PAGE, PAGE);
    opal_mem_hooks_window_close(&window);
    bool left = opal_mem_hooks_window_overlaps(0, SIZE_MAX);
    int rc = opal_mem_hooks_unregister_release(forks);
    if (pid == 0) {
        _exit(held && !left && rc == OPAL_SUCCESS && opal_fork_generation() == generation + 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert(held && !left && rc == OPAL_SUCCESS);
    ck_assert_uint_eq(opal_fork_generation(), generation);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory_hooks");
    TCase *tests = tcase_create("lists and windows");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, register_without_support_is_refused);
    tcase_add_test(tests, register_twice_keeps_the_first_cbdata);
    tcase_add_test(tests, register_null_is_a_bad_parameter);
    tcase_add_test(tests, unregister_of_a_stranger_is_not_found);
    tcase_add_test(tests, callbacks_run_in_order_and_lists_are_apart);
    tcase_add_test(tests, unregistered_callback_is_not_called);
    tcase_add_test(tests, release_callbacks_are_there_from_the_first_to_the_last);
    tcase_add_test(tests, every_cause_has_a_name_of_its_own);
    tcase_add_test(tests, ten_thousand_registrations_neither_grow_nor_lose);
    tcase_add_test(tests, register_without_memory_changes_nothing);
    tcase_add_test(tests, release_hook_rounds_outwards_and_passes_all_on);
    tcase_add_test(tests, change_that_may_be_no_release_says_so);
    tcase_add_test(tests, release_of_nothing_calls_nobody);
    tcase_add_test(tests, release_at_the_end_of_the_address_space_does_not_wrap);
    tcase_add_test(tests, errno_survives_a_callback);
    tcase_add_test(tests, callback_may_remove_itself);
    tcase_add_test(tests, callback_removed_by_an_earlier_one_is_not_called_any_more);
    tcase_add_test(tests, support_bits_have_names);
    tcase_add_test(tests, window_overlaps_while_open_and_only_its_ranges);
    tcase_add_test(tests, nested_windows_keep_their_causes);
    tcase_add_test(tests, more_windows_than_slots_cover_everything_until_closed);
    tcase_add_test(tests, fork_inside_a_callback_leaves_the_child_with_its_own_window_only);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
