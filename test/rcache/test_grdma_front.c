/* SPDX-License-Identifier: BSD-3-Clause */
/* What a thread remembers of the pages where its last hits were: it leads to them without a hint, and never to anything
 * else. */
#include <pthread.h>

#include "framework/memory/memory_base.h"
#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_self.h"
#include "test/children.h"
#include "test/rcache/grdma_fixture.h"

static const grdma_module_t *inside_of(const mca_rcache_base_module_t *module)
{
    return (const grdma_module_t *) (const void *) module;
}

static const grdma_module_t *inside(void)
{
    return inside_of(cache);
}

static uint64_t slow_hits(void)
{
    return atomic_load(&grdma_block_of(inside())->counters->slow_hits);
}

static void lose_hints(void)
{
    grdma_hints_empty(atomic_load(&inside()->hints));
}

static void forget(long page)
{
    mca_rcache_front_of(&grdma_block_of(inside())->super, (uintptr_t) AT(page))->size = 0;
}

/* Registered, found by its hint, and found there again: now the thread remembers it. */
static void use_until_remembered(long page)
{
    use(page, 1);
    use(page, 1);
    use(page, 1);
    ck_assert_uint_ne(mca_rcache_front_of(&grdma_block_of(inside())->super, (uintptr_t) AT(page))->size, 0);
}

/* ---- It leads there --------------------------------------------------------------------------------- */

START_TEST(page_of_the_last_hit_is_found_without_a_hint)
{
    use_until_remembered(0);
    lose_hints();
    use(0, 1);
    ck_assert_uint_eq(slow_hits(), 0);
    ck_assert_uint_eq(stats().hits, 3);
}
END_TEST

/* The twin of the one before. */
START_TEST(page_that_was_forgotten_takes_the_lock_without_a_hint)
{
    use_until_remembered(0);
    lose_hints();
    forget(0);
    use(0, 1);
    ck_assert_uint_eq(slow_hits(), 1);
}
END_TEST

START_TEST(more_pages_than_a_thread_remembers_are_found_by_hints)
{
    for (int round = 0; round < 2; round++) {
        for (long page = 0; page < 4L * MCA_RCACHE_FRONTS; page++) {
            use(page, 1);
        }
    }
    ck_assert_uint_eq(stats().hits, 4L * MCA_RCACHE_FRONTS);
    ck_assert_int_eq(registrations(), 4L * MCA_RCACHE_FRONTS);
}
END_TEST

static void use_each(long first, long pages)
{
    for (long page = first; page < first + pages; page++) {
        use(page, 1);
    }
}

START_TEST(other_pages_of_a_remembered_registration_are_found_without_a_hint)
{
    use(0, 4L * MCA_RCACHE_FRONTS);
    use_each(0, MCA_RCACHE_FRONTS);
    use_each(0, MCA_RCACHE_FRONTS);
    lose_hints();
    use_each(MCA_RCACHE_FRONTS, 3L * MCA_RCACHE_FRONTS);
    ck_assert_uint_eq(slow_hits(), 0);
    ck_assert_uint_eq(stats().hits, 5L * MCA_RCACHE_FRONTS);
}
END_TEST

/* The twin of the one before. */
START_TEST(page_beside_the_remembered_registration_takes_the_lock_without_a_hint)
{
    use_each(0, 2L * MCA_RCACHE_FRONTS);
    use_each(0, MCA_RCACHE_FRONTS);
    use_each(0, MCA_RCACHE_FRONTS);
    lose_hints();
    const uint64_t before = slow_hits();
    use_each(MCA_RCACHE_FRONTS, MCA_RCACHE_FRONTS);
    ck_assert_uint_eq(slow_hits() - before, MCA_RCACHE_FRONTS);
}
END_TEST

