/* SPDX-License-Identifier: BSD-3-Clause */
/* Which part of a file truncate, open and fallocate take away, and when they
 * take nothing, with a kernel that answers as the test wants. test_linux_loss.c
 * has what is hard to know, test_linux_paths.c the real kernel. */
#include "test/linux/fake_files.h"

/* ---- truncate and ftruncate ------------------------------------------------------------------ */

static const struct {
    long length;
    int count;
    event_t expected[2];
} lengths[] = {
    { 0, 2, { WHOLE_FIRST, WHOLE_SECOND } },
    { 1, 2, { { { 0x20001000, 0xf000 }, false }, WHOLE_SECOND } },
    { K, 2, { { { 0x20001000, 0xf000 }, false }, WHOLE_SECOND } },
    { 6 * K - 1, 2, { { { 0x20006000, 0xa000 }, false }, { { 0x30002000, 0x2000 }, false } } },
    { 8 * K, 1, { { { 0x20008000, 0x8000 }, false } } },
    { 15 * K, 1, { { { 0x2000f000, 0x1000 }, false } } },
    { 15 * K + 1, 0, { ALL } }, /* Part of the last page stays, and the page with it. */
    { 16 * K, 0, { ALL } },
    { 100 * K, 0, { ALL } },
    { INT64_MAX, 0, { ALL } },
    { -1, 0, { ALL } },
};

#define LENGTHS ((int) (sizeof(lengths) / sizeof(lengths[0])))

START_TEST(shrinking_releases_what_lies_behind_the_new_end)
{
    ck_assert_int_eq(RUN(ftruncate, FD, lengths[_i].length), 0);
    check_events("ftruncate", lengths[_i].expected, lengths[_i].count);
}
END_TEST

START_TEST(shrinking_by_path_does_the_same)
{
    ck_assert_int_eq(RUN(truncate, (long) "/tmp/file", lengths[_i].length), 0);
    check_events("truncate", lengths[_i].expected, lengths[_i].count);
}
END_TEST

START_TEST(result_of_the_kernel_comes_back)
{
    result = -ETXTBSY;
    ck_assert_int_eq(RUN(ftruncate, FD, 0), -ETXTBSY);
    CHECK_EVENTS(WHOLE_FIRST, WHOLE_SECOND);
}
END_TEST

static void make_read_only(void)
{
    flags = O_RDONLY;
}

static void make_path_descriptor(void)
{
    flags = O_PATH;
}

static void make_bad(void)
{
    flags = -EBADF;
}

static void make_directory(void)
{
    file.st_mode = S_IFDIR;
}

static void make_fifo(void)
{
    file.st_mode = S_IFIFO;
}

static void make_empty(void)
{
    file.st_size = 0;
}

static void make_sealed(void)
{
    seals = F_SEAL_SHRINK;
}

static void make_huge_and_uneven(void)
{
    magic = HUGETLBFS_MAGIC;
    file.st_blksize = MIB2;
}

static void make_unmapped(void)
{
    text = UNMAPPED;
}

static void make_other_inode(void)
{
    file.st_ino = 8;
}

static void make_other_disk(void)
{
    file.st_dev = makedev(0xfd, 0);
}

static const struct {
    const char *name;
    void (*make)(void);
    int looks; /* Times that mappings may be read. */
} refusals[] = {
    { "read only", make_read_only, 0 },
    { "O_PATH", make_path_descriptor, 0 },
    { "not open", make_bad, 0 },
    { "directory", make_directory, 0 },
    { "fifo", make_fifo, 0 },
    { "empty", make_empty, 0 },
    { "sealed", make_sealed, 0 },
    { "part of a huge page", make_huge_and_uneven, 0 },
    { "not mapped", make_unmapped, 2 },
    { "other inode", make_other_inode, 2 },
    { "other disk", make_other_disk, 2 },
};

#define REFUSALS ((int) (sizeof(refusals) / sizeof(refusals[0])))

START_TEST(ftruncate_of_what_loses_nothing_is_quiet)
{
    refusals[_i].make();
    ck_assert_int_eq(RUN(ftruncate, FD, 4 * K), 0);
    check_quiet(refusals[_i].name);
    ck_assert_int_eq(maps_read, refusals[_i].looks);
}
END_TEST

