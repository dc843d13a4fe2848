/* SPDX-License-Identifier: BSD-3-Clause */
/* The counting provider of the cache's tests through the conformance suite:
 * what they rely on is a provider as others are. */
#include <stdlib.h>
#include <string.h>

#include "provider_suite.h"
#include "test/rcache/fake_provider.h"
#include "test/test_main.h"

static int open_fake(void **state, mca_rcache_base_resources_t *resources)
{
    fake_provider_t *fake = calloc(1, sizeof(*fake));
    if (fake == NULL) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    *resources = fake_resources(fake);
    *state = fake;
    return OPAL_SUCCESS;
}

static void close_fake(void *state)
{
    free(state);
}

static size_t registered(void *state)
{
    return (size_t) atomic_load(&((fake_provider_t *) state)->bytes);
}

/* The provider asserts: it can run in a test of Check only. */
START_TEST(counting_provider_passes_the_scene)
{
    const provider_suite_t suite = {
        .name = "fake",
        .open = open_fake,
        .close = close_fake,
        .registered = registered,
    };
    const char *scene = provider_suite_scene((size_t) _i);
    if (strcmp(scene, "allocation_fails_in_register") == 0) {
        printf("# left out: %s, an assertion may allocate\n", scene);
        return;
    }
    ck_assert_int_eq(provider_suite_run(&suite, scene), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("provider_fake");
    TCase *tests = tcase_create("scenes");
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, counting_provider_passes_the_scene, 0, (int) provider_suite_scenes());
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
