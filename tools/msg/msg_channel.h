/* SPDX-License-Identifier: BSD-3-Clause */
/* A channel from one peer to the next: a pipe for the bytes and a ring in
 * shared memory that says what is in it.
 *
 * The bytes go through a pipe rather than a memory file because io_uring moves
 * them at once: for buffered transfers of a memory file it hands each one to a
 * worker thread, which costs 5 us and more (measured), several times the
 * registration that is to be saved. No transfer ever waits: the sender writes
 * only what has room, the receiver reads only what was published. */
#ifndef TOOLS_MSG_MSG_CHANNEL_H
#define TOOLS_MSG_MSG_CHANNEL_H

#include "tools/msg/msg_control.h"

/** One end of a channel, in one process. */
typedef struct msg_channel_t {
    msg_ring_t *ring;
    msg_bell_t *other; /**< Bell of the peer at the other end. */
    int fd;            /**< This end of the pipe. */
    size_t page;       /**< What a slot of the pipe holds. */
} msg_channel_t;

/** Make the pipe of a channel, as large as allowed and useful, and note its size in the ring.
 *
 * @param[out] ends  Read end and write end, close-on-exec.
 * @return False after a message.
 */
bool msg_channel_make_pipe(msg_ring_t *ring, int ends[2]);

/** Use one end. */
void msg_channel_init(msg_channel_t *channel, msg_ring_t *ring, msg_bell_t *other, int fd);

/** May the sender write a piece of this length now? */
bool msg_channel_has_room(const msg_channel_t *channel, size_t length);

/** Sender: the bytes of a piece for which there was room are in the pipe. Wakes the receiver. */
void msg_channel_publish(msg_channel_t *channel, const msg_piece_t *piece);

/** Receiver: the oldest published piece. @return NULL: none. It stays until it is consumed. */
const msg_piece_t *msg_channel_peek(const msg_channel_t *channel);

/** Receiver: its bytes have been read. Wakes the sender when half of the pipe is empty again: a wake-up
 * costs as much as the transfer of several pages. */
void msg_channel_consume(msg_channel_t *channel);

#endif
