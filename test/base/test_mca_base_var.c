/* SPDX-License-Identifier: BSD-3-Clause */
/* Variables: sources and their order, storage, listings. */
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base_test.h"
#include "framework/base/mca_base_var_table.h"
#include "test/children.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

static const mca_base_var_enum_value_t colours[] = { { "red", 7 }, { "green", 9 }, { NULL, 0 } };

static int number;
static size_t size;
static bool flag;
static unsigned natural;
static double real;
static int colour;
static char *text;

static mca_base_var_def_t number_def(void *storage)
{
    return (mca_base_var_def_t){ .framework = "fake",
                                 .component = "base",
                                 .name = "number",
                                 .help = "A number.",
                                 .type = MCA_BASE_VAR_TYPE_INT,
                                 .info_level = 3,
                                 .min = -5,
                                 .max = 100,
                                 .storage = storage };
}

static mca_base_var_def_t text_def(void *storage)
{
    return (mca_base_var_def_t){ .framework = "fake",
                                 .component = "base",
                                 .name = "text",
                                 .type = MCA_BASE_VAR_TYPE_STRING,
                                 .info_level = 1,
                                 .storage = storage };
}

static int register_number(void)
{
    mca_base_var_def_t def = number_def(&number);
    mca_base_var_open();
    return mca_base_var_register(&def);
}

static int register_text(void)
{
    mca_base_var_def_t def = text_def(&text);
    mca_base_var_open();
    return mca_base_var_register(&def);
}

/* ---- Sources ------------------------------------------------------------------------------------- */

static void expect_info(const char *full_name, const char *value, mca_base_var_source_t source, const char *detail)
{
    mca_base_var_info_t info;
    size_t i = 0;
    while (mca_base_var_get_info(i, &info) == OPAL_SUCCESS && strcmp(info.full_name, full_name) != 0) {
        i++;
    }
    ck_assert_uint_lt(i, mca_base_var_count());
    ck_assert_str_eq(info.value, value);
    ck_assert_int_eq(info.source, source);
    ck_assert_str_eq(info.source_detail, detail);
}

START_TEST(without_a_setting_the_default_stays)
{
    number = 42;
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 42);
    expect_info("fake_base_number", "42", MCA_BASE_VAR_SOURCE_DEFAULT, "");
}
END_TEST

START_TEST(command_line_wins_over_own_environment_over_open_mpi)
{
    setenv("OMPI_MCA_fake_base_number", "1", 1);
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 1);
    expect_info("fake_base_number", "1", MCA_BASE_VAR_SOURCE_ENV, "OMPI_MCA_fake_base_number");

    mca_base_var_close();
    setenv("OPALMEM_MCA_fake_base_number", "2", 1);
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 2);
    expect_info("fake_base_number", "2", MCA_BASE_VAR_SOURCE_ENV, "OPALMEM_MCA_fake_base_number");

    mca_base_var_close();
    ck_assert_int_eq(take_arguments("x", "--mca", "fake_base_number", "3", NULL), OPAL_SUCCESS);
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 3);
    expect_info("fake_base_number", "3", MCA_BASE_VAR_SOURCE_COMMAND_LINE, "argument 2");
    ck_assert_uint_eq(mca_base_var_count(), 1);
}
END_TEST

START_TEST(bad_value_names_value_source_and_what_is_allowed)
{
    setenv("OPALMEM_MCA_fake_base_number", "12abc", 1);
    number = 42;
    log_start();
    ck_assert_int_eq(register_number(), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(number, 42);
    ck_assert_uint_eq(mca_base_var_refused(), 1);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, "fake_base_number");
    log_expect(MCA_BASE_LOG_ERROR, "\"12abc\" (environment variable OPALMEM_MCA_fake_base_number)");
    log_expect(MCA_BASE_LOG_ERROR, "a whole number from -5 to 100");
}
END_TEST

