/* SPDX-License-Identifier: BSD-3-Clause */
/* How each call is made and which events it raises, with a kernel that answers
 * as the test wants: the order of event and call, errors, and the calls that
 * need to ask the kernel something first. */
#include "components/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "test/linux/fake_sys.h"
#include "test/test_main.h"

#define K 4096L
#define A 0x100000L
#define B 0x900000L
#define MIB2 (2L << 20)
#define STUBS 0x700000L /* Of code that was searched. */

/* What happened, in order: 'c' a system call, 'r' a release, 'a' an alloc event. */
typedef struct step_t {
    char kind;
    long first, second, third;
} step_t;

static step_t steps[32];
static int step_count;
static long answers[8]; /* Of the faked calls, in order. */
static int answer_count;

static void add_step(char kind, long first, long second, long third)
{
    ck_assert_int_lt(step_count, 32);
    steps[step_count++] = (step_t){ kind, first, second, third };
}

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata;
    ck_assert(from_alloc);
    add_step('r', (long) buf, (long) length, opal_mem_hooks_current_cause());
}

static void on_alloc(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata;
    ck_assert(from_alloc);
    add_step('a', (long) buf, (long) length, 0);
}

static long answer(long nr, long detail)
{
    add_step('c', nr, detail, 0);
    return answers[answer_count++];
}

static long fake_mmap(const long args[6])
{
    return answer(SYS_mmap, args[3]);
}

static long fake_munmap(const long args[6])
{
    ck_assert(opal_mem_hooks_window_overlaps((uintptr_t) args[0], 1) == (args[0] % K == 0 && args[0] != STUBS));
    return answer(SYS_munmap, args[0]);
}

static long fake_mremap(const long args[6])
{
    return answer(SYS_mremap, args[3]);
}

static long fake_brk(const long args[6])
{
    return answer(SYS_brk, args[0]);
}

static long fake_shmat(const long args[6])
{
    return answer(SYS_shmat, args[0]);
}

static long fake_shmctl(const long args[6])
{
    const long result = answer(SYS_shmctl, args[0]);

    if (result < 0) {
        return result;
    }
    ((struct shmid_ds *) args[2])->shm_segsz = (size_t) result;
    return 0;
}

static void set_up(void)
{
    linux_facts =
        (linux_facts_t){ .page = K, .address_end = (1UL << 47) - K, .huge_page = MIB2, .heap_start = 0x10000 };
    opal_mem_hooks_set_support(OPAL_MEMORY_MUNMAP_SUPPORT | OPAL_MEMORY_MMAP_SUPPORT);
    ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(on_alloc, NULL), OPAL_SUCCESS);
    linux_calls_go_live(true);
    fake_sys_set(SYS_mmap, fake_mmap);
    fake_sys_set(SYS_munmap, fake_munmap);
    fake_sys_set(SYS_mremap, fake_mremap);
    fake_sys_set(SYS_brk, fake_brk);
    fake_sys_set(SYS_shmat, fake_shmat);
    fake_sys_set(SYS_shmctl, fake_shmctl);
}

static long run(linux_kind_t kind, linux_call_id_t id, const long args[7])
{
    const linux_site_t site = { .kind = kind, .call = &linux_calls[id] };

    return linux_dispatch(&site, args);
}

#define RUN_IN(kind, id, ...) run(LINUX_##kind, LINUX_CALL_##id, (const long[7]){ __VA_ARGS__ })
#define RUN(id, ...) RUN_IN(LIBC, id, __VA_ARGS__)

static void check_steps(const step_t *expected, int count)
{
    ck_assert_msg(step_count == count, "%d steps, not %d", step_count, count);
    for (int i = 0; i < count; i++) {
        const bool is_same = steps[i].kind == expected[i].kind && steps[i].first == expected[i].first
                             && steps[i].second == expected[i].second && steps[i].third == expected[i].third;

        ck_assert_msg(is_same, "step %d is %c 0x%lx 0x%lx %ld", i, steps[i].kind, steps[i].first, steps[i].second,
                      steps[i].third);
    }
}

#define CHECK_STEPS(...) \
    check_steps((const step_t[]){ __VA_ARGS__ }, (int) (sizeof((const step_t[]){ __VA_ARGS__ }) / sizeof(step_t)))

