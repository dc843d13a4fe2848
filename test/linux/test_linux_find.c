/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding sites in made-up code with decoys, and in the libc and ld.so of this
 * process. */
#include "components/linux/linux.h"

#include <string.h>
#include <sys/syscall.h>

#include "test/test_main.h"

#define MOV(nr) 0xb8, (nr) &0xff, (nr) >> 8 & 0xff, 0, 0
#define SYSCALL_INSN 0x0f, 0x05
#define NONE (-1)

static const struct {
    const char *name;
    uint8_t code[16];
    size_t size;
    int at;
    uint32_t nr;
} rows[] = {
    { "munmap at the start", { MOV(11), SYSCALL_INSN }, 7, 0, SYS_munmap },
    { "two bytes before", { 0x90, 0x90, MOV(9), SYSCALL_INSN }, 9, 2, SYS_mmap },
    { "a number of two bytes", { MOV(216), SYSCALL_INSN }, 7, 0, SYS_remap_file_pages },
    { "another number", { MOV(13), SYSCALL_INSN }, 7, NONE, 0 },
    { "a number with a high byte", { 0xb8, 11, 0, 1, 0, SYSCALL_INSN }, 7, NONE, 0 },
    { "mov to r8d", { 0x41, MOV(11), SYSCALL_INSN }, 8, NONE, 0 },
    { "movabs", { 0x48, MOV(11), SYSCALL_INSN }, 8, NONE, 0 },
    { "mov to edi", { 0xbf, 11, 0, 0, 0, SYSCALL_INSN }, 7, NONE, 0 },
    { "something between", { MOV(11), 0x90, SYSCALL_INSN }, 8, NONE, 0 },
    { "sysenter", { MOV(11), 0x0f, 0x34 }, 7, NONE, 0 },
    { "cut short", { MOV(11), 0x0f }, 6, NONE, 0 },
    { "replaced", { 0xe9, 11, 0, 0, 0, SYSCALL_INSN }, 7, NONE, 0 },
    { "endbr64 before", { 0xf3, 0x0f, 0x1e, 0xfa, MOV(12), SYSCALL_INSN }, 11, 4, SYS_brk },
    { "05 in the number's place first", { 0x05, 0x0f, 0x05, MOV(28), SYSCALL_INSN }, 10, 3, SYS_madvise },
};

START_TEST(only_a_mov_of_our_number_before_syscall_is_a_site)
{
    uint32_t nr = 0;
    const size_t at = linux_find_next(rows[_i].code, rows[_i].size, 0, &nr);

    ck_assert_msg(at == (rows[_i].at == NONE ? rows[_i].size : (size_t) rows[_i].at), "%s: at %zu", rows[_i].name,
                  at);
    ck_assert_msg(nr == rows[_i].nr, "%s: nr %u", rows[_i].name, nr);
}
END_TEST

START_TEST(search_goes_on_behind_a_site)
{
    const uint8_t code[] = { MOV(11), SYSCALL_INSN, MOV(9), SYSCALL_INSN, 0xc3 };
    uint32_t nr = 0;

    ck_assert_uint_eq(linux_find_next(code, sizeof(code), 0, &nr), 0);
    ck_assert_uint_eq(nr, SYS_munmap);
    ck_assert_uint_eq(linux_find_next(code, sizeof(code), 7, &nr), 7);
    ck_assert_uint_eq(nr, SYS_mmap);
    ck_assert_uint_eq(linux_find_next(code, sizeof(code), 14, &nr), sizeof(code));
}
END_TEST

static uint32_t find_in(size_t object, linux_site_t *sites, size_t capacity, size_t *count)
{
    static linux_object_t objects[LINUX_OBJECTS];
    uint32_t calls = 0;

    linux_find_objects(objects);
    ck_assert_uint_ne(objects[object].end, 0);
    *count = linux_find_sites(&objects[object], sites, capacity);
    for (size_t i = 0; i < *count; i++) {
        const uintptr_t address = (uintptr_t) sites[i].address;

        ck_assert(address >= objects[object].start && address + LINUX_INSN + LINUX_SYSCALL <= objects[object].end);
        ck_assert(i == 0 || sites[i - 1].address < sites[i].address);
        ck_assert(memcmp(sites[i].original, sites[i].address, LINUX_INSN) == 0);
        calls |= sites[i].call->bit;
    }
    return calls;
}

START_TEST(libc_has_a_site_of_every_call)
{
    linux_site_t sites[LINUX_MAX_SITES];
    size_t count;

    ck_assert_uint_eq(find_in(LINUX_LIBC, sites, LINUX_MAX_SITES, &count), (1u << LINUX_CALL_COUNT) - 1);
    ck_assert_uint_lt(count, LINUX_MAX_SITES / 2);
}
END_TEST

START_TEST(loader_has_sites_of_its_own)
{
    const uint32_t needed = LINUX_CALL_BIT(LINUX_CALL_MMAP) | LINUX_CALL_BIT(LINUX_CALL_MUNMAP);
    linux_site_t sites[LINUX_MAX_SITES];
    size_t count;

    ck_assert_uint_eq(find_in(LINUX_LOADER, sites, LINUX_MAX_SITES, &count) & needed, needed);
}
END_TEST

START_TEST(capacity_is_respected)
{
    linux_site_t sites[4];
    size_t count;

    memset(sites, 0, sizeof(sites));
    find_in(LINUX_LIBC, sites, 3, &count);
    ck_assert_uint_eq(count, 3);
    ck_assert_ptr_null(sites[3].address);
}
END_TEST

static const struct {
    const char *list;
    int code;
    uint32_t mask;
    const char *unknown;
} lists[] = {
    { "", OPAL_SUCCESS, 0, "" },
    { "munmap", OPAL_SUCCESS, LINUX_CALL_BIT(LINUX_CALL_MUNMAP), "" },
    { "mmap,brk", OPAL_SUCCESS, LINUX_CALL_BIT(LINUX_CALL_MMAP) | LINUX_CALL_BIT(LINUX_CALL_BRK), "" },
    { "mmap,", OPAL_SUCCESS, LINUX_CALL_BIT(LINUX_CALL_MMAP), "" },
    { "mma", OPAL_ERR_BAD_PARAM, 0, "mma" },
    { "brk,mmapp,shmat", OPAL_ERR_BAD_PARAM, 0, "mmapp" },
    { ",brk", OPAL_ERR_BAD_PARAM, 0, "" },
};

START_TEST(list_of_calls_is_read_strictly)
{
    uint32_t mask = 0;
    const char *unknown = NULL;
    size_t length = 0;

    ck_assert_int_eq(linux_calls_parse(lists[_i].list, &mask, &unknown, &length), lists[_i].code);
    ck_assert_uint_eq(mask, lists[_i].mask);
    if (lists[_i].code != OPAL_SUCCESS) {
        ck_assert_uint_eq(length, strlen(lists[_i].unknown));
        ck_assert(strncmp(unknown, lists[_i].unknown, length) == 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_find");
    TCase *tcase = tcase_create("find");

    tcase_add_loop_test(tcase, only_a_mov_of_our_number_before_syscall_is_a_site, 0,
                        (int) (sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tcase, search_goes_on_behind_a_site);
    tcase_add_test(tcase, libc_has_a_site_of_every_call);
    tcase_add_test(tcase, loader_has_sites_of_its_own);
    tcase_add_test(tcase, capacity_is_respected);
    tcase_add_loop_test(tcase, list_of_calls_is_read_strictly, 0, (int) (sizeof(lists) / sizeof(lists[0])));
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
