/* SPDX-License-Identifier: BSD-3-Clause */
/* Searching files that are mapped as code: where their sites lie, which files
 * are searched, and what becomes of code that ld.so maps and unmaps later. */
#include "components/linux/linux.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/linux/fake_sys.h"
#include "test/linux/own_code.h"
#include "test/linux/valgrind.h"
#include "test/test_main.h"

#define CHUNK ((size_t) 128 * 1024) /* Read at once. */
#define LIMIT ((size_t) 4 << 20)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const linux_sites_mask_t no_sites;

/* ---- Files ------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/opalmem-search-XXXXXX";
static char path[sizeof(folder) + 16], other_path[sizeof(folder) + 16];

static void set_up(void)
{
    int sys_errno = 0;

    linux_facts_read();
    linux_code_begin();
    linux_lock_prepare();
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/code", folder);
    snprintf(other_path, sizeof(other_path), "%s/other", folder);
    ck_assert_int_eq(linux_texts_replace(&no_sites, &sys_errno), OPAL_SUCCESS);
}

static void tear_down(void)
{
    unlink(path);
    unlink(other_path);
    rmdir(folder);
}

/* A file of int3. @return an open descriptor */
static int make_file(const char *name, size_t size)
{
    const int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
    uint8_t *bytes = malloc(size);

    ck_assert_int_ge(fd, 0);
    memset(bytes, 0xcc, size);
    ck_assert_int_eq(pwrite(fd, bytes, size, 0), (ssize_t) size);
    free(bytes);
    return fd;
}

static void put_bytes(int fd, size_t at, const uint8_t *bytes, size_t size)
{
    ck_assert_int_eq(pwrite(fd, bytes, size, (off_t) at), (ssize_t) size);
}

static void put_site(int fd, size_t at)
{
    uint8_t bytes[OWN_SITE_BYTES];

    own_write_site(bytes, SYS_munmap);
    put_bytes(fd, at, bytes, sizeof(bytes));
}

static uint8_t *map_file(int fd, size_t size, int prot, int flags)
{
    uint8_t *code = mmap(NULL, size, prot, flags, fd, 0);

    ck_assert_ptr_ne(code, MAP_FAILED);
    return code;
}

static uint8_t *map_code(int fd, size_t size)
{
    return map_file(fd, size, PROT_READ | PROT_EXEC, MAP_PRIVATE);
}

/* Does a call at the site reach us? The kernel refuses these arguments. */
static bool arrives(const uint8_t *site)
{
    linux_calls_take_arrivals();
    ck_assert_int_eq(own_function(site)(1, 0, 0), -EINVAL);
    return linux_calls_take_arrivals() != 0;
}

/* Is there a jump in the place of what the file says? */
static bool is_replaced(const uint8_t *site)
{
    return site[0] == 0xe9;
}

/* A file with these bytes at one place, searched. @return the place in memory */
static uint8_t *search_with(const uint8_t *bytes, size_t size, size_t at)
{
    const size_t length = 3 * CHUNK;
    const int fd = make_file(path, length);
    uint8_t *code;

    put_bytes(fd, at, bytes, size);
    code = map_code(fd, length);
    close(fd);
    linux_search_others(LIMIT);
    unlink(path);
    return code + at;
}

/* ---- Borders of what is read at once --------------------------------------------------------------- */

#define BEFORE 180 /* Bytes from which on to try: more than is read twice, and for both borders. */
#define BEHIND 8

static const uint8_t numbered[] = { 0xb8, SYS_munmap, 0, 0, 0, 0x0f, 0x05, 0xc3 };
static const uint8_t prefixed[] = { 0x41, 0xb8, SYS_munmap, 0, 0, 0, 0x0f, 0x05, 0xc3 };
static const uint8_t any[] = { 0x4d, 0x89, 0xc8, 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05, 0xc3 };
static const uint8_t waiting[] = { 0x4c, 0x8b, 0x4c, 0x24, 0x10, 0x4c, 0x89, 0x5c, 0x24, 0x08, 0x0f, 0x05, 0xc3 };
static const uint8_t alone[] = { 0x48, 0x8b, 0x44, 0x24, 0x10, 0x0f, 0x05, 0x5b, 0xc3 };
/* The number, six moves of three bytes, another constant. */
static const uint8_t behind[] = { 0xb8, SYS_munmap, 0,    0,    0,    0x48, 0x89, 0xfa, 0x48, 0x89, 0xfa,
                                  0x48, 0x89,       0xfa, 0x48, 0x89, 0xfa, 0x48, 0x89, 0xfa, 0x48, 0x89,
                                  0xfa, 0xbe,       0,    0,    0,    0,    0x0f, 0x05, 0xc3 };
