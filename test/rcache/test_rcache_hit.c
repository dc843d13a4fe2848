/* SPDX-License-Identifier: BSD-3-Clause */
/* Hits without a call: what is done in the user's code, and what else is called, from C and from C++. */
#include <limits.h>
#include <pthread.h>

#include "rcache/grdma/grdma.h"
#include "rcache/grdma/grdma_self.h"
#include "test/rcache/grdma_fixture.h"

int cxx_register(mca_rcache_base_module_t *rcache, void *addr, size_t size, uint32_t flags, int32_t access_flags,
                 mca_rcache_base_registration_t **reg);
int cxx_deregister(mca_rcache_base_module_t *rcache, mca_rcache_base_registration_t *reg);

/* ---- Calls are counted ------------------------------------------------------------------------------ */

static mca_rcache_base_module_t functions; /* Those of the cache. */
static long calls_register, calls_deregister, calls_unknown, calls_refused, calls_returned;

static int count_register(mca_rcache_base_module_t *rcache, void *addr, size_t size, uint32_t flags,
                          int32_t access, mca_rcache_base_registration_t **reg)
{
    calls_register++;
    return functions.rcache_register(rcache, addr, size, flags, access, reg);
}

static int count_deregister(mca_rcache_base_module_t *rcache, mca_rcache_base_registration_t *reg)
{
    calls_deregister++;
    return functions.rcache_deregister(rcache, reg);
}

static mca_rcache_answer_t count_unknown(mca_rcache_block_t *block, uintptr_t start, uintptr_t last,
                                         mca_rcache_base_module_t *rcache, int32_t access)
{
    calls_unknown++;
    return functions.rcache_unknown(block, start, last, rcache, access);
}

static mca_rcache_answer_t count_refused(const mca_rcache_found_t *found, uintptr_t start, uintptr_t last,
                                         mca_rcache_base_module_t *rcache, int32_t access)
{
    calls_refused++;
    return functions.rcache_refused(found, start, last, rcache, access);
}

static int count_returned(mca_rcache_base_module_t *rcache, uint32_t cache_id)
{
    calls_returned++;
    return functions.rcache_returned(rcache, cache_id);
}

static void count_calls(void)
{
    functions = *cache;
    cache->rcache_register = count_register;
    cache->rcache_deregister = count_deregister;
    cache->rcache_unknown = count_unknown;
    cache->rcache_refused = count_refused;
    cache->rcache_returned = count_returned;
    calls_register = calls_deregister = calls_unknown = calls_refused = calls_returned = 0;
}

/* A component that wants to be asked at each hit (userfaultfd) takes a call more. Its calls are not counted here. */
static bool is_asked;

#define ck_assert_calls(of_register, of_unknown, of_refused, of_deregister, of_returned) \
    do {                                                                                 \
        if (is_asked) {                                                                  \
            break;                                                                       \
        }                                                                                \
        ck_assert_int_eq(calls_register, (of_register));                                 \
        ck_assert_int_eq(calls_unknown, (of_unknown));                                   \
        ck_assert_int_eq(calls_refused, (of_refused));                                   \
        ck_assert_int_eq(calls_deregister, (of_deregister));                             \
        ck_assert_int_eq(calls_returned, (of_returned));                                 \
    } while (0)

/* ---- Both languages --------------------------------------------------------------------------------- */

enum { WAYS = 2 }; /* Of loop tests: C, and C++. */

static mca_rcache_base_registration_t *get_by(int way, long page, long pages, uint32_t flags, int32_t access)
{
    mca_rcache_base_registration_t *reg = NULL;
    const size_t size = (size_t) pages * PAGE;

    ck_assert_int_eq(way == 0 ? mca_rcache_base_register(cache, AT(page), size, flags, access, &reg)
                              : cxx_register(cache, AT(page), size, flags, access, &reg),
                     OPAL_SUCCESS);
    return reg;
}

static void put_by(int way, mca_rcache_base_registration_t *reg)
{
    ck_assert_int_eq(way == 0 ? mca_rcache_base_deregister(cache, reg) : cxx_deregister(cache, reg), OPAL_SUCCESS);
}

static void use_by(int way, long page, long pages)
{
    put_by(way, get_by(way, page, pages, 0, 0));
}

static void remember(long page, long pages)
{
    for (int i = 0; i < 3; i++) {
        use(page, pages);
    }
    mca_rcache_base_registration_t *reg = get(page, pages, 0, 0);
    is_asked = (reg->flags & MCA_RCACHE_FLAGS_ASK) != 0;
    put(reg);
    count_calls();
}

/* ---- Lookups ---------------------------------------------------------------------------------------- */

