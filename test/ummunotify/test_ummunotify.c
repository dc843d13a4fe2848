/* SPDX-License-Identifier: BSD-3-Clause */
/* What the component tells of, and when: registering, events, hints, the
 * counter. The same on the fake driver and on a real one. */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "opal/memoryhooks/memory_internal.h"
#include "test/ummunotify/ummunotify_fixture.h"

static unsigned char *pages;
#define PAGES 16

static void set_up(void)
{
    fixture_start();
    pages = get_pages(PAGES);
    sync_now();
    forget_told();
}

static void tear_down(void)
{
    if (!on_device()) {
        ck_assert_uint_eq(fake_regions(), 0);
    }
    fixture_stop();
}

/* ---- The counter ------------------------------------------------------------------------------------ */

static uint64_t counter(void)
{
    return __atomic_load_n(opal_memory_base_state.counter, __ATOMIC_ACQUIRE);
}

START_TEST(release_of_watched_pages_makes_the_counter_grow_by_one)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    const uint64_t before = counter();
    ck_assert(!opal_memory_changed());
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    ck_assert_uint_eq(counter(), before + 1);
    ck_assert(opal_memory_changed());
    sync_now();
    ck_assert(!opal_memory_changed());
    unwatch_pages(pages, PAGES, &watch);
}
END_TEST

START_TEST(release_that_hits_no_region_leaves_the_counter_alone)
{
    opal_memory_watch_t watch = watch_pages(pages, 4);
    const uint64_t before = counter();
    lose(UMMUNOTIFY_UNMAP, pages + 4 * PAGE, 4);
    ck_assert_uint_eq(counter(), before);
    sync_now();
    ck_assert_uint_eq(told(pages, PAGES * PAGE), 0);
    unwatch_pages(pages, 4, &watch);
}
END_TEST

START_TEST(watch_has_a_generation_that_always_holds)
{
    opal_memory_watch_t watch = watch_pages(pages, 4);
    lose(UMMUNOTIFY_UNMAP, pages, 4);
    sync_now();
    ck_assert(opal_memory_watch_holds(&watch));
    unwatch_pages(pages, 4, &watch);
}
END_TEST

START_TEST(support_is_what_the_self_test_has_seen)
{
    ck_assert_int_eq(opal_mem_hooks_support_level(),
                     OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_uint_eq(opal_memory_base_sees(), OPAL_MEMORY_SEES_LIBC | OPAL_MEMORY_SEES_RAW
                                                   | OPAL_MEMORY_SEES_SYSCALL | OPAL_MEMORY_SEES_SHM
                                                   | OPAL_MEMORY_SEES_DISCARD | OPAL_MEMORY_SEES_FILE);
}
END_TEST

/* ---- Events ----------------------------------------------------------------------------------------- */

static const ummunotify_kind_t kinds[] = { UMMUNOTIFY_UNMAP, UMMUNOTIFY_MAP_OVER, UMMUNOTIFY_DISCARD,
                                           UMMUNOTIFY_MOVE };
#define KINDS ((int) (sizeof(kinds) / sizeof(kinds[0])))

/* The kernel moves and unmaps in two steps: told as the region, if both come before the read. */
static bool told_part(ummunotify_kind_t kind, unsigned char *part, unsigned char *region, size_t of_region)
{
    return told_exactly(part, 2 * PAGE) || (kind == UMMUNOTIFY_MOVE && told_exactly(region, of_region * PAGE));
}

START_TEST(release_of_a_part_is_told_exactly)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    lose(kinds[_i], pages + 3 * PAGE, 2);
    sync_now();
    ck_assert_uint_eq(told(pages, PAGES * PAGE), 1);
    ck_assert(told_part(kinds[_i], pages + 3 * PAGE, pages, PAGES));
    unwatch_pages(pages, PAGES, &watch);
}
END_TEST

START_TEST(release_beyond_the_region_is_cut_to_it)
{
    opal_memory_watch_t watch = watch_pages(pages + 4 * PAGE, 4);
    lose(kinds[_i], pages + 2 * PAGE, 4);
    sync_now();
    ck_assert(told_part(kinds[_i], pages + 4 * PAGE, pages + 4 * PAGE, 4));
    unwatch_pages(pages + 4 * PAGE, 4, &watch);
}
END_TEST

