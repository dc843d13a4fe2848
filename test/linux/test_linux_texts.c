/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of code with sites, on code of the test's own: what is replaced,
 * forgotten and repaired. */
#include "components/linux/linux.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/linux/fake_sys.h"
#include "test/linux/own_code.h"
#include "test/linux/valgrind.h"
#include "test/test_main.h"

#define PAGES 4
#define BIT(id) LINUX_CALL_BIT(LINUX_CALL_##id)

static const linux_sites_mask_t no_sites;

/* Each page begins with a site of munmap and one of madvise. */
static uint8_t *code;

static uint8_t *munmap_site(size_t page)
{
    return code + page * LINUX_PAGE;
}

static uint8_t *madvise_site(size_t page)
{
    return munmap_site(page) + 2 * OWN_SITE_BYTES;
}

static void set_up(void)
{
    linux_facts_read();
    linux_code_begin();
    linux_lock_prepare();
    code = own_pages(PAGES);
    for (size_t i = 0; i < PAGES; i++) {
        own_write_site(munmap_site(i), SYS_munmap);
        own_write_site(madvise_site(i), SYS_madvise);
    }
    own_seal(code, PAGES);
}

static uintptr_t at_page(size_t page)
{
    return (uintptr_t) code + page * LINUX_PAGE;
}

/* Under the lock, as all changes are made. */
static int search(linux_kind_t kind, size_t from, size_t to)
{
    int sys_errno = 0, result;
    uint64_t saved;

    ck_assert(linux_lock(&saved));
    result = linux_search_memory(kind, at_page(from), at_page(to), &sys_errno);
    linux_unlock(&saved);
    return result;
}

static void forget(size_t from, size_t to)
{
    uint64_t saved;

    ck_assert(linux_lock(&saved));
    linux_texts_forget(at_page(from), at_page(to));
    linux_unlock(&saved);
}

static void repair(uintptr_t start, uintptr_t end)
{
    uint64_t saved;

    ck_assert(linux_lock(&saved));
    linux_texts_repair(start, end);
    linux_unlock(&saved);
}

static void replace(void)
{
    int sys_errno = 0;

    ck_assert_int_eq(linux_texts_replace(&no_sites, &sys_errno), OPAL_SUCCESS);
}

static void restore(void)
{
    int sys_errno = 0;

    ck_assert_int_eq(linux_texts_restore(&sys_errno), OPAL_SUCCESS);
}

/* Does a call at the site reach us? The kernel refuses these arguments. */
static bool arrives(const uint8_t *site)
{
    linux_calls_take_arrivals();
    ck_assert_int_eq(own_function(site)(1, 0, 0), -EINVAL);
    return linux_calls_take_arrivals() != 0;
}

static bool all_arrive(size_t from, size_t to)
{
    bool all = true;

    for (size_t i = from; i < to; i++) {
        all = all && arrives(munmap_site(i)) && arrives(madvise_site(i));
    }
    return all;
}

static bool any_arrives(size_t from, size_t to)
{
    bool any = false;

    for (size_t i = from; i < to; i++) {
        any = any || arrives(munmap_site(i)) || arrives(madvise_site(i));
    }
    return any;
}

/* ---- Adding and replacing -------------------------------------------------------------------- */

START_TEST(added_sites_are_replaced_when_all_are_and_put_back)
{
    ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_SUCCESS);
    ck_assert_uint_eq(linux_text_count, 1);
    ck_assert_uint_eq(linux_texts[0].site_count, 2 * PAGES);
    ck_assert(!any_arrives(0, PAGES));
    for (int i = 0; i < 3; i++) {
        replace();
        ck_assert(all_arrive(0, PAGES));
        restore();
        ck_assert(!any_arrives(0, PAGES));
    }
    ck_assert_str_eq(own_protection(code), "r-xp");
}
END_TEST

START_TEST(sites_added_later_are_replaced_at_once)
{
    replace();
    ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_SUCCESS);
    ck_assert(all_arrive(0, PAGES));
    restore();
    ck_assert(!any_arrives(0, PAGES));
}
END_TEST

START_TEST(known_sites_are_not_added_again)
{
    ck_assert_int_eq(search(LINUX_OTHER, 0, 2), OPAL_SUCCESS);
    ck_assert_int_eq(search(LINUX_OTHER, 0, 2), OPAL_SUCCESS);
    ck_assert_uint_eq(linux_text_count, 1);
    ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_SUCCESS);
    ck_assert_uint_eq(linux_text_count, 2);
    ck_assert_uint_eq(linux_texts[1].site_count, 2 * (PAGES - 2));
    replace();
    ck_assert(all_arrive(0, PAGES));
}
END_TEST

START_TEST(code_without_sites_takes_no_entry)
{
    own_open(code, PAGES);
    memset(code, 0xcc, PAGES * LINUX_PAGE);
    ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_SUCCESS);
    ck_assert_uint_eq(linux_text_count, 0);
}
END_TEST

