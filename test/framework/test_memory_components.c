/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory components of others: linked into the program, and DSOs that were
 * compiled against a module structure of another length. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opal/memoryhooks/memory_internal.h"
#include "opal/opalmem.h"
#include "test/test_main.h"

static char messages[4096];

static void collect(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    size_t used = strlen(messages);
    snprintf(messages + used, sizeof(messages) - used, "%s\n", message);
}

static void expect_message(const char *text)
{
    ck_assert_msg(strstr(messages, text) != NULL, "\"%s\" is not in: %s", text, messages);
}

/* ---- Linked in ------------------------------------------------------------------------------------------ */

static bool has_module;
static opal_memory_base_module_t module = { .struct_size = sizeof(module) };

static int query(mca_base_module_t **out_module, int *priority)
{
    *out_module = has_module ? (mca_base_module_t *) &module : NULL;
    *priority = 99;
    return OPAL_SUCCESS;
}

static opal_memory_base_component_t own = {
    .memoryc_version = { OPAL_MEMORY_BASE_VERSION_2_0_0, .mca_component_name = "own",
                         .mca_query_component = query },
    .memoryc_register = opal_memory_base_component_register_empty,
    .memoryc_deregister = opal_memory_base_component_deregister_empty,
};

static int add(const char *framework, const opal_memory_base_component_t *component)
{
    return mca_base_component_add_static(framework, &component->memoryc_version);
}

START_TEST(component_that_is_added_is_selected)
{
    has_module = _i == 1;
    ck_assert_int_eq(add("memory", &own), OPAL_SUCCESS);
    for (int round = 0; round < 3; round++) { /* It stays added. */
        ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
        ck_assert_ptr_eq(opal_memory, &own);
        ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
        ck_assert_ptr_ne(opal_memory, &own);
    }
    ck_assert_str_eq(messages, "");
}
END_TEST

START_TEST(first_component_of_a_name_stays)
{
    opal_memory_base_component_t second = own;
    ck_assert_int_eq(add("memory", &own), OPAL_SUCCESS);
    ck_assert_int_eq(add("memory", &own), OPAL_SUCCESS);
    ck_assert_int_eq(add("memory", &second), OPAL_EXISTS);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_ptr_eq(opal_memory, &own);
    ck_assert_str_eq(messages, "");
}
END_TEST