START_TEST(hit_of_what_the_thread_remembers_calls_nothing)
{
    remember(0, 4);
    const uint64_t hits = stats().hits;
    for (int i = 0; i < 100; i++) {
        mca_rcache_base_registration_t *reg = NULL;
        char *inner = (char *) AT(0) + i * 37;
        ck_assert_int_eq(_i == 0 ? mca_rcache_base_register(cache, inner, 64, 0, 0, &reg)
                                 : cxx_register(cache, inner, 64, 0, 0, &reg),
                         OPAL_SUCCESS);
        ck_assert(reg->base == AT(0));
        put_by(_i, reg);
    }
    ck_assert_calls(0, 0, 0, 0, 0);
    ck_assert_uint_eq(stats().hits, hits + 100);
    ck_assert_int_eq(registrations(), 1);
}
END_TEST

/* The twin of the one before. */
START_TEST(hit_of_what_it_does_not_remember_calls)
{
    remember(0, 1);
    use_by(_i, 1, 1);
    ck_assert_calls(0, 1, 0, 0, 0);
    use_by(_i, 1, 1);
    ck_assert_calls(0, 2, 0, 0, 0);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

START_TEST(longer_range_than_what_is_remembered_is_registered)
{
    remember(0, 1);
    mca_rcache_base_registration_t *reg = get_by(_i, 0, 2, 0, 0);
    ck_assert(reg->bound == (unsigned char *) AT(2) - 1);
    put_by(_i, reg);
    ck_assert_calls(0, 1, 0, 0, 0);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

START_TEST(stronger_rights_than_the_remembered_ones_are_registered)
{
    remember(0, 1);
    mca_rcache_base_registration_t *reg = get_by(_i, 0, 1, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    ck_assert_int_eq(reg->access_flags, MCA_RCACHE_ACCESS_LOCAL_WRITE);
    put_by(_i, reg);
    ck_assert_calls(0, 0, 1, 0, 0);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

/* Whether the page is unknown, or what is remembered of it does not do. */
START_TEST(code_of_the_provider_comes_back_as_it_is)
{
    static const int codes[] = { 1, INT_MAX, -1, OPAL_ERR_NOT_FOUND, -4096, INT_MIN };
    mca_rcache_base_registration_t *const none = (mca_rcache_base_registration_t *) (void *) &codes, *reg = none;

    remember(0, 1);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        fake.fail_with = codes[i];
        fake.fail_at = atomic_load(&fake.calls) + 1;
        ck_assert_int_eq(_i == 0 ? mca_rcache_base_register(cache, AT(5), PAGE, 0, 0, &reg)
                                 : cxx_register(cache, AT(5), PAGE, 0, 0, &reg),
                         codes[i]);
        fake.fail_at = atomic_load(&fake.calls) + 1;
        ck_assert_int_eq(_i == 0 ? mca_rcache_base_register(cache, AT(0), PAGE, 0, MCA_RCACHE_ACCESS_ANY, &reg)
                                 : cxx_register(cache, AT(0), PAGE, 0, MCA_RCACHE_ACCESS_ANY, &reg),
                         codes[i]);
        ck_assert_ptr_eq(reg, none);
    }
    ck_assert_calls(0, 11, 1, 0, 0); /* After the first one nothing is remembered of the page. */
    ck_assert_int_eq(registrations(), 1);
}
END_TEST

/* It begins below what is remembered of such an address, and ends there. */
START_TEST(range_that_ends_in_what_is_remembered_is_registered)
{
    remember(MCA_RCACHE_FRONTS, 2);
    mca_rcache_base_registration_t *reg = get_by(_i, 0, MCA_RCACHE_FRONTS + 1, 0, 0);
    ck_assert(reg->base == (unsigned char *) AT(0));
    ck_assert(reg->bound >= (unsigned char *) AT(MCA_RCACHE_FRONTS + 1) - 1);
    put_by(_i, reg);
    ck_assert_calls(0, 0, 1, 0, 0);
    ck_assert_int_eq(registrations(), 2);
}
END_TEST

START_TEST(released_registration_is_made_anew)
{
    remember(0, 1);
    release(0, 1);
    use_by(_i, 0, 1);
    ck_assert_int_eq(registrations(), 2);
    ck_assert_int_eq(calls_register + calls_unknown + calls_refused, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(atomic_load(&fake.deregistered), 1);
}
END_TEST

START_TEST(cache_that_wants_attention_is_called)
{
    remember(0, 1);
    grdma_attend(grdma_of(cache), GRDMA_ATTENTION_WORK);
    use_by(_i, 0, 1);
    ck_assert_calls(1, 0, 0, 0, 0);
    use_by(_i, 0, 1);
    ck_assert_calls(1, 0, 0, 0, 0);
    ck_assert_int_eq(registrations(), 1);
}
END_TEST

START_TEST(flags_are_for_the_cache)
{
    remember(0, 1);
    mca_rcache_base_registration_t *reg = get_by(_i, 0, 1, MCA_RCACHE_FLAGS_CACHE_BYPASS, 0);
    ck_assert_calls(1, 0, 0, 0, 0);
    ck_assert_int_eq(registrations(), 2);
    put_by(_i, reg);
    ck_assert_calls(1, 0, 0, 1, 0);
    ck_assert_int_eq(atomic_load(&fake.deregistered), 1);
}
END_TEST

START_TEST(ranges_that_are_none_are_refused)
{
    mca_rcache_base_registration_t *reg = NULL;
    remember(0, 1);
    ck_assert_int_eq(mca_rcache_base_register(cache, AT(0), 0, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(mca_rcache_base_register(cache, AT(0), SIZE_MAX, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cxx_register(cache, AT(0), 0, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cxx_register(cache, AT(0), SIZE_MAX, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(cxx_register(cache, AT(0), 1, UINT32_C(0x40000000), 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_ptr_null(reg);
}
END_TEST

START_TEST(ranges_that_are_none_but_end_in_what_is_remembered_are_refused)
{
    mca_rcache_base_registration_t *reg = NULL;
    char *inner = (char *) AT(0) + 64;
    remember(0, 1);
    ck_assert_int_eq(_i == 0 ? mca_rcache_base_register(cache, inner, 0, 0, 0, &reg)
                             : cxx_register(cache, inner, 0, 0, 0, &reg),
                     OPAL_ERR_BAD_PARAM);
    ck_assert_calls(0, 0, 1, 0, 0);
    ck_assert_ptr_null(reg);
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0); /* Nothing was left counted. */
}
END_TEST

/* ---- Giving back ------------------------------------------------------------------------------------ */

START_TEST(registration_released_in_use_ends_with_its_last_reference)
{
    remember(0, 1);
    mca_rcache_base_registration_t *first = get_by(_i, 0, 1, 0, 0), *second = get_by(_i, 0, 1, 0, 0);
    release(0, 1);
    put_by(_i, first);
    ck_assert_int_eq(atomic_load(&fake.deregistered), 0);
    put_by(_i, second);
    ck_assert_int_eq(atomic_load(&fake.deregistered), 1);
    ck_assert_calls(0, 0, 0, 0, 2);
}
END_TEST

/* Its count was not there when the thread began. */
START_TEST(reference_to_a_registration_far_out_is_given_back_without_a_call)
{
    const long many = 5000;
    for (long page = 0; page < many; page++) {
        use(page, 1);
    }
    remember(many - 1, 1);
    mca_rcache_base_registration_t *reg = get_by(_i, many - 1, 1, 0, 0);
    ck_assert_uint_ge(reg->cache_id, (uint32_t) many);
    release(many - 1, 1);
    ck_assert_int_eq(atomic_load(&fake.deregistered),
                     0); /* It was in use: its reference is counted where it belongs. */
    put_by(_i, reg);
    ck_assert_int_eq(atomic_load(&fake.deregistered), 1);
    ck_assert_calls(0, 0, 0, 0, 1);
    use_by(_i, many - 2, 1);
    ck_assert_int_eq(calls_deregister, 0);
}
END_TEST

typedef struct returned_t {
    int way;
    mca_rcache_base_registration_t *reg;
} returned_t;

static void *give_back(void *arg)
{
    const returned_t *what = arg;
    put_by(what->way, what->reg);
    return NULL;
}

START_TEST(thread_that_has_not_used_the_cache_gives_back_by_a_call)
{
    pthread_t thread;
    remember(0, 1);
    returned_t what = { _i, get_by(_i, 0, 1, 0, 0) };
    ck_assert_int_eq(pthread_create(&thread, NULL, give_back, &what), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_calls(0, 0, 0, 1, 0);
    release(0, 1);
    mca_rcache_base_progress();
    ck_assert_int_eq(atomic_load(&fake.deregistered), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rcache_hit");
    TCase *tests = tcase_create("both languages");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, hit_of_what_the_thread_remembers_calls_nothing, 0, WAYS);
    tcase_add_loop_test(tests, hit_of_what_it_does_not_remember_calls, 0, WAYS);
    tcase_add_loop_test(tests, longer_range_than_what_is_remembered_is_registered, 0, WAYS);
    tcase_add_loop_test(tests, stronger_rights_than_the_remembered_ones_are_registered, 0, WAYS);
    tcase_add_loop_test(tests, code_of_the_provider_comes_back_as_it_is, 0, WAYS);
    tcase_add_loop_test(tests, range_that_ends_in_what_is_remembered_is_registered, 0, WAYS);
    tcase_add_loop_test(tests, released_registration_is_made_anew, 0, WAYS);
    tcase_add_loop_test(tests, cache_that_wants_attention_is_called, 0, WAYS);
    tcase_add_loop_test(tests, flags_are_for_the_cache, 0, WAYS);
    tcase_add_test(tests, ranges_that_are_none_are_refused);
    tcase_add_loop_test(tests, ranges_that_are_none_but_end_in_what_is_remembered_are_refused, 0, WAYS);
    tcase_add_loop_test(tests, registration_released_in_use_ends_with_its_last_reference, 0, WAYS);
    tcase_add_loop_test(tests, reference_to_a_registration_far_out_is_given_back_without_a_call, 0, WAYS);
    tcase_add_loop_test(tests, thread_that_has_not_used_the_cache_gives_back_by_a_call, 0, WAYS);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
