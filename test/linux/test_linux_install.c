/* SPDX-License-Identifier: BSD-3-Clause */
/* Switching on and off: what is replaced, what a machine that forbids it leads
 * to, which promises depend on which sites, and that libc is as before
 * afterwards. */
#include "components/linux/linux.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "framework/base/base_internal.h"
#include "opal/mca/memory/memory.h"
#include "test/linux/fake_sys.h"
#include "test/linux/own_code.h"
#include "test/linux/valgrind.h"
#include "test/sanitized.h"
#include "test/test_main.h"

#define ALL_SUPPORT \
    (OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT | OPAL_MEMORY_MMAP_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT)

#define ALL_SEEN                                                                                                  \
    ((uint64_t) OPAL_MEMORY_SEES_BEFORE | OPAL_MEMORY_SEES_LIBC | OPAL_MEMORY_SEES_DISCARD | OPAL_MEMORY_SEES_SHM \
     | OPAL_MEMORY_SEES_FILE | OPAL_MEMORY_SEES_SYSCALL | OPAL_MEMORY_SEES_ALLOC)

static linux_options_t options; /* All sites of libc and ld.so; nothing else is searched. */

/* The executable segments of libc and ld.so, copied. */
#define SEGMENTS 8

static struct {
    const uint8_t *start;
    size_t length;
    uint8_t *saved;
} segments[SEGMENTS];
static size_t segment_count;

static int save_segment(linux_kind_t kind, uintptr_t start, uintptr_t end, void *arg)
{
    (void) kind, (void) arg;
    ck_assert_uint_lt(segment_count, SEGMENTS);
    segments[segment_count].start = (const uint8_t *) start;
    segments[segment_count].length = end - start;
    segments[segment_count].saved = malloc(end - start);
    memcpy(segments[segment_count++].saved, (const uint8_t *) start, end - start);
    return 0;
}

static void set_up(void)
{
    ck_assert_int_eq(linux_objects_each(save_segment, NULL), 0);
    ck_assert_uint_ge(segment_count, 2);
}

static bool is_code_as_before(void)
{
    for (size_t i = 0; i < segment_count; i++) {
        if (memcmp(segments[i].saved, segments[i].start, segments[i].length) != 0
            || strcmp(own_protection(segments[i].start), "r-xp") != 0) {
            return false;
        }
    }
    return true;
}

/* What was at an address of libc before. */
static const uint8_t *saved_code(const uint8_t *code)
{
    for (size_t i = 0; i < segment_count; i++) {
        if (code >= segments[i].start && code < segments[i].start + segments[i].length) {
            return segments[i].saved + (code - segments[i].start);
        }
    }
    ck_abort_msg("not in libc");
}

static int support;
static uint64_t sees;

START_TEST(all_calls_give_full_support)
{
    ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
    ck_assert_int_eq(support, ALL_SUPPORT);
    ck_assert_uint_eq(sees, ALL_SEEN);
    ck_assert(!is_code_as_before());
    ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
    ck_assert(is_code_as_before());
}
END_TEST

START_TEST(hundred_cycles_leave_the_code_as_it_was)
{
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
        ck_assert_int_eq(support, ALL_SUPPORT);
        ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
    }
    ck_assert(is_code_as_before());
}
END_TEST

/* ---- What each site is needed for --------------------------------------------------------------- */

#define F (OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT)
#define U OPAL_MEMORY_MUNMAP_SUPPORT
#define M OPAL_MEMORY_MMAP_SUPPORT
#define ALLOC OPAL_MEMORY_SEES_ALLOC /* Goes with M. */

/* What vanishes without the sites of one call, in libc and in ld.so; in other code nothing does. */
static const struct {
    linux_call_id_t id;
    int libc, loader;
    uint64_t libc_sees, loader_sees;
} needs[] = {
    { LINUX_CALL_MMAP, U | M, U | M, ALLOC, ALLOC },
    { LINUX_CALL_MUNMAP, F | U, U, 0, 0 },
    { LINUX_CALL_BRK, F | M, 0, ALLOC, 0 },
    { LINUX_CALL_MREMAP, F | U | M, 0, ALLOC, 0 },
    { LINUX_CALL_MADVISE, F | U, 0, OPAL_MEMORY_SEES_DISCARD, 0 },
    { LINUX_CALL_SHMAT, U | M, 0, OPAL_MEMORY_SEES_SHM | ALLOC, 0 },
    { LINUX_CALL_SHMDT, U, 0, OPAL_MEMORY_SEES_SHM, 0 },
    { LINUX_CALL_REMAP_FILE_PAGES, 0, 0, 0, 0 },
    { LINUX_CALL_PROCESS_MADVISE, 0, 0, 0, 0 },
    { LINUX_CALL_TRUNCATE, 0, 0, OPAL_MEMORY_SEES_FILE, 0 },
    { LINUX_CALL_FTRUNCATE, 0, 0, OPAL_MEMORY_SEES_FILE, 0 },
    { LINUX_CALL_FALLOCATE, 0, 0, OPAL_MEMORY_SEES_FILE, 0 },
    { LINUX_CALL_OPEN, 0, 0, 0, 0 },
    { LINUX_CALL_OPENAT, 0, 0, OPAL_MEMORY_SEES_FILE, 0 },
    { LINUX_CALL_OPENAT2, 0, 0, 0, 0 },
    { LINUX_CALL_CREAT, 0, 0, 0, 0 },
    { LINUX_CALL_IOCTL, 0, 0, 0, 0 },
    { LINUX_CALL_MPROTECT, 0, 0, 0, 0 },
    { LINUX_CALL_PKEY_MPROTECT, 0, 0, 0, 0 },
    { LINUX_CALL_COUNT, 0, 0, OPAL_MEMORY_SEES_SYSCALL, 0 }, /* syscall(2) */
};

