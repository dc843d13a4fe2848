/* SPDX-License-Identifier: BSD-3-Clause */
/* What the user says about DSOs (where they are, whether any is loaded, which
 * errors are told), what else can be wrong with one, and DSOs that must stay. */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dso_fixture.h"
#include "framework/base/mca_base_load_errors.h"
#include "framework/base/mca_base_repository.h"
#include "opal/memoryhooks/memory_internal.h"
#include "test/test_main.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

static void expect_reason(const char *name, const char *cause)
{
    mca_base_component_info_t info;
    for (size_t i = 0; mca_base_component_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (strcmp(info.name, name) == 0) {
            ck_assert(info.failed && !info.available);
            ck_assert_msg(strstr(info.reason, cause) != NULL, "\"%s\" is not in \"%s\"", cause, info.reason);
            return;
        }
    }
    ck_abort_msg("component %s is not listed", name);
}

/* ---- Where they are ---------------------------------------------------------------------------------- */

/* A home with the component "good" in its .opalmem/components. */
static void make_home(char components[64])
{
    char path[64];
    snprintf(path, sizeof path, "%s/.opalmem", folder);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(components, 64, "%s/.opalmem/components", folder);
    ck_assert_int_eq(mkdir(components, 0700), 0);
    install_module(components, "good", "good", WHOLE);
    setenv("HOME", folder, 1);
}

static void remove_home(const char *components)
{
    char path[64];
    remove_folder(components);
    snprintf(path, sizeof path, "%s/.opalmem", folder);
    remove_folder(path);
}

START_TEST(components_of_the_home_are_found_by_default)
{
    char components[64];
    make_home(components);
    unsetenv("OPALMEM_MCA_mca_base_component_path");
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_int_eq(strncmp(fake_item("good")->path, components, strlen(components)), 0);
    expect_quiet();
    close_all();
    remove_home(components);
}
END_TEST

START_TEST(tokens_stand_for_directories_in_their_order)
{
    char components[64], path[128];
    make_home(components);
    install_module(folder, "good", "good", WHOLE);
    snprintf(path, sizeof path, "USER_DEFAULT:%s:SYSTEM_DEFAULT:USER_DEFAULT", folder);
    use_folder(path);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_int_eq(strncmp(fake_item("good")->path, components, strlen(components)), 0);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1); /* Of the one in the directory that was named. */
    close_all();
    log_start();
    snprintf(path, sizeof path, "%s:USER_DEFAULT", folder);
    use_folder(path);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_int_ne(strncmp(fake_item("good")->path, components, strlen(components)), 0);
    expect_quiet();
    close_all();
    remove_home(components);
}
END_TEST

static const char *const homes[] = { NULL, "", "relative", "/nowhere/at/all", "/dev/null" };

START_TEST(home_without_components_is_passed_over)
{
    if (homes[_i] == NULL) {
        unsetenv("HOME");
    } else {
        setenv("HOME", homes[_i], 1);
    }
    unsetenv("OPALMEM_MCA_mca_base_component_path");
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(mca_base_component_count(), 0);
    expect_quiet();
}
END_TEST

START_TEST(components_of_a_home_that_everybody_may_write_are_refused)
{
    char components[64];
    make_home(components);
    ck_assert_int_eq(chmod(folder, 0777), 0);
    unsetenv("OPALMEM_MCA_mca_base_component_path");
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(mca_base_component_count(), 0);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, components);
    log_expect(MCA_BASE_LOG_WARN, "everybody may write to the directory");
    close_all();
    remove_home(components);
}
END_TEST

START_TEST(directory_that_is_there_twice_counts_once)
{
    char path[128], link[64];
    snprintf(link, sizeof link, "%s/again", folder);
    ck_assert_int_eq(symlink(folder, link), 0);
    snprintf(path, sizeof path, "%s:%s/:%s", folder, folder, link);
    use_folder(path);
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert(fake_item("good")->available);
    expect_quiet();
}
END_TEST

START_TEST(dso_behind_a_static_component_is_told)
{
    static const mca_base_component_t built_in = FAKE_COMPONENT("good", .flags = 0);
    static const mca_base_component_t *const list[] = { &built_in, NULL };
    fake_framework.static_components = list;
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_ptr_eq(fake_item("good")->component, &built_in);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "component good of framework fake, the one that is linked in comes first");
}
END_TEST

/* ---- Whether any is loaded ------------------------------------------------------------------------------- */

START_TEST(dsos_are_not_loaded_where_the_user_forbids_it)
{
    setenv("OPALMEM_MCA_mca_base_component_disable_dlopen", "1", 1);
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(mca_base_component_count(), 0);
    expect_quiet();
    close_all();
    setenv("OPALMEM_MCA_fake", "good", 1);
    ck_assert_int_eq(open_all(), OPAL_ERR_NOT_FOUND);
    log_expect(MCA_BASE_LOG_ERROR,
               "there are: none (mca_base_component_disable_dlopen forbids to load any other)");
}
END_TEST