/* ---- open ------------------------------------------------------------------------------------ */

static const long truncating[] = { O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC, O_RDWR | O_CREAT | O_TRUNC,
                                   O_RDWR | O_EXCL | O_TRUNC };

START_TEST(open_that_truncates_releases_all_of_the_file)
{
    result = FD;
    ck_assert_int_eq(OPEN(truncating[_i]), FD);
    CHECK_EVENTS(WHOLE_FIRST, WHOLE_SECOND);
}
END_TEST

static const long harmless[] = { O_WRONLY, O_RDWR | O_CREAT, O_WRONLY | O_CREAT | O_EXCL | O_TRUNC,
                                 O_PATH | O_TRUNC, O_TMPFILE | O_RDWR | O_TRUNC };

START_TEST(open_that_does_not_truncate_asks_nothing)
{
    stat_error = -ENOSYS; /* Would be heard of. */
    ck_assert_int_eq(OPEN(harmless[_i]), 0);
    check_quiet("open");
    ck_assert_int_eq(maps_read, 0);
}
END_TEST

START_TEST(open_of_what_is_no_full_file_reads_no_mappings)
{
    static void (*const makes[])(void) = { make_directory, make_fifo, make_empty };

    makes[_i]();
    ck_assert_int_eq(OPEN(O_WRONLY | O_CREAT | O_TRUNC), 0);
    check_quiet("open");
    ck_assert_int_eq(maps_read, 0);
}
END_TEST

START_TEST(open_of_a_new_file_reads_no_mappings)
{
    stat_error = -ENOENT;
    ck_assert_int_eq(OPEN(O_WRONLY | O_CREAT | O_TRUNC), 0);
    check_quiet("open");
    ck_assert_int_eq(maps_read, 0);
}
END_TEST

START_TEST(open_without_permission_is_quiet)
{
    access_error = result = -EACCES;
    ck_assert_int_eq(OPEN(O_WRONLY | O_TRUNC), -EACCES);
    check_quiet("open");
    ck_assert_int_eq(asked_access, 1);
}
END_TEST

START_TEST(creat_releases_all_of_the_file)
{
    ck_assert_int_eq(RUN(creat, (long) "/tmp/file", 0600), 0);
    CHECK_EVENTS(WHOLE_FIRST, WHOLE_SECOND);
}
END_TEST

static const struct open_how in_root = { .flags = O_WRONLY | O_TRUNC, .resolve = RESOLVE_IN_ROOT };

START_TEST(openat2_resolves_the_path_in_its_own_way)
{
    ck_assert_int_eq(RUN(openat2, 3, (long) "/tmp/file", (long) &in_root, sizeof(in_root)), 0);
    CHECK_EVENTS(WHOLE_FIRST, WHOLE_SECOND);
}
END_TEST

START_TEST(openat2_with_a_bad_structure_is_left_to_the_kernel)
{
    const long structures[] = { 0, 16, (long) &in_root };

    fake_sys_set(SYS_openat2, fake_call);
    result = -EFAULT;
    ck_assert_int_eq(RUN(openat2, 3, (long) "/tmp/file", structures[_i], _i == 2 ? 23 : 24), -EFAULT);
    check_quiet("openat2");
}
END_TEST

START_TEST(openat2_that_does_not_truncate_asks_nothing)
{
    const struct open_how how = { .flags = O_WRONLY | O_CREAT };

    ck_assert_int_eq(RUN(openat2, 3, (long) "/tmp/file", (long) &how, sizeof(how)), 0);
    check_quiet("openat2");
    ck_assert_int_eq(maps_read, 0);
}
END_TEST

/* ---- fallocate ------------------------------------------------------------------------------- */

#define KEEP FALLOC_FL_KEEP_SIZE
#define HOLE (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO FALLOC_FL_ZERO_RANGE
#define WRITE_ZEROES 0x80

