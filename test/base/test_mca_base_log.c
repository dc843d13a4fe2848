/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages: whole, to the right place, and only those that are wanted. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base_test.h"
#include "framework/base/mca_base_log.h"

enum { THREADS = 4, MESSAGES = 200, LETTERS = 300 };

/* Sends stderr through a pipe; what comes out is read by read_stderr(). */
static int start_stderr(void)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    return ends[0];
}

static void expect_stderr(int fd, const char *expected)
{
    char text[8192];
    size_t length = 0;
    close(STDERR_FILENO);
    for (ssize_t got; (got = read(fd, text + length, sizeof text - 1 - length)) > 0;) {
        length += (size_t) got;
    }
    text[length] = '\0';
    ck_assert_str_eq(text, expected);
}

START_TEST(errors_and_warnings_go_to_stderr_with_their_kind)
{
    int fd = start_stderr();
    mca_base_log(MCA_BASE_LOG_ERROR, "no %s", "luck");
    mca_base_log(MCA_BASE_LOG_WARN, "%d clouds", 7);
    expect_stderr(fd, "opalmem: error: no luck\nopalmem: warning: 7 clouds\n");
}
END_TEST

START_TEST(information_needs_verbosity)
{
    static const struct {
        int verbosity;
        const char *text;
    } cases[] = {
        { 0, "" },
        { MCA_BASE_VERBOSE_INFO - 1, "" },
        { MCA_BASE_VERBOSE_INFO, "opalmem: info\n" },
        { MCA_BASE_VERBOSE_DEBUG - 1, "opalmem: info\n" },
        { MCA_BASE_VERBOSE_DEBUG, "opalmem: info\nopalmem: debug\n" },
        { 100, "opalmem: info\nopalmem: debug\n" },
    };
    int fd = start_stderr();
    mca_base_log_verbosity = cases[_i].verbosity;
    mca_base_log(MCA_BASE_LOG_INFO, "info");
    mca_base_log(MCA_BASE_LOG_DEBUG, "debug");
    expect_stderr(fd, cases[_i].text);
}
END_TEST

START_TEST(framework_verbosity_decides_for_its_messages)
{
    int fd = start_stderr();
    fake_framework.verbose = 20;
    mca_base_verbose(&fake_framework, 20, "shown %d", 1);
    mca_base_verbose(&fake_framework, 21, "hidden");
    expect_stderr(fd, "opalmem: fake: shown 1\n");
}
END_TEST

START_TEST(long_message_is_not_cut)
{
    char letters[3001];
    memset(letters, 'x', 3000);
    letters[3000] = '\0';
    char expected[3100];
    snprintf(expected, sizeof expected, "opalmem: error: %s\n", letters);
    int fd = start_stderr();
    mca_base_log(MCA_BASE_LOG_ERROR, "%s", letters);
    expect_stderr(fd, expected);
}
END_TEST

START_TEST(length_around_the_buffer_is_right)
{
    char letters[1200];
    size_t length = 1020 + (size_t) _i;
    memset(letters, 'x', length);
    letters[length] = '\0';
    log_start();
    mca_base_log(MCA_BASE_LOG_ERROR, "%s", letters);
    ck_assert_str_eq(log_last(MCA_BASE_LOG_ERROR), letters);

    mca_base_set_log(NULL, NULL);
    char expected[1300];
    snprintf(expected, sizeof expected, "opalmem: error: %s\n", letters);
    int fd = start_stderr();
    mca_base_log(MCA_BASE_LOG_ERROR, "%s", letters);
    expect_stderr(fd, expected);
}
END_TEST

static void keep_level(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) message;
    *(int *) arg = (int) level;
}

START_TEST(callback_replaces_stderr_until_it_is_removed)
{
    int first = -1, second = -1;
    int fd = start_stderr();
    mca_base_set_log(keep_level, &first);
    mca_base_log(MCA_BASE_LOG_WARN, "x");
    mca_base_set_log(keep_level, &second);
    mca_base_log(MCA_BASE_LOG_ERROR, "x");
    mca_base_set_log(NULL, NULL);
    mca_base_log(MCA_BASE_LOG_ERROR, "to stderr");
    expect_stderr(fd, "opalmem: error: to stderr\n");
    ck_assert_int_eq(first, MCA_BASE_LOG_WARN);
    ck_assert_int_eq(second, MCA_BASE_LOG_ERROR);
}
END_TEST

