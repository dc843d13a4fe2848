/* SPDX-License-Identifier: BSD-3-Clause */
/* Notices that this process is a fork child: by a page that the kernel wipes
 * there, and by pthread_atfork, which comes first where libc forks. A child
 * uses nothing of the parent's device, and gets one of its own when it first
 * watches something; until then it has a counter and words of ours. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "components/kdreg/kdreg.h"
#include "components/kdreg/kdreg_sys.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

enum { WORD_WIPED = 0, WORD_ALIVE = 1, WORD_BUSY = 2 };

/* On a page that the kernel wipes in a fork child. NULL: there is no device, and no child to be made. */
static _Atomic(atomic_int *) fork_word;

/* This thread is at it, if the word is BUSY: what it calls may lead back here. Initial-exec: never allocates. */
static _Thread_local bool noticing __attribute__((tls_model("initial-exec")));

/* ---- The child's counter ------------------------------------------------------------------------- */

/* The counter of a new device starts from 0, and the base still has a value of the parent's as `seen`: the new counter must
 * not reach that unnoticed. So in between the counter is a word of ours, far above what any device reaches and below what
 * stands for a lost one, and the new device comes when the base has seen that. Each child has a range of its own. */
#define FAR (UINT64_C(1) << 62)
#define RANGE (UINT64_C(1) << 32)

static uint64_t *counter_of(void *status_page)
{
    return &((kdreg_status_t *) status_page)->total_events;
}

/* Under the lock, away: process() is called again. */
static void count(void)
{
    __atomic_add_fetch(counter_of(kdreg_state.place), 1, __ATOMIC_RELEASE);
}

static int put_counter(void)
{
    const size_t size = kdreg_page_size();
    void *page = kdreg_sys->map(NULL, size, PROT_READ | PROT_WRITE, 0);

    if (page == MAP_FAILED) {
        return -ENOMEM;
    }
    *counter_of(page) = kdreg_state.away;
    const int rc = kdreg_sys->move(page, size, kdreg_state.place);
    if (rc != 0) {
        kdreg_sys->unmap(page, size);
    }
    return rc;
}

/* ---- Becoming a child ---------------------------------------------------------------------------- */

/* What was watched is not any more: no word is in use. They stay where they are, as those of former tables do. */
static void wipe_words(void)
{
    kdreg_device_t *device = &kdreg_state.device;
    const size_t size = device->max_regions * sizeof(uint32_t);

    if (device->states != NULL) {
        kdreg_sys->map((void *) (uintptr_t) device->states, size, PROT_READ, MAP_FIXED | MAP_NORESERVE);
        device->former_states = device->states;
        device->former_size = size;
        device->states = NULL;
    }
    kdreg_keep_former();
}

/* Anything may be half done by another thread of the parent: lock and table are made anew, the parent's stay. The inherited
 * descriptors are closed: they would keep the parent's memory alive. */
static void become_child(void)
{
    pthread_mutex_init(&kdreg_state.lock, NULL);
    kdreg_close_device();
    kdreg_state.cookies = (kdreg_cookies_t){ 0 };
    kdreg_state.down_reason = NULL;
    if (kdreg_state.is_down) {
        return;
    }
    wipe_words();
    kdreg_state.away = kdreg_state.away < FAR ? FAR : kdreg_state.away + RANGE;
    const int rc = put_counter();
    if (rc != 0) {
        kdreg_stand_down("a fork child has no memory", rc);
        return;
    }
    kdreg_state.is_away = kdreg_state.has_left = true;
    kdreg_state.is_wanted = false;
}

void kdreg_fork_check(void)
{
    atomic_int *word = atomic_load_explicit(&fork_word, memory_order_acquire);
    int value;

    while (word != NULL && (value = atomic_load_explicit(word, memory_order_acquire)) != WORD_ALIVE
           && !(value == WORD_BUSY && noticing)) {
        if (value == WORD_WIPED && atomic_compare_exchange_strong(word, &value, WORD_BUSY)) {
            noticing = true;
            become_child();
            noticing = false;
            atomic_store_explicit(word, WORD_ALIVE, memory_order_release);
        } else {
            sched_yield();
        }
    }
}

/* At once, and not when the child first calls the component: until then it would take the parent's counter for its own, and
 * what was watched for still watched. Closes, maps and unmaps, and no more than that. */
static void after_fork_in_child(void)
{
    atomic_int *word = atomic_load(&fork_word);

    if (word != NULL) {
        atomic_store(word, WORD_WIPED);
        kdreg_fork_check();
    }
}

/* ---- Start and stop ------------------------------------------------------------------------------ */

/* The component stays loaded: so the handler does. */
static int install_handler(void)
{
    static bool is_installed;

    if (!is_installed && pthread_atfork(NULL, NULL, after_fork_in_child) != 0) {
        return -ENOMEM;
    }
    is_installed = true;
    return 0;
}

int kdreg_fork_start(void)
{
    if (install_handler() != 0) {
        return -ENOMEM;
    }
    void *page = kdreg_sys->map(NULL, kdreg_page_size(), PROT_READ | PROT_WRITE, 0);
    if (page == MAP_FAILED) {
        return -ENOMEM;
    }
    /* Where it is not wiped, forks around libc are told by the device: the child stands down. */
    madvise(page, kdreg_page_size(), MADV_WIPEONFORK);
    atomic_store((atomic_int *) page, WORD_ALIVE);
    atomic_store(&fork_word, (atomic_int *) page);
    return 0;
}

void kdreg_fork_stop(void)
{
    atomic_int *word = atomic_exchange(&fork_word, NULL);

    if (word != NULL) {
        kdreg_sys->unmap(word, kdreg_page_size());
    }
}

/* ---- A device of the child's own ----------------------------------------------------------------- */

void kdreg_fork_want(void)
{
    kdreg_state.is_wanted = true;
    count();
}

static void come_back(void)
{
    int support, error = 0;
    uint64_t sees;
    const char *fault = kdreg_open_device(&support, &sees, &error);

    kdreg_state.is_away = false;
    if (fault != NULL) {
        kdreg_close_device();
        kdreg_stand_down(fault, error);
    }
}

/* The value of our counter that the base stores after this call is no value of the device's either. */
bool kdreg_fork_process(void)
{
    const bool has_left = kdreg_state.has_left;

    kdreg_state.has_left = false;
    if (!kdreg_state.is_wanted) {
        return has_left;
    }
    if (__atomic_load_n(&opal_memory_base_state.seen, __ATOMIC_ACQUIRE) < kdreg_state.away) {
        count();
    } else {
        come_back();
    }
    return has_left;
}
