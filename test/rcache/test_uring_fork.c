/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider uring where a ring is inherited, or lost: a fork child neither
 * uses nor changes its parent's ring, and a transfer that cannot be done is an
 * error each time. Releases are raised by hand. Needs io_uring. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"
#include "test/children.h"

#define SIZE ((size_t) sysconf(_SC_PAGESIZE))

static mca_rcache_provider_t *provider;
static mca_rcache_base_module_t *cache;
static int channel;
static char *memory;

static void ignore_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) message, (void) arg;
}

static mca_rcache_base_module_t *new_cache(void)
{
    mca_rcache_base_resources_t resources;
    mca_rcache_provider_resources(provider, &resources);
    return mca_rcache_base_module_create(NULL, NULL, &resources);
}

static void set_up(void)
{
    mca_base_set_log(ignore_message, NULL);
    setenv("OPALMEM_MCA_memory", "noop", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    opal_mem_hooks_set_support(OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_int_eq(mca_rcache_provider_open("uring", &provider), OPAL_SUCCESS);
    cache = new_cache();
    ck_assert_ptr_nonnull(cache);
    channel = memfd_create("channel", MFD_CLOEXEC);
    ck_assert_int_ge(channel, 0);
    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    memset(memory, 'p', SIZE);
}

static void close_all(void)
{
    mca_rcache_provider_close(provider);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    munmap(memory, SIZE);
    close(channel);
}

static void tear_down(void)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    close_all();
}

static mca_rcache_base_registration_t *get(void)
{
    mca_rcache_base_registration_t *reg = NULL;
    ck_assert_int_eq(cache->rcache_register(cache, memory, SIZE, 0, 0, &reg), OPAL_SUCCESS);
    return reg;
}

static void put(mca_rcache_base_registration_t *reg)
{
    ck_assert_int_eq(cache->rcache_deregister(cache, reg), OPAL_SUCCESS);
}

static ssize_t write_from(const mca_rcache_base_registration_t *reg)
{
    return mca_rcache_uring_write(provider, channel, (const mca_rcache_uring_registration_t *) reg, memory, SIZE,
                                  0);
}

static ssize_t read_into(const mca_rcache_base_registration_t *reg)
{
    return mca_rcache_uring_read(provider, channel, (const mca_rcache_uring_registration_t *) reg, memory, SIZE,
                                 0);
}

/* Does the registration still send the parent's own pages? */
static void sends_what_is_there(const mca_rcache_base_registration_t *reg)
{
    char got = 0;
    ck_assert_int_eq(write_from(reg), (ssize_t) SIZE);
    ck_assert_int_eq(pread(channel, &got, 1, SIZE / 2), 1);
    ck_assert_int_eq(got, 'p');
}

/* In the child: what it sends from its own memory in a cache of its own. */
static bool works_with_a_new_cache(void)
{
    mca_rcache_base_module_t *own = new_cache();
    mca_rcache_base_registration_t *reg = NULL;
    char got = 0;
    memset(memory, 'c', SIZE);
    return own != NULL && own->rcache_register(own, memory, SIZE, 0, 0, &reg) == OPAL_SUCCESS
           && write_from(reg) == (ssize_t) SIZE && pread(channel, &got, 1, 0) == 1 && got == 'c'
           && own->rcache_deregister(own, reg) == OPAL_SUCCESS
           && mca_rcache_base_module_destroy(own) == OPAL_SUCCESS;
}

/* ---- Fork children ---------------------------------------------------------------------------------- */

START_TEST(new_cache_of_a_fork_child_leaves_the_parents_ring_alone)
{
    mca_rcache_base_registration_t *reg = get();
    pid_t pid = fork();
    if (pid == 0) {
        child_must_end_within(5);
        child_says(works_with_a_new_cache());
    }
    child_must_be_good(pid);
    sends_what_is_there(reg);
    put(reg);
}
END_TEST

/* The child knows no slot as taken, and would take the one that the parent takes after the fork. */
START_TEST(slot_that_the_parent_takes_after_the_fork_is_not_the_childs_to_take)
{
    int go[2];
    char byte = 'x';
    ck_assert_int_eq(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        child_must_end_within(5);
        bool told = read(go[0], &byte, 1) == 1;
        mca_rcache_base_module_t *own = new_cache();
        mca_rcache_base_registration_t *reg = NULL;
        memset(memory, 'c', SIZE);
        child_says(told && own != NULL
                   && own->rcache_register(own, memory, SIZE, 0, 0, &reg) == OPAL_SUCCESS); /* And stays so. */
    }
    mca_rcache_base_registration_t *reg = get();
    ck_assert_int_eq(write(go[1], &byte, 1), 1);
    child_must_be_good(pid);
    sends_what_is_there(reg);
    put(reg);
    close(go[0]);
    close(go[1]);
}
END_TEST

START_TEST(transfer_in_a_fork_child_before_it_uses_the_provider_is_refused)
{
    mca_rcache_base_registration_t *reg = get();
    pid_t pid = fork();
    if (pid == 0) {
        child_must_end_within(5);
        bool good = write_from(reg) == -EPERM && read_into(reg) == -EPERM;
        good = works_with_a_new_cache() && good;
        child_says(write_from(reg) == -EPERM && good); /* Still the parent's. */
    }
    child_must_be_good(pid);
    sends_what_is_there(reg);
    put(reg);
}
END_TEST

START_TEST(transfer_in_a_fork_child_that_gets_no_ring_is_refused)
{
    mca_rcache_base_registration_t *reg = get();
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = { 0, 0 };
        mca_rcache_base_registration_t *own = NULL;
        child_must_end_within(5);
        bool good = setrlimit(RLIMIT_NOFILE, &none) == 0;
        good = cache->rcache_register(cache, memory, SIZE, 0, 0, &own) != OPAL_SUCCESS && own == NULL && good;
        child_says(write_from(reg) < 0 && write_from(reg) < 0 && good);
    }
    child_must_be_good(pid);
    sends_what_is_there(reg);
    put(reg);
}
END_TEST

