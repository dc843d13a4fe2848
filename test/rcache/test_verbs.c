/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider verbs on a fake libibverbs: opening and closing, which device is
 * taken, and what is said when there is none. */
#include "test/rcache/verbs_fixture.h"

static int open_fails(void)
{
    mca_rcache_provider_t *untouched = (void *) 1;
    provider = untouched;
    start_library();
    int rc = mca_rcache_provider_open("verbs", &provider);
    ck_assert_int_ne(rc, OPAL_SUCCESS);
    ck_assert_ptr_eq(provider, untouched);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    nothing_left();
    return rc;
}

/* ---- The library -------------------------------------------------------------------------------- */

START_TEST(missing_library_is_named_with_its_package)
{
    setenv("OPALMEM_MCA_rcache_verbs_library", "libnosuch.so.9", 1);
    ck_assert_int_eq(open_fails(), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(said("libnosuch.so.9") && said("ibverbs-providers") && said("rcache_verbs_library"));
}
END_TEST

START_TEST(library_without_the_functions_is_refused)
{
    setenv("OPALMEM_MCA_rcache_verbs_library", "libc.so.6", 1);
    ck_assert_int_eq(open_fails(), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(said("libc.so.6 has no function ibv_get_device_list"));
}
END_TEST

START_TEST(older_library_works_without_the_newer_functions)
{
    use_library("fake_verbs_old");
    setenv("OPALMEM_MCA_rcache_verbs_relaxed_ordering", "1", 1);
    start();
    put(get(0, MCA_RCACHE_ACCESS_LOCAL_WRITE));
    ck_assert_uint_eq(fake->access, IBV_ACCESS_LOCAL_WRITE);
    stop();
}
END_TEST

START_TEST(library_does_not_need_libibverbs)
{
    start();
    void *handle = dlopen("libibverbs.so.1", RTLD_LAZY | RTLD_NOLOAD);
    ck_assert_ptr_null(handle);
    stop();
}
END_TEST

/* ---- Devices ------------------------------------------------------------------------------------ */

static const struct {
    int list_error, devices, rc;
    const char *words;
} no_device[] = {
    { ENOSYS, 0, OPAL_ERR_NOT_AVAILABLE, "ib_uverbs is not loaded" },
    { ENOMEM, 0, OPAL_ERR_OUT_OF_RESOURCE, "Cannot allocate memory" },
    { EMFILE, 0, OPAL_ERR_OUT_OF_RESOURCE, "Too many open files" },
    { 0, 0, OPAL_ERR_NOT_AVAILABLE, "finds none" },
};

START_TEST(without_a_device_the_message_says_why)
{
    fake->list_error = no_device[_i].list_error;
    fake->devices = no_device[_i].devices;
    ck_assert_int_eq(open_fails(), no_device[_i].rc);
    ck_assert_msg(said(no_device[_i].words), "%s", messages);
}
END_TEST

static const char *device_name(void)
{
    return mca_rcache_verbs_pd(provider)->context->device->name;
}

START_TEST(device_with_an_active_port_is_preferred)
{
    start();
    ck_assert_str_eq(device_name(), "fake1");
    ck_assert_int_eq(fake->opened - fake->closed, 1);
    stop();
}
END_TEST

START_TEST(without_any_active_port_the_first_device_is_taken)
{
    fake->active = -1;
    start();
    ck_assert_str_eq(device_name(), "fake0");
    ck_assert_int_eq(fake->opened - fake->closed, 1);
    stop();
}
END_TEST

START_TEST(named_device_is_taken_though_its_link_is_down)
{
    setenv("OPALMEM_MCA_rcache_verbs_device", "fake2", 1);
    start();
    ck_assert_str_eq(device_name(), "fake2");
    ck_assert_int_eq(fake->opened, 1);
    stop();
}
END_TEST

START_TEST(unknown_device_is_named_with_the_known_ones)
{
    setenv("OPALMEM_MCA_rcache_verbs_device", "mlx9", 1);
    ck_assert_int_eq(open_fails(), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(said("\"mlx9\"") && said("fake0, fake1, fake2") && said("rcache_verbs_device"));
}
END_TEST

START_TEST(device_that_does_not_open_is_passed_over)
{
    fake->open_error = EACCES;
    fake->open_fails_for = 1;
    start();
    ck_assert_str_eq(device_name(), "fake0");
    stop();
}
END_TEST

START_TEST(missing_rights_name_the_file)
{
    fake->open_error = EACCES;
    fake->open_fails_for = -1;
    ck_assert_int_eq(open_fails(), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(said("Permission denied") && said("/dev/infiniband/uverbs"));
}
END_TEST

START_TEST(failing_protection_domain_closes_the_device)
{
    fake->pd_error = ENOMEM;
    ck_assert_int_eq(open_fails(), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert(said("no protection domain"));
}
END_TEST

/* ---- Fork safety -------------------------------------------------------------------------------- */

static const struct {
    const char *wish;
    int status, error;
    long inits;
    bool opens;
} fork_cases[] = {
    { "auto", IBV_FORK_UNNEEDED, 0, 0, true },      { "auto", IBV_FORK_DISABLED, 0, 1, true },
    { "auto", IBV_FORK_DISABLED, EINVAL, 1, true }, { "yes", IBV_FORK_UNNEEDED, EINVAL, 0, true },
    { "yes", IBV_FORK_DISABLED, EINVAL, 1, false }, { "yes", IBV_FORK_DISABLED, ENOMEM, 1, false },
    { "no", IBV_FORK_DISABLED, 0, 0, true },        { "yes", IBV_FORK_DISABLED, 0, 1, true },
};

START_TEST(fork_safety_is_set_up_where_the_kernel_needs_it)
{
    setenv("OPALMEM_MCA_rcache_verbs_fork_safety", fork_cases[_i].wish, 1);
    fake->fork_status = fork_cases[_i].status;
    fake->fork_error = fork_cases[_i].error;
    if (fork_cases[_i].opens) {
        start();
        stop();
    } else {
        ck_assert_int_eq(open_fails(), OPAL_ERR_NOT_AVAILABLE);
        ck_assert(said("ibv_fork_init failed"));
    }
    ck_assert_int_eq(fake->fork_inits, fork_cases[_i].inits);
}
END_TEST

START_TEST(older_library_is_always_told_of_forks)
{
    use_library("fake_verbs_old");
    start();
    ck_assert_int_eq(fake->fork_inits, 1);
    stop();
}
END_TEST

/* ---- The protection domain ---------------------------------------------------------------------- */

START_TEST(domain_in_use_stays_open_with_a_warning)
{
    start();
    struct ibv_pd *pd = mca_rcache_verbs_pd(provider);
    fake->pd_free_error = EBUSY;
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    mca_rcache_provider_close(provider);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert(said("still in use"));
    ck_assert_int_eq(fake->opened - fake->closed, 1);
    free_domain(pd);
}
END_TEST

/* A domain of the program's own, from the library that the provider will load. */
static struct ibv_pd *own_domain(void)
{
    struct ibv_device **(*list)(int *) = dlsym(library, "ibv_get_device_list");
    struct ibv_context *(*open)(struct ibv_device *) = dlsym(library, "ibv_open_device");
    struct ibv_pd *(*alloc)(struct ibv_context *) = dlsym(library, "ibv_alloc_pd");
    struct ibv_device **devices = list(NULL);
    struct ibv_pd *pd = alloc(open(devices[2]));
    free(devices);
    return pd;
}

START_TEST(domain_of_the_program_is_used_and_never_freed)
{
    start_library();
    struct ibv_pd *pd = own_domain();
    ck_assert_int_eq(mca_rcache_verbs_open_pd(pd, &provider), OPAL_SUCCESS);
    ck_assert_ptr_eq(mca_rcache_verbs_pd(provider), pd);
    cache = new_cache();
    mca_rcache_verbs_registration_t *reg = get(0, 0);
    ck_assert_ptr_eq(reg->mr->pd, pd);
    put(reg);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    mca_rcache_provider_close(provider);
    ck_assert_int_eq(fake->opened, 1);
    ck_assert_int_eq(fake->closed + fake->pds_freed, 0);
    ck_assert_int_eq(fake->registered, fake->deregistered);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    free_domain(pd);
}
END_TEST

START_TEST(domain_of_the_program_is_the_parents_in_a_child)
{
    start_library();
    struct ibv_pd *pd = own_domain();
    ck_assert_int_eq(mca_rcache_verbs_open_pd(pd, &provider), OPAL_SUCCESS);
    cache = new_cache();
    put(get(0, 0));
    pid_t child = fork();
    if (child == 0) {
        mca_rcache_verbs_registration_t *reg;
        bool good = try_get(0, 0, &reg) == OPAL_ERR_UNREACH && mca_rcache_verbs_pd(provider) == NULL;
        child_says(good && fake->of_another_process == 0 && times_said("fork child") == 1);
    }
    child_must_be_good(child);
    put(get(0, 0));
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    mca_rcache_provider_close(provider);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    free_domain(pd);
}
END_TEST

START_TEST(no_domain_is_a_bad_parameter)
{
    ck_assert_int_eq(mca_rcache_verbs_open_pd(NULL, &provider), OPAL_ERR_BAD_PARAM);
}
END_TEST

START_TEST(functions_of_verbs_refuse_another_provider)
{
    mca_rcache_verbs_registration_t reg;
    struct ibv_async_event event = { .event_type = IBV_EVENT_DEVICE_FATAL };
    mca_rcache_provider_t *other;
    ck_assert_int_eq(mca_rcache_provider_open("none", &other), OPAL_SUCCESS);
    ck_assert_ptr_null(mca_rcache_verbs_pd(other));
    ck_assert_int_eq(mca_rcache_verbs_register_dmabuf(other, 3, 0, PAGE, 0, 0, &reg), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(mca_rcache_verbs_deregister_dmabuf(other, &reg), OPAL_ERR_BAD_PARAM);
    mca_rcache_verbs_async_event(other, &event);
    mca_rcache_provider_close(other);
}
END_TEST

#define COUNT(array) ((int) (sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("verbs");
    TCase *tests = tcase_create("opening");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, missing_library_is_named_with_its_package);
    tcase_add_test(tests, library_without_the_functions_is_refused);
    tcase_add_test(tests, older_library_works_without_the_newer_functions);
    tcase_add_test(tests, library_does_not_need_libibverbs);
    tcase_add_loop_test(tests, without_a_device_the_message_says_why, 0, COUNT(no_device));
    tcase_add_test(tests, device_with_an_active_port_is_preferred);
    tcase_add_test(tests, without_any_active_port_the_first_device_is_taken);
    tcase_add_test(tests, named_device_is_taken_though_its_link_is_down);
    tcase_add_test(tests, unknown_device_is_named_with_the_known_ones);
    tcase_add_test(tests, device_that_does_not_open_is_passed_over);
    tcase_add_test(tests, missing_rights_name_the_file);
    tcase_add_test(tests, failing_protection_domain_closes_the_device);
    tcase_add_loop_test(tests, fork_safety_is_set_up_where_the_kernel_needs_it, 0, COUNT(fork_cases));
    tcase_add_test(tests, older_library_is_always_told_of_forks);
    tcase_add_test(tests, domain_in_use_stays_open_with_a_warning);
    tcase_add_test(tests, domain_of_the_program_is_used_and_never_freed);
    if (!under_valgrind()) { /* A child leaves what the parent has made, and valgrind calls that lost. */
        tcase_add_test(tests, domain_of_the_program_is_the_parents_in_a_child);
    }
    tcase_add_test(tests, no_domain_is_a_bad_parameter);
    tcase_add_test(tests, functions_of_verbs_refuse_another_provider);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