START_TEST(release_comes_before_the_call_and_window_spans_it)
{
    ck_assert_int_eq(RUN(MUNMAP, A, K), 0);
    CHECK_STEPS({ 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MUNMAP }, { 'c', SYS_munmap, A, 0 });
    ck_assert(!opal_mem_hooks_window_overlaps(A, K));
}
END_TEST

START_TEST(window_closes_when_the_call_fails)
{
    answers[0] = -ENOMEM;
    ck_assert_int_eq(RUN(MUNMAP, A, K), -ENOMEM);
    ck_assert_int_eq(step_count, 2);
    ck_assert(!opal_mem_hooks_window_overlaps(A, K));
}
END_TEST

START_TEST(refused_call_is_made_without_events)
{
    answers[0] = -EINVAL;
    ck_assert_int_eq(RUN(MUNMAP, A + 1, K), -EINVAL);
    CHECK_STEPS({ 'c', SYS_munmap, A + 1, 0 });
}
END_TEST

START_TEST(disabled_call_only_passes)
{
    linux_calls_go_live(false);
    fake_sys_set(SYS_munmap, fake_mmap);
    RUN(MUNMAP, A, K);
    CHECK_STEPS({ 'c', SYS_mmap, 0, 0 });
}
END_TEST

START_TEST(twin_without_the_component_nothing_is_seen)
{
    answers[0] = 0;
    fake_sys_set(SYS_munmap, fake_mmap);
    linux_sys_call(SYS_munmap, (const long[6]){ A, K });
    CHECK_STEPS({ 'c', SYS_mmap, 0, 0 });
}
END_TEST

START_TEST(mmap_over_is_a_release_and_a_gain)
{
    const long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

    answers[0] = A;
    ck_assert_int_eq(RUN(MMAP, A, K, 0, flags, -1, 0), A);
    CHECK_STEPS({ 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MMAP }, { 'c', SYS_mmap, flags, 0 }, { 'a', A, K, 0 });
}
END_TEST

START_TEST(failed_mmap_gains_nothing)
{
    const long flags = MAP_PRIVATE | MAP_ANONYMOUS;

    answers[0] = -ENOMEM;
    ck_assert_int_eq(RUN(MMAP, 0, K, 0, flags, -1, 0), -ENOMEM);
    CHECK_STEPS({ 'c', SYS_mmap, flags, 0 });
}
END_TEST

static long bad_file(const long args[6])
{
    (void) args;
    return -EBADF;
}

START_TEST(mmap_over_of_a_closed_file_is_quiet)
{
    fake_sys_set(SYS_fcntl, bad_file);
    ck_assert_int_eq(RUN(MMAP, A, K, 0, MAP_SHARED | MAP_FIXED, 99, 0), -EBADF);
    ck_assert_int_eq(step_count, 0);
}
END_TEST

static long open_file(const long args[6])
{
    ck_assert_int_eq(args[1], F_GETFD);
    return 0;
}

static long huge_file(const long args[6])
{
    *(struct statfs *) args[1] = (struct statfs){ .f_type = HUGETLBFS_MAGIC, .f_bsize = MIB2 };
    return 0;
}

static long small_file(const long args[6])
{
    *(struct statfs *) args[1] = (struct statfs){ .f_type = TMPFS_MAGIC, .f_bsize = MIB2 };
    return 0;
}

START_TEST(mmap_over_of_a_hugetlbfs_file_takes_whole_huge_pages)
{
    const long flags = MAP_SHARED | MAP_FIXED;
    const long length = _i == 0 ? MIB2 : K;

    fake_sys_set(SYS_fcntl, open_file);
    fake_sys_set(SYS_fstatfs, _i == 0 ? huge_file : small_file);
    answers[0] = 2 * MIB2;
    RUN(MMAP, 2 * MIB2, K, 0, flags, 5, 0);
    CHECK_STEPS({ 'r', 2 * MIB2, length, OPAL_MEM_HOOKS_CAUSE_MMAP }, { 'c', SYS_mmap, flags, 0 },
                { 'a', 2 * MIB2, length, 0 });
}
END_TEST