START_TEST(bad_value_of_each_type_says_what_is_allowed)
{
    static const struct {
        mca_base_var_type_t type;
        void *storage;
        const char *allowed;
    } cases[] = {
        { MCA_BASE_VAR_TYPE_INT, &number, "a whole number from -2147483648 to 2147483647" },
        { MCA_BASE_VAR_TYPE_SIZE_T, &size,
          "a number from 0 to 18446744073709551615, which K, M, G or T may follow" },
        { MCA_BASE_VAR_TYPE_UNSIGNED_INT, &natural, "a whole number from 0 to 4294967295" },
        { MCA_BASE_VAR_TYPE_DOUBLE, &real, "a decimal number such as 0.5" },
        { MCA_BASE_VAR_TYPE_BOOL, &flag, "one of 0, 1, false, true, f, t, no, yes, n, y, disabled, enabled" },
        { MCA_BASE_VAR_TYPE_ENUM, &colour, "one of red, green" },
    };
    setenv("OPALMEM_MCA_fake_x", "blue", 1);
    log_start();
    mca_base_var_open();
    ck_assert_int_eq(mca_base_var_register(&(mca_base_var_def_t){ .framework = "fake",
                                                                  .name = "x",
                                                                  .type = cases[_i].type,
                                                                  .info_level = 1,
                                                                  .enumerator = colours,
                                                                  .min = 1,
                                                                  .max = 1,
                                                                  .storage = cases[_i].storage }),
                     OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, cases[_i].allowed);
}
END_TEST

START_TEST(fork_child_can_use_the_variables)
{
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    pid_t child = fork();
    if (child == 0) {
        mca_base_reset_child();
        number = 0;
        _exit(register_number() == OPAL_SUCCESS && mca_base_var_count() == 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}
END_TEST

/* The parent's thread that holds the lock is not in the child, and nobody has called opalmem_init(). */
START_TEST(fork_child_can_use_the_variables_while_the_parent_holds_the_lock)
{
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    mca_base_var_lock();
    pid_t child = fork();
    if (child == 0) {
        child_must_end_within(20);
        child_says(mca_base_var_count() == 1);
    }
    mca_base_var_unlock();
    child_must_be_good(child);
}
END_TEST

START_TEST(own_variables_ignore_open_mpi)
{
    setenv("OMPI_MCA_mca_base_verbose", "stderr,level:10", 1);
    setenv("OMPI_MCA_mca_base_component_path", "/usr/lib/openmpi", 1);
    log_start();
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    expect_info("mca_base_verbose", "0", MCA_BASE_VAR_SOURCE_DEFAULT, "");
    expect_info("mca_base_component_path", "SYSTEM_DEFAULT:USER_DEFAULT", MCA_BASE_VAR_SOURCE_DEFAULT, "");
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN) + log_count(MCA_BASE_LOG_ERROR), 0);
}
END_TEST

START_TEST(verbosity_takes_the_names_that_open_mpi_uses)
{
    setenv("OMPI_MCA_fake_base_verbose", "max", 1);
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_framework_open(&fake_framework), OPAL_SUCCESS);
    ck_assert_int_eq(fake_framework.verbose, 100);
    mca_base_close();
    ck_assert_int_eq(fake_framework.verbose, 0);
}
END_TEST

