/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider uring with the real memory component: pages really pinned,
 * really released, and what a device would then read. Needs io_uring. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"
#include "test/test_main.h"

#define SIZE ((size_t) 64 * 1024)

static mca_rcache_provider_t *provider;
static mca_rcache_base_module_t *cache;
static int channel;
static char last_message[1024];

static void keep_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    strncpy(last_message, message, sizeof(last_message) - 1);
}

static void start(void)
{
    mca_rcache_base_resources_t resources;
    mca_base_set_log(keep_message, NULL);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(mca_rcache_provider_open("uring", &provider), OPAL_SUCCESS);
    mca_rcache_provider_resources(provider, &resources);
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    ck_assert_ptr_nonnull(cache);
    channel = memfd_create("channel", MFD_CLOEXEC);
    ck_assert_int_ge(channel, 0);
}

static void stop(void)
{
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    mca_rcache_provider_close(provider);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    close(channel);
}

static long pinned_kb(void)
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
    return value;
}

static char *map_at(char *where)
{
    char *memory = mmap(where, SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | (where == NULL ? 0 : MAP_FIXED_NOREPLACE), -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

static ssize_t send_through(char *memory)
{
    mca_rcache_base_registration_t *reg;
    ck_assert_int_eq(cache->rcache_register(cache, memory, SIZE, 0, 0, &reg), OPAL_SUCCESS);
    ssize_t moved =
        mca_rcache_uring_write(provider, channel, (mca_rcache_uring_registration_t *) reg, memory, SIZE, 0);
    ck_assert_int_eq(cache->rcache_deregister(cache, reg), OPAL_SUCCESS);
    return moved;
}

/* What arrives when `letter` is sent from memory. */
static char sent(char *memory, char letter)
{
    char got = 0;
    memset(memory, letter, SIZE);
    ck_assert_int_eq(send_through(memory), (ssize_t) SIZE);
    ck_assert_int_eq(pread(channel, &got, 1, SIZE / 2), 1);
    return got;
}

static bool notices(void)
{
    return (opal_mem_hooks_support_level() & OPAL_MEMORY_MUNMAP_SUPPORT) != 0;
}

/* Send, release by munmap, get the same address again, send something else. */
static char sent_after_release(void)
{
    char *memory = map_at(NULL);
    ck_assert_int_eq(sent(memory, 'a'), 'a');
    ck_assert_int_eq(munmap(memory, SIZE), 0);
    ck_assert_ptr_eq(map_at(memory), memory);
    return sent(memory, 'b');
}

START_TEST(after_release_the_new_pages_are_sent)
{
    start();
    ck_assert_int_eq(sent_after_release(), 'b');
    stop();
}
END_TEST

START_TEST(without_hooks_the_old_pages_are_sent)
{
    setenv("OPALMEM_MCA_memory", "noop", 1);
    setenv("OPALMEM_MCA_rcache_base_unsafe", "1", 1);
    start();
    ck_assert(!notices());
    ck_assert_int_eq(sent_after_release(), 'a');
    stop();
}
END_TEST

START_TEST(without_hooks_nothing_is_cached_unless_forced)
{
    setenv("OPALMEM_MCA_memory", "noop", 1);
    start();
    ck_assert(!mca_rcache_base_is_caching(cache));
    ck_assert_int_eq(sent_after_release(), 'b');
    stop();
}
END_TEST

START_TEST(received_bytes_are_seen_after_release)
{
    start();
    char *memory = map_at(NULL);
    ck_assert_int_eq(sent(memory, 'a'), 'a');
    ck_assert_int_eq(madvise(memory, SIZE, MADV_DONTNEED), 0);
    mca_rcache_base_registration_t *reg;
    ck_assert_int_eq(cache->rcache_register(cache, memory, SIZE, 0, MCA_RCACHE_ACCESS_LOCAL_WRITE, &reg),
                     OPAL_SUCCESS);
    ck_assert_int_eq(
        mca_rcache_uring_read(provider, channel, (mca_rcache_uring_registration_t *) reg, memory, SIZE, 0),
        (ssize_t) SIZE);
    ck_assert_int_eq(memory[SIZE - 1], 'a');
    ck_assert_int_eq(cache->rcache_deregister(cache, reg), OPAL_SUCCESS);
    munmap(memory, SIZE);
    stop();
}
END_TEST

/* Kernels before 6.4 give pages back up to a second after the buffer is unregistered. */
static void expect_pinned(long kilobytes)
{
    for (int i = 0; i < 1000 && pinned_kb() != kilobytes; i++) {
        usleep(10000);
    }
    ck_assert_int_eq(pinned_kb(), kilobytes);
}

/* A component that is told afterwards has the cache unpin at its next call. */
static void let_the_cache_know(void)
{
    if ((opal_memory_base_sees() & OPAL_MEMORY_SEES_BEFORE) == 0) {
        ck_assert_int_eq(opal_memory_base_sync(), OPAL_SUCCESS);
        mca_rcache_base_progress();
    }
}

START_TEST(pages_are_unpinned_before_they_go)
{
    start();
    long before = pinned_kb();
    char *memory = map_at(NULL);
    ck_assert_int_eq(sent(memory, 'a'), 'a');
    ck_assert_int_eq(pinned_kb() - before, (long) SIZE / 1024);
    munmap(memory, SIZE);
    let_the_cache_know();
    expect_pinned(before);
    stop();
    expect_pinned(before);
}
END_TEST

static int code_for(void *memory, size_t size)
{
    mca_rcache_base_registration_t *reg;
    int rc = cache->rcache_register(cache, memory, size, 0, 0, &reg);
    if (rc == OPAL_SUCCESS) {
        ck_assert_int_eq(cache->rcache_deregister(cache, reg), OPAL_SUCCESS);
    }
    return rc;
}

START_TEST(memory_that_cannot_be_pinned_has_a_code_by_its_cause)
{
    start();
    char *memory = map_at(NULL);
    ck_assert_int_eq(code_for(map_at(NULL), SIZE),
                     OPAL_SUCCESS); /* So that the cache's own memory does not fill the hole. */
    ck_assert_int_eq(munmap(memory + SIZE / 2, SIZE / 2), 0);
    ck_assert_int_eq(code_for(memory, SIZE), OPAL_ERR_BAD_PARAM);
    memory = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_int_eq(code_for(memory, SIZE), OPAL_ERR_PERM);
    memory = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = code_for(memory, SIZE);
    ck_assert(rc == OPAL_ERR_PERM || rc == OPAL_SUCCESS); /* Which of the two depends on the kernel. */
    ck_assert_int_eq(code_for(memory, (size_t) 2 << 30), OPAL_ERR_VALUE_OUT_OF_BOUNDS);
    ck_assert_int_eq(sent(map_at(NULL), 'a'), 'a');
    stop();
}
END_TEST

/* Kernels differ in what they allow, and some answer as they do for a descriptor that is no ring. */
START_TEST(mapped_file_is_registered_or_refused_and_the_ring_goes_on)
{
    start();
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    void *file = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, self, 0);
    ck_assert_ptr_ne(file, MAP_FAILED);
    int rc = code_for(file, SIZE);
    ck_assert(rc == OPAL_ERR_PERM || rc == OPAL_SUCCESS);
    ck_assert_int_eq(sent(map_at(NULL), 'a'), 'a');
    close(self);
    stop();
}
END_TEST

static mca_rcache_base_stats_t after_pages(size_t count)
{
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, count * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(code_for(memory + i * page, page), OPAL_SUCCESS);
    }
    mca_rcache_base_stats_t full, empty;
    cache->rcache_stats(cache, &full);
    munmap(memory, count * page);
    let_the_cache_know();
    cache->rcache_stats(cache, &empty);
    ck_assert_uint_eq(empty.count, 0);
    return full;
}

