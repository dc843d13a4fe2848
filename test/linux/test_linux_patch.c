/* SPDX-License-Identifier: BSD-3-Clause */
/* Replacing code of the test's own: at every alignment within a cache line and
 * over the edge of two pages, in place and by pages, with other threads in the
 * code all the time. The twin writes the same bytes one by one, and a thread
 * runs into what never was code. */
#include "components/linux/linux.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/children.h"
#include "test/linux/fake_sys.h"
#include "test/linux/own_code.h"
#include "test/test_main.h"

#define LINE 64
#define CODE_PAGES 200
#define SITE_PAGE 4 /* Sites lie in this page; jumps go below it, where the distance has no byte 0. */

static uint8_t *code; /* CODE_PAGES pages, filled with int3: more than are made writable at once. */

/* `mov $value,%eax; ret` */
static void write_return(uint8_t *at, uint8_t value)
{
    const uint8_t bytes[] = { 0xb8, value, 0, 0, 0, 0xc3 };

    memcpy(at, bytes, sizeof(bytes));
}

/* A site that returns 1, to be replaced by a jump to code that returns 2. */
static linux_patch_t make_patch(size_t offset)
{
    uint8_t *site = code + SITE_PAGE * LINUX_PAGE + offset;
    uint8_t *target = code + LINUX_PAGE;
    const int32_t distance = (int32_t) (target - (site + LINUX_INSN));
    linux_patch_t patch = { .address = site };

    write_return(site, 1);
    write_return(target, 2);
    memcpy(patch.from, site, LINUX_INSN);
    patch.to[0] = 0xe9;
    memcpy(patch.to + 1, &distance, sizeof(distance));
    return patch;
}

static linux_patch_t reverse(const linux_patch_t *patch)
{
    linux_patch_t back = { .address = patch->address };

    memcpy(back.from, patch->to, LINUX_INSN);
    memcpy(back.to, patch->from, LINUX_INSN);
    return back;
}

static void set_up(void)
{
    code = own_pages(CODE_PAGES);
}

static void seal(void)
{
    own_seal(code, CODE_PAGES);
}

/* ---- What the kernel refuses ----------------------------------------------------------------- */

static long refuse(const long args[6])
{
    (void) args;
    return -EACCES;
}

static long refuse_writable(const long args[6])
{
    return (args[2] & PROT_WRITE) != 0 ? -EACCES : linux_sys_real(SYS_mprotect, args);
}

/* How code is changed: as the kernel lets us. */
enum { IN_PLACE, BY_MOVE, BY_FILE, WAYS };

static void allow_only(int way)
{
    if (way != IN_PLACE) {
        fake_sys_set(SYS_mprotect, way == BY_MOVE ? refuse_writable : refuse);
    }
}

static int moves, files;

static long count_move(const long args[6])
{
    moves++;
    return linux_sys_real(SYS_mremap, args);
}

static long count_file(const long args[6])
{
    files++;
    return linux_sys_real(SYS_memfd_create, args);
}

static void count_pages(void)
{
    fake_sys_set(SYS_mremap, count_move);
    fake_sys_set(SYS_memfd_create, count_file);
}

/* ---- Under running threads -------------------------------------------------------------------- */

static atomic_bool stop;
static atomic_int runs, wrong;

static void *run_code(void *arg)
{
    const own_function_t function = own_function(arg);

    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        const long value = function(0, 0, 0);

        if (value != 1 && value != 2) {
            atomic_fetch_add(&wrong, 1);
        }
        atomic_fetch_add_explicit(&runs, 1, memory_order_relaxed);
    }
    return NULL;
}

static void wait_for_runs(int count)
{
    const int start = atomic_load(&runs);

    while (atomic_load(&runs) - start < count) {
        usleep(20);
    }
}

static void apply(linux_patch_t *patch, int value_afterwards)
{
    int sys_errno = 0;

    ck_assert_int_eq(linux_patch_apply(patch, 1, &sys_errno), OPAL_SUCCESS);
    ck_assert(patch->done);
    ck_assert_int_eq(own_function(patch->address)(0, 0, 0), value_afterwards);
}

#define THREADS 2

static void change_under_threads(size_t offset, int rounds)
{
    linux_patch_t there = make_patch(offset), back = reverse(&there);
    pthread_t threads[THREADS];

    seal();
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_code, there.address), 0);
    }
    for (int i = 0; i < rounds; i++) {
        apply(&there, 2);
        apply(&back, 1);
        if (i % 10 == 0) {
            wait_for_runs(10);
        }
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_int_eq(atomic_load(&wrong), 0);
}

START_TEST(running_threads_see_old_or_new_code_at_every_alignment)
{
    change_under_threads((size_t) _i, 100);
}
END_TEST

