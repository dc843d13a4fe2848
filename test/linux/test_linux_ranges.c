/* SPDX-License-Identifier: BSD-3-Clause */
/* Which pages each call takes away, by tables of arguments. */
#include "components/linux/linux.h"

#include <sys/mman.h>
#include <sys/shm.h>

#include "test/test_main.h"

#define K 4096L
#define MAX_LONG_PAGE (-K) /* The last page of 64 bits. */
#define END ((1L << 47) - K)
#define A 0x100000L
#define B 0x900000L

#define MADV_DONTNEED_LOCKED_NR 24
#define MREMAP_DONTUNMAP_NR 4
#define NOREPLACE 0x100000

typedef size_t (*ranges_fn_t)(const long args[6], opal_mem_hooks_range_t out[]);

typedef struct row_t {
    const char *name;
    ranges_fn_t ranges;
    long args[6];
    size_t count;
    opal_mem_hooks_range_t expected[2];
} row_t;

#define MM MAP_PRIVATE | MAP_ANONYMOUS
#define LINUX_HUGE(log) ((long) (log) << 26)

static const row_t rows[] = {
    { "munmap whole pages", linux_ranges_munmap, { A, 2 * K }, 1, { { A, 2 * K } } },
    { "munmap rounds its length up", linux_ranges_munmap, { A, K + 1 }, 1, { { A, 2 * K } } },
    { "munmap of one byte", linux_ranges_munmap, { A, 1 }, 1, { { A, K } } },
    { "munmap unaligned", linux_ranges_munmap, { A + 1, K }, 0, { { 0 } } },
    { "munmap of nothing", linux_ranges_munmap, { A, 0 }, 0, { { 0 } } },
    { "munmap length wraps to 0", linux_ranges_munmap, { A, -1 }, 0, { { 0 } } },
    { "munmap wraps", linux_ranges_munmap, { A, -A }, 0, { { 0 } } },
    { "munmap to the end", linux_ranges_munmap, { END - K, K }, 1, { { END - K, K } } },
    { "munmap over the end", linux_ranges_munmap, { END - K, 2 * K }, 0, { { 0 } } },
    { "munmap behind the end", linux_ranges_munmap, { END, K }, 0, { { 0 } } },
    { "munmap in the kernel's half", linux_ranges_munmap, { MAX_LONG_PAGE, K }, 0, { { 0 } } },
    { "munmap of everything", linux_ranges_munmap, { 0, END }, 1, { { 0, END } } },
    { "munmap with a tagged address", linux_ranges_munmap, { A | 0x15L << 57, K }, 1, { { A, K } } },

    { "mmap anywhere", linux_ranges_mmap, { A, K, 0, MM }, 0, { { 0 } } },
    { "mmap over", linux_ranges_mmap, { A, K + 1, 0, MM | MAP_FIXED }, 1, { { A, 2 * K } } },
    { "mmap over nothing", linux_ranges_mmap, { A, K, 0, MM | MAP_FIXED | NOREPLACE }, 0, { { 0 } } },
    { "mmap over nothing, short", linux_ranges_mmap, { A, K, 0, MM | NOREPLACE }, 0, { { 0 } } },
    { "mmap over, unaligned", linux_ranges_mmap, { A + 1, K, 0, MM | MAP_FIXED }, 0, { { 0 } } },
    { "mmap over, length 0", linux_ranges_mmap, { A, 0, 0, MM | MAP_FIXED }, 0, { { 0 } } },
    { "mmap over, offset unaligned", linux_ranges_mmap, { A, K, 0, MM | MAP_FIXED, -1, 1 }, 0, { { 0 } } },
    { "mmap over, length wraps", linux_ranges_mmap, { A, -1, 0, MM | MAP_FIXED }, 0, { { 0 } } },
    { "mmap over the end", linux_ranges_mmap, { END - K, 2 * K, 0, MM | MAP_FIXED }, 0, { { 0 } } },
    { "mmap over, default huge page",
      linux_ranges_mmap,
      { 0x4000000, K, 0, MM | MAP_FIXED | MAP_HUGETLB },
      1,
      { { 0x4000000, 1L << 25 } } },
    { "mmap over, huge page of 2 MiB",
      linux_ranges_mmap,
      { 0x4000000, K, 0, MM | MAP_FIXED | MAP_HUGETLB | LINUX_HUGE(21) },
      1,
      { { 0x4000000, 1L << 21 } } },
    { "mmap over, huge page of 1 GiB",
      linux_ranges_mmap,
      { 1L << 30, (1L << 30) + 1, 0, MM | MAP_FIXED | MAP_HUGETLB | LINUX_HUGE(30) },
      1,
      { { 1L << 30, 1L << 31 } } },
    { "mmap over, no such huge page",
      linux_ranges_mmap,
      { 1L << 30, K, 0, MM | MAP_FIXED | MAP_HUGETLB | LINUX_HUGE(63) },
      0,
      { { 0 } } },

    { "mremap shrinks", linux_ranges_mremap, { A, 4 * K, K + 1, 0 }, 1, { { A + 2 * K, 2 * K } } },
    { "mremap shrinks, may move", linux_ranges_mremap, { A, 4 * K, K, MREMAP_MAYMOVE }, 1, { { A + K, 3 * K } } },
    { "mremap shrinks within a page", linux_ranges_mremap, { A, K, 1, 0 }, 0, { { 0 } } },
    { "mremap keeps its size", linux_ranges_mremap, { A, K, K, MREMAP_MAYMOVE }, 0, { { 0 } } },
    { "mremap grows", linux_ranges_mremap, { A, K, 2 * K, 0 }, 0, { { 0 } } },
    { "mremap to nothing", linux_ranges_mremap, { A, K, 0, 0 }, 0, { { 0 } } },
    { "mremap unaligned", linux_ranges_mremap, { A + 1, 2 * K, K, 0 }, 0, { { 0 } } },
    { "mremap with an unknown flag", linux_ranges_mremap, { A, 2 * K, K, 8 }, 0, { { 0 } } },
    { "mremap shrinks over the end", linux_ranges_mremap, { END - K, 4 * K, K, 0 }, 0, { { 0 } } },
    { "mremap duplicates", linux_ranges_mremap, { A, 0, K, MREMAP_MAYMOVE }, 0, { { 0 } } },
    { "mremap fixed",
      linux_ranges_mremap,
      { A, 2 * K, 3 * K, MREMAP_MAYMOVE | MREMAP_FIXED, B },
      2,
      { { A, 2 * K }, { B, 3 * K } } },
    { "mremap fixed, old length 0",
      linux_ranges_mremap,
      { A, 0, K, MREMAP_MAYMOVE | MREMAP_FIXED, B },
      1,
      { { B, K } } },
    { "mremap fixed, may not move", linux_ranges_mremap, { A, K, K, MREMAP_FIXED, B }, 0, { { 0 } } },
    { "mremap fixed onto itself",
      linux_ranges_mremap,
      { A, 2 * K, K, MREMAP_MAYMOVE | MREMAP_FIXED, A + K },
      0,
      { { 0 } } },
    { "mremap fixed next to itself",
      linux_ranges_mremap,
      { A, K, K, MREMAP_MAYMOVE | MREMAP_FIXED, A + K },
      2,
      { { A, K }, { A + K, K } } },
    { "mremap fixed, place unaligned",
      linux_ranges_mremap,
      { A, K, K, MREMAP_MAYMOVE | MREMAP_FIXED, B + 1 },
      0,
      { { 0 } } },
    { "mremap fixed, place behind the end",
      linux_ranges_mremap,
      { A, K, 2 * K, MREMAP_MAYMOVE | MREMAP_FIXED, END - K },
      0,
      { { 0 } } },
    { "mremap fixed, bad source",
      linux_ranges_mremap,
      { END - K, 2 * K, K, MREMAP_MAYMOVE | MREMAP_FIXED, B },
      1,
      { { B, K } } },
    { "mremap dontunmap",
      linux_ranges_mremap,
      { A, 2 * K, 2 * K, MREMAP_MAYMOVE | MREMAP_DONTUNMAP_NR, 0 },
      1,
      { { A, 2 * K } } },
    { "mremap dontunmap, other size",
      linux_ranges_mremap,
      { A, 2 * K, K, MREMAP_MAYMOVE | MREMAP_DONTUNMAP_NR, 0 },
      0,
      { { 0 } } },
    { "mremap dontunmap, may not move", linux_ranges_mremap, { A, K, K, MREMAP_DONTUNMAP_NR, 0 }, 0, { { 0 } } },
    { "mremap dontunmap fixed",
      linux_ranges_mremap,
      { A, K, K, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP_NR, B },
      2,
      { { A, K }, { B, K } } },
    { "mremap of all, refused", linux_ranges_mremap_whole, { A + 1, K, 2 * K, MREMAP_MAYMOVE }, 0, { { 0 } } },
    { "mremap of all", linux_ranges_mremap_whole, { A, K + 1, 9 * K, MREMAP_MAYMOVE }, 1, { { A, 2 * K } } },

    { "madvise dontneed", linux_ranges_madvise, { A, K + 1, MADV_DONTNEED }, 1, { { A, 2 * K } } },
    { "madvise free", linux_ranges_madvise, { A, K, MADV_FREE }, 1, { { A, K } } },
    { "madvise remove", linux_ranges_madvise, { A, K, MADV_REMOVE }, 1, { { A, K } } },
    { "madvise dontneed locked", linux_ranges_madvise, { A, K, MADV_DONTNEED_LOCKED_NR }, 1, { { A, K } } },
    { "madvise guard", linux_ranges_madvise, { A, K, 102 }, 1, { { A, K } } },
    { "madvise poison", linux_ranges_madvise, { A, K, 100 }, 1, { { A, K } } },
    { "madvise offline", linux_ranges_madvise, { A, K, 101 }, 1, { { A, K } } },
    { "madvise willneed", linux_ranges_madvise, { A, K, MADV_WILLNEED }, 0, { { 0 } } },
    { "madvise cold", linux_ranges_madvise, { A, K, 20 }, 0, { { 0 } } },
    { "madvise remove guard", linux_ranges_madvise, { A, K, 103 }, 0, { { 0 } } },
    { "madvise unaligned", linux_ranges_madvise, { A + 1, K, MADV_DONTNEED }, 0, { { 0 } } },
    { "madvise of nothing", linux_ranges_madvise, { A, 0, MADV_DONTNEED }, 0, { { 0 } } },
    { "madvise length wraps to 0", linux_ranges_madvise, { A, -1, MADV_DONTNEED }, 0, { { 0 } } },
    { "madvise wraps", linux_ranges_madvise, { A, -K, MADV_DONTNEED }, 0, { { 0 } } },
    { "madvise over the end", linux_ranges_madvise, { END - K, 9 * K, MADV_DONTNEED }, 1, { { END - K, K } } },
    { "madvise behind the end", linux_ranges_madvise, { END, K, MADV_DONTNEED }, 0, { { 0 } } },

    { "remap_file_pages", linux_ranges_remap_file_pages, { A, 2 * K, 0, 1 }, 1, { { A, 2 * K } } },
    { "remap_file_pages rounds down",
      linux_ranges_remap_file_pages,
      { A + 5, 2 * K + 9, 0 },
      1,
      { { A, 2 * K } } },
    { "remap_file_pages of less than a page", linux_ranges_remap_file_pages, { A, K - 1, 0 }, 0, { { 0 } } },
    { "remap_file_pages with protection", linux_ranges_remap_file_pages, { A, K, PROT_READ }, 0, { { 0 } } },
};