static void releases_in_child(pid_t (*make_child)(void))
{
    put(get());
    pid_t pid = make_child();
    if (pid == 0) {
        child_must_end_within(5);
        opal_mem_hooks_release_hook(memory, SIZE, true);
        child_says(true);
    }
    child_must_be_good(pid);
    mca_rcache_base_registration_t *reg = get();
    mca_rcache_base_stats_t stats;
    cache->rcache_stats(cache, &stats);
    ck_assert_uint_eq(stats.hits, 1);
    sends_what_is_there(reg);
    put(reg);
}

START_TEST(release_in_a_fork_child_leaves_the_parents_slots_filled)
{
    releases_in_child(fork);
}
END_TEST

START_TEST(release_in_a_raw_fork_child_leaves_the_parents_slots_filled)
{
    releases_in_child(raw_fork);
}
END_TEST

static void give_back_in_child(pid_t (*make_child)(void))
{
    mca_rcache_base_registration_t *reg = get();
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_ERR_RESOURCE_BUSY);
    pid_t pid = make_child();
    if (pid == 0) {
        child_must_end_within(5);
        child_says(cache->rcache_deregister(cache, reg) == OPAL_SUCCESS);
    }
    child_must_be_good(pid);
    sends_what_is_there(reg);
    put(reg);
}

START_TEST(registration_of_a_destroyed_cache_given_back_in_a_child_stays_the_parents)
{
    give_back_in_child(fork);
    close_all();
}
END_TEST

START_TEST(nor_does_a_raw_fork_child_end_it)
{
    give_back_in_child(raw_fork);
    close_all();
}
END_TEST

/* ---- A ring that is gone ---------------------------------------------------------------------------- */

static void close_the_ring(void)
{
    for (int fd = 3; fd < 65536; fd++) {
        if (fd != channel) {
            close(fd);
        }
    }
}

/* In a child of its own: Check talks to its runner through one of the descriptors. */
START_TEST(every_transfer_after_the_descriptor_was_closed_is_an_error)
{
    pid_t pid = fork();
    if (pid == 0) {
        child_must_end_within(5);
        mca_rcache_base_registration_t *reg = NULL;
        bool good = cache->rcache_register(cache, memory, SIZE, 0, 0, &reg) == OPAL_SUCCESS
                    && write_from(reg) == (ssize_t) SIZE;
        close_the_ring();
        for (int i = 0; i < 200 && good; i++) { /* More than the queue has entries. */
            good = write_from(reg) < 0 && read_into(reg) < 0;
        }
        child_says(good);
    }
    child_must_be_good(pid);
    put(get());
}
END_TEST

int main(void)
{
    mca_rcache_provider_t *probe;
    if (mca_rcache_provider_open("uring", &probe) != OPAL_SUCCESS) {
        return test_skip("io_uring with a sparse buffer table");
    }
    mca_rcache_provider_close(probe);
    Suite *suite = suite_create("uring_fork");
    TCase *tests = tcase_create("inherited and lost rings"), *destroyed = tcase_create("destroyed cache");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_checked_fixture(destroyed, set_up, NULL);
    tcase_add_test(tests, new_cache_of_a_fork_child_leaves_the_parents_ring_alone);
    tcase_add_test(tests, slot_that_the_parent_takes_after_the_fork_is_not_the_childs_to_take);
    tcase_add_test(tests, transfer_in_a_fork_child_before_it_uses_the_provider_is_refused);
    if (!under_valgrind()) {
        tcase_add_test(tests, transfer_in_a_fork_child_that_gets_no_ring_is_refused);
    }
    tcase_add_test(tests, release_in_a_fork_child_leaves_the_parents_slots_filled);
    tcase_add_test(tests, every_transfer_after_the_descriptor_was_closed_is_an_error);
    tcase_add_test(destroyed, registration_of_a_destroyed_cache_given_back_in_a_child_stays_the_parents);
    if (raw_forks_are_noticed()) {
        tcase_add_test(tests, release_in_a_raw_fork_child_leaves_the_parents_slots_filled);
        tcase_add_test(destroyed, nor_does_a_raw_fork_child_end_it);
    } else {
        printf("left out: forks that libc does not hear of (no MADV_WIPEONFORK)\n");
    }
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, destroyed);
    return test_run(suite);
}
