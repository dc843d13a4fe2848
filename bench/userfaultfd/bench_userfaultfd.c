/* SPDX-License-Identifier: BSD-3-Clause */
/* What the component userfaultfd costs: hits of a cache by size, page faults of
 * watched memory, munmap of memory that is and is not watched. One process for
 * each setting; rounds of all of them take turns, and medians are compared with
 * the first one's.
 *
 * bench_userfaultfd [ROUNDS] */
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "opal/opalmem.h"

#define PAGE ((size_t) 4096)
#define MOST_ROUNDS 1001

typedef enum op_t { HIT, FAULT, UNMAP_OTHER, UNMAP_WATCHED, DISCARD_WATCHED } op_t;

typedef struct order_t {
    op_t op;
    size_t size;
} order_t;

static double now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

/* ---- One process ----------------------------------------------------------------------------------- */

static mca_rcache_base_module_t *cache;

static int register_mem(void *data, void *base, size_t size, mca_rcache_base_registration_t *reg)
{
    (void) data, (void) base, (void) size, (void) reg;
    return OPAL_SUCCESS;
}

static int deregister_mem(void *data, mca_rcache_base_registration_t *reg)
{
    (void) data, (void) reg;
    return OPAL_SUCCESS;
}

static void use(void *memory, size_t size)
{
    mca_rcache_base_registration_t *reg;

    if (cache->rcache_register(cache, memory, size, 0, 0, &reg) != OPAL_SUCCESS) {
        abort();
    }
    cache->rcache_deregister(cache, reg);
}

static char *map(size_t size)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        abort();
    }
    return memory;
}

static double time_hits(size_t size)
{
    enum { TIMES = 2000 };
    char *memory = map(size);

    use(memory, size);
    const double begin = now_ns();
    for (int i = 0; i < TIMES; i++) {
        use(memory, size);
    }
    const double result = (now_ns() - begin) / TIMES;
    munmap(memory, size);
    return result;
}

static double time_faults(size_t size)
{
    char *memory = map(size);

    madvise(memory, size, MADV_NOHUGEPAGE);
    use(memory, size);
    const double begin = now_ns();
    for (size_t at = 0; at < size; at += PAGE) {
        ((volatile char *) memory)[at] = 1;
    }
    const double result = (now_ns() - begin) / (double) (size / PAGE);
    munmap(memory, size);
    return result;
}

/* The call alone; a page that holds the place apart from its neighbours. */
static double time_release(size_t size, bool is_watched, bool is_discard)
{
    enum { TIMES = 200 };
    double sum = 0;

    mca_rcache_base_progress(); /* Watches that are over, are ended: the same addresses come again. */
    for (int i = 0; i < TIMES; i++) {
        char *memory = map(size);
        memset(memory, 1, size);
        if (is_watched) {
            use(memory, size);
        }
        const double begin = now_ns();
        if (is_discard) {
            madvise(memory, size, MADV_DONTNEED);
        } else {
            munmap(memory, size);
        }
        sum += now_ns() - begin;
        if (is_discard) {
            munmap(memory, size);
        }
    }
    return sum / TIMES;
}

static double carry_out(order_t order)
{
    switch (order.op) {
    case HIT: return time_hits(order.size);
    case FAULT: return time_faults(order.size);
    case UNMAP_OTHER: return time_release(order.size, false, false);
    case UNMAP_WATCHED: return time_release(order.size, true, false);
    case DISCARD_WATCHED: return time_release(order.size, true, true);
    }
    return 0;
}

