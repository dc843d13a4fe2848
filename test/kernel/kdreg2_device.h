/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of /dev/kdreg2 for its tests, raw. Device: $OPALMEM_TEST_KDREG_DEVICE. */
#ifndef TEST_KERNEL_KDREG2_DEVICE_H
#define TEST_KERNEL_KDREG2_DEVICE_H

#include "test/kernel/device_test.h"
#include "test/kernel/kdreg2/abi.h"

_Static_assert(KDREG2_CONFIG_DATA == 0xc0106b01 && KDREG2_MONITOR == 0xc0286b02, "the interface's numbers");
_Static_assert(KDREG2_UNMONITOR == 0x40186b03 && KDREG2_UNMONITOR_ALL == 0x6b04, "the interface's numbers");
_Static_assert(sizeof(struct kdreg2_status) == 48 && sizeof(struct kdreg2_event) == 32, "the interface's sizes");

static inline const char *kdreg2_path(void)
{
    const char *path = getenv("OPALMEM_TEST_KDREG_DEVICE");
    return path != NULL ? path : "/dev/kdreg2";
}

static inline int kdreg2_fd(void)
{
    int fd = open(kdreg2_path(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ck_assert_msg(fd >= 0, "%s: %s", kdreg2_path(), strerror(errno));
    return fd;
}

static inline const volatile struct kdreg2_status *configure(int fd, uint64_t max_regions)
{
    struct kdreg2_config config = { .max_regions = max_regions };
    ck_assert_int_eq(ioctl(fd, KDREG2_CONFIG_DATA, &config), 0);
    return (const volatile struct kdreg2_status *) (uintptr_t) config.status;
}

static inline struct kdreg2_params monitor(int fd, char *at, size_t length, uint64_t cookie)
{
    struct kdreg2_monitor arg = { .addr = (uintptr_t) at, .length = length, .cookie = cookie };
    ck_assert_int_eq(ioctl(fd, KDREG2_MONITOR, &arg), 0);
    return arg.params;
}

static inline int unmonitor(int fd, uint64_t cookie, struct kdreg2_params params)
{
    struct kdreg2_unmonitor arg = { .cookie = cookie, .params = params };
    return ioctl(fd, KDREG2_UNMONITOR, &arg);
}

static inline uint32_t state(const volatile struct kdreg2_status *status, uint64_t location)
{
    return ((const volatile uint32_t *) (uintptr_t) status->states)[location];
}

static inline bool holds(const volatile struct kdreg2_status *status, struct kdreg2_params params)
{
    return params.location < status->max_regions && state(status, params.location) == params.generation;
}

static inline void expect_event(int fd, char *at, size_t length, uint64_t cookie)
{
    struct kdreg2_event event = { .pad = 1 };
    ck_assert_int_eq((int) read(fd, &event, sizeof(event)), (int) sizeof(event));
    ck_assert_uint_eq(event.type, KDREG2_MAPPING_CHANGE);
    ck_assert_uint_eq(event.addr, (uintptr_t) at);
    ck_assert_uint_eq(event.length, length);
    ck_assert_uint_eq(event.cookie, cookie);
}

static inline void set_parameter(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof(path), "/sys/module/kdreg2/parameters/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq((int) write(fd, value, strlen(value)), (int) strlen(value));
    close(fd);
}

/* ---- In children ---- */

static inline int child_is_refused(int fd)
{
    struct kdreg2_config config = { .max_regions = 8 };
    struct kdreg2_monitor watch = { .addr = PAGE, .length = PAGE, .cookie = 1 };
    struct kdreg2_event event;
    bool refused =
        fails_with(ioctl(fd, KDREG2_CONFIG_DATA, &config), EBADF)
        && fails_with(ioctl(fd, KDREG2_MONITOR, &watch), EBADF)
        && fails_with(unmonitor(fd, 1, watch.params), EBADF) && fails_with(ioctl(fd, KDREG2_UNMONITOR_ALL), EBADF)
        && fails_with(ioctl(fd, KDREG2_FLUSH), EBADF) && fails_with(read(fd, &event, sizeof(event)), EBADF);
    int events = poll_of(fd);
    return refused && events == (POLLERR | POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM) ? 0 : 1;
}

static inline int open_and_monitor(void)
{
    int fd = kdreg2_fd();
    configure(fd, 8);
    monitor(fd, pages_new(1), PAGE, 1);
    return fd;
}

#endif