START_TEST(bad_own_variable_opens_nothing)
{
    setenv("OPALMEM_MCA_mca_base_verbose", "101", 1);
    log_start();
    ck_assert_int_eq(mca_base_open(), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(mca_base_var_count(), 0);
    unsetenv("OPALMEM_MCA_mca_base_verbose");
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
}
END_TEST

/* ---- Names and storage ---------------------------------------------------------------------------- */

START_TEST(full_name_leaves_out_what_is_missing)
{
    static const mca_base_var_def_t parts[] = {
        { .framework = "memory" },
        { .framework = "memory", .component = "linux", .name = "priority" },
        { .framework = "memory", .component = "base", .name = "verbose" },
        { .name = "mca_base_verbose" },
        { .framework = "memory", .name = "alone" },
    };
    static const char *const names[] = { "memory", "memory_linux_priority", "memory_base_verbose",
                                         "mca_base_verbose", "memory_alone" };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        mca_base_var_def_t def = parts[i];
        def.info_level = 1;
        def.storage = &number;
        mca_base_var_info_t info;
        ck_assert_int_eq(mca_base_var_register(&def), OPAL_SUCCESS);
        ck_assert_int_eq(mca_base_var_get_info(i, &info), OPAL_SUCCESS);
        ck_assert_str_eq(info.full_name, names[i]);
        ck_assert_str_eq(info.framework, def.framework != NULL ? def.framework : "");
        ck_assert_str_eq(info.component, def.component != NULL ? def.component : "base");
    }
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_get_info(mca_base_var_count(), &info), OPAL_ERR_NOT_FOUND);
}
END_TEST

START_TEST(definition_is_copied)
{
    char name[] = "number", help[] = "Help.";
    mca_base_var_def_t def = number_def(&number);
    def.name = name;
    def.help = help;
    ck_assert_int_eq(mca_base_var_register(&def), OPAL_SUCCESS);
    memset(name, 'x', sizeof name - 1);
    memset(help, 'x', sizeof help - 1);
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_get_info(0, &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.full_name, "fake_base_number");
    ck_assert_str_eq(info.help, "Help.");
    ck_assert_int_eq(info.info_level, 3);
    mca_base_var_close();
}
END_TEST

START_TEST(string_belongs_to_the_library_until_close)
{
    static char fallback[] = "fallback";
    text = fallback;
    ck_assert_int_eq(register_text(), OPAL_SUCCESS);
    ck_assert_str_eq(text, "fallback");
    ck_assert_ptr_ne(text, fallback);
    mca_base_var_close();
    ck_assert_ptr_eq(text, fallback);

    setenv("OPALMEM_MCA_fake_base_text", "given", 1);
    ck_assert_int_eq(register_text(), OPAL_SUCCESS);
    ck_assert_str_eq(text, "given");
    mca_base_var_close();
    ck_assert_ptr_eq(text, fallback);
}
END_TEST

START_TEST(string_may_default_to_null_and_be_set_to_nothing)
{
    ck_assert_int_eq(register_text(), OPAL_SUCCESS);
    ck_assert_ptr_null(text);
    mca_base_var_close();
    setenv("OPALMEM_MCA_fake_base_text", "", 1);
    ck_assert_int_eq(register_text(), OPAL_SUCCESS);
    ck_assert_str_eq(text, "");
    mca_base_var_close();
    ck_assert_ptr_null(text);
}
END_TEST

START_TEST(every_type_gets_its_default_back_at_close)
{
    setenv("OPALMEM_MCA_fake_number", "8", 1);
    setenv("OPALMEM_MCA_fake_size", "8K", 1);
    setenv("OPALMEM_MCA_fake_flag", "yes", 1);
    setenv("OPALMEM_MCA_fake_colour", "red", 1);
    number = 1, size = 2, flag = false, colour = 9, natural = 3, real = 0.5;
    setenv("OPALMEM_MCA_fake_natural", "0xffffffff", 1);
    setenv("OPALMEM_MCA_fake_real", "0.1", 1);
    mca_base_var_open();
    const mca_base_var_def_t defs[] = {
        { .framework = "fake",
          .name = "number",
          .type = MCA_BASE_VAR_TYPE_INT,
          .info_level = 1,
          .storage = &number },
        { .framework = "fake",
          .name = "size",
          .type = MCA_BASE_VAR_TYPE_SIZE_T,
          .info_level = 1,
          .storage = &size },
        { .framework = "fake", .name = "flag", .type = MCA_BASE_VAR_TYPE_BOOL, .info_level = 1, .storage = &flag },
        { .framework = "fake",
          .name = "colour",
          .type = MCA_BASE_VAR_TYPE_ENUM,
          .info_level = 1,
          .enumerator = colours,
          .storage = &colour },
        { .framework = "fake",
          .name = "natural",
          .type = MCA_BASE_VAR_TYPE_UNSIGNED_INT,
          .info_level = 1,
          .storage = &natural },
        { .framework = "fake",
          .name = "real",
          .type = MCA_BASE_VAR_TYPE_DOUBLE,
          .info_level = 1,
          .storage = &real },
    };
    for (size_t i = 0; i < sizeof defs / sizeof defs[0]; i++) {
        ck_assert_int_eq(mca_base_var_register(&defs[i]), OPAL_SUCCESS);
    }
    ck_assert(number == 8 && size == 8192 && flag && colour == 7 && natural == 0xffffffff);
    ck_assert_double_eq(real, 0.1);
    mca_base_var_close();
    ck_assert(number == 1 && size == 2 && !flag && colour == 9 && natural == 3);
    ck_assert_double_eq(real, 0.5);
}
END_TEST

