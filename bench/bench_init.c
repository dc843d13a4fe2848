/* SPDX-License-Identifier: BSD-3-Clause */
/* What start and stop of the library cost: opalmem_init() and opalmem_finalize()
 * for the first time in a process, and again in the same one; medians over fresh
 * processes. The environment says where DSOs are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "opal/opalmem.h"

#define PROCESSES 101
#define REPEATS 20

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

/* One start and stop in microseconds, or a negative number. */
static double start_and_stop(void)
{
    double start = now_us();
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS || opalmem_finalize() != OPAL_SUCCESS) {
        return -1;
    }
    return now_us() - start;
}

/* In a fresh process: prints what the first one took, and the median of those after it. */
static int measure(void)
{
    double again[REPEATS];
    double first = start_and_stop();
    for (int i = 0; i < REPEATS; i++) {
        again[i] = start_and_stop();
    }
    printf("%.3f %.3f\n", first, median(again, REPEATS));
    return first < 0 || again[0] < 0;
}

static int run(const char *program, double *first, double *again)
{
    char command[4096];
    snprintf(command, sizeof(command), "'%s' measure", program);
    FILE *child = popen(command, "re");
    if (child == NULL) {
        return 1;
    }
    int got = fscanf(child, "%lf %lf", first, again);
    return pclose(child) != 0 || got != 2;
}

static void print_components(void)
{
    mca_base_component_info_t info;
    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        return;
    }
    printf("components:");
    for (size_t i = 0; mca_base_component_get_info(i, &info) == OPAL_SUCCESS; i++) {
        printf(" %s/%s%s%s", info.framework, info.name, info.path != NULL ? " (DSO)" : "",
               info.selected ? " (selected)" : "");
    }
    printf("\n");
    opalmem_finalize();
}

int main(int argc, char **argv)
{
    static double first[PROCESSES], again[PROCESSES];
    char self[2048];
    if (argc > 1 && strcmp(argv[1], "measure") == 0) {
        return measure();
    }
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length <= 0) {
        perror("bench_init: /proc/self/exe");
        return 1;
    }
    self[length] = '\0';
    for (size_t i = 0; i < PROCESSES; i++) {
        if (run(self, &first[i], &again[i]) != 0) {
            fprintf(stderr, "bench_init: a process has failed\n");
            return 1;
        }
    }
    print_components();
    printf("opalmem_init() and opalmem_finalize(), median of %d processes\n", PROCESSES);
    printf("  first in a process %8.0f us\n", median(first, PROCESSES));
    printf("  repeated           %8.0f us\n", median(again, PROCESSES));
    return 0;
}