/* Every way at a few places: within a word, over its end, over the end of a block, and over the edge of a page. */
static const size_t places[] = { 0, 5, 13, 15, 4091, 4092, 4093, 4094, 4095 };

#define PLACES ((int) (sizeof(places) / sizeof(places[0])))
#define PLACES_EACH_WAY (PLACES * WAYS)

START_TEST(running_threads_see_old_or_new_code_every_way)
{
    const int way = _i / PLACES;

    allow_only(way);
    count_pages();
    change_under_threads(places[_i % PLACES], 200);
    ck_assert_int_eq(files, way == BY_FILE ? 400 : 0);
    ck_assert(way != BY_MOVE || moves == 400);
    ck_assert_str_eq(own_protection(code + SITE_PAGE * LINUX_PAGE), "r-xp");
}
END_TEST

/* Without the protocol: byte after byte, with the other thread running in between. */
static void write_bytewise(const linux_patch_t *patch)
{
    own_open(code, CODE_PAGES);
    for (size_t i = 0; i < LINUX_INSN; i++) {
        __atomic_store_n(&patch->address[i], patch->to[i], __ATOMIC_SEQ_CST);
        wait_for_runs(100);
    }
}

static void run_and_write_bytewise(size_t offset)
{
    const linux_patch_t patch = make_patch(offset);
    pthread_t thread;

    seal();
    signal(SIGTRAP, SIG_DFL);
    child_must_end_within(5);
    pthread_create(&thread, NULL, run_code, patch.address);
    write_bytewise(&patch);
    _exit(atomic_load(&wrong) != 0);
}

/* Within a block, over its end, and over the edge of a page. */
START_TEST(twin_bytewise_store_breaks_the_running_thread)
{
    static const size_t offsets[] = { 12, 15, 4096 - 2 };
    const pid_t child = fork();
    int status;

    if (child == 0) {
        run_and_write_bytewise(offsets[_i]);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}
END_TEST

/* ---- Which way --------------------------------------------------------------------------------- */

/* All five bytes change: what no aligned 16 bytes hold gets a new page. */
START_TEST(only_what_crosses_a_block_gets_a_new_page)
{
    linux_patch_t patch = make_patch((size_t) _i);
    const bool crosses = _i % 16 > 16 - LINUX_INSN;

    seal();
    count_pages();
    ck_assert_int_eq(linux_code_can_store(&patch), !crosses);
    apply(&patch, 2);
    ck_assert_int_eq(moves, crosses);
    ck_assert_int_eq(files, 0);
}
END_TEST

/* A jump whose last byte is that of the mov crosses into the next word without a change there. */
START_TEST(jump_near_above_is_stored_at_once)
{
    linux_patch_t patch = make_patch(12);

    write_return(code + 6 * LINUX_PAGE, 2);
    memcpy(patch.to + 1, &(int32_t){ 2 * LINUX_PAGE - 12 - LINUX_INSN }, 4);
    seal();
    count_pages();
    apply(&patch, 2);
    ck_assert_int_eq(moves + files, 0);
}
END_TEST

START_TEST(sites_of_one_page_are_replaced_together)
{
    linux_patch_t patches[] = { make_patch(12), make_patch(28), make_patch(64), make_patch(LINUX_PAGE - 3) };
    int sys_errno = 0;

    seal();
    count_pages();
    ck_assert_int_eq(linux_patch_apply(patches, 4, &sys_errno), OPAL_SUCCESS);
    for (int i = 0; i < 4; i++) {
        ck_assert(patches[i].done);
        ck_assert_int_eq(own_function(patches[i].address)(0, 0, 0), 2);
    }
    ck_assert_int_eq(moves, 2); /* The first two share theirs, the last one has two pages. */
}
END_TEST

/* See linux_code_sync(): the first one in a process with other threads takes many milliseconds. */
START_TEST(no_membarrier_is_needed)
{
    linux_patch_t patch = make_patch(_i == 0 ? 0 : 12);

    seal();
    fake_sys_set(SYS_membarrier, (fake_sys_fn_t) (void *) abort);
    apply(&patch, 2);
}
END_TEST

/* ---- Refusals ---------------------------------------------------------------------------------- */

static long refuse_executable_map(const long args[6])
{
    return (args[2] & PROT_EXEC) != 0 ? -EACCES : linux_sys_real(SYS_mmap, args);
}

static const struct {
    long nr;
    fake_sys_fn_t refuse;
} page_rows[3] = {
    { SYS_memfd_create, refuse },
    { SYS_write, refuse },
    { SYS_mmap, refuse_executable_map },
};

static uint8_t before[CODE_PAGES * 4096];

static void remember(void)
{
    ck_assert_uint_eq(sizeof(before), CODE_PAGES * LINUX_PAGE);
    memcpy(before, code, sizeof(before));
}

static void check_unchanged(int mappings)
{
    ck_assert(memcmp(before, code, sizeof(before)) == 0);
    ck_assert_int_eq(own_count_mappings(), mappings);
    ck_assert_str_eq(own_protection(code + SITE_PAGE * LINUX_PAGE), "r-xp");
}

START_TEST(refused_every_way_leaves_everything_as_it_was)
{
    linux_patch_t patches[] = { make_patch(0), make_patch(12), make_patch(LINUX_PAGE - 2) };
    int sys_errno = 0, mappings;

    seal();
    remember();
    mappings = own_count_mappings();
    fake_sys_set(SYS_mprotect, refuse);
    fake_sys_set(page_rows[_i].nr, page_rows[_i].refuse);
    ck_assert_int_eq(linux_patch_apply(patches, 3, &sys_errno), OPAL_ERR_PERM);
    ck_assert_int_eq(sys_errno, EACCES);
    ck_assert(!patches[0].done && !patches[1].done && !patches[2].done);
    check_unchanged(mappings);
}
END_TEST

/* mremap or the copy's memory is refused: there is the file still, but no memory to write the content to. */
START_TEST(refused_move_goes_by_a_file)
{
    linux_patch_t patch = make_patch(12);

    seal();
    fake_sys_set(SYS_mremap, refuse);
    fake_sys_set(SYS_memfd_create, count_file);
    apply(&patch, 2);
    ck_assert_int_eq(files, 1);
}
END_TEST

START_TEST(no_memory_for_the_copy_is_an_error)
{
    linux_patch_t patch = make_patch(12);
    int sys_errno = 0, mappings;

    seal();
    remember();
    mappings = own_count_mappings();
    fake_sys_set(SYS_mmap, refuse);
    ck_assert_int_eq(linux_patch_apply(&patch, 1, &sys_errno), OPAL_ERR_PERM);
    ck_assert(!patch.done);
    check_unchanged(mappings);
}
END_TEST

static int protects_left;

static long protect_some(const long args[6])
{
    if ((args[2] & PROT_WRITE) != 0 && protects_left-- <= 0) {
        return -EACCES;
    }
    return linux_sys_real(SYS_mprotect, args);
}

/* In three runs of pages, of which the first ones are done. */
static void apply_to_far_sites(linux_patch_t patches[3], int code_expected)
{
    int sys_errno = 0;

    for (size_t i = 0; i < 3; i++) {
        patches[i] = make_patch(i * 80 * LINUX_PAGE);
    }
    seal();
    ck_assert_int_eq(linux_patch_apply(patches, 3, &sys_errno), code_expected);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(own_function(patches[i].address)(0, 0, 0), patches[i].done ? 2 : 1);
        ck_assert_str_eq(own_protection(patches[i].address), "r-xp");
    }
}

