/* SPDX-License-Identifier: BSD-3-Clause */
/* Wrappers of malloc and its kin, through GOT slots (linux_got.h).
 *
 * Why not the malloc hooks of glibc before 2.34: a hook that wants the real
 * malloc has to uninstall itself, call, and install itself again, for the whole
 * process; what other threads allocate meanwhile is not noticed. Measured on Debian 11
 * with 2 processors, 4 threads: test/debian11/malloc_hook.c. Those variables are left to
 * the program, whose own hooks work as without us: they run inside the real functions.
 *
 * The wrappers work from the first moment of a thread to its last, in signal
 * handlers and in vfork children: they hold no lock, and their two thread-local
 * words are in static TLS. A callback that allocates breaks the rules of hook
 * context; to keep it from recursing for ever, blocks are not reported then
 * (nor those of a signal handler that comes in the middle of a callback).
 *
 * C++'s operators reach malloc through the slots of libstdc++. Allocators that
 * define the operators, too, do not: then these are taken over as well. */
#include "components/linux/linux_malloc.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>

#include "components/linux/linux.h"
#include "components/linux/linux_got.h"
#include "opal/mca/base/base.h"

/* As in stdlib.h, which in glibc before 2.35 has inline functions that return floating-point numbers: there are no such here. */
void *aligned_alloc(size_t alignment, size_t size);
int posix_memalign(void **block, size_t alignment, size_t size);

#define IN_STATIC_TLS __attribute__((tls_model("initial-exec")))

/* All take and return the like of what these types say, in registers; operators ignore what they have no use for. */
typedef void *(*malloc_fn_t)(size_t size);
typedef void *(*calloc_fn_t)(size_t count, size_t size);
typedef void *(*realloc_fn_t)(void *block, size_t size);
typedef void (*free_fn_t)(void *block);
typedef void *(*memalign_fn_t)(size_t alignment, size_t size);
typedef int (*posix_memalign_fn_t)(void **block, size_t alignment, size_t size);
typedef void *(*new_fn_t)(size_t size, size_t alignment, const void *tag);
typedef void (*delete_fn_t)(void *block, size_t size, size_t alignment);

enum {
    MALLOC,
    CALLOC,
    REALLOC,
    REALLOCARRAY,
    FREE,
    CFREE,
    MEMALIGN,
    ALIGNED_ALLOC,
    VALLOC,
    PVALLOC,
    POSIX_MEMALIGN,
    FIRST_OPERATOR,
    NEW = FIRST_OPERATOR,
    NEW_ARRAY,
    NEW_NOTHROW,
    NEW_ARRAY_NOTHROW,
    NEW_ALIGNED,
    NEW_ARRAY_ALIGNED,
    NEW_ALIGNED_NOTHROW,
    NEW_ARRAY_ALIGNED_NOTHROW,
    DELETE,
    DELETE_ARRAY,
    DELETE_SIZED,
    DELETE_ARRAY_SIZED,
    DELETE_NOTHROW,
    DELETE_ARRAY_NOTHROW,
    DELETE_ALIGNED,
    DELETE_ARRAY_ALIGNED,
    DELETE_SIZED_ALIGNED,
    DELETE_ARRAY_SIZED_ALIGNED,
    DELETE_ALIGNED_NOTHROW,
    DELETE_ARRAY_ALIGNED_NOTHROW,
    FUNCTIONS
};
_Static_assert(FUNCTIONS <= 32, "one bit each");

static linux_got_symbol_t symbols[FUNCTIONS];
static linux_got_set_t set = { .symbols = symbols, .count = FUNCTIONS };

/* Written before the first slot leads here. */
/* Written again, with the same value, while wrappers run. */
static size_t (*_Atomic usable_size)(void *block);

static atomic_bool is_live;

/* Own thread only. */
static _Thread_local bool is_in_callback IN_STATIC_TLS;
/* Bits of the functions called; for the self-test. Volatile, as libc declares them not to come back into this file. */
static _Thread_local volatile uint32_t arrivals IN_STATIC_TLS;

#define REAL(which, type) ((type) atomic_load_explicit(&symbols[which].real, memory_order_relaxed))

/* ---- Events ---------------------------------------------------------------------------------------- */

static bool has_events(const void *block)
{
    return block != NULL && !is_in_callback && atomic_load_explicit(&is_live, memory_order_acquire);
}

static void *report(unsigned which, void *block)
{
    arrivals |= UINT32_C(1) << which;
    if (has_events(block)) {
        is_in_callback = true;
        atomic_signal_fence(memory_order_seq_cst);
        opal_mem_hooks_alloc_hook(block, atomic_load_explicit(&usable_size, memory_order_relaxed)(block), true);
        atomic_signal_fence(memory_order_seq_cst);
        is_in_callback = false;
    }
    return block;
}

