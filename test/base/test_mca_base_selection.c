/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of selection variables, and what it means for a framework with the
 * components alpha, beta and gamma_ray. */
#include <stdlib.h>
#include <string.h>

#include "base_test.h"
#include "framework/base/mca_base_selection.h"

#define COUNT(array) ((int) (sizeof(array) / sizeof(array)[0]))

/* ---- The text alone ----------------------------------------------------------------------------- */

typedef struct text_case_t {
    const char *text;
    int rc;
    mca_base_selection_kind_t kind;
    unsigned names;
} text_case_t;

static const text_case_t text_cases[] = {
    { NULL, OPAL_SUCCESS, MCA_BASE_SELECT_ALL, 0 },
    { "", OPAL_SUCCESS, MCA_BASE_SELECT_ALL, 0 },
    { "a", OPAL_SUCCESS, MCA_BASE_SELECT_INCLUDE, 1 },
    { "a,b", OPAL_SUCCESS, MCA_BASE_SELECT_INCLUDE, 2 },
    { "^a", OPAL_SUCCESS, MCA_BASE_SELECT_EXCLUDE, 1 },
    { "^a,b,c", OPAL_SUCCESS, MCA_BASE_SELECT_EXCLUDE, 3 },
    { "a+b", OPAL_SUCCESS, MCA_BASE_SELECT_SUM, 2 },
    { "^", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "^^a", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "a,^b", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "a^b", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { ",", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "a,", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { ",a", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "a,,b", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "^a,", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "a+", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "+", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "a++b", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "a+b,c", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "a,b+c", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "^a+b", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "a b", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { " a", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
    { "a\n", OPAL_ERR_BAD_PARAM, MCA_BASE_SELECT_ALL, 0 },
};

START_TEST(text_gives_its_kind_and_names)
{
    const text_case_t *c = &text_cases[_i];
    mca_base_selection_kind_t kind = MCA_BASE_SELECT_ALL;
    const char *problem = NULL;
    ck_assert_int_eq(mca_base_selection_parse(c->text, &kind, &problem), c->rc);
    ck_assert_int_eq(kind, c->kind);
    ck_assert_int_eq(problem != NULL, c->rc != OPAL_SUCCESS);
    unsigned names = 0;
    mca_base_selection_name_t name;
    for (const char *p = c->text; c->rc == OPAL_SUCCESS && mca_base_selection_next(&p, &name); names++) {
        ck_assert_uint_eq(name.length, 1);
        ck_assert_int_eq(name.start[0], 'a' + (int) names);
    }
    ck_assert_uint_eq(names, c->names);
}
END_TEST

START_TEST(names_are_compared_whole)
{
    ck_assert(mca_base_selection_lists("ab,c", "ab"));
    ck_assert(mca_base_selection_lists("^ab,c", "c"));
    ck_assert(!mca_base_selection_lists("ab,c", "a"));
    ck_assert(!mca_base_selection_lists("ab,c", "abc"));
    ck_assert(!mca_base_selection_lists(NULL, "a"));
}
END_TEST

/* ---- With components ---------------------------------------------------------------------------- */

static int query_10(mca_base_module_t **module, int *priority)
{
    (void) module;
    *priority = 10;
    return OPAL_SUCCESS;
}

static int query_90(mca_base_module_t **module, int *priority)
{
    (void) module;
    *priority = 90;
    return OPAL_SUCCESS;
}

static const mca_base_component_t alpha = FAKE_COMPONENT("alpha", .mca_query_component = query_10);
static const mca_base_component_t beta = FAKE_COMPONENT("beta", .mca_query_component = query_10);
static const mca_base_component_t gamma_ray = FAKE_COMPONENT("gamma_ray", .mca_query_component = query_90);
static const mca_base_component_t *const components[] = { &gamma_ray, &beta, &alpha, NULL };

static int open_with(const char *variable, const char *value)
{
    if (variable != NULL) {
        setenv(variable, value, 1);
    }
    log_start();
    fake_framework.static_components = components;
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    return mca_base_framework_open(&fake_framework);
}

/* The available components, in their order. */
static void expect_available(const char *expected)
{
    char names[256] = "";
    for (const mca_base_component_item_t *i = fake_framework.items; i != NULL && i->available; i = i->next) {
        strcat(names, names[0] != '\0' ? "," : "");
        strcat(names, i->name);
    }
    ck_assert_str_eq(names, expected);
}

START_TEST(no_selection_admits_all_by_priority_then_name)
{
    ck_assert_int_eq(open_with(NULL, NULL), OPAL_SUCCESS);
    expect_available("gamma_ray,alpha,beta");
    ck_assert(!mca_base_framework_names(&fake_framework, "alpha"));
}
END_TEST

START_TEST(include_list_admits_its_names_only)
{
    ck_assert_int_eq(open_with("OPALMEM_MCA_fake", "beta,alpha"), OPAL_SUCCESS);
    expect_available("alpha,beta");
    ck_assert_int_eq(fake_framework.selection_kind, MCA_BASE_SELECT_INCLUDE);
    ck_assert(mca_base_framework_names(&fake_framework, "alpha"));
    ck_assert(!mca_base_framework_names(&fake_framework, "gamma_ray"));
    ck_assert_str_eq(fake_item("gamma_ray")->reason,
                     "not in the list \"beta,alpha\" (environment variable OPALMEM_MCA_fake)");
}
END_TEST

START_TEST(exclude_list_admits_the_others)
{
    ck_assert_int_eq(open_with("OPALMEM_MCA_fake", "^gamma_ray"), OPAL_SUCCESS);
    expect_available("alpha,beta");
    ck_assert(!mca_base_framework_names(&fake_framework, "gamma_ray"));
    ck_assert_ptr_nonnull(strstr(fake_item("gamma_ray")->reason, "excluded by \"^gamma_ray\""));
}
END_TEST

START_TEST(sum_names_each_of_its_parts)
{
    ck_assert_int_eq(open_with("OPALMEM_MCA_fake", "alpha+gamma_ray"), OPAL_SUCCESS);
    expect_available("gamma_ray,alpha");
    ck_assert_int_eq(fake_framework.selection_kind, MCA_BASE_SELECT_SUM);
    ck_assert(mca_base_framework_names(&fake_framework, "alpha"));
    ck_assert(mca_base_framework_names(&fake_framework, "gamma_ray"));
}
END_TEST

START_TEST(unknown_name_in_a_list_is_an_error_that_lists_what_there_is)
{
    ck_assert_int_eq(open_with("OPALMEM_MCA_fake", _i == 0 ? "alpha,nosuch" : "alpha+nosuch"), OPAL_ERR_NOT_FOUND);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, "no component \"nosuch\" (environment variable OPALMEM_MCA_fake)");
    log_expect(MCA_BASE_LOG_ERROR, "alpha, beta, gamma_ray");
    ck_assert_ptr_null(fake_framework.items);
}
END_TEST

START_TEST(unknown_name_on_the_command_line_gives_its_place)
{
    ck_assert_int_eq(take_arguments("x", "--mca", "fake", "nosuch", NULL), OPAL_SUCCESS);
    ck_assert_int_eq(open_with(NULL, NULL), OPAL_ERR_NOT_FOUND);
    log_expect(MCA_BASE_LOG_ERROR, "\"nosuch\" (command line, argument 2)");
}
END_TEST

START_TEST(unknown_name_in_an_exclude_list_is_a_warning)
{
    ck_assert_int_eq(open_with("OPALMEM_MCA_fake", "^nosuch,beta"), OPAL_SUCCESS);
    expect_available("gamma_ray,alpha");
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
    log_expect(MCA_BASE_LOG_WARN, "nosuch");
}
END_TEST

START_TEST(exclude_list_of_unknown_names_only_excludes_nothing)
{
    ck_assert_int_eq(open_with("OPALMEM_MCA_fake", "^nosuch"), OPAL_SUCCESS);
    expect_available("gamma_ray,alpha,beta");
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
}
END_TEST

START_TEST(text_that_cannot_be_parsed_is_an_error_with_its_source)
{
    ck_assert_int_eq(open_with("OPALMEM_MCA_fake", "alpha+beta,gamma_ray"), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, "\"alpha+beta,gamma_ray\" (environment variable OPALMEM_MCA_fake)");
    log_expect(MCA_BASE_LOG_ERROR, "mixed");
}
END_TEST

/* ---- Values that are meant for Open MPI ---------------------------------------------------------- */

START_TEST(list_of_open_mpi_components_is_ignored_quietly)
{
    static const char *const lists[] = { "patcher", "^patcher", "patcher,other" };
    ck_assert_int_eq(open_with("OMPI_MCA_fake", lists[_i]), OPAL_SUCCESS);
    expect_available("gamma_ray,alpha,beta");
    ck_assert_int_eq(fake_framework.selection_kind, MCA_BASE_SELECT_ALL);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN) + log_count(MCA_BASE_LOG_ERROR), 0);
}
END_TEST

START_TEST(list_of_open_mpi_that_names_one_of_ours_selects_it)
{
    ck_assert_int_eq(open_with("OMPI_MCA_fake", "patcher,alpha"), OPAL_SUCCESS);
    expect_available("alpha");
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN) + log_count(MCA_BASE_LOG_ERROR), 0);
}
END_TEST

