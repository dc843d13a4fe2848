/* SPDX-License-Identifier: BSD-3-Clause */
/* The framework "rcache": a component of the test's own, linked in and as a
 * DSO, among the library's. Index 0 of a loop is linked in, 1 a DSO. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/opalmem.h"
#include "test/rcache/fake_provider.h"
#include "test/rcache/fake_rcache.h"
#include "test/test_main.h"

#define PAGE ((size_t) sysconf(_SC_PAGESIZE))
#define AT ((void *) (uintptr_t) 0x10000000)
#ifdef OPALMEM_HAVE_LTDL
#define WAYS 2
#else
#define WAYS 1
#endif

static fake_provider_t provider;
static mca_rcache_base_resources_t resources;
static fake_rcache_t seen;
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

static unsigned count_messages(void)
{
    unsigned count = 0;
    for (const char *p = messages; (p = strchr(p, '\n')) != NULL; p++) {
        count++;
    }
    return count;
}

static void use_dsos(void)
{
    const char *build = getenv("top_builddir");
    char path[1024];
    snprintf(path, sizeof(path), "%s/.libs:%s/test/rcache/.libs", build != NULL ? build : ".",
             build != NULL ? build : ".");
    setenv("OPALMEM_MCA_mca_base_component_path", path, 1);
}

/* The components that take part, besides "fake" where it is linked in. */
static void prepare(int way, const char *selection)
{
    resources = fake_resources(&provider);
    mca_base_set_log(collect, NULL);
    if (way == 0) {
        ck_assert_int_eq(mca_base_component_add_static("rcache", &mca_rcache_fake_component.rcache_version),
                         OPAL_SUCCESS);
    } else {
        use_dsos();
    }
    if (selection != NULL) {
        setenv("OPALMEM_MCA_rcache", selection, 1);
    }
}

static void start(int way, const char *selection)
{
    prepare(way, selection);
    fake_library_start();
}

static mca_rcache_base_module_t *create(const char *name)
{
    return mca_rcache_base_module_create(name, &seen, &resources);
}

static mca_rcache_base_module_t *create_good(const char *name)
{
    mca_rcache_base_module_t *cache = create(name);
    ck_assert_msg(cache != NULL, "no cache: %s", messages);
    return cache;
}

static void release_page(void)
{
    opal_mem_hooks_release_cause(AT, PAGE, true, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
}

static bool is_mapped(const char *component)
{
    char line[1024], file[128];
    bool found = false;
    snprintf(file, sizeof(file), "/mca_rcache_%s.so", component);
    FILE *maps = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        found = found || strstr(line, file) != NULL;
    }
    fclose(maps);
    return found;
}

static void find_info(const char *name, mca_base_component_info_t *info)
{
    for (size_t i = 0; mca_base_component_get_info(i, info) == OPAL_SUCCESS; i++) {
        if (strcmp(info->framework, "rcache") == 0 && strcmp(info->name, name) == 0) {
            return;
        }
    }
    ck_abort_msg("component %s is not listed", name);
}

/* ---- Which component makes a cache ------------------------------------------------------------------ */