static void stay_on_one_cpu(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(0, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

/* Memory that is watched all the time, so that what there is to be started is. */
static void begin(void)
{
    static mca_rcache_base_resources_t resources = { .register_mem = register_mem,
                                                     .deregister_mem = deregister_mem,
                                                     .sizeof_reg = sizeof(mca_rcache_base_registration_t) };

    if (opalmem_init(NULL, NULL) != OPAL_SUCCESS) {
        exit(2);
    }
    cache = mca_rcache_base_module_create(NULL, NULL, &resources);
    use(map(PAGE), PAGE);
}

/* ---- All of them ----------------------------------------------------------------------------------- */

typedef struct setting_t {
    const char *name, *memory, *unmap, *lookup;
    bool is_on_one_cpu;
    int to, from; /* Pipes: orders, figures. */
    pid_t pid;
} setting_t;

static setting_t settings[] = {
    { .name = "noop", .memory = "noop" },
    { .name = "linux", .memory = "linux" },
    { .name = "userfaultfd", .memory = "userfaultfd" },
    { .name = "userfaultfd, lookup both", .memory = "userfaultfd", .lookup = "both" },
    { .name = "userfaultfd, one CPU", .memory = "userfaultfd", .is_on_one_cpu = true },
    { .name = "linux+userfaultfd", .memory = "linux+userfaultfd" },
    { .name = "linux+userfaultfd, tag", .memory = "linux+userfaultfd", .unmap = "tag" },
};
#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static void serve(const setting_t *setting, int orders, int figures)
{
    order_t order;

    setenv("OPALMEM_MCA_memory", setting->memory, 1);
    setenv("OPALMEM_MCA_rcache_base_unsafe", strcmp(setting->memory, "noop") == 0 ? "1" : "0", 1);
    if (setting->unmap != NULL) {
        setenv("OPALMEM_MCA_memory_userfaultfd_unmap", setting->unmap, 1);
    }
    if (setting->lookup != NULL) {
        setenv("OPALMEM_MCA_memory_userfaultfd_lookup", setting->lookup, 1);
    }
    if (setting->is_on_one_cpu) {
        stay_on_one_cpu();
    }
    begin();
    while (read(orders, &order, sizeof(order)) == sizeof(order)) {
        const double figure = carry_out(order);
        if (write(figures, &figure, sizeof(figure)) != sizeof(figure)) {
            break;
        }
    }
    _exit(0);
}

static void launch(setting_t *setting)
{
    int orders[2], figures[2];

    if (pipe(orders) != 0 || pipe(figures) != 0 || (setting->pid = fork()) < 0) {
        perror("bench_userfaultfd");
        exit(2);
    }
    if (setting->pid == 0) {
        close(orders[1]);
        serve(setting, orders[0], figures[1]);
    }
    close(orders[0]);
    close(figures[1]);
    setting->to = orders[1];
    setting->from = figures[0];
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

static void measure(const char *what, order_t order, int rounds)
{
    static double figures[SETTINGS][MOST_ROUNDS];

    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < SETTINGS; i++) {
            if (write(settings[i].to, &order, sizeof(order)) != sizeof(order)
                || read(settings[i].from, &figures[i][round], sizeof(double)) != sizeof(double)) {
                fprintf(stderr, "bench_userfaultfd: %s does not run here\n", settings[i].name);
                exit(2);
            }
        }
    }
    printf("%s, %zu KiB\n", what, order.size >> 10);
    for (size_t i = 0; i < SETTINGS; i++) {
        qsort(figures[i], (size_t) rounds, sizeof(double), compare);
        printf("  %-26s %10.0f ns  x%.2f\n", settings[i].name, figures[i][rounds / 2],
               figures[i][rounds / 2] / figures[0][rounds / 2]);
    }
}

int main(int argc, char **argv)
{
    const int asked = argc > 1 ? atoi(argv[1]) : 31;
    const int rounds = asked < 1 ? 1 : asked > MOST_ROUNDS ? MOST_ROUNDS : asked;

    for (size_t i = 0; i < SETTINGS; i++) {
        launch(&settings[i]);
    }
    for (size_t size = PAGE; size <= (size_t) 64 << 20; size *= 16) {
        measure("hit", (order_t){ HIT, size }, rounds);
    }
    measure("hit", (order_t){ HIT, (size_t) 64 << 20 }, rounds);
    measure("page fault", (order_t){ FAULT, (size_t) 1 << 20 }, rounds);
    measure("munmap of memory that is not watched", (order_t){ UNMAP_OTHER, PAGE }, rounds);
    measure("munmap of watched memory", (order_t){ UNMAP_WATCHED, PAGE }, rounds);
    measure("munmap of watched memory", (order_t){ UNMAP_WATCHED, (size_t) 1 << 20 }, rounds);
    measure("madvise DONTNEED of watched memory", (order_t){ DISCARD_WATCHED, PAGE }, rounds);
    return 0;
}
