/* SPDX-License-Identifier: BSD-3-Clause */
/* The component in the library as it is installed, linked in or as a DSO: how
 * it is chosen, and what it says where it cannot run. No fake is in here. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opal/mca/memory/memory.h"
#include "opal/opalmem.h"
#include "test/test_main.h"

#define DEVICE "OPALMEM_MCA_memory_ummunotify_device"

static char messages[4096];

static void collect(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    const size_t used = strlen(messages);
    snprintf(messages + used, sizeof(messages) - used, "%s\n", message);
}

static void set_up(void)
{
    mca_base_set_log(collect, NULL);
}

START_TEST(without_the_device_it_is_not_chosen_and_nothing_is_said)
{
    setenv(DEVICE, "/nonexistent/ummunotify", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_ne(opal_memory->memoryc_version.mca_component_name, "ummunotify");
    ck_assert_str_eq(messages, "");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(asked_for_without_the_device_it_says_what_is_missing)
{
    setenv(DEVICE, "/nonexistent/ummunotify", 1);
    setenv("OPALMEM_MCA_memory", "ummunotify", 1);
    ck_assert_int_ne(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_ptr_nonnull(strstr(messages, "/nonexistent/ummunotify: open failed (No such file or directory)"));
}
END_TEST

START_TEST(priority_beyond_its_range_is_refused)
{
    setenv("OPALMEM_MCA_memory_ummunotify_priority", "101", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_ERR_BAD_PARAM);
    ck_assert_ptr_nonnull(strstr(messages, "memory_ummunotify_priority"));
}
END_TEST

START_TEST(with_the_device_it_is_chosen_before_linux)
{
    setenv(DEVICE, getenv("OPALMEM_TEST_UMMUNOTIFY_DEVICE"), 1);
    setenv("OPALMEM_MCA_memory_kdreg_device", "/nonexistent/kdreg2", 1); /* It would come first. */
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_eq(opal_memory->memoryc_version.mca_component_name, "ummunotify");
    ck_assert_str_eq(messages, "");
    const int support = OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_CHUNK_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT;
    ck_assert_int_eq(opal_mem_hooks_support_level(), support);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ummunotify_component");
    TCase *tests = tcase_create("ummunotify_component");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, without_the_device_it_is_not_chosen_and_nothing_is_said);
    tcase_add_test(tests, asked_for_without_the_device_it_says_what_is_missing);
    tcase_add_test(tests, priority_beyond_its_range_is_refused);
    if (getenv("OPALMEM_TEST_UMMUNOTIFY_DEVICE") != NULL) {
        tcase_add_test(tests, with_the_device_it_is_chosen_before_linux);
    } else {
        printf("LEFT OUT: with_the_device_it_is_chosen_before_linux: OPALMEM_TEST_UMMUNOTIFY_DEVICE names none\n");
    }
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
