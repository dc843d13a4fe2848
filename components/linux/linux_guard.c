/* SPDX-License-Identifier: BSD-3-Clause */
/* Lives with other hook libraries, which replace code of libc, too, without asking. They put their jumps over ours, and
 * then make the system calls by syscall(2), which reaches us again: no event is lost. Or they put back what they found
 * before we came: then our site is bare, and has to be replaced again.
 *
 * To write to code they have to make it writable, by a mprotect that we see. What caches keep is dropped before that, and
 * nothing is kept while it lasts. When the code is protected again, bare sites are replaced at once, and before the next
 * registration is kept the self-test proves that all calls still arrive. If they do not (a library that makes its
 * system calls itself), nothing is kept from then on, after a warning.
 *
 * Who changes code without mprotect is found out by looking at the sites: at a quarter of them whenever a registration is to
 * be kept, so at the fourth one at the latest. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "components/linux/linux.h"
#include "components/linux/linux_sys.h"
#include "opal/mca/base/base.h"

/* Calls that arrived when we were switched on, and must go on to do so; 0: switched off. */
static _Atomic uint32_t needed;

static _Atomic bool is_suspect; /* Code has been changed, or may have been. */
static _Atomic bool is_deaf;    /* As far as is known: calls do not arrive. */
static _Atomic bool is_told;    /* One message for each time. */

/* One thread verifies at a time; the others keep nothing meanwhile. Not taken in hooks. */
static pthread_mutex_t verify_lock = PTHREAD_MUTEX_INITIALIZER;

static void drop_everything(void)
{
    opal_mem_hooks_release_cause(NULL, SIZE_MAX, true, OPAL_MEM_HOOKS_CAUSE_KERNEL);
}

/* ---- Who makes code writable --------------------------------------------------------------------- */

static bool is_watched(const linux_text_t *text)
{
    return atomic_load(&text->end) != 0 && text->kind != LINUX_OTHER;
}

static bool overlaps(const linux_text_t *text, uintptr_t start, uintptr_t end)
{
    return is_watched(text) && atomic_load(&text->start) < end && atomic_load(&text->end) > start;
}

/* Does it meet code of ours that is open, or any (want_open false)? */
static bool meets(uintptr_t start, uintptr_t end, bool want_open)
{
    const size_t count = atomic_load_explicit(&linux_text_count, memory_order_acquire);

    for (size_t i = 0; i < count; i++) {
        if (overlaps(&linux_texts[i], start, end) && (!want_open || atomic_load(&linux_texts[i].is_open))) {
            return true;
        }
    }
    return false;
}

/* How often code was opened, and after how many of these times all was seen closed. */
static _Atomic uint64_t openings, seen_closed;

static void mark(uintptr_t start, uintptr_t end, bool is_open)
{
    const size_t count = atomic_load(&linux_text_count);

    for (size_t i = 0; i < count; i++) {
        if (overlaps(&linux_texts[i], start, end)) {
            atomic_store(&linux_texts[i].is_open, is_open);
        }
    }
    if (is_open) {
        atomic_fetch_add(&openings, 1); /* After the marks: who counts it sees these. */
    }
}

/* A part of each registration: it looks at the texts only after one was opened. */
static bool is_any_open(void)
{
    const uint64_t now = atomic_load(&openings);

    if (now == atomic_load(&seen_closed)) {
        return false;
    }
    const bool is_open = meets(0, UINTPTR_MAX, true);
    if (!is_open) {
        atomic_store(&seen_closed, now);
    }
    return is_open;
}

static void repair(uintptr_t start, uintptr_t end)
{
    uint64_t saved;

    if (linux_lock(&saved)) {
        linux_texts_repair(start, end);
        linux_unlock(&saved);
    }
}

/* A call that fails may have changed the first of its pages; EINVAL alone tells that it has not. */
static long open_code(const linux_call_t *call, const long args[6], uintptr_t start, uintptr_t end)
{
    const bool was_open = meets(start, end, true);
    long result;

    mark(start, end, true);
    drop_everything();
    result = linux_sys_call(call->nr, args);
    if (result == -EINVAL && !was_open) {
        mark(start, end, false);
    }
    return result;
}

static long close_code(const linux_call_t *call, const long args[6], uintptr_t start, uintptr_t end)
{
    const long result = linux_sys_call(call->nr, args);

    if (!linux_failed(result) && meets(start, end, true)) {
        atomic_store(&is_suspect, true);
        mark(start, end, false);
        if ((args[2] & (PROT_READ | PROT_EXEC)) == (PROT_READ | PROT_EXEC)) {
            repair(start, end);
        }
    }
    return result;
}

long linux_run_mprotect(const linux_call_t *call, const long args[6])
{
    const uintptr_t start = linux_untag(args[0]);
    const uintptr_t end = start + linux_round_up((uintptr_t) args[1], LINUX_PAGE);

    if (!meets(start, end, false)) {
        return linux_sys_call(call->nr, args);
    }
    return (args[2] & PROT_WRITE) != 0 ? open_code(call, args, start, end) : close_code(call, args, start, end);
}

/* ---- What the places look like -------------------------------------------------------------------- */

#define MAX_PRINTS 256