START_TEST(full_table_counts_what_is_lost)
{
    for (size_t i = 0; i < LINUX_MAX_TEXTS; i++) {
        linux_texts[i].start = 16;
        linux_texts[i].end = 17;
    }
    linux_text_count = LINUX_MAX_TEXTS;
    ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_uint_eq(linux_texts_lost, 2 * PAGES);
    ck_assert(!any_arrives(0, PAGES));
    linux_texts[300].start = 0; /* The twin: one entry is free. */
    linux_texts[300].end = 0;
    ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_SUCCESS);
    ck_assert_uint_eq(linux_text_count, LINUX_MAX_TEXTS);
    ck_assert_uint_eq(linux_texts[300].site_count, 2 * PAGES);
}
END_TEST

static long refuse(const long args[6])
{
    (void) args;
    return -EACCES;
}

START_TEST(sites_without_room_for_stubs_are_lost)
{
    fake_sys_set(SYS_mmap, refuse);
    ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_uint_eq(linux_texts_lost, 2 * PAGES);
    ck_assert_uint_eq(linux_text_count, 0);
    fake_sys_set(SYS_mmap, NULL);
    ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_SUCCESS);
    replace();
    ck_assert(all_arrive(0, PAGES));
}
END_TEST

/* By the kind of the code, and by the call. */
START_TEST(disabled_sites_are_left_alone)
{
    linux_sites_mask_t disabled = { { 0 } };
    int sys_errno;

    ck_assert_int_eq(search(LINUX_OTHER, 0, 1), OPAL_SUCCESS);
    ck_assert_int_eq(search(LINUX_LOADER, 1, 2), OPAL_SUCCESS);
    disabled.calls[LINUX_LOADER] = BIT(MUNMAP);
    ck_assert_int_eq(linux_texts_replace(&disabled, &sys_errno), OPAL_SUCCESS);
    ck_assert(all_arrive(0, 1));
    ck_assert(!arrives(munmap_site(1)));
    ck_assert(arrives(madvise_site(1)));
    ck_assert_int_eq(search(LINUX_LOADER, 2, 3), OPAL_SUCCESS);
    ck_assert(!arrives(munmap_site(2)));
    ck_assert(arrives(madvise_site(2)));
    restore();
    replace();
    ck_assert(all_arrive(0, 3));
}
END_TEST

static void make_unchangeable(void)
{
    fake_sys_set(SYS_mprotect, refuse);
    fake_sys_set(SYS_memfd_create, refuse);
}

/* Only promises that are made for libc and ld.so depend on it. */
START_TEST(code_that_cannot_be_changed_is_an_error_in_libc_and_loader)
{
    int sys_errno = 0;

    ck_assert_int_eq(search((linux_kind_t) _i, 0, PAGES), OPAL_SUCCESS);
    make_unchangeable();
    ck_assert_int_eq(linux_texts_replace(&no_sites, &sys_errno), _i == LINUX_OTHER ? OPAL_SUCCESS : OPAL_ERR_PERM);
    ck_assert(_i == LINUX_OTHER || sys_errno == EACCES);
    ck_assert(!any_arrives(0, PAGES));
    ck_assert_uint_eq(linux_texts_held((linux_kind_t) _i), 0);
}
END_TEST

/* Somebody has put back what he found once: our jump, long after we put the code back. */
START_TEST(jump_put_back_by_another_counts_as_ours)
{
    uint8_t jump[LINUX_INSN];

    ck_assert_int_eq(search(LINUX_LIBC, 0, 1), OPAL_SUCCESS);
    replace();
    memcpy(jump, munmap_site(0) + OWN_SITE_OFFSET, LINUX_INSN);
    restore();
    own_open(code, 1);
    memcpy(munmap_site(0) + OWN_SITE_OFFSET, jump, LINUX_INSN);
    ck_assert(arrives(munmap_site(0)));
    restore();
    ck_assert(!arrives(munmap_site(0)));
}
END_TEST

/* ---- What is held ------------------------------------------------------------------------------ */

START_TEST(call_is_held_if_all_its_sites_are)
{
    ck_assert_int_eq(search(LINUX_LIBC, 0, 2), OPAL_SUCCESS);
    ck_assert_int_eq(search(LINUX_LOADER, 2, 3), OPAL_SUCCESS);
    ck_assert_uint_eq(linux_texts_held(LINUX_LIBC), 0);
    replace();
    ck_assert_uint_eq(linux_texts_held(LINUX_LIBC), BIT(MUNMAP) | BIT(MADVISE));
    ck_assert_uint_eq(linux_texts_held(LINUX_LOADER), BIT(MUNMAP) | BIT(MADVISE));
    ck_assert_uint_eq(linux_texts_held(LINUX_OTHER), 0);
    own_open(code, PAGES);
    own_write_hidden(munmap_site(1), SYS_munmap);
    ck_assert_uint_eq(linux_texts_held(LINUX_LIBC), BIT(MADVISE));
    ck_assert_uint_eq(linux_texts_held(LINUX_LOADER), BIT(MUNMAP) | BIT(MADVISE));
}
END_TEST

