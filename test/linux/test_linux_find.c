/* SPDX-License-Identifier: BSD-3-Clause */
/* Finding sites in made-up code with decoys, and in the libc and ld.so of this
 * process; and the names that settings have for sites. */
#include "components/linux/linux_sys.h"
#include "components/linux/linux.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/syscall.h>

#include "test/test_main.h"

#define MOV(nr) 0xb8, (nr) &0xff, (nr) >> 8 & 0xff, 0, 0
#define SYSCALL_INSN 0x0f, 0x05
#define MOV_R9_R8 0x4d, 0x89, 0xc8
#define LOAD_R9 0x4c, 0x8b, 0x4c, 0x24, 0x08
#define NONE (-1)
#define MOVE 0x48, 0x89, 0xfa /* mov %rdi,%rdx */
#define CLEAR 0x31, 0xd2      /* xor %edx,%edx */
#define MOV_ESI 0xbe, 7, 0, 0, 0
#define SET(nr) ((nr) | LINUX_NR_IS_SET)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- In bytes -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint8_t code[40];
    size_t size;
    int at;
    long nr;
} rows[] = {
    { "munmap at the start", { MOV(11), SYSCALL_INSN }, 7, 0, SYS_munmap },
    { "two bytes before", { 0x90, 0x90, MOV(9), SYSCALL_INSN }, 9, 2, SYS_mmap },
    { "a number of two bytes", { MOV(216), SYSCALL_INSN }, 7, 0, SYS_remap_file_pages },
    { "a number above 255", { MOV(440), SYSCALL_INSN }, 7, 0, SYS_process_madvise },
    { "another number", { MOV(39), SYSCALL_INSN }, 7, NONE, 0 },
    { "a number with a high byte", { 0xb8, 11, 0, 1, 0, SYSCALL_INSN }, 7, NONE, 0 },
    { "a number with the highest bit", { 0xb8, 11, 0, 0, 0x80, SYSCALL_INSN }, 7, NONE, 0 },
    { "the number that means any", { 0xb8, 0xff, 0xff, 0xff, 0xff, SYSCALL_INSN }, 7, NONE, 0 },
    { "mov to r8d", { 0x41, MOV(11), SYSCALL_INSN }, 8, NONE, 0 },
    { "movabs", { 0x48, MOV(11), SYSCALL_INSN }, 8, NONE, 0 },
    { "mov to edi", { 0xbf, 11, 0, 0, 0, SYSCALL_INSN }, 7, NONE, 0 },
    { "something between", { MOV(11), 0x90, SYSCALL_INSN }, 8, NONE, 0 },
    { "sysenter", { MOV(11), 0x0f, 0x34 }, 7, NONE, 0 },
    { "cut short", { MOV(11), 0x0f }, 6, NONE, 0 },
    { "replaced", { 0xe9, 11, 0, 0, 0, SYSCALL_INSN }, 7, NONE, 0 },
    { "endbr64 before", { 0xf3, 0x0f, 0x1e, 0xfa, MOV(12), SYSCALL_INSN }, 11, 4, SYS_brk },
    { "05 in the number's place first", { 0x05, 0x0f, 0x05, MOV(28), SYSCALL_INSN }, 10, 3, SYS_madvise },
    { "syscall(2)", { MOV_R9_R8, LOAD_R9, SYSCALL_INSN }, 10, 3, LINUX_NR_ANY },
    { "syscall(2) without its lead", { LOAD_R9, SYSCALL_INSN }, 7, NONE, 0 },
    { "syscall(2) with another lead", { 0x4d, 0x89, 0xc1, LOAD_R9, SYSCALL_INSN }, 10, NONE, 0 },
    { "syscall(2) from another slot", { MOV_R9_R8, 0x4c, 0x8b, 0x4c, 0x24, 0x10, SYSCALL_INSN }, 10, NONE, 0 },
    { "syscall(2) cut short", { MOV_R9_R8, LOAD_R9, 0x0f }, 9, NONE, 0 },
    { "cancellation point",
      { 0x4c, 0x8b, 0x4c, 0x24, 0x10, 0x4c, 0x89, 0x5c, 0x24, 0x08, SYSCALL_INSN, 0xc3 },
      13,
      5,
      LINUX_NR_ANY },
    { "cancellation point that does not return",
      { 0x4c, 0x8b, 0x4c, 0x24, 0x10, 0x4c, 0x89, 0x5c, 0x24, 0x08, SYSCALL_INSN, 0x90 },
      13,
      NONE,
      0 },
    { "cancellation point cut short",
      { 0x4c, 0x8b, 0x4c, 0x24, 0x10, 0x4c, 0x89, 0x5c, 0x24, 0x08, SYSCALL_INSN },
      12,
      NONE,
      0 },
    { "cancellation point alone", { 0x48, 0x8b, 0x44, 0x24, 0x10, SYSCALL_INSN, 0x5b, 0xc3 }, 9, 0, LINUX_NR_ANY },
    { "cancellation point alone cut short", { 0x48, 0x8b, 0x44, 0x24, 0x10, SYSCALL_INSN, 0x5b }, 8, NONE, 0 },
    { "number before a constant", { MOV(11), MOV_ESI, SYSCALL_INSN }, 12, 5, SET(SYS_munmap) },
    { "number before a move and a constant", { MOV(9), MOVE, MOV_ESI, SYSCALL_INSN }, 15, 8, SET(SYS_mmap) },
    { "number before a clearing and a constant", { MOV(9), CLEAR, MOV_ESI, SYSCALL_INSN }, 14, 7, SET(SYS_mmap) },
    { "number before six moves and a constant",
      { MOV(11), MOVE, MOVE, MOVE, MOVE, MOVE, MOVE, MOV_ESI, SYSCALL_INSN },
      30,
      23,
      SET(SYS_munmap) },
    { "number too far away",
      { MOV(11), MOVE, MOVE, MOVE, MOVE, MOVE, MOVE, MOVE, MOV_ESI, SYSCALL_INSN },
      33,
      NONE,
      0 },
    { "another number before a constant", { MOV(39), MOV_ESI, SYSCALL_INSN }, 12, NONE, 0 },
    { "other instruction between", { MOV(11), 0x48, 0x8b, 0x17, MOV_ESI, SYSCALL_INSN }, 15, NONE, 0 },
    { "xor of two registers between", { MOV(11), 0x31, 0xfa, MOV_ESI, SYSCALL_INSN }, 14, NONE, 0 },
    { "number overwritten by a move", { MOV(11), 0x89, 0xf8, MOV_ESI, SYSCALL_INSN }, 14, NONE, 0 },
    { "number overwritten by a load", { MOV(11), 0x48, 0x8b, 0xc7, MOV_ESI, SYSCALL_INSN }, 15, NONE, 0 },
    { "number cleared", { MOV(11), 0x31, 0xc0, MOV_ESI, SYSCALL_INSN }, 14, NONE, 0 },
    { "number moved elsewhere", { MOV(11), 0x89, 0xc2, MOV_ESI, SYSCALL_INSN }, 14, 7, SET(SYS_munmap) },
    { "move to r8", { MOV(11), 0x49, 0x89, 0xf8, MOV_ESI, SYSCALL_INSN }, 15, 8, SET(SYS_munmap) },
    { "load to r8", { MOV(11), 0x4c, 0x8b, 0xc7, MOV_ESI, SYSCALL_INSN }, 15, 8, SET(SYS_munmap) },
    { "number of r8 before a constant", { 0x41, MOV(11), MOV_ESI, SYSCALL_INSN }, 13, NONE, 0 },
    { "number before no constant", { MOV(11), MOVE, SYSCALL_INSN }, 10, NONE, 0 },
};

