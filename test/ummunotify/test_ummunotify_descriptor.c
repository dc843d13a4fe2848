/* SPDX-License-Identifier: BSD-3-Clause */
/* The component's descriptor in a program that closes, replaces or inherits
 * everything: it is out of the way, and its loss is noticed. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/children.h"
#include "test/ummunotify/ummunotify_fixture.h"

#define PAGES 8
static unsigned char *pages;
static opal_memory_watch_t watch;
static int fd;

/* The fake's is a file in memory of this name. */
static bool is_device(const char *link)
{
    char path[64], target[4096];
    snprintf(path, sizeof(path), "/proc/self/fd/%s", link);
    const ssize_t length = readlink(path, target, sizeof(target) - 1);
    target[length > 0 ? length : 0] = '\0';
    return strstr(target, on_device() ? getenv("OPALMEM_TEST_UMMUNOTIFY_DEVICE") : "memfd:ummunotify") != NULL;
}

static int find_descriptor(void)
{
    int found = -1;
    DIR *folder = opendir("/proc/self/fd");
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        found = is_device(entry->d_name) ? atoi(entry->d_name) : found;
    }
    closedir(folder);
    return found;
}

static void set_up(void)
{
    fixture_start();
    pages = get_pages(PAGES);
    watch = watch_pages(pages, PAGES);
    sync_now();
    forget_told();
    fd = find_descriptor();
    ck_assert_int_ge(fd, 0);
}

/* A device that was closed behind the component's back stays until its page goes. */
static void stop_after_loss(void)
{
    unwatch_pages(pages, PAGES, &watch);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

START_TEST(descriptor_is_high_and_closed_by_exec)
{
    ck_assert_int_ge(fd, 64);
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    stop_after_loss();
}
END_TEST

static void expect_loss(void)
{
    opal_memory_watch_t other = { .cookie = opal_memory_base_new_cookie() };
    fixture_messages();
    ck_assert_int_eq(opal_memory_base_watch(pages, PAGE, &other), OPAL_ERR_OUT_OF_RESOURCE);
    ck_assert_ptr_nonnull(strstr(fixture_messages(), "was closed or replaced by this program"));
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    ck_assert(opal_memory_changed()); /* The counter goes on. */
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(told_everything());
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    ck_assert_str_eq(fixture_messages(), "");
}

START_TEST(closed_descriptor_is_noticed)
{
    ck_assert_int_eq(close(fd), 0);
    expect_loss();
    stop_after_loss();
}
END_TEST

START_TEST(closed_descriptor_is_noticed_by_the_next_event)
{
    ck_assert_int_eq(close(fd), 0);
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    ck_assert_int_eq(opal_memory_base_sync(), OPAL_ERR_NOT_AVAILABLE);
    ck_assert(told_everything());
    stop_after_loss();
}
END_TEST

START_TEST(other_file_in_its_place_is_neither_read_nor_closed)
{
    int ends[2];
    char text[8] = { 0 };
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[0], fd), fd);
    ck_assert_int_eq(write(ends[1], "ours", 4), 4);
    expect_loss();
    stop_after_loss();
    ck_assert_int_eq(read(fd, text, sizeof(text)), 4);
    ck_assert_str_eq(text, "ours");
}
END_TEST

START_TEST(next_start_after_a_loss_works)
{
    ck_assert_int_eq(close(fd), 0);
    expect_loss();
    stop_after_loss();
    forget_told();
    fixture_start();
    watch = watch_pages(pages, PAGES);
    lose(UMMUNOTIFY_DISCARD, pages, 1);
    sync_now();
    ck_assert(told_exactly(pages, PAGE));
    stop_after_loss();
}
END_TEST

/* The number may be the child's own file by then. */
START_TEST(child_leaves_its_inherited_descriptor_alone)
{
    const pid_t pid = fork();
    if (pid == 0) {
        child_must_end_within(30);
        const int own = open("/dev/null", O_RDONLY);
        bool good = own >= 0 && dup2(own, fd) == fd && opal_memory_base_sync() == OPAL_SUCCESS;
        opal_memory_watch_t of_child = watch_pages(pages, 1);
        unwatch_pages(pages, 1, &of_child);
        good = good && opalmem_finalize() == OPAL_SUCCESS && fcntl(fd, F_GETFD) == 0;
        child_says(good);
    }
    child_must_be_good(pid);
    stop_after_loss();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ummunotify_descriptor");
    TCase *tests = tcase_create("ummunotify_descriptor");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, descriptor_is_high_and_closed_by_exec);
    tcase_add_test(tests, closed_descriptor_is_noticed);
    tcase_add_test(tests, closed_descriptor_is_noticed_by_the_next_event);
    tcase_add_test(tests, other_file_in_its_place_is_neither_read_nor_closed);
    tcase_add_test(tests, next_start_after_a_loss_works);
    tcase_add_test(tests, child_leaves_its_inherited_descriptor_alone);
    suite_add_tcase(suite, tests);
    return fixture_run(suite);
}
