/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that close descriptors which are not theirs, and use the numbers again. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "test/userfaultfd/userfaultfd_fixture.h"

#define FIRST_HIGH 256
#define LAST_HIGH 70000

static void close_all(void)
{
    for (int fd = FIRST_HIGH; fd < LAST_HIGH; fd++) {
        close(fd);
    }
}

/* Of the component: none of the program's has such a number. */
static int find_descriptor(const char *what)
{
    char path[64];

    for (int fd = FIRST_HIGH; fd < LAST_HIGH; fd++) {
        char target[64] = { 0 };

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, what) != NULL) {
            return fd;
        }
    }
    ck_abort_msg("the component has no %s", what);
    return -1;
}

/* Twice as long as the reader sleeps at most. */
static void wait_for_reader(void)
{
    nanosleep(&(struct timespec){ .tv_sec = 2 }, NULL);
}

static bool lives(int tid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/task/%d", tid);
    return access(path, F_OK) == 0;
}

/* It writes down who it is, first of all; a busy machine takes its time. */
static bool reader_lives(void)
{
    int tid;

    while ((tid = __atomic_load_n(&uffd_state->reader_tid, __ATOMIC_RELAXED)) == 0) {
        sched_yield();
    }
    return lives(tid);
}

static void wait_for_readers_end(void)
{
    for (int i = 0; i < 6000 && reader_lives(); i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    ck_assert(!reader_lives());
}

START_TEST(descriptors_closed_by_the_program_end_hits)
{
    start();
    char *memory = map_pages(4);
    watch_it(&watched[0], memory, 4 * PAGE);
    ck_assert(hits(&watched[0]));
    close_all();
    ck_assert(!hits(&watched[0]));
    munmap(memory, 4 * PAGE);
    ck_assert(!hits(&watched[0]));
    ck_assert_int_eq(watch_range(&watched[1], map_pages(1), PAGE), OPAL_ERR_OUT_OF_RESOURCE);
    stop();
}
END_TEST

START_TEST(reader_goes_on_although_its_wake_up_is_closed)
{
    start();
    char *memory = map_pages(4);
    watch_it(&watched[0], memory, 4 * PAGE);
    ck_assert_int_eq(close(find_descriptor("eventfd")), 0);
    wait_for_reader();
    munmap(memory, 4 * PAGE); /* Waits for it. */
    ck_assert(!hits(&watched[0]));
    unwatch_it(&watched[0]);
    stop();
}
END_TEST

/* Nothing wakes the reader then. */
START_TEST(stop_ends_although_all_descriptors_are_closed)
{
    start();
    watch_it(&watched[0], map_pages(4), 4 * PAGE);
    close_all();
    stop();
}
END_TEST

/* ---- Used again ------------------------------------------------------------------------------------ */

static const char *const files[] = { "userfaultfd", "eventfd", "/pagemap", "/maps" };
#define FILES (sizeof(files) / sizeof(files[0]))

typedef struct reused_t {
    int number, peer;
    ssize_t waiting; /* Bytes that nobody has read. */
} reused_t;

/* A socket of the program's gets the number. */
static reused_t reuse(const char *file, ssize_t waiting)
{
    static const char data[64];
    int ends[2];
    reused_t reused = { .number = find_descriptor(file), .waiting = waiting };

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ck_assert_int_eq(write(ends[1], data, (size_t) waiting), waiting);
    ck_assert_int_eq(dup2(ends[0], reused.number), reused.number);
    close(ends[0]);
    reused.peer = ends[1];
    return reused;
}

static void expect_untouched(const reused_t *reused)
{
    char data[128];

    ck_assert_int_eq(recv(reused->number, data, sizeof(data), MSG_DONTWAIT | MSG_PEEK),
                     reused->waiting != 0 ? reused->waiting : -1);
    ck_assert_int_eq(recv(reused->peer, data, sizeof(data), MSG_DONTWAIT), -1); /* Nor written, nor closed. */
    ck_assert_int_eq(errno, EAGAIN);
}

static void expect_untouched_in_child(const reused_t *reused)
{
    int status;
    const pid_t child = fork();

    if (child == 0) {
        _exit(fcntl(reused->number, F_GETFD) < 0);
    }
    ck_assert(waitpid(child, &status, 0) == child && status == 0);
}

/* While it runs, afterwards, and in a child: with data waiting (_i even), and without. */
START_TEST(number_used_again_is_left_alone)
{
    const bool is_of_events = (size_t) _i / 2 == 0;

    start();
    char *memory = map_pages(4);
    watch_it(&watched[0], memory, 4 * PAGE);
    ck_assert(hits(&watched[0]));
    const reused_t reused = reuse(files[_i / 2], _i % 2 == 0 ? 64 : 0);
    ck_assert(!is_of_events || !hits(&watched[0]));
    if (is_of_events) {
        wait_for_readers_end();
    } else {
        wait_for_reader();
        ck_assert(reader_lives());
    }
    expect_untouched(&reused);
    ck_assert_int_eq(opal_memory_base_sync() == OPAL_SUCCESS, !is_of_events);
    munmap(memory, 4 * PAGE); /* May wait for the reader. */
    ck_assert(!hits(&watched[0]));
    expect_untouched_in_child(&reused);
    stop();
    expect_untouched(&reused);
}
END_TEST

/* Nobody looks up anything: the reader finds out by itself, and ends. */
START_TEST(reader_ends_when_the_number_is_used_again)
{
    start();
    watch_it(&watched[0], map_pages(4), 4 * PAGE);
    ck_assert(reader_lives());
    reuse("userfaultfd", _i == 0 ? 64 : 0);
    wait_for_readers_end();
    ck_assert(!opal_memory_watch_holds(&watched[0].watch) || opal_memory_changed());
    stop();
}
END_TEST

/* ---- Lost for one thread only ------------------------------------------------------------------------ */

static char *to_discard;
static _Thread_local bool is_refused;

/* As a filter of system calls does it. */
static long refuse(long nr, const long args[6])
{
    return is_refused && (nr == SYS_ioctl || nr == SYS_read) ? -EPERM : uffd_sys_real(nr, args);
}

/* It sees an event, and cannot ask. */
static void fail_to_look_up(void)
{
    ck_assert_int_eq(madvise(to_discard, 4 * PAGE, MADV_DONTNEED), 0);
    ck_assert(!hits(&watched[0]));
}

static void *look_up_under_filter(void *arg)
{
    is_refused = true;
    fail_to_look_up();
    return arg;
}

static void *look_up_without_descriptors(void *arg)
{
    ck_assert_int_eq(unshare(CLONE_FILES), 0);
    close_all();
    fail_to_look_up();
    return arg;
}

/* Others release what is registered, and wait for the reader. */
START_TEST(reader_goes_on_for_the_others)
{
    void *(*const ways[])(void *) = { look_up_under_filter, look_up_without_descriptors };
    pthread_t thread;

    uffd_sys_call = refuse;
    start();
    to_discard = map_pages(4);
    watch_it(&watched[0], to_discard, 4 * PAGE);
    char *other = map_pages(4);
    watch_it(&watched[1], other, 4 * PAGE);
    ck_assert_int_eq(pthread_create(&thread, NULL, ways[_i], NULL), 0);
    pthread_join(thread, NULL);
    wait_for_reader();
    munmap(other, 4 * PAGE);
    ck_assert(!hits(&watched[1]));
    ck_assert(reader_lives());
    stop();
}
END_TEST

int main(void)
{
    if (!can_run()) {
        return test_skip(USERFAULTFD_SKIP);
    }
    Suite *suite = suite_create("userfaultfd_descriptors");
    TCase *closed = tcase_create("closed"), *again = tcase_create("used again");

    tcase_set_timeout(closed, 240); /* A hang, not a busy machine. */
    tcase_set_timeout(again, 240);
    tcase_add_test(closed, descriptors_closed_by_the_program_end_hits);
    tcase_add_test(closed, reader_goes_on_although_its_wake_up_is_closed);
    tcase_add_test(closed, stop_ends_although_all_descriptors_are_closed);
    tcase_add_loop_test(again, number_used_again_is_left_alone, 0, 2 * (int) FILES);
    tcase_add_loop_test(again, reader_ends_when_the_number_is_used_again, 0, 2);
    tcase_add_loop_test(closed, reader_goes_on_for_the_others, 0, 2);
    suite_add_tcase(suite, closed);
    suite_add_tcase(suite, again);
    return test_run(suite);
}
