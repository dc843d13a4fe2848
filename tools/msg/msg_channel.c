/* SPDX-License-Identifier: BSD-3-Clause */
/* Both ends of a channel. The ring has one writer for each of its counters, so
 * it needs no lock. Its stores are sequentially consistent for the bells' sake,
 * see msg_control.h; a side reads its own counter relaxed. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tools/msg/msg_channel.h"

#define PIPE_BYTES (1 << 20)     /* What an ordinary user may ask for. */
#define PIECE_BYTES (128u << 10) /* Several fit the pipe and a processor's cache. */
#define PIECES_IN_PIPE 4

static size_t slots_of(const msg_channel_t *channel, size_t length)
{
    return (length + channel->page - 1) / channel->page;
}

bool msg_channel_make_pipe(msg_ring_t *ring, int ends[2])
{
    uint32_t page = (uint32_t) sysconf(_SC_PAGESIZE);
    int bytes;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        msg_error("cannot make a pipe: %s", strerror(errno));
        return false;
    }
    /* Refused where the user has many pipes already: then a small one has to do. */
    fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
    bytes = fcntl(ends[1], F_GETPIPE_SZ);
    ring->slots = bytes < (int) page ? 1 : (uint32_t) bytes / page;
    ring->piece_bytes = ring->slots / PIECES_IN_PIPE * page;
    if (ring->piece_bytes < page) {
        ring->piece_bytes = page;
    } else if (ring->piece_bytes > PIECE_BYTES) {
        ring->piece_bytes = PIECE_BYTES;
    }
    return true;
}

void msg_channel_init(msg_channel_t *channel, msg_ring_t *ring, msg_bell_t *other, int fd)
{
    *channel = (msg_channel_t){ .ring = ring, .other = other, .fd = fd };
    channel->page = (size_t) sysconf(_SC_PAGESIZE);
}

static uint64_t slots_in_use(const msg_ring_t *ring)
{
    return atomic_load(&ring->published_slots) - atomic_load(&ring->consumed_slots);
}

/* A piece of n bytes takes at most n / page slots, rounded up, whatever lies before and behind it: the
 * kernel shares a slot between two writes only where that saves one. */
bool msg_channel_has_room(const msg_channel_t *channel, size_t length)
{
    const msg_ring_t *ring = channel->ring;
    uint64_t published = atomic_load_explicit(&ring->published, memory_order_relaxed);
    uint64_t consumed = atomic_load(&ring->consumed);

    return published - consumed < MSG_RING_PIECES && slots_in_use(ring) + slots_of(channel, length) <= ring->slots;
}

void msg_channel_publish(msg_channel_t *channel, const msg_piece_t *piece)
{
    msg_ring_t *ring = channel->ring;
    uint64_t published = atomic_load_explicit(&ring->published, memory_order_relaxed);

    ring->pieces[published % MSG_RING_PIECES] = *piece;
    atomic_fetch_add(&ring->published_slots, slots_of(channel, piece->length));
    atomic_store(&ring->published, published + 1);
    msg_bell_ring(channel->other);
}

const msg_piece_t *msg_channel_peek(const msg_channel_t *channel)
{
    const msg_ring_t *ring = channel->ring;
    uint64_t consumed = atomic_load_explicit(&ring->consumed, memory_order_relaxed);

    return atomic_load(&ring->published) == consumed ? NULL : &ring->pieces[consumed % MSG_RING_PIECES];
}

/* Any sleeping sender has room then: a piece takes a quarter of the pipe at most, or one slot of a tiny one. */
static bool half_empty(const msg_ring_t *ring)
{
    uint64_t pieces = atomic_load(&ring->published) - atomic_load(&ring->consumed);

    return pieces <= MSG_RING_PIECES / 2 && slots_in_use(ring) <= ring->slots / 2;
}

void msg_channel_consume(msg_channel_t *channel)
{
    msg_ring_t *ring = channel->ring;
    uint64_t consumed = atomic_load_explicit(&ring->consumed, memory_order_relaxed);
    size_t slots = slots_of(channel, ring->pieces[consumed % MSG_RING_PIECES].length);

    atomic_fetch_add(&ring->consumed_slots, slots);
    atomic_store(&ring->consumed, consumed + 1);
    if (half_empty(ring)) {
        msg_bell_ring(channel->other);
    }
}