#define NEEDS ((int) (sizeof(needs) / sizeof(needs[0])))

static void check_without(linux_kind_t kind, uint32_t bit, int lost, uint64_t unseen)
{
    linux_options_t without = { .left_alone = { { 0 } } };

    without.left_alone.calls[kind] = bit;
    if ((lost & (F | U)) == (F | U)) {
        ck_assert_int_eq(linux_install(&without, &support, &sees), OPAL_ERR_NOT_AVAILABLE);
        return;
    }
    ck_assert_int_eq(linux_install(&without, &support, &sees), OPAL_SUCCESS);
    ck_assert_int_eq(support, ALL_SUPPORT & ~lost);
    ck_assert_uint_eq(sees, ALL_SEEN & ~unseen);
    ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
}

START_TEST(call_left_alone_takes_exactly_its_promises_away)
{
    const int row = _i / LINUX_KINDS;
    const linux_kind_t kind = (linux_kind_t) (_i % LINUX_KINDS);
    const uint32_t bit = needs[row].id == LINUX_CALL_COUNT ? LINUX_ANY_CALL_BIT : LINUX_CALL_BIT(needs[row].id);
    const int lost[LINUX_KINDS] = { needs[row].libc, needs[row].loader, 0 };
    const uint64_t unseen[LINUX_KINDS] = { needs[row].libc_sees, needs[row].loader_sees, 0 };

    check_without(kind, bit, lost[kind], unseen[kind]);
    ck_assert(is_code_as_before());
    ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
    ck_assert_int_eq(support, ALL_SUPPORT);
    ck_assert_uint_eq(sees, ALL_SEEN);
}
END_TEST

/* ---- Why not --------------------------------------------------------------------------------------- */

static mca_base_component_item_t item;

/* What a user would read. @return "" */
static const char *try_in_vain(const linux_options_t *with)
{
    item.reason[0] = '\0';
    mca_base_component_begin(&item);
    ck_assert_int_eq(linux_install(with, &support, &sees), OPAL_ERR_NOT_AVAILABLE);
    mca_base_component_end();
    ck_assert(is_code_as_before());
    return item.reason;
}

START_TEST(no_promise_left_is_not_available_and_names_the_call)
{
    const linux_options_t without = { .left_alone = { { LINUX_CALL_BIT(LINUX_CALL_MUNMAP) } } };
    const char *reason = try_in_vain(&without);

    ck_assert_msg(strstr(reason, "munmap") != NULL && strstr(reason, "shmat") == NULL, "%s", reason);
    ck_assert(strstr(reason, "memory_linux_disable_sites") != NULL);
}
END_TEST

static long refuse(const long args[6])
{
    (void) args;
    return -EACCES;
}

/* Nothing is free near above libc and ld.so: all sites that cross a block of 16 bytes then need new pages. */
static long mmap_far_only(const long args[6])
{
    const uintptr_t at = (uintptr_t) args[0];

    for (size_t i = 0; i < segment_count; i++) {
        const uintptr_t start = (uintptr_t) segments[i].start;

        if (at >= start && at < start + segments[i].length + (UINT64_C(1) << 25)) {
            return -EEXIST;
        }
    }
    return linux_sys_real(SYS_mmap, args);
}

static int protects_left;

/* The n-th change of libc's or ld.so's protection to writable fails; stubs are not concerned. */
static long protect_some(const long args[6])
{
    if (args[2] == (PROT_READ | PROT_WRITE | PROT_EXEC) && protects_left-- <= 0) {
        return -EACCES;
    }
    return linux_sys_real(SYS_mprotect, args);
}

