/* SPDX-License-Identifier: BSD-3-Clause */
/* Notices that this process is a fork child: by a page that the kernel wipes
 * there, and by pthread_atfork, which comes first where libc forks. A vfork
 * child shares the memory, and is none. Before any thread of a child uses
 * what the component had in the parent, one of them has made it a child's. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "components/ummunotify/ummunotify.h"
#include "opal/constants.h"

enum { WIPED = 0, ALIVE = 1, BUSY = 2 };

/* Where the kernel wipes no page. */
static atomic_int no_page = ALIVE;
/* Set before the device is first opened; constant then. */
static atomic_int *word = &no_page;

/* This thread is at it, if the word is BUSY: what it calls may lead back here. Initial-exec: never allocates. */
static _Thread_local bool noticing __attribute__((tls_model("initial-exec")));

/* At once, and not when the child first calls the component: until then it would take the parent's counter for its own, and
 * what it has watched before for still watched. Maps and unmaps, and no more than that. */
static void after_fork_in_child(void)
{
    atomic_store(word, WIPED);
    ummunotify_fork_check();
}

static atomic_int *make_page(void)
{
    const size_t size = (size_t) sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED) {
        return &no_page;
    }
    if (madvise(page, size, MADV_WIPEONFORK) != 0) {
        munmap(page, size);
        return &no_page;
    }
    atomic_store((atomic_int *) page, ALIVE);
    return page;
}

/* The component stays loaded: so the handler does. */
int ummunotify_fork_start(void)
{
    static bool is_started;

    if (is_started) {
        ummunotify_fork_check();
        return OPAL_SUCCESS;
    }
    if (pthread_atfork(NULL, NULL, after_fork_in_child) != 0) {
        return OPAL_ERR_OUT_OF_RESOURCE;
    }
    word = make_page();
    is_started = true;
    return OPAL_SUCCESS;
}

/* The table's memory goes when the component can be called again: munmap may be somebody's event. */
static void become_child(void)
{
    noticing = true;
    void *table = ummunotify_table_abandon();
    ummunotify_device_become_child();
    noticing = false;
    atomic_store_explicit(word, ALIVE, memory_order_release);
    ummunotify_table_free(table);
}

void ummunotify_fork_check(void)
{
    int value;

    while ((value = atomic_load_explicit(word, memory_order_acquire)) != ALIVE && !(value == BUSY && noticing)) {
        if (value == WIPED && atomic_compare_exchange_strong(word, &value, BUSY)) {
            become_child();
        } else {
            sched_yield();
        }
    }
}