START_TEST(more_registrations_than_a_table_holds_are_kept)
{
    enum { COUNT = 16384 + 2000 };
    start();
    long before = pinned_kb();
    mca_rcache_base_stats_t stats = after_pages(COUNT);
    ck_assert_uint_eq(stats.evictions, 0);
    ck_assert_uint_eq(stats.count, COUNT);
    expect_pinned(before);
    stop();
}
END_TEST

START_TEST(full_tables_evict_where_no_further_ring_can_be_made)
{
    enum { COUNT = 2000 };
    struct rlimit limit, none = { 0, 0 };
    start();
    after_pages(1); /* A memory component, too, may open what it needs at the first registration. */
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none.rlim_max = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    mca_rcache_base_stats_t stats = after_pages(COUNT);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_uint_ge(stats.evictions, COUNT - 1024);
    ck_assert_uint_le(stats.count, 1024);
    stop();
}
END_TEST

START_TEST(closed_descriptor_is_noticed)
{
    mca_rcache_base_registration_t *reg;
    start();
    char *memory = map_at(NULL);
    ck_assert_int_eq(sent(memory, 'a'), 'a');
    for (int fd = 3; fd < 65536; fd++) {
        if (fd != channel) {
            close(fd);
        }
    }
    ck_assert_int_eq(
        cache->rcache_register(cache, memory + SIZE / 2, SIZE, MCA_RCACHE_FLAGS_CACHE_BYPASS, 0, &reg),
        OPAL_ERR_UNREACH);
    ck_assert_ptr_nonnull(strstr(last_message, "descriptor"));
    stop();
}
END_TEST

