/* SPDX-License-Identifier: BSD-3-Clause */
/* Every allocation and every registration fails once: each call then reports
 * it, and nothing is left registered. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rcache/grdma/grdma.h"
#include "test/rcache/fake_provider.h"
#include "test/test_main.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define AT(page) ((void *) (uintptr_t) (0x10000000 + (page) * (long) PAGE))

static long allocations, fail_at; /* The fail_at-th allocation from now fails; 0: none. */

static bool armed; /* Only the library's allocations fail, not the test's own. */

static bool fails_now(void)
{
    return armed && ++allocations == fail_at;
}

static int disarm(int rc)
{
    armed = false;
    return rc;
}

/* A call of the library. */
#define CALL(call) (armed = true, disarm(call))

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return fails_now() ? NULL : __real_strdup(text);
}

static bool is_nothing_mapped; /* The library gets no pages. */

void *__real_mmap(void *place, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *place, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *place, size_t length, int protection, int flags, int fd, off_t offset)
{
    return is_nothing_mapped || fails_now() ? MAP_FAILED
                                            : __real_mmap(place, length, protection, flags, fd, offset);
}

int __real_mprotect(void *place, size_t length, int protection);
int __wrap_mprotect(void *place, size_t length, int protection);
int __wrap_mprotect(void *place, size_t length, int protection)
{
    return fails_now() ? -1 : __real_mprotect(place, length, protection);
}

static void be_silent(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) message, (void) arg;
}

static fake_provider_t fake;

static void set_up(void)
{
    mca_base_set_log(be_silent, NULL);
    fake_memory_select();
}

/* Returns how many of the calls failed. */
static int use(mca_rcache_base_module_t *cache, long page, long pages)
{
    mca_rcache_base_registration_t *reg;
    int rc = CALL(cache->rcache_register(cache, AT(page), (size_t) (pages * PAGE), 0, 0, &reg));
    ck_assert_int_eq(rc == OPAL_SUCCESS || rc == OPAL_ERR_OUT_OF_RESOURCE || rc == fake.fail_with, 1);
    if (rc == OPAL_SUCCESS) {
        ck_assert_int_eq(CALL(cache->rcache_deregister(cache, reg)), OPAL_SUCCESS);
    }
    return rc != OPAL_SUCCESS;
}

/* The provider's functions are the test's. */
static mca_rcache_base_resources_t inner;

static int register_mem(void *reg_data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    armed = false;
    int rc = inner.register_mem(reg_data, base, size, reg);
    armed = true;
    return rc;
}

static int deregister_mem(void *reg_data, mca_rcache_base_registration_t *reg)
{
    bool was_armed = disarm(armed);
    int rc = inner.deregister_mem(reg_data, reg);
    armed = was_armed;
    return rc;
}

static int use_cache(void)
{
    mca_rcache_base_resources_t resources = inner = fake_resources(&fake);
    resources.register_mem = register_mem;
    resources.deregister_mem = deregister_mem;
    armed = true;
    mca_rcache_base_module_t *cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    armed = false;
    if (cache == NULL) {
        return 1;
    }
    int failed = use(cache, 0, 4) + use(cache, 10, 2) + use(cache, 0, 4) + use(cache, 0, 20);
    opal_mem_hooks_release_hook(AT(5), PAGE, true);
    failed += use(cache, 0, 4) + use(cache, 100, 1);
    ck_assert_int_eq(CALL(mca_rcache_base_module_destroy(cache)), OPAL_SUCCESS);
    return failed;
}

/* The whole life of the library, with whatever fails on the way. */
static int run(void)
{
    memset(&fake.registered, 0, sizeof(fake.registered));
    atomic_store(&fake.deregistered, 0);
    atomic_store(&fake.calls, 0);
    atomic_store(&fake.bytes, 0);
    int failed = 1;
    if (CALL(opalmem_init(NULL, NULL)) == OPAL_SUCCESS) {
        opal_mem_hooks_set_support(OPAL_MEMORY_FREE_SUPPORT);
        failed = use_cache();
        ck_assert_int_eq(CALL(opalmem_finalize()), OPAL_SUCCESS);
    }
    ck_assert_int_eq(atomic_load(&fake.registered), atomic_load(&fake.deregistered));
    ck_assert_int_eq(atomic_load(&fake.bytes), 0);
    return failed;
}

START_TEST(each_failing_allocation_is_survived)
{
    ck_assert_int_eq(run(), 0);
    allocations = 0;
    ck_assert_int_eq(run(), 0);
    long total = allocations;
    ck_assert_int_gt(total, 10);
    const long step = total / test_rounds(total);
    int failed = 0, tried = 0;
    for (long n = 1; n <= total; n += step, tried++) {
        allocations = 0;
        fail_at = n;
        failed += run() > 0;
        fail_at = 0;
        ck_assert_int_eq(run(), 0);
    }
    printf("%d allocations failed in turn, %d runs reported it\n", tried, failed);
    ck_assert_int_gt(failed, tried / 2);
}
END_TEST

START_TEST(each_failing_registration_is_reported_unchanged)
{
    ck_assert_int_eq(run(), 0);
    long total = atomic_load(&fake.calls);
    ck_assert_int_ge(total, 4);
    for (long n = 1; n <= total; n++) {
        fake.fail_at = n;
        fake.fail_with = OPAL_ERR_UNREACH;
        ck_assert_int_eq(run(), 1);
        fake.fail_at = 0;
    }
}
END_TEST

START_TEST(hints_grow_however_often_there_was_no_memory_before)
{
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    mca_rcache_base_resources_t resources = fake_resources(&fake);
    mca_rcache_base_module_t *cache = mca_rcache_base_module_create("grdma", NULL, &resources);
    ck_assert_ptr_nonnull(cache);
    grdma_module_t *module = grdma_of(cache);
    const grdma_hints_t *first = atomic_load(&module->hints);

    atomic_store(&module->live, 10000); /* As if it were, so that they want to grow. */
    is_nothing_mapped = true;
    for (int i = 0; i < 2 * GRDMA_HINT_HEADS; i++) {
        grdma_hints_fit(module);
    }
    is_nothing_mapped = false;
    ck_assert_ptr_eq(atomic_load(&module->hints), first);
    grdma_hints_fit(module);
    ck_assert_ptr_ne(atomic_load(&module->hints), first);
    atomic_store(&module->live, 0);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grdma_failures");
    TCase *tests = tcase_create("n-th failures");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, each_failing_allocation_is_survived);
    tcase_add_test(tests, each_failing_registration_is_reported_unchanged);
    tcase_add_test(tests, hints_grow_however_often_there_was_no_memory_before);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
