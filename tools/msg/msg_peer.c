/* SPDX-License-Identifier: BSD-3-Clause */
/* The loop of a peer. One thread serves both directions, a piece at a time, so
 * that a ring of peers cannot block itself; it sleeps only when neither moves.
 * What counts as transfer, and is timed, is registering, copying and
 * deregistering: not making or checking the contents. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/msg/msg_payload.h"
#include "tools/msg/msg_peer.h"
#include "tools/msg/msg_random.h"

#define RETRY_NS 10000000
#define RETRIES 50 /* Half a second. */

typedef enum step_t { STEP_IDLE, STEP_MOVED, STEP_FAILED } step_t;

/* Registrations are stale by design: what the device refuses is wrong, but no reason to stop. */
static bool is_tolerant(const msg_peer_t *peer)
{
    return peer->control->mode == MSG_MODE_NO_HOOKS;
}

static bool is_sending(const msg_peer_t *peer, const msg_side_t *side)
{
    return side == &peer->send;
}

/* ---- Registrations --------------------------------------------------------------------------- */

static void explain_pin_failure(const msg_peer_t *peer, size_t length, int code)
{
    uint64_t lockable = peer->control->plan.lockable;

    if (code != OPAL_ERR_OUT_OF_RESOURCE) {
        msg_error("peer %u cannot register %zu bytes: %s", peer->rank, length, opal_strerror(code));
    } else if (lockable == UINT64_MAX) {
        msg_error("peer %u cannot register %zu bytes, and nothing idle is left to unpin: a limit of the cache "
                  "(rcache_base_max_count, rcache_base_max_bytes) or of the machine's memory is reached",
                  peer->rank, length);
    } else {
        msg_error(
            "peer %u cannot pin %zu bytes, and nothing idle is left to unpin: the %llu KiB of lockable memory "
            "(RLIMIT_MEMLOCK, for all processes of a user) are used up; raise the limit with \"ulimit -l\" or "
            "in /etc/security/limits.conf",
            peer->rank, length, (unsigned long long) lockable >> 10);
    }
}

/* Register, timed. Memory that another process had pinned is given back by the kernel a moment after the
 * process has ended: so with a limit that is shared, lack of memory may pass. */
static int register_patiently(msg_peer_t *peer, msg_side_t *side, unsigned char *addr, size_t length)
{
    static const struct timespec pause = { .tv_nsec = RETRY_NS };
    mca_rcache_base_module_t *cache = peer->cache;
    uint32_t flags = peer->control->mode == MSG_MODE_NONE ? MCA_RCACHE_FLAGS_CACHE_BYPASS : 0;
    int32_t access = is_sending(peer, side) ? 0 : MCA_RCACHE_ACCESS_LOCAL_WRITE;

    for (int attempt = 1;; attempt++) {
        uint64_t begin = msg_now_ns();
        int code = cache->rcache_register(cache, addr, length, flags, access, &side->reg);

        if (code != OPAL_ERR_OUT_OF_RESOURCE || peer->control->plan.lockable == UINT64_MAX || attempt == RETRIES
            || msg_control_stopped(peer->control)) {
            side->ns += msg_now_ns() - begin;
            return code;
        }
        nanosleep(&pause, NULL);
    }
}

/* Register the portion of the buffer that the next byte lies in. */
static bool side_pin(msg_peer_t *peer, msg_side_t *side)
{
    size_t chunk = peer->control->plan.chunk;
    size_t start = side->offset / chunk * chunk;
    size_t rest = side->buffer.capacity - start;
    size_t length = rest < chunk ? rest : chunk;
    int code;

    if (side->reg != NULL) {
        return true;
    }
    code = register_patiently(peer, side, side->buffer.addr + start, length);
    side->reg_end = start + length;
    if (code != OPAL_SUCCESS) {
        side->reg = NULL;
        if (!msg_control_stopped(peer->control)) {
            explain_pin_failure(peer, length, code);
        }
    }
    return code == OPAL_SUCCESS;
}

