/* SPDX-License-Identifier: BSD-3-Clause */
/* What a hook does not do: within a hooked call, nothing calls an allocator,
 * takes a lock, waits, or prints. The program puts its own functions before
 * libc's, which notice that they are called in the middle of a hooked call.
 * Its twins call them from a callback, and are noticed. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "test/children.h"
#include "test/linux/valgrind.h"
#include "test/linux/watched.h"
#include "test/test_main.h"

/* This thread is in a call that is hooked. Volatile: libc declares the calls as leaf functions. */
static _Thread_local volatile bool is_hooked;
static atomic_int noticed;
static const char *_Atomic noticed_name;

static void notice(const char *name)
{
    if (is_hooked) {
        atomic_fetch_add(&noticed, 1);
        atomic_store(&noticed_name, name);
    }
}

/* ---- Before libc's functions ------------------------------------------------------------------ */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

void *malloc(size_t size)
{
    notice("malloc");
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    notice("calloc");
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    notice("realloc");
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    notice("aligned_alloc");
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    notice("posix_memalign");
    *memory = __libc_memalign(alignment, size);
    return *memory == NULL ? ENOMEM : 0;
}

void free(void *memory)
{
    notice("free");
    __libc_free(memory);
}

/* Functions with one pointer, found once: dlsym itself allocates. */
typedef int (*pointer_function_t)(void *argument);

static void *find(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);

    if (symbol == NULL) {
        abort();
    }
    return symbol;
}

