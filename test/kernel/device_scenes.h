/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes that both drivers play alike: descriptors in other processes. Whoever includes this says what the calls of its device are,
 * by a variable `device`, and adds the scenes with add_process_scenes().
 */
#ifndef TEST_KERNEL_DEVICE_SCENES_H
#define TEST_KERNEL_DEVICE_SCENES_H

#include "test/kernel/device_test.h"

typedef struct device_calls_t {
    int (*open)(void);           /**< A descriptor that can watch. */
    int (*open_and_watch)(void); /**< One that watches a page. */
    int (*is_refused)(int fd); /**< 0: each call fails as it does for whoever has not opened it. For in_child(). */
    bool (*watches)(int fd, char *); /**< Can a page be watched with it? */
} device_calls_t;

static const device_calls_t device;

START_TEST(a_fork_child_has_no_use_of_the_descriptor)
{
    int fd = device.open();
    in_child(device.is_refused, fd);
    ck_assert(device.watches(fd, pages_new(1)));
}
END_TEST

START_TEST(a_descriptor_outlives_its_opener)
{
    int fd = fd_of_the_dead(device.open_and_watch);
    ck_assert_int_eq(device.is_refused(fd), 0);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

static inline int child_execs(int unused)
{
    (void) unused;
    fcntl(device.open_and_watch(), F_SETFD, 0);
    execl("/bin/true", "true", (char *) NULL);
    return 1;
}

START_TEST(exec_takes_the_memory_of_a_context_away)
{
    in_child(child_execs, -1);
}
END_TEST

static inline void add_process_scenes(TCase *tests)
{
    tcase_add_test(tests, a_fork_child_has_no_use_of_the_descriptor);
    tcase_add_test(tests, a_descriptor_outlives_its_opener);
    tcase_add_test(tests, exec_takes_the_memory_of_a_context_away);
}

#endif
