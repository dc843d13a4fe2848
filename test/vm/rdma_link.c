/* SPDX-License-Identifier: BSD-3-Clause */
/* See rdma_link.h. */
#include "test/vm/rdma_link.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define READS_IN_FLIGHT 16 /* Every device can do that; more are queued. */

/* How a side is reached. */
typedef struct address_t {
    union ibv_gid gid;
    uint32_t qp_num;
    uint32_t lid;
} address_t;

static bool failed(const char *what, int error)
{
    fprintf(stderr, "rdma: %s failed: %s\n", what, strerror(error));
    return false;
}

static bool move(int socket, char *buf, size_t size, bool out)
{
    while (size > 0) {
        ssize_t moved = out ? send(socket, buf, size, MSG_NOSIGNAL) : recv(socket, buf, size, 0);
        if (moved < 0 && errno == EINTR) {
            continue;
        }
        if (moved <= 0) {
            fprintf(stderr, "rdma: the peer is gone\n");
            return false;
        }
        buf += moved;
        size -= (size_t) moved;
    }
    return true;
}

bool rdma_exchange(int socket, const void *mine, void *peers, size_t size)
{
    return move(socket, (char *) (uintptr_t) mine, size, true) && move(socket, peers, size, false);
}

/* ---- Addresses ---------------------------------------------------------------------------------- */

static int active_port(struct ibv_context *context, struct ibv_port_attr *attr)
{
    for (int port = 1; ibv_query_port(context, (uint8_t) port, attr) == 0; port++) {
        if (attr->state == IBV_PORT_ACTIVE) {
            return port;
        }
    }
    return 0;
}

/* Over Ethernet the entry of an IPv4 address, where there is one: it is routed as IP is. */
static int choose_gid(struct ibv_context *context, int port, const struct ibv_port_attr *attr, union ibv_gid *gid)
{
    static const uint8_t ipv4[12] = { [10] = 0xff, [11] = 0xff };
    for (int index = 0; index < attr->gid_tbl_len; index++) {
        if (ibv_query_gid(context, (uint8_t) port, index, gid) == 0 && memcmp(gid->raw, ipv4, sizeof(ipv4)) == 0) {
            return index;
        }
    }
    return ibv_query_gid(context, (uint8_t) port, 0, gid) == 0 ? 0 : -1;
}

/* ---- The states of a queue pair ----------------------------------------------------------------- */

static bool to_init(struct ibv_qp *qp, int port)
{
    struct ibv_qp_attr attr = {
        .qp_state = IBV_QPS_INIT,
        .port_num = (uint8_t) port,
        .qp_access_flags = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE,
    };
    int rc = ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
    return rc == 0 || failed("initialising a queue pair", rc);
}