#define ROWS ((int) (sizeof(rows) / sizeof(rows[0])))

static void set_facts(void)
{
    linux_facts = (linux_facts_t){ .page = K,
                                   .address_end = END,
                                   .huge_page = 1L << 25,
                                   .heap_start = 0x10000,
                                   .tag_bits = (uintptr_t) 0x3f << 57 };
}

static void check_ranges(const char *name, size_t count, const opal_mem_hooks_range_t *got, size_t expected_count,
                         const opal_mem_hooks_range_t *expected)
{
    ck_assert_msg(count == expected_count, "%s: %zu ranges, not %zu", name, count, expected_count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(got[i].start == expected[i].start && got[i].length == expected[i].length,
                      "%s: range %zu is 0x%lx + 0x%lx, not 0x%lx + 0x%lx", name, i, (long) got[i].start,
                      (long) got[i].length, (long) expected[i].start, (long) expected[i].length);
    }
}

START_TEST(arguments_give_exactly_the_kernels_range)
{
    opal_mem_hooks_range_t got[2] = { { 0, 0 }, { 0, 0 } };
    const row_t *row = &rows[_i];

    set_facts();
    check_ranges(row->name, row->ranges(row->args, got), got, row->count, row->expected);
}
END_TEST

START_TEST(without_masking_a_tagged_address_is_refused)
{
    const long args[6] = { A | 0x15L << 57, K };
    opal_mem_hooks_range_t got[2];

    set_facts();
    linux_facts.tag_bits = 0;
    ck_assert_uint_eq(linux_ranges_munmap(args, got), 0);
}
END_TEST