/* Many that come by once each do not take the place of one that is used again and again. */
START_TEST(remembered_registration_keeps_its_place_among_others)
{
    use_until_remembered(0);
    for (long page = MCA_RCACHE_FRONTS; page < 10L * MCA_RCACHE_FRONTS; page += MCA_RCACHE_FRONTS) {
        use(page, 1); /* All at the same place, by way of their hints. */
        use(page, 1);
        lose_hints();
        use(0, 1);
    }
    ck_assert_uint_eq(slow_hits(), 0);
}
END_TEST

/* ---- And nowhere else ------------------------------------------------------------------------------- */

START_TEST(remembered_registration_that_was_released_is_made_anew)
{
    use_until_remembered(0);
    release(0, 1);
    use(0, 1);
    ck_assert_int_eq(registrations(), 2);
    ck_assert_uint_eq(stats().hits, 2);
}
END_TEST

START_TEST(remembered_registration_whose_place_another_one_took_is_made_anew)
{
    use_until_remembered(0);
    const mca_rcache_base_registration_t *old = get(0, 1, 0, 0);
    put((mca_rcache_base_registration_t *) old);
    release(0, 1);
    mca_rcache_base_progress();
    mca_rcache_base_registration_t *other = get(1, 1, 0, 0);
    ck_assert_ptr_eq(other, old);
    put(other);
    use(0, 1);
    ck_assert_int_eq(registrations(), 3);
}
END_TEST

START_TEST(longer_range_than_the_remembered_one_is_registered)
{
    use_until_remembered(0);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
    use(0, 1);
    use(0, 4);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

START_TEST(stronger_rights_than_the_remembered_ones_are_registered)
{
    put(get(0, 1, 0, MCA_RCACHE_ACCESS_REMOTE_READ));
    use_until_remembered(0);
    mca_rcache_base_registration_t *reg = get(0, 1, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    ck_assert_int_eq(reg->access_flags, MCA_RCACHE_ACCESS_LOCAL_WRITE | MCA_RCACHE_ACCESS_REMOTE_READ);
    put(reg);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

START_TEST(ranges_that_are_none_are_refused_on_a_remembered_page)
{
    mca_rcache_base_registration_t *reg;
    use_until_remembered(0);
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), 0, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), SIZE_MAX, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), 1, UINT32_C(0x40000000), 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cache->rcache_register(cache, NULL, 0, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    for (size_t size = 0; size < 20; size += 10) { /* They end in what is remembered. */
        use_until_remembered(0);
        ck_assert_int_eq(cache->rcache_register(cache, (char *) AT(0) + 64, 0 - size, 0, 0, &reg),
                         OPAL_ERR_BAD_PARAM);
    }
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0); /* Nothing was left counted. */
}
END_TEST

START_TEST(access_that_there_is_none_of_is_refused_on_a_remembered_page)
{
    static const int32_t none[] = { 0x10, 0x80, 0x100, 0x0100000f, 0x01000000, INT32_MIN };
    mca_rcache_base_registration_t *reg;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        use_until_remembered(0);
        ck_assert_int_eq(cache->rcache_register(cache, AT(0), 1, 0, none[i], &reg), OPAL_ERR_BAD_PARAM);
        ck_assert_int_eq(mca_rcache_base_register(cache, AT(0), 1, 0, none[i], &reg), OPAL_ERR_BAD_PARAM);
    }
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

/* Each access by itself, where one alone is granted, or each, at a hint and at what is remembered. */
START_TEST(each_access_is_looked_at_for_itself)
{
    const int32_t granted = _i / 4 < 4 ? 1 << _i / 4 : MCA_RCACHE_ACCESS_ANY, wanted = 1 << _i % 4;
    for (int round = 0; round < 2; round++) {
        put(get(0, 1, 0, granted));
        if (round == 1) {
            put(get(0, 1, 0, granted)), put(get(0, 1, 0, granted));
        }
        const int before = registrations();
        mca_rcache_base_registration_t *reg = get(0, 1, 0, wanted);
        ck_assert_int_eq(reg->access_flags & wanted, wanted);
        ck_assert_int_eq(registrations() - before, (granted & wanted) != 0 ? 0 : 1);
        ck_assert_uint_eq(slow_hits(), 0);
        put(reg);
        release(0, 1);
        mca_rcache_base_progress();
    }
}
END_TEST

