/* SPDX-License-Identifier: BSD-3-Clause */
/* A set-uid process ignores the environment and the component path. Root can
 * make such a process: a copy of this program that belongs to another user.
 * The same child without the set-uid bit is the twin that must see it all. The
 * copy also stands for a library that a site has installed as a user of its own. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base_test.h"
#include "framework/base/mca_base_repository.h"
#include "test/test_main.h"

#define OTHER_USER 54321
#define NOWHERE "/nonexistent/folder"
enum {
    CHILD_SEES_NOTHING = 3,
    CHILD_SEES_ALL = 4,
    CHILD_SEES_SOME = 5,
    CHILD_NOT_SECURE = 6,
    CHILD_LIKES_FOLDER = 7
};

static char copy[64];

/* ---- The child ------------------------------------------------------------------------------------- */

static unsigned warnings;

static void count_warning(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) message;
    (void) arg;
    warnings += level == MCA_BASE_LOG_WARN;
}

static int be_child(bool secure, int argc, char **argv)
{
    if (secure && getauxval(AT_SECURE) == 0) {
        return CHILD_NOT_SECURE;
    }
    mca_base_set_log(count_warning, NULL);
    if (mca_base_cmd_line_take(&argc, &argv) != OPAL_SUCCESS) {
        return 1;
    }
    if (mca_base_open() != OPAL_SUCCESS || mca_base_framework_open(&fake_framework) != OPAL_SUCCESS) {
        return 1;
    }
    mca_base_report_unknown();
    mca_base_var_info_t path = { 0 };
    while (path.full_name == NULL || strcmp(path.full_name, "mca_base_component_path") != 0) {
        static size_t index;
        if (mca_base_var_get_info(index++, &path) != OPAL_SUCCESS) {
            return 1;
        }
    }
    bool path_taken = path.source != MCA_BASE_VAR_SOURCE_DEFAULT;
    /* In a set-uid process: one warning that the path of the command line is ignored, none of the name that nobody
     * knows. Else one of the name, and one of the folder if it is not used. */
    if (!path_taken && fake_framework.verbose == 0 && warnings == 1) {
        return CHILD_SEES_NOTHING;
    }
    if (!path_taken || fake_framework.verbose != 5) {
        return CHILD_SEES_SOME;
    }
    return warnings == 2 ? CHILD_SEES_ALL : CHILD_LIKES_FOLDER;
}

/* ---- The parent ------------------------------------------------------------------------------------ */

static int run_copy(mode_t mode, const char *option, const char *folder)
{
    if (chmod(copy, mode) != 0) {
        return -1;
    }
    pid_t child = fork();
    if (child == 0) {
        setenv("OPALMEM_MCA_fake_base_verbose", "5", 1);
        setenv("OPALMEM_MCA_nosuch_variable", "1", 1);
        execl(copy, copy, option, "--mca", "mca_base_component_path", folder, (char *) NULL);
        _exit(127);
    }
    int status;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(set_uid_process_ignores_the_environment_and_the_path)
{
    ck_assert_int_eq(run_copy(04755, "--secure-child", NOWHERE), CHILD_SEES_NOTHING);
}
END_TEST

START_TEST(same_process_without_set_uid_takes_both)
{
    ck_assert_int_eq(run_copy(0755, "--child", NOWHERE), CHILD_SEES_ALL);
}
END_TEST

START_TEST(folder_of_the_user_who_installed_the_library_is_used)
{
    const char *folder = make_folder();
    ck_assert_int_eq(chown(folder, OTHER_USER, (gid_t) -1), 0);
    int rc = run_copy(0755, "--child", folder);
    remove_folder(folder);
    ck_assert_int_eq(rc, CHILD_LIKES_FOLDER);
}
END_TEST

START_TEST(folder_of_anybody_else_is_not)
{
    const char *folder = make_folder();
    ck_assert_int_eq(chown(folder, OTHER_USER + 1, (gid_t) -1), 0);
    int rc = run_copy(0755, "--child", folder);
    remove_folder(folder);
    ck_assert_int_eq(rc, CHILD_SEES_ALL);
}
END_TEST

static void add(TCase *tests)
{
    if (mca_base_loader_works) {
        tcase_add_test(tests, folder_of_the_user_who_installed_the_library_is_used);
        tcase_add_test(tests, folder_of_anybody_else_is_not);
    }
    tcase_add_test(tests, set_uid_process_ignores_the_environment_and_the_path);
    tcase_add_test(tests, same_process_without_set_uid_takes_both);
}

static bool copy_this_program(void)
{
    strcpy(copy, "/tmp/opalmem-test-XXXXXX");
    int to = mkstemp(copy);
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    char block[65536];
    ssize_t got;
    while (to >= 0 && from >= 0 && (got = read(from, block, sizeof block)) > 0) {
        if (write(to, block, (size_t) got) != got) {
            return false;
        }
    }
    bool good = to >= 0 && from >= 0 && fchown(to, OTHER_USER, (gid_t) -1) == 0;
    close(from);
    close(to);
    return good;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        /* Not return: a leak checker would trace the child at its exit, which nobody may. */
        _exit(be_child(strcmp(argv[1], "--secure-child") == 0, argc, argv));
    }
    if (geteuid() != 0) {
        return test_skip("only root can make a set-uid process of another user");
    }
    if (!copy_this_program()) {
        unlink(copy);
        return test_skip("a set-uid copy of this program cannot be made in /tmp");
    }
    /* Some file systems ignore set-uid, and valgrind does not run such programs. */
    int first = run_copy(04755, "--secure-child", NOWHERE);
    bool works = first != CHILD_NOT_SECURE && first != 127;
    int rc = works ? run_tests("mca_base_secure", add) : test_skip("set-uid has no effect in /tmp");
    unlink(copy);
    return rc;
}
