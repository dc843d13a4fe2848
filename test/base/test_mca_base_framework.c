/* SPDX-License-Identifier: BSD-3-Clause */
/* A framework's life with static components: open, query, reasons, order,
 * errors, close; and the listings. */
#include <stdlib.h>
#include <string.h>

#include "base_test.h"

/* ---- Components that behave as a test says --------------------------------------------------------- */

typedef struct behaviour_t {
    int register_rc, open_rc, query_rc;
    const char *open_reason, *query_reason;
    int priority;
    unsigned opened, closed;
} behaviour_t;

static behaviour_t of_a, of_b, of_c;
static int a_module;

static int registers(const behaviour_t *b)
{
    return b->register_rc;
}

static int opens(behaviour_t *b)
{
    if (b->open_reason != NULL) {
        mca_base_component_set_reason("%s", b->open_reason);
    }
    b->opened += b->open_rc == OPAL_SUCCESS;
    return b->open_rc;
}

static int closes(behaviour_t *b)
{
    b->closed++;
    return OPAL_SUCCESS;
}

static int answers(const behaviour_t *b, mca_base_module_t **module, int *priority)
{
    if (b->query_reason != NULL) {
        mca_base_component_set_reason("%s", b->query_reason);
    }
    *module = (mca_base_module_t *) &a_module;
    *priority = b->priority;
    return b->query_rc;
}