/* @return Is there a window to be closed? */
static bool announce(unsigned which, void *block, opal_mem_hooks_window_t *window)
{
    opal_mem_hooks_range_t range = { (uintptr_t) block, 0 };

    arrivals |= UINT32_C(1) << which;
    if (!has_events(block)) {
        return false;
    }
    range.length = atomic_load_explicit(&usable_size, memory_order_relaxed)(block);
    if (range.length == 0) {
        return false;
    }
    is_in_callback = true;
    atomic_signal_fence(memory_order_seq_cst);
    opal_mem_hooks_window_open(window, &range, 1, OPAL_MEM_HOOKS_CAUSE_FREE, true);
    atomic_signal_fence(memory_order_seq_cst);
    is_in_callback = false;
    return true;
}

/* ---- Wrappers --------------------------------------------------------------------------------------- */

static void *wrap_malloc(size_t size)
{
    return report(MALLOC, REAL(MALLOC, malloc_fn_t)(size));
}

static void *wrap_calloc(size_t count, size_t size)
{
    return report(CALLOC, REAL(CALLOC, calloc_fn_t)(count, size));
}

/* The old block goes even if the new one is at its place: what is behind its end may be somebody else's soon. */
static void *wrap_realloc(void *block, size_t size)
{
    opal_mem_hooks_window_t window;
    const bool is_open = announce(REALLOC, block, &window);
    void *moved = REAL(REALLOC, realloc_fn_t)(block, size);

    if (is_open) {
        opal_mem_hooks_window_close(&window);
    }
    return report(REALLOC, moved);
}

/* libc's one calls realloc through a slot, which would be a second event. */
static void *wrap_reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;

    arrivals |= UINT32_C(1) << REALLOCARRAY;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return wrap_realloc(block, bytes);
}

static void *wrap_memalign(size_t alignment, size_t size)
{
    return report(MEMALIGN, REAL(MEMALIGN, memalign_fn_t)(alignment, size));
}

static void *wrap_aligned_alloc(size_t alignment, size_t size)
{
    return report(ALIGNED_ALLOC, REAL(ALIGNED_ALLOC, memalign_fn_t)(alignment, size));
}

static void *wrap_valloc(size_t size)
{
    return report(VALLOC, REAL(VALLOC, malloc_fn_t)(size));
}

static void *wrap_pvalloc(size_t size)
{
    return report(PVALLOC, REAL(PVALLOC, malloc_fn_t)(size));
}

static int wrap_posix_memalign(void **block, size_t alignment, size_t size)
{
    const int result = REAL(POSIX_MEMALIGN, posix_memalign_fn_t)(block, alignment, size);

    report(POSIX_MEMALIGN, result == 0 ? *block : NULL);
    return result;
}

/* All have three arguments, so that each may be passed on to the one that has them. */
static inline void release(unsigned which, void *block, size_t size, size_t alignment)
{
    opal_mem_hooks_window_t window;
    const bool is_open = announce(which, block, &window);

    REAL(which, delete_fn_t)(block, size, alignment);
    if (is_open) {
        opal_mem_hooks_window_close(&window);
    }
}

#define WRAP_RELEASE(which)                                              \
    static void wrap_##which(void *block, size_t size, size_t alignment) \
    {                                                                    \
        release(which, block, size, alignment);                          \
    }

#define WRAP_NEW(which)                                                       \
    static void *wrap_##which(size_t size, size_t alignment, const void *tag) \
    {                                                                         \
        return report(which, REAL(which, new_fn_t)(size, alignment, tag));    \
    }

static void wrap_free(void *block)
{
    opal_mem_hooks_window_t window;
    const bool is_open = announce(FREE, block, &window);

    REAL(FREE, free_fn_t)(block);
    if (is_open) {
        opal_mem_hooks_window_close(&window);
    }
}

WRAP_RELEASE(CFREE)
WRAP_NEW(NEW)
WRAP_NEW(NEW_ARRAY)
WRAP_NEW(NEW_NOTHROW)
WRAP_NEW(NEW_ARRAY_NOTHROW)
WRAP_NEW(NEW_ALIGNED)
WRAP_NEW(NEW_ARRAY_ALIGNED)
WRAP_NEW(NEW_ALIGNED_NOTHROW)
WRAP_NEW(NEW_ARRAY_ALIGNED_NOTHROW)
WRAP_RELEASE(DELETE)
WRAP_RELEASE(DELETE_ARRAY)
WRAP_RELEASE(DELETE_SIZED)
WRAP_RELEASE(DELETE_ARRAY_SIZED)
WRAP_RELEASE(DELETE_NOTHROW)
WRAP_RELEASE(DELETE_ARRAY_NOTHROW)
WRAP_RELEASE(DELETE_ALIGNED)
WRAP_RELEASE(DELETE_ARRAY_ALIGNED)
WRAP_RELEASE(DELETE_SIZED_ALIGNED)
WRAP_RELEASE(DELETE_ARRAY_SIZED_ALIGNED)
WRAP_RELEASE(DELETE_ALIGNED_NOTHROW)
WRAP_RELEASE(DELETE_ARRAY_ALIGNED_NOTHROW)

