/* SPDX-License-Identifier: BSD-3-Clause */
/* Switching on and off: what is patched, what a machine that forbids it leads
 * to, and that libc is as before afterwards. */
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

#include "opal/mca/memory/memory.h"
#include "test/linux/fake_sys.h"
#include "test/linux/valgrind.h"
#include "test/test_main.h"

#define ALL_SUPPORT \
    (OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT | OPAL_MEMORY_MMAP_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT)

/* The executable segments of libc and ld.so, copied. */
static linux_object_t objects[LINUX_OBJECTS];
static uint8_t *saved[LINUX_OBJECTS];

static const linux_segment_t *code_of(size_t object)
{
    for (size_t i = 0; i < objects[object].segment_count; i++) {
        const linux_segment_t *segment = &objects[object].segments[i];

        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0) {
            return segment;
        }
    }
    ck_abort_msg("no code");
}

static const void *code_start(size_t object)
{
    return (const void *) (objects[object].bias + code_of(object)->p_vaddr);
}

static void set_up(void)
{
    linux_find_objects(objects);
    for (size_t i = 0; i < LINUX_OBJECTS; i++) {
        saved[i] = malloc(code_of(i)->p_memsz);
        memcpy(saved[i], code_start(i), code_of(i)->p_memsz);
    }
}

static bool is_code_as_before(void)
{
    return memcmp(saved[0], code_start(0), code_of(0)->p_memsz) == 0
           && memcmp(saved[1], code_start(1), code_of(1)->p_memsz) == 0;
}

static int support;
static uint64_t sees;

START_TEST(all_calls_give_full_support)
{
    ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_SUCCESS);
    ck_assert_int_eq(support, ALL_SUPPORT);
    ck_assert_uint_eq(sees, OPAL_MEMORY_SEES_BEFORE | OPAL_MEMORY_SEES_LIBC | OPAL_MEMORY_SEES_DISCARD
                                | OPAL_MEMORY_SEES_SHM | OPAL_MEMORY_SEES_ALLOC);
    ck_assert(!is_code_as_before());
    ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
    ck_assert(is_code_as_before());
}
END_TEST

START_TEST(hundred_cycles_leave_the_code_as_it_was)
{
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_SUCCESS);
        ck_assert_int_eq(support, ALL_SUPPORT);
        ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
    }
    ck_assert(is_code_as_before());
}
END_TEST

#define BIT(id) LINUX_CALL_BIT(LINUX_CALL_##id)

static const struct {
    uint32_t disabled;
    int support;
} disabled_rows[] = {
    { BIT(SHMDT), ALL_SUPPORT & ~OPAL_MEMORY_MUNMAP_SUPPORT },
    { BIT(BRK), OPAL_MEMORY_MUNMAP_SUPPORT },
    { BIT(SHMAT), OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT },
    { BIT(MMAP), OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT },
    { BIT(REMAP_FILE_PAGES), ALL_SUPPORT },
};

START_TEST(call_left_alone_takes_its_promises_away)
{
    ck_assert_int_eq(linux_install(disabled_rows[_i].disabled, &support, &sees), OPAL_SUCCESS);
    ck_assert_int_eq(support, disabled_rows[_i].support);
    linux_uninstall();
    ck_assert(is_code_as_before());
    ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_SUCCESS);
    ck_assert_int_eq(support, ALL_SUPPORT);
}
END_TEST

START_TEST(no_promise_left_is_not_available)
{
    ck_assert_int_eq(linux_install(BIT(MUNMAP), &support, &sees), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(is_code_as_before());
}
END_TEST

static int protects_left;

/* The n-th change of libc's or ld.so's protection to writable fails; stubs are not concerned. */
static long protect_some(const long args[6])
{
    if (args[2] == (PROT_READ | PROT_WRITE | PROT_EXEC) && protects_left-- == 0) {
        return -EACCES;
    }
    return linux_sys_real(SYS_mprotect, args);
}

START_TEST(refused_change_of_code_is_not_available)
{
    protects_left = _i;
    fake_sys_set(SYS_mprotect, protect_some);
    ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(is_code_as_before());
    fake_sys_set(SYS_mprotect, NULL);
    ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_SUCCESS);
}
END_TEST

static long refuse(const long args[6])
{
    (void) args;
    return -EACCES;
}

START_TEST(stubs_that_cannot_be_made_are_not_available)
{
    fake_sys_set(_i == 0 ? SYS_mprotect : SYS_mmap, refuse);
    ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(is_code_as_before());
    fake_sys_set(_i == 0 ? SYS_mprotect : SYS_mmap, NULL);
    ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_SUCCESS);
    ck_assert_int_eq(support, ALL_SUPPORT);
}
END_TEST

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

/* The real thing, where the kernel has it (6.3). */
START_TEST(mdwe_is_not_available)
{
    ck_assert_int_eq(prctl(PR_SET_MDWE, 1, 0, 0, 0), 0);
    ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(is_code_as_before());
}
END_TEST

/* Without membarrier the sites that need steps stay, which are those of mmap; where stubs are near, none is. */
START_TEST(no_membarrier_leaves_free_support)
{
    fake_sys_set(SYS_membarrier, refuse);
    ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_SUCCESS);
    ck_assert_int_eq(support & OPAL_MEMORY_FREE_SUPPORT, OPAL_MEMORY_FREE_SUPPORT);
    ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
    ck_assert(is_code_as_before());
}
END_TEST