START_TEST(what_may_not_be_written_goes_by_pages)
{
    linux_patch_t patches[3];

    protects_left = _i;
    fake_sys_set(SYS_mprotect, protect_some);
    count_pages();
    apply_to_far_sites(patches, OPAL_SUCCESS);
    ck_assert(patches[0].done && patches[1].done && patches[2].done);
    ck_assert_int_eq(moves, 3 - _i);
}
END_TEST

START_TEST(twin_without_pages_the_rest_is_not_done)
{
    linux_patch_t patches[3];

    protects_left = _i;
    fake_sys_set(SYS_mprotect, protect_some);
    fake_sys_set(SYS_mremap, refuse);
    fake_sys_set(SYS_memfd_create, refuse);
    apply_to_far_sites(patches, OPAL_ERR_PERM);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(patches[i].done, i < _i);
    }
}
END_TEST

static long refuse_read_only(const long args[6])
{
    return args[2] == (PROT_READ | PROT_EXEC) ? -ENOMEM : linux_sys_real(SYS_mprotect, args);
}

START_TEST(code_that_stays_writable_is_an_error)
{
    linux_patch_t patch = make_patch(0);
    int sys_errno = 0;

    seal();
    fake_sys_set(SYS_mprotect, refuse_read_only);
    ck_assert_int_eq(linux_patch_apply(&patch, 1, &sys_errno), OPAL_ERR_PERM);
    ck_assert_int_eq(sys_errno, ENOMEM);
    ck_assert(patch.done);
}
END_TEST

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

/* The real thing, where the kernel has it (6.3): memory that was written may not be executed. */
START_TEST(mdwe_is_no_obstacle)
{
    linux_patch_t there = make_patch(places[_i]), back = reverse(&there);

    seal();
    ck_assert_int_eq(prctl(PR_SET_MDWE, 1, 0, 0, 0), 0);
    fake_sys_set(SYS_memfd_create, count_file);
    for (int i = 0; i < 10; i++) {
        apply(&there, 2);
        apply(&back, 1);
    }
    ck_assert_int_eq(files, 20);
}
END_TEST