/* ---- Forgetting -------------------------------------------------------------------------------- */

START_TEST(code_that_goes_takes_its_stubs_along)
{
    const int mappings = own_count_mappings();
    const void *area;

    replace();
    ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_SUCCESS);
    area = (const void *) linux_texts[0].area;
    ck_assert(own_is_mapped(area));
    ck_assert(TEST_SANITIZED || own_count_mappings() > mappings);
    forget(0, PAGES);
    ck_assert(!own_is_mapped(area));
    ck_assert_uint_eq(linux_texts[0].end, 0);
    ck_assert_int_eq(munmap(code, PAGES * LINUX_PAGE), 0);
    restore(); /* Reads nothing of it. */
}
END_TEST

START_TEST(entry_of_code_that_went_is_used_again)
{
    replace();
    for (int i = 0; i < 2 * LINUX_MAX_TEXTS; i++) {
        ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_SUCCESS);
        forget(0, PAGES);
        own_open(code, PAGES);
        for (size_t page = 0; page < PAGES; page++) {
            own_write_site(munmap_site(page), SYS_munmap);
            own_write_site(madvise_site(page), SYS_madvise);
        }
        own_seal(code, PAGES);
    }
    ck_assert_uint_eq(linux_text_count, 1);
    ck_assert_uint_eq(linux_texts_lost, 0);
}
END_TEST

/* Sites of the part that stays go on to jump to their stubs. */
START_TEST(code_that_goes_in_part_leaves_the_rest_working)
{
    replace();
    ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_SUCCESS);
    forget(0, 2);
    ck_assert_int_eq(munmap(code, 2 * LINUX_PAGE), 0);
    ck_assert(all_arrive(2, PAGES));
    restore(); /* Must not look at the part that is gone. */
    repair(0, UINTPTR_MAX);
    ck_assert_uint_eq(linux_texts_held(LINUX_OTHER), 0);
}
END_TEST

START_TEST(part_without_sites_changes_nothing)
{
    own_open(code, PAGES);
    memset(munmap_site(PAGES - 1), 0xcc, LINUX_PAGE);
    own_seal(code, PAGES);
    replace();
    ck_assert_int_eq(search(LINUX_OTHER, 0, PAGES), OPAL_SUCCESS);
    forget(PAGES - 1, PAGES);
    ck_assert_int_eq(munmap(munmap_site(PAGES - 1), LINUX_PAGE), 0);
    ck_assert(all_arrive(0, PAGES - 1));
    restore();
    ck_assert(!any_arrives(0, PAGES - 1));
}
END_TEST

START_TEST(other_code_is_not_forgotten)
{
    replace();
    ck_assert_int_eq(search(LINUX_OTHER, 0, 1), OPAL_SUCCESS);
    ck_assert_int_eq(search(LINUX_OTHER, 1, 2), OPAL_SUCCESS);
    forget(1, PAGES);
    ck_assert_uint_ne(linux_texts[0].end, 0);
    ck_assert_uint_eq(linux_texts[1].end, 0);
    ck_assert(all_arrive(0, 1));
}
END_TEST

/* ---- Repairing --------------------------------------------------------------------------------- */

static void put_back(size_t page)
{
    own_open(code, PAGES);
    own_write_site(munmap_site(page), SYS_munmap);
    own_seal(code, PAGES);
    ck_assert(!arrives(munmap_site(page)));
}

static void replace_everything(void)
{
    replace();
    ck_assert_int_eq(search(LINUX_LIBC, 0, PAGES), OPAL_SUCCESS);
}

/* By the range that was changed, and by all. */
START_TEST(bare_site_is_replaced_again)
{
    replace_everything();
    put_back(1);
    repair(_i == 0 ? at_page(1) : 0, _i == 0 ? at_page(2) : UINTPTR_MAX);
    ck_assert(all_arrive(0, PAGES));
}
END_TEST

START_TEST(twin_repair_elsewhere_leaves_it_bare)
{
    replace_everything();
    put_back(1);
    repair(at_page(2), at_page(3));
    ck_assert(!arrives(munmap_site(1)));
}
END_TEST

START_TEST(nothing_is_repaired_while_switched_off)
{
    replace_everything();
    restore();
    repair(0, UINTPTR_MAX);
    ck_assert(!any_arrives(0, PAGES));
}
END_TEST

