/* SPDX-License-Identifier: BSD-3-Clause */
/* Fork detection. No lock is taken before a fork: a crash handler may fork
 * while its thread holds one. Instead the child makes its locks anew and
 * forgets what they protected, where that may be torn. */
#include <pthread.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "framework/base/base_internal.h"
#include "framework/hooks/hooks_internal.h"
#include "framework/memory/memory_base.h"
#include "framework/opalmem_internal.h"
#include "framework/util/barrier.h"
#include "framework/util/fork.h"
#include "opal/constants.h"
#include "rcache/base/rcache_base.h"

enum { PAGE_WIPED = 0, PAGE_ALIVE = OPAL_FORK_ALIVE, PAGE_BUSY = 2 };

/* Where the kernel has no MADV_WIPEONFORK: only pthread_atfork notices. */
atomic_int opal_fork_no_page = PAGE_ALIVE;
OPAL_MEM_HOOKS_DATA _Atomic(atomic_int *) opal_fork_word = &opal_fork_no_page;

/* Written by the one thread that took the word from WIPED to BUSY, or by the atfork handler. */
_Atomic uint64_t opal_fork_count;

/* A signal handler's hook on the thread that is just noticing must not wait for it. Initial-exec: never allocates. */
static _Thread_local bool noticing __attribute__((tls_model("initial-exec")));

static void become_child(void)
{
    noticing = true;
    atomic_fetch_add(&opal_fork_count, 1);
    opalmem_reset_child();
    mca_base_reset_child();
    mca_base_component_reset_child();
    opal_mem_hooks_reset_child();
    opal_memory_base_reset_child();
    mca_rcache_base_reset_child();
    noticing = false;
}

void opal_fork_notice(void)
{
    unsigned steps = 0;
    atomic_int *word = atomic_load_explicit(&opal_fork_word, memory_order_acquire);
    while (atomic_load_explicit(word, memory_order_acquire) != PAGE_ALIVE && !noticing) {
        int expected = PAGE_WIPED;
        if (atomic_compare_exchange_strong(word, &expected, PAGE_BUSY)) {
            become_child();
            atomic_store(word, PAGE_ALIVE);
        } else {
            wait_step(&steps);
        }
    }
}

static void after_fork_in_child(void)
{
    if (atomic_load(&opal_fork_word) == &opal_fork_no_page) {
        become_child();
    } else {
        opal_fork_notice();
    }
}

static void make_wiped_page(void)
{
    size_t size = (size_t) sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return;
    }
    /* An emulator may take any advice for granted, and do nothing. */
    if (madvise(page, size, -1) == 0 || madvise(page, size, MADV_WIPEONFORK) != 0) {
        munmap(page, size);
        return;
    }
    atomic_store((atomic_int *) page, PAGE_ALIVE);
    atomic_int *expected = &opal_fork_no_page;
    if (!atomic_compare_exchange_strong(&opal_fork_word, &expected, (atomic_int *) page)) {
        munmap(page, size); /* Another thread was faster. */
    }
}

int opal_fork_start(void)
{
    /* No lock and no pthread_once: a child that is forked in the middle could wait for a thread that it has not
     * got. Two threads may both do it: a second handler finds that the first has noticed. */
    static atomic_bool started;
    if (atomic_load(&started)) {
        return OPAL_SUCCESS;
    }
    /* The library is never unloaded (-z nodelete), so the handler stays valid. */
    if (pthread_atfork(NULL, NULL, after_fork_in_child) != 0) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    make_wiped_page();
    atomic_store(&started, true);
    return OPAL_SUCCESS;
}
