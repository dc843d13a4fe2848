/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that close descriptors which are not theirs, and use the numbers again. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

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
    wait_for_reader();
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
    reuse("userfaultfd", _i == 0 ? 64 : 0);
    wait_for_reader();
    ck_assert(!opal_memory_watch_holds(&watched[0].watch) || opal_memory_changed());
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
    suite_add_tcase(suite, closed);
    suite_add_tcase(suite, again);
    return test_run(suite);
}
