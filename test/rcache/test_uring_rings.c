/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider uring without a cache: its rings and their slots, several
 * registrations ended at once, transfers that wait, and what it says where the
 * kernel is too old. Needs io_uring. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"
#include "test/children.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define COUNT 600

static mca_rcache_provider_t *provider;
static mca_rcache_base_resources_t resources;
static mca_rcache_uring_registration_t regs[COUNT];
static char *memory;
static char last_message[1024];

static void keep_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    strncpy(last_message, message, sizeof(last_message) - 1);
}

static void set_up(void)
{
    mca_base_set_log(keep_message, NULL);
    ck_assert_int_eq(mca_rcache_provider_open("uring", &provider), OPAL_SUCCESS);
    mca_rcache_provider_resources(provider, &resources);
    memory = mmap(NULL, COUNT * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
}

static void tear_down(void)
{
    mca_rcache_provider_close(provider);
    munmap(memory, COUNT * PAGE);
}

/* Pages that the kernel counts as pinned, in KiB. */
static long pinned_kb(void)
{
    char line[256];
    long value = -1;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "VmPin: %ld", &value) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return value;
}

/* Before Linux 6.3 pages are given back up to a second later. */
static void must_come_down_to(long kb)
{
    for (int i = 0; i < 300 && pinned_kb() != kb; i++) {
        usleep(10000);
    }
    ck_assert_int_eq(pinned_kb(), kb);
}

static int enter(int i)
{
    regs[i].super.base = (unsigned char *) memory + (size_t) i * PAGE;
    regs[i].super.bound = regs[i].super.base + PAGE - 1;
    return resources.register_mem(resources.reg_data, regs[i].super.base, PAGE, &regs[i].super);
}

static void end(int i)
{
    ck_assert_int_eq(resources.deregister_mem(resources.reg_data, &regs[i].super), OPAL_SUCCESS);
}

/* ---- Several at once -------------------------------------------------------------------------------- */

static void end_many(mca_rcache_base_registration_t **list, size_t n)
{
    errno = E2BIG;
    ck_assert_int_eq(resources.deregister_many(resources.reg_data, list, n), OPAL_SUCCESS);
    ck_assert_int_eq(errno, E2BIG);
}

/* Every stride that has no divisor in common with COUNT visits all of them: 1 in order, -1 backwards, 7 mixed. */
START_TEST(many_are_ended_in_whatever_order_they_come)
{
    static const int strides[] = { 1, COUNT - 1, 7, 251 };
    mca_rcache_base_registration_t *list[COUNT];
    long before = pinned_kb();
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(enter(i), OPAL_SUCCESS);
        list[i * strides[_i] % COUNT] = &regs[i].super;
    }
    ck_assert_int_eq(pinned_kb() - before, (long) (COUNT * PAGE / 1024));
    end_many(list, COUNT);
    must_come_down_to(before);
}
END_TEST

START_TEST(those_between_the_ended_ones_stay)
{
    mca_rcache_base_registration_t *list[COUNT / 3];
    char got[2] = "";
    int channel = memfd_create("channel", MFD_CLOEXEC);
    long before = pinned_kb();
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(enter(i), OPAL_SUCCESS);
        memory[(size_t) i * PAGE] = (char) i;
        if (i % 3 == 0) {
            list[i / 3] = &regs[i].super;
        }
    }
    end_many(list, 0);
    end_many(list, COUNT / 3);
    must_come_down_to(before + (long) ((COUNT - COUNT / 3) * PAGE / 1024));
    for (int i = 0; i < COUNT; i++) {
        if (i % 3 != 0) {
            ck_assert_int_eq(mca_rcache_uring_write(provider, channel, &regs[i], regs[i].super.base, 1, 0), 1);
            ck_assert_int_eq(pread(channel, got, 1, 0), 1);
            ck_assert_int_eq(got[0], (char) i);
            end(i);
        }
    }
    must_come_down_to(before);
    close(channel);
}
END_TEST

START_TEST(fork_child_ends_none_of_its_parents)
{
    mca_rcache_base_registration_t *list[2] = { &regs[0].super, &regs[1].super };
    long before = pinned_kb();
    ck_assert_int_eq(enter(0), OPAL_SUCCESS);
    ck_assert_int_eq(enter(1), OPAL_SUCCESS);
    pid_t pid = fork();
    if (pid == 0) {
        child_must_end_within(5);
        bool good = resources.deregister_many(resources.reg_data, list, 2) == OPAL_SUCCESS;
        good = resources.after_fork(resources.reg_data) == OPAL_SUCCESS && good;
        child_says(resources.deregister_many(resources.reg_data, list, 2) == OPAL_SUCCESS && good);
    }
    child_must_be_good(pid);
    ck_assert_int_eq(pinned_kb() - before, (long) (2 * PAGE / 1024));
    end_many(list, 2);
    must_come_down_to(before);
}
END_TEST

