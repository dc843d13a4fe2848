/* SPDX-License-Identifier: BSD-3-Clause */
/* The JSON writer of the tools: layout, and texts of every kind. */
#include <string.h>

#include "test/test_main.h"
#include "tools/util/json.h"

static char *written;
static size_t written_size;
static json_t json;

static void begin(void)
{
    json = (json_t){ .stream = open_memstream(&written, &written_size) };
    ck_assert_ptr_nonnull(json.stream);
}

static const char *end(void)
{
    ck_assert_int_eq(fclose(json.stream), 0);
    return written;
}

static void clean(void)
{
    free(written);
    written = NULL;
}

/* ---- Layout ---------------------------------------------------------------------------------- */

START_TEST(empty_object_has_no_line_break_inside)
{
    json_object_begin(&json, NULL, JSON_LINES);
    json_object_end(&json);
    ck_assert_str_eq(end(), "{}\n");
}
END_TEST

START_TEST(members_are_separated_and_indented)
{
    json_object_begin(&json, NULL, JSON_LINES);
    json_uint(&json, "a", UINT64_MAX);
    json_array_begin(&json, "b", JSON_LINES);
    json_int(&json, NULL, INT64_MIN);
    json_null(&json, NULL);
    json_array_end(&json);
    json_bool(&json, "c", true);
    json_object_end(&json);
    ck_assert_str_eq(end(), "{\n"
                            "  \"a\": 18446744073709551615,\n"
                            "  \"b\": [\n    -9223372036854775808,\n    null\n  ],\n"
                            "  \"c\": true\n"
                            "}\n");
}
END_TEST

START_TEST(one_line_holds_for_all_inside_and_ends_with_it)
{
    json_object_begin(&json, NULL, JSON_LINES);
    json_object_begin(&json, "a", JSON_ONE_LINE);
    json_array_begin(&json, "b", JSON_LINES);
    json_bool(&json, NULL, false);
    json_decimal(&json, NULL, 0.25, 3);
    json_array_end(&json);
    json_uint(&json, "c", 1);
    json_object_end(&json);
    json_uint(&json, "d", 2);
    json_object_end(&json);
    ck_assert_str_eq(end(), "{\n  \"a\": {\"b\": [false, 0.250], \"c\": 1},\n  \"d\": 2\n}\n");
}
END_TEST

/* ---- Texts ----------------------------------------------------------------------------------- */

#define BAD "\xef\xbf\xbd"

static const struct {
    const char *text, *expected;
} texts[] = {
    { "", "" },
    { "plain /~", "plain /~" },
    { "\"\\", "\\\"\\\\" },
    { "\n\r\t\x01\x1f\x7f", "\\u000a\\u000d\\u0009\\u0001\\u001f\\u007f" },
    /* Valid: two, three and four bytes, at the edges of each. */
    { "\xc2\x80\xdf\xbf", "\xc2\x80\xdf\xbf" },
    { "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf" },
    { "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
    /* Not valid: alone, overlong, surrogate, too large, cut off. */
    { "\x80", BAD },
    { "a\xff"
      "b",
      "a" BAD "b" },
    { "\xc1\xbf", BAD BAD },
    { "\xe0\x9f\xbf", BAD BAD BAD },
    { "\xed\xa0\x80", BAD BAD BAD },
    { "\xf0\x8f\xbf\xbf", BAD BAD BAD BAD },
    { "\xf4\x90\x80\x80", BAD BAD BAD BAD },
    { "\xf5\x80", BAD BAD },
    { "\xc3", BAD },
    { "\xe2\x82", BAD BAD },
    { "\xf0\x9f\x98", BAD BAD BAD },
    { "\xc3(", BAD "(" },
    { "\xe2\x82\"", BAD BAD "\\\"" },
};
#define TEXT_COUNT ((int) (sizeof(texts) / sizeof(texts[0])))

START_TEST(text_becomes_a_valid_string)
{
    char expected[128];
    snprintf(expected, sizeof(expected), "[\"%s\"]\n", texts[_i].expected);
    json_array_begin(&json, NULL, JSON_ONE_LINE);
    json_string(&json, NULL, texts[_i].text);
    json_array_end(&json);
    ck_assert_str_eq(end(), expected);
}
END_TEST

START_TEST(key_is_escaped_too)
{
    json_object_begin(&json, NULL, JSON_ONE_LINE);
    json_string(&json, "a\"\xff", "");
    json_object_end(&json);
    ck_assert_str_eq(end(), "{\"a\\\"" BAD "\": \"\"}\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *layout = tcase_create("layout");
    tcase_add_checked_fixture(layout, begin, clean);
    tcase_add_test(layout, empty_object_has_no_line_break_inside);
    tcase_add_test(layout, members_are_separated_and_indented);
    tcase_add_test(layout, one_line_holds_for_all_inside_and_ends_with_it);
    suite_add_tcase(suite, layout);
    TCase *text = tcase_create("texts");
    tcase_add_checked_fixture(text, begin, clean);
    tcase_add_loop_test(text, text_becomes_a_valid_string, 0, TEXT_COUNT);
    tcase_add_test(text, key_is_escaped_too);
    suite_add_tcase(suite, text);
    return test_run(suite);
}
