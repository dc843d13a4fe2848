/* SPDX-License-Identifier: BSD-3-Clause */
/* The cache's contracts on one thread, with a provider that counts. Nothing is
 * pinned: addresses are numbers. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/rcache/fake_provider.h"
#include "test/test_main.h"

#define PAGE 4096
#define AT(page) ((void *) (uintptr_t) (0x10000000 + (page) * (long) PAGE))

static fake_provider_t fake;
static mca_rcache_base_module_t *cache;
static mca_rcache_base_resources_t resources;

static void make_cache(void)
{
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_ptr_nonnull(cache);
}

static void set_up(void)
{
    memset(&fake, 0, sizeof(fake));
    resources = fake_resources(&fake);
    resources.in_use_policy = MCA_RCACHE_IN_USE_IGNORE;
    fake_library_start();
    make_cache();
}

static void tear_down(void)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    ck_assert_int_eq(atomic_load(&fake.registered), atomic_load(&fake.deregistered));
    ck_assert_int_eq(atomic_load(&fake.bytes), 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

static mca_rcache_base_registration_t *get(long page, long pages, uint32_t flags, int32_t access)
{
    mca_rcache_base_registration_t *reg = NULL;
    ck_assert_int_eq(cache->rcache_register(cache, AT(page), (size_t) pages * PAGE, flags, access, &reg),
                     OPAL_SUCCESS);
    ck_assert(reg->base <= (unsigned char *) AT(page));
    ck_assert(reg->bound + 1 >= (unsigned char *) AT(page + pages));
    return reg;
}

static void put(mca_rcache_base_registration_t *reg)
{
    ck_assert_int_eq(cache->rcache_deregister(cache, reg), OPAL_SUCCESS);
}

static void use(long page, long pages)
{
    put(get(page, pages, 0, 0));
}

static mca_rcache_base_stats_t stats(void)
{
    mca_rcache_base_stats_t result;
    cache->rcache_stats(cache, &result);
    return result;
}

static void release(long page, long pages)
{
    opal_mem_hooks_release_cause(AT(page), (size_t) pages * PAGE, true, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
}

static long registrations(void)
{
    return atomic_load(&fake.registered);
}

static long pinned(void)
{
    return atomic_load(&fake.bytes) / PAGE;
}

static void make_again(void)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    memset(&fake, 0, sizeof(fake));
    make_cache();
}

/* ---- Lookup ------------------------------------------------------------------------------------- */

START_TEST(second_use_is_a_hit)
{
    use(0, 4);
    use(0, 4);
    ck_assert_int_eq(registrations(), 1);
    ck_assert_uint_eq(stats().hits, 1);
    ck_assert_uint_eq(stats().misses, 1);
}
END_TEST

START_TEST(contained_range_is_a_hit)
{
    use(0, 16);
    use(3, 2);
    use(15, 1);
    ck_assert_int_eq(registrations(), 1);
}
END_TEST

START_TEST(containing_registration_is_found_behind_a_nearer_one)
{
    mca_rcache_base_registration_t *near = get(8, 2, MCA_RCACHE_FLAGS_PERSIST, 0);
    put(get(0, 64, MCA_RCACHE_FLAGS_PERSIST, 0));
    use(30, 4);
    ck_assert_int_eq(registrations(), 2);
    put(near);
}
END_TEST

START_TEST(partly_covered_range_is_a_miss)
{
    use(0, 4);
    use(2, 4);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

START_TEST(unaligned_range_is_rounded_to_pages)
{
    mca_rcache_base_registration_t *reg;
    ck_assert_int_eq(cache->rcache_register(cache, (char *) AT(1) + 100, PAGE, 0, 0, &reg), OPAL_SUCCESS);
    ck_assert_ptr_eq(reg->base, AT(1));
    ck_assert_ptr_eq(reg->bound, (unsigned char *) AT(3) - 1);
    put(reg);
}
END_TEST

START_TEST(bad_parameters_are_refused_and_leave_the_output_alone)
{
    mca_rcache_base_registration_t *reg = (void *) 1;
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), 0, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_register(cache, (void *) (UINTPTR_MAX - 10), 100, 0, 0, &reg),
                     OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), 1, 0x80, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), 1, 0, 0x10, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_ptr_eq(reg, (void *) 1);
    ck_assert_int_eq(atomic_load(&fake.calls), 0);
}
END_TEST