START_TEST(twin_mdwe_without_files_changes_nothing)
{
    linux_patch_t patch = make_patch(places[_i]);
    int sys_errno = 0, mappings;

    seal();
    remember();
    mappings = own_count_mappings();
    ck_assert_int_eq(prctl(PR_SET_MDWE, 1, 0, 0, 0), 0);
    fake_sys_set(SYS_memfd_create, refuse);
    ck_assert_int_eq(linux_patch_apply(&patch, 1, &sys_errno), OPAL_ERR_PERM);
    ck_assert(!patch.done);
    check_unchanged(mappings);
}
END_TEST

/* ---- What is not ours -------------------------------------------------------------------------- */

/* At every byte of the site, and every way. */
START_TEST(bytes_of_somebody_else_are_left_alone)
{
    linux_patch_t patch = make_patch(places[_i % PLACES]);
    const int way = _i / PLACES;
    int sys_errno = 0;

    for (size_t i = 0; i < LINUX_INSN; i++) {
        own_open(code, CODE_PAGES);
        memcpy(patch.address, patch.from, LINUX_INSN);
        patch.address[i] ^= 0x55;
        seal();
        remember();
        allow_only(way);
        ck_assert_int_eq(linux_patch_apply(&patch, 1, &sys_errno), OPAL_SUCCESS);
        ck_assert(!patch.done);
        ck_assert(memcmp(before, code, sizeof(before)) == 0);
    }
}
END_TEST

/* Also what others have written to the page before. */
START_TEST(everything_around_a_site_stays)
{
    linux_patch_t patch = make_patch(places[_i % PLACES]);
    const size_t at = (size_t) (patch.address - code);

    for (size_t i = 0; i < 3 * LINUX_PAGE; i++) {
        uint8_t *byte = code + (SITE_PAGE - 1) * LINUX_PAGE + i;

        *byte = *byte == 0xcc ? (uint8_t) (i * 7) : *byte;
    }
    seal();
    allow_only(_i / PLACES);
    remember();
    apply(&patch, 2);
    memcpy(before + at, patch.to, LINUX_INSN);
    ck_assert(memcmp(before, code, sizeof(before)) == 0);
}
END_TEST

START_TEST(no_patches_are_no_calls)
{
    int sys_errno = 0;

    fake_sys_set(SYS_mprotect, (fake_sys_fn_t) (void *) abort);
    fake_sys_set(SYS_membarrier, (fake_sys_fn_t) (void *) abort);
    ck_assert_int_eq(linux_patch_apply(NULL, 0, &sys_errno), OPAL_SUCCESS);
}
END_TEST

static void add_mdwe_tests(TCase *tcase)
{
    if (prctl(PR_GET_MDWE, 0, 0, 0, 0) < 0) {
        test_skip("MDWE: the kernel has no PR_SET_MDWE (it came with 6.3)");
        return;
    }
    tcase_add_loop_test(tcase, mdwe_is_no_obstacle, 0, PLACES);
    tcase_add_loop_test(tcase, twin_mdwe_without_files_changes_nothing, 0, PLACES);
}

int main(void)
{
    if (under_valgrind()) {
        return test_skip("valgrind keeps translations of code that other threads change");
    }
    Suite *suite = suite_create("linux_patch");
    TCase *tcase = tcase_create("patch");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_loop_test(tcase, running_threads_see_old_or_new_code_at_every_alignment, 0, LINE);
    tcase_add_loop_test(tcase, running_threads_see_old_or_new_code_every_way, 0, PLACES * WAYS);
    tcase_add_loop_test(tcase, twin_bytewise_store_breaks_the_running_thread, 0, 3);
    tcase_add_loop_test(tcase, only_what_crosses_a_block_gets_a_new_page, 0, LINE);
    tcase_add_test(tcase, jump_near_above_is_stored_at_once);
    tcase_add_test(tcase, sites_of_one_page_are_replaced_together);
    tcase_add_loop_test(tcase, no_membarrier_is_needed, 0, 2);
    tcase_add_loop_test(tcase, refused_every_way_leaves_everything_as_it_was, 0, 3);
    tcase_add_test(tcase, refused_move_goes_by_a_file);
    tcase_add_test(tcase, no_memory_for_the_copy_is_an_error);
    tcase_add_loop_test(tcase, what_may_not_be_written_goes_by_pages, 0, 4);
    tcase_add_loop_test(tcase, twin_without_pages_the_rest_is_not_done, 0, 3);
    tcase_add_test(tcase, code_that_stays_writable_is_an_error);
    add_mdwe_tests(tcase);
    tcase_add_loop_test(tcase, bytes_of_somebody_else_are_left_alone, 0, PLACES * WAYS);
    tcase_add_loop_test(tcase, everything_around_a_site_stays, 0, PLACES * WAYS);
    tcase_add_test(tcase, no_patches_are_no_calls);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