START_TEST(code_that_may_not_be_written_gets_new_pages)
{
    protects_left = _i;
    fake_sys_set(SYS_mprotect, protect_some);
    ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
    ck_assert_int_eq(support, ALL_SUPPORT);
    ck_assert_uint_eq(sees, ALL_SEEN);
    ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
    ck_assert(is_code_as_before());
}
END_TEST

/* Nor may its pages be replaced; or only they may not be, and what was done in place is undone. */
START_TEST(refused_change_of_code_is_not_available)
{
    const char *reason;

    protects_left = _i == 0 ? 0 : 1000;
    fake_sys_set(SYS_mprotect, protect_some);
    fake_sys_set(SYS_mmap, mmap_far_only);
    fake_sys_set(SYS_mremap, refuse);
    fake_sys_set(SYS_memfd_create, refuse);
    reason = try_in_vain(&options);
    ck_assert_msg(strstr(reason, "the code of libc.so.6 cannot be changed: Permission denied") != NULL, "%s",
                  reason);
    ck_assert(strstr(reason, "SELinux") != NULL && strstr(reason, "PR_SET_MDWE") != NULL);
    fake_sys_set(SYS_mprotect, NULL);
    fake_sys_set(SYS_mremap, NULL);
    ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
}
END_TEST

START_TEST(stubs_that_cannot_be_made_are_not_available)
{
    const char *reason;

    fake_sys_set(_i == 0 ? SYS_mprotect : SYS_mmap, refuse);
    fake_sys_set(SYS_memfd_create, refuse);
    reason = try_in_vain(&options);
    ck_assert_msg(strstr(reason, _i == 0 ? "new code cannot be made executable: Permission denied"
                                         : "no memory is free within reach")
                      != NULL,
                  "%s", reason);
    fake_sys_set(_i == 0 ? SYS_mprotect : SYS_mmap, NULL);
    ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
    ck_assert_int_eq(support, ALL_SUPPORT);
}
END_TEST

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

/* The real thing, where the kernel has it (6.3). */
START_TEST(mdwe_is_no_obstacle)
{
    ck_assert_int_eq(prctl(PR_SET_MDWE, 1, 0, 0, 0), 0);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
        ck_assert_int_eq(support, ALL_SUPPORT);
        ck_assert_uint_eq(sees, ALL_SEEN);
        ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
        ck_assert(is_code_as_before());
    }
}
END_TEST

START_TEST(twin_mdwe_without_files_is_not_available)
{
    const char *reason;

    ck_assert_int_eq(prctl(PR_SET_MDWE, 1, 0, 0, 0), 0);
    fake_sys_set(SYS_memfd_create, refuse);
    reason = try_in_vain(&options);
    ck_assert_msg(strstr(reason, "new code cannot be made executable") != NULL, "%s", reason);
}
END_TEST

START_TEST(no_membarrier_changes_nothing)
{
    fake_sys_set(SYS_membarrier, refuse);
    ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
    ck_assert_int_eq(support, ALL_SUPPORT);
    ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
    ck_assert(is_code_as_before());
}
END_TEST

/* ---- Under running threads ------------------------------------------------------------------------ */

static int moves;

static long count_move(const long args[6])
{
    moves += (args[3] & MREMAP_FIXED) != 0;
    return linux_sys_real(SYS_mremap, args);
}

static atomic_bool stop;
static atomic_int bad_calls, forks;

#define SOME_BYTES ((size_t) 4096) /* linux_facts are being written. */

static void *map_all_the_time(void *arg)
{
    while (!atomic_load(&stop)) {
        char *memory = mmap(NULL, SOME_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED || munmap(memory, SOME_BYTES) != 0) {
            atomic_fetch_add(&bad_calls, 1);
        }
    }
    return arg;
}

