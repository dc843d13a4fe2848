/* SPDX-License-Identifier: BSD-3-Clause */
/* What is hard to know about a file whose pages go: which mappings are of it,
 * what a sandbox hides, what other threads do between the look and the call. */
#include <signal.h>

#include "test/linux/fake_files.h"

/* btrfs, overlayfs: the device is not that of the mapping, and the inode's high bits need not be. */
START_TEST(device_without_a_disk_is_not_compared)
{
    file.st_dev = makedev(0, 33);
    file.st_ino = 7 | (uint64_t) 1 << 63;
    ck_assert_int_eq(RUN(ftruncate, FD, 8 * K), 0);
    CHECK_EVENTS({ { 0x20008000, 0x8000 }, false });
}
END_TEST

/* ---- What cannot be known -------------------------------------------------------------------- */

START_TEST(unreadable_mappings_release_everything)
{
    maps_error = -EMFILE;
    ck_assert_int_eq(RUN(ftruncate, FD, 0), 0);
    CHECK_EVENTS(ALL);
}
END_TEST

START_TEST(file_that_a_sandbox_hides_releases_everything)
{
    stat_error = -ENOSYS;
    ck_assert_int_eq(_i == 0 ? RUN(ftruncate, FD, 0) : OPEN(O_WRONLY | O_TRUNC), 0);
    CHECK_EVENTS(ALL);
}
END_TEST

START_TEST(more_mappings_than_windows_lose_none)
{
    static char lines[64 * 128];
    size_t used = 0, covered = 0;

    for (int i = 0; i < 40; i++) {
        used += (size_t) snprintf(lines + used, sizeof(lines) - used, "%x-%x rw-s 00000000 fe:00 7    /tmp/file\n",
                                  0x20000000 + i * 0x10000, 0x20001000 + i * 0x10000);
    }
    text = lines;
    ck_assert_int_eq(RUN(ftruncate, FD, 0), 0);
    ck_assert_int_eq(event_count, LINUX_SPANS);
    for (int i = 0; i < 40; i++) {
        for (int event = 0; event < event_count; event++) {
            const uintptr_t at = 0x20000000u + (unsigned) i * 0x10000u;

            covered += at >= events[event].range.start
                       && at + K <= events[event].range.start + events[event].range.length;
        }
    }
    ck_assert_uint_eq(covered, 40);
}
END_TEST

/* ---- Between the look and the call ----------------------------------------------------------- */

START_TEST(file_mapped_meanwhile_is_released_late)
{
    text = UNMAPPED;
    text_after = MAPPED;
    ck_assert_int_eq(_i == 0 ? RUN(ftruncate, FD, 8 * K) : RUN(truncate, (long) "/tmp/file", 8 * K), 0);
    CHECK_EVENTS({ { 0x20008000, 0x8000 }, true });
}
END_TEST

START_TEST(path_of_another_file_meanwhile_is_released_late)
{
    other = file;
    file.st_ino = 99;
    is_swapped = true;
    result = FD;
    ck_assert_int_eq(_i == 0 ? OPEN(O_WRONLY | O_TRUNC) : RUN(creat, (long) "/tmp/file", 0600), FD);
    CHECK_EVENTS({ { 0x20000000, 0x10000 }, true }, { { 0x30000000, 0x4000 }, true });
}
END_TEST

START_TEST(empty_file_replaced_meanwhile_is_released_late)
{
    other = file;
    file.st_ino = 99;
    file.st_size = 0;
    is_swapped = true;
    ck_assert_int_eq(RUN(truncate, (long) "/tmp/file", 15 * K), 0);
    CHECK_EVENTS({ { 0x2000f000, 0x1000 }, true });
}
END_TEST

START_TEST(path_that_was_absent_but_not_created_is_released_late)
{
    stat_error = -ENOENT;
    result = FD;
    ck_assert_int_eq(OPEN(O_WRONLY | O_TRUNC), FD);
    CHECK_EVENTS({ { 0x20000000, 0x10000 }, true }, { { 0x30000000, 0x4000 }, true });
}
END_TEST

