/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider verbs on a real device (soft-RoCE in the guest of check-vm): what
 * is pinned and when, what the kernel refuses, limits of ordinary users, forks. */
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"
#include "test/children.h"

#define SIZE ((size_t) 1 << 20)

static mca_rcache_provider_t *provider;
static mca_rcache_base_module_t *cache;
static char messages[2048];

static void keep_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    strncat(messages, message, sizeof(messages) - strlen(messages) - 1);
}

static void start(void)
{
    mca_rcache_base_resources_t resources;
    mca_base_set_log(keep_message, NULL);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_msg(mca_rcache_provider_open("verbs", &provider) == OPAL_SUCCESS, "%s", messages);
    mca_rcache_provider_resources(provider, &resources);
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_ptr_nonnull(cache);
    ck_assert(mca_rcache_base_is_caching(cache));
}

static void stop(void)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    mca_rcache_provider_close(provider);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

/* Pinned by this process, in bytes. */
static long pinned(void)
{
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "VmPin: %ld", &value) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return value * 1024;
}

static char *map(int protection)
{
    char *memory = mmap(NULL, SIZE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

static int try_get(void *memory, size_t size, int32_t access, mca_rcache_verbs_registration_t **reg)
{
    return cache->rcache_register(cache, memory, size, 0, access, (mca_rcache_base_registration_t **) reg);
}

static int use(void *memory, size_t size, int32_t access)
{
    mca_rcache_verbs_registration_t *reg;
    int rc = try_get(memory, size, access, &reg);
    return rc == OPAL_SUCCESS ? cache->rcache_deregister(cache, &reg->super) : rc;
}

/* ---- Pinning ------------------------------------------------------------------------------------ */

START_TEST(registered_memory_is_pinned_until_its_release_is_handled)
{
    start();
    char *memory = map(PROT_READ | PROT_WRITE);
    ck_assert_int_eq(use(memory, SIZE, MCA_RCACHE_ACCESS_REMOTE_WRITE), OPAL_SUCCESS);
    ck_assert_int_eq(use(memory, SIZE, MCA_RCACHE_ACCESS_REMOTE_WRITE), OPAL_SUCCESS);
    ck_assert_int_eq(pinned(), (long) SIZE); /* Once, though asked for twice. */
    munmap(memory, SIZE);
    mca_rcache_base_progress();
    ck_assert_int_eq(pinned(), 0);
    stop();
}
END_TEST

START_TEST(nothing_is_pinned_after_the_cache_is_destroyed)
{
    start();
    char *memory = map(PROT_READ | PROT_WRITE);
    ck_assert_int_eq(use(memory, SIZE, 0), OPAL_SUCCESS);
    ck_assert_int_eq(pinned(), (long) SIZE);
    stop();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(all_rights_are_granted)
{
    start();
    char *memory = map(PROT_READ | PROT_WRITE);
    for (int32_t access = 0; access <= MCA_RCACHE_ACCESS_ANY; access++) {
        mca_rcache_verbs_registration_t *reg = NULL;
        ck_assert_int_eq(cache->rcache_register(cache, memory, SIZE, MCA_RCACHE_FLAGS_CACHE_BYPASS, access,
                                                (mca_rcache_base_registration_t **) &reg),
                         OPAL_SUCCESS);
        ck_assert_uint_eq(reg->lkey, reg->mr->lkey);
        ck_assert_ptr_eq(reg->mr->pd, mca_rcache_verbs_pd(provider));
        ck_assert_int_eq(cache->rcache_deregister(cache, &reg->super), OPAL_SUCCESS);
    }
    stop();
}
END_TEST

START_TEST(relaxed_ordering_is_accepted)
{
    setenv("OPALMEM_MCA_rcache_verbs_relaxed_ordering", "1", 1);
    start();
    ck_assert_int_eq(use(map(PROT_READ | PROT_WRITE), SIZE, MCA_RCACHE_ACCESS_ANY), OPAL_SUCCESS);
    stop();
}
END_TEST

static bool device_pages_on_demand(void)
{
    struct ibv_device_attr_ex attr;
    memset(&attr, 0, sizeof(attr));
    return ibv_query_device_ex(mca_rcache_verbs_pd(provider)->context, NULL, &attr) == 0
           && (attr.odp_caps.general_caps & IBV_ODP_SUPPORT) != 0;
}

START_TEST(on_demand_paging_pins_nothing_or_is_warned_about)
{
    setenv("OPALMEM_MCA_rcache_verbs_on_demand", "1", 1);
    start();
    ck_assert_int_eq(use(map(PROT_READ | PROT_WRITE), SIZE, 0), OPAL_SUCCESS);
    if (device_pages_on_demand()) {
        ck_assert_int_eq(pinned(), 0);
    } else {
        ck_assert_int_eq(pinned(), (long) SIZE);
        ck_assert_ptr_nonnull(strstr(messages, "no on-demand paging"));
    }
    stop();
}
END_TEST

/* ---- Refusals ----------------------------------------------------------------------------------- */

START_TEST(memory_that_is_not_there_is_a_bad_parameter)
{
    start();
    char *memory = map(PROT_READ | PROT_WRITE);
    munmap(memory + SIZE / 2, SIZE / 2);
    ck_assert_int_eq(use(memory, SIZE, 0), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(use(memory, SIZE / 2, 0), OPAL_SUCCESS);
    ck_assert_int_eq(pinned(), (long) SIZE / 2);
    stop();
}
END_TEST

START_TEST(read_only_memory_may_be_read_and_not_written)
{
    start();
    char *memory = map(PROT_READ);
    ck_assert_int_eq(use(memory, SIZE, MCA_RCACHE_ACCESS_REMOTE_READ), OPAL_SUCCESS);
    ck_assert_int_eq(use(memory, SIZE, MCA_RCACHE_ACCESS_LOCAL_WRITE), OPAL_ERR_BAD_PARAM);
    stop();
}
END_TEST

START_TEST(descriptor_that_is_no_dmabuf_is_refused)
{
    mca_rcache_verbs_registration_t reg;
    start();
    int file = memfd_create("file", MFD_CLOEXEC);
    int rc = mca_rcache_verbs_register_dmabuf(provider, file, 0, SIZE, 0, 0, &reg);
    ck_assert(rc == OPAL_ERR_NOT_SUPPORTED || rc == OPAL_ERR_BAD_PARAM); /* Whether the device has dmabuf. */
    close(file);
    stop();
}
END_TEST

START_TEST(limit_of_an_ordinary_user_makes_the_cache_evict)
{
    ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
    ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
    struct rlimit limit = { 2 * SIZE, 2 * SIZE };
    ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    start();
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(use(map(PROT_READ | PROT_WRITE), SIZE, 0), OPAL_SUCCESS);
        ck_assert_int_le(pinned(), (long) (2 * SIZE));
    }
    mca_rcache_base_stats_t stats;
    cache->rcache_stats(cache, &stats);
    ck_assert_uint_ge(stats.evictions, 6);
    char *memory = mmap(NULL, 4 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_int_eq(use(memory, 4 * SIZE, 0), OPAL_ERR_OUT_OF_RESOURCE);
    stop();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(closed_descriptor_is_noticed)
{
    start();
    ck_assert_int_eq(use(map(PROT_READ | PROT_WRITE), SIZE, 0), OPAL_SUCCESS);
    int descriptor = mca_rcache_verbs_pd(provider)->context->cmd_fd, other = open("/dev/null", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(_i == 0 ? close(descriptor) : dup2(other, descriptor), _i == 0 ? 0 : descriptor);
    ck_assert_int_eq(use(map(PROT_READ | PROT_WRITE), SIZE, 0), OPAL_ERR_UNREACH);
    ck_assert_msg(strstr(messages, "descriptor was closed or replaced") != NULL, "%s", messages);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
}
END_TEST

START_TEST(domain_in_use_is_left_open_with_a_warning)
{
    start();
    struct ibv_pd *pd = mca_rcache_verbs_pd(provider);
    struct ibv_cq *cq = ibv_create_cq(pd->context, 4, NULL, NULL, 0);
    struct ibv_qp_init_attr attr = {
        .send_cq = cq, .recv_cq = cq, .qp_type = IBV_QPT_RC, .cap = { 1, 1, 1, 1, 0 }
    };
    struct ibv_qp *qp = ibv_create_qp(pd, &attr);
    ck_assert_ptr_nonnull(qp);
    stop();
    ck_assert_ptr_nonnull(strstr(messages, "still in use"));
    ck_assert_int_eq(ibv_destroy_qp(qp), 0);
    ck_assert_int_eq(ibv_destroy_cq(cq), 0);
}
END_TEST

/* ---- Forks -------------------------------------------------------------------------------------- */

START_TEST(child_registers_for_itself_and_the_parents_registrations_stay)
{
    mca_rcache_verbs_registration_t *held;
    start();
    char *memory = map(PROT_READ | PROT_WRITE);
    ck_assert_int_eq(try_get(memory, SIZE, 0, &held), OPAL_SUCCESS);
    pid_t pid = fork();
    if (pid == 0) {
        child_must_end_within(30);
        bool good = pinned() == 0 && cache->rcache_deregister(cache, &held->super) == OPAL_SUCCESS;
        good = good && use(memory, SIZE, MCA_RCACHE_ACCESS_REMOTE_READ) == OPAL_SUCCESS && pinned() == (long) SIZE;
        good = good && munmap(memory, SIZE) == 0;
        mca_rcache_base_progress();
        child_says(good && pinned() == 0 && mca_rcache_base_module_destroy(cache) == OPAL_SUCCESS);
    }
    child_must_be_good(pid);
    ck_assert_int_eq(pinned(), (long) SIZE);
    ck_assert_int_eq(cache->rcache_deregister(cache, &held->super), OPAL_SUCCESS);
    ck_assert_int_eq(use(memory, SIZE, 0), OPAL_SUCCESS);
    stop();
    ck_assert_int_eq(pinned(), 0);
}
END_TEST

START_TEST(domain_of_the_program_serves_as_well)
{
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    struct ibv_device **devices = ibv_get_device_list(NULL);
    struct ibv_context *context = ibv_open_device(devices[0]);
    struct ibv_pd *pd = ibv_alloc_pd(context);
    mca_rcache_base_resources_t resources;
    ck_assert_int_eq(mca_rcache_verbs_open_pd(pd, &provider), OPAL_SUCCESS);
    mca_rcache_provider_resources(provider, &resources);
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    mca_rcache_verbs_registration_t *reg = NULL;
    ck_assert_int_eq(try_get(map(PROT_READ | PROT_WRITE), SIZE, 0, &reg), OPAL_SUCCESS);
    ck_assert_ptr_eq(reg->mr->pd, pd);
    ck_assert_int_eq(cache->rcache_deregister(cache, &reg->super), OPAL_SUCCESS);
    stop();
    ck_assert_int_eq(ibv_dealloc_pd(pd), 0); /* It would be in use, if something were left. */
    ck_assert_int_eq(ibv_close_device(context), 0);
    ibv_free_device_list(devices);
}
END_TEST

int main(void)
{
    int count = 0;
    struct ibv_device **devices = ibv_get_device_list(&count);
    if (devices == NULL || count == 0) {
        return test_skip("an RDMA device");
    }
    ibv_free_device_list(devices);
    Suite *suite = suite_create("verbs on a device");
    TCase *tests = tcase_create("device");
    tcase_add_test(tests, registered_memory_is_pinned_until_its_release_is_handled);
    tcase_add_test(tests, nothing_is_pinned_after_the_cache_is_destroyed);
    tcase_add_test(tests, all_rights_are_granted);
    tcase_add_test(tests, relaxed_ordering_is_accepted);
    tcase_add_test(tests, on_demand_paging_pins_nothing_or_is_warned_about);
    tcase_add_test(tests, memory_that_is_not_there_is_a_bad_parameter);
    tcase_add_test(tests, read_only_memory_may_be_read_and_not_written);
    tcase_add_test(tests, descriptor_that_is_no_dmabuf_is_refused);
    tcase_add_test(tests, limit_of_an_ordinary_user_makes_the_cache_evict);
    tcase_add_loop_test(tests, closed_descriptor_is_noticed, 0, 2);
    tcase_add_test(tests, domain_in_use_is_left_open_with_a_warning);
    tcase_add_test(tests, child_registers_for_itself_and_the_parents_registrations_stay);
    tcase_add_test(tests, domain_of_the_program_serves_as_well);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
