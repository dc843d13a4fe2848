/* SPDX-License-Identifier: BSD-3-Clause */
/* What shmdt takes away, told from lists of mappings that are made up, in
 * pieces of any size, or unreadable; and the size of segments. */
#include "components/linux/linux.h"

#include <errno.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "test/linux/fake_sys.h"
#include "test/test_main.h"

#define FAKE_FD 987654

static const char *text;      /* What /proc/.../maps holds. */
static size_t text_at, piece; /* Read so far; most that one read gives. */
static int opened, closed;
static long error_after; /* Bytes after which reading fails; -1: never. */

static long fake_open(const long args[6])
{
    (void) args;
    opened++;
    text_at = 0;
    return FAKE_FD;
}

static long fake_read(const long args[6])
{
    size_t size = strlen(text + text_at);

    ck_assert_int_eq(args[0], FAKE_FD);
    if (error_after >= 0 && (long) text_at >= error_after) {
        return -EIO;
    }
    size = size < (size_t) args[2] ? size : (size_t) args[2];
    size = size < piece ? size : piece;
    memcpy((void *) args[1], text + text_at, size);
    text_at += size;
    return (long) size;
}

static long fake_close(const long args[6])
{
    ck_assert_int_eq(args[0], FAKE_FD);
    closed++;
    return 0;
}

static void set_up(void)
{
    linux_facts.address_end = 0x7ffffffff000;
    error_after = -1;
    piece = SIZE_MAX;
    fake_sys_set(SYS_openat, fake_open);
    fake_sys_set(SYS_read, fake_read);
    fake_sys_set(SYS_close, fake_close);
}

#define PLAIN "10000000-10002000 r-xp 00000000 fe:00 1234                       /usr/bin/x\n"
#define ANON "7f0000100000-7f0000104000 rw-p 00000000 00:00 0 \n"
#define SEG(start, end, offset, inode) start "-" end " rw-s " offset " 00:01 " inode "   /SYSV00001234 (deleted)\n"
#define LONG_NAME                                                                                               \
    "10002000-10003000 r--p 00000000 fe:00 99    "                                                              \
    "/a/very/long/name/that/does/not/fit/into/any/buffer/of/a/sensible/"                                        \
    "size/because/it/goes/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on/and/" \
    "on\n"

static const struct {
    const char *name;
    const char *text;
    uintptr_t addr;
    size_t count;
    opal_mem_hooks_range_t expected[2];
} rows[] = {
    { "whole",
      PLAIN SEG("20000000", "20004000", "00000000", "7") ANON,
      0x20000000,
      1,
      { { 0x20000000, 0x4000 } } },
    { "not attached", PLAIN ANON, 0x20000000, 0, { { 0, 0 } } },
    { "within a segment", SEG("20000000", "20004000", "00000000", "7"), 0x20001000, 0, { { 0, 0 } } },
    { "segment below", SEG("20000000", "20004000", "00000000", "7"), 0x30000000, 0, { { 0, 0 } } },
    { "first part unmapped",
      SEG("20002000", "20004000", "00002000", "7"),
      0x20000000,
      1,
      { { 0x20002000, 0x2000 } } },
    { "middle unmapped",
      SEG("20000000", "20001000", "00000000", "7") SEG("20003000", "20004000", "00003000", "7"),
      0x20000000,
      2,
      { { 0x20000000, 0x1000 }, { 0x20003000, 0x1000 } } },
    { "split by protection",
      SEG("20000000", "20001000", "00000000", "7") SEG("20001000", "20004000", "00001000", "7"),
      0x20000000,
      1,
      { { 0x20000000, 0x4000 } } },
    { "two holes make one range over the second",
      SEG("20000000", "20001000", "00000000", "7") SEG("20002000", "20003000", "00002000", "7")
          SEG("20004000", "20005000", "00004000", "7"),
      0x20000000,
      2,
      { { 0x20000000, 0x1000 }, { 0x20002000, 0x3000 } } },
    { "another segment in the hole",
      SEG("20000000", "20001000", "00000000", "7") SEG("20001000", "20002000", "00000000", "8")
          SEG("20003000", "20004000", "00003000", "7"),
      0x20000000,
      2,
      { { 0x20000000, 0x1000 }, { 0x20003000, 0x1000 } } },
    { "attached twice",
      SEG("20000000", "20004000", "00000000", "7") SEG("20004000", "20008000", "00000000", "7"),
      0x20000000,
      1,
      { { 0x20000000, 0x4000 } } },
    { "a file that is no segment",
      "20000000-20004000 rw-s 00000000 fe:00 7    /tmp/SYSV00001234 (deleted)\n",
      0x20000000,
      0,
      { { 0, 0 } } },
    { "long line before",
      LONG_NAME SEG("20000000", "20001000", "00000000", "7"),
      0x20000000,
      1,
      { { 0x20000000, 0x1000 } } },
    { "inode of many digits",
      SEG("20000000", "20001000", "00000000", "18446744073709551615"),
      0x20000000,
      1,
      { { 0x20000000, 0x1000 } } },
    { "unaligned address", SEG("20000000", "20001000", "00000000", "7"), 0x20000001, 0, { { 0, 0 } } },
    /* Not understood or not complete: everything from the address on. */
    { "empty", "", 0x20000000, 1, { { 0x20000000, 0x7ffffffff000 - 0x20000000 } } },
    { "cut short",
      PLAIN "20000000-20004000 rw-s 0000",
      0x20000000,
      1,
      { { 0x20000000, 0x7ffffffff000 - 0x20000000 } } },
    { "garbage", PLAIN "what is this\n", 0x20000000, 1, { { 0x20000000, 0x7ffffffff000 - 0x20000000 } } },
    { "empty line", PLAIN "\n", 0x20000000, 1, { { 0x20000000, 0x7ffffffff000 - 0x20000000 } } },
};

