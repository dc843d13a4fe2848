/* SPDX-License-Identifier: BSD-3-Clause */
/* Implements rcache_stack.h.
 *
 * Unwinding in hook context is safe after mca_rcache_stack_prepare(): the unwinder of libgcc is loaded with all its symbols
 * bound, and has been called once, so that what it sets up at its first call is there. Then it allocates nothing. To find
 * the tables of an object it asks _dl_find_object() of glibc 2.35, which takes no lock and is safe in signal handlers;
 * libgcc does that since version 12, which every system with that glibc has. Older ones call dl_iterate_phdr(), which waits
 * for the loader's lock: there, stacks are not taken in hooks. One lock is left: libgcc 12 takes its own where a program has
 * registered tables for code that it makes at run time (__register_frame()); 13 does not.
 *
 * A stack that was taken once is known again by its return addresses: if that of our caller, and the place where it lies, are
 * the same, and in the place of each further one there is the same address, then each frame is of the same function, at the
 * same call, with the next frame behind it where it was. So the places are read from the inside out, and no further than they agree. */
#include "rcache/base/rcache_stack.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

#define STACKS 512
/* Stacks that differ in their outer frames only begin at the same cell: as many callers of one wrapper are told apart. */
#define PROBES 64

#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
#define HAVE_FIND_OBJECT 1
#endif
#endif

enum { CELL_EMPTY, CELL_WRITING, CELL_READY };

typedef struct cell_t {
    _Atomic uint32_t state; /* EMPTY -> WRITING (one thread) -> READY, for good. */
    mca_rcache_stack_t stack;
} cell_t;

static cell_t cells[STACKS]; /* Number less 1. */
static atomic_bool is_full;

/* ---- The unwinder ---------------------------------------------------------------------------------- */

typedef _Unwind_Reason_Code (*backtrace_fn_t)(_Unwind_Trace_Fn trace, void *arg);
typedef _Unwind_Ptr (*get_ip_fn_t)(struct _Unwind_Context *context, int *is_before);
typedef _Unwind_Word (*get_cfa_fn_t)(struct _Unwind_Context *context);

/* Written by the first mca_rcache_stack_prepare(), by others with the same values. `backtrace` last. */
static _Atomic(backtrace_fn_t) backtrace_fn;
static _Atomic(get_ip_fn_t) get_ip_fn;
static _Atomic(get_cfa_fn_t) get_cfa_fn;
#ifdef HAVE_FIND_OBJECT
static _Atomic(int (*)(void *address,
                       struct dl_find_object *result)) find_object_fn; /* Not there on older systems. */
#endif

typedef struct walk_t {
    mca_rcache_stack_t stack;
    uintptr_t from; /* Frames further inside are our own. */
} walk_t;

/* On x86-64 a call leaves the return address right below the caller's frame; elsewhere the callee stores it somewhere in its
 * own. The code that a signal has interrupted has not called anybody. */
static __attribute__((no_sanitize_address)) uintptr_t place_of(uintptr_t ip, uintptr_t inner, uintptr_t outer)
{
#ifdef __x86_64__
    const uintptr_t at = outer - sizeof(uintptr_t);
    (void) inner;
    return *(const volatile uintptr_t *) at == ip ? at : 0;
#else
    for (uintptr_t at = inner; at < outer && outer - inner < 4096; at += sizeof(uintptr_t)) {
        if (*(const volatile uintptr_t *) at == ip) {
            return at;
        }
    }
    return 0;
#endif
}

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *arg)
{
    walk_t *walk = arg;
    mca_rcache_stack_t *stack = &walk->stack;
    int is_before = 0;
    const uintptr_t ip = atomic_load_explicit(&get_ip_fn, memory_order_relaxed)(context, &is_before);
    const uintptr_t cfa = atomic_load_explicit(&get_cfa_fn, memory_order_relaxed)(context);

    if (ip == 0 || stack->depth == MCA_RCACHE_STACK_FRAMES) {
        return _URC_END_OF_STACK;
    }
    if (cfa >= walk->from) {
        stack->frame[stack->depth].ip = ip;
        stack->frame[stack->depth++].slot = is_before != 0 ? 0 : place_of(ip, walk->from, cfa);
        walk->from = cfa;
    }
    return _URC_NO_REASON;
}