/* ---- Which errors are told --------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    bool unresolved, small; /* Of framework fake: is its error told? */
} shown[] = {
    { NULL, false, false },
    { "", false, false },
    { "none", false, false },
    { "all", true, true },
    { "1", true, true },
    { "Yes", true, true },
    { "0", false, false },
    { "false", false, false },
    { "fake", true, true },
    { "memory,fake", true, true },
    { "memory", false, false },
    { "fak,fakes", false, false },
    { "fake/small", false, true },
    { "fake/small,fake/unresolved", true, true },
    { "^fake", false, false },
    { "^memory", true, true },
    { "^fake/small", true, false },
    { "^memory,fake/small", true, false },
    { "fake/smal,fake/smalle,memory/small", false, false },
};

START_TEST(load_errors_are_told_as_the_user_wants)
{
    const char *problem;
    ck_assert_int_eq(mca_base_load_errors_parse(shown[_i].text, &problem), OPAL_SUCCESS);
    ck_assert(mca_base_load_errors_shown(shown[_i].text, "fake", "small") == shown[_i].small);
    if (shown[_i].text != NULL) {
        setenv("OPALMEM_MCA_mca_base_component_show_load_errors", shown[_i].text, 1);
    }
    install_module(folder, "unresolved", "unresolved", WHOLE);
    install_module(folder, "small", "small", WHOLE);
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), (unsigned) shown[_i].unresolved + shown[_i].small);
    if (shown[_i].unresolved) {
        log_expect(MCA_BASE_LOG_WARN, "component unresolved of framework fake cannot be loaded: ");
        log_expect(MCA_BASE_LOG_WARN,
                   "mca_fake_unresolved.so: undefined symbol: fake_function_that_nobody_defines");
    }
    expect_reason("small", "its component structure has "); /* Listed in any case. */
    expect_reason("unresolved", "fake_function_that_nobody_defines");
}
END_TEST

START_TEST(load_error_of_a_component_in_the_list_is_told_once)
{
    setenv("OPALMEM_MCA_mca_base_component_show_load_errors", "all", 1);
    setenv("OPALMEM_MCA_fake", "unresolved,good", 1);
    install_module(folder, "unresolved", "unresolved", WHOLE);
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
}
END_TEST

static const struct {
    const char *text, *problem;
} wrong_lists[] = {
    { "all,fake", "\"all\" and \"none\" stand alone" },
    { "^none", "\"all\" and \"none\" stand alone" },
    { "fake,", "a name is missing" },
    { ",fake", "a name is missing" },
    { "^", "a name is missing" },
    { "fake//good", "a name has more than one \"/\"" },
    { "fake/good/x", "a name has more than one \"/\"" },
    { "/good", "a name is missing" },
    { "fake/", "a name is missing" },
    { "fake good", "it holds a blank" },
    { "fake,^memory", "\"^\" may only stand at the start" },
};

START_TEST(list_that_is_none_is_refused_with_one_message)
{
    setenv("OPALMEM_MCA_mca_base_component_show_load_errors", wrong_lists[_i].text, 1);
    ck_assert_int_eq(mca_base_open(), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, wrong_lists[_i].problem);
    log_expect(MCA_BASE_LOG_ERROR, wrong_lists[_i].text);
    log_expect(MCA_BASE_LOG_ERROR, "environment variable OPALMEM_MCA_mca_base_component_show_load_errors");
    log_expect(MCA_BASE_LOG_ERROR, "expected all, none, or a list");
    unsetenv("OPALMEM_MCA_mca_base_component_show_load_errors");
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    mca_base_close();
}
END_TEST

/* ---- What else can be wrong with one ----------------------------------------------------------------------- */

