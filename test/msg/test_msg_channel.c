/* SPDX-License-Identifier: BSD-3-Clause */
/* The channel between two peers of opalmem-msg and the memory they share: order,
 * room, wake-ups, and the end of a run. */
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/test_main.h"
#include "tools/msg/msg_channel.h"
#include "tools/msg/msg_random.h"

#define SECOND 1000000000u

static msg_control_t *control;
static int control_fd;
static int ends[2];
static msg_channel_t sender, receiver;

static void setup(void)
{
    control = msg_control_create(2, &control_fd);
    ck_assert_ptr_nonnull(control);
    control->options.peers = 2;
    control->links = 2;
    ck_assert(msg_channel_make_pipe(&control->peers[0].ring, ends));
    ck_assert_int_eq(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    msg_channel_init(&sender, &control->peers[0].ring, &control->peers[1].bell, ends[1]);
    msg_channel_init(&receiver, &control->peers[0].ring, &control->peers[0].bell, ends[0]);
}

static void teardown(void)
{
    msg_control_detach(control);
    close(control_fd);
    close(ends[0]);
    close(ends[1]);
}

/* ---- Order and room -------------------------------------------------------------------------- */

static void publish(uint64_t message, size_t length)
{
    msg_piece_t piece = { .message = message, .length = (uint32_t) length, .carried = (uint32_t) length };

    msg_channel_publish(&sender, &piece);
}

START_TEST(empty_channel_has_nothing_to_peek)
{
    ck_assert_ptr_null(msg_channel_peek(&receiver));
    ck_assert(msg_channel_has_room(&sender, control->peers[0].ring.piece_bytes));
}
END_TEST

START_TEST(pieces_come_out_in_order_over_many_rounds)
{
    uint64_t in = 0, out = 0, random = 1;

    while (out < 10 * MSG_RING_PIECES) {
        uint64_t burst = msg_random_below(&random, 40);

        for (; burst > 0 && msg_channel_has_room(&sender, 100); burst--) {
            publish(in++, 100);
        }
        for (burst = msg_random_below(&random, 40); burst > 0 && msg_channel_peek(&receiver) != NULL; burst--) {
            ck_assert_uint_eq(msg_channel_peek(&receiver)->message, out++);
            msg_channel_consume(&receiver);
        }
    }
}
END_TEST

START_TEST(ring_takes_no_more_pieces_than_it_has)
{
    unsigned count = 0;

    while (msg_channel_has_room(&sender, 0)) {
        publish(count++, 0);
    }
    ck_assert_uint_eq(count, MSG_RING_PIECES);
    msg_channel_consume(&receiver);
    ck_assert(msg_channel_has_room(&sender, 0));
}
END_TEST

/* Whatever the pieces, a piece for which there is room fits the pipe: the write never waits. */
START_TEST(piece_with_room_is_never_cut_by_the_pipe)
{
    static unsigned char bytes[1 << 20];
    const msg_ring_t *ring = &control->peers[0].ring;
    uint64_t random = (uint64_t) _i;
    unsigned full = 0;

    for (unsigned i = 0; i < 4000; i++) {
        size_t largest = _i % 2 == 0 ? ring->piece_bytes : 6000;
        size_t length = 1 + (size_t) msg_random_below(&random, largest);

        if (msg_channel_has_room(&sender, length)) {
            ck_assert_int_eq(write(ends[1], bytes, length), (int) length);
            publish(i, length);
        } else {
            full++;
        }
        if (msg_random_below(&random, 3) == 0 && msg_channel_peek(&receiver) != NULL) {
            length = msg_channel_peek(&receiver)->length;
            ck_assert_int_eq(read(ends[0], bytes, length), (int) length);
            msg_channel_consume(&receiver);
        }
    }
    ck_assert_uint_gt(full, 100);
}
END_TEST

/* The twin: without asking for room, the pipe does cut a piece. */
START_TEST(piece_without_room_is_cut_by_the_pipe)
{
    static unsigned char bytes[1 << 20];
    size_t length = control->peers[0].ring.piece_bytes;
    bool cut = false;

    for (unsigned i = 0; i < 1000 && !cut; i++) {
        cut = write(ends[1], bytes, length) != (ssize_t) length;
    }
    ck_assert(cut);
}
END_TEST

/* ---- Bells ----------------------------------------------------------------------------------- */

static bool never(void *arg)
{
    (void) arg;
    return false;
}

static bool is_set(void *arg)
{
    return atomic_load((_Atomic uint32_t *) arg) != 0;
}

START_TEST(sleeper_that_nobody_wakes_sleeps_a_while)
{
    uint64_t begin = msg_now_ns();

    ck_assert(!msg_bell_wait(&control->peers[0].bell, never, NULL, 0));
    ck_assert_uint_gt(msg_now_ns() - begin, SECOND / 20);
}
END_TEST

START_TEST(ready_peer_does_not_sleep)
{
    _Atomic uint32_t set = 1;

    ck_assert(msg_bell_wait(&control->peers[0].bell, is_set, &set, 0));
    ck_assert_uint_eq(atomic_load(&control->peers[0].bell.asleep), 0);
}
END_TEST

static bool has_piece(void *arg)
{
    return msg_channel_peek(arg) != NULL;
}

/* Bounce pieces between two processes; each side sleeps for each of them. */
static void bounce(msg_channel_t *out, msg_channel_t *in, msg_bell_t *bell, unsigned rounds, bool first)
{
    msg_piece_t piece = { .length = 1 };

    for (unsigned i = 0; i < rounds; i++) {
        if (first || i > 0) {
            msg_channel_publish(out, &piece);
        }
        while (!msg_bell_wait(bell, has_piece, in, 0)) {
        }
        msg_channel_consume(in);
    }
    if (!first) {
        msg_channel_publish(out, &piece);
    }
}

START_TEST(no_wake_up_is_lost_between_two_processes)
{
    msg_channel_t there, back;
    uint64_t begin = msg_now_ns();
    int status;
    pid_t child;

    control->peers[1].ring.slots = control->peers[0].ring.slots;
    child = fork();
    ck_assert_int_ge(child, 0);
    /* Each channel as its user sees it: the bell is that of the other one. */
    msg_channel_init(&there, &control->peers[0].ring, &control->peers[child == 0 ? 0 : 1].bell, -1);
    msg_channel_init(&back, &control->peers[1].ring, &control->peers[child == 0 ? 0 : 1].bell, -1);
    if (child == 0) {
        bounce(&back, &there, &control->peers[1].bell, 5000, false);
        _exit(0);
    }
    bounce(&there, &back, &control->peers[0].bell, 5000, true);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    /* A lost one costs a tenth of a second; on a busy machine some time is needed anyway. */
    ck_assert_uint_lt(msg_now_ns() - begin, 20ull * SECOND);
}
END_TEST

START_TEST(sender_is_woken_when_half_is_empty_and_not_before)
{
    unsigned count = 0;

    while (msg_channel_has_room(&sender, 4096)) {
        publish(count++, 4096);
    }
    atomic_store(&control->peers[0].bell.asleep, 1);
    for (unsigned i = 0; i < count / 2 - 1; i++) {
        msg_channel_consume(&receiver);
        ck_assert_uint_eq(atomic_load(&control->peers[0].bell.asleep), 1);
    }
    msg_channel_consume(&receiver);
    ck_assert_uint_eq(atomic_load(&control->peers[0].bell.asleep), 0);
}
END_TEST

/* ---- The run --------------------------------------------------------------------------------- */

START_TEST(stop_wakes_sleepers_and_opens_the_start_line)
{
    uint64_t begin = msg_now_ns();
    int status;
    pid_t child = fork();

    if (child == 0) {
        _exit(msg_control_start_line(control, 1) ? 1 : 0);
    }
    while (atomic_load(&control->peers[1].bell.asleep) == 0 && msg_now_ns() - begin < 10ull * SECOND) {
        usleep(1000);
    }
    msg_control_stop(control);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(start_line_holds_until_all_are_there)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        _exit(msg_control_start_line(control, 1) ? 0 : 1);
    }
    usleep(150000);
    ck_assert_int_eq(waitpid(child, &status, WNOHANG), 0);
    ck_assert(msg_control_start_line(control, 0));
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(attach_finds_what_create_made)
{
    msg_control_t *again;

    control->options.seed = 4711;
    again = msg_control_attach(control_fd);
    ck_assert_ptr_nonnull(again);
    ck_assert_uint_eq(again->options.seed, 4711);
    msg_control_detach(again);
}
END_TEST

START_TEST(attach_refuses_what_is_no_control_memory)
{
    int zero = open("/dev/zero", O_RDWR);

    ck_assert_ptr_null(msg_control_attach(-1));
    ck_assert_ptr_null(msg_control_attach(zero));
    ck_assert_ptr_null(msg_control_attach(ends[0]));
    control->size++;
    ck_assert_ptr_null(msg_control_attach(control_fd));
    control->size--;
    close(zero);
}
END_TEST

static size_t said(const char *const *lines, size_t count)
{
    static char text[4096];
    int saved = dup(STDERR_FILENO);
    int out[2];
    ssize_t got;

    ck_assert_int_eq(pipe(out), 0);
    dup2(out[1], STDERR_FILENO);
    for (size_t i = 0; i < count; i++) {
        msg_control_say(control, lines[i]);
    }
    dup2(saved, STDERR_FILENO);
    close(out[1]);
    got = read(out[0], text, sizeof(text));
    close(out[0]);
    close(saved);
    return got < 0 ? 0 : (size_t) got;
}

START_TEST(same_line_is_said_once_and_another_one_too)
{
    const char *const lines[] = { "one", "one", "two", "one", "two" };

    ck_assert_uint_eq(said(lines, 5), 8);
}
END_TEST

START_TEST(more_lines_than_places_are_all_said)
{
    static char texts[MSG_SEEN_LINES + 8][8];
    const char *lines[MSG_SEEN_LINES + 8];

    for (size_t i = 0; i < MSG_SEEN_LINES + 8; i++) {
        snprintf(texts[i], sizeof(texts[i]), "%03zu", i);
        lines[i] = texts[i];
    }
    ck_assert_uint_eq(said(lines, MSG_SEEN_LINES + 8), 4 * (MSG_SEEN_LINES + 8));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("msg_channel");
    TCase *tcase = tcase_create("channel");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, empty_channel_has_nothing_to_peek);
    tcase_add_test(tcase, pieces_come_out_in_order_over_many_rounds);
    tcase_add_test(tcase, ring_takes_no_more_pieces_than_it_has);
    tcase_add_loop_test(tcase, piece_with_room_is_never_cut_by_the_pipe, 0, 6);
    tcase_add_test(tcase, piece_without_room_is_cut_by_the_pipe);
    tcase_add_test(tcase, sleeper_that_nobody_wakes_sleeps_a_while);
    tcase_add_test(tcase, ready_peer_does_not_sleep);
    tcase_add_test(tcase, no_wake_up_is_lost_between_two_processes);
    tcase_add_test(tcase, sender_is_woken_when_half_is_empty_and_not_before);
    tcase_add_test(tcase, stop_wakes_sleepers_and_opens_the_start_line);
    tcase_add_test(tcase, start_line_holds_until_all_are_there);
    tcase_add_test(tcase, attach_finds_what_create_made);
    tcase_add_test(tcase, attach_refuses_what_is_no_control_memory);
    tcase_add_test(tcase, same_line_is_said_once_and_another_one_too);
    tcase_add_test(tcase, more_lines_than_places_are_all_said);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