START_TEST(twin_without_the_component_sees_that_nothing_is_told)
{
    fixture_stop();
    ck_assert_int_eq(fixture_init("deaf"), OPAL_SUCCESS);
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    lose(kinds[_i], pages + 3 * PAGE, 2);
    sync_now();
    ck_assert_uint_eq(told(pages, PAGES * PAGE), 0);
    unwatch_pages(pages, PAGES, &watch);
}
END_TEST

/* The release is real, and the fake driver does not notice it. */
START_TEST(twin_with_a_deaf_driver_sees_that_nothing_is_told)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    fake_mute(1U << kinds[_i]);
    lose(kinds[_i], pages + 3 * PAGE, 2);
    sync_now();
    ck_assert_uint_eq(told(pages, PAGES * PAGE), 0);
    unwatch_pages(pages, PAGES, &watch);
}
END_TEST

START_TEST(two_releases_before_reading_are_told_as_the_whole_region)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    lose(UMMUNOTIFY_DISCARD, pages + PAGE, 1);
    lose(UMMUNOTIFY_DISCARD, pages + 8 * PAGE, 1);
    sync_now();
    ck_assert_uint_eq(told(pages, PAGES * PAGE), 1);
    ck_assert(told_exactly(pages, PAGES * PAGE));
    unwatch_pages(pages, PAGES, &watch);
}
END_TEST

START_TEST(region_is_told_of_again_after_its_event)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    for (size_t i = 0; i < 4; i++) {
        forget_told();
        lose(UMMUNOTIFY_DISCARD, pages + i * PAGE, 1);
        sync_now();
        ck_assert(told_exactly(pages + i * PAGE, PAGE));
    }
    unwatch_pages(pages, PAGES, &watch);
}
END_TEST

START_TEST(each_region_of_the_same_pages_is_told)
{
    opal_memory_watch_t whole = watch_pages(pages, PAGES), part = watch_pages(pages + PAGE, 4);
    lose(UMMUNOTIFY_UNMAP, pages, PAGES);
    sync_now();
    ck_assert(told_exactly(pages, PAGES * PAGE));
    ck_assert(told_exactly(pages + PAGE, 4 * PAGE));
    unwatch_pages(pages, PAGES, &whole);
    unwatch_pages(pages + PAGE, 4, &part);
}
END_TEST

/* Around the number of events that one read gives: with room for LAST, and without. */
static const size_t counts[] = { 1, 126, 127, 128, 129, 255, 256, 257, 1500 };
#define COUNTS ((int) (sizeof(counts) / sizeof(counts[0])))

START_TEST(all_regions_that_one_release_hits_are_told)
{
    const size_t count = counts[_i];
    unsigned char *many = get_pages(count);
    opal_memory_watch_t watch[1500];
    for (size_t i = 0; i < count; i++) {
        watch[i] = watch_pages(many + i * PAGE, 1);
    }
    lose(UMMUNOTIFY_UNMAP, many, count);
    sync_now();
    ck_assert(!opal_memory_changed());
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(told(many + i * PAGE, PAGE), 1);
        unwatch_pages(many + i * PAGE, 1, &watch[i]);
    }
}
END_TEST

/* Its event is gone, and the generation stays ahead of what reading tells. */
START_TEST(region_unregistered_with_its_event_unread_leaves_nothing_to_do)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    lose(UMMUNOTIFY_UNMAP, pages, 1);
    unwatch_pages(pages, PAGES, &watch);
    ck_assert(opal_memory_changed());
    sync_now();
    ck_assert(!opal_memory_changed());
    ck_assert_uint_eq(told(pages, PAGES * PAGE), 0);
}
END_TEST

START_TEST(release_after_unregistering_is_not_told)
{
    opal_memory_watch_t watch = watch_pages(pages, PAGES);
    unwatch_pages(pages, PAGES, &watch);
    lose(UMMUNOTIFY_UNMAP, pages, PAGES);
    ck_assert(!opal_memory_changed());
    sync_now();
    ck_assert_uint_eq(told(pages, PAGES * PAGE), 0);
}
END_TEST

