/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory that launcher and peers of one run share: options, figures, the
 * rings of the channels, and a bell for each peer to sleep at. It is a memfd,
 * so nothing is left of it when the last process has gone, however it went. */
#ifndef TOOLS_MSG_MSG_CONTROL_H
#define TOOLS_MSG_MSG_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/msg/msg.h"

#define MSG_RING_PIECES 256
#define MSG_SEEN_LINES 32
#define MSG_CACHE_LINE 64

/** Where one peer sleeps; others ring. A sleeper sets `asleep` and then looks for work, others make work
 * and then look at `asleep`: all four accesses are sequentially consistent, so one of the two sees the
 * other. That binds the stores that make work (published, consumed, ready, stop) as well. */
typedef struct msg_bell_t {
    _Atomic uint32_t rings; /**< Futex word; grows with each ring. */
    _Atomic uint32_t asleep;
} msg_bell_t;

/** A part of a message on its way. Written by the sender before the piece is published, then constant
 * until it is consumed. */
typedef struct msg_piece_t {
    uint64_t message;   /**< Its number. */
    uint64_t sender_ns; /**< What the sender has spent on the message so far. */
    uint32_t length;    /**< Bytes that the piece stands for. */
    uint32_t carried;   /**< Bytes of it that are in the pipe; fewer when the sender's device refused. */
} msg_piece_t;

/** The order book of one channel; the bytes go through a pipe. */
typedef struct msg_ring_t {
    _Alignas(MSG_CACHE_LINE) _Atomic uint64_t published; /**< Pieces; stored by the sender. */
    _Atomic uint64_t published_slots; /**< Pages of the pipe; by the sender, before `published`. */
    _Alignas(MSG_CACHE_LINE) _Atomic uint64_t consumed; /**< Pieces; stored by the receiver. */
    _Atomic uint64_t consumed_slots;                    /**< Pages; by the receiver, before `consumed`. */
    _Alignas(MSG_CACHE_LINE) uint32_t slots;            /**< Pages that the pipe holds; constant after start. */
    uint32_t piece_bytes;                               /**< Largest piece; likewise. */
    msg_piece_t pieces[MSG_RING_PIECES];
} msg_ring_t;

/** Part of one peer. */
typedef struct msg_peer_page_t {
    msg_bell_t bell;
    _Atomic uint64_t done; /**< Messages received; for the progress line, relaxed. */
    msg_figures_t figures;
    msg_ring_t ring; /**< To the next peer. */
} msg_peer_page_t;

typedef struct msg_control_t {
    size_t size; /**< Of all of it. */
    msg_mode_t mode;
    uint32_t links; /**< Channels: peer i sends to i + 1 (the last to 0) for i < links. */
    msg_options_t options;
    msg_plan_t plan;
    _Atomic uint32_t ready;                /**< Peers that wait at the start line. */
    _Atomic uint32_t stop;                 /**< Nobody goes on. Set once. */
    _Atomic uint32_t failed;               /**< A peer has failed and said so. */
    _Atomic uint64_t seen[MSG_SEEN_LINES]; /**< Hashes of lines printed; 0: free. Set by compare and swap. */
    msg_peer_page_t peers[];
} msg_control_t;

/** Make it, zeroed, for this many peers.
 *
 * @param[out] fd  Close-on-exec; to be passed to the peers and closed by the caller.
 * @return NULL after a message.
 */
msg_control_t *msg_control_create(uint32_t peers, int *fd);

/** Map what the launcher has made. @return NULL: fd is not that (no message). */
msg_control_t *msg_control_attach(int fd);

/** Unmap it. */
void msg_control_detach(msg_control_t *control);

/** Have every peer end as soon as it looks. Idempotent. */
void msg_control_stop(msg_control_t *control);

bool msg_control_stopped(const msg_control_t *control);

/** Print a line on stderr unless any process of the run has printed the same one. */
void msg_control_say(msg_control_t *control, const char *line);

/** Wait until every peer has come here. @return False: the run was stopped. */
bool msg_control_start_line(msg_control_t *control, uint32_t rank);

/** Wake the owner of the bell if it sleeps, after a sequentially consistent store of the work for it. */
void msg_bell_ring(msg_bell_t *bell);

/** Look for spin_ns, then sleep until the bell rings, or for a while.
 *
 * @param[in] ready  Is there something to do? Called with arg; sequentially consistent loads.
 * @return What ready said last; false is possible at any time, the caller looks at `stop` and comes back.
 */
bool msg_bell_wait(msg_bell_t *bell, bool (*ready)(void *arg), void *arg, uint64_t spin_ns);

#endif