START_TEST(first_page_of_the_address_space_is_like_any_other)
{
    mca_rcache_base_registration_t *reg;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(cache->rcache_register(cache, (void *) 16, 16, 0, 0, &reg), OPAL_SUCCESS);
        ck_assert_ptr_null(reg->base);
        put(reg);
    }
    /* userfaultfd watches only what is mapped; the rest is not kept. */
    ck_assert_int_eq(registrations(), fake_memory_must_be_mapped() ? 3 : 1);
    ck_assert_uint_eq(stats().hits, fake_memory_must_be_mapped() ? 0 : 2);
}
END_TEST

static bool children_notice(void)
{
    const bool they_do = raw_forks_are_noticed();

    if (!they_do) {
        printf("LEFT OUT: a kernel that wipes pages in fork children (Linux 4.14)\n");
    }
    return they_do;
}

START_TEST(remembered_registration_of_a_fork_parent_is_made_anew)
{
    use_until_remembered(0);
    if (!children_notice()) {
        return;
    }
    const pid_t pid = raw_fork();
    if (pid == 0) {
        mca_rcache_base_registration_t *reg;
        /* Three, where the component notices the fork by this watch: it releases everything, and the pin is repeated. */
        child_says(cache->rcache_register(cache, AT(0), PAGE, 0, 0, &reg) == OPAL_SUCCESS && registrations() >= 2);
    }
    child_must_be_good(pid);
}
END_TEST

/* The first is INVALID and in limbo, the other one its holder's to end. */
static const uint32_t kinds[] = { 0, MCA_RCACHE_FLAGS_CACHE_BYPASS };

/* A child that has not noticed yet gives back what its parent took. */
START_TEST(reference_of_a_fork_parent_is_given_back_without_effect)
{
    if (!children_notice()) {
        return;
    }
    mca_rcache_base_registration_t *reg = get(0, 1, kinds[_i], 0);
    release(0, 1);
    const pid_t pid = raw_fork();
    if (pid == 0) {
        child_says(cache->rcache_deregister(cache, reg) == OPAL_SUCCESS && atomic_load(&fake.deregistered) == 0);
    }
    child_must_be_good(pid);
    put(reg);
    ck_assert_int_eq(atomic_load(&fake.deregistered), 1);
}
END_TEST

/* A signal handler has forked while a lookup was between finding and remembering: the child goes on there. */
START_TEST(what_an_interrupted_lookup_remembers_in_a_fork_child_is_not_found)
{
    use_until_remembered(0);
    grdma_block_t *block = grdma_block_of(inside());
    const mca_rcache_front_t found = *mca_rcache_front_of(&block->super, (uintptr_t) AT(0));
    ck_assert_uint_ne(found.size, 0);
    const pid_t pid = fork();
    if (pid == 0) {
        const long before = registrations();
        bool good = true;
        grdma_remember(block, (uintptr_t) AT(0), (grdma_region_t *) found.reg, found.count);
        for (int i = 0; i < 3; i++) {
            mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
            good = reg != found.reg && good;
            put(reg);
        }
        child_says(good && registrations() == before + 1);
    }
    child_must_be_good(pid);
}
END_TEST

static pid_t (*const forks[])(void) = { fork, raw_fork };

/* Likewise, between finding and learning the hint. */
START_TEST(hint_that_an_interrupted_lookup_learns_in_a_fork_child_is_not_found)
{
    mca_rcache_base_registration_t *parents = get(0, 1, 0, 0);
    const pid_t pid = forks[_i]();
    if (pid == 0) {
        const long before = registrations();
        bool good = true;
        grdma_hint_learn(grdma_of(cache), (uintptr_t) AT(0), parents->cache_id);
        for (int i = 0; i < 3; i++) {
            mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
            good = reg != parents && good;
            put(reg);
        }
        /* Where a component notices the fork by this watch, it releases everything, and the pin is repeated. */
        const long repeated = (long) stats().retries;
        child_says(good && repeated <= _i && registrations() == before + 1 + repeated);
    }
    child_must_be_good(pid);
    put(parents);
}
END_TEST

