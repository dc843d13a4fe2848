/* SPDX-License-Identifier: BSD-3-Clause */
/* Start and stop of the whole library, through public headers only. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "opal/opalmem.h"
#include "test/test_main.h"

/* argv is writable. */
#define W(text) ((char[]){ text })

static char last_message[512];
static int messages;

static void keep_message(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) level, (void) arg;
    messages++;
    strncpy(last_message, message, sizeof(last_message) - 1);
}

static void set_up(void)
{
    mca_base_set_log(keep_message, NULL);
}

static void ignore(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
}

START_TEST(before_init_nothing_is_supported)
{
    ck_assert_int_eq(opal_mem_hooks_support_level(), 0);
    ck_assert_int_eq(opal_mem_hooks_register_release(ignore, NULL), OPAL_ERR_NOT_SUPPORTED);
    ck_assert_int_eq(opal_mem_hooks_register_alloc(ignore, NULL), OPAL_ERR_NOT_SUPPORTED);
    ck_assert_int_eq(opal_mem_hooks_finalize(), OPAL_SUCCESS);
    ck_assert_ptr_nonnull(opal_memory);
}
END_TEST

START_TEST(init_takes_its_arguments_and_leaves_the_rest)
{
    char *arguments[] = { W("program"), W("-x"),   W("--mca"), W("memory"),
                          W("noop"),    W("file"), W("-mca"),  W("rcache_base_max_count"),
                          W("7"),       W("--"),   W("--mca"), W("kept"),
                          W("kept"),    NULL };
    char **argv = arguments;
    int argc = 13;
    ck_assert_int_eq(opalmem_init(&argc, &argv), OPAL_SUCCESS);
    ck_assert_int_eq(argc, 7);
    ck_assert_str_eq(argv[1], "-x");
    ck_assert_str_eq(argv[2], "file");
    ck_assert_str_eq(argv[3], "--");
    ck_assert_str_eq(argv[4], "--mca");
    ck_assert_ptr_null(argv[7]);
    ck_assert_str_eq(opal_memory->memoryc_version.mca_component_name, "noop");
    ck_assert_int_eq(opal_mem_hooks_support_level(), 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

static void init_fails(char *const *words, int count, int code, const char *expected)
{
    char *arguments[8] = { NULL };
    char **argv = arguments;
    int argc = count;
    memcpy(arguments, words, (size_t) count * sizeof(words[0]));
    ck_assert_int_eq(opalmem_init(&argc, &argv), code);
    ck_assert_int_eq(argc, count);
    ck_assert_int_eq(memcmp(arguments, words, (size_t) count * sizeof(words[0])), 0);
    ck_assert_int_eq(messages, 1);
    ck_assert_msg(strstr(last_message, expected) != NULL, "\"%s\" lacks \"%s\"", last_message, expected);
    ck_assert_int_eq(opal_mem_hooks_support_level(), 0);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS); /* Nothing was left half open. */
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}

START_TEST(unknown_component_fails_with_the_list_of_known_ones)
{
    char *words[] = { W("program"), W("--mca"), W("memory"), W("nosuch"), W("rest") };
    init_fails(words, 5, OPAL_ERR_NOT_FOUND, "noop");
}
END_TEST

START_TEST(mca_without_a_value_fails)
{
    char *words[] = { W("program"), W("--mca"), W("memory") };
    init_fails(words, 3, OPAL_ERR_BAD_PARAM, "--mca");
}
END_TEST

START_TEST(bad_number_fails_with_name_and_value)
{
    char *words[] = { W("program"), W("--mca"), W("rcache_base_max_count"), W("12abc") };
    init_fails(words, 4, OPAL_ERR_BAD_PARAM, "12abc");
}
END_TEST

START_TEST(init_is_counted_together_with_hooks_init)
{
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_init(), OPAL_SUCCESS);
    int level = opal_mem_hooks_support_level();
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_support_level(), level);
    ck_assert_int_eq(opal_mem_hooks_finalize(), OPAL_SUCCESS);
    ck_assert_int_eq(opal_mem_hooks_support_level(), 0);
}
END_TEST

