/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem_stress: the vocabulary. Workers own buffers (mapped, allocated, attached memory), lose them in
 * every way there is, and look them up in caches meanwhile; what a lookup hands out is judged.
 *
 *   stress_main     options, the run, quiet points, the end      stress_ops       what a worker can do, and how often
 *   stress_pages    clock and history of pages, page frames      stress_release   the ways to lose memory
 *   stress_caches   caches, the provider's wrapper, their books  stress_buffers   getting memory
 *   stress_judge    lookups and their judges                     stress_children  threads and processes that end soon
 *   stress_report   faults, the last operations
 */
#ifndef TEST_STRESS_STRESS_H
#define TEST_STRESS_STRESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/mca/memory/memory.h"
#include "opal/mca/rcache/provider.h"
#include "opal/opalmem.h"

#define STRESS_THREADS 64
#define STRESS_BUFFERS 12
#define STRESS_TRACE 32
#define STRESS_MAX_PAGES ((size_t) 64)
#define STRESS_FRAMES 128 /* Of a registration; what lies behind is not judged by frames. */
#define STRESS_OPS 64     /* Rows in the table of operations at most. */
#define STRESS_CACHES 2   /* That live as long as the run. */

extern size_t stress_page; /**< Bytes in a page. Constant after start. */

/* ---- Options ------------------------------------------------------------------------------------ */

typedef struct stress_options_t {
    double seconds;
    unsigned threads;
    uint64_t seed;
    uint64_t ops;         /**< Of each thread; 0: until the time is over. */
    int only;             /**< The one thread that does anything; -1: all. */
    const char *provider; /**< "uring" or "none". */
    size_t max_count, max_bytes;
    bool expect_errors;
    bool list;
} stress_options_t;
extern stress_options_t stress_options;

/** @return False after a message. */
bool stress_read_options(int argc, char **argv);

/* ---- Pages (stress_pages.c) ----------------------------------------------------------------------- */

/** Does the memory component say that it sees all of these (OPAL_MEMORY_SEES_*)? Where errors are expected, nothing is left
 * out for what it says. */
bool stress_sees(uint64_t bits);

/** The order of things: releases count it up, before and after; lookups only read it, so that a lookup has no
 * barrier that a program's would not have. */
uint64_t stress_now(void);

/** A release of these pages begins. @return When; for stress_release_end(). */
uint64_t stress_release_begin(uintptr_t start, size_t length);

/** It is over. gone: the pages are certainly others now. */
void stress_release_end(uint64_t begun, uintptr_t start, size_t length, bool gone);

/** Nobody tells of that one: lookups notice it, by what was mapped there then or later. */
void stress_release_silent(uint64_t begun, uintptr_t start, size_t length);

/** Has a release of the page that began at or after `since` been silent? Perhaps of another page: no fault is invented. */
bool stress_was_silent(uintptr_t page, uint64_t since);

/** Did a release of the page begin at or after `since`, and end before `before`? */
bool stress_was_released(uintptr_t page, uint64_t since, uint64_t before);

/** When did the last release of the page begin and end? 0: it is not known any more. */
void stress_last_release(uintptr_t page, uint64_t *begun, uint64_t *ended);

/** Has no release of the page been going on at `since` or later? May be false for no reason. */
bool stress_is_quiet(uintptr_t page, uint64_t since);

/** Open the table of page frames; again in a fork child. @return Are frames told (root)? */
bool stress_frames_open(void);
bool stress_frames_known(void);

/** Frames of that many pages; 0: no page there, or nobody knows. @return false: they cannot be read, errno says why. Hook
 * context. */
bool stress_frames(uintptr_t start, size_t pages, uint32_t frames[]);

/** Grows when pages that nobody pins may have changed their frames: forks, and pages that the kernel has moved or brought
 * back from a swap device. exactly: else as of a moment ago. Never the same value twice while a fork goes on. */
uint64_t stress_upheavals(bool exactly);
void stress_fork_begins(void);
void stress_fork_ends(void);

/* ---- Caches (stress_caches.c) ----------------------------------------------------------------------- */

typedef struct stress_cache_t stress_cache_t;