/* Sites of libc and ld.so, and the heads of libc's functions for our calls, where others put their jumps. Written under
 * verify_lock; who compares without it sees an old or a new one, or a mixture, which does not hold. */
typedef struct print_t {
    _Atomic uintptr_t address;
    _Atomic uint64_t content; /* 8 bytes there. */
} print_t;

static print_t prints[MAX_PRINTS];
static _Atomic size_t print_count;

static uint64_t read_code(uintptr_t address)
{
    uint64_t content;

    memcpy(&content, (const void *) address, sizeof(content));
    return content;
}

/* This is a part of each registration, so it looks at every fourth one only, by turns; and branches once for all of them. Threads
 * that do so at the same time may look at the same ones, but leave none out. */
#define SHARES 4

static bool hold_in_part(void)
{
    static _Atomic uint32_t turns;
    const print_t *end = prints + atomic_load_explicit(&print_count, memory_order_acquire);
    const uint32_t turn = atomic_load_explicit(&turns, memory_order_relaxed);
    uint64_t difference = 0;

    atomic_store_explicit(&turns, turn + 1, memory_order_relaxed);
#pragma GCC unroll 4
    for (const print_t *print = prints + turn % SHARES; print < end; print += SHARES) {
        difference |= read_code(atomic_load_explicit(&print->address, memory_order_relaxed))
                      ^ atomic_load_explicit(&print->content, memory_order_relaxed);
    }
    return difference == 0;
}

/* The 8 bytes end before the page does, behind which there may be nothing. */
static void take_print(size_t *count, const uint8_t *code)
{
    const uintptr_t page_end = linux_round_down((uintptr_t) code, LINUX_PAGE) + LINUX_PAGE;
    const uintptr_t address = (uintptr_t) code <= page_end - 8 ? (uintptr_t) code : page_end - 8;

    if (code != NULL && *count < MAX_PRINTS) {
        atomic_store_explicit(&prints[*count].address, address, memory_order_relaxed);
        atomic_store_explicit(&prints[*count].content, read_code(address), memory_order_relaxed);
        ++*count;
    }
}

static void take_prints(void)
{
    const size_t texts = atomic_load(&linux_text_count);
    size_t count = 0;

    for (size_t i = 0; i < texts; i++) {
        for (size_t k = 0; is_watched(&linux_texts[i]) && k < linux_texts[i].site_count; k++) {
            take_print(&count, linux_texts[i].sites[k].address);
        }
    }
    for (int id = 0; id < LINUX_CALL_COUNT; id++) {
        take_print(&count, linux_selftest_function((linux_call_id_t) id));
    }
    atomic_store_explicit(&print_count, count, memory_order_release);
}

/* ---- Before something is kept --------------------------------------------------------------------- */

static void say_deaf(void)
{
    if (!atomic_exchange(&is_told, true)) {
        mca_base_log(
            MCA_BASE_LOG_WARN,
            "memory: another library has taken over system calls of libc that the component linux had "
            "replaced, and they do not reach it any more: releases are not noticed, and caches keep nothing "
            "from now on. To cache here, switch that library's memory hooks off (Open MPI: "
            "OMPI_MCA_memory=^patcher; UCX, also within Open MPI: UCX_MEM_EVENTS=no)");
    }
}

/* Replaces bare sites, asks which calls arrive, and remembers what the code looks like then. */
static void verify_locked(uint32_t calls)
{
    int sys_errno = 0;
    bool is_bad;

    atomic_store(&is_suspect, false);
    linux_search_libc(&sys_errno);
    repair(0, UINTPTR_MAX);
    take_prints();
    is_bad = (calls & ~linux_selftest()) != 0;
    if (is_bad) {
        drop_everything();
        say_deaf();
    } else {
        atomic_store(&is_told, false);
    }
    atomic_store(&is_deaf, is_bad);
}

static bool verify(uint32_t calls)
{
    if (pthread_mutex_trylock(&verify_lock) != 0) {
        return false;
    }
    verify_locked(calls);
    pthread_mutex_unlock(&verify_lock);
    return true;
}

/* Its caller is about to keep a registration, and holds no lock. */
int linux_guard_register(void *base, size_t length, uint64_t cookie)
{
    const uint32_t calls = atomic_load(&needed);

    (void) base, (void) length, (void) cookie;
    if (calls == 0) {
        return OPAL_SUCCESS;
    }
    if (is_any_open()) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    if ((atomic_load(&is_suspect) || !hold_in_part()) && !verify(calls)) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    return atomic_load(&is_deaf) || atomic_load(&is_suspect) ? OPAL_ERR_OUT_OF_RESOURCE : OPAL_SUCCESS;
}

/* ---- Begin and end -------------------------------------------------------------------------------- */

static void unlock_in_child(void)
{
    pthread_mutex_init(&verify_lock, NULL);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, unlock_in_child);
}

void linux_guard_begin(uint32_t calls)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch_forks);
    mark(0, UINTPTR_MAX, false);
    pthread_mutex_lock(&verify_lock);
    take_prints();
    pthread_mutex_unlock(&verify_lock);
    atomic_store(&is_suspect, false);
    atomic_store(&is_deaf, false);
    atomic_store(&is_told, false);
    atomic_store(&needed, calls);
}

void linux_guard_end(void)
{
    atomic_store(&needed, 0);
}
