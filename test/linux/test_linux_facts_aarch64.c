/* SPDX-License-Identifier: BSD-3-Clause */
/* How large the address space is and what the processor ignores, aarch64. */
#include <errno.h>
#include <sys/mman.h>

#include "components/linux/linux.h"
#include "test/linux/fake_sys.h"
#include "test/test_main.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static unsigned bits;
static uintptr_t guard;      /* What is missing at the end. */
static uintptr_t in_the_way; /* Something is mapped there. */
static bool is_hint;         /* A kernel that does not know MAP_FIXED_NOREPLACE. */
static int mapped;

static long fake_mmap(const long args[6])
{
    const uintptr_t address = (uintptr_t) args[0];

    ck_assert_uint_eq(address % LINUX_PAGE, 0);
    if (address + (uintptr_t) args[1] > ((uintptr_t) 1 << bits) - guard) {
        return -ENOMEM;
    }
    if (address == in_the_way && !is_hint) {
        return -EEXIST;
    }
    mapped++;
    return (long) (address == in_the_way ? 0x10000 : address);
}

static long fake_munmap(const long args[6])
{
    (void) args;
    mapped--;
    return 0;
}

static void set_up(void)
{
    linux_facts.page = 4096;
    fake_sys_set(SYS_mmap, fake_mmap);
    fake_sys_set(SYS_munmap, fake_munmap);
}

static const unsigned sizes[] = { 39, 42, 47, 48, 52 };
static const size_t pages[] = { 4096, 16384, 65536 };

static void expect_end(uintptr_t end)
{
    linux_facts_read_cpu();
    ck_assert_uint_eq(linux_facts.address_end, end);
    ck_assert_int_eq(mapped, 0);
}

START_TEST(end_is_that_of_the_kernels_address_bits)
{
    bits = sizes[_i];
    for (size_t i = 0; i < COUNT(pages); i++) {
        linux_facts.page = pages[i];
        expect_end((uintptr_t) 1 << bits);
    }
}
END_TEST

START_TEST(what_is_mapped_in_the_place_that_is_tried_is_usable)
{
    bits = sizes[_i];
    in_the_way = (uintptr_t) 1 << (bits - 1);
    expect_end((uintptr_t) 1 << bits);
}
END_TEST

/* An emulator on x86-64 has a page less than 47 bits. The end must not be told too low: events would be lost. */
START_TEST(end_of_a_space_with_a_guard_is_behind_it)
{
    bits = 47;
    guard = 4096;
    linux_facts.page = pages[_i];
    expect_end((uintptr_t) 1 << 47);
}
END_TEST

START_TEST(space_that_tells_nothing_is_taken_for_the_largest)
{
    bits = 36;
    expect_end((uintptr_t) 1 << 52);
}
END_TEST

START_TEST(address_that_was_not_kept_is_given_back)
{
    bits = 48;
    is_hint = true;
    in_the_way = (uintptr_t) 1 << 47;
    linux_facts_read_cpu();
    ck_assert_int_eq(mapped, 0);
}
END_TEST

START_TEST(highest_byte_of_an_address_does_not_count)
{
    const long args[6] = { (long) (UINT64_C(0xab) << 56 | 0x10000), 4096 };
    opal_mem_hooks_range_t range;

    bits = 48;
    linux_facts_read_cpu();
    ck_assert_uint_eq(linux_ranges_munmap(args, &range), 1);
    ck_assert_uint_eq(range.start, 0x10000);
}
END_TEST

/* ---- Huge pages ---------------------------------------------------------------------------------- */

static const size_t huge_pages[] = LINUX_HUGE_PAGES;
static size_t real_page;

static long fake_mremap(const long args[6])
{
    return (uintptr_t) args[0] % real_page != 0 ? -EINVAL : args[0];
}

START_TEST(size_of_a_huge_page_is_found_out)
{
    const uintptr_t address = UINT64_C(1) << 40;

    linux_facts.page = 4096;
    fake_sys_set(SYS_mremap, fake_mremap);
    real_page = huge_pages[_i];
    ck_assert_uint_eq(linux_mapping_page(address, 4096, 4096), real_page);
    ck_assert_uint_eq(linux_mapping_page(address + real_page, 2 * 4096, 4096), real_page);
}
END_TEST

START_TEST(plain_page_is_no_huge_one)
{
    linux_facts.page = real_page = pages[_i];
    fake_sys_set(SYS_mremap, fake_mremap);
    ck_assert_uint_eq(linux_mapping_page(UINT64_C(1) << 40, real_page, real_page), real_page);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_facts_aarch64");
    TCase *tcase = tcase_create("facts");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_loop_test(tcase, end_is_that_of_the_kernels_address_bits, 0, COUNT(sizes));
    tcase_add_loop_test(tcase, what_is_mapped_in_the_place_that_is_tried_is_usable, 0, COUNT(sizes));
    tcase_add_loop_test(tcase, end_of_a_space_with_a_guard_is_behind_it, 0, COUNT(pages));
    tcase_add_test(tcase, space_that_tells_nothing_is_taken_for_the_largest);
    tcase_add_test(tcase, address_that_was_not_kept_is_given_back);
    tcase_add_test(tcase, highest_byte_of_an_address_does_not_count);
    tcase_add_loop_test(tcase, size_of_a_huge_page_is_found_out, 0, COUNT(huge_pages));
    tcase_add_loop_test(tcase, plain_page_is_no_huge_one, 0, COUNT(pages));
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