void mca_rcache_stack_prepare(void)
{
    if (atomic_load(&backtrace_fn) != NULL) {
        return;
    }
    void *unwinder = dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE); /* Never closed. */
    if (unwinder == NULL) {
        return;
    }
    get_ip_fn_t get_ip = (get_ip_fn_t) dlsym(unwinder, "_Unwind_GetIPInfo");
    get_cfa_fn_t get_cfa = (get_cfa_fn_t) dlsym(unwinder, "_Unwind_GetCFA");
    backtrace_fn_t backtrace = (backtrace_fn_t) dlsym(unwinder, "_Unwind_Backtrace");
    if (get_ip == NULL || get_cfa == NULL || backtrace == NULL) {
        return;
    }
    atomic_store(&get_ip_fn, get_ip);
    atomic_store(&get_cfa_fn, get_cfa);
#ifdef HAVE_FIND_OBJECT
    *(void **) &find_object_fn = dlsym(RTLD_DEFAULT, "_dl_find_object");
#endif
    walk_t walk = { .from = 0 };
    backtrace(note_frame, &walk); /* The first call, which sets up what it needs. */
    atomic_store(&backtrace_fn, backtrace);
}

static bool can_unwind_in_hook(void)
{
#ifdef HAVE_FIND_OBJECT
    return atomic_load_explicit(&find_object_fn, memory_order_relaxed) != NULL;
#else
    return false;
#endif
}

/* ---- The table ------------------------------------------------------------------------------------- */

static __attribute__((no_sanitize_address)) bool is_same(const mca_rcache_stack_t *stack, uintptr_t ip,
                                                         uintptr_t slot)
{
    const mca_rcache_frame_t *frame = stack->frame, *end = frame + stack->comparable;
    bool same = frame->ip == ip && frame->slot == slot;

    while (same && ++frame < end) {
        same = *(const volatile uintptr_t *) frame->slot == frame->ip;
    }
    return same;
}

static uint32_t comparable(const mca_rcache_stack_t *stack)
{
    uint32_t count = 1;

    while (count < stack->depth && stack->frame[count].slot != 0) {
        count++;
    }
    return count;
}

static cell_t *cell_of(uintptr_t ip, uintptr_t slot, uint32_t probe)
{
    const uint64_t hash =
        ((uint64_t) ip ^ (uint64_t) slot << 20 ^ (uint64_t) slot >> 44) * UINT64_C(0x9e3779b97f4a7c15);
    return &cells[((hash >> 48) + probe) % STACKS];
}

static uint32_t number_of(const cell_t *cell)
{
    return (uint32_t) (cell - cells) + 1;
}

/* *empty: the first empty cell before which it was not found. */
static uint32_t find(uintptr_t ip, uintptr_t slot, cell_t **empty)
{
    for (uint32_t probe = 0; probe < PROBES; probe++) {
        cell_t *cell = cell_of(ip, slot, probe);
        const uint32_t state = atomic_load_explicit(&cell->state, memory_order_acquire);

        if (state == CELL_READY && is_same(&cell->stack, ip, slot)) {
            return number_of(cell);
        }
        if (state == CELL_EMPTY) {
            *empty = cell;
            return 0;
        }
    }
    return 0;
}

/* Another thread may keep the same stack at the same time: then there are two of it. */
static uint32_t keep(const mca_rcache_stack_t *stack, cell_t *cell)
{
    uint32_t expected = CELL_EMPTY;

    if (!atomic_compare_exchange_strong(&cell->state, &expected, CELL_WRITING)) {
        return 0;
    }
    memcpy(cell->stack.frame, stack->frame, sizeof(stack->frame));
    cell->stack.depth = stack->depth;
    cell->stack.comparable = comparable(stack);
    atomic_store_explicit(&cell->state, CELL_READY, memory_order_release);
    return number_of(cell);
}

