/* SPDX-License-Identifier: BSD-3-Clause */
/* Caches that are made and destroyed by one thread while another one stops the
 * library. A component of the test's own makes them meet. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opal/opalmem.h"
#include "test/rcache/fake_provider.h"
#include "test/rcache/fake_rcache.h"
#include "test/test_main.h"

#define ROUNDS 100

static fake_provider_t provider;
static mca_rcache_base_resources_t resources;
static fake_rcache_t seen;
static char messages[4096];

static void collect(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    size_t used = strlen(messages);
    snprintf(messages + used, sizeof(messages) - used, "%s\n", message);
}

static void expect_message(const char *text)
{
    ck_assert_msg(strstr(messages, text) != NULL, "\"%s\" is not in: %s", text, messages);
}

/* ---- A component that is interrupted ---------------------------------------------------------------- */

static void (*in_init)(void);
static void (*in_stop)(mca_rcache_base_module_t *module);

static void stop(mca_rcache_base_module_t *module)
{
    in_stop(module);
}

/* The fake's cache, but that it calls the test. */
static int init(const mca_rcache_base_resources_t *res, void *user_data, bool caching,
                mca_rcache_base_module_t **module)
{
    int rc = mca_rcache_fake_component.rcache_init(res, user_data, caching, module);
    if (rc == OPAL_SUCCESS && in_init != NULL) {
        in_init();
    }
    if (rc == OPAL_SUCCESS && in_stop != NULL) {
        (*module)->rcache_stop = stop;
    }
    return rc;
}

static const mca_rcache_base_component_t slow = {
    .rcache_version = { MCA_RCACHE_BASE_VERSION_2_0_0, .mca_component_name = "slow" },
    .rcache_init = init,
};

static void start(void)
{
    resources = fake_resources(&provider);
    mca_base_set_log(collect, NULL);
    ck_assert_int_eq(mca_base_component_add_static("rcache", &slow.rcache_version), OPAL_SUCCESS);
    setenv("OPALMEM_MCA_rcache", "slow", 1);
    fake_library_start();
}

static mca_rcache_base_module_t *create(const char *name)
{
    return mca_rcache_base_module_create(name, &seen, &resources);
}

static void *finalize_thread(void *arg)
{
    *(int *) arg = opalmem_finalize();
    return NULL;
}

static int finalized;

static void finalize_elsewhere(void)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, finalize_thread, &finalized), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static void finalize_and_start_elsewhere(void)
{
    in_init = NULL;
    finalize_elsewhere();
    fake_library_start();
}

/* ---- Made ------------------------------------------------------------------------------------------- */

static void (*const ends[])(void) = { finalize_elsewhere, finalize_and_start_elsewhere };

/* Whoever got it would use a cache that nobody has stopped, and nobody tells of releases. */
START_TEST(cache_made_while_the_library_stops_is_not_handed_out)
{
    start();
    in_init = ends[_i];
    ck_assert_ptr_null(create(NULL));
    expect_message("a registration cache cannot be made: the library is being stopped");
    ck_assert_int_eq(finalized, OPAL_SUCCESS);
    ck_assert_int_eq(seen.created, 1);
    ck_assert_int_eq(seen.finalized, 1);
    in_init = NULL;
    if (_i == 0) {
        fake_library_start();
    }
    mca_rcache_base_module_t *cache = create(NULL);
    ck_assert_ptr_nonnull(cache);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

static atomic_bool enough;

static void *create_often(void *arg)
{
    (void) arg;
    while (!atomic_load(&enough)) {
        ck_assert_ptr_null(create("nosuch"));
    }
    return NULL;
}

static void drop(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) message, (void) arg;
}

/* The message lists the components, which the other thread is freeing: the sanitizers and valgrind see it. */
START_TEST(refusal_is_explained_while_the_library_stops)
{
    pthread_t thread;
    start();
    mca_base_set_log(drop, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, create_often, NULL), 0);
    for (long i = test_rounds(ROUNDS); i > 0; i--) {
        ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
        fake_library_start();
    }
    atomic_store(&enough, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

/* ---- Destroyed -------------------------------------------------------------------------------------- */

static pthread_t destroyer;
static atomic_bool destroyed;
static bool freed_while_in_use;

static void *destroy_thread(void *arg)
{
    mca_rcache_base_module_destroy(arg);
    atomic_store(&destroyed, true);
    return NULL;
}

/* The time only says how long an error has to show itself. */
static void destroy_elsewhere(mca_rcache_base_module_t *module)
{
    ck_assert_int_eq(pthread_create(&destroyer, NULL, destroy_thread, module), 0);
    for (unsigned i = 0; i < 200 && !atomic_load(&destroyed); i++) {
        usleep(1000);
    }
    freed_while_in_use = atomic_load(&destroyed);
}

START_TEST(cache_is_not_freed_while_it_is_being_stopped)
{
    in_stop = destroy_elsewhere;
    start();
    ck_assert_ptr_nonnull(create(NULL));
    opalmem_finalize();
    ck_assert_int_eq(pthread_join(destroyer, NULL), 0);
    ck_assert(!freed_while_in_use);
    ck_assert_int_eq(seen.finalized, 1);
}
END_TEST

/* ---- Left ------------------------------------------------------------------------------------------- */

START_TEST(cache_of_an_earlier_init_never_says_again_that_it_keeps_anything)
{
    start();
    mca_rcache_base_module_t *cache = create(NULL);
    ck_assert_ptr_nonnull(cache);
    ck_assert(mca_rcache_base_is_caching(cache));
    ck_assert_int_eq(opalmem_finalize(), OPAL_ERR_RESOURCE_BUSY);
    fake_library_start();
    ck_assert(!mca_rcache_base_is_caching(cache)); /* It was stopped, and nobody listens for it. */
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rcache_finalize");
    TCase *tests = tcase_create("rcache_finalize");
    tcase_add_loop_test(tests, cache_made_while_the_library_stops_is_not_handed_out, 0, 2);
    tcase_add_test(tests, refusal_is_explained_while_the_library_stops);
    tcase_add_test(tests, cache_is_not_freed_while_it_is_being_stopped);
    tcase_add_test(tests, cache_of_an_earlier_init_never_says_again_that_it_keeps_anything);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
