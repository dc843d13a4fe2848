/* SPDX-License-Identifier: BSD-3-Clause */
/* One reliable connection (RC queue pair) between two processes on the device
 * of a protection domain; addresses are exchanged over a socket. */
#ifndef TEST_VM_RDMA_LINK_H
#define TEST_VM_RDMA_LINK_H

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Work requests that may be posted before they are waited for. */
#define RDMA_LINK_DEPTH 128

/** Work requests that are posted at once: a system call for each would take most of an emulated machine's time. */
#define RDMA_LINK_CHAIN 16

typedef struct rdma_link_t {
    struct ibv_pd *pd;
    struct ibv_cq *cq;
    struct ibv_qp *qp;
    unsigned posted; /**< And not yet waited for. */
    unsigned queued; /**< Filled in below, and not yet posted. */
    struct ibv_send_wr requests[RDMA_LINK_CHAIN];
    struct ibv_sge pieces[RDMA_LINK_CHAIN];
} rdma_link_t;

/** What moves: local memory, and where it lies with the peer. */
typedef struct rdma_transfer_t {
    void *addr;
    uint32_t length, lkey, rkey;
    uint64_t remote_addr;
} rdma_transfer_t;

/** Connect with the peer that does the same at the other end of `socket`. @return false after a message */
bool rdma_link_open(rdma_link_t *link, struct ibv_pd *pd, int socket);

/** Queue a write to the peer, or a read from it; many are posted together. @return false after a message */
bool rdma_link_post(rdma_link_t *link, enum ibv_wr_opcode opcode, const rdma_transfer_t *transfer);

/** Post what is queued, and wait until all is done. @return false after a message, if one failed */
bool rdma_link_wait(rdma_link_t *link);

void rdma_link_close(rdma_link_t *link);

/** Send and receive `size` bytes each; both sides call it. @return false after a message: the peer is gone */
bool rdma_exchange(int socket, const void *mine, void *peers, size_t size);

#endif