START_TEST(five_levels_move_the_end)
{
    const long args[6] = { 1L << 50, K };
    opal_mem_hooks_range_t got[2];

    set_facts();
    ck_assert_uint_eq(linux_ranges_munmap(args, got), 0);
    linux_facts.address_end = (1UL << 56) - K;
    ck_assert_uint_eq(linux_ranges_munmap(args, got), 1);
}
END_TEST

static const struct {
    uintptr_t wanted, present;
    size_t count;
    opal_mem_hooks_range_t expected;
} brk_rows[] = {
    { 0x20000, 0x30000, 1, { 0x20000, 0x10000 } },
    { 0x20001, 0x30001, 1, { 0x21000, 0x10000 } },
    { 0x20001, 0x20fff, 0, { 0, 0 } },
    { 0x30000, 0x20000, 0, { 0, 0 } },
    { 0x30000, 0x30000, 0, { 0, 0 } },
    { 0x0ffff, 0x30000, 0, { 0, 0 } }, /* below the start of the heap: refused */
    { 0x10000, 0x30000, 1, { 0x10000, 0x20000 } },
    { 0x04000, 0x08000, 1, { 0x04000, 0x04000 } }, /* the heap is elsewhere than was said */
};

START_TEST(lower_break_releases_whole_pages_above_it)
{
    opal_mem_hooks_range_t got[2];

    set_facts();
    check_ranges("brk", linux_ranges_brk(brk_rows[_i].wanted, brk_rows[_i].present, got), got, brk_rows[_i].count,
                 &brk_rows[_i].expected);
}
END_TEST

