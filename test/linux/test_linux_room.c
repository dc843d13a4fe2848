/* SPDX-License-Identifier: BSD-3-Clause */
/* Where stubs are put, near their sites, and how they become executable. */
#include "components/linux/linux.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/linux/fake_sys.h"
#include "test/linux/own_stub.h"
#include "test/linux/valgrind.h"
#include "test/test_main.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uintptr_t stub_address(void)
{
    int32_t distance;

    memcpy(&distance, text.sites[0].jump + 1, sizeof(distance));
    return (uintptr_t) found.address + LINUX_INSN + (uintptr_t) (intptr_t) distance;
}

/* Above, the page is in reach of 16 MiB if anything is free there. */
START_TEST(stub_is_above_where_there_is_room)
{
    make();
    ck_assert_uint_gt(stub_address(), (uintptr_t) found.address);
    ck_assert_uint_eq(text.sites[0].jump[4], 0);
}
END_TEST

static int try_to_make(int *sys_errno)
{
    const uintptr_t start = (uintptr_t) page;

    return linux_stubs_make(&text, start, start + LINUX_PAGE, &found, 1, sys_errno);
}

static long tries;

/* Nothing is free within `16 MiB` above; the first place below is. */
static long mmap_below_only(const long args[6])
{
    tries++;
    return (uintptr_t) args[0] >= (uintptr_t) page ? -EEXIST : linux_sys_real(SYS_mmap, args);
}

START_TEST(stub_is_elsewhere_within_reach_otherwise)
{

    fake_sys_set(SYS_mmap, mmap_below_only);
    make_and_jump();
    ck_assert_uint_lt(stub_address(), (uintptr_t) found.address);
    ck_assert_uint_gt(stub_address(), (uintptr_t) found.address - (UINT64_C(1) << 31));
    ck_assert_int_eq(own_function(entry)(1, 0, 0), -EINVAL);
}
END_TEST

/* ---- The heap ---- */

static uintptr_t heap_end;

static long brk_fake(const long args[6])
{
    ck_assert_int_eq(args[0], 0);
    return (long) heap_end;
}

/* Where the heap ends, in pages from the site's. Stubs above it would stop it from growing. */
static const struct {
    int heap_end;
    bool is_below;
} heap_rows[] = {
    { 1, true }, { 2, true }, { 17, true }, { 0, false }, { -100, false }, { 1 << 20, false },
};

static long mmap_full_up_to_the_heap(const long args[6])
{
    const uintptr_t at = (uintptr_t) args[0];

    return at >= (uintptr_t) page && at < heap_end ? -EEXIST : linux_sys_real(SYS_mmap, args);
}

START_TEST(stub_does_not_stop_the_heap_from_growing)
{
    heap_end = (uintptr_t) page + (uintptr_t) heap_rows[_i].heap_end * LINUX_PAGE;
    fake_sys_set(SYS_brk, brk_fake);
    if (heap_rows[_i].heap_end > 1 && heap_rows[_i].is_below) {
        fake_sys_set(SYS_mmap, mmap_full_up_to_the_heap);
    }
    make_and_jump();
    ck_assert_int_eq(stub_address() < (uintptr_t) page, heap_rows[_i].is_below);
    ck_assert(heap_rows[_i].is_below || heap_end < (uintptr_t) page + LINUX_PAGE
              || text.area + text.area_length <= heap_end);
    ck_assert_int_eq(own_function(entry)(1, 0, 0), -EINVAL);
}
END_TEST

static long mmap_above_the_heap_only(const long args[6])
{
    return (uintptr_t) args[0] < heap_end ? -EEXIST : linux_sys_real(SYS_mmap, args);
}

/* Where there is no other place, it has to. */
START_TEST(stub_is_above_the_heap_at_the_worst)
{
    heap_end = (uintptr_t) page + LINUX_PAGE;
    fake_sys_set(SYS_brk, brk_fake);
    fake_sys_set(SYS_mmap, mmap_above_the_heap_only);
    make_and_jump();
    ck_assert_uint_gt(stub_address(), heap_end + LINUX_REACH / 2); /* So it still grows a while. */
}
END_TEST

