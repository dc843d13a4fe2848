/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers that come and go, as applications make them do. Each pattern is a
 * pair of functions in a table; most patterns let a buffer serve one to a few
 * messages and then give its memory back to the system, and the next buffer
 * often lies at the same address: just what breaks a careless cache. */
#ifndef TOOLS_MSG_MSG_SOURCES_H
#define TOOLS_MSG_MSG_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSG_SOURCE_KINDS 8 /**< Without "mixed", which draws from them. */
#define MSG_SOURCE_MIXED MSG_SOURCE_KINDS

/** A buffer in use. */
typedef struct msg_buffer_t {
    unsigned char *addr;
    size_t capacity; /**< At least what was asked for. */
    unsigned kind;   /**< Source that it came from. */
    void *owner;     /**< The source's. */
} msg_buffer_t;

/** A range that a source keeps between buffers; addr NULL: none. */
typedef struct msg_region_t {
    unsigned char *addr;
    size_t size;
} msg_region_t;

#define MSG_REUSE_CLASSES 17 /**< Powers of two from 4 KiB to 256 MiB. */
#define MSG_REUSE_BUFFERS 2
#define MSG_ADVICE_KINDS 3
#define MSG_BRK_STUCK 8

/** The sources of one side of one peer. One buffer is out at a time. */
typedef struct msg_sources_t {
    unsigned pattern;
    size_t largest;     /**< No message is larger. */
    bool allow_realloc; /**< Else mremap, see msg_sources_init(). */
    uint64_t random;
    unsigned weight_sum;
    msg_buffer_t kept[MSG_SOURCE_KINDS]; /**< Served a message and may serve the next; addr NULL: none. */
    msg_region_t pool[MSG_REUSE_CLASSES][MSG_REUSE_BUFFERS];
    msg_region_t window;
    msg_region_t moving;
    msg_region_t advised[MSG_ADVICE_KINDS];
    msg_region_t stuck[MSG_BRK_STUCK]; /**< Taken from brk, and somebody else has memory above. */
} msg_sources_t;

/** Number of a pattern. @return MSG_SOURCE_MIXED + 1: there is no such one. */
unsigned msg_source_find(const char *name);

/** Name and one-line description of a pattern, MSG_SOURCE_MIXED included. */
const char *msg_source_name(unsigned pattern);
const char *msg_source_help(unsigned pattern);

/** Get ready. Sets malloc up to give memory back soon, for the whole process.
 *
 * @param[in] largest        Largest length that will be asked for.
 * @param[in] allow_realloc  False where a stale registration may be written through: mremap moves pages
 *     that stay alive, and a stale write would hit the allocator's data that moved with them.
 */
void msg_sources_init(msg_sources_t *sources, unsigned pattern, size_t largest, uint64_t seed, bool allow_realloc);

/** Get a buffer of at least length bytes, length 1 or more. @return False: no memory, without a message. */
bool msg_sources_acquire(msg_sources_t *sources, size_t length, msg_buffer_t *buffer);

/** Give it back. @return False: the system refused, errno says why. */
bool msg_sources_release(msg_sources_t *sources, msg_buffer_t *buffer);

/** Release whatever is kept. @return False: the system refused a part of it. */
bool msg_sources_close(msg_sources_t *sources);

/** The source "stack", in a file of its own: buffers on the stacks of short-lived threads. */
bool msg_source_stack_acquire(msg_sources_t *sources, size_t capacity, msg_buffer_t *buffer);
bool msg_source_stack_release(msg_sources_t *sources, msg_buffer_t *buffer);

#endif
