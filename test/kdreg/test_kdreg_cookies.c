/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of cookies, against a plain array. */
#include "components/kdreg/kdreg_cookies.h"
#include "test/test_main.h"

#define MANY 5000

static kdreg_cookies_t cookies;

static void add(uint64_t cookie)
{
    ck_assert(kdreg_cookies_reserve(&cookies));
    kdreg_cookies_add(&cookies, &(kdreg_watched_t){ .cookie = cookie, .location = cookie * 3 });
}

START_TEST(an_empty_table_finds_nothing)
{
    ck_assert_ptr_null(kdreg_cookies_find(&cookies, 0));
    ck_assert(kdreg_cookies_check(&cookies));
}
END_TEST

START_TEST(what_was_added_is_found_until_it_is_removed)
{
    static bool is_in[MANY];

    for (unsigned step = 0, x = 1; step < 40 * MANY; step++) {
        x = x * 1103515245 + 12345;
        const uint64_t cookie = x >> 8 & 0xfff;
        kdreg_watched_t *found = kdreg_cookies_find(&cookies, cookie);

        ck_assert_int_eq(found != NULL, is_in[cookie]);
        if (found != NULL) {
            ck_assert_uint_eq(found->location, cookie * 3);
            kdreg_cookies_remove(&cookies, found);
        } else {
            add(cookie);
        }
        is_in[cookie] = !is_in[cookie];
        if (step % 1000 == 0) {
            ck_assert(kdreg_cookies_check(&cookies));
        }
    }
    kdreg_cookies_free(&cookies);
}
END_TEST

START_TEST(cookies_of_caches_have_the_high_bit_and_are_found)
{
    for (uint64_t i = 0; i < MANY; i++) {
        add(UINT64_C(1) << 63 | i);
    }
    ck_assert(kdreg_cookies_check(&cookies));
    for (uint64_t i = 0; i < MANY; i++) {
        ck_assert_ptr_nonnull(kdreg_cookies_find(&cookies, UINT64_C(1) << 63 | i));
        ck_assert_ptr_null(kdreg_cookies_find(&cookies, i));
    }
    kdreg_cookies_free(&cookies);
    ck_assert_uint_eq(cookies.count, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kdreg_cookies");
    TCase *tcase = tcase_create("table");

    tcase_add_test(tcase, an_empty_table_finds_nothing);
    tcase_add_test(tcase, what_was_added_is_found_until_it_is_removed);
    tcase_add_test(tcase, cookies_of_caches_have_the_high_bit_and_are_found);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