static const uint8_t behind_prefixed[] = { 0x41, 0xb8, SYS_munmap, 0,    0,    0,    0x48, 0x89, 0xfa, 0x48, 0x89,
                                           0xfa, 0x48, 0x89,       0xfa, 0x48, 0x89, 0xfa, 0x48, 0x89, 0xfa, 0x48,
                                           0x89, 0xfa, 0xbe,       0,    0,    0,    0,    0x0f, 0x05, 0xc3 };
static const uint8_t decoy[] = { 0x4d, 0x89, 0xc9, 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05, 0xc3 };

static const struct {
    const uint8_t *bytes;
    size_t size, site;
    bool is_site;
} patterns[] = {
    { numbered, sizeof(numbered), 0, true },
    { any, sizeof(any), 3, true },
    { waiting, sizeof(waiting), 5, true },
    { alone, sizeof(alone), 0, true },
    { behind, sizeof(behind), 23, true },
    { prefixed, sizeof(prefixed), 1, false },
    { behind_prefixed, sizeof(behind_prefixed), 24, false },
    { decoy, sizeof(decoy), 3, false },
};

/* At each place around the first border, and the second. */
START_TEST(border_of_what_is_read_hides_and_makes_no_site)
{
    for (size_t border = CHUNK; border <= 2 * CHUNK; border += CHUNK) {
        for (size_t at = border - BEFORE; at < border + BEHIND; at++) {
            const uint8_t *code = search_with(patterns[_i].bytes, patterns[_i].size, at);

            ck_assert_msg(is_replaced(code + patterns[_i].site) == patterns[_i].is_site, "at %zu", at);
            linux_search_unmapped((uintptr_t) (code - at), 3 * CHUNK);
            munmap((void *) (uintptr_t) (code - at), 3 * CHUNK);
        }
    }
}
END_TEST

static long read_little(const long args[6])
{
    const long some[6] = { args[0], args[1], args[2] > 1000 ? 1000 : args[2], args[3] };

    return linux_sys_real(SYS_pread64, some);
}

START_TEST(short_reads_leave_nothing_out)
{
    fake_sys_set(SYS_pread64, read_little);
    ck_assert(arrives(search_with(numbered, sizeof(numbered), 998)));
}
END_TEST

static long refuse(const long args[6])
{
    (void) args;
    return -EIO;
}

START_TEST(file_that_cannot_be_read_is_left_alone)
{
    fake_sys_set(_i == 0 ? SYS_pread64 : SYS_openat, refuse);
    ck_assert(!arrives(search_with(numbered, sizeof(numbered), 0)));
}
END_TEST

/* The end of the mapping, which is the end of the file, too. */
START_TEST(sites_at_both_ends_are_found)
{
    const int fd = make_file(path, 3 * CHUNK);
    uint8_t *code;

    put_site(fd, 0);
    put_site(fd, 3 * CHUNK - OWN_SITE_BYTES);
    code = map_code(fd, 3 * CHUNK);
    linux_search_others(LIMIT);
    ck_assert(arrives(code));
    ck_assert(arrives(code + 3 * CHUNK - OWN_SITE_BYTES));
}
END_TEST

START_TEST(mapping_of_a_part_is_searched_at_its_offset)
{
    const int fd = make_file(path, 3 * CHUNK);
    uint8_t *code;

    put_site(fd, CHUNK + 5);
    put_site(fd, CHUNK + 2 * LINUX_PAGE + 5); /* Behind the mapping. */
    code = mmap(NULL, 2 * LINUX_PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, CHUNK);
    ck_assert_ptr_ne(code, MAP_FAILED);
    linux_search_others(LIMIT);
    ck_assert(arrives(code + 5));
}
END_TEST

#define MANY (3 * LINUX_FIND_AT_ONCE - 1)

START_TEST(more_sites_than_are_found_at_once)
{
    const int fd = make_file(path, CHUNK);
    uint8_t *code;

    for (size_t i = 0; i < MANY; i++) {
        put_site(fd, i * 16);
    }
    code = map_code(fd, CHUNK);
    linux_search_others(LIMIT);
    for (size_t i = 0; i < MANY; i++) {
        ck_assert_msg(arrives(code + i * 16), "site %zu", i);
    }
    ck_assert_uint_eq(linux_texts_lost, 0);
    linux_search_unmapped((uintptr_t) code, CHUNK);
    for (size_t i = 0; i < linux_text_count; i++) {
        ck_assert(linux_texts[i].start >= (uintptr_t) code + CHUNK || linux_texts[i].end <= (uintptr_t) code);
    }
}
END_TEST

