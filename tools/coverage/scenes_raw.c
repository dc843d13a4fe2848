/* SPDX-License-Identifier: BSD-3-Clause */
/* Scenes: around libc's functions. syscall(), system-call instructions in the
 * program itself, io_uring, userfaultfd. */
#include <errno.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/coverage/scenes.h"

void scene_syscall_munmap(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(syscall(SYS_munmap, memory, 4 * PAGE) == 0, "syscall(SYS_munmap)");
    coverage_end();
}

void scene_syscall_madvise(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(syscall(SYS_madvise, memory, 4 * PAGE, MADV_DONTNEED) == 0, "syscall(SYS_madvise)");
    coverage_end();
}

/* ---- System-call instructions ------------------------------------------------------------------- */

#define ALWAYS_INLINE __attribute__((always_inline)) inline

/* raw_call: the number where the compiler puts it. Adjacent: set by the instruction before the call, as libc has
 * it. */
#if defined(__x86_64__)
static ALWAYS_INLINE long raw_call(long number, long a, long b, long c)
{
    long result = number;

    __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

#define ADJACENT_CALL(number, result, a, b, c)                  \
    __asm__ volatile("movl %[nr], %%eax\n\tsyscall"             \
                     : "=&a"(result)                            \
                     : [nr] "i"(number), "D"(a), "S"(b), "d"(c) \
                     : "rcx", "r11", "memory")
#elif defined(__aarch64__)
static ALWAYS_INLINE long raw_call(long number, long a, long b, long c)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;

    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}

#define ADJACENT_CALL(number, result, a, b, c)                \
    do {                                                      \
        register long x0 __asm__("x0") = (long) (a);          \
        register long x1 __asm__("x1") = (long) (b);          \
        register long x2 __asm__("x2") = (long) (c);          \
        __asm__ volatile("mov x8, %[nr]\n\tsvc #0"            \
                         : "+r"(x0)                           \
                         : [nr] "i"(number), "r"(x1), "r"(x2) \
                         : "x8", "memory");                   \
        (result) = x0;                                        \
    } while (0)
#else
static ALWAYS_INLINE long raw_call(long number, long a, long b, long c)
{
    (void) number, (void) a, (void) b, (void) c;
    coverage_not_possible("no system-call instruction is written for this processor");
}

#define ADJACENT_CALL(number, result, a, b, c) ((result) = raw_call(number, (long) (a), (long) (b), (long) (c)))
#endif

void scene_raw_munmap(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(raw_call(SYS_munmap, (long) memory, 4 * PAGE, 0) == 0, "munmap by instruction");
    coverage_end();
}

void scene_raw_madvise(void)
{
    char *memory = scene_pages(4);

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    coverage_need(raw_call(SYS_madvise, (long) memory, 4 * PAGE, MADV_DONTNEED) == 0, "madvise by instruction");
    coverage_end();
}

void scene_raw_munmap_adjacent(void)
{
    char *memory = scene_pages(4);
    long result;

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    ADJACENT_CALL(SYS_munmap, result, memory, 4 * PAGE, 0L);
    coverage_need(result == 0, "munmap by instruction");
    coverage_end();
}

void scene_raw_madvise_adjacent(void)
{
    char *memory = scene_pages(4);
    long result;

    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    ADJACENT_CALL(SYS_madvise, result, memory, 4 * PAGE, (long) MADV_DONTNEED);
    coverage_need(result == 0, "madvise by instruction");
    coverage_end();
}

/* ---- io_uring, without its library ---------------------------------------------------------------- */

#define RING_BYTES (16 * PAGE)

typedef struct ring_t {
    int fd;
    char *queues;
    struct io_uring_sqe *entries;
    struct io_uring_params params;
} ring_t;