START_TEST(growth_in_place_is_quiet)
{
    answers[0] = A;
    ck_assert_int_eq(RUN(MREMAP, A, K, 3 * K, MREMAP_MAYMOVE), A);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 }, { 'a', A + K, 2 * K, 0 });
}
END_TEST

START_TEST(growth_that_moves_releases_the_old_place)
{
    answers[0] = -ENOMEM;
    answers[1] = B;
    ck_assert_int_eq(RUN(MREMAP, A, K, 3 * K, MREMAP_MAYMOVE), B);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 }, { 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MREMAP },
                { 'c', SYS_mremap, MREMAP_MAYMOVE, 0 }, { 'a', B, 3 * K, 0 });
}
END_TEST

static const long final_errors[] = { -EFAULT, -EINVAL, -EAGAIN, -EPERM };

START_TEST(growth_that_cannot_be_is_tried_once)
{
    answers[0] = final_errors[_i];
    ck_assert_int_eq(RUN(MREMAP, A, K, 3 * K, MREMAP_MAYMOVE), final_errors[_i]);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 });
}
END_TEST

START_TEST(growth_with_an_unexpected_error_is_made_as_asked)
{
    answers[0] = -ENOSYS;
    answers[1] = -ENOSYS;
    ck_assert_int_eq(RUN(MREMAP, A, K, 3 * K, MREMAP_MAYMOVE), -ENOSYS);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 }, { 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MREMAP },
                { 'c', SYS_mremap, MREMAP_MAYMOVE, 0 });
}
END_TEST

START_TEST(fixed_move_releases_both_places_in_one_window)
{
    const long flags = MREMAP_MAYMOVE | MREMAP_FIXED;

    answers[0] = B;
    ck_assert_int_eq(RUN(MREMAP, A, K, K, flags, B), B);
    CHECK_STEPS({ 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MREMAP }, { 'r', B, K, OPAL_MEM_HOOKS_CAUSE_MREMAP },
                { 'c', SYS_mremap, flags, 0 }, { 'a', B, K, 0 });
}
END_TEST

/* A huge page there: a length that ends within it means all of it. */
START_TEST(mremap_of_huge_pages_rounds_to_them)
{
    answers[0] = -EINVAL; /* the question whether it is one */
    answers[1] = MIB2;
    ck_assert_int_eq(RUN(MREMAP, MIB2, 2 * MIB2 - K, K, 0), MIB2);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 }, { 'r', 2 * MIB2, MIB2, OPAL_MEM_HOOKS_CAUSE_MREMAP },
                { 'c', SYS_mremap, 0, 0 });
}
END_TEST

START_TEST(mremap_of_small_pages_at_such_an_address_does_not)
{
    answers[0] = MIB2 + K;
    answers[1] = MIB2;
    ck_assert_int_eq(RUN(MREMAP, MIB2, 2 * MIB2 - K, K, 0), MIB2);
    CHECK_STEPS({ 'c', SYS_mremap, 0, 0 }, { 'r', MIB2 + K, 2 * MIB2 - 2 * K, OPAL_MEM_HOOKS_CAUSE_MREMAP },
                { 'c', SYS_mremap, 0, 0 });
}
END_TEST

START_TEST(brk_asks_where_the_break_is)
{
    answers[0] = 0x30000;
    answers[1] = 0x20001;
    ck_assert_int_eq(RUN(BRK, 0x20001), 0x20001);
    CHECK_STEPS({ 'c', SYS_brk, 0, 0 }, { 'r', 0x21000, 0xf000, OPAL_MEM_HOOKS_CAUSE_BRK },
                { 'c', SYS_brk, 0x20001, 0 });
}
END_TEST

START_TEST(brk_that_grows_is_a_gain)
{
    answers[0] = 0x20001;
    answers[1] = 0x30000;
    ck_assert_int_eq(RUN(BRK, 0x30000), 0x30000);
    CHECK_STEPS({ 'c', SYS_brk, 0, 0 }, { 'c', SYS_brk, 0x30000, 0 }, { 'a', 0x21000, 0xf000, 0 });
}
END_TEST

