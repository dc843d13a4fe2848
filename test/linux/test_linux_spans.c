/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranges of one call: in order, apart, and never too many. */
#include "components/linux/linux_files.h"
#include "test/test_main.h"

START_TEST(spans_stay_sorted_and_apart)
{
    linux_spans_t spans = { .count = 0 };

    linux_spans_add(&spans, 0x5000, 0x1000);
    linux_spans_add(&spans, 0x1000, 0x1000);
    linux_spans_add(&spans, 0x3000, 0x1000);
    ck_assert_uint_eq(spans.count, 3);
    ck_assert_uint_eq(spans.ranges[0].start, 0x1000);
    ck_assert_uint_eq(spans.ranges[1].start, 0x3000);
    linux_spans_add(&spans, 0x2000, 0x1000); /* Between two, touching both. */
    ck_assert_uint_eq(spans.count, 2);
    ck_assert_uint_eq(spans.ranges[0].length, 0x3000);
    linux_spans_add(&spans, 0x3800, 0x100); /* Inside. */
    ck_assert_uint_eq(spans.count, 2);
    linux_spans_add(&spans, 0, 0x10000); /* Around all. */
    ck_assert_uint_eq(spans.count, 1);
    ck_assert_uint_eq(spans.ranges[0].length, 0x10000);
}
END_TEST

START_TEST(spans_without_room_join_the_nearest)
{
    linux_spans_t spans = { .count = 0 };

    for (uintptr_t i = 0; i < LINUX_SPANS; i++) {
        linux_spans_add(&spans, i * 0x100000, 0x1000);
    }
    linux_spans_add(&spans, 3 * 0x100000 + 0x2000, 0x1000);
    ck_assert_uint_eq(spans.count, LINUX_SPANS);
    ck_assert_uint_eq(spans.ranges[3].start, 3 * 0x100000);
    ck_assert_uint_eq(spans.ranges[3].length, 0x3000);
    ck_assert_uint_eq(spans.ranges[7].start, 7 * 0x100000);
    linux_spans_all(&spans);
    linux_spans_add(&spans, 0x5000, 0x1000);
    ck_assert_uint_eq(spans.count, 1);
    ck_assert_uint_eq(spans.ranges[0].length, SIZE_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_spans");
    TCase *tcase = tcase_create("spans");

    tcase_add_test(tcase, spans_stay_sorted_and_apart);
    tcase_add_test(tcase, spans_without_room_join_the_nearest);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
