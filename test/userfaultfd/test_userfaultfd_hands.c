/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that goes from us to the program and back: it registers watched memory
 * with a userfaultfd of its own, unregisters it, unmaps it. With a component that
 * tells before, we give it up first; the twins have none. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <time.h>

#include "components/userfaultfd/userfaultfd.h"
#include "components/userfaultfd/userfaultfd_sys.h"
#include "test/userfaultfd/userfaultfd_fixture.h"

#define PAGES 8
#define HALF (PAGES / 2 * PAGE)

static int messages;

static void count_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    messages += strstr(message, "another userfaultfd") != NULL;
}

static void start_both(void)
{
    mca_base_set_log(count_message, NULL);
    ck_assert_int_eq(start_with("linux+userfaultfd"), OPAL_SUCCESS);
}

static int open_userfaultfd(void)
{
    struct uffdio_api api = { .api = UFFD_API };
    const int fd = (int) syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);

    ck_assert(fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0);
    return fd;
}

static int take(int fd, char *memory, size_t length)
{
    struct uffdio_register registration = { .range = { (uintptr_t) memory, length },
                                            .mode = UFFDIO_REGISTER_MODE_MISSING };

    return ioctl(fd, UFFDIO_REGISTER, &registration);
}

static int take_by_number(int fd, char *memory, size_t length)
{
    struct uffdio_register registration = { .range = { (uintptr_t) memory, length },
                                            .mode = UFFDIO_REGISTER_MODE_MISSING };

    return (int) syscall(SYS_ioctl, fd, UFFDIO_REGISTER, &registration);
}

static int let_go(int fd, char *memory, size_t length)
{
    struct uffdio_range range = { (uintptr_t) memory, length };

    return ioctl(fd, UFFDIO_UNREGISTER, &range);
}

static int (*const takes[])(int fd, char *memory, size_t length) = { take, take_by_number };

/* ---- Another userfaultfd --------------------------------------------------------------------------- */

START_TEST(program_gets_what_is_watched_and_it_is_not_kept_meanwhile)
{
    start_both();
    char *memory = map_pages(PAGES);
    const int fd = open_userfaultfd();
    watch_it(&watched[0], memory, HALF);
    watch_it(&watched[1], memory + HALF, HALF);
    ck_assert(hits(&watched[0]) && hits(&watched[1]));
    ck_assert_int_eq(takes[_i](fd, memory, HALF), 0);
    ck_assert(!hits(&watched[0]));
    ck_assert(hits(&watched[1]));
    unwatch_it(&watched[0]);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(watch_range(&watched[0], memory, HALF), OPAL_ERR_OUT_OF_RESOURCE);
    }
    ck_assert_int_eq(messages, 1);
    ck_assert_int_eq(let_go(fd, memory, HALF), 0);
    watch_it(&watched[0], memory, HALF);
    ck_assert(hits(&watched[0]));
    syscall(SYS_munmap, memory, PAGE);
    ck_assert(!hits(&watched[0]) && hits(&watched[1]));
    syscall(SYS_munmap, memory + HALF, PAGE);
    ck_assert(!hits(&watched[1]));
    close(fd);
    stop();
}
END_TEST

START_TEST(twin_without_a_component_that_tells_before_is_refused)
{
    start();
    char *memory = map_pages(PAGES);
    const int fd = open_userfaultfd();
    watch_it(&watched[0], memory, HALF);
    ck_assert_int_eq(takes[_i](fd, memory, HALF), -1);
    ck_assert_int_eq(errno, EBUSY);
    ck_assert(hits(&watched[0]));
    stop();
}
END_TEST