START_TEST(large_block_of_malloc_is_told_when_it_is_freed)
{
    const size_t size = 64 << 20;
    unsigned char *block = malloc(size);
    memset(block, 1, size);
    unsigned char *start = (unsigned char *) (((uintptr_t) block + PAGE - 1) & ~(PAGE - 1));
    opal_memory_watch_t watch = watch_pages(start, size / PAGE - 1);
    free(block);
    if (!on_device()) { /* Which sees it by itself. */
        fake_notify((uintptr_t) start, (uintptr_t) start + size - PAGE);
    }
    sync_now();
    ck_assert_uint_ge(told(start, size - PAGE), 1);
    unwatch_pages(start, size / PAGE - 1, &watch);
}
END_TEST

/* ---- Cookies ---------------------------------------------------------------------------------------- */

START_TEST(cookie_in_use_is_refused_and_the_region_stays)
{
    opal_memory_watch_t watch = watch_pages(pages, 4), again = watch;
    ck_assert_int_eq(opal_memory_base_watch(pages + 8 * PAGE, PAGE, &again), OPAL_EXISTS);
    lose(UMMUNOTIFY_UNMAP, pages, 4);
    sync_now();
    ck_assert(told_exactly(pages, 4 * PAGE));
    unwatch_pages(pages, 4, &watch);
}
END_TEST

START_TEST(unknown_cookie_is_not_found)
{
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
    ck_assert_int_eq(opal_memory_base_unwatch(pages, PAGE, &watch), OPAL_ERR_NOT_FOUND);
    watch = watch_pages(pages, 1);
    unwatch_pages(pages, 1, &watch);
    ck_assert_int_eq(opal_memory_base_unwatch(pages, PAGE, &watch), OPAL_ERR_NOT_FOUND);
}
END_TEST

START_TEST(cookies_in_use_and_unknown_do_not_reach_the_driver)
{
    opal_memory_watch_t watch = watch_pages(pages, 4), other = { .cookie = opal_memory_base_new_cookie() };
    const unsigned registers = fake_count(FAKE_REGISTER), unregisters = fake_count(FAKE_UNREGISTER);
    ck_assert_int_eq(opal_memory_base_watch(pages, PAGE, &watch), OPAL_EXISTS);
    ck_assert_int_eq(opal_memory_base_unwatch(pages, PAGE, &other), OPAL_ERR_NOT_FOUND);
    ck_assert_uint_eq(fake_count(FAKE_REGISTER), registers);
    ck_assert_uint_eq(fake_count(FAKE_UNREGISTER), unregisters);
    unwatch_pages(pages, 4, &watch);
}
END_TEST

/* A caller may give another length at the end than at the begin. */
START_TEST(cookie_decides_what_is_unregistered)
{
    opal_memory_watch_t watch = watch_pages(pages, 4);
    ck_assert_int_eq(opal_memory_base_unwatch(pages + PAGE, 1, &watch), OPAL_SUCCESS);
}
END_TEST

