/* SPDX-License-Identifier: BSD-3-Clause */
/* process_madvise and ioctl on a userfaultfd: which ranges of the structures that
 * they name are released, structures that are not there, descriptors of this
 * process and of others; on the real kernel but for the calls themselves. */
#include "components/linux/linux_files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/linux/fake_sys.h"
#include "test/test_main.h"

#define K 4096UL
#define A 0x100000UL
#define MOVE 0xc028aa05L
#define SELF_THREAD -10000
#define SELF_PROCESS -10001

static opal_mem_hooks_range_t ranges[32];
static bool is_late[32];
static int range_count, calls;
static long result;
static opal_mem_hooks_cause_t cause;

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) cbdata;
    ck_assert(from_alloc);
    ck_assert_int_lt(range_count, 32);
    is_late[range_count] = calls > 0;
    ranges[range_count++] = (opal_mem_hooks_range_t){ (uintptr_t) buf, length };
    cause = opal_mem_hooks_current_cause();
}

/* Every window is open around the call. */
static long fake_call(const long args[6])
{
    (void) args;
    for (int i = 0; i < range_count; i++) {
        ck_assert(opal_mem_hooks_window_overlaps(ranges[i].start, ranges[i].length));
    }
    calls++;
    return result;
}

static void listen_to_releases(void)
{
    opal_mem_hooks_set_support(OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_int_eq(opal_mem_hooks_register_release(on_release, NULL), OPAL_SUCCESS);
}

static void set_up_kernel(void)
{
    linux_facts.address_end = 0x7ffffffff000;
    fake_sys_set(SYS_process_madvise, fake_call);
    fake_sys_set(SYS_ioctl, fake_call);
}

static void set_up(void)
{
    set_up_kernel();
    listen_to_releases();
}

static const linux_call_t call_process_madvise = { .nr = SYS_process_madvise,
                                                   .run = linux_run_process_madvise,
                                                   .cause = OPAL_MEM_HOOKS_CAUSE_PROCESS_MADVISE };
static const linux_call_t call_ioctl = { .nr = SYS_ioctl,
                                         .run = linux_run_ioctl,
                                         .cause = OPAL_MEM_HOOKS_CAUSE_UFFD_MOVE };

static long advise(int pidfd, const struct iovec *vector, size_t count, int advice)
{
    return linux_run_process_madvise(&call_process_madvise,
                                     (const long[6]){ pidfd, (long) vector, (long) count, advice, 0 });
}

static void check_ranges(const opal_mem_hooks_range_t *expected, int count, bool late)
{
    ck_assert_int_eq(calls, 1);
    ck_assert_msg(range_count == count, "%d releases; the first is 0x%lx + 0x%lx", range_count,
                  (long) ranges[0].start, (long) ranges[0].length);
    for (int i = 0; i < count; i++) {
        ck_assert_uint_eq(ranges[i].start, expected[i].start);
        ck_assert_uint_eq(ranges[i].length, expected[i].length);
        ck_assert_int_eq(is_late[i], late);
    }
    ck_assert(!opal_mem_hooks_window_overlaps(0, SIZE_MAX));
}

static void check_all_late(void)
{
    check_ranges(&(opal_mem_hooks_range_t){ 0, SIZE_MAX }, 1, true);
}

static void check_quiet(void)
{
    check_ranges(NULL, 0, false);
}

/* Two pages of which only the first can be read. */
static char *map_edge(void)
{
    char *memory = mmap(NULL, 2 * K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    ck_assert_int_eq(mprotect(memory + K, K, PROT_NONE), 0);
    return memory + K;
}

static int open_pidfd(pid_t pid, unsigned flags)
{
    return (int) syscall(SYS_pidfd_open, pid, flags);
}

static const struct iovec two[] = { { (void *) (A + 4 * K), K }, { (void *) A, 2 * K } };
static const opal_mem_hooks_range_t two_ranges[] = { { A, 2 * K }, { A + 4 * K, K } };

/* ---- process_madvise: ranges ----------------------------------------------------------------- */

START_TEST(each_entry_is_released)
{
    static const int discards[] = { MADV_DONTNEED, MADV_FREE, MADV_REMOVE, 24, 102 };

    result = 3 * (long) K;
    ck_assert_int_eq(advise(SELF_PROCESS, two, 2, discards[_i]), 3 * K);
    check_ranges(two_ranges, 2, false);
    ck_assert_int_eq(cause, OPAL_MEM_HOOKS_CAUSE_PROCESS_MADVISE);
}
END_TEST

START_TEST(advice_that_keeps_pages_is_quiet)
{
    static const int keeps[] = { MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED, MADV_NORMAL };

    advise(SELF_PROCESS, two, 2, keeps[_i]);
    check_quiet();
}
END_TEST

START_TEST(entries_that_madvise_refuses_are_quiet)
{
    const struct iovec vector[] = { { (void *) (A + 1), K }, { (void *) A, 0 }, { (void *) (1UL << 58), K } };

    advise(SELF_PROCESS, vector, 3, MADV_DONTNEED);
    check_quiet();
}
END_TEST

START_TEST(thousand_entries_lose_none)
{
    static struct iovec vector[1024];

    for (size_t i = 0; i < 1024; i++) {
        vector[i] = (struct iovec){ (void *) (A + (1023 - i) * 2 * K), K };
    }
    advise(SELF_PROCESS, vector, 1024, MADV_DONTNEED);
    ck_assert_int_le(range_count, LINUX_SPANS);
    for (size_t i = 0; i < 1024; i++) {
        bool is_covered = false;

        for (int range = 0; range < range_count; range++) {
            is_covered |= ranges[range].start <= A + i * 2 * K
                          && A + i * 2 * K + K <= ranges[range].start + ranges[range].length;
        }
        ck_assert_msg(is_covered, "entry %zu", i);
    }
}
END_TEST

START_TEST(bytes_beyond_the_limit_are_not_released)
{
    const struct iovec vector[] = { { (void *) (1UL << 32), 3UL << 30 }, { (void *) A, K } };

    advise(SELF_PROCESS, vector, 2, MADV_DONTNEED);
    check_ranges(&(opal_mem_hooks_range_t){ 1UL << 32, (1UL << 31) - K }, 1, false);
}
END_TEST

START_TEST(vector_of_impossible_size_is_quiet)
{
    static struct iovec vector[1025];

    vector[0] = two[0];
    advise(SELF_PROCESS, vector, _i == 0 ? 0 : 1025, MADV_DONTNEED);
    check_quiet();
}
END_TEST

START_TEST(unknown_flags_are_quiet)
{
    const long args[6] = { SELF_PROCESS, (long) two, 2, MADV_DONTNEED, 1 };

    linux_run_process_madvise(&call_process_madvise, args);
    check_quiet();
}
END_TEST

/* ---- process_madvise: a vector that is not there --------------------------------------------- */

START_TEST(vector_that_cannot_be_read_is_left_to_the_kernel)
{
    char *edge = map_edge();
    const struct iovec *vectors[] = { NULL, (struct iovec *) (void *) edge,
                                      (struct iovec *) (void *) (edge - sizeof(two[0])),
                                      (struct iovec *) (void *) (1UL << 63) };

    result = -EFAULT;
    ck_assert_int_eq(advise(SELF_PROCESS, vectors[_i], 2, MADV_DONTNEED), -EFAULT);
    check_quiet();
}
END_TEST

/* The kernel can read more than it tells us, for example mapped devices. */
START_TEST(vector_that_only_the_kernel_can_read_releases_everything)
{
    result = K;
    advise(SELF_PROCESS, (struct iovec *) (void *) map_edge(), 1, MADV_DONTNEED);
    check_all_late();
}
END_TEST

static long refuse(const long args[6])
{
    (void) args;
    return -EPERM;
}

START_TEST(sandbox_without_process_vm_readv_is_read_directly)
{
    fake_sys_set(SYS_process_vm_readv, refuse);
    if (_i == 0) {
        advise(SELF_PROCESS, two, 2, MADV_DONTNEED);
        check_ranges(two_ranges, 2, false);
        return;
    }
    result = -EFAULT;
    advise(SELF_PROCESS, (struct iovec *) (void *) (map_edge() - sizeof(two[0])), 2, MADV_DONTNEED);
    check_quiet();
}
END_TEST

/* ---- process_madvise: whose memory ----------------------------------------------------------- */

static const int sentinels[] = { SELF_PROCESS, SELF_THREAD };

START_TEST(names_of_the_calling_process_are_known)
{
    advise(sentinels[_i], two, 2, MADV_DONTNEED);
    check_ranges(two_ranges, 2, false);
}
END_TEST

static sem_t has_started, may_end;
static pid_t thread_id;

static void *be_a_thread(void *arg)
{
    thread_id = (pid_t) syscall(SYS_gettid);
    sem_post(&has_started);
    sem_wait(&may_end);
    return arg;
}

START_TEST(descriptor_of_this_process_or_thread_is_known)
{
    pthread_t thread;
    int pidfd;

    sem_init(&has_started, 0, 0);
    sem_init(&may_end, 0, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, be_a_thread, NULL), 0);
    sem_wait(&has_started);
    pidfd = _i == 0 ? open_pidfd(getpid(), 0) : open_pidfd(thread_id, O_EXCL /* PIDFD_THREAD */);
    if (pidfd < 0) {
        printf("SKIP: the kernel has no descriptors of %s\n", _i == 0 ? "processes" : "threads");
    } else {
        advise(pidfd, two, 2, MADV_DONTNEED);
        check_ranges(two_ranges, 2, false);
    }
    sem_post(&may_end);
    pthread_join(thread, NULL);
}
END_TEST

static pid_t start_sleeper(void)
{
    const pid_t child = fork();

    if (child == 0) {
        pause();
        _exit(0);
    }
    return child;
}

static void end_sleeper(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* Should it succeed for once, it was this memory: a child of vfork, on its parent. */
START_TEST(other_process_is_quiet_unless_it_succeeds)
{
    const pid_t child = start_sleeper();
    const int pidfd = open_pidfd(child, 0);

    result = _i == 0 ? -EINVAL : (long) K;
    advise(pidfd, two, 2, MADV_DONTNEED);
    end_sleeper(child);
    if (_i == 0) {
        check_quiet();
    } else {
        check_all_late();
    }
}
END_TEST

START_TEST(what_is_no_process_is_quiet)
{
    const int fds[] = { -1, 99999, STDERR_FILENO, SELF_PROCESS - 1 };

    result = -EBADF;
    ck_assert_int_eq(advise(fds[_i], two, 2, MADV_DONTNEED), -EBADF);
    check_quiet();
}
END_TEST

/* ---- ioctl ----------------------------------------------------------------------------------- */

/* to, from, length, mode. */
typedef uint64_t move_t[5];

static long move_pages(int fd, const uint64_t *move)
{
    return linux_run_ioctl(&call_ioctl, (const long[6]){ fd, MOVE, (long) move });
}

START_TEST(moved_pages_are_released_at_their_old_place)
{
    const move_t move = { A, A + 16 * K, 2 * K, 0 };

    ck_assert_int_eq(move_pages(STDERR_FILENO, move), 0);
    check_ranges(&(opal_mem_hooks_range_t){ A + 16 * K, 2 * K }, 1, false);
    ck_assert_int_eq(cause, OPAL_MEM_HOOKS_CAUSE_UFFD_MOVE);
}
END_TEST

START_TEST(move_that_is_refused_is_quiet)
{
    const move_t moves[] = { { A, A + 16 * K, 0, 0 },     { A, A + 16 * K + 1, K, 0 },
                             { A + 1, A + 16 * K, K, 0 }, { A, A + 16 * K, K + 1, 0 },
                             { A, 1UL << 58, K, 0 },      { A, A + 16 * K, 1UL << 63, 0 } };

    move_pages(STDERR_FILENO, moves[_i]);
    check_quiet();
}
END_TEST

START_TEST(move_of_no_descriptor_or_structure_is_quiet)
{
    const move_t move = { A, A + 16 * K, 2 * K, 0 };

    result = -EBADF;
    move_pages(_i == 0 ? 99999 : STDERR_FILENO, _i == 0 ? move : (const uint64_t *) (const void *) map_edge() - 1);
    check_quiet();
}
END_TEST

START_TEST(other_ioctls_are_just_made)
{
    const long args[6] = { STDERR_FILENO, 0x5401, 1 };

    result = -ENOTTY;
    ck_assert_int_eq(linux_run_ioctl(&call_ioctl, args), -ENOTTY);
    check_quiet();
}
END_TEST

/* What the program does with a userfaultfd, while a component has one of its own: 5. */
static long change_hands(int fd, uint32_t request, const uint64_t *range)
{
    return linux_run_ioctl(&call_ioctl, (const long[6]){ fd, request, (long) range });
}

static const uint32_t hand_changes[] = { LINUX_UFFDIO_REGISTER, LINUX_UFFDIO_UNREGISTER };

START_TEST(range_that_changes_hands_is_given_up_before)
{
    const move_t range = { A, 2 * K };

    opal_mem_hooks_set_userfaultfd(5);
    ck_assert_int_eq(change_hands(STDERR_FILENO, hand_changes[_i], range), 0);
    check_ranges(&(opal_mem_hooks_range_t){ A, 2 * K }, 1, false);
    ck_assert_int_eq(cause, OPAL_MEM_HOOKS_CAUSE_UNKNOWN);
    opal_mem_hooks_set_userfaultfd(-1);
}
END_TEST

/* The component itself would wait for itself. */
START_TEST(range_that_nobody_or_the_caller_watches_is_quiet)
{
    const move_t range = { A, 2 * K };

    opal_mem_hooks_set_userfaultfd(_i == 0 ? -1 : STDERR_FILENO);
    ck_assert_int_eq(change_hands(STDERR_FILENO, LINUX_UFFDIO_REGISTER, range), 0);
    check_quiet();
    opal_mem_hooks_set_userfaultfd(-1);
}
END_TEST

START_TEST(range_that_is_refused_is_quiet)
{
    const move_t ranges_refused[] = { { A + 1, K }, { A, 0 }, { A, 1UL << 63 }, { A, K } };

    opal_mem_hooks_set_userfaultfd(5);
    change_hands(_i == 3 ? 99999 : STDERR_FILENO, LINUX_UFFDIO_REGISTER, ranges_refused[_i]);
    check_quiet();
    opal_mem_hooks_set_userfaultfd(-1);
}
END_TEST

/* ---- Nobody listens -------------------------------------------------------------------------- */

static long register_meanwhile(const long args[6])
{
    (void) args;
    listen_to_releases();
    calls++;
    return 0;
}

START_TEST(listener_that_came_meanwhile_hears_of_everything)
{
    const move_t move = { A, A + 16 * K, 2 * K, 0 };

    fake_sys_set(SYS_process_madvise, register_meanwhile);
    fake_sys_set(SYS_ioctl, register_meanwhile);
    if (_i == 0) {
        advise(SELF_PROCESS, two, 2, MADV_DONTNEED);
    } else {
        move_pages(STDERR_FILENO, move);
    }
    check_all_late();
}
END_TEST

static void add_process_madvise(TCase *tcase)
{
    tcase_add_loop_test(tcase, each_entry_is_released, 0, 5);
    tcase_add_loop_test(tcase, advice_that_keeps_pages_is_quiet, 0, 4);
    tcase_add_test(tcase, entries_that_madvise_refuses_are_quiet);
    tcase_add_test(tcase, thousand_entries_lose_none);
    tcase_add_test(tcase, bytes_beyond_the_limit_are_not_released);
    tcase_add_loop_test(tcase, vector_of_impossible_size_is_quiet, 0, 2);
    tcase_add_test(tcase, unknown_flags_are_quiet);
    tcase_add_loop_test(tcase, vector_that_cannot_be_read_is_left_to_the_kernel, 0, 4);
    tcase_add_test(tcase, vector_that_only_the_kernel_can_read_releases_everything);
    tcase_add_loop_test(tcase, sandbox_without_process_vm_readv_is_read_directly, 0, 2);
    tcase_add_loop_test(tcase, names_of_the_calling_process_are_known, 0, 2);
    tcase_add_loop_test(tcase, descriptor_of_this_process_or_thread_is_known, 0, 2);
    tcase_add_loop_test(tcase, other_process_is_quiet_unless_it_succeeds, 0, 2);
    tcase_add_loop_test(tcase, what_is_no_process_is_quiet, 0, 4);
}

int main(void)
{
    Suite *suite = suite_create("linux_process");
    TCase *heard = tcase_create("heard"), *unheard = tcase_create("unheard");

    tcase_add_checked_fixture(heard, set_up, NULL);
    add_process_madvise(heard);
    tcase_add_test(heard, moved_pages_are_released_at_their_old_place);
    tcase_add_loop_test(heard, move_that_is_refused_is_quiet, 0, 6);
    tcase_add_loop_test(heard, move_of_no_descriptor_or_structure_is_quiet, 0, 2);
    tcase_add_test(heard, other_ioctls_are_just_made);
    tcase_add_loop_test(heard, range_that_changes_hands_is_given_up_before, 0, 2);
    tcase_add_loop_test(heard, range_that_nobody_or_the_caller_watches_is_quiet, 0, 2);
    tcase_add_loop_test(heard, range_that_is_refused_is_quiet, 0, 4);
    suite_add_tcase(suite, heard);
    tcase_add_checked_fixture(unheard, set_up_kernel, NULL);
    tcase_add_loop_test(unheard, listener_that_came_meanwhile_hears_of_everything, 0, 2);
    suite_add_tcase(suite, unheard);
    return test_run(suite);
}
