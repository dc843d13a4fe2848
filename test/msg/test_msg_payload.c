/* SPDX-License-Identifier: BSD-3-Clause */
/* What opalmem-msg sends and how it is checked: sizes, contents, the exact count
 * of wrong bytes, feeds over numbers and over files, and the options that
 * decide about them. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "test/test_main.h"
#include "tools/msg/msg_feed.h"
#include "tools/msg/msg_options.h"
#include "tools/msg/msg_payload.h"
#include "tools/msg/msg_random.h"

#define LENGTH_MAX 5000

static unsigned char buffer[LENGTH_MAX + 16];
static const size_t lengths[] = { 1, 7, 8, 9, 63, 64, 255, 256, 257, 511, 512, 4095, 4096, 4999 };
#define LENGTH_COUNT ((int) (sizeof(lengths) / sizeof(lengths[0])))

/* ---- Contents -------------------------------------------------------------------------------- */

START_TEST(filled_message_has_no_wrong_byte)
{
    size_t length = lengths[_i];

    for (size_t shift = 0; shift < 9; shift++) {
        msg_payload_fill(42, buffer + shift, length);
        ck_assert_uint_eq(msg_payload_wrong(42, buffer + shift, length), 0);
    }
}
END_TEST

START_TEST(fill_stays_inside_its_length)
{
    size_t length = lengths[_i];

    memset(buffer, 0x77, sizeof(buffer));
    msg_payload_fill(42, buffer + 1, length);
    ck_assert_uint_eq(buffer[0], 0x77);
    ck_assert_uint_eq(buffer[length + 1], 0x77);
}
END_TEST

START_TEST(one_changed_byte_counts_as_one_wherever_it_is)
{
    size_t length = lengths[_i];

    msg_payload_fill(7, buffer, length);
    for (size_t i = 0; i < length; i++) {
        buffer[i] ^= 0x10;
        ck_assert_uint_eq(msg_payload_wrong(7, buffer, length), 1);
        buffer[i] ^= 0x10;
    }
}
END_TEST

START_TEST(changed_bytes_count_exactly)
{
    uint64_t random = 3;
    uint64_t changed = 0;

    msg_payload_fill(7, buffer, LENGTH_MAX);
    for (size_t i = 0; i < LENGTH_MAX; i++) {
        if (msg_random_below(&random, 3) == 0) {
            buffer[i] ^= (unsigned char) (1 + msg_random_below(&random, 255));
            changed++;
        }
    }
    ck_assert_uint_eq(msg_payload_wrong(7, buffer, LENGTH_MAX), changed);
}
END_TEST

/* Equal bytes are left to chance: one in 256. */
static void assert_unlike(uint64_t key)
{
    uint64_t wrong = msg_payload_wrong(key, buffer, LENGTH_MAX);

    ck_assert_uint_gt(wrong, LENGTH_MAX * 98 / 100);
}

START_TEST(another_message_sender_or_seed_is_wrong_almost_everywhere)
{
    msg_payload_fill(msg_payload_key(1, 0, 10), buffer, LENGTH_MAX);
    ck_assert_uint_eq(msg_payload_wrong(msg_payload_key(1, 0, 10), buffer, LENGTH_MAX), 0);
    assert_unlike(msg_payload_key(1, 0, 11));
    assert_unlike(msg_payload_key(1, 1, 10));
    assert_unlike(msg_payload_key(2, 0, 10));
    memmove(buffer, buffer + 8, LENGTH_MAX);
    assert_unlike(msg_payload_key(1, 0, 10));
}
END_TEST

START_TEST(poison_is_wrong_almost_everywhere)
{
    memset(buffer, MSG_PAYLOAD_POISON, LENGTH_MAX);
    assert_unlike(msg_payload_key(1, 0, 0));
}
END_TEST

/* ---- Sizes ----------------------------------------------------------------------------------- */

START_TEST(sizes_stay_in_range_and_reach_each_octave_alike)
{
    msg_options_t options = { .size_min = 4 << 10, .size_max = 1 << 20, .seed = 9 };
    unsigned octaves[8] = { 0 };

    for (uint64_t i = 0; i < 8000; i++) {
        size_t size = msg_payload_size(&options, 0, i);

        ck_assert_uint_ge(size, options.size_min);
        ck_assert_uint_le(size, options.size_max);
        for (unsigned octave = 0; octave < 8; octave++) {
            octaves[octave] += size >> (12 + octave) == 1;
        }
    }
    for (unsigned octave = 0; octave < 8; octave++) {
        ck_assert_uint_gt(octaves[octave], 800);
        ck_assert_uint_lt(octaves[octave], 1200);
    }
}
END_TEST

START_TEST(sizes_reach_both_ends_of_a_narrow_range)
{
    msg_options_t options = { .size_min = 3, .size_max = 5 };
    unsigned seen[6] = { 0 };

    for (uint64_t i = 0; i < 2000; i++) {
        seen[msg_payload_size(&options, 1, i)]++;
    }
    ck_assert_uint_gt(seen[3], 0);
    ck_assert_uint_gt(seen[4], 0);
    ck_assert_uint_gt(seen[5], 0);
}
END_TEST

