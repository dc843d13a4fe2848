/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hooked call costs beyond the plain one: nothing installed, this library with one release
 * callback, and UCX's libucm (bistro) with one handler of VM_UNMAPPED, by turns.
 *
 * UCX cannot be taken out again, so each turn is a process of its own. In it, each pair of batches makes the same call
 * through libc and by a system-call instruction of this program, which nobody replaces: what the machine does
 * meanwhile meets both. "extra" is libc's batch less the bare one, less the same in a process with nothing installed.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "opal/opalmem.h"

#ifdef __clang__
#define KEPT_WHOLE noinline
#else
#define KEPT_WHOLE noinline, noclone
#endif

#define PAGE ((size_t) 4096)
#define BATCH 128
#define PAIRS 61
#define ROUNDS 15

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
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

/* ---- The calls, through libc and bare ---------------------------------------------------------- */

/* Not inline: a site with its number in the instruction before is one that the component replaces, in programs, too. */
__attribute__((KEPT_WHOLE)) static long bare(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static char *place;        /* Two pages that stay mapped. */
static char *hole;         /* Nothing is mapped there. */
static char *pages[BATCH]; /* Separate mappings of a page, made before the clock starts. */
static int zero_fd, pipe_fd[2];
static uintptr_t heap_end;

static char *map_pages(size_t count)
{
    return (char *) bare(SYS_mmap, 0, (long) (count * PAGE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
}

static void prepare_places(void)
{
    place = map_pages(2);
    zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (zero_fd < 0 || pipe2(pipe_fd, O_CLOEXEC) != 0) {
        perror("bench_peers");
        exit(1);
    }
}

/* Anew each time: stdio or a library may have mapped something there. */
static void prepare_hole(void)
{
    hole = map_pages(1);
    bare(SYS_munmap, (long) hole, PAGE, 0, 0, 0, 0);
}

/* A gap below each page keeps the kernel from joining them. */
static void prepare_pages(void)
{
    for (int i = 0; i < BATCH; i++) {
        pages[i] = map_pages(2);
        bare(SYS_munmap, (long) pages[i], PAGE, 0, 0, 0, 0);
        pages[i] += PAGE;
    }
}

static void munmap_refused(int i, bool is_bare)
{
    (void) i;
    is_bare ? (int) bare(SYS_munmap, (long) (place + 1), PAGE, 0, 0, 0, 0) : munmap(place + 1, PAGE);
}

static void munmap_hole(int i, bool is_bare)
{
    (void) i;
    is_bare ? (int) bare(SYS_munmap, (long) hole, PAGE, 0, 0, 0, 0) : munmap(hole, PAGE);
}

static void munmap_page(int i, bool is_bare)
{
    is_bare ? (int) bare(SYS_munmap, (long) pages[i], PAGE, 0, 0, 0, 0) : munmap(pages[i], PAGE);
}

static void advise(int advice, bool is_bare)
{
    is_bare ? (int) bare(SYS_madvise, (long) place, PAGE, advice, 0, 0, 0) : madvise(place, PAGE, advice);
}

static void madvise_dontneed(int i, bool is_bare)
{
    (void) i;
    advise(MADV_DONTNEED, is_bare);
}

static void madvise_willneed(int i, bool is_bare)
{
    (void) i;
    advise(MADV_WILLNEED, is_bare);
}

static void map_and_unmap(int i, bool is_bare)
{
    (void) i;
    if (is_bare) {
        bare(SYS_munmap, (long) map_pages(1), PAGE, 0, 0, 0, 0);
    } else {
        munmap(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
    }
}

static void mremap_there_and_back(int i, bool is_bare)
{
    size_t from = i % 2 == 0 ? 2 * PAGE : PAGE, to = 3 * PAGE - from;
    is_bare ? (void) bare(SYS_mremap, (long) place, (long) from, (long) to, 0, 0, 0)
            : (void) mremap(place, from, to, 0);
}

static void find_heap_end(void)
{
    heap_end = (uintptr_t) sbrk(0);
}

static void sbrk_up_down(int i, bool is_bare)
{
    (void) i;
    if (is_bare) {
        bare(SYS_brk, (long) (heap_end + PAGE), 0, 0, 0, 0, 0);
        bare(SYS_brk, (long) heap_end, 0, 0, 0, 0, 0);
    } else {
        sbrk((intptr_t) PAGE);
        sbrk(-(intptr_t) PAGE);
    }
}

static void open_close(int i, bool is_bare)
{
    (void) i;
    if (is_bare) {
        bare(SYS_close, bare(SYS_openat, AT_FDCWD, (long) "/dev/null", O_RDONLY | O_CLOEXEC, 0, 0, 0), 0, 0, 0, 0,
             0);
    } else {
        close(open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
}

static void ioctl_fionread(int i, bool is_bare)
{
    int size;
    (void) i;
    is_bare ? (int) bare(SYS_ioctl, pipe_fd[0], FIONREAD, (long) &size, 0, 0, 0)
            : ioctl(pipe_fd[0], FIONREAD, &size);
}

static void get_parent(int i, bool is_bare)
{
    (void) i;
    is_bare ? (pid_t) bare(SYS_getppid, 0, 0, 0, 0, 0, 0) : getppid();
}

static void read_byte(int i, bool is_bare)
{
    char byte;
    (void) i;
    if ((is_bare ? bare(SYS_read, zero_fd, (long) &byte, 1, 0, 0, 0) : read(zero_fd, &byte, 1)) != 1) {
        exit(1);
    }
}

/* No system call: its ratio is taken of libc's batches alone. */
static void malloc_free(int i, bool is_bare)
{
    (void) i, (void) is_bare;
    for (int k = 0; k < 20; k++) {
        void *volatile block = malloc(64);
        free(block);
    }
}

typedef struct call_t {
    const char *name;
    void (*once)(int i, bool is_bare);
    void (*prepare)(void);
    int calls;      /* In one step. */
    bool is_hooked; /* By this library, */
    bool is_ucxs;   /* and by UCX. */
} call_t;

static const call_t all_calls[] = {
    { "munmap, refused", munmap_refused, NULL, 1, true, true },
    { "munmap of a hole", munmap_hole, prepare_hole, 1, true, true },
    { "munmap of a page", munmap_page, prepare_pages, 1, true, true },
    { "madvise DONTNEED 4K", madvise_dontneed, NULL, 1, true, true },
    { "madvise WILLNEED 4K", madvise_willneed, NULL, 1, true, true },
    { "mmap + munmap 4K", map_and_unmap, NULL, 1, true, true },
    { "mremap 8K <-> 4K", mremap_there_and_back, NULL, 1, true, true },
    { "sbrk up + down", sbrk_up_down, find_heap_end, 1, true, true },
    { "open + close", open_close, NULL, 1, true, false },
    { "ioctl FIONREAD", ioctl_fionread, NULL, 1, true, false },
    { "getppid", get_parent, NULL, 1, false, false },
    { "read of 1 byte", read_byte, NULL, 1, false, false },
    { "malloc + free 64 B", malloc_free, NULL, 20, false, false },
};
#define CALLS (sizeof(all_calls) / sizeof(all_calls[0]))

/* ---- In one process ---------------------------------------------------------------------------- */

static unsigned long events; /* Callbacks do as little as can be seen from outside. */

static void on_release(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    events++;
}

static void on_ucm_event(int type, void *event, void *arg)
{
    (void) type, (void) event, (void) arg;
    events++;
}

static bool start_nothing(void)
{
    return true;
}

static bool start_opalmem(void)
{
    return opalmem_init(NULL, NULL) == OPAL_SUCCESS
           && opal_mem_hooks_register_release(on_release, NULL) == OPAL_SUCCESS;
}

/* What is used of ucm/api/ucm.h is declared here: no header of UCX is needed to build this. Debian's libucm needs
 * symbols of libucs, and does not say so. */
static bool start_ucm(void)
{
    enum { UCM_EVENT_VM_UNMAPPED = 1 << 17 };
    void *ucs = dlopen("libucs.so.0", RTLD_NOW | RTLD_GLOBAL);
    void *ucm = ucs != NULL ? dlopen("libucm.so.0", RTLD_NOW) : NULL;
    int (*set_event_handler)(int events, int priority, void (*callback)(int, void *, void *), void *arg) = NULL;
    if (ucm != NULL) {
        *(void **) &set_event_handler = dlsym(ucm, "ucm_set_event_handler");
    }
    return set_event_handler != NULL && set_event_handler(UCM_EVENT_VM_UNMAPPED, 1000, on_ucm_event, NULL) == 0;
}

static const struct {
    const char *name;
    bool (*start)(void);
} setups[] = { { "plain", start_nothing }, { "opalmem", start_opalmem }, { "UCX", start_ucm } };
enum { PLAIN, OPALMEM, UCX, SETUPS };

typedef struct cost_t {
    double libc_ns, difference_ns, events;
} cost_t;

static double batch(const call_t *call, bool is_bare)
{
    if (call->prepare != NULL) {
        call->prepare();
    }
    double start = now_ns();
    for (int i = 0; i < BATCH; i++) {
        call->once(i, is_bare);
    }
    return (now_ns() - start) / BATCH / call->calls;
}

static cost_t measure_call(const call_t *call)
{
    static double libc[PAIRS], difference[PAIRS];
    unsigned long before = events;
    for (int i = 0; i < PAIRS; i++) {
        bool bare_first = i % 2 == 0;
        double first = batch(call, bare_first), second = batch(call, !bare_first);
        libc[i] = bare_first ? second : first;
        difference[i] = bare_first ? second - first : first - second;
    }
    return (cost_t){ .libc_ns = median(libc, PAIRS),
                     .difference_ns = median(difference, PAIRS),
                     .events = (double) (events - before) / (PAIRS * BATCH) / call->calls };
}

static int measure(const char *name)
{
    prepare_places();
    for (size_t i = 0; i < SETUPS; i++) {
        if (strcmp(setups[i].name, name) == 0 && !setups[i].start()) {
            return 2;
        }
    }
    for (size_t i = 0; i < CALLS; i++) {
        cost_t cost = measure_call(&all_calls[i]);
        printf("%.3f %.3f %.3f\n", cost.libc_ns, cost.difference_ns, cost.events);
    }
    return 0;
}

/* ---- All processes ----------------------------------------------------------------------------- */

/* Medians over the rounds need every value. */
typedef struct results_t {
    double libc[CALLS][ROUNDS], difference[CALLS][ROUNDS], events[CALLS];
} results_t;

static bool run(const char *program, const char *setup, results_t *results, int round)
{
    char command[4096];
    snprintf(command, sizeof(command), "exec '%s' measure %s", program, setup);
    FILE *child = popen(command, "re");
    bool is_good = child != NULL;
    for (size_t i = 0; i < CALLS && is_good; i++) {
        is_good = fscanf(child, "%lf %lf %lf", &results->libc[i][round], &results->difference[i][round],
                         &results->events[i])
                  == 3;
    }
    return child != NULL && pclose(child) == 0 && is_good;
}

/* The ratio of each round by itself: what runs beside it on the machine changes from round to round. */
static double ratio_to_plain(results_t results[SETUPS], int setup, size_t i)
{
    double ratios[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        ratios[round] = results[setup].libc[i][round] / results[PLAIN].libc[i][round];
    }
    return median(ratios, ROUNDS);
}

static void print_unhooked(results_t results[SETUPS], size_t i, bool has_ucx)
{
    double ours = ratio_to_plain(results, OPALMEM, i);
    double theirs = has_ucx ? ratio_to_plain(results, UCX, i) : 0;
    printf("%-20s %8.1f   x %.2f           ", all_calls[i].name, median(results[PLAIN].libc[i], ROUNDS), ours);
    has_ucx ? printf("x %.2f\n", theirs) : printf("-\n");
}

static void print_hooked(results_t results[SETUPS], size_t i, bool has_ucx)
{
    double plain = median(results[PLAIN].difference[i], ROUNDS);
    double ours = median(results[OPALMEM].difference[i], ROUNDS) - plain;
    printf("%-20s %8.1f  %+7.1f (%.1f) ", all_calls[i].name, median(results[PLAIN].libc[i], ROUNDS), ours,
           results[OPALMEM].events[i]);
    if (!has_ucx) {
        printf("       -\n");
        return;
    }
    double theirs = median(results[UCX].difference[i], ROUNDS) - plain;
    printf(" %+7.1f (%.1f) ", theirs, results[UCX].events[i]);
    all_calls[i].is_ucxs ? printf("%7.2f\n", ours / theirs) : printf("      -\n");
}

static void print(results_t results[SETUPS], bool has_ucx)
{
    printf("medians of %d processes each, by turns; ns; in parentheses callbacks a step\n", ROUNDS);
    printf("%-20s %8s  %13s  %13s  %6s\n", "call", "plain", "opalmem extra", "UCX extra", "ratio");
    for (size_t i = 0; i < CALLS; i++) {
        all_calls[i].is_hooked ? print_hooked(results, i, has_ucx) : print_unhooked(results, i, has_ucx);
    }
}

int main(int argc, char **argv)
{
    static results_t results[SETUPS];
    char self[2048];
    bool has_ucx = true;
    if (argc > 2 && strcmp(argv[1], "measure") == 0) {
        return measure(argv[2]);
    }
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length <= 0) {
        perror("bench_peers: /proc/self/exe");
        return 1;
    }
    self[length] = '\0';
    for (int round = 0; round < ROUNDS; round++) {
        for (int k = 0; k < SETUPS - !has_ucx; k++) {
            if (run(self, setups[k].name, &results[k], round)) {
                continue;
            }
            if (k != UCX || round != 0) {
                fprintf(stderr, "bench_peers: the process with %s has failed\n", setups[k].name);
                return 1;
            }
            has_ucx = false; /* Debian package: libucx0. */
        }
    }
    print(results, has_ucx);
    return 0;
}