static bool is_ours(long nr)
{
    return nr == LINUX_NR_ANY || linux_call_by_nr(nr) != NULL;
}

START_TEST(only_what_ends_in_our_call_is_a_site)
{
    long nr = 0;
    const size_t at = linux_code_find(rows[_i].code, rows[_i].size, 0, is_ours, &nr);

    ck_assert_msg(at == (rows[_i].at == NONE ? rows[_i].size : (size_t) rows[_i].at), "%s: at %zu", rows[_i].name,
                  at);
    ck_assert_msg(nr == rows[_i].nr, "%s: nr %ld", rows[_i].name, nr);
}
END_TEST

static bool is_any(long nr)
{
    return nr == LINUX_NR_ANY;
}

static bool is_getpid(long nr)
{
    return nr == SYS_getpid;
}

START_TEST(what_is_wanted_is_for_the_caller_to_say)
{
    const uint8_t code[] = { MOV(11), SYSCALL_INSN, MOV(39), SYSCALL_INSN, MOV_R9_R8, LOAD_R9, SYSCALL_INSN };
    long nr = 0;

    ck_assert_uint_eq(linux_code_find(code, sizeof(code), 0, is_getpid, &nr), 7);
    ck_assert_int_eq(nr, SYS_getpid);
    ck_assert_uint_eq(linux_code_find(code, sizeof(code), 8, is_getpid, &nr), sizeof(code));
    ck_assert_uint_eq(linux_code_find(code, sizeof(code), 0, is_any, &nr), 17);
    ck_assert_int_eq(nr, LINUX_NR_ANY);
}
END_TEST

