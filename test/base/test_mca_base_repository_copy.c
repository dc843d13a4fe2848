/* SPDX-License-Identifier: BSD-3-Clause */
/* A program that has the library linked in and does not export its names: a
 * DSO that brings the shared one along would use that. */
#include <string.h>

#include "dso_fixture.h"
#include "framework/base/mca_base_repository.h"
#include "test/test_main.h"

START_TEST(dso_that_brings_another_copy_of_the_library_is_refused)
{
    install_module(folder, "copy", "copy", (size_t) -1);
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_framework_open(&fake_framework), OPAL_SUCCESS);
    const mca_base_component_item_t *item = fake_item("copy");
    ck_assert(item->failed && item->component == NULL);
    ck_assert_ptr_nonnull(strstr(item->reason, "it is linked with another copy of libopalmem ("));
    ck_assert_ptr_nonnull(strstr(item->reason, "libopalmem.so"));
    mca_base_framework_close(&fake_framework);
    mca_base_close();
}
END_TEST

int main(void)
{
    if (!mca_base_loader_works) {
        return test_skip("libltdl: component DSOs cannot be tested");
    }
    Suite *suite = suite_create("mca_base_repository_copy");
    TCase *tests = tcase_create("mca_base_repository_copy");
    tcase_add_checked_fixture(tests, dso_setup, dso_teardown);
    tcase_add_test(tests, dso_that_brings_another_copy_of_the_library_is_refused);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
