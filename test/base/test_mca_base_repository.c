/* SPDX-License-Identifier: BSD-3-Clause */
/* Component DSOs: good ones, every kind of wrong ones, unloading.
 * The modules are built from fake_module.c and copied into folders of the
 * tests' own. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dso_fixture.h"
#include "framework/base/mca_base_repository.h"
#include "framework/base/mca_base_var.h"
#include "test/test_main.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

/* ---- Good ones --------------------------------------------------------------------------------------- */

START_TEST(dso_is_found_loaded_and_listed)
{
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    char path[256];
    path_of("good", path);
    mca_base_component_info_t info;
    ck_assert_uint_eq(mca_base_component_count(), 1);
    ck_assert_int_eq(mca_base_component_get_info(0, &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.name, "good");
    ck_assert_str_eq(info.path, path);
    ck_assert(info.available && info.priority == 50);
    ck_assert(info.version[0] == 7 && info.version[1] == 8 && info.version[2] == 9);
    expect_quiet();
    close_all();
}
END_TEST

START_TEST(variables_of_a_dso_are_set)
{
    setenv("OPALMEM_MCA_fake_good_priority", "77", 1);
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_int_eq(fake_item("good")->priority, 77);
}
END_TEST

START_TEST(symbols_of_a_dso_stay_local)
{
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert(is_mapped("mca_fake_good.so"));
    ck_assert_ptr_null(dlsym(RTLD_DEFAULT, "mca_fake_good_component"));
}
END_TEST

START_TEST(released_dso_is_unloaded_and_stays_listed)
{
    setenv("OPALMEM_MCA_fake_good_colour", "green", 1);
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    mca_base_component_release(fake_item("good"));
    ck_assert(!is_mapped("mca_fake_good.so"));
    ck_assert_ptr_null(fake_item("good")->component);
    ck_assert_int_eq(fake_item("good")->version[0], 7);
    unsigned found = 0;
    mca_base_var_info_t info;
    for (size_t i = 0; mca_base_var_get_info(i, &info) == OPAL_SUCCESS; i++) {
        if (strcmp(info.full_name, "fake_good_colour") == 0) {
            ck_assert_str_eq(info.value, "green");
            found++;
        } else if (strcmp(info.full_name, "fake_good_kind") == 0) {
            ck_assert_str_eq(info.value, "round");
            ck_assert_str_eq(info.enumerator[1].name, "flat");
            found++;
        }
    }
    ck_assert_uint_eq(found, 2);
    close_all();
}
END_TEST

/* Without being detached by where their storage is, finalize would write their defaults to where the DSO was. */
START_TEST(variables_of_a_dso_with_names_of_the_framework_end_with_it)
{
    install_module(folder, "base_variables", "base_variables", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert(mca_base_var_is_known("fake_base_colour"));
    mca_base_component_release(fake_item("base_variables"));
    ck_assert(!is_mapped("mca_fake_base_variables.so"));
    close_all();
}
END_TEST

START_TEST(resident_dso_stays_and_is_the_same_when_opened_again)
{
    install_module(folder, "resident", "resident", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    const mca_base_component_t *component = fake_item("resident")->component;
    ck_assert_ptr_nonnull(component);
    close_all();
    ck_assert(is_mapped("mca_fake_resident.so"));
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_ptr_eq(fake_item("resident")->component, component);
    ck_assert(fake_item("resident")->available);
    close_all();
}
END_TEST

START_TEST(component_name_may_hold_underscores)
{
    install_module(folder, "two_words", "two_words", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert(fake_item("two_words")->available);
}
END_TEST

/* ---- Which one counts ---------------------------------------------------------------------------------- */

START_TEST(static_component_wins_over_a_dso)
{
    static const mca_base_component_t built_in = FAKE_COMPONENT("good", .flags = 0);
    static const mca_base_component_t *const list[] = { &built_in, NULL };
    setenv("OPALMEM_MCA_fake_base_verbose", "10", 1);
    fake_framework.static_components = list;
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_ptr_eq(fake_item("good")->component, &built_in);
    ck_assert_ptr_null(fake_item("good")->path);
    ck_assert_uint_eq(mca_base_component_count(), 1);
}
END_TEST

START_TEST(first_directory_wins)
{
    const char *second = make_folder();
    char path[600], expected[256];
    snprintf(path, sizeof path, "%s::%s:", folder, second);
    use_folder(path);
    install_module(folder, "good", "good", WHOLE);
    install_module(second, "good", "good", WHOLE);
    install_module(second, "two_words", "two_words", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    path_of("good", expected);
    ck_assert_str_eq(fake_item("good")->path, expected);
    ck_assert(fake_item("two_words")->available);
    ck_assert_uint_eq(mca_base_component_count(), 2);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1); /* He has named the directory himself. */
    snprintf(path, sizeof path,
             "%s/mca_fake_good.so (mca_base_component_path) is not used: of component good of "
             "framework fake, %s comes first",
             second, expected);
    log_expect(MCA_BASE_LOG_WARN, path);
    remove_folder(second);
}
END_TEST

START_TEST(files_of_other_names_are_no_components)
{
    static const char *const names[] = { "README",           "mca_fake_.so",      "mca_fake_good.so.1",
                                         "mca_fake_good.la", "mca_fakes_good.so", "mca_fak_good.so",
                                         "libmca_fake_x.so", "mca_fake_a b.so",   "mca_fake_a+b.so",
                                         "mca_fake_a,b.so",  "mca_fake_^a.so",    "mca_fakegood.so" };
    char path[512];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        ck_assert_int_ge(fd, 0);
        close(fd);
    }
    memset(path, 0, sizeof path);
    snprintf(path, sizeof path, "%s/mca_fake_%064d.so", folder, 1);
    ck_assert_int_eq(symlink("nowhere", path), 0);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(mca_base_component_count(), 0);
    expect_quiet();
}
END_TEST

START_TEST(excluded_dso_is_not_loaded)
{
    setenv("OPALMEM_MCA_fake", "^good", 1);
    setenv("OPALMEM_MCA_fake_good_colour", "green", 1);
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert(!is_mapped("mca_fake_good.so"));
    ck_assert_ptr_nonnull(strstr(fake_item("good")->reason, "excluded by"));
    mca_base_report_unknown();
    expect_quiet();
}
END_TEST

/* ---- Wrong ones ------------------------------------------------------------------------------------------
 */

typedef struct wrong_t {
    const char *name;
    const char *cause;
} wrong_t;

static const wrong_t wrong_modules[] = {
    { "nosymbol", "it has no symbol mca_fake_nosymbol_component" },
    { "newmca", "made for version 2.1 of the MCA, not 2.0" },
    { "oldframework", "made for version 1.1 of framework fake, not 3.1" },
    { "wrongtype", "made for framework \"memory\", not fake" },
    { "wrongname", "the component in it is called \"other\"" },
    { "unresolved", "fake_function_that_nobody_defines" },
    { "small", "its component structure has " },
};

START_TEST(wrong_module_gives_file_and_cause_and_is_unloaded)
{
    const wrong_t *wrong = &wrong_modules[_i];
    char file[64];
    snprintf(file, sizeof file, "mca_fake_%s.so", wrong->name);
    install_module(folder, wrong->name, wrong->name, WHOLE);
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_refused(wrong->name, wrong->cause);
    ck_assert(!is_mapped(file));
    ck_assert(fake_item("good")->available);
    expect_quiet();
    close_all();
}
END_TEST

START_TEST(wrong_module_asked_for_alone_is_explained_by_unavailable)
{
    setenv("OPALMEM_MCA_fake", "unresolved", 1);
    install_module(folder, "unresolved", "unresolved", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_quiet();
    ck_assert_int_eq(mca_base_framework_unavailable(&fake_framework), OPAL_ERR_NOT_FOUND);
    log_expect(MCA_BASE_LOG_ERROR, "mca_fake_unresolved.so: undefined symbol: fake_function_that_nobody_defines");
}
END_TEST

START_TEST(wrong_module_asked_for_beside_a_good_one_is_a_warning)
{
    setenv("OPALMEM_MCA_fake", "unresolved,good", 1);
    install_module(folder, "unresolved", "unresolved", WHOLE);
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "component unresolved of framework fake cannot be loaded: ");
}
END_TEST

START_TEST(renamed_module_is_not_taken_for_another_component)
{
    install_module(folder, "good", "better", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_refused("better", "it has no symbol mca_fake_better_component");
}
END_TEST

static size_t module_size(void)
{
    char path[256];
    struct stat status;
    path_of("good", path);
    ck_assert_int_eq(stat(path, &status), 0);
    return (size_t) status.st_size;
}

START_TEST(module_cut_short_anywhere_is_refused_and_does_no_harm)
{
    install_module(folder, "good", "good", WHOLE);
    size_t size = module_size();
    for (size_t length = 0; length < size; length += length < 128 ? 16 : 512) {
        install_module(folder, "good", "good", length);
        ck_assert_int_eq(open_all(), OPAL_SUCCESS);
        expect_refused("good", length < 64 ? "it is not a shared object" : "it is damaged");
        close_all();
    }
    install_module(folder, "good", "good", WHOLE);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert(fake_item("good")->available);
    expect_quiet();
}
END_TEST

/* As after a crash of the machine: the size is there, the blocks are not. */
START_TEST(module_that_ends_with_zeros_is_refused_and_does_no_harm)
{
    char path[256];
    path_of("good", path);
    install_module(folder, "good", "good", WHOLE);
    size_t size = module_size();
    for (size_t length = 4096; length < size; length += 4096) {
        install_module(folder, "good", "good", length);
        ck_assert_int_eq(truncate(path, (off_t) size), 0);
        ck_assert_int_eq(open_all(), OPAL_SUCCESS);
        expect_refused("good", "it is damaged: its end was never written");
        close_all();
    }
}
END_TEST

/* Does a child that loads the file without our check die of SIGBUS? */
static bool dies_in_dlopen(const char *path)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        _exit(dlopen(path, RTLD_NOW | RTLD_LOCAL) != NULL);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS;
}

START_TEST(module_cut_short_kills_a_process_that_does_not_check)
{
    char path[256];
    unsigned deaths = 0;
    path_of("good", path);
    install_module(folder, "good", "good", WHOLE);
    size_t size = module_size();
    for (size_t length = 512; length < size && deaths == 0; length += 512) {
        install_module(folder, "good", "good", length);
        deaths += dies_in_dlopen(path);
    }
    ck_assert_uint_gt(deaths, 0);
}
END_TEST

START_TEST(file_that_is_no_object_is_refused)
{
    char path[256];
    path_of("text", path);
    FILE *file = fopen(path, "we");
    for (int i = 0; i < 1000; i++) {
        fprintf(file, "This is not a component.\n");
    }
    fclose(file);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_refused("text", "it is not a shared object for this machine");
}
END_TEST

START_TEST(pipe_and_dangling_link_are_refused_without_waiting)
{
    char path[256];
    path_of("pipe", path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    path_of("link", path);
    ck_assert_int_eq(symlink("nowhere", path), 0);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_refused("pipe", "it is not a file");
    expect_refused("link", "No such file or directory");
}
END_TEST

/* ---- Again and again
 * ---------------------------------------------------------------------------------------- */

static void one_round(void)
{
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert(fake_item("good")->available);
    ck_assert(fake_item("resident")->available);
    close_all();
}

START_TEST(hundred_rounds_leave_nothing)
{
    install_module(folder, "good", "good", WHOLE);
    install_module(folder, "resident", "resident", WHOLE);
    for (size_t i = 0; i < sizeof wrong_modules / sizeof wrong_modules[0]; i++) {
        install_module(folder, wrong_modules[i].name, wrong_modules[i].name, WHOLE);
    }
    expect_no_growth(one_round);
    ck_assert(!is_mapped("mca_fake_good.so"));
}
END_TEST

static void round_without_assertions(void)
{
    if (mca_base_open() == OPAL_SUCCESS && mca_base_framework_open(&fake_framework) == OPAL_SUCCESS) {
        mca_base_framework_close(&fake_framework);
    }
    mca_base_close();
}

/* Up to loading: libltdl 2.4 itself dies when it gets no memory. */
START_TEST(no_memory_while_searching_is_survived)
{
    setenv("OPALMEM_MCA_fake", "^good,nosymbol", 1);
    install_module(folder, "good", "good", WHOLE);
    install_module(folder, "nosymbol", "nosymbol", WHOLE);
    fail_each_allocation(round_without_assertions, 500);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(mca_base_component_count(), 2);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_checked_fixture(tests, dso_setup, dso_teardown);
    tcase_add_test(tests, dso_is_found_loaded_and_listed);
    tcase_add_test(tests, variables_of_a_dso_are_set);
    tcase_add_test(tests, symbols_of_a_dso_stay_local);
    tcase_add_test(tests, released_dso_is_unloaded_and_stays_listed);
    tcase_add_test(tests, variables_of_a_dso_with_names_of_the_framework_end_with_it);
    tcase_add_test(tests, resident_dso_stays_and_is_the_same_when_opened_again);
    tcase_add_test(tests, component_name_may_hold_underscores);
    tcase_add_test(tests, static_component_wins_over_a_dso);
    tcase_add_test(tests, first_directory_wins);
    tcase_add_test(tests, files_of_other_names_are_no_components);
    tcase_add_test(tests, excluded_dso_is_not_loaded);
    tcase_add_loop_test(tests, wrong_module_gives_file_and_cause_and_is_unloaded, 0, COUNT(wrong_modules));
    tcase_add_test(tests, wrong_module_asked_for_alone_is_explained_by_unavailable);
    tcase_add_test(tests, wrong_module_asked_for_beside_a_good_one_is_a_warning);
    tcase_add_test(tests, renamed_module_is_not_taken_for_another_component);
    tcase_add_test(tests, module_cut_short_anywhere_is_refused_and_does_no_harm);
    tcase_add_test(tests, module_that_ends_with_zeros_is_refused_and_does_no_harm);
    if (heap_is_counted()) { /* No sanitizer, no valgrind: those do not like a child that crashes. */
        tcase_add_test(tests, module_cut_short_kills_a_process_that_does_not_check);
    }
    tcase_add_test(tests, file_that_is_no_object_is_refused);
    tcase_add_test(tests, pipe_and_dangling_link_are_refused_without_waiting);
    tcase_add_test(tests, hundred_rounds_leave_nothing);
    tcase_add_test(tests, no_memory_while_searching_is_survived);
}

int main(void)
{
    if (!mca_base_loader_works) {
        return test_skip("libltdl: component DSOs cannot be tested");
    }
    return run_tests("mca_base_repository", add);
}
