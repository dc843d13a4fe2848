/* SPDX-License-Identifier: BSD-3-Clause */
/* Interposition of libc's functions that release memory, by GOT slots.
 *
 * Calls from one object to another are seen; what libc and ld.so do inside is
 * not. What is promised all the same, and why (docs/interposition.md has the whole
 * argument): FREE and MALLOC, as each block is announced when it is freed,
 * and what libc gives back later is free blocks only; MUNMAP, as the two other
 * ways in which libc and ld.so take away memory that a program has used are announced by
 * their causes: the stack of a thread at the thread's end, objects at dlclose; MMAP. Not CHUNK, as
 * most releases announced are of blocks that stay mapped. Not SEES_LIBC.
 *
 * Objects loaded later are taken in at the next registration. Until then a lookup
 * is a miss (linux_interpose_valid()), and what was cached before is dropped:
 * the new object may have released it. */
#include "components/linux/linux_interpose.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "components/linux/linux.h"
#include "components/linux/linux_got.h"
#include "components/linux/linux_malloc.h"
#include "components/linux/linux_stacks.h"
#include "components/linux/linux_sys.h"
#include "opal/mca/base/base.h"

#define IN_STATIC_TLS __attribute__((tls_model("initial-exec")))

enum {
    MMAP,
    MMAP64,
    MUNMAP,
    MREMAP,
    MADVISE,
    SHMAT,
    SHMDT,
    BRK,
    SBRK,
    REMAP_FILE_PAGES,
    PROCESS_MADVISE,
    SYSCALL,
    DLCLOSE,
    PTHREAD_CREATE,
    FUNCTIONS
};

static linux_got_symbol_t symbols[FUNCTIONS];
static linux_got_set_t set = { .symbols = symbols, .count = FUNCTIONS };

/* The table's call that a function is, and how to make it by the real function. Filled before the first slot leads here. */
static struct {
    const linux_call_t *_Atomic call;
    _Atomic(linux_sys_fn_t) make;
} calls[FUNCTIONS];

static atomic_bool is_live;

/* Bits of the functions called on this thread; for the self-test. Volatile, as libc declares them not to come back into
 * this file. */
static _Thread_local volatile uint32_t arrivals IN_STATIC_TLS;

/* An address that brk is asked for by the self-test only. */
static char brk_probe;

#define REAL(which, type) ((type) atomic_load_explicit(&symbols[which].real, memory_order_relaxed))
#define BIT(which) (UINT32_C(1) << (which))

static bool has_events(unsigned which)
{
    arrivals |= BIT(which);
    return atomic_load_explicit(&is_live, memory_order_acquire);
}

/* ---- Between libc's way to tell errors and the kernel's ------------------------------------------------ */

static long to_kernel(long result)
{
    return result == -1 ? -(long) errno : result;
}

/* With events. @return As the kernel does. */
static long make_with_events(const linux_call_t *call, linux_sys_fn_t make, const long args[6])
{
    linux_frame_t frame = { .args = { args[0], args[1], args[2], args[3], args[4], args[5] },
                            .nr = call->nr,
                            .call = call };
    linux_plan_t plan = call->before(call, &frame);

    while (plan != LINUX_PLAN_DONE) {
        frame.result = make(frame.nr, frame.args);
        plan = plan == LINUX_PLAN_MAKE_THEN ? linux_after(&frame) : LINUX_PLAN_DONE;
    }
    return frame.result;
}

/* A try that failed on the way to success leaves no trace in errno. */
static long run(unsigned which, const long args[6])
{
    const int saved_errno = errno;
    const long result = make_with_events(calls[which].call, calls[which].make, args);

    errno = linux_failed(result) ? (int) -result : saved_errno;
    return linux_failed(result) ? -1 : result;
}

static int call_or_make(unsigned which, const long args[6])
{
    if (has_events(which)) {
        return (int) run(which, args);
    }
    return calls[which].make(calls[which].call->nr, args) < 0 ? -1 : 0;
}

/* ---- Functions that are system calls -------------------------------------------------------------------- */