START_TEST(nothing_is_looked_up_when_nobody_listens)
{
    ck_assert_int_eq(RUN(ftruncate, FD, 0), 0);
    ck_assert_int_eq(OPEN(O_WRONLY | O_TRUNC), 0);
    ck_assert_int_eq(maps_read, 0);
    ck_assert_int_eq(calls, 2);
}
END_TEST

static long register_meanwhile(const long args[6])
{
    (void) args;
    listen_to_releases();
    calls++;
    return 0;
}

START_TEST(listener_that_came_meanwhile_hears_of_everything)
{
    fake_sys_set(SYS_ftruncate, register_meanwhile);
    ck_assert_int_eq(RUN(ftruncate, FD, 0), 0);
    CHECK_EVENTS({ { 0, SIZE_MAX }, true });
}
END_TEST

/* The permission that was missing came meanwhile. */
START_TEST(open_that_should_have_failed_is_released_late)
{
    access_error = -EACCES;
    result = FD;
    ck_assert_int_eq(OPEN(O_WRONLY | O_TRUNC), FD);
    CHECK_EVENTS({ { 0x20000000, 0x10000 }, true }, { { 0x30000000, 0x4000 }, true });
}
END_TEST

/* ---- Signals --------------------------------------------------------------------------------- */

static uint64_t mask_now(void)
{
    uint64_t mask = 0;

    linux_sys_real(SYS_rt_sigprocmask, (const long[6]){ SIG_BLOCK, 0, (long) &mask, sizeof(mask) });
    return mask;
}

static uint64_t mask_in_call;

static long note_mask(const long args[6])
{
    if (strcmp((const char *) args[1], "/proc/thread-self/maps") == 0) {
        return open_maps();
    }
    mask_in_call = mask_now();
    calls++;
    return result;
}

/* Cancellation would leave windows open for ever; but what waits for a fifo can be cancelled. */
START_TEST(cancellation_is_held_only_while_a_file_is_at_stake)
{
    const uint64_t before = mask_now(), cancel = UINT64_C(1) << 31;

    ck_assert_uint_eq(before & cancel, 0);
    fake_sys_set(SYS_openat, note_mask);
    if (_i == 1) {
        file.st_mode = S_IFIFO;
    }
    OPEN(O_WRONLY | O_TRUNC);
    ck_assert_uint_eq(mask_in_call, _i == 0 ? before | cancel : before);
    ck_assert_uint_eq(mask_now(), before);
}
END_TEST

/* ---- All together ---------------------------------------------------------------------------- */

int main(void)
{
    Suite *suite = suite_create("linux_loss");
    TCase *heard = tcase_create("heard"), *unheard = tcase_create("unheard");

    tcase_add_checked_fixture(heard, set_up, NULL);
    tcase_add_test(heard, device_without_a_disk_is_not_compared);
    tcase_add_test(heard, unreadable_mappings_release_everything);
    tcase_add_loop_test(heard, file_that_a_sandbox_hides_releases_everything, 0, 2);
    tcase_add_test(heard, more_mappings_than_windows_lose_none);
    tcase_add_loop_test(heard, file_mapped_meanwhile_is_released_late, 0, 2);
    tcase_add_loop_test(heard, path_of_another_file_meanwhile_is_released_late, 0, 2);
    tcase_add_test(heard, empty_file_replaced_meanwhile_is_released_late);
    tcase_add_test(heard, path_that_was_absent_but_not_created_is_released_late);
    tcase_add_test(heard, open_that_should_have_failed_is_released_late);
    tcase_add_loop_test(heard, cancellation_is_held_only_while_a_file_is_at_stake, 0, 2);
    suite_add_tcase(suite, heard);
    tcase_add_checked_fixture(unheard, set_up_kernel, NULL);
    tcase_add_test(unheard, nothing_is_looked_up_when_nobody_listens);
    tcase_add_test(unheard, listener_that_came_meanwhile_hears_of_everything);
    suite_add_tcase(suite, unheard);
    return test_run(suite);
}
