/* SPDX-License-Identifier: BSD-3-Clause */
/* One peer at work: it sends to the next peer and receives from the one before,
 * message after message, and checks every byte. */
#ifndef TOOLS_MSG_MSG_PEER_H
#define TOOLS_MSG_MSG_PEER_H

#include "opal/mca/rcache/provider.h"
#include "tools/msg/msg_channel.h"
#include "tools/msg/msg_control.h"
#include "tools/msg/msg_feed.h"
#include "tools/msg/msg_sources.h"

/** One direction. */
typedef struct msg_side_t {
    bool done;  /**< Nothing (more) to do in this direction. */
    bool begun; /**< The present message has its buffer. */
    msg_channel_t channel;
    msg_feed_t feed;
    msg_sources_t sources;
    msg_buffer_t buffer;
    mca_rcache_base_registration_t *reg; /**< Covers the buffer up to reg_end; NULL: nothing is pinned. */
    size_t reg_end;
    size_t offset;         /**< How far the message has come. */
    uint64_t ns;           /**< Spent on its transfer. */
    uint64_t failed_bytes; /**< Of the message: refused by the device. */
    int error;             /**< Of the last transfer. */
} msg_side_t;

typedef struct msg_peer_t {
    uint32_t rank;
    msg_control_t *control;
    msg_figures_t *figures; /**< This peer's, in the control memory. */
    mca_rcache_provider_t *provider;
    mca_rcache_base_module_t *cache;
    msg_file_t *files;
    msg_side_t send, recv;
} msg_peer_t;

/** Set up both directions.
 * @param[in] send_fd,recv_fd  Ends of the pipes; -1: this direction does not exist.
 */
void msg_peer_init(msg_peer_t *peer, int send_fd, int recv_fd);

/** Send and receive everything. @return MSG_EXIT_OK, MSG_EXIT_FAILED after a message, or MSG_EXIT_STOPPED. */
int msg_peer_run(msg_peer_t *peer);

/** Give back registrations and buffers, after success and failure alike. */
void msg_peer_close(msg_peer_t *peer);

#endif
