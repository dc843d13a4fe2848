/* SPDX-License-Identifier: BSD-3-Clause */
/* Component DSOs: directories, and what belongs to strangers or may be written by them. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dso_fixture.h"
#include "framework/base/mca_base_repository.h"
#include "test/test_main.h"

#define OTHER_USER 54321

/* ---- Strangers --------------------------------------------------------------------------------------------
 */

START_TEST(module_that_everybody_may_write_is_refused)
{
    char path[256];
    path_of("good", path);
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(chmod(path, 0757), 0);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_refused("good", "everybody may write to it (mode 0757)");
    ck_assert(!is_mapped("mca_fake_good.so"));
}
END_TEST

START_TEST(directory_that_everybody_may_write_is_refused)
{
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(chmod(folder, 01777), 0);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(mca_base_component_count(), 0);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, folder);
    log_expect(MCA_BASE_LOG_WARN, "everybody may write to it (mode 1777)");
}
END_TEST

START_TEST(module_of_another_user_is_refused)
{
    char path[256];
    path_of("good", path);
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(chown(path, OTHER_USER, (gid_t) -1), 0);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_refused("good", "it belongs to user 54321, which is neither root nor you");
}
END_TEST

START_TEST(directory_of_another_user_is_refused)
{
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(chown(folder, OTHER_USER, (gid_t) -1), 0);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(mca_base_component_count(), 0);
    log_expect(MCA_BASE_LOG_WARN, "it belongs to user 54321");
}
END_TEST

/* ---- Directories
 * -------------------------------------------------------------------------------------------- */

START_TEST(missing_directory_is_a_warning)
{
    char path[300];
    snprintf(path, sizeof path, "%s/missing", folder);
    use_folder(path);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, path);
    log_expect(MCA_BASE_LOG_WARN, "No such file or directory");
}
END_TEST

START_TEST(missing_standard_directory_is_no_warning)
{
    char path[300];
    snprintf(path, sizeof path, "%s/missing", folder);
    ck_assert_int_eq(mca_base_repository_open(path, path), OPAL_SUCCESS);
    mca_base_repository_close();
    expect_quiet();
}
END_TEST

START_TEST(file_in_place_of_a_directory_is_a_warning)
{
    char path[256];
    install_module(folder, "good", "good", WHOLE);
    path_of("good", path);
    use_folder(path);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "Not a directory");
}
END_TEST

START_TEST(empty_path_means_no_directories)
{
    use_folder("");
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(mca_base_component_count(), 0);
    expect_quiet();
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, dso_setup, dso_teardown);
    tcase_add_test(tests, module_that_everybody_may_write_is_refused);
    tcase_add_test(tests, directory_that_everybody_may_write_is_refused);
    if (geteuid() == 0) {
        tcase_add_test(tests, module_of_another_user_is_refused);
        tcase_add_test(tests, directory_of_another_user_is_refused);
    } else {
        printf("not root: files of other users are not tested\n");
    }
    tcase_add_test(tests, missing_directory_is_a_warning);
    tcase_add_test(tests, missing_standard_directory_is_no_warning);
    tcase_add_test(tests, file_in_place_of_a_directory_is_a_warning);
    tcase_add_test(tests, empty_path_means_no_directories);
}

int main(void)
{
    if (!mca_base_loader_works) {
        return test_skip("libltdl: component DSOs cannot be tested");
    }
    return run_tests("mca_base_repository_directories", add);
}