START_TEST(settings_of_a_later_init_are_taken_out_and_reported)
{
    char *arguments[] = { W("program"), W("--mca"), W("memory"), W("noop"), W("file"), NULL };
    char **argv = arguments;
    int argc = 5;
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_init(&argc, &argv), OPAL_SUCCESS);
    ck_assert_int_eq(argc, 2);
    ck_assert_int_eq(messages, 1);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

static int take(const char *const *words, int count)
{
    static char *arguments[8];
    char **argv = arguments;
    int argc = count;
    for (int i = 0; i < count; i++) {
        arguments[i] = (char *) (uintptr_t) words[i];
    }
    arguments[count] = NULL;
    return mca_base_cmd_line_take(&argc, &argv);
}

START_TEST(settings_taken_before_init_are_used_together_with_those_of_init)
{
    static const char *const words[] = { "launcher", "--mca", "memory", "noop" };
    char *arguments[] = { W("program"), W("--mca"), W("rcache_base_max_count"), W("7"), NULL };
    char **argv = arguments;
    int argc = 4;
    ck_assert_int_eq(take(words, 4), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_init(&argc, &argv), OPAL_SUCCESS);
    ck_assert_str_eq(opal_memory->memoryc_version.mca_component_name, "noop");
    mca_base_var_info_t info;
    ck_assert_int_eq(mca_base_var_find_info("rcache_base_max_count", &info), OPAL_SUCCESS);
    ck_assert_str_eq(info.value, "7");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    mca_base_cmd_line_setting_t setting;
    ck_assert_int_eq(mca_base_cmd_line_get(0, &setting), OPAL_ERR_NOT_FOUND);
}
END_TEST

START_TEST(settings_taken_before_an_init_that_fails_stay_for_the_next_one)
{
    static const char *const words[] = { "launcher", "--mca", "memory", "noop" };
    char *arguments[] = { W("program"), W("--mca"), W("rcache_base_max_count"), W("much"), NULL };
    char **argv = arguments;
    int argc = 4;
    ck_assert_int_eq(take(words, 4), OPAL_SUCCESS);
    ck_assert_int_eq(opalmem_init(&argc, &argv), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(argc, 4);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_eq(opal_memory->memoryc_version.mca_component_name, "noop");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(other_value_than_before_init_fails)
{
    static const char *const words[] = { "launcher", "--mca", "memory", "linux" };
    char *more[] = { W("program"), W("--mca"), W("memory"), W("noop") };
    ck_assert_int_eq(take(words, 4), OPAL_SUCCESS);
    init_fails(more, 4, OPAL_ERR_BAD_PARAM, "variable memory is set twice");
}
END_TEST

START_TEST(tune_file_that_is_missing_fails)
{
    char *words[] = { W("program"), W("--mca"), W("memory"), W("noop"), W("--tune"), W("/nonexistent/file") };
    init_fails(words, 6, OPAL_ERR_BAD_PARAM, "\"/nonexistent/file\" cannot be used (--tune, argument 4)");
}
END_TEST

START_TEST(bad_parameter_file_fails_and_a_good_one_counts)
{
    char path[] = "/tmp/opalmem-test-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_eq(write(fd, "memory = noop\nmistake\n", 22), 22);
    setenv("OPALMEM_MCA_mca_base_param_files", path, 1);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_ERR_BAD_PARAM);
    ck_assert_int_eq(messages, 1);
    ck_assert_ptr_nonnull(strstr(last_message, ":2: \"mistake\" has no"));
    ck_assert_int_eq(ftruncate(fd, 14), 0);
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    ck_assert_str_eq(opal_memory->memoryc_version.mca_component_name, "noop");
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
    close(fd);
    unlink(path);
}
END_TEST

static int events;

static void count(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) length, (void) from_alloc;
    events += buf == *(void **) cbdata;
}