/* ---- Rings ------------------------------------------------------------------------------------------ */

static void *enter_in_thread(void *arg)
{
    ck_assert_int_eq(enter(*(int *) arg), OPAL_SUCCESS);
    return NULL;
}

START_TEST(second_thread_has_a_ring_of_its_own)
{
    int second = 1;
    pthread_t thread;
    ck_assert_int_eq(enter(0), OPAL_SUCCESS);
    pthread_create(&thread, NULL, enter_in_thread, &second);
    pthread_join(thread, NULL);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
        ck_assert_uint_ne(regs[0].ring, regs[1].ring);
    }
    end(0);
    end(1);
}
END_TEST

/* Rings are at this number or above. */
static int first_high_number(void)
{
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const int top = (int) (limit.rlim_cur < 65536 ? limit.rlim_cur : 65536);
    return top - top / 16;
}

/* How many rings this process has; each must be high, and end with exec. */
static int good_rings(void)
{
    static const char ring[] = "anon_inode:[io_uring]";
    char target[sizeof(ring)];
    const int first = first_high_number();
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target));
        if (length == (ssize_t) sizeof(ring) - 1 && memcmp(target, ring, sizeof(ring) - 1) == 0) {
            const int fd = atoi(entry->d_name);
            ck_assert_int_ge(fd, first);
            ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
            count++;
        }
    }
    closedir(folder);
    return count;
}

START_TEST(descriptors_are_high_and_close_on_exec)
{
    mca_rcache_provider_t *others[4];
    int low = dup(0);
    close(low);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(mca_rcache_provider_open("uring", &others[i]), OPAL_SUCCESS);
    }
    ck_assert_int_eq(dup(0), low);
    close(low);
    ck_assert_int_eq(good_rings(), 5); /* With that of set_up(). */
    for (int i = 0; i < 4; i++) {
        mca_rcache_provider_close(others[i]);
    }
}
END_TEST

/* Where the next ring will be. */
static int next_high_number(void)
{
    int fd = first_high_number();
    while (fcntl(fd, F_GETFD) >= 0) {
        fd++;
    }
    return fd;
}

/* The program has closed what it did not open, and used the number again. */
START_TEST(file_that_has_the_number_of_a_closed_ring_stays_open)
{
    mca_rcache_provider_t *other;
    struct stat before, after;
    int ends[2];
    const int ring = next_high_number();
    ck_assert_int_eq(mca_rcache_provider_open("uring", &other), OPAL_SUCCESS);
    ck_assert_int_ge(fcntl(ring, F_GETFD), 0);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[0], ring), ring);
    ck_assert_int_eq(fstat(ring, &before), 0);
    mca_rcache_provider_close(other);
    ck_assert_int_eq(fstat(ring, &after), 0);
    ck_assert_uint_eq(after.st_ino, before.st_ino);
    close(ring);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

/* The twin: a ring that is still one is closed. */
START_TEST(ring_that_is_still_there_is_closed)
{
    mca_rcache_provider_t *other;
    const int ring = next_high_number();
    ck_assert_int_eq(mca_rcache_provider_open("uring", &other), OPAL_SUCCESS);
    ck_assert_int_ge(fcntl(ring, F_GETFD), 0);
    mca_rcache_provider_close(other);
    ck_assert_int_lt(fcntl(ring, F_GETFD), 0);
}
END_TEST

/* ---- Transfers that wait ---------------------------------------------------------------------------- */

#define READERS 150 /* More than the completion queue holds. */

typedef struct reader_t {
    pthread_t thread;
    int ends[2], number;
    ssize_t moved;
} reader_t;

static void *read_from_pipe(void *arg)
{
    reader_t *reader = arg;
    mca_rcache_uring_registration_t *reg = &regs[reader->number];
    reader->moved = mca_rcache_uring_read(provider, reader->ends[0], reg, reg->super.base, PAGE, UINT64_MAX);
    return NULL;
}

static void start_reader(reader_t *reader, int number)
{
    reader->number = number;
    ck_assert_int_eq(enter(number), OPAL_SUCCESS);
    ck_assert_int_eq(pipe(reader->ends), 0);
    ck_assert_int_eq(pthread_create(&reader->thread, NULL, read_from_pipe, reader), 0);
}

static void end_reader(reader_t *reader, const char *expected)
{
    pthread_join(reader->thread, NULL);
    ck_assert_int_eq(reader->moved, (ssize_t) strlen(expected));
    ck_assert_int_eq(memcmp(regs[reader->number].super.base, expected, strlen(expected)), 0);
    close(reader->ends[0]);
    close(reader->ends[1]);
    end(reader->number);
}