#define ROWS ((int) (sizeof(rows) / sizeof(rows[0])))

static const size_t pieces[] = { SIZE_MAX, 1, 7, 64, 79 };

START_TEST(mappings_of_the_segment_go_and_no_others)
{
    opal_mem_hooks_range_t got[2] = { { 0, 0 }, { 0, 0 } };

    text = rows[_i].text;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        piece = pieces[i];
        const size_t count = linux_shm_attached(rows[_i].addr, got);

        ck_assert_msg(count == rows[_i].count, "%s: %zu ranges", rows[_i].name, count);
        for (size_t r = 0; r < count; r++) {
            ck_assert_msg(
                got[r].start == rows[_i].expected[r].start && got[r].length == rows[_i].expected[r].length,
                "%s: range %zu is 0x%lx + 0x%lx", rows[_i].name, r, (long) got[r].start, (long) got[r].length);
        }
    }
    ck_assert_int_eq(opened, closed);
}
END_TEST

static long refuse(const long args[6])
{
    (void) args;
    return -EMFILE;
}

START_TEST(unreadable_mappings_release_all_from_there_on)
{
    opal_mem_hooks_range_t got[2];

    text = PLAIN SEG("20000000", "20004000", "00000000", "7");
    if (_i == 0) {
        fake_sys_set(SYS_openat, refuse);
    } else {
        piece = 20;
        error_after = 100;
    }
    ck_assert_uint_eq(linux_shm_attached(0x20000000, got), 1);
    ck_assert_uint_eq(got[0].start, 0x20000000);
    ck_assert_uint_eq(got[0].start + got[0].length, 0x7ffffffff000);
    ck_assert_int_eq(opened, closed);
}
END_TEST

static void count_mapping(const linux_mapping_t *mapping, void *arg)
{
    const uintptr_t here = (uintptr_t) arg;

    ck_assert_uint_lt(mapping->start, mapping->end);
    if (mapping->start <= here && here < mapping->end) {
        opened++;
    }
}

START_TEST(mappings_of_this_process_can_be_read)
{
    static int here;

    linux_sys_call = linux_sys_real;
    ck_assert(linux_maps_each(count_mapping, &here));
    ck_assert_int_eq(opened, 1);
}
END_TEST

START_TEST(size_of_a_segment)
{
    const int id = shmget(IPC_PRIVATE, 12345, IPC_CREAT | 0600);

    linux_sys_call = linux_sys_real;
    ck_assert_int_ge(id, 0);
    ck_assert_uint_eq(linux_shm_size(id), 12345);
    shmctl(id, IPC_RMID, NULL);
    ck_assert_uint_eq(linux_shm_size(id), 0);
    ck_assert_uint_eq(linux_shm_size(-1), 0);
}
END_TEST

START_TEST(size_that_may_not_be_asked_for_is_unknown)
{
    fake_sys_set(SYS_shmctl, refuse);
    ck_assert_uint_eq(linux_shm_size(1), SIZE_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_shm");
    TCase *tcase = tcase_create("shm");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_loop_test(tcase, mappings_of_the_segment_go_and_no_others, 0, ROWS);
    tcase_add_loop_test(tcase, unreadable_mappings_release_all_from_there_on, 0, 2);
    tcase_add_test(tcase, mappings_of_this_process_can_be_read);
    tcase_add_test(tcase, size_of_a_segment);
    tcase_add_test(tcase, size_that_may_not_be_asked_for_is_unknown);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