START_TEST(name_of_the_librarys_own_component_stays_its)
{
    strcpy(own.memoryc_version.mca_component_name, "noop");
    ck_assert_int_eq(add("memory", &own), OPAL_SUCCESS);
    setenv("OPALMEM_MCA_memory", "noop", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
#ifdef OPALMEM_STATIC_MEMORY_NOOP
    ck_assert_ptr_ne(opal_memory, &own);
#else
    ck_assert_ptr_eq(opal_memory, &own); /* What is linked in comes before DSOs. */
#endif
}
END_TEST

START_TEST(component_of_another_version_is_explained)
{
    own.memoryc_version.mca_type_major_version = 3;
    ck_assert_int_eq(add("memory", &own), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_eq(messages, ""); /* Nobody asked for it. */
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    setenv("OPALMEM_MCA_memory", "own", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_ERR_NOT_FOUND);
    expect_message("own: made for version 3.0 of framework memory, not 2.0");
}
END_TEST

START_TEST(wrong_additions_are_refused_with_a_message)
{
    opal_memory_base_component_t bad = own;
    ck_assert_int_eq(add(NULL, &own), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(mca_base_component_add_static("memory", NULL), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(add("", &own), OPAL_ERR_BAD_PARAM);
    static const char *const names[] = { "", "a,b", "a+b", "^a", "a b" };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        strcpy(bad.memoryc_version.mca_component_name, names[i]);
        messages[0] = '\0';
        ck_assert_int_eq(add("memory", &bad), OPAL_ERR_BAD_PARAM);
        expect_message("a component cannot be added: its name is empty, too long, or holds a blank");
    }
    memset(bad.memoryc_version.mca_component_name, 'x', sizeof(bad.memoryc_version.mca_component_name));
    ck_assert_int_eq(add("memory", &bad), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(add("memory", &own), OPAL_ERR_RESOURCE_BUSY);
    expect_message("component own cannot be added to framework memory: the library runs already");
    ck_assert_ptr_ne(opal_memory, &own);
}
END_TEST

START_TEST(framework_that_does_not_exist_is_reported)
{
    ck_assert_int_eq(add("memroy", &own), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_eq(messages, "component own was added to framework \"memroy\", which does not exist\n");
}
END_TEST

/* ---- Modules that are not sound ------------------------------------------------------------------------- */

static bool is_valid(void *base, size_t len, const opal_memory_watch_t *watch)
{
    (void) base, (void) len, (void) watch;
    return true;
}

START_TEST(component_without_its_functions_cannot_run)
{
    own.memoryc_deregister = NULL;
    setenv("OPALMEM_MCA_memory", "own", 1);
    ck_assert_int_eq(add("memory", &own), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_ERR_NOT_FOUND);
    expect_message("own: its component structure has no memoryc_register, or no memoryc_deregister");
}
END_TEST

static volatile uint64_t counter;

static int process(void)
{
    return OPAL_SUCCESS;
}

static const struct {
    uint32_t flags;
    bool has_valid, has_counter, has_process;
    const char *reason;
} unsound[] = {
    { .flags = OPAL_MEMORY_MODULE_PUSH | OPAL_MEMORY_MODULE_POLLED,
      .reason = "it says that it is both PUSH and POLLED" },
    { .flags = OPAL_MEMORY_MODULE_POLLED, .has_process = true, .reason = "it is POLLED but has no counter" },
    { .flags = OPAL_MEMORY_MODULE_POLLED,
      .has_counter = true,
      .reason = "it is POLLED but has no memoryc_process" },
    { .flags = OPAL_MEMORY_MODULE_POLLED, .has_counter = true, .has_process = true },
    { .has_counter = true, .has_process = true, .reason = "it has a memoryc_process, which nobody would call" },
    { .flags = OPAL_MEMORY_MODULE_PUSH, .has_process = true, .reason = "it is not POLLED" },
    { .flags = 0x100, .reason = "its module structure has a flag that this library does not know" },
    { .flags = OPAL_MEMORY_MODULE_SLOW_VALID, .reason = "it is SLOW_VALID but has no valid function" },
    { .flags = OPAL_MEMORY_MODULE_SLOW_VALID, .has_valid = true },
    { .flags = OPAL_MEMORY_MODULE_PUSH | OPAL_MEMORY_MODULE_LATE, .reason = "it is LATE but not POLLED" },
};

START_TEST(module_that_contradicts_itself_cannot_run)
{
    has_module = true;
    module.flags = unsound[_i].flags;
    module.valid = unsound[_i].has_valid ? is_valid : NULL;
    module.counter = unsound[_i].has_counter ? &counter : NULL;
    own.memoryc_process = unsound[_i].has_process ? process : NULL;
    ck_assert_int_eq(add("memory", &own), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_eq(messages, "");
    ck_assert(unsound[_i].reason != NULL ? opal_memory != &own : opal_memory == &own);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    if (unsound[_i].reason != NULL) {
        setenv("OPALMEM_MCA_memory", "own", 1);
        ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_ERR_NOT_FOUND);
        expect_message(unsound[_i].reason);
    }
}
END_TEST

static volatile uint32_t generation;

static int watch(void *base, size_t len, opal_memory_watch_t *watched)
{
    (void) base, (void) len;
    watched->generation = &generation;
    watched->expected = generation;
    return OPAL_SUCCESS;
}

static int query_second(mca_base_module_t **out_module, int *priority)
{
    static opal_memory_base_module_t second = { .struct_size = sizeof(second), .watch = watch };
    *out_module = (mca_base_module_t *) &second;
    *priority = 98;
    return OPAL_SUCCESS;
}

/* The word of one would take the place of the other's, and what that one says would be lost. */
START_TEST(two_components_with_words_of_their_own_never_run_together)
{
    static opal_memory_base_component_t second;
    second = own;
    strcpy(second.memoryc_version.mca_component_name, "second");
    second.memoryc_version.mca_query_component = query_second;
    has_module = true;
    module.watch = _i == 0 ? watch : NULL;
    ck_assert_int_eq(add("memory", &own), OPAL_SUCCESS);
    ck_assert_int_eq(add("memory", &second), OPAL_SUCCESS);
    setenv("OPALMEM_MCA_memory", "second+own", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), _i == 0 ? OPAL_ERR_BAD_PARAM : OPAL_SUCCESS);
    ck_assert_str_eq(messages, _i == 0 ? "memory: components own and second both have a watch function; only one "
                                         "of the two can run\n"
                                       : "");
}
END_TEST

/* ---- A component that may tell late ------------------------------------------------------------------------ */

static opal_memory_base_component_t pushing[2];
static opal_memory_base_module_t pushing_module[2];
static int push_enabled[2];

static int enable_first(void)
{
    push_enabled[0]++;
    return OPAL_SUCCESS;
}

static int enable_second(void)
{
    push_enabled[1]++;
    return OPAL_SUCCESS;
}

static int enable_never(void)
{
    return OPAL_ERR_NOT_AVAILABLE;
}

static int query_first_push(mca_base_module_t **out_module, int *priority)
{
    *out_module = (mca_base_module_t *) &pushing_module[0];
    *priority = 98;
    return OPAL_SUCCESS;
}

static int query_second_push(mca_base_module_t **out_module, int *priority)
{
    *out_module = (mca_base_module_t *) &pushing_module[1];
    *priority = 97;
    return OPAL_SUCCESS;
}

static void add_push(int which, const char *name, mca_base_query_component_fn_t query_it, int (*enable)(void))
{
    pushing[which] = own;
    pushing[which].memoryc_process = NULL;
    strcpy(pushing[which].memoryc_version.mca_component_name, name);
    pushing[which].memoryc_version.mca_query_component = query_it;
    pushing_module[which] = (opal_memory_base_module_t){ .struct_size = sizeof(pushing_module[which]),
                                                         .flags = OPAL_MEMORY_MODULE_PUSH,
                                                         .enable = enable };
    ck_assert_int_eq(add("memory", &pushing[which]), OPAL_SUCCESS);
}

/* "own" is polled, has a watch, and the highest priority; "first" and "second" are told by calls. */
static void add_late(uint32_t flags)
{
    has_module = true;
    module.flags = OPAL_MEMORY_MODULE_POLLED | flags;
    module.counter = &counter;
    module.watch = watch;
    own.memoryc_process = process;
    ck_assert_int_eq(add("memory", &own), OPAL_SUCCESS);
    add_push(0, "first", query_first_push, enable_first);
    add_push(1, "second", query_second_push, enable_second);
}

static const char *start_and_name(void)
{
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    return opal_memory->memoryc_version.mca_component_name;
}

static const struct {
    const char *selection; /* NULL: the user says nothing. */
    uint32_t flags;
    int first, second; /* Are they enabled? */
} companies[] = {
    { NULL, OPAL_MEMORY_MODULE_LATE, 1, 0 },           { NULL, 0, 0, 0 }, /* The twin. */
    { "own", OPAL_MEMORY_MODULE_LATE, 0, 0 },          { "own,second", OPAL_MEMORY_MODULE_LATE, 0, 1 },
    { "^first,linux", OPAL_MEMORY_MODULE_LATE, 0, 1 }, { "^first,second,linux", OPAL_MEMORY_MODULE_LATE, 0, 0 },
    { "own+second", OPAL_MEMORY_MODULE_LATE, 0, 1 },
};

START_TEST(component_that_may_tell_late_gets_company_unless_the_user_has_chosen)
{
    add_late(companies[_i].flags);
    if (companies[_i].selection != NULL) {
        setenv("OPALMEM_MCA_memory", companies[_i].selection, 1);
    }
    const bool is_sum = companies[_i].first + companies[_i].second > 0;
    ck_assert_str_eq(start_and_name(), is_sum ? "composite" : "own");
    ck_assert_int_eq(push_enabled[0], companies[_i].first);
    ck_assert_int_eq(push_enabled[1], companies[_i].second);
    ck_assert_str_eq(messages, "");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(company_that_cannot_start_leaves_the_place_to_the_next)
{
    add_late(OPAL_MEMORY_MODULE_LATE);
    setenv("OPALMEM_MCA_memory", "^linux", 1);
    pushing_module[0].enable = enable_never;
    ck_assert_str_eq(start_and_name(), "composite");
    ck_assert_int_eq(push_enabled[1], 1);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    pushing_module[1].enable = enable_never;
    ck_assert_str_eq(start_and_name(), "own"); /* Alone it still sees what it sees. */
    ck_assert_str_eq(messages, "");
}
END_TEST

/* A registration has room for one word. */
START_TEST(component_with_a_word_of_its_own_is_no_company)
{
    add_late(OPAL_MEMORY_MODULE_LATE);
    setenv("OPALMEM_MCA_memory", "^linux", 1);
    pushing_module[0].watch = watch;
    ck_assert_str_eq(start_and_name(), "composite");
    ck_assert_int_eq(push_enabled[0], 0);
    ck_assert_int_eq(push_enabled[1], 1);
    ck_assert_str_eq(messages, "");
}
END_TEST

/* ---- What plain components promise ------------------------------------------------------------------------ */

static int query_plain(mca_base_module_t **out_module, int *priority)
{
    *out_module = NULL;
    *priority = 5;
    opal_mem_hooks_set_support(OPAL_MEMORY_MUNMAP_SUPPORT);
    return OPAL_SUCCESS;
}

static int query_other_plain(mca_base_module_t **out_module, int *priority)
{
    *out_module = NULL;
    *priority = 6;
    opal_mem_hooks_set_support(OPAL_MEMORY_FREE_SUPPORT);
    return OPAL_SUCCESS;
}

static int enable_eagerly(void)
{
    opal_mem_hooks_set_support(OPAL_MEMORY_MUNMAP_SUPPORT);
    return OPAL_SUCCESS;
}

static const struct {
    const char *selection;
    int code, support;
} promises[] = {
    { "plain", OPAL_SUCCESS, OPAL_MEMORY_MUNMAP_SUPPORT },
    { "plain,other", OPAL_SUCCESS, OPAL_MEMORY_FREE_SUPPORT },
    { "plain+other", OPAL_SUCCESS, OPAL_MEMORY_MUNMAP_SUPPORT | OPAL_MEMORY_FREE_SUPPORT },
    { "plain,own", OPAL_SUCCESS, 0 }, /* The one that sees nothing has the higher priority. */
    { "plain+own", OPAL_SUCCESS, OPAL_MEMORY_MUNMAP_SUPPORT },
    { "plain+bad", OPAL_ERR_NOT_FOUND, 0 },
    { "own+bad", OPAL_ERR_NOT_FOUND, 0 }, /* The first one was enabled already. */
};

START_TEST(only_selected_components_promise_anything)
{
    static opal_memory_base_component_t plain, other, bad;
    plain = other = bad = own;
    strcpy(plain.memoryc_version.mca_component_name, "plain");
    strcpy(other.memoryc_version.mca_component_name, "other");
    strcpy(bad.memoryc_version.mca_component_name, "bad");
    plain.memoryc_version.mca_query_component = query_plain;
    other.memoryc_version.mca_query_component = query_other_plain;
    bad.memoryc_register = NULL;
    setenv("OPALMEM_MCA_memory_bad_priority", "1", 1);
    has_module = true;
    module.enable = enable_eagerly;
    ck_assert_int_eq(add("memory", &own), OPAL_SUCCESS);
    ck_assert_int_eq(add("memory", &plain), OPAL_SUCCESS);
    ck_assert_int_eq(add("memory", &other), OPAL_SUCCESS);
    ck_assert_int_eq(add("memory", &bad), OPAL_SUCCESS);
    setenv("OPALMEM_MCA_memory", promises[_i].selection, 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), promises[_i].code);
    ck_assert_int_eq(opal_mem_hooks_support_level(), promises[_i].support);
}
END_TEST

#ifdef OPALMEM_HAVE_LTDL
/* ---- DSOs of other versions ------------------------------------------------------------------------------- */

static void use_dso(const char *name)
{
    const char *build = getenv("top_builddir");
    char path[1024];
    snprintf(path, sizeof(path), "%s/test/framework/.libs", build != NULL ? build : ".");
    setenv("OPALMEM_MCA_mca_base_component_path", path, 1);
    setenv("OPALMEM_MCA_memory", name, 1);
}

START_TEST(module_of_this_version_is_used_whole)
{
    use_dso("same");
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_uint_eq(opal_memory_base_sees(), OPAL_MEMORY_SEES_LIBC | OPAL_MEMORY_SEES_SHM);
    ck_assert_int_eq(opal_mem_hooks_support_level(), OPAL_MEMORY_MUNMAP_SUPPORT);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(what_a_shorter_module_lacks_is_zero)
{
    use_dso("shorter");
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_uint_eq(opal_memory_base_sees(), OPAL_MEMORY_SEES_LIBC); /* Its enable is behind its end. */
    ck_assert_int_eq(opal_mem_hooks_support_level(), 0);
    opal_memory_watch_t watch = { .cookie = opal_memory_base_new_cookie() };
    ck_assert_int_eq(opal_memory_base_watch(&watch, 1, &watch), OPAL_SUCCESS);
    ck_assert(opal_memory_watch_holds(&watch) && opal_memory_base_valid(&watch, 1, &watch));
    ck_assert_int_eq(opal_memory_base_unwatch(&watch, 1, &watch), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert_str_eq(messages, "");
}
END_TEST

static const char *const wrong_sizes[][2] = {
    { "longer",
      "longer: its module structure is longer than this library's: it was compiled for a later version" },
    { "tooshort", "tooshort: its module structure is too short" },
};

START_TEST(module_of_a_wrong_length_is_explained)
{
    use_dso(wrong_sizes[_i][0]);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_ERR_NOT_FOUND);
    expect_message(wrong_sizes[_i][1]);
    unsetenv("OPALMEM_MCA_memory");
    messages[0] = '\0';
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_eq(messages, "");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

#endif

static void set_up(void)
{
    mca_base_set_log(collect, NULL);
}

int main(void)
{
    Suite *suite = suite_create("memory_components");
    TCase *tests = tcase_create("memory_components");
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_loop_test(tests, component_that_is_added_is_selected, 0, 2);
    tcase_add_test(tests, first_component_of_a_name_stays);
    tcase_add_test(tests, name_of_the_librarys_own_component_stays_its);
    tcase_add_test(tests, component_of_another_version_is_explained);
    tcase_add_test(tests, wrong_additions_are_refused_with_a_message);
    tcase_add_test(tests, framework_that_does_not_exist_is_reported);
    tcase_add_test(tests, component_without_its_functions_cannot_run);
    tcase_add_loop_test(tests, module_that_contradicts_itself_cannot_run, 0,
                        (int) (sizeof(unsound) / sizeof(unsound[0])));
    tcase_add_loop_test(tests, two_components_with_words_of_their_own_never_run_together, 0, 2);
    tcase_add_loop_test(tests, component_that_may_tell_late_gets_company_unless_the_user_has_chosen, 0,
                        (int) (sizeof(companies) / sizeof(companies[0])));
    tcase_add_test(tests, company_that_cannot_start_leaves_the_place_to_the_next);
    tcase_add_test(tests, component_with_a_word_of_its_own_is_no_company);
    tcase_add_loop_test(tests, only_selected_components_promise_anything, 0,
                        (int) (sizeof(promises) / sizeof(promises[0])));
#ifdef OPALMEM_HAVE_LTDL
    tcase_add_test(tests, module_of_this_version_is_used_whole);
    tcase_add_test(tests, what_a_shorter_module_lacks_is_zero);
    tcase_add_loop_test(tests, module_of_a_wrong_length_is_explained, 0,
                        (int) (sizeof(wrong_sizes) / sizeof(wrong_sizes[0])));
#else
    printf("no libltdl: components as DSOs are not tested\n");
#endif
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
