/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-top's reading: what it takes for a page, and that a snapshot never mixes two caches while a
 * writer gives places away and takes them again. */
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "test/test_main.h"
#include "tools/top/top.h"

#define THREADS 3

static mca_rcache_stats_page_t *page;
static top_process_t process;
static atomic_bool stop;

static void fill_in_header(void)
{
    page->header.magic = MCA_RCACHE_STATS_MAGIC;
    page->header.version = MCA_RCACHE_STATS_VERSION;
    page->header.size = sizeof *page;
    page->header.caches_offset = offsetof(mca_rcache_stats_page_t, cache);
    page->header.cache_size = sizeof page->cache[0];
    page->header.caches = MCA_RCACHE_STATS_CACHES;
    page->header.lines_offset = offsetof(mca_rcache_stats_page_t, line);
    page->header.line_size = sizeof page->line[0];
    page->header.lines = MCA_RCACHE_STATS_LINES;
}

static void set_up(void)
{
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    fill_in_header();
    process = (top_process_t){ .pages = 1, .page = { { .start = (const char *) page, .size = sizeof *page } } };
}

static void tear_down(void)
{
    munmap(page, sizeof *page);
}

static const char *check(void)
{
    return top_take_header(&process.page[0]);
}

START_TEST(sound_header_is_taken)
{
    ck_assert_ptr_null(check());
}
END_TEST

START_TEST(another_version_is_refused_by_number)
{
    page->header.version = 7;
    ck_assert_ptr_nonnull(strstr(check(), "version 7"));
    page->header.magic = 0;
    ck_assert_ptr_nonnull(strstr(check(), "does not begin"));
}
END_TEST

/* A page is another process's, perhaps of an enemy: no number in it may lead us out of the file. */
START_TEST(header_that_leads_out_of_the_file_is_refused)
{
    uint32_t *words[] = { &page->header.size,         &page->header.caches_offset, &page->header.caches,
                          &page->header.lines_offset, &page->header.lines,         &page->header.cache_size,
                          &page->header.line_size };
    static const uint32_t bad[] = { 0xfffffff8, 0x80000000 };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (size_t k = 0; k < 2; k++) {
            *words[i] = bad[k];
            ck_assert_msg(check() != NULL, "word %zu may be %u", i, (unsigned) bad[k]);
            fill_in_header();
        }
    }
    page->header.cache_size = 8;
    ck_assert_ptr_nonnull(check());
    fill_in_header();
    page->header.lines_offset += 4;
    ck_assert_ptr_nonnull(check());
    fill_in_header();
    process.page[0].size--;
    ck_assert_ptr_nonnull(check());
}
END_TEST

START_TEST(words_that_grow_beyond_the_page_are_not_followed)
{
    top_snapshot_t snapshot;
    ck_assert_ptr_null(check());
    page->header.caches_used = page->header.lines_used = UINT64_MAX;
    page->header.caches = page->header.lines = UINT32_MAX; /* After the check. */
    page->line[0].owner = UINT64_MAX;
    ck_assert(top_read(&process, &snapshot));
    ck_assert_uint_eq(snapshot.count, 0);
    top_free(&snapshot);
}
END_TEST

/* ---- Places that change hands ----------------------------------------------------------------------- */

/* A cache all of whose words say which one it is. */
static void take(uint64_t serial)
{
    mca_rcache_counters_t *cache = &page->cache[0];
    atomic_store(&cache->cache_name[0], serial & 0xff ? serial & 0xff : 1);
    atomic_store(&cache->misses, serial);
    atomic_store(&cache->peak_bytes, serial);
    atomic_fetch_add(&cache->generation, 1);
    for (int i = 0; i < THREADS; i++) {
        atomic_store(&page->line[i].hits, serial);
        atomic_store(&page->line[i].owner, atomic_load(&cache->generation) << 16);
    }
}

/* The twin leaves the generation as it is: readers cannot tell. */
static bool with_generation;

static void give_back(void)
{
    if (with_generation) {
        atomic_fetch_add(&page->cache[0].generation, 1);
    } else {
        atomic_fetch_sub(&page->cache[0].generation, 1);
    }
    for (int i = 0; i < THREADS; i++) {
        atomic_store(&page->line[i].owner, 0);
    }
}