/* Give the registration back once the message has left its range. */
static bool side_unpin(msg_peer_t *peer, msg_side_t *side)
{
    uint64_t begin;
    int code;

    if (side->reg == NULL || (side->offset < side->reg_end && side->offset < side->feed.length)) {
        return true;
    }
    begin = msg_now_ns();
    code = peer->cache->rcache_deregister(peer->cache, side->reg);
    side->ns += msg_now_ns() - begin;
    side->reg = NULL;
    if (code != OPAL_SUCCESS && !is_tolerant(peer)) {
        msg_error("peer %u cannot deregister memory: %s", peer->rank, opal_strerror(code));
        return false;
    }
    return true;
}

/* ---- Transfers ------------------------------------------------------------------------------- */

static ssize_t device_transfer(msg_peer_t *peer, msg_side_t *side, unsigned char *addr, size_t length)
{
    const mca_rcache_uring_registration_t *reg = (const mca_rcache_uring_registration_t *) side->reg;

    if (is_sending(peer, side)) {
        return mca_rcache_uring_write(peer->provider, side->channel.fd, reg, addr, length, 0);
    }
    return mca_rcache_uring_read(peer->provider, side->channel.fd, reg, addr, length, 0);
}

/* Move up to length bytes of the message; fewer after an error, which is in side->error. */
static size_t side_move(msg_peer_t *peer, msg_side_t *side, size_t length)
{
    uint64_t begin = msg_now_ns();
    size_t moved = 0;

    side->error = 0;
    while (moved < length && side->error == 0) {
        ssize_t got = device_transfer(peer, side, side->buffer.addr + side->offset + moved, length - moved);

        if (got > 0) {
            moved += (size_t) got;
        } else if (got != -EINTR && got != -EAGAIN) {
            side->error = got == 0 ? EIO : (int) -got;
        }
    }
    side->ns += msg_now_ns() - begin;
    return moved;
}

/* Is a failed transfer the end? Then say so, unless it is another peer that has gone: the launcher says that. */
static bool transfer_may_go_on(msg_peer_t *peer, msg_side_t *side, size_t length)
{
    if (side->error == 0) {
        return true;
    }
    peer->figures->failed_transfers++;
    if (is_tolerant(peer) && side->error != EPIPE) {
        return true;
    }
    if (side->error != EPIPE) {
        msg_error("peer %u cannot %s %zu bytes of pinned memory: %s", peer->rank,
                  is_sending(peer, side) ? "send" : "receive into", length, strerror(side->error));
    }
    return false;
}