START_TEST(second_registration_moves_the_storage)
{
    static int other = 17;
    number = 42;
    setenv("OPALMEM_MCA_fake_base_number", "5", 1);
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 5);
    setenv("OPALMEM_MCA_fake_base_number", "6", 1);
    mca_base_var_def_t def = number_def(&other);
    ck_assert_int_eq(mca_base_var_register(&def), OPAL_SUCCESS);
    ck_assert_int_eq(number, 42);
    ck_assert_int_eq(other, 5);
    ck_assert_uint_eq(mca_base_var_count(), 1);
    mca_base_var_close();
    ck_assert_int_eq(other, 17);
}
END_TEST

START_TEST(same_storage_again_keeps_the_first_default)
{
    setenv("OPALMEM_MCA_fake_base_number", "5", 1);
    number = 42;
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    ck_assert_int_eq(number, 5);
    mca_base_var_close();
    ck_assert_int_eq(number, 42);
}
END_TEST

START_TEST(detached_storage_is_not_written_any_more)
{
    static char fallback[] = "fallback";
    setenv("OPALMEM_MCA_fake_base_text", "given", 1);
    text = fallback;
    ck_assert_int_eq(register_text(), OPAL_SUCCESS);
    mca_base_var_detach("fake", "base");
    ck_assert_ptr_eq(text, fallback);
    text = NULL;
    expect_info("fake_base_text", "given", MCA_BASE_VAR_SOURCE_ENV, "OPALMEM_MCA_fake_base_text");
    mca_base_var_close();
    ck_assert_ptr_null(text);
}
END_TEST

START_TEST(two_variables_of_one_full_name_are_refused)
{
    mca_base_var_def_t a = {
        .framework = "fake", .component = "x", .name = "y_z", .info_level = 1, .storage = &number
    };
    mca_base_var_def_t b = {
        .framework = "fake", .component = "x_y", .name = "z", .info_level = 1, .storage = &colour
    };
    log_start();
    ck_assert_int_eq(mca_base_var_register(&a), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_register(&b), OPAL_ERR_BAD_PARAM);
    log_expect(MCA_BASE_LOG_ERROR, "fake_x_y_z");
}
END_TEST

START_TEST(long_values_are_cut_in_listings_only)
{
    char given[2001];
    memset(given, 'v', 2000);
    given[2000] = '\0';
    setenv("OPALMEM_MCA_fake_base_text", given, 1);
    ck_assert_int_eq(register_text(), OPAL_SUCCESS);
    ck_assert_str_eq(text, given);
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_get_info(0, &info), OPAL_SUCCESS);
    ck_assert_uint_eq(strlen(info.value), sizeof info.value - 1);
}
END_TEST