/* Where programs lie that are not position-independent, many stubs have room below. */
START_TEST(many_stubs_have_room_below_a_program_at_a_low_address)
{
    const uintptr_t low = 0x600000;
    int sys_errno;

    page = mmap((void *) low, LINUX_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if ((uintptr_t) page != low) {
        printf("LEFT OUT: memory at a low address is not to be had\n");
        return;
    }
    heap_end = (uintptr_t) page + LINUX_PAGE;
    fake_sys_set(SYS_brk, brk_fake);
    own_write_site(page, SYS_munmap);
    take_site(0, &linux_calls[LINUX_CALL_MUNMAP]);
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(try_to_make(&sys_errno), OPAL_SUCCESS);
        ck_assert_uint_lt(text.area, (uintptr_t) page);
    }
}
END_TEST

static long mmap_full(const long args[6])
{
    (void) args;
    tries++;
    return -EEXIST;
}

/* What a kernel without MAP_FIXED_NOREPLACE does with a place that is taken. */
static long mmap_hint(const long args[6])
{
    const long anywhere[6] = { 0, args[1], args[2], MAP_PRIVATE | MAP_ANONYMOUS, -1, 0 };

    tries++;
    const long place = linux_sys_real(SYS_mmap, anywhere);
    if (place != args[0]) {
        return place;
    }
    /* By chance it is what was asked for. */
    const long other = linux_sys_real(SYS_mmap, anywhere);
    munmap((void *) place, (size_t) args[1]);
    return other;
}

static long unmaps;

static long count_munmap(const long args[6])
{
    unmaps++;
    return linux_sys_real(SYS_munmap, args);
}