/* Put other bytes into the copy of "good". */
static void change(long offset, const void *bytes, size_t size)
{
    char path[256];
    snprintf(path, sizeof path, "%s/mca_fake_good.so", folder);
    FILE *file = fopen(path, "r+be");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, offset, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static long find_in_module(const char *text)
{
    char path[256];
    static char bytes[1 << 20];
    snprintf(path, sizeof path, "%s/mca_fake_good.so", folder);
    FILE *file = fopen(path, "rbe");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    const char *found = memmem(bytes, size, text, strlen(text));
    ck_assert_msg(found != NULL, "%s is not in the module", text);
    return found - bytes;
}

#if defined(__x86_64__)
#define HERE "x86-64"
#define ELSEWHERE "AArch64"
enum { MACHINE_ELSEWHERE = EM_AARCH64 };
#elif defined(__aarch64__)
#define HERE "AArch64"
#define ELSEWHERE "x86-64"
enum { MACHINE_ELSEWHERE = EM_X86_64 };
#endif

#ifdef HERE
static const struct {
    long offset;
    unsigned char bytes[2];
    size_t size;
    const char *cause;
} foreign[] = {
    { EI_CLASS, { ELFCLASS32 }, 1, "it is made for " HERE " with 32 bits, not for " HERE " with 64" },
    { 18, { MACHINE_ELSEWHERE, 0 }, 2, "it is made for " ELSEWHERE " with 64 bits, not for " HERE " with 64" },
    { 18, { 0x34, 0x12 }, 2, "it is made for another machine with 64 bits, not for " HERE " with 64" },
    { EI_DATA, { ELFDATA2MSB }, 1, "it is made for a machine with the other byte order" },
};

START_TEST(dso_for_another_machine_is_refused)
{
    install_module(folder, "good", "good", WHOLE);
    change(foreign[_i].offset, foreign[_i].bytes, foreign[_i].size);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_reason("good", foreign[_i].cause);
    expect_quiet();
}
END_TEST
#endif

START_TEST(library_that_is_missing_is_named)
{
    install_module(folder, "copy", "good", WHOLE);
    change(find_in_module("libopalmem.so.0"), "libnosuch", 9);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_reason("good", "mca_fake_good.so: libnosuchm.so.0: cannot open shared object file");
}
END_TEST

/* The names of the library in this program are exported, so that the DSO takes those. */
START_TEST(dso_that_brings_another_copy_and_does_not_use_it_is_taken)
{
    install_module(folder, "copy", "copy", WHOLE);
    setenv("OPALMEM_MCA_fake_copy_colour", "red", 1);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert(fake_item("copy")->available);
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_find_info("fake_copy_colour", &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.value, "red"); /* Registered with us. */
    expect_quiet();
    close_all();
}
END_TEST

/* ---- Staying ------------------------------------------------------------------------------------------------- */

static const char *const leaving[] = { "log", "hook_alloc", "hook_release" };

START_TEST(dso_that_leaves_a_callback_behind_stays_loaded)
{
    char file[64];
    snprintf(file, sizeof file, "mca_fake_%s.so", leaving[_i]);
    setenv("OPALMEM_MCA_fake_base_verbose", "10", 1);
    install_module(folder, leaving[_i], leaving[_i], WHOLE);
    install_module(folder, "good", "good", WHOLE);
    opal_mem_hooks_set_support(OPAL_MEMORY_MALLOC_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert(fake_item(leaving[_i])->available);
    mca_base_component_release(fake_item(leaving[_i]));
    ck_assert(is_mapped(file));
    if (strcmp(leaving[_i], "log") != 0) {
        log_expect(MCA_BASE_LOG_INFO, "stays loaded: it has left a callback behind");
    }
    opal_mem_hooks_release_cause(&file, 1, true, OPAL_MEM_HOOKS_CAUSE_CALLER); /* Called, without harm. */
    opal_mem_hooks_alloc_hook(&file, 1, true);
    mca_base_log(MCA_BASE_LOG_ERROR, "to whoever listens");
    mca_base_component_release(fake_item("good"));
    ck_assert(!is_mapped("mca_fake_good.so"));
    close_all();
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, dso_setup, dso_teardown);
    tcase_add_test(tests, components_of_the_home_are_found_by_default);
    tcase_add_test(tests, tokens_stand_for_directories_in_their_order);
    tcase_add_loop_test(tests, home_without_components_is_passed_over, 0, COUNT(homes));
    tcase_add_test(tests, components_of_a_home_that_everybody_may_write_are_refused);
    tcase_add_test(tests, directory_that_is_there_twice_counts_once);
    tcase_add_test(tests, dso_behind_a_static_component_is_told);
    tcase_add_test(tests, dsos_are_not_loaded_where_the_user_forbids_it);
    tcase_add_loop_test(tests, load_errors_are_told_as_the_user_wants, 0, COUNT(shown));
    tcase_add_test(tests, load_error_of_a_component_in_the_list_is_told_once);
    tcase_add_loop_test(tests, list_that_is_none_is_refused_with_one_message, 0, COUNT(wrong_lists));
#ifdef HERE
    tcase_add_loop_test(tests, dso_for_another_machine_is_refused, 0, COUNT(foreign));
#endif
    tcase_add_test(tests, library_that_is_missing_is_named);
    tcase_add_test(tests, dso_that_brings_another_copy_and_does_not_use_it_is_taken);
    tcase_add_loop_test(tests, dso_that_leaves_a_callback_behind_stays_loaded, 0, COUNT(leaving));
}

int main(void)
{
    if (!mca_base_loader_works) {
        return test_skip("libltdl: component DSOs cannot be tested");
    }
    return run_tests("mca_base_repository_vars", add);
}
