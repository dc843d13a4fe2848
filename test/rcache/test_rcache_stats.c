/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures of caches: places and lines, what happens when they run out or cannot be shared, what others may do
 * with the file, and fork. */
#include "rcache/base/rcache_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/test_main.h"

static mca_rcache_counters_t *cache;

static mca_rcache_counters_t *new_cache(const char *name)
{
    mca_rcache_counters_t *counters = mca_rcache_stats_new_cache(name, "test");
    ck_assert_ptr_nonnull(counters);
    return counters;
}

static mca_rcache_thread_counters_t *new_line(mca_rcache_counters_t *counters)
{
    mca_rcache_thread_counters_t *line = mca_rcache_stats_new_thread(counters);
    ck_assert_ptr_nonnull(line);
    return line;
}

static mca_rcache_base_stats_t read_stats(const mca_rcache_counters_t *counters)
{
    mca_rcache_base_stats_t stats;
    mca_rcache_stats_read(counters, &stats);
    return stats;
}

/* Descriptor of the page; -1: there is none. */
static int page_fd(void)
{
    int found = -1;
    DIR *folder = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(folder);
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char target[64] = "";
        if (readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1) > 0
            && strstr(target, MCA_RCACHE_STATS_FILE) != NULL) {
            ck_assert_int_eq(found, -1);
            found = atoi(entry->d_name);
        }
    }
    closedir(folder);
    return found;
}

