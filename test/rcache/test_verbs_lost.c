/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider verbs on a fake libibverbs: the device is lost, and no cache finds
 * what it had. Twins do not tell of the loss: then it is still found. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "test/rcache/verbs_fixture.h"

#define PAGES 40

static void device_fails(void)
{
    const struct ibv_async_event event = { .event_type = IBV_EVENT_DEVICE_FATAL };
    mca_rcache_verbs_async_event(provider, &event);
}

static void fill(void)
{
    for (long page = 0; page < PAGES; page++) {
        put(get(page, 0));
    }
}

static int result_of(mca_rcache_base_module_t *which, long page)
{
    mca_rcache_base_registration_t *reg = NULL;
    int rc = which->rcache_register(which, AT(page), PAGE, 0, 0, &reg);
    if (rc == OPAL_SUCCESS) {
        which->rcache_deregister(which, reg);
    }
    return rc;
}

static void nothing_is_found(mca_rcache_base_module_t *which)
{
    for (long page = 0; page < PAGES; page++) {
        mca_rcache_base_registration_t *reg = NULL;
        which->rcache_find(which, AT(page), PAGE, &reg);
        ck_assert_ptr_null(reg);
        ck_assert_int_eq(result_of(which, page), OPAL_ERR_UNREACH);
    }
}

/* ---- One thread --------------------------------------------------------------------------------- */

START_TEST(cached_registrations_are_gone_after_the_event)
{
    start();
    fill();
    device_fails();
    ck_assert_int_eq(fake->deregistered, PAGES); /* Before any call of the cache. */
    nothing_is_found(cache);
    ck_assert_uint_eq(stats().bytes, 0);
    ck_assert_int_eq(times_said("nothing is registered any more"), 1);
    stop();
}
END_TEST

START_TEST(twin_without_the_event_cached_registrations_are_found)
{
    start();
    fill();
    fake->reg_error = EIO; /* The device is gone, and nobody says so. */
    for (long page = 0; page < PAGES; page++) {
        ck_assert_int_eq(result_of(cache, page), OPAL_SUCCESS);
    }
    stop();
}
END_TEST

START_TEST(failing_registration_drops_what_is_cached)
{
    start();
    fill();
    fake->reg_error = _i == 0 ? ENODEV : EBADF;
    ck_assert_int_eq(result_of(cache, PAGES), OPAL_ERR_UNREACH);
    fake->reg_error = 0;
    nothing_is_found(cache);
    ck_assert_int_eq(times_said("nothing is registered any more"), 1);
    stop();
}
END_TEST

START_TEST(registration_in_use_goes_with_its_last_reference)
{
    start();
    mca_rcache_verbs_registration_t *first = get(0, 0), *second = get(0, 0);
    ck_assert_ptr_eq(first, second);
    device_fails();
    ck_assert_int_eq(fake->deregistered, 0);
    put(first);
    ck_assert_int_eq(fake->deregistered, 0);
    put(second);
    ck_assert_int_eq(fake->deregistered, 1);
    ck_assert_int_eq(times_said("while a registration of it was in use"), 0);
    stop();
}
END_TEST

START_TEST(put_is_clean_though_the_device_refuses_to_deregister)
{
    start();
    mca_rcache_verbs_registration_t *reg = get(0, 0);
    struct ibv_mr *mr = reg->mr;
    device_fails();
    fake->dereg_error = EIO;
    put(reg);
    ck_assert_uint_eq(stats().provider_errors, 0);
    ck_assert_uint_eq(stats().count, 0);
    free_region(mr);
    stop();
}
END_TEST

START_TEST(persistent_registration_goes_too)
{
    mca_rcache_base_registration_t *reg = NULL;
    start();
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), PAGE, MCA_RCACHE_FLAGS_PERSIST, 0, &reg), OPAL_SUCCESS);
    ck_assert_int_eq(cache->rcache_deregister(cache, reg), OPAL_SUCCESS);
    device_fails();
    ck_assert_int_eq(fake->deregistered, 1);
    stop();
}
END_TEST

START_TEST(registration_in_the_making_is_not_kept)
{
    start();
    fill();
    fake->during = device_fails;
    ck_assert_int_eq(result_of(cache, PAGES), OPAL_ERR_UNREACH);
    fake->during = NULL;
    ck_assert_int_eq(fake->registered, PAGES + 1);
    nothing_is_found(cache);
    stop();
}
END_TEST