/* ---- Which files --------------------------------------------------------------------------------- */

START_TEST(limit_is_respected)
{
    const size_t size = CHUNK;
    const int fd = make_file(path, size);
    uint8_t *code;

    put_site(fd, 0);
    code = map_code(fd, size);
    linux_search_others(0);
    ck_assert(!arrives(code));
    linux_search_others(size - 1);
    ck_assert(!arrives(code));
    linux_search_others(size);
    ck_assert(arrives(code));
}
END_TEST

static uint8_t *map_one_site(int prot, int flags)
{
    const int fd = make_file(path, LINUX_PAGE);
    uint8_t *code;

    put_site(fd, 0);
    code = map_file(fd, LINUX_PAGE, prot, flags);
    close(fd);
    return code;
}

START_TEST(only_private_code_that_nobody_writes_is_searched)
{
    uint8_t *code;

    code = map_one_site(_i == 0   ? PROT_READ | PROT_WRITE | PROT_EXEC
                        : _i == 1 ? PROT_READ
                                  : PROT_READ | PROT_EXEC,
                        _i == 2 ? MAP_SHARED : MAP_PRIVATE);
    linux_search_others(LIMIT);
    ck_assert_int_eq(is_replaced(code), _i == 3);
}
END_TEST

START_TEST(file_that_is_not_at_its_path_is_left_alone)
{
    uint8_t *code = map_one_site(PROT_READ | PROT_EXEC, MAP_PRIVATE);
    int fd;

    unlink(path);
    if (_i == 1) {
        fd = make_file(other_path, LINUX_PAGE); /* Another one in its place. */
        put_site(fd, 0);
        ck_assert_int_eq(rename(other_path, path), 0);
        close(fd);
    }
    if (_i == 2) {
        ck_assert_int_eq(mkfifo(path, 0700), 0); /* To open it would wait for a writer. */
    }
    linux_search_others(LIMIT);
    ck_assert(!arrives(code));
}
END_TEST

/* Longer than the reader of the list keeps. */
START_TEST(path_that_was_cut_is_left_alone)
{
    char name[PATH_MAX];
    uint8_t *code;
    int fd;

    strcpy(name, folder);
    for (int i = 0; i < 3; i++) {
        memset(name + strlen(name) + 1, '\0', 1);
        strcat(name, "/");
        for (int k = 0; k < 200; k++) {
            strcat(name, "d");
        }
        ck_assert_int_eq(mkdir(name, 0700), 0);
    }
    strcat(name, "/code");
    fd = make_file(name, LINUX_PAGE);
    put_site(fd, 0);
    code = map_code(fd, LINUX_PAGE);
    linux_search_others(LIMIT);
    ck_assert(!arrives(code));
    unlink(name);
    while (strcmp(name, folder) != 0) {
        *strrchr(name, '/') = '\0';
        if (strcmp(name, folder) != 0) {
            rmdir(name);
        }
    }
}
END_TEST

/* What the file says is not what somebody has made of it. */
START_TEST(site_that_was_changed_in_memory_stays)
{
    const int fd = make_file(path, LINUX_PAGE);
    uint8_t *code;

    put_site(fd, 0);
    put_site(fd, 64);
    code = map_code(fd, LINUX_PAGE);
    own_open(code, 1);
    own_write_hidden(code, SYS_munmap);
    own_seal(code, 1);
    linux_search_others(LIMIT);
    ck_assert(!arrives(code));
    ck_assert(arrives(code + 64));
}
END_TEST

/* ---- What ld.so maps and unmaps ------------------------------------------------------------------- */

static long run_at(linux_kind_t kind, linux_call_id_t id, const long args[7])
{
    const linux_site_t site = { .kind = kind, .call = &linux_calls[id] };

    return linux_dispatch(&site, args);
}

/* As at a site of mmap in code of that kind. */
static uint8_t *map_from(linux_kind_t kind, void *at, int fd, size_t size)
{
    const long fixed = at != NULL ? MAP_FIXED : 0;

    return (uint8_t *) run_at(
        kind, LINUX_CALL_MMAP,
        (const long[7]){ (long) at, (long) size, PROT_READ | PROT_EXEC, MAP_PRIVATE | fixed, fd, 0, SYS_mmap });
}

