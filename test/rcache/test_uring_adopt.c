/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider uring on a ring of the test's own: only its range of slots
 * changes, tags tell when pages are really given back, and a ring that cannot
 * serve is refused with the reason. Needs io_uring. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>

#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"
#include "test/children.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define SLOTS 200
#define FIRST 3
#define COUNT 100
#define TAGS UINT64_C(0x700000000)

static struct io_uring ring;
static mca_rcache_provider_t *provider;
static mca_rcache_base_resources_t resources;
static mca_rcache_uring_registration_t regs[COUNT + 1];
static char *memory;
static char last_message[1024];
static int messages;

static void keep_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    strncpy(last_message, message, sizeof(last_message) - 1);
    messages++;
}

static void make_ring(void)
{
    mca_base_set_log(keep_message, NULL);
    ck_assert_int_eq(io_uring_queue_init(8, &ring, 0), 0);
    ck_assert_int_eq(io_uring_register_buffers_sparse(&ring, SLOTS), 0);
    memory = mmap(NULL, (COUNT + 2) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
}

static void adopt(uint64_t tags)
{
    ck_assert_int_eq(mca_rcache_uring_adopt(ring.ring_fd, FIRST, COUNT, tags, &provider), OPAL_SUCCESS);
    mca_rcache_provider_resources(provider, &resources);
}

static void tear_down(void)
{
    mca_rcache_provider_close(provider);
    io_uring_queue_exit(&ring);
    munmap(memory, (COUNT + 2) * PAGE);
}

static int enter(int i)
{
    return resources.register_mem(resources.reg_data, memory + (size_t) i * PAGE, PAGE, &regs[i].super);
}

static int end(int i)
{
    return resources.deregister_mem(resources.reg_data, &regs[i].super);
}

static void fill_own_slot(unsigned slot, void *base)
{
    struct iovec iov = { base, PAGE };
    __u64 tag = 0;
    ck_assert_int_eq(io_uring_register_buffers_update_tag(&ring, slot, &iov, &tag, 1), 1);
}

/* What a transfer from that slot yields. */
static int written_from(int slot, void *base)
{
    struct io_uring_cqe *cqe;
    int channel = memfd_create("channel", MFD_CLOEXEC);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_write_fixed(sqe, channel, base, (unsigned) PAGE, 0, slot);
    sqe->user_data = 1;
    ck_assert_int_eq(io_uring_submit_and_wait(&ring, 1), 1);
    ck_assert_int_eq(io_uring_peek_cqe(&ring, &cqe), 0);
    ck_assert_uint_eq(cqe->user_data, 1);
    int result = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    close(channel);
    return result;
}

/* ---- The range -------------------------------------------------------------------------------------- */

START_TEST(slots_outside_the_range_are_left_alone)
{
    make_ring();
    char *own = memory + (COUNT + 1) * PAGE;
    fill_own_slot(FIRST - 1, own);
    fill_own_slot(FIRST + COUNT, own);
    adopt(0);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(enter(i), OPAL_SUCCESS);
        ck_assert_int_ge(regs[i].buf_index, FIRST);
        ck_assert_int_lt(regs[i].buf_index, FIRST + COUNT);
        ck_assert_uint_eq(regs[i].ring, 0);
    }
    ck_assert_int_eq(enter(COUNT), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(written_from(regs[7].buf_index, memory + 7 * PAGE), (int) PAGE);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(end(i), OPAL_SUCCESS);
    }
    ck_assert_int_lt(written_from(regs[7].buf_index, memory + 7 * PAGE), 0);
    ck_assert_int_eq(written_from(FIRST - 1, own), (int) PAGE);
    ck_assert_int_eq(written_from(FIRST + COUNT, own), (int) PAGE);
    tear_down();
}
END_TEST

START_TEST(transfer_functions_leave_it_to_the_application)
{
    make_ring();
    adopt(0);
    ck_assert_int_eq(enter(0), OPAL_SUCCESS);
    ck_assert_int_eq(mca_rcache_uring_write(provider, 1, &regs[0], memory, 1, 0), -EOPNOTSUPP);
    ck_assert_int_eq(mca_rcache_uring_read(provider, 0, &regs[0], memory, 1, 0), -EOPNOTSUPP);
    ck_assert_int_eq(end(0), OPAL_SUCCESS);
    tear_down();
}
END_TEST

/* ---- Tags ------------------------------------------------------------------------------------------- */

static uint64_t next_completion(int *result)
{
    struct io_uring_cqe *cqe;
    struct __kernel_timespec patience = { .tv_sec = 5 };
    ck_assert_int_eq(io_uring_wait_cqe_timeout(&ring, &cqe, &patience), 0);
    uint64_t data = cqe->user_data;
    *result = cqe->res;
    io_uring_cqe_seen(&ring, cqe);
    return data;
}

static bool nothing_completed(void)
{
    struct io_uring_cqe *cqe;
    return io_uring_peek_cqe(&ring, &cqe) != 0;
}

START_TEST(tag_comes_when_the_pages_are_given_back)
{
    int result;
    make_ring();
    adopt(TAGS);
    ck_assert_int_eq(enter(0), OPAL_SUCCESS);
    ck_assert(nothing_completed());
    ck_assert_int_eq(end(0), OPAL_SUCCESS);
    ck_assert_uint_eq(next_completion(&result), TAGS + (uint64_t) regs[0].buf_index);
    ck_assert_int_eq(result, 0);
    tear_down();
}
END_TEST

