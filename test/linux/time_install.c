/* SPDX-License-Identifier: BSD-3-Clause */
/* How long the component "linux" takes to put its patches in place, without the rest of opalmem_init(): the first time in a
 * process (which looks for the sites and makes the stubs), again, and taking them out; medians over fresh processes.
 * `--threads N` has N threads that compute meanwhile: changing code interrupts their processors. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "components/linux/linux.h"

#define PROCESSES 51
#define REPEATS 20

enum { FIRST, AGAIN, OUT, TIMES };

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e6 + (double) now.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double first = *(const double *) a, second = *(const double *) b;
    return (first > second) - (first < second);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(double), by_value);
    return values[count / 2];
}

static const linux_options_t options = { .search_limit = SIZE_MAX };

static double install(void)
{
    int support = 0;
    uint64_t sees = 0;
    double start = now_us();
    if (linux_install(&options, &support, &sees) != OPAL_SUCCESS) {
        fprintf(stderr, "time_install: the component linux cannot run here\n");
        _exit(1);
    }
    return now_us() - start;
}

static double uninstall(void)
{
    double start = now_us();
    linux_uninstall();
    return now_us() - start;
}

static void *compute(void *arg)
{
    for (volatile unsigned long turns = 0;; turns++) {
    }
    return arg;
}

/* In a process of its own. */
static void measure(int fd, int threads)
{
    double times[TIMES], again[REPEATS], out[REPEATS];
    pthread_t thread;
    for (int i = 0; i < threads; i++) {
        pthread_create(&thread, NULL, compute, NULL);
    }
    times[FIRST] = install();
    for (int i = 0; i < REPEATS; i++) {
        out[i] = uninstall();
        again[i] = install();
    }
    times[AGAIN] = median(again, REPEATS);
    times[OUT] = median(out, REPEATS);
    _exit(write(fd, times, sizeof(times)) == sizeof(times) ? 0 : 1);
}

static int run(int threads, double times[TIMES])
{
    int ends[2], status = 1;
    if (pipe(ends) != 0) {
        return 1;
    }
    pid_t child = fork();
    if (child == 0) {
        measure(ends[1], threads);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], times, TIMES * sizeof(double));
    close(ends[0]);
    waitpid(child, &status, 0);
    return got != (ssize_t) (TIMES * sizeof(double)) || status != 0;
}

int main(int argc, char **argv)
{
    static double times[TIMES][PROCESSES];
    static const char *const names[TIMES] = { "first in a process", "again", "taken out" };
    int threads = argc > 2 && strcmp(argv[1], "--threads") == 0 ? atoi(argv[2]) : 0;
    for (size_t i = 0; i < PROCESSES; i++) {
        double one[TIMES];
        if (run(threads, one) != 0) {
            fprintf(stderr, "time_install: a process has failed\n");
            return 1;
        }
        for (size_t k = 0; k < TIMES; k++) {
            times[k][i] = one[k];
        }
    }
    printf("patches of the component linux, beside %d threads, median of %d processes\n", threads, PROCESSES);
    for (size_t k = 0; k < TIMES; k++) {
        printf("  %-18s %8.0f us\n", names[k], median(times[k], PROCESSES));
    }
    return 0;
}