START_TEST(search_goes_on_behind_a_site)
{
    const uint8_t code[] = { MOV(11), SYSCALL_INSN, MOV(9), SYSCALL_INSN, 0xc3 };
    long nr = 0;

    ck_assert_uint_eq(linux_code_find(code, sizeof(code), 0, is_ours, &nr), 0);
    ck_assert_int_eq(nr, SYS_munmap);
    ck_assert_uint_eq(linux_code_find(code, sizeof(code), 7, is_ours, &nr), 7);
    ck_assert_int_eq(nr, SYS_mmap);
    ck_assert_uint_eq(linux_code_find(code, sizeof(code), 14, is_ours, &nr), sizeof(code));
}
END_TEST

/* A search that begins in the middle still sees what is before it. */
START_TEST(prefix_and_lead_before_the_beginning_count)
{
    const uint8_t prefixed[] = { 0x41, MOV(11), SYSCALL_INSN };
    const uint8_t any[] = { MOV_R9_R8, LOAD_R9, SYSCALL_INSN };
    linux_found_t found[1];
    size_t end;

    ck_assert_uint_eq(linux_find_sites(prefixed, sizeof(prefixed), 1, found, 1, &end), 0);
    ck_assert_uint_eq(end, sizeof(prefixed));
    ck_assert_uint_eq(linux_find_sites(any, sizeof(any), 3, found, 1, &end), 1);
    ck_assert_ptr_eq(found[0].address, any + 3);
    /* The twin: what the code says when the byte before is unknown. */
    ck_assert_uint_eq(linux_find_sites(prefixed + 1, sizeof(prefixed) - 1, 0, found, 1, &end), 1);
    ck_assert_uint_eq(linux_find_sites(any + 3, sizeof(any) - 3, 0, found, 1, &end), 0);
}
END_TEST

START_TEST(sites_are_found_in_pieces_as_at_once)
{
    const uint8_t code[] = { MOV(11), SYSCALL_INSN, 0x90, MOV(9), SYSCALL_INSN, MOV_R9_R8, LOAD_R9, SYSCALL_INSN };
    linux_found_t all[4], one;
    size_t end = 0, whole_end;

    memset(all, 0, sizeof(all));
    ck_assert_uint_eq(linux_find_sites(code, sizeof(code), 0, all, 4, &whole_end), 3);
    ck_assert_uint_eq(whole_end, sizeof(code));
    ck_assert_ptr_eq(all[0].call, &linux_calls[LINUX_CALL_MUNMAP]);
    ck_assert_ptr_eq(all[1].call, &linux_calls[LINUX_CALL_MMAP]);
    ck_assert_ptr_null(all[2].call);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(linux_find_sites(code, sizeof(code), end, &one, 1, &end), 1);
        ck_assert_ptr_eq(one.address, all[i].address);
        ck_assert(memcmp(one.original, one.address, LINUX_INSN) == 0);
    }
    ck_assert_uint_eq(linux_find_sites(code, sizeof(code), end, &one, 1, &end), 0);
    ck_assert_ptr_null(all[3].address);
}
END_TEST

/* ---- In this process ------------------------------------------------------------------------- */

#define MANY 512

typedef struct census_t {
    linux_kind_t kind;
    uint32_t calls;
    size_t segments, sites, numberless;
} census_t;