static bool to_receive(struct ibv_qp *qp, int port, int gid_index, enum ibv_mtu mtu, const address_t *peer)
{
    struct ibv_qp_attr attr = {
        .qp_state = IBV_QPS_RTR,
        .path_mtu = mtu,
        .dest_qp_num = peer->qp_num,
        .max_dest_rd_atomic = READS_IN_FLIGHT,
        .min_rnr_timer = 12,
        .ah_attr = { .dlid = (uint16_t) peer->lid, .port_num = (uint8_t) port, .is_global = 1 },
    };
    attr.ah_attr.grh.dgid = peer->gid;
    attr.ah_attr.grh.sgid_index = (uint8_t) gid_index;
    attr.ah_attr.grh.hop_limit = 64;
    int rc = ibv_modify_qp(qp, &attr,
                           IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN
                               | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
    return rc == 0 || failed("connecting a queue pair", rc);
}

/* Timeout 20 is 4 s: an emulated machine may let a process wait that long. */
static bool to_send(struct ibv_qp *qp)
{
    struct ibv_qp_attr attr = {
        .qp_state = IBV_QPS_RTS,
        .timeout = 20,
        .retry_cnt = 7,
        .rnr_retry = 7,
        .max_rd_atomic = READS_IN_FLIGHT,
    };
    int rc = ibv_modify_qp(qp, &attr,
                           IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_SQ_PSN
                               | IBV_QP_MAX_QP_RD_ATOMIC);
    return rc == 0 || failed("starting a queue pair", rc);
}

static bool make_queues(rdma_link_t *link)
{
    link->cq = ibv_create_cq(link->pd->context, 2 * RDMA_LINK_DEPTH, NULL, NULL, 0);
    if (link->cq == NULL) {
        return failed("creating a completion queue", errno);
    }
    struct ibv_qp_init_attr attr = {
        .send_cq = link->cq,
        .recv_cq = link->cq,
        .qp_type = IBV_QPT_RC,
        .cap = { .max_send_wr = RDMA_LINK_DEPTH, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1 },
    };
    link->qp = ibv_create_qp(link->pd, &attr);
    return link->qp != NULL || failed("creating a queue pair", errno);
}

bool rdma_link_open(rdma_link_t *link, struct ibv_pd *pd, int socket)
{
    struct ibv_port_attr port_attr;
    address_t mine, peer;
    memset(link, 0, sizeof(*link));
    memset(&mine, 0, sizeof(mine));
    link->pd = pd;
    int port = active_port(pd->context, &port_attr);
    if (port == 0) {
        return failed("finding an active port", ENETDOWN);
    }
    int gid_index = choose_gid(pd->context, port, &port_attr, &mine.gid);
    if (gid_index < 0 || !make_queues(link) || !to_init(link->qp, port)) {
        return gid_index >= 0 ? false : failed("reading an address", errno);
    }
    mine.qp_num = link->qp->qp_num;
    mine.lid = port_attr.lid;
    char ready = 1;
    return rdma_exchange(socket, &mine, &peer, sizeof(mine))
           && to_receive(link->qp, port, gid_index, port_attr.active_mtu, &peer) && to_send(link->qp)
           && rdma_exchange(socket, &ready, &ready, 1);
}

/* ---- Transfers ---------------------------------------------------------------------------------- */

static bool post_queued(rdma_link_t *link)
{
    struct ibv_send_wr *bad;
    if (link->queued == 0) {
        return true;
    }
    link->requests[link->queued - 1].next = NULL;
    int rc = ibv_post_send(link->qp, link->requests, &bad);
    link->posted += rc == 0 ? link->queued : 0;
    link->queued = 0;
    return rc == 0 || failed("posting work requests", rc);
}

bool rdma_link_post(rdma_link_t *link, enum ibv_wr_opcode opcode, const rdma_transfer_t *transfer)
{
    struct ibv_sge *piece = &link->pieces[link->queued];
    struct ibv_send_wr *request = &link->requests[link->queued];
    *piece = (struct ibv_sge){
        .addr = (uint64_t) (uintptr_t) transfer->addr,
        .length = transfer->length,
        .lkey = transfer->lkey,
    };
    *request = (struct ibv_send_wr){
        .next = request + 1,
        .sg_list = piece,
        .num_sge = 1,
        .opcode = opcode,
        .send_flags = IBV_SEND_SIGNALED,
    };
    request->wr.rdma.remote_addr = transfer->remote_addr;
    request->wr.rdma.rkey = transfer->rkey;
    return ++link->queued < RDMA_LINK_CHAIN || post_queued(link);
}

bool rdma_link_wait(rdma_link_t *link)
{
    struct ibv_wc done[RDMA_LINK_CHAIN];
    if (!post_queued(link)) {
        return false;
    }
    while (link->posted > 0) {
        int count = ibv_poll_cq(link->cq, RDMA_LINK_CHAIN, done);
        if (count < 0) {
            return failed("polling a completion queue", EIO);
        }
        if (count == 0) {
            sched_yield(); /* The software device needs the processor. */
        }
        for (int i = 0; i < count; i++) {
            if (done[i].status != IBV_WC_SUCCESS) {
                fprintf(stderr, "rdma: a transfer failed: %s\n", ibv_wc_status_str(done[i].status));
                return false;
            }
        }
        link->posted -= (unsigned) count;
    }
    return true;
}

void rdma_link_close(rdma_link_t *link)
{
    if (link->qp != NULL) {
        ibv_destroy_qp(link->qp);
    }
    if (link->cq != NULL) {
        ibv_destroy_cq(link->cq);
    }
}