typedef void *(*mmap_fn_t)(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
typedef void *(*mremap_fn_t)(void *addr, size_t old_length, size_t length, int flags, ...);
typedef void *(*shmat_fn_t)(int id, const void *addr, int flags);
typedef ssize_t (*process_madvise_fn_t)(int pid_fd, const void *ranges, size_t count, int advice, unsigned flags);

static long make_mmap(long nr, const long a[6])
{
    (void) nr;
    return to_kernel(
        (long) REAL(MMAP, mmap_fn_t)((void *) a[0], (size_t) a[1], (int) a[2], (int) a[3], (int) a[4], a[5]));
}

static long make_mmap64(long nr, const long a[6])
{
    (void) nr;
    return to_kernel(
        (long) REAL(MMAP64, mmap_fn_t)((void *) a[0], (size_t) a[1], (int) a[2], (int) a[3], (int) a[4], a[5]));
}

static void *map(unsigned which, const long args[6])
{
    if (has_events(which)) {
        return (void *) run(which, args);
    }
    return REAL(which, mmap_fn_t)((void *) args[0], (size_t) args[1], (int) args[2], (int) args[3], (int) args[4],
                                  args[5]);
}

static void *wrap_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    return map(MMAP, (const long[6]){ (long) addr, (long) length, prot, flags, fd, offset });
}

static void *wrap_mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    return map(MMAP64, (const long[6]){ (long) addr, (long) length, prot, flags, fd, offset });
}

static long make_munmap(long nr, const long a[6])
{
    (void) nr;
    return to_kernel(REAL(MUNMAP, int (*)(void *, size_t))((void *) a[0], (size_t) a[1]));
}

static int wrap_munmap(void *addr, size_t length)
{
    return call_or_make(MUNMAP, (const long[6]){ (long) addr, (long) length });
}

static long make_mremap(long nr, const long a[6])
{
    (void) nr;
    return to_kernel(
        (long) REAL(MREMAP, mremap_fn_t)((void *) a[0], (size_t) a[1], (size_t) a[2], (int) a[3], (void *) a[4]));
}

/* The fifth is passed by few. To read what is not there does no harm: it is a register. */
static void *wrap_mremap(void *addr, size_t old_length, size_t length, int flags, void *to)
{
    const long args[6] = { (long) addr, (long) old_length, (long) length, flags, (long) to };

    if (has_events(MREMAP)) {
        return (void *) run(MREMAP, args);
    }
    return REAL(MREMAP, mremap_fn_t)(addr, old_length, length, flags, to);
}

static long make_madvise(long nr, const long a[6])
{
    (void) nr;
    return to_kernel(REAL(MADVISE, int (*)(void *, size_t, int))((void *) a[0], (size_t) a[1], (int) a[2]));
}

static int wrap_madvise(void *addr, size_t length, int advice)
{
    return call_or_make(MADVISE, (const long[6]){ (long) addr, (long) length, advice });
}

static long make_shmat(long nr, const long a[6])
{
    (void) nr;
    return to_kernel((long) REAL(SHMAT, shmat_fn_t)((int) a[0], (const void *) a[1], (int) a[2]));
}

static void *wrap_shmat(int id, const void *addr, int flags)
{
    if (has_events(SHMAT)) {
        return (void *) run(SHMAT, (const long[6]){ id, (long) addr, flags });
    }
    return REAL(SHMAT, shmat_fn_t)(id, addr, flags);
}

static long make_shmdt(long nr, const long a[6])
{
    (void) nr;
    return to_kernel(REAL(SHMDT, int (*)(const void *))((const void *) a[0]));
}

static int wrap_shmdt(const void *addr)
{
    return call_or_make(SHMDT, (const long[6]){ (long) addr });
}

static long make_remap_file_pages(long nr, const long a[6])
{
    (void) nr;
    return to_kernel(REAL(REMAP_FILE_PAGES, int (*)(void *, size_t, int, size_t, int))(
        (void *) a[0], (size_t) a[1], (int) a[2], (size_t) a[3], (int) a[4]));
}

static int wrap_remap_file_pages(void *addr, size_t length, int prot, size_t offset, int flags)
{
    return call_or_make(REMAP_FILE_PAGES,
                        (const long[6]){ (long) addr, (long) length, prot, (long) offset, flags });
}

static long make_process_madvise(long nr, const long a[6])
{
    (void) nr;
    return to_kernel(REAL(PROCESS_MADVISE, process_madvise_fn_t)((int) a[0], (const void *) a[1], (size_t) a[2],
                                                                 (int) a[3], (unsigned) a[4]));
}

static ssize_t wrap_process_madvise(int pid_fd, const void *ranges, size_t count, int advice, unsigned flags)
{
    if (has_events(PROCESS_MADVISE)) {
        return run(PROCESS_MADVISE, (const long[6]){ pid_fd, (long) ranges, (long) count, advice, flags });
    }
    return REAL(PROCESS_MADVISE, process_madvise_fn_t)(pid_fd, ranges, count, advice, flags);
}

