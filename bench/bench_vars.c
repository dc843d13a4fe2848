/* SPDX-License-Identifier: BSD-3-Clause */
/* What reading a variable costs that another thread may set: nanoseconds of a
 * loop that loads it with mca_base_var_load(), and of one that reads a plain
 * int. Best of several rounds: what else runs on the machine only adds. */
#include <stdio.h>
#include <time.h>

#include "opal/mca/base/var.h"

enum { ROUNDS = 15 };
static const unsigned long loads = 50000000;

/* One has to be read anew in each step; volatile forces that for the other, and costs nothing else. */
static int loaded = 1;
static volatile int plain = 1;

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

__attribute__((noinline)) static unsigned long sum_loaded(void)
{
    unsigned long sum = 0;
    for (unsigned long i = 0; i < loads; i++) {
        sum += (unsigned long) mca_base_var_load(loaded);
    }
    return sum;
}

__attribute__((noinline)) static unsigned long sum_plain(void)
{
    unsigned long sum = 0;
    for (unsigned long i = 0; i < loads; i++) {
        sum += (unsigned long) plain;
    }
    return sum;
}

static double measure(unsigned long (*sum)(void), double best, unsigned long *result)
{
    double start = now_ns();
    *result += sum();
    double each = (now_ns() - start) / (double) loads;
    return best < each ? best : each;
}

int main(void)
{
    double plain_ns = 1e9, loaded_ns = 1e9;
    unsigned long result = 0;
    for (int i = 0; i < ROUNDS; i++) {
        plain_ns = measure(sum_plain, plain_ns, &result);
        loaded_ns = measure(sum_loaded, loaded_ns, &result);
    }
    printf("plain variable       %.3f ns\n", plain_ns);
    printf("mca_base_var_load()  %.3f ns, %.2f times as much\n", loaded_ns, loaded_ns / plain_ns);
    return result == 2 * ROUNDS * loads ? 0 : 1;
}