/* Valgrind runs one thread at a time, and lets it be while it waits for a completion. */
static bool threads_cannot_wait(void)
{
    if (under_valgrind()) {
        printf("LEFT OUT under valgrind: threads that wait for completions\n");
    }
    return under_valgrind();
}

START_TEST(thread_that_waits_for_a_pipe_lets_another_write_into_it)
{
    if (threads_cannot_wait()) {
        return;
    }
    reader_t reader;
    start_reader(&reader, 0);
    ck_assert_int_eq(enter(1), OPAL_SUCCESS);
    ck_assert_uint_eq(regs[0].ring, regs[1].ring);
    usleep(100000); /* Most likely it waits by now; the result is the same if it does not. */
    strcpy(memory + PAGE, "through the same ring");
    ck_assert_int_eq(mca_rcache_uring_write(provider, reader.ends[1], &regs[1], memory + PAGE, 21, UINT64_MAX),
                     21);
    end_reader(&reader, "through the same ring");
    end(1);
}
END_TEST

START_TEST(each_of_many_waiting_threads_gets_its_own_bytes)
{
    if (threads_cannot_wait()) {
        return;
    }
    static reader_t readers[READERS];
    char text[32];
    for (int i = 0; i < READERS; i++) {
        start_reader(&readers[i], i);
    }
    usleep(100000);
    for (int i = READERS - 1; i >= 0; i--) {
        int length = snprintf(text, sizeof(text), "for reader %d", i);
        ck_assert_int_eq(write(readers[i].ends[1], text, (size_t) length), length);
    }
    for (int i = 0; i < READERS; i++) {
        snprintf(text, sizeof(text), "for reader %d", i);
        end_reader(&readers[i], text);
    }
}
END_TEST

/* ---- Kernels that lack something -------------------------------------------------------------------- */

/* From now on, this operation of io_uring_register() fails. */
static bool kernel_without(unsigned operation, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_register, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, operation, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned) error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
           && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

START_TEST(kernel_without_sparse_tables_is_told_with_the_version_that_has_them)
{
    pid_t pid = fork();
    if (pid == 0) {
        mca_rcache_provider_t *other = NULL;
        child_must_end_within(5);
        bool good = kernel_without(IORING_REGISTER_BUFFERS2, EINVAL);
        good = mca_rcache_provider_open("uring", &other) == OPAL_ERR_NOT_AVAILABLE && good;
        child_says(good && other == NULL && strstr(last_message, "Linux 5.19") != NULL);
    }
    child_must_be_good(pid);
}
END_TEST

START_TEST(registration_that_the_kernel_has_no_memory_for_is_out_of_resource_and_takes_no_slot)
{
    pid_t pid = fork();
    if (pid == 0) {
        child_must_end_within(5);
        bool good = resources.after_fork(resources.reg_data) == OPAL_SUCCESS;
        good = kernel_without(IORING_REGISTER_BUFFERS_UPDATE, ENOMEM) && good;
        for (int i = 0; i < 3000 && good; i++) { /* More than the first table has slots. */
            good = enter(0) == OPAL_ERR_OUT_OF_RESOURCE;
        }
        child_says(good && regs[0].generation == 0);
    }
    child_must_be_good(pid);
}
END_TEST

int main(void)
{
    mca_rcache_provider_t *probe;
    if (mca_rcache_provider_open("uring", &probe) != OPAL_SUCCESS) {
        return test_skip("io_uring with a sparse buffer table");
    }
    mca_rcache_provider_close(probe);
    Suite *suite = suite_create("uring_rings");
    TCase *tests = tcase_create("rings and slots");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, many_are_ended_in_whatever_order_they_come, 0, 4);
    tcase_add_test(tests, those_between_the_ended_ones_stay);
    tcase_add_test(tests, fork_child_ends_none_of_its_parents);
    tcase_add_test(tests, second_thread_has_a_ring_of_its_own);
    tcase_add_test(tests, descriptors_are_high_and_close_on_exec);
    tcase_add_test(tests, file_that_has_the_number_of_a_closed_ring_stays_open);
    tcase_add_test(tests, ring_that_is_still_there_is_closed);
    tcase_add_test(tests, thread_that_waits_for_a_pipe_lets_another_write_into_it);
    tcase_add_test(tests, each_of_many_waiting_threads_gets_its_own_bytes);
    tcase_add_test(tests, kernel_without_sparse_tables_is_told_with_the_version_that_has_them);
    tcase_add_test(tests, registration_that_the_kernel_has_no_memory_for_is_out_of_resource_and_takes_no_slot);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