/* A child that found half of a jump would crash. */
static void *fork_all_the_time(void *arg)
{
    while (!atomic_load(&stop)) {
        const pid_t child = fork();
        int status = 1;

        if (child == 0) {
            signal(SIGALRM, SIG_DFL); /* Check's handler would kill the whole group. */
            alarm(60);
            _exit(mmap(NULL, SOME_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
        }
        waitpid(child, &status, 0);
        atomic_fetch_add(status == 0 ? &forks : &bad_calls, 1);
    }
    return arg;
}

#define ROUNDS (TEST_IS_THREAD_SANITIZED ? 50 : 300)

START_TEST(far_stubs_work_under_running_threads)
{
    pthread_t threads[2];
    const time_t begin = time(NULL);
    int rounds = 0;

    fake_sys_set(SYS_mmap, mmap_far_only);
    fake_sys_set(SYS_mremap, count_move);
    pthread_create(&threads[0], NULL, map_all_the_time, NULL);
    /* Children of a thread sanitizer's process with threads report what they like. */
    pthread_create(&threads[1], NULL, TEST_IS_THREAD_SANITIZED ? map_all_the_time : fork_all_the_time, NULL);
    while (rounds < ROUNDS || (atomic_load(&forks) < 3000 && time(NULL) - begin < 2)) {
        ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
        ck_assert_int_eq(support, ALL_SUPPORT);
        ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
        rounds++;
    }
    atomic_store(&stop, true);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    ck_assert_int_eq(atomic_load(&bad_calls), 0);
    if (LINUX_INSN > 4) { /* Else all sites can be stored in place, wherever their stubs are. */
        ck_assert_int_gt(moves, rounds);
    }
    ck_assert(is_code_as_before());
}
END_TEST

/* ---- Others ---------------------------------------------------------------------------------------- */

/* A jump of somebody else's over ours is not removed. */
static uint8_t *page_of(uint8_t *code)
{
    return (uint8_t *) linux_round_down((uintptr_t) code, LINUX_PAGE);
}

START_TEST(foreign_patch_over_ours_stays)
{
    uint8_t foreign[LINUX_INSN], *site, *page;

    site = own_find(dlsym(RTLD_NEXT, "remap_file_pages"), 64, SYS_remap_file_pages);
    ck_assert_ptr_nonnull(site);
    ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
    ck_assert(memcmp(site, saved_code(site), LINUX_INSN) != 0);
    page = page_of(site);
    own_open(page, 2);
    own_hide(site, SYS_remap_file_pages);
    memcpy(foreign, site, LINUX_INSN);
    ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
    ck_assert(memcmp(site, foreign, LINUX_INSN) == 0);
    ck_assert(!is_code_as_before());
    own_open(page, 2);
    memcpy(site, saved_code(site), LINUX_INSN);
    own_seal(page, 2);
    ck_assert(is_code_as_before());
}
END_TEST

/* What somebody else has replaced before the first start is taken once he has given it back. */
START_TEST(site_given_back_is_found_at_the_next_start)
{
    /* A thread sanitizer has a munmap of its own in front of libc's. */
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    uint8_t *site = own_find(dlsym(libc, "munmap"), 64, SYS_munmap);
    uint8_t foreign[LINUX_INSN], *page;

    ck_assert_ptr_nonnull(site);
    page = page_of(site);
    own_open(page, 2);
    own_hide(site, SYS_munmap);
    memcpy(foreign, site, LINUX_INSN);
    ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(memcmp(site, foreign, LINUX_INSN) == 0);
    own_open(page, 2);
    memcpy(site, saved_code(site), LINUX_INSN);
    own_seal(page, 2);
    ck_assert(is_code_as_before());
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(linux_install(&options, &support, &sees), OPAL_SUCCESS);
        ck_assert_int_eq(support, ALL_SUPPORT);
        ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
        ck_assert(is_code_as_before());
    }
}
END_TEST

/* libc is used from other code, which is searched as well: as the component does it by default. */
START_TEST(other_code_is_searched_and_given_back)
{
    const linux_options_t with_others = { .search_limit = (size_t) 128 << 20 };

    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(linux_install(&with_others, &support, &sees), OPAL_SUCCESS);
        ck_assert_int_eq(support, ALL_SUPPORT);
        ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
    }
    ck_assert(is_code_as_before());
}
END_TEST

int main(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    Suite *suite = suite_create("linux_install");
    TCase *tcase = tcase_create("install");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, all_calls_give_full_support);
    tcase_add_test(tcase, hundred_cycles_leave_the_code_as_it_was);
    tcase_add_loop_test(tcase, call_left_alone_takes_exactly_its_promises_away, 0, NEEDS * (int) LINUX_KINDS);
    tcase_add_test(tcase, no_promise_left_is_not_available_and_names_the_call);
    tcase_add_loop_test(tcase, code_that_may_not_be_written_gets_new_pages, 0, 5);
    /* Where every site can be stored in place, nothing else is tried while that is allowed. */
    tcase_add_loop_test(tcase, refused_change_of_code_is_not_available, 0, LINUX_INSN > 4 ? 2 : 1);
    tcase_add_loop_test(tcase, stubs_that_cannot_be_made_are_not_available, 0, 2);
    if (prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0) {
        tcase_add_test(tcase, mdwe_is_no_obstacle);
        tcase_add_test(tcase, twin_mdwe_without_files_is_not_available);
    } else {
        test_skip("the kernel has no PR_SET_MDWE (it came with 6.3)");
    }
    tcase_add_test(tcase, no_membarrier_changes_nothing);
    tcase_add_test(tcase, far_stubs_work_under_running_threads);
    if (!TEST_IS_THREAD_SANITIZED) { /* It has no record of code, and falls over who writes to it. */
        tcase_add_test(tcase, foreign_patch_over_ours_stays);
        tcase_add_test(tcase, site_given_back_is_found_at_the_next_start);
    }
    tcase_add_test(tcase, other_code_is_searched_and_given_back);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