#define BEHAVING(x)                                                                        \
    static int register_##x(void)                                                          \
    {                                                                                      \
        return registers(&of_##x);                                                         \
    }                                                                                      \
    static int open_##x(void)                                                              \
    {                                                                                      \
        return opens(&of_##x);                                                             \
    }                                                                                      \
    static int close_##x(void)                                                             \
    {                                                                                      \
        return closes(&of_##x);                                                            \
    }                                                                                      \
    static int query_##x(mca_base_module_t **module, int *priority)                        \
    {                                                                                      \
        return answers(&of_##x, module, priority);                                         \
    }                                                                                      \
    static mca_base_component_t x = FAKE_COMPONENT(                                        \
        #x, .mca_component_major_version = 4, .mca_component_minor_version = 5,            \
        .mca_component_release_version = 6, .mca_register_component_params = register_##x, \
        .mca_open_component = open_##x, .mca_close_component = close_##x, .mca_query_component = query_##x)

BEHAVING(a);
BEHAVING(b);
BEHAVING(c);
static const mca_base_component_t *const components[] = { &a, &b, &c, NULL };

static int open_all(void)
{
    log_start();
    fake_framework.static_components = components;
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    return mca_base_framework_open(&fake_framework);
}

static void expect_order(const char *expected)
{
    char names[16] = "";
    for (const mca_base_component_item_t *i = fake_framework.items; i != NULL; i = i->next) {
        strcat(names, i->name);
    }
    ck_assert_str_eq(names, expected);
}

/* ---- Opening ---------------------------------------------------------------------------------------- */

START_TEST(components_are_sorted_by_falling_priority)
{
    of_a.priority = 10, of_b.priority = 90, of_c.priority = 50;
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_order("bca");
    ck_assert(fake_item("a")->available && fake_item("a")->opened);
    ck_assert_ptr_eq(fake_item("a")->module, &a_module);
    ck_assert_int_eq(fake_item("b")->priority, 90);
    ck_assert_str_eq(fake_item("a")->reason, "");
}
END_TEST

START_TEST(equal_priorities_are_sorted_by_name)
{
    static const mca_base_component_t *const backwards[] = { &c, &a, &b, NULL };
    log_start();
    fake_framework.static_components = backwards;
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_framework_open(&fake_framework), OPAL_SUCCESS);
    expect_order("abc");
}
END_TEST

START_TEST(priority_of_the_user_wins_over_query)
{
    of_a.priority = 10, of_b.priority = 90, of_c.priority = 50;
    setenv("OPALMEM_MCA_fake_a_priority", "95", 1);
    setenv("OPALMEM_MCA_fake_b_priority", "0", 1);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_order("acb");
    ck_assert_int_eq(fake_item("a")->priority, 95);
    mca_base_report_unknown();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 0);
}
END_TEST

START_TEST(priority_of_the_user_may_make_a_tie_that_the_name_decides)
{
    of_a.priority = 10, of_b.priority = 90, of_c.priority = 90;
    setenv("OPALMEM_MCA_fake_a_priority", "90", 1);
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_order("abc");
}
END_TEST

START_TEST(default_of_a_priority_is_what_query_says)
{
    mca_base_var_info_t info;
    of_a.priority = 10;
    of_b.query_rc = OPAL_ERR_NOT_AVAILABLE;
    setenv("OPALMEM_MCA_fake_b_priority", "7", 1); /* Of no use now, but no mistake either. */
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_var_find_info("fake_a_priority", &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.value, "10");
    ck_assert_int_eq(info.source, MCA_BASE_VAR_SOURCE_DEFAULT);
    ck_assert(info.info_level == 5 && info.min == 0 && info.max == 100);
    ck_assert_int_eq(mca_base_var_find_info("fake_b_priority", &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.value, "7");
    mca_base_report_unknown();
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 0);
    mca_base_component_release(fake_item("a"));
    ck_assert_int_eq(fake_item("a")->priority, 10);
}
END_TEST

START_TEST(priority_that_is_none_is_an_error)
{
    setenv("OPALMEM_MCA_fake_c_priority", "101", 1);
    ck_assert_int_eq(open_all(), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, "variable fake_c_priority cannot have the value \"101\"");
    ck_assert_uint_eq(of_a.opened, of_a.closed);
    ck_assert_uint_eq(of_c.opened, of_c.closed);
}
END_TEST

static char told[2048];

static void collect(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    strncat(told, message, sizeof told - strlen(told) - 2);
    strcat(told, "\n");
}

START_TEST(verbose_framework_explains_each_decision_in_order)
{
    of_a.priority = 10, of_b.query_rc = OPAL_ERR_NOT_AVAILABLE, of_c.priority = 60;
    of_b.query_reason = "there is no device";
    setenv("OPALMEM_MCA_fake_base_verbose", "10", 1);
    setenv("OPALMEM_MCA_fake_a_priority", "60", 1);
    fake_framework.static_components = components;
    mca_base_set_log(collect, NULL);
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_framework_open(&fake_framework), OPAL_SUCCESS);
    fake_item("a")->selected = true;
    mca_base_framework_explain_losers(&fake_framework);
    ck_assert_str_eq(
        told, "fake: component a is tried (linked in)\n"
              "fake: component a can run here, priority 60 (environment variable OPALMEM_MCA_fake_a_priority)\n"
              "fake: component b is tried (linked in)\n"
              "fake: component b cannot run here: there is no device\n"
              "fake: component c is tried (linked in)\n"
              "fake: component c can run here, priority 60 (default)\n"
              "fake: component c is not selected: a has the same priority 60, and comes first by name\n");
}
END_TEST

START_TEST(unavailable_components_come_last)
{
    of_a.query_rc = OPAL_ERR_NOT_AVAILABLE, of_a.priority = 99;
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    expect_order("bca");
    ck_assert(!fake_item("a")->available);
}
END_TEST

START_TEST(priority_outside_its_range_is_clamped_with_a_message)
{
    of_a.priority = -7, of_b.priority = 101;
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_int_eq(fake_item("a")->priority, 0);
    ck_assert_int_eq(fake_item("b")->priority, 100);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN), 2);
    log_expect(MCA_BASE_LOG_WARN, "component b of framework fake has priority 101");
}
END_TEST

START_TEST(failed_query_keeps_its_reason_and_is_closed)
{
    of_b.query_rc = OPAL_ERR_NOT_AVAILABLE, of_b.query_reason = "the device /dev/b is missing";
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_str_eq(fake_item("b")->reason, "the device /dev/b is missing");
    ck_assert(!fake_item("b")->available && !fake_item("b")->opened);
    ck_assert_uint_eq(of_b.closed, 1);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_WARN) + log_count(MCA_BASE_LOG_ERROR), 0);
}
END_TEST

START_TEST(failed_open_is_not_closed_and_not_queried)
{
    of_b.open_rc = OPAL_ERR_NOT_AVAILABLE, of_b.open_reason = "no";
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_str_eq(fake_item("b")->reason, "no");
    ck_assert_uint_eq(of_b.closed, 0);
    ck_assert_ptr_null(fake_item("b")->module);
}
END_TEST