static const struct {
    long args[3]; /* id, address, flags */
    size_t size;
    size_t count;
    opal_mem_hooks_range_t expected;
} shmat_rows[] = {
    { { 1, A, SHM_REMAP }, K + 1, 1, { A, 2 * K } },
    { { 1, A, 0 }, K, 0, { 0, 0 } },
    { { 1, 0, SHM_REMAP }, K, 0, { 0, 0 } },
    { { 1, A + 1, SHM_REMAP }, K, 0, { 0, 0 } },
    { { 1, A + 1, SHM_REMAP | SHM_RND }, K, 1, { A, K } },
    { { 1, 1, SHM_REMAP | SHM_RND }, K, 0, { 0, 0 } },
    { { 1, A, SHM_REMAP }, 0, 0, { 0, 0 } },
    { { 1, A, SHM_REMAP }, SIZE_MAX, 1, { A, END - A } },
};

START_TEST(shmat_over_releases_the_segments_size)
{
    const long args[6] = { shmat_rows[_i].args[0], shmat_rows[_i].args[1], shmat_rows[_i].args[2] };
    opal_mem_hooks_range_t got[2];

    set_facts();
    check_ranges("shmat", linux_ranges_shmat(args, shmat_rows[_i].size, got), got, shmat_rows[_i].count,
                 &shmat_rows[_i].expected);
}
END_TEST