static const mca_rcache_stats_page_t *map_as_reader(void)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", page_fd());
    int fd = open(path, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    void *page = mmap(NULL, sizeof(mca_rcache_stats_page_t), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    ck_assert_ptr_ne(page, MAP_FAILED);
    return page;
}

static void set_up(void)
{
    mca_rcache_stats_open(true);
    cache = new_cache("one");
}

static void tear_down(void)
{
    mca_rcache_stats_free_cache(cache);
    mca_rcache_stats_close();
    ck_assert_int_eq(page_fd(), -1);
}

/* ---- Places ----------------------------------------------------------------------------------------- */

START_TEST(new_cache_begins_at_zero_with_its_names)
{
    static const mca_rcache_base_stats_t zero;
    mca_rcache_base_stats_t stats = read_stats(cache);
    ck_assert_mem_eq(&stats, &zero, sizeof(zero));
    ck_assert_str_eq((const char *) cache->cache_name, "one");
    ck_assert_str_eq((const char *) cache->component, "test");
}
END_TEST

START_TEST(long_names_are_cut_and_short_ones_leave_nothing_behind)
{
    char name[200];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    mca_rcache_counters_t *other = mca_rcache_stats_new_cache(name, name);
    ck_assert_uint_eq(strlen((const char *) other->cache_name), 63);
    ck_assert_uint_eq(strlen((const char *) other->component), 31);
    mca_rcache_stats_free_cache(other);
    mca_rcache_counters_t *next = mca_rcache_stats_new_cache("12345678", "");
    ck_assert_ptr_eq(next, other);
    ck_assert_str_eq((const char *) next->cache_name, "12345678");
    ck_assert_str_eq((const char *) next->component, "");
    mca_rcache_stats_free_cache(next);
}
END_TEST

START_TEST(lines_of_threads_are_summed_for_their_cache_alone)
{
    mca_rcache_counters_t *other = new_cache("other");
    mca_rcache_thread_counters_t *a = new_line(cache), *b = new_line(other), *c = new_line(cache);
    ck_assert_uint_eq((uintptr_t) a % 64, 0);
    mca_rcache_stats_bump(&a->hits);
    mca_rcache_stats_bump(&c->slow_hits);
    for (int i = 0; i < 5; i++) {
        mca_rcache_stats_bump(&b->hits);
    }
    ck_assert_uint_eq(read_stats(cache).hits, 2);
    ck_assert_uint_eq(read_stats(other).hits, 5);
    mca_rcache_stats_free_cache(other);
}
END_TEST

START_TEST(freed_places_and_lines_are_used_again_from_zero)
{
    mca_rcache_counters_t *other = new_cache("other");
    mca_rcache_thread_counters_t *line = new_line(other);
    uint64_t generation = other->generation;
    mca_rcache_stats_bump(&line->hits);
    mca_rcache_stats_add(&other->misses, 3);
    mca_rcache_stats_free_cache(other);
    ck_assert_uint_eq(line->owner, 0);
    ck_assert_ptr_eq(new_cache("next"), other);
    ck_assert_ptr_eq(new_line(other), line);
    ck_assert_uint_eq(other->generation, generation + 2);
    ck_assert_uint_eq(read_stats(other).hits, 0);
    ck_assert_uint_eq(read_stats(other).misses, 0);
    mca_rcache_stats_free_cache(other);
}
END_TEST

START_TEST(all_figures_are_read_where_they_were_counted)
{
    mca_rcache_stats_grow(cache, 8192);
    mca_rcache_stats_grow(cache, 4096);
    mca_rcache_stats_shrink(cache, 8192);
    mca_rcache_stats_registered(cache, 8192);
    mca_rcache_stats_unpinned(cache, 300);
    mca_rcache_stats_add(&cache->invalidations[3], 4);
    mca_rcache_stats_add(&cache->merges, 5);
    mca_rcache_stats_add(&cache->bypasses, 6);
    mca_rcache_base_stats_t stats = read_stats(cache);
    ck_assert_uint_eq(stats.count, 1);
    ck_assert_uint_eq(stats.peak_count, 2);
    ck_assert_uint_eq(stats.bytes, 4096);
    ck_assert_uint_eq(stats.peak_bytes, 12288);
    ck_assert_uint_eq(stats.registrations, 1);
    ck_assert_uint_eq(stats.sizes[13], 1);
    ck_assert_uint_eq(stats.unpin_ns[8], 1);
    ck_assert_uint_eq(stats.invalidations[3], 4);
    ck_assert_uint_eq(stats.merges, 5);
    ck_assert_uint_eq(stats.bypasses, 6);
}
END_TEST

START_TEST(buckets_have_no_gap_at_either_end)
{
    ck_assert_uint_eq(mca_rcache_stats_bucket(0, 32), 0);
    ck_assert_uint_eq(mca_rcache_stats_bucket(1, 32), 0);
    ck_assert_uint_eq(mca_rcache_stats_bucket(2, 32), 1);
    ck_assert_uint_eq(mca_rcache_stats_bucket(4095, 32), 11);
    ck_assert_uint_eq(mca_rcache_stats_bucket(4096, 32), 12);
    ck_assert_uint_eq(mca_rcache_stats_bucket(UINT64_MAX, 32), 31);
}
END_TEST

START_TEST(more_caches_than_the_page_has_places_count_all_the_same)
{
    enum { MANY = MCA_RCACHE_STATS_CACHES + 100 };
    static mca_rcache_counters_t *many[MANY];
    for (size_t i = 0; i < MANY; i++) {
        many[i] = new_cache("many");
        atomic_store(&new_line(many[i])->hits, i);
        mca_rcache_stats_add(&many[i]->misses, i + 1);
    }
    for (size_t i = 0; i < MANY; i++) {
        ck_assert_uint_eq(read_stats(many[i]).hits, i);
        ck_assert_uint_eq(read_stats(many[i]).misses, i + 1);
        mca_rcache_stats_free_cache(many[i]);
    }
}
END_TEST

START_TEST(more_threads_than_the_page_has_lines_count_all_the_same)
{
    for (size_t i = 0; i < MCA_RCACHE_STATS_LINES + 100; i++) {
        mca_rcache_stats_bump(&new_line(cache)->hits);
    }
    ck_assert_uint_eq(read_stats(cache).hits, MCA_RCACHE_STATS_LINES + 100);
}
END_TEST

static void *come_and_go(void *arg)
{
    for (size_t i = 1; i <= 300; i++) {
        mca_rcache_counters_t *own = new_cache(arg);
        for (size_t k = 0; k < i % 7; k++) {
            mca_rcache_stats_bump(&new_line(own)->hits);
        }
        ck_assert_uint_eq(read_stats(own).hits, i % 7);
        ck_assert_str_eq((const char *) own->cache_name, arg);
        mca_rcache_stats_free_cache(own);
    }
    return NULL;
}

START_TEST(caches_of_several_threads_come_and_go)
{
    static char names[4][2] = { "a", "b", "c", "d" };
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, names[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
}
END_TEST

/* ---- The file --------------------------------------------------------------------------------------- */

START_TEST(reader_sees_what_is_counted_and_cannot_write)
{
    const mca_rcache_stats_page_t *page = map_as_reader();
    mca_rcache_stats_add(&cache->misses, 11);
    ck_assert_uint_eq(page->header.magic, MCA_RCACHE_STATS_MAGIC);
    ck_assert_uint_eq(page->header.pid, (uint64_t) getpid());
    ck_assert_uint_eq(page->header.caches_used, 1);
    ck_assert_uint_eq(page->cache[0].misses, 11);
    ck_assert_str_eq(page->header.cause_names[1], "munmap");
    int fd = page_fd();
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_gt(fd, 60);
    ck_assert_int_ne(ftruncate(fd, 0), 0);
    ck_assert_int_ne(ftruncate(fd, 2 * (off_t) sizeof(*page)), 0);
    if (emulator_can("seals of memfds against future writing")) {
        void *writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_eq(writable, MAP_FAILED);
        ck_assert_int_lt(write(fd, "x", 1), 0);
    }
    munmap((void *) page, sizeof(*page));
}
END_TEST

static blkcnt_t blocks(void)
{
    struct stat status;
    ck_assert_int_eq(fstat(page_fd(), &status), 0);
    return status.st_blocks;
}

START_TEST(unused_places_take_no_memory)
{
    new_line(cache);
    ck_assert_int_le(blocks(), 3 * sysconf(_SC_PAGESIZE) / 512);
}
END_TEST

/* RDMA programs lock all that they map; 6 MiB of it for nothing would be too much. */
START_TEST(locked_memory_is_not_taken_by_unused_places)
{
    if (!emulator_can("locked memory: that is its own, too")) {
        return;
    }
    mca_rcache_stats_free_cache(cache);
    mca_rcache_stats_close();
    bool locks = mlockall(MCL_FUTURE) == 0;
    cache = new_cache("one");
    munlockall();
    if (!locks) {
        printf("LEFT OUT: mlockall is not allowed here\n");
    } else if (page_fd() >= 0) {
        ck_assert_int_le(blocks(), 3 * sysconf(_SC_PAGESIZE) / 512);
    }
}
END_TEST

static void begin_anew_without_page(void)
{
    mca_rcache_stats_free_cache(cache);
    mca_rcache_stats_close();
    cache = new_cache("one");
    mca_rcache_stats_bump(&new_line(cache)->hits);
    ck_assert_uint_eq(read_stats(cache).hits, 1);
}

START_TEST(without_the_page_figures_are_counted_privately)
{
    mca_rcache_stats_open(false);
    begin_anew_without_page();
    ck_assert_int_eq(page_fd(), -1);
}
END_TEST

START_TEST(limit_of_file_size_raises_no_signal)
{
    struct rlimit limit = { 4096, RLIM_INFINITY };
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    begin_anew_without_page();
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    ck_assert_int_eq(page_fd(), -1);
}
END_TEST

START_TEST(without_descriptors_figures_are_counted_privately)
{
    struct rlimit limit, none;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    begin_anew_without_page();
    setrlimit(RLIMIT_NOFILE, &limit);
    ck_assert_int_eq(page_fd(), -1);
}
END_TEST

START_TEST(number_that_the_program_reuses_is_not_closed)
{
    int fd = page_fd();
    ck_assert_int_eq(dup2(STDIN_FILENO, fd), fd);
    mca_rcache_stats_free_cache(cache);
    mca_rcache_stats_close();
    ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
    close(fd);
    cache = new_cache("one");
}
END_TEST

START_TEST(close_leaves_the_memory_of_a_cache_that_is_left)
{
    mca_rcache_stats_close();
    mca_rcache_stats_add(&cache->misses, 1);
    ck_assert_uint_eq(read_stats(cache).misses, 1);
    ck_assert_int_ge(page_fd(), 0);
}
END_TEST

/* ---- Fork ------------------------------------------------------------------------------------------- */

static void wait_for(pid_t child)
{
    int status;
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status of the child: %x", (unsigned) status);
}

static ino_t inode(void)
{
    struct stat status;
    return page_fd() >= 0 && fstat(page_fd(), &status) == 0 ? status.st_ino : 0;
}

/* No assertions: a child that fails one would report as if it were the test. */
static int live_as_child(mca_rcache_thread_counters_t *line, ino_t parents)
{
    mca_rcache_stats_reset_child();
    bool good = read_stats(cache).hits == 0 && read_stats(cache).misses == 0 && inode() != 0 && inode() != parents
                && strcmp((const char *) cache->cache_name, "one") == 0;
    mca_rcache_stats_bump(&line->hits);
    mca_rcache_stats_add(&cache->misses, 100);
    const mca_rcache_stats_page_t *page = map_as_reader();
    good = good && read_stats(cache).hits == 1 && page->cache[0].misses == 100
           && page->header.pid == (uint64_t) getpid();
    mca_rcache_counters_t *other = mca_rcache_stats_new_cache("other", "test");
    good = good && other != cache && mca_rcache_stats_new_thread(other) != line;
    mca_rcache_stats_free_cache(other);
    mca_rcache_stats_free_cache(cache);
    mca_rcache_stats_close();
    return good && page_fd() == -1 ? 0 : 1;
}

START_TEST(fork_child_counts_from_zero_in_a_page_of_its_own)
{
    mca_rcache_thread_counters_t *line = new_line(cache);
    mca_rcache_stats_bump(&line->hits);
    mca_rcache_stats_add(&cache->misses, 7);
    ino_t own = inode();
    pid_t child = fork();
    if (child == 0) {
        _exit(live_as_child(line, own));
    }
    wait_for(child);
    ck_assert_uint_eq(read_stats(cache).hits, 1);
    ck_assert_uint_eq(read_stats(cache).misses, 7);
}
END_TEST

/* The twin: what the reset is for. */
START_TEST(child_that_is_not_reset_counts_in_its_parents_page)
{
    pid_t child = fork();
    if (child == 0) {
        mca_rcache_stats_add(&cache->misses, 100);
        _exit(0);
    }
    wait_for(child);
    ck_assert_uint_eq(read_stats(cache).misses, 100);
}
END_TEST

START_TEST(child_that_cannot_make_a_page_counts_privately)
{
    mca_rcache_thread_counters_t *line = new_line(cache);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = { 4096, 4096 };
        setrlimit(RLIMIT_FSIZE, &limit);
        mca_rcache_stats_reset_child();
        mca_rcache_stats_bump(&line->hits);
        mca_rcache_counters_t *other = mca_rcache_stats_new_cache("other", "test");
        _exit(read_stats(cache).hits == 1 && other != NULL && other != cache && page_fd() == -1 ? 0 : 1);
    }
    wait_for(child);
    ck_assert_uint_eq(read_stats(cache).hits, 0);
}
END_TEST

START_TEST(grandchildren_have_pages_of_their_own_too)
{
    pid_t child = fork();
    if (child == 0) {
        mca_rcache_stats_reset_child();
        ino_t own = inode();
        pid_t grandchild = fork();
        if (grandchild == 0) {
            mca_rcache_stats_reset_child();
            mca_rcache_stats_add(&cache->misses, 1);
            _exit(inode() != own && read_stats(cache).misses == 1 ? 0 : 1);
        }
        int status = 1;
        waitpid(grandchild, &status, 0);
        _exit(status == 0 && read_stats(cache).misses == 0 ? 0 : 1);
    }
    wait_for(child);
    ck_assert_uint_eq(read_stats(cache).misses, 0);
}
END_TEST

START_TEST(child_of_a_process_without_caches_has_no_page_until_it_needs_one)
{
    mca_rcache_stats_free_cache(cache);
    pid_t child = fork();
    if (child == 0) {
        mca_rcache_stats_reset_child();
        bool good = page_fd() == -1;
        cache = mca_rcache_stats_new_cache("one", "test");
        mca_rcache_stats_add(&cache->misses, 1);
        _exit(good && page_fd() >= 0 && read_stats(cache).misses == 1 ? 0 : 1);
    }
    wait_for(child);
    cache = new_cache("one");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rcache_stats");
    TCase *tests = tcase_create("figures");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, new_cache_begins_at_zero_with_its_names);
    tcase_add_test(tests, long_names_are_cut_and_short_ones_leave_nothing_behind);
    tcase_add_test(tests, lines_of_threads_are_summed_for_their_cache_alone);
    tcase_add_test(tests, freed_places_and_lines_are_used_again_from_zero);
    tcase_add_test(tests, all_figures_are_read_where_they_were_counted);
    tcase_add_test(tests, buckets_have_no_gap_at_either_end);
    tcase_add_test(tests, more_caches_than_the_page_has_places_count_all_the_same);
    tcase_add_test(tests, more_threads_than_the_page_has_lines_count_all_the_same);
    tcase_add_test(tests, caches_of_several_threads_come_and_go);
    tcase_add_test(tests, reader_sees_what_is_counted_and_cannot_write);
    tcase_add_test(tests, unused_places_take_no_memory);
    tcase_add_test(tests, locked_memory_is_not_taken_by_unused_places);
    tcase_add_test(tests, without_the_page_figures_are_counted_privately);
    tcase_add_test(tests, limit_of_file_size_raises_no_signal);
    tcase_add_test(tests, without_descriptors_figures_are_counted_privately);
    tcase_add_test(tests, number_that_the_program_reuses_is_not_closed);
    tcase_add_test(tests, close_leaves_the_memory_of_a_cache_that_is_left);
    tcase_add_test(tests, fork_child_counts_from_zero_in_a_page_of_its_own);
    tcase_add_test(tests, child_that_is_not_reset_counts_in_its_parents_page);
    tcase_add_test(tests, child_that_cannot_make_a_page_counts_privately);
    tcase_add_test(tests, grandchildren_have_pages_of_their_own_too);
    tcase_add_test(tests, child_of_a_process_without_caches_has_no_page_until_it_needs_one);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