static void log_again(mca_base_log_level_t level, const char *message, void *arg)
{
    (void) message;
    int *depth = arg;
    if (++*depth < 3) {
        mca_base_log(level, "from the callback");
    }
}

START_TEST(callback_may_log)
{
    int depth = 0;
    mca_base_set_log(log_again, &depth);
    mca_base_log(MCA_BASE_LOG_WARN, "x");
    ck_assert_int_eq(depth, 3);
}
END_TEST

START_TEST(errno_is_preserved)
{
    log_start();
    errno = EXDEV;
    mca_base_log(MCA_BASE_LOG_ERROR, "%s", strerror(ENOENT));
    ck_assert_int_eq(errno, EXDEV);
    close(STDERR_FILENO);
    mca_base_set_log(NULL, NULL);
    mca_base_log(MCA_BASE_LOG_ERROR, "nobody reads this");
    ck_assert_int_eq(errno, EXDEV);
}
END_TEST

static void *log_letters(void *arg)
{
    char letters[LETTERS + 1];
    memset(letters, *(const char *) arg, LETTERS);
    letters[LETTERS] = '\0';
    for (int i = 0; i < MESSAGES; i++) {
        mca_base_log(MCA_BASE_LOG_WARN, "%s", letters);
    }
    return NULL;
}

/* Counts the lines of fd that are whole messages of one letter. */
static void *count_whole_lines(void *arg)
{
    static const char prefix[] = "opalmem: warning: ";
    FILE *stream = fdopen(*(int *) arg, "r");
    char line[1024];
    size_t whole = 0;
    while (fgets(line, sizeof line, stream) != NULL) {
        const char *message = line + sizeof prefix - 1;
        whole += strncmp(line, prefix, sizeof prefix - 1) == 0 && strlen(message) == LETTERS + 1
                 && strspn(message, (const char[]){ message[0], '\0' }) == LETTERS;
    }
    fclose(stream);
    return (void *) whole;
}

START_TEST(messages_of_several_threads_do_not_mix)
{
    static const char letters[THREADS] = "abcd";
    int fd = start_stderr();
    pthread_t writers[THREADS], reader;
    void *whole;
    ck_assert_int_eq(pthread_create(&reader, NULL, count_whole_lines, &fd), 0);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&writers[i], NULL, log_letters, (void *) (uintptr_t) &letters[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(writers[i], NULL);
    }
    close(STDERR_FILENO);
    pthread_join(reader, &whole);
    ck_assert_uint_eq((size_t) whole, THREADS * MESSAGES);
}
END_TEST

static void *change_target(void *arg)
{
    (void) arg;
    static int levels[2];
    for (int i = 0; i < MESSAGES; i++) {
        mca_base_set_log(keep_level, &levels[0]);
        mca_base_set_log(NULL, NULL);
    }
    return NULL;
}

START_TEST(callback_may_change_while_others_log)
{
    static const char letters[THREADS] = "abcd";
    int fd = start_stderr();
    pthread_t threads[THREADS], reader;
    ck_assert_int_eq(pthread_create(&reader, NULL, count_whole_lines, &fd), 0);
    ck_assert_int_eq(pthread_create(&threads[0], NULL, change_target, NULL), 0);
    ck_assert_int_eq(pthread_create(&threads[1], NULL, log_letters, (void *) (uintptr_t) &letters[1]), 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    close(STDERR_FILENO);
    pthread_join(reader, NULL);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, errors_and_warnings_go_to_stderr_with_their_kind);
    tcase_add_loop_test(tests, information_needs_verbosity, 0, 6);
    tcase_add_test(tests, framework_verbosity_decides_for_its_messages);
    tcase_add_test(tests, long_message_is_not_cut);
    tcase_add_loop_test(tests, length_around_the_buffer_is_right, 0, 8);
    tcase_add_test(tests, callback_replaces_stderr_until_it_is_removed);
    tcase_add_test(tests, callback_may_log);
    tcase_add_test(tests, errno_is_preserved);
    tcase_add_test(tests, messages_of_several_threads_do_not_mix);
    tcase_add_test(tests, callback_may_change_while_others_log);
}

int main(void)
{
    return run_tests("mca_base_log", add);
}