START_TEST(bypass_is_neither_found_nor_kept)
{
    use(0, 4);
    put(get(0, 4, MCA_RCACHE_FLAGS_CACHE_BYPASS, 0));
    ck_assert_int_eq(registrations(), 2);
    ck_assert_int_eq(pinned(), 4);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

START_TEST(find_gives_what_is_there_and_registers_nothing)
{
    mca_rcache_base_registration_t *reg = (void *) 1;
    ck_assert_int_eq(cache->rcache_find(cache, AT(0), PAGE, &reg), OPAL_ERR_NOT_FOUND);
    ck_assert_ptr_null(reg);
    use(0, 4);
    ck_assert_int_eq(cache->rcache_find(cache, AT(1), PAGE, &reg), OPAL_SUCCESS);
    ck_assert_ptr_eq(reg->base, AT(0));
    put(reg);
    ck_assert_int_eq(cache->rcache_find(cache, AT(3), 2 * PAGE, &reg), OPAL_ERR_NOT_FOUND);
    ck_assert_int_eq(registrations(), 1);
}
END_TEST

START_TEST(weaker_registration_is_replaced_by_the_union)
{
    put(get(0, 8, 0, MCA_RCACHE_ACCESS_REMOTE_READ));
    mca_rcache_base_registration_t *reg = get(2, 2, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    ck_assert_int_eq(reg->access_flags, MCA_RCACHE_ACCESS_REMOTE_READ | MCA_RCACHE_ACCESS_LOCAL_WRITE);
    put(reg);
    put(get(0, 8, 0, MCA_RCACHE_ACCESS_REMOTE_READ));
    ck_assert_int_eq(registrations(), 2);
    ck_assert_int_eq(pinned(), 8);
}
END_TEST

START_TEST(refused_union_falls_back_to_what_was_asked)
{
    put(get(0, 8, 0, MCA_RCACHE_ACCESS_REMOTE_READ));
    fake.fail_at = 2;
    fake.fail_with = OPAL_ERR_BAD_PARAM;
    mca_rcache_base_registration_t *reg = get(2, 2, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    ck_assert_int_eq(reg->access_flags, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    ck_assert_ptr_eq(reg->base, AT(2));
    put(reg);
}
END_TEST

START_TEST(covered_idle_registrations_are_given_up)
{
    use(0, 4);
    use(8, 4);
    use(0, 16);
    ck_assert_int_eq(pinned(), 16);
}
END_TEST

/* ---- Release ------------------------------------------------------------------------------------ */

START_TEST(released_registration_is_not_found_again)
{
    use(0, 4);
    release(1, 1);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
    ck_assert_uint_eq(stats().invalidations[OPAL_MEM_HOOKS_CAUSE_MUNMAP], 1);
}
END_TEST

/* Head, tail, middle, superset; and neighbours, which stay. */
START_TEST(every_overlap_counts_and_no_neighbour)
{
    static const struct {
        long page, pages;
        int hits;
    } cases[] = {
        { 4, 4, 0 }, { 4, 1, 0 }, { 7, 1, 0 }, { 5, 2, 0 }, { 0, 16, 0 }, { 3, 2, 0 },
        { 7, 5, 0 }, { 0, 4, 1 }, { 8, 4, 1 }, { 3, 1, 1 }, { 8, 1, 1 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        use(4, 4);
        uint64_t hits = stats().hits;
        release(cases[i].page, cases[i].pages);
        use(4, 4);
        ck_assert_int_eq((int) (stats().hits - hits), cases[i].hits);
        release(0, 100);
    }
}
END_TEST

START_TEST(release_in_the_same_page_counts_although_the_bytes_differ)
{
    mca_rcache_base_registration_t *reg;
    ck_assert_int_eq(cache->rcache_register(cache, (char *) AT(0) + 3000, 100, 0, 0, &reg), OPAL_SUCCESS);
    put(reg);
    opal_mem_hooks_release_hook(AT(0), 10, true);
    ck_assert_int_eq(cache->rcache_find(cache, (char *) AT(0) + 3000, 100, &reg), OPAL_ERR_NOT_FOUND);
}
END_TEST

START_TEST(idle_registration_is_unpinned_at_the_next_call)
{
    use(0, 4);
    release(0, 1);
    ck_assert_int_eq(pinned(), 4);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(idle_registration_is_unpinned_inside_a_safe_hook)
{
    resources.flags = MCA_RCACHE_RESOURCES_HOOK_SAFE;
    make_again();
    use(0, 4);
    use(8, 4);
    release(0, 1);
    ck_assert_int_eq(pinned(), 4);
    ck_assert_uint_eq(stats().unpinned_in_hook, 1);
    ck_assert_uint_eq(stats().bytes, 4 * PAGE);
}
END_TEST

START_TEST(registration_in_use_stays_until_it_is_given_back)
{
    mca_rcache_base_registration_t *reg = get(0, 4, 0, 0);
    mca_rcache_base_registration_t *again = get(1, 1, 0, 0);
    ck_assert_ptr_eq(reg, again);
    release(0, 4);
    ck_assert((reg->flags & MCA_RCACHE_FLAGS_INVALID) != 0);
    ck_assert_uint_eq(stats().invalidated_in_use, 1);
    mca_rcache_base_registration_t *fresh = get(0, 4, 0, 0);
    ck_assert_ptr_ne(fresh, reg);
    ck_assert_int_eq(pinned(), 8);
    put(again);
    ck_assert_int_eq(pinned(), 8);
    put(reg);
    ck_assert_int_eq(pinned(), 4);
    put(fresh);
}
END_TEST

START_TEST(everything_is_dropped_when_everything_may_have_changed)
{
    use(0, 4);
    use(1000, 4);
    opal_mem_hooks_release_hook(NULL, SIZE_MAX, true);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(invalidate_range_by_hand_drops)
{
    use(0, 4);
    ck_assert_int_eq(cache->rcache_invalidate_range(cache, (char *) AT(3) + 5, 1), OPAL_SUCCESS);
    ck_assert_int_eq(cache->rcache_invalidate_range(cache, AT(0), 0), OPAL_SUCCESS);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

static void release_first_time(fake_provider_t *provider, void *base, size_t size)
{
    if (atomic_load(&provider->registered) == 1) {
        opal_mem_hooks_release_hook(base, size, true);
    }
}

START_TEST(memory_released_while_it_is_being_registered_is_registered_again)
{
    fake.during = release_first_time;
    mca_rcache_base_registration_t *reg = get(0, 4, 0, 0);
    ck_assert_int_eq(((fake_registration_t *) reg)->serial, 2);
    ck_assert_int_eq(reg->flags & MCA_RCACHE_FLAGS_INVALID, 0);
    ck_assert_uint_eq(stats().retries, 1);
    put(reg);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

static void release_every_time(fake_provider_t *provider, void *base, size_t size)
{
    (void) provider;
    opal_mem_hooks_release_hook(base, size, true);
}

START_TEST(memory_released_again_and_again_is_given_up)
{
    mca_rcache_base_registration_t *reg = (void *) 1;
    fake.during = release_every_time;
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), PAGE, 0, 0, &reg), OPAL_ERR_RESOURCE_BUSY);
    ck_assert_ptr_eq(reg, (void *) 1);
    ck_assert_int_eq(pinned(), 0);
    ck_assert_uint_eq(stats().count, 0);
}
END_TEST

/* A provider whose deregistration frees memory, as malloc-using ones do. */
static void releases_more(fake_provider_t *provider)
{
    (void) provider;
    release(100, 1);
}

START_TEST(provider_that_releases_memory_while_deregistering_is_no_problem)
{
    fake.at_end = releases_more;
    use(0, 4);
    use(100, 2);
    release(0, 4);
    mca_rcache_base_progress();
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

/* ---- Limits ------------------------------------------------------------------------------------- */

START_TEST(count_limit_is_exact_and_evicts_the_least_recently_used)
{
    resources.max_count = 3;
    make_again();
    use(0, 1);
    use(10, 1);
    use(20, 1);
    use(0, 1);
    use(30, 1); /* In place of 10. */
    ck_assert_int_eq(pinned(), 3);
    ck_assert_uint_eq(stats().evictions, 1);
    use(0, 1);
    use(20, 1);
    use(30, 1);
    ck_assert_uint_eq(stats().hits, 4);
    use(10, 1);
    ck_assert_uint_eq(stats().misses, 5);
    ck_assert_uint_eq(stats().peak_count, 3);
}
END_TEST

START_TEST(byte_limit_is_exact)
{
    resources.max_bytes = 8 * PAGE;
    make_again();
    use(0, 4);
    use(10, 4);
    ck_assert_int_eq(pinned(), 8);
    ck_assert_uint_eq(stats().evictions, 0);
    use(20, 1);
    ck_assert_int_eq(pinned(), 5);
    ck_assert_uint_eq(stats().peak_bytes, 8 * PAGE);
}
END_TEST

START_TEST(limit_without_anything_idle_is_out_of_resource)
{
    mca_rcache_base_registration_t *reg = (void *) 1;
    resources.max_count = 1;
    resources.max_bytes = 8 * PAGE;
    make_again();
    mca_rcache_base_registration_t *held = get(0, 1, 0, 0);
    ck_assert_int_eq(cache->rcache_register(cache, AT(10), PAGE, 0, 0, &reg), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(cache->rcache_register(cache, AT(10), PAGE, MCA_RCACHE_FLAGS_CACHE_BYPASS, 0, &reg),
                     OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_ptr_eq(reg, (void *) 1);
    put(held);
    ck_assert_int_eq(cache->rcache_register(cache, AT(10), 9 * PAGE, 0, 0, &reg), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(pinned(), 1);
    use(10, 1);
}
END_TEST

START_TEST(limit_of_the_provider_evicts_too)
{
    fake.capacity = 2;
    use(0, 1);
    use(10, 1);
    use(20, 1);
    ck_assert_int_eq(pinned(), 2);
    ck_assert_uint_eq(stats().evictions, 1);
}
END_TEST

START_TEST(evict_takes_idle_ones_only)
{
    mca_rcache_base_registration_t *held = get(0, 1, 0, 0);
    use(10, 1);
    put(get(20, 1, MCA_RCACHE_FLAGS_PERSIST, 0));
    ck_assert(cache->rcache_evict(cache));
    ck_assert(!cache->rcache_evict(cache));
    ck_assert_int_eq(pinned(), 2);
    put(held);
}
END_TEST

START_TEST(persistent_registration_stays_until_it_is_released)
{
    put(get(0, 1, MCA_RCACHE_FLAGS_PERSIST, 0));
    ck_assert_int_eq(pinned(), 1);
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

/* ---- Windows ------------------------------------------------------------------------------------ */

/* A release of another thread between its callbacks and its system call is shown by test_grdma_threads;
 * here the window is one that nobody ever closes. */
START_TEST(stuck_window_makes_a_registration_that_is_used_once)
{
    opal_mem_hooks_window_t window;
    const opal_mem_hooks_range_t range = { (uintptr_t) AT(0), PAGE };
    opal_mem_hooks_window_open(&window, &range, 1, OPAL_MEM_HOOKS_CAUSE_MUNMAP, true);
    mca_rcache_base_registration_t *reg = get(0, 4, 0, 0);
    mca_rcache_base_registration_t *found;
    ck_assert_int_eq(cache->rcache_find(cache, AT(0), PAGE, &found), OPAL_ERR_NOT_FOUND);
    put(reg);
    ck_assert_int_eq(pinned(), 0);
    use(2, 1); /* Not in the window. */
    ck_assert_int_eq(pinned(), 1);
    opal_mem_hooks_window_close(&window);
}
END_TEST

/* ---- Life --------------------------------------------------------------------------------------- */

START_TEST(cache_with_references_out_is_freed_by_the_last_one)
{
    mca_rcache_base_module_t *first = cache;
    mca_rcache_base_registration_t *reg = get(0, 4, 0, 0);
    use(10, 1);
    ck_assert_int_eq(mca_rcache_base_module_destroy(first), OPAL_ERR_RESOURCE_BUSY);
    ck_assert_int_eq(pinned(), 4);
    ck_assert_int_eq(first->rcache_deregister(first, reg), OPAL_SUCCESS);
    ck_assert_int_eq(pinned(), 0);
    ck_assert_int_eq(mca_rcache_base_module_destroy(first), OPAL_ERR_BAD_PARAM);
    make_cache();
}
END_TEST

START_TEST(finalize_with_a_cache_left_says_so_and_stops_caching)
{
    use(0, 1);
    ck_assert_int_eq(opalmem_finalize(), OPAL_ERR_RESOURCE_BUSY);
    ck_assert_int_eq(pinned(), 0);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    fake_library_start();
    make_cache();
}
END_TEST

START_TEST(thousand_caches_come_and_go)
{
    static mca_rcache_base_module_t *caches[1000];
    for (int i = 0; i < 1000; i++) {
        mca_rcache_base_registration_t *reg;
        caches[i] = mca_rcache_base_module_create("grdma", NULL, &resources);
        ck_assert_ptr_nonnull(caches[i]);
        ck_assert_int_eq(caches[i]->rcache_register(caches[i], AT(i % 2), PAGE, 0, 0, &reg), OPAL_SUCCESS);
        ck_assert_int_eq(caches[i]->rcache_deregister(caches[i], reg), OPAL_SUCCESS);
    }
    ck_assert_int_eq(pinned(), 1000);
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 500);
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(mca_rcache_base_module_destroy(caches[i]), OPAL_SUCCESS);
    }
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(fork_child_begins_empty_and_leaves_the_parents_alone)
{
    use(0, 4);
    mca_rcache_base_registration_t *held = get(10, 1, 0, 0);
    pid_t pid = fork();
    if (pid == 0) {
        long before = atomic_load(&fake.deregistered), calls = atomic_load(&fake.calls);
        mca_rcache_base_registration_t *reg;
        bool good = cache->rcache_find(cache, AT(0), PAGE, &reg) == OPAL_ERR_NOT_FOUND;
        good = cache->rcache_deregister(cache, held) == OPAL_SUCCESS && good;
        release(10, 1);
        mca_rcache_base_progress();
        good = atomic_load(&fake.deregistered) == before && fake.after_fork_calls == 1 && good;
        good = cache->rcache_register(cache, AT(0), PAGE, 0, 0, &reg) == OPAL_SUCCESS && good;
        good =
            atomic_load(&fake.calls) == calls + 1 && cache->rcache_deregister(cache, reg) == OPAL_SUCCESS && good;
        good = mca_rcache_base_module_destroy(cache) == OPAL_SUCCESS && good;
        _exit(good && atomic_load(&fake.deregistered) == before + 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    put(held);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

/* ---- Creation ----------------------------------------------------------------------------------- */

static char message[512];

static void keep_message(mca_base_log_level_t level, const char *text, void *arg)
{
    (void) level, (void) arg;
    strncpy(message, text, sizeof(message) - 1);
}

static void create_fails(const char *name, mca_rcache_base_resources_t *what, const char *expected)
{
    mca_base_set_log(keep_message, NULL);
    ck_assert_ptr_null(mca_rcache_base_module_create(name, NULL, what));
    ck_assert_msg(strstr(message, expected) != NULL, "\"%s\" lacks \"%s\"", message, expected);
}

START_TEST(bad_creation_is_explained)
{
    mca_rcache_base_resources_t bad = resources;
    create_fails("nosuch", &resources, "nosuch");
    create_fails(NULL, NULL, "register_mem");
    bad.sizeof_reg = 1;
    create_fails(NULL, &bad, "sizeof_reg");
    opal_mem_hooks_set_support(0);
    setenv("OPALMEM_MCA_rcache_base_leave_pinned", "1", 1);
    tear_down();
    fake_library_start();
    opal_mem_hooks_set_support(0);
    create_fails(NULL, &resources, "leave_pinned");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    create_fails(NULL, &resources, "opalmem_init");
    unsetenv("OPALMEM_MCA_rcache_base_leave_pinned");
    fake_library_start();
    make_cache();
}
END_TEST

START_TEST(without_hooks_nothing_is_kept)
{
    opal_mem_hooks_set_support(0);
    make_again();
    ck_assert(!mca_rcache_base_is_caching(cache));
    use(0, 4);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(in_use_policy_abort_aborts)
{
    resources.in_use_policy = MCA_RCACHE_IN_USE_ABORT;
    make_again();
    get(0, 1, 0, 0);
    release(0, 1);
}
END_TEST

START_TEST(in_use_policy_warn_warns_once)
{
    resources.in_use_policy = MCA_RCACHE_IN_USE_WARN;
    make_again();
    mca_base_set_log(keep_message, NULL);
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    release(0, 1);
    ck_assert_str_eq(message, "");
    put(reg);
    ck_assert_ptr_nonnull(strstr(message, "fake"));
    message[0] = '\0';
    reg = get(0, 1, 0, 0);
    release(0, 1);
    put(reg);
    ck_assert_str_eq(message, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma");
    TCase *tests = tcase_create("cache");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, second_use_is_a_hit);
    tcase_add_test(tests, contained_range_is_a_hit);
    tcase_add_test(tests, containing_registration_is_found_behind_a_nearer_one);
    tcase_add_test(tests, partly_covered_range_is_a_miss);
    tcase_add_test(tests, unaligned_range_is_rounded_to_pages);
    tcase_add_test(tests, bad_parameters_are_refused_and_leave_the_output_alone);
    tcase_add_test(tests, bypass_is_neither_found_nor_kept);
    tcase_add_test(tests, find_gives_what_is_there_and_registers_nothing);
    tcase_add_test(tests, weaker_registration_is_replaced_by_the_union);
    tcase_add_test(tests, refused_union_falls_back_to_what_was_asked);
    tcase_add_test(tests, covered_idle_registrations_are_given_up);
    tcase_add_test(tests, released_registration_is_not_found_again);
    tcase_add_test(tests, every_overlap_counts_and_no_neighbour);
    tcase_add_test(tests, release_in_the_same_page_counts_although_the_bytes_differ);
    tcase_add_test(tests, idle_registration_is_unpinned_at_the_next_call);
    tcase_add_test(tests, idle_registration_is_unpinned_inside_a_safe_hook);
    tcase_add_test(tests, registration_in_use_stays_until_it_is_given_back);
    tcase_add_test(tests, everything_is_dropped_when_everything_may_have_changed);
    tcase_add_test(tests, invalidate_range_by_hand_drops);
    tcase_add_test(tests, memory_released_while_it_is_being_registered_is_registered_again);
    tcase_add_test(tests, memory_released_again_and_again_is_given_up);
    tcase_add_test(tests, provider_that_releases_memory_while_deregistering_is_no_problem);
    tcase_add_test(tests, count_limit_is_exact_and_evicts_the_least_recently_used);
    tcase_add_test(tests, byte_limit_is_exact);
    tcase_add_test(tests, limit_without_anything_idle_is_out_of_resource);
    tcase_add_test(tests, limit_of_the_provider_evicts_too);
    tcase_add_test(tests, evict_takes_idle_ones_only);
    tcase_add_test(tests, persistent_registration_stays_until_it_is_released);
    tcase_add_test(tests, stuck_window_makes_a_registration_that_is_used_once);
    tcase_add_test(tests, cache_with_references_out_is_freed_by_the_last_one);
    tcase_add_test(tests, finalize_with_a_cache_left_says_so_and_stops_caching);
    tcase_add_test(tests, thousand_caches_come_and_go);
    tcase_add_test(tests, fork_child_begins_empty_and_leaves_the_parents_alone);
    tcase_add_test(tests, bad_creation_is_explained);
    tcase_add_test(tests, without_hooks_nothing_is_kept);
    tcase_add_test_raise_signal(tests, in_use_policy_abort_aborts, 6);
    tcase_add_test(tests, in_use_policy_warn_warns_once);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