START_TEST(no_room_is_an_error_after_a_bounded_search)
{
    int sys_errno = 0;

    fake_sys_set(SYS_mmap, _i == 0 ? mmap_full : mmap_hint);
    fake_sys_set(SYS_munmap, count_munmap);
    ck_assert_int_eq(try_to_make(&sys_errno), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(sys_errno, ENOMEM);
    ck_assert_int_lt(tries, 10000);
    ck_assert_int_eq(unmaps, _i == 0 ? 0 : tries);
}
END_TEST

/* ---- Making it executable --------------------------------------------------------------------------- */

static long refuse(const long args[6])
{
    (void) args;
    return -EACCES;
}

static int files;

static long count_files(const long args[6])
{
    files++;
    return linux_sys_real(SYS_memfd_create, args);
}

static int lowest_free_descriptor(void)
{
    const int fd = dup(0);

    close(fd);
    return fd;
}

/* As where written memory may not be executed. */
START_TEST(stub_is_mapped_from_a_file_otherwise)
{
    const int descriptor = lowest_free_descriptor();

    fake_sys_set(SYS_mprotect, refuse);
    fake_sys_set(SYS_memfd_create, count_files);
    make_and_jump();
    ck_assert_int_eq(files, 1);
    ck_assert_int_eq(lowest_free_descriptor(), descriptor);
    ck_assert_str_eq(own_protection((const void *) stub_address()), "r-xp");
    ck_assert_str_eq(own_protection(text.sites), "rw-p");
    ck_assert_int_eq(own_function(entry)(1, 0, 0), -EINVAL);
    ck_assert_uint_eq(linux_calls_take_arrivals(), LINUX_CALL_BIT(LINUX_CALL_MUNMAP));
}
END_TEST

START_TEST(file_is_not_needed_where_memory_can_be_executed)
{
    fake_sys_set(SYS_memfd_create, count_files);
    make();
    ck_assert_int_eq(files, 0);
    ck_assert_str_eq(own_protection((const void *) stub_address()), "r-xp");
    ck_assert_str_eq(own_protection(text.sites), "rw-p");
}
END_TEST

/* A kernel before 6.3. */
static long refuse_new_flags(const long args[6])
{
    files++;
    return (args[1] & ~1L) != 0 ? -EINVAL : linux_sys_real(SYS_memfd_create, args);
}

static long write_little(const long args[6])
{
    const long some[6] = { args[0], args[1], args[2] > 1000 ? 1000 : args[2] };

    return linux_sys_real(SYS_write, some);
}

START_TEST(old_kernel_and_short_writes_are_no_obstacle)
{

    fake_sys_set(SYS_mprotect, refuse);
    fake_sys_set(SYS_memfd_create, refuse_new_flags);
    fake_sys_set(SYS_write, write_little);
    make_and_jump();
    ck_assert_int_eq(files, 2);
    ck_assert_int_eq(own_function(entry)(1, 0, 0), -EINVAL);
}
END_TEST

static long refuse_executable(const long args[6])
{
    return (args[2] & PROT_EXEC) != 0 ? -EACCES : linux_sys_real(SYS_mmap, args);
}

static const struct {
    long nr;
    fake_sys_fn_t refuse;
} file_rows[] = {
    { SYS_memfd_create, refuse },
    { SYS_write, refuse },
    { SYS_mmap, refuse_executable },
};

START_TEST(refused_both_ways_leaves_nothing_behind)
{
    const int descriptor = lowest_free_descriptor();
    const int mappings = own_count_mappings();
    int sys_errno = 0;

    fake_sys_set(SYS_mprotect, refuse);
    fake_sys_set(file_rows[_i].nr, file_rows[_i].refuse);
    fake_sys_set(SYS_munmap, count_munmap);
    ck_assert_int_eq(try_to_make(&sys_errno), OPAL_ERR_PERM);
    ck_assert_int_eq(sys_errno, EACCES);
    ck_assert_int_eq(unmaps, 1);
    ck_assert_int_eq(own_count_mappings(), mappings);
    ck_assert_int_eq(lowest_free_descriptor(), descriptor);
    ck_assert(memcmp(found.address, found.original, LINUX_INSN) == 0);
}
END_TEST

/* All sites of one search, each with a stub of its own. */
START_TEST(as_many_stubs_as_can_be_found_at_once)
{
    static linux_found_t many[LINUX_FIND_AT_ONCE];
    const uintptr_t start = (uintptr_t) page;
    int sys_errno = 0;

    for (size_t i = 0; i < LINUX_FIND_AT_ONCE; i++) {
        own_write_site(page + i * OWN_SITE_BYTES, SYS_munmap);
        many[i] = (linux_found_t){ .address = page + i * OWN_SITE_BYTES, .call = found.call };
        memcpy(many[i].original, many[i].address, LINUX_INSN);
    }
    ck_assert_int_eq(linux_stubs_make(&text, start, start + LINUX_PAGE, many, LINUX_FIND_AT_ONCE, &sys_errno),
                     OPAL_SUCCESS);
    for (size_t i = 0; i < LINUX_FIND_AT_ONCE; i++) {
        memcpy(many[i].address, text.sites[i].jump, LINUX_INSN);
        entry = many[i].address;
        linux_calls_take_arrivals();
        ck_assert_int_eq(own_function(entry)(1, 0, 0), -EINVAL);
        ck_assert_uint_eq(linux_calls_take_arrivals(), LINUX_CALL_BIT(LINUX_CALL_MUNMAP));
    }
}
END_TEST

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_room");
    TCase *tcase = tcase_create("room");

    tcase_add_checked_fixture(tcase, own_stub_set_up, NULL);
    tcase_add_test(tcase, stub_is_above_where_there_is_room);
    tcase_add_test(tcase, stub_is_elsewhere_within_reach_otherwise);
    tcase_add_loop_test(tcase, stub_does_not_stop_the_heap_from_growing, 0, (int) COUNT(heap_rows));
    tcase_add_test(tcase, stub_is_above_the_heap_at_the_worst);
    tcase_add_test(tcase, many_stubs_have_room_below_a_program_at_a_low_address);
    tcase_add_loop_test(tcase, no_room_is_an_error_after_a_bounded_search, 0, 2);
    tcase_add_test(tcase, stub_is_mapped_from_a_file_otherwise);
    tcase_add_test(tcase, file_is_not_needed_where_memory_can_be_executed);
    tcase_add_test(tcase, old_kernel_and_short_writes_are_no_obstacle);
    tcase_add_loop_test(tcase, refused_both_ways_leaves_nothing_behind, 0, (int) COUNT(file_rows));
    tcase_add_test(tcase, as_many_stubs_as_can_be_found_at_once);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