/* More caches than a thread keeps at hand: they share places. */
START_TEST(each_of_many_caches_remembers_its_own)
{
    mca_rcache_base_module_t *caches[2 * GRDMA_RECENT];
    mca_rcache_base_registration_t *reg;
    for (int i = 0; i < 2 * GRDMA_RECENT; i++) {
        caches[i] = mca_rcache_base_module_create(NULL, NULL, &resources);
        ck_assert_ptr_nonnull(caches[i]);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2 * GRDMA_RECENT; i++) {
            ck_assert_int_eq(caches[i]->rcache_register(caches[i], AT(0), PAGE, 0, 0, &reg), OPAL_SUCCESS);
            ck_assert_ptr_eq(reg->rcache, caches[i]);
            ck_assert_int_eq(caches[i]->rcache_deregister(caches[i], reg), OPAL_SUCCESS);
        }
    }
    ck_assert_int_eq(registrations(), 2 * GRDMA_RECENT);
    for (int i = 0; i < 2 * GRDMA_RECENT; i++) {
        ck_assert_int_eq(mca_rcache_base_module_destroy(caches[i]), OPAL_SUCCESS);
    }
}
END_TEST

/* ---- Components that are told by the kernel --------------------------------------------------------- */

static volatile uint32_t generation;
static volatile uint64_t counter;
static long processed;

static int watch(void *base, size_t length, opal_memory_watch_t *watched)
{
    (void) base, (void) length;
    watched->generation = &generation;
    watched->expected = generation;
    return OPAL_SUCCESS;
}

static int unwatch(void *base, size_t length, opal_memory_watch_t *watched)
{
    (void) base, (void) length, (void) watched;
    return OPAL_SUCCESS;
}

/* The running component is one that counts generations. Until it is given back. */
static const opal_memory_base_module_t counting = {
    .struct_size = sizeof(counting),
    .flags = OPAL_MEMORY_MODULE_POLLED,
    .counter = &counter,
    .watch = watch,
    .unwatch = unwatch,
};
static const opal_memory_base_module_t *before;

static void count_generations(void)
{
    ck_assert_uint_eq(opal_memory_base_active_count, 1);
    before = opal_memory_base_active[0].module;
    opal_memory_base_active[0].module = &counting;
}

static void count_no_generations(void)
{
    opal_memory_base_active[0].module = before;
}

START_TEST(generation_that_is_the_same_is_hit)
{
    count_generations();
    use_until_remembered(0);
    lose_hints();
    use(0, 1);
    count_no_generations();
    ck_assert_int_eq(registrations(), 1);
    ck_assert_uint_eq(slow_hits(), 0);
}
END_TEST

START_TEST(generation_that_changed_is_not_hit)
{
    count_generations();
    use_until_remembered(0);
    generation++;
    use(0, 1);
    count_no_generations();
    ck_assert_int_eq(registrations(), 2);
    ck_assert_uint_eq(stats().invalidations[OPAL_MEM_HOOKS_CAUSE_KERNEL], 1);
}
END_TEST

/* A word changes at a fork, too, and when tables grow. */
START_TEST(generation_that_changed_in_use_is_not_judged)
{
    resources.in_use_policy = MCA_RCACHE_IN_USE_ABORT;
    make_again();
    count_generations();
    mca_rcache_base_registration_t *reg = get(0, 1, 0, 0);
    generation++;
    use(0, 1);
    put(reg);
    count_no_generations();
    ck_assert_int_eq(registrations(), 2);
    ck_assert_uint_eq(stats().invalidated_in_use, 0);
}
END_TEST

static long questions;
static bool are_the_same = true;

static bool is_the_same(void *base, size_t length, const opal_memory_watch_t *watched)
{
    (void) base, (void) length, (void) watched;
    questions++;
    return are_the_same;
}