/* ---- The break: libc keeps its own idea of it, so its functions are called --------------------------------- */

static long present_break(void)
{
    return LINUX_SYS(SYS_brk, 0);
}

static long make_brk(long nr, const long a[6])
{
    (void) nr;
    REAL(BRK, int (*)(void *))((void *) a[0]);
    return present_break();
}

static int wrap_brk(void *addr)
{
    const bool is_probe = addr == &brk_probe;
    const int saved_errno = errno;
    long result;

    if (!has_events(BRK) || addr == NULL || is_probe) {
        return is_probe ? 0 : REAL(BRK, int (*)(void *))(addr);
    }
    result = make_with_events(calls[BRK].call, make_brk, (const long[6]){ (long) addr });
    errno = (uintptr_t) result < (uintptr_t) addr ? ENOMEM : saved_errno;
    return (uintptr_t) result < (uintptr_t) addr ? -1 : 0;
}

/* args: the break that comes out, the increment, where to put what sbrk returns. */
static long make_sbrk(long nr, const long a[6])
{
    (void) nr;
    *(void **) a[2] = REAL(SBRK, void *(*) (intptr_t))(a[1]);
    return present_break();
}

static void *wrap_sbrk(intptr_t increment)
{
    void *result = NULL;

    if (!has_events(SBRK) || increment == 0) {
        return REAL(SBRK, void *(*) (intptr_t))(increment);
    }
    make_with_events(calls[SBRK].call, make_sbrk,
                     (const long[6]){ present_break() + increment, increment, (long) (void *) &result });
    return result;
}

/* ---- syscall(2) --------------------------------------------------------------------------------------------- */

typedef long (*syscall_fn_t)(long nr, ...);

static long make_syscall(long nr, const long a[6])
{
    return to_kernel(REAL(SYSCALL, syscall_fn_t)(nr, a[0], a[1], a[2], a[3], a[4], a[5]));
}

/* libc's syscall() with brk touches no state of libc. */
static long wrap_syscall(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
    const linux_call_t *call = has_events(SYSCALL) ? linux_call_by_nr(nr) : NULL;
    const int saved_errno = errno;
    long result;

    if (call == NULL) {
        return REAL(SYSCALL, syscall_fn_t)(nr, a0, a1, a2, a3, a4, a5);
    }
    result = make_with_events(call, make_syscall, (const long[6]){ a0, a1, a2, a3, a4, a5 });
    errno = linux_failed(result) ? (int) -result : saved_errno;
    return linux_failed(result) ? -1 : result;
}

/* ---- What libc and ld.so release inside -------------------------------------------------------------------- */

/* Which objects will go, and what of their memory is registered, cannot be known before. */
static int wrap_dlclose(void *handle)
{
    if (has_events(DLCLOSE)) {
        opal_mem_hooks_release_cause(NULL, SIZE_MAX, true, OPAL_MEM_HOOKS_CAUSE_MUNMAP);
    }
    return REAL(DLCLOSE, int (*)(void *))(handle);
}

static int wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*routine)(void *),
                               void *arg)
{
    const linux_create_fn_t real = REAL(PTHREAD_CREATE, linux_create_fn_t);

    return has_events(PTHREAD_CREATE) ? linux_stacks_create(real, thread, attributes, routine, arg)
                                      : real(thread, attributes, routine, arg);
}

/* ---- The functions ------------------------------------------------------------------------------------------- */

#define SYMBOL(which, label, function) [which] = { .name = (label), .wrapper = (linux_function_t) (function) }

static linux_got_symbol_t symbols[FUNCTIONS] = {
    SYMBOL(MMAP, "mmap", wrap_mmap),
    SYMBOL(MMAP64, "mmap64", wrap_mmap64),
    SYMBOL(MUNMAP, "munmap", wrap_munmap),
    SYMBOL(MREMAP, "mremap", wrap_mremap),
    SYMBOL(MADVISE, "madvise", wrap_madvise),
    SYMBOL(SHMAT, "shmat", wrap_shmat),
    SYMBOL(SHMDT, "shmdt", wrap_shmdt),
    SYMBOL(BRK, "brk", wrap_brk),
    SYMBOL(SBRK, "sbrk", wrap_sbrk),
    SYMBOL(REMAP_FILE_PAGES, "remap_file_pages", wrap_remap_file_pages),
    SYMBOL(PROCESS_MADVISE, "process_madvise", wrap_process_madvise),
    SYMBOL(SYSCALL, "syscall", wrap_syscall),
    SYMBOL(DLCLOSE, "dlclose", wrap_dlclose),
    SYMBOL(PTHREAD_CREATE, "pthread_create", wrap_pthread_create),
};