START_TEST(brk_that_the_kernel_refuses_gains_nothing)
{
    answers[0] = 0x20000;
    answers[1] = 0x20000;
    ck_assert_int_eq(RUN(BRK, 0x30000), 0x20000);
    CHECK_STEPS({ 'c', SYS_brk, 0, 0 }, { 'c', SYS_brk, 0x30000, 0 });
}
END_TEST

START_TEST(question_for_the_break_is_one_call)
{
    answers[0] = 0x20000;
    ck_assert_int_eq(RUN(BRK, 0), 0x20000);
    CHECK_STEPS({ 'c', SYS_brk, 0, 0 });
}
END_TEST

static int brk_returned;

static int brk_through_site(void *address)
{
    RUN(BRK, (long) address);
    brk_returned++;
    return 0;
}

START_TEST(probe_of_brk_reaches_neither_kernel_nor_libc)
{
    ck_assert(linux_calls_probe_brk(brk_through_site));
    ck_assert_int_eq(brk_returned, 0);
    ck_assert_int_eq(step_count, 0);
    RUN(BRK, 0); /* The probe is over. */
    ck_assert_int_eq(step_count, 1);
}
END_TEST

static int brk_elsewhere(void *address)
{
    (void) address;
    return 0;
}

START_TEST(probe_of_brk_that_does_not_arrive_says_so)
{
    ck_assert(!linux_calls_probe_brk(brk_elsewhere));
    RUN(BRK, 0);
    ck_assert_int_eq(step_count, 1);
}
END_TEST

START_TEST(shmat_over_releases_the_size_of_the_segment)
{
    answers[0] = 3 * K - 1;
    answers[1] = A;
    ck_assert_int_eq(RUN(SHMAT, 7, A, SHM_REMAP), A);
    CHECK_STEPS({ 'c', SYS_shmctl, 7, 0 }, { 'r', A, 3 * K, OPAL_MEM_HOOKS_CAUSE_SHMAT }, { 'c', SYS_shmat, 7, 0 },
                { 'a', A, 3 * K, 0 });
}
END_TEST

START_TEST(shmat_over_of_unknown_size_releases_all_from_there_on)
{
    answers[0] = -ENOSYS;
    answers[1] = -EINVAL;
    ck_assert_int_eq(RUN(SHMAT, 7, A, SHM_REMAP), -EINVAL);
    CHECK_STEPS({ 'c', SYS_shmctl, 7, 0 }, { 'r', A, (1L << 47) - K - A, OPAL_MEM_HOOKS_CAUSE_SHMAT },
                { 'c', SYS_shmat, 7, 0 });
}
END_TEST

START_TEST(shmat_that_will_be_refused_is_quiet)
{
    answers[0] = -EIDRM;
    answers[1] = -EIDRM;
    ck_assert_int_eq(RUN(SHMAT, 7, A, SHM_REMAP), -EIDRM);
    CHECK_STEPS({ 'c', SYS_shmctl, 7, 0 }, { 'c', SYS_shmat, 7, 0 });
}
END_TEST

/* Segments of huge pages do not say so before they are attached. */
START_TEST(shmat_over_of_huge_pages_reports_the_rest_late)
{
    answers[0] = K;
    answers[1] = MIB2;
    answers[2] = -EINVAL; /* mremap within the page */
    ck_assert_int_eq(RUN(SHMAT, 7, MIB2, SHM_REMAP), MIB2);
    CHECK_STEPS({ 'c', SYS_shmctl, 7, 0 }, { 'r', MIB2, K, OPAL_MEM_HOOKS_CAUSE_SHMAT }, { 'c', SYS_shmat, 7, 0 },
                { 'c', SYS_mremap, 0, 0 }, { 'r', MIB2 + K, MIB2 - K, OPAL_MEM_HOOKS_CAUSE_SHMAT },
                { 'a', MIB2, MIB2, 0 });
}
END_TEST

/* ---- By number, and in ld.so ------------------------------------------------------------------ */

static const linux_site_t by_number = { .call = NULL };