/* Nothing is free near above libc and ld.so: the sites that cross a word then need steps. */
static long mmap_far_only(const long args[6])
{
    const uintptr_t at = (uintptr_t) args[0];

    for (size_t i = 0; i < LINUX_OBJECTS; i++) {
        if (at >= objects[i].start && at < objects[i].end + (UINT64_C(1) << 25)) {
            return -EEXIST;
        }
    }
    return linux_sys_real(SYS_mmap, args);
}

static atomic_bool stop;
static atomic_int bad_calls, forks;

static void *map_all_the_time(void *arg)
{
    while (!atomic_load(&stop)) {
        char *memory = mmap(NULL, LINUX_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (memory == MAP_FAILED || munmap(memory, LINUX_PAGE) != 0) {
            atomic_fetch_add(&bad_calls, 1);
        }
    }
    return arg;
}

/* A child that found a site held would hang. */
static void *fork_all_the_time(void *arg)
{
    while (!atomic_load(&stop)) {
        const pid_t child = fork();
        int status = 1;

        if (child == 0) {
            signal(SIGALRM, SIG_DFL); /* Check's handler would kill the whole group. */
            alarm(10);
            _exit(mmap(NULL, LINUX_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
        }
        waitpid(child, &status, 0);
        atomic_fetch_add(status == 0 ? &forks : &bad_calls, 1);
    }
    return arg;
}

START_TEST(far_stubs_work_under_running_threads)
{
    pthread_t threads[2];
    const time_t begin = time(NULL);
    int full = 0, rounds = 0;

    fake_sys_set(SYS_mmap, mmap_far_only);
    pthread_create(&threads[0], NULL, map_all_the_time, NULL);
    pthread_create(&threads[1], NULL, fork_all_the_time, NULL);
    /* Without linux_quiet_begin(), some 500 forks are enough for one child to hang. */
    while (rounds < 300 || (atomic_load(&forks) < 3000 && time(NULL) - begin < 2)) {
        ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_SUCCESS);
        full += support == ALL_SUPPORT; /* not where forks kept the steps from being done */
        ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
        rounds++;
    }
    atomic_store(&stop, true);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    ck_assert_int_eq(atomic_load(&bad_calls), 0);
    ck_assert_int_gt(full, rounds / 2);
}
END_TEST

/* A jump of somebody else's over ours is not removed. */
START_TEST(foreign_patch_over_ours_stays)
{
    uint8_t *function;
    const uint8_t foreign[LINUX_INSN] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
    uint8_t *page;

    ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_SUCCESS);
    function = dlsym(RTLD_NEXT, "remap_file_pages");
    while (*function != 0xe9) {
        function++;
    }
    page = (uint8_t *) linux_round_down((uintptr_t) function, LINUX_PAGE);
    ck_assert_int_eq(mprotect(page, 2 * LINUX_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    memcpy(function, foreign, LINUX_INSN);
    ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
    ck_assert(memcmp(function, foreign, LINUX_INSN) == 0);
    ck_assert(!is_code_as_before());
    ck_assert_int_eq(mprotect(page, 2 * LINUX_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    memcpy(function, saved[0] + (function - (const uint8_t *) code_start(0)), LINUX_INSN);
    ck_assert(is_code_as_before());
}
END_TEST

/* What somebody else has replaced before the first start is taken once he has given it back. */
START_TEST(site_given_back_is_found_at_the_next_start)
{
    const uint8_t own[LINUX_INSN] = { 0xb8, SYS_munmap, 0, 0, 0 };
    /* Does the same, but does not look like a site: push, pop, nop. */
    const uint8_t foreign[LINUX_INSN] = { 0x6a, SYS_munmap, 0x58, 0x66, 0x90 };
    /* A thread sanitizer has a munmap of its own in front of libc's. */
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    uint8_t *function = dlsym(libc, "munmap");
    uint8_t *page;

    while (memcmp(function, own, LINUX_INSN) != 0) {
        function++;
    }
    page = (uint8_t *) linux_round_down((uintptr_t) function, LINUX_PAGE);
    ck_assert_int_eq(mprotect(page, 2 * LINUX_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    memcpy(function, foreign, LINUX_INSN);
    ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(memcmp(function, foreign, LINUX_INSN) == 0);
    ck_assert_int_eq(mprotect(page, 2 * LINUX_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    memcpy(function, own, LINUX_INSN);
    ck_assert(is_code_as_before());
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(linux_install(0, &support, &sees), OPAL_SUCCESS);
        ck_assert_int_eq(support, ALL_SUPPORT);
        ck_assert_int_eq(linux_uninstall(), OPAL_SUCCESS);
        ck_assert(is_code_as_before());
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_install");
    TCase *tcase = tcase_create("install");

    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, all_calls_give_full_support);
    tcase_add_test(tcase, hundred_cycles_leave_the_code_as_it_was);
    tcase_add_loop_test(tcase, call_left_alone_takes_its_promises_away, 0,
                        (int) (sizeof(disabled_rows) / sizeof(disabled_rows[0])));
    tcase_add_test(tcase, no_promise_left_is_not_available);
    tcase_add_loop_test(tcase, refused_change_of_code_is_not_available, 0, 5);
    tcase_add_loop_test(tcase, stubs_that_cannot_be_made_are_not_available, 0, 2);
    if (prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0) {
        tcase_add_test(tcase, mdwe_is_not_available);
    } else {
        test_skip("the kernel has no PR_SET_MDWE (it came with 6.3)");
    }
    tcase_add_test(tcase, no_membarrier_leaves_free_support);
    tcase_add_test(tcase, far_stubs_work_under_running_threads);
    tcase_add_test(tcase, foreign_patch_over_ours_stays);
    tcase_add_test(tcase, site_given_back_is_found_at_the_next_start);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