START_TEST(sizes_repeat_with_the_seed_and_differ_without)
{
    msg_options_t one = { .size_min = 1, .size_max = 1 << 20, .seed = 1 };
    msg_options_t two = one;
    unsigned equal = 0;

    two.seed = 2;
    for (uint64_t i = 0; i < 100; i++) {
        ck_assert_uint_eq(msg_payload_size(&one, 0, i), msg_payload_size(&one, 0, i));
        equal += msg_payload_size(&one, 0, i) == msg_payload_size(&two, 0, i);
    }
    ck_assert_uint_lt(equal, 10);
}
END_TEST

/* ---- Feeds ----------------------------------------------------------------------------------- */

START_TEST(senders_share_all_messages)
{
    msg_options_t options = { .size_min = 10, .size_max = 20, .messages = 11 };
    uint64_t sum = 0;

    for (uint32_t sender = 0; sender < 3; sender++) {
        msg_feed_t feed;

        msg_feed_init(&feed, &options, NULL, sender, 3);
        for (uint64_t number = 0; msg_feed_next(&feed); number++) {
            ck_assert_uint_eq(feed.message, number);
            sum++;
        }
    }
    ck_assert_uint_eq(sum, 11);
    ck_assert_uint_eq(msg_feed_total(&options, NULL, 3), 11);
}
END_TEST

static char folder[] = "/tmp/test_msg_payload_XXXXXX";
static char path[64];

static void make_file(size_t size)
{
    int fd;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(fd, 0);
    msg_payload_fill(5, buffer, size);
    ck_assert_int_eq(write(fd, buffer, size), (int) size);
    close(fd);
}

static void remove_file(void)
{
    unlink(path);
    rmdir(folder);
}

START_TEST(file_is_cut_into_messages_that_make_it_whole)
{
    static unsigned char got[LENGTH_MAX], want[LENGTH_MAX];
    msg_options_t options = { .size_min = 100, .size_max = 300, .file_count = 1 };
    char *names[] = { path };
    msg_file_t file;
    msg_feed_t feed;
    size_t sum = 0;

    make_file(LENGTH_MAX);
    memcpy(want, buffer, LENGTH_MAX);
    ck_assert(msg_files_open(&file, names, 1));
    msg_feed_init(&feed, &options, &file, 0, 1);
    while (msg_feed_next(&feed)) {
        uint64_t wrong = 99;

        ck_assert_uint_le(sum + feed.length, LENGTH_MAX);
        ck_assert(msg_feed_fill(&feed, got + sum));
        ck_assert(msg_feed_wrong(&feed, got + sum, &wrong));
        ck_assert_uint_eq(wrong, 0);
        got[sum] ^= 1;
        ck_assert(msg_feed_wrong(&feed, got + sum, &wrong));
        ck_assert_uint_eq(wrong, 1);
        got[sum] ^= 1;
        sum += feed.length;
    }
    ck_assert_uint_eq(sum, LENGTH_MAX);
    ck_assert_mem_eq(got, want, LENGTH_MAX);
    ck_assert_uint_eq(msg_feed_total(&options, &file, 1), feed.next);
    msg_files_close(&file, 1);
    remove_file();
}
END_TEST

START_TEST(empty_file_is_one_empty_message)
{
    msg_options_t options = { .size_min = 100, .size_max = 300, .file_count = 1 };
    char *names[] = { path };
    msg_file_t file;
    msg_feed_t feed;

    make_file(0);
    ck_assert(msg_files_open(&file, names, 1));
    msg_feed_init(&feed, &options, &file, 0, 1);
    ck_assert(msg_feed_next(&feed));
    ck_assert_uint_eq(feed.length, 0);
    ck_assert(!msg_feed_next(&feed));
    msg_files_close(&file, 1);
    remove_file();
}
END_TEST

START_TEST(files_are_sent_again_until_enough_messages)
{
    msg_options_t options = { .size_min = 50, .size_max = 50, .file_count = 1, .messages = 5 };
    char *names[] = { path };
    msg_file_t file;

    make_file(100);
    ck_assert(msg_files_open(&file, names, 1));
    ck_assert_uint_eq(msg_feed_total(&options, &file, 1), 6);
    msg_files_close(&file, 1);
    remove_file();
}
END_TEST

static unsigned lines_seen;

static void count_line(const char *line, void *arg)
{
    lines_seen++;
    ck_assert_ptr_nonnull(strstr(line, (const char *) arg));
}

