/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider verbs on a fake libibverbs: rights, errors, a device that goes,
 * forks and dmabufs, as a cache and its user see them. */
#include "test/rcache/verbs_fixture.h"

#define ALL_RIGHTS \
    (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC)

/* ---- Rights ------------------------------------------------------------------------------------- */

/* Index: OR of MCA_RCACHE_ACCESS_*. */
static const unsigned rights[] = {
    0,
    IBV_ACCESS_LOCAL_WRITE,
    IBV_ACCESS_REMOTE_READ,
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ,
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE,
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE,
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC,
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC,
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_REMOTE_READ,
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_REMOTE_READ,
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_REMOTE_WRITE,
    IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_REMOTE_WRITE,
    ALL_RIGHTS,
    ALL_RIGHTS,
};

START_TEST(rights_are_mapped_and_remote_writes_include_local_ones)
{
    start();
    mca_rcache_verbs_registration_t *reg = get(3, _i);
    ck_assert_uint_eq(fake->access, rights[_i]);
    ck_assert_ptr_eq(fake->addr, AT(3));
    ck_assert_uint_eq(fake->length, PAGE);
    ck_assert_uint_eq(reg->lkey, reg->mr->lkey);
    ck_assert_uint_eq(reg->rkey, reg->mr->rkey);
    put(reg);
    stop();
}
END_TEST

START_TEST(relaxed_ordering_is_asked_for_where_the_variable_says_so)
{
    setenv("OPALMEM_MCA_rcache_verbs_relaxed_ordering", "1", 1);
    start();
    put(get(0, 0));
    ck_assert_uint_eq(fake->access, IBV_ACCESS_RELAXED_ORDERING);
    ck_assert_uint_eq(fake->iova, (uintptr_t) AT(0));
    stop();
}
END_TEST

START_TEST(device_that_refuses_relaxed_ordering_is_asked_once)
{
    setenv("OPALMEM_MCA_rcache_verbs_relaxed_ordering", "1", 1);
    fake->refuses_relaxed = true;
    start();
    put(get(0, MCA_RCACHE_ACCESS_LOCAL_WRITE));
    ck_assert_uint_eq(fake->access, IBV_ACCESS_LOCAL_WRITE);
    fake->refuses_relaxed = false; /* It would be seen if it were asked again. */
    put(get(1, MCA_RCACHE_ACCESS_LOCAL_WRITE));
    ck_assert_uint_eq(fake->access, IBV_ACCESS_LOCAL_WRITE);
    stop();
}
END_TEST

START_TEST(bad_range_does_not_end_relaxed_ordering)
{
    mca_rcache_verbs_registration_t *reg;
    setenv("OPALMEM_MCA_rcache_verbs_relaxed_ordering", "1", 1);
    start();
    fake->reg_error = EINVAL;
    ck_assert_int_eq(try_get(0, 0, &reg), OPAL_ERR_BAD_PARAM);
    fake->reg_error = 0;
    put(get(0, 0));
    ck_assert_uint_eq(fake->access, IBV_ACCESS_RELAXED_ORDERING);
    stop();
}
END_TEST

START_TEST(memory_is_paged_on_demand_only_where_the_variable_and_the_device_say_so)
{
    bool wanted = (_i & 1) != 0;
    fake->has_on_demand = (_i & 2) != 0;
    setenv("OPALMEM_MCA_rcache_verbs_on_demand", wanted ? "1" : "0", 1);
    start();
    put(get(0, 0));
    ck_assert_uint_eq(fake->access, wanted && fake->has_on_demand ? IBV_ACCESS_ON_DEMAND : 0);
    ck_assert_int_eq(times_said("no on-demand paging"), wanted && !fake->has_on_demand);
    stop();
}
END_TEST

/* ---- Errors ------------------------------------------------------------------------------------- */

static const struct {
    int error, rc;
} errors[] = {
    { ENOMEM, OPAL_ERR_OUT_OF_RESOURCE },
    { EAGAIN, OPAL_ERR_OUT_OF_RESOURCE },
    { EFAULT, OPAL_ERR_BAD_PARAM },
    { EINVAL, OPAL_ERR_BAD_PARAM },
    { EPERM, OPAL_ERR_PERM },
    { EACCES, OPAL_ERR_PERM },
    { EOPNOTSUPP, OPAL_ERR_NOT_SUPPORTED },
    { ENOSYS, OPAL_ERR_NOT_SUPPORTED },
    { EINTR, OPAL_ERROR },
};