/* Take out of the pipe what the device did not. */
static bool drain_pipe(int fd, size_t length)
{
    unsigned char waste[4096];

    while (length > 0) {
        ssize_t got = read(fd, waste, length < sizeof(waste) ? length : sizeof(waste));

        if (got > 0) {
            length -= (size_t) got;
        } else if (got == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static void side_next_message(msg_side_t *side)
{
    side->begun = false;
    side->offset = 0;
    side->ns = 0;
    side->failed_bytes = 0;
    side->done = !msg_feed_next(&side->feed);
}

static bool side_begin(msg_peer_t *peer, msg_side_t *side)
{
    uint64_t begin = msg_now_ns();
    size_t length = side->feed.length;

    side->begun = true;
    if (length == 0) {
        return true;
    }
    if (!msg_sources_acquire(&side->sources, length, &side->buffer)) {
        msg_error("peer %u cannot get a buffer of %zu bytes: %s", peer->rank, length, strerror(errno));
        side->begun = false;
        return false;
    }
    peer->figures->source_ns += msg_now_ns() - begin;
    if (is_sending(peer, side)) {
        return msg_feed_fill(&side->feed, side->buffer.addr);
    }
    memset(side->buffer.addr, MSG_PAYLOAD_POISON, length);
    return true;
}

static bool side_end(msg_peer_t *peer, msg_side_t *side)
{
    uint64_t begin = msg_now_ns();

    if (side->feed.length > 0 && !msg_sources_release(&side->sources, &side->buffer)) {
        msg_error("peer %u cannot release a buffer of %zu bytes (%s): %s", peer->rank, side->buffer.capacity,
                  msg_source_name(side->buffer.kind), strerror(errno));
        return false;
    }
    peer->figures->source_ns += msg_now_ns() - begin;
    side_next_message(side);
    return true;
}

/* ---- Sending --------------------------------------------------------------------------------- */

static size_t next_piece_length(const msg_peer_t *peer, const msg_side_t *side)
{
    size_t chunk = peer->control->plan.chunk;
    size_t to_boundary = chunk - side->offset % chunk;
    size_t length = side->feed.length - side->offset;

    if (length > to_boundary) {
        length = to_boundary;
    }
    return length < side->channel.ring->piece_bytes ? length : side->channel.ring->piece_bytes;
}

static step_t send_step(msg_peer_t *peer)
{
    msg_side_t *side = &peer->send;
    msg_piece_t piece = { .message = side->feed.message };
    size_t length;

    if (side->done) {
        return STEP_IDLE;
    }
    if (!side->begun && !side_begin(peer, side)) {
        return STEP_FAILED;
    }
    length = next_piece_length(peer, side);
    if (!msg_channel_has_room(&side->channel, length)) {
        return STEP_IDLE;
    }
    if (length > 0) {
        if (!side_pin(peer, side)) {
            return STEP_FAILED;
        }
        piece.length = (uint32_t) length;
        piece.carried = (uint32_t) side_move(peer, side, length);
        side->offset += length;
        if (!transfer_may_go_on(peer, side, length) || !side_unpin(peer, side)) {
            return STEP_FAILED;
        }
    }
    piece.sender_ns = side->ns;
    msg_channel_publish(&side->channel, &piece);
    return side->offset < side->feed.length || side_end(peer, side) ? STEP_MOVED : STEP_FAILED;
}

/* ---- Receiving ------------------------------------------------------------------------------- */

static bool check_message(msg_peer_t *peer, uint64_t sender_ns)
{
    msg_side_t *side = &peer->recv;
    msg_figures_t *figures = peer->figures;
    uint64_t ns = side->ns + sender_ns;
    uint64_t wrong = 0;

    if (side->feed.length > 0 && !msg_feed_wrong(&side->feed, side->buffer.addr, &wrong)) {
        return false;
    }
    /* What was left of an earlier message may be right by chance; it did not arrive all the same. */
    wrong = wrong > side->failed_bytes ? wrong : side->failed_bytes;
    figures->messages++;
    figures->bytes += side->feed.length;
    figures->wrong_bytes += wrong;
    figures->wrong_messages += wrong > 0;
    figures->transfer_ns += ns;
    figures->histogram[msg_histogram_step(ns)]++;
    atomic_fetch_add_explicit(&peer->control->peers[peer->rank].done, 1, memory_order_relaxed);
    return true;
}

static bool is_expected(const msg_side_t *side, const msg_piece_t *piece)
{
    return piece->message == side->feed.message && piece->length <= side->feed.length - side->offset
           && piece->carried <= piece->length;
}

static bool receive_bytes(msg_peer_t *peer, const msg_piece_t *piece)
{
    msg_side_t *side = &peer->recv;
    size_t moved;

    if (piece->length == 0) {
        return true;
    }
    if (!side_pin(peer, side)) {
        return false;
    }
    moved = side_move(peer, side, piece->carried);
    if (!transfer_may_go_on(peer, side, piece->carried) || !drain_pipe(side->channel.fd, piece->carried - moved)) {
        return false;
    }
    side->failed_bytes += piece->length - moved;
    side->offset += piece->length;
    return side_unpin(peer, side);
}

static step_t recv_step(msg_peer_t *peer)
{
    msg_side_t *side = &peer->recv;
    const msg_piece_t *piece = side->done ? NULL : msg_channel_peek(&side->channel);
    uint64_t sender_ns;

    if (piece == NULL) {
        return STEP_IDLE;
    }
    if (!is_expected(side, piece)) {
        msg_error("peer %u got another message than it expects: were the files changed while they were sent?",
                  peer->rank);
        return STEP_FAILED;
    }
    if ((!side->begun && !side_begin(peer, side)) || !receive_bytes(peer, piece)) {
        return STEP_FAILED;
    }
    sender_ns = piece->sender_ns;
    msg_channel_consume(&side->channel);
    if (side->offset < side->feed.length) {
        return STEP_MOVED;
    }
    return check_message(peer, sender_ns) && side_end(peer, side) ? STEP_MOVED : STEP_FAILED;
}

/* ---- The peer -------------------------------------------------------------------------------- */

static void side_init(msg_peer_t *peer, msg_side_t *side, uint32_t sender, int fd)
{
    msg_control_t *control = peer->control;
    const msg_options_t *options = &control->options;
    uint32_t receiver = (sender + 1) % options->peers;
    uint32_t other = is_sending(peer, side) ? receiver : sender;
    uint64_t seed = options->seed + 2 * peer->rank + is_sending(peer, side);

    *side = (msg_side_t){ .done = fd < 0 };
    msg_sources_init(&side->sources, options->pattern, options->size_max, msg_random_mix(seed),
                     !is_tolerant(peer));
    if (fd < 0) {
        return;
    }
    msg_channel_init(&side->channel, &control->peers[sender].ring, &control->peers[other].bell, fd);
    msg_feed_init(&side->feed, options, peer->files, sender, control->links);
    side_next_message(side);
}

void msg_peer_init(msg_peer_t *peer, int send_fd, int recv_fd)
{
    uint32_t peers = peer->control->options.peers;

    side_init(peer, &peer->send, peer->rank, send_fd);
    side_init(peer, &peer->recv, (peer->rank + peers - 1) % peers, recv_fd);
}

static bool can_move(void *arg)
{
    const msg_peer_t *peer = arg;
    const msg_side_t *send = &peer->send;

    return msg_control_stopped(peer->control)
           || (!peer->recv.done && msg_channel_peek(&peer->recv.channel) != NULL)
           || (!send->done && msg_channel_has_room(&send->channel, next_piece_length(peer, send)));
}

int msg_peer_run(msg_peer_t *peer)
{
    msg_bell_t *bell = &peer->control->peers[peer->rank].bell;
    uint64_t begin = msg_now_ns();

    while (!peer->send.done || !peer->recv.done) {
        step_t sent = send_step(peer);
        step_t received = sent == STEP_FAILED ? STEP_FAILED : recv_step(peer);

        if (msg_control_stopped(peer->control)) {
            return MSG_EXIT_STOPPED;
        }
        if (received == STEP_FAILED) {
            return peer->send.error == EPIPE ? MSG_EXIT_STOPPED : MSG_EXIT_FAILED;
        }
        if (sent == STEP_IDLE && received == STEP_IDLE) {
            msg_bell_wait(bell, can_move, peer, peer->control->plan.spin_ns);
        }
    }
    peer->figures->elapsed_ns = msg_now_ns() - begin;
    return MSG_EXIT_OK;
}

static void side_close(msg_peer_t *peer, msg_side_t *side)
{
    if (side->reg != NULL) {
        peer->cache->rcache_deregister(peer->cache, side->reg);
        side->reg = NULL;
    }
    if (side->begun && side->feed.length > 0) {
        msg_sources_release(&side->sources, &side->buffer);
        side->begun = false;
    }
    msg_sources_close(&side->sources);
}

void msg_peer_close(msg_peer_t *peer)
{
    side_close(peer, &peer->send);
    side_close(peer, &peer->recv);
}
