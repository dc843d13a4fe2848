/* SPDX-License-Identifier: BSD-3-Clause */
/* opalmem-msg: what its parts share. The program sends messages between
 * processes from cached, pinned memory that comes and goes, and counts what
 * arrives wrong. The launcher (msg_launch.c) starts one process a peer; each
 * peer (msg_worker.c, msg_peer.c) is linked with the library as a runtime is. */
#ifndef TOOLS_MSG_MSG_H
#define TOOLS_MSG_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "opal/mca/rcache/rcache.h"

#define MSG_PEERS_MAX 256
#define MSG_SIZE_MAX ((size_t) 256 << 20)

/* Exit statuses; a signal gives 128 and its number. */
#define MSG_EXIT_OK 0
#define MSG_EXIT_FAILED 1 /**< Could not run, or a file could not be read or written. */
#define MSG_EXIT_USAGE 2
#define MSG_EXIT_WRONG 3   /**< Wrong bytes where none may be. */
#define MSG_EXIT_STOPPED 4 /**< Of a peer only: it ended because the run was stopped. */

/** How registrations are kept. One column of the report each. */
typedef enum msg_mode_t {
    MSG_MODE_NONE,     /**< Every message registers and deregisters. */
    MSG_MODE_NO_HOOKS, /**< Kept, although nothing notices releases: wrong by design. */
    MSG_MODE_HOOKS,    /**< Kept, and dropped when the memory hooks say so. */
    MSG_MODE_COUNT
} msg_mode_t;

/** What the user asked for, as far as the peers need it. */
typedef struct msg_options_t {
    uint32_t peers;
    uint32_t pattern; /**< Index for msg_source_name(). */
    uint32_t file_count;
    size_t size_min, size_max; /**< Bytes of a message. */
    uint64_t messages;         /**< In all; with files, at least this many, 0: each file once. */
    uint64_t seed;
} msg_options_t;

/** What follows from the options and the machine. */
typedef struct msg_plan_t {
    size_t max_bytes;  /**< Limit of each peer's cache. */
    size_t chunk;      /**< Bytes registered at a time, whole pages. */
    uint64_t spin_ns;  /**< How long a peer looks before it sleeps. */
    uint64_t lockable; /**< RLIMIT_MEMLOCK in bytes, UINT64_MAX where it does not count. */
} msg_plan_t;

/** Message times in 32 steps an octave, from 1 ns to 2^40 ns. */
#define MSG_HISTOGRAM_STEPS 32
#define MSG_HISTOGRAM_SIZE (40 * MSG_HISTOGRAM_STEPS)

/** What one peer has measured. Written by the peer before it ends, then read by the launcher. */
typedef struct msg_figures_t {
    uint64_t messages, bytes; /**< Received. */
    uint64_t wrong_messages, wrong_bytes;
    uint64_t failed_transfers; /**< Refused by the device; their bytes are among the wrong ones. */
    uint64_t transfer_ns;      /**< Register, copy, deregister: both sides of the messages received. */
    uint64_t source_ns;        /**< Getting and releasing buffers. */
    uint64_t register_ns;      /**< Calibration: sum over register_samples messages, one side. */
    uint64_t register_samples;
    uint64_t elapsed_ns;
    uint64_t process_pinned; /**< VmPin at the end, bytes. */
    mca_rcache_base_stats_t stats;
    int32_t support;
    uint32_t caching;
    char components[128];
    uint32_t histogram[MSG_HISTOGRAM_SIZE]; /**< Of transfer times. */
} msg_figures_t;

/** One finished run: the figures of all peers. */
typedef struct msg_column_t {
    msg_mode_t mode;
    msg_figures_t total; /**< Sums; elapsed_ns is the longest. */
    uint64_t median_ns;  /**< Of the transfer times. */
} msg_column_t;

/** Name of a mode as the user writes it ("no-hooks"). */
const char *msg_mode_name(msg_mode_t mode);

/** Print "opalmem-msg: " and the text as one line on stderr, with one write, or as msg_set_printer() says. */
void msg_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Have the lines of msg_error() given to print. NULL: to msg_print_line(). */
void msg_set_printer(void (*print)(const char *line, void *arg), void *arg);

/** Print one line on stderr as it is, wiping a progress line first. */
void msg_print_line(const char *line);

/** CLOCK_MONOTONIC in nanoseconds. */
uint64_t msg_now_ns(void);

/** Step of the histogram that a time belongs to, and the time in the middle of a step. */
size_t msg_histogram_step(uint64_t ns);
uint64_t msg_histogram_time(size_t step);

#endif