/* nr 0 is no call of ours on any architecture: the function is no single system call. */
static const struct {
    long nr;
    linux_sys_fn_t make;
} kinds[FUNCTIONS] = {
    [MMAP] = { SYS_mmap, make_mmap },
    [MMAP64] = { SYS_mmap, make_mmap64 },
    [MUNMAP] = { SYS_munmap, make_munmap },
    [MREMAP] = { SYS_mremap, make_mremap },
    [MADVISE] = { SYS_madvise, make_madvise },
    [SHMAT] = { SYS_shmat, make_shmat },
    [SHMDT] = { SYS_shmdt, make_shmdt },
    [BRK] = { SYS_brk, make_brk },
    [SBRK] = { SYS_brk, make_sbrk },
    [REMAP_FILE_PAGES] = { SYS_remap_file_pages, make_remap_file_pages },
#ifdef SYS_process_madvise
    [PROCESS_MADVISE] = { SYS_process_madvise, make_process_madvise },
#else
    [PROCESS_MADVISE] = { -1, make_process_madvise },
#endif
};

/* Calls that the table makes itself stay with an interposer, if there is one. */
static bool may_make(const linux_got_symbol_t *symbol, const linux_call_t *call)
{
    return call->run == NULL
           || linux_got_is_same_object(atomic_load(&symbol->real), linux_got_lookup("gnu_get_libc_version"));
}

/* Leave alone what the table does not know, or what is disabled. */
static void prepare_calls(uint32_t disabled)
{
    linux_got_resolve(&set);
    atomic_store(&symbols[SYSCALL].is_left_alone, (disabled & LINUX_ANY_CALL_BIT) != 0);
    for (size_t i = 0; i < FUNCTIONS; i++) {
        const linux_call_t *call = kinds[i].make != NULL ? linux_call_by_nr(kinds[i].nr) : NULL;

        if (kinds[i].make == NULL) {
            continue;
        }
        atomic_store(&symbols[i].is_left_alone,
                     call == NULL || (call->bit & disabled) != 0 || !may_make(&symbols[i], call));
        calls[i].call = call;
        calls[i].make = kinds[i].make;
    }
}

/* ---- Self-test ---------------------------------------------------------------------------------------------- */