START_TEST(ranges_that_are_none_are_refused)
{
    ck_assert_int_eq(opal_memory->memoryc_register(pages, 0, 7), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(opal_memory->memoryc_register(pages, SIZE_MAX, 7), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(opal_memory->memoryc_register(pages, PAGE, 0), OPAL_ERR_BAD_PARAM);
}
END_TEST

/* ---- Calls from inside callbacks -------------------------------------------------------------------- */

static opal_memory_watch_t own;
static unsigned runs;

static void unwatch_and_watch(void *start, size_t length, void *arg, bool from_alloc)
{
    (void) start, (void) length, (void) arg, (void) from_alloc;
    if (runs++ == 0) {
        unwatch_pages(pages, PAGES, &own);
        own = watch_pages(pages, PAGES);
        void *volatile block = malloc(64 << 20); /* Mapped, and unmapped. */
        free(block);
        malloc_trim(0);
    }
}

START_TEST(callback_may_unregister_register_and_free)
{
    ck_assert_int_eq(opal_mem_hooks_register_release(unwatch_and_watch, NULL), OPAL_SUCCESS);
    own = watch_pages(pages, PAGES);
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    sync_now();
    ck_assert_uint_eq(runs, 1);
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    sync_now();
    ck_assert_uint_eq(runs, 2);
    unwatch_pages(pages, PAGES, &own);
    ck_assert_int_eq(opal_mem_hooks_unregister_release(unwatch_and_watch), OPAL_SUCCESS);
}
END_TEST

/* ---- Threads ---------------------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS 300

static atomic_uint wrong;

/* Each thread releases what is its own, and must have been told of it when it has processed. */
static void *release_often(void *arg)
{
    unsigned char *mine = arg;
    for (size_t i = 0; i < ROUNDS; i++) {
        opal_memory_watch_t watch = watch_pages(mine, 4);
        const size_t before = told(mine, 4 * PAGE);
        lose(UMMUNOTIFY_DISCARD, mine + i % 4 * PAGE, 1);
        sync_now();
        atomic_fetch_add(&wrong, told(mine, 4 * PAGE) <= before);
        unwatch_pages(mine, 4, &watch);
    }
    return NULL;
}

START_TEST(thread_that_has_processed_was_told_of_its_own_releases)
{
    pthread_t thread[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&thread[i], NULL, release_often, pages + 4 * i * PAGE), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    }
    ck_assert_uint_eq(atomic_load(&wrong), 0);
}
END_TEST

/* ---- Life ------------------------------------------------------------------------------------------- */

START_TEST(library_can_be_started_again_and_again)
{
    for (int i = 0; i < 5; i++) {
        opal_memory_watch_t watch = watch_pages(pages, PAGES);
        lose(UMMUNOTIFY_DISCARD, pages, 1);
        sync_now();
        ck_assert(told_exactly(pages, PAGE));
        if (i % 2 == 0) {
            unwatch_pages(pages, PAGES, &watch); /* Else the device goes with its regions. */
        }
        fixture_stop();
        forget_told();
        fixture_start();
    }
}
END_TEST

static void add_events(TCase *tests)
{
    tcase_add_loop_test(tests, release_of_a_part_is_told_exactly, 0, KINDS);
    tcase_add_loop_test(tests, release_beyond_the_region_is_cut_to_it, 0, KINDS);
    tcase_add_loop_test(tests, twin_without_the_component_sees_that_nothing_is_told, 0, KINDS);
    ADD_SCRIPTED_LOOP(tests, twin_with_a_deaf_driver_sees_that_nothing_is_told, 0, KINDS);
    tcase_add_test(tests, two_releases_before_reading_are_told_as_the_whole_region);
    tcase_add_test(tests, region_is_told_of_again_after_its_event);
    tcase_add_test(tests, each_region_of_the_same_pages_is_told);
    tcase_add_loop_test(tests, all_regions_that_one_release_hits_are_told, 0, COUNTS);
    tcase_add_test(tests, region_unregistered_with_its_event_unread_leaves_nothing_to_do);
    tcase_add_test(tests, release_after_unregistering_is_not_told);
    tcase_add_test(tests, large_block_of_malloc_is_told_when_it_is_freed);
}

int main(void)
{
    Suite *suite = suite_create("ummunotify");
    TCase *tests = tcase_create("ummunotify");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, release_of_watched_pages_makes_the_counter_grow_by_one);
    tcase_add_test(tests, release_that_hits_no_region_leaves_the_counter_alone);
    tcase_add_test(tests, watch_has_a_generation_that_always_holds);
    tcase_add_test(tests, support_is_what_the_self_test_has_seen);
    add_events(tests);
    tcase_add_test(tests, cookie_in_use_is_refused_and_the_region_stays);
    tcase_add_test(tests, unknown_cookie_is_not_found);
    ADD_SCRIPTED(tests, cookies_in_use_and_unknown_do_not_reach_the_driver);
    tcase_add_test(tests, cookie_decides_what_is_unregistered);
    tcase_add_test(tests, ranges_that_are_none_are_refused);
    tcase_add_test(tests, callback_may_unregister_register_and_free);
    tcase_add_test(tests, thread_that_has_processed_was_told_of_its_own_releases);
    tcase_add_test(tests, library_can_be_started_again_and_again);
    suite_add_tcase(suite, tests);
    return fixture_run(suite);
}
