/* SPDX-License-Identifier: BSD-3-Clause */
/* Tools of the measures: clock, medians, bare system calls, address space, random places; and the main function of
 * a side's process.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/rcache/bench.h"

bool is_quick;
static const char *side_name = "?";
static bool has_complained;

static double read_clock(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

double now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

double cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static int by_value(const void *a, const void *b)
{
    double first = *(const double *) a, second = *(const double *) b;
    return (first > second) - (first < second);
}

double median(double *values, size_t count)
{
    qsort(values, count, sizeof(double), by_value);
    return values[count / 2];
}

void emit(const char *measure, const scene_t *scene, double value)
{
    printf("%s.%s %.4f\n", measure, scene->name, value);
}

__attribute__((format(printf, 1, 0))) static void say(const char *format, va_list args)
{
    fprintf(stderr, "bench_rcache: %s: ", side_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    has_complained = true;
}

void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    fflush(stdout);
    _exit(1);
}

/* Not inline: a site with its number in the instruction before is one that the component linux replaces. */
KEPT_WHOLE long bare(long nr, long a, long b, long c, long d, long e, long f)
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

long bare_munmap(void *address, size_t length)
{
    return bare(SYS_munmap, (long) address, (long) length, 0, 0, 0, 0);
}

long bare_discard(void *address, size_t length)
{
    return bare(SYS_madvise, (long) address, (long) length, MADV_DONTNEED, 0, 0, 0);
}

/* From 64 GiB upwards, where the kernel puts nothing by itself: so holes stay holes. */
static char *map(size_t length)
{
    static uintptr_t next = UINT64_C(64) << 30;
    void *place = mmap((void *) next, length, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (place != (void *) next) {
        fail("cannot map %zu MiB of address space", length >> 20);
    }
    next += (length + PAGE - 1) / PAGE * PAGE + PAGE;
    return place;
}

char *make_arena(size_t count, size_t size)
{
    size_t alignment = size > PAGE ? size : PAGE;
    uintptr_t begin = (uintptr_t) map(count * size + alignment + PAGE);
    begin = (begin + alignment - 1) / alignment * alignment;
    return (char *) (size > PAGE ? begin + PAGE : begin);
}

char *make_hole(void)
{
    char *hole = map(3 * PAGE) + PAGE;
    bare_munmap(hole, PAGE);
    return hole;
}

static size_t line_of_rollup(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    if (line == NULL) {
        fail("/proc/self/smaps_rollup: no line \"%s\"", name + 1);
    }
    return strtoul(line + strlen(name), NULL, 10) * 1024;
}

/* Without the pages of files: code that runs for the first time is no part of a cache. */
size_t resident_bytes(void)
{
    char text[4096];
    int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (length <= 0) {
        fail("/proc/self/smaps_rollup cannot be read");
    }
    close(fd);
    text[length] = '\0';
    return line_of_rollup(text, "\nPss_Anon:") + line_of_rollup(text, "\nPss_Shmem:");
}

bool pin_to_cpu(unsigned which)
{
    static cpu_set_t allowed; /* As the process began. */
    cpu_set_t one;
    if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        return false;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && which-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            return sched_setaffinity(0, sizeof(one), &one) == 0;
        }
    }
    return false;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

stream_t make_stream(size_t count, size_t stride, size_t step)
{
    size_t length = (size_t) 1 << 14; /* Stays in the second cache where the regions do. */
    uint64_t state = 88172645463325252;
    while (length < count && length < (size_t) 1 << 20) {
        length *= 2;
    }
    stream_t stream = { malloc(length * sizeof(uint32_t)), length - 1 };
    if (stream.places == NULL) {
        fail("no memory for %zu places", length);
    }
    for (size_t i = 0; i < length; i++) {
        size_t place = (next_random(&state) >> 16) % count * stride;
        stream.places[i] = (uint32_t) ((place / step * step) / STREAM_UNIT);
    }
    return stream;
}

/* ---- A side's process -------------------------------------------------------------------------- */

static int run_side(int argc, char **argv, const side_t *side)
{
    const scene_t *scene = argc > 3 ? scene_find(argv[3]) : NULL;
    const char *why = side->start();
    if (why != NULL) {
        printf("%s\n", why);
        return 2;
    }
    if (strcmp(argv[2], "run") == 0 && scene != NULL) {
        is_quick = argc > 4;
        side->run(scene);
    } else if (strcmp(argv[2], "callgrind") == 0 && argc > 4) {
        side->callgrind(strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
    } else if (strcmp(argv[2], "probe") != 0) {
        fail("what is \"%s\"?", argv[2]);
    }
    return has_complained ? 1 : 0;
}

int side_main(int argc, char **argv, const side_t *const *sides)
{
    for (; *sides != NULL && argc > 2; sides++) {
        if (strcmp((*sides)->name, argv[1]) == 0) {
            side_name = argv[1];
            return run_side(argc, argv, *sides);
        }
    }
    return 3;
}