START_TEST(failure_without_a_reason_gives_its_code)
{
    of_a.open_rc = OPAL_ERR_PERM;
    of_b.query_rc = OPAL_ERR_OUT_OF_RESOURCE;
    of_c.register_rc = OPAL_ERROR;
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_ptr_nonnull(strstr(fake_item("a")->reason, opal_strerror(OPAL_ERR_PERM)));
    ck_assert_ptr_nonnull(strstr(fake_item("b")->reason, opal_strerror(OPAL_ERR_OUT_OF_RESOURCE)));
    ck_assert_ptr_nonnull(strstr(fake_item("c")->reason, opal_strerror(OPAL_ERROR)));
    ck_assert_uint_eq(of_c.opened, 0);
}
END_TEST

START_TEST(reason_of_an_available_component_is_dropped)
{
    of_a.query_reason = "only on Sundays";
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_str_eq(fake_item("a")->reason, "");
}
END_TEST

START_TEST(long_reason_is_cut)
{
    char reason[1000];
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    of_a.open_rc = OPAL_ERR_NOT_AVAILABLE, of_a.open_reason = reason;
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(strlen(fake_item("a")->reason), MCA_BASE_REASON_MAX - 1);
}
END_TEST

START_TEST(reason_when_nobody_asks_goes_nowhere)
{
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    mca_base_component_set_reason("too late");
    ck_assert_str_eq(fake_item("a")->reason, "");
    mca_base_component_begin(fake_item("a"));
    mca_base_component_set_reason("in time");
    mca_base_component_end();
    ck_assert_str_eq(fake_item("a")->reason, "in time");
}
END_TEST

START_TEST(functions_may_be_missing)
{
    static const mca_base_component_t bare = FAKE_COMPONENT("bare", .flags = 0);
    static const mca_base_component_t *const list[] = { &bare, NULL };
    fake_framework.static_components = list;
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_framework_open(&fake_framework), OPAL_SUCCESS);
    ck_assert(fake_item("bare")->available);
    ck_assert_int_eq(fake_item("bare")->priority, 0);
    mca_base_framework_close(&fake_framework);
    mca_base_close();
}
END_TEST

START_TEST(framework_without_components_opens_empty)
{
    fake_framework.static_components = NULL;
    ck_assert_int_eq(mca_base_open(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_framework_open(&fake_framework), OPAL_SUCCESS);
    ck_assert_ptr_null(fake_framework.items);
    ck_assert_uint_eq(mca_base_component_count(), 0);
}
END_TEST

/* ---- Errors ------------------------------------------------------------------------------------------ */

START_TEST(required_component_that_fails_is_an_error_of_the_framework)
{
    a.flags = MCA_BASE_COMPONENT_FLAG_REQUIRED;
    of_a.query_rc = OPAL_ERR_PERM, of_a.query_reason = "you may not";
    ck_assert_int_eq(open_all(), OPAL_ERR_PERM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, "framework fake needs component a, which cannot run here: you may not");
    ck_assert_ptr_null(fake_framework.items);
    ck_assert(!fake_framework.is_open);
}
END_TEST

START_TEST(failed_open_of_the_framework_closes_what_was_open)
{
    b.flags = MCA_BASE_COMPONENT_FLAG_REQUIRED;
    of_b.open_rc = OPAL_ERROR;
    ck_assert_int_eq(open_all(), OPAL_ERROR);
    ck_assert_uint_eq(of_a.opened, 1);
    ck_assert_uint_eq(of_a.closed, 1);
}
END_TEST

static int bad_storage;

static int register_bad(void)
{
    mca_base_var_register(&(mca_base_var_def_t){
        .framework = "fake", .component = "a", .name = "x", .info_level = 1, .storage = &bad_storage });
    return OPAL_SUCCESS; /* As a component that does not look at the code. */
}

START_TEST(bad_value_is_an_error_even_if_the_component_does_not_mind)
{
    setenv("OPALMEM_MCA_fake_a_x", "many", 1);
    a.mca_register_component_params = register_bad;
    ck_assert_int_eq(open_all(), OPAL_ERR_BAD_PARAM);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
}
END_TEST

START_TEST(static_component_of_another_version_is_not_used)
{
    a.mca_type_minor_version = 2;
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_ptr_null(fake_item("a")->component);
    ck_assert_ptr_nonnull(strstr(fake_item("a")->reason, "version 3.2 of framework fake, not 3.1"));
    ck_assert_uint_eq(of_a.opened, 0);
}
END_TEST

START_TEST(unavailable_says_what_there_is_and_why_not)
{
    setenv("OPALMEM_MCA_fake", "a+b", 1);
    of_a.query_rc = OPAL_ERR_NOT_AVAILABLE, of_a.query_reason = "it is night";
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 0);
    ck_assert_int_eq(mca_base_framework_unavailable(&fake_framework), OPAL_ERR_NOT_FOUND);
    ck_assert_uint_eq(log_count(MCA_BASE_LOG_ERROR), 1);
    log_expect(MCA_BASE_LOG_ERROR, "\"a+b\" (environment variable OPALMEM_MCA_fake)");
    log_expect(MCA_BASE_LOG_ERROR, "a: it is night");
    log_expect(MCA_BASE_LOG_ERROR, "b: can run here");
    log_expect(MCA_BASE_LOG_ERROR, "c: not in the list");
}
END_TEST