static int events_of_a_munmap(void)
{
    const size_t page = (size_t) sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = opal_mem_hooks_register_release(count, &memory);
    events = 0;
    munmap(memory, page);
    if (rc == OPAL_SUCCESS) {
        ck_assert_int_eq(opal_mem_hooks_unregister_release(count), OPAL_SUCCESS);
    }
    return events;
}

START_TEST(a_hundred_rounds_of_init_and_finalize_work_each_time)
{
    bool supported = false;
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
        supported = opal_mem_hooks_support_level() & OPAL_MEMORY_MUNMAP_SUPPORT;
        ck_assert_int_eq(events_of_a_munmap(), supported ? 1 : 0);
        ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
        ck_assert_int_eq(events_of_a_munmap(), 0);
    }
    printf("munmap is %s here\n", supported ? "noticed" : "not noticed");
}
END_TEST

static void *init_and_finalize(void *arg)
{
    for (int i = 0; i < 50; i++) {
        if (opalmem_init(NULL, NULL) != OPAL_SUCCESS || opalmem_finalize() != OPAL_SUCCESS) {
            *(int *) arg = 1;
        }
    }
    return NULL;
}

START_TEST(inits_and_finalizes_of_four_threads_may_race)
{
#ifdef __SANITIZE_THREAD__
    /* A thread's end discards its stack after TSan has let go of the thread: instrumented hooks crash there. */
    setenv("OPALMEM_MCA_memory", "noop", 1);
#endif
    pthread_t threads[4];
    int failed[4] = { 0 };
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, init_and_finalize, &failed[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(failed[i], 0);
    }
    ck_assert_int_eq(opal_mem_hooks_support_level(), 0);
}
END_TEST

START_TEST(fork_child_can_go_on_and_start_anew)
{
    ck_assert_int_eq(opalmem_init(NULL, NULL), OPAL_SUCCESS);
    int expected = opal_mem_hooks_support_level() & OPAL_MEMORY_MUNMAP_SUPPORT ? 1 : 0;
    pid_t pid = fork();
    if (pid == 0) {
        bool good = events_of_a_munmap() == expected;
        good = opalmem_finalize() == OPAL_SUCCESS && good;
        good = opalmem_init(NULL, NULL) == OPAL_SUCCESS && events_of_a_munmap() == expected && good;
        _exit(good ? 0 : 1);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(events_of_a_munmap(), expected);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

START_TEST(every_code_has_a_name)
{
    for (int code = -18; code <= 0; code++) {
        ck_assert_str_ne(opal_strerror(code), "unknown code");
    }
    ck_assert_str_eq(opal_strerror(1), "unknown code");
    ck_assert_str_eq(opal_strerror(-19), "unknown code");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("init");
    TCase *tests = tcase_create("start and stop");
    tcase_set_timeout(tests, 240);
    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_add_test(tests, before_init_nothing_is_supported);
    tcase_add_test(tests, init_takes_its_arguments_and_leaves_the_rest);
    tcase_add_test(tests, unknown_component_fails_with_the_list_of_known_ones);
    tcase_add_test(tests, mca_without_a_value_fails);
    tcase_add_test(tests, bad_number_fails_with_name_and_value);
    tcase_add_test(tests, init_is_counted_together_with_hooks_init);
    tcase_add_test(tests, settings_of_a_later_init_are_taken_out_and_reported);
    tcase_add_test(tests, settings_taken_before_init_are_used_together_with_those_of_init);
    tcase_add_test(tests, settings_taken_before_an_init_that_fails_stay_for_the_next_one);
    tcase_add_test(tests, other_value_than_before_init_fails);
    tcase_add_test(tests, tune_file_that_is_missing_fails);
    tcase_add_test(tests, bad_parameter_file_fails_and_a_good_one_counts);
    tcase_add_test(tests, a_hundred_rounds_of_init_and_finalize_work_each_time);
    tcase_add_test(tests, inits_and_finalizes_of_four_threads_may_race);
    tcase_add_test(tests, fork_child_can_go_on_and_start_anew);
    tcase_add_test(tests, every_code_has_a_name);
    suite_add_tcase(suite, tests);
    return test_run(suite);
}