START_TEST(failed_registration_has_a_code_and_leaves_the_provider_usable)
{
    mca_rcache_verbs_registration_t *reg = (void *) 1;
    start();
    fake->reg_error = errors[_i].error;
    ck_assert_int_eq(try_get(0, 0, &reg), errors[_i].rc);
    ck_assert_ptr_eq(reg, (void *) 1);
    fake->reg_error = 0;
    put(get(0, 0));
    stop();
}
END_TEST

START_TEST(full_device_makes_the_cache_evict)
{
    fake->capacity = 4;
    start();
    for (long page = 0; page < 20; page += 2) {
        put(get(page, 0));
    }
    ck_assert_int_le(fake->registered - fake->deregistered, 4);
    ck_assert_uint_ge(stats().evictions, 6);
    stop();
}
END_TEST

START_TEST(released_memory_is_not_deregistered_inside_the_hook)
{
    start();
    put(get(0, 0));
    opal_mem_hooks_release_cause(AT(0), PAGE, true, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
    ck_assert_int_eq(fake->deregistered, 0);
    cache->rcache_progress(cache);
    ck_assert_int_eq(fake->deregistered, 1);
    ck_assert_uint_eq(stats().invalidations[OPAL_MEM_HOOKS_CAUSE_MUNMAP], 1);
    put(get(0, 0));
    ck_assert_int_eq(fake->registered, 2);
    stop();
}
END_TEST

START_TEST(error_of_deregistering_reaches_the_caller)
{
    start();
    mca_rcache_verbs_registration_t *reg = NULL;
    ck_assert_int_eq(cache->rcache_register(cache, AT(0), PAGE, MCA_RCACHE_FLAGS_CACHE_BYPASS, 0,
                                            (mca_rcache_base_registration_t **) &reg),
                     OPAL_SUCCESS);
    struct ibv_mr *mr = reg->mr;
    fake->dereg_error = EBUSY;
    ck_assert_int_eq(cache->rcache_deregister(cache, &reg->super), OPAL_ERR_RESOURCE_BUSY);
    free_region(mr);
    stop();
}
END_TEST

/* ---- A device that goes ------------------------------------------------------------------------- */

static const struct {
    int error;
    const char *words;
} losses[] = {
    { EIO, "fake1 was removed" },
    { ENODEV, "fake1 was removed" },
    { -1, "fake1 was removed" },
    { EBADF, "fake1: its descriptor was closed" },
    { ENOTTY, "fake1: its descriptor was closed" },
};

START_TEST(lost_device_is_said_once_and_nothing_is_registered_any_more)
{
    mca_rcache_verbs_registration_t *reg;
    start();
    mca_rcache_verbs_registration_t *held = get(9, 0);
    put(get(5, 0));
    fake->reg_error = losses[_i].error;
    ck_assert_int_eq(try_get(0, 0, &reg), OPAL_ERR_UNREACH);
    fake->reg_error = 0; /* It would be seen if the device were asked again. */
    ck_assert_int_eq(try_get(1, 0, &reg), OPAL_ERR_UNREACH);
    ck_assert_int_eq(times_said("nothing is registered any more"), 1);
    ck_assert_msg(said(losses[_i].words), "%s", messages);
    ck_assert_ptr_null(mca_rcache_verbs_pd(provider));
    opal_mem_hooks_release_cause(AT(9), PAGE, true, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
    put(held);
    stop();
}
END_TEST

START_TEST(deregistering_from_a_lost_device_is_harmless)
{
    start();
    mca_rcache_verbs_registration_t *reg = get(0, 0);
    struct ibv_mr *mr = reg->mr;
    fake->dereg_error = EIO;
    opal_mem_hooks_release_cause(AT(0), PAGE, true, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
    put(reg);
    ck_assert_int_eq(times_said("was removed"), 1);
    free_region(mr);
    stop();
}
END_TEST

START_TEST(fatal_event_ends_registering_and_others_do_not)
{
    mca_rcache_verbs_registration_t *reg;
    struct ibv_async_event event = { .event_type = IBV_EVENT_PORT_ERR };
    start();
    mca_rcache_verbs_async_event(provider, &event);
    put(get(0, 0));
    event.event_type = IBV_EVENT_DEVICE_FATAL;
    mca_rcache_verbs_async_event(provider, &event);
    mca_rcache_verbs_async_event(provider, &event);
    ck_assert_int_eq(try_get(1, 0, &reg), OPAL_ERR_UNREACH);
    ck_assert_int_eq(times_said("fake1 was removed, or has failed"), 1);
    stop();
}
END_TEST

/* ---- Forks -------------------------------------------------------------------------------------- */

START_TEST(child_opens_the_device_for_itself_and_leaves_the_parents_alone)
{
    setenv("OPALMEM_MCA_rcache_verbs_device", "fake2", 1);
    start();
    mca_rcache_verbs_registration_t *held = get(0, 0);
    put(get(1, 0));
    pid_t pid = fork();
    if (pid == 0) {
        put(held);
        struct ibv_pd *inherited = held->mr->pd, *own = mca_rcache_verbs_pd(provider);
        mca_rcache_verbs_registration_t *reg = get(1, 0);
        bool good = own != NULL && own != inherited && reg->mr->pd == own && fake->opened == fake->closed + 2
                    && strcmp(own->context->device->name, "fake2") == 0;
        put(reg);
        good = mca_rcache_base_module_destroy(cache) == OPAL_SUCCESS && good;
        mca_rcache_provider_close(provider);
        child_says(good && fake->of_another_process == 0 && fake->deregistered == 1 && fake->pds_freed == 1);
    }
    child_must_be_good(pid);
    put(held);
    stop();
}
END_TEST

START_TEST(closing_in_a_child_that_used_nothing_touches_nothing)
{
    start();
    put(get(0, 0));
    pid_t pid = fork();
    if (pid == 0) {
        bool good = mca_rcache_base_module_destroy(cache) == OPAL_SUCCESS;
        mca_rcache_provider_close(provider);
        child_says(good && fake->closed + fake->pds_freed + fake->deregistered + fake->of_another_process == 1);
    }
    child_must_be_good(pid);
    stop();
}
END_TEST

START_TEST(child_without_a_device_fails_and_says_why)
{
    start();
    pid_t pid = fork();
    if (pid == 0) {
        mca_rcache_verbs_registration_t *reg;
        fake->open_error = EACCES;
        fake->open_fails_for = -1;
        bool good = try_get(0, 0, &reg) == OPAL_ERR_UNREACH && try_get(0, 0, &reg) == OPAL_ERR_UNREACH;
        child_says(good && times_said("cannot be opened") == 1);
    }
    child_must_be_good(pid);
    stop();
}
END_TEST

START_TEST(device_that_the_parent_has_lost_may_work_in_a_child)
{
    mca_rcache_verbs_registration_t *reg;
    start();
    fake->reg_error = EIO;
    ck_assert_int_eq(try_get(0, 0, &reg), OPAL_ERR_UNREACH);
    fake->reg_error = 0;
    pid_t pid = fork();
    if (pid == 0) {
        child_says(try_get(0, 0, &reg) == OPAL_SUCCESS && fake->of_another_process == 0);
    }
    child_must_be_good(pid);
    stop();
}
END_TEST

/* ---- dmabuf ------------------------------------------------------------------------------------- */

START_TEST(dmabuf_is_registered_and_not_cached)
{
    mca_rcache_verbs_registration_t reg;
    start();
    ck_assert_int_eq(mca_rcache_verbs_register_dmabuf(provider, 7, PAGE, 3 * PAGE, 5 * PAGE,
                                                      MCA_RCACHE_ACCESS_REMOTE_WRITE, &reg),
                     OPAL_SUCCESS);
    ck_assert_uint_eq(fake->access, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
    ck_assert_int_eq(fake->dmabuf, 7);
    ck_assert_uint_eq(fake->offset, PAGE);
    ck_assert_uint_eq(fake->length, 3 * PAGE);
    ck_assert_uint_eq(fake->iova, 5 * PAGE);
    ck_assert_uint_eq(reg.rkey, reg.mr->rkey);
    ck_assert_uint_eq(stats().registrations, 0);
    ck_assert_int_eq(mca_rcache_verbs_deregister_dmabuf(provider, &reg), OPAL_SUCCESS);
    stop();
}
END_TEST

static const struct {
    int error, rc;
} dmabuf_errors[] = {
    { EBADF, OPAL_ERR_BAD_PARAM }, { EINVAL, OPAL_ERR_BAD_PARAM },       { EOPNOTSUPP, OPAL_ERR_NOT_SUPPORTED },
    { EIO, OPAL_ERR_UNREACH },     { ENOMEM, OPAL_ERR_OUT_OF_RESOURCE },
};

START_TEST(dmabuf_that_cannot_be_registered_has_a_code)
{
    mca_rcache_verbs_registration_t reg = { .lkey = 77 };
    start();
    fake->reg_error = dmabuf_errors[_i].error;
    ck_assert_int_eq(mca_rcache_verbs_register_dmabuf(provider, 7, 0, PAGE, 0, 0, &reg), dmabuf_errors[_i].rc);
    ck_assert_uint_eq(reg.lkey, 77);
    ck_assert_int_eq(times_said("descriptor"), 0);
    stop();
}
END_TEST

START_TEST(bad_dmabuf_is_refused_before_the_device_is_asked)
{
    mca_rcache_verbs_registration_t reg;
    start();
    ck_assert_int_eq(mca_rcache_verbs_register_dmabuf(provider, -1, 0, PAGE, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(mca_rcache_verbs_register_dmabuf(provider, 7, 0, 0, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(mca_rcache_verbs_register_dmabuf(provider, 7, 0, PAGE, 0, 0x100, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(fake->registered, 0);
    stop();
}
END_TEST

START_TEST(older_library_has_no_dmabuf)
{
    mca_rcache_verbs_registration_t reg;
    use_library("fake_verbs_old");
    start();
    ck_assert_int_eq(mca_rcache_verbs_register_dmabuf(provider, 7, 0, PAGE, 0, 0, &reg), OPAL_ERR_NOT_SUPPORTED);
    stop();
}
END_TEST

START_TEST(dmabuf_of_the_parent_is_left_alone_in_a_child)
{
    mca_rcache_verbs_registration_t reg;
    start();
    ck_assert_int_eq(mca_rcache_verbs_register_dmabuf(provider, 7, 0, PAGE, 0, 0, &reg), OPAL_SUCCESS);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = mca_rcache_verbs_deregister_dmabuf(provider, &reg) == OPAL_SUCCESS;
        child_says(good && fake->deregistered == 0 && fake->of_another_process == 0);
    }
    child_must_be_good(pid);
    ck_assert_int_eq(mca_rcache_verbs_deregister_dmabuf(provider, &reg), OPAL_SUCCESS);
    stop();
}
END_TEST

#define COUNT(array) ((int) (sizeof(array) / sizeof((array)[0])))

static void add_lost(TCase *tests)
{
    tcase_add_loop_test(tests, lost_device_is_said_once_and_nothing_is_registered_any_more, 0, COUNT(losses));
    tcase_add_test(tests, deregistering_from_a_lost_device_is_harmless);
    tcase_add_test(tests, fatal_event_ends_registering_and_others_do_not);
}

static void add_forked(TCase *tests)
{
    tcase_add_test(tests, child_opens_the_device_for_itself_and_leaves_the_parents_alone);
    tcase_add_test(tests, closing_in_a_child_that_used_nothing_touches_nothing);
    tcase_add_test(tests, child_without_a_device_fails_and_says_why);
    tcase_add_test(tests, device_that_the_parent_has_lost_may_work_in_a_child);
    tcase_add_test(tests, dmabuf_of_the_parent_is_left_alone_in_a_child);
}

int main(void)
{
    Suite *suite = suite_create("verbs");
    TCase *tests = tcase_create("registering");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_loop_test(tests, rights_are_mapped_and_remote_writes_include_local_ones, 0, COUNT(rights));
    tcase_add_test(tests, relaxed_ordering_is_asked_for_where_the_variable_says_so);
    tcase_add_test(tests, device_that_refuses_relaxed_ordering_is_asked_once);
    tcase_add_test(tests, bad_range_does_not_end_relaxed_ordering);
    tcase_add_loop_test(tests, memory_is_paged_on_demand_only_where_the_variable_and_the_device_say_so, 0, 4);
    tcase_add_loop_test(tests, failed_registration_has_a_code_and_leaves_the_provider_usable, 0, COUNT(errors));
    tcase_add_test(tests, full_device_makes_the_cache_evict);
    tcase_add_test(tests, released_memory_is_not_deregistered_inside_the_hook);
    tcase_add_test(tests, error_of_deregistering_reaches_the_caller);
    add_lost(tests);
    if (!under_valgrind()) { /* A child leaves what the parent has made, and valgrind calls that lost. */
        add_forked(tests);
    }
    tcase_add_test(tests, dmabuf_is_registered_and_not_cached);
    tcase_add_loop_test(tests, dmabuf_that_cannot_be_registered_has_a_code, 0, COUNT(dmabuf_errors));
    tcase_add_test(tests, bad_dmabuf_is_refused_before_the_device_is_asked);
    tcase_add_test(tests, older_library_has_no_dmabuf);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