static void open_ring(ring_t *ring)
{
    memset(ring, 0, sizeof(*ring));
    ring->fd = (int) syscall(SYS_io_uring_setup, 4, &ring->params);
    if (ring->fd < 0) {
        coverage_not_possible("io_uring_setup");
    }
    ring->queues = mmap(NULL, RING_BYTES, RW, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
    ring->entries = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
    coverage_need(ring->queues != MAP_FAILED && ring->entries != MAP_FAILED, "mmap of a ring");
}

static unsigned *word_of(const ring_t *ring, unsigned offset)
{
    return (unsigned *) (uintptr_t) (ring->queues + offset);
}

/* One request on a new ring, and its result. */
static int run_request(const ring_t *ring)
{
    const struct io_uring_cqe *done =
        (struct io_uring_cqe *) (uintptr_t) (ring->queues + ring->params.cq_off.cqes);

    word_of(ring, ring->params.sq_off.array)[0] = 0;
    __atomic_store_n(word_of(ring, ring->params.sq_off.tail), 1, __ATOMIC_RELEASE);
    coverage_need(syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1,
                  "io_uring_enter");
    coverage_need(__atomic_load_n(word_of(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE) == 1, "io_uring");
    return done->res;
}

void scene_uring_madvise(void)
{
    char *memory = scene_pages(4);
    ring_t ring;
    int result;

    open_ring(&ring);
    ring.entries[0].opcode = IORING_OP_MADVISE;
    ring.entries[0].addr = (uintptr_t) memory;
    ring.entries[0].len = (unsigned) (4 * PAGE);
    ring.entries[0].fadvise_advice = MADV_DONTNEED;
    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    result = run_request(&ring);
    coverage_need(result == 0, "madvise by io_uring");
    coverage_end();
}

#define REQUEST_FTRUNCATE 55 /* IORING_OP_FTRUNCATE, since Linux 6.9. */

void scene_uring_ftruncate(void)
{
    const int fd = scene_memory_file(4);
    char *memory = scene_map_file(fd, 4);
    ring_t ring;
    int result;

    open_ring(&ring);
    ring.entries[0].opcode = REQUEST_FTRUNCATE;
    ring.entries[0].fd = fd;
    coverage_expect(0, memory, 4 * PAGE);
    coverage_begin();
    result = run_request(&ring);
    errno = -result;
    if (result < 0) {
        coverage_not_possible("ftruncate by io_uring");
    }
    coverage_end();
}

/* ---- userfaultfd ------------------------------------------------------------------------------------ */

/* Since Linux 6.8; older headers do not have it. */
struct move_request {
    uint64_t to, from, length, mode;
    int64_t moved;
};
#define MOVE_REQUEST _IOWR(UFFDIO, 0x05, struct move_request)
#define FEATURE_MOVE (UINT64_C(1) << 16)
#define USER_MODE_ONLY 1

static int open_userfaultfd(void)
{
    struct uffdio_api api = { .api = UFFD_API, .features = FEATURE_MOVE };
    const int fd = (int) syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);

    if (fd < 0) {
        coverage_not_possible("userfaultfd");
    }
    if (ioctl(fd, UFFDIO_API, &api) != 0) {
        coverage_not_possible("UFFDIO_MOVE");
    }
    return fd;
}

/* The source goes; the destination must be empty. */
void scene_uffd_move(void)
{
    const int fd = open_userfaultfd();
    char *from = scene_pages(4), *to = mmap(NULL, 4 * PAGE, RW, ANON, -1, 0);
    struct uffdio_register registration = { .range = { (uintptr_t) to, 4 * PAGE },
                                            .mode = UFFDIO_REGISTER_MODE_MISSING };
    struct move_request request = { (uintptr_t) to, (uintptr_t) from, 4 * PAGE, 0, 0 };

    coverage_need(to != MAP_FAILED && ioctl(fd, UFFDIO_REGISTER, &registration) == 0, "UFFDIO_REGISTER");
    coverage_expect(0, from, 4 * PAGE);
    coverage_begin();
    coverage_need(ioctl(fd, MOVE_REQUEST, &request) == 0, "UFFDIO_MOVE");
    coverage_end();
}