START_TEST(file_that_shrinks_is_an_error_that_names_it)
{
    msg_options_t options = { .size_min = 100, .size_max = 100, .file_count = 1 };
    char *names[] = { path };
    msg_file_t file;
    msg_feed_t feed;

    make_file(100);
    ck_assert(msg_files_open(&file, names, 1));
    msg_feed_init(&feed, &options, &file, 0, 1);
    ck_assert(msg_feed_next(&feed));
    ck_assert_int_eq(truncate(path, 50), 0);
    msg_set_printer(count_line, path);
    ck_assert(!msg_feed_fill(&feed, buffer));
    ck_assert_uint_eq(lines_seen, 1);
    msg_files_close(&file, 1);
    remove_file();
}
END_TEST

START_TEST(directory_and_missing_file_are_refused_by_name)
{
    char *names[] = { folder, path };
    msg_file_t files[2];

    make_file(1);
    unlink(path);
    msg_set_printer(count_line, folder);
    ck_assert(!msg_files_open(files, names, 1));
    ck_assert(!msg_files_open(files, names + 1, 1));
    ck_assert_uint_eq(lines_seen, 2);
    remove_file();
}
END_TEST

/* ---- Sizes as text, the histogram ------------------------------------------------------------ */

static const struct {
    const char *text;
    bool valid;
    size_t minimum, maximum;
} size_texts[] = {
    { "1", true, 1, 1 },
    { "4096", true, 4096, 4096 },
    { "64K", true, 65536, 65536 },
    { "64k", true, 65536, 65536 },
    { "256M", true, 256u << 20, 256u << 20 },
    { "4K-1M", true, 4096, 1 << 20 },
    { "10-10", true, 10, 10 },
    { "0", false, 0, 0 },
    { "", false, 0, 0 },
    { "-5", false, 0, 0 },
    { "5-", false, 0, 0 },
    { "5-4", false, 0, 0 },
    { "1M-4K", false, 0, 0 },
    { "257M", false, 0, 0 },
    { "1G", false, 0, 0 },
    { "4KB", false, 0, 0 },
    { " 4K", false, 0, 0 },
    { "+4", false, 0, 0 },
    { "18446744073709551617", false, 0, 0 },
    { "18014398509481985K", false, 0, 0 },
    { "1-2-3", false, 0, 0 },
};

START_TEST(size_text_gives_the_range_or_is_refused)
{
    size_t minimum = 77, maximum = 88;

    ck_assert_int_eq(msg_parse_sizes(size_texts[_i].text, &minimum, &maximum), size_texts[_i].valid);
    ck_assert_uint_eq(minimum, size_texts[_i].valid ? size_texts[_i].minimum : 77);
    ck_assert_uint_eq(maximum, size_texts[_i].valid ? size_texts[_i].maximum : 88);
}
END_TEST

START_TEST(histogram_keeps_times_within_two_percent)
{
    size_t last = 0;

    for (uint64_t ns = 0; ns < (uint64_t) 1 << 40; ns += ns / 100 + 1) {
        size_t step = msg_histogram_step(ns);
        double kept = (double) msg_histogram_time(step);

        ck_assert_uint_ge(step, last);
        ck_assert_uint_lt(step, MSG_HISTOGRAM_SIZE);
        ck_assert(kept >= 0.98 * (double) ns - 1 && kept <= 1.02 * (double) ns + 1);
        last = step;
    }
    ck_assert_uint_eq(msg_histogram_step(UINT64_MAX), MSG_HISTOGRAM_SIZE - 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("msg_payload");
    TCase *tcase = tcase_create("payload");

    tcase_add_loop_test(tcase, filled_message_has_no_wrong_byte, 0, LENGTH_COUNT);
    tcase_add_loop_test(tcase, fill_stays_inside_its_length, 0, LENGTH_COUNT);
    tcase_add_loop_test(tcase, one_changed_byte_counts_as_one_wherever_it_is, 0, LENGTH_COUNT);
    tcase_add_test(tcase, changed_bytes_count_exactly);
    tcase_add_test(tcase, another_message_sender_or_seed_is_wrong_almost_everywhere);
    tcase_add_test(tcase, poison_is_wrong_almost_everywhere);
    tcase_add_test(tcase, sizes_stay_in_range_and_reach_each_octave_alike);
    tcase_add_test(tcase, sizes_reach_both_ends_of_a_narrow_range);
    tcase_add_test(tcase, sizes_repeat_with_the_seed_and_differ_without);
    tcase_add_test(tcase, senders_share_all_messages);
    tcase_add_test(tcase, file_is_cut_into_messages_that_make_it_whole);
    tcase_add_test(tcase, empty_file_is_one_empty_message);
    tcase_add_test(tcase, files_are_sent_again_until_enough_messages);
    tcase_add_test(tcase, file_that_shrinks_is_an_error_that_names_it);
    tcase_add_test(tcase, directory_and_missing_file_are_refused_by_name);
    tcase_add_loop_test(tcase, size_text_gives_the_range_or_is_refused, 0,
                        (int) (sizeof(size_texts) / sizeof(size_texts[0])));
    tcase_add_test(tcase, histogram_keeps_times_within_two_percent);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