/* One that wants to be asked at each hit. */
static const opal_memory_base_module_t doubting = {
    .struct_size = sizeof(doubting),
    .flags = OPAL_MEMORY_MODULE_SLOW_VALID,
    .valid = is_the_same,
};

START_TEST(registration_that_a_component_is_asked_of_is_hit_without_the_lock)
{
    count_generations();
    opal_memory_base_active[0].module = &doubting;
    use(0, 1);
    use(0, 1);
    use(0, 1);
    lose_hints();
    use(0, 1);
    ck_assert_int_eq(questions, 3);
    ck_assert_int_eq(registrations(), 1);
    ck_assert_uint_eq(slow_hits(), 0);
    are_the_same = false;
    use(0, 1);
    count_no_generations();
    ck_assert_int_eq(registrations(), 2);
    ck_assert_uint_eq(stats().invalidations[OPAL_MEM_HOOKS_CAUSE_KERNEL], 1);
    ck_assert_uint_eq(stats().invalidated_in_use, 0);
}
END_TEST

/* What the kernel has counted is handled before the hit. */
static int process(void)
{
    processed++;
    release(0, 1);
    opal_memory_base_set_counter(NULL);
    return OPAL_SUCCESS;
}

START_TEST(what_the_kernel_has_told_is_handled_before_a_hit)
{
    opal_memory_base_component_2_0_0_t *component = opal_memory;
    opal_memory_base_component_2_0_0_t told = *component;
    told.memoryc_process = process;
    opal_memory_base_set_counter(&counter);
    use_until_remembered(0);
    ck_assert_int_eq(processed, 0);
    counter++;
    opal_memory = &told;
    use(0, 1);
    opal_memory = component;
    ck_assert_int_eq(processed, 1);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma_front");
    TCase *tests = tcase_create("one thread");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, page_of_the_last_hit_is_found_without_a_hint);
    tcase_add_test(tests, page_that_was_forgotten_takes_the_lock_without_a_hint);
    tcase_add_test(tests, remembered_registration_keeps_its_place_among_others);
    tcase_add_test(tests, more_pages_than_a_thread_remembers_are_found_by_hints);
    tcase_add_test(tests, other_pages_of_a_remembered_registration_are_found_without_a_hint);
    tcase_add_test(tests, page_beside_the_remembered_registration_takes_the_lock_without_a_hint);
    tcase_add_test(tests, remembered_registration_that_was_released_is_made_anew);
    tcase_add_test(tests, remembered_registration_whose_place_another_one_took_is_made_anew);
    tcase_add_test(tests, longer_range_than_the_remembered_one_is_registered);
    tcase_add_test(tests, stronger_rights_than_the_remembered_ones_are_registered);
    tcase_add_test(tests, ranges_that_are_none_are_refused_on_a_remembered_page);
    tcase_add_test(tests, access_that_there_is_none_of_is_refused_on_a_remembered_page);
    tcase_add_loop_test(tests, each_access_is_looked_at_for_itself, 0, 20);
    tcase_add_test(tests, first_page_of_the_address_space_is_like_any_other);
    tcase_add_test(tests, remembered_registration_of_a_fork_parent_is_made_anew);
    tcase_add_loop_test(tests, reference_of_a_fork_parent_is_given_back_without_effect, 0, 2);
    tcase_add_test(tests, what_an_interrupted_lookup_remembers_in_a_fork_child_is_not_found);
    tcase_add_loop_test(tests, hint_that_an_interrupted_lookup_learns_in_a_fork_child_is_not_found, 0,
                        raw_forks_are_noticed() ? 2 : 1);
    tcase_add_test(tests, each_of_many_caches_remembers_its_own);
    tcase_add_test(tests, generation_that_is_the_same_is_hit);
    tcase_add_test(tests, generation_that_changed_is_not_hit);
    tcase_add_test(tests, generation_that_changed_in_use_is_not_judged);
    tcase_add_test(tests, registration_that_a_component_is_asked_of_is_hit_without_the_lock);
    tcase_add_test(tests, what_the_kernel_has_told_is_handled_before_a_hit);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