#define SYMBOL(which, label, function) [which] = { .name = (label), .wrapper = (linux_function_t) (function) }
#define OPERATOR(which, label) SYMBOL(which, label, wrap_##which)

static linux_got_symbol_t symbols[FUNCTIONS] = {
    SYMBOL(MALLOC, "malloc", wrap_malloc),
    SYMBOL(CALLOC, "calloc", wrap_calloc),
    SYMBOL(REALLOC, "realloc", wrap_realloc),
    SYMBOL(REALLOCARRAY, "reallocarray", wrap_reallocarray),
    SYMBOL(FREE, "free", wrap_free),
    /* Exported by glibc to old programs only, as another name of free. */
    [CFREE] = { .name = "cfree", .wrapper = (linux_function_t) wrap_CFREE, .alias = "free" },
    SYMBOL(MEMALIGN, "memalign", wrap_memalign),
    SYMBOL(ALIGNED_ALLOC, "aligned_alloc", wrap_aligned_alloc),
    SYMBOL(VALLOC, "valloc", wrap_valloc),
    SYMBOL(PVALLOC, "pvalloc", wrap_pvalloc),
    SYMBOL(POSIX_MEMALIGN, "posix_memalign", wrap_posix_memalign),
    OPERATOR(NEW, "_Znwm"),
    OPERATOR(NEW_ARRAY, "_Znam"),
    OPERATOR(NEW_NOTHROW, "_ZnwmRKSt9nothrow_t"),
    OPERATOR(NEW_ARRAY_NOTHROW, "_ZnamRKSt9nothrow_t"),
    OPERATOR(NEW_ALIGNED, "_ZnwmSt11align_val_t"),
    OPERATOR(NEW_ARRAY_ALIGNED, "_ZnamSt11align_val_t"),
    OPERATOR(NEW_ALIGNED_NOTHROW, "_ZnwmSt11align_val_tRKSt9nothrow_t"),
    OPERATOR(NEW_ARRAY_ALIGNED_NOTHROW, "_ZnamSt11align_val_tRKSt9nothrow_t"),
    OPERATOR(DELETE, "_ZdlPv"),
    OPERATOR(DELETE_ARRAY, "_ZdaPv"),
    OPERATOR(DELETE_SIZED, "_ZdlPvm"),
    OPERATOR(DELETE_ARRAY_SIZED, "_ZdaPvm"),
    OPERATOR(DELETE_NOTHROW, "_ZdlPvRKSt9nothrow_t"),
    OPERATOR(DELETE_ARRAY_NOTHROW, "_ZdaPvRKSt9nothrow_t"),
    OPERATOR(DELETE_ALIGNED, "_ZdlPvSt11align_val_t"),
    OPERATOR(DELETE_ARRAY_ALIGNED, "_ZdaPvSt11align_val_t"),
    OPERATOR(DELETE_SIZED_ALIGNED, "_ZdlPvmSt11align_val_t"),
    OPERATOR(DELETE_ARRAY_SIZED_ALIGNED, "_ZdaPvmSt11align_val_t"),
    OPERATOR(DELETE_ALIGNED_NOTHROW, "_ZdlPvSt11align_val_tRKSt9nothrow_t"),
    OPERATOR(DELETE_ARRAY_ALIGNED_NOTHROW, "_ZdaPvSt11align_val_tRKSt9nothrow_t"),
};

/* ---- Self-test --------------------------------------------------------------------------------------- */