#define BEFORE(name, type)                                 \
    static pointer_function_t real_##name;                 \
    int name(type *argument)                               \
    {                                                      \
        notice(#name);                                     \
        if (real_##name == NULL) {                         \
            void *symbol = find(#name);                    \
            memcpy(&real_##name, &symbol, sizeof(symbol)); \
        }                                                  \
        return real_##name(argument);                      \
    }

BEFORE(pthread_mutex_lock, pthread_mutex_t)
BEFORE(pthread_mutex_trylock, pthread_mutex_t)
BEFORE(pthread_rwlock_rdlock, pthread_rwlock_t)
BEFORE(pthread_rwlock_wrlock, pthread_rwlock_t)
BEFORE(fflush, FILE)

int pthread_once(pthread_once_t *once, void (*function)(void))
{
    static int (*real)(pthread_once_t *, void (*)(void));

    notice("pthread_once");
    if (real == NULL) {
        void *symbol = find("pthread_once");

        memcpy(&real, &symbol, sizeof(symbol));
    }
    return real(once, function);
}

/* As libc does it when it is asked to check formats (-D_FORTIFY_SOURCE), and otherwise. */
int vfprintf(FILE *stream, const char *format, va_list arguments)
{
    static int (*real)(FILE *, const char *, va_list);

    notice("vfprintf");
    if (real == NULL) {
        void *symbol = find("vfprintf");

        memcpy(&real, &symbol, sizeof(symbol));
    }
    return real(stream, format, arguments);
}

/* ---- Hooked calls ----------------------------------------------------------------------------- */

static void call_mmap_and_munmap(void)
{
    char *memory;

    is_hooked = true;
    memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mmap(memory, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mprotect(memory, PAGE, PROT_READ | PROT_WRITE);
    munmap(memory, 4 * PAGE);
    is_hooked = false;
}

static void call_mmap_of_a_file(void)
{
    char *memory;
    int fd = memfd_create("hook_calls", 0);

    ck_assert_int_eq(ftruncate(fd, (off_t) (4 * PAGE)), 0);
    is_hooked = true;
    memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    mmap(memory, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    remap_file_pages(memory, PAGE, 0, 2, 0);
    munmap(memory, 4 * PAGE);
    is_hooked = false;
    close(fd);
}

static void call_mremap_and_madvise(void)
{
    char *memory;

    is_hooked = true;
    memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(memory, PAGE, MADV_DONTNEED);
    posix_madvise(memory, PAGE, POSIX_MADV_DONTNEED);
    memory = mremap(memory, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    memory = mremap(memory, 64 * PAGE, PAGE, 0);
    munmap(memory, PAGE);
    is_hooked = false;
}

static void call_brk(void)
{
    void *present = sbrk(0);

    is_hooked = true;
    if (sbrk((intptr_t) (4 * PAGE)) == present) {
        brk(present);
    }
    is_hooked = false;
}

static void call_shmat_and_shmdt(void)
{
    const int id = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
    void *memory;

    ck_assert_int_ge(id, 0);
    is_hooked = true;
    memory = shmat(id, NULL, 0);
    shmdt(memory);
    is_hooked = false;
    shmctl(id, IPC_RMID, NULL);
}

/* Pages of a file that is mapped go with the file's. */
static void call_for_a_file(void)
{
    const int fd = memfd_create("hook_calls", 0);
    char path[64];
    int result;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ck_assert_int_eq(ftruncate(fd, 8 * PAGE), 0);
    ck_assert_ptr_ne(mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
    is_hooked = true;
    result = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE);
    result |= ftruncate(fd, 4 * PAGE) | truncate(path, PAGE) | close(open(path, O_RDWR | O_TRUNC));
    is_hooked = false;
    ck_assert_int_eq(result, 0);
    close(fd);
}

static void call_syscall(void)
{
    void *memory = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    is_hooked = true;
    syscall(SYS_munmap, memory, PAGE);
    is_hooked = false;
}

/* The first hooked call of a thread, where storage of its own would have to be made. */
static void *call_first(void *memory)
{
    is_hooked = true;
    munmap(memory, PAGE);
    is_hooked = false;
    return NULL;
}

static void call_in_new_threads(void)
{
    for (int i = 0; i < 20; i++) {
        pthread_t thread;

        ck_assert_int_eq(pthread_create(&thread, NULL, call_first, watched_page()), 0);
        pthread_join(thread, NULL);
    }
}

static void call_everything(void)
{
    call_mmap_and_munmap();
    call_mmap_of_a_file();
    call_mremap_and_madvise();
    call_brk();
    call_shmat_and_shmdt();
    call_for_a_file();
    call_syscall();
    call_in_new_threads();
}

/* ---- Tests ------------------------------------------------------------------------------------ */

START_TEST(hooked_calls_call_nothing_that_is_forbidden)
{
    ck_assert(watched_start("linux"));
    call_everything();
    ck_assert_msg(atomic_load(&noticed) == 0, "%d forbidden calls; the last is %s", atomic_load(&noticed),
                  atomic_load(&noticed_name));
    ck_assert(watched_all());
    ck_assert_int_gt(watched_others(), 10);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

/* In a fork child the first hook makes the library forget its parent. */
START_TEST(first_hook_of_a_fork_child_calls_nothing_that_is_forbidden)
{
    pid_t child;

    ck_assert(watched_start("linux"));
    child = raw_fork();
    if (child == 0) {
        call_everything();
        child_says(atomic_load(&noticed) == 0);
    }
    child_must_be_good(child);
}
END_TEST

static void allocate(void)
{
    void *volatile some = malloc(100); /* Else the compiler leaves both out. */

    free(some);
}

static void lock(void)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
}

static void print(void)
{
    fflush(stdout);
}

static void (*const forbidden[])(void) = { allocate, lock, print };

static void (*_Atomic in_callback)(void);

static void do_what_is_forbidden(void *page)
{
    (void) page;
    atomic_load (&in_callback)();
}

START_TEST(twin_with_a_callback_that_does_it_is_noticed)
{
    ck_assert(watched_start("linux"));
    atomic_store(&in_callback, forbidden[_i]);
    atomic_store(&watched_inside, do_what_is_forbidden);
    call_first(watched_page());
    ck_assert_int_gt(atomic_load(&noticed), 0);
    ck_assert_int_eq(opalmem_finalize(), OPAL_SUCCESS);
}
END_TEST

/* @return 0, or 77 after a reason. */
static int can_run(void)
{
    if (is_under_valgrind()) {
        return test_skip(VALGRIND_SKIP);
    }
#ifdef WATCHED_SANITIZED
    return test_skip("the sanitizer puts its own functions before libc's");
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
    suite = suite_create("linux_hook_calls");
    tcase = tcase_create("hook_calls");
    tcase_add_test(tcase, hooked_calls_call_nothing_that_is_forbidden);
    tcase_add_test(tcase, first_hook_of_a_fork_child_calls_nothing_that_is_forbidden);
    tcase_add_loop_test(tcase, twin_with_a_callback_that_does_it_is_noticed, 0,
                        sizeof(forbidden) / sizeof(forbidden[0]));
    suite_add_tcase(suite, tcase);
    return test_run(suite);
}