/** A registration, with what the tester notes at its beginning. */
typedef struct stress_record_t {
    mca_rcache_uring_registration_t own; /**< First. */
    stress_cache_t *cache;
    _Atomic uint32_t state; /**< RECORD_* */
    _Atomic int32_t refs;   /**< That the tester holds. */
    uint32_t place;         /**< In the cache's list of what is pinned; PLACES: it was full. */
    uint64_t pinned_at;     /**< When the provider had pinned it. */
    uint64_t upheavals;     /**< stress_upheavals() then. */
    uint32_t frames_count;  /**< Pages whose frames were noted: the first ones. */
    uint32_t frame[STRESS_FRAMES];
} stress_record_t;

enum { STRESS_RECORD_PINNED = 0x50494e, STRESS_RECORD_GONE = 0x474f4e };

#define STRESS_PLACES 8192

struct stress_cache_t {
    mca_rcache_base_module_t *module;
    mca_rcache_provider_t *provider;
    mca_rcache_base_resources_t resources; /**< As handed to the cache. */
    mca_rcache_base_resources_t real;      /**< The provider's own. */
    _Atomic size_t count, bytes;           /**< Pinned. */
    _Atomic uint64_t registrations, deregistrations;
    _Atomic(stress_record_t *) pinned[STRESS_PLACES];
    _Atomic uint32_t next_place;
};

extern stress_cache_t stress_caches[STRESS_CACHES];
extern bool stress_transfers; /**< The provider can move data. */
extern bool stress_in_child;

/** Make the caches of the run. @return EXIT_SUCCESS, EXIT_FAILURE, or 77 after a message. */
int stress_caches_open(void);
/** End them: everything must be unpinned. */
void stress_caches_close(void);

/** A cache that ends before the run does. @return False: none can be made. */
bool stress_cache_make(stress_cache_t *cache, const stress_cache_t *like, size_t max_count);
void stress_cache_end(stress_cache_t *cache);

/** Nobody is inside: do the figures agree, is everything unpinned that was released? */
void stress_caches_check(void);

/** In a fork child: nothing is pinned. */
void stress_caches_child(void);

/* ---- Buffers (stress_buffers.c) ------------------------------------------------------------------------ */

/** Where memory comes from; bits, so that a way to lose it can say which it is for. */
typedef enum stress_sort_t {
    STRESS_ANON = 1,
    STRESS_SHARED = 2,
    STRESS_FILE = 4,         /**< A memory file, shared. */
    STRESS_FILE_PRIVATE = 8, /**< The same, private. */
    STRESS_SHM = 16,
    STRESS_HEAP = 32, /**< malloc */
} stress_sort_t;
#define STRESS_MAPPED (STRESS_ANON | STRESS_SHARED | STRESS_FILE | STRESS_FILE_PRIVATE)
#define STRESS_SORTS 6

/** Its owner loses and remakes it under the lock, for writing; others use its bytes under the lock, for reading,
 * or look it up without: then the release and the lookup race. */
typedef struct stress_buffer_t {
    pthread_rwlock_t lock;
    _Atomic uintptr_t start; /**< 0: there is none, or it is being moved. Only the owner writes. */
    _Atomic size_t length;   /**< Bytes; whole pages, but of the heap. */
    stress_sort_t sort;
    int fd;               /**< Of its file, or -1. */
    atomic_flag transfer; /**< Somebody changes its bytes. */
} stress_buffer_t;

typedef struct stress_worker_t stress_worker_t;

void stress_buffer_init(stress_buffer_t *buffer);
/** Fill an empty buffer; under its lock. */
void stress_buffer_make(stress_worker_t *worker, stress_buffer_t *buffer, stress_sort_t sort);
/** Give up its memory; under its lock. */
void stress_buffer_drop(stress_buffer_t *buffer);
/** Pages in it; 0: it is empty. */
size_t stress_buffer_pages(const stress_buffer_t *buffer);

/* ---- Lookups and judges (stress_judge.c) ----------------------------------------------------------------- */

typedef struct stress_range_t {
    uintptr_t start;
    size_t length;
} stress_range_t;

/** Part of the buffer, or all of it. */
stress_range_t stress_range_of(stress_worker_t *worker, const stress_buffer_t *buffer);

enum {
    STRESS_LOOK_DATA = 1, /**< Nobody releases or touches the bytes: move data and look at it. */
    STRESS_LOOK_RACE = 2, /**< The range may be anything by now. */
    STRESS_LOOK_HEAP = 4, /**< malloc's: pages come and go without the tester's knowledge. */
    STRESS_LOOK_FIND = 8, /**< Only find. */
};

/** Look the range up in the cache, judge what comes, and give it back. known_at: stress_now() before the range was read.
 * @return Was there a registration? */