/* Keeps the compiler from leaving out an allocation that nobody uses. */
static void *keep(void *block)
{
    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

/* Functions that a preloaded allocator lacks come from libc, and their blocks are not his: nobody can use those there, and
 * we leave them alone. (libc's reallocarray calls realloc through a slot.) */
static bool is_taken(unsigned which)
{
    return !atomic_load(&symbols[which].is_left_alone);
}

static void test_aligned(void)
{
    void *block = NULL;

    if (is_taken(MEMALIGN)) {
        free(keep(memalign(64, 1)));
    }
    if (is_taken(ALIGNED_ALLOC)) {
        free(keep(aligned_alloc(64, 64)));
    }
    if (is_taken(VALLOC)) {
        free(keep(valloc(1))); /* NOLINT(clang-analyzer-unix.Malloc): keep() returns what it is given. */
    }
    if (is_taken(PVALLOC)) {
        free(keep(pvalloc(1)));
    }
    if (is_taken(POSIX_MEMALIGN) && posix_memalign(&block, 64, 1) == 0) {
        free(keep(block));
    }
}

/* By calls that use this object's own slots. @return Bits of those that did not come to the wrappers. */
static uint32_t test_calls(void)
{
    const int saved_errno = errno;
    uint32_t expected = 0;
    void *block;

    for (unsigned i = 0; i < FIRST_OPERATOR; i++) {
        expected |= is_taken(i) && i != CFREE ? UINT32_C(1) << i : 0;
    }
    arrivals = 0;
    free(keep(calloc(1, 1)));
    block = keep(malloc(1));
    block = keep(realloc(block, 2));
    free(is_taken(REALLOCARRAY) ? keep(reallocarray(block, 1, 3)) : block);
    test_aligned();
    errno = saved_errno;
    return expected & ~arrivals;
}

/* ---- On and off --------------------------------------------------------------------------------------- */

/* Only functions of the allocator itself. So operators of a library that calls malloc for them are left alone: one event
 * for each block. */
static void choose(uintptr_t allocator)
{
    for (size_t i = 0; i < FUNCTIONS; i++) {
        const uintptr_t real = atomic_load(&symbols[i].real);

        atomic_store(&symbols[i].is_left_alone, real == 0 || !linux_got_is_same_object(real, allocator));
    }
}

/* @return NULL, or what is in the way. */
static const char *find_functions(void)
{
    const uintptr_t size_of = linux_got_lookup("malloc_usable_size");
    uintptr_t allocator;

    if (atomic_load(&set.is_on)) {
        return NULL;
    }
    linux_got_resolve(&set);
    allocator = atomic_load(&symbols[MALLOC].real);
    if (linux_got_is_in_program(allocator)) {
        return "the program has a malloc of its own, whose calls to itself nobody can see";
    }
    if (size_of == 0 || !linux_got_is_same_object(size_of, allocator)) {
        return "the allocator has no malloc_usable_size, which the size of a block is asked of";
    }
    atomic_store(&usable_size, (size_t(*)(void *)) size_of);
    choose(allocator);
    return NULL;
}

static void list_missed(uint32_t missed, char *text, size_t size)
{
    size_t used = (size_t) snprintf(text, size, "these calls do not reach the component:");

    for (size_t i = 0; i < FUNCTIONS && used < size; i++) {
        if ((missed >> i & 1) != 0) {
            used += (size_t) snprintf(text + used, size - used, " %s", symbols[i].name);
        }
    }
}

static int give_up(void)
{
    linux_malloc_uninstall();
    return OPAL_ERR_NOT_AVAILABLE;
}

int linux_malloc_install(char *reason, size_t size)
{
    const char *obstacle = find_functions();
    linux_got_result_t result;
    uint32_t missed;

    if (obstacle != NULL) {
        snprintf(reason, size, "%s (malloc is that of %s)", obstacle,
                 linux_got_owner(atomic_load(&symbols[MALLOC].real)));
        return OPAL_ERR_NOT_AVAILABLE;
    }
    if (linux_got_install(&set, &result) != OPAL_SUCCESS) {
        snprintf(reason, size, "objects are loaded and unloaded all the time");
        return give_up();
    }
    if (result.refused != 0 || result.foreign != 0) {
        snprintf(reason, size, "%s of %s: %s", result.symbol != NULL ? result.symbol : "slots", result.culprit,
                 result.refused != 0 ? "its slots cannot be written to"
                                     : "leads to another function than that of the other objects");
        return give_up();
    }
    missed = test_calls();
    if (missed != 0) {
        list_missed(missed, reason, size);
        return give_up();
    }
    return OPAL_SUCCESS;
}

void linux_malloc_uninstall(void)
{
    linux_malloc_go_live(false);
    linux_got_remove(&set);
}

void linux_malloc_go_live(bool live)
{
    atomic_store(&is_live, live);
}

void linux_malloc_enable(int *support)
{
    char reason[256];

    if (linux_malloc_install(reason, sizeof(reason)) != OPAL_SUCCESS) {
        mca_base_log(MCA_BASE_LOG_WARN,
                     "memory_linux_malloc_events: %s. Events are those of memory that goes back to the system",
                     reason);
        return;
    }
    linux_malloc_go_live(true);
    *support = (*support | OPAL_MEMORY_MALLOC_SUPPORT | OPAL_MEMORY_FREE_SUPPORT) & ~OPAL_MEMORY_CHUNK_SUPPORT;
}

void linux_malloc_disable(void)
{
    if (atomic_load(&set.is_on)) {
        linux_malloc_uninstall();
    }
}

void linux_malloc_follow(void)
{
    linux_got_result_t result;

    if (atomic_load(&set.is_on) && linux_got_is_stale()) {
        linux_got_refresh(&result);
    }
}