static const struct {
    const char *name;
    long magic, block, mode, offset, length;
    int count;
    event_t expected[2];
} holes[] = {
    { "hole of a page", EXT4_SUPER_MAGIC, K, HOLE, K, K, 1, { { { 0x20001000, 0x1000 }, false } } },
    { "hole in both",
      TMPFS_MAGIC,
      K,
      HOLE,
      5 * K,
      2 * K,
      2,
      { { { 0x20005000, 0x2000 }, false }, { { 0x30001000, 0x2000 }, false } } },
    { "hole cut to pages", TMPFS_MAGIC, K, HOLE, K - 1, 2 * K, 1, { { { 0x20001000, 0x1000 }, false } } },
    { "hole within a page", EXT4_SUPER_MAGIC, K, HOLE, K + 1, K - 2, 0, { ALL } },
    { "hole over a page's edge", EXT4_SUPER_MAGIC, K, HOLE, K + 1, K, 0, { ALL } },
    { "hole across the end", TMPFS_MAGIC, K, HOLE, 15 * K, 100 * K, 1, { { { 0x2000f000, 0x1000 }, false } } },
    { "hole behind the end", TMPFS_MAGIC, K, HOLE, 16 * K, K, 0, { ALL } },
    { "hole of another file system", XFS_MAGIC, K, HOLE, K + 1, K - 2, 1, { { { 0x20001000, 0x1000 }, false } } },
    { "hole with large blocks", XFS_MAGIC, 4 * K, HOLE, K, K, 1, { { { 0x20000000, 0x4000 }, false } } },
    { "hole with blocks of three pages",
      XFS_MAGIC,
      3 * K,
      HOLE,
      4 * K,
      K,
      2,
      { { { 0x20003000, 0x3000 }, false }, { { 0x30000000, 0x2000 }, false } } },
    { "hole without KEEP_SIZE", EXT4_SUPER_MAGIC, K, FALLOC_FL_PUNCH_HOLE, K, K, 0, { ALL } },
    { "zeroes", EXT4_SUPER_MAGIC, K, ZERO, K, K, 1, { { { 0x20001000, 0x1000 }, false } } },
    { "zeroes, size kept", EXT4_SUPER_MAGIC, K, ZERO | KEEP, K, K, 1, { { { 0x20001000, 0x1000 }, false } } },
    { "zeroes on tmpfs", TMPFS_MAGIC, K, ZERO, K, K, 0, { ALL } },
    { "zeroes of the device", EXT4_SUPER_MAGIC, K, WRITE_ZEROES, K, K, 1, { { { 0x20001000, 0x1000 }, false } } },
    { "collapse",
      EXT4_SUPER_MAGIC,
      K,
      FALLOC_FL_COLLAPSE_RANGE,
      8 * K,
      K,
      1,
      { { { 0x20008000, 0x8000 }, false } } },
    { "collapse of xfs",
      XFS_MAGIC,
      K,
      FALLOC_FL_COLLAPSE_RANGE,
      9 * K,
      K,
      1,
      { { { 0x20008000, 0x8000 }, false } } },
    { "collapse to the end", EXT4_SUPER_MAGIC, K, FALLOC_FL_COLLAPSE_RANGE, 8 * K, 8 * K, 0, { ALL } },
    { "insert", EXT4_SUPER_MAGIC, K, FALLOC_FL_INSERT_RANGE, 8 * K, K, 1, { { { 0x20008000, 0x8000 }, false } } },
    { "insert at the start of xfs", XFS_MAGIC, K, FALLOC_FL_INSERT_RANGE, 0, K, 2, { WHOLE_FIRST, WHOLE_SECOND } },
    { "insert at the end", EXT4_SUPER_MAGIC, K, FALLOC_FL_INSERT_RANGE, 16 * K, K, 0, { ALL } },
    { "allocate", EXT4_SUPER_MAGIC, K, 0, 0, 16 * K, 0, { ALL } },
    { "allocate, size kept", EXT4_SUPER_MAGIC, K, KEEP, 0, 16 * K, 0, { ALL } },
    { "unshare", XFS_MAGIC, K, FALLOC_FL_UNSHARE_RANGE, 0, 16 * K, 0, { ALL } },
    { "two modes", EXT4_SUPER_MAGIC, K, HOLE | ZERO, 0, 16 * K, 0, { ALL } },
    { "mode of the future", TMPFS_MAGIC, K, 0x100, K, K, 2, { WHOLE_FIRST, WHOLE_SECOND } },
    { "negative offset", EXT4_SUPER_MAGIC, K, HOLE, -K, K, 0, { ALL } },
    { "no length", EXT4_SUPER_MAGIC, K, HOLE, K, 0, 0, { ALL } },
    { "too far", EXT4_SUPER_MAGIC, K, HOLE, K, INT64_MAX, 0, { ALL } },
};