/* ---- Listings and closing ------------------------------------------------------------------------------ */

START_TEST(listing_describes_each_component)
{
    setenv("OPALMEM_MCA_fake", "^c", 1);
    of_a.priority = 5, of_b.query_rc = OPAL_ERR_NOT_AVAILABLE, of_b.query_reason = "no b";
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    fake_item("a")->selected = true;
    mca_base_component_info_t info;
    ck_assert_uint_eq(mca_base_component_count(), 3);
    ck_assert_int_eq(mca_base_component_get_info(0, &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.framework, "fake");
    ck_assert_str_eq(info.name, "a");
    ck_assert(info.version[0] == 4 && info.version[1] == 5 && info.version[2] == 6);
    ck_assert_ptr_null(info.path);
    ck_assert(info.selected && info.available && info.priority == 5);
    ck_assert_int_eq(mca_base_component_get_info(1, &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.reason, "no b");
    ck_assert(!info.selected && !info.available);
    ck_assert_int_eq(mca_base_component_get_info(2, &info), OPAL_SUCCESS);
    ck_assert_ptr_nonnull(strstr(info.reason, "excluded by"));
    ck_assert_int_eq(mca_base_component_get_info(3, &info), OPAL_ERR_NOT_FOUND);
}
END_TEST

START_TEST(released_component_stays_in_the_listing)
{
    of_a.priority = 5;
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    mca_base_component_release(fake_item("a"));
    mca_base_component_release(fake_item("a"));
    ck_assert_uint_eq(of_a.closed, 1);
    mca_base_component_info_t info;
    ck_assert_int_eq(mca_base_component_get_info(0, &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.name, "a");
    ck_assert(info.available && info.version[0] == 4);
}
END_TEST

START_TEST(close_closes_each_once_and_base_close_forgets)
{
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_framework_open(&fake_framework), OPAL_SUCCESS); /* Open already. */
    ck_assert_uint_eq(of_b.opened, 1);
    mca_base_framework_close(&fake_framework);
    ck_assert_uint_eq(of_a.closed + of_b.closed + of_c.closed, 3);
    ck_assert_uint_eq(mca_base_component_count(), 3);
    mca_base_close();
    ck_assert_uint_eq(of_a.closed + of_b.closed + of_c.closed, 3);
    ck_assert_uint_eq(mca_base_component_count(), 0);
    ck_assert_uint_eq(mca_base_var_count(), 0);
    ck_assert_ptr_null(fake_framework.items);
}
END_TEST

START_TEST(two_frameworks_are_listed_one_after_the_other)
{
    static mca_base_framework_t second = { .name = "second", .version = { 3, 1 } };
    static const mca_base_component_t odd = { MCA_BASE_VERSION_2_0_0,     "second", 3, 1, 0,
                                              .mca_component_name = "odd" };
    static const mca_base_component_t *const list[] = { &odd, NULL };
    second.static_components = list;
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    ck_assert_int_eq(mca_base_framework_open(&second), OPAL_SUCCESS);
    mca_base_component_info_t info;
    ck_assert_uint_eq(mca_base_component_count(), 4);
    ck_assert_int_eq(mca_base_component_get_info(3, &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.framework, "second");
    mca_base_close();
}
END_TEST

static void one_round(void)
{
    ck_assert_int_eq(open_all(), OPAL_SUCCESS);
    mca_base_framework_close(&fake_framework);
    mca_base_close();
}

static void one_failing_round(void)
{
    ck_assert_int_eq(open_all(), OPAL_ERR_NOT_FOUND);
    mca_base_close();
}

START_TEST(hundred_rounds_leave_nothing)
{
    setenv("OPALMEM_MCA_fake", "^c", 1);
    expect_no_growth(one_round);
    setenv("OPALMEM_MCA_fake", "nosuch", 1);
    expect_no_growth(one_failing_round);
}
END_TEST

static int last_rc;

static void round_without_assertions(void)
{
    int argc = 4;
    char *list[] = { (char *) "test", (char *) "--mca", (char *) "fake", (char *) "b,c", NULL };
    char **argv = list;
    last_rc = mca_base_cmd_line_take(&argc, &argv);
    last_rc = last_rc == OPAL_SUCCESS ? mca_base_open() : last_rc;
    last_rc = last_rc == OPAL_SUCCESS ? mca_base_framework_open(&fake_framework) : last_rc;
    if (last_rc == OPAL_SUCCESS) {
        mca_base_report_unknown();
        mca_base_framework_unavailable(&fake_framework);
        mca_base_framework_close(&fake_framework);
    }
    mca_base_close();
}

START_TEST(no_memory_at_any_point_is_survived)
{
    log_start();
    fake_framework.static_components = components;
    fail_each_allocation(round_without_assertions, 500);
    ck_assert_int_eq(last_rc, OPAL_SUCCESS);
    ck_assert_uint_eq(of_b.opened, of_b.closed);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, components_are_sorted_by_falling_priority);
    tcase_add_test(tests, equal_priorities_are_sorted_by_name);
    tcase_add_test(tests, priority_of_the_user_wins_over_query);
    tcase_add_test(tests, priority_of_the_user_may_make_a_tie_that_the_name_decides);
    tcase_add_test(tests, default_of_a_priority_is_what_query_says);
    tcase_add_test(tests, priority_that_is_none_is_an_error);
    tcase_add_test(tests, verbose_framework_explains_each_decision_in_order);
    tcase_add_test(tests, unavailable_components_come_last);
    tcase_add_test(tests, priority_outside_its_range_is_clamped_with_a_message);
    tcase_add_test(tests, failed_query_keeps_its_reason_and_is_closed);
    tcase_add_test(tests, failed_open_is_not_closed_and_not_queried);
    tcase_add_test(tests, failure_without_a_reason_gives_its_code);
    tcase_add_test(tests, reason_of_an_available_component_is_dropped);
    tcase_add_test(tests, long_reason_is_cut);
    tcase_add_test(tests, reason_when_nobody_asks_goes_nowhere);
    tcase_add_test(tests, functions_may_be_missing);
    tcase_add_test(tests, framework_without_components_opens_empty);
    tcase_add_test(tests, required_component_that_fails_is_an_error_of_the_framework);
    tcase_add_test(tests, failed_open_of_the_framework_closes_what_was_open);
    tcase_add_test(tests, bad_value_is_an_error_even_if_the_component_does_not_mind);
    tcase_add_test(tests, static_component_of_another_version_is_not_used);
    tcase_add_test(tests, unavailable_says_what_there_is_and_why_not);
    tcase_add_test(tests, listing_describes_each_component);
    tcase_add_test(tests, released_component_stays_in_the_listing);
    tcase_add_test(tests, close_closes_each_once_and_base_close_forgets);
    tcase_add_test(tests, two_frameworks_are_listed_one_after_the_other);
    tcase_add_test(tests, hundred_rounds_leave_nothing);
    tcase_add_test(tests, no_memory_at_any_point_is_survived);
}

int main(void)
{
    return run_tests("mca_base_framework", add);
}