START_TEST(list_of_open_mpi_that_cannot_be_parsed_is_ignored_with_a_warning)
{
    ck_assert_int_eq(open_with("OMPI_MCA_fake", "^^alpha"), OPAL_SUCCESS);
    expect_available("gamma_ray,alpha,beta");
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 1);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, text_gives_its_kind_and_names, 0, COUNT(text_cases));
    tcase_add_test(tests, names_are_compared_whole);
    tcase_add_test(tests, no_selection_admits_all_by_priority_then_name);
    tcase_add_test(tests, include_list_admits_its_names_only);
    tcase_add_test(tests, exclude_list_admits_the_others);
    tcase_add_test(tests, sum_names_each_of_its_parts);
    tcase_add_loop_test(tests, unknown_name_in_a_list_is_an_error_that_lists_what_there_is, 0, 2);
    tcase_add_test(tests, unknown_name_on_the_command_line_gives_its_place);
    tcase_add_test(tests, unknown_name_in_an_exclude_list_is_a_warning);
    tcase_add_test(tests, exclude_list_of_unknown_names_only_excludes_nothing);
    tcase_add_test(tests, text_that_cannot_be_parsed_is_an_error_with_its_source);
    tcase_add_loop_test(tests, list_of_open_mpi_components_is_ignored_quietly, 0, 3);
    tcase_add_test(tests, list_of_open_mpi_that_names_one_of_ours_selects_it);
    tcase_add_test(tests, list_of_open_mpi_that_cannot_be_parsed_is_ignored_with_a_warning);
}

int main(void)
{
    return run_tests("mca_base_selection", add);
}
