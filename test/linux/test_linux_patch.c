/* SPDX-License-Identifier: BSD-3-Clause */
/* The patch protocol on code of the test's own: at every alignment within a
 * cache line, with another thread in the code all the time. The twin writes
 * the same bytes one by one, and that thread runs into what never was code. */
#include "components/linux/linux.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/linux/fake_sys.h"
#include "test/test_main.h"

#define LINE 64
#define CODE_PAGES 8
#define SITE_PAGE 4 /* Sites lie in this page; jumps go 3 pages below, where the distance has no byte 0. */

typedef int (*code_fn_t)(void);

static uint8_t *code; /* CODE_PAGES pages, filled with int3. */

static code_fn_t as_function(const uint8_t *address)
{
    code_fn_t function;

    memcpy(&function, &address, sizeof(function));
    return function;
}

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
    code = mmap(NULL, CODE_PAGES * LINUX_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(code, MAP_FAILED);
    memset(code, 0xcc, CODE_PAGES * LINUX_PAGE);
}

static void seal(void)
{
    ck_assert_int_eq(mprotect(code, CODE_PAGES * LINUX_PAGE, PROT_READ | PROT_EXEC), 0);
}

/* ---- Under a running thread ------------------------------------------------------------------ */

static atomic_bool stop;
static atomic_int runs;
static atomic_int wrong;

static void *run_code(void *arg)
{
    const code_fn_t function = as_function(arg);

    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        const int value = function();

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
    ck_assert_int_eq(as_function(patch->address)(), value_afterwards);
}

/* Offset 15 of a block is the one place where not even the first two bytes share a word. */
static bool can_be_replaced(size_t offset)
{
    return offset % 16 != 15;
}