static int count_sites(linux_kind_t kind, uintptr_t start, uintptr_t end, void *arg)
{
    static linux_found_t found[MANY];
    census_t *census = arg;
    size_t count, searched;

    if (kind != census->kind) {
        return 0;
    }
    count = linux_find_sites((const uint8_t *) start, end - start, 0, found, MANY, &searched);
    census->segments++;
    census->sites += count;
    for (size_t i = 0; i < count; i++) {
        const uintptr_t address = (uintptr_t) found[i].address;

        ck_assert(address >= start && address + LINUX_RESUME <= end);
        ck_assert(i == 0 || found[i - 1].address < found[i].address);
        ck_assert(memcmp(found[i].original, found[i].address, LINUX_INSN) == 0);
        census->numberless += found[i].call == NULL;
        census->calls |= found[i].call != NULL ? found[i].call->bit : LINUX_ANY_CALL_BIT;
    }
    return 0;
}

static census_t census_of(linux_kind_t kind)
{
    census_t census = { .kind = kind };

    ck_assert_int_eq(linux_objects_each(count_sites, &census), 0);
    return census;
}

#define BIT(id) LINUX_CALL_BIT(LINUX_CALL_##id)
#define ALL_CALLS ((UINT32_C(1) << LINUX_CALL_COUNT) - 1)

/* libc has no function openat2, and its open uses openat. glibc has had process_madvise since 2.36. */
START_TEST(libc_has_a_site_of_every_call)
{
    const census_t census = census_of(LINUX_LIBC);

    const uint32_t missing = dlsym(RTLD_DEFAULT, "process_madvise") == NULL ? BIT(PROCESS_MADVISE) : 0;

    ck_assert_uint_eq(census.calls | BIT(OPEN) | BIT(OPENAT2) | missing, ALL_CALLS | LINUX_ANY_CALL_BIT);
    ck_assert_uint_eq(census.numberless, 1);
    ck_assert_uint_ne(census.segments, 0);
    ck_assert_uint_lt(census.sites, MANY / 2);
}
END_TEST

START_TEST(loader_has_sites_of_its_own)
{
    const uint32_t needed = BIT(MMAP) | BIT(MUNMAP);
    const census_t census = census_of(LINUX_LOADER);

    ck_assert_uint_eq(census.calls & needed, needed);
    ck_assert_uint_eq(census.numberless, 0);
}
END_TEST

static int stop_at_once(linux_kind_t kind, uintptr_t start, uintptr_t end, void *arg)
{
    ck_assert(kind == LINUX_LIBC || kind == LINUX_LOADER);
    ck_assert_uint_lt(start, end);
    ++*(int *) arg;
    return 17;
}

START_TEST(visit_ends_with_the_first_result)
{
    int visits = 0;

    ck_assert_int_eq(linux_objects_each(stop_at_once, &visits), 17);
    ck_assert_int_eq(visits, 1);
    ck_assert(linux_has_libc());
}
END_TEST

/* ---- Names ----------------------------------------------------------------------------------- */

#define EVERYWHERE(mask)           \
    {                              \
        {                          \
            (mask), (mask), (mask) \
        }                          \
    }

