/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of /dev/ummunotify for its tests, raw. Device: $OPALMEM_TEST_UMMUNOTIFY_DEVICE. */
#ifndef TEST_KERNEL_UMMUNOTIFY_DEVICE_H
#define TEST_KERNEL_UMMUNOTIFY_DEVICE_H

#include "test/kernel/device_test.h"
#include "test/kernel/ummunotify/abi.h"

_Static_assert(UMMUNOTIFY_EXCHANGE_FEATURES == 0xc0045501 && UMMUNOTIFY_REGISTER == 0x40205502,
               "the interface's numbers");
_Static_assert(UMMUNOTIFY_UNREGISTER == 0x40085503 && sizeof(struct ummunotify_event) == 32,
               "the interface's numbers");

typedef struct ummunotify_event event_t;

static inline const char *ummunotify_path(void)
{
    const char *path = getenv("OPALMEM_TEST_UMMUNOTIFY_DEVICE");
    return path != NULL ? path : "/dev/ummunotify";
}

static inline int ummunotify_fd(void)
{
    int fd = open(ummunotify_path(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_msg(fd >= 0, "%s: %s", ummunotify_path(), strerror(errno));
    return fd;
}

static inline const volatile uint64_t *counter_of(int fd)
{
    void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    return page;
}

static inline int watch(int fd, char *at, size_t length, uint64_t cookie)
{
    struct ummunotify_register_ioctl arg = { .start = (uintptr_t) at,
                                             .end = (uintptr_t) at + length,
                                             .user_cookie = cookie };
    return ioctl(fd, UMMUNOTIFY_REGISTER, &arg);
}

static inline int unwatch(int fd, uint64_t cookie)
{
    return ioctl(fd, UMMUNOTIFY_UNREGISTER, &cookie);
}

static inline int read_events(int fd, event_t *events, int count)
{
    ssize_t got = read(fd, events, (size_t) count * sizeof(event_t));
    return got < 0 ? -1 : (int) ((size_t) got / sizeof(event_t));
}

static inline void expect_inval(const event_t *event, uint64_t cookie, uint32_t flags, char *start, char *end)
{
    ck_assert_uint_eq(event->type, UMMUNOTIFY_EVENT_INVAL);
    ck_assert_uint_eq(event->user_cookie_counter, cookie);
    ck_assert_uint_eq(event->flags, flags);
    ck_assert_uint_eq(event->hint_start, (uintptr_t) start);
    ck_assert_uint_eq(event->hint_end, (uintptr_t) end);
}

static inline void expect_last(const event_t *event, uint64_t counter)
{
    ck_assert_uint_eq(event->type, UMMUNOTIFY_EVENT_LAST);
    ck_assert_uint_eq(event->user_cookie_counter, counter);
}

/* ---- In children ---- */

static inline int child_is_refused(int fd)
{
    uint32_t features = 0;
    event_t event;
    return fails_with(ioctl(fd, UMMUNOTIFY_EXCHANGE_FEATURES, &features), EBADF)
                   && fails_with(watch(fd, (char *) PAGE, PAGE, 1), EBADF) && fails_with(unwatch(fd, 1), EBADF)
                   && fails_with(read_events(fd, &event, 1), EBADF) && poll_of(fd) == POLLERR
                   && mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EBADF
               ? 0
               : 1;
}

static inline int open_and_watch(void)
{
    int fd = ummunotify_fd();
    (void) counter_of(fd);
    return watch(fd, pages_new(1), PAGE, 1) == 0 ? fd : -1;
}

#endif
