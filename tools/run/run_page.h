/* SPDX-License-Identifier: BSD-3-Clause */
/* The page that opalmem-run shares with every process it follows: settings one way, counters the other.
 *
 * It is a memfd, mapped MAP_SHARED by opalmem-run and by the preload library of each process: what was counted is there
 * however a process ends. Counters only grow, by relaxed atomic additions from any thread of any process. Texts are
 * written by whoever takes their `taken` word first. */
#ifndef TOOLS_RUN_RUN_PAGE_H
#define TOOLS_RUN_RUN_PAGE_H

#include <stdatomic.h>
#include <stdint.h>

#define RUN_PAGE_MAGIC UINT64_C(0x6e75726d6c61706f)
#define RUN_PAGE_VERSION 1
/** Environment: "DESCRIPTOR:PID:DEVICE:INODE", the memfd in the program and in opalmem-run. */
#define RUN_PAGE_VARIABLE "OPALMEM_RUN_PAGE"
#define RUN_TEXT_MAX 256
/** Causes of release as in opal/memoryhooks/memory_internal.h, with room for new ones, and one of our own. */
#define RUN_CAUSES 17
/** Not a release: pages lost rights (mprotect). */
#define RUN_CAUSE_RIGHTS (RUN_CAUSES - 1)

typedef enum run_call_t { RUN_READ, RUN_PREAD, RUN_WRITE, RUN_PWRITE, RUN_CALLS } run_call_t;

/** Why a call was the plain one. run_reason_text() has the words. */
typedef enum run_reason_t {
    RUN_SMALL,       /**< Below the threshold. */
    RUN_ARGUMENT,    /**< The descriptor, count or offset cannot be right: the kernel says so. */
    RUN_NOT_REGULAR, /**< Pipe, socket, terminal, device ... */
    RUN_END,         /**< Less than the threshold is left in the file. */
    RUN_INHERITED,   /**< read, write: nobody saw this process open the descriptor. */
    RUN_SHARED,      /**< read, write: opened before a fork, or the like: another process may have it. */
    RUN_APPEND,      /**< write with O_APPEND: the kernel finds the position. */
    RUN_MOVED,       /**< read, write: somebody else moved the position, or it cannot be moved. */
    RUN_FILE_LIMIT,  /**< RLIMIT_FSIZE is set: the signal has to reach this thread. */
    RUN_EARLY,       /**< Another thread was starting the library at that moment. */
    RUN_NESTED,      /**< From inside the cache, or inside a release. */
    RUN_IN_HANDLER,  /**< In a signal handler, which may have interrupted malloc. */
    RUN_IN_VFORK,    /**< In a child that runs in its parent's memory. */
    RUN_FORBIDDEN,   /**< The program filters system calls (seccomp), or uses protection keys. */
    RUN_NO_LIBRARY,  /**< The library or io_uring cannot be used. */
    RUN_MEMORY,      /**< The memory cannot be registered: read-only, a file's, not mapped ... */
    RUN_LIMIT,       /**< Too much is pinned: limits of the cache, or RLIMIT_MEMLOCK. */
    RUN_TRANSFER,    /**< io_uring refused or failed the transfer. */
    RUN_REASONS
} run_reason_t;

/** Written once. taken: 0, then 1 while text is written, then 2. */
typedef struct run_text_t {
    _Atomic uint32_t taken;
    char text[RUN_TEXT_MAX];
} run_text_t;

typedef _Atomic uint64_t run_counter_t;

typedef struct run_page_t {
    /* Settings: constant once the program runs. */
    uint64_t magic;
    uint32_t version;
    uint32_t verify;    /**< Compare page frames at each hit. */
    uint64_t threshold; /**< Bytes; calls that move less are plain. At least 1. */
    int32_t seccomp;    /**< Filter mode of opalmem-run itself. */
    _Atomic int32_t main_pid;
    _Atomic int32_t exec_failed; /**< Not 0: the program was not executed; the exit code, after a message. */

    run_counter_t images;    /**< Programs that the preload library was loaded into. */
    run_counter_t forks;     /**< Fork children that were noticed, at their first call. */
    run_counter_t started;   /**< Processes with a cache. */
    run_counter_t main_seen; /**< Not 0: the program itself has the preload library. */

    run_counter_t cached[RUN_CALLS]; /**< Calls that went through a registration. */
    run_counter_t bytes[RUN_CALLS];  /**< That those moved. */
    run_counter_t plain[RUN_CALLS][RUN_REASONS];
    run_counter_t completed; /**< Of the cached: the rest was moved by a plain call. */

    run_counter_t hits, misses; /**< Lookups; a call over 1 GiB has several. */
    run_counter_t pins, pinned_bytes, unpins;
    run_counter_t unpinned_in_release[RUN_CAUSES]; /**< Before the pages went, by what made them go. */
    run_counter_t unpinned_later; /**< Outside of any release: evicted, or released while in use. */
    run_counter_t evictions;

    run_counter_t verified_hits, verified_pages;
    run_counter_t hidden_hits; /**< No page frames to be seen: the process has given up its rights. */
    run_counter_t wrong_hits;  /**< A page frame is another one than at registration. */
    run_text_t wrong;          /**< The first of those. */
    run_text_t failure;        /**< First message of the library, or why there is no cache. */
} run_page_t;

static inline void run_add(run_counter_t *counter, uint64_t value)
{
    atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

static inline uint64_t run_get(const run_counter_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
