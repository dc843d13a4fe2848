/* SPDX-License-Identifier: BSD-3-Clause */
/* A discard is announced before it happens: what is registered in between is
 * not kept. */
#include <pthread.h>

#include "test/userfaultfd/userfaultfd_fixture.h"

static atomic_bool is_over;

static void *burn(void *unused)
{
    (void) unused;
    while (!atomic_load(&is_over)) {
    }
    return NULL;
}

/* Any thread that runs could be the one that is going to discard. */
START_TEST(discarded_range_is_not_kept_while_its_thread_may_be_on_the_way)
{
    pthread_t other;

    start();
    char *memory = map_pages(4);
    watch_it(&watched[0], memory, 4 * PAGE);
    pthread_create(&other, NULL, burn, NULL);
    usleep(1000);
    ck_assert_int_eq(madvise(memory, PAGE, MADV_DONTNEED), 0);
    ck_assert(!hits(&watched[0]));
    unwatch_it(&watched[0]);
    ck_assert_int_eq(watch_range(&watched[0], memory, PAGE), OPAL_ERR_OUT_OF_RESOURCE);
    watch_it(&watched[1], memory + 2 * PAGE, PAGE);
    atomic_store(&is_over, true);
    pthread_join(other, NULL);
    watch_it(&watched[0], memory, PAGE);
    ck_assert(hits(&watched[0]));
    stop();
}
END_TEST

START_TEST(discarded_range_is_kept_once_every_thread_has_run_on)
{
    pthread_t other;

    start();
    char *memory = map_pages(4);
    watch_it(&watched[0], memory, 4 * PAGE);
    pthread_create(&other, NULL, burn, NULL);
    ck_assert_int_eq(madvise(memory, PAGE, MADV_DONTNEED), 0);
    ck_assert(!hits(&watched[0]));
    unwatch_it(&watched[0]);
    while (watch_range(&watched[0], memory, PAGE) != OPAL_SUCCESS) {
        usleep(10000);
    }
    atomic_store(&is_over, true);
    pthread_join(other, NULL);
    stop();
}
END_TEST

int main(void)
{
    if (!can_run()) {
        return test_skip(USERFAULTFD_SKIP);
    }
    Suite *suite = suite_create("userfaultfd_discards");
    TCase *discards = tcase_create("discards");

    tcase_add_test(discards, discarded_range_is_not_kept_while_its_thread_may_be_on_the_way);
    tcase_add_test(discards, discarded_range_is_kept_once_every_thread_has_run_on);
    suite_add_tcase(suite, discards);
    return test_run(suite);
}