static void unmap_from(linux_kind_t kind, void *at, size_t size)
{
    ck_assert_int_eq(
        run_at(kind, LINUX_CALL_MUNMAP, (const long[7]){ (long) at, (long) size, 0, 0, 0, 0, SYS_munmap }), 0);
}

static int make_one_site(void)
{
    const int fd = make_file(path, LINUX_PAGE);

    put_site(fd, 0);
    linux_search_others(LIMIT);
    linux_calls_go_live(true);
    return fd;
}

START_TEST(code_that_the_loader_maps_is_searched)
{
    const int fd = make_one_site();

    ck_assert(arrives(map_from(LINUX_LOADER, NULL, fd, LINUX_PAGE)));
}
END_TEST

START_TEST(twin_code_that_others_map_is_not)
{
    const int fd = make_one_site();

    ck_assert(!arrives(map_from(LINUX_OTHER, NULL, fd, LINUX_PAGE)));
    ck_assert(!arrives(map_from(LINUX_LIBC, NULL, fd, LINUX_PAGE)));
}
END_TEST

START_TEST(code_that_is_too_large_or_came_while_off_is_not)
{
    const int fd = make_one_site();

    if (_i == 0) {
        linux_search_others(LINUX_PAGE - 1);
    } else {
        linux_calls_go_live(false);
    }
    ck_assert(!arrives(map_from(LINUX_LOADER, NULL, fd, LINUX_PAGE)));
}
END_TEST

/* Objects come and go at the same place, and then another one is there. */
START_TEST(thousand_times_at_the_same_place_leaves_nothing_behind)
{
    const int fd = make_one_site();
    uint8_t *code = map_from(LINUX_LOADER, NULL, fd, LINUX_PAGE);
    int mappings = 0;

    for (int i = 0; i < 1000; i++) {
        ck_assert(arrives(code));
        unmap_from(LINUX_LOADER, code, LINUX_PAGE);
        if (i == 0) {
            mappings = own_count_mappings();
        }
        ck_assert_ptr_eq(map_from(LINUX_LOADER, code, fd, LINUX_PAGE), code);
    }
    unmap_from(LINUX_LOADER, code, LINUX_PAGE);
    ck_assert_int_eq(own_count_mappings(), mappings);
    ck_assert_uint_eq(linux_texts_lost, 0);
}
END_TEST

/* Without an munmap in between. */
START_TEST(code_that_is_mapped_over_is_searched_anew)
{
    const int fd = make_one_site();
    uint8_t *code = map_from(LINUX_LOADER, NULL, fd, LINUX_PAGE);
    int mappings;

    ck_assert(arrives(code));
    mappings = own_count_mappings();
    for (int i = 0; i < 100; i++) {
        ck_assert_ptr_eq(map_from(LINUX_LOADER, code, fd, LINUX_PAGE), code);
        ck_assert(arrives(code));
    }
    ck_assert_int_eq(own_count_mappings(), mappings);
}
END_TEST

/* As while sites are not replaced: code goes unheard, and other code, or the same once more, takes its place. */
START_TEST(code_in_the_place_of_what_went_unheard_is_searched)
{
    const int fd = make_one_site();
    uint8_t *code = map_from(LINUX_LOADER, NULL, fd, LINUX_PAGE);
    int mappings;

    ck_assert(arrives(code));
    mappings = own_count_mappings();
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(munmap(code, LINUX_PAGE), 0);
        ck_assert_ptr_eq(map_code(fd, LINUX_PAGE), code);
        ck_assert(!arrives(code)); /* The twin: nobody has said so yet. */
        linux_search_mapped((uintptr_t) code, LINUX_PAGE, PROT_READ | PROT_EXEC, fd, 0);
        ck_assert(arrives(code));
    }
    ck_assert_int_eq(own_count_mappings(), mappings);
}
END_TEST

static void switch_off(void)
{
    int sys_errno = 0;

    ck_assert_int_eq(linux_texts_restore(&sys_errno), OPAL_SUCCESS);
    linux_calls_go_live(false);
}

static void switch_on(void)
{
    int sys_errno = 0;

    ck_assert_int_eq(linux_texts_replace(&no_sites, &sys_errno), OPAL_SUCCESS);
    linux_calls_go_live(true);
    linux_search_others(LIMIT);
}