static const struct {
    const char *list;
    int code;
    linux_sites_mask_t mask;
    const char *unknown;
} lists[] = {
    { "", OPAL_SUCCESS, EVERYWHERE(0), "" },
    { "munmap", OPAL_SUCCESS, EVERYWHERE(BIT(MUNMAP)), "" },
    { "mmap,brk", OPAL_SUCCESS, EVERYWHERE(BIT(MMAP) | BIT(BRK)), "" },
    { "mmap,", OPAL_SUCCESS, EVERYWHERE(BIT(MMAP)), "" },
    { "process_madvise,openat2", OPAL_SUCCESS, EVERYWHERE(BIT(PROCESS_MADVISE) | BIT(OPENAT2)), "" },
    { "mprotect,pkey_mprotect", OPAL_SUCCESS, EVERYWHERE(BIT(MPROTECT) | BIT(PKEY_MPROTECT)), "" },
    { "open", OPAL_SUCCESS, EVERYWHERE(BIT(OPEN)), "" },
    { "syscall", OPAL_SUCCESS, EVERYWHERE(LINUX_ANY_CALL_BIT), "" },
    { "libc:munmap", OPAL_SUCCESS, { { BIT(MUNMAP), 0, 0 } }, "" },
    { "ld.so:mmap", OPAL_SUCCESS, { { 0, BIT(MMAP), 0 } }, "" },
    { "other:brk", OPAL_SUCCESS, { { 0, 0, BIT(BRK) } }, "" },
    { "libc:syscall", OPAL_SUCCESS, { { LINUX_ANY_CALL_BIT, 0, 0 } }, "" },
    { "ld.so:mmap,ld.so:munmap,libc:brk", OPAL_SUCCESS, { { BIT(BRK), BIT(MMAP) | BIT(MUNMAP), 0 } }, "" },
    { "other:mmap,mmap", OPAL_SUCCESS, EVERYWHERE(BIT(MMAP)), "" },
    { "mma", OPAL_ERR_BAD_PARAM, EVERYWHERE(0), "mma" },
    { "brk,mmapp,shmat", OPAL_ERR_BAD_PARAM, EVERYWHERE(0), "mmapp" },
    { ",brk", OPAL_ERR_BAD_PARAM, EVERYWHERE(0), "" },
    { "libc:", OPAL_ERR_BAD_PARAM, EVERYWHERE(0), "libc:" },
    { "libc:mmapp", OPAL_ERR_BAD_PARAM, EVERYWHERE(0), "libc:mmapp" },
    { "libm:mmap", OPAL_ERR_BAD_PARAM, EVERYWHERE(0), "libm:mmap" },
    { "libc:ld.so:mmap", OPAL_ERR_BAD_PARAM, EVERYWHERE(0), "libc:ld.so:mmap" },
    { "li,libc:mmap", OPAL_ERR_BAD_PARAM, EVERYWHERE(0), "li" },
    { "libc:,mmap", OPAL_ERR_BAD_PARAM, EVERYWHERE(0), "libc:" },
    { "li:mmap,libc:mmap", OPAL_ERR_BAD_PARAM, EVERYWHERE(0), "li:mmap" },
};

START_TEST(list_of_sites_is_read_strictly)
{
    linux_sites_mask_t mask = { { 0 } };
    const char *unknown = NULL;
    size_t length = 0;

    ck_assert_int_eq(linux_sites_parse(lists[_i].list, &mask, &unknown, &length), lists[_i].code);
    ck_assert_msg(memcmp(&mask, &lists[_i].mask, sizeof(mask)) == 0, "%s", lists[_i].list);
    if (lists[_i].code != OPAL_SUCCESS) {
        ck_assert_uint_eq(length, strlen(lists[_i].unknown));
        ck_assert(strncmp(unknown, lists[_i].unknown, length) == 0);
    } else {
        ck_assert_ptr_null(unknown);
    }
}
END_TEST

/* The table by number, which stubs read, and the table of calls say the same. */
START_TEST(tables_of_calls_agree)
{
    for (size_t id = 0; id < LINUX_CALL_COUNT; id++) {
        ck_assert_uint_eq(linux_calls[id].bit, LINUX_CALL_BIT(id));
        ck_assert_ptr_eq(linux_call_by_nr(linux_calls[id].nr), &linux_calls[id]);
    }
    for (long nr = 0; nr < LINUX_CALL_NUMBERS; nr++) {
        ck_assert(linux_call_ids[nr] == 0 || linux_calls[linux_call_ids[nr] - 1].nr == nr);
    }
    ck_assert_ptr_null(linux_call_by_nr(-1));
    ck_assert_ptr_null(linux_call_by_nr(LINUX_CALL_NUMBERS));
    ck_assert_ptr_null(linux_call_by_nr(SYS_getpid));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_find");
    TCase *tcase = tcase_create("find");

    tcase_add_loop_test(tcase, only_what_ends_in_our_call_is_a_site, 0, (int) COUNT(rows));
    tcase_add_test(tcase, what_is_wanted_is_for_the_caller_to_say);
    tcase_add_test(tcase, search_goes_on_behind_a_site);
    tcase_add_test(tcase, prefix_and_lead_before_the_beginning_count);
    tcase_add_test(tcase, sites_are_found_in_pieces_as_at_once);
    tcase_add_test(tcase, libc_has_a_site_of_every_call);
    tcase_add_test(tcase, loader_has_sites_of_its_own);
    tcase_add_test(tcase, visit_ends_with_the_first_result);
    tcase_add_loop_test(tcase, list_of_sites_is_read_strictly, 0, (int) COUNT(lists));
    tcase_add_test(tcase, tables_of_calls_agree);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
