/* SPDX-License-Identifier: BSD-3-Clause */
/* How much stack a hooked call takes: signal handlers may release memory on
 * alternate stacks hardly larger than what the kernel itself needs there
 * (getauxval(AT_MINSIGSTKSZ) tells that). Each call runs on a painted stack,
 * without the library and with it; what it has painted over tells. The twins'
 * callback takes 4 KiB, and is noticed. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "test/linux/valgrind.h"
#include "test/linux/watched.h"
#include "test/test_main.h"

/* What a hooked call may take, from its caller's frame on: as much as the smallest alternate stack ever had. */
#define LIMIT 2048
#define LIMIT_FILES 3584 /* Of files all mappings are looked for, and what was known is compared after the call. */
#define LIMIT_VECTORS 5120 /* With AVX-512, which has 2.5 KiB. */
#define STACK (256 * 1024)
#define PAINT ((char) 0xa5)

/* ---- Calls ------------------------------------------------------------------------------------ */

/* Made before the stack is painted, used up by the call. */
static char *memory;
static int shm_id, file;
static char path[64];

static void make_memory(void)
{
    memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void make_shared(void)
{
    shm_id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
    memory = shmat(shm_id, NULL, 0);
    shmctl(shm_id, IPC_RMID, NULL);
}

static void make_file(void)
{
    make_memory();
    file = memfd_create("stack", 0);
}

/* Mapped, so that its pages go when the file is cut. */
static void make_mapped_file(void)
{
    file = memfd_create("stack", 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    memory = ftruncate(file, 8 * PAGE) == 0 ? mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
}

static void make_nothing(void)
{
}

static void call_munmap(void)
{
    munmap(memory, 8 * PAGE);
}

static void call_mmap_over(void)
{
    mmap(memory, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void call_mmap_file_over(void)
{
    mmap(memory, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0);
}

static void call_mremap(void)
{
    mremap(memory, 8 * PAGE, 4096 * PAGE, MREMAP_MAYMOVE);
}

static void call_mremap_shrink(void)
{
    mremap(memory, 8 * PAGE, PAGE, 0);
}

static void call_madvise(void)
{
    madvise(memory, PAGE, MADV_DONTNEED);
}

static void call_shmdt(void)
{
    shmdt(memory);
}

static void call_shmat(void)
{
    shmat(shm_id, memory, SHM_REMAP);
}

static void call_brk(void)
{
    sbrk((intptr_t) PAGE);
}

static void call_mprotect(void)
{
    mprotect(memory, PAGE, PROT_READ);
}

static void call_syscall(void)
{
    syscall(SYS_munmap, memory, PAGE);
}

static volatile int ignored; /* Results that a compiler wants looked at. */

static void call_ftruncate(void)
{
    ignored = ftruncate(file, 0);
}

static void call_truncate(void)
{
    ignored = truncate(path, 0);
}

static void call_fallocate(void)
{
    ignored = fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE);
}

static void call_open(void)
{
    ignored = open(path, O_RDWR | O_TRUNC);
}

static void call_process_madvise(void)
{
    const struct iovec range = { memory, PAGE };

    ignored = (int) syscall(SYS_process_madvise, file, &range, 1, MADV_DONTNEED, 0);
}

#ifdef __x86_64__
/* A site that is neither libc's nor in a function of its own: vector registers are kept there. */
static void call_inline(void)
{
    long number;

    __asm__ volatile("movl $11, %%eax\n\tsyscall"
                     : "=&a"(number)
                     : "D"(memory), "S"(8 * PAGE)
                     : "rcx", "r11", "memory");
    ignored = (int) number;
}
#else
#define call_inline call_munmap
#endif

static void make_process(void)
{
    make_memory();
    file = (int) syscall(SYS_pidfd_open, getpid(), 0);
}

typedef struct stack_call_t {
    const char *name;
    void (*make)(void);
    void (*call)(void);
    size_t limit;
} stack_call_t;

static const stack_call_t calls[] = {
    { "munmap", make_memory, call_munmap, LIMIT },
    { "mmap over memory", make_memory, call_mmap_over, LIMIT },
    { "mmap of a file over memory", make_file, call_mmap_file_over, LIMIT },
    { "mremap that moves", make_memory, call_mremap, LIMIT },
    { "mremap that shrinks", make_memory, call_mremap_shrink, LIMIT },
    { "madvise", make_memory, call_madvise, LIMIT },
    { "shmdt", make_shared, call_shmdt, LIMIT },
    { "shmat over memory", make_shared, call_shmat, LIMIT },
    { "brk", make_nothing, call_brk, LIMIT },
    { "mprotect", make_memory, call_mprotect, LIMIT },
    { "munmap by syscall()", make_memory, call_syscall, LIMIT },
    { "ftruncate", make_mapped_file, call_ftruncate, LIMIT_FILES },
    { "truncate", make_mapped_file, call_truncate, LIMIT_FILES },
    { "fallocate", make_mapped_file, call_fallocate, LIMIT_FILES },
    { "open that truncates", make_mapped_file, call_open, LIMIT_FILES },
    { "process_madvise", make_process, call_process_madvise, LIMIT },
    { "munmap by inline code", make_memory, call_inline, LIMIT_VECTORS },
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* ---- Measuring -------------------------------------------------------------------------------- */

typedef struct measure_t {
    const stack_call_t *call;
    size_t used;
} measure_t;

static char *stack;

/* Neither painting nor looking calls anything. */
static void *measure_on_stack(void *arg)
{
    measure_t *measure = arg;
    volatile char *here = (volatile char *) __builtin_frame_address(0) - 256, *lowest = stack;

    measure->call->make();
    for (volatile char *at = stack; at < here; at++) {
        *at = PAINT;
    }
    measure->call->call();
    while (*lowest == PAINT && lowest < here) {
        lowest++;
    }
    measure->used = (size_t) (here + 256 - lowest);
    return NULL;
}

/* Bytes of stack that the call takes, from its caller's frame on. */
static size_t measure(const stack_call_t *call)
{
    measure_t result = { .call = call };
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    ck_assert_int_eq(pthread_attr_setstack(&attributes, stack, STACK), 0);
    ck_assert_int_eq(pthread_create(&thread, &attributes, measure_on_stack, &result), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    return result.used;
}

static void set_up(void)
{
    stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(stack, MAP_FAILED);
}

/* ---- Tests ------------------------------------------------------------------------------------ */

START_TEST(hooked_call_takes_little_stack)
{
    size_t without, with;

    without = measure(&calls[_i]);
    ck_assert(watched_start("linux"));
    with = measure(&calls[_i]);
    printf("%-28s %4zu bytes of stack, %4zu with hooks\n", calls[_i].name, without, with);
    ck_assert_uint_ge(with, without);
    ck_assert_msg(with <= calls[_i].limit, "%s takes %zu bytes of stack", calls[_i].name, with);
}
END_TEST

static void take_stack(void *buf, size_t length, void *cbdata, bool from_alloc)
{
    volatile char much[LIMIT + 2048];

    (void) buf, (void) length, (void) cbdata, (void) from_alloc;
    much[0] = much[sizeof(much) - 1] = 1;
    __asm__ volatile("" : : "r"(much) : "memory"); /* Else clang keeps but what is used of it. */
}

START_TEST(twin_callback_that_takes_much_is_noticed)
{
    size_t without;

    without = measure(&calls[0]);
    ck_assert(watched_start("linux"));
    ck_assert_int_eq(opal_mem_hooks_register_release(take_stack, NULL), OPAL_SUCCESS);
    ck_assert_uint_gt(measure(&calls[0]) - without, LIMIT);
}
END_TEST

/* ---- The smallest alternate stack ------------------------------------------------------------- */

static char *volatile entered_at; /* The handler's frame. */

static void remember_frame(int signal_number)
{
    (void) signal_number;
    entered_at = __builtin_frame_address(0);
}

static void release_memory(int signal_number)
{
    (void) signal_number;
    munmap(watched_page(), PAGE);
    shmdt(memory); /* Takes the most. */
}

#define AREA ((size_t) 64 * PAGE)

static void signal_on(char *area, size_t size, void (*handler)(int))
{
    const stack_t place = { .ss_sp = area + AREA - size, .ss_size = size };
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };

    ck_assert_int_eq(sigaltstack(&place, NULL), 0);
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
}

/* Above pages that must not be touched: what the kernel takes here, and LIMIT for the handler. The stack ends
 * at a whole page, so up to a page of luck is taken off its top. */
static void signal_on_small_stack(void)
{
    char *area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t size, luck;

    make_shared();
    signal_on(area, AREA, remember_frame);
    size = (size_t) (area + AREA - entered_at) + LIMIT;
    luck = PAGE - size % PAGE;
    ck_assert_int_eq(mprotect(area, AREA - size - luck, PROT_NONE), 0);
    signal_on(area - luck, size, release_memory);
}

START_TEST(handler_on_the_smallest_stack_releases_memory)
{
    ck_assert(watched_start("linux"));
    signal_on_small_stack();
    ck_assert(watched_all());
}
END_TEST

START_TEST(twin_callback_that_takes_much_overruns_the_smallest_stack)
{
    ck_assert(watched_start("linux"));
    ck_assert_int_eq(opal_mem_hooks_register_release(take_stack, NULL), OPAL_SUCCESS);
    signal_on_small_stack();
}
END_TEST

/* @return 0, or 77 after a reason. */
static int can_run(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
#ifdef WATCHED_SANITIZED
    return test_skip("the sanitizer's own functions take stack");
#else
    return watched_can_run() ? 0 : test_skip("the component linux cannot run here; see the message above");
#endif
}

int main(void)
{
    const int skipped = can_run();
    Suite *suite;
    TCase *tcase;

    if (skipped != 0) {
        return skipped;
    }
    suite = suite_create("linux_stack");
    tcase = tcase_create("stack");
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_loop_test(tcase, hooked_call_takes_little_stack, 0, CALLS);
    tcase_add_test(tcase, twin_callback_that_takes_much_is_noticed);
    tcase_add_test(tcase, handler_on_the_smallest_stack_releases_memory);
    tcase_add_test_raise_signal(tcase, twin_callback_that_takes_much_overruns_the_smallest_stack, SIGSEGV);
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