START_TEST(tag_comes_after_the_last_transfer_that_uses_the_pages)
{
    int ends[2], result;
    make_ring();
    adopt(TAGS);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(enter(0), OPAL_SUCCESS);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_read_fixed(sqe, ends[0], memory, 5, 0, regs[0].buf_index);
    sqe->user_data = 1;
    ck_assert_int_eq(io_uring_submit(&ring), 1);
    usleep(50000);
    ck_assert_int_eq(end(0), OPAL_SUCCESS);
    ck_assert(nothing_completed());
    ck_assert_int_eq(write(ends[1], "hello", 5), 5);
    ck_assert_uint_eq(next_completion(&result), 1);
    ck_assert_int_eq(result, 5);
    ck_assert_uint_eq(next_completion(&result), TAGS + (uint64_t) regs[0].buf_index);
    close(ends[0]);
    close(ends[1]);
    tear_down();
}
END_TEST

START_TEST(without_tags_nothing_is_completed)
{
    make_ring();
    adopt(0);
    ck_assert_int_eq(enter(0), OPAL_SUCCESS);
    ck_assert_int_eq(end(0), OPAL_SUCCESS);
    usleep(50000);
    ck_assert(nothing_completed());
    tear_down();
}
END_TEST

/* ---- Rings that cannot serve ------------------------------------------------------------------------ */

static void refused(int fd, uint32_t first, uint32_t count, const char *why)
{
    mca_rcache_provider_t *none = (void *) 1;
    messages = 0;
    ck_assert_int_eq(mca_rcache_uring_adopt(fd, first, count, 0, &none), OPAL_ERR_BAD_PARAM);
    ck_assert_ptr_eq(none, (void *) 1);
    ck_assert_int_eq(messages, 1);
    ck_assert_msg(strstr(last_message, why) != NULL, "\"%s\" does not say \"%s\"", last_message, why);
}

START_TEST(what_is_no_ring_with_that_range_is_refused)
{
    struct io_uring bare;
    make_ring();
    refused(-1, 0, 1, "not open");
    refused(0, 0, 1, "not an io_uring");
    refused(ring.ring_fd, 0, SLOTS + 1, "not all of the slots");
    refused(ring.ring_fd, SLOTS, 1, "not all of the slots");
    refused(ring.ring_fd, 0, 0, "1 to 16384");
    refused(ring.ring_fd, 16384, 1, "1 to 16384");
    refused(ring.ring_fd, 1, UINT32_MAX, "1 to 16384");
    ck_assert_int_eq(io_uring_queue_init(8, &bare, 0), 0);
    refused(bare.ring_fd, 0, 1, "no buffer table");
    io_uring_queue_exit(&bare);
    adopt(0);
    tear_down();
}
END_TEST

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif

START_TEST(ring_for_one_thread_only_is_refused)
{
    struct io_uring single;
    mca_base_set_log(keep_message, NULL);
    if (io_uring_queue_init(8, &single, IORING_SETUP_SINGLE_ISSUER) != 0) {
        printf("left out: rings for one thread (Linux 6.0)\n");
        return;
    }
    ck_assert_int_eq(io_uring_register_buffers_sparse(&single, 8), 0);
    refused(single.ring_fd, 0, 8, "SINGLE_ISSUER");
    io_uring_queue_exit(&single);
}
END_TEST

/* ---- Life ------------------------------------------------------------------------------------------- */

START_TEST(fork_child_has_to_adopt_a_ring_of_its_own)
{
    make_ring();
    adopt(0);
    ck_assert_int_eq(enter(0), OPAL_SUCCESS);
    pid_t pid = fork();
    if (pid == 0) {
        child_must_end_within(5);
        messages = 0;
        bool good = enter(1) == OPAL_ERR_UNREACH && enter(1) == OPAL_ERR_UNREACH && messages == 1;
        child_says(end(0) == OPAL_SUCCESS && good);
    }
    child_must_be_good(pid);
    ck_assert_int_eq(written_from(regs[0].buf_index, memory), (int) PAGE);
    ck_assert_int_eq(end(0), OPAL_SUCCESS);
    tear_down();
}
END_TEST

START_TEST(ring_that_the_application_has_closed_is_told_once)
{
    make_ring();
    adopt(0);
    messages = 0;
    io_uring_queue_exit(&ring);
    ck_assert_int_eq(enter(0), OPAL_ERR_UNREACH);
    ck_assert_int_eq(enter(0), OPAL_ERR_UNREACH);
    ck_assert_int_eq(messages, 1);
    ck_assert_ptr_nonnull(strstr(last_message, "closed"));
    mca_rcache_provider_close(provider);
}
END_TEST

int main(void)
{
    mca_rcache_provider_t *probe;
    if (under_valgrind()) {
        return test_skip("valgrind knows no clone() that shares memory, by which a ring is adopted");
    }
    if (mca_rcache_provider_open("uring", &probe) != OPAL_SUCCESS) {
        return test_skip("io_uring with a sparse buffer table");
    }
    mca_rcache_provider_close(probe);
    Suite *suite = suite_create("uring_adopt");
    TCase *tests = tcase_create("a ring of the application's");
    tcase_add_test(tests, slots_outside_the_range_are_left_alone);
    tcase_add_test(tests, transfer_functions_leave_it_to_the_application);
    tcase_add_test(tests, tag_comes_when_the_pages_are_given_back);
    tcase_add_test(tests, tag_comes_after_the_last_transfer_that_uses_the_pages);
    tcase_add_test(tests, without_tags_nothing_is_completed);
    tcase_add_test(tests, what_is_no_ring_with_that_range_is_refused);
    tcase_add_test(tests, ring_for_one_thread_only_is_refused);
    tcase_add_test(tests, fork_child_has_to_adopt_a_ring_of_its_own);
    tcase_add_test(tests, ring_that_the_application_has_closed_is_told_once);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