/* Gone, there as before, another file in its place, and bytes of somebody else at one of two sites. */
START_TEST(code_that_changed_while_off_is_looked_at_again)
{
    const int fd = make_file(path, LINUX_PAGE), other = make_file(other_path, LINUX_PAGE);
    uint8_t *code = map_code(fd, LINUX_PAGE);

    munmap(code, LINUX_PAGE);
    put_site(fd, 0);
    put_site(fd, 64);
    put_site(other, 128);
    ck_assert_ptr_eq(map_code(fd, LINUX_PAGE), code);
    switch_on();
    ck_assert(arrives(code) && arrives(code + 64));
    switch_off();
    ck_assert(!arrives(code));
    if (_i != 1) {
        ck_assert_int_eq(munmap(code, LINUX_PAGE), 0);
    }
    if (_i == 2) {
        ck_assert_ptr_eq(map_code(other, LINUX_PAGE), code);
    }
    if (_i == 3) {
        ck_assert_ptr_eq(map_code(fd, LINUX_PAGE), code);
        own_open(code, 1);
        own_write_hidden(code, SYS_munmap);
        own_seal(code, 1);
    }
    switch_on();
    if (_i == 0) {
        ck_assert_ptr_eq(map_from(LINUX_LOADER, NULL, fd, LINUX_PAGE), code);
    }
    ck_assert_int_eq(is_replaced(code), _i < 2);
    ck_assert_int_eq(is_replaced(code + 64), _i != 2);
    ck_assert_int_eq(is_replaced(code + 128), _i == 2);
    ck_assert(arrives(code + (_i == 2 ? 128 : 64)));
}
END_TEST

/* The real thing: a second libc, with all of its sites. */
START_TEST(objects_of_another_namespace_come_and_go)
{
    const linux_options_t options = { .search_limit = LIMIT };
    const int rounds = 30;
    int support, mappings = 0;
    uint64_t sees;

    ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
    for (int i = 0; i < rounds; i++) {
        void *libc = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW | RTLD_LOCAL);
        void *symbol;
        int (*unmap)(void *, size_t);

        ck_assert_ptr_nonnull(libc);
        symbol = dlsym(libc, "munmap");
        memcpy(&unmap, &symbol, sizeof(unmap));
        linux_calls_take_arrivals();
        ck_assert_int_eq(unmap((void *) 1, 0), -1);
        ck_assert_uint_eq(linux_calls_take_arrivals(), LINUX_CALL_BIT(LINUX_CALL_MUNMAP));
        ck_assert_int_eq(dlclose(libc), 0);
        mappings = i == 0 ? own_count_mappings() : mappings;
    }
    ck_assert_int_le(own_count_mappings(), mappings);
    ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
}
END_TEST

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_search");
    TCase *tcase = tcase_create("search");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, border_of_what_is_read_hides_and_makes_no_site, 0, (int) COUNT(patterns));
    tcase_add_test(tcase, short_reads_leave_nothing_out);
    tcase_add_loop_test(tcase, file_that_cannot_be_read_is_left_alone, 0, 2);
    tcase_add_test(tcase, sites_at_both_ends_are_found);
    tcase_add_test(tcase, mapping_of_a_part_is_searched_at_its_offset);
    tcase_add_test(tcase, more_sites_than_are_found_at_once);
    tcase_add_test(tcase, limit_is_respected);
    tcase_add_loop_test(tcase, only_private_code_that_nobody_writes_is_searched, 0, 4);
    tcase_add_loop_test(tcase, file_that_is_not_at_its_path_is_left_alone, 0, 3);
    tcase_add_test(tcase, path_that_was_cut_is_left_alone);
    tcase_add_test(tcase, site_that_was_changed_in_memory_stays);
    tcase_add_test(tcase, code_that_the_loader_maps_is_searched);
    tcase_add_test(tcase, twin_code_that_others_map_is_not);
    tcase_add_loop_test(tcase, code_that_is_too_large_or_came_while_off_is_not, 0, 2);
    tcase_add_test(tcase, thousand_times_at_the_same_place_leaves_nothing_behind);
    tcase_add_test(tcase, code_that_is_mapped_over_is_searched_anew);
    tcase_add_test(tcase, code_in_the_place_of_what_went_unheard_is_searched);
    tcase_add_loop_test(tcase, code_that_changed_while_off_is_looked_at_again, 0, 4);
    tcase_add_test(tcase, objects_of_another_namespace_come_and_go);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