START_TEST(what_the_program_has_is_watched_when_it_lets_go)
{
    start_both();
    char *memory = map_pages(PAGES);
    const int fd = open_userfaultfd();
    ck_assert_int_eq(take(fd, memory, HALF), 0);
    ck_assert_int_eq(watch_range(&watched[0], memory, HALF), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_int_eq(messages, 1);
    watch_it(&watched[1], memory + HALF, HALF);
    ck_assert_int_eq(take(fd, memory, HALF), 0); /* Once more: nothing changes. */
    ck_assert(hits(&watched[1]));
    if (_i == 0) {
        ck_assert_int_eq(let_go(fd, memory, HALF), 0);
    } else {
        close(fd);
    }
    watch_it(&watched[0], memory, HALF);
    ck_assert(hits(&watched[0]) && hits(&watched[1]));
    stop();
}
END_TEST

/* Which is nobody's, as far as the program knows. */
START_TEST(program_may_unregister_what_is_watched)
{
    start_both();
    char *memory = map_pages(PAGES);
    const int fd = open_userfaultfd();
    watch_it(&watched[0], memory, HALF);
    ck_assert_int_eq(let_go(fd, memory, HALF), 0);
    ck_assert(!hits(&watched[0]));
    unwatch_it(&watched[0]);
    watch_it(&watched[0], memory, HALF);
    syscall(SYS_munmap, memory, PAGE);
    ck_assert(!hits(&watched[0]));
    stop();
}
END_TEST

static atomic_bool is_there, is_over;

static void *watch_all_the_time(void *memory)
{
    while (!atomic_load(&is_over)) {
        opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };

        if (opal_memory_base_watch((char *) memory + HALF, HALF, &watch) == OPAL_SUCCESS) {
            opal_memory_base_sync();
            opal_memory_base_unwatch((char *) memory + HALF, HALF, &watch);
        }
    }
    return NULL;
}

START_TEST(program_gets_what_another_thread_watches_meanwhile)
{
    pthread_t watcher;

    start_both();
    char *memory = map_pages(PAGES);
    const int fd = open_userfaultfd();
    pthread_create(&watcher, NULL, watch_all_the_time, memory);
    for (int i = 0; i < 2000; i++) {
        ck_assert_msg(take(fd, memory, HALF) == 0, "%d: %s", i, strerror(errno));
        ck_assert_msg(let_go(fd, memory, HALF) == 0, "%d: %s", i, strerror(errno));
    }
    atomic_store(&is_over, true);
    pthread_join(watcher, NULL);
    stop();
}
END_TEST

/* It is refused if it asks who watches before there is anybody, and is done after. */
static void *watch_until_it_is_over(void *memory)
{
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
    const bool is_watched = opal_memory_base_watch(memory, HALF, &watch) == OPAL_SUCCESS;

    atomic_store(&is_there, true);
    while (!atomic_load(&is_over)) {
        sched_yield();
    }
    if (is_watched) {
        opal_memory_base_unwatch(memory, HALF, &watch);
    }
    return NULL;
}

START_TEST(program_gets_what_is_watched_for_the_first_time_meanwhile)
{
    const long rounds = test_rounds(100);

    for (long round = 0; round < rounds; round++) {
        pthread_t watcher;

        start_both();
        char *memory = map_pages(PAGES);
        const int fd = open_userfaultfd();
        atomic_store(&is_there, false);
        atomic_store(&is_over, false);
        pthread_create(&watcher, NULL, watch_until_it_is_over, memory);
        for (int i = 0; !atomic_load(&is_there); i++) {
            ck_assert_msg(take(fd, memory, HALF) == 0, "%ld, %d: %s", round, i, strerror(errno));
            ck_assert_msg(let_go(fd, memory, HALF) == 0, "%ld, %d: %s", round, i, strerror(errno));
        }
        atomic_store(&is_over, true);
        pthread_join(watcher, NULL);
        close(fd);
        munmap(memory, PAGES * PAGE);
        stop();
    }
}
END_TEST

/* ---- Releases -------------------------------------------------------------------------------------- */

static atomic_int events;
static bool is_old; /* As kernels before 6.17: each userfaultfd unregisters what any has registered. */

static long counting_sys(long nr, const long args[6])
{
    const long rc = uffd_sys_real(nr, args);

    if (is_old && nr == SYS_ioctl && (unsigned long) args[1] == UFFDIO_UNREGISTER && rc == -EINVAL) {
        return 0;
    }
    if (nr == SYS_read && uffd_state != NULL && (int) args[0] == uffd_state->kernel.events.fd && rc > 0) {
        atomic_fetch_add(&events, (int) (rc / (long) sizeof(struct uffd_msg)));
    }
    return rc;
}

static void unmap(char *memory)
{
    ck_assert_int_eq(munmap(memory, HALF), 0);
}

static void map_over(char *memory)
{
    ck_assert_ptr_eq(mmap(memory, HALF, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), memory);
}