START_TEST(fork_child_has_a_ring_of_its_own)
{
    start();
    char *memory = map_at(NULL);
    ck_assert_int_eq(sent(memory, 'a'), 'a');
    pid_t pid = fork();
    if (pid == 0) {
        bool good = sent(memory, 'c') == 'c';
        good = sent_after_release() == 'b' && good;
        stop();
        _exit(good ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(sent(memory, 'd'), 'd');
    stop();
}
END_TEST

START_TEST(two_caches_of_a_fork_child_share_one_new_ring)
{
    mca_rcache_base_resources_t resources;
    start();
    mca_rcache_provider_resources(provider, &resources);
    mca_rcache_base_module_t *first = cache, *second = mca_rcache_base_module_create(NULL, NULL, &resources);
    char *memory = map_at(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = sent(memory, 'a') == 'a';
        cache = second;
        good = sent(memory, 'b') == 'b' && good;
        cache = first; /* Its registration of before must still be good. */
        good = sent(memory, 'c') == 'c' && good;
        mca_rcache_base_stats_t stats;
        cache->rcache_stats(cache, &stats);
        _exit(good && stats.hits == 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(mca_rcache_base_module_destroy(second), OPAL_SUCCESS);
    stop();
}
END_TEST

START_TEST(lockable_memory_limit_is_out_of_resource_and_leaves_nothing_pinned)
{
    start();
    if (geteuid() == 0) { /* A user of our own: the kernel counts all that a user's processes have pinned. */
        const uid_t user = 40000 + (uid_t) getpid() % 20000;
        ck_assert_int_eq(setresgid(user, user, user), 0);
        ck_assert_int_eq(setresuid(user, user, user), 0);
    }
    struct rlimit limit = { 1 << 20, 1 << 20 };
    ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    pid_t pid = fork(); /* The ring of the child is made under that limit. */
    if (pid == 0) {
        mca_rcache_base_registration_t *reg;
        char *memory = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        /* Of a huge page the kernel counts all, whatever is registered. */
        madvise(memory, 8 << 20, MADV_NOHUGEPAGE);
        const bool is_refused =
            cache->rcache_register(cache, memory, 8 << 20, 0, 0, &reg) == OPAL_ERR_OUT_OF_RESOURCE;
        const bool is_clean = pinned_kb() == 0;
        const bool is_usable = cache->rcache_register(cache, memory, 64 << 10, 0, 0, &reg) == OPAL_SUCCESS;
        _exit((is_refused ? 0 : 1) | (is_clean ? 0 : 2) | (is_usable ? 0 : 4));
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    stop();
}
END_TEST

START_TEST(unknown_provider_is_named_with_the_known_ones)
{
    mca_rcache_provider_t *none = (void *) 1;
    mca_base_set_log(keep_message, NULL);
    ck_assert_int_eq(mca_rcache_provider_open("nosuch", &none), OPAL_ERR_NOT_FOUND);
    ck_assert_ptr_eq(none, (void *) 1);
    ck_assert_ptr_nonnull(strstr(last_message, "there are: uring"));
    ck_assert_ptr_nonnull(strstr(last_message, ", none"));
}
END_TEST

int main(void)
{
#ifdef __SANITIZE_THREAD__
    return test_skip(
        "a build without TSan, which replaces mmap and munmap, and has left a thread before its last release");
#endif
    mca_rcache_provider_t *probe;
    if (mca_rcache_provider_open("uring", &probe) != OPAL_SUCCESS) {
        return test_skip("io_uring with a sparse buffer table");
    }
    mca_rcache_provider_close(probe);
    opalmem_init(NULL, NULL);
    bool noticed = notices();
    opalmem_finalize();
    if (!noticed) {
        return test_skip("a memory component that notices releases");
    }
    Suite *suite = suite_create("uring");
    TCase *tests = tcase_create("pinned pages");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, after_release_the_new_pages_are_sent);
    tcase_add_test(tests, without_hooks_the_old_pages_are_sent);
    tcase_add_test(tests, without_hooks_nothing_is_cached_unless_forced);
    tcase_add_test(tests, received_bytes_are_seen_after_release);
    tcase_add_test(tests, pages_are_unpinned_before_they_go);
    tcase_add_test(tests, memory_that_cannot_be_pinned_has_a_code_by_its_cause);
    tcase_add_test(tests, mapped_file_is_registered_or_refused_and_the_ring_goes_on);
    tcase_add_test(tests, more_registrations_than_a_table_holds_are_kept);
    tcase_add_test(tests, full_tables_evict_where_no_further_ring_can_be_made);
    tcase_add_test(tests, closed_descriptor_is_noticed);
    tcase_add_test(tests, fork_child_has_a_ring_of_its_own);
    tcase_add_test(tests, two_caches_of_a_fork_child_share_one_new_ring);
    tcase_add_test(tests, lockable_memory_limit_is_out_of_resource_and_leaves_nothing_pinned);
    tcase_add_test(tests, unknown_provider_is_named_with_the_known_ones);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