/* Whoever is at other pages still may write to them. */
START_TEST(pages_that_are_still_open_stay_so)
{
    replace_everything();
    put_back(0);
    put_back(2);
    own_open(munmap_site(2), 1);
    repair(at_page(0), at_page(1));
    ck_assert(arrives(munmap_site(0)));
    ck_assert(!arrives(munmap_site(2)));
    ck_assert_str_eq(own_protection(munmap_site(2)), "rwxp");
}
END_TEST

#if LINUX_INSN > 4 /* Else they are aligned. */
/* A site of which only the second page was changed. */
START_TEST(site_over_the_edge_is_replaced_again)
{
    uint8_t *site = code + LINUX_PAGE - 3;

    own_open(code, PAGES);
    memset(munmap_site(0), 0xcc, 2 * LINUX_PAGE);
    own_write_site(site, SYS_munmap);
    own_seal(code, PAGES);
    replace_everything();
    ck_assert(arrives(site));
    own_open(code, PAGES);
    own_write_site(site, SYS_munmap);
    own_seal(code, PAGES);
    repair(at_page(1), at_page(2));
    ck_assert(arrives(site));
}
END_TEST
#endif

START_TEST(foreign_code_at_a_site_stays)
{
    uint8_t foreign[OWN_SITE_BYTES];

    replace_everything();
    own_open(code, PAGES);
    own_write_hidden(munmap_site(1), SYS_munmap);
    memcpy(foreign, munmap_site(1), sizeof(foreign));
    own_seal(code, PAGES);
    repair(0, UINTPTR_MAX);
    ck_assert(memcmp(foreign, munmap_site(1), sizeof(foreign)) == 0);
    ck_assert(!arrives(munmap_site(1)));
    ck_assert(arrives(madvise_site(1)));
    restore();
    ck_assert(memcmp(foreign, munmap_site(1), sizeof(foreign)) == 0);
}
END_TEST

/* What was taken when we came, and is given back now. */
START_TEST(new_site_in_changed_code_is_added)
{
    own_open(code, PAGES);
    own_write_hidden(munmap_site(1), SYS_munmap);
    own_seal(code, PAGES);
    replace_everything();
    ck_assert(!arrives(munmap_site(1)));
    put_back(1);
    repair(at_page(1), at_page(2));
    ck_assert(all_arrive(0, PAGES));
    restore();
    ck_assert(!any_arrives(0, PAGES));
}
END_TEST

START_TEST(disabled_site_is_not_repaired)
{
    const linux_sites_mask_t disabled = { { BIT(MUNMAP), 0, 0 } };
    int sys_errno = 0;

    ck_assert_int_eq(search(LINUX_LIBC, 0, PAGES), OPAL_SUCCESS);
    ck_assert_int_eq(linux_texts_replace(&disabled, &sys_errno), OPAL_SUCCESS);
    repair(0, UINTPTR_MAX);
    ck_assert(!arrives(munmap_site(0)));
    ck_assert(arrives(madvise_site(0)));
}
END_TEST

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_texts");
    TCase *tcase = tcase_create("texts");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, added_sites_are_replaced_when_all_are_and_put_back);
    tcase_add_test(tcase, sites_added_later_are_replaced_at_once);
    tcase_add_test(tcase, known_sites_are_not_added_again);
    tcase_add_test(tcase, code_without_sites_takes_no_entry);
    tcase_add_test(tcase, full_table_counts_what_is_lost);
    tcase_add_test(tcase, sites_without_room_for_stubs_are_lost);
    tcase_add_test(tcase, disabled_sites_are_left_alone);
    tcase_add_loop_test(tcase, code_that_cannot_be_changed_is_an_error_in_libc_and_loader, 0, LINUX_KINDS);
    tcase_add_test(tcase, jump_put_back_by_another_counts_as_ours);
    tcase_add_test(tcase, call_is_held_if_all_its_sites_are);
    tcase_add_test(tcase, code_that_goes_takes_its_stubs_along);
    tcase_add_test(tcase, entry_of_code_that_went_is_used_again);
    tcase_add_test(tcase, code_that_goes_in_part_leaves_the_rest_working);
    tcase_add_test(tcase, part_without_sites_changes_nothing);
    tcase_add_test(tcase, other_code_is_not_forgotten);
    tcase_add_loop_test(tcase, bare_site_is_replaced_again, 0, 2);
    tcase_add_test(tcase, twin_repair_elsewhere_leaves_it_bare);
    tcase_add_test(tcase, nothing_is_repaired_while_switched_off);
    tcase_add_test(tcase, pages_that_are_still_open_stay_so);
#if LINUX_INSN > 4
    tcase_add_test(tcase, site_over_the_edge_is_replaced_again);
#endif
    tcase_add_test(tcase, foreign_code_at_a_site_stays);
    tcase_add_test(tcase, new_site_in_changed_code_is_added);
    tcase_add_test(tcase, disabled_site_is_not_repaired);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