/* By an instruction that nobody replaces, since nothing before it says which call it makes. */
static void unmap_raw(char *memory)
{
    static volatile long number = SYS_munmap;
#if defined(__x86_64__)
    long rc = number;
    __asm__ volatile("syscall" : "+a"(rc) : "D"(memory), "S"(HALF) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long rc __asm__("x0") = (long) memory;
    register long length __asm__("x1") = (long) HALF;
    register long nr __asm__("x8") = number;
    __asm__ volatile("svc #0" : "+r"(rc) : "r"(length), "r"(nr) : "memory");
#else
    const long rc = syscall(number, memory, HALF);
#endif
    ck_assert_int_eq(rc, 0);
}

/* The call that waits goes on when its event is read, and may be back before the reader has counted it. */
static bool are_events(int count)
{
    const struct timespec ms = { .tv_nsec = 1000000 };

    for (int i = 0; i < 10000 && atomic_load(&events) < count; i++) {
        nanosleep(&ms, NULL);
    }
    return atomic_load(&events) == count;
}

static void (*const releases[])(char *memory) = { unmap, map_over, unmap_raw };

static void release_watched(const char *components, void (*release)(char *memory), bool is_waited_for)
{
    uffd_sys_call = counting_sys;
    ck_assert_int_eq(start_with(components), OPAL_SUCCESS);
    char *memory = map_pages(PAGES);
    watch_it(&watched[0], memory, HALF);
    watch_it(&watched[1], memory + HALF, HALF);
    atomic_store(&events, 0);
    release(memory);
    ck_assert(are_events(is_waited_for ? 1 : 0));
    ck_assert(!hits(&watched[0]));
    ck_assert(hits(&watched[1]));
    unmap_raw(memory + HALF);
    ck_assert(!hits(&watched[1]));
    stop();
}

START_TEST(release_that_was_told_before_is_not_waited_for)
{
    is_old = _i >= 3;
    release_watched("linux+userfaultfd", releases[_i % 3], releases[_i % 3] == unmap_raw);
    ck_assert(!is_old || !uffd_kernel_protects_others);
}
END_TEST

START_TEST(twin_that_was_not_told_waits)
{
    release_watched("userfaultfd", releases[_i], true);
}
END_TEST

/* Told before, and then the kernel refuses it: a folder cannot be mapped. */
START_TEST(release_that_fails_is_watched_again)
{
    start_both();
    char *memory = map_pages(PAGES);
    const int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    watch_it(&watched[0], memory, HALF);
    watch_it(&watched[1], memory + HALF, HALF);
    ck_assert_ptr_eq(mmap(memory, HALF, PROT_READ, MAP_PRIVATE | MAP_FIXED, folder, 0), MAP_FAILED);
    ck_assert(!hits(&watched[0]) && hits(&watched[1]));
    unwatch_it(&watched[0]);
    watch_it(&watched[0], memory, HALF);
    ck_assert(hits(&watched[0]));
    unmap_raw(memory);
    ck_assert(!hits(&watched[0]) && hits(&watched[1]));
    close(folder);
    stop();
}
END_TEST

int main(void)
{
    if (!can_run()) {
        return test_skip(USERFAULTFD_SKIP);
    }
    if (!can_run_beside_linux()) {
        return test_skip("linux and userfaultfd together");
    }
    Suite *suite = suite_create("userfaultfd_hands");
    TCase *hands = tcase_create("hands");

    tcase_set_timeout(hands, 240);
    tcase_add_loop_test(hands, program_gets_what_is_watched_and_it_is_not_kept_meanwhile, 0, 2);
    tcase_add_loop_test(hands, twin_without_a_component_that_tells_before_is_refused, 0, 2);
    tcase_add_loop_test(hands, what_the_program_has_is_watched_when_it_lets_go, 0, 2);
    tcase_add_test(hands, program_may_unregister_what_is_watched);
    tcase_add_test(hands, program_gets_what_another_thread_watches_meanwhile);
    tcase_add_test(hands, program_gets_what_is_watched_for_the_first_time_meanwhile);
    tcase_add_loop_test(hands, release_that_was_told_before_is_not_waited_for, 0, 6);
    tcase_add_loop_test(hands, twin_that_was_not_told_waits, 0, 3);
    tcase_add_test(hands, release_that_fails_is_watched_again);
    suite_add_tcase(suite, hands);
    return test_run(suite);
}