static const struct {
    long args[5];
    bool may_move;
} move_rows[] = {
    { { A, K, 2 * K, MREMAP_MAYMOVE }, true },
    { { A, K, 2 * K, 0 }, false },
    { { A, 2 * K, K, MREMAP_MAYMOVE }, false },
    { { A, K, K, MREMAP_MAYMOVE }, false },
    { { A, 1, K, MREMAP_MAYMOVE }, false },
    { { A, 0, K, MREMAP_MAYMOVE }, false },
    { { A, K, 2 * K, MREMAP_MAYMOVE | MREMAP_FIXED, B }, false },
};

START_TEST(only_growth_without_a_place_may_move)
{
    const long *row = move_rows[_i].args;
    const long args[6] = { row[0], row[1], row[2], row[3], row[4] };

    ck_assert_int_eq(linux_mremap_may_move(args), move_rows[_i].may_move);
}
END_TEST

static const struct {
    long args[5];
    long result;
    size_t count;
    opal_mem_hooks_range_t expected;
} gain_rows[] = {
    { { A, K, 3 * K, MREMAP_MAYMOVE }, A, 1, { A + K, 2 * K } },
    { { A, K, 3 * K, MREMAP_MAYMOVE }, B, 1, { B, 3 * K } },
    { { A, 3 * K, K, MREMAP_MAYMOVE }, A, 0, { 0, 0 } },
    { { A, K, K, 0 }, A, 0, { 0, 0 } },
    { { A, 0, K, MREMAP_MAYMOVE }, B, 1, { B, K } },
    { { A, 2 * K, K, MREMAP_MAYMOVE | MREMAP_FIXED, B }, B, 1, { B, K } },
    { { A, K, K, MREMAP_MAYMOVE | MREMAP_DONTUNMAP_NR }, B, 1, { B, K } },
};

START_TEST(mremap_gains_what_is_new)
{
    const long *row = gain_rows[_i].args;
    const long args[6] = { row[0], row[1], row[2], row[3], row[4] };
    opal_mem_hooks_range_t got[1];

    set_facts();
    check_ranges("gain", linux_gain_mremap(args, gain_rows[_i].result, got), got, gain_rows[_i].count,
                 &gain_rows[_i].expected);
}
END_TEST

START_TEST(mmap_gains_its_rounded_length)
{
    const long small[6] = { 0, K + 1, 0, MAP_PRIVATE | MAP_ANONYMOUS };
    const long huge[6] = { 0, K, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | LINUX_HUGE(21) };
    const opal_mem_hooks_range_t expected[] = { { A, 2 * K }, { 1L << 30, 1L << 21 } };
    opal_mem_hooks_range_t got[1];

    set_facts();
    check_ranges("small", linux_gain_mmap(small, A, got), got, 1, &expected[0]);
    check_ranges("huge", linux_gain_mmap(huge, 1L << 30, got), got, 1, &expected[1]);
}
END_TEST

#define COUNT(table) ((int) (sizeof(table) / sizeof((table)[0])))

int main(void)
{
    Suite *suite = suite_create("linux_ranges");
    TCase *tcase = tcase_create("ranges");

    tcase_add_loop_test(tcase, arguments_give_exactly_the_kernels_range, 0, ROWS);
    tcase_add_test(tcase, without_masking_a_tagged_address_is_refused);
    tcase_add_test(tcase, five_levels_move_the_end);
    tcase_add_loop_test(tcase, lower_break_releases_whole_pages_above_it, 0, COUNT(brk_rows));
    tcase_add_loop_test(tcase, shmat_over_releases_the_segments_size, 0, COUNT(shmat_rows));
    tcase_add_loop_test(tcase, only_growth_without_a_place_may_move, 0, COUNT(move_rows));
    tcase_add_loop_test(tcase, mremap_gains_what_is_new, 0, COUNT(gain_rows));
    tcase_add_test(tcase, mmap_gains_its_rounded_length);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
