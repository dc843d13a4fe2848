/* SPDX-License-Identifier: BSD-3-Clause */
/* A set-uid process ignores the environment and the component path. Root can
 * make such a process: a copy of this program that belongs to another user.
 * The same child without the set-uid bit is the twin that must see it all.
 * Likewise it reads no file that its user has named or put into his home. The
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
#include "framework/base/mca_base_file.h"
#include "framework/base/mca_base_repository.h"
#include "test/test_main.h"

#define OTHER_USER 54321
#define NOWHERE "/nonexistent/folder"
enum {
    CHILD_SEES_NOTHING = 3,
    CHILD_SEES_ALL = 4,
    CHILD_SEES_SOME = 5,
    CHILD_NOT_SECURE = 6,
    CHILD_LIKES_FOLDER = 7,
    CHILD_USES_HOME = 8
};
/* What a child of --files says: a sum of these. */
enum {
    FILE_OF_HOME = 1,
    FILE_OF_ENVIRONMENT = 2,
    FILE_OF_TUNE = 4,
    FILE_OF_OVERRIDE = 8,
    FILE_WARNINGS = 16, /* As many as expected. */
    FILE_LEAKED = 32,
    FILE_FAILED = 64
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
    if (mca_base_component_count() > 0) {
        return CHILD_USES_HOME;
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

static bool leaked;

static void watch_for_secrets(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) arg;
    warnings += level == MCA_BASE_LOG_WARN;
    leaked = leaked || strstr(message, "SECRET") != NULL;
}

static bool has(mca_base_file_kind_t kind, const char *name)
{
    return mca_base_file_find(kind, name) != NULL;
}

/* argv[2] is a folder with the files. */
static int be_child_with_files(bool secure, int argc, char **argv)
{
    static char override[64];
    const char *names[] = { "home", "environment", "tune", "override" };
    int said = 0;
    snprintf(override, sizeof override, "%s/override", argv[2]);
    mca_base_override_param_file = override;
    mca_base_set_log(watch_for_secrets, NULL);
    if (mca_base_cmd_line_take(&argc, &argv) != OPAL_SUCCESS || mca_base_open() != OPAL_SUCCESS) {
        said |= FILE_FAILED;
    }
    for (int i = 0; i < 4; i++) {
        bool found = has(MCA_BASE_FILE_PARAMS, names[i]) || has(MCA_BASE_FILE_TUNE, names[i])
                     || has(MCA_BASE_FILE_OVERRIDE, names[i]);
        said |= found ? 1 << i : 0;
    }
    return said | (warnings == (secure ? 1 : 0) ? FILE_WARNINGS : 0) | (leaked ? FILE_LEAKED : 0);
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

static void put(const char *folder, const char *name, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *stream = fopen(path, "we");
    ck_assert_ptr_nonnull(stream);
    fputs(text, stream);
    fclose(stream);
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(chown(path, OTHER_USER, (gid_t) -1), 0); /* Who the set-uid copy runs as. */
}

/* A home with a parameter file, files of --tune and of the environment, and an override file. */
static const char *make_files(const char *tune, const char *override)
{
    static char sub[64];
    const char *folder = make_folder();
    ck_assert_int_eq(chown(folder, OTHER_USER, (gid_t) -1), 0);
    snprintf(sub, sizeof sub, "%s/.opalmem", folder);
    ck_assert_int_eq(mkdir(sub, 0755), 0);
    put(folder, ".opalmem/mca-params.conf", "home = 1\n");
    put(folder, "environment", "environment = 1\n");
    put(folder, "tune", tune);
    put(folder, "override", override);
    return folder;
}

static void remove_files(const char *folder)
{
    char sub[64];
    snprintf(sub, sizeof sub, "%s/.opalmem", folder);
    remove_folder(sub);
    remove_folder(folder);
}

static int run_copy_with_files(mode_t mode, const char *option, const char *folder, const char *tune)
{
    if (chmod(copy, mode) != 0) {
        return -1;
    }
    pid_t child = fork();
    if (child == 0) {
        char tune_path[64], other[64];
        snprintf(tune_path, sizeof tune_path, "%s/%s", folder, tune);
        snprintf(other, sizeof other, "~/.opalmem/mca-params.conf:%s/environment", folder);
        setenv("HOME", folder, 1);
        setenv("OPALMEM_MCA_mca_base_param_files", other, 1);
        execl(copy, copy, option, folder, "--tune", tune_path, (char *) NULL);
        _exit(127);
    }
    int status;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(set_uid_process_reads_files_of_the_system_only)
{
    const char *folder = make_files("tune = 1\n", "override = 1\n");
    int said = run_copy_with_files(04755, "--secure-files", folder, "tune");
    remove_files(folder);
    ck_assert_int_eq(said, FILE_OF_OVERRIDE | FILE_WARNINGS);
}
END_TEST

START_TEST(same_process_without_set_uid_reads_them_all)
{
    const char *folder = make_files("tune = 1\n", "override = 1\n");
    int said = run_copy_with_files(0755, "--files", folder, "tune");
    remove_files(folder);
    ck_assert_int_eq(said, FILE_OF_HOME | FILE_OF_ENVIRONMENT | FILE_OF_TUNE | FILE_OF_OVERRIDE | FILE_WARNINGS);
}
END_TEST

/* Its user may not read the file; a message that shows a bad line would do it for him. */
START_TEST(set_uid_process_shows_nothing_of_a_file)
{
    const char *folder = make_files("SECRET\n", "SECRET\n");
    int secure = run_copy_with_files(04755, "--secure-files", folder, "tune");
    int plain = run_copy_with_files(0755, "--files", folder, "tune");
    remove_files(folder);
    ck_assert_int_eq(secure, FILE_FAILED | FILE_WARNINGS);
    ck_assert_int_eq(plain, FILE_FAILED | FILE_WARNINGS | FILE_LEAKED);
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

/* A home with something that looks like a component; whether it can be loaded does not matter. */
static int run_with_home(mode_t mode, const char *option)
{
    char command[512];
    const char *home = make_folder();
    ck_assert_int_eq(chmod(home, 0755), 0);
    snprintf(
        command, sizeof command,
        "mkdir -p %s/.opalmem/components && touch %s/.opalmem/components/mca_fake_x.so && chown -R %d %s/.opalmem",
        home, home, OTHER_USER, home);
    ck_assert_int_eq(system(command), 0);
    setenv("HOME", home, 1);
    int rc = run_copy(mode, option, "USER_DEFAULT");
    snprintf(command, sizeof command, "rm -r %s", home);
    ck_assert_int_eq(system(command), 0);
    return rc;
}

START_TEST(set_uid_process_ignores_the_home)
{
    ck_assert_int_eq(run_with_home(04755, "--secure-child"), CHILD_SEES_NOTHING);
}
END_TEST

START_TEST(same_process_without_set_uid_looks_there)
{
    ck_assert_int_eq(run_with_home(0755, "--child"), CHILD_USES_HOME);
}
END_TEST

static void add(TCase *tests)
{
    if (mca_base_loader_works) {
        tcase_add_test(tests, set_uid_process_ignores_the_home);
        tcase_add_test(tests, same_process_without_set_uid_looks_there);
        tcase_add_test(tests, folder_of_the_user_who_installed_the_library_is_used);
        tcase_add_test(tests, folder_of_anybody_else_is_not);
    }
    tcase_add_test(tests, set_uid_process_ignores_the_environment_and_the_path);
    tcase_add_test(tests, same_process_without_set_uid_takes_both);
    tcase_add_test(tests, set_uid_process_reads_files_of_the_system_only);
    tcase_add_test(tests, same_process_without_set_uid_reads_them_all);
    tcase_add_test(tests, set_uid_process_shows_nothing_of_a_file);
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
    if (argc > 2 && strstr(argv[1], "files") != NULL) {
        _exit(be_child_with_files(strcmp(argv[1], "--secure-files") == 0, argc, argv));
    }
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