static void *change_hands(void *arg)
{
    (void) arg;
    for (uint64_t serial = 1; !atomic_load(&stop); serial++) {
        take(serial);
        atomic_store(&page->cache[0].bytes, serial); /* What is still zero while lines are being taken. */
        give_back();
        atomic_store(&page->cache[0].bytes, 0);
    }
    return NULL;
}

/* Lines come one after another: their sum is that of some of them, all of the same cache. */
static bool is_mixed(const top_cache_t *cache)
{
    const mca_rcache_base_stats_t *s = &cache->stats;
    return s->misses != s->peak_bytes || (s->bytes != 0 && s->bytes != s->misses) || s->hits % s->misses != 0
           || s->hits / s->misses > THREADS;
}

/* Of that many snapshots, or until there is one where one is enough. */
static unsigned long count_mixed(int snapshots, unsigned long enough, unsigned long *read)
{
    pthread_t writer;
    unsigned long mixed = 0;
    ck_assert_ptr_null(check());
    page->header.caches_used = 1;
    page->header.lines_used = THREADS;
    ck_assert_int_eq(pthread_create(&writer, NULL, change_hands, NULL), 0);
    for (int i = 0; i < snapshots && mixed < enough; i++) {
        top_snapshot_t snapshot;
        ck_assert(top_read(&process, &snapshot));
        *read += snapshot.count;
        mixed += snapshot.count == 1 && is_mixed(&snapshot.caches[0]);
        top_free(&snapshot);
    }
    atomic_store(&stop, true);
    pthread_join(writer, NULL);
    return mixed;
}

START_TEST(snapshot_never_mixes_two_caches)
{
    unsigned long read = 0;
    with_generation = true;
    ck_assert_uint_eq(count_mixed(20000, ULONG_MAX, &read), 0);
    printf("%lu snapshots of a cache that comes and goes\n", read);
}
END_TEST

START_TEST(without_generations_the_mixture_shows)
{
    unsigned long read = 0;
    ck_assert_uint_gt(count_mixed(1000000, 1, &read), 0);
}
END_TEST

/* ---- Figures ------------------------------------------------------------------------------------- */

START_TEST(quantiles_are_upper_ends_of_buckets)
{
    uint64_t buckets[32] = { 0 };
    ck_assert_uint_eq(top_quantile(buckets, 32, 0.5), 0);
    buckets[3] = 99;
    buckets[10] = 1;
    ck_assert_uint_eq(top_quantile(buckets, 32, 0.5), 15);
    ck_assert_uint_eq(top_quantile(buckets, 32, 0.99), 15);
    ck_assert_uint_eq(top_quantile(buckets, 32, 1), 2047);
    buckets[31] = 1000;
    ck_assert_uint_eq(top_quantile(buckets, 32, 0.5), (UINT64_C(1) << 32) - 1);
}
END_TEST

START_TEST(units_fit_their_cells)
{
    char cell[TOP_CELL];
    top_write_bytes(4096, cell);
    ck_assert_str_eq(cell, "4 KiB");
    top_write_bytes(UINT64_MAX, cell);
    ck_assert_str_eq(cell, "16384 PiB");
    top_write_ns(1500, cell);
    ck_assert_str_eq(cell, "1.5 us");
    top_write_rate(12345, cell);
    ck_assert_str_eq(cell, "12.3k");
    top_printable("a\033[2Jb\xff", cell, sizeof cell);
    ck_assert_str_eq(cell, "a?[2Jb?");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("top_read");
    TCase *tests = tcase_create("reading");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, sound_header_is_taken);
    tcase_add_test(tests, another_version_is_refused_by_number);
    tcase_add_test(tests, header_that_leads_out_of_the_file_is_refused);
    tcase_add_test(tests, words_that_grow_beyond_the_page_are_not_followed);
    tcase_add_test(tests, snapshot_never_mixes_two_caches);
    tcase_add_test(tests, without_generations_the_mixture_shows);
    tcase_add_test(tests, quantiles_are_upper_ends_of_buckets);
    tcase_add_test(tests, units_fit_their_cells);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
