/* SPDX-License-Identifier: BSD-3-Clause */
/* Which paths a stranger could have written. The first test is the twin of the
 * others: the same tree, with nothing wrong in it, is safe. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base_test.h"
#include "framework/base/mca_base_path.h"

#define STRANGER 54321
#define IS_SAFE "--is-safe" /* Of this program, with a path: exit code 0 or 1. */

static const char *folder;
static char inner[64], file[80], cause[256];

/* folder/inner/file, each one safe. */
static void make_tree(void)
{
    folder = make_folder();
    snprintf(inner, sizeof inner, "%s/inner", folder);
    snprintf(file, sizeof file, "%s/file", inner);
    ck_assert_int_eq(mkdir(inner, 0755), 0);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    close(fd);
    cause[0] = '\0';
}

static void remove_tree(void)
{
    remove_folder(inner);
    remove_folder(folder);
}

static void expect_refused(const char *path, int error, const char *expected)
{
    errno = 0;
    ck_assert(!mca_base_path_is_safe(path, cause, sizeof cause));
    ck_assert_int_eq(errno, error);
    ck_assert_msg(strstr(cause, expected) != NULL, "\"%s\" lacks \"%s\"", cause, expected);
}

START_TEST(own_tree_below_a_sticky_directory_is_safe)
{
    ck_assert_msg(mca_base_path_is_safe(file, cause, sizeof cause), "%s", cause);
    ck_assert_msg(mca_base_path_is_safe(inner, cause, sizeof cause), "%s", cause);
    ck_assert_msg(mca_base_path_is_safe("/", cause, sizeof cause), "%s", cause);
}
END_TEST

START_TEST(file_that_everybody_may_write_to_is_refused)
{
    ck_assert_int_eq(chmod(file, 0646), 0);
    expect_refused(file, 0, "everybody may write to it (mode 0646)");
}
END_TEST

START_TEST(open_directory_anywhere_above_is_refused)
{
    char expected[128];
    ck_assert_int_eq(chmod(folder, 0777), 0);
    snprintf(expected, sizeof expected, "everybody may write to the directory %s (mode 0777)", folder);
    expect_refused(file, 0, expected);
}
END_TEST

START_TEST(sticky_directory_above_is_safe_but_not_as_the_last_one)
{
    ck_assert_int_eq(chmod(inner, 01777), 0);
    ck_assert_msg(mca_base_path_is_safe(file, cause, sizeof cause), "%s", cause);
    expect_refused(inner, 0, "everybody may write to it (mode 1777)");
}
END_TEST

START_TEST(link_is_followed_to_the_directories_of_its_target)
{
    char link[64];
    snprintf(link, sizeof link, "%s/link", folder);
    ck_assert_int_eq(symlink(file, link), 0);
    ck_assert_msg(mca_base_path_is_safe(link, cause, sizeof cause), "%s", cause);
    ck_assert_int_eq(chmod(inner, 0777), 0);
    expect_refused(link, 0, inner);
}
END_TEST

START_TEST(relative_path_is_looked_at_up_to_the_root)
{
    ck_assert_int_eq(chdir(inner), 0);
    ck_assert_msg(mca_base_path_is_safe("file", cause, sizeof cause), "%s", cause);
    ck_assert_int_eq(chmod(folder, 0777), 0);
    expect_refused("file", 0, folder);
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(absent_file_is_told_by_errno)
{
    ck_assert_int_eq(unlink(file), 0);
    expect_refused(file, ENOENT, strerror(ENOENT));
}
END_TEST

START_TEST(file_of_a_stranger_is_refused)
{
    if (geteuid() != 0) {
        return; /* Only root can give a file away. */
    }
    ck_assert_int_eq(chown(file, STRANGER, (gid_t) -1), 0);
    expect_refused(file, 0, "it belongs to user 54321, which is neither root nor you");
}
END_TEST

/* Everybody could replace the link between the check and the use of the path. */
START_TEST(link_that_everybody_can_replace_is_refused)
{
    char other[64], link[80], expected[128];
    snprintf(other, sizeof other, "%s/open", folder);
    snprintf(link, sizeof link, "%s/link", other);
    ck_assert_int_eq(mkdir(other, 0755), 0);
    ck_assert_int_eq(symlink(_i == 0 ? file : "../inner/file", link), 0);
    ck_assert_msg(mca_base_path_is_safe(link, cause, sizeof cause), "%s", cause);
    ck_assert_int_eq(chmod(other, 0777), 0);
    snprintf(expected, sizeof expected, "everybody may write to the directory %s (mode 0777)", other);
    expect_refused(link, 0, expected);
    ck_assert_int_eq(chmod(other, 01777), 0);
    ck_assert_msg(mca_base_path_is_safe(link, cause, sizeof cause), "%s", cause);
    if (geteuid() == 0) {
        ck_assert_int_eq(lchown(link, STRANGER, (gid_t) -1), 0);
        expect_refused(link, 0, "belongs to user 54321, which is neither root nor you");
    }
    remove_folder(other);
}
END_TEST

START_TEST(link_on_the_way_to_a_link_is_looked_at)
{
    char other[64], first[80], second[64], through[96];
    snprintf(other, sizeof other, "%s/open", folder);
    snprintf(first, sizeof first, "%s/first", other);
    snprintf(second, sizeof second, "%s/second", folder);
    snprintf(through, sizeof through, "%s/file", second);
    ck_assert_int_eq(mkdir(other, 0755), 0);
    ck_assert_int_eq(symlink(inner, first), 0);
    ck_assert_int_eq(symlink("open/first", second), 0);
    ck_assert_msg(mca_base_path_is_safe(through, cause, sizeof cause), "%s", cause);
    ck_assert_int_eq(chmod(other, 0777), 0);
    expect_refused(through, 0, other);
    remove_folder(other);
}
END_TEST

/* A stranger who starts the program, or who owns a file in the directory where it is started, has no more say. */
START_TEST(name_by_which_the_program_was_started_makes_nobody_trusted)
{
    if (geteuid() != 0) {
        return; /* Only root can give a file away. */
    }
    ck_assert_int_eq(chown(file, STRANGER, (gid_t) -1), 0);
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", file, IS_SAFE, file, (char *) NULL);
        _exit(2);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 1);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, make_tree, remove_tree);
    tcase_add_test(tests, own_tree_below_a_sticky_directory_is_safe);
    tcase_add_test(tests, file_that_everybody_may_write_to_is_refused);
    tcase_add_test(tests, open_directory_anywhere_above_is_refused);
    tcase_add_test(tests, sticky_directory_above_is_safe_but_not_as_the_last_one);
    tcase_add_test(tests, link_is_followed_to_the_directories_of_its_target);
    tcase_add_test(tests, relative_path_is_looked_at_up_to_the_root);
    tcase_add_test(tests, absent_file_is_told_by_errno);
    tcase_add_test(tests, file_of_a_stranger_is_refused);
    tcase_add_loop_test(tests, link_that_everybody_can_replace_is_refused, 0, 2);
    tcase_add_test(tests, link_on_the_way_to_a_link_is_looked_at);
    tcase_add_test(tests, name_by_which_the_program_was_started_makes_nobody_trusted);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], IS_SAFE) == 0) {
        return mca_base_path_is_safe(argv[2], cause, sizeof cause) ? 0 : 1;
    }
    return run_tests("mca_base_path", add);
}