START_TEST(name_chooses_the_component)
{
    start(_i, "fake,grdma");
    mca_rcache_base_module_t *own = create_good("fake"), *other = create_good("grdma");
    ck_assert_str_eq(own->component_name, "fake");
    ck_assert_str_eq(other->component_name, "grdma");
    ck_assert_int_eq(seen.created, 1);
    ck_assert_int_eq(mca_rcache_base_module_destroy(own), OPAL_SUCCESS);
    ck_assert_int_eq(mca_rcache_base_module_destroy(other), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert_str_eq(messages, "");
}
END_TEST

START_TEST(no_name_takes_the_highest_priority)
{
    start(_i, "fake,grdma");
    ck_assert_str_eq(create_good(NULL)->component_name, "grdma");
    mca_base_component_info_t info;
    find_info("grdma", &info);
    ck_assert(info.selected);
    find_info("fake", &info);
    ck_assert(!info.selected && info.available && info.priority == 10);
    ck_assert(_i == 0 ? info.path == NULL : strstr(info.path, "/mca_rcache_fake.so") != NULL);
}
END_TEST

START_TEST(selection_limits_what_is_there)
{
    start(_i, "fake");
    ck_assert_str_eq(create_good(NULL)->component_name, "fake");
    ck_assert_ptr_null(create("grdma"));
    expect_message("has no component \"grdma\" that can be used; there are: ");
    expect_message("grdma: not in the list \"fake\" (environment variable OPALMEM_MCA_rcache)");
    ck_assert_uint_eq(count_messages(), 1);
}
END_TEST

START_TEST(resources_that_the_first_does_not_take_go_to_the_next)
{
    start(_i, "fake");
    seen.init_with = OPAL_ERR_NOT_AVAILABLE;
    ck_assert_ptr_null(create(NULL));
    expect_message("no component of framework rcache takes the resources of the cache \"fake\"");
    ck_assert_uint_eq(count_messages(), 1);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    setenv("OPALMEM_MCA_rcache", "fake,grdma", 1);
    setenv("OPALMEM_MCA_rcache_fake_priority", "90", 1);
    fake_library_start();
    ck_assert_str_eq(create_good(NULL)->component_name, "grdma");
    seen.init_with = OPAL_SUCCESS;
    ck_assert_str_eq(create_good(NULL)->component_name, "fake");
}
END_TEST

START_TEST(other_errors_of_the_component_end_the_creation)
{
    setenv("OPALMEM_MCA_rcache_fake_priority", "90", 1);
    start(_i, "fake,grdma");
    seen.init_with = OPAL_ERR_PERM;
    ck_assert_ptr_null(create(NULL));
    expect_message("component fake cannot make the registration cache \"fake\": ");
    ck_assert_uint_eq(count_messages(), 1);
}
END_TEST

static const struct {
    const char *selection, *message;
    int code;
} wrong_selections[] = {
    { "grdma+fake", "variable rcache cannot have the value \"grdma+fake\"", OPAL_ERR_BAD_PARAM },
    { "grdma+fake", "its components are never used together; expected \"a,b\" or \"^a,b\"", OPAL_ERR_BAD_PARAM },
    { "nosuch", "framework rcache has no component \"nosuch\"", OPAL_ERR_NOT_FOUND },
    { "^grdma,fake,", "a name is missing", OPAL_ERR_BAD_PARAM },
};

START_TEST(wrong_selection_is_refused_with_one_message)
{
    prepare(0, wrong_selections[_i].selection);
    ck_assert_int_eq(opalmem_init(NULL, NULL), wrong_selections[_i].code);
    expect_message(wrong_selections[_i].message);
    ck_assert_uint_eq(count_messages(), 1);
    unsetenv("OPALMEM_MCA_rcache");
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(unknown_name_is_refused_and_lists_what_there_is)
{
    start(_i, "fake,grdma");
    ck_assert_ptr_null(create("nosuch"));
    expect_message("no component \"nosuch\" that can be used; there are: grdma: can run here; fake: can run here");
    ck_assert_ptr_null(create(""));
    ck_assert_uint_eq(count_messages(), 2);
}
END_TEST

START_TEST(component_that_cannot_run_is_explained)
{
    start(1, "absent,grdma");
    ck_assert_str_eq(messages, "");
    ck_assert_ptr_null(create("absent"));
    expect_message("absent: there is no device /dev/fake");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    messages[0] = '\0';
    setenv("OPALMEM_MCA_rcache", "absent", 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_ERR_NOT_FOUND);
    expect_message(
        "framework rcache cannot do what \"absent\" (environment variable OPALMEM_MCA_rcache) asks for");
    expect_message("absent: there is no device /dev/fake");
    ck_assert_uint_eq(count_messages(), 1);
}
END_TEST

/* ---- What the component gets ------------------------------------------------------------------------- */

START_TEST(defaults_are_filled_in)
{
    setenv("OPALMEM_MCA_rcache_base_max_count", "7", 1);
    setenv("OPALMEM_MCA_rcache_base_max_bytes", "64K", 1);
    setenv("OPALMEM_MCA_rcache_base_in_use_policy", "ignore", 1);
    start(_i, "fake");
    resources.cache_name = NULL;
    create_good(NULL);
    ck_assert_str_eq(seen.cache_name, "unnamed");
    ck_assert_uint_eq(seen.resources.max_count, 7);
    ck_assert_uint_eq(seen.resources.max_bytes, 65536);
    ck_assert_int_eq(seen.resources.in_use_policy, MCA_RCACHE_IN_USE_IGNORE);
    ck_assert_ptr_eq(seen.resources.reg_data, &provider);
    ck_assert_uint_eq(resources.max_count, 0); /* The caller's own are untouched. */
    resources.max_count = 3;
    resources.in_use_policy = MCA_RCACHE_IN_USE_ABORT;
    create_good(NULL);
    ck_assert_uint_eq(seen.resources.max_count, 3);
    ck_assert_int_eq(seen.resources.in_use_policy, MCA_RCACHE_IN_USE_ABORT);
}
END_TEST

START_TEST(base_decides_about_caching)
{
    start(_i, "fake");
    mca_rcache_base_module_t *cache = create_good(NULL);
    ck_assert(seen.caching && mca_rcache_base_is_caching(cache));
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    setenv("OPALMEM_MCA_rcache_base_leave_pinned", "0", 1);
    fake_library_start();
    cache = create_good(NULL);
    ck_assert(!seen.caching && !mca_rcache_base_is_caching(cache));
}
END_TEST

START_TEST(releases_reach_every_cache)
{
    start(_i, "fake,grdma");
    release_page();
    ck_assert_int_eq(seen.invalidated, 0);
    mca_rcache_base_module_t *one = create_good("fake"), *two = create_good("fake");
    release_page();
    ck_assert_int_eq(seen.invalidated, 2);
    ck_assert_ptr_eq(seen.addr, AT);
    ck_assert_uint_eq(seen.size, PAGE);
    ck_assert_int_eq(mca_rcache_base_module_destroy(one), OPAL_SUCCESS);
    release_page();
    ck_assert_int_eq(seen.invalidated, 3);
    ck_assert_int_eq(mca_rcache_base_module_destroy(two), OPAL_SUCCESS);
    release_page();
    ck_assert_int_eq(seen.invalidated, 3);
}
END_TEST

START_TEST(progress_and_fork_reach_the_cache)
{
    start(_i, "fake");
    create_good(NULL);
    mca_rcache_base_progress();
    ck_assert_int_eq(seen.progressed, 1);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        _exit(seen.reset == 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(seen.reset, 0);
}
END_TEST

/* ---- End ------------------------------------------------------------------------------------------------ */

START_TEST(component_is_unloaded_after_its_caches)
{
    start(1, "fake");
    ck_assert_int_eq(mca_rcache_base_module_destroy(create_good(NULL)), OPAL_SUCCESS);
    ck_assert_int_eq(seen.finalized, 1);
    ck_assert(is_mapped("fake"));
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert_int_eq(seen.stopped, 0);
    ck_assert(!is_mapped("fake")); /* The following tests see it stay. */
}
END_TEST

START_TEST(cache_that_is_left_is_stopped_and_can_be_destroyed_later)
{
    start(_i, "fake");
    mca_rcache_base_module_t *cache = create_good(NULL);
    ck_assert_int_eq(opalmem_finalize(), OPAL_ERR_RESOURCE_BUSY);
    ck_assert_int_eq(seen.stopped, 1);
    ck_assert_int_eq(seen.finalized, 0);
    ck_assert(_i == 0 || is_mapped("fake"));
    fake_library_start();
    release_page();
    ck_assert_int_eq(seen.invalidated, 0); /* Of this init, nobody has asked to listen yet. */
    mca_rcache_base_module_t *second = create_good(NULL);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(mca_rcache_base_module_destroy(second), OPAL_SUCCESS);
    ck_assert_int_eq(seen.finalized, 2);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(code_of_finalize_is_that_of_destroy_and_keeps_the_component)
{
    start(_i, "fake");
    seen.finalize_with = OPAL_ERR_RESOURCE_BUSY;
    mca_rcache_base_module_t *cache = create_good(NULL);
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_ERR_RESOURCE_BUSY);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert(_i == 0 || is_mapped("fake"));
    ck_assert_int_eq(cache->rcache_deregister(cache, NULL), OPAL_SUCCESS); /* The last reference, say. */
    free(seen.last);
}
END_TEST

START_TEST(component_with_a_callback_left_stays_loaded)
{
    setenv("OPALMEM_MCA_rcache_base_verbose", "10", 1);
    start(1, "hook");
    ck_assert_int_eq(mca_rcache_base_module_destroy(create_good(NULL)), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert(is_mapped("hook"));
    expect_message("component hook stays loaded: it has left a callback behind");
}
END_TEST

/* ---- Structures of other versions ----------------------------------------------------------------------- */

START_TEST(shorter_module_is_completed_by_the_base)
{
    start(1, "short");
    mca_rcache_base_stats_t stats;
    memset(&stats, 0x11, sizeof(stats));
    mca_rcache_base_module_t *cache = create_good(NULL);
    ck_assert(!cache->rcache_evict(cache));
    cache->rcache_progress(cache);
    cache->rcache_stats(cache, &stats);
    ck_assert_uint_eq(stats.hits, 0);
    ck_assert_uint_eq(stats.peak_bytes, 0);
    ck_assert(mca_rcache_base_is_caching(cache)); /* It says nothing; the base knows. */
    mca_rcache_base_registration_t reg = { 0 }, *got = NULL;
    ck_assert_int_eq(mca_rcache_base_register(cache, AT, PAGE, 0, 0, &got), OPAL_ERR_NOT_SUPPORTED);
    ck_assert_int_eq(mca_rcache_base_deregister(cache, &reg), OPAL_SUCCESS);
    ck_assert_int_eq(seen.deregistered, 1); /* Hits without a call are not its business. */
    pid_t child = fork();
    if (child == 0) {
        release_page();
        _exit(seen.invalidated == 1 ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_ERR_RESOURCE_BUSY);
    ck_assert_int_eq(seen.stopped, 0);
    ck_assert_int_eq(seen.invalidated, 1); /* In place of being stopped. */
    ck_assert_uint_eq(seen.size, SIZE_MAX);
    ck_assert(!mca_rcache_base_is_caching(cache));
    ck_assert_int_eq(mca_rcache_base_module_destroy(cache), OPAL_SUCCESS);
}
END_TEST

static const struct {
    const char *component, *message;
} wrong_modules[] = {
    { "long", "its module structure is longer than this library's" },
    { "tooshort", "its module structure is too short" },
    { "empty", "a required member of its module structure is NULL" },
};

START_TEST(module_that_does_not_fit_is_refused)
{
    start(1, wrong_modules[_i].component);
    ck_assert_ptr_null(create(NULL));
    expect_message(wrong_modules[_i].message);
    ck_assert_uint_eq(count_messages(), 1);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    free(seen.last); /* The library does not call into what it does not know. */
}
END_TEST

START_TEST(that_none_is_selected_is_told_who_asks)
{
    setenv("OPALMEM_MCA_rcache_base_verbose", "10", 1);
    start(0, "^fake,grdma");
    expect_message("rcache: component fake is not tried: excluded by");
    expect_message("rcache: no component is selected\n");
}
END_TEST

START_TEST(component_without_init_cannot_run)
{
    static mca_rcache_base_component_t hollow;
    hollow.rcache_version =
        (mca_base_component_t){ MCA_RCACHE_BASE_VERSION_2_0_0, .mca_component_name = "hollow" };
    ck_assert_int_eq(mca_base_component_add_static("rcache", &hollow.rcache_version), OPAL_SUCCESS);
    start(0, "fake,hollow");
    ck_assert_ptr_null(create("hollow"));
    expect_message("hollow: its component structure has no rcache_init");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rcache_components");
    TCase *tests = tcase_create("rcache_components");
    tcase_add_loop_test(tests, name_chooses_the_component, 0, WAYS);
    tcase_add_loop_test(tests, no_name_takes_the_highest_priority, 0, WAYS);
    tcase_add_loop_test(tests, selection_limits_what_is_there, 0, WAYS);
    tcase_add_loop_test(tests, resources_that_the_first_does_not_take_go_to_the_next, 0, WAYS);
    tcase_add_loop_test(tests, other_errors_of_the_component_end_the_creation, 0, WAYS);
    tcase_add_loop_test(tests, wrong_selection_is_refused_with_one_message, 0,
                        (int) (sizeof(wrong_selections) / sizeof(wrong_selections[0])));
    tcase_add_loop_test(tests, unknown_name_is_refused_and_lists_what_there_is, 0, WAYS);
    tcase_add_loop_test(tests, defaults_are_filled_in, 0, WAYS);
    tcase_add_loop_test(tests, base_decides_about_caching, 0, WAYS);
    tcase_add_loop_test(tests, releases_reach_every_cache, 0, WAYS);
    tcase_add_loop_test(tests, progress_and_fork_reach_the_cache, 0, WAYS);
    tcase_add_loop_test(tests, cache_that_is_left_is_stopped_and_can_be_destroyed_later, 0, WAYS);
    tcase_add_loop_test(tests, code_of_finalize_is_that_of_destroy_and_keeps_the_component, 0, WAYS);
    tcase_add_test(tests, that_none_is_selected_is_told_who_asks);
    tcase_add_test(tests, component_without_init_cannot_run);
    if (WAYS > 1) {
        tcase_add_test(tests, component_that_cannot_run_is_explained);
        tcase_add_test(tests, component_is_unloaded_after_its_caches);
        tcase_add_test(tests, component_with_a_callback_left_stays_loaded);
        tcase_add_test(tests, shorter_module_is_completed_by_the_base);
        tcase_add_loop_test(tests, module_that_does_not_fit_is_refused, 0,
                            (int) (sizeof(wrong_modules) / sizeof(wrong_modules[0])));
    } else {
        printf("no libltdl: components as DSOs are not tested\n");
    }
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