static __attribute__((noinline)) uint32_t unwind(uintptr_t ip, uintptr_t slot, uintptr_t from)
{
    walk_t walk = { .from = from };

    atomic_load_explicit(&backtrace_fn, memory_order_relaxed)(note_frame, &walk);
    if (walk.stack.depth == 0) {
        return 0;
    }
    walk.stack.frame[0] = (mca_rcache_frame_t){ ip, slot }; /* What it is looked up by. */
    for (int attempt = 0; attempt < PROBES; attempt++) {
        cell_t *empty = NULL;
        uint32_t number = find(ip, slot, &empty);
        if (number == 0 && empty == NULL) {
            break;
        }
        number = number == 0 ? keep(&walk.stack, empty) : number;
        if (number != 0) {
            return number;
        }
    }
    atomic_store_explicit(&is_full, true, memory_order_relaxed);
    return 0;
}

/* Of the function that returns to `ip`, and whose caller's frame begins at `from`. */
static inline uint32_t look_up(uintptr_t ip, uintptr_t from)
{
    cell_t *empty = NULL;
    const uintptr_t slot = from - sizeof(uintptr_t); /* Elsewhere than on x86-64 only a number. */
    const uint32_t number = find(ip, slot, &empty);

    if (number != 0 || atomic_load_explicit(&backtrace_fn, memory_order_acquire) == NULL) {
        return number;
    }
    if (empty == NULL) {
        atomic_store_explicit(&is_full, true, memory_order_relaxed);
        return 0;
    }
    return unwind(ip, slot, from);
}

__attribute__((noinline)) uint32_t mca_rcache_stack_here(void)
{
    return look_up((uintptr_t) __builtin_return_address(0), (uintptr_t) __builtin_dwarf_cfa());
}

__attribute__((noinline)) uint32_t mca_rcache_stack_in_hook(void)
{
    if (!can_unwind_in_hook()) {
        return 0;
    }
    return look_up((uintptr_t) __builtin_return_address(0), (uintptr_t) __builtin_dwarf_cfa());
}

bool mca_rcache_stack_is_full(void)
{
    return atomic_load_explicit(&is_full, memory_order_relaxed);
}

mca_rcache_stack_t *mca_rcache_stack_at(uint32_t number)
{
    return &cells[number - 1].stack;
}

/* ---- Writing --------------------------------------------------------------------------------------- */

static char *add_text(char *end, const char *limit, const char *text)
{
    while (*text != '\0' && end < limit) {
        *end++ = *text++;
    }
    return end;
}

static char *add_hex(char *end, const char *limit, uintptr_t value)
{
    char digits[2 * sizeof(value) + 1], *first = &digits[sizeof(digits) - 1];

    *first = '\0';
    do {
        *--first = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value != 0);
    return add_text(add_text(end, limit, "0x"), limit, first);
}

static char *add_object(char *end, const char *limit, uintptr_t ip)
{
#ifdef HAVE_FIND_OBJECT
    int (*find_object)(void *, struct dl_find_object *) = atomic_load(&find_object_fn);
    struct dl_find_object object;

    if (find_object != NULL && find_object((void *) (ip - 1), &object) == 0 && object.dlfo_link_map != NULL) {
        const char *name = object.dlfo_link_map->l_name;
        end = add_text(end, limit, name != NULL && *name != '\0' ? name : program_invocation_name);
        end = add_text(end, limit, "(+");
        end = add_hex(end, limit, ip - object.dlfo_link_map->l_addr);
        end = add_text(end, limit, ") ");
    }
#else
    (void) limit, (void) ip;
#endif
    return end;
}

void mca_rcache_stack_write(int fd, const mca_rcache_stack_t *stack)
{
    for (uint32_t i = 0; i < stack->depth; i++) {
        char line[512], *end = add_text(line, line + sizeof(line), "    ");
        end = add_object(end, line + sizeof(line) - 24, stack->frame[i].ip);
        end = add_text(add_hex(end, line + sizeof(line) - 1, stack->frame[i].ip), line + sizeof(line), "\n");
        ssize_t ignored = write(fd, line, (size_t) (end - line));
        (void) ignored;
    }
}