#define HOLES ((int) (sizeof(holes) / sizeof(holes[0])))

START_TEST(fallocate_releases_by_mode_and_file_system)
{
    magic = holes[_i].magic;
    file.st_blksize = holes[_i].block;
    ck_assert_int_eq(RUN(fallocate, FD, holes[_i].mode, holes[_i].offset, holes[_i].length), 0);
    check_events(holes[_i].name, holes[_i].expected, holes[_i].count);
}
END_TEST

START_TEST(hole_in_hugetlbfs_takes_whole_huge_pages)
{
    text = "20000000-20800000 rw-s 00000000 fe:00 7                          /huge/file\n";
    magic = HUGETLBFS_MAGIC;
    file.st_blksize = MIB2;
    file.st_size = 4 * MIB2;
    ck_assert_int_eq(RUN(fallocate, FD, HOLE, K, 3 * MIB2), 0);
    CHECK_EVENTS({ { 0x20200000, 0x400000 }, false });
}
END_TEST

START_TEST(hole_in_a_sealed_file_is_quiet)
{
    magic = TMPFS_MAGIC;
    seals = _i == 0 ? F_SEAL_WRITE : F_SEAL_FUTURE_WRITE;
    ck_assert_int_eq(RUN(fallocate, FD, HOLE, 0, K), 0);
    check_quiet("fallocate");
}
END_TEST

START_TEST(hole_of_what_is_no_file_or_read_only_is_quiet)
{
    static void (*const makes[])(void) = { make_directory, make_fifo, make_read_only, make_bad };

    makes[_i]();
    ck_assert_int_eq(RUN(fallocate, FD, HOLE, 0, K), 0);
    check_quiet("fallocate");
}
END_TEST

START_TEST(hole_in_a_block_device_releases_everything)
{
    file.st_mode = S_IFBLK;
    ck_assert_int_eq(RUN(fallocate, FD, HOLE, 0, K), 0);
    CHECK_EVENTS(ALL);
}
END_TEST

/* ---- All together ---------------------------------------------------------------------------- */

static void add_truncate(TCase *tcase)
{
    tcase_add_loop_test(tcase, shrinking_releases_what_lies_behind_the_new_end, 0, LENGTHS);
    tcase_add_loop_test(tcase, shrinking_by_path_does_the_same, 0, LENGTHS);
    tcase_add_test(tcase, result_of_the_kernel_comes_back);
    tcase_add_loop_test(tcase, ftruncate_of_what_loses_nothing_is_quiet, 0, REFUSALS);
}

static void add_open(TCase *tcase)
{
    tcase_add_loop_test(tcase, open_that_truncates_releases_all_of_the_file, 0, 4);
    tcase_add_loop_test(tcase, open_that_does_not_truncate_asks_nothing, 0, 5);
    tcase_add_loop_test(tcase, open_of_what_is_no_full_file_reads_no_mappings, 0, 3);
    tcase_add_test(tcase, open_of_a_new_file_reads_no_mappings);
    tcase_add_test(tcase, open_without_permission_is_quiet);
    tcase_add_test(tcase, creat_releases_all_of_the_file);
    tcase_add_test(tcase, openat2_resolves_the_path_in_its_own_way);
    tcase_add_loop_test(tcase, openat2_with_a_bad_structure_is_left_to_the_kernel, 0, 3);
    tcase_add_test(tcase, openat2_that_does_not_truncate_asks_nothing);
}

int main(void)
{
    Suite *suite = suite_create("linux_files");
    TCase *tcase = tcase_create("files");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    add_truncate(tcase);
    add_open(tcase);
    tcase_add_loop_test(tcase, fallocate_releases_by_mode_and_file_system, 0, HOLES);
    tcase_add_test(tcase, hole_in_hugetlbfs_takes_whole_huge_pages);
    tcase_add_loop_test(tcase, hole_in_a_sealed_file_is_quiet, 0, 2);
    tcase_add_loop_test(tcase, hole_of_what_is_no_file_or_read_only_is_quiet, 0, 4);
    tcase_add_test(tcase, hole_in_a_block_device_releases_everything);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