START_TEST(many_variables_are_listed_in_order)
{
    static int storage[200];
    for (int i = 0; i < 200; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%d", i);
        mca_base_var_def_t def = { .framework = "fake", .name = name, .info_level = 1, .storage = &storage[i] };
        ck_assert_int_eq(mca_base_var_register(&def), OPAL_SUCCESS);
    }
    for (int i = 0; i < 200; i++) {
        char name[32];
        mca_base_var_info_t info;
        snprintf(name, sizeof name, "fake_n%d", i);
        ck_assert_int_eq(mca_base_var_get_info((size_t) i, &info), OPAL_SUCCESS);
        ck_assert_str_eq(info.full_name, name);
    }
}
END_TEST

/* ---- Threads --------------------------------------------------------------------------------------- */

enum { THREADS = 4, EACH = 50 };

static void *register_many(void *arg)
{
    static int storage[THREADS][EACH];
    int thread = *(int *) arg;
    for (int i = 0; i < EACH; i++) {
        char name[32];
        mca_base_var_info_t info;
        snprintf(name, sizeof name, "t%d_%d", thread, i);
        mca_base_var_def_t def = {
            .framework = "fake", .name = name, .info_level = 1, .storage = &storage[thread][i]
        };
        mca_base_var_register(&def);
        for (size_t k = 0; mca_base_var_get_info(k, &info) == OPAL_SUCCESS; k++) {
        }
    }
    return NULL;
}

START_TEST(threads_may_register_and_list_at_once)
{
    pthread_t threads[THREADS];
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, register_many, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_eq(mca_base_var_count(), THREADS * EACH);
}
END_TEST

/* ---- Leaks ---------------------------------------------------------------------------------------- */

static void one_round(void)
{
    static char fallback[] = "fallback";
    text = fallback;
    take_arguments("--mca", "fake_base_text", "from the command line", NULL);
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(register_text(), OPAL_SUCCESS);
    ck_assert_int_eq(register_number(), OPAL_SUCCESS);
    mca_base_close();
}

START_TEST(hundred_rounds_leave_nothing)
{
    expect_no_growth(one_round);
}
END_TEST

static void leaking_round(void)
{
    static char *volatile lost;
    one_round();
    lost = strdup("x");
    (void) lost;
}

START_TEST(meter_sees_a_leak_of_one_block_a_round)
{
    ck_assert_int_eq(measure_growth(leaking_round).blocks, 100);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, without_a_setting_the_default_stays);
    tcase_add_test(tests, command_line_wins_over_own_environment_over_open_mpi);
    tcase_add_test(tests, bad_value_names_value_source_and_what_is_allowed);
    tcase_add_loop_test(tests, bad_value_of_each_type_says_what_is_allowed, 0, 6);
    tcase_add_test(tests, fork_child_can_use_the_variables);
    tcase_add_test(tests, fork_child_can_use_the_variables_while_the_parent_holds_the_lock);
    tcase_add_test(tests, own_variables_ignore_open_mpi);
    tcase_add_test(tests, verbosity_takes_the_names_that_open_mpi_uses);
    tcase_add_test(tests, bad_own_variable_opens_nothing);
    tcase_add_test(tests, full_name_leaves_out_what_is_missing);
    tcase_add_test(tests, definition_is_copied);
    tcase_add_test(tests, string_belongs_to_the_library_until_close);
    tcase_add_test(tests, string_may_default_to_null_and_be_set_to_nothing);
    tcase_add_test(tests, every_type_gets_its_default_back_at_close);
    tcase_add_test(tests, second_registration_moves_the_storage);
    tcase_add_test(tests, same_storage_again_keeps_the_first_default);
    tcase_add_test(tests, detached_storage_is_not_written_any_more);
    tcase_add_test(tests, two_variables_of_one_full_name_are_refused);
    tcase_add_test(tests, long_values_are_cut_in_listings_only);
    tcase_add_test(tests, many_variables_are_listed_in_order);
    tcase_add_test(tests, threads_may_register_and_list_at_once);
    tcase_add_test(tests, hundred_rounds_leave_nothing);
    if (heap_is_counted()) {
        tcase_add_test(tests, meter_sees_a_leak_of_one_block_a_round);
    }
}

int main(void)
{
    return run_tests("mca_base_var", add);
}