START_TEST(running_thread_sees_old_or_new_code_at_every_alignment)
{
    const size_t offset = (size_t) _i;
    linux_patch_t there = make_patch(offset), back = reverse(&there);
    int sys_errno = 0;
    pthread_t thread;

    seal();
    if (!can_be_replaced(offset)) {
        ck_assert_int_eq(linux_patch_apply(&there, 1, &sys_errno), OPAL_SUCCESS);
        ck_assert(!there.done);
        ck_assert_int_eq(as_function(there.address)(), 1);
        return;
    }
    ck_assert_int_eq(pthread_create(&thread, NULL, run_code, there.address), 0);
    for (int i = 0; i < 100; i++) {
        apply(&there, 2);
        apply(&back, 1);
        if (i % 10 == 0) {
            wait_for_runs(10);
        }
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    ck_assert_int_eq(atomic_load(&wrong), 0);
}
END_TEST

/* A jump whose last byte is that of the mov crosses into the next word without needing steps. */
START_TEST(jump_near_above_is_stored_at_once)
{
    linux_patch_t patch = make_patch(12);
    int sys_errno = 0;

    write_return(code + 6 * LINUX_PAGE, 2);
    memcpy(patch.to + 1, &(int32_t){ 2 * LINUX_PAGE - 12 - LINUX_INSN }, 4);
    seal();
    fake_sys_set(SYS_rt_sigprocmask, (fake_sys_fn_t) (void *) abort); /* only steps block signals */
    ck_assert_int_eq(linux_patch_apply(&patch, 1, &sys_errno), OPAL_SUCCESS);
    ck_assert(patch.done);
    ck_assert_int_eq(as_function(patch.address)(), 2);
}
END_TEST

/* Without the protocol: byte after byte, with the other thread running in between. */
static void write_bytewise(const linux_patch_t *patch)
{
    ck_assert_int_eq(mprotect(code, CODE_PAGES * LINUX_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
    for (size_t i = 0; i < LINUX_INSN; i++) {
        __atomic_store_n(&patch->address[i], patch->to[i], __ATOMIC_SEQ_CST);
        wait_for_runs(100);
    }
}

START_TEST(twin_bytewise_store_breaks_the_running_thread)
{
    const linux_patch_t patch = make_patch(12);
    pthread_t thread;
    pid_t child;
    int status;

    seal();
    child = fork();
    if (child == 0) {
        signal(SIGTRAP, SIG_DFL);
        alarm(5);
        pthread_create(&thread, NULL, run_code, patch.address);
        write_bytewise(&patch);
        _exit(atomic_load(&wrong) != 0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}
END_TEST

/* ---- The steps in between -------------------------------------------------------------------- */

static const linux_patch_t *watched;
static int barriers;
static uint8_t heads[8][2];
static uint8_t tails[8];

/* Also counts registrations: what matters is the order of what is seen. */
static long watch_barrier(const long args[6])
{
    if (args[0] == 1 << 5 && barriers < 8) { /* PRIVATE_EXPEDITED_SYNC_CORE */
        memcpy(heads[barriers], watched->address, 2);
        tails[barriers++] = watched->address[4];
    }
    return linux_sys_real(SYS_membarrier, args);
}

START_TEST(crossing_site_goes_head_tail_head_with_a_sync_each)
{
    linux_patch_t patch = make_patch(12);

    seal();
    watched = &patch;
    fake_sys_set(SYS_membarrier, watch_barrier);
    apply(&patch, 2);
    ck_assert_int_eq(barriers, 4); /* whether it works at all; heads held; tails; heads */
    ck_assert(heads[0][0] == 0xb8 && tails[0] == 0);
    ck_assert(heads[1][0] == 0xeb && heads[1][1] == 0xfe && tails[1] == 0);
    ck_assert(heads[2][0] == 0xeb && heads[2][1] == 0xfe && tails[2] == patch.to[4]);
    ck_assert(heads[3][0] == 0xe9);
}
END_TEST

static sigset_t signals_at_barrier;

static long note_signals(const long args[6])
{
    pthread_sigmask(SIG_SETMASK, NULL, &signals_at_barrier);
    return linux_sys_real(SYS_membarrier, args);
}

static long note_held_signals(const long args[6])
{
    return watched->address[0] == 0xeb ? note_signals(args) : linux_sys_real(SYS_membarrier, args);
}

START_TEST(no_signal_handler_can_run_into_the_held_site)
{
    linux_patch_t patch = make_patch(12);
    sigset_t afterwards;

    seal();
    watched = &patch;
    fake_sys_set(SYS_membarrier, note_held_signals);
    apply(&patch, 2);
    ck_assert(sigismember(&signals_at_barrier, SIGUSR1) && sigismember(&signals_at_barrier, SIGALRM));
    pthread_sigmask(SIG_SETMASK, NULL, &afterwards);
    ck_assert(!sigismember(&afterwards, SIGUSR1));
}
END_TEST

/* Somebody changes the tail while the head is held. */
static long steal_tail(const long args[6])
{
    if (watched->address[0] == 0xeb) {
        watched->address[4] = 0x77;
    }
    return linux_sys_real(SYS_membarrier, args);
}

START_TEST(tail_changed_by_another_gives_the_head_back)
{
    linux_patch_t patch = make_patch(12);
    int sys_errno = 0;

    seal();
    watched = &patch;
    fake_sys_set(SYS_membarrier, steal_tail);
    ck_assert_int_eq(linux_patch_apply(&patch, 1, &sys_errno), OPAL_SUCCESS);
    ck_assert(!patch.done);
    ck_assert(memcmp(patch.address, patch.from, 4) == 0 && patch.address[4] == 0x77);
}
END_TEST

/* ---- What the kernel refuses ----------------------------------------------------------------- */

static long refuse(const long args[6])
{
    (void) args;
    return -EACCES;
}

START_TEST(without_membarrier_only_single_stores_are_done)
{
    linux_patch_t patches[] = { make_patch(12), make_patch(LINE) };
    int sys_errno = 0;

    seal();
    fake_sys_set(SYS_membarrier, refuse);
    ck_assert_int_eq(linux_patch_apply(patches, 2, &sys_errno), OPAL_SUCCESS);
    ck_assert(!patches[0].done && patches[1].done);
    ck_assert_int_eq(as_function(patches[0].address)(), 1);
    ck_assert_int_eq(as_function(patches[1].address)(), 2);
}
END_TEST

static int protects_left;
static long last_protection[CODE_PAGES];

static long protect_some(const long args[6])
{
    if (protects_left == 0 && args[2] == (PROT_READ | PROT_WRITE | PROT_EXEC)) {
        return -EACCES;
    }
    protects_left -= protects_left > 0;
    last_protection[((uintptr_t) args[0] - (uintptr_t) code) / LINUX_PAGE] = args[2];
    return linux_sys_real(SYS_mprotect, args);
}

START_TEST(refused_mprotect_leaves_everything_as_it_was)
{
    linux_patch_t patches[] = { make_patch(0), make_patch(LINUX_PAGE), make_patch(2 * LINUX_PAGE) };
    uint8_t before[CODE_PAGES * 4096];
    int sys_errno = 0;

    seal();
    memcpy(before, code, sizeof(before));
    protects_left = _i;
    fake_sys_set(SYS_mprotect, protect_some);
    ck_assert_int_eq(linux_patch_apply(patches, 3, &sys_errno), OPAL_ERR_PERM);
    ck_assert_int_eq(sys_errno, EACCES);
    ck_assert(memcmp(before, code, sizeof(before)) == 0);
    for (int i = 0; i < CODE_PAGES; i++) {
        ck_assert(last_protection[i] == 0 || last_protection[i] == (PROT_READ | PROT_EXEC));
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

START_TEST(bytes_of_somebody_else_are_left_alone)
{
    linux_patch_t patch = make_patch((size_t) _i);
    uint8_t *foreign = patch.address + 2;
    int sys_errno = 0;

    *foreign = 0x55;
    seal();
    ck_assert_int_eq(linux_patch_apply(&patch, 1, &sys_errno), OPAL_SUCCESS);
    ck_assert(!patch.done);
    ck_assert_int_eq(*foreign, 0x55);
    ck_assert_int_eq(patch.address[0], 0xb8);
}
END_TEST

START_TEST(site_over_two_pages_is_replaced)
{
    linux_patch_t patch = make_patch(LINUX_PAGE - 3);

    seal();
    apply(&patch, 2);
}
END_TEST

START_TEST(neighbouring_bytes_stay)
{
    linux_patch_t patch = make_patch((size_t) _i);
    uint8_t before[32], after[32];

    seal();
    if (!can_be_replaced((size_t) _i)) {
        return;
    }
    memcpy(before, patch.address - 8, sizeof(before));
    apply(&patch, 2);
    memcpy(after, patch.address - 8, sizeof(after));
    ck_assert(memcmp(before, after, 8) == 0);
    ck_assert(memcmp(before + 8 + LINUX_INSN, after + 8 + LINUX_INSN, sizeof(after) - 8 - LINUX_INSN) == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linux_patch");
    TCase *tcase = tcase_create("patch");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_loop_test(tcase, running_thread_sees_old_or_new_code_at_every_alignment, 0, LINE);
    tcase_add_test(tcase, jump_near_above_is_stored_at_once);
    tcase_add_test(tcase, twin_bytewise_store_breaks_the_running_thread);
    tcase_add_test(tcase, crossing_site_goes_head_tail_head_with_a_sync_each);
    tcase_add_test(tcase, no_signal_handler_can_run_into_the_held_site);
    tcase_add_test(tcase, tail_changed_by_another_gives_the_head_back);
    tcase_add_test(tcase, without_membarrier_only_single_stores_are_done);
    tcase_add_loop_test(tcase, refused_mprotect_leaves_everything_as_it_was, 0, 3);
    tcase_add_test(tcase, code_that_stays_writable_is_an_error);
    tcase_add_loop_test(tcase, bytes_of_somebody_else_are_left_alone, 0, 16);
    tcase_add_test(tcase, site_over_two_pages_is_replaced);
    tcase_add_loop_test(tcase, neighbouring_bytes_stay, 8, 24);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