START_TEST(call_by_number_has_the_same_events)
{
    linux_calls_take_arrivals();
    ck_assert_int_eq(linux_dispatch(&by_number, (const long[7]){ A, K, 0, 0, 0, 0, SYS_munmap }), 0);
    CHECK_STEPS({ 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MUNMAP }, { 'c', SYS_munmap, A, 0 });
    ck_assert_uint_eq(linux_calls_take_arrivals(), LINUX_CALL_BIT(LINUX_CALL_MUNMAP) | LINUX_ANY_CALL_BIT);
}
END_TEST

/* The number in the seventh place counts for no other site. */
START_TEST(number_of_a_site_is_its_own)
{
    linux_calls_take_arrivals();
    ck_assert_int_eq(RUN(MUNMAP, A, K, 0, 0, 0, 0, SYS_brk), 0);
    CHECK_STEPS({ 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MUNMAP }, { 'c', SYS_munmap, A, 0 });
    ck_assert_uint_eq(linux_calls_take_arrivals(), LINUX_CALL_BIT(LINUX_CALL_MUNMAP));
}
END_TEST

START_TEST(call_by_number_only_passes_when_switched_off)
{
    linux_calls_go_live(false);
    fake_sys_set(SYS_munmap, fake_mmap);
    linux_dispatch(&by_number, (const long[7]){ A, K, 0, 0, 0, 0, SYS_munmap });
    CHECK_STEPS({ 'c', SYS_mmap, 0, 0 });
}
END_TEST

/* Code with stubs at STUBS. */
static void know_code(void)
{
    linux_texts[0].kind = LINUX_OTHER;
    linux_texts[0].area = STUBS;
    linux_texts[0].area_length = K;
    linux_texts[0].start = A;
    linux_texts[0].end = A + K;
    linux_text_count = 1;
}

START_TEST(code_that_the_loader_unmaps_is_forgotten_before)
{
    know_code();
    ck_assert_int_eq(RUN_IN(LOADER, MUNMAP, A, K), 0);
    CHECK_STEPS({ 'c', SYS_munmap, STUBS, 0 }, { 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MUNMAP },
                { 'c', SYS_munmap, A, 0 });
    ck_assert_uint_eq(linux_texts[0].end, 0);
}
END_TEST

START_TEST(code_that_the_loader_maps_over_is_forgotten_before)
{
    const long flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

    know_code();
    answers[1] = A;
    ck_assert_int_eq(RUN_IN(LOADER, MMAP, A, K, PROT_READ, flags, -1, 0), A);
    CHECK_STEPS({ 'c', SYS_munmap, STUBS, 0 }, { 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MMAP },
                { 'c', SYS_mmap, flags, 0 }, { 'a', A, K, 0 });
    ck_assert_uint_eq(linux_texts[0].end, 0);
}
END_TEST

START_TEST(twin_what_libc_unmaps_is_not_looked_up)
{
    know_code();
    ck_assert_int_eq(RUN(MUNMAP, A, K), 0);
    CHECK_STEPS({ 'r', A, K, OPAL_MEM_HOOKS_CAUSE_MUNMAP }, { 'c', SYS_munmap, A, 0 });
    ck_assert_uint_ne(linux_texts[0].end, 0);
}
END_TEST

START_TEST(other_calls_of_the_loader_forget_nothing)
{
    const long flags = MAP_PRIVATE | MAP_ANONYMOUS;

    know_code();
    answers[0] = B;
    ck_assert_int_eq(RUN_IN(LOADER, MMAP, A, K, PROT_READ, flags, -1, 0), B); /* A hint. */
    ck_assert_int_eq(RUN_IN(LOADER, MUNMAP, B, K), 0);
    ck_assert_uint_ne(linux_texts[0].end, 0);
}
END_TEST

static long no_file(const long args[6])
{
    (void) args;
    return -ENOENT;
}

#define CODE (PROT_READ | PROT_EXEC)

static const struct {
    linux_kind_t kind;
    int prot, flags;
    long result;
    bool is_searched;
} mmap_rows[] = {
    { LINUX_LOADER, CODE, MAP_PRIVATE, B, true },
    { LINUX_LOADER, CODE, MAP_PRIVATE, -ENOMEM, false },
    { LINUX_LOADER, CODE, MAP_PRIVATE | MAP_ANONYMOUS, B, false },
    { LINUX_LOADER, PROT_READ, MAP_PRIVATE, B, false },
    { LINUX_LOADER, CODE | PROT_WRITE, MAP_PRIVATE, B, false },
    { LINUX_LIBC, CODE, MAP_PRIVATE, B, false },
    { LINUX_OTHER, CODE, MAP_PRIVATE, B, false },
};

