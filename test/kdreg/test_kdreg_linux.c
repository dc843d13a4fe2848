/* SPDX-License-Identifier: BSD-3-Clause */
/* The component "kdreg" with linux beside it, which is what runs where the user says
 * nothing: drivers may tell late. Storms are in test_kdreg_threads.c. On the fake, or on
 * the device. */
#include <signal.h>

#include "opal/memoryhooks/memory_internal.h"
#include "framework/memory/memory_base.h"
#include "test/kdreg/kdreg_cache.h"

static unsigned char *pages;
static kdreg_cache_t cache;

static void start(const char *selection, mca_rcache_in_use_policy_t policy)
{
    kdreg_test_start_as(selection, 64, 64);
    cache = kdreg_cache_make_with(policy);
    pages = kdreg_test_pages(64);
}

static void stop(void)
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

static const char *name_of(size_t active)
{
    return opal_memory_base_active[active].component->memoryc_version.mca_component_name;
}

/* ---- What runs ------------------------------------------------------------------------------------- */

static const char *const sums[] = { NULL, "kdreg,linux", "linux+kdreg", "^ummunotify,userfaultfd" };

START_TEST(unless_it_is_asked_for_alone_linux_runs_beside_it)
{
    start(sums[_i], MCA_RCACHE_IN_USE_IGNORE);
    ck_assert_str_eq(opal_memory->memoryc_version.mca_component_name, "composite");
    ck_assert_uint_eq(opal_memory_base_active_count, 2);
    ck_assert_str_eq(name_of(0), "kdreg");
    ck_assert_str_eq(name_of(1), "linux");
    ck_assert(opal_memory_base_sees_all(OPAL_MEMORY_SEES_LIBC | OPAL_MEMORY_SEES_BEFORE));
    ck_assert(opal_memory_base_sees_all(OPAL_MEMORY_SEES_RAW | OPAL_MEMORY_SEES_DISCARD));
    ck_assert(!opal_memory_base_sees_all(OPAL_MEMORY_SEES_RAW | OPAL_MEMORY_SEES_BEFORE));
    stop();
}
END_TEST

static const char *const alone[] = { "kdreg", "^linux" };

START_TEST(without_linux_it_runs_alone)
{
    kdreg_test_select(64, 64);
    setenv("OPALMEM_MCA_memory", alone[_i], 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_eq(opal_memory->memoryc_version.mca_component_name, "kdreg");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

/* ---- Releases ------------------------------------------------------------------------------------- */

START_TEST(a_release_that_the_driver_tells_late_is_a_miss)
{
    if (kdreg_test_can_script("a driver that puts off")) {
        start(NULL, MCA_RCACHE_IN_USE_IGNORE);
        ck_assert(!hits(3));
        ck_assert(hits(3));
        fake_script.defers = true;
        kdreg_test_discard(pages + 3 * PAGE, PAGE);
        ck_assert(!hits(3));
        fake_run_deferred();
        hits(3); /* It may be dropped once more. */
        ck_assert(hits(3));
        stop();
    }
}
END_TEST

/* The twin. */
START_TEST(alone_that_release_is_a_stale_hit)
{
    if (kdreg_test_can_script("a driver that puts off")) {
        kdreg_test_start(64, 64);
        cache = kdreg_cache_make();
        pages = kdreg_test_pages(64);
        ck_assert(!hits(3));
        fake_script.defers = true;
        kdreg_test_discard(pages + 3 * PAGE, PAGE);
        ck_assert(hits(3));
        fake_run_deferred();
        ck_assert(!hits(3));
        stop();
    }
}
END_TEST

/* linux does not hear of it. */
static void release_unheard(void *start_of, size_t length)
{
    if (kdreg_test_on_device()) {
        kdreg_test_discard(start_of, length);
    } else {
        fake_notify(start_of, length);
    }
}

START_TEST(what_only_the_driver_tells_is_a_miss_too)
{
    start(NULL, MCA_RCACHE_IN_USE_IGNORE);
    ck_assert(!hits(3));
    ck_assert(hits(3));
    release_unheard(pages + 3 * PAGE, PAGE);
    ck_assert(!hits(3));
    ck_assert(hits(3));
    stop();
}
END_TEST

/* With the component alone nobody could say that it is one. */
START_TEST(a_release_in_use_ends_the_program_under_policy_abort)
{
    mca_rcache_base_registration_t *reg = NULL;

    start(NULL, MCA_RCACHE_IN_USE_ABORT);
    cache.module->rcache_register(cache.module, pages, PAGE, 0, 0, &reg);
    kdreg_test_munmap(pages, PAGE);
}
END_TEST

START_TEST(a_fork_in_use_does_not)
{
    mca_rcache_base_registration_t *reg = NULL;

    start(NULL, MCA_RCACHE_IN_USE_ABORT);
    ck_assert_int_eq(cache.module->rcache_register(cache.module, pages, PAGE, 0, 0, &reg), OPAL_SUCCESS);
    const pid_t pid = kdreg_test_fork(false);
    if (pid == 0) {
        _exit(0);
    }
    child_must_be_good(pid);
    ck_assert(!hits(0));
    ck_assert_int_eq(cache.module->rcache_deregister(cache.module, reg), OPAL_SUCCESS);
    stop();
}
END_TEST

/* ---- Forks ---------------------------------------------------------------------------------------- */

static void child_uses_the_cache(void)
{
    child_must_end_within(60);
    bool good = !hits(3) && hits(3);
    kdreg_test_discard(pages + 3 * PAGE, PAGE);
    good = !hits(3) && good;
    child_says(good && hits(3));
}

START_TEST(a_child_has_both)
{
    start(NULL, MCA_RCACHE_IN_USE_IGNORE);
    ck_assert(!hits(3));
    const pid_t pid = kdreg_test_fork(false);
    if (pid == 0) {
        child_uses_the_cache();
    }
    child_must_be_good(pid);
    ck_assert(!hits(3));
    ck_assert(hits(3));
    stop();
}
END_TEST

int main(void)
{
    const int missing = kdreg_test_prepare();
    if (missing != 0) {
        return missing;
    }
    if (!kdreg_test_can_have_linux()) {
        return test_skip("linux beside kdreg");
    }
    Suite *suite = suite_create("kdreg_linux");
    TCase *tcase = tcase_create("linux");

    tcase_add_loop_test(tcase, unless_it_is_asked_for_alone_linux_runs_beside_it, 0,
                        sizeof(sums) / sizeof(sums[0]));
    tcase_add_loop_test(tcase, without_linux_it_runs_alone, 0, sizeof(alone) / sizeof(alone[0]));
    tcase_add_test(tcase, a_release_that_the_driver_tells_late_is_a_miss);
    tcase_add_test(tcase, alone_that_release_is_a_stale_hit);
    tcase_add_test(tcase, what_only_the_driver_tells_is_a_miss_too);
    tcase_add_test_raise_signal(tcase, a_release_in_use_ends_the_program_under_policy_abort, SIGABRT);
    tcase_add_test(tcase, a_fork_in_use_does_not);
    tcase_add_test(tcase, a_child_has_both);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