/* What a provider does that forgets to tell: the registration in the making is handed out, and kept. */
static void device_fails_silently(void)
{
    fake->reg_error = EIO;
}

START_TEST(twin_silent_loss_keeps_the_registration_in_the_making)
{
    start();
    fake->during = device_fails_silently;
    ck_assert_int_eq(result_of(cache, 0), OPAL_SUCCESS);
    fake->during = NULL;
    ck_assert_int_eq(result_of(cache, 0), OPAL_SUCCESS);
    stop();
}
END_TEST

/* ---- Several caches ----------------------------------------------------------------------------- */

START_TEST(every_cache_of_the_provider_is_told_and_no_other)
{
    mca_rcache_provider_t *none, *device = provider;
    mca_rcache_base_module_t *caches[70]; /* More than one chunk of the list. */
    start();
    device = provider;
    ck_assert_int_eq(mca_rcache_provider_open("none", &none), OPAL_SUCCESS);
    for (int i = 0; i < 70; i++) {
        provider = i % 2 == 0 ? device : none;
        caches[i] = new_cache();
        ck_assert_int_eq(result_of(caches[i], 0), OPAL_SUCCESS);
    }
    provider = device;
    ck_assert_uint_eq(mca_rcache_base_void(&provider), 0);
    device_fails();
    ck_assert_uint_eq(mca_rcache_base_void(device), 36);
    for (int i = 0; i < 70; i++) {
        mca_rcache_base_stats_t figures;
        caches[i]->rcache_stats(caches[i], &figures);
        ck_assert_uint_eq(figures.count, i % 2 == 0 ? 0 : 1);
        ck_assert_int_eq(result_of(caches[i], 0), i % 2 == 0 ? OPAL_ERR_UNREACH : OPAL_SUCCESS);
        ck_assert_int_eq(mca_rcache_base_module_destroy(caches[i]), OPAL_SUCCESS);
    }
    ck_assert_uint_eq(mca_rcache_base_void(device), 1);
    mca_rcache_provider_close(none);
    stop();
}
END_TEST

START_TEST(cache_of_a_stopped_library_can_be_told)
{
    start();
    fill();
    ck_assert_int_eq(opalmem_finalize(), OPAL_ERR_RESOURCE_BUSY);
    device_fails();
    ck_assert_int_eq(result_of(cache, 0), OPAL_ERR_UNREACH);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    mca_rcache_provider_close(provider);
    nothing_left();
}
END_TEST

/* ---- Several threads ---------------------------------------------------------------------------- */

static atomic_bool is_lost;
static atomic_long hits, stale;

/* A lookup that began after the loss had been told must not succeed. */
static void *look_up(void *arg)
{
    for (long page = *(const long *) arg;; page = (page + 1) % PAGES) {
        bool was_lost = atomic_load(&is_lost);
        int rc = result_of(cache, page);
        hits += rc == OPAL_SUCCESS;
        stale += was_lost && rc == OPAL_SUCCESS;
        if (was_lost) {
            return NULL;
        }
    }
}

START_TEST(no_lookup_succeeds_after_the_loss_was_told)
{
    static const long first[2] = { 0, PAGES / 2 };
    pthread_t threads[2];
    start();
    fill();
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, look_up, (void *) &first[i]), 0);
    }
    while (atomic_load(&hits) < 2000) {
        sched_yield();
    }
    device_fails();
    atomic_store(&is_lost, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(stale, 0);
    nothing_is_found(cache);
    mca_rcache_base_progress();
    ck_assert_uint_eq(stats().count, 0);
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verbs_lost");
    TCase *tests = tcase_create("lost");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, cached_registrations_are_gone_after_the_event);
    tcase_add_test(tests, twin_without_the_event_cached_registrations_are_found);
    tcase_add_loop_test(tests, failing_registration_drops_what_is_cached, 0, 2);
    tcase_add_test(tests, registration_in_use_goes_with_its_last_reference);
    tcase_add_test(tests, put_is_clean_though_the_device_refuses_to_deregister);
    tcase_add_test(tests, persistent_registration_goes_too);
    tcase_add_test(tests, registration_in_the_making_is_not_kept);
    tcase_add_test(tests, twin_silent_loss_keeps_the_registration_in_the_making);
    tcase_add_test(tests, every_cache_of_the_provider_is_told_and_no_other);
    tcase_add_test(tests, cache_of_a_stopped_library_can_be_told);
    tcase_add_loop_test(tests, no_lookup_succeeds_after_the_loss_was_told, 0, 20);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