/* For that it maps a buffer, which it does not get here. */
START_TEST(code_that_the_loader_maps_is_searched)
{
    fake_sys_set(SYS_openat, no_file);
    linux_search_others(MIB2);
    answers[0] = mmap_rows[_i].result;
    answers[1] = -ENOMEM;
    ck_assert_int_eq(run(mmap_rows[_i].kind, LINUX_CALL_MMAP,
                         (const long[7]){ 0, K, mmap_rows[_i].prot, mmap_rows[_i].flags, 5, 0, SYS_mmap }),
                     mmap_rows[_i].result);
    ck_assert_int_eq(answer_count, mmap_rows[_i].is_searched ? 2 : 1);
    ck_assert(!mmap_rows[_i].is_searched || steps[step_count - 1].second == (MAP_PRIVATE | MAP_ANONYMOUS));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_calls");
    TCase *tcase = tcase_create("calls");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, release_comes_before_the_call_and_window_spans_it);
    tcase_add_test(tcase, window_closes_when_the_call_fails);
    tcase_add_test(tcase, refused_call_is_made_without_events);
    tcase_add_test(tcase, disabled_call_only_passes);
    tcase_add_test(tcase, twin_without_the_component_nothing_is_seen);
    tcase_add_test(tcase, mmap_over_is_a_release_and_a_gain);
    tcase_add_test(tcase, failed_mmap_gains_nothing);
    tcase_add_test(tcase, mmap_over_of_a_closed_file_is_quiet);
    tcase_add_loop_test(tcase, mmap_over_of_a_hugetlbfs_file_takes_whole_huge_pages, 0, 2);
    tcase_add_test(tcase, growth_in_place_is_quiet);
    tcase_add_test(tcase, growth_that_moves_releases_the_old_place);
    tcase_add_loop_test(tcase, growth_that_cannot_be_is_tried_once, 0, 4);
    tcase_add_test(tcase, growth_with_an_unexpected_error_is_made_as_asked);
    tcase_add_test(tcase, fixed_move_releases_both_places_in_one_window);
    tcase_add_test(tcase, mremap_of_huge_pages_rounds_to_them);
    tcase_add_test(tcase, mremap_of_small_pages_at_such_an_address_does_not);
    tcase_add_test(tcase, brk_asks_where_the_break_is);
    tcase_add_test(tcase, brk_that_grows_is_a_gain);
    tcase_add_test(tcase, brk_that_the_kernel_refuses_gains_nothing);
    tcase_add_test(tcase, question_for_the_break_is_one_call);
    tcase_add_test(tcase, probe_of_brk_reaches_neither_kernel_nor_libc);
    tcase_add_test(tcase, probe_of_brk_that_does_not_arrive_says_so);
    tcase_add_test(tcase, shmat_over_releases_the_size_of_the_segment);
    tcase_add_test(tcase, shmat_over_of_unknown_size_releases_all_from_there_on);
    tcase_add_test(tcase, shmat_that_will_be_refused_is_quiet);
    tcase_add_test(tcase, shmat_over_of_huge_pages_reports_the_rest_late);
    tcase_add_test(tcase, call_by_number_has_the_same_events);
    tcase_add_test(tcase, number_of_a_site_is_its_own);
    tcase_add_test(tcase, call_by_number_only_passes_when_switched_off);
    tcase_add_test(tcase, code_that_the_loader_unmaps_is_forgotten_before);
    tcase_add_test(tcase, code_that_the_loader_maps_over_is_forgotten_before);
    tcase_add_test(tcase, twin_what_libc_unmaps_is_not_looked_up);
    tcase_add_test(tcase, other_calls_of_the_loader_forget_nothing);
    tcase_add_loop_test(tcase, code_that_the_loader_maps_is_searched, 0,
                        (int) (sizeof(mmap_rows) / sizeof(mmap_rows[0])));
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
