/* SPDX-License-Identifier: BSD-3-Clause */
/* Faults: noted where they are seen, perhaps in a hook, and printed when the
 * run has ended, with the last operations of each thread. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "test/stress/stress.h"

#define KEPT 16

static struct fault {
    const char *what;
    unsigned thread;
    uint64_t op, a, b, c;
} faults[KEPT];
static _Atomic uint64_t count;

void stress_fault(const stress_worker_t *worker, const char *what, uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t place = atomic_fetch_add(&count, 1);
    if (place < KEPT) {
        faults[place] = (struct fault){
            what, worker == NULL ? UINT32_MAX : worker->number, worker == NULL ? 0 : worker->op, a, b, c
        };
    }
    if (stress_in_child) {
        _exit(1);
    }
    if (!stress_options.expect_errors) {
        atomic_store(&stress_stop, true);
    }
}

uint64_t stress_fault_count(void)
{
    return atomic_load(&count);
}

static void print_trace(const stress_worker_t *worker)
{
    printf("the last operations of thread %u:\n", worker->number);
    for (uint64_t i = worker->op < STRESS_TRACE ? 0 : worker->op - STRESS_TRACE; i < worker->op + 1; i++) {
        const stress_trace_t *trace = &worker->trace[i % STRESS_TRACE];
        if (trace->name != NULL && trace->op == i) {
            printf("  %8" PRIu64 " %-20s buffer %2u  %#14" PRIxPTR " + %#zx\n", trace->op, trace->name,
                   trace->buffer, trace->start, trace->length);
        }
    }
}

void stress_print_faults(void)
{
    for (uint64_t i = 0; i < stress_fault_count() && i < KEPT; i++) {
        const struct fault *fault = &faults[i];
        printf("FAULT: seed %" PRIu64 ", thread %d, operation %" PRIu64 ": %s (%#" PRIx64 ", %#" PRIx64
               ", %#" PRIx64 ")\n",
               stress_options.seed, (int) fault->thread, fault->op, fault->what, fault->a, fault->b, fault->c);
    }
    if (stress_fault_count() != 0 && !stress_options.expect_errors) {
        for (unsigned i = 0; i < stress_options.threads; i++) {
            print_trace(&stress_workers[i]);
        }
    }
}

/* Not what a handler may do; but the program is over. */
static void crash(int number)
{
    signal(number, SIG_DFL);
    if (!stress_in_child) {
        printf("CRASH: signal %d, seed %" PRIu64 "\n", number, stress_options.seed);
        stress_fault(NULL, "the program has crashed: signal", (uint64_t) number, 0, 0);
        stress_print_faults();
        fflush(stdout);
    }
    raise(number);
}

void stress_report_crashes(void)
{
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        signal(numbers[i], crash);
    }
}
