/* SPDX-License-Identifier: BSD-3-Clause */
/* Caches over the component "kdreg": no lookup after a release is a hit, and what
 * was not released stays one. On the fake, or on the device. */
#include <errno.h>
#include <signal.h>

#include "opal/memoryhooks/memory_internal.h"
#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_self.h"
#include "test/kdreg/kdreg_cache.h"

static unsigned char *pages;
static kdreg_cache_t cache;

static void start(size_t max_regions, size_t limit)
{
    kdreg_test_start(max_regions, limit);
    cache = kdreg_cache_make();
    pages = kdreg_test_pages(64);
}

static void set_up(void)
{
    start(64, 64);
}

static void tear_down(void)
{
    memset(&fake_script, 0, sizeof(fake_script));
    kdreg_cache_end(&cache);
    kdreg_test_stop();
    munmap(pages, 64 * PAGE);
}

static bool hits(size_t page)
{
    return kdreg_cache_hits(&cache, pages + page * PAGE, PAGE);
}

/* ---- Releases ------------------------------------------------------------------------------------ */

static void unmap_and_map(void *start_of, size_t length)
{
    kdreg_test_munmap(start_of, length);
    ck_assert_ptr_eq(
        mmap(start_of, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
        start_of);
}

static void move_and_map(void *start_of, size_t length)
{
    munmap(kdreg_test_mremap(start_of, length), length);
    ck_assert_ptr_eq(
        mmap(start_of, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
        start_of);
}

static void (*const releases[])(void *start_of, size_t length) = { unmap_and_map, move_and_map, kdreg_test_discard,
                                                                   kdreg_test_map_over };
#define RELEASES (int) (sizeof(releases) / sizeof(releases[0]))

START_TEST(a_lookup_after_a_release_is_a_miss)
{
    for (int i = 0; i < 20; i++) {
        ck_assert(!hits(3));
        ck_assert(hits(3));
        ck_assert(i == 0 ? !hits(5) : hits(5));
        releases[_i](pages + 3 * PAGE, PAGE);
    }
}
END_TEST

START_TEST(a_release_of_one_page_ends_the_registration_of_many)
{
    ck_assert(!kdreg_cache_hits(&cache, pages, 16 * PAGE));
    ck_assert(kdreg_cache_hits(&cache, pages + 9 * PAGE, PAGE));
    releases[_i](pages + 7 * PAGE, PAGE);
    ck_assert(!kdreg_cache_hits(&cache, pages + 9 * PAGE, PAGE));
}
END_TEST

static uint32_t hint_tag(const void *page)
{
    return grdma_hint_slot(grdma_hint_hash((uintptr_t) page, 0), 0);
}

/* Of two pages in turn, of which a thread remembers one at most: the other is found by a hint. References that were taken to be
 * given back at once would be seen. The mapping is smaller than a huge page, and joins no other: a kernel that cuts one in two
 * may tell of all the 2 MiB around the place, as if all of these were lost. */
START_TEST(a_hit_by_a_hint_takes_one_reference_and_none_after_a_release)
{
    const size_t room = 3 * MCA_RCACHE_FRONTS + 1;
    unsigned char *const first = kdreg_test_pages(room + 2) + PAGE;
    unsigned char *page[2] = { first, first };
    const grdma_module_t *module = grdma_of(cache.module);

    ck_assert_int_eq(mprotect(first - PAGE, PAGE, PROT_NONE) | mprotect(first + room * PAGE, PAGE, PROT_NONE), 0);
    do { /* Hints with the same tag may be taken for each other. */
        page[1] += MCA_RCACHE_FRONTS * PAGE;
        ck_assert(page[1] < first + room * PAGE);
    } while (hint_tag(page[1]) == hint_tag(page[0]));
    ck_assert(!kdreg_cache_hits(&cache, page[0], PAGE) && !kdreg_cache_hits(&cache, page[1], PAGE));
    for (int i = 0; i < 10; i++) {
        mca_rcache_base_registration_t *reg;
        ck_assert_int_eq(cache.module->rcache_register(cache.module, page[i % 2], PAGE, 0, 0, &reg), OPAL_SUCCESS);
        const grdma_count_t *count = grdma_count_of(grdma_block_of(module), reg->cache_id);
        ck_assert_uint_eq(count->gets, count->puts + 1);
        ck_assert_uint_eq(count->puts, 1u + (unsigned) i / 2);
        ck_assert_int_eq(cache.module->rcache_deregister(cache.module, reg), OPAL_SUCCESS);
    }
    ck_assert_uint_eq(kdreg_cache_stats(&cache).registrations, 2);
    releases[_i](page[0], PAGE);
    ck_assert(!kdreg_cache_hits(&cache, page[0], PAGE));
    ck_assert(kdreg_cache_hits(&cache, page[1], PAGE));
    releases[_i](page[1], PAGE);
    ck_assert(kdreg_cache_hits(&cache, page[0], PAGE));
    ck_assert(!kdreg_cache_hits(&cache, page[1], PAGE));
}
END_TEST

START_TEST(a_hit_is_of_what_grants_the_access)
{
    mca_rcache_base_registration_t *reg;

    for (int32_t access = 1; access <= MCA_RCACHE_ACCESS_ANY; access++) {
        for (int round = 0; round < 3; round++) { /* By a hint, and by what is remembered. */
            ck_assert_int_eq(cache.module->rcache_register(cache.module, pages, PAGE, 0, access, &reg),
                             OPAL_SUCCESS);
            ck_assert_int_eq(reg->access_flags & access, access);
            ck_assert_int_eq(cache.module->rcache_deregister(cache.module, reg), OPAL_SUCCESS);
        }
    }
    ck_assert_uint_eq(kdreg_cache_stats(&cache).registrations, 4); /* 1, and with it 2, 4 and 8. */
}
END_TEST

/* The twin: where nobody notices, the stale registration is handed out. */
START_TEST(without_the_mechanism_a_lookup_after_a_release_is_a_stale_hit)
{
    kdreg_cache_end(&cache);
    kdreg_test_stop();
    kdreg_test_select_nothing();
    setenv("OPALMEM_MCA_rcache_base_unsafe", "1", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    cache = kdreg_cache_make();
    ck_assert(!hits(3));
    releases[_i](pages + 3 * PAGE, PAGE);
    ck_assert(hits(3));
    kdreg_cache_end(&cache);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    unsetenv("OPALMEM_MCA_rcache_base_unsafe");
    kdreg_test_start(64, 64);
    cache = kdreg_cache_make();
}
END_TEST

START_TEST(with_a_deaf_driver_a_lookup_after_a_release_is_a_stale_hit)
{
    if (kdreg_test_can_script("a deaf driver")) {
        ck_assert(!hits(3));
        fake_script.deaf = true;
        kdreg_test_discard(pages + 3 * PAGE, PAGE);
        ck_assert(hits(3));
    }
}
END_TEST

/* The word alone: the counter says nothing. */
START_TEST(a_word_that_has_changed_makes_a_miss)
{
    if (kdreg_test_can_script("an event that is not counted")) {
        ck_assert(!hits(3));
        fake_script.does_not_count = true;
        kdreg_test_discard(pages + 3 * PAGE, PAGE);
        ck_assert(!opal_memory_changed());
        ck_assert(!hits(3));
        ck_assert(hits(3));
    }
}
END_TEST

/* Neither says anything: the device is lost, and the page that would say so is refused. */
START_TEST(a_device_that_is_lost_ends_what_was_registered_though_its_page_stays)
{
    if (kdreg_test_can_script("a device that is lost while the kernel has no memory")) {
        ck_assert(!hits(3));
        ck_assert(hits(3));
        fake_reset_counts();
        fake_script.call[FAKE_MONITOR].at = 1;
        fake_script.call[FAKE_MONITOR].error = -EIO;
        fake_script.call[FAKE_MOVE].at = 1;
        fake_script.call[FAKE_MOVE].error = -ENOMEM;
        ck_assert(!hits(5));
        ck_assert(!opal_memory_changed());
        ck_assert(!hits(3));
        ck_assert(!hits(3)); /* Nothing is kept any more. */
    }
}
END_TEST

START_TEST(a_hit_makes_no_call_of_the_device)
{
    if (kdreg_test_can_script("counting calls")) {
        ck_assert(!hits(3));
        fake_reset_counts();
        for (int i = 0; i < 1000; i++) {
            ck_assert(hits(3));
        }
        for (int i = 0; i < FAKE_CALLS; i++) {
            ck_assert_int_eq(fake_calls[i], 0);
        }
    }
}
END_TEST

START_TEST(what_was_released_is_unpinned_when_it_is_told)
{
    ck_assert(!hits(3));
    ck_assert_uint_eq(kdreg_cache_stats(&cache).count, 1);
    kdreg_test_munmap(pages + 3 * PAGE, PAGE);
    kdreg_test_deliver();
    mca_rcache_base_progress();
    ck_assert_uint_eq(kdreg_cache_stats(&cache).count, 0);
    if (!kdreg_test_on_device()) {
        ck_assert_uint_eq(fake_regions(), 2); /* The guards. */
        ck_assert_uint_eq(fake_pending(), 0);
    }
}
END_TEST

START_TEST(a_registration_in_use_stays_and_is_found_no_more)
{
    mca_rcache_base_registration_t *reg = NULL;
    ck_assert_int_eq(cache.module->rcache_register(cache.module, pages, PAGE, 0, 0, &reg), OPAL_SUCCESS);
    kdreg_test_discard(pages, PAGE);
    ck_assert(!hits(0));
    ck_assert_uint_eq(kdreg_cache_stats(&cache).count, 2);
    ck_assert_int_eq(cache.module->rcache_deregister(cache.module, reg), OPAL_SUCCESS);
    ck_assert(hits(0));
}
END_TEST

/* ---- In use, under policy abort ------------------------------------------------------------------- */

static void be_strict(void)
{
    kdreg_cache_end(&cache);
    cache = kdreg_cache_make_with(MCA_RCACHE_IN_USE_ABORT);
}

static mca_rcache_base_registration_t *hold(size_t page)
{
    mca_rcache_base_registration_t *reg = NULL;

    ck_assert_int_eq(cache.module->rcache_register(cache.module, pages + page * PAGE, PAGE, 0, 0, &reg),
                     OPAL_SUCCESS);
    return reg;
}

static void fork_only(void)
{
    const pid_t pid = kdreg_test_fork(false);

    if (pid == 0) {
        _exit(0);
    }
    child_must_be_good(pid);
}

/* Nothing but the word tells, as of a lost event. */
static void fork_and_lose_the_event(void)
{
    fake_script.does_not_count = true;
    fork_only();
}

static void write_protect(void)
{
    ck_assert_int_eq(mprotect(pages, PAGE, PROT_READ), 0);
    if (!kdreg_test_on_device()) {
        fake_notify(pages, PAGE);
    }
    ck_assert_int_eq(mprotect(pages, PAGE, PROT_READ | PROT_WRITE), 0);
}

static void (*const no_releases[])(void) = { fork_only, write_protect, fork_and_lose_the_event };

/* The driver tells of these as of releases. The registration is dropped, and nobody is to blame. */
START_TEST(what_is_no_release_does_not_end_the_program_under_policy_abort)
{
    if (_i == 2 && !kdreg_test_can_script("an event that is not counted")) {
        return;
    }
    be_strict();
    mca_rcache_base_registration_t *reg = hold(0);
    no_releases[_i]();
    ck_assert(!hits(0));
    ck_assert_uint_eq(kdreg_cache_stats(&cache).invalidated_in_use, 0);
    ck_assert_int_eq(cache.module->rcache_deregister(cache.module, reg), OPAL_SUCCESS);
}
END_TEST

/* The twin: of a release that is known to be one. */
START_TEST(a_release_of_memory_in_use_ends_the_program_under_policy_abort)
{
    be_strict();
    hold(0);
    opal_mem_hooks_release_cause(pages, PAGE, true, OPAL_MEM_HOOKS_CAUSE_KERNEL);
}
END_TEST

START_TEST(each_of_two_caches_is_told)
{
    kdreg_cache_t other = kdreg_cache_make();
    ck_assert(!hits(3));
    ck_assert(!kdreg_cache_hits(&other, pages + 3 * PAGE, PAGE));
    kdreg_test_discard(pages + 3 * PAGE, PAGE);
    ck_assert(!hits(3));
    ck_assert(!kdreg_cache_hits(&other, pages + 3 * PAGE, PAGE));
    kdreg_test_discard(pages + 3 * PAGE, PAGE);
    ck_assert(!kdreg_cache_hits(&other, pages + 3 * PAGE, PAGE));
    ck_assert(!hits(3));
    kdreg_cache_end(&other);
}
END_TEST

/* ---- Tables -------------------------------------------------------------------------------------- */

START_TEST(lost_events_end_all_registrations)
{
    for (size_t i = 0; i < 60; i++) {
        ck_assert(!hits(i));
    }
    for (size_t i = 0; i < 100; i++) { /* No lookup between: nobody reads events. */
        opal_memory_watch_t own;
        ck_assert_int_eq(kdreg_test_watch(pages + 63 * PAGE, PAGE, &own), OPAL_SUCCESS);
        kdreg_test_discard(pages + 63 * PAGE, PAGE);
    }
    for (size_t i = 0; i < 60; i++) {
        ck_assert(!hits(i));
    }
    for (size_t i = 0; i < 60; i++) {
        ck_assert(hits(i));
    }
}
END_TEST

START_TEST(tables_grow_until_all_registrations_are_kept)
{
    kdreg_cache_end(&cache);
    kdreg_test_stop();
    start(2, 64);
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < 60; i++) {
            hits(i);
        }
    }
    for (size_t i = 0; i < 60; i++) {
        ck_assert(hits(i));
    }
    unmap_and_map(pages, 60 * PAGE);
    for (size_t i = 0; i < 60; i++) {
        ck_assert(!hits(i));
    }
}
END_TEST

START_TEST(what_has_no_room_is_used_once)
{
    kdreg_cache_end(&cache);
    kdreg_test_stop();
    start(8, 8);
    for (size_t i = 0; i < 16; i++) {
        ck_assert(!hits(i));
    }
    for (size_t i = 0; i < 16; i++) {
        ck_assert_int_eq(hits(i), i < 8);
    }
    unmap_and_map(pages, 16 * PAGE);
    for (size_t i = 0; i < 8; i++) {
        ck_assert(!hits(15 - i)); /* Room is there again. */
    }
    for (size_t i = 0; i < 8; i++) {
        ck_assert(hits(15 - i));
    }
}
END_TEST

/* ---- Forks, and a lost device -------------------------------------------------------------------- */

static void child_uses_the_cache(void)
{
    child_must_end_within(60);
    bool good = !hits(3) && hits(3);
    kdreg_test_discard(pages + 3 * PAGE, PAGE);
    good = !hits(3) && good;
    child_says(good && hits(3));
}

static void fork_and_use(bool is_raw)
{
    ck_assert(!hits(3));
    const pid_t pid = kdreg_test_fork(is_raw);
    if (pid == 0) {
        child_uses_the_cache();
    }
    child_must_be_good(pid);
    ck_assert(!hits(3)); /* The next who writes gets another page. */
    ck_assert(hits(3));
}

START_TEST(a_child_uses_the_cache_with_a_device_of_its_own)
{
    fork_and_use(false);
}
END_TEST

START_TEST(so_does_one_that_libc_does_not_hear_of)
{
    if (raw_forks_are_noticed() && !under_valgrind()) {
        fork_and_use(true);
    }
}
END_TEST

START_TEST(pages_that_children_do_not_inherit_stay_registered)
{
    kdreg_test_dont_fork(pages, 64 * PAGE);
    ck_assert(!hits(3));
    const pid_t pid = kdreg_test_fork(false);
    if (pid == 0) {
        child_says(true);
    }
    child_must_be_good(pid);
    ck_assert(hits(3));
}
END_TEST

static void say_nothing(mca_base_log_level_t level, const char *text, void *arg)
{
    (void) level, (void) text, (void) arg;
}

START_TEST(without_its_descriptors_nothing_is_kept)
{
    int fds[8];
    const size_t count = kdreg_test_descriptors(fds, 8);
    mca_base_set_log(say_nothing, NULL);
    ck_assert(!hits(3));
    for (size_t i = 0; i < count; i++) {
        kdreg_test_close(fds[i]);
        unmap_and_map(pages + 3 * PAGE, PAGE);
        ck_assert(!hits(3));
    }
    ck_assert(!hits(3));
    ck_assert(!hits(3));
    mca_rcache_base_progress();
    ck_assert_uint_eq(kdreg_cache_stats(&cache).count, 0);
}
END_TEST

int main(void)
{
    const int missing = kdreg_test_prepare();
    if (missing != 0) {
        return missing;
    }
    Suite *suite = suite_create("kdreg_cache");
    TCase *tcase = tcase_create("cache");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, a_lookup_after_a_release_is_a_miss, 0, RELEASES);
    tcase_add_loop_test(tcase, a_release_of_one_page_ends_the_registration_of_many, 0, RELEASES);
    tcase_add_loop_test(tcase, a_hit_by_a_hint_takes_one_reference_and_none_after_a_release, 0, RELEASES);
    tcase_add_test(tcase, a_hit_is_of_what_grants_the_access);
    tcase_add_loop_test(tcase, without_the_mechanism_a_lookup_after_a_release_is_a_stale_hit, 0, RELEASES);
    tcase_add_test(tcase, with_a_deaf_driver_a_lookup_after_a_release_is_a_stale_hit);
    tcase_add_test(tcase, a_word_that_has_changed_makes_a_miss);
    tcase_add_test(tcase, a_device_that_is_lost_ends_what_was_registered_though_its_page_stays);
    tcase_add_test(tcase, a_hit_makes_no_call_of_the_device);
    tcase_add_test(tcase, what_was_released_is_unpinned_when_it_is_told);
    tcase_add_test(tcase, a_registration_in_use_stays_and_is_found_no_more);
    tcase_add_loop_test(tcase, what_is_no_release_does_not_end_the_program_under_policy_abort, 0, 3);
    tcase_add_test_raise_signal(tcase, a_release_of_memory_in_use_ends_the_program_under_policy_abort, SIGABRT);
    tcase_add_test(tcase, each_of_two_caches_is_told);
    tcase_add_test(tcase, lost_events_end_all_registrations);
    tcase_add_test(tcase, tables_grow_until_all_registrations_are_kept);
    tcase_add_test(tcase, what_has_no_room_is_used_once);
    tcase_add_test(tcase, a_child_uses_the_cache_with_a_device_of_its_own);
    tcase_add_test(tcase, so_does_one_that_libc_does_not_hear_of);
    tcase_add_test(tcase, pages_that_children_do_not_inherit_stay_registered);
    tcase_add_test(tcase, without_its_descriptors_nothing_is_kept);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