bool stress_look(stress_worker_t *worker, stress_cache_t *cache, stress_range_t range, uint64_t known_at,
                 int flags);

/** The same with rcache_register's flags, whatever is found kept in use: *record is the caller's. */
bool stress_take(stress_worker_t *worker, stress_cache_t *cache, stress_range_t range, uint32_t flags, int look,
                 stress_record_t **record);
void stress_give_back(stress_worker_t *worker, stress_record_t *record);

enum { STRESS_BOOKS, STRESS_PAGE_FRAMES, STRESS_DATA, STRESS_JUDGES };

/** Print how often each judge was asked; never is a fault. Where errors are expected, each judge must have found one. */
void stress_check_judges(void);

/** Known content, to read from. @return Success. */
bool stress_data_open(void);

/** Registrations that somebody holds for a while, and anybody gives back. */
void stress_hold(stress_worker_t *worker, unsigned place, stress_record_t *record);
void stress_give_back_all(stress_worker_t *worker);

/* ---- Workers (stress_ops.c) ------------------------------------------------------------------------------ */

typedef struct stress_trace_t {
    uint64_t op;
    const char *name;
    unsigned buffer;
    uintptr_t start;
    size_t length;
} stress_trace_t;

struct stress_worker_t {
    unsigned number; /**< Threads that end soon: more than all workers. */
    pthread_t thread;
    uint64_t random; /**< Of the operation in hand. */
    uint64_t op;     /**< Its number. */
    uint64_t digest; /**< Of the operations until now: equal for equal seeds. */
    stress_buffer_t buffer[STRESS_BUFFERS];
    _Atomic unsigned hot; /**< The buffer that it releases next. */
    stress_trace_t trace[STRESS_TRACE];
    uint64_t done[STRESS_OPS];
    uint64_t armed[STRESS_OPS]; /**< Releases of what a cache knew. */
    uint64_t found, refused;    /**< Lookups with a result; registrations that were not possible. */
    pthread_t brief;
    stress_worker_t *brief_worker; /**< NULL: none. */
};
extern stress_worker_t stress_workers[STRESS_THREADS];
extern _Atomic bool stress_stop;

uint64_t stress_random(stress_worker_t *worker);
/** Less than `bound`, which is not 0. */
static inline uint64_t stress_below(stress_worker_t *worker, uint64_t bound)
{
    return stress_random(worker) % bound;
}
static inline bool stress_chance(stress_worker_t *worker, unsigned in)
{
    return stress_below(worker, in) == 0;
}

void *stress_work(void *worker);
/** Change a weight: NAME=NUMBER; "all=0" for all. @return False: no such name. */
bool stress_set_weight(const char *setting);
void stress_list_ops(void);
/** Print how often each was done; an operation with a weight that was never done is a fault. */
void stress_check_ops(void);
/** Leave out what this machine cannot do. */
void stress_ops_open(void);

/** Park the workers between two operations; or let them go on. From the main thread.
 * @return False: the run has ended, and they are not parked. */
bool stress_park(void);
void stress_unpark(void);

/* ---- The ways to lose memory (stress_release.c) ------------------------------------------------------------- */

/** Lose some of the buffer; its lock is held. */
typedef void (*stress_release_fn_t)(stress_worker_t *worker, stress_buffer_t *buffer);

typedef struct stress_release_t {
    const char *name;
    int sorts; /**< OR of stress_sort_t. */
    stress_release_fn_t release;
    unsigned weight;
    opal_mem_hooks_cause_t cause;
} stress_release_t;
extern const stress_release_t stress_releases[];

/** Can this machine do it, and does the memory component see it? */
bool stress_release_possible(const stress_release_t *release);

/** The main thread's: grow the break, use it, lower it. */
void stress_break(stress_worker_t *worker);

/* ---- Threads and processes that end soon (stress_children.c) -------------------------------------------------- */

void stress_brief_thread(stress_worker_t *worker);
void stress_brief_join(stress_worker_t *worker);
void stress_fork_child(stress_worker_t *worker);

/* ---- Faults (stress_report.c) ---------------------------------------------------------------------------------- */

/** Note a fault and end the run. worker NULL: not known. Hook context. */
void stress_fault(const stress_worker_t *worker, const char *what, uint64_t a, uint64_t b, uint64_t c);
uint64_t stress_fault_count(void);
/** Print the faults, and the last operations of each thread. */
void stress_print_faults(void);
/** Should the program crash, then not without them. */
void stress_report_crashes(void);

#endif