/* Calls that the kernel or libc refuses, or that change nothing. @return Bits of the functions that were reached. */
static uint32_t test_calls(void)
{
    void *const nowhere = (void *) 1; /* Not on a page's boundary. */
    const int saved_errno = errno;
    void *program = dlopen(NULL, RTLD_LAZY);

    arrivals = 0;
    (void) mmap(NULL, 0, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void) mmap64(NULL, 0, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(nowhere, 0);
    mremap(nowhere, 0, 0, 0);
    madvise(nowhere, 0, MADV_NORMAL);
    shmat(-1, NULL, 0);
    shmdt(nowhere);
    sbrk(0);
    syscall(SYS_munmap, nowhere, 0);
    if (program != NULL) {
        dlclose(program);
    }
    /* Where it would not come to the wrapper, libc would take the kernel's answer to this for the break. */
    if ((arrivals & BIT(SBRK)) != 0) {
        brk(&brk_probe);
    }
    errno = saved_errno;
    return arrivals;
}

/* Not the calls that no promise depends on, and pthread_create, whose slots are counted among those held. */
#define NEEDED_FOR_MUNMAP                                                                                        \
    (BIT(MMAP) | BIT(MMAP64) | BIT(MUNMAP) | BIT(MREMAP) | BIT(MADVISE) | BIT(SHMAT) | BIT(SHMDT) | BIT(SYSCALL) \
     | BIT(DLCLOSE))
#define NEEDED_FOR_FREE (BIT(MREMAP) | BIT(MUNMAP) | BIT(MADVISE) | BIT(BRK) | BIT(SBRK) | BIT(SYSCALL))
#define NEEDED_FOR_MMAP (BIT(MMAP) | BIT(MMAP64) | BIT(MREMAP) | BIT(SHMAT) | BIT(BRK) | BIT(SBRK) | BIT(SYSCALL))

static int support_of(uint32_t seen)
{
    int support = OPAL_MEMORY_MALLOC_SUPPORT;

    support |= (NEEDED_FOR_FREE & ~seen) == 0 ? OPAL_MEMORY_FREE_SUPPORT : 0;
    support |= (NEEDED_FOR_MUNMAP & ~seen) == 0 ? OPAL_MEMORY_MUNMAP_SUPPORT : 0;
    support |= (NEEDED_FOR_MMAP & ~seen) == 0 ? OPAL_MEMORY_MMAP_SUPPORT : 0;
    return support;
}

static uint64_t sees_of(uint32_t seen)
{
    uint64_t sees = OPAL_MEMORY_SEES_BEFORE | OPAL_MEMORY_SEES_ALLOC;

    sees |= (seen & BIT(MADVISE)) != 0 ? OPAL_MEMORY_SEES_DISCARD : 0;
    sees |= (BIT(SHMAT) & ~seen) == 0 && (BIT(SHMDT) & ~seen) == 0 ? OPAL_MEMORY_SEES_SHM : 0;
    return sees;
}

/* ---- On and off --------------------------------------------------------------------------------------------- */

int linux_interpose_query(void)
{
    if (linux_got_lookup("gnu_get_libc_version") == 0) {
        mca_base_component_set_reason("the program is statically linked, or uses another C library than glibc");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    return OPAL_SUCCESS;
}

static int say_trouble(const linux_got_result_t *result)
{
    mca_base_component_set_reason("%s of %s: %s", result->symbol != NULL ? result->symbol : "slots",
                                  result->culprit[0] != '\0' ? result->culprit : "the program",
                                  result->refused != 0 ? "its slots cannot be written to"
                                                       : "another library has taken it over");
    return OPAL_ERR_NOT_AVAILABLE;
}

static int install_calls(uint32_t disabled)
{
    linux_got_result_t result;

    prepare_calls(disabled);
    if (linux_got_is_in_program(atomic_load(&symbols[MUNMAP].real))) {
        mca_base_component_set_reason("the program has a munmap of its own, whose calls to itself nobody can see");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    if (linux_got_install(&set, &result) != OPAL_SUCCESS) {
        mca_base_component_set_reason("objects are loaded and unloaded all the time");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    return result.refused != 0 || result.foreign != 0 ? say_trouble(&result) : OPAL_SUCCESS;
}

static int install_malloc(void)
{
    char reason[256];
    const int result = linux_malloc_install(reason, sizeof(reason));

    if (result != OPAL_SUCCESS) {
        mca_base_component_set_reason("%s", reason);
    }
    return result;
}

int linux_interpose_install(const linux_options_t *options, int *support, uint64_t *sees)
{
    uint32_t seen;
    int result = linux_interpose_query();

    if (result == OPAL_SUCCESS) {
        linux_facts_read();
        result = install_calls(options->left_alone.calls[LINUX_LIBC] | options->left_alone.calls[LINUX_OTHER]);
    }
    if (result == OPAL_SUCCESS) {
        result = install_malloc();
    }
    if (result != OPAL_SUCCESS) {
        linux_interpose_uninstall();
        return result;
    }
    seen = test_calls();
    *support = support_of(seen);
    *sees = sees_of(seen);
    if ((*support & (OPAL_MEMORY_FREE_SUPPORT | OPAL_MEMORY_MUNMAP_SUPPORT)) == 0) {
        linux_interpose_uninstall();
        mca_base_component_set_reason("too many of libc's functions are left alone (memory_linux_disable_sites)");
        return OPAL_ERR_NOT_AVAILABLE;
    }
    linux_malloc_go_live(true);
    linux_stacks_go_live(true);
    atomic_store(&is_live, true);
    return OPAL_SUCCESS;
}

int linux_interpose_uninstall(void)
{
    atomic_store(&is_live, false);
    linux_stacks_go_live(false);
    linux_malloc_uninstall();
    return linux_got_remove(&set);
}

/* ---- What is loaded later --------------------------------------------------------------------------------- */

bool linux_interpose_valid(void *base, size_t length, const opal_memory_watch_t *watch)
{
    (void) base, (void) length, (void) watch;
    return !linux_got_is_stale();
}

int linux_interpose_register(void *base, size_t length, uint64_t cookie)
{
    linux_got_result_t result;

    (void) base, (void) length, (void) cookie;
    if (!linux_stacks_follow()) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    if (!linux_got_is_stale()) {
        return OPAL_SUCCESS;
    }
    if (linux_got_refresh(&result) != OPAL_SUCCESS || result.refused != 0 || result.foreign != 0) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    opal_mem_hooks_release_cause(NULL, SIZE_MAX, true, OPAL_MEM_HOOKS_CAUSE_KERNEL);
    return OPAL_SUCCESS;
}
